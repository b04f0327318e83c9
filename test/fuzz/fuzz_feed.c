/* KIND (one byte), a page of a list, a line %%, the next page …, a line %% of its own and the lines of a watch: however the bytes
 * are cut, the same is known, and it is what somebody else counts. */
#include <stdlib.h>
#include <string.h>

#include "cluster/api.h"
#include "cluster/feed.h"
#include "fuzz.h"

#define PAGES_MAX 8

struct heard {
  int code;
  bool gone;
};

static struct heard feed_pages(struct mg_feed *feed, mg_str *rest, size_t piece) {
  struct mg_err err = {0};
  bool more = true;
  int code = 0;
  for (unsigned page = 0; more && code == 0 && rest->n && page < PAGES_MAX; page++) {
    mg_str text = fuzz_part(rest);
    mg_feed_begin(feed);
    for (size_t at = 0; at < text.n && code == 0; at += piece)
      code = mg_feed_page_bytes(feed, (mg_str){text.p + at, text.n - at < piece ? text.n - at : piece}, &err);
    if (code == 0) code = mg_feed_page_end(feed, &more, &err);
  }
  FUZZ_CHECK(code == 0 || err.text[0], "refused without a word");
  if (more || code) mg_feed_restart(feed);
  return (struct heard){code < 0 ? code : more, false};
}

static struct heard feed_watch(struct mg_feed *feed, mg_str text, size_t piece) {
  struct mg_err err = {0};
  struct heard heard = {0};
  mg_feed_begin(feed);
  for (size_t at = 0; at < text.n && heard.code == 0; at += piece)
    heard.code = mg_feed_watch_bytes(feed, (mg_str){text.p + at, text.n - at < piece ? text.n - at : piece}, &heard.gone, &err);
  FUZZ_CHECK(heard.code == 0 || err.text[0], "refused without a word");
  FUZZ_CHECK(!heard.gone || heard.code, "gone, and yet well");
  return heard;
}

static void check_order(const struct mg_feed *feed) {
  for (uint32_t i = 0; i < feed->known.count; i++) {
    struct mg_context_object *o = feed->known.items[i];
    FUZZ_CHECK(o->name.n && o->name.n <= MG_CONTEXT_NAME_MAX && o->ns.n <= MG_CONTEXT_NAME_MAX, "an object without a fit name");
    FUZZ_CHECK(!i || mg_context_object_compare(feed->known.items[i - 1], o) < 0, "out of order, or twice");
    FUZZ_CHECK(mg_is(mg_root(&o->doc), MG_OBJECT) && !MG_GET(mg_root(&o->doc), "kind").at, "kept what nobody reads");
  }
}

static void check_same(const struct mg_feed *a, const struct mg_feed *b) {
  FUZZ_CHECK(a->known.count == b->known.count && strcmp(a->version, b->version) == 0, "cut otherwise, %u objects and not %u",
             b->known.count, a->known.count);
  for (uint32_t i = 0; i < a->known.count; i++)
    FUZZ_CHECK(mg_context_object_same(a->known.items[i], b->known.items[i]), "cut otherwise, another object");
}

/* ---- somebody else ---- */

static bool key_of(const struct mg_feed *feed, const json_t *object, char *to, size_t room) {
  const json_t *meta = json_object_get(object, "metadata");
  const char *name = json_string_value(json_object_get(meta, "name"));
  const char *ns = json_string_value(json_object_get(meta, "namespace"));
  if (mg_context_cluster_scoped(feed->kind)) ns = "";
  else if (!ns || !*ns) ns = "default";
  return (size_t)snprintf(to, room, "%s/%s", ns, name ? name : "") < room;
}

/* The names that are known behind the watch: of what ended well, and has nothing that jansson reads otherwise. */
static void check_names(const struct mg_feed *feed, json_t *names, mg_str lines) {
  char key[1024];
  bool good = true;
  while (good && mg_str_find(lines, '\n') < lines.n) {
    mg_str line = {lines.p, mg_str_find(lines, '\n')};
    lines = mg_str_from(lines, line.n + 1);
    json_t *event = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL), *object = json_object_get(event, "object");
    const char *type = json_string_value(json_object_get(event, "type"));
    size_t i = 0;
    while (i < line.n && strchr(" \t\r", line.p[i])) i++;
    good = i == line.n || (type && key_of(feed, object, key, sizeof key));
    bool some = good && type, is_new = some && (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0);
    if (some && strcmp(type, "DELETED") == 0) json_object_del(names, key);
    if (is_new) json_object_set_new(names, key, json_true());
    json_decref(event);
  }
  FUZZ_CHECK(!good || json_object_size(names) == feed->known.count, "%u objects, and somebody else knows %zu", feed->known.count,
             json_object_size(names));
}

static json_t *names_of(const struct mg_feed *feed) {
  json_t *names = json_object();
  char key[1024];
  for (uint32_t i = 0; i < feed->known.count; i++) {
    const struct mg_context_object *o = feed->known.items[i];
    snprintf(key, sizeof key, "%.*s/%.*s", MG_FMT(o->ns), MG_FMT(o->name));
    json_object_set_new(names, key, json_true());
  }
  return names;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str all = {(const char *)data, size};
  enum mg_context_kind kind = fuzz_choice(&all, MG_CTX_KINDS);
  mg_str rest = all, again = all;
  struct mg_feed whole, cut;
  mg_feed_init(&whole, kind);
  mg_feed_init(&cut, kind);
  struct heard a = feed_pages(&whole, &rest, SIZE_MAX / 2), b = feed_pages(&cut, &again, 7);
  FUZZ_CHECK(a.code == b.code, "cut otherwise, code %d instead of %d", b.code, a.code);
  check_same(&whole, &cut);
  json_t *names = names_of(&whole);
  FUZZ_CHECK(json_object_size(names) == whole.known.count || a.code, "two of a name");
  if (a.code == 0) {
    a = feed_watch(&whole, rest, SIZE_MAX / 2);
    b = feed_watch(&cut, rest, 5);
    FUZZ_CHECK(a.code == b.code && a.gone == b.gone, "cut otherwise, code %d instead of %d", b.code, a.code);
    check_same(&whole, &cut);
    if (a.code == 0) check_names(&whole, names, rest);
  }
  check_order(&whole);
  json_decref(names);
  mg_feed_fini(&whole);
  mg_feed_fini(&cut);
  return 0;
}
