/* kube/walk.c and the paths of kube/workload.c: which places a path leads to, and what they are known by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/json.h"
#include "kube/walk.h"

struct scene {
  struct mg_arena arena;
  struct mg_diags diags;
  struct mg_buf out;
  mg_node object;
};

static int set_up(void **state) {
  static struct scene scene;
  scene = (struct scene){0};
  mg_arena_init(&scene.arena, (size_t)4 << 20, 0);
  *state = &scene;
  return 0;
}

static int tear_down(void **state) {
  mg_arena_fini(&((struct scene *)*state)->arena);
  return 0;
}

static mg_node json(struct scene *s, mg_str text) {
  struct mg_read how = {.limits = {65536, 64, 4096}};
  struct mg_doc *doc = MG_NEW(&s->arena, struct mg_doc);
  struct mg_err err = {0};
  if (mg_json_read(doc, &s->arena, text, &how, &err)) fail_msg("%.*s: %s", MG_FMT(text), err.text);
  return mg_root(doc);
}

/* Reads the path, which the caller wrote without escapes, as a policy file's value. */
static bool read_path(struct scene *s, const char *path, struct mg_steps *ret) {
  struct mg_buf text;
  mg_diags_init(&s->diags, &s->arena);
  struct mg_load load = {.diags = &s->diags, .arena = &s->arena};
  const struct mg_field field = {.key = "path", .type = &mg_t_steps};
  mg_buf_init(&text, &s->arena, 65536);
  mg_buf_json(&text, mg_str_of(path));
  return mg_t_steps.read(&load, &field, json(s, mg_buf_str(&text)), ret);
}

/* `PATH id`, then the missing keys behind dashes; `!` in front where nothing is set. */
static void print_place(void *context, const struct mg_walked *place) {
  struct scene *s = context;
  mg_str path = mg_path(&s->arena, s->object, place->node), id = mg_walked_id(&s->arena, place, NULL);
  mg_buf_printf(&s->out, "%s%s%.*s%s%.*s", s->out.n ? "; " : "", mg_walked_is_set(place) ? "" : "!", MG_FMT(path),
                id.n ? " " : "", MG_FMT(id));
  for (uint32_t i = 0; i < place->missing_count; i++) mg_buf_printf(&s->out, "-%.*s", MG_FMT(place->missing[i].key));
}

static void expect_places(struct scene *s, const char *path, const char *object, const char *want) {
  struct mg_steps steps;
  if (!read_path(s, path, &steps)) fail_msg("%s is refused", path);
  s->object = json(s, mg_str_of(object));
  mg_buf_init(&s->out, &s->arena, 65536);
  mg_walk(steps, s->object, print_place, s);
  if (!mg_str_is(mg_buf_str(&s->out), want)) fail_msg("%s: %.*s, not %s", path, (int)s->out.n, s->out.p, want);
}

static void keys(void **state) {
  expect_places(*state, "a.b", "{\"a\":{\"b\":1}}", "a.b");
  expect_places(*state, "a.b.c", "{\"a\":{}}", "!a-b-c");
  expect_places(*state, "a.b.c", "{}", "!-a-b-c");
  expect_places(*state, "a.b", "{\"a\":\"text\"}", "!a-b");
  expect_places(*state, "a.b", "{\"a\":null}", "!a-b");
  expect_places(*state, "a.b", "{\"a\":{\"b\":null}}", "!a.b");
  expect_places(*state, "a", "{\"a\":false}", "a");
  expect_places(*state, "a", "[]", "!-a");
}

static void quoted_keys(void **state) {
  const char *labels = "{\"labels\":{\"a.b/c\":{\"d\":1},\"x\":[{\"e.f\":2}]}}";
  expect_places(*state, "labels[\"a.b/c\"]", labels, "labels[\"a.b/c\"]");
  expect_places(*state, "labels[\"a.b/c\"].d", labels, "labels[\"a.b/c\"].d");
  expect_places(*state, "labels.x[][\"e.f\"]", labels, "labels.x[0][\"e.f\"] /0");
  expect_places(*state, "labels[\"none.such\"]", labels, "!labels-none.such");
  expect_places(*state, "[\"labels\"].x", labels, "labels.x");
  expect_places(*state, "labels.\"a.b/c\".d", labels, "labels[\"a.b/c\"].d");
  expect_places(*state, "labels.x[].\"e.f\"", labels, "labels.x[0][\"e.f\"] /0");
}

static void wild_cards(void **state) {
  const char *object = "{\"g\":{\"one\":{\"c\":[{\"name\":\"x\",\"i\":1},{\"i\":null}]},\"two\":{\"c\":[{\"groupName\":\"y\"}]},"
                       "\"three\":{\"c\":{}},\"four\":null},\"n\":[[1],[],[2,3]]}";
  expect_places(*state, "g{}.c[].i", object,
                "g.one.c[0].i /[one]/[x]; !g.one.c[1].i /[one]/1; !g.two.c[0] /[two]/[y]-i");
  expect_places(*state, "g{}.c[*].i", object,
                "g.one.c[0].i /[one]/[x]; !g.one.c[1].i /[one]/1; !g.two.c[0] /[two]/[y]-i");
  expect_places(*state, "g{}", object, "g.one /[one]; g.two /[two]; g.three /[three]; !g.four /[four]");
  expect_places(*state, "n[][]", object, "n[0][0] /0/0; n[2][0] /2/0; n[2][1] /2/1");
  expect_places(*state, "g[]", object, "");
  expect_places(*state, "n{}", object, "");
  expect_places(*state, "none.such[].x", object, "");
  expect_places(*state, "none[]", object, "");
}

static void refused(void **state) {
  static const char *const paths[] = {
      "",      "[]",   "{}",   ".a",   "a.",     "a..b", "a.[]", "a[",     "a[0]",   "a[]b",     "a{",      "a{x}",
      "a[\"", "a[\"\"]", "a[\"b", "a[\"b\"c", "a['b']", "a.[\"b\"]", "a[**]", "a.\"b", "a.\"\"", "a.\"b\"c", "a[\"b\"]c", "a{}{",
  };
  struct mg_steps steps;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    if (read_path(*state, paths[i], &steps)) fail_msg("\"%s\" is taken", paths[i]);
}

static void a_path_has_a_limit(void **state) {
  static const char most[] = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a";
  struct mg_steps steps;
  assert_true(read_path(*state, most, &steps));
  assert_int_equal(steps.count, 32);
  assert_false(read_path(*state, mg_arena_printf(&((struct scene *)*state)->arena, "%s.a", most).p, &steps));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(keys, set_up, tear_down),
      cmocka_unit_test_setup_teardown(quoted_keys, set_up, tear_down),
      cmocka_unit_test_setup_teardown(wild_cards, set_up, tear_down),
      cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_path_has_a_limit, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
