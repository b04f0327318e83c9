#include "app/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define QUIET_MS 1000
#define EACH_MS 100

void mg_progress_start(struct mg_progress *progress, size_t of) {
  const char *term = getenv("TERM");
  *progress = (struct mg_progress){.of = of, .due = mg_clock_ms() + QUIET_MS};
  progress->on = isatty(STDERR_FILENO) == 1 && !(term && strcmp(term, "dumb") == 0);
}

void mg_progress_tell(struct mg_progress *progress, size_t done) {
  if (!progress->on) return;
  int64_t now = mg_clock_ms();
  if (now < progress->due) return;
  fprintf(stderr, "\r\033[Kjudged %zu of %zu files", done, progress->of);
  progress->shown = true;
  progress->due = now + EACH_MS;
}

void mg_progress_erase(struct mg_progress *progress) {
  if (!progress->shown) return;
  fputs("\r\033[K", stderr);
  progress->shown = false;
}
