/* torture ARGS...: mlgate ARGS..., once for each line of its input, "DIR KEY CALL MODULE OFFSET NTH TIMES HOW" (see fail.h): in
 * that folder, with that one call failing, as a process of its own that is forked from here, where libraries are loaded and
 * nothing has been done yet. It says "pid N", and "exit STATUS" as waitpid has it. What was called is in DIR/board, what was
 * printed in DIR/out and DIR/err.
 * torture --names: the calls and the modules, one a line. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail.h"

int mlgate_main(int argc, char **argv);

static void names(void) {
  for (unsigned i = 0; fail_call(i); i++) printf("call %s\n", fail_call(i));
  for (unsigned i = 0; fail_module(i); i++) printf("module %s\n", fail_module(i));
}

static void must(int good, const char *what) {
  if (good) return;
  perror(what);
  _exit(100);
}

static void point_fd(int to, const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  must(fd >= 0 && dup2(fd, to) == to && close(fd) == 0, path);
}

static pid_t parent;

static void run(const char *dir, const struct fail_point *point, int argc, char **argv) {
  must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent, "parent");
  must(chdir(dir) == 0, dir);
  point_fd(STDERR_FILENO, "err", O_CREAT | O_WRONLY | O_APPEND);
  point_fd(STDIN_FILENO, "/dev/null", O_RDONLY);
  point_fd(STDOUT_FILENO, "out", O_CREAT | O_WRONLY | O_APPEND);
  int fd = open("board", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  must(fd >= 0 && ftruncate(fd, sizeof(struct fail_board)) == 0, "board");
  struct fail_board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  must(board != MAP_FAILED && close(fd) == 0, "board");
  fail_begin(board, point);
  int status = mlgate_main(argc, argv);
  fail_end();
  exit(status);
}

int main(int argc, char **argv) {
  char line[4096], dir[3072];
  struct fail_point point;
  fail_prepare();
  if (argc == 2 && strcmp(argv[1], "--names") == 0) {
    names();
    return 0;
  }
  parent = getpid();
  must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%3071s %" SCNx64 " %u %u %" SCNx64 " %u %u %d", dir, &point.key, &point.call, &point.module, &point.offset,
               &point.nth, &point.times, &point.how) != 8)
      return 2;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) run(dir, &point, argc, argv);
    must(pid > 0, "fork");
    printf("pid %d\n", (int)pid);
    fflush(stdout);
    int status;
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("exit %d\n", status);
    fflush(stdout);
  }
  return 0;
}
