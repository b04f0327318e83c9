/* What a case expects beside what came of it. */
#include <unistd.h>

#include "admit/admit.h"
#include "app/cases.h"
#include "base/diff.h"
#include "doc/patch.h"
#include "doc/yaml_write.h"
#include "kube/pattern.h"

static void add_problem(struct mg_case_work *work, struct mg_case_problem *problem, struct mg_buf *text) {
  struct mg_case_problem *p = MG_NEW(work->keep, struct mg_case_problem);
  if (!p || text->failed) {
    work->keep->failed = true;
    return;
  }
  while (text->n && text->p[text->n - 1] == '\n') text->n--;
  *p = *problem;
  p->text = mg_arena_dup(work->keep, mg_buf_str(text));
  p->expected = mg_arena_dup(work->keep, problem->expected);
  p->actual = mg_arena_dup(work->keep, problem->actual);
  *work->result->problems_end = p;
  work->result->problems_end = &p->next;
  work->result->state = MG_CASE_FAILED;
}

static mg_str rule_of(struct mg_case_work *work, const struct mg_violation *v) {
  return mg_arena_printf(work->arena, "%.*s/%.*s", MG_FMT(v->policy->name), MG_FMT(v->rule->name));
}

/* "policy/rule: deny at pods/x.yaml:3:5: path: text" */
static void violation_line(struct mg_buf *out, const struct mg_violation *v) {
  struct mg_pos pos = {0};
  mg_buf_clean(out, v->policy->name);
  mg_buf_byte(out, '/');
  mg_buf_clean(out, v->rule->name);
  mg_buf_printf(out, ": %s", mg_outcome_words[v->outcome]);
  if (mg_pos(v->where.node, &pos) && pos.file) {
    mg_buf_lit(out, " at ");
    mg_buf_clean(out, mg_str_of(pos.file));
    mg_buf_printf(out, ":%u:%u", pos.line, pos.column);
  }
  mg_buf_lit(out, ": ");
  mg_str path = mg_violation_path(v);
  mg_buf_clean(out, path);
  if (path.n) mg_buf_lit(out, ": ");
  mg_buf_clean(out, v->message);
  mg_buf_byte(out, '\n');
}

/* ---- allowed ---- */

static void compare_allowed(struct mg_case_work *work, const struct mg_verdict *verdict) {
  static const mg_str words[] = {{"false", 5}, {"true", 4}};
  bool expected = work->result->c->expect.allowed;
  if (expected == verdict->allowed) return;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_CASE_TEXT);
  mg_buf_printf(&text, "allowed: expected %s, got %s\n", words[expected].p, words[!expected].p);
  for (const struct mg_violation *v = verdict->violations; v; v = v->next)
    if (v->outcome == MG_OUT_DENY) mg_buf_lit(&text, "    "), violation_line(&text, v);
  add_problem(work, &(struct mg_case_problem){.key = "allowed", .expected = words[expected], .actual = words[!expected]}, &text);
}

/* ---- violations ---- */

static bool is_in(mg_str s, const mg_str *list, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (mg_str_eq(list[i], s)) return true;
  return false;
}

static mg_str json_list(struct mg_case_work *work, const mg_str *items, uint32_t count) {
  struct mg_buf out;
  mg_buf_init(&out, work->arena, MG_CASE_TEXT);
  mg_buf_byte(&out, '[');
  for (uint32_t i = 0; i < count; i++) {
    if (i) mg_buf_lit(&out, ", ");
    mg_buf_json(&out, items[i]);
  }
  mg_buf_byte(&out, ']');
  return mg_buf_str(&out);
}

/* POLICY/RULE of all that are not exempted, each once, in their order. */
static void gather_violations(struct mg_case_work *work, const struct mg_verdict *verdict) {
  uint32_t most = 0, n = 0;
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) most++;
  mg_str *list = MG_NEW_N(work->arena, mg_str, most + 1);
  const struct mg_rule *last = NULL;
  for (const struct mg_violation *v = verdict->violations; v && list; v = v->next) {
    if (v->outcome == MG_OUT_EXEMPTED || v->rule == last) continue;
    mg_str rule = rule_of(work, v);
    last = v->rule;
    if (!is_in(rule, list, n)) list[n++] = rule;
  }
  work->actual.violations = list;
  work->actual.violation_count = list ? n : 0;
}

static void compare_violations(struct mg_case_work *work, const struct mg_verdict *verdict) {
  const struct mg_case_actual *actual = &work->actual;
  struct mg_list wanted = work->result->c->expect.violations;
  const mg_str *expected = wanted.items;
  bool same = true;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_CASE_TEXT);
  mg_buf_lit(&text, "violations: - expected only, + found only\n");
  for (uint32_t i = 0; i < wanted.count; i++) {
    bool found = is_in(expected[i], actual->violations, actual->violation_count);
    same &= found;
    mg_buf_printf(&text, "  %c ", found ? ' ' : '-');
    mg_buf_clean(&text, expected[i]);
    mg_buf_byte(&text, '\n');
  }
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) {
    if (v->outcome == MG_OUT_EXEMPTED || is_in(rule_of(work, v), expected, wanted.count)) continue;
    same = false;
    mg_buf_lit(&text, "  + ");
    violation_line(&text, v);
  }
  if (same) return;
  add_problem(work, &(struct mg_case_problem){.key = "violations", .expected = json_list(work, expected, wanted.count),
                                              .actual = json_list(work, actual->violations, actual->violation_count)}, &text);
}

/* ---- message ---- */

struct saying {
  const struct mg_pattern *pattern;
  struct mg_buf all; /* JSON, of everything that was said */
  struct mg_buf text;
  bool matched;
  uint32_t count;
};

static void say(struct saying *s, mg_str what) {
  if (mg_pattern_match(s->pattern, what) > 0) s->matched = true;
}

static void tell(struct saying *s, mg_str what) {
  mg_buf_lit(&s->text, "    ");
  mg_buf_clean(&s->text, what);
  mg_buf_byte(&s->text, '\n');
  if (s->count++) mg_buf_lit(&s->all, ", ");
  mg_buf_json(&s->all, what);
}

/* The text of each violation, alone and as a line of the denial, each warning, and the denial as a whole. */
static void hear(struct mg_case_work *work, const struct mg_verdict *verdict, struct saying *s) {
  struct mg_buf denial;
  mg_buf_init(&denial, work->arena, MG_CASE_TEXT);
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) {
    struct mg_buf line;
    if (v->outcome == MG_OUT_EXEMPTED) continue;
    mg_buf_init(&line, work->arena, MG_CASE_TEXT);
    mg_violation_line(&line, v);
    say(s, v->message);
    say(s, mg_buf_str(&line));
    tell(s, mg_buf_str(&line));
    if (v->outcome != MG_OUT_DENY) continue;
    if (denial.n) mg_buf_byte(&denial, '\n');
    mg_buf_put(&denial, mg_buf_str(&line));
  }
  if (denial.n) say(s, mg_buf_str(&denial));
  for (const struct mg_warning *w = verdict->warnings; w; w = w->next) {
    say(s, w->text);
    tell(s, w->text);
  }
}

static void compare_message(struct mg_case_work *work, const struct mg_verdict *verdict) {
  mg_str glob = mg_pattern_text(work->result->c->expect.message);
  struct saying s = {.pattern = work->result->c->expect.message};
  mg_buf_init(&s.all, work->arena, MG_CASE_TEXT);
  mg_buf_init(&s.text, work->arena, MG_CASE_TEXT);
  mg_buf_byte(&s.all, '[');
  hear(work, verdict, &s);
  mg_buf_byte(&s.all, ']');
  if (s.matched) return;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_CASE_TEXT);
  mg_buf_lit(&text, "message: nothing that is said matches \"");
  mg_buf_clean(&text, glob);
  mg_buf_printf(&text, "\"; %s\n", s.count ? "it says" : "it says nothing");
  mg_buf_put(&text, mg_buf_str(&s.text));
  struct mg_buf json;
  mg_buf_init(&json, work->arena, MG_CASE_TEXT);
  mg_buf_json(&json, glob);
  add_problem(work, &(struct mg_case_problem){.key = "message", .expected = mg_buf_str(&json), .actual = mg_buf_str(&s.all)},
              &text);
}

/* ---- patched ---- */

/* A copy of `from` with its keys in the order of `like`, so that a diff shows only what is different. */
static mg_node in_order(struct mg_doc *doc, mg_node from, mg_node like) {
  if (!mg_is(from, mg_kind_of(like)) || !mg_is(from, MG_OBJECT)) {
    if (!mg_is(from, MG_ARRAY)) return mg_make_copy(doc, from);
    mg_node ret = mg_make(doc, MG_ARRAY);
    for (mg_node a = mg_first(from), b = mg_first(like); a.at; a = mg_next(a), b = mg_next(b)) mg_push(ret, in_order(doc, a, b));
    return ret;
  }
  mg_node ret = mg_make(doc, MG_OBJECT);
  for (mg_node key = mg_first(like); key.at; key = mg_next(key)) {
    mg_node value = mg_get(from, mg_text(key));
    if (value.at) mg_put(ret, mg_text(key), in_order(doc, value, mg_value(key)));
  }
  for (mg_node key = mg_first(from); key.at; key = mg_next(key))
    if (!mg_get_key(like, mg_text(key)).at) mg_put(ret, mg_text(key), mg_make_copy(doc, mg_value(key)));
  return ret;
}

static void patched_diff(struct mg_case_work *work, mg_node expected, struct mg_buf *text) {
  struct mg_doc doc;
  struct mg_buf before, after, lines;
  mg_buf_init(&before, work->arena, MG_CASE_TEXT);
  mg_buf_init(&after, work->arena, MG_CASE_TEXT);
  mg_buf_init(&lines, work->arena, MG_CASE_TEXT);
  if (mg_doc_init(&doc, work->arena, (mg_str){0}, NULL, 256) < 0) return;
  mg_yaml_write(&before, in_order(&doc, expected, work->actual.object));
  mg_yaml_write(&after, work->actual.object);
  mg_diff(&lines, mg_buf_str(&before), mg_buf_str(&after));
  for (mg_str rest = mg_buf_str(&lines); rest.n;) {
    mg_buf_lit(text, "    ");
    mg_buf_clean(text, mg_str_cut(&rest, '\n'));
    mg_buf_byte(text, '\n');
  }
}

static void patched_problem(struct mg_case_work *work, mg_node expected, const char *what, mg_str name) {
  mg_str null = MG_S("null"), actual = work->actual.patched ? mg_json_text(work->arena, work->actual.object) : null;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, MG_CASE_TEXT);
  mg_buf_printf(&text, "patched: %s\n", what);
  if (work->actual.object.at && expected.at) {
    mg_buf_lit(&text, "    --- ");
    mg_buf_clean(&text, name);
    mg_buf_printf(&text, "\n    +++ %s\n", work->actual.patched ? "the object after the patch" : "the object, without a patch");
    patched_diff(work, expected, &text);
  }
  bool none = !expected.at || mg_is(work->result->c->expect.patched, MG_NULL);
  mg_str wanted = none ? null : mg_json_text(work->arena, expected);
  add_problem(work, &(struct mg_case_problem){.key = "patched", .expected = wanted, .actual = actual}, &text);
}

/* `before` is the object as it was, which the patch has not touched. */
static void compare_patched(struct mg_case_work *work, mg_node before) {
  mg_node expected = work->result->c->expect.patched;
  bool file = mg_is(expected, MG_STRING);
  if (mg_is(expected, MG_NULL)) {
    if (work->actual.patched) patched_problem(work, before, "expected no patch, and there is one", MG_S("the object"));
    return;
  }
  mg_str name = file ? mg_case_path(work->arena, work->result->test->file, mg_text(expected)) : MG_S("expected");
  if (file && work->update && access(name.p, F_OK) != 0) {
    patched_problem(work, (mg_node){0}, "the file is not there", name);
    return;
  }
  if (file) expected = mg_case_document(work, mg_text(expected));
  if (!expected.at) return;
  if (work->actual.object.at && mg_equal(work->actual.object, expected)) return;
  const char *what = work->actual.patched ? "another object than expected" : "expected a patch, and there is none";
  patched_problem(work, expected, what, name);
}

void mg_case_compare(struct mg_case_work *work, mg_node before, const struct mg_verdict *verdict) {
  const struct mg_case *c = work->result->c;
  work->actual.allowed = verdict->allowed;
  work->actual.patched = verdict->patch.count > 0;
  gather_violations(work, verdict);
  if (mg_case_expects(c, MG_S("allowed")).at) compare_allowed(work, verdict);
  if (mg_case_expects(c, MG_S("violations")).at) compare_violations(work, verdict);
  if (mg_case_expects(c, MG_S("message")).at) compare_message(work, verdict);
  if (mg_case_expects(c, MG_S("patched")).at) compare_patched(work, before);
}
