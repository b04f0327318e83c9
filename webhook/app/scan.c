/* mlgate scan: what runs in a cluster, judged as it is stored there. */
#include <stdio.h>
#include <time.h>

#include "app/command.h"
#include "app/exceptions.h"
#include "app/images.h"
#include "app/policies.h"
#include "cluster/kubeconfig.h"
#include "cluster/listing.h"

#define KEEP_ARENA ((size_t)256 << 20)
#define PAGE_ARENA ((size_t)1 << 30)
#define PAGE_KEEP ((size_t)8 << 20)
#define TIMEOUT_MS 60000
#define CONTEXT_MAX 200000 /* objects of one kind that policies need to know */

struct scan_options {
  struct mg_policy_files files;
  const char *kubeconfig, *kube_context, *ns, *selector;
  struct mg_strings formats;
  struct mg_opt_int warn_exit_code, now;
  bool owned, allow_empty;
};

#define AT(member) offsetof(struct scan_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct scan_options, files),
    {"kubeconfig", "FILE", &mg_o_text, AT(kubeconfig), .doc = "[$KUBECONFIG, ~/.kube/config, or the pod's account]"},
    {"kube-context", "NAME", &mg_o_text, AT(kube_context), .doc = "of the kubeconfig [the current one]"},
    {"namespace", "NS", &mg_o_text, AT(ns), .doc = "only there [everywhere]"},
    {"selector", "LABELS", &mg_o_text, AT(selector), .doc = "only objects with these labels"},
    {"owned", NULL, &mg_o_flag, AT(owned), .doc = "also objects of a controller that is judged itself"},
    {"format", "F[=FILE]", &mg_o_list, AT(formats), .doc = "as of check, to FILE; repeats [text]"},
    {"warn-exit-code", "N", &mg_o_number, AT(warn_exit_code), .doc = "exit with N where something warns",
     .max = 255},
    {"allow-empty", NULL, &mg_o_flag, AT(allow_empty), .doc = "nothing found is no error"},
    {"now", "TIME", &mg_o_time, AT(now), .doc = "date or timestamp for exceptions [now]"},
    MG_OPTIONS_END,
};

struct scan {
  const struct scan_options *o;
  struct mg_snapshot *snapshot;
  struct mg_report *report;
  struct mg_kubeconfig config;
  struct mg_api *api;
  struct mg_arena keep, page;
  struct mg_served *kinds;
  size_t count;
  bool *matched; /* by exception */
  int64_t now;
  const struct mg_served *kind; /* that is listed now */
  mg_str api_version;
};

static void scan_fini(struct scan *s) {
  mg_api_close(s->api);
  mg_kubeconfig_fini(&s->config);
  mg_report_free(s->report);
  mg_snapshot_unref(s->snapshot);
  mg_arena_fini(&s->keep);
  mg_arena_fini(&s->page);
}

static void trouble(void *ctx, const char *what, const struct mg_err *err) {
  const struct scan *s = ctx;
  const struct mg_report_error error = {.file = what, .message = mg_str_of(err->text)};
  mg_report_error(s->report, &error);
}

/* ---- what is listed ---- */

/* Beside the workloads, what policies ask of the context. */
static bool is_context(const struct scan *s, mg_str group, mg_str kind, enum mg_context_kind *ret) {
  uint32_t needs = mg_snapshot_needs(s->snapshot);
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++) {
    if (!(needs & MG_CTX_BIT(i)) || !mg_str_is(group, mg_context_group(i)) || !mg_str_is(kind, mg_context_kind_name(i))) continue;
    *ret = i;
    return true;
  }
  return false;
}

static bool wants_group(void *ctx, mg_str group) {
  const struct scan *s = ctx;
  const struct mg_kind_table *kinds = mg_snapshot_kinds(s->snapshot);
  uint32_t needs = mg_snapshot_needs(s->snapshot);
  for (uint32_t i = 0; i < kinds->count; i++)
    if (mg_str_eq(kinds->rows[i].group, group)) return true;
  for (enum mg_context_kind i = 0; i < MG_CTX_KINDS; i++)
    if ((needs & MG_CTX_BIT(i)) && mg_str_is(group, mg_context_group(i))) return true;
  return false;
}

static bool wants_kind(void *ctx, mg_str group, mg_str version, mg_str kind) {
  const struct scan *s = ctx;
  enum mg_context_kind context;
  return mg_kind_find(mg_snapshot_kinds(s->snapshot), group, version, kind) || is_context(s, group, kind, &context);
}

/* ---- what policies need to know of the cluster ---- */

struct gathering {
  struct scan *scan;
  enum mg_context_kind kind;
  struct mg_context_object **items;
  size_t cap;
  uint32_t count;
};

static void gathering_fini(struct gathering *g) {
  for (uint32_t i = 0; i < g->count; i++) mg_context_object_unref(g->items[i]);
}

static int gather(void *ctx, mg_node object, struct mg_err *err) {
  struct gathering *g = ctx;
  if (g->count == CONTEXT_MAX) return mg_err_set(err, MG_E_LIMIT, "more than %d objects", CONTEXT_MAX);
  struct mg_context_object **items = mg_arena_room(&g->scan->keep, g->items, &g->cap, g->count, sizeof *items);
  if (!items) return mg_err_nomem(err);
  g->items = items;
  int code = mg_context_object_new(&items[g->count], g->kind, object, err);
  g->count += code == 0;
  return code;
}

static int learn_kind(struct scan *s, const struct mg_served *served, enum mg_context_kind kind, struct mg_context *context) {
  __attribute__((cleanup(gathering_fini))) struct gathering g = {.scan = s, .kind = kind};
  const struct mg_listing listing = {.api = s->api, .arena = &s->page, .object = gather, .ctx = &g};
  struct mg_err err = {0};
  int code = mg_list(&listing, served, &err);
  if (code == 0 && mg_context_fill(context, kind, g.items, g.count) < 0) code = mg_err_nomem(&err);
  if (code == 0) context->known |= MG_CTX_BIT(kind);
  else trouble(s, served->resource, &err);
  return code;
}

/* Of a kind that is not served there are no objects. What runs is already in its quotas, so these are taken for empty. What could
 * not be listed is not known, and policies say what then. */
static int learn(struct scan *s, struct mg_err *err) {
  uint32_t needs = mg_snapshot_needs(s->snapshot), asked = 0;
  if (!needs) return 0;
  struct mg_context *context = mg_context_new();
  if (!context) return mg_err_nomem(err);
  for (size_t i = 0; i < s->count; i++) {
    enum mg_context_kind kind;
    if (!is_context(s, mg_str_of(s->kinds[i].group), mg_str_of(s->kinds[i].kind), &kind)) continue;
    asked |= MG_CTX_BIT(kind);
    if (kind != MG_CTX_RESOURCE_QUOTA) (void)learn_kind(s, &s->kinds[i], kind, context);
  }
  context->known |= needs & (~asked | MG_CTX_BIT(MG_CTX_RESOURCE_QUOTA));
  struct mg_snapshot *with = mg_context_seal(context) < 0 ? NULL : mg_snapshot_with(s->snapshot, context);
  mg_context_unref(context);
  if (!with) return mg_err_nomem(err);
  mg_snapshot_unref(s->snapshot);
  s->snapshot = with;
  return 0;
}

/* ---- objects ---- */

/* What a controller has made is its owner's finding, where the owner is judged, too. */
static bool is_owned(const struct scan *s, mg_node object) {
  mg_str group, version, kind;
  return !s->o->owned && mg_controlling_owner(object, &group, &version, &kind) &&
         mg_kind_find(mg_snapshot_kinds(s->snapshot), group, (mg_str){0}, kind);
}

static int report_object(struct scan *s, const struct mg_request *request, const struct mg_verdict *verdict, struct mg_err *err) {
  size_t n = 0;
  mg_str file = mg_arena_printf(&s->page, "%.*s/%.*s%s%.*s", MG_FMT(request->kind), MG_FMT(request->ns), request->ns.n ? "/" : "",
                                MG_FMT(request->name));
  for (const struct mg_warning *w = verdict->warnings; w; w = w->next) n++;
  struct mg_report_warning *warnings = MG_NEW_N(&s->page, struct mg_report_warning, n + 1);
  if (!file.p || !warnings) return mg_err_nomem(err);
  struct mg_report_result result = {.file = file.p, .line = 1, .column = 1, .api_version = s->api_version, .kind = request->kind,
                                    .ns = request->ns, .name = request->name, .verdict = verdict, .warnings = warnings};
  for (const struct mg_warning *w = verdict->warnings; w; w = w->next)
    warnings[result.warning_count++] = (struct mg_report_warning){1, 1, w->text};
  mg_exceptions_note(s->snapshot, verdict, s->matched);
  mg_report_result(s->report, &result);
  return 0;
}

static int judge(void *ctx, mg_node object, struct mg_err *err) {
  struct scan *s = ctx;
  mg_node meta = MG_GET(object, "metadata");
  struct mg_verdict verdict;
  if (is_owned(s, object)) {
    mg_report_totals(s->report)->skipped++;
    return 0;
  }
  const struct mg_request request = {.group = mg_str_of(s->kind->group),
                                     .version = mg_str_of(s->kind->version),
                                     .kind = mg_str_of(s->kind->kind),
                                     .name = mg_string(MG_GET(meta, "name")),
                                     .ns = mg_string(MG_GET(meta, "namespace")),
                                     .operation = MG_CREATE,
                                     .object = object};
  int code = mg_evaluate(s->snapshot, &request, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, s->now, &s->page, &verdict, err);
  return code < 0 ? code : report_object(s, &request, &verdict, err);
}

/* What is refused of one kind is told, and the others are listed; a server that is away is away for all. */
static int scan_kind(struct scan *s, const struct mg_served *kind) {
  const struct mg_listing listing = {
      .api = s->api, .arena = &s->page, .ns = s->o->ns, .selector = s->o->selector, .object = judge, .ctx = s};
  struct mg_err err = {0};
  s->kind = kind;
  s->api_version = *kind->group ? mg_arena_printf(&s->keep, "%s/%s", kind->group, kind->version) : mg_str_of(kind->version);
  int code = mg_list(&listing, kind, &err);
  if (code < 0) trouble(s, kind->resource, &err);
  return code == MG_E_IO || code == MG_E_NOMEM ? code : 0;
}

/* True where the server could be asked at all. */
static bool scan_all(struct scan *s, struct mg_err *err) {
  const struct mg_discovery wants = {wants_group, wants_kind, trouble, s};
  int code = mg_discover(s->api, &s->keep, &wants, &s->kinds, &s->count, err);
  if (code == 0) code = learn(s, err);
  if (code < 0) {
    trouble(s, s->config.context ? s->config.context : "cluster", err);
    return false;
  }
  for (size_t i = 0; i < s->count && code == 0; i++) {
    const struct mg_served *kind = &s->kinds[i];
    if (s->o->ns && !kind->namespaced) continue;
    if (mg_kind_find(mg_snapshot_kinds(s->snapshot), mg_str_of(kind->group), mg_str_of(kind->version), mg_str_of(kind->kind)))
      code = scan_kind(s, kind);
  }
  return code == 0;
}

/* ---- the command ---- */

static bool is_label(const char *name) {
  size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
  return n > 0 && n <= 63 && !name[n];
}

static int prepare(struct scan *s, struct mg_err *err) {
  const struct scan_options *o = s->o;
  if (o->ns && !is_label(o->ns)) return mg_err_set(err, MG_E_USAGE, "--namespace \"%.100s\" is no namespace's name", o->ns);
  int code = mg_kubeconfig_read(&s->config, o->kubeconfig, o->kube_context, err);
  if (code < 0) return code;
  s->config.api.body_max = MG_LISTING_BODY_MAX;
  s->config.api.timeout_ms = TIMEOUT_MS;
  code = mg_api_open(&s->config.api, &s->api, err);
  s->matched = MG_NEW_N(&s->keep, bool, mg_snapshot_exception_count(s->snapshot) + 1);
  if (code == 0 && !s->matched) code = mg_err_nomem(err);
  if (mg_images_needed(s->snapshot)) fputs("mlgate scan: no registry is asked, and imageSize is left out\n", stderr);
  return code;
}

static int exit_status(const struct scan *s) {
  const struct mg_report_totals *t = mg_report_totals(s->report);
  bool empty = !t->objects && !t->skipped && !s->o->allow_empty;
  if (empty && !t->errors) fputs("mlgate scan: nothing found to judge\n", stderr);
  return mg_exit_status(t->errors || empty, t->outcomes[MG_OUT_DENY], t->outcomes[MG_OUT_WARN], &s->o->warn_exit_code);
}

static int run(const void *given, const struct mg_strings *args) {
  __attribute__((cleanup(scan_fini))) struct scan s = {.o = given};
  struct mg_err err = {0};
  (void)args;
  mg_arena_init(&s.keep, KEEP_ARENA, 0);
  mg_arena_init(&s.page, PAGE_ARENA, PAGE_KEEP);
  s.now = s.o->now.set ? s.o->now.value : (int64_t)time(NULL);
  int code = mg_report_new(&s.report, s.o->formats.items, s.o->formats.count, &err);
  if (code == 0 && mg_load_policies(&s.o->files, &s.snapshot) < 0) return MG_EXIT_USAGE;
  if (code == 0) code = prepare(&s, &err);
  if (code == 0 && scan_all(&s, &err)) mg_exceptions_report(s.report, s.snapshot, s.matched, s.now);
  if (code == 0) code = mg_report_end(s.report, &err);
  if (code < 0) fprintf(stderr, "mlgate scan: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : exit_status(&s);
}

const struct mg_command mg_command_scan = {
    .name = "scan", .doc = "judge what runs in a cluster", .options = options, .size = sizeof(struct scan_options), .run = run,
    .more = "Asks with GETs alone, as the user of the kubeconfig; manifests/scan has the rights.\n"
            "Exit: 0 nothing denied, 1 denied, 2 usage, policies or kubeconfig,\n"
            "3 some or all could not be listed, or nothing found."};
