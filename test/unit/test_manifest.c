/* Manifests, indexes and configs into facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "registry/manifest.h"
#include "unit/chance.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define HEX16 "0123456789abcdef"
#define D(two) "sha256:" two "23456789abcdef" HEX16 HEX16 HEX16
#define OCI "application/vnd.oci.image."
#define MANIFEST OCI "manifest.v1+json"
#define INDEX OCI "index.v1+json"
#define LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define LAYER OCI "layer.v1.tar+gzip"

static int set_up(void **state) {
  static struct mg_arena arena;
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  *state = &arena;
  return 0;
}

static int tear_down(void **state) {
  mg_arena_fini(*state);
  return 0;
}

static struct mg_manifest m; /* it is large */

static void read_for(struct mg_arena *arena, const char *body, const char *platform) {
  struct mg_err err = {0};
  int code = mg_manifest_read(arena, mg_str_of(body), MG_S(""), mg_str_of(platform), &m, &err);
  if (code != 0) fail_msg("%s: %s", body, err.text);
}

static void read(struct mg_arena *arena, const char *body) {
  read_for(arena, body, "");
}

static void refuse(struct mg_arena *arena, const char *body, const char *type, const char *text) {
  struct mg_err err = {0};
  assert_int_equal(mg_manifest_read(arena, mg_str_of(body), mg_str_of(type), MG_S(""), &m, &err), MG_E_INVALID);
  assert_int_equal(err.code, MG_E_INVALID);
  if (!strstr(err.text, text)) fail_msg("%s: \"%s\" does not say \"%s\"", body, err.text, text);
}

static void expect_str(mg_str got, const char *want) {
  if (!mg_str_is(got, want)) fail_msg("\"%.*s\", not \"%s\"", MG_FMT(got), want);
}

/* --- manifests -------------------------------------------------------------------------------------------------------------- */

#define CONFIG(more) "\"config\":{\"mediaType\":\"" OCI "config.v1+json\",\"digest\":\"" D("c0") "\",\"size\":1000" more "}"
#define ITEM(digest, size) "{\"mediaType\":\"" LAYER "\",\"digest\":\"" digest "\",\"size\":" size "}"
#define IMAGE(layers) "{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST "\"," CONFIG("") ",\"layers\":" layers "}"

static void test_image(void **state) {
  read(*state, IMAGE("[" ITEM(D("a0"), "100") "," ITEM(D("a1"), "5000000000") "]"));
  assert_false(m.is_index);
  assert_int_equal(m.fact.layer_count, 2);
  assert_int_equal(m.fact.total, 5000001100);
  assert_int_equal(m.fact.layers[1].size, 5000000000);
  assert_int_equal(m.fact.layers[1].file_size, -1);
  assert_int_equal(m.fact.layers[1].proof, MG_PROOF_NONE);
  expect_str(m.fact.layers[0].digest, D("a0"));
  expect_str(m.fact.layers[0].media_type, LAYER);
  expect_str(m.config_digest, D("c0"));
  expect_str(m.config_media_type, OCI "config.v1+json");
  assert_int_equal(m.config_size, 1000);
  expect_str(m.fact.malformed, "");
  expect_str(m.fact.artifact, "");
  assert_int_equal(m.fact.digest.n, 71);
  read(*state, IMAGE("[]"));
  assert_int_equal(m.fact.total, 1000);
  expect_str(m.fact.malformed, "");
}

/* Facts must not lean on the body. */
static void test_copies(void **state) {
  static const char body[] = IMAGE("[" ITEM(D("a0"), "100") "]");
  char *text = malloc(sizeof body);
  assert_non_null(text);
  memcpy(text, body, sizeof body);
  read(*state, text);
  memset(text, 'x', sizeof body);
  expect_str(m.fact.layers[0].digest, D("a0"));
  expect_str(m.config_digest, D("c0"));
  expect_str(m.fact.layers[0].media_type, LAYER);
  free(text);
}

static void test_sizes(void **state) {
  static const struct {
    const char *size, *malformed; /* NULL: fine */
  } rows[] = {
      {"0", "layer 1 has a size of 0"},
      {"1", NULL},
      {"9007199254740992", NULL},
      {"9007199254740993", "layer 1 has a size of 9007199254740993"},
      {"-5", "layer 1 has a size of -5"},
      {"null", "layer 1 has no size"},
      {"\"12\"", "layer 1 has a size of \"12\""},
      {"1e10", "layer 1 has a size of 1e10"},
      {"1.5", "layer 1 has a size of 1.5"},
      {"9223372036854775807", "layer 1 has a size of 9223372036854775807"},
      {"9223372036854775808", "layer 1 has a size of 9223372036854775808"},
      {"{}", "layer 1 has a size that is no number"},
      {"[1]", "layer 1 has a size that is no number"},
      {"\"a\\u001b\\u202e\"", "layer 1 has a size of \"a\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[2048];
    snprintf(body, sizeof body, IMAGE("[" ITEM(D("a0"), "%s") "]"), rows[i].size);
    read(*state, body);
    expect_str(m.fact.malformed, rows[i].malformed ? rows[i].malformed : "");
    if (rows[i].malformed) assert_int_equal(m.fact.total, -1);
    else assert_true(m.fact.total > 1000);
  }
  read(*state, IMAGE("[{\"digest\":\"" D("a0") "\"}]"));
  expect_str(m.fact.malformed, "layer 1 has no size");
  read(*state, IMAGE("[{\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"size\":0}]"));
  expect_str(m.fact.malformed, ""); /* nothing at all is of that size */
}

static void test_malformed(void **state) {
  static const struct {
    const char *body, *malformed;
  } rows[] = {
      {"{\"mediaType\":\"" MANIFEST "\"," CONFIG("") "}", "no list of layers"},
      {IMAGE("null"), "no list of layers"},
      {IMAGE("{}"), "no list of layers"},
      {IMAGE("[7]"), "layer 1 has no size"},
      {IMAGE("[" ITEM("md5:00", "5") "]"), "layer 1 has no digest by sha256 or sha512"},
      {IMAGE("[" ITEM("sha256:ABC", "5") "]"), "layer 1 has no digest by sha256 or sha512"},
      {IMAGE("[" ITEM(D("a0"), "5") "," ITEM(D("a0"), "6") "]"), "layers 1 and 2 are the same blob with two sizes"},
      {"{\"mediaType\":\"" MANIFEST "\",\"layers\":[]}", "the config has no size"},
      {"{\"mediaType\":\"" MANIFEST "\",\"config\":{\"digest\":\"" D("c0") "\",\"size\":-1},\"layers\":[]}",
       "the config has a size of -1"},
      {"{\"mediaType\":\"" MANIFEST "\",\"config\":{\"digest\":\"\",\"size\":1},\"layers\":[]}",
       "the config has no digest by sha256 or sha512"},
      /* Runtimes, which are written in Go, read these keys as if they were in lower case; the last one holds. */
      {IMAGE("[" ITEM(D("a0"), "5") "],\"Layers\":[" ITEM(D("a0"), "-5") "]"), "layer 1 has a size of -5"},
      {IMAGE("[" ITEM(D("a0"), "5") "],\"layers\":[" ITEM(D("a0"), "-5") "]"), "layer 1 has a size of -5"},
      {IMAGE("[" ITEM(D("a0"), "5") "],\"layer\xc5\xbf\":[" ITEM(D("a0"), "-5") "]"), "layer 1 has a size of -5"},
      {IMAGE("[" ITEM(D("a0"), "5,\"SIZE\":-5") "]"), "layer 1 has a size of -5"},
      {IMAGE("[],\"LAYERS\":[],\"layers\":[" ITEM(D("a0"), "-5") "]"), "layer 1 has a size of -5"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    read(*state, rows[i].body);
    expect_str(m.fact.malformed, rows[i].malformed);
    assert_int_equal(m.fact.total, -1);
  }
}

static void test_same_blob_twice(void **state) {
  read(*state, IMAGE("[" ITEM(D("a0"), "5") "," ITEM(D("a1"), "7") "," ITEM(D("a0"), "5") "," ITEM(D("c0"), "1000") "]"));
  assert_int_equal(m.fact.total, 1012);
  assert_int_equal(m.fact.layer_count, 4);
}

static void test_many_layers(void **state) {
  for (int count = MG_LAYERS_MAX; count <= MG_LAYERS_MAX + 1; count++) {
    struct mg_buf body;
    mg_buf_init(&body, *state, (size_t)1 << 20);
    mg_buf_lit(&body, "{" CONFIG("") ",\"layers\":[");
    for (int i = 0; i < count; i++)
      mg_buf_printf(&body, "%s{\"digest\":\"sha256:%064x\",\"size\":9007199254740992}", i ? "," : "", i);
    mg_buf_lit(&body, "]}");
    mg_buf_byte(&body, '\0');
    read(*state, body.p);
    assert_int_equal(m.fact.layer_count, MG_LAYERS_MAX);
    assert_int_equal(m.fact.total, count > MG_LAYERS_MAX ? -1 : MG_LAYERS_MAX * 9007199254740992 + 1000);
    expect_str(m.fact.malformed, count > MG_LAYERS_MAX ? "257 layers, more than 256" : "");
  }
}

static void test_types(void **state) {
  static const struct {
    const char *body, *content_type;
    int is_index; /* -1: refused */
    const char *text;
  } rows[] = {
      {IMAGE("[]"), MANIFEST, 0, ""},
      {IMAGE("[]"), MANIFEST "; charset=utf-8", 0, ""},
      {IMAGE("[]"), "application/vnd.OCI.image.manifest.v1+json", 0, ""},
      {IMAGE("[]"), "application/json", 0, ""},
      {IMAGE("[]"), INDEX, -1, "sent as " INDEX ", but says that it is " MANIFEST},
      {IMAGE("[]"), "application/vnd.docker.distribution.manifest.v2+json", -1, "but says that it is"},
      {"{" CONFIG("") ",\"layers\":[]}", MANIFEST, 0, ""},
      {"{" CONFIG("") ",\"layers\":[]}", "text/plain", 0, ""},
      {"{\"manifests\":[]}", "", 1, ""},
      {"{\"manifests\":[]}", LIST, 1, ""},
      {"{\"manifests\":null}", INDEX, 1, ""},
      {"{\"mediaType\":\"" INDEX "\"}", "", 1, ""},
      {"{\"manifests\":7}", INDEX, -1, "manifests are no list"},
      {"{\"manifests\":[],\"layers\":[]}", "", -1, "both an index and a manifest"},
      {"{\"manifests\":[],\"LAYERS\":[]}", "", -1, "both an index and a manifest"},
      {"{\"mediaType\":\"" MANIFEST "\",\"manifests\":[],\"layers\":[]}", "", -1, "both an index and a manifest"},
      {"{}", "", -1, "no media type"},
      {"{\"mediaType\":\"application/vnd.x\\u001b\"}", "", -1, "media type application/vnd.x\xef\xbf\xbd"},
      {"{\"schemaVersion\":1,\"fsLayers\":[{\"blobSum\":\"" D("a0") "\"}],\"history\":[]}", "", -1, "schema 1"},
      {"{\"schemaVersion\":1}", "application/vnd.docker.distribution.manifest.v1+prettyjws", -1, "schema 1"},
      {"{}", "application/vnd.docker.distribution.manifest.v1+json; charset=utf-8", -1, "schema 1"},
      {"[]", MANIFEST, -1, "not a JSON object"},
      {"", MANIFEST, -1, ""},
      {"{", MANIFEST, -1, ""},
      {"{} {}", MANIFEST, -1, ""},
      {"<html>", "text/html", -1, ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    struct mg_err err = {0};
    if (rows[i].is_index < 0) {
      refuse(*state, rows[i].body, rows[i].content_type, rows[i].text);
      continue;
    }
    int code = mg_manifest_read(*state, mg_str_of(rows[i].body), mg_str_of(rows[i].content_type), MG_S(""), &m, &err);
    if (code) fail_msg("%s: %s", rows[i].body, err.text);
    assert_int_equal(m.is_index, rows[i].is_index);
  }
}

#define TYPED(artifact, config, layer) \
  "{\"mediaType\":\"" MANIFEST "\"," artifact "\"config\":{\"mediaType\":\"" config "\",\"digest\":\"" D("c0") \
  "\",\"size\":2},\"layers\":[{\"mediaType\":\"" layer "\",\"digest\":\"" D("a0") "\",\"size\":2176177120}]}"

static void test_artifacts(void **state) {
  static const struct {
    const char *body, *artifact;
    enum mg_proof image, layer;
  } rows[] = {
      {TYPED("", OCI "config.v1+json", LAYER), "", MG_PROOF_NONE, MG_PROOF_NONE},
      {TYPED("", "application/vnd.docker.container.image.v1+json", "application/x-gzip"), "", MG_PROOF_NONE, MG_PROOF_NONE},
      {TYPED("", "application/vnd.docker.container.image.v1+json", "application/vnd.ollama.image.model"),
       "application/vnd.ollama.image.model", MG_PROOF_NONE, MG_PROOF_MEDIA_TYPE},
      {TYPED("\"artifactType\":\"application/vnd.cncf.model.manifest.v1+json\",", "application/vnd.cncf.model.config.v1+json",
             "application/vnd.cncf.model.weight.v1.tar"),
       "application/vnd.cncf.model.manifest.v1+json", MG_PROOF_MEDIA_TYPE, MG_PROOF_MEDIA_TYPE},
      {TYPED("", "application/vnd.docker.ai.model.config.v0.1+json", "application/vnd.docker.ai.safetensors"),
       "application/vnd.docker.ai.model.config.v0.1+json", MG_PROOF_MEDIA_TYPE, MG_PROOF_MEDIA_TYPE},
      {TYPED("\"artifactType\":\"application/vnd.docker.attestation.manifest.v1+json\",", "application/vnd.oci.empty.v1+json",
             "application/vnd.in-toto+json"),
       "application/vnd.docker.attestation.manifest.v1+json", MG_PROOF_NONE, MG_PROOF_NONE},
      {TYPED("", "application/vnd.oci.empty.v1+json", LAYER), "application/vnd.oci.empty.v1+json", MG_PROOF_NONE, MG_PROOF_NONE},
      /* An artifact type alone makes nothing unfit to run. */
      {TYPED("\"artifactType\":\"application/vnd.x\",", OCI "config.v1+json", LAYER), "", MG_PROOF_NONE, MG_PROOF_NONE},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    read(*state, rows[i].body);
    expect_str(m.fact.artifact, rows[i].artifact);
    assert_int_equal(m.fact.proof, rows[i].image);
    assert_int_equal(m.fact.layers[0].proof, rows[i].layer);
    assert_int_equal(m.fact.total, 2176177122);
    if (rows[i].layer) assert_true(mg_str_eq(m.fact.layers[0].what, m.fact.layers[0].media_type));
  }
}

#define CHUNKED "containers.zstd-chunked.manifest-"
#define NOTED(digest, annotations) "{\"digest\":\"" digest "\",\"size\":5,\"annotations\":{" annotations "}}"
#define POSITION(start, at) "\"" start CHUNKED "position\":\"" at "\""
#define CHECKSUM(start, digest) "\"" start CHUNKED "checksum\":\"" digest "\""

static void test_annotations(void **state) {
  read(*state, "{" CONFIG("") ",\"layers\":["
               NOTED(D("a0"), POSITION("io.github.", "100:20:30:1") "," CHECKSUM("io.github.", D("a9"))) ","
               NOTED(D("a1"), POSITION("io.", "7:8:9:1") "," CHECKSUM("io.", D("a8"))) ","
               NOTED(D("a2"), "\"containerd.io/snapshot/stargz/toc.digest\":\"" D("a7") "\"") ","
               NOTED(D("a3"), POSITION("io.", "1 GET /") "," CHECKSUM("io.", D("a8"))) ","
               NOTED(D("a4"), POSITION("io.", "7:8:9:1"))
               "],\"annotations\":{\"org.opencontainers.image.title\":\"x\",\"org.cncf.model.title\":\"x\"}}");
  expect_str(m.toc[0], "100:20:30:1");
  expect_str(m.toc_digest[0], D("a9"));
  expect_str(m.toc[1], "7:8:9:1");
  expect_str(m.toc_digest[1], D("a8"));
  expect_str(m.toc[2], "");
  expect_str(m.toc_digest[2], D("a7"));
  for (int i = 3; i < 5; i++) assert_true(m.toc[i].n == 0 && m.toc_digest[i].n == 0);
  assert_int_equal(m.fact.proof, MG_PROOF_LABEL);
  expect_str(m.fact.what, "org.cncf.model.title");
}

static void test_inline_config(void **state) {
  static const struct {
    const char *data, *got;
  } rows[] = {{"e30=", "{}"}, {"e3s=", ""}, {"e30", ""}, {"e3==", ""}, {"====", ""}, {"!!!!", ""}, {"", ""}};
  mg_str digest = mg_digest_of(*state, MG_S("{}"));
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[512];
    snprintf(body, sizeof body, "{\"config\":{\"digest\":\"%.*s\",\"size\":2,\"data\":\"%s\"},\"layers\":[]}", MG_FMT(digest),
             rows[i].data);
    read(*state, body);
    expect_str(m.config_inline, rows[i].got);
  }
  read(*state, "{" CONFIG(",\"data\":\"e30=\"") ",\"layers\":[]}"); /* the digest of something else */
  expect_str(m.config_inline, "");
}

/* Of four platforms of each of many images at a time it would be too much to keep: it is asked for instead. */
static void test_large_inline_config(void **state) {
  const size_t n = (size_t)3 << 19; /* in base64, 2 MiB */
  char *data = malloc(n / 3 * 4 + 1), *bytes = calloc(1, n), *body = malloc(2 * n);
  assert_true(data && bytes && body);
  memset(data, 'A', n / 3 * 4);
  data[n / 3 * 4] = '\0';
  mg_str digest = mg_digest_of(*state, (mg_str){bytes, n});
  snprintf(body, 2 * n, "{\"config\":{\"digest\":\"%.*s\",\"size\":%zu,\"data\":\"%s\"},\"layers\":[]}",
           MG_FMT(digest), n, data);
  read(*state, body);
  assert_int_equal(m.config_inline.n, 0);
  assert_int_equal(m.config_size, n);
  assert_true(((struct mg_arena *)*state)->used < n / 8);
  free(data);
  free(bytes);
  free(body);
}

/* --- indexes ---------------------------------------------------------------------------------------------------------------- */

#define CHILD(digest, platform) "{\"mediaType\":\"" MANIFEST "\",\"digest\":\"" digest "\",\"size\":500" platform "}"
#define ON(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define ON_VARIANT(arch, v) ",\"platform\":{\"os\":\"linux\",\"architecture\":\"" arch "\",\"variant\":\"" v "\"}"
#define CHILDREN(list) "{\"schemaVersion\":2,\"mediaType\":\"" INDEX "\",\"manifests\":[" list "]}"

static void expect_children(struct mg_arena *arena, const char *body, const char *asked, const char *want) {
  struct mg_buf got;
  mg_buf_init(&got, arena, 4096);
  read_for(arena, body, asked);
  assert_true(m.is_index);
  for (uint32_t i = 0; i < m.child_count; i++)
    mg_buf_printf(&got, "%s%.2s=%.*s", i ? " " : "", m.children[i].digest.p + 7, MG_FMT(m.children[i].platform));
  expect_str(mg_buf_str(&got), want);
}

static void test_children(void **state) {
  const char *usual = CHILDREN(CHILD(D("a0"), ON("linux", "s390x")) "," CHILD(D("a1"), ON("linux", "arm64")) ","
                               CHILD(D("a2"), ON("linux", "amd64")) "," CHILD(D("a3"), ON("unknown", "unknown")) ","
                               CHILD(D("a4"), ON("windows", "amd64")) "," CHILD(D("a5"), ON_VARIANT("arm", "v7")));
  expect_children(*state, usual, "", "a2=linux/amd64 a1=linux/arm64 a0=linux/s390x a5=linux/arm/v7");
  expect_children(*state, usual, "linux/arm64", "a1=linux/arm64 a2=linux/amd64 a0=linux/s390x a5=linux/arm/v7");
  expect_children(*state, usual, "linux/arm", "a5=linux/arm/v7 a2=linux/amd64 a1=linux/arm64 a0=linux/s390x");
  expect_children(*state, CHILDREN(CHILD(D("a1"), ON("linux", "arm64"))), "linux/amd64", "a1=linux/arm64");
  expect_children(*state, CHILDREN(""), "", "");
  expect_children(*state, CHILDREN(CHILD(D("a1"), ON("linux", "amd64"))), "", "a1=linux/amd64");
  assert_int_equal(m.children[0].size, 500);
  expect_children(*state, CHILDREN(CHILD(D("a1"), ON("Linux", "x86_64")) "," CHILD(D("a2"), ON("", "aarch64")) ","
                                   CHILD(D("a3"), ON_VARIANT("arm64", "v8"))), "", "a1=linux/amd64 a2=linux/arm64");
}

/* What a runtime would pull must not hide behind annotations, odd types or many others. */
static void test_no_hiding(void **state) {
  expect_children(*state, CHILDREN(CHILD(D("a0"), ON("linux", "s390x")) "," CHILD(D("a1"), ON("linux", "riscv64")) ","
                                   CHILD(D("a2"), ON("linux", "ppc64le")) "," CHILD(D("a3"), ON("linux", "386")) ","
                                   CHILD(D("a4"), ON("linux", "amd64") ",\"annotations\":{\"vnd.docker.reference.type\":"
                                                                      "\"attestation-manifest\"}")),
                  "", "a4=linux/amd64 a0=linux/s390x a1=linux/riscv64 a2=linux/ppc64le");
  expect_children(*state, CHILDREN("{\"mediaType\":\"x\",\"digest\":\"" D("a0") "\",\"size\":\"5\"" ON("linux", "amd64") "},"
                                   CHILD(D("a1"), ON("linux", "amd64")) "," CHILD(D("a2"), "")),
                  "", "a0=linux/amd64 a2=");
  assert_int_equal(m.children[0].size, -1);
  expect_children(*state, CHILDREN(CHILD(D("a0"), ",\"annotations\":{\"vnd.docker.reference.type\":\"x\"}") ","
                                   CHILD(D("a1"), ON("linux", "s390x"))), "", "a1=linux/s390x a0=");
}

static void test_odd_children(void **state) {
  expect_children(*state, CHILDREN("7,null,{},[],{\"digest\":\"sha256:x\",\"size\":1}," CHILD(D("a0"), ",\"platform\":7") ","
                                   CHILD(D("a0"), ON("linux", "arm64")) "," CHILD(D("a1"), ",\"artifactType\":\"a/sbom\"")),
                  "", "a0=");
  expect_children(*state, CHILDREN("{\"mediaType\":\"" INDEX "\",\"digest\":\"" D("a0") "\",\"size\":1},"
                                   "{\"mediaType\":\"" LIST "\",\"digest\":\"" D("a1") "\",\"size\":1},"
                                   "{\"mediaType\":\"" INDEX "\",\"digest\":\"" D("a2") "\",\"size\":1}"), "", "");
  expect_str(m.nested[0], D("a0"));
  expect_str(m.nested[1], D("a1"));
  expect_children(*state, CHILDREN("{\"mediaType\":\"" INDEX "\",\"digest\":\"" D("a0") "\",\"size\":1},"
                                   CHILD(D("a1"), ON("linux", "amd64"))), "", "a1=linux/amd64");
  assert_int_equal(m.nested[0].n, 0);
}

static void test_many_children(void **state) {
  struct mg_buf body;
  mg_buf_init(&body, *state, (size_t)4 << 20);
  mg_buf_lit(&body, "{\"manifests\":[");
  for (int i = 0; i < 2000; i++)
    mg_buf_printf(&body, "{\"mediaType\":\"" MANIFEST "\",\"digest\":\"sha256:%064x\",\"size\":500,\"platform\":"
                  "{\"os\":\"linux\",\"architecture\":\"odd%d\"}},", i, i);
  mg_buf_lit(&body, CHILD(D("a0"), ON("linux", "amd64")) "]}");
  mg_buf_byte(&body, '\0');
  read(*state, body.p);
  assert_int_equal(m.child_count, MG_PLATFORMS_MAX);
  expect_str(m.children[0].digest, D("a0"));
}

static void test_too_large(void **state) {
  struct mg_buf body;
  mg_buf_init(&body, *state, (size_t)5 << 20);
  mg_buf_lit(&body, "{\"manifests\":[");
  while (body.n < ((size_t)4 << 20) - 2) mg_buf_byte(&body, ' ');
  mg_buf_lit(&body, "]}\0");
  read(*state, body.p); /* 4 MiB */
  struct mg_err err = {0};
  mg_str more = {body.p, body.n - 1};
  body.p[body.n - 1] = ' ';
  more.n = body.n;
  assert_int_equal(mg_manifest_read(*state, more, MG_S(""), MG_S(""), &m, &err), MG_E_INVALID);
  assert_non_null(strstr(err.text, "4194304 bytes"));
}

/* --- configs ---------------------------------------------------------------------------------------------------------------- */

#define TWO IMAGE("[" ITEM(D("a0"), "100") "," ITEM(D("a1"), "5000000000") "]")
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D("d0") "\",\"" D("d1") "\"]}"

static void add_config(struct mg_arena *arena, const char *manifest, const char *config) {
  struct mg_err err = {0};
  read(arena, manifest);
  if (mg_manifest_config(arena, mg_str_of(config), &m.fact, &err) != 0) fail_msg("%s: %s", config, err.text);
}

static void test_aligned_history(void **state) {
  add_config(*state, TWO, "{\"architecture\":\"amd64\",\"os\":\"linux\"," ROOTFS ",\"history\":["
             "{\"created_by\":\"/bin/sh -c #(nop) ADD file:01 in / \"},"
             "{\"created_by\":\"ENV HF_HOME=/models\",\"empty_layer\":true},"
             "{\"created_by\":\"COPY ./weights/ /models/ # buildkit\",\"comment\":\"buildkit.dockerfile.v0\"}]}");
  expect_str(m.fact.platform, "linux/amd64");
  expect_str(m.fact.layers[0].command, "ADD file:01 in /");
  expect_str(m.fact.layers[1].command, "COPY ./weights/ /models/");
  expect_str(m.fact.layers[1].diff_id, D("d1"));
  assert_int_equal(m.fact.layers[0].proof, MG_PROOF_NONE);
  assert_int_equal(m.fact.layers[1].proof, MG_PROOF_HISTORY);
  expect_str(m.fact.layers[1].what, "./weights/");
  assert_int_equal(m.fact.layers[1].file_size, -1);
  assert_int_equal(m.fact.proof, MG_PROOF_NONE);
}

/* buildah without layers: the one layer is called CMD, and every COPY empty. */
static void test_squashed_history(void **state) {
  add_config(*state, IMAGE("[" ITEM(D("a0"), "5000000000") "]"),
             "{\"architecture\":\"arm64\",\"os\":\"linux\",\"variant\":\"v8\","
             "\"rootfs\":{\"diff_ids\":[\"" D("d0") "\"]},\"history\":["
             "{\"created_by\":\"/bin/sh -c #(nop) COPY file:01 in /models/llama.gguf \",\"empty_layer\":true},"
             "{\"created_by\":\"/bin/sh -c #(nop) CMD [\\\"serve\\\"]\"}]}");
  expect_str(m.fact.platform, "linux/arm64");
  expect_str(m.fact.layers[0].command, "CMD [\"serve\"]");
  assert_int_equal(m.fact.layers[0].proof, MG_PROOF_NONE);
  assert_int_equal(m.fact.proof, MG_PROOF_HISTORY);
  expect_str(m.fact.what, "/models/llama.gguf");
}

static void test_unaligned_history(void **state) {
  static const char *const configs[] = {
      "{\"os\":\"linux\"," ROOTFS ",\"history\":[{\"created_by\":\"COPY a.gguf /\"}]}",
      "{\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[\"" D("d0") "\"]},"
      "\"history\":[{\"created_by\":\"COPY a.gguf /\"},{\"created_by\":\"COPY b /\"}]}",
      "{\"os\":\"linux\",\"history\":[{\"created_by\":\"COPY b /\"},{\"created_by\":\"COPY a.gguf /\"}]}",
  };
  for (size_t i = 0; i < COUNT(configs); i++) {
    add_config(*state, TWO, configs[i]);
    for (int k = 0; k < 2; k++) assert_true(m.fact.layers[k].command.n == 0 && m.fact.layers[k].proof == MG_PROOF_NONE);
    assert_int_equal(m.fact.proof, MG_PROOF_HISTORY);
    expect_str(m.fact.what, "a.gguf");
  }
}

static void test_no_history(void **state) {
  static const char *const configs[] = {
      "{}", "{\"history\":null}", "{\"history\":{}}", "{\"history\":[null,7,{\"created_by\":[]}],\"rootfs\":[]}",
      "{\"history\":[],\"rootfs\":{\"diff_ids\":null},\"config\":{\"Labels\":null}}",
      "{\"config\":7,\"rootfs\":{\"diff_ids\":[1,2]}}"};
  for (size_t i = 0; i < COUNT(configs); i++) {
    add_config(*state, TWO, configs[i]);
    assert_int_equal(m.fact.proof, MG_PROOF_NONE);
    expect_str(m.fact.platform, "");
    for (int k = 0; k < 2; k++) assert_true(m.fact.layers[k].command.n == 0 && m.fact.layers[k].diff_id.n == 0);
  }
  struct mg_err err = {0};
  assert_int_equal(mg_manifest_config(*state, MG_S("[]"), &m.fact, &err), MG_E_INVALID);
  assert_int_equal(mg_manifest_config(*state, MG_S("{\"a\":"), &m.fact, &err), MG_E_INVALID);
  assert_int_equal(err.code, MG_E_INVALID);
}

static void test_labels(void **state) {
  add_config(*state, TWO, "{\"config\":{\"Labels\":{\"a\":\"b\",\"gguf.model.name\":\"x\"}}}");
  assert_int_equal(m.fact.proof, MG_PROOF_LABEL);
  expect_str(m.fact.what, "gguf.model.name");
  add_config(*state, TWO, "{\"config\":{\"Labels\":{\"gguf.model.name\":\"x\"}},"
                          "\"history\":[{\"created_by\":\"COPY a.gguf /\"}]}");
  assert_int_equal(m.fact.proof, MG_PROOF_HISTORY); /* what a command says tells more */
  add_config(*state, TWO, "{\"config\":{\"Labels\":{\"org.opencontainers.image.base.name\":\"x\"}}}");
  assert_int_equal(m.fact.proof, MG_PROOF_NONE);
}

static void test_nothing_planted(void **state) {
  add_config(*state, TWO, "{" ROOTFS ",\"history\":[{\"created_by\":\"RUN |2 A=planted HF_TOKEN=hf_planted /bin/sh -c wget "
             "https://u:planted@x/m.gguf?token=planted # buildkit\"},{\"created_by\":\"/bin/sh -c #(nop) ARG KEY=planted\"}]}");
  expect_str(m.fact.layers[0].command, "RUN wget https://***@x/m.gguf?token=***");
  expect_str(m.fact.layers[0].what, "https://***@x/m.gguf");
  expect_str(m.fact.layers[1].command, "ARG KEY");
}

/* --- digests ---------------------------------------------------------------------------------------------------------------- */

static void test_digests(void **state) {
  mg_str empty = mg_digest_of(*state, MG_S(""));
  expect_str(empty, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert_true(mg_digest_matches(empty, MG_S("")));
  assert_false(mg_digest_matches(empty, MG_S("x")));
  assert_true(mg_digest_matches(MG_S("sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                                     "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"), (mg_str){0}));
  static const char *const bad[] = {"", "sha256:", "sha256", "sha256:abc", "md5:00", "SHA256:" HEX16 HEX16 HEX16 HEX16,
                                    "sha256:" HEX16 HEX16 HEX16 "0123456789abcdeF", "sha256:" HEX16 HEX16 HEX16 HEX16 "0",
                                    "sha512:" HEX16 HEX16 HEX16 HEX16};
  for (size_t i = 0; i < COUNT(bad); i++) {
    if (mg_digest_is_valid(mg_str_of(bad[i]))) fail_msg("%s is valid", bad[i]);
    assert_false(mg_digest_matches(mg_str_of(bad[i]), MG_S("")));
  }
  assert_true(mg_digest_is_valid(MG_S(D("a0"))));
}

/* --- whatever comes in ------------------------------------------------------------------------------------------------------ */

static void test_whatever_comes(void **state) {
  static const char odd[] = "{}[]\",:0-9e.\\\x1b\xc5\xbf null";
  static const char *const bodies[] = {
      TWO, CHILDREN(CHILD(D("a0"), ON("linux", "s390x")) "," CHILD(D("a1"), ON_VARIANT("arm64", "v8"))),
      "{\"architecture\":\"amd64\",\"os\":\"linux\"," ROOTFS ",\"config\":{\"Labels\":{\"gguf.model.a\":\"b\"}},\"history\":["
      "{\"created_by\":\"RUN |1 A=b /bin/sh -c hf download x\"},{\"created_by\":\"COPY a.gguf /\",\"empty_layer\":false}]}"};
  long runs = random_runs(2000);
  (void)state;
  for (long i = 0; i < runs; i++) {
    static struct mg_arena arena;
    struct mg_err err = {0};
    mg_arena_init(&arena, random_below(50) ? (size_t)1 << 20 : random_below(20000), 0); /* sometimes it runs out */
    const char *from = bodies[random_below(COUNT(bodies))];
    size_t n = strlen(from);
    char *p = malloc(n);
    assert_non_null(p);
    memcpy(p, from, n);
    for (uint32_t k = random_below(4); k-- > 0;) p[random_below((uint32_t)n)] = odd[random_below(sizeof odd)];
    if (random_below(8) == 0) n = random_below((uint32_t)n + 1);
    int code = mg_manifest_read(&arena, (mg_str){p, n}, MG_S(""), MG_S("linux/arm64"), &m, &err);
    assert_true(code == 0 || code == MG_E_INVALID || code == MG_E_NOMEM);
    if (code == 0 && !m.is_index) {
      assert_true((m.fact.total < 0) == (m.fact.malformed.n > 0));
      code = mg_manifest_config(&arena, mg_str_of(bodies[2]), &m.fact, &err);
      assert_true(code == 0 || code == MG_E_NOMEM);
    }
    struct mg_layer_fact layers[2] = {0};
    struct mg_platform_fact fact = {.layers = layers, .layer_count = random_below(3)};
    code = mg_manifest_config(&arena, (mg_str){p, n}, &fact, &err);
    assert_true(code == 0 || code == MG_E_INVALID || code == MG_E_NOMEM);
    free(p);
    mg_arena_fini(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_image, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_copies, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_same_blob_twice, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_many_layers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_types, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_artifacts, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_annotations, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_inline_config, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_large_inline_config, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_children, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_hiding, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_odd_children, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_many_children, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_aligned_history, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_squashed_history, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_unaligned_history, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_no_history, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_labels, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_nothing_planted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_digests, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_whatever_comes, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
