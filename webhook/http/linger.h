/* A connection that is refused while its client still sends would be reset by the kernel, and the reset overtakes the
 * refusal: the user never reads why. A second descriptor keeps such a connection open a moment longer, while a thread
 * throws away what still comes in. Few, short and bounded: where there is no room the connection just ends. */
#pragma once
#include "base/err.h"

#define MG_LINGER_MAX 32
#define MG_LINGER_MS 2000
#define MG_LINGER_BYTES (64u * 1024 * 1024)

struct mg_linger;

int mg_linger_start(struct mg_linger **ret_linger, struct mg_err *err) __attribute__((warn_unused_result));
/* All is written: the sending side ends here, and a duplicate of fd is kept; the caller closes its own when it likes. */
void mg_linger_add(struct mg_linger *linger, int fd);
/* Ends the thread and all that linger; NULL is fine. */
void mg_linger_stop(struct mg_linger *linger);
