/* What is true of every answer to every review. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "admit/admit.h"
#include "fuzz.h"

#define NOW INT64_C(1800000000)

struct asked {
  const struct mg_snapshot *snapshot;
  enum mg_endpoint endpoint;
  mg_str body;
};

static void check_status(const struct mg_answer *answer, const json_t *said) {
  static const unsigned known[] = {400, 413, 500, 503};
  bool is_known = false;
  for (size_t i = 0; i < FUZZ_COUNT(known); i++) is_known |= answer->http_status == known[i];
  FUZZ_CHECK(is_known, "answered with %u", answer->http_status);
  const char *kind = json_string_value(json_object_get(said, "kind"));
  FUZZ_CHECK(kind && strcmp(kind, "Status") == 0, "an error that is no Status");
  FUZZ_CHECK(json_integer_value(json_object_get(said, "code")) == answer->http_status, "the code is not that of the answer");
}

static void check_texts(const json_t *response) {
  json_t *item;
  size_t i;
  const char *key;
  json_array_foreach(json_object_get(response, "warnings"), i, item) {
    fuzz_check_clean((mg_str){json_string_value(item), json_string_length(item)}, "a warning");
  }
  json_object_foreach(json_object_get(response, "auditAnnotations"), key, item) {
    FUZZ_CHECK(*key && strspn(key, "abcdefghijklmnopqrstuvwxyz-") == strlen(key), "an annotation called %s", key);
    FUZZ_CHECK(json_is_string(item), "an annotation that is no string");
  }
}

/* NULL: there is none. */
static json_t *patch_of(const struct asked *asked, const json_t *response) {
  json_t *coded = json_object_get(response, "patch");
  const char *type = json_string_value(json_object_get(response, "patchType"));
  FUZZ_CHECK(!coded == !type && (!type || strcmp(type, "JSONPatch") == 0), "a patch without its type, or a type without one");
  if (!coded) return NULL;
  size_t n = json_string_length(coded);
  unsigned char *text = malloc(n + 4);
  FUZZ_CHECK(asked->endpoint == MG_MUTATE, "validation patches");
  FUZZ_CHECK(text && n % 4 == 0, "base64 of %zu characters", n);
  int got = EVP_DecodeBlock(text, (const unsigned char *)json_string_value(coded), (int)n);
  FUZZ_CHECK(got > 0, "no base64");
  for (size_t pad = n; pad && json_string_value(coded)[pad - 1] == '='; pad--) got--;
  json_t *patch = fuzz_check_json((mg_str){(const char *)text, (size_t)got}, "a patch");
  free(text);
  FUZZ_CHECK(!patch || json_array_size(patch) > 0, "an empty patch");
  return patch;
}

/* The edits made the same of the tree as the patch makes of the object. */
static void check_edits(const struct asked *asked, const json_t *patched) {
  struct mg_arena *arena = fuzz_arena(1);
  struct mg_doc doc;
  struct mg_read how = {.limits = {MG_REVIEW_MAX_BYTES, MG_REVIEW_MAX_DEPTH, MG_REVIEW_MAX_CELLS}};
  struct mg_request request;
  struct mg_verdict verdict;
  if (mg_json_read(&doc, arena, asked->body, &how, NULL)) return; /* with two keys of one name */
  FUZZ_CHECK(mg_review_read(mg_root(&doc), &request, NULL) == 0, "a review that is none the second time");
  FUZZ_CHECK(mg_evaluate(asked->snapshot, &request, MG_PHASE_MUTATE, NOW, arena, &verdict, NULL) == 0, "cannot be judged again");
  json_t *edited = fuzz_check_json(mg_json_text(arena, request.object), "an edited object");
  FUZZ_CHECK(!edited || json_equal(edited, patched), "the patch does not make what the edits made");
  json_decref(edited);
}

static json_t *answer_to(const struct asked *asked) {
  struct mg_arena *arena = fuzz_arena(0);
  struct mg_answer answer;
  mg_admit(asked->snapshot, asked->endpoint, asked->body, NOW, NULL, arena, &answer);
  FUZZ_CHECK(!answer.waiting, "waits for a registry that it does not have");
  json_t *said = fuzz_check_json(mg_buf_str(&answer.body), "an answer");
  FUZZ_CHECK(said, "an answer with strange numbers");
  if (answer.http_status == 200) return said;
  check_status(&answer, said);
  json_decref(said);
  return NULL;
}

/* What is patched needs no second patch. */
static void check_again(const struct asked *asked, const json_t *review, json_t *patched) {
  json_t *second = json_deep_copy(review);
  json_object_set(json_object_get(second, "request"), "object", patched);
  char *text = json_dumps(second, JSON_COMPACT);
  struct asked again = {asked->snapshot, asked->endpoint, mg_str_of(text)};
  json_t *said = answer_to(&again);
  json_t *patch = said ? patch_of(&again, json_object_get(said, "response")) : NULL;
  if (patch) {
    char *more = json_dumps(patch, JSON_COMPACT);
    FUZZ_FAIL("patched again, %s: %s", more, text);
  }
  json_decref(said);
  json_decref(second);
  free(text);
}

json_t *fuzz_check_review(const struct mg_snapshot *snapshot, bool mutate, mg_str body, bool *ret_allowed) {
  struct asked asked = {snapshot, mutate ? MG_MUTATE : MG_VALIDATE, body};
  json_t *said = answer_to(&asked), *patched = NULL;
  *ret_allowed = false;
  if (!said) return NULL;
  json_t *review = json_loadb(body.p, body.n, JSON_ALLOW_NUL, NULL), *request = json_object_get(review, "request");
  json_t *response = json_object_get(said, "response"), *uid = json_object_get(response, "uid");
  FUZZ_CHECK(json_is_boolean(json_object_get(response, "allowed")), "neither allowed nor denied");
  *ret_allowed = json_is_true(json_object_get(response, "allowed"));
  check_texts(response);
  json_t *patch = patch_of(&asked, response);
  FUZZ_CHECK(!patch || *ret_allowed, "denied and patched");
  if (review) { /* else jansson cannot hold it */
    FUZZ_CHECK(json_equal(uid, json_object_get(request, "uid")), "another uid than that of the request");
    if (patch) {
      patched = fuzz_apply(json_object_get(request, "object"), patch);
      FUZZ_CHECK(!json_equal(patched, json_object_get(request, "object")), "a patch that changes nothing");
      check_edits(&asked, patched);
      check_again(&asked, review, patched);
    }
  }
  json_decref(patch);
  json_decref(review);
  json_decref(said);
  return patched;
}
