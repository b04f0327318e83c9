/* A review, at both endpoints, with each of the packs that ship, a longer one with one of them. What was patched must be taken as
 * it is; what is denied at the first endpoint is no less denied at the second. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define SHORT 256 /* bytes */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  return fuzz_mutate_json(data, size, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str body = {(const char *)data, size};
  bool allowed, again;
  for (unsigned pack = 0; pack < FUZZ_PACKS; pack++) {
    if (size > SHORT && pack != size % FUZZ_PACKS) continue;
    json_t *patched = fuzz_check_review(fuzz_pack(pack), true, body, &allowed);
    json_t *none = fuzz_check_review(fuzz_pack(pack), false, body, &again);
    FUZZ_CHECK(!none, "patched by the endpoint that judges");
    json_decref(patched);
  }
  return 0;
}
