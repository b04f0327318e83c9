/* Looking into layers: how much is read, what cannot be had, sizes that are not true, tables of contents. */
#include "registry_scene.h"

#include <zlib.h>

#include "registry/inner.h"

struct layer {
  mg_str bytes;
  int64_t claimed, held; /* held 0: as claimed */
  const char *command, *annotations;
};

/* Layers without a command are those of which the history does not speak; NULL in the first: no history at all. */
static mg_str body_of(const char *name, const char *arch, const struct layer *layers, size_t count) {
  struct mg_buf rows, history, diffs;
  mg_buf_init(&rows, &arena, 1 << 20);
  mg_buf_init(&history, &arena, 1 << 20);
  mg_buf_init(&diffs, &arena, 1 << 20);
  for (size_t i = 0; i < count; i++) {
    const char *comma = i ? "," : "";
    mg_str digest = digest_of(mg_str_of(text_of("%s %s %zu", name, arch, i)));
    add_blob(name, digest, layers[i].bytes, layers[i].held ? layers[i].held : layers[i].claimed);
    mg_buf_printf(&rows, "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%.*s\",\"size\":%lld%s%s}",
                  comma, MG_FMT(digest), (long long)layers[i].claimed, layers[i].annotations ? ",\"annotations\":" : "",
                  layers[i].annotations ? layers[i].annotations : "");
    if (layers[i].command) mg_buf_printf(&history, "%s{\"created_by\":\"%s\"}", history.n ? "," : "", layers[i].command);
    mg_buf_printf(&diffs, "%s\"%.*s\"", comma, MG_FMT(digest));
  }
  mg_str config = mg_str_of(text_of("{\"os\":\"linux\",\"architecture\":\"%s\",\"rootfs\":{\"diff_ids\":[%.*s]},"
                                    "\"history\":[%.*s]}", arch, MG_FMT(mg_buf_str(&diffs)), MG_FMT(mg_buf_str(&history))));
  return mg_str_of(text_of("{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST "\",\"config\":{\"mediaType\":"
                           "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%.*s\",\"size\":%zu},\"layers\":[%.*s]}",
                           MG_FMT(blob(name, config)), config.n, MG_FMT(mg_buf_str(&rows))));
}

static void publish_layers(const struct layer *layers, size_t count) {
  publish("t/a", "1", MANIFEST, body_of("t/a", "amd64", layers, count));
}

static struct stub_route *route_of(size_t layer) {
  mg_str digest = digest_of(mg_str_of(text_of("t/a amd64 %zu", layer)));
  for (size_t i = 0; i < stub.count; i++)
    if (mg_str_has(mg_str_of(stub.routes[i].path), digest)) return &stub.routes[i];
  fail_msg("no layer %zu", layer);
  return NULL;
}

/* A question to a registry of its own, whose session stays open. */
static struct inquiry {
  struct mg_registry *registry;
  struct mg_registry_session *session;
  struct mg_image_query query;
  struct result result;
} inquiry;

static const struct mg_platform_fact *ask_a(void) {
  inquiry.registry = open_plain();
  inquiry.session = session_of(inquiry.registry);
  inquiry.query = query_of(here("t/a:1"));
  inquiry.result = settle(inquiry.session, &inquiry.query);
  known(&inquiry.result);
  return &inquiry.result.facts->platforms[0];
}

static void end_a(void) {
  mg_registry_session_free(inquiry.session);
  mg_registry_free(inquiry.registry);
}

/* ---- how much is read ---- */

/* As many zero-sized files as that, then perhaps a last one. */
static mg_str many_files(size_t count, const char *last) {
  char *bytes = mg_arena_zero(&arena, 1, count * 512 + 2048);
  assert_non_null(bytes);
  for (size_t i = 0; i < count; i++) memcpy(bytes + i * 512, tar_of(text_of("src/%zu.py", i), 0).p, 512);
  memcpy(bytes + count * 512, tar_of(last, 290 * MIB).p, 512);
  return (mg_str){bytes, count * 512 + 2048};
}

static size_t first_of(size_t count) {
  size_t share = MG_REGISTRY_PEEK_ALL / count;
  return share < MG_REGISTRY_PEEK ? share : MG_REGISTRY_PEEK;
}

/* Where the first bytes decide, all layers of an image share them: the whole look-up stays below 200 kB. */
static void test_budget(void **state) {
  static const size_t counts[] = {1, 4, 5, 40};
  (void)state;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct layer layers[40];
    stub_reset();
    for (size_t k = 0; k < counts[i]; k++)
      layers[k] = (struct layer){tar_of("m/a.gguf", 300 * MIB), 301 * MIB, 0, "COPY a /", NULL};
    publish_layers(layers, counts[i]);
    const struct mg_platform_fact *p = ask_a();
    for (size_t k = 0; k < counts[i]; k++) assert_int_equal(p->layers[k].proof, MG_PROOF_FILE);
    assert_int_equal(stub_count(text_of("Range: bytes=0-%zu\n", first_of(counts[i]) - 1)), (int)counts[i]);
    assert_int_equal(stub_count("Range: "), (int)counts[i]);
    print_message("# note: %zu layers whose first bytes decide: %zu bytes read\n", counts[i], stub.sent);
    assert_true(stub.sent < 200000);
    end_a();
  }
}

/* Behind more than that: what is read beyond it is shared too, and not read twice. */
static void test_more(void **state) {
  static const size_t counts[] = {1, 8};
  (void)state;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct layer layers[8];
    stub_reset();
    for (size_t k = 0; k < counts[i]; k++)
      layers[k] = (struct layer){many_files(200, "m/a.gguf"), 300 * MIB, 0, "COPY . /", NULL};
    publish_layers(layers, counts[i]);
    const struct mg_platform_fact *p = ask_a();
    for (size_t k = 0; k < counts[i]; k++) assert_int_equal(p->layers[k].proof, MG_PROOF_FILE);
    size_t first = first_of(counts[i]), more = MG_REGISTRY_MORE_ALL / counts[i], hops = MG_REGISTRY_HOP * MG_REGISTRY_HOPS_MAX;
    more -= more / 8 < hops ? more / 8 : hops; /* nothing is packed: it may come to that */
    assert_int_equal(stub_count(text_of("Range: bytes=%zu-%zu\n", first, first + more - 1)), (int)counts[i]);
    print_message("# note: %zu layers whose first bytes do not: %zu bytes read\n", counts[i], stub.sent);
    assert_true(stub.sent < MG_REGISTRY_PEEK_ALL + MG_REGISTRY_MORE_ALL + 30000);
    inquiry.query.evidence_size = 301 * MIB; /* less is wanted than is known: nothing is asked */
    struct result less = ask(inquiry.session, &inquiry.query);
    known(&less);
    end_a();
  }
}

/* Where nothing is packed, what lies between files need not be read: 4 KiB a file, and not for ever. */
static void test_hops(void **state) {
  static const struct {
    int large;  /* files of 200 MiB before the last */
    int hops;
    bool found;
  } rows[] = {{1, 1, true}, {16, 16, true}, {17, 16, false}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t step = 200 * MIB + 512, at = rows[i].large * step;
    struct layer layer = {tar_of("lib/libtorch.so", 200 * MIB), at + 1000 * MIB, 0, "COPY . /", NULL};
    stub_reset();
    publish_layers(&layer, 1);
    const char *path = route_of(0)->path;
    route_of(0)->times = 1; /* the beginning; what is further on is answered apart */
    for (int k = 1; k <= rows[i].large; k++) {
      mg_str head = k < rows[i].large ? tar_of("lib/libtorch.so", 200 * MIB) : tar_of("m/a.gguf", 300 * MIB);
      char *part = mg_arena_zero(&arena, 1, MG_REGISTRY_HOP);
      memcpy(part, head.p, 512);
      memset(part + 512, 'x', MG_REGISTRY_HOP - 512);
      stub_add((struct stub_route){
          .path = path, .needs = text_of("Range: bytes=%lld-%lld\r\n", (long long)(k * step), (long long)(k * step + 4095)),
          .status = 206, .body = {part, MG_REGISTRY_HOP},
          .headers = text_of("Content-Range: bytes %lld-%lld/%lld\r\n", (long long)(k * step), (long long)(k * step + 4095),
                             (long long)layer.claimed)});
    }
    const struct mg_platform_fact *p = ask_a();
    assert_int_equal(p->layers[0].proof, rows[i].found ? MG_PROOF_FILE : MG_PROOF_NONE);
    assert_true(p->layers[0].looked_into);
    assert_int_equal(stub_count("Range: "), 1 + rows[i].hops);
    assert_true(stub.sent < 200000);
    end_a();
  }
}

/* A server that knows no ranges sends from the beginning each time; what it says of the length is true. */
static void test_no_ranges(void **state) {
  (void)state;
  mg_str bytes = many_files(200, "m/a.gguf");
  struct layer layer = {bytes, (int64_t)bytes.n, 0, "COPY . /", NULL};
  publish_layers(&layer, 1);
  route_of(0)->total = 0;
  inquiry.registry = open_plain();
  inquiry.session = session_of(inquiry.registry);
  inquiry.query = query_of(here("t/a:1"));
  inquiry.query.evidence_size = 1000;
  inquiry.result = settle(inquiry.session, &inquiry.query);
  known(&inquiry.result);
  assert_int_equal(inquiry.result.facts->platforms[0].malformed.n, 0);
  assert_int_equal(inquiry.result.facts->platforms[0].layers[0].proof, MG_PROOF_FILE);
  end_a();
}

/* Of more layers than are looked into at a time it is said, and nothing is taken for good. */
static void test_too_many(void **state) {
  struct layer layers[42];
  (void)state;
  for (int i = 0; i < 42; i++) layers[i] = (struct layer){tar_of("bin/sh", 1000), (300 + i) * MIB, 0, "RUN make", NULL};
  publish_layers(layers, 42);
  const struct mg_platform_fact *p = ask_a();
  for (int i = 0; i < 42; i++) assert_int_equal(p->layers[i].looked_into, i >= 2);
  has(p->layers[1].unread, "only the 40 largest");
  assert_int_equal(p->layers[2].unread.n, 0);
  assert_int_equal(stub_count("Range: bytes=0-4095\n"), 40);
  end_a();
}

/* ---- what cannot be had ---- */

/* One platform of an index is as good as the registry's answer to it; the others are what they are. */
static void test_unknown_platform(void **state) {
  struct layer layer = {tar_of("m/a.gguf", 300 * MIB), 301 * MIB, 0, "COPY a /", NULL};
  (void)state;
  for (int there = 1; there >= 0; there--) {
    stub_reset();
    mg_str amd = body_of("t/a", "amd64", &layer, 1), amd_digest = digest_of(amd), arm = digest_of(MG_S("arm"));
    if (there) publish("t/a", NULL, MANIFEST, amd);
    stub_add((struct stub_route){.path = text_of("/v2/t/a/manifests/%.*s", MG_FMT(arm)), .status = 403});
    publish("t/a", "1", INDEX, mg_str_of(text_of(
        "{\"schemaVersion\":2,\"mediaType\":\"" INDEX "\",\"manifests\":[{\"mediaType\":\"" MANIFEST "\",\"digest\":\"%.*s\","
        "\"size\":9,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}},"
        "{\"mediaType\":\"" MANIFEST "\",\"digest\":\"%.*s\",\"size\":%zu,"
        "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}", MG_FMT(arm), MG_FMT(amd_digest), amd.n)));
    if (there) {
      const struct mg_platform_fact *p = ask_a();
      assert_int_equal(inquiry.result.facts->platform_count, 2);
      assert_true(mg_str_is(p[0].platform, "linux/amd64"));
      assert_int_equal(p[0].layers[0].proof, MG_PROOF_FILE);
      assert_int_equal(p[0].unknown.n, 0);
      assert_true(mg_str_is(p[1].platform, "linux/arm64"));
      assert_int_equal(p[1].layer_count, 0);
      has(p[1].unknown, "it does not allow that (403)");
      assert_int_equal(mg_registry_count(inquiry.registry, MG_REGISTRY_DENIED), 1);
      struct mg_registry_session *again = session_of(inquiry.registry); /* for a while it is taken for that */
      struct result second = ask(again, &inquiry.query);
      known(&second);
      mg_registry_session_free(again);
      end_a();
    } else {
      char why[512];
      assert_int_equal(once(here("t/a:1"), MG_REGISTRY_NOT_FOUND, why).answer, MG_IMAGE_UNKNOWN);
    }
  }
}

/* What one layer does not show leaves the others what they are. */
static void test_layer_refused(void **state) {
  static const struct {
    int status;
    bool hang;
    const char *part;
    bool stops; /* the other layer is not asked for after that */
  } rows[] = {{403, false, "403", false}, {416, false, "416", false}, {500, false, "500", true}, {0, true, "in time", false}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct layer layers[] = {{tar_of("bin/sh", 1000), 400 * MIB, 0, "RUN huggingface-cli download bert", NULL},
                             {tar_of("m/a.gguf", 300 * MIB), 301 * MIB, 0, "COPY a /", NULL}};
    stub_reset();
    publish_layers(layers, 2);
    route_of(0)->status = rows[i].status;
    route_of(0)->hang = rows[i].hang;
    const struct mg_platform_fact *p = ask_a();
    has(p->layers[0].unread, rows[i].part);
    assert_false(p->layers[0].looked_into);
    assert_int_equal(p->layers[0].proof, MG_PROOF_HISTORY);
    assert_int_equal(p->layers[1].proof, MG_PROOF_FILE);
    assert_int_equal(p->layers[1].unread.n, 0);
    assert_int_equal(mg_registry_count(inquiry.registry, MG_REGISTRY_FETCHED), 0);
    int asked = stub_count("Range: ");
    struct mg_registry_session *again = session_of(inquiry.registry); /* not before its time */
    struct result second = ask(again, &inquiry.query);
    known(&second);
    assert_int_equal(stub_count("Range: "), asked);
    mg_registry_session_free(again);
    end_a();
  }
}

/* Where the registry is throttled, nothing more is asked, and the layers say so. */
static void test_throttled_layers(void **state) {
  struct layer layers[12];
  (void)state;
  for (int i = 0; i < 12; i++) layers[i] = (struct layer){tar_of("bin/sh", 1000), 300 * MIB, 0, "RUN make", NULL};
  publish_layers(layers, 12);
  for (size_t i = 0; i < 12; i++) route_of(i)->status = 429;
  const struct mg_platform_fact *p = ask_a();
  for (int i = 0; i < 12; i++) has(p->layers[i].unread, "no more requests for now");
  assert_true(stub_count("Range: ") <= 8);
  end_a();
}

/* Who can wait no longer has what has come so far. */
static void test_so_far(void **state) {
  struct layer layers[] = {{tar_of("bin/sh", 1000), 400 * MIB, 0, "RUN huggingface-cli download bert", NULL},
                           {tar_of("m/a.gguf", 300 * MIB), 301 * MIB, 0, "COPY a /", NULL}};
  (void)state;
  publish_layers(layers, 2);
  route_of(1)->hang = true;
  struct mg_registry *r = open_plain();
  struct mg_registry_session *s = session_of(r);
  struct mg_image_query q = query_of(here("t/a:1"));
  assert_int_equal(ask(s, &q).answer, MG_IMAGE_WAIT);
  for (int i = 0; i < 500 && stub_count("Range: ") < 2; i++) usleep(2000);
  mg_registry_session_late(s);
  struct result one = ask(s, &q);
  known(&one);
  assert_int_equal(one.facts->platforms[0].layers[0].proof, MG_PROOF_HISTORY);
  assert_int_equal(one.facts->platforms[0].layers[1].proof, MG_PROOF_NONE);
  has(one.facts->platforms[0].layers[1].unread, "has not answered in time");
  assert_int_equal(mg_registry_count(r, MG_REGISTRY_LATE), 1);
  mg_registry_session_free(s);
  mg_registry_free(r);
}

/* ---- how many ---- */

/* A review has a limit, and says which; a command goes on where it was. One registry cannot have all the room. */
static void test_limits(void **state) {
  (void)state;
  publish_image("t/a", "1", "x", 1);
  struct mg_registry *r = open_plain();
  struct mg_registry_session *review = session_of(r), *other = session_of(r), *run = session_of(r);
  mg_registry_session_patient(run);
  struct mg_image_query q = {.evidence_size = 256 * MIB};
  pthread_mutex_lock(&stub.lock); /* nothing is answered until all have been asked */
  for (int i = 0; i < MG_LOOKS_OF_ONE_MAX; i++) {
    q.reference = here(text_of("t/none%d:1", i));
    assert_int_equal(ask(review, &q).answer, MG_IMAGE_WAIT);
  }
  q.reference = here("t/a:1");
  has(ask(other, &q).why, "too many images are looked up already");
  assert_int_equal(ask(run, &q).answer, MG_IMAGE_WAIT);
  assert_int_equal(mg_registry_session_waiting(run), 0); /* it has not been taken yet */
  for (int i = MG_LOOKS_OF_ONE_MAX; i < MG_LOOKS_MAX; i++) {
    q.reference = mg_str_of(text_of("localhost:1/t/none%d:1", i));
    assert_int_equal(ask(review, &q).answer, MG_IMAGE_WAIT);
  }
  q.reference = MG_S("localhost:2/t/a:1");
  has(ask(review, &q).why, "only the first 1024 images of a review");
  q.reference = here("t/a:1");
  pthread_mutex_unlock(&stub.lock);
  assert_true(mg_registry_session_wait(review, 20000));
  struct result one = settle(run, &q);
  known(&one);
  mg_registry_session_free(review);
  mg_registry_session_free(other);
  mg_registry_session_free(run);
  mg_registry_free(r);
}

/* ---- sizes ---- */

/* What the registry holds against what the manifest says, of layers that are read and of small ones that are told of. */
static void test_belied(void **state) {
  static const struct {
    int64_t claimed, held;
    const char *command;
    int heads, ranges;
    bool malformed;
  } rows[] = {
      {300 * MIB, 5000 * MIB, "COPY . /app", 0, 1, true},
      {300 * MIB, 299 * MIB, "COPY . /app", 0, 1, false}, /* less than that is nobody's gain */
      {1000, 5000 * MIB, "COPY model.safetensors /models/", 1, 0, true},
      {1000, 1000, "COPY model.safetensors /models/", 1, 0, false},
      {1000, 5000 * MIB, "COPY . /app", 0, 0, false}, /* nothing speaks of weights: layers below evidenceSize are left alone */
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct layer layers[] = {{MG_S("x"), 10, 0, "ADD rootfs", NULL},
                             {tar_of("bin/sh", 10), rows[i].claimed, rows[i].held, rows[i].command, NULL}};
    stub_reset();
    publish_layers(layers, 2);
    const struct mg_platform_fact *p = ask_a();
    assert_int_equal(p->malformed.n > 0, rows[i].malformed);
    if (rows[i].malformed) has(p->malformed, "of layer 2, its manifest says ");
    assert_int_equal(p->total >= 0, !rows[i].malformed);
    assert_int_equal(p->layers[1].held, rows[i].held < rows[i].claimed ? rows[i].held : 0);
    assert_int_equal(stub_count("HEAD /v2/t/a/blobs/"), rows[i].heads);
    assert_int_equal(stub_count("Range: "), rows[i].ranges);
    struct mg_registry_session *again = session_of(inquiry.registry);
    struct result second = ask(again, &inquiry.query);
    known(&second);
    assert_int_equal(stub_count("HEAD /v2/t/a/blobs/"), rows[i].heads);
    mg_registry_session_free(again);
    end_a();
  }
}

/* History that aligns with no layer: any may be the one. A registry that does not tell is no finding. */
static void test_heads(void **state) {
  struct layer layers[] = {{MG_S("x"), 1000, 0, NULL, NULL}, {MG_S("y"), 2000, 0, "COPY model.safetensors /models/", NULL}};
  (void)state;
  for (int i = 0; i < 4; i++) {
    stub_reset();
    publish_layers(layers, 2);
    if (i == 1) route_of(0)->status = 405;
    if (i == 3) route_of(0)->status = 404;
    if (i == 1) route_of(1)->total = 0, route_of(1)->body = (mg_str){0}; /* what some send for no length */
    if (i == 2) route_of(1)->total = 3 * MIB;
    const struct mg_platform_fact *p = ask_a();
    assert_int_equal(stub_count("HEAD /v2/t/a/blobs/"), 2);
    if (i == 2) has(p->malformed, "the registry holds 3 MiB of layer 2, its manifest says 1.96 KiB");
    else assert_int_equal(p->malformed.n, 0);
    struct mg_registry_session *again = session_of(inquiry.registry); /* nor is it asked for again at once */
    struct result second = ask(again, &inquiry.query);
    known(&second);
    mg_registry_session_free(again);
    end_a();
  }
}

/* What a blob's size is need not be asked for twice, whatever image has it. What speaks against an image may be a mistake on the
 * way, or another repository's word: it is that image's, and no other's. */
static void test_sizes_kept(void **state) {
  (void)state;
  for (int64_t held = 2000; held <= 9000; held += 7000) {
    struct layer layers[] = {{MG_S("x"), 1000, 0, "ADD rootfs", NULL}, {MG_S("y"), 2000, held, "COPY model.gguf /models/", NULL}};
    bool belied = held > 2000;
    stub_reset();
    publish_layers(layers, 2);
    publish("t/b", "1", MANIFEST, body_of("t/a", "amd64", layers, 2));
    stub_add((struct stub_route){.path = "/v2/t/b/blobs/", .status = 200,
                                 .body = mg_str_of(text_of("%.*s", MG_FMT(stub.routes[2].body)))});
    const struct mg_platform_fact *p = ask_a();
    assert_int_equal(p->malformed.n > 0, belied);
    assert_int_equal(stub_count("HEAD /v2/t/a/blobs/"), 1);
    struct mg_image_query q = query_of(here("t/b:1"));
    struct result one = settle(inquiry.session, &q);
    known(&one);
    assert_int_equal(one.facts->platforms[0].malformed.n, 0);
    assert_int_equal(stub_count("HEAD /v2/t/b/blobs/"), belied);
    end_a();
  }
}

/* ---- eStargz ---- */

static mg_str gzipped(mg_str bytes) {
  char *to = mg_arena_zero(&arena, 1, bytes.n + 1024);
  z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)bytes.p, .avail_in = (uInt)bytes.n, .next_out = (Bytef *)to,
                .avail_out = (uInt)bytes.n + 1024};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  deflateEnd(&z);
  return (mg_str){to, z.total_out};
}

static mg_str footer_of(size_t at) {
  static const char head[] = "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0", tail[] = "\x01\0\0\xff\xff\0\0\0\0\0\0\0\0";
  char *to = mg_arena_zero(&arena, 1, 64);
  memcpy(to, head, 16);
  snprintf(to + 16, 40, "%016zxSTARGZ", at);
  memcpy(to + 38, tail, 13);
  return (mg_str){to, 51};
}

/* The table is at the end; its JSON has the digest that the manifest vouches for. */
static void test_stargz(void **state) {
  enum { GOOD, FORGED, NO_FOOTER, TOO_FAR, CASES };
  const mg_str json = MG_S("{\"version\":1,\"entries\":[{\"name\":\"m/a.safetensors\",\"type\":\"reg\",\"size\":314572800}]}");
  (void)state;
  for (int i = 0; i < CASES; i++) {
    stub_reset();
    char *tar = mg_arena_zero(&arena, 1, 2048 + 512);
    memcpy(tar, tar_of("stargz.index.json", (int64_t)json.n).p, 512);
    memcpy(tar + 512, json.p, json.n);
    mg_str packed = gzipped((mg_str){tar, 2560}), code = many_files(400, "src/last");
    size_t at = code.n + 4096, size = at + packed.n + 51;
    char *bytes = mg_arena_zero(&arena, 1, size);
    memcpy(bytes, code.p, code.n);
    memcpy(bytes + at, packed.p, packed.n);
    mg_str footer = footer_of(i == TOO_FAR ? size : at);
    if (i != NO_FOOTER) memcpy(bytes + at + packed.n, footer.p, 51);
    mg_str vouched = digest_of(i == FORGED ? MG_S("other") : json);
    struct layer layer = {{bytes, size}, (int64_t)size, 0, "COPY . /",
                          text_of("{\"containerd.io/snapshot/stargz/toc.digest\":\"%.*s\"}", MG_FMT(vouched))};
    publish_layers(&layer, 1);
    inquiry.registry = open_plain();
    inquiry.session = session_of(inquiry.registry);
    inquiry.query = query_of(here("t/a:1"));
    inquiry.query.evidence_size = 1000;
    inquiry.result = settle(inquiry.session, &inquiry.query);
    known(&inquiry.result);
    const struct mg_layer_fact *l = &inquiry.result.facts->platforms[0].layers[0];
    assert_true(l->looked_into);
    assert_int_equal(l->proof, i == GOOD ? MG_PROOF_FILE : MG_PROOF_NONE);
    if (i == GOOD) assert_true(mg_str_is(l->what, "m/a.safetensors"));
    assert_int_equal(stub_count(text_of("Range: bytes=%zu-%zu\n", size - 51, size - 1)), 1);
    assert_int_equal(stub_count(text_of("Range: bytes=%zu-%zu\n", at, size - 52)), i == GOOD || i == FORGED);
    assert_int_equal(stub_count("Range: bytes=0-") > 0, i != GOOD);
    end_a();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_budget), TEST(test_more), TEST(test_hops), TEST(test_no_ranges), TEST(test_too_many), TEST(test_unknown_platform),
      TEST(test_layer_refused), TEST(test_throttled_layers), TEST(test_so_far), TEST(test_belied), TEST(test_heads),
      TEST(test_stargz), TEST(test_limits), TEST(test_sizes_kept),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
