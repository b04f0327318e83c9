#include "http/connections.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/pulse.h"

#define TICK_MS 200
#define NEVER INT64_MAX
#define SQUEEZE_MS 20 /* one makes room for one, and it takes a moment until it has */
#define MANY 256 /* so many ended since the most that there were: their memory goes back to the system */
#define YOUNG_MS 100 /* what has just come is not what makes room */

struct mg_connections {
  struct mg_connections_options options;
  pthread_t thread;
  pthread_mutex_t lock; /* of the lists and of every fd, so that none is shut down after the library has closed it */
  pthread_cond_t wake;
  struct mg_connection *rows, *free;
  atomic_uint used; /* changes under the lock alone */
  bool squeeze, stop;
  atomic_bool hurry;
  int64_t squeezed_ms;
  _Atomic uint64_t reaped, evicted;
};

/* The library sees the end of the stream and cleans up in its own thread. */
static void end_it(struct mg_connection *connection, _Atomic uint64_t *count) {
  (void)shutdown(connection->fd, SHUT_RDWR);
  atomic_store(&connection->stage, MG_STAGE_BUSY);
  atomic_store(&connection->until_ms, NEVER);
  atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void reap(struct mg_connections *t, int64_t now) {
  for (unsigned i = 0; i < t->options.max; i++) {
    struct mg_connection *c = &t->rows[i];
    if (c->fd >= 0 && atomic_load(&c->until_ms) <= now) {
      end_it(c, &t->reaped);
    }
  }
}

static void end_slow(struct mg_connections *t, int64_t now) {
  for (unsigned i = 0; i < t->options.max; i++) {
    struct mg_connection *c = &t->rows[i];
    if (c->fd >= 0 && atomic_load(&c->stage) == MG_STAGE_BODY && now - atomic_load(&c->since_ms) >= MG_HURRY_MS) {
      end_it(c, &t->reaped);
    }
  }
}

/* Who has not even shown that it speaks TLS goes first. */
static struct mg_connection *longest_idle(struct mg_connections *t, int64_t now) {
  struct mg_connection *found = NULL;
  for (unsigned i = 0; i < t->options.max; i++) {
    struct mg_connection *c = &t->rows[i];
    int stage = atomic_load(&c->stage);
    int64_t since = atomic_load(&c->since_ms);
    if (c->fd < 0 || stage >= MG_STAGE_BUSY || now - since < YOUNG_MS) {
      continue;
    }
    int best = found ? atomic_load(&found->stage) : MG_STAGE_BUSY;
    if (!found || stage < best || (stage == best && since < atomic_load(&found->since_ms))) {
      found = c;
    }
  }
  return found;
}

static void make_room(struct mg_connections *t, int64_t now) {
  unsigned used = atomic_load(&t->used), over = used >= t->options.crowded ? used - t->options.crowded + 1 : 0;
  if (t->squeeze && over == 0 && now - t->squeezed_ms >= SQUEEZE_MS) {
    t->squeezed_ms = now;
    over = 1;
  }
  t->squeeze = false;
  for (; over > 0; over--) {
    struct mg_connection *c = longest_idle(t, now);
    if (!c) {
      return;
    }
    end_it(c, &t->evicted);
  }
}

/* What is freed stays with the process unless it is asked for: after a storm of 10,000 connections 200 MiB. Not under the lock,
 * as it takes milliseconds. */
static void give_back(struct mg_connections *t, unsigned *most) {
  unsigned used = atomic_load(&t->used);
  if (used > *most) {
    *most = used;
  } else if (*most - used >= MANY && used <= *most / 2) {
    *most = used;
    pthread_mutex_unlock(&t->lock);
    (void)malloc_trim(0);
    pthread_mutex_lock(&t->lock);
  }
}

static void *run(void *arg) {
  struct mg_connections *t = arg;
  unsigned most = 0;
  pthread_mutex_lock(&t->lock);
  while (!t->stop) {
    mg_pulse_begin("connections");
    reap(t, mg_clock_ms());
    if (atomic_exchange(&t->hurry, false)) {
      end_slow(t, mg_clock_ms());
    }
    make_room(t, mg_clock_ms());
    mg_pulse_end();
    const struct timespec until = mg_clock_in(TICK_MS);
    if (atomic_load(&t->used) == 0) {
      pthread_cond_wait(&t->wake, &t->lock);
    } else {
      (void)pthread_cond_timedwait(&t->wake, &t->lock, &until);
    }
    give_back(t, &most);
  }
  pthread_mutex_unlock(&t->lock);
  return NULL;
}

int mg_connections_new(const struct mg_connections_options *options, struct mg_connections **ret, struct mg_err *err) {
  struct mg_connections *t = calloc(1, sizeof *t);
  if (t) {
    t->rows = calloc(options->max, sizeof *t->rows);
  }
  if (!t || !t->rows) {
    free(t);
    return mg_err_set(err, MG_E_NOMEM, "out of memory for the connections");
  }
  t->options = *options;
  for (unsigned i = options->max; i > 0; i--) {
    t->rows[i - 1] = (struct mg_connection){.table = t, .fd = -1, .next = t->free};
    t->free = &t->rows[i - 1];
  }
  mg_clock_cond(&t->wake);
  pthread_mutex_init(&t->lock, NULL);
  int code = pthread_create(&t->thread, NULL, run, t);
  if (code != 0) {
    free(t->rows);
    free(t);
    return mg_err_set(err, MG_E_IO, "cannot start a thread: %s", strerror(code));
  }
  *ret = t;
  return 0;
}

void mg_connections_free(struct mg_connections *t) {
  if (!t) {
    return;
  }
  pthread_mutex_lock(&t->lock);
  t->stop = true;
  pthread_cond_signal(&t->wake);
  pthread_mutex_unlock(&t->lock);
  pthread_join(t->thread, NULL);
  pthread_cond_destroy(&t->wake);
  pthread_mutex_destroy(&t->lock);
  free(t->rows);
  free(t);
}

struct mg_connection *mg_connection_begin(struct mg_connections *t, int fd, enum mg_stage stage) {
  pthread_mutex_lock(&t->lock);
  struct mg_connection *c = t->free;
  if (c) {
    t->free = c->next;
    c->fd = fd;
    if (stage == MG_STAGE_HANDSHAKE) {
      mg_connection_expect(c, stage, t->options.handshake_ms);
    } else {
      mg_connection_idle(c);
    }
    unsigned used = atomic_fetch_add(&t->used, 1) + 1;
    if (used == 1 || used >= t->options.crowded) {
      pthread_cond_signal(&t->wake);
    }
  }
  pthread_mutex_unlock(&t->lock);
  return c;
}

void mg_connection_end(struct mg_connection *c) {
  struct mg_connections *t = c->table;
  mg_connection_shaken(c);
  pthread_mutex_lock(&t->lock);
  c->fd = -1;
  c->next = t->free;
  t->free = c;
  atomic_fetch_sub(&t->used, 1);
  pthread_mutex_unlock(&t->lock);
}

void mg_connection_expect(struct mg_connection *c, enum mg_stage stage, int64_t ms) {
  int64_t now = mg_clock_ms();
  atomic_store(&c->until_ms, ms > 0 ? now + ms : NEVER);
  atomic_store(&c->since_ms, now);
  atomic_store(&c->stage, (int)stage);
}

/* A little more than the library waits, so that this is only for who sends a byte now and then. */
void mg_connection_idle(struct mg_connection *c) {
  mg_connection_expect(c, MG_STAGE_IDLE, c->table->options.idle_ms + c->table->options.head_ms);
}

void mg_connection_shaken(struct mg_connection *c) {
  struct mg_credentials *credentials = c->handshake.credentials;
  c->handshake.credentials = NULL;
  mg_credentials_unref(credentials);
}

unsigned mg_connections_open(const struct mg_connections *t) {
  return atomic_load(&t->used);
}

void mg_connections_hurry(struct mg_connections *t) {
  atomic_store(&t->hurry, true); /* its next turn is soon enough */
}

void mg_connections_squeeze(struct mg_connections *t) {
  pthread_mutex_lock(&t->lock);
  t->squeeze = true;
  pthread_cond_signal(&t->wake);
  pthread_mutex_unlock(&t->lock);
}

uint64_t mg_connections_reaped(const struct mg_connections *t) {
  return atomic_load_explicit(&t->reaped, memory_order_relaxed);
}

uint64_t mg_connections_evicted(const struct mg_connections *t) {
  return atomic_load_explicit(&t->evicted, memory_order_relaxed);
}
