/* ready PLAIN_PORT COMMAND...   starts a server, asks for /readyz until it answers 200, prints how long that took, in ms, the
 * CPU that went into it, in ms, and its resident memory in KiB, and ends it. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRIES 20000
#define PAUSE_US 250

static double ms(clockid_t clock) {
  struct timespec t = {0};
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool is_ready(uint16_t port) {
  static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  char answer[512] = "";
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  bool asked = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 && write(fd, request, sizeof request - 1) > 0;
  if (asked && read(fd, answer, sizeof answer - 1) < 0) answer[0] = '\0';
  close(fd);
  return strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static long resident_kib(pid_t pid) {
  char path[64], line[256];
  long kib = 0;
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  FILE *in = fopen(path, "r");
  while (in && fgets(line, sizeof line, in))
    if (strncmp(line, "VmRSS:", 6) == 0) kib = strtol(line + 6, NULL, 10);
  if (in) fclose(in);
  return kib;
}

int main(int argc, char **argv) {
  clockid_t cpu;
  bool ready = false;
  if (argc < 3) return 2;
  uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
  double start = ms(CLOCK_MONOTONIC);
  pid_t pid = fork();
  if (pid == 0) {
    execv(argv[2], argv + 2);
    _exit(127);
  }
  for (int i = 0; i < TRIES && !(ready = is_ready(port)) && waitpid(pid, NULL, WNOHANG) == 0; i++) usleep(PAUSE_US);
  if (!ready) return 1;
  double took = ms(CLOCK_MONOTONIC) - start;
  clock_getcpuclockid(pid, &cpu);
  printf("%.2f %.2f %ld\n", took, ms(cpu), resident_kib(pid));
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return 0;
}
