/* The first bytes of a layer, behind a letter: R as they are; G and Z are packed here as gzip and zstd before they are looked
 * into, so that checksums are no wall for the fuzzer; C is cut in half when it is packed; T is a table of contents. How something
 * is packed changes nothing of what is in it, and with more bytes what was known is known. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "fuzz.h"
#include "registry/weights.h"

#define ROOM ((size_t)1 << 16)

static char packed[ROOM * 2];

static mg_str gzip(mg_str s) {
  z_stream z = {0};
  FUZZ_CHECK(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
  z.next_in = (unsigned char *)(uintptr_t)s.p;
  z.avail_in = (unsigned)s.n;
  z.next_out = (unsigned char *)packed;
  z.avail_out = sizeof packed;
  FUZZ_CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END, "deflate");
  deflateEnd(&z);
  return (mg_str){packed, z.total_out};
}

static mg_str zstd(mg_str s) {
  size_t n = ZSTD_compress(packed, sizeof packed, s.p, s.n, 1);
  FUZZ_CHECK(!ZSTD_isError(n), "zstd");
  return (mg_str){packed, n};
}

static enum mg_peek peek(mg_str s, bool whole, struct mg_finding_in_layer *ret) {
  char *exact = fuzz_exact(s);
  enum mg_peek said = mg_weights_peek(fuzz_arena(0), (mg_str){exact, s.n}, whole, ret);
  free(exact);
  fuzz_check_clean(ret->what, "what was found");
  FUZZ_CHECK(ret->what.n <= MG_COMMAND_MAX, "%zu bytes were found", ret->what.n);
  FUZZ_CHECK((said == MG_PEEK_PROOF) == (ret->proof != MG_PROOF_NONE), "a proof, or none");
  FUZZ_CHECK(said != MG_PEEK_PROOF || ret->file_size >= MG_WEIGHT_FILE_MIN, "weights of %lld bytes", (long long)ret->file_size);
  FUZZ_CHECK(said != MG_PEEK_UNDECIDED || !whole, "undecided, though there is no more");
  return said;
}

static bool is_packed(mg_str s) {
  return mg_str_starts(s, MG_S("\x1f\x8b")) || mg_str_starts(s, MG_S("\x28\xb5\x2f\xfd")) ||
         (s.n >= 4 && memcmp(s.p + 1, "\x2a\x4d\x18", 3) == 0);
}

static void check_same(mg_str plain) {
  struct mg_finding_in_layer first, second;
  if (is_packed(plain)) return;
  enum mg_peek expected = peek(plain, true, &first);
  mg_str forms[] = {gzip(plain), {0}};
  for (int i = 0; i < 2; i++) {
    if (i == 1) forms[1] = zstd(plain);
    enum mg_peek said = peek(forms[i], true, &second);
    FUZZ_CHECK(said == expected && first.file_size == second.file_size, "plain %d, packed %d", expected, said);
  }
}

static void check_longer(mg_str plain) {
  struct mg_finding_in_layer part, all;
  enum mg_peek early = peek((mg_str){plain.p, plain.n / 2}, false, &part), late = peek(plain, false, &all);
  FUZZ_CHECK(early != MG_PEEK_PROOF || late == MG_PEEK_PROOF, "a proof that goes with more bytes");
  bool forward = part.next == 0 || (part.next > 0 && (uint64_t)part.next + 512 > plain.n / 2); /* 512: a header may be cut */
  FUZZ_CHECK(forward, "goes back to %lld", (long long)part.next);
}

static void check_table(mg_str bytes) {
  struct mg_finding_in_layer found = {0};
  enum mg_peek said = mg_weights_toc(fuzz_arena(0), bytes, (mg_str){0}, &found);
  FUZZ_CHECK((said == MG_PEEK_PROOF) == (found.proof != MG_PROOF_NONE), "a proof, or none");
  fuzz_check_clean(found.what, "what was found");
  struct mg_finding_in_layer again = {0};
  enum mg_peek packed_said = mg_weights_toc(fuzz_arena(1), gzip(bytes), (mg_str){0}, &again);
  FUZZ_CHECK(packed_said == said || is_packed(bytes), "plain %d, packed %d", said, packed_said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct mg_finding_in_layer found;
  int64_t at = -1;
  if (size < 1 || size > ROOM) return 0;
  mg_str bytes = {(const char *)data + 1, size - 1}, form = bytes;
  if (mg_weights_footer(bytes, &at)) FUZZ_CHECK(at >= 0, "a table at %lld", (long long)at);
  switch (data[0]) {
    case 'T': check_table(bytes); return 0;
    case 'G': form = gzip(bytes); break;
    case 'Z': form = zstd(bytes); break;
    case 'C': form = gzip(bytes), form.n /= 2; break;
    default: check_longer(bytes);
  }
  peek(form, false, &found);
  check_same(bytes);
  return 0;
}
