/* Addresses that are not connected to, whatever name led there. */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

enum mg_guard {
  MG_GUARD_NONE,
  MG_GUARD_LOCAL,   /* of this host, of its link, and those that are no host's */
  MG_GUARD_PRIVATE, /* private ones too */
};

bool mg_guard_refuses(enum mg_guard guard, const struct sockaddr *address);
