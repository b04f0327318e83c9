#include "registry/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/read.h"
#include "base/write.h"
#include "doc/json.h"
#include "registry/manifest.h"

#define FORMAT 1
#define PATH_ROOM 4096
#define LEFT_SECONDS 60
#define ARENA_MAX ((size_t)64 << 20)

enum kind { TEXT, NUMBER, PROOF, YES, EVER };

struct field {
  const char *name;
  enum kind kind;
  size_t offset;
};

#define OF(type, field) offsetof(struct type, field)
static const struct field platform_fields[] = {
    {"platform", TEXT, OF(mg_platform_fact, platform)},   {"digest", TEXT, OF(mg_platform_fact, digest)},
    {"total", NUMBER, OF(mg_platform_fact, total)},       {"malformed", TEXT, OF(mg_platform_fact, malformed)},
    {"artifact", TEXT, OF(mg_platform_fact, artifact)},   {"proof", PROOF, OF(mg_platform_fact, proof)},
    {"what", TEXT, OF(mg_platform_fact, what)},           {NULL, TEXT, 0},
};
static const struct field layer_fields[] = {
    {"digest", TEXT, OF(mg_layer_fact, digest)},          {"diffId", TEXT, OF(mg_layer_fact, diff_id)},
    {"mediaType", TEXT, OF(mg_layer_fact, media_type)},   {"size", NUMBER, OF(mg_layer_fact, size)},
    {"command", TEXT, OF(mg_layer_fact, command)},        {"proof", PROOF, OF(mg_layer_fact, proof)},
    {"what", TEXT, OF(mg_layer_fact, what)},              {"fileSize", NUMBER, OF(mg_layer_fact, file_size)},
    {"lookedInto", YES, OF(mg_layer_fact, looked_into)},  {"held", NUMBER, OF(mg_layer_fact, held)},
    {NULL, TEXT, 0},
};
static const struct field more_fields[] = {
    {"toc", TEXT, OF(mg_box_layer, toc)},
    {"tocDigest", TEXT, OF(mg_box_layer, toc_digest)},
    {"tried", EVER, OF(mg_box_layer, tried_until)},
    {"measured", EVER, OF(mg_box_layer, measured_until)},
    {NULL, TEXT, 0},
};

/* ---- writing ---- */

static void write_fields(struct mg_buf *out, const struct field *fields, const void *from) {
  for (; fields->name; fields++) {
    const void *at = (const char *)from + fields->offset;
    mg_buf_printf(out, "\"%s\":", fields->name);
    if (fields->kind == TEXT) mg_buf_json(out, *(const mg_str *)at);
    else if (fields->kind == NUMBER) mg_buf_printf(out, "%" PRId64, *(const int64_t *)at);
    else if (fields->kind == PROOF) mg_buf_printf(out, "%d", (int)*(const enum mg_proof *)at);
    else if (fields->kind == EVER) mg_buf_put(out, *(const int64_t *)at == MG_BOX_EVER ? MG_S("true") : MG_S("false"));
    else mg_buf_printf(out, "%s", *(const bool *)at ? "true" : "false");
    mg_buf_byte(out, ',');
  }
}

static void write_platform(struct mg_buf *out, const struct mg_platform_fact *p, const struct mg_box_layer *more) {
  mg_buf_byte(out, '{');
  write_fields(out, platform_fields, p);
  mg_buf_lit(out, "\"layers\":[");
  for (uint32_t i = 0; i < p->layer_count; i++) {
    mg_buf_put(out, i ? MG_S(",{") : MG_S("{"));
    write_fields(out, layer_fields, &p->layers[i]);
    write_fields(out, more_fields, &more[i]);
    mg_buf_printf(out, "\"layer\":%u}", (unsigned)i);
  }
  mg_buf_lit(out, "]}");
}

static void write_box(struct mg_buf *out, mg_str key, const struct mg_box *box) {
  mg_buf_printf(out, "{\"mlgate\":%d,\"key\":", FORMAT);
  mg_buf_json(out, key);
  mg_buf_lit(out, ",\"digest\":");
  mg_buf_json(out, box->facts.digest);
  mg_buf_lit(out, ",\"platforms\":[");
  for (uint32_t i = 0; i < box->facts.platform_count; i++) {
    if (i) mg_buf_byte(out, ',');
    write_platform(out, &box->facts.platforms[i], box->more[i]);
  }
  mg_buf_lit(out, "]}\n");
}

/* ---- reading ---- */

static void read_fields(struct mg_arena *arena, mg_node from, const struct field *fields, void *to) {
  for (; fields->name; fields++) {
    void *at = (char *)to + fields->offset;
    mg_node value = mg_get(from, mg_str_of(fields->name));
    int64_t n = -1;
    if (fields->kind == TEXT) *(mg_str *)at = mg_arena_dup(arena, mg_string(value));
    else if (fields->kind == YES) *(bool *)at = mg_true(value);
    else if (fields->kind == EVER) *(int64_t *)at = mg_true(value) ? MG_BOX_EVER : 0;
    else if (!mg_int64(value, &n)) n = -1;
    if (fields->kind == NUMBER) *(int64_t *)at = n;
    if (fields->kind == PROOF) *(enum mg_proof *)at = n > 0 && n <= MG_PROOF_LABEL ? (enum mg_proof)n : MG_PROOF_NONE;
  }
}

static bool read_platform(struct mg_arena *arena, mg_node from, struct mg_platform_fact *to, struct mg_box_layer **ret_more) {
  mg_node layers = MG_GET(from, "layers");
  uint32_t count = mg_count(layers);
  if (!mg_is(layers, MG_ARRAY) || count > MG_LAYERS_MAX) return false;
  read_fields(arena, from, platform_fields, to);
  to->layers = MG_NEW_N(arena, struct mg_layer_fact, count + 1);
  *ret_more = MG_NEW_N(arena, struct mg_box_layer, count + 1);
  if (!to->layers || !*ret_more) return false;
  for (mg_node at = mg_first(layers); at.at; at = mg_next(at)) {
    read_fields(arena, at, layer_fields, &to->layers[to->layer_count]);
    read_fields(arena, at, more_fields, &(*ret_more)[to->layer_count++]);
  }
  return true;
}

static struct mg_box *read_box(struct mg_arena *arena, mg_str text, mg_str key) {
  struct mg_doc doc;
  struct mg_read how = {.limits = {.bytes = MG_DISK_FILE_MAX, .depth = 8, .cells = 200000}};
  struct mg_box_layer *more[MG_PLATFORMS_MAX] = {0};
  int64_t format = 0;
  if (mg_json_read(&doc, arena, text, &how, NULL) < 0) return NULL;
  mg_node root = mg_root(&doc), platforms = MG_GET(root, "platforms");
  if (!mg_int64(MG_GET(root, "mlgate"), &format) || format != FORMAT) return NULL;
  if (!mg_str_eq(mg_string(MG_GET(root, "key")), key)) return NULL;
  struct mg_image_facts facts = {.digest = mg_string(MG_GET(root, "digest")),
                                 .platforms = MG_NEW_N(arena, struct mg_platform_fact, MG_PLATFORMS_MAX)};
  if (!facts.platforms || mg_count(platforms) > MG_PLATFORMS_MAX) return NULL;
  for (mg_node at = mg_first(platforms); at.at; at = mg_next(at), facts.platform_count++)
    if (!read_platform(arena, at, &facts.platforms[facts.platform_count], &more[facts.platform_count])) return NULL;
  return arena->failed ? NULL : mg_box_new(&facts, more);
}

/* ---- files ---- */

static bool path_of(char path[PATH_ROOM], const char *dir, const char *kind, mg_str key) {
  struct mg_arena arena;
  mg_arena_init(&arena, 16384, 0);
  mg_str digest = mg_digest_of(&arena, key);
  int n = digest.n < 12 ? -1 : snprintf(path, PATH_ROOM, "%s/%s-%.3s", dir, kind, digest.p + 7);
  mg_arena_fini(&arena);
  return n > 0 && n < PATH_ROOM;
}

static mg_str read_file(struct mg_arena *arena, const char *path) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size <= MG_DISK_FILE_MAX;
  good = good && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)); /* whoever writes it would decide */
  char *text = good ? mg_arena_alloc(arena, (size_t)st.st_size) : NULL;
  ssize_t n = text ? mg_read_all(fd, text, (size_t)st.st_size) : -1;
  if (fd >= 0) close(fd);
  return n < 0 ? (mg_str){0} : (mg_str){text, (size_t)n};
}

/* One name for each, so that what a crash leaves behind is bounded too; after a minute it is taken for that. */
static int open_new(const char *path) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  struct stat st;
  int fd = open(path, flags, 0600);
  if (fd >= 0 || errno != EEXIST || lstat(path, &st) != 0 || st.st_mtim.tv_sec + LEFT_SECONDS > time(NULL)) return fd;
  return unlink(path) == 0 ? open(path, flags, 0600) : -1;
}

/* Whole or not at all: other runs may read it, and write it too. */
static void write_file(const char *path, mg_str text) {
  char temporary[PATH_ROOM];
  int fd = snprintf(temporary, sizeof temporary, "%s.new", path) < PATH_ROOM ? open_new(temporary) : -1;
  if (fd < 0) return;
  bool good = mg_write_all(fd, text) == 0;
  if (close(fd) != 0 || !good || rename(temporary, path) != 0) unlink(temporary);
}

static mg_str key_of(struct mg_arena *arena, mg_str digest, mg_str place) {
  return mg_arena_printf(arena, "%.*s %.*s", MG_FMT(digest), MG_FMT(place));
}

/* ---- from outside ---- */

int mg_disk_open(const char *dir, struct mg_err *err) {
  struct stat st;
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) return mg_err_set(err, MG_E_IO, "%s: %s", dir, strerror(errno));
  if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) return mg_err_set(err, MG_E_IO, "%s: no directory", dir);
  return access(dir, R_OK | X_OK) == 0 ? 0 : mg_err_set(err, MG_E_IO, "%s: %s", dir, strerror(errno));
}

struct mg_box *mg_disk_box(const char *dir, mg_str digest, mg_str place) {
  struct mg_arena arena;
  char path[PATH_ROOM];
  if (!dir) return NULL;
  mg_arena_init(&arena, ARENA_MAX, 0);
  mg_str key = key_of(&arena, digest, place), text = {0};
  if (path_of(path, dir, "image", key)) text = read_file(&arena, path);
  struct mg_box *box = text.n ? read_box(&arena, text, key) : NULL;
  if (box && !mg_str_eq(box->facts.digest, digest)) {
    mg_box_unref(box);
    box = NULL;
  }
  mg_arena_fini(&arena);
  return box;
}

void mg_disk_keep_box(const char *dir, mg_str place, const struct mg_box *box) {
  struct mg_arena arena;
  MG_BUF_AUTO out;
  char path[PATH_ROOM];
  mg_buf_init(&out, NULL, MG_DISK_FILE_MAX);
  if (!dir || box->until) return; /* others must not take for good what is not */
  mg_arena_init(&arena, 65536, 0);
  mg_str key = key_of(&arena, box->facts.digest, place);
  write_box(&out, key, box);
  if (!out.failed && path_of(path, dir, "image", key)) write_file(path, mg_buf_str(&out));
  mg_arena_fini(&arena);
}

/* The reference, a blank, the digest. */
mg_str mg_disk_tag(const char *dir, mg_str reference, struct mg_arena *arena) {
  char path[PATH_ROOM];
  if (!dir || !path_of(path, dir, "tag", reference)) return (mg_str){0};
  mg_str text = read_file(arena, path), digest = mg_str_from(text, reference.n + 1);
  if (digest.n && digest.p[digest.n - 1] == '\n') digest.n--;
  return mg_str_starts(text, reference) && mg_digest_is_valid(digest) ? digest : (mg_str){0};
}

void mg_disk_keep_tag(const char *dir, mg_str reference, mg_str digest) {
  MG_BUF_AUTO out;
  char path[PATH_ROOM];
  mg_buf_init(&out, NULL, 4096);
  mg_buf_printf(&out, "%.*s %.*s\n", MG_FMT(reference), MG_FMT(digest));
  if (dir && !out.failed && path_of(path, dir, "tag", reference)) write_file(path, mg_buf_str(&out));
}
