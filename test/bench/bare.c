/* bare CERT KEY   what TLS and HTTP cost at the least: one thread, OpenSSL and epoll, and of HTTP only what tells where a request
 * ends; a constant answer of 1.5 KB. Prints its port when it is ready, and ends with its standard input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 8192
#define READ_SIZE 16384 /* a record */
#define EVENTS 64

struct connection {
  SSL *ssl;
  size_t head;      /* bytes of the head so far */
  size_t body_left; /* of a head that is done */
  bool in_body;
  char text[HEAD_MAX + 1];
};

static char answer[2048];
static int answer_size;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void drop(struct connection *c) {
  close(SSL_get_fd(c->ssl));
  SSL_free(c->ssl);
  free(c);
}

/* Takes what was read; the answer goes out when a whole body is there. */
static bool take(struct connection *c, const char *p, size_t n) {
  while (n > 0) {
    if (!c->in_body) {
      size_t some = n < HEAD_MAX - c->head ? n : HEAD_MAX - c->head, before = c->head;
      memcpy(c->text + c->head, p, some);
      c->text[c->head += some] = '\0';
      const char *end = strstr(c->text, "\r\n\r\n"), *length = strcasestr(c->text, "\r\ncontent-length:");
      if (!end && c->head == HEAD_MAX) return false;
      if (!end) return true;
      size_t used = (size_t)(end + 4 - c->text) - before;
      p += used, n -= used;
      c->body_left = length ? strtoul(length + 17, NULL, 10) : 0;
      c->in_body = true;
    }
    size_t some = n < c->body_left ? n : c->body_left;
    p += some, n -= some, c->body_left -= some;
    if (c->body_left) return true;
    c->in_body = false;
    c->head = 0;
    if (SSL_write(c->ssl, answer, answer_size) != answer_size) return false;
  }
  return true;
}

static void serve(struct connection *c) {
  static char buf[READ_SIZE];
  for (;;) {
    int n = SSL_read(c->ssl, buf, sizeof buf);
    if (n <= 0) {
      int why = SSL_get_error(c->ssl, n);
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) drop(c);
      return;
    }
    if (!take(c, buf, (size_t)n)) {
      drop(c);
      return;
    }
    if ((size_t)n < sizeof buf && !SSL_pending(c->ssl)) return; /* epoll tells of more */
  }
}

static void welcome(int epoll, int listener, SSL_CTX *context) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
  struct connection *c = fd < 0 ? NULL : calloc(1, sizeof *c);
  if (!c || !(c->ssl = SSL_new(context))) {
    free(c);
    if (fd >= 0) close(fd);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  SSL_set_fd(c->ssl, fd);
  SSL_set_accept_state(c->ssl);
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) drop(c);
}

static SSL_CTX *make_context(const char *cert, const char *key) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (!context || SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
    die("bare: certificate");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  return context;
}

static int listen_on(uint16_t *ret_port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&at, size) || listen(fd, 1024)) die("bare: listen");
  if (getsockname(fd, (struct sockaddr *)&at, &size)) die("bare: listen");
  *ret_port = ntohs(at.sin_port);
  return fd;
}

int main(int argc, char **argv) {
  static char filler[1537];
  uint16_t port;
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
  memset(filler, 'a', sizeof filler - 1);
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s";
  answer_size = snprintf(answer, sizeof answer, head, sizeof filler - 1, filler);
  SSL_CTX *context = make_context(argv[1], argv[2]);
  int listener = listen_on(&port), epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = &listener}}, input = {.events = EPOLLIN}, events[EVENTS];
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input))
    die("bare: epoll");
  printf("%u\n", port);
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      if (!events[i].data.ptr) return 0;
      if (events[i].data.ptr == &listener) welcome(epoll, listener, context);
      else serve(events[i].data.ptr);
    }
  }
}
