#include "cluster/feed.h"

#include <stdlib.h>

#include "doc/json.h"

#define PAGE_CELLS 2000000
#define LINE_CELLS 400000
#define FEED_ARENA ((size_t)256 << 20)
#define ARENA_KEEP ((size_t)64 << 10)

/* ---- sorted objects ---- */

static void clear(struct mg_feed_objects *objects) {
  for (uint32_t i = 0; i < objects->count; i++) mg_context_object_unref(objects->items[i]);
  free(objects->items);
  *objects = (struct mg_feed_objects){0};
}

/* Where it is, or belongs. Lists come nearly in order, so the end is tried first. */
static uint32_t place_of(const struct mg_feed_objects *objects, const struct mg_context_object *o, bool *ret_found) {
  uint32_t low = 0, high = objects->count;
  *ret_found = false;
  if (high && mg_context_object_compare(objects->items[high - 1], o) < 0) return high;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = mg_context_object_compare(objects->items[middle], o);
    if (order == 0) *ret_found = true;
    if (order == 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static bool has_room(struct mg_feed_objects *objects) {
  if (objects->count < objects->cap) return true;
  uint32_t cap = objects->cap ? objects->cap * 2 : 64;
  struct mg_context_object **more = realloc(objects->items, cap * sizeof *more);
  if (!more) return false;
  objects->items = more;
  objects->cap = cap;
  return true;
}

/* Takes the reference, also on failure. *changed is set where it is news. */
static int put(struct mg_feed_objects *objects, struct mg_context_object *o, bool *changed, struct mg_err *err) {
  bool found;
  uint32_t at = place_of(objects, o, &found);
  if (!found && (objects->count >= MG_FEED_OBJECTS_MAX || !has_room(objects))) {
    bool many = objects->count >= MG_FEED_OBJECTS_MAX;
    mg_context_object_unref(o);
    return many ? mg_err_set(err, MG_E_LIMIT, "more than %d objects", MG_FEED_OBJECTS_MAX)
                : mg_err_nomem(err);
  }
  if (found && mg_context_object_same(objects->items[at], o)) {
    mg_context_object_unref(o);
    return 0;
  }
  if (found) {
    mg_context_object_unref(objects->items[at]);
  } else {
    memmove(&objects->items[at + 1], &objects->items[at], (objects->count - at) * sizeof *objects->items);
    objects->count++;
  }
  objects->items[at] = o;
  *changed = true;
  return 0;
}

static void drop(struct mg_feed_objects *objects, const struct mg_context_object *o, bool *changed) {
  bool found;
  uint32_t at = place_of(objects, o, &found);
  if (!found) return;
  mg_context_object_unref(objects->items[at]);
  memmove(&objects->items[at], &objects->items[at + 1], (objects->count - at - 1) * sizeof *objects->items);
  objects->count--;
  *changed = true;
}

/* ---- life ---- */

void mg_feed_init(struct mg_feed *feed, enum mg_context_kind kind) {
  *feed = (struct mg_feed){.kind = kind};
  mg_arena_init(&feed->arena, FEED_ARENA, ARENA_KEEP);
  mg_buf_init(&feed->in, NULL, MG_FEED_PAGE_MAX);
}

void mg_feed_clear(struct mg_feed *feed) {
  feed->changed |= feed->known.count > 0;
  clear(&feed->known);
  mg_feed_restart(feed);
}

void mg_feed_fini(struct mg_feed *feed) {
  clear(&feed->known);
  clear(&feed->listed);
  mg_buf_fini(&feed->in);
  mg_arena_fini(&feed->arena);
}

void mg_feed_begin(struct mg_feed *feed) {
  mg_buf_fini(&feed->in);
  mg_buf_init(&feed->in, NULL, MG_FEED_PAGE_MAX);
  feed->scanned = 0;
}

void mg_feed_restart(struct mg_feed *feed) {
  clear(&feed->listed);
  feed->list_bytes = 0;
  feed->version[0] = feed->next[0] = feed->list_version[0] = '\0';
  mg_feed_begin(feed);
}

/* ---- pages ---- */

static int take(struct mg_feed *feed, mg_str bytes, const char *what, size_t max, struct mg_err *err) {
  if (bytes.n > max - feed->in.n) return mg_err_set(err, MG_E_LIMIT, "%s is larger than %zu MiB", what, max >> 20);
  mg_buf_put(&feed->in, bytes);
  return feed->in.failed ? mg_err_nomem(err) : 0;
}

int mg_feed_page_bytes(struct mg_feed *feed, mg_str bytes, struct mg_err *err) {
  if (bytes.n > MG_FEED_LIST_MAX - feed->list_bytes)
    return mg_err_set(err, MG_E_LIMIT, "the list is larger than %zu MiB", MG_FEED_LIST_MAX >> 20);
  feed->list_bytes += bytes.n;
  return take(feed, bytes, "a page of the list", MG_FEED_PAGE_MAX, err);
}

static bool keep_text(char *to, size_t room, mg_str text) {
  if (text.n >= room) return false;
  if (text.n) memcpy(to, text.p, text.n);
  to[text.n] = '\0';
  return true;
}

static int read_json(struct mg_feed *feed, mg_str text, uint32_t cells, struct mg_doc *ret, struct mg_err *err) {
  struct mg_read how = {.limits = {MG_FEED_PAGE_MAX, 64, cells}};
  mg_arena_reset(&feed->arena);
  int code = mg_json_read(ret, &feed->arena, text, &how, err);
  if (code == 0 && !mg_is(mg_root(ret), MG_OBJECT)) code = mg_err_set(err, MG_E_INVALID, "the reply is no object");
  return code;
}

static int take_items(struct mg_feed *feed, mg_node items, struct mg_err *err) {
  bool news;
  for (mg_node item = mg_first(items); item.at; item = mg_next(item)) {
    struct mg_context_object *o = NULL;
    int code = mg_context_object_new(&o, feed->kind, item, err);
    if (code == 0) code = put(&feed->listed, o, &news, err);
    if (code < 0) return code;
  }
  return 0;
}

/* The last page decides nothing: all are of the version that the first one names. */
static int take_page(struct mg_feed *feed, mg_node page, bool *ret_more, struct mg_err *err) {
  mg_node meta = MG_GET(page, "metadata"), items = MG_GET(page, "items");
  mg_str version = mg_string(MG_GET(meta, "resourceVersion")), next = mg_string(MG_GET(meta, "continue"));
  if (!version.n || (!mg_missing(items) && !mg_is(items, MG_ARRAY))) return mg_err_set(err, MG_E_INVALID, "the reply is no list");
  if (!feed->next[0]) clear(&feed->listed);
  if (!keep_text(feed->list_version, sizeof feed->list_version, version) || !keep_text(feed->next, sizeof feed->next, next))
    return mg_err_set(err, MG_E_LIMIT, "the list's version or its continue token is too long");
  int code = take_items(feed, items, err);
  *ret_more = next.n > 0;
  return code;
}

int mg_feed_page_end(struct mg_feed *feed, bool *ret_more, struct mg_err *err) {
  struct mg_doc doc;
  int code = read_json(feed, mg_buf_str(&feed->in), PAGE_CELLS, &doc, err);
  if (code == 0) code = take_page(feed, mg_root(&doc), ret_more, err);
  mg_arena_reset(&feed->arena);
  mg_feed_begin(feed);
  if (code < 0 || *ret_more) return code;
  clear(&feed->known);
  feed->known = feed->listed;
  feed->listed = (struct mg_feed_objects){0};
  memcpy(feed->version, feed->list_version, sizeof feed->version);
  feed->list_bytes = 0;
  feed->changed = true;
  return 0;
}

/* ---- events ---- */

static int added(struct mg_feed *feed, mg_node object, bool *ret_gone, struct mg_err *err) {
  struct mg_context_object *o = NULL;
  (void)ret_gone;
  int code = mg_context_object_new(&o, feed->kind, object, err);
  return code < 0 ? code : put(&feed->known, o, &feed->changed, err);
}

static int deleted(struct mg_feed *feed, mg_node object, bool *ret_gone, struct mg_err *err) {
  struct mg_context_object o = {0};
  (void)ret_gone, (void)err;
  mg_context_identify(&o, feed->kind, object);
  drop(&feed->known, &o, &feed->changed);
  return 0;
}

static int bookmark(struct mg_feed *feed, mg_node object, bool *ret_gone, struct mg_err *err) {
  (void)feed, (void)object, (void)ret_gone, (void)err;
  return 0;
}

static int refused(struct mg_feed *feed, mg_node status, bool *ret_gone, struct mg_err *err) {
  int64_t code = 0;
  mg_str message = mg_string(MG_GET(status, "message"));
  (void)feed;
  *ret_gone = mg_int64(MG_GET(status, "code"), &code) && code == 410;
  if (message.n > 200) message.n = 200;
  return mg_err_set(err, MG_E_INVALID, "the watch ended with an error: %.*s", MG_FMT(message));
}

static const struct {
  const char *type;
  int (*take)(struct mg_feed *feed, mg_node object, bool *ret_gone, struct mg_err *err);
} events[] = {
    {"ADDED", added}, {"MODIFIED", added}, {"DELETED", deleted}, {"BOOKMARK", bookmark}, {"ERROR", refused},
};

static int take_event(struct mg_feed *feed, mg_str line, bool *ret_gone, struct mg_err *err) {
  struct mg_doc doc;
  int code = read_json(feed, line, LINE_CELLS, &doc, err);
  if (code < 0) return code;
  mg_node root = mg_root(&doc), object = MG_GET(root, "object");
  mg_str type = mg_string(MG_GET(root, "type")), version = mg_string(MG_GET(MG_GET(object, "metadata"), "resourceVersion"));
  size_t i = 0, n = sizeof events / sizeof *events;
  while (i < n && !mg_str_is(type, events[i].type)) i++;
  if (i == n) return mg_err_set(err, MG_E_INVALID, "an event of no known type");
  code = events[i].take(feed, object, ret_gone, err);
  if (code < 0) return code;
  if (!version.n || !keep_text(feed->version, sizeof feed->version, version))
    return mg_err_set(err, MG_E_INVALID, "an event without a version");
  feed->events++;
  return 0;
}

static bool is_blank(mg_str line) {
  size_t i = 0;
  while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\r' || line.p[i] == '\t')) i++;
  return i == line.n;
}

static void forget_first(struct mg_feed *feed, size_t n) {
  if (n == 0) return;
  memmove(feed->in.p, feed->in.p + n, feed->in.n - n);
  feed->in.n -= n;
}

int mg_feed_watch_bytes(struct mg_feed *feed, mg_str bytes, bool *ret_gone, struct mg_err *err) {
  size_t begin = 0;
  *ret_gone = false;
  int code = take(feed, bytes, "an event", MG_FEED_LINE_MAX, err);
  while (code == 0 && feed->in.n) {
    const char *end = memchr(feed->in.p + feed->scanned, '\n', feed->in.n - feed->scanned);
    if (!end) break;
    mg_str line = {feed->in.p + begin, (size_t)(end - feed->in.p) - begin};
    begin += line.n + 1;
    feed->scanned = begin;
    if (!is_blank(line)) code = take_event(feed, line, ret_gone, err);
  }
  forget_first(feed, begin);
  feed->scanned = feed->in.n;
  mg_arena_reset(&feed->arena);
  return code;
}
