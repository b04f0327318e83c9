#include "doc/yaml_place.h"

#include "base/utf8.h"

bool mg_yaml_place_init(struct mg_yaml_place *place, mg_str source, size_t from, size_t to, size_t *bad) {
  const char *p = source.p + from, *end = source.p + to;
  unsigned char all = 0;
  for (const char *c = p; c < end; c++) all |= (unsigned char)*c;
  *place = (struct mg_yaml_place){.source = source, .from = from, .to = to, .byte = from, .ascii = all < 0x80};
  if (place->ascii) return true;
  for (size_t n; p < end; p += n) {
    n = mg_utf8_len(p, end);
    if (n > 0) continue;
    *bad = (size_t)(p - source.p);
    return false;
  }
  return true;
}

static bool is_tail(char c) {
  return ((unsigned char)c & 0xC0) == 0x80;
}

size_t mg_yaml_byte(struct mg_yaml_place *place, size_t index) {
  size_t left = place->to - place->from;
  if (place->ascii) return place->from + (index < left ? index : left);
  const char *p = place->source.p;
  while (place->index < index && place->byte < place->to) {
    do place->byte++;
    while (place->byte < place->to && is_tail(p[place->byte]));
    place->index++;
  }
  while (place->index > index) {
    do place->byte--;
    while (is_tail(p[place->byte]));
    place->index--;
  }
  return place->byte;
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Behind the white space and comments at `at`. */
static size_t skip_blank(mg_str s, size_t at, size_t end) {
  while (at < end && (is_space(s.p[at]) || s.p[at] == '#')) {
    bool comment = s.p[at] == '#';
    at++;
    while (comment && at < end && s.p[at] != '\n' && s.p[at] != '\r') at++;
  }
  return at;
}

/* Behind an anchor or tag; libyaml has found it well-formed. */
static size_t skip_property(mg_str s, size_t at, size_t end) {
  bool verbatim = at + 1 < end && s.p[at] == '!' && s.p[at + 1] == '<';
  while (at < end && !is_space(s.p[at]) && (verbatim || !memchr(",[]{}", s.p[at], 5)))
    if (s.p[at++] == '>') verbatim = false;
  return at;
}

static bool is_block_scalar(const yaml_event_t *event) {
  return event->type == YAML_SCALAR_EVENT &&
         (event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE || event->data.scalar.style == YAML_FOLDED_SCALAR_STYLE);
}

/* How many of anchor and tag may stand before the node. Before a block they might be those of its first key. */
static int properties_of(const yaml_event_t *event) {
  switch (event->type) {
  case YAML_SCALAR_EVENT: return 2;
  case YAML_MAPPING_START_EVENT:
    if (event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE) return 2;
    return (event->data.mapping_start.anchor != NULL) + (event->data.mapping_start.tag != NULL);
  case YAML_SEQUENCE_START_EVENT:
    if (event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE) return 2;
    return (event->data.sequence_start.anchor != NULL) + (event->data.sequence_start.tag != NULL);
  default: return 0;
  }
}

/* The event ends behind the line breaks that follow; only `+` keeps them. */
static void trim_block_scalar(mg_str s, struct mg_yaml_span *at) {
  size_t header = at->start;
  while (header < at->end && !is_space(s.p[header]) && s.p[header] != '+') header++;
  if (header < at->end && s.p[header] == '+') return;
  while (at->end > header && is_space(s.p[at->end - 1])) at->end--;
}

struct mg_yaml_span mg_yaml_span_of(struct mg_yaml_place *place, const yaml_event_t *event) {
  mg_str s = place->source;
  size_t start = mg_yaml_byte(place, event->start_mark.index), end = mg_yaml_byte(place, event->end_mark.index), limit = end;
  /* The event that opens a block ends before the block begins. */
  if (event->type != YAML_SCALAR_EVENT) limit = place->to;
  for (int left = properties_of(event); left > 0 && start < limit && (s.p[start] == '&' || s.p[start] == '!'); left--)
    start = skip_blank(s, skip_property(s, start, limit), limit);
  struct mg_yaml_span at = {(uint32_t)start, (uint32_t)(end > start ? end : start)};
  if (is_block_scalar(event)) trim_block_scalar(s, &at);
  return at;
}
