#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall */
#endif
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/sandbox_parts.h"

/* As in the kernel's interface of ABI 6; an older kernel takes the rest of a longer structure if it is zero. */
struct ruleset {
  uint64_t fs, tcp, scoped;
};
struct port_rule {
  uint64_t allowed, port;
};

#define RULE_PORT 2
#define TRUNCATE (UINT64_C(1) << 14)
#define TRUNCATE_ABI 3
#define TCP_BIND (UINT64_C(1) << 0)
#define TCP_CONNECT (UINT64_C(1) << 1)

/* What each version brought, as bits. */
static const struct {
  int abi;
  struct ruleset bits;
} versions[] = {
    {1, {.fs = (UINT64_C(1) << 13) - 1}},       /* from execute to the making of links */
    {2, {.fs = UINT64_C(1) << 13}},             /* moving to another directory */
    {TRUNCATE_ABI, {.fs = TRUNCATE}},
    {4, {.tcp = TCP_BIND | TCP_CONNECT}},
    {5, {.fs = UINT64_C(1) << 15}},             /* ioctl of devices */
    {6, {.scoped = UINT64_C(1) | UINT64_C(2)}}, /* abstract sockets and signals to those outside */
};

int mg_landlock_abi(void) {
  return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int mg_landlock_new(int abi, bool any_tcp) {
  struct ruleset all = {0};
  for (size_t i = 0; i < sizeof versions / sizeof *versions && versions[i].abi <= abi; i++) {
    all.fs |= versions[i].bits.fs;
    all.tcp |= versions[i].bits.tcp;
    all.scoped |= versions[i].bits.scoped;
  }
  if (any_tcp) all.tcp &= ~TCP_CONNECT;
  return (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
}

int mg_landlock_read(int ruleset, int at) {
  struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = at};
  struct stat s;
  if (fstat(at, &s) != 0) return -1;
  if (S_ISDIR(s.st_mode)) rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR; /* of a file it would be an error */
  return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int mg_landlock_write(int ruleset, int abi, int at) {
  struct landlock_path_beneath_attr rule = {.parent_fd = at};
  rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
                        LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
  if (abi >= TRUNCATE_ABI) rule.allowed_access |= TRUNCATE;
  return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int mg_landlock_connect(int ruleset, uint16_t port) {
  struct port_rule rule = {.allowed = TCP_CONNECT, .port = port};
  return (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &rule, 0);
}

int mg_landlock_enter(int ruleset) {
  return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
