#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024 /* a burst of the API server's new connections waits here, not in its retries */

struct parts {
  char host[256], port[8];
};

static int split(const char *address, struct parts *parts, struct mg_err *err) {
  mg_str host = mg_str_of(address), port;
  const char *colon = strrchr(address, ':');
  if (!colon) {
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\": want HOST:PORT", address);
  }
  host.n = (size_t)(colon - address);
  port = mg_str_of(colon + 1);
  if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
    host = (mg_str){host.p + 1, host.n - 2};
  } else if (mg_str_find(host, ':') < host.n) {
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\": an IPv6 address wants brackets: [::1]:8443", address);
  }
  if (port.n == 0 || port.n > 5 || strspn(port.p, "0123456789") != port.n || host.n >= sizeof parts->host) {
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\": want HOST:PORT with a port of 0 to 65535", address);
  }
  (void)snprintf(parts->host, sizeof parts->host, "%.*s", MG_FMT(host));
  (void)snprintf(parts->port, sizeof parts->port, "%s", port.p);
  return 0;
}

static int bind_one(const struct addrinfo *at) {
  const int on = 1, off = 0;
  int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -1;
  }
  bool good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
  if (at->ai_family == AF_INET6) {
    good = good && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
  }
  if (good && bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
    return fd;
  }
  int why = errno;
  close(fd);
  errno = why;
  return -1;
}

static int bind_host(const char *host, const char *port, int *ret_fd) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
  int code = getaddrinfo(host, port, &hints, &list);
  if (code != 0) {
    return code;
  }
  errno = EADDRNOTAVAIL;
  for (const struct addrinfo *at = list; at && *ret_fd < 0; at = at->ai_next) {
    *ret_fd = bind_one(at);
  }
  int why = errno;
  freeaddrinfo(list);
  errno = why;
  return *ret_fd < 0 ? EAI_SYSTEM : 0;
}

/* 0: cannot be told, and why is in errno. */
static uint16_t bound_port(int fd) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
  } at = {0};
  socklen_t n = sizeof at;
  if (getsockname(fd, &at.any, &n) != 0) {
    return 0;
  }
  return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
}

int mg_listen(const char *address, int *ret_fd, uint16_t *ret_port, struct mg_err *err) {
  struct parts parts;
  int fd = -1, code = split(address, &parts, err);
  if (code != 0) {
    return code;
  }
  if (strlen(parts.port) == 5 && strcmp(parts.port, "65535") > 0) {
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\": want HOST:PORT with a port of 0 to 65535", address);
  }
  /* One socket of the IPv6 kind serves both families; where there is no IPv6 it is the other kind. */
  code = bind_host(parts.host[0] ? parts.host : "::", parts.port, &fd);
  if (code != 0 && !parts.host[0] && errno != EADDRINUSE) {
    code = bind_host("0.0.0.0", parts.port, &fd);
  }
  if (code != 0) {
    return mg_err_set(err, MG_E_IO, "cannot listen on %.100s: %s", address,
                      code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
  }
  *ret_port = bound_port(fd);
  if (*ret_port == 0) {
    code = mg_err_set(err, MG_E_IO, "cannot tell the port of %.100s: %s", address, strerror(errno));
    close(fd);
    return code;
  }
  *ret_fd = fd;
  return 0;
}
