/* The two halves of the sandbox, each as the kernel has it. What fails is -1 with errno. */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ABI version, at least 1. */
int mg_landlock_abi(void);
/* A ruleset that forbids all that this ABI knows; connecting is left alone where `any_tcp` is set. */
int mg_landlock_new(int abi, bool any_tcp);
int mg_landlock_read(int ruleset, int at); /* `at`: a file, or a directory with all below it; an O_PATH descriptor is enough */
int mg_landlock_write(int ruleset, int abi, int at); /* files of the directory `at`: made, read, written, renamed, removed */
int mg_landlock_connect(int ruleset, uint16_t port);
int mg_landlock_enter(int ruleset);
#define MG_LANDLOCK_TCP_ABI 4 /* from which on it knows of ports */

#define MG_SECCOMP_ROOM 1024 /* instructions; the kernel takes 4096 */

enum mg_seccomp_grant {
  MG_SECCOMP_CONNECTS = 1, /* sockets may be made */
  MG_SECCOMP_WRITES = 2,   /* files may be written, removed and renamed */
};

/* The program for this machine; 0: there is none for it. `grants`: bits of the above. `otherwise`: what becomes of a call that is
 * not listed (SECCOMP_RET_…), which is the end of the process but in tests. */
size_t mg_seccomp_program(struct sock_filter ret[MG_SECCOMP_ROOM], unsigned grants, uint32_t otherwise);
int mg_seccomp_look(void);
int mg_seccomp_enter(unsigned grants); /* in all threads */
