/* Small readers of one text: dates, durations, headers, commands of an image's history. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/trace.h"
#include "base/when.h"
#include "fuzz.h"
#include "http/screen.h"
#include "kube/name.h"
#include "registry/challenge.h"
#include "registry/keyring.h"
#include "registry/weights.h"

/* What is a date is one to the C library, too. */
static void check_when(mg_str s) {
  int64_t from, to;
  bool good = mg_when_parse(s, false, &from);
  FUZZ_CHECK(good == mg_when_parse(s, true, &to), "a date at one end only");
  if (!good) return;
  FUZZ_CHECK(to - from == (s.n == 10 ? 86400 : 0), "a day of %lld s", (long long)(to - from));
  struct tm tm = {0};
  char day[11] = "";
  memcpy(day, s.p, 10);
  FUZZ_CHECK(sscanf(day, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) == 3, "no date: %s", day);
  int month = --tm.tm_mon, mday = tm.tm_mday;
  tm.tm_year -= 1900;
  int64_t start = timegm(&tm);
  FUZZ_CHECK(tm.tm_mon == month && tm.tm_mday == mday, "there is no %s", day);
  FUZZ_CHECK(from - start > -2 * 86400 && from - start < 3 * 86400, "%.*s is %lld", MG_FMT(s), (long long)from);
  FUZZ_CHECK(s.n != 10 || from == start, "%.*s is %lld", MG_FMT(s), (long long)from);
}

static void check_duration(mg_str s) {
  int64_t ms = -1, more = -1;
  bool good = mg_duration_parse(s, 86400000, &ms);
  FUZZ_CHECK(!good || (ms >= 0 && ms <= 86400000), "%lld ms", (long long)ms);
  bool again = mg_duration_parse(s, 1000, &more);
  FUZZ_CHECK(!again || (good && more == (ms < 1000 ? ms : 1000)), "%lld and %lld ms", (long long)ms, (long long)more);
  int64_t time = mg_http_timeout(s);
  FUZZ_CHECK(time > 0 && time <= MG_HTTP_TIMEOUT_MAX_MS, "a time-out of %lld", (long long)time);
}

static void check_trace(mg_str s) {
  struct mg_trace trace;
  bool good = mg_trace_read(s, &trace);
  FUZZ_CHECK(good == trace.known, "known, or not");
  if (!good) return;
  FUZZ_CHECK(s.n >= 55 && memcmp(trace.trace, s.p + 3, MG_TRACE_ID) == 0, "another trace");
  FUZZ_CHECK(memcmp(trace.span, s.p + 36, MG_SPAN_ID) == 0, "another span");
  FUZZ_CHECK(strspn(s.p + 3, "0") < MG_TRACE_ID && strspn(s.p + 36, "0") < MG_SPAN_ID, "zeros are no trace");
}

static void check_challenge(mg_str s) {
  struct mg_challenge c;
  mg_challenge_read(fuzz_arena(0), s, &c);
  FUZZ_CHECK(c.scheme != MG_SCHEME_BEARER || c.realm.n, "Bearer without a realm");
  FUZZ_CHECK(c.realm.n <= s.n && c.service.n <= s.n && c.scope.n <= s.n, "more than there was");
}

static void check_command(mg_str s) {
  struct mg_arena *arena = fuzz_arena(0);
  mg_str words = {0}, clean = mg_weights_clean_command(arena, s);
  fuzz_check_clean(clean, "a command");
  FUZZ_CHECK(clean.n <= MG_COMMAND_MAX, "%zu bytes", clean.n);
  if (mg_weights_command(arena, s, &words)) fuzz_check_clean(words, "words of a command");
  (void)mg_weights_file(s, INT64_MAX, s);
  FUZZ_CHECK(!mg_weights_file(s, MG_WEIGHT_FILE_MIN - 1, s), "a small file is weights");
  (void)(mg_weights_media_type(s) && mg_weights_label(s));
}

/* A secret behind whatever stands before it does not come through: text up to a line %%, and then what is called a token. */
static void check_secret(mg_str s) {
  static const char secret[] = "hunter2hunter2";
  if (mg_str_has(s, MG_S("hunter2")) || s.n > 100) return;
  for (size_t i = 0; i < s.n; i++)
    if ((s.p[i] < 'a' || s.p[i] > 'z') && s.p[i] != ' ') return; /* what quotes and escapes may do is for the unit tests */
  mg_str command = mg_arena_printf(fuzz_arena(1), "%.*s API_TOKEN=%s x", MG_FMT(s), secret);
  mg_str clean = mg_weights_clean_command(fuzz_arena(0), command);
  FUZZ_CHECK(!mg_str_has(clean, MG_S("hunter2")), "a secret comes through: <%.*s>", MG_FMT(clean));
}

static void check_base64(mg_str s) {
  char *to = fuzz_exact(s);
  size_t n = 0;
  if (mg_keyring_decode(s, to, &n)) {
    unsigned char *coded = malloc(n / 3 * 4 + 8);
    FUZZ_CHECK(coded && n <= s.n, "decoded to more than there was");
    EVP_EncodeBlock(coded, (const unsigned char *)to, (int)n);
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
      if (memchr("\r\n=", s.p[i], 3)) continue;
      FUZZ_CHECK((unsigned char)s.p[i] == coded[at] || at >= n * 4 / 3, "<%.*s> is coded as %s", MG_FMT(s), coded);
      at++;
    }
    free(coded);
  }
  free(to);
}

static void check_names(mg_str s) {
  FUZZ_CHECK(!mg_name_is_dns_label(s) || (mg_name_is_dns_subdomain(s) && s.n <= 63), "a label that is no name");
  FUZZ_CHECK(!mg_name_is_dns_label(s) || mg_name_is_label_value(s), "a name that is no value");
  FUZZ_CHECK(!mg_name_is_label_value(s) || s.n == 0 || mg_name_is_label_key(s), "a value that is no key");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str s = {(const char *)data, size};
  check_when(s);
  check_duration(s);
  check_trace(s);
  check_challenge(s);
  check_command(s);
  check_secret(s);
  check_base64(s);
  check_names(s);
  return 0;
}
