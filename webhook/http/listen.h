/* Listening sockets from "HOST:PORT". */
#pragma once
#include "base/err.h"

/* "HOST:PORT", "[IPv6]:PORT", or ":PORT" for every address of both families; port 0 takes a free one, and ret_port
 * tells which. The socket does not block and is closed on exec. */
int mg_listen(const char *address, int *ret_fd, uint16_t *ret_port, struct mg_err *err) __attribute__((warn_unused_result));
