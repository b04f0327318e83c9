/* kube/places.c: where a path of the table leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/json.h"
#include "kube/places.h"

#define KEY(name) {MG_STEP_KEY, {name, sizeof(name) - 1}}
#define ITEMS {MG_STEP_ITEMS, {0}}
#define VALUES {MG_STEP_VALUES, {0}}
#define STEPS(...) ((const struct mg_step[]){__VA_ARGS__})
#define PATH(...) ((struct mg_steps){STEPS(__VA_ARGS__), sizeof STEPS(__VA_ARGS__) / sizeof(struct mg_step), true})

/* Each place as `id KEY.KEY=value`, a `;` behind each; the keys are those from the nearest object on. */
static void expect(struct mg_steps path, const char *object, const char *want) {
  struct mg_arena arena;
  struct mg_doc doc;
  struct mg_read how = {.limits = {65536, 32, 4096}};
  struct mg_err err = {0};
  struct mg_place *places;
  struct mg_buf out;
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  if (mg_json_read(&doc, &arena, mg_str_of(object), &how, &err)) fail_msg("%s: %s", object, err.text);
  uint32_t count = mg_places_find(&arena, path, mg_root(&doc), &places);
  mg_buf_init(&out, &arena, 65536);
  for (uint32_t i = 0; i < count; i++) {
    mg_buf_printf(&out, "%.*s ", MG_FMT(places[i].id));
    for (int k = 0; k < 5 && places[i].keys[k].p; k++) mg_buf_printf(&out, "%s%.*s", k ? "." : "", MG_FMT(places[i].keys[k]));
    if (places[i].value.at) {
      mg_buf_byte(&out, '=');
      mg_json_write(&out, places[i].value);
    }
    mg_buf_byte(&out, ';');
    assert_true(mg_is(places[i].object, MG_OBJECT));
    assert_ptr_equal(mg_place_of(places, count, places[i].id, i), &places[i]);
    assert_ptr_equal(mg_place_of(places, count, places[i].id, count), &places[i]);
  }
  assert_string_equal(mg_arena_dup(&arena, mg_buf_str(&out)).p, want);
  assert_null(mg_place_of(places, count, MG_S("nobody"), 0));
  mg_arena_fini(&arena);
}

static void test_keys(void **state) {
  (void)state;
  const struct mg_steps path = PATH(KEY("spec"), KEY("run"), KEY("ttl"));
  expect(path, "{\"spec\":{\"run\":{\"ttl\":3}}}", " ttl=3;");
  expect(path, "{\"spec\":{\"run\":{\"ttl\":null}}}", " ttl=null;");
  expect(path, "{\"spec\":{\"run\":{}}}", " ttl;");
  expect(path, "{\"spec\":{\"run\":null}}", " run.ttl;");
  expect(path, "{\"spec\":{}}", " run.ttl;");
  expect(path, "{}", " spec.run.ttl;");
  expect(path, "{\"spec\":{\"run\":[]}}", "");
  expect(path, "{\"spec\":\"x\"}", "");
  expect(path, "[]", "");
  expect(path, "7", "");
}

static void test_wild_cards(void **state) {
  (void)state;
  const struct mg_steps list = PATH(KEY("jobs"), ITEMS, KEY("spec"), KEY("n")), map = PATH(KEY("jobs"), VALUES, KEY("n"));
  expect(list, "{\"jobs\":[{\"name\":\"a\",\"spec\":{\"n\":1}},{\"spec\":{}},{\"groupName\":\"g\"},{\"name\":\"\"}]}",
         "/[a] n=1;/1 n;/[g] spec.n;/3 spec.n;");
  expect(list, "{\"jobs\":[null,1,\"x\",[],{\"spec\":[]}]}", "");
  expect(list, "{\"jobs\":[]}", "");
  expect(list, "{\"jobs\":{\"a\":{}}}", "");
  expect(list, "{\"jobs\":null}", "");
  expect(list, "{}", "");
  expect(map, "{\"jobs\":{\"a\":{\"n\":1},\"b\":{},\"c\":null,\"d\":3}}", "/[a] n=1;/[b] n;");
  expect(map, "{\"jobs\":[{\"n\":1}]}", "");
  expect(PATH(ITEMS, ITEMS, KEY("n")), "[[{\"n\":1},{\"n\":2}],[{\"name\":\"x\"}],{}]", "/0/0 n=1;/0/1 n=2;/1/[x] n;");
}

/* A place has room for four keys that are not there; paths that end in a wild card are none. */
static void test_limits(void **state) {
  (void)state;
  const struct mg_steps five = PATH(KEY("a"), KEY("b"), KEY("c"), KEY("d"), KEY("e"));
  expect(five, "{}", "");
  expect(five, "{\"a\":{}}", " b.c.d.e;");
  expect(PATH(KEY("a"), ITEMS), "{\"a\":[1]}", "");
  expect((struct mg_steps){0}, "{}", "");
}

static void test_most(void **state) {
  (void)state;
  struct mg_arena arena, small;
  struct mg_doc doc;
  struct mg_read how = {.limits = {1 << 20, 32, 1 << 20}};
  struct mg_buf out;
  struct mg_place *places;
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  mg_buf_init(&out, &arena, 1 << 20);
  mg_buf_lit(&out, "[{}");
  for (int i = 0; i < MG_MOST_PLACES; i++) mg_buf_lit(&out, ",{}");
  mg_buf_byte(&out, ']');
  assert_int_equal(mg_json_read(&doc, &arena, mg_buf_str(&out), &how, NULL), 0);
  assert_int_equal(mg_places_find(&arena, PATH(ITEMS, KEY("n")), mg_root(&doc), &places), MG_MOST_PLACES);
  mg_arena_init(&small, 1024, 0);
  assert_int_equal(mg_places_find(&small, PATH(ITEMS, KEY("n")), mg_root(&doc), &places), 0);
  mg_arena_fini(&small);
  mg_arena_fini(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_wild_cards),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_most),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
