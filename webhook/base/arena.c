#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MG_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(MG_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN ((size_t)16) /* of __int128, the widest that lives here */
#define CHUNK_MIN ((size_t)16 << 10)
#define CHUNK_MAX ((size_t)256 << 10)
#define FIRST_ITEMS 16 /* of an array that grows */

struct mg_arena_chunk {
  struct mg_arena_chunk *next;
  size_t size, used; /* of data */
  size_t last;       /* where the newest block begins */
  bool charged;      /* to the budget */
  _Alignas(16) char data[];
};

/* 0 when it overflows. */
static size_t rounded(size_t size) {
  if (size > SIZE_MAX - sizeof(struct mg_arena_chunk) - ALIGN) return 0;
  return size ? (size + ALIGN - 1) & ~(ALIGN - 1) : ALIGN;
}

void mg_arena_init(struct mg_arena *arena, size_t max, size_t keep) {
  *arena = (struct mg_arena){.max = max, .keep = keep < max ? keep : max};
}

static void give_back(struct mg_arena *arena, struct mg_arena_chunk *chunk) {
  if (chunk->charged) mg_budget_give(arena->budget, chunk->size);
  chunk->charged = false;
}

/* What a reset keeps is there for good and counts for nobody. */
static bool is_kept(const struct mg_arena *arena, size_t more) {
  return arena->used <= arena->keep && more <= arena->keep - arena->used;
}

static bool charge(struct mg_arena *arena, size_t size) {
  arena->crowded = !mg_budget_take(arena->budget, size);
  return !arena->crowded;
}

void mg_arena_reset(struct mg_arena *arena) {
  size_t kept = 0;
  for (struct mg_arena_chunk **slot = &arena->first, *chunk; (chunk = *slot);) {
    if (chunk->size > arena->keep - kept) {
      *slot = chunk->next;
      UNPOISON(chunk->data, chunk->size);
      give_back(arena, chunk);
      free(chunk);
      continue;
    }
    give_back(arena, chunk);
    kept += chunk->size;
    chunk->used = chunk->last = 0;
    POISON(chunk->data, chunk->size);
    slot = &chunk->next;
  }
  arena->now = NULL;
  arena->used = 0;
  arena->failed = arena->full = arena->crowded = false;
}

void mg_arena_fini(struct mg_arena *arena) {
  arena->keep = 0;
  mg_arena_reset(arena);
}

static void *fail(struct mg_arena *arena) {
  arena->failed = true;
  return NULL;
}

static void *take(struct mg_arena_chunk *chunk, size_t size) {
  chunk->last = chunk->used;
  chunk->used += size;
  UNPOISON(chunk->data + chunk->last, size);
  return chunk->data + chunk->last;
}

static struct mg_arena_chunk *full(struct mg_arena *arena) {
  arena->full = true;
  return NULL;
}

/* Makes the chunk behind `now` one with `size` bytes free, from what the last reset kept or from the heap. */
static struct mg_arena_chunk *next_chunk(struct mg_arena *arena, size_t size) {
  struct mg_arena_chunk **slot = arena->now ? &arena->now->next : &arena->first, *chunk = *slot;
  size_t left = arena->max - arena->used;
  if (size > left) return full(arena);
  if (!chunk || chunk->size < size || chunk->size > left) {
    size_t want = arena->now ? arena->now->size * 2 : CHUNK_MIN;
    size_t spare = arena->keep > arena->used ? arena->keep - arena->used : 0;
    if (want > CHUNK_MAX) want = CHUNK_MAX;
    if (want > spare && size <= spare) want = spare & ~(ALIGN - 1); /* a reset keeps it */
    if (want < size) want = size;
    if (want > left) want = left & ~(ALIGN - 1);
    if (want < size) return full(arena);
    bool charged = arena->budget && !is_kept(arena, want);
    if (charged && !charge(arena, want)) return NULL;
    chunk = malloc(sizeof(*chunk) + want);
    if (!chunk) {
      if (charged) mg_budget_give(arena->budget, want);
      return NULL;
    }
    *chunk = (struct mg_arena_chunk){.next = *slot, .size = want, .charged = charged};
    POISON(chunk->data, want);
    *slot = chunk;
  }
  arena->now = chunk;
  arena->used += chunk->size;
  return chunk;
}

void *mg_arena_alloc(struct mg_arena *arena, size_t size) {
  size_t want = rounded(size);
  if (!want || arena->failed) return fail(arena);
  struct mg_arena_chunk *chunk = arena->now;
  if (!chunk || chunk->size - chunk->used < want) chunk = next_chunk(arena, want);
  return chunk ? take(chunk, want) : fail(arena);
}

void *mg_arena_zero(struct mg_arena *arena, size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) return fail(arena);
  void *p = mg_arena_alloc(arena, total);
  return p ? memset(p, 0, total) : NULL;
}

/* The chunk in use whose newest block is `block`. Only for a large one it is worth a look into all chunks: thousands
 * of small ones that grow in an arena of thousands of chunks would take for ever. */
static struct mg_arena_chunk *chunk_of(const struct mg_arena *arena, const void *block, size_t size) {
  struct mg_arena_chunk *now = arena->now;
  if (!now || now->data + now->last == block) return now;
  if (size < CHUNK_MAX / 4) return NULL;
  for (struct mg_arena_chunk *chunk = arena->first; chunk != now; chunk = chunk->next)
    if (chunk->data + chunk->last == block) return chunk;
  return NULL;
}

/* A block that fills a chunk alone grows with it, so that doubling a large array does not leave its halves behind. */
static void *grow_chunk(struct mg_arena *arena, struct mg_arena_chunk *old, size_t want) {
  size_t more = want - old->size;
  if (more > arena->max - arena->used) return NULL;
  struct mg_arena_chunk **slot = &arena->first;
  while (*slot != old) slot = &(*slot)->next;
  bool now = arena->now == old;
  UNPOISON(old->data, old->size);
  bool charged = arena->budget && (old->charged || !is_kept(arena, more));
  size_t cost = charged ? (old->charged ? more : want) : 0;
  if (charged && !charge(arena, cost)) return NULL;
  struct mg_arena_chunk *chunk = realloc(old, sizeof(*chunk) + want);
  if (!chunk) {
    if (charged) mg_budget_give(arena->budget, cost);
    return NULL;
  }
  *slot = chunk;
  if (now) arena->now = chunk;
  arena->used += more;
  chunk->size = chunk->used = want;
  chunk->charged = charged;
  return chunk->data;
}

void *mg_arena_grow(struct mg_arena *arena, void *old, size_t old_size, size_t new_size) {
  if (!old) return mg_arena_alloc(arena, new_size);
  size_t want = rounded(new_size);
  if (!want || arena->failed) return fail(arena);
  struct mg_arena_chunk *chunk = chunk_of(arena, old, old_size);
  if (chunk && chunk->size - chunk->last >= want) {
    POISON(chunk->data + chunk->last, chunk->used - chunk->last);
    chunk->used = chunk->last;
    return take(chunk, want);
  }
  if (new_size <= old_size) return old;
  if (chunk && chunk->last == 0 && want > CHUNK_MAX / 2) {
    void *p = grow_chunk(arena, chunk, want);
    return p ? p : fail(arena);
  }
  void *p = mg_arena_alloc(arena, new_size);
  return p ? memcpy(p, old, old_size) : NULL;
}

void *mg_arena_room(struct mg_arena *arena, void *items, size_t *cap, size_t count, size_t size) {
  if (count < *cap) return items;
  size_t more = *cap ? 2 * *cap : FIRST_ITEMS;
  void *grown = mg_arena_grow(arena, items, *cap * size, more * size);
  if (grown) *cap = more;
  return grown;
}

mg_str mg_arena_dup(struct mg_arena *arena, mg_str s) {
  char *p = s.n < SIZE_MAX ? mg_arena_alloc(arena, s.n + 1) : fail(arena);
  if (!p) return (mg_str){0};
  if (s.n) memcpy(p, s.p, s.n);
  p[s.n] = '\0';
  return (mg_str){p, s.n};
}

mg_str mg_arena_vprintf(struct mg_arena *arena, const char *format, va_list args) {
  char small[256];
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(small, sizeof(small), format, args);
  mg_str ret = {0};
  if (n < 0) {
    fail(arena);
  } else if ((size_t)n < sizeof(small)) {
    ret = mg_arena_dup(arena, (mg_str){small, (size_t)n});
  } else {
    char *p = mg_arena_alloc(arena, (size_t)n + 1);
    if (p && vsnprintf(p, (size_t)n + 1, format, again) == n) ret = (mg_str){p, (size_t)n};
  }
  va_end(again);
  return ret;
}

mg_str mg_arena_printf(struct mg_arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  mg_str ret = mg_arena_vprintf(arena, format, args);
  va_end(args);
  return ret;
}
