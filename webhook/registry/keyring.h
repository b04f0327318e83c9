/* Credentials of a Docker config.json, matched with images as the kubelet does. They are wiped when they go.
 * One thread. */
#pragma once
#include "base/err.h"
#include "doc/doc.h"

#define MG_KEYRING_FILE_MAX ((size_t)1 << 20)
#define MG_LOGINS_MAX 8

struct mg_login {
  mg_str user, secret; /* borrowed from the keyring */
};

struct mg_keyring;

/* {"auths": {...}}, or the inner map alone. An entry that makes no sense is left out. */
int mg_keyring_new(struct mg_keyring **ret, mg_str json, struct mg_err *err) __attribute__((warn_unused_result));
/* Several as one: where keys are the same, the earlier one's login is tried first. One that is none is left out, and ret_good[i]
 * says so. */
int mg_keyring_merge(struct mg_keyring **ret, const mg_str *jsons, uint32_t count, bool *ret_good, struct mg_err *err)
  __attribute__((warn_unused_result));
int mg_keyring_read(struct mg_keyring **ret, const char *path, struct mg_err *err) __attribute__((warn_unused_result));
struct mg_keyring *mg_keyring_ref(struct mg_keyring *keyring); /* NULL is fine */
void mg_keyring_unref(struct mg_keyring *keyring);             /* NULL is fine */

/* All that match the image, best first. */
uint32_t mg_keyring_match(const struct mg_keyring *keyring, mg_str domain, mg_str path, struct mg_login ret[MG_LOGINS_MAX]);

/* Base64, padded or not, lines or not, to at least s.n bytes. False: it is none. */
bool mg_keyring_decode(mg_str s, char *to, size_t *ret_n);
/* Of a document that held secrets: what its reader copied. */
void mg_keyring_wipe(struct mg_doc *doc);
size_t mg_keyring_size(const struct mg_keyring *keyring); /* bytes of memory */
