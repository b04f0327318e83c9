#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "app/crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"

#define TICK_MS 100
#define SLOTS_EACH 2 /* files of a thread: one at work, one that waits for its turn */

/* A file at work, or done and waiting for those before it. */
struct slot {
  struct mg_judge judge;
  struct mg_judged file;
  struct mg_err err;
  size_t bytes;
  int code;
  bool done;
};

/* The lock guards all of it but what is in a slot that is at work, which its thread has, or done, which the caller has. */
struct work {
  pthread_mutex_t lock;
  pthread_cond_t room, done;
  const struct mg_inputs *inputs;
  struct slot *slots;
  size_t slot_count;
  size_t taken, handed_over; /* files */
  size_t bytes, next;        /* of files between the two; of the one that is to be taken, 0: not known yet */
  bool stop;
  pthread_t threads[MG_CREW_MAX];
  size_t thread_count;
};

/* What has no size of its own may have any. */
static size_t size_of(const struct mg_input *input) {
  struct stat info;
  if (input->problem) return 1;
  if (mg_is_standard(input->path) || stat(input->path, &info) != 0 || !S_ISREG(info.st_mode)) return MG_CREW_BYTES;
  return info.st_size > 0 ? (size_t)info.st_size : 1;
}

/* Files are taken in their order, and the one whose turn it is may always be: there is no deadlock. */
static bool may_take(struct work *work) {
  if (!work->next) work->next = size_of(&work->inputs->items[work->taken]);
  if (work->taken == work->handed_over) return true;
  return work->taken - work->handed_over < work->slot_count && work->bytes + work->next <= MG_CREW_BYTES;
}

static struct slot *take(struct work *work, size_t *ret_index) {
  while (!work->stop && work->taken < work->inputs->count && !may_take(work)) pthread_cond_wait(&work->room, &work->lock);
  if (work->stop || work->taken == work->inputs->count) return NULL;
  struct slot *slot = &work->slots[work->taken % work->slot_count];
  *ret_index = work->taken++;
  slot->bytes = work->next;
  work->bytes += work->next;
  work->next = 0;
  return slot;
}

static void *run(void *ctx) {
  struct work *work = ctx;
  struct slot *slot;
  size_t index = 0;
  pthread_mutex_lock(&work->lock);
  while ((slot = take(work, &index))) {
    pthread_mutex_unlock(&work->lock);
    slot->code = mg_judge_file(&slot->judge, &work->inputs->items[index], &slot->file, &slot->err);
    pthread_mutex_lock(&work->lock);
    slot->done = true;
    if (index == work->handed_over) pthread_cond_signal(&work->done);
  }
  pthread_mutex_unlock(&work->lock);
  return NULL;
}

static int hand_over(const struct mg_crew *crew, struct work *work, struct slot *slot, struct mg_err *err) {
  pthread_mutex_lock(&work->lock);
  while (!slot->done) {
    struct timespec until = mg_clock_in(TICK_MS);
    pthread_cond_timedwait(&work->done, &work->lock, &until);
    if (slot->done) break;
    pthread_mutex_unlock(&work->lock);
    crew->waits(crew->ctx, work->handed_over); /* which this thread alone changes */
    pthread_mutex_lock(&work->lock);
  }
  pthread_mutex_unlock(&work->lock);
  int code = slot->code;
  if (code < 0) *err = slot->err;
  else code = crew->judged(crew->ctx, &slot->file, err);
  mg_judge_rest(&slot->judge);
  pthread_mutex_lock(&work->lock);
  slot->done = false;
  work->bytes -= slot->bytes;
  work->handed_over++;
  pthread_cond_broadcast(&work->room);
  pthread_mutex_unlock(&work->lock);
  return code;
}

static void start(struct work *work, size_t threads) {
  pthread_mutex_init(&work->lock, NULL);
  pthread_cond_init(&work->room, NULL);
  mg_clock_cond(&work->done);
  while (work->thread_count < threads && pthread_create(&work->threads[work->thread_count], NULL, run, work) == 0)
    work->thread_count++;
}

static void end(struct work *work) {
  pthread_mutex_lock(&work->lock);
  work->stop = true;
  pthread_cond_broadcast(&work->room);
  pthread_mutex_unlock(&work->lock);
  for (size_t i = 0; i < work->thread_count; i++) pthread_join(work->threads[i], NULL);
  pthread_cond_destroy(&work->room);
  pthread_cond_destroy(&work->done);
  pthread_mutex_destroy(&work->lock);
  for (size_t i = 0; i < work->slot_count; i++) mg_judge_fini(&work->slots[i].judge);
  free(work->slots);
}

static int run_alone(const struct mg_crew *crew, struct mg_judge *judge, const struct mg_inputs *inputs, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; code == 0 && i < inputs->count; i++) {
    struct mg_judged file;
    code = mg_judge_file(judge, &inputs->items[i], &file, err);
    if (code == 0) code = crew->judged(crew->ctx, &file, err);
  }
  return code;
}

static uint32_t cpus(void) {
  cpu_set_t set;
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return count < 1 ? 1 : count > MG_CREW_USUAL ? MG_CREW_USUAL : (uint32_t)count;
}

int mg_crew_run(const struct mg_crew *crew, struct mg_judge *judge, const struct mg_inputs *inputs, struct mg_err *err) {
  struct work work = {.inputs = inputs};
  size_t jobs = crew->jobs ? crew->jobs : cpus();
  int code = 0;
  if (jobs > inputs->count) jobs = inputs->count;
  if (jobs > MG_CREW_MAX) jobs = MG_CREW_MAX;
  if (jobs > 1) work.slots = calloc(jobs * SLOTS_EACH, sizeof *work.slots);
  if (!work.slots) return run_alone(crew, judge, inputs, err);
  work.slot_count = jobs * SLOTS_EACH;
  for (size_t i = 0; i < work.slot_count; i++) mg_judge_like(&work.slots[i].judge, judge);
  start(&work, jobs);
  for (size_t i = 0; work.thread_count && code == 0 && i < inputs->count; i++)
    code = hand_over(crew, &work, &work.slots[i % work.slot_count], err);
  bool none = !work.thread_count;
  end(&work);
  return none ? run_alone(crew, judge, inputs, err) : code;
}
