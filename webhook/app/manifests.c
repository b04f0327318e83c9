/* mlgate manifests: the installation as YAML, from one set of options. */
#include "app/manifests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "app/command.h"
#include "app/images.h"
#include "base/ascii.h"
#include "base/embedded.h"
#include "certs/certs.h"
#include "certs/pem.h"
#include "cluster/live.h"
#include "doc/yaml.h"
#include "doc/yaml_write.h"
#include "kube/name.h"

#define ARENA ((size_t)512 << 20)
#define OUTPUT_MAX ((size_t)256 << 20)
#define NOTES_MAX ((size_t)1 << 16)
#define PATH_LENGTH 4096
#define GRACE 5         /* seconds that the server goes on serving after SIGTERM */
#define DRAIN 30        /* the longest time-out of a webhook, which is what it then waits for */
#define CRON_JOB_MAX 52 /* bytes of a CronJob's name, so that its Jobs can have longer ones */
#define SPARE 10        /* before it is killed */

/* There is no --port: see mg_option_variable in options.c. */
struct manifests_options {
  struct mg_policy_files files;
  const char *ns, *name, *image, *tls_secret, *ca_file, *out, *chart;
  struct mg_opt_int replicas, timeout, tls_port, plain_port, https_port;
  bool self_signed, cert_manager, service_monitor, live_context, pull_secrets, values;
  uint32_t conditions; /* enum conditions */
};

enum conditions { BASIC, DERIVED };
static const char *const condition_words[] = {"basic", "derived", NULL};

#define AT(member) offsetof(struct manifests_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct manifests_options, files),
    {"namespace", "NS", &mg_o_text, AT(ns), .doc = "where the server lives", .def = "mlgate-system"},
    {"name", "NAME", &mg_o_text, AT(name), .doc = "of the Service and of everything else", .def = "mlgate"},
    {"image", "IMAGE", &mg_o_text, AT(image), .doc = "runs `mlgate serve`", .def = "registry.example/mlgate:0.1.0"},
    {"replicas", "N", &mg_o_number, AT(replicas), .doc = "servers", .def = "3", .min = 1, .max = 1000},
    {"timeout", "SECONDS", &mg_o_number, AT(timeout), .doc = "of a review", .def = "5", .min = 1, .max = 30},
    {"ca-file", "FILE", &mg_o_text, AT(ca_file), .doc = "PEM: who signed the server's certificate"},
    {"self-signed", NULL, &mg_o_flag, AT(self_signed), .doc = "let a Job and a CronJob of mlgate make and renew it"},
    {"cert-manager", NULL, &mg_o_flag, AT(cert_manager), .doc = "let cert-manager make and renew it"},
    {"tls-secret", "NAME", &mg_o_text, AT(tls_secret), .doc = "Secret with tls.crt and tls.key; NAME-tls if not given"},
    {"live-context", NULL, &mg_o_flag, AT(live_context), .doc = "let the server watch what policies need"},
    {"pull-secrets", NULL, &mg_o_flag, AT(pull_secrets), .doc = "let the server read pull secrets, where a Role does"},
    {"service-monitor", NULL, &mg_o_flag, AT(service_monitor), .doc = "for the Prometheus operator"},
    {"match-conditions", "HOW", &mg_o_word, AT(conditions), .words = condition_words, .def = "basic",
     .doc = "basic, or derived: Pods that no policy is about stay in the API server"},
    {"https-port", "N", &mg_o_number, AT(https_port), .doc = "of the Service", .def = "443", .min = 1, .max = 65535},
    {"tls-port", "N", &mg_o_number, AT(tls_port), .doc = "of the server: reviews", .def = "8443", .min = 1024,
     .max = 65535},
    {"plain-port", "N", &mg_o_number, AT(plain_port), .doc = "health and metrics", .def = "8080", .min = 1024, .max = 65535},
    {"out", "DIR", &mg_o_text, AT(out), .doc = "write files there, one an object, not to stdout"},
    {"values", NULL, &mg_o_flag, AT(values), .doc = "the values of the Helm chart instead"},
    {"chart", "DIR", &mg_o_text, AT(chart), .doc = "write templates and values of the Helm chart there instead"},
    MG_OPTIONS_END,
};

struct work {
  const struct manifests_options *options;
  struct mg_arena arena;
  struct mg_doc doc; /* of the variables, and of what is rendered */
  mg_node variables;
  struct mg_policy_sources sources;
  struct mg_snapshot *snapshot;
  struct mg_buf notes, text;
};

static void work_fini(struct work *w) {
  mg_snapshot_unref(w->snapshot);
  mg_policy_sources_fini(&w->sources);
  mg_buf_fini(&w->notes);
  mg_buf_fini(&w->text);
  mg_arena_fini(&w->arena);
}

/* ---- variables ---- */

static void set_text(struct work *w, const char *key, mg_str value) {
  mg_put(w->variables, mg_str_of(key), mg_make_text(&w->doc, MG_STRING, value));
}

static void set_number(struct work *w, const char *key, int64_t value) {
  mg_str text = mg_arena_printf(&w->arena, "%" PRId64, value);
  mg_put(w->variables, mg_str_of(key), mg_make_text(&w->doc, MG_NUMBER, text));
}

static void set_true(struct work *w, const char *key, bool value) {
  if (value) mg_put(w->variables, mg_str_of(key), mg_make_text(&w->doc, MG_BOOL, MG_S("true")));
}

static void push(mg_node list, mg_str text) {
  mg_push(list, mg_make_text(list.doc, MG_STRING, text));
}

static int check_names(const struct manifests_options *o, struct mg_err *err) {
  if (!mg_name_is_dns_label(mg_str_of(o->ns)))
    return mg_err_set(err, MG_E_USAGE, "--namespace: \"%s\" is no name of a namespace", o->ns);
  /* A Service's name may not begin with a digit. */
  if (!mg_name_is_dns_label(mg_str_of(o->name)) || mg_is_digit(o->name[0]))
    return mg_err_set(err, MG_E_USAGE, "--name: \"%s\" is no name of a Service", o->name);
  if ((o->out != NULL) + (o->chart != NULL) + o->values > 1)
    return mg_err_set(err, MG_E_USAGE, "--out, --chart and --values exclude each other");
  if (o->self_signed && strlen(o->name) > CRON_JOB_MAX - strlen("-certificates"))
    return mg_err_set(err, MG_E_USAGE, "--name: \"%s-certificates\" is too long for a CronJob", o->name);
  if (o->tls_secret && !mg_name_is_dns_subdomain(mg_str_of(o->tls_secret)))
    return mg_err_set(err, MG_E_USAGE, "--tls-secret: \"%s\" is no name of a Secret", o->tls_secret);
  if ((o->ca_file != NULL) + o->cert_manager + o->self_signed > 1)
    return mg_err_set(err, MG_E_USAGE, "--ca-file, --cert-manager and --self-signed exclude each other");
  if (o->tls_port.value == o->plain_port.value)
    return mg_err_set(err, MG_E_USAGE, "--tls-port and --plain-port are both %" PRId64, o->tls_port.value);
  return 0;
}

static void set_namespaces(struct work *w) {
  static const char *const names[] = {"kube-system", "kube-public", "kube-node-lease"};
  mg_node list = mg_make(&w->doc, MG_ARRAY);
  bool own = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    push(list, mg_str_of(names[i]));
    own |= strcmp(names[i], w->options->ns) == 0;
  }
  mg_put(w->variables, MG_S("kubeNamespaces"), mg_make_copy(&w->doc, list));
  if (!own) push(list, mg_str_of(w->options->ns));
  mg_put(w->variables, MG_S("exemptNamespaces"), list);
}

static int set_dns_names(struct work *w, struct mg_err *err) {
  struct mg_certs_names names;
  mg_node list = mg_make(&w->doc, MG_ARRAY);
  int code = mg_certs_service_names(w->options->name, w->options->ns, &names, err);
  for (size_t i = 0; i < MG_CERTS_SERVICE_NAMES && code == 0; i++) push(list, mg_arena_dup(&w->arena, mg_str_of(names.text[i])));
  mg_put(w->variables, MG_S("dnsNames"), list);
  return code;
}

/* A private key must never get into an object that everybody may read. */
static int set_ca(struct work *w, struct mg_err *err) {
  const char *path = w->options->ca_file;
  struct mg_buf base64;
  char *text = NULL;
  size_t size = 0;
  X509 *cert = NULL;
  if (!path) return 0;
  int code = mg_pem_read(path, &text, &size, err);
  if (code < 0) return code;
  code = mg_pem_cert(path, text, size, &cert, err);
  X509_free(cert);
  if (code == 0 && mg_str_has((mg_str){text, size}, MG_S("PRIVATE KEY")))
    code = mg_err_set(err, MG_E_INVALID, "%s: has a private key in it", path);
  mg_buf_init(&base64, &w->arena, 2 * (size_t)MG_PEM_MAX);
  if (code == 0) mg_buf_base64(&base64, (mg_str){text, size});
  if (code == 0) set_text(w, "caBundle", mg_buf_str(&base64));
  mg_pem_free(text, size);
  return code;
}

static int set_options(struct work *w, struct mg_err *err) {
  const struct manifests_options *o = w->options;
  mg_str name = mg_str_of(o->name);
  set_text(w, "name", name);
  set_text(w, "namespace", mg_str_of(o->ns));
  set_text(w, "revision", MG_S("")); /* only Helm counts */
  set_text(w, "image", mg_str_of(o->image));
  set_text(w, "tlsSecret", o->tls_secret ? mg_str_of(o->tls_secret) : mg_arena_printf(&w->arena, "%s-tls", o->name));
  set_number(w, "replicas", o->replicas.value);
  set_number(w, "timeout", o->timeout.value);
  set_number(w, "tlsPort", o->tls_port.value);
  set_number(w, "plainPort", o->plain_port.value);
  set_number(w, "servicePort", o->https_port.value);
  set_number(w, "grace", GRACE);
  set_number(w, "termination", GRACE + DRAIN + SPARE);
  set_true(w, "selfSigned", o->self_signed);
  set_true(w, "certManager", o->cert_manager);
  set_true(w, "serviceMonitor", o->service_monitor);
  set_namespaces(w);
  int code = set_dns_names(w, err);
  return code < 0 ? code : set_ca(w, err);
}

/* The rule of a group is made when the first of its kinds comes. */
static mg_node rule_of(struct work *w, mg_node rules, mg_str group) {
  static const char *const verbs[] = {"get", "list", "watch"};
  for (mg_node rule = mg_first(rules); rule.at; rule = mg_next(rule))
    if (mg_str_eq(mg_string(mg_first(MG_GET(rule, "apiGroups"))), group)) return rule;
  mg_node rule = mg_make(&w->doc, MG_OBJECT), groups = mg_make(&w->doc, MG_ARRAY), list = mg_make(&w->doc, MG_ARRAY);
  push(groups, group);
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) push(list, mg_str_of(verbs[i]));
  mg_put(rule, MG_S("apiGroups"), groups);
  mg_put(rule, MG_S("resources"), mg_make(&w->doc, MG_ARRAY));
  mg_put(rule, MG_S("verbs"), list);
  mg_push(rules, rule);
  return rule;
}

/* liveContext: what the server may watch, as rules of a role; absent where it need not. */
static uint32_t set_live_context(struct work *w) {
  uint32_t needs = w->options->live_context ? mg_live_kinds(mg_snapshot_needs(w->snapshot)) : 0;
  mg_node rules = mg_make(&w->doc, MG_ARRAY);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++)
    if (needs & MG_CTX_BIT(i))
      push(MG_GET(rule_of(w, rules, mg_str_of(mg_context_group(i))), "resources"), mg_str_of(mg_context_resource(i)));
  if (needs) mg_put(w->variables, MG_S("liveContext"), rules);
  if (w->options->live_context && !needs) mg_buf_lit(&w->notes, "--live-context: these policies need nothing of the cluster\n");
  return needs;
}

/* A token is for who asks the API server. */
static void set_reading(struct work *w) {
  bool images = mg_images_needed(w->snapshot), secrets = w->options->pull_secrets && images;
  bool token = set_live_context(w) || secrets;
  set_true(w, "registries", images);
  set_true(w, "pullSecrets", secrets);
  mg_put(w->variables, MG_S("mountToken"), mg_make_text(&w->doc, MG_BOOL, token ? MG_S("true") : MG_S("false")));
  if (w->options->pull_secrets && !images) mg_buf_lit(&w->notes, "--pull-secrets: these policies ask no registry\n");
}

static int set_variables(struct work *w, struct mg_err *err) {
  int code = set_options(w, err);
  set_reading(w);
  if (code == 0) code = mg_manifests_files(w->variables, mg_str_of(w->options->name), &w->sources, err);
  if (code < 0) return code;
  mg_manifests_rules(w->variables, w->snapshot, &w->notes);
  if (w->options->conditions == DERIVED) {
    mg_manifests_conditions(w->variables, w->snapshot);
    mg_buf_lit(&w->notes, "the match conditions follow from these policies: apply them again before other policies are served\n");
  }
  mg_manifests_classes(w->variables, w->snapshot, &w->sources, &w->notes);
  if (!w->options->ca_file && !w->options->cert_manager && !w->options->self_signed)
    mg_buf_lit(&w->notes, "none of --self-signed, --cert-manager, --ca-file: the configurations have no caBundle yet\n");
  return w->arena.failed ? mg_err_nomem(err) : 0;
}

/* ---- output ---- */

static int write_file(const char *dir, mg_str name, mg_str text, struct mg_err *err) {
  char path[PATH_LENGTH];
  int n = snprintf(path, sizeof path, "%s/%.*s.yaml", dir, MG_FMT(name));
  if (n < 0 || (size_t)n >= sizeof path) return mg_err_set(err, MG_E_IO, "%s: the path is too long", dir);
  FILE *file = fopen(path, "we");
  bool good = file && fwrite(text.p, 1, text.n, file) == text.n;
  if (file) good = fclose(file) == 0 && good;
  if (!good) return mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(errno));
  printf("%s\n", path);
  return 0;
}

static int emit(void *ctx, mg_str file, mg_node object, struct mg_err *err) {
  struct work *w = ctx;
  if (w->options->out) w->text.n = 0;
  else if (w->text.n) mg_buf_lit(&w->text, "---\n");
  mg_yaml_write(&w->text, object);
  if (w->text.failed) return mg_err_set(err, MG_E_LIMIT, "the manifests are larger than %zu MiB", OUTPUT_MAX >> 20);
  return w->options->out ? write_file(w->options->out, file, mg_buf_str(&w->text), err) : 0;
}

static int read_skeleton(struct work *w, mg_node *ret, struct mg_err *err) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {(size_t)1 << 20, 64, 100000}, .file = "app/manifests.yaml"};
  for (size_t i = 0; i < mg_embedded_count; i++) {
    const struct mg_embedded *f = &mg_embedded_files[i];
    if (!mg_str_is(mg_str_of(f->name), how.file)) continue;
    int code = mg_yaml_read(&docs, &w->arena, (mg_str){(const char *)f->data, f->size}, &how, err);
    if (code < 0) return code;
  }
  if (!docs) return mg_err_set(err, MG_E_INVALID, "%s is not built in", how.file);
  *ret = mg_root(&docs->doc);
  return 0;
}

static int make_dir(const char *path, struct mg_err *err) {
  return mkdir(path, 0777) < 0 && errno != EEXIST ? mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(errno)) : 0;
}

static int emit_template(void *ctx, mg_str file, mg_str text, struct mg_err *err) {
  return write_file(ctx, file, text, err);
}

static int render_values(struct work *w, struct mg_err *err) {
  mg_manifests_values(w->variables, &w->text);
  return w->text.failed || w->arena.failed ? mg_err_nomem(err) : 0;
}

static int render_chart(struct work *w, mg_node skeleton, struct mg_err *err) {
  char templates[PATH_LENGTH];
  const char *dir = w->options->chart;
  int n = snprintf(templates, sizeof templates, "%s/templates", dir);
  if (n < 0 || (size_t)n >= sizeof templates) return mg_err_set(err, MG_E_IO, "%s: the path is too long", dir);
  int code = make_dir(dir, err);
  if (code == 0) code = make_dir(templates, err);
  if (code == 0) code = mg_manifests_chart(skeleton, emit_template, templates, err);
  if (code == 0) code = render_values(w, err);
  return code < 0 ? code : write_file(dir, MG_S("values"), mg_buf_str(&w->text), err);
}

static int render(struct work *w, struct mg_err *err) {
  mg_node skeleton;
  const struct manifests_options *o = w->options;
  int code = read_skeleton(w, &skeleton, err);
  if (code == 0 && o->out) code = make_dir(o->out, err);
  if (code < 0) return code;
  if (o->chart) code = render_chart(w, skeleton, err);
  else if (o->values) code = render_values(w, err);
  else code = mg_manifests_expand(skeleton, w->variables, emit, w, err);
  if (code == 0 && !o->out && !o->chart) fwrite(w->text.p, 1, w->text.n, stdout);
  if (code == 0 && (fflush(stdout) != 0 || ferror(stdout)))
    code = mg_err_set(err, MG_E_IO, "standard output: %s", strerror(errno));
  return code;
}

static int prepare(struct work *w, struct mg_err *err) {
  mg_arena_init(&w->arena, ARENA, 0);
  mg_buf_init(&w->notes, NULL, NOTES_MAX);
  mg_buf_init(&w->text, NULL, OUTPUT_MAX);
  if (mg_doc_init(&w->doc, &w->arena, (mg_str){0}, NULL, 1024) < 0) return mg_err_nomem(err);
  w->variables = mg_make(&w->doc, MG_OBJECT);
  return check_names(w->options, err);
}

static int run(const void *given, const struct mg_strings *args) {
  __attribute__((cleanup(work_fini))) struct work w = {.options = given};
  struct mg_err err = {0};
  (void)args;
  int code = prepare(&w, &err);
  if (code == 0 && mg_load_policies_and(&w.options->files, &w.sources, &w.snapshot) < 0) return MG_EXIT_USAGE;
  mg_manifests_leave_tests(&w.sources);
  if (code == 0) code = set_variables(&w, &err);
  if (code == 0) code = render(&w, &err);
  if (code == 0 && w.notes.n) fwrite(w.notes.p, 1, w.notes.n, stderr);
  if (code < 0) fprintf(stderr, "mlgate manifests: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : MG_EXIT_OK;
}

const struct mg_command mg_command_manifests = {
    .name = "manifests", .doc = "render the installation as YAML", .options = options,
    .size = sizeof(struct manifests_options), .run = run,
    .more = "The policies become ConfigMaps; the webhooks ask for what these policies can match.\n"
            "Install what is labelled app.kubernetes.io/component=admission last."};
