#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2 */
#endif
#include "app/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE 65536

struct pipes {
  int out[2], said[2]; /* to read, to write */
};

static void shut(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void pipes_fini(struct pipes *pipes) {
  for (int i = 0; i < 2; i++) shut(&pipes->out[i]), shut(&pipes->said[i]);
}

static bool is_among(const char *entry, const char *const *more) {
  const char *equals = strchr(entry, '=');
  size_t n = equals ? (size_t)(equals - entry) + 1 : strlen(entry);
  while (*more && strncmp(*more, entry, n) != 0) more++;
  return *more != NULL;
}

static char **with_environment(const char *const *more) {
  size_t n = 0, m = 0;
  while (environ[n]) n++;
  while (more[m]) m++;
  char **all = calloc(n + m + 1, sizeof *all), **to = all;
  for (size_t i = 0; all && i < m; i++) *to++ = (char *)(uintptr_t)more[i];
  for (size_t i = 0; all && i < n; i++)
    if (!is_among(environ[i], more)) *to++ = environ[i];
  return all;
}

static int start(const struct mg_spawn *spawn, const struct pipes *pipes, pid_t *ret_pid) {
  posix_spawn_file_actions_t actions;
  char **all = with_environment(spawn->environment);
  if (!all) return ENOMEM;
  int code = posix_spawn_file_actions_init(&actions);
  if (code == 0) {
    code = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (code == 0) code = posix_spawn_file_actions_adddup2(&actions, pipes->out[1], STDOUT_FILENO);
    if (code == 0) code = posix_spawn_file_actions_adddup2(&actions, pipes->said[1], STDERR_FILENO);
    if (code == 0) code = posix_spawnp(ret_pid, spawn->argv[0], &actions, NULL, (char *const *)(uintptr_t)spawn->argv, all);
    posix_spawn_file_actions_destroy(&actions);
  }
  free(all);
  return code;
}

/* Reads once; closes the pipe at its end. */
static ssize_t read_piece(int *fd, char *room, size_t size) {
  ssize_t n = read(*fd, room, size);
  if (n < 0 && errno == EINTR) return 0;
  if (n <= 0) shut(fd);
  return n < 0 ? 0 : n;
}

static void keep_said(struct mg_spawned *ret, size_t *have, const char *text, size_t n) {
  if (n > MG_SPAWN_SAID - *have) n = MG_SPAWN_SAID - *have;
  memcpy(ret->said + *have, text, n);
  *have += n;
  ret->said[*have] = '\0';
}

static int listen_to(const struct mg_spawn *spawn, struct pipes *pipes, char *room, struct mg_spawned *ret, struct mg_err *err) {
  size_t printed = 0, said = 0;
  int code = 0;
  while (code == 0 && (pipes->out[0] >= 0 || pipes->said[0] >= 0)) {
    struct pollfd ready[] = {{.fd = pipes->out[0], .events = POLLIN}, {.fd = pipes->said[0], .events = POLLIN}};
    if (poll(ready, 2, -1) < 0) {
      if (errno != EINTR) return mg_err_set(err, MG_E_IO, "%s", strerror(errno));
      continue;
    }
    if (ready[1].revents) keep_said(ret, &said, room, (size_t)read_piece(&pipes->said[0], room, PIECE));
    if (!ready[0].revents) continue;
    mg_str piece = {room, (size_t)read_piece(&pipes->out[0], room, PIECE)};
    printed += piece.n;
    if (printed > spawn->max) code = mg_err_set(err, MG_E_LIMIT, "%s prints more than %zu MiB", spawn->argv[0], spawn->max >> 20);
    else if (piece.n) code = spawn->out(spawn->ctx, piece, err);
  }
  return code;
}

static int reap(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int mg_spawn_run(const struct mg_spawn *spawn, struct mg_spawned *ret, struct mg_err *err) {
  __attribute__((cleanup(pipes_fini))) struct pipes pipes = {{-1, -1}, {-1, -1}};
  pid_t pid = 0;
  *ret = (struct mg_spawned){.status = -1};
  char *room = malloc(PIECE);
  if (!room) return mg_err_nomem(err);
  int why = pipe2(pipes.out, O_CLOEXEC) != 0 || pipe2(pipes.said, O_CLOEXEC) != 0 ? errno : start(spawn, &pipes, &pid);
  shut(&pipes.out[1]);
  shut(&pipes.said[1]);
  int code = why ? mg_err_set(err, MG_E_IO, "%s cannot be run: %s", spawn->argv[0], strerror(why)) : 0;
  if (!why) {
    code = listen_to(spawn, &pipes, room, ret, err);
    if (code < 0) kill(pid, SIGKILL);
    ret->status = reap(pid);
  }
  free(room);
  return code;
}
