#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the four above first. */
#include <cmocka.h>
#include <jansson.h>

#include "doc/json.h"
#include "doc/patch.h"
#include "unit/chance.h"
#include "unit/scratch.h"

static mg_str written(mg_node n) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)1 << 20);
  mg_json_write(&buf, n);
  assert_false(buf.failed);
  return mg_buf_str(&buf);
}

static mg_str written_patch(const struct mg_patch *patch) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)1 << 20);
  mg_patch_write(&buf, patch);
  assert_false(buf.failed);
  return mg_buf_str(&buf);
}

static void assert_str(mg_str got, const char *want) {
  if (!mg_str_is(got, want)) fail_msg("got  %.*s\nwant %s", MG_FMT(got), want);
}

static mg_node text(mg_node like, const char *z) {
  return mg_make_text(like.doc, MG_STRING, mg_str_of(z));
}

/* --- a small RFC 6902 applier, as strict as the API server's --- */

static json_t *load(mg_str s) {
  json_error_t error;
  json_t *ret = json_loadb(s.p, s.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (!ret) fail_msg("%.*s: %s", MG_FMT(s), error.text);
  return ret;
}

static void unescape(char *s) {
  char *to = s;
  for (; *s; s++) {
    if (*s == '~') {
      s++;
      assert_true(*s == '0' || *s == '1');
      *to++ = *s == '0' ? '~' : '/';
    } else {
      *to++ = *s;
    }
  }
  *to = '\0';
}

static size_t index_of(const char *s) {
  char *end;
  assert_true(*s >= '0' && *s <= '9' && (*s != '0' || !s[1]));
  size_t ret = strtoul(s, &end, 10);
  assert_int_equal(*end, '\0');
  return ret;
}

/* Follows all steps but the last, which is left in `path`. */
static json_t *parent_of(json_t *at, char **path) {
  char *step = *path;
  assert_int_equal(*step++, '/');
  for (char *slash; (slash = strchr(step, '/')); step = slash + 1) {
    *slash = '\0';
    unescape(step);
    at = json_is_array(at) ? json_array_get(at, index_of(step)) : json_object_get(at, step);
    if (!json_is_array(at) && !json_is_object(at)) fail_msg("no container at %s", step);
  }
  unescape(step);
  *path = step;
  return at;
}

static void apply_one(json_t *doc, const json_t *op) {
  const char *kind = json_string_value(json_object_get(op, "op"));
  char *path = strdup(json_string_value(json_object_get(op, "path"))), *last = path;
  json_t *parent = parent_of(doc, &last), *value = json_object_get(op, "value");
  bool add = strcmp(kind, "add") == 0, remove = strcmp(kind, "remove") == 0;
  assert_true(add || remove || strcmp(kind, "replace") == 0);
  assert_int_equal(value == NULL, remove);
  json_t *copy = value ? json_deep_copy(value) : NULL;
  int failed;
  if (json_is_object(parent)) {
    if (!add) assert_non_null(json_object_get(parent, last));
    failed = remove ? json_object_del(parent, last) : json_object_set_new(parent, last, copy);
  } else {
    assert_true(add); /* never a whole item taken out or put over another */
    failed = strcmp(last, "-") == 0 ? json_array_append_new(parent, copy) : json_array_insert_new(parent, index_of(last), copy);
  }
  assert_int_equal(failed, 0);
  free(path);
}

/* The promise of the module: the source with the patch applied is the tree. */
static void check_promise(mg_str source, const struct mg_patch *patch, mg_node tree) {
  mg_str patch_text = written_patch(patch), tree_text = written(tree);
  json_t *doc = load(source), *ops = load(patch_text), *want = load(tree_text), *op;
  size_t i;
  assert_true(json_is_array(ops));
  assert_int_equal(json_array_size(ops), patch->count);
  json_array_foreach(ops, i, op) apply_one(doc, op);
  if (!json_equal(doc, want)) fail_msg("%.*s\nwith %.*s\nis not %.*s", MG_FMT(source), MG_FMT(patch_text), MG_FMT(tree_text));
  tree.doc->is_json = false; /* and rebuilt altogether it says the same as with spans copied */
  json_t *rebuilt = load(written(tree));
  tree.doc->is_json = true;
  assert_true(json_equal(rebuilt, want));
  json_decref(rebuilt);
  json_decref(doc);
  json_decref(ops);
  json_decref(want);
}

/* --- single edits --- */

static void edits_are_recorded(void **state) {
  (void)state;
  mg_str source = MG_S("{ \"a\" : 1, \"l\":[ 1, 2 ],\"x/y~z\":{ \"k\": 1.0 }, \"n\":null }");
  mg_node root = json_of(source);
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  assert_str(written_patch(&patch), "[]");
  mg_patch_set(&patch, root, MG_S("a"), text(root, "q\"\n"));
  mg_patch_set(&patch, root, MG_S("new"), mg_make(root.doc, MG_NULL));
  mg_patch_append(&patch, MG_GET(root, "l"), mg_make_text(root.doc, MG_NUMBER, MG_S("3")));
  mg_patch_insert(&patch, MG_GET(root, "l"), 1, mg_make_text(root.doc, MG_BOOL, MG_S("true")));
  mg_patch_insert(&patch, MG_GET(root, "l"), 4, mg_make(root.doc, MG_ARRAY));
  mg_patch_remove(&patch, MG_GET(root, "x/y~z"), MG_S("k"));
  mg_patch_remove(&patch, root, MG_S("not there"));
  mg_patch_child(&patch, root, MG_S("n"), MG_OBJECT);
  assert_str(written_patch(&patch),
             "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":\"q\\\"\\n\"},"
             "{\"op\":\"add\",\"path\":\"/new\",\"value\":null},"
             "{\"op\":\"add\",\"path\":\"/l/-\",\"value\":3},"
             "{\"op\":\"add\",\"path\":\"/l/1\",\"value\":true},"
             "{\"op\":\"add\",\"path\":\"/l/-\",\"value\":[]},"
             "{\"op\":\"remove\",\"path\":\"/x~1y~0z/k\"},"
             "{\"op\":\"replace\",\"path\":\"/n\",\"value\":{}}]");
  assert_str(written(root), "{\"a\":\"q\\\"\\n\",\"l\":[1,true,2,3,[]],\"x/y~z\":{},\"n\":{},\"new\":null}");
  check_promise(source, &patch, root);
}

static void untouched_parts_keep_their_bytes(void **state) {
  (void)state;
  mg_node root = json("{ \"keep\" : [ 1.0e0 ,{ } ], \"\\u0061\": { \"deep\": [ {\"x\" :  1} , { \"y\": 2 } ] } }");
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  mg_patch_set(&patch, mg_item(MG_GET(MG_GET(root, "a"), "deep"), 1), MG_S("z"), text(root, "!"));
  assert_str(written(root), "{\"keep\":[ 1.0e0 ,{ } ],\"\\u0061\":{\"deep\":[{\"x\" :  1},{\"y\":2,\"z\":\"!\"}]}}");
  assert_str(written_patch(&patch), "[{\"op\":\"add\",\"path\":\"/a/deep/1/z\",\"value\":\"!\"}]");
}

static void edits_in_what_was_added_need_no_operation(void **state) {
  (void)state;
  mg_str source = MG_S("{\"spec\":{}}");
  mg_node root = json_of(source), spec = MG_GET(root, "spec");
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  mg_node list = mg_patch_child(&patch, spec, MG_S("volumes"), MG_ARRAY);
  assert_true(mg_same(mg_patch_child(&patch, spec, MG_S("volumes"), MG_ARRAY), list));
  mg_node volume = mg_make(root.doc, MG_OBJECT);
  mg_patch_append(&patch, list, volume);
  mg_patch_set(&patch, volume, MG_S("name"), text(root, "shm"));
  mg_patch_set(&patch, mg_patch_child(&patch, volume, MG_S("emptyDir"), MG_OBJECT), MG_S("medium"), text(root, "Memory"));
  mg_patch_set(&patch, volume, MG_S("name"), text(root, "dshm"));
  mg_patch_set(&patch, volume, MG_S("gone"), text(root, "x"));
  mg_patch_remove(&patch, volume, MG_S("gone"));
  assert_str(written_patch(&patch), "[{\"op\":\"add\",\"path\":\"/spec/volumes\","
                                    "\"value\":[{\"name\":\"dshm\",\"emptyDir\":{\"medium\":\"Memory\"}}]}]");
  check_promise(source, &patch, root);
}

static void pointers_start_at_the_patch_root(void **state) {
  (void)state;
  mg_node review = json("{\"request\":{\"object\":{\"metadata\":{}}}}");
  mg_node object = MG_GET(MG_GET(review, "request"), "object");
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, object);
  mg_node labels = mg_patch_child(&patch, MG_GET(object, "metadata"), MG_S("labels"), MG_OBJECT);
  mg_patch_set(&patch, labels, MG_S("a/b"), text(object, "1"));
  mg_patch_set(&patch, MG_GET(review, "request"), MG_S("uid"), text(object, "outside"));
  assert_str(written_patch(&patch), "[{\"op\":\"add\",\"path\":\"/metadata/labels\",\"value\":{\"a/b\":\"1\"}}]");
  check_promise(MG_S("{\"metadata\":{}}"), &patch, object);
}

static void added_then_changed_or_removed(void **state) {
  (void)state;
  mg_str source = MG_S("{\"a\":{\"b\":[1]},\"c\":0}");
  mg_node root = json_of(source), old = MG_GET(root, "a");
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  mg_node made = mg_patch_child(&patch, root, MG_S("x"), MG_OBJECT);
  mg_patch_set(&patch, made, MG_S("k"), text(root, "1"));
  mg_patch_remove(&patch, root, MG_S("x"));
  check_promise(source, &patch, root);
  mg_patch_set(&patch, made, MG_S("late"), text(root, "2")); /* lies nowhere now */
  check_promise(source, &patch, root);
  mg_patch_set(&patch, root, MG_S("a"), text(root, "over"));
  mg_patch_set(&patch, root, MG_S("a"), text(root, "again"));
  mg_patch_append(&patch, MG_GET(old, "b"), text(root, "in what was replaced"));
  check_promise(source, &patch, root);
  mg_patch_set(&patch, root, MG_S("back"), old); /* comes back as a copy, and is fresh */
  mg_patch_append(&patch, MG_GET(MG_GET(root, "back"), "b"), text(root, "in the copy"));
  mg_patch_set(&patch, root, MG_S("c"), made);
  mg_patch_set(&patch, made, MG_S("later"), text(root, "3"));
  check_promise(source, &patch, root);
  assert_str(written(MG_GET(root, "c")), "{\"k\":\"1\",\"late\":\"2\",\"later\":\"3\"}");
}

static void values_may_not_hang_twice(void **state) {
  (void)state;
  mg_str source = MG_S("{\"a\":{\"b\":{}},\"l\":[[1]]}");
  mg_node root = json_of(source);
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  mg_patch_set(&patch, MG_GET(MG_GET(root, "a"), "b"), MG_S("self"), MG_GET(root, "a"));
  mg_patch_append(&patch, MG_GET(root, "l"), MG_GET(root, "l"));
  mg_patch_set(&patch, root, MG_S("all"), root);
  mg_node made = mg_make(root.doc, MG_OBJECT);
  mg_put(made, MG_S("me"), made);
  mg_patch_set(&patch, root, MG_S("m1"), made);
  mg_patch_set(&patch, root, MG_S("m2"), made);
  mg_put(made, MG_S("only"), text(root, "m1"));
  check_promise(source, &patch, root);
  assert_str(written(MG_GET(root, "m1")), "{\"me\":{},\"only\":\"m1\"}");
  assert_str(written(MG_GET(root, "m2")), "{\"me\":{}}");
  assert_str(written(MG_GET(root, "l")), "[[1],[[1]]]");
}

static void wrong_kinds_change_nothing(void **state) {
  (void)state;
  const char *source = "{\"s\":\"x\",\"l\":[],\"o\":{},\"n\":null}";
  mg_node root = json(source), none = {0};
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  const mg_node wrong[] = {MG_GET(root, "s"), MG_GET(root, "n"), MG_GET(root, "zz"), none};
  for (size_t i = 0; i < 4; i++) {
    mg_patch_set(&patch, wrong[i], MG_S("k"), text(root, "v"));
    mg_patch_append(&patch, wrong[i], text(root, "v"));
    mg_patch_insert(&patch, wrong[i], 0, text(root, "v"));
    mg_patch_remove(&patch, wrong[i], MG_S("k"));
    mg_put(wrong[i], MG_S("k"), text(root, "v"));
    mg_push(wrong[i], text(root, "v"));
    assert_int_equal(mg_patch_child(&patch, wrong[i], MG_S("k"), MG_OBJECT).at, 0);
  }
  mg_patch_set(&patch, MG_GET(root, "l"), MG_S("k"), text(root, "v"));
  mg_patch_append(&patch, MG_GET(root, "o"), text(root, "v"));
  mg_patch_set(&patch, root, MG_S("k"), none);
  mg_patch_append(&patch, MG_GET(root, "l"), (mg_node){root.doc, 0});
  assert_int_equal(mg_patch_child(&patch, root, MG_S("s"), MG_OBJECT).at, 0);
  assert_int_equal(mg_patch_child(&patch, root, MG_S("l"), MG_OBJECT).at, 0);
  assert_int_equal(mg_patch_child(&patch, root, MG_S("k"), MG_STRING).at, 0);
  assert_int_equal(mg_make(root.doc, MG_STRING).at + mg_make_text(root.doc, MG_OBJECT, MG_S("x")).at, 0);
  assert_int_equal(mg_make(NULL, MG_NULL).at + mg_make_copy(NULL, root).at + mg_make_copy(root.doc, none).at, 0);
  assert_int_equal(patch.count, 0);
  assert_str(written(root), source);
}

static void sealed_documents_do_not_change(void **state) {
  (void)state;
  const char *source = "{\"a\":1,\"l\":[1]}";
  mg_node root = json(source);
  mg_node value = text(root, "v");
  struct mg_patch patch;
  mg_patch_init(&patch, &arena, root);
  root.doc->arena = NULL;
  mg_patch_set(&patch, root, MG_S("a"), value);
  mg_patch_append(&patch, MG_GET(root, "l"), value);
  mg_patch_remove(&patch, root, MG_S("a"));
  mg_put(root, MG_S("a"), value);
  mg_push(MG_GET(root, "l"), value);
  assert_int_equal(patch.count, 0);
  assert_str(written(root), source);
}

static void copies_are_deep_and_of_any_document(void **state) {
  (void)state;
  const char *source = "{\"a\":[1,{\"b\":[],\"c\":\"\\n\"},[[null]]],\"d\":{},\"e\":true}";
  mg_node from = json(source), to = json("[]");
  for (int i = 0; i < 50; i++) mg_push(to, mg_make_copy(to.doc, from)); /* cells move while it grows */
  assert_int_equal(mg_count(to), 50);
  for (uint32_t i = 0; i < 50; i++) assert_true(mg_equal(mg_item(to, i), from));
  mg_node self = mg_make_copy(from.doc, from), part = mg_make_copy(from.doc, mg_key_of(MG_GET(from, "a")));
  assert_str(written(self), source);
  assert_str(written(part), "[1,{\"b\":[],\"c\":\"\\n\"},[[null]]]");
  mg_push(part, text(from, "x"));
  assert_str(written(from), source);
  /* A copy of a shared part leaves what stands behind it alone. */
  assert_str(written(mg_make_copy(to.doc, MG_GET(from, "d"))), "{}");
}

static void running_out_of_memory_is_told(void **state) {
  (void)state;
  mg_str source = MG_S("{\"a\":{\"b\":[1,2,3]},\"c\":null}");
  for (size_t max = 3000; max < 12000; max += 16) {
    struct mg_arena small;
    struct mg_doc doc;
    struct mg_read how = {.limits = {1000, 100, 100}};
    struct mg_patch patch;
    mg_arena_init(&small, max, 0);
    if (mg_json_read(&doc, &small, source, &how, NULL) == 0) {
      mg_node root = mg_root(&doc);
      mg_patch_init(&patch, &small, root);
      for (int i = 0; i < 12; i++) {
        mg_patch_append(&patch, MG_GET(MG_GET(root, "a"), "b"), mg_make_copy(&doc, MG_GET(root, "a")));
        mg_patch_set(&patch, mg_patch_child(&patch, root, MG_S("c"), MG_OBJECT), MG_S("k"), mg_make_copy(&doc, mg_root(&doc)));
        if (small.failed) break;
        if (mg_count(root) > 3) break;
      }
      written(root); /* whole at any rate */
      if (!small.failed) check_promise(source, &patch, root);
    }
    mg_arena_fini(&small);
  }
}

/* --- random edits of random documents --- */

static const char *const keys[] = {"a", "b", "c/d", "~", "~1", "", "\"", "\\", "0", "-", "\xC3\xA9", "\n"};
#define KEYS (uint32_t)(sizeof(keys) / sizeof(keys[0]))

static void put_random(struct mg_buf *buf, uint32_t depth) {
  static const char *const scalars[] = {"1", "-2.5", "true", "false", "null", "\"x\"", "\"\\u00e9\"", " 7 "};
  uint32_t kind = depth ? random_below(4) : 0, count = random_below(5);
  if (kind < 2) {
    mg_buf_put(buf, mg_str_of(scalars[random_below(8)]));
  } else if (kind == 2) {
    mg_buf_lit(buf, "[");
    for (uint32_t i = 0; i < count; i++) {
      if (i) mg_buf_lit(buf, " ,");
      put_random(buf, depth - 1);
    }
    mg_buf_lit(buf, " ]");
  } else {
    mg_buf_lit(buf, "{ ");
    uint32_t at = random_below(KEYS);
    for (uint32_t i = 0; i < count; i++) {
      if (i) mg_buf_lit(buf, ", ");
      mg_buf_json(buf, mg_str_of(keys[(at + i) % KEYS]));
      mg_buf_lit(buf, " :");
      put_random(buf, depth - 1);
    }
    mg_buf_lit(buf, "}");
  }
}

static mg_node random_place(mg_node at) {
  for (uint32_t count; (count = mg_count(at)) > 0 && random_below(4) > 0;) {
    mg_node child = mg_first(at);
    for (uint32_t i = random_below(count); i > 0; i--) child = mg_next(child);
    mg_node value = mg_is(child, MG_KEY) ? mg_value(child) : child;
    if (mg_kind_of(value) < MG_ARRAY) break;
    at = value;
  }
  return at;
}

static mg_node random_value(mg_node root, mg_node *kept) {
  struct mg_buf buf;
  switch (random_below(7)) {
  case 0: return mg_make(root.doc, MG_OBJECT);
  case 1: return mg_make(root.doc, MG_ARRAY);
  case 2: return mg_make_copy(root.doc, random_place(root));
  case 3: return *kept; /* a node that may hang somewhere, or have been taken out */
  case 4: return *kept = random_place(root);
  case 5:
    mg_buf_init(&buf, &arena, 10000);
    put_random(&buf, 2);
    return mg_make_copy(root.doc, json_of(mg_buf_str(&buf)));
  default: return mg_make_text(root.doc, MG_NUMBER, MG_S("42"));
  }
}

static void random_edit(struct mg_patch *patch, mg_node root, mg_node *kept) {
  mg_node at = random_below(8) ? random_place(root) : *kept;
  mg_str key = mg_str_of(keys[random_below(KEYS)]);
  switch (random_below(5)) {
  case 0: mg_patch_remove(patch, at, key); break;
  case 1: mg_patch_child(patch, at, key, random_below(2) ? MG_OBJECT : MG_ARRAY); break;
  case 2: mg_patch_append(patch, at, random_value(root, kept)); break;
  case 3: mg_patch_insert(patch, at, random_below(4), random_value(root, kept)); break;
  default: mg_patch_set(patch, at, key, random_value(root, kept)); break;
  }
}

static void random_patches_give_the_tree(void **state) {
  (void)state;
  for (uint32_t round = 0; round < 4000; round++) {
    dice = round * 7919 + 1;
    mg_arena_reset(&arena);
    struct mg_buf buf;
    mg_buf_init(&buf, &arena, 100000);
    mg_buf_lit(&buf, "{\"a\":");
    put_random(&buf, 4);
    mg_buf_lit(&buf, " , \"b\" : ");
    put_random(&buf, 4);
    mg_buf_lit(&buf, "}");
    mg_node root = json_of(mg_buf_str(&buf)), kept = root;
    struct mg_patch patch;
    mg_patch_init(&patch, &arena, root);
    for (uint32_t edits = random_below(12); edits > 0 && root.doc->count < 2000; edits--) {
      random_edit(&patch, root, &kept);
      if (round % 4 == 0) check_promise(mg_buf_str(&buf), &patch, root);
    }
    assert_false(arena.failed);
    check_promise(mg_buf_str(&buf), &patch, root);
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
  const struct CMUnitTest tests[] = {
    TEST(edits_are_recorded),
    TEST(untouched_parts_keep_their_bytes),
    TEST(edits_in_what_was_added_need_no_operation),
    TEST(pointers_start_at_the_patch_root),
    TEST(added_then_changed_or_removed),
    TEST(values_may_not_hang_twice),
    TEST(wrong_kinds_change_nothing),
    TEST(sealed_documents_do_not_change),
    TEST(copies_are_deep_and_of_any_document),
    TEST(running_out_of_memory_is_told),
    TEST(random_patches_give_the_tree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
