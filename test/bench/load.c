/* load PORT PATH BODY PID CONNECTIONS REQUESTS [MALLOCS]   posts the file BODY over TLS 1.3 keep-alive connections, each with
 * one request under way and at most AT_ONCE of all, and prints what the server PID spent on one of them, after a warm-up: CPU in
 * µs, and calls that took memory from the heap (mallocs.c); then how many it answered in a second. */
#include "bench/client.h"

#include <fcntl.h>
#include <sys/mman.h>

#define CONNECTIONS_MAX 16384
#define AT_ONCE 16

static SSL *connections[CONNECTIONS_MAX];

/* From the connection `first` on, round and round, so that the server has up to AT_ONCE at hand. */
static void post(const struct request *request, int count, int requests) {
  int next = 0;
  for (int done = 0; done < requests;) {
    int some = count < AT_ONCE ? count : AT_ONCE;
    if (some > requests - done) some = requests - done;
    for (int i = 0; i < some; i++) send_request(connections[(next + i) % count], request);
    for (int i = 0; i < some; i++) read_answer(connections[(next + i) % count]);
    next = (next + some) % count;
    done += some;
  }
}

static clockid_t clock_of(const char *pid) {
  clockid_t clock;
  if (clock_getcpuclockid((pid_t)strtol(pid, NULL, 10), &clock) != 0) die("no such process");
  return clock;
}

static const volatile uint64_t *open_counter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) die("no counter of mallocs");
  return p;
}

int main(int argc, char **argv) {
  static const uint64_t none;
  if (argc < 7) die("usage: load PORT PATH BODY PID CONNECTIONS REQUESTS [MALLOCS]");
  int count = (int)strtol(argv[5], NULL, 10), requests = (int)strtol(argv[6], NULL, 10);
  const volatile uint64_t *mallocs = argc > 7 ? open_counter(argv[7]) : &none;
  if (count < 1 || count > CONNECTIONS_MAX || requests < 1) die("from 1 to 16384 connections, and a request");
  SSL_CTX *context = make_context();
  const clockid_t clock = clock_of(argv[4]);
  const struct request request = read_request(argv[2], argv[3]);
  for (int i = 0; i < count; i++) { /* a server waits only so long for the first request of a connection */
    connections[i] = connect_to(context, (uint16_t)strtoul(argv[1], NULL, 10));
    send_request(connections[i], &request);
    read_answer(connections[i]);
  }
  post(&request, count, requests / 10 + count);
  double cpu = now_us(clock), start = now_us(CLOCK_MONOTONIC);
  uint64_t calls = *mallocs;
  post(&request, count, requests);
  double took = now_us(CLOCK_MONOTONIC) - start;
  printf("%.2f %.3f %.0f\n", (now_us(clock) - cpu) / requests, (double)(*mallocs - calls) / requests, requests / took * 1e6);
  return 0;
}
