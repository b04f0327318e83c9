/* Looking images up: what is there, layers, sessions, time, threads, the cache on disk. */
#include "registry_scene.h"

#include <dirent.h>
#include <time.h>
#include <zstd.h>

/* ---- what is there ---- */

static void test_image(void **state) {
  (void)state;
  mg_str digest = publish_image("t/a", "1", "models/a.gguf", 300 * MIB);
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r), *again = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  struct result one = settle(s, &q);
  known(&one);
  assert_true(mg_str_eq(one.facts->digest, digest));
  assert_int_equal(one.facts->platform_count, 1);
  const struct mg_platform_fact *p = &one.facts->platforms[0];
  assert_true(mg_str_is(p->platform, "linux/amd64"));
  assert_int_equal(p->layer_count, 1);
  assert_int_equal(p->layers[0].proof, MG_PROOF_FILE);
  assert_true(mg_str_is(p->layers[0].what, "models/a.gguf"));
  assert_int_equal(p->layers[0].file_size, 300 * MIB);
  assert_true(p->layers[0].looked_into);
  assert_int_equal(stub_count("HEAD "), 1);
  assert_int_equal(stub_count("GET "), 3); /* manifest, config, layer */
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_FETCHED), 1);
  struct result two = ask(again, &q);
  known(&two);
  assert_ptr_equal(one.facts, two.facts);
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_HIT), 1);
  assert_int_equal(stub_count("HEAD "), 1);
  mg_registry_session_free(s);
  assert_true(mg_str_eq(two.facts->digest, digest)); /* each session holds its own */
  mg_registry_session_free(again);
  mg_registry_free(r);
}

static void test_by_digest(void **state) {
  (void)state;
  mg_str digest = publish_image("t/a", NULL, "bin/sh", 300 * MIB);
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here(text_of("t/a@%.*s", MG_FMT(digest))));
  struct result one = settle(s, &q);
  known(&one);
  assert_int_equal(stub_count("HEAD "), 0);
  assert_int_equal(one.facts->platforms[0].layers[0].proof, MG_PROOF_NONE);
  assert_true(one.facts->platforms[0].layers[0].looked_into);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

/* Each platform is a pull, so only what can run is fetched. */
static void test_index(void **state) {
  (void)state;
  mg_str amd = manifest_of("t/i", "amd64", MG_S("amd"), 3), arm = manifest_of("t/i", "arm64", MG_S("arm"), 3);
  mg_str amd_digest = publish("t/i", NULL, MANIFEST, amd), arm_digest = publish("t/i", NULL, MANIFEST, arm);
  publish("t/i", "1", INDEX, mg_str_of(text_of(
      "{\"schemaVersion\":2,\"mediaType\":\"" INDEX "\",\"manifests\":["
      "{\"mediaType\":\"" MANIFEST "\",\"digest\":\"%.*s\",\"size\":%zu,"
      "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}},"
      "{\"mediaType\":\"" MANIFEST "\",\"digest\":\"%.*s\",\"size\":%zu,"
      "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}}]}",
      MG_FMT(amd_digest), amd.n, MG_FMT(arm_digest), arm.n)));
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here("t/i:1"));
  q.platform = MG_S("linux/arm64");
  struct result one = settle(s, &q);
  known(&one);
  assert_int_equal(one.facts->platform_count, 1);
  assert_true(mg_str_is(one.facts->platforms[0].platform, "linux/arm64"));
  assert_int_equal(stub_count(text_of("GET /v2/t/i/manifests/%.*s", MG_FMT(amd_digest))), 0);
  q.platform = (mg_str){0};
  one = settle(s, &q);
  known(&one);
  assert_int_equal(one.facts->platform_count, 2);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

/* ---- layers ---- */

/* The table of contents of a zstd:chunked layer, if it is the one that the manifest vouches for. */
static void test_toc(void **state) {
  static const char toc[] = "{\"version\":1,\"entries\":[{\"type\":\"reg\",\"name\":\"m/a.safetensors\",\"size\":314572800}]}";
  (void)state;
  for (int genuine = 1; genuine >= 0; genuine--) {
    stub_reset();
    char *packed = mg_arena_zero(&arena, 1, 1024);
    size_t n = ZSTD_compress(packed, 1024, toc, sizeof toc - 1, 3);
    assert_false(ZSTD_isError(n));
    mg_str layer = digest_of(MG_S("layer")), vouched = digest_of(genuine ? (mg_str){packed, n} : MG_S("other"));
    mg_str config = MG_S("{\"os\":\"linux\",\"architecture\":\"amd64\"}"), config_digest = blob("t/a", config);
    const char *path = text_of("/v2/t/a/blobs/%.*s", MG_FMT(layer));
    stub_add((struct stub_route){.path = path, .needs = "Range: bytes=1000-", .status = 206, .body = {packed, n}});
    stub_add((struct stub_route){.path = path, .status = 206, .body = MG_S("no tar")});
    publish("t/a", "1", MANIFEST, mg_str_of(text_of(
        "{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST "\",\"config\":{\"mediaType\":"
        "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%.*s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
        "\"application/vnd.oci.image.layer.v1.tar+zstd\",\"digest\":\"%.*s\",\"size\":%lld,\"annotations\":{"
        "\"io.github.containers.zstd-chunked.manifest-position\":\"1000:%zu:%zu:1\","
        "\"io.github.containers.zstd-chunked.manifest-checksum\":\"%.*s\"}}]}",
        MG_FMT(config_digest), config.n, MG_FMT(layer), (long long)(300 * MIB), n, sizeof toc - 1, MG_FMT(vouched))));
    struct mg_registry *r = open_plain();
    struct mg_registry_session *s = session_of(r);
    struct mg_image_query q = query_of(here("t/a:1"));
    struct result one = settle(s, &q);
    known(&one);
    assert_int_equal(one.facts->platforms[0].layers[0].proof, genuine ? MG_PROOF_FILE : MG_PROOF_NONE);
    assert_int_equal(stub_count("Range: bytes=0-"), !genuine);
    mg_registry_session_free(s);
    mg_registry_free(r);
  }
}

/* What a base has is not looked into; and a base that is not there is none. */
static void test_bases(void **state) {
  (void)state;
  publish_image("t/base", "1", "models/a.gguf", 300 * MIB);
  publish_image("t/a", "1", "models/a.gguf", 300 * MIB);
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  mg_str bases[] = {here("t/none:1"), here("t/base:1")};
  struct mg_image_query q = query_of(here("t/a:1"));
  q.bases = bases;
  q.base_count = 2;
  struct result one = settle(s, &q);
  known(&one);
  assert_null(one.bases[0]);
  assert_non_null(one.bases[1]);
  assert_false(one.facts->platforms[0].layers[0].looked_into);
  q.base_count = 0; /* now it has to be */
  one = settle(s, &q);
  known(&one);
  assert_true(one.facts->platforms[0].layers[0].looked_into);
  assert_int_equal(one.facts->platforms[0].layers[0].proof, MG_PROOF_FILE);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

/* A header that is wrong or not there: the body counts. */
static void test_no_digest_header(void **state) {
  static const char *const headers[] = {"Content-Type: " MANIFEST "\r\n",
                                        "Content-Type: " MANIFEST "\r\nDocker-Content-Digest: sha256:"
                                        "0000000000000000000000000000000000000000000000000000000000000000\r\n"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    char why[512];
    stub_reset();
    mg_str body = manifest_of("t/a", "amd64", MG_S("x"), 1);
    stub_add((struct stub_route){.path = "/v2/t/a/manifests/1", .status = 200, .headers = headers[i], .body = body});
    struct result one = once(here("t/a:1"), MG_REGISTRY_FETCHED, why);
    assert_int_equal(one.answer, MG_IMAGE_KNOWN);
  }
}

/* ---- time ---- */

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void count_call(void *ctx) {
  atomic_fetch_add((atomic_int *)ctx, 1);
}

static void wait_for(atomic_int *n, int want) {
  for (int i = 0; i < 1000 && atomic_load(n) < want; i++) usleep(10000);
  assert_int_equal(atomic_load(n), want);
}

static void test_late(void **state) {
  (void)state;
  atomic_int calls = 0;
  stub_add((struct stub_route){.path = "/v2/", .hang = true});
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  mg_registry_session_notify(s, 1000, count_call, &calls); /* nothing is under way */
  assert_int_equal(atomic_load(&calls), 1);
  assert_int_equal(ask(s, &q).answer, MG_IMAGE_WAIT);
  assert_int_equal(mg_registry_session_waiting(s), 1);
  int64_t began = now_ms();
  mg_registry_session_notify(s, 200, count_call, &calls);
  wait_for(&calls, 2);
  int64_t took = now_ms() - began;
  if (took < 190 || took > 1500) fail_msg("called back after %d ms", (int)took);
  assert_int_equal(ask(s, &q).answer, MG_IMAGE_WAIT);
  assert_false(mg_registry_session_wait(s, 10));
  mg_registry_session_late(s);
  struct result one = ask(s, &q);
  assert_int_equal(one.answer, MG_IMAGE_UNKNOWN);
  has(one.why, "in time");
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_LATE), 1);
  assert_int_equal(mg_registry_session_waiting(s), 0);
  mg_registry_session_free(s);
  began = now_ms();
  mg_registry_free(r); /* does not wait for what hangs */
  assert_true(now_ms() - began < 500);
}

static void test_timeout(void **state) {
  (void)state;
  char why[512];
  stub_add((struct stub_route){.path = "/v2/", .hang = true});
  int64_t began = now_ms();
  assert_int_equal(once(here("t/a:1"), MG_REGISTRY_TIMEOUT, why).answer, MG_IMAGE_UNKNOWN);
  int64_t took = now_ms() - began;
  if (took < 1900 || took > 5000) fail_msg("%d ms", (int)took);
}

/* The answer comes after the review has gone, and the next one finds it. */
static void test_goes_on(void **state) {
  (void)state;
  publish_image("t/a", "1", "x", 1);
  stub_delay(50000);
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  assert_int_equal(ask(s, &q).answer, MG_IMAGE_WAIT);
  mg_registry_session_free(s);
  for (int i = 0; i < 500 && mg_registry_count(r, MG_REGISTRY_FETCHED) == 0; i++) usleep(10000);
  s = session_of(r);
  struct result one = ask(s, &q);
  known(&one);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

/* A hundred reviews at once, one look-up; all are called back. */
static void test_single_flight(void **state) {
  (void)state;
  atomic_int calls = 0;
  struct mg_registry_session *all[100];
  publish_image("t/a", "1", "models/a.gguf", 300 * MIB);
  stub_delay(20000);
  struct mg_registry *r = open_plain();
  struct mg_image_query q = query_of(here("t/a:1"));
  for (size_t i = 0; i < 100; i++) {
    all[i] = session_of(r);
    assert_int_equal(ask(all[i], &q).answer, MG_IMAGE_WAIT);
    mg_registry_session_notify(all[i], 10000, count_call, &calls);
  }
  wait_for(&calls, 100);
  for (size_t i = 0; i < 100; i++) {
    struct result one = ask(all[i], &q);
    known(&one);
    assert_int_equal(one.facts->platforms[0].layers[0].proof, MG_PROOF_FILE);
    mg_registry_session_free(all[i]);
  }
  assert_int_equal(stub_count("HEAD "), 1);
  assert_int_equal(stub_count("GET "), 3);
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_FETCHED), 1);
  mg_registry_free(r);
}

/* Sessions of many threads, some of which leave early. */
static struct mg_registry *shared;

static void *busy(void *arg) {
  size_t number = (size_t)(uintptr_t)arg;
  for (int i = 0; i < 40; i++) {
    struct mg_registry_session *s = NULL;
    char text[64];
    const struct mg_image_facts *facts, *bases[1];
    mg_str why;
    if (mg_registry_session_new(&s, shared) < 0) return (void *)(uintptr_t)"no session";
    struct mg_images images = mg_registry_session_images(s);
    snprintf(text, sizeof text, "127.0.0.1:%d/t/%s:1", stub.port, (number + (size_t)i) % 3 ? "a" : "none");
    struct mg_image_query q = query_of(mg_str_of(text));
    enum mg_image_answer a = images.ask(images.ctx, &q, &facts, bases, &why);
    if (a == MG_IMAGE_WAIT && i % 4) mg_registry_session_wait(s, 2000);
    if (i % 4 == 3) mg_registry_session_late(s);
    a = images.ask(images.ctx, &q, &facts, bases, &why);
    if (i % 4 == 3 && a == MG_IMAGE_WAIT) return (void *)(uintptr_t)"still waits";
    if (a == MG_IMAGE_KNOWN && facts->platform_count != 1) return (void *)(uintptr_t)"odd facts";
    mg_registry_session_free(s);
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  pthread_t threads[8];
  publish_image("t/a", "1", "models/a.gguf", 300 * MIB);
  shared = open_plain();
  for (size_t i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, busy, (void *)(uintptr_t)i), 0);
  struct mg_registry_options options = plain_options();
  for (int i = 0; i < 10; i++) assert_int_equal(mg_registry_configure(shared, &options, NULL), 0);
  for (size_t i = 0; i < 8; i++) {
    void *why = NULL;
    pthread_join(threads[i], &why);
    if (why) fail_msg("%s", (const char *)why);
  }
  mg_registry_free(shared);
}

/* ---- the disk ---- */

static void test_disk(void **state) {
  (void)state;
  publish_image("t/a", "1", "models/a.gguf", 300 * MIB);
  struct mg_registry_options options = plain_options();
  const char *dir = text_of("%s/cache", root);
  options.cache_dir = dir;
  struct mg_image_query q = query_of(here("t/a:1"));
  for (int offline = 0; offline < 2; offline++) {
    options.offline = offline;
    struct mg_registry *r = open_with(&options);
    struct mg_registry_session *s = session_of(r);
    struct result one = settle(s, &q);
    known(&one);
    assert_int_equal(one.facts->platforms[0].layers[0].proof, MG_PROOF_FILE);
    struct mg_image_query other = query_of(here("t/b:1"));
    if (offline) has(settle(s, &other).why, "not in the cache");
    mg_registry_session_free(s);
    mg_registry_free(r);
  }
  assert_int_equal(stub_count("HEAD "), 1);
  DIR *all = opendir(dir);
  assert_non_null(all);
  for (struct dirent *at; (at = readdir(all));)
    if (at->d_name[0] != '.') unlink(text_of("%s/%s", dir, at->d_name));
  closedir(all);
  assert_int_equal(rmdir(dir), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_image), TEST(test_by_digest), TEST(test_index),
      TEST(test_toc), TEST(test_bases), TEST(test_no_digest_header), TEST(test_late), TEST(test_timeout),
      TEST(test_goes_on), TEST(test_single_flight), TEST(test_threads), TEST(test_disk),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
