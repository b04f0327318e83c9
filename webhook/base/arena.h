/* A bump arena: one per review, reset and not freed, so that the steady state allocates nothing.
 * Out of memory, and more than `max` bytes, is NULL; the arena then stays `failed` until it is reset,
 * so that a caller may build a whole answer and look once at the end. */
#pragma once
#include <stdarg.h>

#include "base/budget.h"
#include "base/str.h"

struct mg_arena_chunk;

struct mg_arena {
  struct mg_arena_chunk *first, *now;
  size_t used;   /* bytes of all chunks in use since the last reset */
  size_t max;    /* limit for `used` */
  size_t keep;   /* bytes of chunks that a reset keeps */
  bool failed, full, crowded; /* full: for want of `max`; crowded: of the budget */
  struct mg_budget *budget; /* what a reset does not keep is taken from there, too; NULL: from none */
};

void mg_arena_init(struct mg_arena *arena, size_t max, size_t keep);
void mg_arena_reset(struct mg_arena *arena);
void mg_arena_fini(struct mg_arena *arena); /* also of a zeroed arena */

/* 16-aligned, not zeroed. */
void *mg_arena_alloc(struct mg_arena *arena, size_t size) __attribute__((malloc, alloc_size(2)));
/* 16-aligned and zeroed. */
void *mg_arena_zero(struct mg_arena *arena, size_t count, size_t size) __attribute__((malloc, alloc_size(2, 3)));
/* Grows a block, in place where it is the newest one, else by copy. old may be NULL. */
void *mg_arena_grow(struct mg_arena *arena, void *old, size_t old_size, size_t new_size);
/* Room for one more behind the `count` items, of `size` each, of an array that has room for *cap; it doubles when it is full.
 * Returns the items, which may have moved; NULL: out of memory, and all is as it was. */
void *mg_arena_room(struct mg_arena *arena, void *items, size_t *cap, size_t count, size_t size);

#define MG_NEW(arena, type) ((type *)mg_arena_zero((arena), 1, sizeof(type)))
#define MG_NEW_N(arena, type, n) ((type *)mg_arena_zero((arena), (n), sizeof(type)))

/* Copies; the copy is NUL-terminated behind its length. {NULL, 0} on failure. */
mg_str mg_arena_dup(struct mg_arena *arena, mg_str s);
mg_str mg_arena_printf(struct mg_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
mg_str mg_arena_vprintf(struct mg_arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
