/* pace PORT PATH BODY CONNECTIONS RATE REQUESTS   posts the file BODY at an even pace, RATE a second, each when it is due,
 * whatever became of those before (an open loop). Prints the median, the 99th percentile and the 99.9th of the time from when it
 * was due to its answer, in µs, and how many a second were answered. */
#define _GNU_SOURCE
#include "bench/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>

#define CONNECTIONS_MAX 256
#define REQUESTS_MAX 1000000

static SSL *connections[CONNECTIONS_MAX];
static struct pollfd polled[CONNECTIONS_MAX]; /* fd -1: nothing is under way */
static double due_at[CONNECTIONS_MAX];

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int free_connection(int count) {
  for (int i = 0; i < count; i++)
    if (polled[i].fd < 0) return i;
  return -1;
}

static void wait_until(int count, double due, double now) {
  double left = due > now ? due - now : 0;
  struct timespec pause = {.tv_sec = (time_t)(left / 1e6), .tv_nsec = (long)((left - (double)(time_t)(left / 1e6) * 1e6) * 1e3)};
  if (ppoll(polled, (nfds_t)count, &pause, NULL) < 0 && errno != EINTR) die("cannot poll");
}

static int collect(int count, double *took) {
  int n = 0;
  for (int i = 0; i < count; i++) {
    if (polled[i].fd < 0 || !polled[i].revents) continue;
    read_answer(connections[i]);
    took[n++] = now_us(CLOCK_MONOTONIC) - due_at[i];
    polled[i].fd = -1;
    polled[i].revents = 0;
  }
  return n;
}

static double run(const struct request *request, int count, double gap, int requests, double *took) {
  const double start = now_us(CLOCK_MONOTONIC);
  for (int sent = 0, done = 0; done < requests;) {
    double due = start + sent * gap, now = now_us(CLOCK_MONOTONIC);
    int at = sent < requests && now >= due ? free_connection(count) : -1;
    if (at >= 0) {
      due_at[at] = due;
      send_request(connections[at], request);
      polled[at].fd = SSL_get_fd(connections[at]);
      sent++;
      continue;
    }
    bool early = sent < requests && now < due;
    wait_until(count, early ? due : now + 1e6, now);
    done += collect(count, took + done);
  }
  return now_us(CLOCK_MONOTONIC) - start;
}

int main(int argc, char **argv) {
  if (argc != 7) die("usage: pace PORT PATH BODY CONNECTIONS RATE REQUESTS");
  int count = (int)strtol(argv[4], NULL, 10), requests = (int)strtol(argv[6], NULL, 10);
  double rate = strtod(argv[5], NULL);
  if (count < 1 || count > CONNECTIONS_MAX || requests < 1 || requests > REQUESTS_MAX || rate < 1)
    die("a number is out of range");
  const struct request request = read_request(argv[2], argv[3]);
  SSL_CTX *context = make_context();
  double *took = calloc((size_t)requests, sizeof *took);
  if (!took) die("out of memory");
  for (int i = 0; i < count; i++) {
    connections[i] = connect_to(context, (uint16_t)strtoul(argv[1], NULL, 10));
    polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    send_request(connections[i], &request);
    read_answer(connections[i]);
  }
  double all = run(&request, count, 1e6 / rate, requests, took);
  qsort(took, (size_t)requests, sizeof *took, by_size);
  printf("%.0f %.0f %.0f %.0f\n", took[requests / 2], took[(size_t)requests * 99 / 100], took[(size_t)requests * 999 / 1000],
         requests / all * 1e6);
  free(took);
  return 0;
}
