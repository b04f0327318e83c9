#include "base/pulse.h"

#include <pthread.h>
#include <string.h>

static struct mg_pulse pulses[MG_PULSES_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

static void leave(void *row) {
  struct mg_pulse *pulse = row;
  atomic_store(&pulse->pieces, 0);
  atomic_store(&pulse->used, false);
}

static void make_key(void) {
  have_key = pthread_key_create(&key, leave) == 0;
}

static struct mg_pulse *claim(void) {
  pthread_once(&once, make_key);
  for (size_t i = 0; have_key && i < MG_PULSES_MAX; i++) {
    bool used = false;
    if (!atomic_compare_exchange_strong(&pulses[i].used, &used, true)) continue;
    if (pthread_setspecific(key, &pulses[i]) == 0) return &pulses[i];
    atomic_store(&pulses[i].used, false);
    break;
  }
  return NULL;
}

struct mg_pulse *mg_pulse_mine(void) {
  static _Thread_local struct mg_pulse *mine;
  static _Thread_local bool asked;
  if (!asked) {
    asked = true;
    mine = claim();
  }
  return mine;
}

unsigned mg_pulse_look(struct mg_pulse_watch *watch, const char **ret_name) {
  unsigned worst = 0;
  for (size_t i = 0; i < MG_PULSES_MAX; i++) {
    uint64_t pieces = atomic_load_explicit(&pulses[i].pieces, memory_order_acquire);
    bool inside = pieces & 1;
    watch->looks[i] = inside ? (pieces == watch->pieces[i] ? watch->looks[i] + 1 : 1) : 0;
    watch->pieces[i] = pieces;
    if (watch->looks[i] <= worst) continue;
    worst = watch->looks[i];
    *ret_name = atomic_load_explicit(&pulses[i].name, memory_order_relaxed);
  }
  return worst;
}

void mg_pulse_forget(struct mg_pulse_watch *watch) {
  memset(watch, 0, sizeof *watch);
}
