/* app/sandbox: what a process inside can and cannot do, tried out by children that enter it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_TMPFILE */
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "app/sandbox.h"
#include "app/sandbox_parts.h"

static char top[] = "/tmp/test_sandbox.XXXXXX";
static struct mg_err err;

/* ---- children ---- */

#define DIED 1000 /* and the signal */

/* What the child's function returns (below 256), or the signal that ended it. */
static int child(int (*run)(const void *), const void *given) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) {
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    alarm(20);
    _exit(run(given));
  }
  assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
  return WIFSIGNALED(status) ? DIED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int port_of(int fd) {
  struct sockaddr_in at = {0};
  socklen_t n = sizeof at;
  return getsockname(fd, (struct sockaddr *)&at, &n) == 0 ? ntohs(at.sin_port) : 0;
}

static int listening(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 8) == 0);
  return fd;
}

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static const char *under(const char *name) {
  static char paths[8][256];
  static unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", top, name);
  return path;
}

/* 0, or the errno. */
static int opens(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

/* With all of it where this build and kernel have it; the tests of what is inside are left out elsewhere. */
static struct mg_sandbox ready_for(enum mg_sandbox_tcp tcp) {
  struct mg_sandbox s;
  assert_int_equal(mg_sandbox_begin(&s, MG_SANDBOX_AUTO, tcp, &err), 0);
  if (s.lacks[0]) {
    print_message("# left out: %s\n", s.lacks);
    mg_sandbox_fini(&s);
    skip();
  }
  return s;
}

static int enter(struct mg_sandbox *s) {
  if (mg_sandbox_enter(s, &err) == 0 && mg_sandbox_seal(s, &err) == 0) return 0;
  fprintf(stderr, "%s\n", err.text);
  return -1;
}

/* ---- system calls ---- */

static int no_exec(void) { return execl("/bin/true", "true", (char *)NULL); }
static int no_fork(void) { return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }
static int no_clone3(void) { return (int)syscall(SYS_clone3, NULL, 0); }
static int no_socket(void) { return socket(AF_INET, SOCK_STREAM, 0); }
static int no_connect(void) { return connect(0, NULL, 0); }
static int no_unix(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int no_packets(void) { return socket(AF_PACKET, SOCK_RAW, 0); }
static int no_bind(void) { return bind(0, NULL, 0); }
static int no_listen(void) { return listen(0, 1); }
static int no_kill(void) { return kill(getppid(), 0); }
static int no_signal_to_others(void) { return (int)syscall(SYS_tgkill, getppid(), getppid(), 0); }
static int no_writing(void) { return open("/dev/null", O_WRONLY); }
static int no_creating(void) { return open("/tmp", O_TMPFILE | O_RDWR, 0600); }
static int no_unlink(void) { return (int)syscall(SYS_unlinkat, AT_FDCWD, "/nothing", 0); }
static int no_chmod(void) { return (int)syscall(SYS_fchmodat, AT_FDCWD, "/nothing", 0); }
static int no_trace(void) { return (int)syscall(SYS_ptrace, 0, 0, 0, 0); }
static int no_mount(void) { return (int)syscall(SYS_mount, NULL, NULL, NULL, 0, NULL); }
static int no_namespace(void) { return (int)syscall(SYS_unshare, 0); }
static int no_memory_file(void) { return (int)syscall(SYS_memfd_create, "x", 0); }
static int no_ring(void) { return (int)syscall(SYS_io_uring_setup, 1, NULL); }
static int no_filter_less(void) { return prctl(PR_SET_SECCOMP, 0, 0, 0, 0); }
static int no_limits_of_others(void) { return (int)syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, NULL); }
static int none_younger(void) { return (int)syscall(500); }

static int do_abort(void) { abort(); }
static int do_memory(void) {
  for (size_t n = 1; n < (size_t)64 << 20; n *= 4) free(malloc(n));
  return 0;
}
static void *nothing(void *ctx) { return ctx; }
static int do_thread(void) {
  pthread_t thread;
  errno = pthread_create(&thread, NULL, nothing, NULL);
  return errno == 0 && pthread_join(thread, NULL) == 0 ? 0 : -1;
}

#define BOTH 2
static const struct call {
  const char *name;
  int (*call)(void);
  int connects; /* in which sandbox: 0, 1 or BOTH */
  int want;     /* 0: it works; an errno; DIED and a signal */
} calls[] = {
    {"execve", no_exec, BOTH, DIED + SIGSYS}, {"fork", no_fork, BOTH, DIED + SIGSYS}, {"clone3", no_clone3, BOTH, ENOSYS},
    {"socket", no_socket, 0, DIED + SIGSYS}, {"connect", no_connect, 0, DIED + SIGSYS}, {"bind", no_bind, 0, DIED + SIGSYS},
    {"a UNIX socket", no_unix, 1, EAFNOSUPPORT}, {"a packet socket", no_packets, 1, EAFNOSUPPORT}, {"bind", no_bind, 1, EACCES},
    {"listen", no_listen, BOTH, DIED + SIGSYS}, {"kill", no_kill, BOTH, DIED + SIGSYS},
    {"tgkill of another", no_signal_to_others, BOTH, EPERM}, {"open for writing", no_writing, BOTH, EACCES},
    {"an unnamed file", no_creating, BOTH, EACCES}, {"unlink", no_unlink, BOTH, DIED + SIGSYS},
    {"chmod", no_chmod, BOTH, DIED + SIGSYS}, {"ptrace", no_trace, BOTH, DIED + SIGSYS}, {"mount", no_mount, BOTH, DIED + SIGSYS},
    {"unshare", no_namespace, BOTH, DIED + SIGSYS}, {"memfd_create", no_memory_file, BOTH, DIED + SIGSYS},
    {"io_uring_setup", no_ring, BOTH, DIED + SIGSYS}, {"prctl", no_filter_less, BOTH, EINVAL},
    {"limits of another", no_limits_of_others, BOTH, EPERM}, {"a call of tomorrow", none_younger, BOTH, ENOSYS},
    {"abort", do_abort, BOTH, DIED + SIGABRT}, {"malloc", do_memory, BOTH, 0}, {"pthread_create", do_thread, BOTH, 0},
};

struct attempt {
  const struct call *call;
  struct mg_sandbox *sandbox;
};

static int attempt(const void *given) {
  const struct attempt *a = given;
  if (enter(a->sandbox) != 0) return 255;
  errno = 0;
  return a->call->call() < 0 ? errno : 0;
}

static void system_calls(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    for (int connects = 0; connects < 2; connects++) {
      if (calls[i].connects != BOTH && calls[i].connects != connects) continue;
      struct mg_sandbox s = ready_for(connects ? MG_SANDBOX_ANY_TCP : MG_SANDBOX_NO_TCP);
      int got = child(attempt, &(struct attempt){&calls[i], &s});
      mg_sandbox_fini(&s);
      if (got != calls[i].want) fail_msg("%s (connects: %d): %d, not %d", calls[i].name, connects, got, calls[i].want);
    }
}

/* ---- the program itself ---- */

static uint32_t interpret(const struct sock_filter *f, size_t n, const struct seccomp_data *data) {
  uint32_t a = 0;
  for (size_t i = 0; i < n; i++) {
    bool yes = false;
    switch (f[i].code) {
      case BPF_RET | BPF_K: return f[i].k;
      case BPF_LD | BPF_W | BPF_ABS: memcpy(&a, (const char *)data + f[i].k, sizeof a); continue;
      case BPF_JMP | BPF_JEQ | BPF_K: yes = a == f[i].k; break;
      case BPF_JMP | BPF_JGE | BPF_K: yes = a >= f[i].k; break;
      case BPF_JMP | BPF_JSET | BPF_K: yes = (a & f[i].k) != 0; break;
      default: fail_msg("instruction %zu is %#x", i, f[i].code);
    }
    i += yes ? f[i].jt : f[i].jf;
  }
  fail_msg("the program does not end");
  return 0;
}

#ifdef __x86_64__
#define OURS AUDIT_ARCH_X86_64
#else
#define OURS AUDIT_ARCH_AARCH64
#endif

static uint32_t verdict(const struct sock_filter *f, size_t n, uint32_t machine, int call) {
  return interpret(f, n, &(struct seccomp_data){.nr = call, .arch = machine});
}

static void other_machines(void **state) {
  static const uint32_t machines[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_PPC64LE, 0};
  struct sock_filter f[MG_SECCOMP_ROOM];
  (void)state;
  size_t n = mg_seccomp_program(f, MG_SECCOMP_CONNECTS, SECCOMP_RET_LOG);
  assert_in_range(n, 100, MG_SECCOMP_ROOM);
  assert_int_equal(verdict(f, n, OURS, SYS_read), SECCOMP_RET_ALLOW);
  for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
    assert_int_equal(verdict(f, n, machines[i], SYS_read), SECCOMP_RET_KILL_PROCESS);
  assert_int_equal(verdict(f, n, OURS, 0x40000000 | SYS_read), SECCOMP_RET_LOG); /* x32 */
  assert_int_equal(verdict(f, n, OURS, -1), SECCOMP_RET_LOG);
}

/* None but the calls known at the time is killed, and fewer are allowed where nothing connects. */
static void all_numbers(void **state) {
  struct sock_filter f[MG_SECCOMP_ROOM];
  unsigned allowed[2] = {0}, killed[2] = {0};
  (void)state;
  for (int connects = 0; connects < 2; connects++) {
    size_t n = mg_seccomp_program(f, connects != 0, SECCOMP_RET_KILL_PROCESS);
    for (int call = 0; call < 1000; call++) {
      uint32_t got = verdict(f, n, OURS, call);
      allowed[connects] += got == SECCOMP_RET_ALLOW, killed[connects] += got == SECCOMP_RET_KILL_PROCESS;
      if (call > 460) assert_int_equal(got, SECCOMP_RET_ERRNO | ENOSYS);
    }
  }
  assert_in_range(allowed[0], 60, allowed[1] - 1);
  assert_in_range(allowed[1], 60, 160);
  assert_in_range(killed[1], 150, killed[0] - 1);
}

/* ---- files ---- */

struct place {
  struct mg_sandbox *sandbox;
  int port, other_port;
};

static void make_places(void) {
  static const char *const dirs[] = {"allowed", "allowed/below", "other", "volume", "volume/..1", "elsewhere"};
  static const char *const files[] = {"allowed/file", "allowed/below/file", "other/file", "volume/..1/tls.crt",
                                      "elsewhere/ca.crt"};
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) assert_int_equal(mkdir(under(dirs[i]), 0700), 0);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) write_file(under(files[i]), "one");
  assert_int_equal(symlink("..1", under("volume/..data")), 0);
  assert_int_equal(symlink("..data/tls.crt", under("volume/tls.crt")), 0);
  assert_int_equal(symlink("../elsewhere/ca.crt", under("volume/ca.crt")), 0);
}

static int files_inside(const void *given) {
  const struct place *p = given;
  if (mg_sandbox_enter(p->sandbox, &err) != 0) return 1; /* Landlock alone */
  if (opens(under("allowed/file"), O_RDONLY) || opens(under("allowed/below/file"), O_RDONLY)) return 2;
  if (opens(under("allowed"), O_RDONLY | O_DIRECTORY)) return 3;
  if (opens(under("other/file"), O_RDONLY) != EACCES || opens(under("other"), O_RDONLY | O_DIRECTORY) != EACCES) return 4;
  if (opens(under("allowed/file"), O_RDWR) != EACCES || opens(under("allowed/new"), O_WRONLY | O_CREAT) != EACCES) return 5;
  if (rename(under("allowed/file"), under("allowed/moved")) == 0 || unlink(under("allowed/file")) == 0) return 6;
  if (mkdir(under("allowed/new"), 0700) == 0 || symlink("x", under("allowed/new")) == 0) return 7;
  if (execl("/bin/true", "true", (char *)NULL) == 0 || errno != EACCES) return 8;
  return opens("/etc/hostname", O_RDONLY) == EACCES && opens("/proc/self/statm", O_RDONLY) == 0 ? 0 : 9;
}

static void files(void **state) {
  (void)state;
  struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
  assert_int_equal(mg_sandbox_read(&s, under("allowed"), &err), 0);
  assert_int_equal(mg_sandbox_read(&s, under("nothing"), &err), 0);
  assert_int_equal(child(files_inside, &(struct place){.sandbox = &s}), 0);
  mg_sandbox_fini(&s);
}

static int written_inside(const void *given) {
  const struct place *p = given;
  if (enter(p->sandbox) != 0) return 1;
  if (opens(under("other/new"), O_WRONLY | O_CREAT | O_TRUNC)) return 2;
  if (rename(under("other/new"), under("other/newer")) != 0 || unlink(under("other/newer")) != 0) return 3;
  if (opens(under("allowed/new"), O_WRONLY | O_CREAT) != EACCES || opens(under("allowed/file"), O_WRONLY) != EACCES) return 4;
  if (rename(under("other/file"), under("allowed/taken")) == 0 || unlink(under("allowed/file")) == 0) return 5;
  return opens(under("elsewhere/ca.crt"), O_RDONLY) == EACCES ? 0 : 6;
}

static void a_place_to_write(void **state) {
  (void)state;
  struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
  assert_int_equal(mg_sandbox_read(&s, under("allowed"), &err), 0);
  assert_int_equal(mg_sandbox_write(&s, under("other"), &err), 0);
  assert_int_equal(child(written_inside, &(struct place){.sandbox = &s}), 0);
  mg_sandbox_fini(&s);
}

/* The parent changes the volume when it is told; the child looks again. */
struct swap {
  struct mg_sandbox *sandbox;
  int to_parent, from_parent;
};

static int volume_inside(const void *given) {
  const struct swap *swap = given;
  char byte = 0;
  if (enter(swap->sandbox) != 0) return 1;
  if (opens(under("volume/tls.crt"), O_RDONLY) || opens(under("volume/ca.crt"), O_RDONLY)) return 2;
  if (write(swap->to_parent, "x", 1) != 1 || read(swap->from_parent, &byte, 1) != 1) return 3;
  if (opens(under("volume/tls.crt"), O_RDONLY)) return 4;
  if (opens(under("volume/ca.crt"), O_RDONLY)) return 5;
  return opens(under("other/file"), O_RDONLY) == EACCES && opens(under("allowed/file"), O_RDONLY) == EACCES ? 0 : 6;
}

static void change_volume(void) {
  assert_int_equal(mkdir(under("volume/..2"), 0700), 0);
  write_file(under("volume/..2/tls.crt"), "two");
  assert_int_equal(symlink("..2", under("volume/..tmp")), 0);
  assert_int_equal(rename(under("volume/..tmp"), under("volume/..data")), 0);
  write_file(under("elsewhere/new"), "two");
  assert_int_equal(rename(under("elsewhere/new"), under("elsewhere/ca.crt")), 0);
}

static int volume_pair(const void *given) {
  int up[2], down[2], status = 0;
  char byte;
  if (pipe(up) != 0 || pipe(down) != 0) return 100;
  pid_t pid = fork();
  if (pid == 0) _exit(volume_inside(&(struct swap){(struct mg_sandbox *)(uintptr_t)given, up[1], down[0]}));
  close(up[1]);
  if (read(up[0], &byte, 1) == 1) change_volume();
  (void)!write(down[1], "x", 1);
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void replaced_files(void **state) {
  (void)state;
  struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
  assert_int_equal(mg_sandbox_read_around(&s, under("volume/tls.crt"), &err), 0);
  assert_int_equal(mg_sandbox_read_around(&s, under("volume/ca.crt"), &err), 0);
  assert_int_equal(child(volume_pair, &s), 0);
  mg_sandbox_fini(&s);
}

static int root_inside(const void *given) {
  if (enter((struct mg_sandbox *)(uintptr_t)given) != 0) return 1;
  if (opens("/tmp", O_RDONLY | O_DIRECTORY)) return 2;
  return opens("/etc/hostname", O_RDONLY) == EACCES ? 0 : 3;
}

static void never_the_root_directory(void **state) {
  (void)state;
  for (int relative = 0; relative < 2; relative++) {
    struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(mg_sandbox_read_around(&s, relative ? "tmp" : "/tmp", &err), 0);
    assert_int_equal(child(root_inside, &s), 0);
    mg_sandbox_fini(&s);
  }
}

/* ---- connections ---- */

static int dials(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int why = fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return why;
}

static int connections_inside(const void *given) {
  const struct place *p = given;
  bool any = p->sandbox->tcp == MG_SANDBOX_ANY_TCP;
  if (enter(p->sandbox) != 0) return 1;
  if (dials(p->port)) return 2;
  return dials(p->other_port) == (any ? 0 : EACCES) ? 0 : 3;
}

static void connections(void **state) {
  int one = listening(), other = listening();
  (void)state;
  for (enum mg_sandbox_tcp tcp = MG_SANDBOX_TCP_PORTS; tcp <= MG_SANDBOX_ANY_TCP; tcp++) {
    struct mg_sandbox s = ready_for(tcp);
    struct place p = {&s, port_of(one), port_of(other)};
    assert_int_equal(mg_sandbox_port(&s, (uint16_t)p.port, &err), 0);
    assert_int_equal(child(connections_inside, &p), 0);
    mg_sandbox_fini(&s);
  }
  close(one);
  close(other);
}

/* ---- threads and privileges ---- */

static int pipe_fds[2];

static void *forbidden_call(void *ctx) {
  char byte;
  if (read(pipe_fds[0], &byte, 1) == 1) (void)syscall(SYS_unshare, 0);
  return ctx;
}

/* The thread is there when the process is sealed. */
static int threads_inside(const void *given) {
  struct mg_sandbox *s = (struct mg_sandbox *)(uintptr_t)given;
  pthread_t thread;
  if (pipe(pipe_fds) != 0 || mg_sandbox_enter(s, &err) != 0) return 1;
  if (pthread_create(&thread, NULL, forbidden_call, NULL) != 0 || mg_sandbox_seal(s, &err) != 0) return 2;
  if (write(pipe_fds[1], "x", 1) != 1) return 3;
  pthread_join(thread, NULL);
  return 4;
}

static int threads_before(const void *given) {
  struct mg_sandbox *s = (struct mg_sandbox *)(uintptr_t)given;
  pthread_t thread;
  if (pipe(pipe_fds) != 0 || pthread_create(&thread, NULL, forbidden_call, NULL) != 0) return 1;
  if (mg_sandbox_enter(s, &err) != MG_E_INVALID || !strstr(err.text, "thread")) return 2;
  return opens(under("other/file"), O_RDONLY) == 0 ? 0 : 3;
}

static void threads(void **state) {
  (void)state;
  struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
  assert_int_equal(child(threads_before, &s), 0);
  assert_int_equal(child(threads_inside, &s), DIED + SIGSYS);
  mg_sandbox_fini(&s);
}

static int privileges_inside(const void *given) {
  char text[4096] = "";
  if (mg_sandbox_enter((struct mg_sandbox *)(uintptr_t)given, &err) != 0) return 1;
  FILE *file = fopen("/proc/self/status", "re");
  if (!file || fread(text, 1, sizeof text - 1, file) == 0) return 2;
  static const char *const none[] = {"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapInh:\t0000000000000000",
                                     "NoNewPrivs:\t1"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    if (!strstr(text, none[i])) return 3;
  return geteuid() != 0 || strstr(text, "CapBnd:\t0000000000000000") ? 0 : 4;
}

static void privileges(void **state) {
  (void)state;
  struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
  assert_int_equal(child(privileges_inside, &s), 0);
  mg_sandbox_fini(&s);
}

/* ---- what a kernel does not have ---- */

static void fail_call(int call, int error) {
  struct sock_filter f[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof f / sizeof *f, .filter = f};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(99);
}

static const struct lack {
  int call, error;
  const char *text; /* NULL: no lack but a failure */
} missing[] = {
    {SYS_landlock_create_ruleset, ENOSYS, "Landlock: Function not implemented"},
    {SYS_landlock_create_ruleset, EOPNOTSUPP, "Landlock: Operation not supported"},
    {SYS_landlock_create_ruleset, EPERM, "Landlock: Operation not permitted"},
    {SYS_landlock_create_ruleset, ENOMEM, NULL},
    {SYS_seccomp, ENOSYS, "seccomp: Function not implemented"},
    {SYS_seccomp, EINVAL, "seccomp: Invalid argument"},
    {SYS_seccomp, EMFILE, NULL},
};

static int lacking(const void *given) {
  const struct lack *lack = given;
  struct mg_sandbox s, must;
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 4096);
  fail_call(lack->call, lack->error);
  int code = mg_sandbox_begin(&s, MG_SANDBOX_AUTO, MG_SANDBOX_NO_TCP, &err);
  if (!lack->text) return code == MG_E_IO ? 0 : 1;
  if (code != 0 || strcmp(s.lacks, lack->text) != 0) return 2;
  code = mg_sandbox_begin(&must, MG_SANDBOX_REQUIRE, MG_SANDBOX_NO_TCP, &err);
  if (code != MG_E_INVALID || !strstr(err.text, lack->text)) return 3;
  if (mg_sandbox_read(&s, top, &err) != 0 || mg_sandbox_port(&s, 1, &err) != 0 || enter(&s) != 0) return 4;
  mg_sandbox_describe(&s, &out);
  mg_buf_byte(&out, '\0');
  bool landlock = lack->call != SYS_landlock_create_ruleset;
  if (!strstr(out.p, lack->text) || (strstr(out.p, "Landlock ABI") != NULL) != landlock) return 5;
  if ((strstr(out.p, ", seccomp") != NULL) == landlock) return 6;
  /* What is there holds. */
  return opens("/etc/hostname", O_RDONLY) == (landlock ? EACCES : 0) && opens(top, O_TMPFILE | O_RDWR) == EACCES ? 0 : 7;
}

static void lacks(void **state) {
  (void)state;
  struct mg_sandbox s = ready_for(MG_SANDBOX_NO_TCP);
  mg_sandbox_fini(&s);
  for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
    int got = child(lacking, &missing[i]);
    if (got) fail_msg("row %zu: %d", i, got);
  }
}

static void off(void **state) {
  struct mg_sandbox s;
  MG_BUF_AUTO out;
  (void)state;
  mg_buf_init(&out, NULL, 256);
  assert_int_equal(mg_sandbox_begin(&s, MG_SANDBOX_OFF, MG_SANDBOX_NO_TCP, &err), 0);
  assert_int_equal(mg_sandbox_read_around(&s, top, &err), 0);
  assert_int_equal(enter(&s), 0);
  mg_sandbox_describe(&s, &out);
  assert_true(mg_str_is(mg_buf_str(&out), "sandbox: off\n"));
  assert_int_equal(opens("/etc/hostname", O_RDONLY), 0);
  assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  mg_sandbox_fini(&s);
}

/* A build with a sanitizer says so and has none. */
static void sanitizers(void **state) {
  struct mg_sandbox s;
  (void)state;
  assert_int_equal(mg_sandbox_begin(&s, MG_SANDBOX_AUTO, MG_SANDBOX_NO_TCP, &err), 0);
  bool built_in = strstr(s.lacks, "sanitizer") != NULL;
  mg_sandbox_fini(&s);
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined MG_COVERAGE
  assert_true(built_in);
  assert_int_equal(mg_sandbox_begin(&s, MG_SANDBOX_REQUIRE, MG_SANDBOX_NO_TCP, &err), MG_E_INVALID);
  assert_non_null(strstr(err.text, "sanitizer"));
#else
  assert_false(built_in);
#endif
}

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(top)) return -1;
  make_places();
  return 0;
}

static int tear_down(void **state) {
  static const char *const names[] = {"allowed/file", "allowed/below/file", "other/file", "volume/..1/tls.crt",
                                      "volume/..2/tls.crt", "elsewhere/ca.crt", "volume/..data", "volume/tls.crt",
                                      "volume/ca.crt"};
  static const char *const dirs[] = {"allowed/below", "allowed", "other", "volume/..1", "volume/..2", "volume", "elsewhere"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) (void)unlink(under(names[i]));
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) (void)rmdir(under(dirs[i]));
  return rmdir(top);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(system_calls), cmocka_unit_test(other_machines), cmocka_unit_test(all_numbers),
    cmocka_unit_test(files), cmocka_unit_test(a_place_to_write), cmocka_unit_test(replaced_files),
    cmocka_unit_test(never_the_root_directory),
    cmocka_unit_test(connections), cmocka_unit_test(threads), cmocka_unit_test(privileges), cmocka_unit_test(lacks),
    cmocka_unit_test(off), cmocka_unit_test(sanitizers),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
