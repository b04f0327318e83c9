/* echo CERT KEY [CONNECTIONS]   what the server costs without a review in it: the same listener, limits and TLS, and a
 * constant answer of 1.5 KB. Prints its two ports when it is ready, and ends with its standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/server.h"

static char answer[1536];

static void review(void *ctx, enum mg_endpoint endpoint, mg_str body, int64_t left_ms, struct mg_http_reply *reply) {
  (void)ctx, (void)endpoint, (void)body, (void)left_ms;
  reply->status = 200;
  reply->body = (mg_str){answer, sizeof answer};
}

int main(int argc, char **argv) {
  struct mg_http_options options = mg_http_defaults();
  struct mg_http_handlers handlers = {.review = review};
  struct mg_http_server *server = NULL;
  struct mg_err err = {0};
  char wait;
  if (argc < 3) return 2;
  memset(answer, 'a', sizeof answer);
  options.listen_tls = options.listen_plain = "127.0.0.1:0";
  options.cert_path = argv[1];
  options.key_path = argv[2];
  if (argc > 3) options.max_connections = (unsigned)strtoul(argv[3], NULL, 10);
  if (mg_http_start(&options, &handlers, &server, &err) < 0) {
    fprintf(stderr, "echo: %s\n", err.text);
    return 1;
  }
  printf("%u %u\n", mg_http_port_tls(server), mg_http_port_plain(server));
  fflush(stdout);
  while (read(STDIN_FILENO, &wait, 1) > 0) {}
  mg_http_stop(server);
  return 0;
}
