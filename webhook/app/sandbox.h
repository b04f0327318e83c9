/* What the server gives up when it has what it needs, so that whoever takes it over through a review finds little to take: new
 * privileges and capabilities, of the file system all but the places named here, of TCP all but the ports named here (Landlock),
 * and of the system calls all but those that a server makes (seccomp). Nothing of it can be undone.
 *
 *   begin - read, port ... - enter: in the only thread - threads start - seal
 *
 * Landlock binds a thread and those that it starts later; seccomp is put on all threads at once. */
#pragma once
#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"

enum mg_sandbox_want {
  MG_SANDBOX_AUTO,    /* what the kernel has; none where a sanitizer is built in, whose runtime does what is forbidden here */
  MG_SANDBOX_REQUIRE, /* all of it, or an error */
  MG_SANDBOX_OFF,
};

enum mg_sandbox_tcp {
  MG_SANDBOX_NO_TCP,    /* no socket of any kind can be made after mg_sandbox_seal */
  MG_SANDBOX_TCP_PORTS, /* to those of mg_sandbox_port */
  MG_SANDBOX_ANY_TCP,
};

struct mg_sandbox {
  enum mg_sandbox_want want;
  enum mg_sandbox_tcp tcp;
  int ruleset; /* -1: none, or none any more */
  int self;    /* holds /proc/self, whose rule would otherwise be lost when the kernel forgets the directory and makes it anew */
  int landlock; /* ABI; 0: none */
  bool seccomp, writes; /* writes: there is a place for files */
  atomic_bool entered, sealed;
  char lacks[160]; /* what is not to be had, and why; empty: nothing */
};
#define MG_SANDBOX_NONE {.want = MG_SANDBOX_OFF, .ruleset = -1, .self = -1}

/* Looks for what there is. The `tcp` of after the start: ports that listen are bound before. MG_E_INVALID where something is
 * missing that is required. */
int mg_sandbox_begin(struct mg_sandbox *sandbox, enum mg_sandbox_want want, enum mg_sandbox_tcp tcp, struct mg_err *err)
  __attribute__((warn_unused_result));
/* The file, or the directory with all below it, that is there now under this name, may be read; what is not there is left out. */
int mg_sandbox_read(struct mg_sandbox *sandbox, const char *path, struct mg_err *err) __attribute__((warn_unused_result));
/* The file under this name may be read, also when another takes its place: so all of the directory that has the name, and of the
 * one that has the file, where links lead elsewhere. Of the root directory the file alone. */
int mg_sandbox_read_around(struct mg_sandbox *sandbox, const char *path, struct mg_err *err) __attribute__((warn_unused_result));
/* Files in the directory, which is there, may be made, read, written, renamed and removed. */
int mg_sandbox_write(struct mg_sandbox *sandbox, const char *dir, struct mg_err *err) __attribute__((warn_unused_result));
int mg_sandbox_port(struct mg_sandbox *sandbox, uint16_t port, struct mg_err *err) __attribute__((warn_unused_result));

/* No thread may run beside the caller. After an error half of it may be in force: the process should end. */
int mg_sandbox_enter(struct mg_sandbox *sandbox, struct mg_err *err) __attribute__((warn_unused_result));
int mg_sandbox_seal(struct mg_sandbox *sandbox, struct mg_err *err) __attribute__((warn_unused_result));

void mg_sandbox_log(const struct mg_sandbox *sandbox);
void mg_sandbox_describe(const struct mg_sandbox *sandbox, struct mg_buf *out); /* a line for /readyz?verbose */
void mg_sandbox_fini(struct mg_sandbox *sandbox);                               /* what is in force stays */
