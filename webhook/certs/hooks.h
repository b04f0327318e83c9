/* caBundle of webhook configurations. Private to certs/. */
#pragma once
#include "certs/store.h"

/* Makes every caBundle of the place's hooks what ca.crt of the place is at that time. *patched counts what was written. */
int mg_hooks_follow(const struct mg_certs_place *place, unsigned *patched, struct mg_err *err);
