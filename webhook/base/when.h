/* Points in time as people write them. */
#pragma once
#include "base/str.h"

/* "2027-01-31" (its first second, or with end_of_day the first second after it; UTC) or RFC 3339, to Unix seconds. */
bool mg_when_parse(mg_str text, bool end_of_day, int64_t *ret);

/* The same the other way: "2027-01-31T00:00:00Z"; "?" where there is no such year. The text is in `room`. */
#define MG_WHEN_ROOM 32
const char *mg_when_text(int64_t unix_time, char room[MG_WHEN_ROOM]);

/* A Go duration without a sign ("10s", "1m30s", "2.5s") in milliseconds, rounded down and at most max_ms (at most a day). */
bool mg_duration_parse(mg_str text, int64_t max_ms, int64_t *ret_ms);
