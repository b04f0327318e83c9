/* Images at the stub registry, and a session that asks for them. */
#pragma once
#include "stub_registry.h"

#include <signal.h>

#include "registry/manifest.h"
#include "registry/registry.h"

#define MIB ((int64_t)1 << 20)
#define MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define INDEX "application/vnd.oci.image.index.v1+json"
#define TEST(name) cmocka_unit_test_setup(name, reset)

static struct mg_arena arena; /* of what a test lays out */
static char root[64];

static inline const char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline const char *text_of(const char *format, ...) {
  va_list args;
  va_start(args, format);
  mg_str s = mg_arena_vprintf(&arena, format, args);
  va_end(args);
  assert_non_null(s.p);
  return s.p;
}

static inline mg_str digest_of(mg_str bytes) {
  mg_str d = mg_digest_of(&arena, bytes);
  assert_true(d.n > 0);
  return d;
}

/* ---- images ---- */

static inline struct stub_route *add_blob(const char *name, mg_str digest, mg_str bytes, int64_t total) {
  return stub_add((struct stub_route){
      .path = text_of("/v2/%s/blobs/%.*s", name, MG_FMT(digest)), .status = 200, .body = bytes, .total = total});
}

static inline mg_str blob(const char *name, mg_str bytes) {
  mg_str digest = digest_of(bytes);
  add_blob(name, digest, bytes, 0);
  return digest;
}

/* The head of a tar whose one file has this name and size, and nothing of the file. */
static inline mg_str tar_of(const char *name, int64_t size) {
  char *h = mg_arena_zero(&arena, 1, 1024);
  unsigned sum = 0;
  assert_non_null(h);
  snprintf(h, 100, "%s", name);
  snprintf(h + 100, 8, "0000644");
  snprintf(h + 124, 12, "%011llo", (unsigned long long)size);
  snprintf(h + 136, 12, "00000000000");
  memset(h + 148, ' ', 8);
  h[156] = '0';
  memcpy(h + 257, "ustar\00000", 8);
  for (int i = 0; i < 512; i++) sum += (unsigned char)h[i];
  snprintf(h + 148, 8, "%06o", sum);
  return (mg_str){h, 1024};
}

static inline mg_str manifest_of(const char *name, const char *arch, mg_str layer, int64_t layer_size) {
  mg_str config = mg_str_of(text_of("{\"os\":\"linux\",\"architecture\":\"%s\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"
                                    "[\"sha256:%064d\"]},\"history\":[{\"created_by\":\"RUN make\"}]}", arch, 0));
  mg_str config_digest = blob(name, config), layer_digest = digest_of(layer);
  add_blob(name, layer_digest, layer, layer_size);
  return mg_str_of(text_of("{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST "\",\"config\":{\"mediaType\":"
                           "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%.*s\",\"size\":%zu},\"layers\":["
                           "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%.*s\",\"size\":%lld}]}",
                           MG_FMT(config_digest), config.n, MG_FMT(layer_digest), (long long)layer_size));
}

/* A manifest or index under its digest and, with `tag`, under that. */
static inline mg_str publish(const char *name, const char *tag, const char *type, mg_str body) {
  mg_str digest = digest_of(body);
  const char *headers = text_of("Content-Type: %s\r\nDocker-Content-Digest: %.*s\r\n", type, MG_FMT(digest));
  struct stub_route route = {.status = 200, .headers = headers, .body = body};
  route.path = text_of("/v2/%s/manifests/%.*s", name, MG_FMT(digest));
  stub_add(route);
  route.path = text_of("/v2/%s/manifests/%s", name, tag ? tag : "");
  if (tag) stub_add(route);
  return digest;
}

static inline mg_str publish_image(const char *name, const char *tag, const char *file, int64_t size) {
  return publish(name, tag, MANIFEST, manifest_of(name, "amd64", tar_of(file, size), size));
}

static inline mg_str here(const char *rest) {
  return mg_str_of(text_of("127.0.0.1:%d/%s", stub.port, rest));
}

/* ---- asking ---- */

static inline struct mg_registry_options plain_options(void) {
  static struct mg_registry_host host;
  host = (struct mg_registry_host){.host = mg_str_of(text_of("127.0.0.1:%d", stub.port)), .insecure = true, .timeout_ms = 2000};
  return (struct mg_registry_options){.hosts = &host, .host_count = 1};
}

static inline struct mg_registry *open_with(const struct mg_registry_options *options) {
  struct mg_registry *r = NULL;
  struct mg_err err = {0};
  if (mg_registry_new(&r, options, &err) < 0) fail_msg("%s", err.text);
  return r;
}

static inline struct mg_registry *open_plain(void) {
  struct mg_registry_options options = plain_options();
  return open_with(&options);
}

static inline struct mg_registry_session *session_of(struct mg_registry *r) {
  struct mg_registry_session *s = NULL;
  assert_int_equal(mg_registry_session_new(&s, r), 0);
  return s;
}

struct result {
  enum mg_image_answer answer;
  const struct mg_image_facts *facts, *bases[4];
  mg_str why;
};

static inline struct mg_image_query query_of(mg_str reference) {
  return (struct mg_image_query){.reference = reference, .evidence_size = 256 * MIB};
}

static inline struct result ask(struct mg_registry_session *s, const struct mg_image_query *query) {
  struct mg_images images = mg_registry_session_images(s);
  struct result ret = {0};
  ret.answer = images.ask(images.ctx, query, &ret.facts, ret.bases, &ret.why);
  return ret;
}

/* Asks, waits, asks again. */
static inline struct result settle(struct mg_registry_session *s, const struct mg_image_query *query) {
  struct result ret = ask(s, query);
  if (ret.answer != MG_IMAGE_WAIT) return ret;
  assert_true(mg_registry_session_wait(s, 20000));
  ret = ask(s, query);
  assert_int_not_equal(ret.answer, MG_IMAGE_WAIT);
  return ret;
}

static inline void has(mg_str text, const char *part) {
  if (!mg_str_has(text, mg_str_of(part))) fail_msg("no \"%s\" in \"%.*s\"", part, MG_FMT(text));
}

static inline void known(const struct result *r) {
  if (r->answer != MG_IMAGE_KNOWN) fail_msg("not known: %.*s", MG_FMT(r->why));
}

/* One question to a registry of its own. */
static inline struct result once(mg_str reference, enum mg_registry_result want, char why[512]) {
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(reference);
  struct result ret = settle(s, &q);
  snprintf(why, 512, "%.*s", MG_FMT(ret.why));
  if (mg_registry_count(r, want) != 1) fail_msg("not %s: %s", mg_registry_result_words[want], why);
  ret.facts = NULL;
  mg_registry_session_free(s);
  mg_registry_free(r);
  return ret;
}

static inline int setup(void **state) {
  (void)state;
  signal(SIGPIPE, SIG_IGN);
  snprintf(root, sizeof root, "/tmp/mg-test-registry-XXXXXX");
  assert_non_null(mkdtemp(root));
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  return stub_start();
}

static inline int reset(void **state) {
  (void)state;
  stub_reset();
  mg_arena_reset(&arena);
  return 0;
}

static inline int teardown(void **state) {
  (void)state;
  stub_end();
  mg_arena_fini(&arena);
  return rmdir(root);
}
