/* Kinds of ASCII characters, whatever the locale says. */
#pragma once
#include <stdbool.h>

static inline bool mg_is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Of digests and trace ids, which have no capitals. */
static inline bool mg_is_hex(char c) {
  return mg_is_digit(c) || (c >= 'a' && c <= 'f');
}

static inline bool mg_is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

static inline bool mg_is_letter(char c) {
  return mg_is_lower(c) || (c >= 'A' && c <= 'Z');
}

static inline bool mg_is_alnum(char c) {
  return mg_is_digit(c) || mg_is_letter(c);
}
