/* Calls that can be made to fail, one at a time. Every row of calls.def is defined in the program itself, so that its own objects
 * and the libraries come here alike; what is not to fail goes on to the next definition, which is the sanitizer's or libc's. */
#pragma once
#include <stdint.h>

#define FAIL_FRAMES 20
#define FAIL_SITES 65536
#define FAIL_SHORT 1000 /* instead of an errno: one byte is read or written */

/* A call from one place, by one way: where the stack was the same. */
struct fail_site {
  uint64_t key;
  uint32_t call, count;
  uint32_t modules[FAIL_FRAMES]; /* of each frame, innermost first; numbers of fail_module */
  uint64_t offsets[FAIL_FRAMES];
};

/* Shared with whoever asked for the run. */
struct fail_board {
  uint32_t hit;  /* the call was made, and failed */
  uint32_t full; /* there were more sites than rows */
  uint32_t sites, size_of_site;
  struct fail_site site[FAIL_SITES];
};

struct fail_point {
  uint64_t key; /* 0: none, all are counted */
  unsigned call, module; /* and where it returns to, so that most calls are let through at once */
  uint64_t offset;
  unsigned nth;   /* the how-manieth call there, from 1 */
  unsigned times; /* and how many of those that follow it there, itself counted */
  int how;      /* errno, or FAIL_SHORT */
};

/* Before the first run, in the parent of all. */
void fail_prepare(void);
const char *fail_module(unsigned number); /* NULL: no such */
const char *fail_call(unsigned number);   /* NULL: no such */

void fail_begin(struct fail_board *board, const struct fail_point *point);
void fail_end(void);
