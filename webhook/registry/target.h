/* Where a URL leads to, in a form that can be compared. */
#pragma once
#include "base/str.h"

struct mg_target {
  bool plain;      /* http */
  char host[264];  /* in lower case */
  char where[280]; /* HOST:PORT, whether the URL has a port or not */
};

/* False: neither http nor https, a user in it, or no URL at all. */
bool mg_target_read(const char *url, struct mg_target *ret);
