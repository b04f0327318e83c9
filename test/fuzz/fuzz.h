/* What the fuzz targets share. A target is one file, fuzz_NAME.c: it takes any bytes, asks the code under test, and aborts where
 * that contradicts somebody who knows better: another library, an oracle of its own, or itself. The same file is linked with
 * libFuzzer (make fuzz) and with replay.c, which runs what was found before (make test). Inputs are text where that is possible,
 * so that one who reads a found input sees what it says: a line "%%" stands between its parts. */
#pragma once
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "doc/diag.h"
#include "doc/json.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max); /* libFuzzer's; replay.c never calls it */

#define FUZZ_COUNT(table) (sizeof(table) / sizeof *(table))

/* Says what is wrong and aborts. */
void fuzz_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
#define FUZZ_FAIL(...) fuzz_fail(__FILE__, __LINE__, __VA_ARGS__)
#define FUZZ_CHECK(condition, ...) \
  do {                             \
    if (!(condition)) FUZZ_FAIL(__VA_ARGS__); \
  } while (0)

/* An arena that is empty again; of each of the few numbers one. */
struct mg_arena *fuzz_arena(unsigned number);

/* What stands before the next line "%%", which is taken too; all of the rest where there is none. */
mg_str fuzz_part(mg_str *rest);
/* The first byte: a choice among so many. */
unsigned fuzz_choice(mg_str *rest, unsigned count);

/* A copy on the heap of exactly these bytes, so that nobody reads behind them unseen. */
char *fuzz_exact(mg_str s);

/* A path under which these bytes are found until its number is used again; of each of the few numbers one. No folder knows it. */
#define FUZZ_FILES 2
const char *fuzz_file(unsigned number, mg_str content);

/* What is said on standard error goes to memory until fuzz_heard, which holds it to be lines of text for people and says how many
 * they are. */
void fuzz_listen(void);
size_t fuzz_heard(void);

/* Text that is for people or logs: UTF-8 without control characters. */
void fuzz_check_clean(mg_str s, const char *what);
/* Errors have places, and all is fit to be read as it is printed. */
void fuzz_check_diags(const struct mg_diags *diags);
/* What was written as JSON must be some; to be freed with json_decref. */
json_t *fuzz_check_json(mg_str s, const char *what);
/* What jansson has read is what is in the cells. */
void fuzz_check_same(const json_t *theirs, mg_node ours, mg_str source);

/* RFC 6902 as the API server's library applies it, written from the specification; what cannot be applied aborts. */
json_t *fuzz_apply(const json_t *object, const json_t *patch);

/* A change to a JSON document that leaves it one: for LLVMFuzzerCustomMutator. Sometimes, and for what is no JSON, libFuzzer's
 * own. */
size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max, unsigned seed);

/* The policies that ship: 0 baseline, 1 baseline and strict, 2 all of the addons; loaded once. */
#define FUZZ_PACKS 3
struct mg_snapshot *fuzz_pack(unsigned which);

/* Asks for a review and holds the answer against all that is true of every answer; the patched object, of which the caller has
 * to give back the reference, or NULL where nothing was patched. */
json_t *fuzz_check_review(const struct mg_snapshot *snapshot, bool mutate, mg_str body, bool *ret_allowed);
