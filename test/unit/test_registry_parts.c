/* The parts of the registry's client that need no registry. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "registry/cache.h"
#include "registry/challenge.h"
#include "registry/disk.h"
#include "registry/inner.h"
#include "registry/quota.h"
#include "registry/target.h"

#define DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MIB ((int64_t)1 << 20)

static void same(mg_str got, const char *want) {
  if (!mg_str_is(got, want)) fail_msg("\"%.*s\" is not \"%s\"", MG_FMT(got), want);
}

/* ---- challenges ---- */

static void test_challenges(void **state) {
  static const struct {
    const char *header;
    enum mg_scheme scheme;
    const char *realm, *service, *scope;
  } rows[] = {
      {"Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a/b:pull,push\"", MG_SCHEME_BEARER, "https://a/t", "s",
       "repository:a/b:pull,push"},
      {"bEARER REALM=\"https://a/t\" , Service = s", MG_SCHEME_BEARER, "https://a/t", "s", ""},
      {"Basic realm=\"x\", Bearer realm=\"https://a/t\",service=s", MG_SCHEME_BEARER, "https://a/t", "s", ""},
      {"Bearer realm=\"https://a/t\", Basic realm=\"x\"", MG_SCHEME_BEARER, "https://a/t", "", ""},
      {"Basic realm=\"a \\\"b\\\", c\"", MG_SCHEME_BASIC, "a \"b\", c", "", ""},
      {"Basic", MG_SCHEME_BASIC, "", "", ""},
      {"Bearer service=\"no realm\"", MG_SCHEME_NONE, "", "", ""},
      {"Bearer service=\"no realm\", Basic realm=x", MG_SCHEME_BASIC, "x", "", ""},
      {"Negotiate YII=, Basic realm=x", MG_SCHEME_BASIC, "x", "", ""},
      {"Digest realm=\"x\"", MG_SCHEME_NONE, "", "", ""},
      {"", MG_SCHEME_NONE, "", "", ""},
      {",,= \"", MG_SCHEME_NONE, "", "", ""},
      {"Bearer realm=\"open", MG_SCHEME_BEARER, "open", "", ""},
      {"Bearer realm=\"ends in \\", MG_SCHEME_BEARER, "ends in \\", "", ""},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_arena arena;
    struct mg_challenge c;
    mg_arena_init(&arena, 65536, 0);
    mg_challenge_read(&arena, mg_str_of(rows[i].header), &c);
    if (c.scheme != rows[i].scheme) fail_msg("%s: scheme %d", rows[i].header, (int)c.scheme);
    same(c.realm, rows[i].realm);
    same(c.service, rows[i].service);
    same(c.scope, rows[i].scope);
    mg_arena_fini(&arena);
  }
}

/* ---- credentials ---- */

static struct mg_keyring *ring_of(const char *json) {
  struct mg_keyring *ring = NULL;
  struct mg_err err = {0};
  if (mg_keyring_new(&ring, mg_str_of(json), &err) < 0) fail_msg("%s: %s", json, err.text);
  return ring;
}

static bool matches(const char *key, const char *domain, const char *path) {
  char json[512];
  struct mg_login logins[MG_LOGINS_MAX];
  snprintf(json, sizeof json, "{\"auths\":{\"%s\":{\"username\":\"u\",\"password\":\"p\"}}}", key);
  struct mg_keyring *ring = ring_of(json);
  uint32_t n = mg_keyring_match(ring, mg_str_of(domain), mg_str_of(path), logins);
  mg_keyring_unref(ring);
  return n == 1;
}

static void test_keys(void **state) {
  static const struct {
    const char *key, *domain, *path;
    bool match;
  } rows[] = {
      {"https://index.docker.io/v1/", "docker.io", "library/nginx", true},
      {"https://index.docker.io/v1", "docker.io", "library/nginx", false},
      {"index.docker.io", "docker.io", "library/nginx", true},
      {"docker.io", "docker.io", "library/nginx", true},
      {"https://foo.io/v1/", "foo.io", "a", true},
      {"https://foo.io/v1", "foo.io", "a", false},
      {"http://foo.io/v2/", "foo.io", "a", true},
      {"foo.io/", "foo.io", "a", true},
      {"foo.io/team", "foo.io", "team-b/x", true},
      {"foo.io/team/", "foo.io", "team-b/x", false},
      {"foo.io/team/", "foo.io", "team/x", true},
      {"*.foo.io", "a.foo.io", "x", true},
      {"*.foo.io", "foo.io", "x", false},
      {"*.foo.io", "a.b.foo.io", "x", false},
      {"a*.foo.io", "abc.foo.io", "x", true},
      {"*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.us-east-1.amazonaws.com", "app", true},
      {"foo.io", "foo.io:5000", "x", false},
      {"foo.io:443", "foo.io", "x", false},
      {"foo.io:5000", "foo.io:5000", "x", true},
      {"foo.io:*", "foo.io:5000", "x", false},
      {"[ab].foo.io", "a.foo.io", "x", false},
      {"?.foo.io", "a.foo.io", "x", false},
      {"FOO.io", "foo.io", "x", false},
      {"foo.io/*", "foo.io", "x", false},
      {"[::1]:5000", "[::1]:5000", "x", true},
      {"", "foo.io", "x", false},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (matches(rows[i].key, rows[i].domain, rows[i].path) != rows[i].match)
      fail_msg("%s and %s/%s: not %d", rows[i].key, rows[i].domain, rows[i].path, rows[i].match);
}

static void test_key_order(void **state) {
  static const char *const want[] = {"4", "3", "2", "1"};
  struct mg_login logins[MG_LOGINS_MAX];
  (void)state;
  struct mg_keyring *ring = ring_of("{\"auths\":{\"*.io\":{\"username\":\"1\"},\"foo.io/team/x\":{\"username\":\"4\"},"
                                    "\"foo.io\":{\"username\":\"2\"},\"foo.io/team\":{\"username\":\"3\"},"
                                    "\"bar.io\":{\"username\":\"no\"}}}");
  assert_int_equal(mg_keyring_match(ring, MG_S("foo.io"), MG_S("team/x"), logins), 4);
  for (size_t i = 0; i < 4; i++) same(logins[i].user, want[i]);
  mg_keyring_unref(ring);
  assert_int_equal(mg_keyring_match(NULL, MG_S("foo.io"), MG_S("x"), logins), 0);
}

static void test_logins(void **state) {
  static const struct {
    const char *entry, *user, *secret; /* user NULL: no login */
  } rows[] = {
      {"{\"auth\":\"dTpwOnE=\"}", "u", "p:q"},
      {"{\"auth\":\"dTpwOnE\"}", "u", "p:q"},
      {"{\"auth\":\"dTpw\\nOnE=\\n\",\"username\":\"other\"}", "u", "p:q"},
      {"{\"username\":\"u\",\"password\":\"\\u0070\"}", "u", "p"},
      {"{\"auth\":\"bm9jb2xvbg==\"}", NULL, NULL},
      {"{\"auth\":\"*\"}", NULL, NULL},
      {"{}", NULL, NULL},
      {"{\"credHelpers\":1}", NULL, NULL},
      {"7", NULL, NULL},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char json[256];
    struct mg_login logins[MG_LOGINS_MAX];
    snprintf(json, sizeof json, "{\"foo.io\":%s}", rows[i].entry); /* the inner map of a .dockercfg */
    struct mg_keyring *ring = ring_of(json);
    uint32_t n = mg_keyring_match(ring, MG_S("foo.io"), MG_S("x"), logins);
    if (n != (rows[i].user ? 1u : 0u)) fail_msg("%s: %u logins", rows[i].entry, n);
    if (n) same(logins[0].user, rows[i].user);
    if (n) same(logins[0].secret, rows[i].secret);
    mg_keyring_unref(ring);
  }
}

static void test_bad_keyring(void **state) {
  struct mg_keyring *ring = (struct mg_keyring *)(uintptr_t)8;
  struct mg_err err = {0};
  (void)state;
  assert_true(mg_keyring_new(&ring, MG_S("{\"auths\":{"), &err) < 0);
  assert_null(ring);
  assert_true(mg_keyring_read(&ring, "/nonexistent/config.json", &err) == MG_E_IO);
  assert_null(ring);
  mg_keyring_unref(NULL);
}

/* A file is read again when it changes, and tokens that came of it are gone then. */
static void test_keyring_file(void **state) {
  char path[] = "/tmp/mg-test-keyring-XXXXXX";
  struct mg_origins origins;
  struct mg_login logins[MG_LOGINS_MAX];
  struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
  (void)state;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(mg_origins_init(&origins), 0);
  assert_int_equal(write(fd, "{\"foo.io\":{\"username\":\"u\"}}", 27), 27);
  assert_int_equal(futimens(fd, old), 0);
  struct mg_keyring *one = mg_origin_keyring(&origins, path), *two = mg_origin_keyring(&origins, path);
  assert_ptr_equal(one, two);
  assert_int_equal(mg_keyring_match(one, MG_S("foo.io"), MG_S("x"), logins), 1);
  mg_origin_keep_token(&origins, MG_S("foo.io"), MG_S("x"), "Bearer t", 100);
  assert_string_equal(mg_origin_token(&origins, MG_S("foo.io"), MG_S("x"), 99), "Bearer t");
  assert_null(mg_origin_token(&origins, MG_S("foo.io"), MG_S("x"), 100));
  assert_null(mg_origin_token(&origins, MG_S("foo.io"), MG_S("y"), 99));
  assert_int_equal(pwrite(fd, "{\"bar.io\":{\"username\":\"v\"}}", 27, 0), 27);
  struct mg_keyring *three = mg_origin_keyring(&origins, path);
  assert_ptr_not_equal(one, three);
  assert_int_equal(mg_keyring_match(three, MG_S("foo.io"), MG_S("x"), logins), 0);
  assert_null(mg_origin_token(&origins, MG_S("foo.io"), MG_S("x"), 99));
  mg_keyring_unref(one);
  mg_keyring_unref(two);
  mg_keyring_unref(three);
  assert_null(mg_origin_keyring(&origins, NULL));
  close(fd);
  unlink(path);
  mg_origins_fini(&origins);
}

/* One that could not be opened for once is read the next time, changed or not; one that makes no sense is not. */
static void test_keyring_unread(void **state) {
  char path[] = "/tmp/mg-test-keyring-XXXXXX";
  struct mg_origins origins;
  struct rlimit before, none;
  (void)state;
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(mg_origins_init(&origins), 0);
  assert_int_equal(write(fd, "{\"foo.io\":{\"username\":\"u\"}}", 27), 27);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = (struct rlimit){0, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  struct mg_keyring *refused = mg_origin_keyring(&origins, path);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_null(refused);
  struct mg_keyring *read = mg_origin_keyring(&origins, path);
  assert_non_null(read);
  mg_keyring_unref(read);
  close(fd);
  unlink(path);
  mg_origins_fini(&origins);
}

/* ---- what hosts ask for ---- */

static void test_throttle(void **state) {
  struct mg_origin o = {0};
  struct mg_transfer_reply reply = {.status = 429, .retry_after = 7, .quota = -1, .quota_left = -1};
  (void)state;
  mg_origin_note(&o, &reply, 1000);
  assert_int_equal(o.throttled_until, 8000);
  reply.retry_after = 100000;
  mg_origin_note(&o, &reply, 1000);
  assert_int_equal(o.throttled_until, 1000 + MG_ORIGIN_WAIT_MAX_S * 1000);
  reply.retry_after = -1;
  mg_origin_note(&o, &reply, 1000);
  assert_int_equal(o.throttled_until, 1000 + MG_ORIGIN_WAIT_S * 1000);
  reply = (struct mg_transfer_reply){.status = 200, .retry_after = -1, .quota = 100, .quota_left = 10};
  mg_origin_note(&o, &reply, 1000);
  assert_int_equal(o.low_until, 0);
  reply.quota_left = 9;
  mg_origin_note(&o, &reply, 1000);
  assert_true(o.low_until > 1000);
  reply.quota_left = 100;
  mg_origin_note(&o, &reply, 1000);
  assert_int_equal(o.low_until, 0);
}

static void test_targets(void **state) {
  static const struct {
    const char *url, *where; /* NULL: none to ask */
    bool plain;
  } rows[] = {
      {"https://Foo.io/v2/x?y=z", "foo.io:443", false}, {"http://foo.io/", "foo.io:80", true},
      {"https://foo.io:5000", "foo.io:5000", false},    {"https://[::1]:5000/", "[::1]:5000", false},
      {"https://u:p@foo.io/", NULL, false},             {"https://u@foo.io/", NULL, false},
      {"ftp://foo.io/", NULL, false},                   {"file:///etc/passwd", NULL, false},
      {"/relative", NULL, false},                       {"", NULL, false},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct mg_target t;
    bool good = mg_target_read(rows[i].url, &t);
    if (good != (rows[i].where != NULL)) fail_msg("%s: %d", rows[i].url, good);
    if (good) assert_string_equal(t.where, rows[i].where);
    if (good) assert_int_equal(t.plain, rows[i].plain);
  }
}

/* ---- addresses ---- */

static void on_end(void *ctx, const struct mg_transfer_reply *reply) {
  *(int *)ctx = (int)reply->end;
}

static int end_of(const char *url, enum mg_guard guard) {
  struct mg_transfers *all = mg_transfers_new();
  int end = -1;
  struct mg_transfer_request r = {
      .method = "GET", .url = url, .verify = true, .guard = guard, .timeout_ms = 2000, .max = 10, .done = on_end, .ctx = &end};
  assert_non_null(all);
  assert_true(mg_transfer_start(all, &r));
  for (int i = 0; i < 50 && end < 0; i++) mg_transfers_turn(all, 50);
  mg_transfers_free(all);
  return end;
}

static void test_guard(void **state) {
  static const char *const local[] = {
      "http://127.0.0.1:1/", "http://127.9.9.9:1/", "http://0.0.0.0:1/",            "http://169.254.169.254/", "http://[::1]:1/",
      "http://[fe80::1]/",   "http://[ff02::1]/",   "http://[::ffff:127.0.0.1]:1/", "http://localhost:1/",
      "http://[64:ff9b::7f00:1]/",
  };
  static const char *const private[] = {
      "http://10.0.0.1/",  "http://172.31.255.1/",      "http://192.168.1.1/",    "http://100.64.0.1/",
      "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/", "http://[2002:a00:1::]/", "http://[64:ff9b::a00:1]/",
      "http://2130706433:1/",
  };
  (void)state;
  for (size_t i = 0; i < sizeof local / sizeof *local; i++)
    for (int guard = MG_GUARD_LOCAL; guard <= MG_GUARD_PRIVATE; guard++)
      if (end_of(local[i], (enum mg_guard)guard) != MG_TRANSFER_GUARDED) fail_msg("%s was tried", local[i]);
  for (size_t i = 0; i < sizeof private / sizeof *private; i++)
    if (end_of(private[i], MG_GUARD_PRIVATE) != MG_TRANSFER_GUARDED) fail_msg("%s was tried", private[i]);
  assert_int_equal(end_of("http://127.0.0.1:1/", MG_GUARD_NONE), MG_TRANSFER_UNREACHABLE);
}

/* ---- the table and the cache ---- */

static void drop_entry(struct mg_entry *entry) {
  free(entry);
}

static void put(struct mg_table *table, const char *key) {
  struct mg_entry *e = calloc(1, sizeof *e);
  assert_non_null(e);
  e->key = mg_str_of(key);
  mg_table_put(table, e);
}

static void test_table(void **state) {
  struct mg_table t;
  (void)state;
  assert_int_equal(mg_table_init(&t, 3, drop_entry), 0);
  put(&t, "a");
  put(&t, "b");
  put(&t, "c");
  assert_non_null(mg_table_get(&t, MG_S("a"))); /* now b is the oldest */
  put(&t, "d");
  assert_null(mg_table_get(&t, MG_S("b")));
  put(&t, "d"); /* the same key once */
  assert_int_equal(t.count, 3);
  assert_non_null(mg_table_get(&t, MG_S("a")));
  assert_non_null(mg_table_get(&t, MG_S("c")));
  mg_table_remove(&t, mg_table_get(&t, MG_S("a")));
  assert_null(mg_table_get(&t, MG_S("a")));
  mg_table_clear(&t);
  assert_int_equal(t.count, 0);
  assert_null(t.newest);
  mg_table_fini(&t);
}

static void test_troubles(void **state) {
  static const struct {
    enum mg_registry_result result;
    int64_t seconds;
  } rows[] = {{MG_REGISTRY_NOT_FOUND, 15}, {MG_REGISTRY_DENIED, 30}, {MG_REGISTRY_TIMEOUT, 10}, {MG_REGISTRY_UNREACHABLE, 10}};
  struct mg_cache cache;
  (void)state;
  assert_int_equal(mg_cache_init(&cache), 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    mg_cache_keep_trouble(&cache, MG_S("k"), rows[i].result, MG_S("why"), 1000);
    const struct mg_trouble *t = mg_cache_trouble(&cache, MG_S("k"), 1000 + rows[i].seconds * 1000 - 1);
    assert_non_null(t);
    assert_int_equal(t->result, rows[i].result);
    same(t->why, "why");
    assert_null(mg_cache_trouble(&cache, MG_S("k"), 1000 + rows[i].seconds * 1000));
  }
  mg_cache_keep_tag(&cache, MG_S("r"), MG_S("d"), 1000);
  same(mg_cache_tag(&cache, MG_S("r"), 60999), "d");
  assert_int_equal(mg_cache_tag(&cache, MG_S("r"), 61000).n, 0);
  same(mg_cache_last_tag(&cache, MG_S("r")), "d");
  mg_cache_fini(&cache);
}

/* ---- boxes ---- */

static struct mg_layer_fact layers_a[] = {
    {.digest = {DIGEST_A, 71}, .diff_id = {"x", 1}, .media_type = {"t", 1}, .size = 300 * MIB, .command = {"RUN a", 5},
     .file_size = -1},
    {.digest = {DIGEST_B, 71}, .size = 400 * MIB, .proof = MG_PROOF_FILE, .what = {"m/a.gguf", 8}, .file_size = 399 * MIB,
     .looked_into = true},
};
static struct mg_platform_fact platform_a = {
    .platform = {"linux/amd64", 11}, .digest = {DIGEST_B, 71}, .layers = layers_a, .layer_count = 2, .total = 700 * MIB,
    .proof = MG_PROOF_LABEL, .what = {"l", 1}};
static const struct mg_image_facts facts_a = {.digest = {DIGEST_A, 71}, .platforms = &platform_a, .platform_count = 1};

static struct mg_box *box_a(void) {
  struct mg_box_layer more[2] = {{.toc = {"1:2:3:4", 7}, .toc_digest = {DIGEST_B, 71}}, {.tried_until = MG_BOX_EVER}};
  struct mg_box_layer *const list[MG_PLATFORMS_MAX] = {more};
  struct mg_box *box = mg_box_new(&facts_a, list);
  assert_non_null(box);
  return box;
}

static void check_box_a(const struct mg_box *box) {
  assert_int_equal(box->facts.platform_count, 1);
  same(box->facts.digest, DIGEST_A);
  const struct mg_platform_fact *p = &box->facts.platforms[0];
  same(p->platform, "linux/amd64");
  same(p->digest, DIGEST_B);
  assert_int_equal(p->total, 700 * MIB);
  assert_int_equal(p->proof, MG_PROOF_LABEL);
  same(p->what, "l");
  assert_int_equal(p->layer_count, 2);
  same(p->layers[0].digest, DIGEST_A);
  same(p->layers[0].diff_id, "x");
  same(p->layers[0].media_type, "t");
  same(p->layers[0].command, "RUN a");
  assert_int_equal(p->layers[0].size, 300 * MIB);
  assert_int_equal(p->layers[0].proof, MG_PROOF_NONE);
  assert_false(p->layers[0].looked_into);
  assert_int_equal(p->layers[1].proof, MG_PROOF_FILE);
  same(p->layers[1].what, "m/a.gguf");
  assert_int_equal(p->layers[1].file_size, 399 * MIB);
  assert_true(p->layers[1].looked_into);
  same(box->more[0][0].toc, "1:2:3:4");
  same(box->more[0][0].toc_digest, DIGEST_B);
  assert_int_equal(box->more[0][0].tried_until, 0);
  assert_int_equal(box->more[0][1].tried_until, MG_BOX_EVER);
}

/* What could not be had is asked for again when its time is over; and sizes only where the history speaks of weights. */
static void test_wants(void **state) {
  enum mg_box_want wants[MG_PLATFORMS_MAX][MG_LAYERS_MAX];
  struct mg_box *box = box_a();
  struct mg_box_question q = {.evidence_size = 1 * MIB, .now = 1000};
  (void)state;
  box->more[0][1].tried_until = 2000;
  assert_int_equal(mg_box_wants(box, &q, wants), 1);
  assert_int_equal(wants[0][0], MG_WANT_BYTES);
  q.now = 2000;
  assert_int_equal(mg_box_wants(box, &q, wants), 2);
  q.evidence_size = 1000 * MIB;
  assert_int_equal(mg_box_wants(box, &q, wants), 0);
  assert_false(mg_box_wants_any(box, &q));
  box->facts.platforms[0].layers[0].proof = MG_PROOF_HISTORY;
  assert_int_equal(mg_box_wants(box, &q, wants), 1);
  assert_int_equal(wants[0][0], MG_WANT_SIZE);
  assert_true(mg_box_wants_any(box, &q));
  box->more[0][0].measured_until = MG_BOX_EVER;
  assert_int_equal(mg_box_wants(box, &q, wants), 0);
  box->facts.platforms[0].proof = MG_PROOF_HISTORY; /* that aligns with no layer: any may be the one */
  assert_int_equal(mg_box_wants(box, &q, wants), 1);
  assert_int_equal(wants[0][1], MG_WANT_SIZE);
  box->facts.platforms[0].malformed = MG_S("x");
  assert_int_equal(mg_box_wants(box, &q, wants), 0);
  mg_box_unref(box);
}

/* Facts with a hole in them are forgotten in time, unless nothing better is to be had, and never come to the disk. */
static void test_short_lived(void **state) {
  char dir[] = "/tmp/mg-test-box-XXXXXX";
  struct mg_cache cache;
  struct mg_box *box = box_a();
  (void)state;
  assert_int_equal(mg_cache_init(&cache), 0);
  assert_non_null(mkdtemp(dir));
  box->until = 2000;
  mg_cache_keep_box(&cache, MG_S(""), box);
  assert_ptr_equal(mg_cache_box(&cache, MG_S(DIGEST_A), MG_S(""), 1999), box);
  assert_null(mg_cache_box(&cache, MG_S(DIGEST_A), MG_S(""), 2000));
  assert_ptr_equal(mg_cache_box(&cache, MG_S(DIGEST_A), MG_S(""), 0), box);
  mg_disk_keep_box(dir, MG_S(""), box);
  assert_null(mg_disk_box(dir, MG_S(DIGEST_A), MG_S("")));
  assert_int_equal(rmdir(dir), 0);
  mg_cache_fini(&cache);
  mg_box_unref(box);
}

static void test_box(void **state) {
  struct mg_box *box = box_a(), *none = NULL;
  (void)state;
  check_box_a(box);
  struct mg_box_question q = {.evidence_size = 256 * MIB, .now = 1000, .bases = &none, .base_count = 1};
  assert_true(mg_box_wants_any(box, &q));
  struct mg_box *unread = mg_box_unread(box, &q, MG_S("too late"));
  assert_non_null(unread);
  same(unread->facts.platforms[0].layers[0].unread, "too late");
  assert_int_equal(unread->facts.platforms[0].layers[1].unread.n, 0);
  mg_box_unref(unread);
  q.evidence_size = 301 * MIB;
  assert_false(mg_box_wants_any(box, &q)); /* the larger one has been tried */
  q = (struct mg_box_question){.evidence_size = 256 * MIB, .bases = &box, .base_count = 1};
  assert_false(mg_box_wants_any(box, &q)); /* the base has it */
  assert_int_equal(mg_box_credit(box, 0, &box, 1), 2);
  mg_box_unref(box);
}

/* The files of a directory, and it; how many there were. */
static int remove_all(const char *dir) {
  char path[512];
  int n = 0;
  DIR *all = opendir(dir);
  assert_non_null(all);
  for (struct dirent *at; (at = readdir(all));) {
    snprintf(path, sizeof path, "%s/%s", dir, at->d_name);
    if (at->d_name[0] != '.' && unlink(path) == 0) n++;
  }
  closedir(all);
  assert_int_equal(rmdir(dir), 0);
  return n;
}

/* ---- pull secrets ---- */

static void test_merged_keyrings(void **state) {
  const mg_str jsons[] = {MG_S("{\"auths\":{\"foo.io\":{\"username\":\"2\"},\"foo.io/team\":{\"username\":\"1\"}}}"),
                          MG_S("{\"auths\":"),
                          MG_S("{\"foo.io\":{\"username\":\"3\"},\"*.io\":{\"username\":\"5\"}}"),
                          MG_S("{\"auths\":{\"foo.io\":{\"auth\":\"NDpw\"}}}")};
  struct mg_login logins[MG_LOGINS_MAX];
  struct mg_keyring *ring = NULL;
  struct mg_err err;
  bool good[4];
  (void)state;
  assert_int_equal(mg_keyring_merge(&ring, jsons, 4, good, &err), 0);
  assert_true(good[0] && !good[1] && good[2] && good[3]);
  assert_int_equal(mg_keyring_match(ring, MG_S("foo.io"), MG_S("team/x"), logins), 5);
  for (int i = 0; i < 5; i++) assert_int_equal(logins[i].user.p[0], '1' + i);
  same(logins[3].secret, "p");
  assert_true(mg_keyring_size(ring) < 4096);
  mg_keyring_unref(ring);
  assert_int_equal(mg_keyring_merge(&ring, jsons, 0, good, &err), 0);
  assert_int_equal(mg_keyring_match(ring, MG_S("foo.io"), MG_S("x"), logins), 0);
  mg_keyring_unref(ring);
}

static void test_pull_keys(void **state) {
  static char long_name[300];
  const mg_str names[] = {MG_S("a"), MG_S(""), MG_S("../b"), MG_S("b.c-d"), MG_S("A"), MG_S("x\ny"), MG_S("x/y"),
                          {long_name, 254}};
  char room[MG_PULL_KEY_ROOM];
  mg_str many[40], longest;
  struct mg_image_query q = {.ns = MG_S("ml"), .secrets = names, .secret_count = 8, .account = MG_S("train")};
  (void)state;
  memset(long_name, 'l', sizeof long_name);
  same(mg_pull_key(&q, room), "ml\nS:a\nS:b.c-d");
  q.secret_count = 0;
  same(mg_pull_key(&q, room), "ml\nA:train");
  q.account = MG_S("../train");
  same(mg_pull_key(&q, room), "");
  q.account = (mg_str){0};
  same(mg_pull_key(&q, room), "");
  for (size_t i = 0; i < 40; i++) many[i] = (mg_str){long_name, 253};
  q = (struct mg_image_query){.ns = {long_name, 63}, .secrets = many, .secret_count = 40};
  for (size_t i = 63; i < 253; i += 64) long_name[i] = '.';
  longest = mg_pull_key(&q, room);
  assert_int_equal(longest.n, 63 + MG_PULL_NAMES_MAX * (3 + 253));
  q.ns = MG_S("..");
  same(mg_pull_key(&q, room), "");
  q.ns = (mg_str){0}; /* of the command line, or a cluster's own object */
  same(mg_pull_key(&q, room), "");
}

static mg_str scope_of(const struct mg_settings *settings, const char *json, const char *reference, char room[MG_SCOPE_ROOM]) {
  struct mg_keyring *ring = ring_of(json);
  mg_str scope;
  assert_true(mg_pull_scope(settings, ring, mg_str_of(reference), room, &scope));
  mg_keyring_unref(ring);
  return scope;
}

/* The same logins are the same scope, whatever else their owner has; without any it is that of all. */
static void test_scopes(void **state) {
  static const struct mg_registry_host hosts[] = {{.host = {"foo.io", 6}, .mirror = {"mirror.io", 9}}};
  const struct mg_registry_options options = {.hosts = hosts, .host_count = 1};
  struct mg_settings *settings = mg_settings_new(&options);
  char one[MG_SCOPE_ROOM], two[MG_SCOPE_ROOM];
  (void)state;
#define A "\"foo.io\":{\"username\":\"u\",\"password\":\"hunter2\"}"
  mg_str plain = scope_of(settings, "{" A "}", "foo.io/a:1", one);
  assert_int_equal(plain.n, 64);
  assert_false(mg_str_has(plain, MG_S("hunter2")));
  same(scope_of(settings, "{" A ",\"bar.io\":{\"username\":\"v\"}}", "foo.io/a:2", two), one);
  same(scope_of(settings, "{" A ",\"foo.io/b\":{\"username\":\"v\"}}", "foo.io/a@" DIGEST_A, two), one);
  static const char *const others[] = {
      "{\"foo.io\":{\"username\":\"u\",\"password\":\"hunter3\"}}", "{\"foo.io\":{\"username\":\"uh\",\"password\":\"unter2\"}}",
      "{" A ",\"*.io\":{\"username\":\"v\"}}", "{" A ",\"mirror.io\":{\"username\":\"u\",\"password\":\"hunter2\"}}",
      "{\"mirror.io\":{\"username\":\"u\",\"password\":\"hunter2\"}}"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    mg_str scope = scope_of(settings, others[i], "foo.io/a:1", two);
    if (scope.n != 64 || mg_str_is(scope, one)) fail_msg("%s: \"%.*s\"", others[i], MG_FMT(scope));
  }
  same(scope_of(settings, "{" A "}", "bar.io/a:1", two), "");
  same(scope_of(settings, "{" A "}", "no reference", two), "");
  same(scope_of(settings, "{}", "foo.io/a:1", two), "");
#undef A
  mg_settings_unref(settings);
}

static void test_places(void **state) {
  static const struct {
    const char *reference, *place;
  } rows[] = {
      {"foo.io/a:1", "linux/amd64 foo.io/a"},
      {"foo.io:5000/a/b:1", "linux/amd64 foo.io:5000/a/b"},
      {"foo.io:5000/a@" DIGEST_A, "linux/amd64 foo.io:5000/a"},
  };
  char room[MG_NAME_ROOM], other[MG_NAME_ROOM];
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    same(mg_facts_place(mg_str_of(rows[i].reference), MG_S("linux/amd64"), room), rows[i].place);
  same(mg_facts_place(MG_S("foo.io/a:1"), MG_S(""), room), " foo.io/a");
  same(mg_image_named(MG_S("foo.io/a:1"), MG_S(""), other), "foo.io/a:1");
  same(mg_image_named(MG_S("foo.io/a:1"), MG_S("0af"), other), "0af foo.io/a:1");
}

/* The one file of a directory whose name begins so. */
static const char *file_in(const char *dir, const char *with) {
  static char path[512];
  DIR *all = opendir(dir);
  assert_non_null(all);
  path[0] = '\0';
  for (struct dirent *at; (at = readdir(all));)
    if (strncmp(at->d_name, with, strlen(with)) == 0) snprintf(path, sizeof path, "%s/%s", dir, at->d_name);
  closedir(all);
  assert_true(path[0]);
  return path;
}

static bool is_kept(const char *dir) {
  struct mg_box *box = mg_disk_box(dir, MG_S(DIGEST_A), MG_S("linux/amd64"));
  mg_box_unref(box);
  return box != NULL;
}

/* What somebody else could have written, or what is not what was written, is not there. */
static void test_disk_files_of_others(void **state) {
  char dir[] = "/tmp/mg-test-disk-XXXXXX", path[512], other[600];
  struct stat st;
  struct mg_err err;
  (void)state;
  assert_non_null(mkdtemp(dir));
  struct mg_box *box = box_a();
  mg_disk_keep_box(dir, MG_S("linux/amd64"), box);
  snprintf(path, sizeof path, "%s", file_in(dir, "image-"));
  snprintf(other, sizeof other, "%s.new", path);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_true(is_kept(dir));
  assert_int_equal(chmod(path, 0620), 0);
  assert_false(is_kept(dir));
  assert_int_equal(chmod(path, 0602), 0);
  assert_false(is_kept(dir));
  assert_int_equal(chmod(path, 0644), 0);
  assert_true(is_kept(dir));
  assert_int_equal(truncate(path, st.st_size - 8), 0);
  assert_false(is_kept(dir));
  mg_disk_keep_box(dir, MG_S("linux/amd64"), box);
  assert_true(is_kept(dir));
  assert_int_equal(rename(path, other), 0); /* as another run that writes it: it is left to that */
  assert_int_equal(symlink(other, path), 0);
  assert_false(is_kept(dir));
  mg_disk_keep_box(dir, MG_S("linux/amd64"), box);
  assert_false(is_kept(dir));
  const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}}; /* as one that has ended in the middle */
  assert_int_equal(utimensat(AT_FDCWD, other, old, 0), 0);
  mg_disk_keep_box(dir, MG_S("linux/amd64"), box);
  assert_true(is_kept(dir));
  mg_box_unref(box);
  assert_int_equal(mg_disk_open(path, &err), MG_E_IO);
  assert_int_equal(remove_all(dir), 1);
  assert_int_equal(mg_disk_open(path, &err), MG_E_IO);
}

static void test_disk(void **state) {
  char dir[] = "/tmp/mg-test-disk-XXXXXX", sub[64];
  struct mg_arena arena;
  struct mg_err err;
  struct stat st;
  (void)state;
  assert_non_null(mkdtemp(dir));
  snprintf(sub, sizeof sub, "%s/made", dir);
  struct mg_box *box = box_a();
  assert_int_equal(mg_disk_open(sub, &err), 0);
  assert_int_equal(stat(sub, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0700);
  mg_disk_keep_box(sub, MG_S("linux/amd64"), box);
  mg_disk_keep_tag(sub, MG_S("foo.io/a:1"), MG_S(DIGEST_A));
  mg_box_unref(box);
  struct mg_box *again = mg_disk_box(sub, MG_S(DIGEST_A), MG_S("linux/amd64"));
  assert_non_null(again);
  check_box_a(again);
  mg_box_unref(again);
  assert_null(mg_disk_box(sub, MG_S(DIGEST_A), MG_S("")));
  assert_null(mg_disk_box(sub, MG_S(DIGEST_B), MG_S("linux/amd64")));
  assert_null(mg_disk_box(NULL, MG_S(DIGEST_A), MG_S("linux/amd64")));
  mg_arena_init(&arena, 65536, 0);
  same(mg_disk_tag(sub, MG_S("foo.io/a:1"), &arena), DIGEST_A);
  assert_int_equal(mg_disk_tag(sub, MG_S("foo.io/a:2"), &arena).n, 0);
  mg_arena_fini(&arena);
  assert_int_equal(remove_all(sub), 2);
  assert_int_equal(rmdir(dir), 0);
}

/* ---- quotas ---- */

struct seen {
  unsigned rows;
  int64_t limit, left, other;
};

static void see(void *ctx, const struct mg_quota *quota) {
  struct seen *seen = ctx;
  seen->rows++;
  if (strcmp(quota->host, "host-0") == 0) seen->limit = quota->limit, seen->left = quota->left;
  if (strcmp(quota->host, "other") == 0) seen->other = quota->left;
}

static void test_quotas(void **state) {
  static struct mg_quotas q;
  struct seen seen = {0};
  (void)state;
  mg_quotas_init(&q);
  mg_quotas_each(&q, see, &seen);
  assert_int_equal(seen.rows, 0);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 100; i++) {
      char name[16];
      snprintf(name, sizeof name, "host-%d", i);
      mg_quotas_note(&q, mg_str_of(name), 1000, 500 - i - round);
    }
  mg_quotas_note(&q, MG_S("host-0"), -1, -1);
  mg_quotas_note(&q, MG_S("host-0"), 1000, -1);
  mg_quotas_note(&q, MG_S("host-0"), 0, 3);
  mg_quotas_note(&q, MG_S("host-99"), 1000, 900); /* there is a host that has less */
  mg_quotas_each(&q, see, &seen);
  assert_int_equal(seen.rows, MG_QUOTAS_MAX + 1);
  assert_int_equal(seen.limit, 1000);
  assert_int_equal(seen.left, 499);
  assert_int_equal(seen.other, 400);
  mg_quotas_fini(&q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_challenges), cmocka_unit_test(test_keys),     cmocka_unit_test(test_key_order),
      cmocka_unit_test(test_logins),     cmocka_unit_test(test_bad_keyring), cmocka_unit_test(test_keyring_file),
      cmocka_unit_test(test_keyring_unread),
      cmocka_unit_test(test_throttle),   cmocka_unit_test(test_targets),  cmocka_unit_test(test_guard),
      cmocka_unit_test(test_table),      cmocka_unit_test(test_troubles), cmocka_unit_test(test_box),
      cmocka_unit_test(test_wants),      cmocka_unit_test(test_short_lived),
      cmocka_unit_test(test_disk),       cmocka_unit_test(test_disk_files_of_others),
      cmocka_unit_test(test_merged_keyrings), cmocka_unit_test(test_pull_keys), cmocka_unit_test(test_scopes),
      cmocka_unit_test(test_places),     cmocka_unit_test(test_quotas),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
