/* Decompression with a limit on what comes out. What goes in is at most a few MiB, and both libraries make progress with every
 * call or end, so time is bounded too. */
#include <zlib.h>
#include <zstd.h>

#include "registry/weights_parts.h"

#define STEP ((size_t)256 << 10)

/* Room for the next piece, less at the limit; NULL where there is none. */
static char *room(struct mg_buf *buf, size_t *ret_n) {
  size_t left = buf->max - buf->n;
  *ret_n = left < STEP ? left : STEP;
  return *ret_n ? mg_buf_room(buf, *ret_n) : NULL;
}

static bool is_gzip(mg_str s) {
  return mg_str_starts(s, MG_S("\x1f\x8b"));
}

/* Members one behind the other, as pigz and eStargz write them. */
static bool gunzip(struct mg_buf *buf, mg_str bytes, bool *ret_ended) {
  z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)bytes.p, .avail_in = (uInt)bytes.n};
  if (inflateInit2(&z, 15 + 16) != Z_OK) {
    buf->failed = true;
    return false;
  }
  int code = Z_OK;
  size_t n = 0;
  for (char *to; code == Z_OK && (to = room(buf, &n));) {
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)n;
    code = inflate(&z, Z_NO_FLUSH);
    buf->n += n - z.avail_out;
    if (code == Z_STREAM_END && is_gzip((mg_str){(const char *)z.next_in, z.avail_in})) code = inflateReset(&z);
  }
  *ret_ended = code == Z_STREAM_END;
  inflateEnd(&z);
  return code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR; /* the last: the input is cut off */
}

/* A zstd frame, or one of those that are to be skipped. */
static bool is_zstd(mg_str s) {
  return mg_str_starts(s, MG_S("\x28\xb5\x2f\xfd")) ||
         (s.n >= 4 && ((unsigned char)s.p[0] & 0xF0) == 0x50 && memcmp(s.p + 1, "\x2a\x4d\x18", 3) == 0);
}

/* The library's own limit on windows (128 MiB, of which only what is written is touched) stays: `zstd --ultra` makes such. */
static bool unzstd(struct mg_buf *buf, mg_str bytes, bool *ret_ended) {
  ZSTD_DStream *stream = ZSTD_createDStream();
  if (!stream) {
    buf->failed = true;
    return false;
  }
  ZSTD_inBuffer in = {bytes.p, bytes.n, 0};
  size_t code = 1, n = 0;
  for (char *to; (to = room(buf, &n));) {
    ZSTD_outBuffer out = {to, n, 0};
    size_t before = in.pos;
    code = ZSTD_decompressStream(stream, &out, &in);
    buf->n += out.pos;
    if (ZSTD_isError(code) || (out.pos == 0 && in.pos == before) || (code == 0 && in.pos == in.size)) break;
  }
  *ret_ended = code == 0 && in.pos == in.size;
  ZSTD_freeDStream(stream);
  return !ZSTD_isError(code);
}

bool mg_weights_unpacked(mg_str bytes) {
  return !is_gzip(bytes) && !is_zstd(bytes);
}

bool mg_weights_unpack(struct mg_buf *buf, mg_str bytes, bool *ret_ended) {
  *ret_ended = false;
  if (bytes.n > MG_TOC_MAX) bytes.n = MG_TOC_MAX;
  if (is_gzip(bytes)) return gunzip(buf, bytes, ret_ended);
  if (is_zstd(bytes)) return unzstd(buf, bytes, ret_ended);
  if (bytes.n > buf->max) bytes.n = buf->max;
  mg_buf_put(buf, bytes);
  return true;
}
