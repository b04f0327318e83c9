#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include "fail.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#define MODULES 64
#define OURS 2 /* frames that are this file's */

enum call {
#define HEAP(name, ...) CALL_##name,
#define CALL(name, ...) CALL_##name,
#define PART(name, ...) CALL_##name,
#define OWN(name) CALL_##name,
#include "calls.def"
#undef HEAP
#undef CALL
#undef PART
#undef OWN
  CALLS,
};

static const char *const call_names[CALLS] = {
#define HEAP(name, ...) #name,
#define CALL(name, ...) #name,
#define PART(name, ...) #name,
#define OWN(name) #name,
#include "calls.def"
#undef HEAP
#undef CALL
#undef PART
#undef OWN
};

static struct {
  uintptr_t begin, end, base;
  char name[256];
} modules[MODULES];
static unsigned n_modules;

static struct fail_board *board;
static struct fail_point wanted;
static volatile int armed;
static atomic_flag busy = ATOMIC_FLAG_INIT; /* of the board; never held across a call that could come back here */
static _Thread_local int inside;
static unsigned wanted_seen;
static uintptr_t wanted_return;

/* ---- where a call comes from ---- */

static int add_module(struct dl_phdr_info *info, size_t size, void *ctx) {
  uintptr_t begin = UINTPTR_MAX, end = 0;
  (void)size, (void)ctx;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *row = &info->dlpi_phdr[i];
    if (row->p_type != PT_LOAD) continue;
    if (info->dlpi_addr + row->p_vaddr < begin) begin = info->dlpi_addr + row->p_vaddr;
    if (info->dlpi_addr + row->p_vaddr + row->p_memsz > end) end = info->dlpi_addr + row->p_vaddr + row->p_memsz;
  }
  if (n_modules < MODULES) {
    modules[n_modules].begin = begin, modules[n_modules].end = end, modules[n_modules].base = info->dlpi_addr;
    snprintf(modules[n_modules++].name, sizeof modules->name, "%s", info->dlpi_name);
  }
  return 0;
}

void fail_prepare(void) {
  dl_iterate_phdr(add_module, NULL);
}

const char *fail_module(unsigned number) {
  return number < n_modules ? modules[number].name : NULL;
}

const char *fail_call(unsigned number) {
  return number < CALLS ? call_names[number] : NULL;
}

struct walk {
  unsigned depth;
  struct fail_site site;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *ctx) {
  struct walk *walk = ctx;
  uintptr_t at = _Unwind_GetIP(context);
  if (walk->depth++ < OURS) return _URC_NO_REASON;
  unsigned i = walk->depth - OURS - 1, m = 0;
  if (i >= FAIL_FRAMES) return _URC_NORMAL_STOP;
  while (m < n_modules && (at < modules[m].begin || at >= modules[m].end)) m++;
  walk->site.modules[i] = m;
  walk->site.offsets[i] = m < n_modules ? at - modules[m].base : 0;
  return _URC_NO_REASON;
}

static uint64_t key_of(const struct fail_site *site) {
  uint64_t key = UINT64_C(0xcbf29ce484222325) ^ site->call;
  for (int i = 0; i < FAIL_FRAMES; i++) key = (key ^ site->modules[i] ^ site->offsets[i] << 8) * UINT64_C(0x100000001b3);
  return key ? key : 1;
}

/* ---- what becomes of it ---- */

static void count(const struct fail_site *site) {
  uint32_t i = (uint32_t)(site->key % FAIL_SITES);
  for (uint32_t tries = 0; tries < FAIL_SITES; tries++, i = (i + 1) % FAIL_SITES) {
    struct fail_site *row = &board->site[i];
    if (row->key == 0) {
      *row = *site;
      board->sites++;
    }
    if (row->key == site->key) {
      row->count++;
      return;
    }
  }
  board->full = 1;
}

/* 0: goes on as usual. */
static __attribute__((noinline)) int consult(enum call call, void *back) {
  if (!armed || inside) return 0;
  if (wanted.key && (wanted.call != call || wanted_return != (uintptr_t)back)) return 0;
  int before = errno, how = 0;
  inside = 1;
  struct walk walk = {.site = {.call = call}};
  _Unwind_Backtrace(step, &walk);
  walk.site.key = key_of(&walk.site);
  while (atomic_flag_test_and_set(&busy)) {}
  if (wanted.key == 0) count(&walk.site);
  else if (walk.site.key == wanted.key && ++wanted_seen >= wanted.nth && wanted_seen - wanted.nth < wanted.times) {
    how = wanted.how;
    board->hit = 1;
    count(&walk.site);
  }
  atomic_flag_clear(&busy);
  inside = 0;
  errno = before;
  return how;
}

void fail_begin(struct fail_board *on, const struct fail_point *point) {
  board = on;
  board->size_of_site = sizeof(struct fail_site);
  wanted = *point;
  wanted_return = point->module < n_modules ? modules[point->module].base + point->offset : 0;
  armed = 1;
}

void fail_end(void) {
  armed = 0;
}

/* ---- the calls ---- */

static void *next(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

#define KEEP __attribute__((visibility("default"), noinline))

#define HEAP(name, type, failure, params, args) \
  extern type __interceptor_##name params; \
  KEEP type name params { \
    int how = consult(CALL_##name, __builtin_return_address(0)); \
    if (how) return errno = how, failure; \
    type result = __interceptor_##name args; \
    __asm__ volatile("" : : : "memory"); \
    return result; \
  }
#define CALL(name, type, failure, params, args) \
  KEEP type name params { \
    static type(*real) params; \
    int how = consult(CALL_##name, __builtin_return_address(0)); \
    if (how) return errno = how, failure; \
    if (!real) real = next(#name); \
    type result = real args; \
    __asm__ volatile("" : : : "memory"); \
    return result; \
  }
/* An eventfd always takes one more, and gives at once what it has: nothing that a caller must be ready for. */
static bool is_eventfd(int fd) {
  char path[32], to[32] = "";
  int before = errno;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  bool is = armed && readlink(path, to, sizeof to - 1) > 0 && strcmp(to, "anon_inode:[eventfd]") == 0;
  errno = before;
  return is;
}

#define PART(name, params, args) \
  KEEP ssize_t name params { \
    static ssize_t(*real) params; \
    int how = is_eventfd(fd) ? 0 : consult(CALL_##name, __builtin_return_address(0)); \
    if (how && how != FAIL_SHORT) return errno = how, -1; \
    if (how && n > 1) n = 1; \
    if (!real) real = next(#name); \
    ssize_t result = real args; \
    __asm__ volatile("" : : : "memory"); \
    return result; \
  }
#define OWN(name)
#include "calls.def"

#define OPEN(name) \
  KEEP int name(const char *path, int flags, ...) { \
    static int (*real)(const char *, int, ...); \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { \
      va_list list; \
      va_start(list, flags); \
      mode = va_arg(list, mode_t); \
      va_end(list); \
    } \
    int how = consult(CALL_##name, __builtin_return_address(0)); \
    if (how) return errno = how, -1; \
    if (!real) real = next(#name); \
    int fd = real(path, flags, mode); \
    __asm__ volatile("" : : : "memory"); \
    return fd; \
  }
OPEN(open)
OPEN(open64)

KEEP int openat(int dir, const char *path, int flags, ...) {
  static int (*real)(int, const char *, int, ...);
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  int how = consult(CALL_openat, __builtin_return_address(0));
  if (how) return errno = how, -1;
  if (!real) real = next("openat");
  int fd = real(dir, path, flags, mode);
  __asm__ volatile("" : : : "memory");
  return fd;
}

#define FCNTL(name) \
  KEEP int name(int fd, int command, ...) { \
    static int (*real)(int, int, ...); \
    va_list list; \
    va_start(list, command); \
    void *arg = va_arg(list, void *); \
    va_end(list); \
    bool makes = command == F_DUPFD || command == F_DUPFD_CLOEXEC; /* all else succeeds where the descriptor is good */ \
    int how = makes ? consult(CALL_##name, __builtin_return_address(0)) : 0; \
    if (how) return errno = how, -1; \
    if (!real) real = next(#name); \
    int result = real(fd, command, arg); \
    __asm__ volatile("" : : : "memory"); \
    return result; \
  }
FCNTL(fcntl)
FCNTL(fcntl64)

/* On Linux the descriptor is gone, whatever is told of it. */
KEEP int close(int fd) {
  static int (*real)(int);
  int how = consult(CALL_close, __builtin_return_address(0));
  if (!real) real = next("close");
  int result = real(fd);
  __asm__ volatile("" : : : "memory");
  return how ? (errno = how, -1) : result;
}
