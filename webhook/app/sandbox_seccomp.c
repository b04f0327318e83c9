#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CLONE_THREAD */
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/sandbox_parts.h"

#if defined __x86_64__
#define MACHINE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define MACHINE AUDIT_ARCH_AARCH64
#else
#define MACHINE 0
#endif

/* Calls from this number on are younger than the list below (Linux 6.1). The C library tries such calls and does without where a
 * kernel lacks them, so they fail as if it did; a call that was known and is not listed is none that a server makes. */
#define FIRST_YOUNGER 451
#define X32_BIT 0x40000000 /* calls of x86_64's other ABI */

enum test { ANY, EQUALS, HAS, LACKS };

/* Rows of one call stand together, and the first whose test holds counts. */
struct row {
  uint16_t call;
  uint16_t deny; /* the errno that it gives; 0: it is allowed */
  uint8_t grant; /* only with this one (enum mg_seccomp_grant); 0: in any case */
  enum test test;
  uint8_t argument;
  uint32_t value; /* for the lower half of the argument: the kernel looks at no more of these */
};

#define OK(name) {.call = SYS_##name}
#define NO(name, error) {.call = SYS_##name, .deny = (error)}
#define IF(name, index, how, what) {.call = SYS_##name, .test = (how), .argument = (index), .value = (uint32_t)(what)}
#define OUT(name) {.call = SYS_##name, .grant = MG_SECCOMP_CONNECTS}
#define OUT_NO(name, error) {.call = SYS_##name, .grant = MG_SECCOMP_CONNECTS, .deny = (error)}
#define OUT_IF(name, index, how, what) \
  {.call = SYS_##name, .grant = MG_SECCOMP_CONNECTS, .test = (how), .argument = (index), .value = (uint32_t)(what)}

#define IN(name) {.call = SYS_##name, .grant = MG_SECCOMP_WRITES}

#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

static const struct row rows[] = {
    /* what each review needs */
    OK(recvfrom), OK(sendmsg), OK(sendto), OK(ppoll), OK(futex), OK(read), OK(write), OK(accept4), OK(setsockopt), OK(shutdown),
    OK(close), OK(clock_gettime), OK(getpid), OK(gettid), OK(getrandom), OK(sched_yield),
    /* sockets that are there already */
    OK(accept), OK(recvmsg), OK(readv), OK(writev), OK(sendfile), OK(getsockname), OK(getpeername), OK(getsockopt),
    IF(ioctl, 1, EQUALS, FIONREAD), IF(ioctl, 1, EQUALS, FIONBIO), IF(ioctl, 1, EQUALS, TCGETS), NO(ioctl, ENOTTY), OK(fcntl),
    /* waiting */
    OK(epoll_create1), OK(epoll_ctl), OK(epoll_pwait), OK(pselect6), OK(eventfd2), OK(pipe2), OK(timerfd_create),
    OK(timerfd_settime), OK(timerfd_gettime), OK(nanosleep), OK(clock_nanosleep), OK(clock_getres), OK(gettimeofday),
    OK(restart_syscall),
    /* memory: executable, too, since PCRE2 compiles the patterns of new policies to machine code */
    OK(mmap), OK(munmap), OK(mremap), OK(mprotect), OK(madvise), OK(brk), OK(membarrier),
    /* threads, and no other processes; clone3 hides its flags from a filter, and the C library can do without */
    IF(clone, 0, HAS, CLONE_THREAD), NO(clone3, ENOSYS), OK(set_robust_list), OK(get_robust_list), OK(rseq), OK(exit),
    OK(exit_group), OK(sched_getaffinity), OK(sched_getparam), OK(sched_getscheduler), OK(getcpu), OK(set_tid_address),
    IF(prctl, 0, EQUALS, PR_SET_NAME), NO(prctl, EINVAL), IF(prlimit64, 0, EQUALS, 0), NO(prlimit64, EPERM),
    /* signals to itself */
    OK(rt_sigaction), OK(rt_sigprocmask), OK(rt_sigreturn), OK(rt_sigtimedwait), OK(rt_sigpending), OK(sigaltstack),
    {.call = SYS_tgkill, .test = EQUALS, .argument = 0, .value = 0 /* this process */}, NO(tgkill, EPERM),
    /* files, which Landlock narrows down: read, and written only where there is a place for it */
    IN(openat), IN(unlinkat), IN(renameat), IN(renameat2), IF(openat, 2, LACKS, WRITES),
    NO(openat, EACCES), NO(openat2, ENOSYS), OK(newfstatat), OK(fstat), OK(statx), OK(lseek),
    OK(pread64), OK(getdents64), OK(readlinkat), OK(faccessat), OK(faccessat2), OK(getcwd), OK(close_range),
    OK(inotify_add_watch), OK(inotify_rm_watch),
    /* what libraries ask of the system */
    OK(uname), OK(sysinfo), OK(getrusage), OK(times), OK(getrlimit), OK(getuid), OK(geteuid), OK(getgid), OK(getegid),
    OK(getppid), OK(getresuid), OK(getresgid),
    /* registries and the API server: curl and the resolver. Of UNIX sockets only nameless pairs */
    OUT_IF(socket, 0, EQUALS, AF_INET), OUT_IF(socket, 0, EQUALS, AF_INET6), OUT_IF(socket, 0, EQUALS, AF_NETLINK),
    OUT_NO(socket, EAFNOSUPPORT), OUT_IF(socketpair, 0, EQUALS, AF_UNIX), OUT(connect), OUT_NO(bind, EACCES), OUT(sendmmsg),
    OUT(recvmmsg),
#ifdef __x86_64__ /* the older forms, which other machines do not have */
    OK(poll), OK(select), OK(epoll_wait), OK(epoll_create), OK(eventfd), OK(pipe), OK(time), IN(open), IN(unlink), IN(rename),
    IF(open, 1, LACKS, WRITES),
    NO(open, EACCES), OK(stat), OK(lstat), OK(access), OK(readlink), OK(getdents),
#endif
};

#define NUMBER (uint32_t) offsetof(struct seccomp_data, nr)
#define LOW_HALF(index) ((uint32_t)offsetof(struct seccomp_data, args) + 8 * (uint32_t)(index)) /* both machines: little-endian */

struct program {
  struct sock_filter *to;
  size_t n;
};

static void add(struct program *p, unsigned code, uint32_t k, size_t if_true, size_t if_false) {
  if (p->n < MG_SECCOMP_ROOM) p->to[p->n] = (struct sock_filter){(uint16_t)code, (uint8_t)if_true, (uint8_t)if_false, k};
  p->n++;
}

static void load(struct program *p, uint32_t offset) {
  add(p, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void end(struct program *p, uint32_t action) {
  add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* The number is loaded before each row and after. */
static void add_row(struct program *p, const struct row *row) {
  uint32_t action = row->deny ? SECCOMP_RET_ERRNO | row->deny : SECCOMP_RET_ALLOW;
  uint32_t value = row->call == SYS_tgkill ? (uint32_t)getpid() : row->value;
  if (row->test == ANY) {
    add(p, BPF_JMP | BPF_JEQ | BPF_K, row->call, 0, 1);
    end(p, action);
    return;
  }
  add(p, BPF_JMP | BPF_JEQ | BPF_K, row->call, 0, 4);
  load(p, LOW_HALF(row->argument));
  if (row->test == LACKS) add(p, BPF_JMP | BPF_JSET | BPF_K, value, 1, 0);
  else add(p, BPF_JMP | (row->test == HAS ? BPF_JSET : BPF_JEQ) | BPF_K, value, 0, 1);
  end(p, action);
  load(p, NUMBER);
}

size_t mg_seccomp_program(struct sock_filter ret[MG_SECCOMP_ROOM], unsigned grants, uint32_t otherwise) {
  struct program p = {.to = ret};
  if (!MACHINE) return 0;
  load(&p, (uint32_t)offsetof(struct seccomp_data, arch));
  add(&p, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
  end(&p, SECCOMP_RET_KILL_PROCESS);
  load(&p, NUMBER);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if ((rows[i].grant & grants) == rows[i].grant) add_row(&p, &rows[i]);
  add(&p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 2, 0);
  add(&p, BPF_JMP | BPF_JGE | BPF_K, FIRST_YOUNGER, 0, 1);
  end(&p, SECCOMP_RET_ERRNO | ENOSYS);
  end(&p, otherwise);
  return p.n <= MG_SECCOMP_ROOM ? p.n : 0;
}

int mg_seccomp_look(void) {
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  if (!MACHINE) {
    errno = ENOTSUP;
    return -1;
  }
  return (int)syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

int mg_seccomp_enter(unsigned grants) {
  struct sock_filter filter[MG_SECCOMP_ROOM];
  size_t n = mg_seccomp_program(filter, grants, SECCOMP_RET_KILL_PROCESS);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
  long other = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (other > 0) errno = EBUSY; /* that thread has a filter of its own */
  return other == 0 ? 0 : -1;
}
