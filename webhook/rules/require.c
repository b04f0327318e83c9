/* require and forbid: one field, judged at every place that its path leads to. */
#include "base/utf8.h"
#include "doc/json.h"
#include "kube/walk.h"
#include "policy/policy.h"
#include "rules/rules.h"

enum { SHOWN = 64 }; /* bytes of a value in a message */

enum of { OBJECT, TEMPLATE, POD, CONTAINER };
static const char *const of_words[] = {"object", "template", "pod", "container", NULL};

struct params {
  bool forbid;
  struct mg_steps path;
  uint32_t of;
  mg_node equals; /* absent: not asked */
  struct mg_pattern *pattern;
  bool exists, asks_exists;
  struct mg_opt_quantity minimum, maximum;
  mg_str path_text, equals_text;
  mg_str wanted; /* "at least 1 and at most 8"; empty: presence or absence alone */
};

#define AT(member) offsetof(struct params, member)
static const struct mg_field fields[] = {
    {"path", &mg_t_steps, AT(path), .required = true,
     .doc = "The field, from what `of` names: keys between dots, [] or [*] for every item, {} for every value; a key with dots "
            "in quotes, metadata.labels[\"a.b/c\"]. A wild card over nothing leads nowhere."},
    {"of", &mg_t_enum, AT(of), of_words, .def = "object",
     .doc = "Where the path starts: object; template (spec of each pod template, and metadata where the kind has a place for "
            "them); pod (each pod spec); container (each container, init and ephemeral ones too)."},
    {"equals", &mg_t_node, AT(equals), .doc = "The value, of any type: numbers by value, all else by type and value."},
    {"pattern", &mg_t_pattern, AT(pattern), .doc = "Glob or /PCRE2/ on the text of a string, number or boolean."},
    {"exists", &mg_t_bool, AT(exists), .doc = "true: it is there; false: it is not. A null is not there."},
    {"minimum", &mg_t_quantity, AT(minimum), .doc = "The least number or quantity; a value that is none does not hold."},
    {"maximum", &mg_t_quantity, AT(maximum), .doc = "The largest number or quantity; a value that is none does not hold."},
    MG_FIELDS_END,
};
#undef AT

/* ---- what holds ---- */

enum holds { NO, YES, UNKNOWN }; /* UNKNOWN: a regex ran into its limits */

static bool is_scalar(mg_node n) {
  return mg_is(n, MG_STRING) || mg_is(n, MG_NUMBER) || mg_is(n, MG_BOOL);
}

static bool is_within(const struct params *p, mg_node n) {
  struct mg_quantity q;
  if (!p->minimum.set && !p->maximum.set) return true;
  if (mg_quantity_read(n, &q, NULL)) return false;
  return (!p->minimum.set || mg_quantity_cmp(q, p->minimum.q) >= 0) && (!p->maximum.set || mg_quantity_cmp(q, p->maximum.q) <= 0);
}

static enum holds holds(const struct params *p, mg_node n, bool set) {
  if (p->asks_exists && set != p->exists) return NO;
  if (p->asks_exists && !set) return YES;
  if (!set || !is_within(p, n) || (p->equals.at && !mg_equal(n, p->equals))) return NO;
  if (!p->pattern) return YES;
  if (!is_scalar(n)) return NO;
  int match = mg_pattern_match(p->pattern, mg_text(n));
  return match < 0 ? UNKNOWN : match ? YES : NO;
}

/* ---- loading ---- */

static void want(struct mg_buf *buf, const char *before, mg_str text) {
  mg_buf_printf(buf, "%s%s%.*s", buf->n ? " and " : "", before, MG_FMT(text));
}

static mg_str wanted_text(struct mg_arena *arena, const struct params *p, mg_node at) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, SIZE_MAX);
  if (p->equals.at) want(&buf, "", p->equals_text);
  if (p->pattern) want(&buf, "a match of ", mg_pattern_text(p->pattern));
  if (p->minimum.set) want(&buf, "at least ", mg_text(MG_GET(at, "minimum")));
  if (p->maximum.set) want(&buf, "at most ", mg_text(MG_GET(at, "maximum")));
  return mg_buf_str(&buf);
}

/* A template has nothing but these two, and what lies in its spec has neither. */
static void check_start(struct mg_load *load, mg_node path, const struct params *p) {
  static const char *const starts[] = {[POD] = "a pod spec", [CONTAINER] = "a container"};
  mg_str first = p->path.count ? p->path.steps[0].key : MG_S("");
  bool outer = mg_str_is(first, "spec") || mg_str_is(first, "metadata");
  if (!p->path.count)
    mg_diag_error(load->diags, path, MG_AT_VALUE, "\"path\" names no field");
  else if (p->of == TEMPLATE && !outer)
    mg_diag_error(load->diags, path, MG_AT_VALUE, "the path of a template starts with \"metadata\" or \"spec\"");
  else if (p->of > TEMPLATE && outer)
    mg_diag_error(load->diags, path, MG_AT_VALUE, "with \"of: %s\" the path starts in %s, which has no \"%.*s\"", of_words[p->of],
                  starts[p->of], MG_FMT(first));
}

static void check_operators(struct mg_load *load, mg_node at, const struct params *p) {
  mg_node equals = MG_GET(at, "equals"), maximum = MG_GET(at, "maximum");
  const bool others = equals.at || p->pattern || p->minimum.set || p->maximum.set;
  if (equals.at && mg_missing(equals))
    mg_diag_error(load->diags, equals, MG_AT_VALUE, "a null is absence: write \"exists: false\"");
  else if (p->asks_exists && !p->exists && others)
    mg_diag_error(load->diags, MG_GET(at, "exists"), MG_AT_KEY, "\"exists: false\" and a value can never both hold");
  else if (p->minimum.set && p->maximum.set && mg_quantity_cmp(p->minimum.q, p->maximum.q) > 0)
    mg_diag_error(load->diags, maximum, MG_AT_VALUE, "\"maximum\" is below \"minimum\"");
  else if (equals.at && holds(p, equals, true) == NO)
    mg_diag_error(load->diags, equals, MG_AT_VALUE, "\"equals\" and the other operators can never all hold");
}

static bool compile(struct mg_load *load, mg_node at, struct params *p) {
  const uint32_t before = load->diags->error_count;
  mg_node path = MG_GET(at, "path");
  p->asks_exists = mg_get_key(at, MG_S("exists")).at != 0;
  p->path_text = mg_text(path);
  p->equals_text = p->equals.at ? mg_json_text(load->arena, p->equals) : (mg_str){0};
  p->wanted = wanted_text(load->arena, p, at);
  check_start(load, path, p);
  check_operators(load, at, p);
  return load->diags->error_count == before;
}

static bool compile_require(struct mg_load *load, mg_node at, void *params) {
  return compile(load, at, params);
}

static bool compile_forbid(struct mg_load *load, mg_node at, void *params) {
  ((struct params *)params)->forbid = true;
  return compile(load, at, params);
}

/* ---- judging ---- */

/* A value that list items without a name have had already. */
struct told {
  struct told *next;
  mg_str id, value;
  uint32_t times;
};
#define TOLD_MAX 64 /* of them, so that a hostile list stays cheap; items behind are told apart by number */

struct work {
  struct mg_run *run;
  const struct params *p;
  struct mg_pod *pod; /* NULL: the object */
  struct mg_container *container;
  struct told *told;
  uint32_t told_count;
};

static struct mg_where where_of(const struct mg_walked *place) {
  struct mg_where where = {.node = place->node};
  for (uint32_t i = 0; i < place->missing_count && i < MG_WHERE_KEYS; i++) where.more[i] = place->missing[i].key;
  return where;
}

/* How far out of bounds, where that is all that is wrong; else the value itself. */
static struct mg_measure measure_of(const struct work *work, const struct mg_walked *place, bool set) {
  const struct params *p = work->p;
  struct mg_quantity q;
  struct params rest = *p;
  rest.minimum.set = rest.maximum.set = false;
  if (!set) return (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = MG_S("")};
  if (p->minimum.set != p->maximum.set && !mg_quantity_read(place->node, &q, NULL) && holds(&rest, place->node, true) == YES)
    return (struct mg_measure){.kind = p->minimum.set == p->forbid ? MG_MEASURE_MORE_IS_WORSE : MG_MEASURE_LESS_IS_WORSE,
                               .amount = q.nano};
  return (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = mg_json_text(mg_run_arena(work->run), place->node)};
}

/* How often the value has been there before; UINT32_MAX: nobody knows. */
static uint32_t times_told(struct work *work, mg_str id, mg_str value) {
  struct told *t = work->told;
  while (t && !(mg_str_eq(t->id, id) && mg_str_eq(t->value, value))) t = t->next;
  if (t) return t->times++;
  if (work->told_count == TOLD_MAX || !(t = MG_NEW(mg_run_arena(work->run), struct told))) return UINT32_MAX;
  *t = (struct told){.next = work->told, .id = id, .value = value, .times = 1};
  work->told = t;
  work->told_count++;
  return 0;
}

/* An item without a name is known by its value, since an update that takes out the one before it moves it; of two alike, each
 * counts. */
static mg_str subject_of(struct work *work, const struct mg_walked *place, const struct mg_measure *measure) {
  struct mg_arena *arena = mg_run_arena(work->run);
  mg_str path = work->p->path_text, id = mg_walked_id(arena, place, NULL), alike = mg_walked_id(arena, place, "-");
  if (!id.n) return path;
  const bool counts = measure->kind == MG_MEASURE_TEXT && !mg_str_eq(id, alike);
  const uint32_t times = counts ? times_told(work, alike, measure->text) : 0;
  if (times != UINT32_MAX) id = times ? mg_arena_printf(arena, "%.*s, %u", MG_FMT(alike), times) : alike;
  return mg_arena_printf(arena, "%.*s%.*s", MG_FMT(path), MG_FMT(id));
}

static mg_str value_text(struct mg_arena *arena, mg_node n) {
  mg_str text = mg_text(n);
  if (mg_is(n, MG_OBJECT)) return MG_S("an object");
  if (mg_is(n, MG_ARRAY)) return MG_S("a list");
  mg_str first = mg_utf8_first(text, SHOWN);
  const char *quote = mg_is(n, MG_STRING) ? "\"" : "";
  return mg_arena_printf(arena, "%s%.*s%s%s", quote, MG_FMT(first), first.n < text.n ? "…" : "", quote);
}

static mg_str fix_text(struct mg_arena *arena, const struct params *p, bool set) {
  const bool absent = p->asks_exists ? p->exists == p->forbid : p->forbid && !p->wanted.n;
  if (absent) return set ? mg_arena_printf(arena, "remove %.*s", MG_FMT(p->path_text)) : (mg_str){0};
  if (!p->forbid && p->equals.at) return mg_arena_printf(arena, "%.*s: %.*s", MG_FMT(p->path_text), MG_FMT(p->equals_text));
  return (mg_str){0};
}

static void report(const struct work *work, const struct mg_finding *finding, const struct mg_walked *place, bool set) {
  const struct params *p = work->p;
  struct mg_arena *arena = mg_run_arena(work->run);
  mg_str who = {0}, value = {0}, wanted = p->wanted;
  if (mg_run_explains(work->run)) {
    if (work->container && work->container->name.n)
      who = mg_arena_printf(arena, "container \"%.*s\": ", MG_FMT(work->container->name));
    value = set ? mg_arena_printf(arena, "is %.*s", MG_FMT(value_text(arena, place->node))) : MG_S("is not set");
  }
  if (p->asks_exists && !p->exists) wanted = MG_S("its absence");
  else if (!wanted.n) wanted = MG_S("it");
  mg_run_violation(work->run, finding, "%.*s%.*s %.*s, the policy %s %.*s", MG_FMT(who), MG_FMT(p->path_text), MG_FMT(value),
                   p->forbid ? "forbids" : "requires", MG_FMT(wanted));
}

static void judge_place(void *context, const struct mg_walked *place) {
  struct work *work = context;
  const struct params *p = work->p;
  const bool set = mg_walked_is_set(place);
  const enum holds held = holds(p, place->node, set);
  if (p->forbid ? held == NO : held == YES) return;
  struct mg_finding finding = {
      .pod = work->pod,
      .container = work->container,
      .where = where_of(place),
      .measure = measure_of(work, place, set),
  };
  finding.subject = subject_of(work, place, &finding.measure);
  if (mg_run_explains(work->run)) finding.fix = fix_text(mg_run_arena(work->run), p, set);
  report(work, &finding, place, set);
}

static struct mg_steps joined(struct mg_arena *arena, struct mg_steps first, struct mg_steps second) {
  struct mg_step *steps = MG_NEW_N(arena, struct mg_step, first.count + second.count);
  if (!steps) return (struct mg_steps){0};
  memcpy(steps, first.steps, first.count * sizeof *steps);
  memcpy(steps + first.count, second.steps, second.count * sizeof *steps);
  return (struct mg_steps){steps, first.count + second.count, true};
}

/* A bare pod spec is the spec of a template. Metadata that are not there have nothing; where the kind has no place for them
 * nothing is asked of them. */
static void judge_template(struct work *work) {
  struct mg_steps path = work->p->path, rest = {path.steps + 1, path.count - 1, true}, missing;
  const struct mg_pod *pod = work->pod;
  if (mg_str_is(path.steps[0].key, "spec")) {
    mg_walk(rest, pod->spec, judge_place, work);
    return;
  }
  mg_node metadata = mg_pod_metadata(pod, &missing);
  if (missing.count) rest = joined(mg_run_arena(work->run), missing, rest);
  if (rest.set) mg_walk(rest, metadata, judge_place, work);
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  struct work work = {.run = run, .p = p, .pod = pod};
  if (p->of == TEMPLATE && mg_run_sees_template(run)) judge_template(&work);
  if (p->of == POD && mg_run_sees_template(run)) mg_walk(p->path, pod->spec, judge_place, &work);
  for (uint32_t i = 0; p->of == CONTAINER && i < pod->container_count; i++) {
    work = (struct work){.run = run, .p = p, .pod = pod, .container = &pod->containers[i]};
    if (mg_run_sees(run, work.container)) mg_walk(p->path, work.container->node, judge_place, &work);
  }
}

static void judge_workload(struct mg_run *run, const void *params, const struct mg_workload *workload) {
  const struct params *p = params;
  struct work work = {.run = run, .p = p};
  if (p->of == OBJECT) mg_walk(p->path, workload->object, judge_place, &work);
}

const struct mg_rule_type mg_rule_require = {
    .name = "require",
    .doc = "A field must be there, or hold a value: every operator that is given must hold at every place that the path leads "
           "to. Without one the field must be there.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile_require,
    .judge = judge,
    .judge_workload = judge_workload,
};

const struct mg_rule_type mg_rule_forbid = {
    .name = "forbid",
    .doc = "A field must not be there, or not hold a value: a violation where every operator that is given holds. Without one "
           "the field must not be there.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile_forbid,
    .judge = judge,
    .judge_workload = judge_workload,
};
