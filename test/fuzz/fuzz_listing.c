/* D or L, and the replies of an API server, with a line %% between them: each a status of three digits and its body. What is
 * discovered (D) can be asked for, each once; what is listed (L) is what the pages have, each item once and in their order.
 * Linked with --wrap=mg_api_call: nobody is asked. */
#include <stdlib.h>
#include <string.h>

#include "cluster/listing.h"
#include "fuzz.h"

#define ASKED_MAX 64

static struct {
  mg_str rest; /* replies to come */
  unsigned asked;
  bool plain;       /* until now nothing but pages */
  json_t *expected; /* names of items, in the order of the pages; NULL: jansson cannot tell */
} server;

int __wrap_mg_api_call(struct mg_api *api, const char *method, const char *path, const char *type, mg_str body,
                       struct mg_api_reply *ret, struct mg_err *err);

/* What jansson reads of a page goes to what is expected. */
static void expect(mg_str body) {
  json_t *page = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL), *item;
  size_t i;
  server.plain &= page != NULL;
  json_array_foreach(json_object_get(page, "items"), i, item) {
    json_t *name = json_object_get(json_object_get(item, "metadata"), "name");
    json_array_append_new(server.expected, json_is_string(name) ? json_copy(name) : json_string(""));
  }
  json_decref(page);
}

int __wrap_mg_api_call(struct mg_api *api, const char *method, const char *path, const char *type, mg_str body,
                       struct mg_api_reply *ret, struct mg_err *err) {
  (void)api;
  FUZZ_CHECK(strcmp(method, "GET") == 0 && !type && !body.n, "it changes something");
  FUZZ_CHECK(path[0] == '/' && !strpbrk(path, " #\r\n") && !strstr(path, "/../"), "the path %s", path);
  fuzz_check_clean(mg_str_of(path), "a path");
  if (!server.rest.n || ++server.asked > ASKED_MAX) return mg_err_set(err, MG_E_IO, "nobody there");
  mg_str reply = fuzz_part(&server.rest), status = {reply.p, reply.n < 3 ? reply.n : 3};
  reply = mg_str_from(reply, 3);
  ret->status = mg_str_is(status, "410") ? 410 : mg_str_is(status, "404") ? 404 : mg_str_is(status, "403") ? 403 : 200;
  ret->size = reply.n;
  ret->body = malloc(reply.n + 1);
  FUZZ_CHECK(ret->body, "out of memory");
  if (reply.n) memcpy(ret->body, reply.p, reply.n);
  ret->body[reply.n] = '\0';
  server.plain &= ret->status == 200;
  if (server.plain && server.expected) expect(reply);
  return 0;
}

/* ---- discovery ---- */

static bool any_group(void *ctx, mg_str group) {
  (void)ctx, (void)group;
  return true;
}

static bool any_kind(void *ctx, mg_str group, mg_str version, mg_str kind) {
  (void)ctx, (void)group, (void)version;
  return kind.n > 0;
}

static void trouble(void *ctx, const char *group_version, const struct mg_err *err) {
  (void)ctx;
  fuzz_check_clean(mg_str_of(group_version), "a group");
  FUZZ_CHECK(err->text[0], "trouble without a word");
}

static void discover(struct mg_arena *arena, struct mg_err *err) {
  const struct mg_discovery wants = {any_group, any_kind, trouble, NULL};
  struct mg_served *served = NULL;
  size_t count = 0;
  if (mg_discover(NULL, arena, &wants, &served, &count, err)) return;
  for (size_t i = 0; i < count; i++) {
    const struct mg_served *s = &served[i];
    FUZZ_CHECK(*s->kind && *s->resource && *s->version && !strpbrk(s->resource, "/%?# "), "the resource <%s>", s->resource);
    for (size_t k = 0; k < i; k++)
      FUZZ_CHECK(strcmp(s->group, served[k].group) != 0 || strcmp(s->kind, served[k].kind) != 0, "%s twice", s->kind);
  }
}

/* ---- lists ---- */

static int take(void *ctx, mg_node object, struct mg_err *err) {
  json_t *given = ctx;
  mg_str name = mg_string(MG_GET(MG_GET(object, "metadata"), "name"));
  (void)err;
  json_array_append_new(given, json_stringn(name.n ? name.p : "", name.n));
  return 0;
}

static void list(struct mg_arena *arena, struct mg_err *err) {
  static const struct mg_served pods = {.group = "", .version = "v1", .kind = "Pod", .resource = "pods", .namespaced = true};
  json_t *given = json_array();
  const struct mg_listing listing = {.arena = arena, .ns = "a/b", .selector = "a in (b,c)", .object = take, .ctx = given};
  server.expected = json_array();
  int code = mg_list(&listing, &pods, err);
  if (code == 0 && server.plain) {
    FUZZ_CHECK(json_array_size(given) == json_array_size(server.expected), "%zu items of %zu", json_array_size(given),
               json_array_size(server.expected));
    FUZZ_CHECK(json_equal(given, server.expected), "other items, or in another order");
  }
  json_decref(given);
  json_decref(server.expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct mg_err err = {0};
  if (!size) return 0;
  server.rest = (mg_str){(const char *)data + 1, size - 1};
  server.asked = 0;
  server.plain = true;
  server.expected = NULL;
  if (data[0] == 'D') discover(fuzz_arena(0), &err);
  else list(fuzz_arena(0), &err);
  fuzz_check_clean(mg_str_of(err.text), "an error");
  return 0;
}
