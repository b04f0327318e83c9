#include "kube/image.h"

#include "base/ascii.h"

#define LONGEST_REFERENCE 1024
#define LONGEST_PATH 255
#define LONGEST_TAG 128

static bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

static bool all_hex(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (!mg_is_hex(s.p[i])) return false;
  return true;
}

static bool is_port(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (!mg_is_digit(s.p[i])) return false;
  return s.n > 0;
}

/* [::1], with an optional port. */
static bool is_literal_domain(mg_str s) {
  size_t end = mg_str_find(s, ']');
  if (end == s.n || end < 2) return false;
  for (size_t i = 1; i < end; i++) {
    char c = s.p[i];
    if (!mg_is_digit(c) && c != ':' && !((c | 32) >= 'a' && (c | 32) <= 'f')) return false;
  }
  mg_str rest = mg_str_from(s, end + 1);
  return rest.n == 0 || (rest.p[0] == ':' && is_port(mg_str_from(rest, 1)));
}

/* Labels of letters, digits and inner hyphens, with an optional port. */
static bool is_domain(mg_str s) {
  if (s.n && s.p[0] == '[') return is_literal_domain(s);
  size_t colon = mg_str_find(s, ':');
  if (colon < s.n && !is_port(mg_str_from(s, colon + 1))) return false;
  for (size_t i = 0, begin = 0; i <= colon; i++) {
    if (i < colon && s.p[i] != '.') {
      if (!mg_is_alnum(s.p[i]) && s.p[i] != '-') return false;
      continue;
    }
    if (i == begin || s.p[begin] == '-' || s.p[i - 1] == '-') return false;
    begin = i + 1;
  }
  return true;
}

/* Between two runs of letters and digits: ".", "_", "__" or any number of hyphens. */
static bool is_separator(mg_str s) {
  if (s.n == 1) return s.p[0] == '.' || s.p[0] == '_' || s.p[0] == '-';
  if (s.n == 2 && s.p[0] == '_') return s.p[1] == '_';
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] != '-') return false;
  return s.n > 0;
}

static bool is_component(mg_str s) {
  size_t i = 0;
  for (;;) {
    size_t begin = i;
    while (i < s.n && (mg_is_lower(s.p[i]) || mg_is_digit(s.p[i]))) i++;
    if (i == begin) return false;
    if (i == s.n) return true;
    begin = i;
    while (i < s.n && !mg_is_lower(s.p[i]) && !mg_is_digit(s.p[i])) i++;
    if (!is_separator((mg_str){s.p + begin, i - begin})) return false;
  }
}

static bool is_path(mg_str s) {
  for (;;) {
    size_t slash = mg_str_find(s, '/');
    if (!is_component((mg_str){s.p, slash})) return false;
    if (slash == s.n) return true;
    s = mg_str_from(s, slash + 1);
  }
}

static bool is_tag(mg_str s) {
  if (s.n == 0 || s.n > LONGEST_TAG || s.p[0] == '.' || s.p[0] == '-') return false;
  for (size_t i = 0; i < s.n; i++)
    if (!mg_is_alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '.' && s.p[i] != '-') return false;
  return true;
}

static bool is_digest(mg_str s) {
  static const struct {
    mg_str prefix;
    size_t hex;
  } algorithms[] = {{{"sha256:", 7}, 64}, {{"sha384:", 7}, 96}, {{"sha512:", 7}, 128}};
  for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++) {
    mg_str hex = mg_str_from(s, algorithms[i].prefix.n);
    if (mg_str_starts(s, algorithms[i].prefix)) return hex.n == algorithms[i].hex && all_hex(hex);
  }
  return false;
}

/* The first segment is a domain if it is localhost, or has a dot, a colon or a capital; else all of it is a name of the Hub.
 * `domain`: it always is one. */
static void split_domain(mg_str s, bool domain, struct mg_image *ret) {
  mg_str first = {s.p, mg_str_find(s, '/')};
  for (size_t i = 0; i < first.n; i++) domain |= first.p[i] == '.' || first.p[i] == ':' || is_upper(first.p[i]);
  if (first.n == s.n || !(domain || mg_str_is(first, "localhost"))) {
    *ret = (struct mg_image){.domain = MG_S("docker.io"), .path = s};
    return;
  }
  *ret = (struct mg_image){.domain = first, .path = mg_str_from(s, first.n + 1)};
}

static bool parse(mg_str s, bool domain, struct mg_image *ret) {
  if (s.n == 0 || s.n > LONGEST_REFERENCE || (s.n == 64 && all_hex(s))) return false;
  split_domain(s, domain, ret);
  size_t at = mg_str_find(ret->path, '@');
  if (at < ret->path.n) {
    ret->digest = mg_str_from(ret->path, at + 1);
    if (!is_digest(ret->digest)) return false;
    ret->path.n = at;
  }
  size_t colon = mg_str_find(ret->path, ':');
  if (colon < ret->path.n) {
    ret->tag = mg_str_from(ret->path, colon + 1);
    if (!is_tag(ret->tag)) return false;
    ret->path.n = colon;
  }
  return is_domain(ret->domain) && is_path(ret->path);
}

/* Domains are compared without regard to case, so a pattern must not be dodged by NVCR.io. */
mg_str mg_image_domain(struct mg_arena *arena, mg_str domain) {
  char *p = mg_arena_alloc(arena, domain.n + 1);
  if (!p) return (mg_str){0};
  for (size_t i = 0; i < domain.n; i++) p[i] = is_upper(domain.p[i]) ? (char)(domain.p[i] | 32) : domain.p[i];
  p[domain.n] = '\0';
  mg_str lower = {p, domain.n};
  return mg_str_is(lower, "index.docker.io") ? MG_S("docker.io") : lower;
}

mg_str mg_image_without_port(mg_str domain) {
  return mg_str_ends(domain, MG_S(":443")) ? (mg_str){domain.p, domain.n - 4} : domain;
}

/* In a reference a port is just digits, as runtimes have it. */
bool mg_image_is_domain(mg_str domain) {
  mg_str tail = mg_str_from(domain, domain.n && domain.p[0] == '[' ? mg_str_find(domain, ']') : 0);
  mg_str port = mg_str_from(tail, mg_str_find(tail, ':') + 1);
  uint32_t number = 0;
  if (!is_domain(domain)) return false;
  for (size_t i = 0; i < port.n && number <= UINT16_MAX; i++) number = number * 10 + (uint32_t)(port.p[i] - '0');
  return !port.n || (number > 0 && number <= UINT16_MAX);
}

static bool parse_in(struct mg_arena *arena, mg_str reference, bool domain, struct mg_image *ret) {
  if (!parse(reference, domain, ret)) return false;
  ret->domain = mg_image_domain(arena, ret->domain);
  if (mg_str_is(ret->domain, "docker.io") && mg_str_find(ret->path, '/') == ret->path.n)
    ret->path = mg_arena_printf(arena, "library/%.*s", MG_FMT(ret->path));
  return ret->domain.n && ret->path.n && ret->path.n <= LONGEST_PATH;
}

bool mg_image_parse(struct mg_arena *arena, mg_str reference, struct mg_image *ret) {
  return parse_in(arena, reference, false, ret);
}

bool mg_image_parse_normalised(struct mg_arena *arena, mg_str reference, struct mg_image *ret) {
  return parse_in(arena, reference, true, ret);
}

mg_str mg_image_normalise(struct mg_arena *arena, mg_str reference) {
  struct mg_image image;
  if (!mg_image_parse(arena, reference, &image)) return reference;
  const char *sign = image.digest.n ? "@" : ":";
  mg_str last = image.digest.n ? image.digest : image.tag.n ? image.tag : MG_S("latest");
  mg_str text = mg_arena_printf(arena, "%.*s/%.*s%s%.*s", MG_FMT(image.domain), MG_FMT(image.path), sign, MG_FMT(last));
  return text.n ? text : reference;
}
