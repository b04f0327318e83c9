/* sandbox_driver without landlock|seccomp ERRNO COMMAND...
 *   runs the command as on a kernel where the first call of Landlock or seccomp fails so.
 * sandbox_driver log COMMAND...
 *   runs it under the sandbox's list of system calls, which kills nobody here: the kernel's log has a line with `syscall=` for
 *   each call that is not listed (dmesg, type=1326). What the command does before it serves is among them. */
#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/sandbox_parts.h"

static const struct {
  const char *word;
  int value;
} words[] = {{"landlock", SYS_landlock_create_ruleset}, {"seccomp", SYS_seccomp}, {"ENOSYS", ENOSYS},
             {"EOPNOTSUPP", EOPNOTSUPP}, {"EINVAL", EINVAL}, {"EPERM", EPERM}, {"ENOMEM", ENOMEM}};

static uint32_t value_of(const char *word) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(words[i].word, word) == 0) return (uint32_t)words[i].value;
  return 0;
}

static size_t one_call(struct sock_filter *to, const char *call, const char *error) {
  const struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value_of(call), 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | value_of(error)),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  memcpy(to, program, sizeof program);
  return value_of(call) && value_of(error) ? sizeof program / sizeof *program : 0;
}

int main(int argc, char **argv) {
  struct sock_filter filter[MG_SECCOMP_ROOM];
  struct sock_fprog program = {.filter = filter};
  char **command = argv + 2;
  if (argc > 4 && strcmp(argv[1], "without") == 0) {
    program.len = (unsigned short)one_call(filter, argv[2], argv[3]);
    command += 2;
  } else if (argc > 2 && strcmp(argv[1], "log") == 0) {
    program.len = (unsigned short)mg_seccomp_program(filter, MG_SECCOMP_CONNECTS, SECCOMP_RET_LOG);
  }
  if (!program.len) return fputs("sandbox_driver without landlock|seccomp ERRNO COMMAND... | log COMMAND...\n", stderr), 2;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return perror("sandbox_driver"), 2;
  execvp(command[0], command);
  return perror(command[0]), 2;
}
