/* Proof of weights: names, magic, commands, tars, compression, tables of contents. The bytes are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "registry/weights.h"
#include "unit/chance.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)
#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

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

/* --- files by name and magic ---------------------------------------------------------------------------------------------- */

static void test_names(void **state) {
  static const char *const yes[] = {
      "models/model-00001-of-00004.safetensors", "MODEL.GGUF", "a.ggml", "yolo.pt", "sam_vit_h.pth", "v1-5.ckpt", "m.onnx",
      "m.onnx_data", "tf_model.h5", "m.hdf5", "m.tflite", "rank0.engine", "model.plan", "pytorch_model.bin",
      "pytorch_model-00001-of-00002.bin", "ggml-large-v3.bin", "saved_model.pb", "1/variables/variables.data-00000-of-00001",
      "root/.cache/huggingface/hub/models--meta-llama--Llama-3/blobs/" HEX64, "root/.ollama/models/blobs/sha256-" HEX64,
      "hub/models--a--b/blobs/" HEX16 HEX16 "01234567"};
  static const char *const no[] = {
      "usr/lib/libtorch_cuda.so", "libcudnn_adv.so.9.1.0", "libcublas.a", "torch-2.4.whl", "cuda.deb", "libtorch.pt",
      "data.tar.gz", "installer.bin", "firmware.bin", ".safetensors",
      "model.safetensors.index.json", "x.json", "safetensors", "blobs/" HEX64,
      "models--a--b/refs/" HEX64, "models--a--b/blobs/short", "a/models/blobs/" HEX64, "h.pt.tar.gz", "cells.h5ad", ""};
  (void)state;
  for (size_t i = 0; i < COUNT(yes); i++) {
    mg_str path = mg_str_of(yes[i]);
    if (!mg_weights_file(path, MG_WEIGHT_FILE_MIN, MG_S(""))) fail_msg("%s is not proof", yes[i]);
    if (mg_weights_file(path, MG_WEIGHT_FILE_MIN - 1, MG_S(""))) fail_msg("%s is proof though it is small", yes[i]);
  }
  for (size_t i = 0; i < COUNT(no); i++)
    if (mg_weights_file(mg_str_of(no[i]), 5 * GIB, MG_S(""))) fail_msg("%s is proof", no[i]);
}

static void test_magic(void **state) {
  static const struct {
    const char *path;
    mg_str head;
    bool proof;
  } rows[] = {
      {"data", {"GGUF\3\0\0\0", 8}, true},
      {"lib.so", {"GGUF\3\0\0\0", 8}, true},
      {"whisper.bin", {"lmgg\0", 5}, true},
      {"data", {"\x10\0\0\0\0\0\0\0{\"a\":1}", 15}, true},
      {"data", {"\0\0\0\0\0\0\0\0{\"a\":1}", 15}, false},
      {"data", {"\xff\xff\xff\xff\xff\xff\xff\xff{\"a\":1}", 15}, false},
      {"data", {"\x10\0\0\0\0\0\0\0[1]", 11}, false},
      {"data", {"\x10\0\0\0\0\0\0\0{", 9}, false},
      {"data", {"PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl", 46}, true},
      {"data", {"PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.txt", 46}, false},
      {"data", {"PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0archive/data.pkl", 46}, false},
      {"x.pt", {"PK\3\4", 4}, true},
      {"x.whl", {"PK\3\4", 4}, false},
      {"data", {"\x89HDF\r\n\x1a\n", 8}, true},
      {"cells.h5ad", {"\x89HDF\r\n\x1a\n", 8}, false},
      {"data", {"\x08\x07\x12\x07pytorch\x1a\x03" "1.9", 16}, true},
      {"data", {"\x08\x07\x12\x07pyt\0rch\x1a\x03" "1.9", 16}, false},
      {"data", {"\x08\x07\x12\x07pytorch", 11}, false},
      {"data", {"\x7f" "ELF\2\1\1", 7}, false},
      {"data", {NULL, 0}, false},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++)
    if (mg_weights_file(mg_str_of(rows[i].path), GIB, rows[i].head) != rows[i].proof) fail_msg("row %zu: %s", i, rows[i].path);
}

static void test_types_and_labels(void **state) {
  static const char *const yes[] = {"application/vnd.cncf.model.weight.v1.tar+gzip", "application/vnd.ollama.image.model",
                                    "application/vnd.docker.ai.safetensors", "Application/VND.CNCF.model.weight.v1.raw",
                                    "application/vnd.docker.ai.gguf.v3", "application/vnd.docker.ai.model.config.v0.1+json"};
  static const char *const no[] = {"application/vnd.oci.image.layer.v1.tar+gzip", "application/x-gzip", "",
                                   "application/vnd.ollama.image.license", "application/vnd.docker.image.rootfs.diff.tar.gzip"};
  (void)state;
  for (size_t i = 0; i < COUNT(yes); i++)
    if (!mg_weights_media_type(mg_str_of(yes[i]))) fail_msg("%s is no model", yes[i]);
  for (size_t i = 0; i < COUNT(no); i++)
    if (mg_weights_media_type(mg_str_of(no[i]))) fail_msg("%s is a model", no[i]);
  assert_true(mg_weights_label(MG_S("gguf.model.name")));
  assert_true(mg_weights_label(MG_S("org.cncf.model.title")));
  assert_false(mg_weights_label(MG_S("org.opencontainers.image.title")));
  assert_false(mg_weights_label(MG_S("gguf")));
}

/* --- commands --------------------------------------------------------------------------------------------------------------- */

static void test_commands(void **state) {
  static const struct {
    const char *command, *words; /* NULL: no proof */
  } rows[] = {
      {"COPY weights/ /models/ # buildkit", "weights/"},
      {"COPY --chown=1000:1000 llama.gguf /app/ # buildkit", "llama.gguf"},
      {"COPY [\"a b/model.safetensors\", \"/x\"]", "b/model.safetensors"},
      {"/bin/sh -c #(nop) COPY dir:0123 in /models/ ", "/models/"},
      {"/bin/sh -c #(nop) ADD file:0123 in /opt/m.onnx ", "/opt/m.onnx"},
      {"COPY . /app # buildkit", NULL},
      {"COPY models /app/models # buildkit", NULL},
      {"COPY model.py /app/ # buildkit", NULL},
      {"COPY hub /root/.cache/huggingface # buildkit", "/root/.cache/huggingface"},
      {"ADD https://huggingface.co/org/m/resolve/main/a.bin /m/ # buildkit", "https://huggingface.co/org/m/resolve/main/a.bin"},
      {"ADD https://huggingface.co/datasets/org/d/resolve/main/x.bin /d/ # buildkit", NULL},
      {"RUN /bin/sh -c huggingface-cli download org/m --local-dir /m # buildkit", "huggingface-cli download"},
      {"RUN |1 A=b /bin/sh -c pip install x && hf download org/m # buildkit", "hf download"},
      {"RUN /bin/sh -c elf download x", NULL},
      {"RUN /bin/sh -c pip install \"huggingface_hub[cli]\"", NULL},
      {"RUN /bin/sh -c python -c \"from huggingface_hub import snapshot_download; snapshot_download('m')\"", "snapshot_download"},
      {"RUN /bin/sh -c python -c \"AutoModel.from_pretrained('bert')\"", ".from_pretrained"},
      {"RUN /bin/sh -c python -c \"AutoTokenizer.from_pretrained('bert')\"", NULL},
      {"RUN /bin/sh -c python -c \"AutoTokenizer.from_pretrained('b'), AutoModel.from_pretrained('b')\"", ".from_pretrained"},
      {"RUN /bin/sh -c hf download --repo-type dataset org/d", NULL},
      {"RUN /bin/sh -c git lfs pull", "git lfs pull"},
      {"RUN /bin/sh -c git clone https://huggingface.co/org/m", "git clone https://huggingface.co/"},
      {"RUN /bin/sh -c git clone https://huggingface.co/datasets/org/m", NULL},
      {"RUN /bin/sh -c git clone https://github.com/org/m", NULL},
      {"RUN /bin/sh -c git clone https://github.com/org/m && cd m && ollama pull phi3", "ollama pull"},
      {"RUN /bin/sh -c wget -q https://dl.example/sam_vit_h.pth?download=true -O x", "https://dl.example/sam_vit_h.pth"},
      {"RUN /bin/sh -c curl -L https://huggingface.co/o/m/resolve/main/config.json", NULL},
      {"RUN /bin/sh -c curl -L https://huggingface.co/o/m/resolve/main/part-1", "https://huggingface.co/o/m/resolve/main/part-1"},
      {"RUN /bin/sh -c aws s3 cp s3://bucket/m.safetensors /m", "s3://bucket/m.safetensors"},
      {"RUN /bin/sh -c cp /mnt/m.safetensors /m", "/mnt/m.safetensors"},
      {"RUN /bin/sh -c cp conda.pth /site-packages/", NULL},
      {"RUN /bin/sh -c rm -f /m/x.safetensors", NULL},
      {"RUN /bin/sh -c find / -name '*.pt' -delete", NULL},
      {"RUN /bin/sh -c curl -O https://x.example/a.tar.gz && rm -rf m.safetensors", NULL},
      {"RUN /bin/sh -c sh cuda.bin", NULL},
      {"ENV HF_HOME=/models", NULL},
      {"WORKDIR /models", NULL},
      {"CMD [\"serve\" \"--model\" \"/models/x.gguf\"]", NULL},
      {"/bin/sh -c #(nop)  CMD [\"/models/x.gguf\"]", NULL},
      {"|1 A=llama.gguf /bin/bash -o pipefail -c make install", NULL},
      {"umoci insert", NULL},
      {"", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    mg_str words = {0};
    bool proof = mg_weights_command(*state, mg_str_of(rows[i].command), &words);
    if (proof != (rows[i].words != NULL)) fail_msg("%s: %s (%.*s)", rows[i].command, proof ? "proof" : "none", MG_FMT(words));
    if (proof && !mg_str_is(words, rows[i].words)) fail_msg("%s: %.*s", rows[i].command, MG_FMT(words));
  }
}

/* --- tars ------------------------------------------------------------------------------------------------------------------- */

static struct mg_buf new_buf(struct mg_arena *arena) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, (size_t)40 << 20);
  return buf;
}

static void put_zeros(struct mg_buf *tar, size_t n) {
  char *to = n ? mg_buf_room(tar, n) : NULL;
  if (!to) return;
  memset(to, 0, n);
  tar->n += n;
}

static void pad(struct mg_buf *tar) {
  put_zeros(tar, (512 - tar->n % 512) % 512);
}

struct entry {
  const char *name, *prefix;
  char type;
  int64_t size;
  bool base256, gnu;
};

static void put_sum(char *h) {
  unsigned sum = 0;
  memset(h + 148, ' ', 8);
  for (int i = 0; i < 512; i++) sum += (unsigned char)h[i];
  snprintf(h + 148, 8, "%06o", sum & 0777777);
}

static void put_header(struct mg_buf *tar, struct entry e) {
  char h[512] = {0};
  memcpy(h, e.name, strlen(e.name) < 100 ? strlen(e.name) : 100);
  memcpy(h + 100, "0000644", 7);
  if (e.base256) {
    h[124] = (char)0x80;
    for (int i = 0; i < 8; i++) h[128 + i] = (char)(uint64_t)((uint64_t)e.size >> (56 - 8 * i));
  } else {
    snprintf(h + 124, 12, "%011llo", (unsigned long long)e.size & 077777777777);
  }
  h[156] = e.type;
  memcpy(h + 257, e.gnu ? "ustar  " : "ustar\00000", 8);
  if (e.prefix) memcpy(h + 345, e.prefix, strlen(e.prefix));
  put_sum(h);
  mg_buf_put(tar, (mg_str){h, 512});
}

static void put_file(struct mg_buf *tar, const char *name, int64_t size, mg_str content) {
  put_header(tar, (struct entry){.name = name, .type = '0', .size = size});
  mg_buf_put(tar, content);
  pad(tar);
}

static void put_special(struct mg_buf *tar, char type, mg_str content) {
  put_header(tar, (struct entry){.name = "././@LongLink", .type = type, .size = (int64_t)content.n, .gnu = type == 'L'});
  mg_buf_put(tar, content);
  pad(tar);
}

static void expect_file(struct mg_arena *arena, mg_str bytes, bool whole, const char *what, int64_t size) {
  struct mg_finding_in_layer found;
  enum mg_peek peek = mg_weights_peek(arena, bytes, whole, &found);
  if (peek != MG_PEEK_PROOF) fail_msg("%s: no proof (%d)", what, peek);
  assert_int_equal(found.proof, MG_PROOF_FILE);
  if (!mg_str_is(found.what, what)) fail_msg("%.*s, not %s", MG_FMT(found.what), what);
  assert_int_equal(found.file_size, size);
}

static void expect(struct mg_arena *arena, mg_str bytes, bool whole, enum mg_peek wanted) {
  struct mg_finding_in_layer found;
  assert_int_equal(mg_weights_peek(arena, bytes, whole, &found), wanted);
  if (wanted == MG_PEEK_PROOF) return;
  assert_int_equal(found.proof, MG_PROOF_NONE);
  assert_int_equal(found.what.n, 0);
}

#define CONFIG "{\"architectures\":[\"LlamaForCausalLM\"]}"
#define SHARD "models/model-00001-of-00001.safetensors"

/* models/, config.json, the header of one large shard and a little of it. */
static mg_str model_layer(struct mg_arena *arena, int64_t size) {
  struct mg_buf tar = new_buf(arena);
  put_header(&tar, (struct entry){.name = "models/", .type = '5'});
  put_file(&tar, "models/config.json", sizeof CONFIG - 1, MG_S(CONFIG));
  put_file(&tar, SHARD, size, MG_S("weights"));
  return mg_buf_str(&tar);
}

static void test_plain_tar(void **state) {
  mg_str layer = model_layer(*state, 300000000);
  expect_file(*state, layer, false, SHARD, 300000000);
  expect_file(*state, layer, true, SHARD, 300000000);
  expect(*state, model_layer(*state, 1000), false, MG_PEEK_UNDECIDED);
  expect(*state, model_layer(*state, 0), true, MG_PEEK_NOTHING);
  expect(*state, (mg_str){layer.p, 1000}, false, MG_PEEK_UNDECIDED);
  expect(*state, (mg_str){layer.p, 100}, false, MG_PEEK_UNDECIDED);
  expect(*state, (mg_str){layer.p, 100}, true, MG_PEEK_UNREADABLE);
  expect(*state, MG_S(""), false, MG_PEEK_UNDECIDED);
  expect(*state, MG_S(""), true, MG_PEEK_UNREADABLE);
}

static void test_end_of_tar(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_file(&tar, "a", 1, MG_S("a"));
  put_zeros(&tar, 1024);
  put_file(&tar, SHARD, GIB, MG_S("behind the end nobody unpacks it"));
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_NOTHING);
}

/* What is out of reach of a peek is not asked for again. */
static void test_far_next_header(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_file(&tar, "usr/lib/libtorch_cuda.so", GIB, MG_S("\x7f" "ELF"));
  put_zeros(&tar, 512);
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_NOTHING);
  tar.n = 0;
  put_file(&tar, "usr/lib/libx.so", MIB, MG_S("\x7f" "ELF"));
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNDECIDED);
  tar.n = 0;
  put_header(&tar, (struct entry){.name = "blob", .type = '0', .size = GIB});
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNDECIDED); /* its first bytes may be telling */
  expect(*state, mg_buf_str(&tar), true, MG_PEEK_NOTHING);
  mg_buf_lit(&tar, "GGUF");
  expect_file(*state, mg_buf_str(&tar), false, "blob", GIB);
}

static void test_bad_headers(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_file(&tar, SHARD, GIB, MG_S(""));
  tar.p[0] = 'M'; /* the checksum no longer holds */
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNREADABLE);
  tar.n = 0;
  put_file(&tar, "a", 1, MG_S("a"));
  mg_buf_lit(&tar, FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY);
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_NOTHING);
  expect(*state, MG_S("BZh91AY&SY" FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY), false, MG_PEEK_UNREADABLE);
  tar.n = 0;
  put_header(&tar, (struct entry){.name = "x.gguf", .type = '0'});
  memcpy(tar.p + 124, "-0000000001", 11);
  put_sum(tar.p);
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNREADABLE);
  tar.p[124] = (char)0xff; /* negative in base 256 */
  put_sum(tar.p);
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNREADABLE);
  memset(tar.p + 124, 0x7f, 12);
  tar.p[124] = (char)0x80; /* more than 2^60 */
  put_sum(tar.p);
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNREADABLE);
}

static void test_prefix_and_base256(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_header(&tar, (struct entry){.name = "model.safetensors", .prefix = "opt/models/llama", .type = '0', .size = 40 * GIB,
                                  .base256 = true});
  expect_file(*state, mg_buf_str(&tar), false, "opt/models/llama/model.safetensors", 40 * GIB);
}

/* Only regular files have content, whatever a header says. */
static void test_links(void **state) {
  struct mg_buf tar = new_buf(*state);
  for (char type = '1'; type <= '6'; type++) put_header(&tar, (struct entry){.name = "x.gguf", .type = type, .size = GIB});
  put_zeros(&tar, 1024);
  expect(*state, mg_buf_str(&tar), true, MG_PEEK_NOTHING);
  tar.n = 0;
  put_header(&tar, (struct entry){.name = "x.gguf", .type = '\0', .size = GIB});
  expect_file(*state, mg_buf_str(&tar), true, "x.gguf", GIB);
}

static void test_long_name(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_special(&tar, 'L', MG_S("opt/" FIFTY "/" FIFTY "/model.gguf\0"));
  put_special(&tar, 'K', MG_S("a link that does not matter\0"));
  put_file(&tar, "opt/" FIFTY, GIB, MG_S(""));
  expect_file(*state, mg_buf_str(&tar), false, "opt/" FIFTY "/" FIFTY "/model.gguf", GIB);
  struct mg_finding_in_layer found;
  tar.n = 0;
  put_special(&tar, 'L', MG_S("opt/" FIFTY "/" FIFTY "/" FIFTY "/" FIFTY "/model.gguf\0"));
  put_file(&tar, "opt", GIB, MG_S(""));
  assert_int_equal(mg_weights_peek(*state, mg_buf_str(&tar), false, &found), MG_PEEK_PROOF);
  assert_int_equal(found.what.n, MG_COMMAND_MAX);
  assert_true(mg_str_starts(found.what, MG_S("\xe2\x80\xa6")) && mg_str_ends(found.what, MG_S("/model.gguf")));
}

static void test_pax(void **state) {
  static const char *const broken[] = {"8 path=a\n",    "x path=a\n", "999 path=a\n", "12 size=1x3\n",
                                       "11 path=abc ", " a=b\n",     "3 \n"};
  struct mg_buf tar = new_buf(*state);
  put_special(&tar, 'g', MG_S("13 size=99999\n19 path=ignored.txt\n"));
  put_special(&tar, 'x', MG_S("16 path=m/a.gguf\n20 size=20000000000\n"));
  put_file(&tar, "short", 0, MG_S(""));
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNREADABLE); /* the first record says 16 and has 17 */
  tar.n = 0;
  put_special(&tar, 'g', MG_S("13 size=99999\n19 path=ignored.txt\n"));
  put_special(&tar, 'x', MG_S("17 path=m/a.gguf\n20 size=20000000000\n"));
  put_file(&tar, "short", 0, MG_S(""));
  expect_file(*state, mg_buf_str(&tar), false, "m/a.gguf", 20000000000);
  for (size_t i = 0; i < COUNT(broken); i++) {
    tar.n = 0;
    put_special(&tar, 'x', mg_str_of(broken[i]));
    put_file(&tar, "x.gguf", GIB, MG_S(""));
    expect(*state, mg_buf_str(&tar), false, MG_PEEK_UNREADABLE);
  }
  tar.n = 0; /* it holds for one file only */
  put_special(&tar, 'x', MG_S("17 path=m/a.gguf\n"));
  put_file(&tar, "small", 1, MG_S("a"));
  put_file(&tar, "large", GIB, MG_S(FIFTY FIFTY));
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_NOTHING);
}

static void test_sparse(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_header(&tar, (struct entry){.name = "disk.img", .type = 'S', .size = 512, .gnu = true});
  tar.p[482] = 1;
  put_sum(tar.p);
  char more[512] = {0};
  more[504] = 1;
  mg_buf_put(&tar, (mg_str){more, 512});
  put_zeros(&tar, 512 + 512); /* the last block of places, the content */
  put_file(&tar, "x.gguf", GIB, MG_S(""));
  expect_file(*state, mg_buf_str(&tar), false, "x.gguf", GIB);
  expect(*state, (mg_str){tar.p, 1024}, false, MG_PEEK_UNDECIDED);
}

/* .bin is weights beside the config.json of a model, and nowhere else. */
static void test_model_directory(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_file(&tar, "m/config.json", sizeof CONFIG - 1, MG_S(CONFIG));
  put_file(&tar, "other/model.bin", GIB, MG_S(FIFTY FIFTY));
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_NOTHING);
  tar.n = 0;
  put_file(&tar, "m/config.json", 2, MG_S("{}"));
  put_file(&tar, "m/model.bin", GIB, MG_S(FIFTY FIFTY));
  expect(*state, mg_buf_str(&tar), false, MG_PEEK_NOTHING);
  tar.n = 0;
  put_file(&tar, "m/config.json", sizeof CONFIG - 1, MG_S(CONFIG));
  put_file(&tar, "m/model.bin", GIB, MG_S(FIFTY FIFTY));
  expect_file(*state, mg_buf_str(&tar), false, "m/model.bin", GIB);
}

static void test_file_names_are_cleaned(void **state) {
  struct mg_buf tar = new_buf(*state);
  put_file(&tar, "./a\x1b[31m/TOKEN=hunter2/hf_hunter2/x.gguf", GIB, MG_S(""));
  expect_file(*state, mg_buf_str(&tar), false, "a\xef\xbf\xbd[31m/TOKEN=***", GIB);
}

/* --- compression ------------------------------------------------------------------------------------------------------------ */

static void gzip(struct mg_buf *to, mg_str s) {
  z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)s.p, .avail_in = (uInt)s.n};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  size_t room = deflateBound(&z, s.n) + 64;
  z.next_out = (Bytef *)mg_buf_room(to, room);
  z.avail_out = (uInt)room;
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  to->n += room - z.avail_out;
  deflateEnd(&z);
}

static void zstd(struct mg_buf *to, mg_str s) {
  size_t room = ZSTD_compressBound(s.n);
  size_t n = ZSTD_compress(mg_buf_room(to, room), room, s.p, s.n, 3);
  assert_false(ZSTD_isError(n));
  to->n += n;
}

/* What a browser of layers sees first: many small files, then the weights. */
static mg_str hidden_layer(struct mg_arena *arena, int small_files) {
  struct mg_buf tar = new_buf(arena);
  char name[32];
  for (int i = 0; i < small_files; i++) {
    snprintf(name, sizeof name, "src/m%d.py", i);
    put_file(&tar, name, 300, MG_S(FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY));
  }
  put_file(&tar, SHARD, 5 * GIB, MG_S("weights"));
  return mg_buf_str(&tar);
}

static void test_gzip(void **state) {
  struct mg_buf gz = new_buf(*state);
  gzip(&gz, model_layer(*state, GIB));
  expect_file(*state, mg_buf_str(&gz), true, SHARD, GIB);
  expect_file(*state, (mg_str){gz.p, gz.n - 10}, false, SHARD, GIB); /* cut off before its end */
  expect(*state, (mg_str){gz.p, 12}, false, MG_PEEK_UNDECIDED);
  gz.n = 0;
  gzip(&gz, hidden_layer(*state, 3000));
  expect_file(*state, mg_buf_str(&gz), true, SHARD, 5 * GIB);
  expect(*state, (mg_str){gz.p, gz.n / 2}, false, MG_PEEK_UNDECIDED);
  gz.n = 0;
  gzip(&gz, MG_S(FIFTY));
  expect(*state, mg_buf_str(&gz), false, MG_PEEK_UNREADABLE); /* ended, and no tar */
}

static void test_gzip_members(void **state) {
  struct mg_buf gz = new_buf(*state);
  mg_str layer = hidden_layer(*state, 20);
  for (size_t at = 0; at < layer.n; at += 1000) gzip(&gz, (mg_str){layer.p + at, layer.n - at < 1000 ? layer.n - at : 1000});
  expect_file(*state, mg_buf_str(&gz), true, SHARD, 5 * GIB);
  mg_buf_lit(&gz, "rubbish");
  expect_file(*state, mg_buf_str(&gz), true, SHARD, 5 * GIB);
  gz.n = 0;
  gzip(&gz, MG_S(""));
  gzip(&gz, layer);
  expect_file(*state, mg_buf_str(&gz), true, SHARD, 5 * GIB);
}

static void test_broken_gzip(void **state) {
  struct mg_buf gz = new_buf(*state);
  mg_str layer = hidden_layer(*state, 2000);
  gzip(&gz, layer);
  for (size_t i = gz.n / 4; i < gz.n / 4 + 64; i++) gz.p[i] = (char)~gz.p[i];
  struct mg_finding_in_layer found;
  enum mg_peek peek = mg_weights_peek(*state, mg_buf_str(&gz), false, &found);
  assert_true(peek == MG_PEEK_NOTHING || peek == MG_PEEK_PROOF); /* more bytes would not help */
  expect(*state, MG_S("\x1f\x8b\x08\x00rubbish rubbish rubbish rubbish"), false, MG_PEEK_UNREADABLE);
  expect(*state, MG_S("\x28\xb5\x2f\xfdrubbish rubbish rubbish rubbish"), false, MG_PEEK_UNREADABLE);
}

static void test_zstd(void **state) {
  struct mg_buf z = new_buf(*state);
  mg_str layer = hidden_layer(*state, 20);
  zstd(&z, layer);
  expect_file(*state, mg_buf_str(&z), true, SHARD, 5 * GIB);
  expect(*state, (mg_str){z.p, 8}, false, MG_PEEK_UNDECIDED);
  z.n = 0; /* a frame to skip, then several frames */
  mg_buf_put(&z, MG_S("\x51\x2a\x4d\x18\x04\0\0\0skip"));
  zstd(&z, (mg_str){layer.p, 1000});
  zstd(&z, mg_str_from(layer, 1000));
  expect_file(*state, mg_buf_str(&z), true, SHARD, 5 * GIB);
}

/* 24 MiB of one file that is no weights, in a few KiB: what comes out is bounded, and so is the answer. */
static void test_bombs(void **state) {
  MG_BUF_AUTO tar, packed;
  mg_buf_init(&tar, NULL, (size_t)64 << 20);
  mg_buf_init(&packed, NULL, (size_t)64 << 20);
  put_file(&tar, "zeros", 24 * MIB, MG_S(""));
  put_zeros(&tar, (size_t)(24 * MIB));
  put_file(&tar, SHARD, GIB, MG_S(""));
  gzip(&packed, mg_buf_str(&tar));
  assert_true(packed.n < 65536);
  expect(*state, mg_buf_str(&packed), false, MG_PEEK_NOTHING);
  packed.n = 0;
  zstd(&packed, mg_buf_str(&tar));
  expect(*state, mg_buf_str(&packed), false, MG_PEEK_NOTHING);
}

/* --- tables of contents ----------------------------------------------------------------------------------------------------- */

#define TOC(entries) "{\"version\":1, \"x\": [{}], \"entries\": [" entries "], \"tail\": 1}"
#define DIRECTORY "{\"type\":\"dir\",\"name\":\"models/\",\"mode\":493}"
#define LARGE "{\"type\":\"reg\",\"name\":\"models/a.gguf\",\"size\":4000000000,\"digest\":\"sha256:0\"}"

static void expect_toc(struct mg_arena *arena, mg_str bytes, enum mg_peek wanted) {
  struct mg_finding_in_layer found;
  enum mg_peek peek = mg_weights_toc(arena, bytes, (mg_str){0}, &found);
  if (peek != wanted) fail_msg("%.*s: %d, not %d", MG_FMT(bytes), peek, wanted);
  if (wanted != MG_PEEK_PROOF) return;
  assert_int_equal(found.proof, MG_PROOF_FILE);
  assert_true(mg_str_is(found.what, "models/a.gguf"));
  assert_int_equal(found.file_size, 4000000000);
}

static void test_toc(void **state) {
  static const struct {
    const char *text;
    enum mg_peek wanted;
  } rows[] = {
      {TOC(DIRECTORY "," LARGE), MG_PEEK_PROOF},
      {TOC(LARGE "," DIRECTORY), MG_PEEK_PROOF},
      {" \n{\"entries\":[" LARGE, MG_PEEK_PROOF}, /* cut off behind the proof */
      {TOC(""), MG_PEEK_NOTHING},
      {TOC(DIRECTORY), MG_PEEK_NOTHING},
      {TOC("{\"type\":\"reg\",\"name\":\"a.gguf\",\"size\":1000}"), MG_PEEK_NOTHING},
      {TOC("{\"type\":\"chunk\",\"name\":\"a.gguf\",\"size\":4000000000}"), MG_PEEK_NOTHING},
      {TOC("{\"type\":\"reg\",\"name\":\"a.gguf\",\"size\":4e9}"), MG_PEEK_NOTHING},
      {TOC("{\"type\":\"reg\",\"name\":7,\"size\":4000000000}"), MG_PEEK_NOTHING},
      {TOC("1,2,\"a\",null,[]"), MG_PEEK_NOTHING},
      {"{\"entries\": {}}", MG_PEEK_UNREADABLE},
      {"{\"entries\": [" DIRECTORY, MG_PEEK_UNREADABLE},
      {"{\"version\": 1}", MG_PEEK_UNREADABLE},
      {"{}", MG_PEEK_UNREADABLE},
      {"{1:2}", MG_PEEK_UNREADABLE},
      {"[]", MG_PEEK_UNREADABLE},
      {"rubbish", MG_PEEK_UNREADABLE},
      {"", MG_PEEK_UNREADABLE},
  };
  for (size_t i = 0; i < COUNT(rows); i++) expect_toc(*state, mg_str_of(rows[i].text), rows[i].wanted);
}

static void test_packed_toc(void **state) {
  struct mg_buf tar = new_buf(*state), packed = new_buf(*state);
  zstd(&packed, MG_S(TOC(DIRECTORY "," LARGE)));
  expect_toc(*state, mg_buf_str(&packed), MG_PEEK_PROOF);
  put_file(&tar, "other", 1, MG_S("x"));
  put_file(&tar, "stargz.index.json", sizeof(TOC(LARGE)) - 1, MG_S(TOC(LARGE)));
  put_zeros(&tar, 1024);
  expect_toc(*state, mg_buf_str(&tar), MG_PEEK_PROOF);
  packed.n = 0;
  gzip(&packed, mg_buf_str(&tar));
  expect_toc(*state, mg_buf_str(&packed), MG_PEEK_PROOF);
}

/* As many entries as a large environment has: read one by one, in little memory. */
static void test_long_toc(void **state) {
  struct mg_buf toc = new_buf(*state);
  mg_buf_lit(&toc, "{\"version\":1,\"entries\":[");
  for (int i = 0; i < 200000; i++)
    mg_buf_printf(&toc, "{\"type\":\"reg\",\"name\":\"lib/f%d.py\",\"size\":%d,\"mode\":420,\"xattrs\":{\"a\":\"b\"}},", i, i);
  mg_buf_lit(&toc, LARGE "]}");
  size_t before = ((struct mg_arena *)*state)->used;
  expect_toc(*state, mg_buf_str(&toc), MG_PEEK_PROOF);
  assert_true(((struct mg_arena *)*state)->used - before < 65536 * 8);
}

/* --- whatever comes in ------------------------------------------------------------------------------------------------------ */

static void mutate(char *p, size_t n) {
  for (uint32_t k = random_below(8); k-- > 0 && n;) {
    size_t at = random_below((uint32_t)n), few = n - at < 16 ? n - at : 16;
    switch (random_below(4)) {
    case 0: p[at] = (char)random_below(256); break;
    case 1: p[at] = (char)(p[at] ^ 1 << random_below(8)); break;
    case 2: memset(p + at, (int)random_below(256), few); break;
    default: memmove(p + at, p + random_below((uint32_t)(n - few) + 1), few); break;
    }
  }
}

/* Mends the checksum of the first header half of the time, so that what stands behind it is reached. */
static void take_all(struct mg_arena *arena, char *p, size_t n) {
  struct mg_finding_in_layer found;
  mg_str s = {p, n}, words;
  if (n >= 512 && random_below(2)) put_sum(p);
  enum mg_peek peek = mg_weights_peek(arena, s, random_below(2), &found);
  assert_true(peek <= MG_PEEK_UNREADABLE && (peek == MG_PEEK_PROOF) == (found.proof == MG_PROOF_FILE));
  assert_true(found.what.n <= MG_COMMAND_MAX);
  peek = mg_weights_toc(arena, s, (mg_str){0}, &found);
  assert_true((peek == MG_PEEK_PROOF) == (found.proof == MG_PROOF_FILE));
  assert_true(mg_weights_clean_command(arena, s).n <= MG_COMMAND_MAX);
  if (mg_weights_command(arena, s, &words)) assert_true(words.n <= MG_COMMAND_MAX);
  mg_weights_file(s, GIB, s);
  mg_weights_media_type(s);
}

static void test_whatever_comes(void **state) {
  struct mg_buf tar = new_buf(*state), gz = new_buf(*state), z = new_buf(*state);
  put_special(&tar, 'x', MG_S("17 path=m/a.blob\n16 size=2000000\n"));
  put_file(&tar, "a", 700, MG_S(FIFTY FIFTY));
  put_special(&tar, 'L', MG_S("opt/" FIFTY "/model.gguf\0"));
  put_file(&tar, "b", GIB, MG_S("{\"architectures\""));
  gzip(&gz, mg_buf_str(&tar));
  zstd(&z, mg_buf_str(&tar));
  const mg_str seeds[] = {mg_buf_str(&tar), mg_buf_str(&gz), mg_buf_str(&z), MG_S(TOC(DIRECTORY "," LARGE)),
                          MG_S("RUN |2 A=1 TOKEN='x /bin/sh -c huggingface-cli --token x download && "
                               "wget https://a:b@c/x.gguf?k=v # buildkit"),
                          MG_S("COPY --from=x [\"/models/\", 'hf_abc', \"authorization: bearer x\"]")};
  long runs = random_runs(2000);
  for (long i = 0; i < runs; i++) {
    static struct mg_arena arena;
    mg_arena_init(&arena, (size_t)1 << 20, 0);
    mg_str from = seeds[random_below(COUNT(seeds))];
    size_t n = random_below(4) ? from.n : random_below((uint32_t)from.n + 1);
    char *p = malloc(n ? n : 1); /* of its exact size, so that a sanitizer sees every byte too far */
    assert_non_null(p);
    memcpy(p, from.p, n);
    mutate(p, n);
    take_all(&arena, p, n);
    free(p);
    mg_arena_fini(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_magic, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_types_and_labels, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_commands, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_plain_tar, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_end_of_tar, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_far_next_header, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_bad_headers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_prefix_and_base256, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_long_name, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_pax, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_sparse, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_model_directory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_file_names_are_cleaned, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_gzip, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_gzip_members, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_broken_gzip, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_zstd, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_bombs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_toc, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_packed_toc, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_long_toc, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_whatever_comes, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
