/* Credentials of a Docker config.json, matched with images as the kubelet does (reference image-registry.md sections 2.2 and
 * 2.3). They are wiped when they go. One thread. */
#pragma once
#include "base/err.h"

#define MG_KEYRING_FILE_MAX ((size_t)1 << 20)
#define MG_LOGINS_MAX 8

struct mg_login {
  mg_str user, secret; /* borrowed from the keyring */
};

struct mg_keyring;

/* {"auths": {...}}, or the inner map alone. An entry that makes no sense is left out. */
int mg_keyring_new(struct mg_keyring **ret, mg_str json, struct mg_err *err) __attribute__((warn_unused_result));
int mg_keyring_read(struct mg_keyring **ret, const char *path, struct mg_err *err) __attribute__((warn_unused_result));
struct mg_keyring *mg_keyring_ref(struct mg_keyring *keyring); /* NULL is fine */
void mg_keyring_unref(struct mg_keyring *keyring);             /* NULL is fine */

/* All that match the image, best first. */
uint32_t mg_keyring_match(const struct mg_keyring *keyring, mg_str domain, mg_str path, struct mg_login ret[MG_LOGINS_MAX]);
