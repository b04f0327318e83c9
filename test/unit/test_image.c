/* kube/image.c against what container runtimes make of a reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kube/image.h"

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define A10 "aaaaaaaaaa"
#define A50 A10 A10 A10 A10 A10
#define A250 A50 A50 A50 A50 A50

struct row {
  const char *in, *out; /* out NULL: comes back as it was */
};

static int set_up(void **state) {
  static struct mg_arena arena;
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  *state = &arena;
  return 0;
}

static int tear_down(void **state) {
  mg_arena_fini(*state);
  return 0;
}

static void check(struct mg_arena *arena, const struct row *row) {
  const char *want = row->out ? row->out : row->in;
  mg_str got = mg_image_normalise(arena, mg_str_of(row->in));
  if (!mg_str_is(got, want)) fail_msg("%s -> %.*s, not %s", row->in, MG_FMT(got), want);
  if (!row->out) assert_ptr_equal(got.p, row->in);
  mg_str again = mg_image_normalise(arena, got);
  if (!mg_str_eq(again, got)) fail_msg("%s: %.*s is not stable: %.*s", row->in, MG_FMT(got), MG_FMT(again));
}

#define CHECK_ALL(rows) \
  for (size_t i = 0; i < sizeof(rows) / sizeof(*(rows)); i++) check(*state, &(rows)[i])

static void test_hub(void **state) {
  static const struct row rows[] = {
      {"ubuntu", "docker.io/library/ubuntu:latest"},
      {"docker.io/ubuntu", "docker.io/library/ubuntu:latest"},
      {"index.docker.io/ubuntu", "docker.io/library/ubuntu:latest"},
      {"Index.Docker.io/ubuntu", "docker.io/library/ubuntu:latest"},
      {"docker.io/library/ubuntu", "docker.io/library/ubuntu:latest"},
      {"ubuntu:22.04", "docker.io/library/ubuntu:22.04"},
      {"nvidia/cuda:12.2", "docker.io/nvidia/cuda:12.2"},
      {"index.docker.io/nvidia/cuda", "docker.io/nvidia/cuda:latest"},
      {"registry-1.docker.io/library/ubuntu", "registry-1.docker.io/library/ubuntu:latest"},
      {"registry.hub.docker.com/library/ubuntu", "registry.hub.docker.com/library/ubuntu:latest"},
      {"localhost", "docker.io/library/localhost:latest"},
      {"localhost:5000", "docker.io/library/localhost:5000"},
      {"docker.io", "docker.io/library/docker.io:latest"},
      {"myhost/foo", "docker.io/myhost/foo:latest"},
      {HEX64 ":1", "docker.io/library/" HEX64 ":1"},
      {"x/" HEX64, "docker.io/x/" HEX64 ":latest"},
      {HEX64, NULL},
  };
  CHECK_ALL(rows);
}

static void test_domain(void **state) {
  static const struct row rows[] = {
      {"localhost/foo", "localhost/foo:latest"},
      {"localhost:5000/foo", "localhost:5000/foo:latest"},
      {"myhost:5000/foo", "myhost:5000/foo:latest"},
      {"foo.io:99999/bar", "foo.io:99999/bar:latest"},
      {"nvcr.io/nvidia/pytorch:24.05-py3", "nvcr.io/nvidia/pytorch:24.05-py3"},
      {"[::1]:5000/foo", "[::1]:5000/foo:latest"},
      {"[::1]/foo", "[::1]/foo:latest"},
      {"a-b.c-d/foo", "a-b.c-d/foo:latest"},
      {"LOCALHOST/foo", "localhost/foo:latest"},
      {"FOO.io/bar:Tag", "foo.io/bar:Tag"},
      {"NVCR.IO/nvidia/cuda:1", "nvcr.io/nvidia/cuda:1"},
      {"[fe80::1%25eth0]:5000/foo", NULL},
      {"[]/foo.x", NULL},
      {"[::1/foo", NULL},
      {"[::1]x:5/foo", NULL},
      {"[::1]:/foo", NULL},
      {"::1/foo", NULL},
      {"foo.io:/bar", NULL},
      {"foo.io:5a/bar", NULL},
      {"foo_bar.com/x", NULL},
      {"foo_bar.com:5000/x", NULL},
      {"myhost.", NULL},
      {"myhost./x", NULL},
      {".myhost/x", NULL},
      {"a..b/x", NULL},
      {"foo.-io/x", NULL},
      {"foo-.io/x", NULL},
      {"sh\xc3\xa9.io/x", NULL},
      {"https://foo.io/bar", NULL},
  };
  CHECK_ALL(rows);
  /* A domain only by its capital, which the normalised form no longer has: the one that is not stable. */
  assert_true(mg_str_is(mg_image_normalise(*state, MG_S("Foo/bar")), "foo/bar:latest"));
}

static void test_path(void **state) {
  static const struct row rows[] = {
      {"a__b/c", "docker.io/a__b/c:latest"},
      {"a--b", "docker.io/library/a--b:latest"},
      {"a---b", "docker.io/library/a---b:latest"},
      {"a.b", "docker.io/library/a.b:latest"},
      {"a_b", "docker.io/library/a_b:latest"},
      {"0/1/2/3", "docker.io/0/1/2/3:latest"},
      {"foo/Bar", NULL},
      {"foo.io/Bar", NULL},
      {"Foo", NULL},
      {"a___b", NULL},
      {"a..b", NULL},
      {"a._b", NULL},
      {"a-_b", NULL},
      {"-a", NULL},
      {"a-", NULL},
      {"_a", NULL},
      {"a_", NULL},
      {".a", NULL},
      {"foo/", NULL},
      {"/foo", NULL},
      {"foo//bar", NULL},
      {" foo", NULL},
      {"foo\n", NULL},
      {"foo.io/bar?x", NULL},
      {"foo.io/", NULL},
      {"/", NULL},
      {"", NULL},
  };
  CHECK_ALL(rows);
}

static void test_tag(void **state) {
  static const struct row rows[] = {
      {"foo:_x", "docker.io/library/foo:_x"},
      {"foo:1.2-x_Y", "docker.io/library/foo:1.2-x_Y"},
      {"foo:" A50 A50 A10 A10 "aaaaaaaa", "docker.io/library/foo:" A50 A50 A10 A10 "aaaaaaaa"},
      {"foo:" A50 A50 A10 A10 "aaaaaaaaa", NULL},
      {"foo:-x", NULL},
      {"foo:.x", NULL},
      {"foo:", NULL},
      {"foo:a:b", NULL},
      {"foo:a b", NULL},
  };
  CHECK_ALL(rows);
}

static void test_digest(void **state) {
  static const struct row rows[] = {
      {"foo@sha256:" HEX64, "docker.io/library/foo@sha256:" HEX64},
      {"foo:1@sha256:" HEX64, "docker.io/library/foo@sha256:" HEX64},
      {"foo.io:5/a/b:1@sha256:" HEX64, "foo.io:5/a/b@sha256:" HEX64},
      {"foo@sha512:" HEX64 HEX64, "docker.io/library/foo@sha512:" HEX64 HEX64},
      {"foo@sha256:abc", NULL},
      {"foo@sha256:" HEX16 HEX16 HEX16 "0123456789abcde", NULL},
      {"foo@sha256:" HEX64 "0", NULL},
      {"foo@sha256:0123456789ABCDEF" HEX16 HEX16 HEX16, NULL},
      {"foo@sha256:0123456789abcdeg" HEX16 HEX16 HEX16, NULL},
      {"foo@SHA256:" HEX64, NULL},
      {"foo@md5:" HEX16 HEX16, NULL},
      {"foo@sha256:", NULL},
      {"foo@", NULL},
      {"@sha256:" HEX64, NULL},
      {"foo:@sha256:" HEX64, NULL},
      {"foo:-1@sha256:" HEX64, NULL},
      {"foo@sha256:" HEX64 ":1", NULL},
  };
  CHECK_ALL(rows);
}

static void test_lengths(void **state) {
  static const struct row rows[] = {
      {"foo.io/" A250 "aaaaa", "foo.io/" A250 "aaaaa:latest"},
      {"foo.io/" A250 "aaaaaa", NULL},
      /* on the Hub, library/ counts */
      {A50 A50 A50 A50 A10 A10 A10 A10 "aaaaaaa", "docker.io/library/" A50 A50 A50 A50 A10 A10 A10 A10 "aaaaaaa:latest"},
      {A50 A50 A50 A50 A10 A10 A10 A10 "aaaaaaaa", NULL},
  };
  CHECK_ALL(rows);
  static char big[1026];
  memset(big, 'a', sizeof(big) - 1);
  for (size_t n = 1023; n <= 1025; n++) assert_ptr_equal(mg_image_normalise(*state, (mg_str){big, n}).p, big);
}

static void test_parts(void **state) {
  static const struct {
    const char *in, *domain, *path, *tag, *digest; /* domain NULL: no reference */
  } rows[] = {
      {"nginx", "docker.io", "library/nginx", "", ""},
      {"index.docker.io/nvidia/cuda:12.2", "docker.io", "nvidia/cuda", "12.2", ""},
      {"NVCR.io/nvidia/pytorch", "nvcr.io", "nvidia/pytorch", "", ""},
      {"localhost:5000/x:y", "localhost:5000", "x", "y", ""},
      {"foo:1@sha256:" HEX64, "docker.io", "library/foo", "1", "sha256:" HEX64},
      {"a.io/b/c@sha256:" HEX64, "a.io", "b/c", "", "sha256:" HEX64},
      {"$IMG", NULL, NULL, NULL, NULL},
      {"{{ image }}", NULL, NULL, NULL, NULL},
      {"a.io/Team/app", NULL, NULL, NULL, NULL},
      {"", NULL, NULL, NULL, NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_image image = {0};
    bool good = mg_image_parse(*state, mg_str_of(rows[i].in), &image);
    if (good != (rows[i].domain != NULL)) fail_msg("%s: %d", rows[i].in, good);
    if (!good) continue;
    bool same = mg_str_is(image.domain, rows[i].domain) && mg_str_is(image.path, rows[i].path) &&
                mg_str_is(image.tag, rows[i].tag) && mg_str_is(image.digest, rows[i].digest);
    if (!same)
      fail_msg("%s: %.*s %.*s %.*s %.*s", rows[i].in, MG_FMT(image.domain), MG_FMT(image.path), MG_FMT(image.tag),
               MG_FMT(image.digest));
  }
}

/* A host without a dot is one for its capital alone, which is gone when it is normalised: no name of the Hub for that. */
static void test_parts_of_normalised(void **state) {
  static const char *const rows[][3] = {
      {"Host/a", "host", "a"},
      {"Host/b/a:1", "host", "b/a"},
      {"host/a", "docker.io", "host/a"},
      {"a", "docker.io", "library/a"},
      {"LOCALHOST/a", "localhost", "a"},
      {"r.io:80/a@sha256:" HEX64, "r.io:80", "a"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_image image = {0};
    mg_str normalised = mg_image_normalise(*state, mg_str_of(rows[i][0]));
    bool good = mg_image_parse_normalised(*state, normalised, &image);
    if (!good || !mg_str_is(image.domain, rows[i][1]) || !mg_str_is(image.path, rows[i][2]))
      fail_msg("%s: %.*s %.*s", rows[i][0], MG_FMT(image.domain), MG_FMT(image.path));
  }
  assert_false(mg_image_parse_normalised(*state, MG_S("$IMG"), &(struct mg_image){0}));
}

/* A NUL is a byte like any other bad one, and the length is the string's. */
static void test_nul(void **state) {
  static const char text[] = "nginx\0:1";
  mg_str got = mg_image_normalise(*state, (mg_str){text, sizeof(text) - 1});
  assert_ptr_equal(got.p, text);
  assert_int_equal(got.n, sizeof(text) - 1);
  assert_true(mg_str_is(mg_image_normalise(*state, (mg_str){text, 5}), "docker.io/library/nginx:latest"));
  assert_int_equal(mg_image_normalise(*state, (mg_str){0}).n, 0);
}

/* What can be asked, where a reference takes any digits for a port. */
static void test_is_domain(void **state) {
  (void)state;
  static const char *const good[] = {"localhost", "registry", "NVCR.io", "a.b-c.io:1", "10.0.0.1:65535", "[::1]", "[::1]:5000"};
  static const char *const bad[] = {"",    "https://x", "x/y", "a b",  "*.x",   "a_b.io", ".x",    "x.",
                                    "x:0", "x:65536",   "x:",  "x:1x", "x:1:2", "[::1",   "::1",   "[::1]:65536",
                                    "-x",  "x:4294967297", "user@x", "[x]"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    if (!mg_image_is_domain(mg_str_of(good[i]))) fail_msg("%s is one", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    if (mg_image_is_domain(mg_str_of(bad[i]))) fail_msg("%s is none", bad[i]);
}

static void test_no_memory(void **state) {
  (void)state;
  struct mg_arena arena;
  mg_arena_init(&arena, 1, 0);
  static const char text[] = "nginx";
  mg_str got = mg_image_normalise(&arena, mg_str_of(text));
  assert_ptr_equal(got.p, text);
  assert_true(arena.failed);
  mg_arena_fini(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hub),    cmocka_unit_test(test_domain),  cmocka_unit_test(test_path), cmocka_unit_test(test_tag),
      cmocka_unit_test(test_digest), cmocka_unit_test(test_lengths), cmocka_unit_test(test_nul),
      cmocka_unit_test(test_is_domain), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_parts),
      cmocka_unit_test(test_parts_of_normalised),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
