/* victim CASES CA RATE CONNECTIONS FRESH   the steady load of those who have a right to be served.
 *
 * CASES: a file of lines "PATH BODY ANSWER…", files with a review and the answers that are right, byte for byte.
 * RATE reviews a second, when it is time for them whether those before are answered or not; -RATE: at most, and none before a
 * connection is free. CONNECTIONS are kept, but for the last FRESH of them, which take a new one for every review. Beside them a
 * newcomer connects every 100 ms, asks once and leaves.
 *
 * Commands on standard input, a line each: "ports P…" where new connections go, in turn; "window" prints what was since the
 * last one as a line of JSON. At its end the program ends.
 *
 * A review fails that gets no answer, or another: no connection, no TLS, an end, a status other than 200, or 10 s without any. A
 * kept connection that the server ends between two reviews is made anew, as every client does. */
#include "tool.h"

#include <math.h>

#define LINKS_MAX 320
#define CASES_MAX 256
#define ANSWERS_MAX 4
#define ANSWER_MAX 65536
#define SAMPLES_MAX 2000000
#define QUEUE_MAX 100000
#define LATE_MS 10000
#define NEWCOMER_MS 100
#define AGAIN_MS 20

struct test {
  struct bytes request, answers[ANSWERS_MAX];
  size_t n_answers;
};

enum stage { CLOSED, CONNECTING, SHAKING, IDLE, WRITING, READING };

struct link {
  int fd;
  SSL *ssl;
  enum stage stage;
  bool once, newcomer;
  const struct test *test; /* NULL: nothing is asked */
  double due, again;       /* when it was to be asked; when to connect again */
  size_t sent, n, want;
  char answer[ANSWER_MAX + 1];
};

enum failure { F_CONNECT, F_TLS, F_ENDED, F_STATUS, F_LATE, F_WRONG, FAILURES };
static const char *const failure_names[FAILURES] = {"connect", "tls", "ended", "status", "late", "wrong"};

struct figures {
  double *ms;
  size_t n;
};

static struct {
  struct figures kept, newcomers;
  unsigned long failures[FAILURES], connects, answers[ANSWERS_MAX];
  double since;
} window;

static SSL_CTX *ctx;
static int ep, told;
static struct link links[LINKS_MAX];
static struct test tests[CASES_MAX];
static size_t n_tests, turn, n_links, from;
static uint16_t ports[16];
static size_t n_ports, port_turn;
static double queue[QUEUE_MAX]; /* when reviews that no connection was free for were due */
static size_t queue_head, queue_n;

/* ---- cases ---- */

static struct bytes build(const char *path, struct bytes body) {
  struct bytes out = {malloc(body.n + 512), 0};
  if (!out.p) die("memory");
  out.n = (size_t)snprintf(out.p, 512,
                           "POST %s?timeout=10s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-apiserver-admission\r\n"
                           "Content-Length: %zu\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n"
                           "Accept-Encoding: gzip\r\n\r\n", path, body.n);
  memcpy(out.p + out.n, body.p, body.n);
  out.n += body.n;
  return out;
}

static void read_cases(const char *path) {
  static char line[4096];
  FILE *in = fopen(path, "r");
  if (!in) die(path);
  while (n_tests < CASES_MAX && fgets(line, sizeof line, in)) {
    struct test *t = &tests[n_tests++];
    char *save = NULL, *to = strtok_r(line, " \n", &save), *body = strtok_r(NULL, " \n", &save);
    if (!to || !body) die("a line of CASES");
    t->request = build(to, read_file(body));
    for (char *answer; t->n_answers < ANSWERS_MAX && (answer = strtok_r(NULL, " \n", &save));)
      t->answers[t->n_answers++] = read_file(answer);
  }
  fclose(in);
  if (n_tests == 0) die("no case");
}

/* ---- figures ---- */

static void add_sample(struct figures *f, double ms) {
  if (!f->ms) f->ms = malloc(SAMPLES_MAX * sizeof *f->ms);
  if (!f->ms) die("memory");
  if (f->n < SAMPLES_MAX) f->ms[f->n++] = ms;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double part(const struct figures *f, double share) {
  return f->n ? f->ms[(size_t)(share * (double)(f->n - 1))] : 0;
}

static void print_figures(const char *name, struct figures *f) {
  if (f->n) qsort(f->ms, f->n, sizeof *f->ms, by_size);
  printf("\"%s\": {\"n\": %zu, \"p50\": %.3f, \"p99\": %.3f, ", name, f->n, part(f, .5), part(f, .99));
  printf("\"max\": %.3f}, ", part(f, 1));
  f->n = 0;
}

static void print_window(void) {
  unsigned long failed = 0;
  printf("{\"seconds\": %.3f, ", (now_ms() - window.since) / 1e3);
  print_figures("kept", &window.kept);
  print_figures("newcomers", &window.newcomers);
  for (size_t i = 0; i < FAILURES; i++) failed += window.failures[i];
  printf("\"failed\": %lu, \"connects\": %lu, \"why\": {", failed, window.connects);
  for (size_t i = 0, n = 0; i < FAILURES; i++)
    if (window.failures[i]) printf("%s\"%s\": %lu", n++ ? ", " : "", failure_names[i], window.failures[i]);
  printf("}, \"answers\": [%lu, %lu]}\n", window.answers[0], window.answers[1]);
  fflush(stdout);
  memset(window.failures, 0, sizeof window.failures);
  memset(window.answers, 0, sizeof window.answers);
  window.connects = 0;
  window.since = now_ms();
}

/* ---- connections ---- */

static void drop(struct link *l) {
  SSL_free(l->ssl);
  if (l->fd >= 0) close(l->fd);
  l->ssl = NULL;
  l->fd = -1;
  l->stage = CLOSED;
}

static void fail(struct link *l, enum failure why) {
  window.failures[why]++;
  if (told++ < 10)
    fprintf(stderr, "victim: %s%s after %.0f ms: %.*s\n", l->newcomer ? "newcomer: " : "", failure_names[why], now_ms() - l->due,
            (int)(l->n < 600 ? l->n : 600), l->answer);
  drop(l);
  l->test = NULL;
  l->again = now_ms() + AGAIN_MS;
}

static void open_link(struct link *l) {
  window.connects++;
  l->n = 0;
  if (!l->test) l->due = now_ms();
  l->fd = dial(ports[port_turn++ % n_ports], false);
  if (l->fd < 0) {
    fail(l, F_CONNECT);
    return;
  }
  l->stage = CONNECTING;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = l};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &e) != 0) die("epoll");
}

static void ask(struct link *l, double due) {
  l->test = &tests[turn++ % n_tests];
  l->due = due;
  l->sent = l->n = l->want = 0;
  if (l->stage == IDLE) l->stage = WRITING;
}

static void judge(struct link *l) {
  const char *body = strstr(l->answer, "\r\n\r\n") + 4;
  size_t n = l->n - (size_t)(body - l->answer);
  for (size_t i = 0; i < l->test->n_answers; i++) {
    if (n != l->test->answers[i].n || memcmp(body, l->test->answers[i].p, n) != 0) continue;
    add_sample(l->newcomer ? &window.newcomers : &window.kept, now_ms() - l->due);
    window.answers[i]++;
    l->test = NULL;
    return;
  }
  fail(l, F_WRONG);
}

static void answered(struct link *l) {
  char *end = strstr(l->answer, "\r\n\r\n");
  bool last = l->once || memmem(l->answer, (size_t)(end - l->answer), "Connection: close", 17);
  if (strncmp(l->answer, "HTTP/1.1 200 ", 13) != 0) {
    fail(l, F_STATUS);
    return;
  }
  judge(l);
  if (l->stage == CLOSED) return;
  l->stage = IDLE;
  if (last) drop(l);
}

/* True: there may be more. */
static bool take(struct link *l) {
  int got = SSL_read(l->ssl, l->answer + l->n, (int)(ANSWER_MAX - l->n));
  if (got <= 0) {
    if (tls_later(l->ssl, got) < 0) fail(l, F_ENDED);
    return false;
  }
  l->n += (size_t)got;
  l->answer[l->n] = '\0';
  const char *end = strstr(l->answer, "\r\n\r\n"), *length = end ? strcasestr(l->answer, "\r\nContent-Length:") : NULL;
  if (end && length) l->want = (size_t)(end + 4 - l->answer) + strtoul(length + 17, NULL, 10);
  if (l->want && l->n >= l->want) {
    answered(l);
    return false;
  }
  return true;
}

static bool put(struct link *l) {
  int n = SSL_write(l->ssl, l->test->request.p, (int)l->test->request.n);
  if (n <= 0) {
    if (tls_later(l->ssl, n) < 0) fail(l, F_ENDED);
    return false;
  }
  l->stage = READING;
  return true;
}

/* Between two reviews the server may end the connection, and say nothing else. */
static bool rest(struct link *l) {
  int got = SSL_read(l->ssl, l->answer, ANSWER_MAX);
  if (got > 0) fail(l, F_WRONG);
  else if (tls_later(l->ssl, got) < 0) drop(l);
  return false;
}

static bool shake(struct link *l) {
  int n = SSL_do_handshake(l->ssl);
  if (n != 1) {
    if (tls_later(l->ssl, n) < 0) fail(l, F_TLS);
    return false;
  }
  l->stage = l->test ? WRITING : IDLE;
  return true;
}

static bool connected(struct link *l) {
  if (!dialled(l->fd)) {
    fail(l, F_CONNECT);
    return false;
  }
  l->ssl = tls_over(ctx, l->fd);
  l->stage = SHAKING;
  return true;
}

static void go_on(struct link *l) {
  static bool (*const steps[])(struct link *) = {
      [CONNECTING] = connected, [SHAKING] = shake, [IDLE] = rest, [WRITING] = put, [READING] = take};
  while (l->stage != CLOSED && steps[l->stage](l)) continue;
}

/* ---- time ---- */

static bool is_free(const struct link *l) {
  return !l->newcomer && !l->test && (l->stage == IDLE || (l->once && l->stage == CLOSED));
}

/* The next one in turn that can be asked. A connection that just ended is seen here, before anything is sent. */
static struct link *next_free(double now) {
  for (size_t i = 0; i < n_links; i++) {
    struct link *l = &links[(from + i) % n_links];
    if (l->stage == IDLE && !l->test) (void)rest(l);
    if (!is_free(l) || (l->stage == CLOSED && l->again > now)) continue;
    from = (from + i + 1) % n_links;
    return l;
  }
  return NULL;
}

static void give(struct link *l, double due) {
  ask(l, due);
  if (l->stage == CLOSED) open_link(l);
  else go_on(l);
}

static void schedule(double now, double rate) {
  static double next;
  if (next == 0) next = now;
  for (; next <= now; next += 1e3 / fabs(rate))
    if (queue_n < QUEUE_MAX) queue[(queue_head + queue_n++) % QUEUE_MAX] = next;
  for (struct link *l; queue_n > 0 && (l = next_free(now)); queue_n--) {
    double due = rate > 0 ? queue[queue_head] : now;
    queue_head = (queue_head + 1) % QUEUE_MAX;
    give(l, due);
  }
  if (rate < 0) queue_n = 0;
}

static void keep_up(double now) {
  static double newcomer;
  for (; queue_n > 0 && now - queue[queue_head] > LATE_MS; queue_n--, queue_head = (queue_head + 1) % QUEUE_MAX)
    window.failures[F_LATE]++;
  for (size_t i = 0; i < LINKS_MAX; i++) {
    struct link *l = &links[i];
    if (l->stage != CLOSED && l->stage != IDLE && now - l->due > LATE_MS) fail(l, F_LATE);
    if (i < n_links && !l->once && l->stage == CLOSED && l->again <= now) open_link(l);
    if (l->newcomer && l->stage == CLOSED && !l->test && now - newcomer > NEWCOMER_MS && l->again <= now) {
      newcomer = now;
      give(l, now);
    }
  }
}

/* ---- commands ---- */

static void obey(char *line) {
  char *save = NULL, *word = strtok_r(line, " ", &save);
  if (word && strcmp(word, "window") == 0) print_window();
  if (!word || strcmp(word, "ports") != 0) return;
  n_ports = 0;
  for (char *port; n_ports < 16 && (port = strtok_r(NULL, " ", &save));) ports[n_ports++] = (uint16_t)strtoul(port, NULL, 10);
  if (n_ports == 0) die("no port");
}

/* False: nobody will say any more. */
static bool listen_to_commands(void) {
  static char text[4096];
  static size_t n;
  ssize_t got = read(STDIN_FILENO, text + n, sizeof text - 1 - n);
  if (got < 0 && errno == EAGAIN) return true;
  if (got <= 0) return false;
  n += (size_t)got;
  text[n] = '\0';
  for (char *end; (end = strchr(text, '\n'));) {
    *end = '\0';
    obey(text);
    n -= (size_t)(end + 1 - text);
    memmove(text, end + 1, n + 1);
  }
  return true;
}

static void set_up(char **argv) {
  size_t fresh = strtoul(argv[5], NULL, 10);
  n_links = strtoul(argv[4], NULL, 10);
  if (n_links < 1 || n_links > LINKS_MAX - 8 || fresh > n_links) die("from 1 to 312 connections");
  read_cases(argv[1]);
  ctx = tls_client(argv[2]);
  ep = epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < LINKS_MAX; i++) {
    links[i] = (struct link){.fd = -1, .newcomer = i >= n_links, .once = i >= n_links - fresh};
  }
  signal(SIGPIPE, SIG_IGN);
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  window.since = now_ms();
}

int main(int argc, char **argv) {
  struct epoll_event events[64];
  if (argc != 6) die("usage: victim CASES CA RATE CONNECTIONS FRESH");
  set_up(argv);
  double rate = strtod(argv[3], NULL);
  if (rate == 0 || isnan(rate)) die("a rate");
  while (listen_to_commands()) {
    double now = now_ms();
    if (n_ports) {
      keep_up(now);
      schedule(now, rate);
    }
    int n = epoll_wait(ep, events, 64, 1);
    for (int i = 0; i < n; i++) go_on(events[i].data.ptr);
  }
  return 0;
}
