#include <strings.h>

#include "base/ascii.h"
#include "registry/weights_parts.h"

bool mg_weights_starts(mg_str s, const char *with) {
  size_t n = strlen(with);
  return s.n >= n && (n == 0 || strncasecmp(s.p, with, n) == 0);
}

bool mg_weights_ends(mg_str s, const char *with) {
  size_t n = strlen(with);
  return s.n >= n && mg_weights_starts(mg_str_from(s, s.n - n), with);
}

bool mg_weights_has(mg_str s, const char *part) {
  for (; s.n; s = mg_str_from(s, 1))
    if (mg_weights_starts(s, part)) return true;
  return false;
}

mg_str mg_weights_base(mg_str path) {
  for (size_t i = path.n; i > 0; i--)
    if (path.p[i - 1] == '/') return mg_str_from(path, i);
  return path;
}

mg_str mg_weights_dir(mg_str path) {
  return (mg_str){path.p, path.n - mg_weights_base(path).n};
}

/* Weights by the beginning and the end of a file's name. */
static const struct {
  const char *start, *end;
  enum mg_weights_named named;
} names[] = {
    {"", ".safetensors", MG_NAMED_SURELY},
    {"", ".gguf", MG_NAMED_SURELY},
    {"", ".ggml", MG_NAMED_SURELY},
    {"", ".ckpt", MG_NAMED_SURELY},
    {"", ".onnx", MG_NAMED_SURELY},
    {"", ".onnx_data", MG_NAMED_SURELY},
    {"", ".onnx.data", MG_NAMED_SURELY},
    {"", ".tflite", MG_NAMED_SURELY},
    {"", ".nemo", MG_NAMED_SURELY},
    {"", ".keras", MG_NAMED_SURELY},
    {"", ".pdparams", MG_NAMED_SURELY},
    {"", ".llamafile", MG_NAMED_SURELY},
    {"pytorch_model", ".bin", MG_NAMED_SURELY},
    {"diffusion_pytorch_model", ".bin", MG_NAMED_SURELY},
    {"adapter_model", ".bin", MG_NAMED_SURELY},
    {"openvino_", "model.bin", MG_NAMED_SURELY},
    {"ggml-", ".bin", MG_NAMED_SURELY},
    {"flax_model", ".msgpack", MG_NAMED_SURELY},
    {"variables.data-", "", MG_NAMED_SURELY},
    {"model.ckpt-", "", MG_NAMED_SURELY},
    {"", ".pt", MG_NAMED_PERHAPS},
    {"", ".pth", MG_NAMED_PERHAPS},
    {"", ".h5", MG_NAMED_PERHAPS},
    {"", ".hdf5", MG_NAMED_PERHAPS},
    {"", ".engine", MG_NAMED_PERHAPS},
    {"", ".plan", MG_NAMED_PERHAPS},
    {"", ".trt", MG_NAMED_PERHAPS},
    {"saved_model", ".pb", MG_NAMED_PERHAPS},
};

/* What software is made of, and data that only shares a container format with weights. */
static const struct {
  const char *start, *end;
} never[] = {
    {"", ".so"}, {"", ".a"}, {"", ".whl"}, {"", ".deb"}, {"", ".rpm"}, {"", ".conda"}, {"", ".jar"}, {"", ".tar"},
    {"", ".tar.gz"}, {"", ".tgz"}, {"", ".tar.bz2"}, {"", ".tar.xz"}, {"", ".tar.zst"}, {"", ".zip"},
    {"libtorch", ""}, {"libcu", ""}, {"", ".nc"}, {"", ".nc4"}, {"", ".h5ad"}, {"", ".loom"}, {"", ".mat"},
};

static bool fits(mg_str name, const char *start, const char *end) {
  if (name.n <= strlen(end) || name.n < strlen(start) + strlen(end)) return false;
  return mg_weights_starts(name, start) && mg_weights_ends(name, end);
}

static bool is_software(mg_str name) {
  for (size_t i = 0; i < sizeof never / sizeof *never; i++)
    if (fits(name, never[i].start, never[i].end)) return true;
  return mg_str_has(name, MG_S(".so."));
}

enum mg_weights_named mg_weights_named(mg_str path) {
  mg_str name = mg_weights_base(path);
  if (is_software(name)) return MG_NAMED_NOT;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (fits(name, names[i].start, names[i].end)) return names[i].named;
  return MG_NAMED_NOT;
}

static bool is_hex(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (!mg_is_hex(s.p[i])) return false;
  return s.n >= 40;
}

/* The last part of a path, which is cut off. */
static mg_str pop(mg_str *path) {
  mg_str last = mg_weights_base(*path);
  path->n -= last.n;
  if (path->n) path->n--;
  return last;
}

/* Caches that name files by their hash: models--ORG--NAME/blobs/HEX of Hugging Face, models/blobs/sha256-HEX of Ollama. */
static bool in_model_cache(mg_str path) {
  mg_str name = pop(&path), blobs = pop(&path), owner = pop(&path);
  if (!mg_str_is(blobs, "blobs")) return false;
  if (mg_str_starts(owner, MG_S("models--"))) return is_hex(name);
  return mg_str_is(owner, "models") && mg_str_starts(name, MG_S("sha256-")) && is_hex(mg_str_from(name, 7));
}

static uint64_t little_endian(const char *p, size_t n) {
  uint64_t value = 0;
  for (size_t i = n; i-- > 0;) value = value << 8 | (unsigned char)p[i];
  return value;
}

/* A JSON object behind its length. The format itself allows 100 MB of it. */
static bool is_safetensors(mg_str head, int64_t size) {
  if (head.n < 10 || memcmp(head.p + 8, "{\"", 2) != 0) return false;
  uint64_t n = little_endian(head.p, 8);
  return n >= 2 && n <= 100000000 && n < (uint64_t)size;
}

/* GGUF, and what came before it: ggml, ggmf, ggjt, as numbers with the lowest byte first. */
static bool is_gguf(mg_str head) {
  static const mg_str magics[] = {{"GGUF", 4}, {"lmgg", 4}, {"fmgg", 4}, {"tjgg", 4}};
  for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
    if (mg_str_starts(head, magics[i])) return true;
  return false;
}

/* What torch.save writes: a zip whose first file is called data.pkl. */
static bool is_torch_zip(mg_str head) {
  if (head.n < 30 || !mg_str_starts(head, MG_S("PK\x03\x04"))) return false;
  size_t n = (size_t)little_endian(head.p + 26, 2);
  return head.n - 30 >= n && mg_str_is(mg_weights_base((mg_str){head.p + 30, n}), "data.pkl");
}

static bool is_hdf5(mg_str head) {
  return mg_str_starts(head, MG_S("\x89HDF\r\n\x1a\n"));
}

/* A protocol buffer that begins with the version of the format and the name of the program that wrote it. */
static bool is_onnx(mg_str head) {
  if (head.n < 5 || head.p[0] != 8 || head.p[1] < 3 || head.p[1] > 20 || head.p[2] != 0x12) return false;
  size_t n = (unsigned char)head.p[3];
  if (n == 0 || n > 48 || head.n < 5 + n) return false;
  for (size_t i = 0; i < n; i++)
    if (head.p[4 + i] < 0x20 || head.p[4 + i] > 0x7E) return false;
  return memchr("\x1a\x22\x28\x32\x3a\x42", head.p[4 + n], 6) != NULL;
}

bool mg_weights_file(mg_str path, int64_t size, mg_str head) {
  if (size < MG_WEIGHT_FILE_MIN) return false;
  if (is_gguf(head) || is_safetensors(head, size) || is_torch_zip(head)) return true; /* whatever it calls itself */
  if (is_software(mg_weights_base(path))) return false;
  return mg_weights_named(path) != MG_NAMED_NOT || in_model_cache(path) || is_hdf5(head) || is_onnx(head);
}

bool mg_weights_media_type(mg_str media_type) {
  static const char tree[] = "application/vnd.";
  static const char *const vendors[] = {"cncf.model.weight", "cncf.model.manifest", "cncf.model.config", "cnai.model.",
                                        "ollama.image.model", "ollama.image.adapter", "ollama.image.projector",
                                        "docker.ai.model", "docker.ai.mmproj", "docker.ai.lora", "docker.ai.dduf",
                                        "kitops.modelkit.model", "kitops.modelkit.manifest", "kitops.modelkit.config"};
  if (media_type.n > 255) return false;
  mg_str name = mg_weights_starts(media_type, tree) ? mg_str_from(media_type, sizeof tree - 1) : MG_S("");
  for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++)
    if (mg_weights_starts(name, vendors[i])) return true;
  return mg_weights_has(media_type, "safetensors") || mg_weights_has(media_type, "gguf");
}

bool mg_weights_label(mg_str key) {
  static const char *const starts[] = {"gguf.model.", "org.cncf.model.", "org.cnai.model."};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    if (mg_str_starts(key, mg_str_of(starts[i]))) return true;
  return false;
}
