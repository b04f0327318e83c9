#include "app/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "app/inputs.h"

#define PIECE ((size_t)1 << 17)
#define DEPTH_MAX 1000 /* more than any reader takes: what looks so deep is many records that were cut short */

struct mg_records {
  gzFile in;
  struct mg_buf text; /* what was read and not yet given away, from `from` on */
  size_t from, at;    /* where the record begins; how far it was looked at */
  uint32_t line;      /* of `at` */
  bool over, begun, array, yaml;
  bool lost; /* behind a spoiled record: the next one begins a line */
};

/* Where the look into a record is. */
struct look {
  uint32_t depth;
  bool quoted, escaped, line_begins;
  char last; /* that is no white space */
};

static bool is_yaml(const char *path) {
  return mg_str_ends(mg_str_of(path), MG_S(".yaml")) || mg_str_ends(mg_str_of(path), MG_S(".yml"));
}

int mg_records_open(struct mg_records **ret, const char *path, struct mg_err *err) {
  struct stat info;
  bool standard = mg_is_standard(path);
  *ret = NULL;
  int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    int code = mg_err_set(err, MG_E_IO, "%s", strerror(fd >= 0 && S_ISDIR(info.st_mode) ? EISDIR : errno));
    if (fd >= 0) close(fd);
    return code;
  }
  struct mg_records *records = calloc(1, sizeof *records);
  gzFile in = records ? gzdopen(fd, "rb") : NULL;
  if (!in) {
    free(records);
    close(fd);
    return mg_err_nomem(err);
  }
  *records = (struct mg_records){.in = in, .line = 1, .yaml = is_yaml(path)};
  mg_buf_init(&records->text, NULL, MG_RECORD_MAX + PIECE);
  *ret = records;
  return 0;
}

void mg_records_close(struct mg_records *records) {
  if (!records) return;
  gzclose(records->in);
  mg_buf_fini(&records->text);
  free(records);
}

static int read_failed(struct mg_records *r, struct mg_err *err) {
  int code = Z_OK;
  const char *text = gzerror(r->in, &code), *colon = strstr(text, ": "); /* behind what zlib calls the file: <fd:3> */
  if (colon) text = colon + 2;
  r->over = true;
  r->from = r->at = r->text.n;
  return mg_err_set(err, code == Z_MEM_ERROR ? MG_E_NOMEM : MG_E_IO, "%s", code == Z_ERRNO ? strerror(errno) : text);
}

/* Reads on. What was given away makes room first: at most once for as much as there is, so that it costs little. */
static int more(struct mg_records *r, struct mg_err *err) {
  if (r->from && (r->from >= r->text.n / 2 || r->text.n + PIECE > r->text.max)) {
    r->text.n -= r->from;
    memmove(r->text.p, r->text.p + r->from, r->text.n);
    r->at -= r->from;
    r->from = 0;
  }
  char *to = mg_buf_room(&r->text, PIECE);
  if (!to) return mg_err_nomem(err);
  int n = gzread(r->in, to, PIECE);
  if (n < 0) return read_failed(r, err);
  if (n == 0) {
    int code = Z_OK;
    gzerror(r->in, &code); /* compressed, and cut short */
    if (code != Z_OK && code != Z_STREAM_END) return read_failed(r, err);
    r->over = true;
  }
  r->text.n += (size_t)n;
  return 0;
}

/* The character at `at`; -1: the end; other negative codes as above. */
#define AT_END (-100)
static int look_at(struct mg_records *r, struct mg_err *err) {
  while (r->at == r->text.n) {
    if (r->over) return AT_END;
    int code = more(r, err);
    if (code < 0) return code;
  }
  return (unsigned char)r->text.p[r->at];
}

static void step(struct mg_records *r, int c) {
  r->at++;
  r->line += c == '\n';
}

static bool is_blank(int c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0x1E; /* the last one is of RFC 7464 */
}

/* Behind a spoiled record: to a line that begins like a record. */
static int find_again(struct mg_records *r, struct mg_err *err) {
  for (;;) {
    int c = look_at(r, err);
    bool line_begins = c >= 0 && r->at > r->from && r->text.p[r->at - 1] == '\n';
    if (c < 0 || (line_begins && c == '{')) return c;
    step(r, c);
    if (r->at > r->from + 1) r->from = r->at - 1; /* the last character tells where a line begins */
  }
}

/* To the first character of the next record. */
static int find_begin(struct mg_records *r, struct mg_err *err) {
  int c = r->lost ? find_again(r, err) : look_at(r, err);
  r->lost = false;
  while (c >= 0 && (is_blank(c) || (r->array && (c == '[' || c == ',' || c == ']')))) {
    step(r, c);
    r->from = r->at;
    c = look_at(r, err);
  }
  r->from = r->at;
  return c;
}

static int spoiled(struct mg_records *r, int code, uint32_t line, const char *text, struct mg_err *err) {
  (void)mg_err_set(err, code, "%s", text);
  err->line = line;
  err->column = 1;
  r->lost = true;
  r->from = r->at ? r->at - 1 : 0;
  return code;
}

/* 1: the record ends with this character. 0: it goes on. -1: it cannot. Each record has its line, or at least begins one, so
 * one that is cut short does not take the next ones with it. */
static int take(struct look *look, char c) {
  bool begins = look->line_begins;
  look->line_begins = c == '\n';
  if (look->quoted) {
    if (look->escaped) look->escaped = false;
    else if (c == '\\') look->escaped = true;
    else if (c == '"') look->quoted = false;
    look->last = c;
    return c == '\n' ? -1 : 0;
  }
  if (is_blank((unsigned char)c)) return 0;
  if (begins && c == '{' && look->depth && !memchr(":,[", look->last, 3)) return -1;
  look->last = c;
  if (c == '"') look->quoted = true;
  else if (c == '{' || c == '[') look->depth++;
  else if (c == '}' || c == ']') look->depth--;
  if (look->depth > DEPTH_MAX) return -1;
  return look->depth ? 0 : 1;
}

static int find_end(struct mg_records *r, uint32_t line, struct mg_err *err) {
  struct look look = {0};
  for (;;) {
    int c = look_at(r, err), taken;
    if (c == AT_END) return spoiled(r, MG_E_SYNTAX, line, "the record is cut short: the file ends in it", err);
    if (c < 0) return c;
    if (r->at - r->from >= MG_RECORD_MAX) return spoiled(r, MG_E_LIMIT, line, "the record is larger than 64 MiB", err);
    taken = take(&look, (char)c);
    if (taken < 0 && c == '{') return spoiled(r, MG_E_SYNTAX, line, "the record is cut short, or is no JSON", err);
    step(r, c);
    if (taken < 0) return spoiled(r, MG_E_SYNTAX, line, "the record is cut short, or is no JSON", err);
    if (taken) return 1;
  }
}

static int whole(struct mg_records *r, struct mg_record *ret, struct mg_err *err) {
  while (!r->over) {
    int code = more(r, err);
    if (code < 0) return code;
    if (r->text.n > MG_RECORD_MAX) {
      r->over = true;
      r->from = r->at = r->text.n = 0;
      return mg_err_set(err, MG_E_IO, "larger than 64 MiB, and does not begin like JSON");
    }
  }
  *ret = (struct mg_record){.text = mg_buf_str(&r->text), .line = 1, .yaml = true};
  r->from = r->at = r->text.n = 0;
  return ret->text.n > 0;
}

static int begin(struct mg_records *r, struct mg_err *err) {
  r->begun = true;
  int c = look_at(r, err);
  if (c == 0xEF) { /* a byte order mark, as editors leave it */
    while (!r->over && r->text.n < 3) {
      int code = more(r, err);
      if (code < 0) return code;
    }
    if (mg_str_starts(mg_buf_str(&r->text), MG_S("\xEF\xBB\xBF"))) r->at = r->from = 3;
    c = look_at(r, err);
  }
  while (!r->yaml && c >= 0 && is_blank(c)) {
    step(r, c);
    c = look_at(r, err);
  }
  r->array = c == '[';
  if (c >= 0 && c != '{' && c != '[') r->yaml = true;
  return c == AT_END ? 0 : c < 0 ? c : 1;
}

int mg_records_next(struct mg_records *r, struct mg_record *ret, struct mg_err *err) {
  if (!r->begun) {
    int some = begin(r, err);
    if (some <= 0) return some;
  }
  if (r->yaml) return whole(r, ret, err);
  int c = find_begin(r, err);
  if (c == AT_END) return 0;
  if (c < 0) return c;
  uint32_t line = r->line;
  if (c != '{') {
    step(r, c);
    return spoiled(r, MG_E_SYNTAX, line, "not JSON: a record begins with {", err);
  }
  int code = find_end(r, line, err);
  if (code < 0) return code;
  *ret = (struct mg_record){.text = {r->text.p + r->from, r->at - r->from}, .line = line};
  r->from = r->at;
  return 1;
}
