#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_PATH */
#endif
#include "app/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/sandbox_parts.h"
#include "base/log.h"

#ifdef __has_feature
#define FEATURE(name) __has_feature(name)
#else
#define FEATURE(name) 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || FEATURE(address_sanitizer) || FEATURE(thread_sanitizer)
#define SANITIZER true /* looks for leaks with another process, and starts the program that names functions */
#elif defined MG_COVERAGE
#define SANITIZER true /* files with what was counted are written at the end */
#else
#define SANITIZER false
#endif

static const char *const tcp_words[] = {"none", "ports", "any"}; /* enum mg_sandbox_tcp */

static void lacks(struct mg_sandbox *s, const char *what, const char *why) {
  size_t n = strlen(s->lacks);
  (void)snprintf(s->lacks + n, sizeof s->lacks - n, "%s%s: %s", n ? ", " : "", what, why);
}

/* A kernel that was built or started without it, or a container runtime that keeps it from us; all else is a failure. */
static bool is_absent(int error) {
  return error == ENOSYS || error == EOPNOTSUPP || error == EINVAL || error == EPERM;
}

static int failed(struct mg_err *err, const char *what) {
  return mg_err_set(err, MG_E_IO, "the sandbox: %s: %s", what, strerror(errno));
}

static int look_for_landlock(struct mg_sandbox *s, struct mg_err *err) {
  int abi = mg_landlock_abi();
  if (abi < 0 && !is_absent(errno)) return failed(err, "Landlock");
  s->landlock = abi < 0 ? 0 : abi;
  if (abi < 0) lacks(s, "Landlock", strerror(errno));
  else if (abi < MG_LANDLOCK_TCP_ABI && s->tcp == MG_SANDBOX_TCP_PORTS) lacks(s, "Landlock", "ports are known from ABI 4 on");
  return 0;
}

static int look_for_seccomp(struct mg_sandbox *s, struct mg_err *err) {
  s->seccomp = mg_seccomp_look() == 0;
  if (!s->seccomp && !is_absent(errno)) return failed(err, "seccomp");
  if (!s->seccomp) lacks(s, "seccomp", strerror(errno));
  return 0;
}

int mg_sandbox_begin(struct mg_sandbox *s, enum mg_sandbox_want want, enum mg_sandbox_tcp tcp, struct mg_err *err) {
  *s = (struct mg_sandbox)MG_SANDBOX_NONE;
  s->want = want, s->tcp = tcp;
  if (want == MG_SANDBOX_OFF) return 0;
  if (SANITIZER) {
    lacks(s, "all", "this is a sanitizer build, which needs what the sandbox forbids");
  } else {
    int code = look_for_landlock(s, err);
    if (code == 0) code = look_for_seccomp(s, err);
    if (code < 0) return code;
  }
  if (want == MG_SANDBOX_REQUIRE && s->lacks[0]) return mg_err_set(err, MG_E_INVALID, "--sandbox=require: missing %s", s->lacks);
  if (!s->landlock) return 0;
  s->ruleset = mg_landlock_new(s->landlock, tcp == MG_SANDBOX_ANY_TCP);
  return s->ruleset < 0 ? failed(err, "a ruleset of Landlock") : 0;
}

static bool is_root_directory(int at) {
  struct stat here, root;
  return fstat(at, &here) == 0 && stat("/", &root) == 0 && here.st_dev == root.st_dev && here.st_ino == root.st_ino;
}

/* `ret_root` NULL: it may be the root directory. Else that is told and left out. */
static int read_there(struct mg_sandbox *s, const char *path, bool *ret_root, struct mg_err *err) {
  if (ret_root) *ret_root = false;
  if (s->ruleset < 0) return 0;
  int at = open(path, O_PATH | O_CLOEXEC);
  if (at < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)) return 0;
  if (at < 0) return failed(err, path);
  int code = 0;
  if (ret_root) *ret_root = is_root_directory(at);
  if (!ret_root || !*ret_root) code = mg_landlock_read(s->ruleset, at) == 0 ? 0 : failed(err, path);
  close(at);
  return code;
}

int mg_sandbox_read(struct mg_sandbox *s, const char *path, struct mg_err *err) {
  return read_there(s, path, NULL, err);
}

static int read_directory_of(struct mg_sandbox *s, const char *path, struct mg_err *err) {
  char dir[PATH_MAX] = ".";
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 1;
  bool root = slash == path;
  if (n >= sizeof dir) return mg_err_set(err, MG_E_LIMIT, "%.100s…: path too long", path);
  if (slash) memcpy(dir, path, n);
  dir[n] = '\0';
  int code = root ? 0 : read_there(s, dir, &root, err);
  return code < 0 || !root ? code : mg_sandbox_read(s, path, err);
}

int mg_sandbox_read_around(struct mg_sandbox *s, const char *path, struct mg_err *err) {
  char real[PATH_MAX];
  int code = read_directory_of(s, path, err);
  return code == 0 && realpath(path, real) ? read_directory_of(s, real, err) : code;
}

int mg_sandbox_write(struct mg_sandbox *s, const char *dir, struct mg_err *err) {
  s->writes = true;
  if (s->ruleset < 0) return 0;
  int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0) return failed(err, dir);
  int code = mg_landlock_write(s->ruleset, s->landlock, at) == 0 ? 0 : failed(err, dir);
  close(at);
  return code;
}

int mg_sandbox_port(struct mg_sandbox *s, uint16_t port, struct mg_err *err) {
  if (s->ruleset < 0 || s->landlock < MG_LANDLOCK_TCP_ABI || s->tcp != MG_SANDBOX_TCP_PORTS) return 0;
  return mg_landlock_connect(s->ruleset, port) == 0 ? 0 : failed(err, "a port");
}

/* The bounding set can be emptied by those only who have a capability for that; for others it means nothing any more. */
static int drop_capabilities(struct mg_err *err) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
  for (unsigned long i = 0; i < 64; i++)
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) break;
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return syscall(SYS_capset, &head, none) == 0 ? 0 : failed(err, "capabilities");
}

/* A directory's links count the directories in it: here one a thread. Without /proc it is not known. */
static bool is_alone(void) {
  struct stat s;
  return stat("/proc/self/task", &s) != 0 || s.st_nlink <= 3;
}

/* Rules are attached to what is under a name now, so the directory has to stay the same. */
static int read_self(struct mg_sandbox *s, struct mg_err *err) {
  s->self = open("/proc/self", O_PATH | O_CLOEXEC);
  if (s->self < 0 && errno == ENOENT) return 0;
  if (s->self < 0 || mg_landlock_read(s->ruleset, s->self) != 0) return failed(err, "/proc/self");
  return 0;
}

int mg_sandbox_enter(struct mg_sandbox *s, struct mg_err *err) {
  if (s->want == MG_SANDBOX_OFF || SANITIZER) return 0;
  if (!is_alone()) return mg_err_set(err, MG_E_INVALID, "the sandbox: a thread has been started before it");
  int code = s->ruleset >= 0 ? read_self(s, err) : 0;
  if (code == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) code = failed(err, "no new privileges");
  if (code == 0) code = drop_capabilities(err);
  if (code == 0 && s->ruleset >= 0 && mg_landlock_enter(s->ruleset) != 0) code = failed(err, "Landlock");
  if (code < 0) return code;
  if (s->ruleset >= 0) close(s->ruleset);
  s->ruleset = -1;
  atomic_store(&s->entered, true);
  return 0;
}

int mg_sandbox_seal(struct mg_sandbox *s, struct mg_err *err) {
  if (!s->seccomp || !atomic_load(&s->entered)) return 0;
  unsigned grants = (s->tcp != MG_SANDBOX_NO_TCP ? MG_SECCOMP_CONNECTS : 0) | (s->writes ? MG_SECCOMP_WRITES : 0);
  if (mg_seccomp_enter(grants) != 0) return failed(err, "seccomp");
  atomic_store(&s->sealed, true);
  return 0;
}

void mg_sandbox_log(const struct mg_sandbox *s) {
  struct mg_log_line line;
  bool on = atomic_load(&s->entered), warn = s->lacks[0] && !SANITIZER;
  mg_log_begin(&line, warn ? MG_LOG_WARN : MG_LOG_INFO, "sandbox");
  mg_log_bool(&line, "on", on);
  if (on) mg_log_int(&line, "landlock_abi", s->landlock);
  if (on) mg_log_bool(&line, "seccomp", atomic_load(&s->sealed));
  if (on) mg_log_str(&line, "connects", mg_str_of(tcp_words[s->tcp]));
  if (s->lacks[0]) mg_log_str(&line, "missing", mg_str_of(s->lacks));
  mg_log_end(&line);
}

void mg_sandbox_describe(const struct mg_sandbox *s, struct mg_buf *out) {
  mg_buf_lit(out, "sandbox: ");
  if (!atomic_load(&s->entered)) mg_buf_lit(out, "off");
  else mg_buf_lit(out, "no privileges");
  if (atomic_load(&s->entered) && s->landlock) mg_buf_printf(out, ", Landlock ABI %d", s->landlock);
  if (atomic_load(&s->sealed)) mg_buf_printf(out, ", seccomp, connections: %s", tcp_words[s->tcp]);
  if (s->lacks[0]) mg_buf_printf(out, "; missing %s", s->lacks);
  mg_buf_byte(out, '\n');
}

void mg_sandbox_fini(struct mg_sandbox *s) {
  if (s->ruleset >= 0) close(s->ruleset);
  if (s->self >= 0) close(s->self);
  s->ruleset = s->self = -1;
}
