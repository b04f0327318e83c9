/* Image references against the grammar as a regular expression; a normalised one has the same parts. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fuzz.h"
#include "kube/image.h"

#define LABEL "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
#define DOMAIN "(?:" LABEL "(?:\\." LABEL ")*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?"
#define COMPONENT "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*"
#define PATH COMPONENT "(?:/" COMPONENT ")*"
#define TAIL "(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}))?"
#define WITH_DOMAIN "(?=localhost/|[^/]*[.:A-Z][^/]*/)(" DOMAIN ")/(" PATH ")" TAIL
#define OF_THE_HUB "(?!localhost/|[^/]*[.:A-Z][^/]*/)()(" PATH ")" TAIL
#define HEXADECIMAL "[a-f0-9]{64}"

static pcre2_code *compiled(const char *pattern) {
  int number;
  size_t offset;
  uint32_t whole = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY;
  pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, strlen(pattern), whole, &number, &offset, NULL);
  FUZZ_CHECK(code, "a bad expression at %zu", offset);
  return code;
}

/* Whether it is a reference, and how long its path is with what normalising adds. */
static bool is_reference(mg_str s) {
  static pcre2_code *codes[3];
  static pcre2_match_data *data;
  if (!codes[0]) {
    codes[0] = compiled(HEXADECIMAL);
    codes[1] = compiled(WITH_DOMAIN);
    codes[2] = compiled(OF_THE_HUB);
    data = pcre2_match_data_create(16, NULL);
  }
  if (pcre2_match(codes[0], (PCRE2_SPTR)s.p, s.n, 0, 0, data, NULL) > 0) return false;
  for (int i = 1; i < 3; i++) {
    if (pcre2_match(codes[i], (PCRE2_SPTR)s.p, s.n, 0, 0, data, NULL) <= 0) continue;
    const size_t *at = pcre2_get_ovector_pointer(data);
    mg_str domain = {s.p + at[2], at[3] - at[2]}, path = {s.p + at[4], at[5] - at[4]};
    const char *from = domain.n > 5 && strncasecmp(domain.p, "index.", 6) == 0 ? domain.p + 6 : domain.p;
    bool hub = i == 2 || (domain.p + domain.n - from == 9 && strncasecmp(from, "docker.io", 9) == 0);
    return path.n + (hub && mg_str_find(path, '/') == path.n ? strlen("library/") : 0) <= 255;
  }
  return false;
}

static void check_parts(struct mg_arena *arena, const struct mg_image *image, mg_str normal) {
  struct mg_image again;
  FUZZ_CHECK(mg_image_parse_normalised(arena, normal, &again), "normalised to <%.*s>, which is none", MG_FMT(normal));
  FUZZ_CHECK(mg_str_eq(image->domain, again.domain) && mg_str_eq(image->path, again.path), "another one: <%.*s>", MG_FMT(normal));
  FUZZ_CHECK(mg_str_eq(image->digest, again.digest), "another digest: <%.*s>", MG_FMT(normal));
  mg_str tag = image->digest.n ? (mg_str){0} : image->tag.n ? image->tag : MG_S("latest");
  FUZZ_CHECK(mg_str_eq(tag, again.tag), "another tag: <%.*s>", MG_FMT(normal));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str s = {(const char *)data, size};
  struct mg_arena *arena = fuzz_arena(0);
  struct mg_image image;
  if (size > 1024) return 0;
  bool good = mg_image_parse(arena, s, &image);
  FUZZ_CHECK(good == is_reference(s), "<%.*s> is %s reference", MG_FMT(s), good ? "no" : "a");
  mg_str normal = mg_image_normalise(arena, s);
  if (!good) FUZZ_CHECK(mg_str_eq(normal, s), "changed to <%.*s>", MG_FMT(normal));
  if (good) check_parts(arena, &image, normal);
  return 0;
}
