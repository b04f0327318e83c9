#include "base/ascii.h"
#include "registry/weights_parts.h"

#define BLOCK 512
#define SIZE_MOST ((int64_t)1 << 60) /* so that no sum of places can overflow */

/* Places in a header. */
enum { NAME = 0, SIZE = 124, CHECKSUM = 148, TYPE = 156, MAGIC = 257, PREFIX = 345, SPARSE_MORE = 482, SPARSE_BLOCK_MORE = 504 };

static mg_str text_at(const char *p, size_t max) {
  mg_str s = {p, max};
  s.n = mg_str_find(s, '\0');
  return s;
}

/* Octal digits between blanks and NULs, or a number of base 256. */
static bool number_at(const char *p, size_t n, int64_t *ret) {
  const unsigned char *s = (const unsigned char *)p;
  int64_t value = 0;
  size_t i = 0;
  if (s[0] & 0x80) {
    if (s[0] & 0x40) return false; /* negative */
    value = s[0] & 0x3F;
    for (i = 1; i < n; i++) {
      if (value > SIZE_MOST >> 8) return false;
      value = value << 8 | s[i];
    }
    *ret = value;
    return value <= SIZE_MOST;
  }
  while (i < n && (s[i] == ' ' || s[i] == '\0')) i++;
  for (; i < n && s[i] >= '0' && s[i] <= '7'; i++) value = value << 3 | (s[i] - '0'); /* at most 12 digits */
  for (; i < n; i++)
    if (s[i] != ' ' && s[i] != '\0') return false;
  *ret = value;
  return true;
}

/* Some old writers summed signed bytes. */
static bool checksum_holds(const char *header) {
  int64_t wanted, plain = 0, with_sign = 0;
  if (!number_at(header + CHECKSUM, 8, &wanted)) return false;
  for (int i = 0; i < BLOCK; i++) {
    char c = i >= CHECKSUM && i < CHECKSUM + 8 ? ' ' : header[i];
    plain += (unsigned char)c;
    with_sign += (signed char)c;
  }
  return wanted == plain || wanted == with_sign;
}

static bool all_zero(const char *block) {
  for (int i = 0; i < BLOCK; i++)
    if (block[i]) return false;
  return true;
}

static const char *block_at(const struct mg_tar *tar, uint64_t at) {
  return tar->data.n >= BLOCK && at <= tar->data.n - BLOCK ? tar->data.p + at : NULL;
}

static mg_str path_of(struct mg_tar *tar, const char *header) {
  mg_str name = text_at(header + NAME, 100), prefix = {0};
  if (memcmp(header + MAGIC, "ustar\0", 6) == 0) prefix = text_at(header + PREFIX, 155);
  if (prefix.n == 0) return name;
  memcpy(tar->joined, prefix.p, prefix.n);
  tar->joined[prefix.n] = '/';
  memcpy(tar->joined + prefix.n + 1, name.p, name.n);
  return (mg_str){tar->joined, prefix.n + 1 + name.n};
}

static bool decimal(mg_str s, int64_t *ret) {
  int64_t value = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (!mg_is_digit(s.p[i]) || value > SIZE_MOST / 10) return false;
    value = value * 10 + (s.p[i] - '0');
  }
  *ret = value;
  return s.n > 0;
}

/* "LENGTH KEY=VALUE\n", one behind the other. False where they are malformed. */
static bool read_pax(mg_str records, mg_str *path, int64_t *size) {
  while (records.n) {
    size_t blank = mg_str_find(records, ' ');
    int64_t length = 0;
    if (blank > 9 || !decimal((mg_str){records.p, blank}, &length)) return false;
    if ((uint64_t)length > records.n || (size_t)length < blank + 3 || records.p[length - 1] != '\n') return false;
    mg_str record = {records.p + blank + 1, (size_t)length - blank - 2};
    size_t equals = mg_str_find(record, '=');
    mg_str key = {record.p, equals}, value = mg_str_from(record, equals + 1);
    if (mg_str_is(key, "path") || mg_str_is(key, "GNU.sparse.name")) *path = value;
    if (mg_str_is(key, "size") && !decimal(value, size)) return false;
    records = mg_str_from(records, (size_t)length);
  }
  return true;
}

/* Blocks behind the header of a sparse file that say where its holes are. */
static enum mg_tar_step skip_holes(struct mg_tar *tar, bool more) {
  while (more) {
    const char *block = block_at(tar, tar->at);
    if (!block) return MG_TAR_CUT;
    more = block[SPARSE_BLOCK_MORE];
    tar->at += BLOCK;
  }
  return MG_TAR_FILE;
}

/* Links, devices, directories and fifos have no content, whatever their size says. */
static bool has_content(char type) {
  return !(type >= '1' && type <= '6');
}

static void pass_content(struct mg_tar *tar, int64_t size, mg_str *ret) {
  *ret = tar->at < tar->data.n ? mg_str_from(tar->data, (size_t)tar->at) : (mg_str){0};
  if ((uint64_t)size < ret->n) ret->n = (size_t)size;
  tar->at += ((uint64_t)size + BLOCK - 1) / BLOCK * BLOCK;
}

enum mg_tar_step mg_tar_next(struct mg_tar *tar, struct mg_tar_file *ret) {
  mg_str path = {0};
  int64_t pax_size = -1;
  for (;;) {
    const char *header = block_at(tar, tar->at);
    if (!header) return MG_TAR_CUT;
    if (all_zero(header)) return MG_TAR_END;
    int64_t size;
    char type = header[TYPE];
    if (!checksum_holds(header) || !number_at(header + SIZE, 12, &size)) return MG_TAR_BAD;
    bool special = type == 'L' || type == 'K' || type == 'x' || type == 'g';
    if (!special && pax_size >= 0) size = pax_size;
    if (!has_content(type)) size = 0;
    tar->at += BLOCK;
    if (type == 'S' && skip_holes(tar, header[SPARSE_MORE]) != MG_TAR_FILE) return MG_TAR_CUT;
    mg_str content;
    pass_content(tar, size, &content);
    if (!special) {
      *ret = (struct mg_tar_file){path.n ? path : path_of(tar, header), size, content};
      return MG_TAR_FILE;
    }
    if (content.n < (uint64_t)size) return MG_TAR_CUT;
    if (type == 'L') path = text_at(content.p, content.n);
    /* What a global header ('g') says is not applied by Go either. */
    if (type == 'x' && !read_pax(content, &path, &pax_size)) return MG_TAR_BAD;
  }
}
