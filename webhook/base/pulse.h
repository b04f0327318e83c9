/* Signs of life of threads that work in pieces and wait in between: each tells when a piece begins and when it ends, and who
 * watches sees a piece that does not end. Two stores a piece, no clock. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_PULSES_MAX 256 /* threads; one more than that is not watched */

struct mg_pulse {
  atomic_bool used;
  _Atomic(const char *) name;
  _Atomic uint64_t pieces; /* begun and ended; odd: inside one */
};

/* The row of the thread that calls, kept until it ends; NULL: there is none left. */
struct mg_pulse *mg_pulse_mine(void);

/* name: of what the thread does, a constant. Pieces do not nest. */
static inline void mg_pulse_begin(const char *name) {
  struct mg_pulse *mine = mg_pulse_mine();
  if (!mine) return;
  atomic_store_explicit(&mine->name, name, memory_order_relaxed);
  atomic_store_explicit(&mine->pieces, atomic_load_explicit(&mine->pieces, memory_order_relaxed) + 1, memory_order_release);
}

/* In a piece of many parts: it has got somewhere. */
static inline void mg_pulse_beat(void) {
  struct mg_pulse *mine = mg_pulse_mine();
  if (mine)
    atomic_store_explicit(&mine->pieces, atomic_load_explicit(&mine->pieces, memory_order_relaxed) + 2, memory_order_release);
}

static inline void mg_pulse_end(void) {
  struct mg_pulse *mine = mg_pulse_mine();
  if (mine)
    atomic_store_explicit(&mine->pieces, atomic_load_explicit(&mine->pieces, memory_order_relaxed) + 1, memory_order_release);
}

/* What one watcher has seen. Zeroed at first. */
struct mg_pulse_watch {
  uint64_t pieces[MG_PULSES_MAX];
  unsigned looks[MG_PULSES_MAX];
};

/* For how many looks, this one included, the oldest piece has been going on; its name too. 0: every thread moves. */
unsigned mg_pulse_look(struct mg_pulse_watch *watch, const char **ret_name);
/* Counts anew: time went by in which nobody could move. */
void mg_pulse_forget(struct mg_pulse_watch *watch);
