/* mlgate certs: a certificate authority and a server certificate, for clusters without a tool of their own. */
#include <stdio.h>
#include <sys/resource.h>

#include "app/command.h"
#include "base/when.h"
#include "certs/certs.h"
#include "cluster/api.h"

#define SHOW_MAX ((size_t)1 << 20)
#define SECRET_TEXT 512

struct certs_options {
  const char *out, *secret, *service, *ns;
  struct mg_strings hooks, dns, ips;
  struct mg_opt_int days, ca_days, overlap, wait, now;
  bool force, at_once;
  struct mg_api_options api;
};

#define AT(member) offsetof(struct certs_options, member)
static const struct mg_option options[] = {
    {"out", "DIR", &mg_o_text, AT(out), .doc = "keep them as files there [certs]"},
    {"secret", "NS/NAME", &mg_o_text, AT(secret), .doc = "or in a Secret"},
    {"patch-webhooks", "NAME", &mg_o_list, AT(hooks), .doc = "caBundle follows; or validating/NAME, mutating/NAME"},
    {"wait", "SECONDS", &mg_o_number, AT(wait), .doc = "for webhooks that are not there yet", .def = "0", .max = 86400},
    {"service", "NAME", &mg_o_text, AT(service), .doc = "the Service that is called [mlgate]"},
    {"namespace", "NS", &mg_o_text, AT(ns), .doc = "its namespace [mlgate-system]"},
    {"dns", "NAME", &mg_o_list, AT(dns), .doc = "one more name; repeats"},
    {"ip", "IP", &mg_o_list, AT(ips), .doc = "one more address; repeats"},
    {"days", "N", &mg_o_number, AT(days), .doc = "life of the server certificate", .def = "365", .min = 1,
     .max = MG_CERTS_DAYS_MAX},
    {"ca-days", "N", &mg_o_number, AT(ca_days), .doc = "life of the authority", .def = "3650", .min = 1,
     .max = MG_CERTS_DAYS_MAX},
    {"force", NULL, &mg_o_flag, AT(force), .doc = "create: a new authority at once"},
    {"now", NULL, &mg_o_flag, AT(at_once), .doc = "rotate: one step, due or not"},
    {"overlap", "SECONDS", &mg_o_number, AT(overlap), .doc = "rotate: between steps", .def = "3600", .max = 31536000},
    {"time", "TIME", &mg_o_time, AT(now), .doc = "act as if it were then"},
    {"server", "URL", &mg_o_text, AT(api.server), .doc = "API server [the pod's own]"},
    {"ca-file", "FILE", &mg_o_text, AT(api.ca_file), .doc = "its CA [service account's]"},
    {"token-file", "FILE", &mg_o_text, AT(api.token_file), .doc = "token [service account's]"},
    {"client-cert", "FILE", &mg_o_text, AT(api.cert_file), .doc = "certificate to show it"},
    {"client-key", "FILE", &mg_o_text, AT(api.key_file), .doc = "and its key"},
    MG_OPTIONS_END,
};

/* Everything that an action needs, made out of the options. */
struct work {
  const struct certs_options *o;
  struct mg_certs_place place;
  struct mg_certs_request request;
  struct mg_certs_names service;
  const char *names[MG_CERTS_NAMES_MAX];
  char ns[SECRET_TEXT];
  struct mg_err err;
};

static int create(struct work *w);
static int rotate(struct work *w);
static int show(struct work *w);

static const struct action {
  const char *name;
  int (*run)(struct work *w); /* exit status, or a negative code with its error */
  bool writes;
} actions[] = {{"create", create, true}, {"rotate", rotate, true}, {"show", show, false}};
#define ACTIONS (sizeof actions / sizeof *actions)

static int find_action(const struct mg_strings *args, const struct action **ret, struct mg_err *err) {
  *ret = &actions[0];
  if (args->count > 1) return mg_err_set(err, MG_E_USAGE, "takes no argument \"%s\"", args->items[1]);
  if (args->count == 0) return 0;
  for (size_t i = 0; i < ACTIONS; i++)
    if (strcmp(args->items[0], actions[i].name) == 0) {
      *ret = &actions[i];
      return 0;
    }
  return mg_err_set(err, MG_E_USAGE, "\"%s\" is none of create, rotate, show", args->items[0]);
}

static int gather_names(struct work *w) {
  const struct certs_options *o = w->o;
  size_t n = 0;
  int code = mg_certs_service_names(o->service ? o->service : "mlgate", o->ns ? o->ns : "mlgate-system", &w->service, &w->err);
  if (code < 0) return code;
  if (o->dns.count + MG_CERTS_SERVICE_NAMES > MG_CERTS_NAMES_MAX || o->ips.count > MG_CERTS_NAMES_MAX)
    return mg_err_set(&w->err, MG_E_LIMIT, "more than %d names", MG_CERTS_NAMES_MAX);
  for (size_t i = 0; i < MG_CERTS_SERVICE_NAMES; i++) w->names[n++] = w->service.text[i];
  for (size_t i = 0; i < o->dns.count; i++) w->names[n++] = o->dns.items[i];
  w->request = (struct mg_certs_request){.dns = w->names, .n_dns = n, .ips = o->ips.items, .n_ips = o->ips.count,
      .keep_names = !o->service && !o->ns && o->dns.count + o->ips.count == 0, .ca_days = (int)o->ca_days.value,
      .days = (int)o->days.value, .force = o->force, .at_once = o->at_once, .overlap = o->overlap.value, .now = o->now.value};
  return 0;
}

/* "NS/NAME"; what each may be is looked at where they are used. */
static int split_secret(struct work *w) {
  mg_str text = mg_str_of(w->o->secret);
  size_t slash = mg_str_find(text, '/');
  if (slash == 0 || slash + 1 >= text.n || text.n >= sizeof w->ns)
    return mg_err_set(&w->err, MG_E_USAGE, "--secret must be NAMESPACE/NAME, not \"%.100s\"", w->o->secret);
  memcpy(w->ns, text.p, slash);
  w->place.ns = w->ns;
  w->place.secret = text.p + slash + 1;
  return 0;
}

static int find_place(struct work *w, bool writes) {
  const struct certs_options *o = w->o;
  if (o->secret && o->out) return mg_err_set(&w->err, MG_E_USAGE, "--out and --secret exclude each other");
  if (!o->secret) w->place.dir = o->out ? o->out : "certs";
  w->place.hooks = o->hooks.items;
  w->place.n_hooks = writes ? o->hooks.count : 0;
  w->place.wait = o->wait.value;
  int code = o->secret ? split_secret(w) : 0;
  if (code < 0 || (!o->secret && !w->place.n_hooks)) return code;
  mg_api_wipe_json();
  return mg_api_open(&o->api, &w->place.api, &w->err);
}

static void put_place(struct mg_buf *out, const struct mg_certs_place *place) {
  if (place->dir) mg_buf_printf(out, "%s: ", place->dir);
  else mg_buf_printf(out, "secret %s/%s: ", place->ns, place->secret);
}

static void put_report(struct mg_buf *out, const struct mg_certs_place *place, const struct mg_certs_report *report) {
  static const struct {
    unsigned did;
    const char *text;
  } deeds[] = {
      {MG_CERTS_CA, "new authority, in use"},
      {MG_CERTS_ANNOUNCED, "new authority announced beside the one in use; it signs after the next step"},
      {MG_CERTS_SWITCHED, "the new authority signs now; the old one is still trusted"},
      {MG_CERTS_DROPPED, "the old authority is not trusted any more"},
      {MG_CERTS_LEAF, "new server certificate"},
  };
  static const char *const nexts[] = {[MG_CERTS_NEXT_LEAF] = "new server certificate", [MG_CERTS_NEXT_CA] = "new authority",
                                      [MG_CERTS_NEXT_SWITCH] = "the new authority signs",
                                      [MG_CERTS_NEXT_DROP] = "the old authority goes"};
  for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
    if (!(report->did & deeds[i].did)) continue;
    put_place(out, place);
    mg_buf_printf(out, "%s\n", deeds[i].text);
  }
  if (!report->did) {
    put_place(out, place);
    mg_buf_lit(out, "nothing to do\n");
  }
  if (place->n_hooks) mg_buf_printf(out, "webhook configurations whose caBundle was written: %u\n", report->patched);
  char room[MG_WHEN_ROOM];
  mg_buf_printf(out, "next due: %s, %s\n", nexts[report->next], mg_when_text(report->due, room));
}

static int tell(struct work *w, const struct mg_certs_report *report, bool files) {
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, SHOW_MAX);
  const char *dir = w->place.dir;
  if (files && dir) mg_buf_printf(&text, "%s/ca.crt\n%s/tls.crt\n%s/tls.key\n", dir, dir, dir);
  else put_report(&text, &w->place, report);
  return mg_command_print("mlgate certs", &text);
}

/* A run that failed may have done something all the same. */
static int finish(struct work *w, int code, const struct mg_certs_report *report, bool files) {
  int status = code == 0 || report->did ? tell(w, report, files) : MG_EXIT_OK;
  return code < 0 ? code : status;
}

static int create(struct work *w) {
  struct mg_certs_report report;
  if (w->o->at_once) return mg_err_set(&w->err, MG_E_USAGE, "--now is for rotate");
  w->request.keep_names = false;
  int code = mg_certs_create(&w->place, &w->request, &report, &w->err);
  return finish(w, code, &report, true);
}

static int rotate(struct work *w) {
  struct mg_certs_report report;
  if (w->o->force) return mg_err_set(&w->err, MG_E_USAGE, "--force is for create");
  int code = mg_certs_rotate(&w->place, &w->request, &report, &w->err);
  return finish(w, code, &report, false);
}

static int show(struct work *w) {
  MG_BUF_AUTO text;
  bool good = false;
  mg_buf_init(&text, NULL, SHOW_MAX);
  int code = mg_certs_show(&w->place, w->request.now, &text, &good, &w->err);
  if (code < 0) return code;
  int printed = mg_command_print("mlgate certs", &text);
  return printed == MG_EXIT_OK && !good ? MG_EXIT_DENIED : printed;
}

static int run(const void *given, const struct mg_strings *args) {
  struct work w = {.o = given};
  const struct action *action = NULL;
  (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0}); /* there are keys in memory */
  int code = find_action(args, &action, &w.err);
  if (code == 0) code = gather_names(&w);
  if (code == 0) code = find_place(&w, action->writes);
  if (code == 0) code = action->run(&w);
  mg_api_close(w.place.api);
  if (code < 0) fprintf(stderr, "mlgate certs: %s\n", w.err.text);
  return code < 0 ? MG_EXIT_USAGE : code;
}

const struct mg_command mg_command_certs = {
    .name = "certs", .args = "[create | rotate | show]", .doc = "make, renew or show an authority and a server certificate",
    .options = options, .size = sizeof(struct certs_options), .run = run};
