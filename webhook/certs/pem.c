#include "certs/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/read.h"
#include "base/write.h"

static void closep(const int *fd) {
  if (*fd >= 0) {
    close(*fd);
  }
}
#define FD_AUTO __attribute__((cleanup(closep))) int

static void bio_freep(BIO **bio) {
  BIO_free(*bio);
}
#define BIO_AUTO __attribute__((cleanup(bio_freep))) BIO *

const char *mg_pem_ssl_reason(void) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason ? reason : "unknown OpenSSL error";
}

void mg_pem_free(char *text, size_t size) {
  if (text) {
    OPENSSL_cleanse(text, size);
    free(text);
  }
}

int mg_pem_read(const char *path, char **ret_text, size_t *ret_size, struct mg_err *err) {
  /* O_NONBLOCK: a named pipe in the place of a file must not stop a reload. */
  FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) {
    int why = errno;
    (void)mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(why));
    errno = why;
    return MG_E_IO;
  }
  errno = 0;
  if (!S_ISREG(st.st_mode)) {
    return mg_err_set(err, MG_E_IO, "%s: not a regular file", path);
  }
  if (st.st_size > (off_t)MG_PEM_MAX) {
    return mg_err_set(err, MG_E_LIMIT, "%s: larger than %u bytes", path, MG_PEM_MAX);
  }
  char *text = malloc(MG_PEM_MAX + 1);
  if (!text) {
    return mg_err_set(err, MG_E_NOMEM, "%s: out of memory", path);
  }
  /* One byte more than the limit, so that a file that grows under us cannot slip past it. */
  ssize_t n = mg_read_all(fd, text, MG_PEM_MAX + 1);
  if (n < 0 || n > (ssize_t)MG_PEM_MAX) {
    int code = n < 0 ? mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(errno))
                     : mg_err_set(err, MG_E_LIMIT, "%s: larger than %u bytes", path, MG_PEM_MAX);
    mg_pem_free(text, MG_PEM_MAX + 1);
    return code;
  }
  text[n] = '\0';
  *ret_text = text;
  *ret_size = (size_t)n;
  return 0;
}

/* Without it OpenSSL would ask the terminal. */
static int no_password(char *buf, int size, int writing, void *arg) {
  (void)buf, (void)size, (void)writing, (void)arg;
  return -1;
}

int mg_pem_cert(const char *path, const char *text, size_t size, X509 **ret_cert, struct mg_err *err) {
  BIO_AUTO bio = BIO_new_mem_buf(text, (int)size);
  X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
  if (!cert) {
    return mg_err_set(err, MG_E_INVALID, "%s: no certificate: %s", path, mg_pem_ssl_reason());
  }
  *ret_cert = cert;
  return 0;
}

static int read_chain(const char *path, BIO *bio, STACK_OF(X509) *chain, struct mg_err *err) {
  for (X509 *cert; (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL));) {
    bool full = sk_X509_num(chain) >= MG_PEM_CHAIN_MAX;
    if (full || !sk_X509_push(chain, cert)) {
      X509_free(cert);
      return full ? mg_err_set(err, MG_E_LIMIT, "%s: more than %d certificates", path, MG_PEM_CHAIN_MAX)
                  : mg_err_set(err, MG_E_NOMEM, "%s: out of memory", path);
    }
  }
  bool end = sk_X509_num(chain) > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const char *why = mg_pem_ssl_reason();
  return end ? 0 : mg_err_set(err, MG_E_INVALID, "%s: no certificate: %s", path, why);
}

int mg_pem_chain(const char *path, const char *text, size_t size, STACK_OF(X509) **ret_chain, struct mg_err *err) {
  BIO_AUTO bio = BIO_new_mem_buf(text, (int)size);
  STACK_OF(X509) *chain = sk_X509_new_null();
  int code = bio && chain ? read_chain(path, bio, chain, err) : mg_err_set(err, MG_E_NOMEM, "%s: out of memory", path);
  if (code < 0) {
    sk_X509_pop_free(chain, X509_free);
    return code;
  }
  *ret_chain = chain;
  return 0;
}

int mg_pem_key(const char *path, const char *text, size_t size, EVP_PKEY **ret_key, struct mg_err *err) {
  BIO_AUTO bio = BIO_new_mem_buf(text, (int)size);
  EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
  if (!key) {
    return mg_err_set(err, MG_E_INVALID, "%s: no private key that can be read without a password: %s", path,
                      mg_pem_ssl_reason());
  }
  *ret_key = key;
  return 0;
}

int mg_pem_dir(const char *dir, struct mg_err *err) {
  struct stat st;
  if (mkdir(dir, 0700) == 0) {
    return 0;
  }
  if (errno != EEXIST) {
    return mg_err_set(err, MG_E_IO, "%s: %s", dir, strerror(errno));
  }
  if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
    return mg_err_set(err, MG_E_IO, "%s: not a directory", dir);
  }
  return 0;
}

/* The umask can only take rights away, so fchmod comes after the exclusive creation. */
static int write_file(int dir_fd, const char *temp, mode_t mode, const char *p, size_t n) {
  int fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0) {
    return -1;
  }
  int failed = fchmod(fd, mode) != 0 || mg_write_all(fd, (mg_str){p, n}) != 0 || fsync(fd) != 0;
  int why = errno;
  failed |= close(fd) != 0 && !failed;
  if (failed) {
    errno = why;
  }
  return failed ? -1 : 0;
}

static int replace_file(int dir_fd, const char *name, mode_t mode, const char *p, size_t n) {
  unsigned char random[8];
  char temp[NAME_MAX + 1];
  if (RAND_bytes(random, sizeof random) != 1) {
    errno = EIO;
    return -1;
  }
  int at = snprintf(temp, sizeof temp, ".%s.", name);
  for (size_t i = 0; i < sizeof random; i++) {
    at += snprintf(temp + at, sizeof temp - (size_t)at, "%02x", random[i]);
  }
  if (write_file(dir_fd, temp, mode, p, n) == 0 && renameat(dir_fd, temp, dir_fd, name) == 0) {
    return fsync(dir_fd);
  }
  int why = errno;
  unlinkat(dir_fd, temp, 0);
  errno = why;
  return -1;
}

int mg_pem_put(const char *dir, const char *name, mode_t mode, const struct mg_blob *text, struct mg_err *err) {
  FD_AUTO dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir_fd < 0 || replace_file(dir_fd, name, mode, text->p, text->n) != 0) {
    return mg_err_set(err, MG_E_IO, "%s/%s: %s", dir, name, strerror(errno));
  }
  return 0;
}

int mg_pem_remove(const char *dir, const char *name, struct mg_err *err) {
  FD_AUTO dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir_fd < 0 || (unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) || fsync(dir_fd) != 0) {
    return mg_err_set(err, MG_E_IO, "%s/%s: %s", dir, name, strerror(errno));
  }
  return 0;
}

void mg_blob_fini(struct mg_blob *blob) {
  mg_pem_free(blob->p, blob->n);
  *blob = (struct mg_blob){0};
}

int mg_blob_dup(const char *p, size_t n, struct mg_blob *ret, struct mg_err *err) {
  char *copy = malloc(n + 1);
  if (!copy) {
    return mg_err_nomem(err);
  }
  if (n) {
    memcpy(copy, p, n);
  }
  copy[n] = '\0';
  mg_blob_fini(ret);
  *ret = (struct mg_blob){copy, n};
  return 0;
}

static int blob_of_bio(BIO *bio, struct mg_blob *ret, struct mg_err *err) {
  char *p = NULL;
  long n = BIO_get_mem_data(bio, &p);
  return n <= 0 ? mg_err_nomem(err) : mg_blob_dup(p, (size_t)n, ret, err);
}

int mg_blob_of_key(EVP_PKEY *key, struct mg_blob *ret, struct mg_err *err) {
  /* The secure kind wipes what it held. */
  BIO_AUTO bio = BIO_new(BIO_s_secmem());
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
    return mg_err_set(err, MG_E_NOMEM, "writing a key: %s", mg_pem_ssl_reason());
  }
  return blob_of_bio(bio, ret, err);
}

int mg_blob_of_certs(X509 *const *certs, size_t n, struct mg_blob *ret, struct mg_err *err) {
  BIO_AUTO bio = BIO_new(BIO_s_mem());
  for (size_t i = 0; i < n; i++) {
    if (!bio || PEM_write_bio_X509(bio, certs[i]) != 1) {
      return mg_err_set(err, MG_E_NOMEM, "writing a certificate: %s", mg_pem_ssl_reason());
    }
  }
  return blob_of_bio(bio, ret, err);
}
