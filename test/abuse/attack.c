/* attack PORT NAME=VALUE…   one thread that opens many connections and is rude on all of them in the same way.
 *
 *   count=1        connections in all               at_once=COUNT  of them open at the same time
 *   rate=1000      new ones a second at most        tls=0          1: a handshake first
 *   file=FILE      what to send (after it)          first=SIZE     so much of it at once …
 *   drip=0         … and then one byte every so many ms; 0: the rest never comes
 *   await=-1       end by ourselves when it is sent and so many bytes have come back; -1: never
 *   rst=0          1: end with a reset              deaf=0         1: never read, and send the file again and again
 *   hold=10000     ms after which all is over, unless all connections have ended and none is to come
 *
 * Says "held" when `count` connections are through (connected, shaken hands, sent the first part). Ends also when standard
 * input does. Prints a line of JSON: how many were made, refused, ended by the server and by us, the least and greatest age at
 * which the server ended one, and the statuses that were read. */
#include <sys/resource.h>

#include "tool.h"

enum stage { CLOSED, CONNECTING, SHAKING, SENDING, WAITING };

struct link {
  int fd;
  SSL *ssl;
  enum stage stage;
  double born, next;
  size_t sent, got;
  int status;
};

static struct {
  long port, count, at_once, rate, tls, first, drip, await, rst, deaf, hold;
} o = {.count = 1, .at_once = -1, .rate = 1000, .first = -1, .await = -1, .hold = 10000};

static struct bytes text;
static struct link *links;
static SSL_CTX *ctx;
static int ep;
static long made, through, refused, open_now, by_server, by_us, statuses[600];
static double least = 1e12, greatest;

static void drop(struct link *l) {
  SSL_free(l->ssl);
  l->ssl = NULL;
  if (l->fd >= 0) {
    if (o.rst) hang_up_hard(l->fd);
    else close(l->fd);
    open_now--;
  }
  l->fd = -1;
  l->stage = CLOSED;
}

static void ended(struct link *l) {
  double age = now_ms() - l->born;
  by_server++;
  if (age < least) least = age;
  if (age > greatest) greatest = age;
  if (l->status) statuses[l->status]++;
  drop(l);
}

static void leave(struct link *l) {
  by_us++;
  if (l->status) statuses[l->status]++;
  drop(l);
}

static ssize_t send_some(struct link *l, const char *p, size_t n) {
  if (!l->ssl) {
    ssize_t put = send(l->fd, p, n, MSG_NOSIGNAL);
    return put >= 0 ? put : errno == EAGAIN ? 0 : -1;
  }
  int put = SSL_write(l->ssl, p, (int)(n < 16384 ? n : 16384));
  return put > 0 ? put : tls_later(l->ssl, put);
}

/* 0: nothing now; -1: the end. */
static ssize_t read_some(struct link *l, char *p, size_t n) {
  if (!l->ssl) {
    ssize_t got = recv(l->fd, p, n, 0);
    return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
  }
  int got = SSL_read(l->ssl, p, (int)n);
  return got > 0 ? got : tls_later(l->ssl, got);
}

static void now_through(struct link *l) {
  l->stage = WAITING;
  if (++through == o.count) {
    printf("held\n");
    fflush(stdout);
  }
}

static bool connected(struct link *l) {
  if (!dialled(l->fd)) {
    refused++;
    drop(l);
    return false;
  }
  if (o.tls) l->ssl = tls_over(ctx, l->fd);
  l->stage = o.tls ? SHAKING : SENDING;
  return true;
}

static bool shake(struct link *l) {
  int n = SSL_do_handshake(l->ssl);
  if (n != 1) {
    if (tls_later(l->ssl, n) < 0) ended(l);
    return false;
  }
  l->stage = SENDING;
  return true;
}

static bool send_first(struct link *l) {
  size_t first = o.first < 0 || (size_t)o.first > text.n ? text.n : (size_t)o.first;
  while (l->sent < first) {
    ssize_t put = send_some(l, text.p + l->sent, first - l->sent);
    if (put < 0) ended(l); /* with its answer unread, perhaps: sending had not ended */
    if (put <= 0) return l->stage != CLOSED && !o.deaf;
    l->sent += (size_t)put;
  }
  if (o.deaf) {
    l->sent = 0;
    return false;
  }
  now_through(l);
  return true;
}

static bool listen_for_answer(struct link *l) {
  char some[16384];
  ssize_t got = 0;
  while (l->stage != CLOSED && (got = read_some(l, some, sizeof some)) > 0) {
    if (l->got == 0 && got > 12 && memcmp(some, "HTTP/1.1 ", 9) == 0) l->status = (int)strtoul(some + 9, NULL, 10) % 600;
    l->got += (size_t)got;
  }
  if (got < 0) ended(l);
  else if (l->stage == WAITING && o.await >= 0 && l->got >= (size_t)o.await) leave(l);
  return false;
}

static void go_on(struct link *l) {
  if (l->stage == CONNECTING && !connected(l)) return;
  if (l->stage == SHAKING && !shake(l)) return;
  if (l->stage == SENDING && !send_first(l)) return;
  if (l->stage != CLOSED && !o.deaf) (void)listen_for_answer(l);
}

static void open_link(struct link *l) {
  made++;
  *l = (struct link){.fd = dial((uint16_t)o.port, o.deaf), .stage = CONNECTING, .born = now_ms()};
  l->next = l->born + (double)o.drip;
  if (l->fd < 0) {
    refused++;
    l->stage = CLOSED;
    return;
  }
  open_now++;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = l};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, l->fd, &e) != 0) die("epoll");
}

static void drip(struct link *l, double now) {
  if (l->stage != WAITING || l->next > now || l->sent >= text.n) return;
  l->next = now + (double)o.drip;
  ssize_t put = send_some(l, text.p + l->sent, 1);
  if (put > 0) l->sent++;
  else if (put < 0) ended(l);
}

static void each_tick(double now, double began) {
  double may = (now - began) * (double)o.rate / 1e3 + 1;
  for (long i = 0; i < o.at_once; i++) {
    struct link *l = &links[i];
    if (l->stage == CLOSED && made < o.count && (double)made < may) open_link(l);
    if (o.drip) drip(l, now);
    if (o.deaf && l->stage == SENDING) go_on(l);
  }
}

static void set_option(const char *word) {
  static const struct {
    const char *name;
    long *at;
  } names[] = {{"count", &o.count}, {"at_once", &o.at_once}, {"rate", &o.rate},   {"tls", &o.tls},   {"first", &o.first},
               {"drip", &o.drip},   {"await", &o.await},     {"rst", &o.rst},     {"deaf", &o.deaf}, {"hold", &o.hold}};
  const char *is = strchr(word, '=');
  if (is && strncmp(word, "file", 4) == 0) {
    text = read_file(is + 1);
    return;
  }
  for (size_t i = 0; is && i < sizeof names / sizeof *names; i++)
    if (strlen(names[i].name) == (size_t)(is - word) && strncmp(word, names[i].name, (size_t)(is - word)) == 0) {
      *names[i].at = strtol(is + 1, NULL, 10);
      return;
    }
  errno = EINVAL;
  die(word);
}

static void set_up(int argc, char **argv) {
  if (argc < 2) die("usage: attack PORT NAME=VALUE…");
  o.port = strtol(argv[1], NULL, 10);
  for (int i = 2; i < argc; i++) set_option(argv[i]);
  if (o.at_once < 0 || o.at_once > o.count) o.at_once = o.count;
  links = calloc((size_t)o.at_once, sizeof *links);
  if (!links) die("memory");
  for (long i = 0; i < o.at_once; i++) links[i].fd = -1;
  struct rlimit files = {0};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  signal(SIGPIPE, SIG_IGN);
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  ctx = tls_client(NULL);
  ep = epoll_create1(EPOLL_CLOEXEC);
}

static bool told_to_stop(void) {
  char c;
  return read(STDIN_FILENO, &c, 1) == 0;
}

int main(int argc, char **argv) {
  struct epoll_event events[256];
  set_up(argc, argv);
  double began = now_ms();
  while (now_ms() - began < (double)o.hold && (made < o.count || open_now > 0) && !told_to_stop()) {
    each_tick(now_ms(), began);
    int n = epoll_wait(ep, events, 256, 2);
    for (int i = 0; i < n; i++) go_on(events[i].data.ptr);
  }
  for (long i = 0; i < o.at_once; i++)
    if (links[i].stage != CLOSED) leave(&links[i]);
  printf("{\"made\": %ld, \"through\": %ld, \"refused\": %ld, \"by_server\": %ld, \"by_us\": %ld, ", made, through, refused,
         by_server, by_us);
  printf("\"least_ms\": %.0f, \"greatest_ms\": %.0f, \"statuses\": {", by_server ? least : 0, greatest);
  for (int i = 0, n = 0; i < 600; i++)
    if (statuses[i]) printf("%s\"%d\": %ld", n++ ? ", " : "", i, statuses[i]);
  printf("}}\n");
  return 0;
}
