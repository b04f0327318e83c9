/* Two verdicts of one request, compared by what the API server's user and the audit log are told. */
#include <stdlib.h>

#include "admit/admit.h"
#include "app/replay.h"
#include "base/utf8.h"

/* A finding, or a warning that is no finding. */
struct mark {
  uint64_t hash;
  const struct mg_violation *violation;
  mg_str warning;
  bool gone;
};

struct marks {
  struct mark *items;
  size_t count;
};

void mg_replay_init(struct mg_replay *replay, bool two, uint32_t examples) {
  *replay = (struct mg_replay){.two = two, .examples = examples};
  mg_arena_init(&replay->arena, MG_REPLAY_ARENA, 0);
  for (size_t g = 0; g < MG_GROUPS; g++) {
    replay->groups[g].examples_end = &replay->groups[g].examples;
    for (size_t i = 0; i < MG_OF_COUNT; i++) replay->groups[g].tallies[i].arena = &replay->arena;
  }
}

void mg_replay_fini(struct mg_replay *replay) {
  mg_arena_fini(&replay->arena);
}

void mg_replay_error(struct mg_replay *replay, const char *file, uint32_t line, const char *message) {
  uint64_t n = replay->totals[0].errors++;
  if (n < MG_REPLAY_ERRORS)
    replay->errors[n] = (struct mg_report_error){file, line, line ? 1 : 0, mg_arena_dup(&replay->arena, mg_str_of(message))};
}

/* ---- what one verdict says ---- */

#define BIT(outcome) (1u << (outcome))

static uint64_t hash_of(const struct mg_violation *v) {
  uint64_t h = mg_str_hash(MG_HASH, v->policy->name);
  h = mg_str_hash(h, v->rule->name);
  h = mg_str_hash(h, v->template_id);
  h = mg_str_hash(h, v->container);
  h = mg_str_hash(h, v->subject);
  return mg_str_hash(h, v->message) ^ v->outcome;
}

static int by_hash(const void *a, const void *b) {
  const struct mark *x = a, *y = b;
  return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* The findings with one of these outcomes; with warnings, what else is warned of. */
static bool gather(struct marks *ret, const struct mg_verdict *verdict, unsigned outcomes, struct mg_arena *arena) {
  size_t n = 0;
  *ret = (struct marks){0};
  if (!verdict) return true;
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) n += (outcomes & BIT(v->outcome)) != 0;
  for (const struct mg_warning *w = verdict->warnings; w && (outcomes & BIT(MG_OUT_WARN)); w = w->next) n++;
  if (!n) return true;
  ret->items = MG_NEW_N(arena, struct mark, n);
  if (!ret->items) return false;
  for (const struct mg_violation *v = verdict->violations; v; v = v->next)
    if (outcomes & BIT(v->outcome)) ret->items[ret->count++] = (struct mark){.hash = hash_of(v), .violation = v};
  for (const struct mg_warning *w = verdict->warnings; w && (outcomes & BIT(MG_OUT_WARN)); w = w->next)
    ret->items[ret->count++] = (struct mark){.hash = mg_str_hash(MG_HASH, w->text), .warning = w->text};
  qsort(ret->items, ret->count, sizeof *ret->items, by_hash);
  return true;
}

static void gone(struct marks *marks) {
  for (size_t i = 0; i < marks->count; i++) marks->items[i].gone = true;
}

/* What one of them says and the other does not. */
static bool differ(struct marks *ret, struct marks before, struct marks after, struct mg_arena *arena) {
  size_t b = 0, a = 0;
  *ret = (struct marks){.items = MG_NEW_N(arena, struct mark, before.count + after.count + 1)};
  if (!ret->items) return false;
  gone(&before);
  while (b < before.count || a < after.count) {
    int order = b == before.count ? 1 : a == after.count ? -1 : by_hash(&before.items[b], &after.items[a]);
    if (order < 0) ret->items[ret->count++] = before.items[b++];
    else if (order > 0) ret->items[ret->count++] = after.items[a++];
    else b++, a++;
  }
  return true;
}

/* ---- into a group ---- */

static mg_str policy_of(const struct mark *mark) {
  return mark->violation ? mark->violation->policy->name : (mg_str){0};
}

static int by_policy(const void *a, const void *b) {
  const struct mark *x = a, *y = b;
  int order = mg_str_cmp(policy_of(x), policy_of(y));
  return order ? order : x->gone != y->gone ? (x->gone ? -1 : 1) : by_hash(x, y);
}

/* Each policy once, however much it says. True: wanted as an example. Patches, which no policy is named for, have one of each
 * kind. */
static bool count_request(struct mg_replay *replay, struct mg_replay_group *group, const struct mg_request *r,
                          const struct marks *marks) {
  bool wanted = ++group->requests <= replay->examples;
  for (size_t i = 0; i < marks->count; i++) {
    mg_str name = policy_of(&marks->items[i]);
    if (!name.n || (i && mg_str_eq(name, policy_of(&marks->items[i - 1])))) continue;
    uint64_t n = mg_tally_add(&group->tallies[MG_OF_POLICIES], name);
    wanted |= n && n <= replay->examples;
  }
  (void)mg_tally_add(&group->tallies[MG_OF_NAMESPACES], r->ns);
  uint64_t n = mg_tally_add(&group->tallies[MG_OF_KINDS], r->kind);
  wanted |= replay->two && replay->examples && !marks->count && n == 1;
  return wanted && group->example_count < MG_REPLAY_EXAMPLES;
}

static mg_str shortened(struct mg_arena *arena, mg_str text, size_t most) {
  if (text.n <= most) return mg_arena_dup(arena, text);
  mg_str first = mg_utf8_first(text, most);
  return mg_arena_printf(arena, "%.*s\u2026", MG_FMT(first));
}

static mg_str line_of(const struct mark *mark, struct mg_arena *arena) {
  struct mg_buf out;
  if (!mark->violation) return mark->warning;
  mg_buf_init(&out, arena, (size_t)1 << 20);
  mg_violation_line(&out, mark->violation);
  return mg_buf_str(&out);
}

static void add_example(struct mg_replay *replay, struct mg_replay_group *group, const struct mg_replay_judged *j,
                        const struct marks *marks, struct mg_arena *arena) {
  const struct mg_request *r = &j->recorded->request;
  struct mg_arena *keep = &replay->arena;
  struct mg_replay_example *e = MG_NEW(keep, struct mg_replay_example);
  if (!e) return;
  *e = (struct mg_replay_example){.file = j->file,
                                  .line = j->line,
                                  .operation = mg_str_of(mg_operation_words[r->operation]),
                                  .kind = shortened(keep, r->kind, MG_TALLY_NAME_MAX),
                                  .ns = shortened(keep, r->ns, MG_TALLY_NAME_MAX),
                                  .name = shortened(keep, r->name, MG_TALLY_NAME_MAX),
                                  .user = shortened(keep, r->user, MG_TALLY_NAME_MAX)};
  for (size_t i = 0; i < marks->count && i < MG_REPLAY_LINES; i++)
    e->lines[e->line_count++] =
      (struct mg_replay_line){marks->items[i].gone, shortened(keep, line_of(&marks->items[i], arena), MG_REPLAY_LINE)};
  e->more = (uint32_t)(marks->count - e->line_count);
  *group->examples_end = e;
  group->examples_end = &e->next;
  group->example_count++;
}

static void enter(struct mg_replay *replay, unsigned which, const struct mg_replay_judged *j, struct marks *marks,
                  const mg_str *patches, struct mg_arena *arena) {
  struct mg_replay_group *group = &replay->groups[which];
  if (marks->count) qsort(marks->items, marks->count, sizeof *marks->items, by_policy);
  if (!count_request(replay, group, &j->recorded->request, marks)) return;
  struct mg_replay_example **end = group->examples_end;
  add_example(replay, group, j, marks, arena);
  for (int i = 0; patches && *end && i < 2; i++)
    if (patches[i].n && patches[i].n <= MG_REPLAY_PATCH) (*end)->patches[i] = mg_arena_dup(&replay->arena, patches[i]);
}

/* ---- requests ---- */

static mg_str patch_of(const struct mg_verdict *verdict, struct mg_arena *arena) {
  struct mg_buf out;
  if (!verdict || !verdict->patch.count) return (mg_str){0};
  mg_buf_init(&out, arena, SIZE_MAX);
  mg_patch_write(&out, &verdict->patch);
  return mg_buf_str(&out);
}

static void count_totals(struct mg_report_totals *t, const struct mg_verdict *verdict) {
  t->objects++;
  t->mutated += verdict->patch.count > 0;
  for (size_t i = 0; i <= MG_OUT_EXEMPTED; i++)
    if (verdict->counts[i]) {
      t->outcomes[i]++;
      break;
    }
}

static void count_recorded(struct mg_replay *replay, const struct mg_recorded *r) {
  replay->reviews += !r->event;
  replay->events += r->event;
  replay->dry_runs += r->request.dry_run;
  replay->refused += r->refused;
  replay->no_old += r->no_old;
  replay->as_stored += r->as_stored;
}

static bool add_one(struct mg_replay *replay, const struct mg_replay_judged *j, struct mg_arena *arena) {
  for (unsigned outcome = MG_OUT_DENY; outcome <= MG_OUT_EXEMPTED; outcome++) {
    struct marks marks;
    if (!gather(&marks, j->verdicts[0], BIT(outcome), arena)) return false;
    if (marks.count) enter(replay, outcome, j, &marks, NULL, arena);
  }
  const mg_str patches[2] = {patch_of(j->verdicts[0], arena)};
  if (patches[0].n) enter(replay, MG_GROUP_PATCHES, j, &(struct marks){0}, patches, arena);
  return true;
}

static bool add_two(struct mg_replay *replay, const struct mg_replay_judged *j, struct mg_arena *arena) {
  static const struct {
    unsigned group, outcomes;
  } kinds[] = {{MG_GROUP_OTHER_DENIALS, BIT(MG_OUT_DENY)},
               {MG_GROUP_OTHER_WARNINGS, BIT(MG_OUT_WARN)},
               {MG_GROUP_OTHER_AUDITS, BIT(MG_OUT_AUDIT) | BIT(MG_OUT_EXEMPTED)}};
  bool was = j->verdicts[0]->allowed, is = j->verdicts[1]->allowed, same = true;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    struct marks before, after, other;
    unsigned group = kinds[i].group;
    if (!gather(&before, j->verdicts[0], kinds[i].outcomes, arena) || !gather(&after, j->verdicts[1], kinds[i].outcomes, arena) ||
        !differ(&other, before, after, arena))
      return false;
    if (group == MG_GROUP_OTHER_DENIALS && was != is) group = was ? MG_GROUP_NEWLY_DENIED : MG_GROUP_NEWLY_ALLOWED;
    same &= !other.count;
    if (other.count) enter(replay, group, j, &other, NULL, arena);
  }
  const mg_str patches[2] = {patch_of(j->verdicts[0], arena), patch_of(j->verdicts[1], arena)};
  bool other_patch = !mg_str_eq(patches[0], patches[1]);
  if (other_patch) enter(replay, MG_GROUP_OTHER_PATCHES, j, &(struct marks){0}, patches, arena);
  replay->unchanged += same && !other_patch;
  return true;
}

int mg_replay_add(struct mg_replay *replay, const struct mg_replay_judged *j, struct mg_arena *arena, struct mg_err *err) {
  count_recorded(replay, j->recorded);
  for (int i = 0; i < 2; i++)
    if (j->verdicts[i]) count_totals(&replay->totals[i], j->verdicts[i]);
  bool good = j->verdicts[1] ? add_two(replay, j, arena) : add_one(replay, j, arena);
  return good && !arena->failed && !replay->arena.failed ? 0 : mg_err_nomem(err);
}
