#include "base/token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include "base/read.h"

static int take(struct mg_token *token, const char *path, const char *text, size_t n, struct mg_err *err) {
  while (n && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' ')) n--;
  if (n == 0) return mg_err_set(err, MG_E_INVALID, "%s: the token is empty", path);
  if (n > MG_TOKEN_MAX) return mg_err_set(err, MG_E_LIMIT, "%s: the token is longer than %d bytes", path, MG_TOKEN_MAX);
  for (size_t i = 0; i < n; i++) /* else it could end the header */
    if (text[i] < 0x21 || text[i] > 0x7E) return mg_err_set(err, MG_E_INVALID, "%s: not a token", path);
  OPENSSL_cleanse(token->text, sizeof token->text);
  memcpy(token->text, text, n);
  token->text[n] = '\0';
  token->n = n;
  return 0;
}

int mg_token_read(struct mg_token *token, const char *path, struct mg_err *err) {
  char text[MG_TOKEN_MAX + 16]; /* room for white space behind it, and to see that it is too long */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t n = fd < 0 ? -1 : mg_read_all(fd, text, sizeof text);
  int why = errno;
  if (fd >= 0) close(fd);
  int code = n < 0 ? mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(why)) : take(token, path, text, (size_t)n, err);
  OPENSSL_cleanse(text, sizeof text);
  return code;
}

int mg_token_take(struct mg_token *token, const char *text, struct mg_err *err) {
  return take(token, "the token", text, strlen(text), err);
}
