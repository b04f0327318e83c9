/* LD_PRELOAD library: the time of day jumps by as many seconds as the first eight bytes of the file say that JUMP names. The
 * monotonic clock does not, as it never does. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t none;
static const volatile int64_t *jump = &none;

__attribute__((constructor)) static void share(void) {
  const char *path = getenv("JUMP");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *p = mmap(NULL, sizeof *jump, PROT_READ, MAP_SHARED, fd, 0);
  if (p != MAP_FAILED) jump = p;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
  long code = syscall(SYS_clock_gettime, clock, ret);
  if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) ret->tv_sec += *jump;
  return (int)code;
}

time_t time(time_t *ret) {
  struct timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  if (ret) *ret = now.tv_sec;
  return now.tv_sec;
}
