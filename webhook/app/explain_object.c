/* `mlgate explain FILE`: an object taken apart as the rules see it, and each policy with the reason why it does or does not
 * apply. */
#include <inttypes.h>
#include <stdio.h>

#include "app/explain.h"
#include "app/inputs.h"
#include "app/judge.h"
#include "app/objects.h"
#include "doc/yaml.h"
#include "policy/match.h"

struct explain {
  struct mg_buf *out;
  const struct mg_snapshot *snapshot;
  const char *file;
  int64_t now;
  struct mg_arena *arena;
  bool any;
};

/* One object. */
struct subject {
  struct explain *e;
  const struct mg_request *request;
  struct mg_workload *workload;
  const uint8_t *results; /* by policy */
};

static void clean(struct mg_buf *out, mg_str text) {
  mg_buf_clean(out, text);
}

/* ---- templates ---- */

static mg_str place_of(struct explain *e, const struct mg_pod *pod) {
  mg_str path = mg_path(e->arena, pod->object, pod->node);
  return path.n ? path : MG_S("the Pod itself");
}

static const char *why_role(const struct mg_pod *pod) {
  mg_str word;
  if (mg_pod_label(pod, MG_S("mlgate.dev/role"), &word) && mg_role_of(word) == pod->role) return "by its label mlgate.dev/role";
  mg_str group, version, kind;
  if (mg_controlling_owner(pod->object, &group, &version, &kind) && (enum mg_role)pod->kind->role != pod->role)
    return "by its owner";
  return "by its kind";
}

static void amount_words(struct mg_buf *out, const struct mg_amount *a) {
  static const char *const units[] = {"", ", a size", ", no accelerator"};
  mg_buf_lit(out, "          ");
  clean(out, a->resource);
  if (a->limit.at) mg_buf_lit(out, ": limit "), clean(out, mg_text(a->limit));
  if (a->request.at) mg_buf_printf(out, "%s request ", a->limit.at ? "," : ":"), clean(out, mg_text(a->request));
  if (a->accelerator) mg_buf_printf(out, "%s", units[a->accelerator->unit]);
  mg_buf_byte(out, '\n');
}

static void container_words(struct subject *s, struct mg_pod *pod, struct mg_container *c) {
  static const char *const lists[] = {"init container", "container", "ephemeral container", "container"};
  struct mg_buf *out = s->e->out;
  mg_buf_printf(out, "      %s \"", c->sidecar ? "sidecar" : lists[c->list]);
  clean(out, c->name);
  mg_buf_lit(out, "\", image ");
  clean(out, mg_container_image(pod, c));
  if (c->uses_accelerator) mg_buf_printf(out, ": uses accelerators (%" PRId64 ")", c->devices);
  else mg_buf_printf(out, ": %s", c->claims_unknown ? "has a device claim that the context does not resolve" : "no accelerator");
  if (c->shared) mg_buf_lit(out, ", a share by annotation");
  if (c->presumed) mg_buf_lit(out, ", as its kind says, without a limit");
  if (c->claims_device) mg_buf_lit(out, ", a device claim");
  if (mg_container_is_infrastructure(pod, c)) mg_buf_lit(out, ", an infrastructure image");
  mg_buf_byte(out, '\n');
  for (uint32_t i = 0; i < c->amount_count; i++)
    if (c->amounts[i].accelerator) amount_words(out, &c->amounts[i]);
}

static void template_words(struct subject *s, struct mg_pod *pod) {
  struct mg_buf *out = s->e->out;
  mg_buf_lit(out, "    ");
  clean(out, place_of(s->e, pod));
  mg_buf_printf(out, ": role %s, %s; ", pod->role ? mg_role_words[pod->role] : "none", why_role(pod));
  if (pod->replicas_unreadable) mg_buf_lit(out, "replicas that cannot be read");
  else mg_buf_printf(out, "%" PRId64 " replica%s", pod->replicas, pod->replicas == 1 ? "" : "s");
  mg_buf_printf(out, " of %" PRId64 " device%s\n", pod->devices, pod->devices == 1 ? "" : "s");
  for (uint32_t i = 0; i < pod->container_count; i++) container_words(s, pod, &pod->containers[i]);
}

/* ---- policies ---- */

static void say_text(struct mg_buf *out, const char *what, mg_str text) {
  mg_buf_printf(out, "; the %s is \"", what);
  clean(out, text);
  mg_buf_byte(out, '"');
}

/* What the object has where a key of `match` looks. */
static void say_what_is(struct subject *s, const char *key, const struct mg_pod *pod) {
  const struct mg_request *r = s->request;
  const struct {
    const char *key, *what;
    mg_str text;
  } facts[] = {
      {"operations", "operation", mg_str_of(mg_operation_words[r->operation])},
      {"kinds", "kind", r->group.n ? mg_arena_printf(s->e->arena, "%.*s.%.*s", MG_FMT(r->kind), MG_FMT(r->group)) : r->kind},
      {"namespaces", "namespace", r->ns},
      {"names", "name", r->name},
      {"users", "user", r->user},
      {"roles", "role", mg_str_of(pod && pod->role ? mg_role_words[pod->role] : "")},
  };
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
    if (strcmp(facts[i].key, key) == 0) say_text(s->e->out, facts[i].what, facts[i].text);
  if (pod && strcmp(key, "accelerators") == 0)
    mg_buf_printf(s->e->out, "; %s", pod->has_accelerator     ? "it asks for accelerators"
                                     : pod->has_unknown_claim ? "a device claim cannot be resolved"
                                                              : "it asks for none");
}

static void say_position(struct mg_buf *out, mg_node n) {
  struct mg_pos pos;
  if (!n.at || !mg_pos(n, &pos) || !pos.file) return;
  mg_buf_printf(out, " (%s:%u:%u)", pos.file, pos.line, pos.column);
}

static mg_node spec_of(const struct mg_policy *policy) {
  return MG_GET(policy->at, "spec");
}

static void say_missed(struct subject *s, const struct mg_policy *policy, const char *key, const struct mg_pod *pod) {
  mg_node match = MG_GET(spec_of(policy), "match"), at = mg_get(match, mg_str_of(key));
  mg_buf_printf(s->e->out, "`%s` does not hold", key);
  say_position(s->e->out, at);
  say_what_is(s, key, pod);
}

/* The exclude block that takes the whole template out, or UINT32_MAX. */
static uint32_t excluded_by(const struct subject *s, const struct mg_policy *policy, struct mg_pod *pod) {
  const struct mg_context *context = mg_snapshot_context(s->e->snapshot);
  for (uint32_t i = 0; i < policy->exclude.count; i++) {
    const struct mg_match *m = &MG_LIST_AT(policy->exclude, struct mg_match, i);
    if (mg_match_object(m, MG_SENSE_EXCLUDE, s->request, context) && mg_match_template(m, MG_SENSE_EXCLUDE, pod) &&
        !mg_match_has_containers(m))
      return i;
  }
  return UINT32_MAX;
}

/* One template of an object that the policy is for. True: it applies. */
static bool template_reason(struct subject *s, const struct mg_policy *policy, struct mg_pod *pod, bool many) {
  struct mg_buf *out = s->e->out;
  const char *key = mg_match_missed(&policy->match, MG_SENSE_MATCH, s->request, mg_snapshot_context(s->e->snapshot), pod);
  uint32_t block = key ? UINT32_MAX : excluded_by(s, policy, pod);
  if (!key && block == UINT32_MAX) return true;
  mg_buf_lit(out, "      not to ");
  clean(out, many ? place_of(s->e, pod) : MG_S("its template"));
  mg_buf_lit(out, ": ");
  if (key) {
    say_missed(s, policy, key, pod);
  } else {
    mg_buf_printf(out, "exclude[%u] exempts it", block);
    say_position(out, mg_item(MG_GET(spec_of(policy), "exclude"), block));
  }
  mg_buf_byte(out, '\n');
  return false;
}

static void say_description(struct mg_buf *out, const struct mg_policy *policy) {
  mg_buf_lit(out, "      ");
  clean(out, policy->description);
  mg_buf_byte(out, '\n');
}

static void policy_words(struct subject *s, const struct mg_policy *policy) {
  struct mg_buf *out = s->e->out;
  const char *key = mg_match_missed(&policy->match, MG_SENSE_MATCH, s->request, mg_snapshot_context(s->e->snapshot), NULL);
  mg_buf_lit(out, "    ");
  clean(out, policy->name);
  mg_buf_printf(out, " (%s): ", mg_action_words[policy->action]);
  if (key) {
    mg_buf_lit(out, "does not apply: ");
    say_missed(s, policy, key, NULL);
    mg_buf_byte(out, '\n');
    return;
  }
  MG_BUF_AUTO reasons;
  struct subject inner = *s;
  struct explain e = *s->e;
  uint32_t applies = 0;
  mg_buf_init(&reasons, NULL, MG_EXPLAIN_MAX);
  e.out = &reasons;
  inner.e = &e;
  for (uint32_t i = 0; i < s->workload->pod_count; i++)
    applies += template_reason(&inner, policy, s->workload->pods[i], s->workload->pod_count > 1);
  const uint8_t result = s->results[policy->index];
  const bool alone = !applies && !s->workload->pod_count && result != MG_RESULT_NO_MATCH;
  if (alone)
    mg_buf_printf(out, "applies to the object: %s\n", mg_policy_result_words[result]);
  else if (!applies)
    mg_buf_lit(out, "does not apply\n");
  else
    mg_buf_printf(out, "applies to %u of %u template%s: %s\n", applies, s->workload->pod_count,
                  s->workload->pod_count == 1 ? "" : "s", mg_policy_result_words[result]);
  if ((alone || applies) && policy->description.n) say_description(out, policy);
  mg_buf_put(out, mg_buf_str(&reasons));
}

/* ---- files ---- */

static void header(struct explain *e, const struct mg_request *r, mg_str api_version, mg_node object) {
  struct mg_pos pos;
  clean(e->out, mg_str_of(e->file));
  if (mg_value_pos(object, &pos)) mg_buf_printf(e->out, ":%u:%u", pos.line, pos.column);
  mg_buf_lit(e->out, ": ");
  clean(e->out, r->kind);
  mg_buf_byte(e->out, ' ');
  if (r->ns.n) clean(e->out, r->ns), mg_buf_byte(e->out, '/');
  clean(e->out, r->name);
  mg_buf_lit(e->out, " (");
  clean(e->out, api_version);
  mg_buf_printf(e->out, "), %s\n", mg_operation_words[r->operation]);
}

static int explain_object(void *ctx, const struct mg_request *request, mg_str api_version, struct mg_err *err) {
  struct explain *e = ctx;
  const struct mg_snapshot *snapshot = e->snapshot;
  const struct mg_kind_row *row = mg_kind_find(mg_snapshot_kinds(snapshot), request->group, request->version, request->kind);
  struct mg_world world = {mg_snapshot_kinds(snapshot), mg_snapshot_accelerators(snapshot), mg_snapshot_context(snapshot),
                           request->as_written};
  mg_node object = request->object.at ? request->object : request->old_object;
  struct subject s = {.e = e, .request = request};
  struct mg_verdict verdict;
  header(e, request, api_version, object);
  int code = mg_workload_view(&world, e->arena, row, object, request->ns, &s.workload);
  if (code == MG_E_LIMIT) return mg_err_set(err, code, "the object has more than %d pod templates", MG_MOST_TEMPLATES);
  if (code < 0) return mg_err_set(err, code, "out of memory");
  mg_buf_printf(e->out, "  templates: %u\n", s.workload->pod_count);
  if (s.workload->malformed.n) mg_buf_lit(e->out, "    "), clean(e->out, s.workload->malformed), mg_buf_byte(e->out, '\n');
  for (uint32_t i = 0; i < s.workload->pod_count; i++) template_words(&s, s.workload->pods[i]);
  code = mg_evaluate(snapshot, request, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, e->now, e->arena, &verdict, err);
  if (code < 0) return code;
  s.results = verdict.policy_results;
  mg_buf_lit(e->out, "  policies\n");
  for (uint32_t i = 0; i < mg_snapshot_policy_count(snapshot); i++) policy_words(&s, mg_snapshot_policy(snapshot, i));
  mg_buf_printf(e->out, "  %s; %u edit%s\n", verdict.allowed ? "allowed" : "denied", verdict.patch.count,
                verdict.patch.count == 1 ? "" : "s");
  e->any = true;
  return 0;
}

static void skip_object(void *ctx, mg_node node) {
  struct explain *e = ctx;
  struct mg_pos pos;
  if (!node.at || !mg_value_pos(node, &pos)) return;
  clean(e->out, mg_str_of(e->file));
  mg_buf_printf(e->out, ":%u:%u: ", pos.line, pos.column);
  mg_str kind = mg_string(MG_GET(node, "kind")), version = mg_string(MG_GET(node, "apiVersion"));
  clean(e->out, kind.n ? kind : MG_S("an object without a kind"));
  if (version.n) mg_buf_lit(e->out, " ("), clean(e->out, version), mg_buf_byte(e->out, ')');
  mg_buf_lit(e->out, ": not a workload kind; it is allowed unseen\n");
  e->any = true;
}

static int object_error(void *ctx, mg_node at, const char *message) {
  struct explain *e = ctx;
  (void)at;
  fprintf(stderr, "%s: %s\n", e->file, message);
  return 0;
}

static bool explain_text(struct explain *e, const struct mg_request *usual, mg_str source) {
  struct mg_file_doc *docs = NULL;
  struct mg_err err = {0};
  struct mg_read how = mg_manifest_reading(e->file);
  struct mg_object_visitor visitor = {.kinds = mg_snapshot_kinds(e->snapshot), .usual = *usual, .ctx = e,
                                      .object = explain_object, .skipped = skip_object, .error = object_error};
  int code = mg_yaml_read(&docs, e->arena, source, &how, &err);
  if (code < 0) {
    fprintf(stderr, "%s:%u:%u: %s\n", e->file, err.line, err.column, err.text);
    return false;
  }
  for (; docs; docs = docs->next) {
    mg_node root = mg_root(&docs->doc);
    if (!root.at) continue;
    int done = mg_objects_visit(&visitor, root, e->arena, &err);
    if (done < 0) fprintf(stderr, "%s: %s\n", e->file, err.text);
    code = done < 0 ? done : code;
  }
  return code == 0;
}

bool mg_explain_file(struct mg_buf *out, const struct mg_snapshot *snapshot, const struct mg_request *usual, int64_t now,
                     const char *path) {
  struct mg_arena arena;
  struct explain e = {.out = out, .snapshot = snapshot, .file = path, .now = now, .arena = &arena};
  struct mg_err err = {0};
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_INPUT_MAX_BYTES + 1);
  mg_arena_init(&arena, MG_JUDGE_ARENA, 0);
  bool good = mg_input_read(path, &text, &err) == 0;
  if (!good) fprintf(stderr, "%s: %s\n", path, err.text);
  else good = explain_text(&e, usual, mg_buf_str(&text));
  if (good && !e.any) fprintf(stderr, "%s: nothing to explain\n", path);
  mg_arena_fini(&arena);
  return good && e.any;
}
