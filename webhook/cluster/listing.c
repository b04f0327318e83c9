#include "cluster/listing.h"

#include <stdio.h>

#include "base/ascii.h"
#include "doc/json.h"

#define DEPTH 128
#define CELLS 4000000
#define MESSAGE_MAX 300
#define PATH_WORDS "abcdefghijklmnopqrstuvwxyz0123456789.-"
#define CONTINUE_MAX 4096
#define KEY_MAX 512
#define RESTARTS_MAX 3
#define EMPTY_MAX 100 /* pages in a row without an object */

/* ---- one reply ---- */

/* With the words of a v1 Status, if it is one. */
static int refused(mg_node status, int code, const char *path, struct mg_err *err) {
  MG_BUF_AUTO text;
  mg_str message = mg_string(MG_GET(status, "message"));
  mg_buf_init(&text, NULL, (size_t)4 * MESSAGE_MAX);
  if (message.n > MESSAGE_MAX) message.n = MESSAGE_MAX;
  mg_buf_clean(&text, message);
  return mg_err_set(err, MG_E_INVALID, "GET %s: status %d%s%.*s", path, code, text.n ? ": " : "", MG_FMT(mg_buf_str(&text)));
}

struct answer {
  struct mg_doc doc;
  int status;
};

/* An object, whatever the status; the text is copied to the arena, which is that of the page. */
static int get(struct mg_api *api, struct mg_arena *arena, const char *path, struct answer *ret, struct mg_err *err) {
  __attribute__((cleanup(mg_api_reply_fini))) struct mg_api_reply reply = {0};
  struct mg_read how = {.limits = {MG_LISTING_BODY_MAX, DEPTH, CELLS}};
  int code = mg_api_call(api, "GET", path, NULL, (mg_str){0}, &reply, err);
  if (code < 0) return code;
  ret->status = reply.status;
  ret->doc = (struct mg_doc){0};
  mg_str text = mg_arena_dup(arena, (mg_str){reply.body, reply.size});
  if (!text.p) return mg_err_nomem(err);
  code = mg_json_read(&ret->doc, arena, text, &how, err);
  if (code < 0) ret->doc = (struct mg_doc){0};
  if (code == MG_E_NOMEM || code == 0) return code;
  if (ret->status != 200) return 0; /* of a proxy in between, maybe; the status says enough */
  return mg_err_set(err, MG_E_INVALID, "GET %s: the reply is no JSON that can be read", path);
}

static mg_node root_of(struct answer *answer) {
  return answer->doc.cells ? mg_root(&answer->doc) : (mg_node){0};
}

/* ---- discovery ---- */

struct discovering {
  struct mg_api *api;
  struct mg_arena *arena, page;
  const struct mg_discovery *wants;
  struct mg_served *items;
  size_t count;
};

/* What goes into a path. */
static bool is_word(mg_str s) {
  for (size_t i = 0; i < s.n; i++)
    if (!s.p[i] || !strchr(PATH_WORDS, s.p[i])) return false;
  return s.n > 0 && s.n <= 253 && s.p[0] != '.';
}

static bool has_verb(mg_node resource, const char *verb) {
  mg_node verbs = MG_GET(resource, "verbs");
  for (mg_node v = mg_first(mg_as(verbs, MG_ARRAY)); v.at; v = mg_next(v))
    if (mg_str_is(mg_string(v), verb)) return true;
  return false;
}

static bool is_there(const struct discovering *d, mg_str group, mg_str kind) {
  for (size_t i = 0; i < d->count; i++)
    if (mg_str_is(group, d->items[i].group) && mg_str_is(kind, d->items[i].kind)) return true;
  return false;
}

static int add_resource(struct discovering *d, mg_str group, mg_str version, mg_node resource, struct mg_err *err) {
  mg_str name = mg_string(MG_GET(resource, "name")), kind = mg_string(MG_GET(resource, "kind"));
  if (!is_word(name) || !kind.n || !has_verb(resource, "list") || !d->wants->kind(d->wants->ctx, group, version, kind)) return 0;
  if (is_there(d, group, kind)) return 0;
  if (d->count == MG_LISTING_KINDS_MAX) return mg_err_set(err, MG_E_LIMIT, "more than %d kinds", MG_LISTING_KINDS_MAX);
  struct mg_served *to = &d->items[d->count];
  *to = (struct mg_served){.group = mg_arena_dup(d->arena, group).p,
                           .version = mg_arena_dup(d->arena, version).p,
                           .kind = mg_arena_dup(d->arena, kind).p,
                           .resource = mg_arena_dup(d->arena, name).p,
                           .namespaced = mg_true(MG_GET(resource, "namespaced"))};
  if (!to->group || !to->version || !to->kind || !to->resource) return mg_err_nomem(err);
  d->count++;
  return 0;
}

static int add_version(struct discovering *d, mg_str group, mg_str version, struct mg_err *err) {
  struct answer answer;
  char path[600];
  (void)snprintf(path, sizeof path, "/%s%.*s/%.*s", group.n ? "apis/" : "api", MG_FMT(group), MG_FMT(version));
  mg_arena_reset(&d->page);
  int code = get(d->api, &d->page, path, &answer, err);
  if (code == 0 && answer.status == 404) return 0;
  if (code == 0 && answer.status != 200) code = refused(root_of(&answer), answer.status, path, err);
  if (code == MG_E_NOMEM) return code;
  if (code < 0) {
    d->wants->trouble(d->wants->ctx, path, err);
    return 0;
  }
  mg_node resources = MG_GET(root_of(&answer), "resources");
  for (mg_node r = mg_first(mg_as(resources, MG_ARRAY)); r.at && code == 0; r = mg_next(r))
    code = add_resource(d, group, version, r, err);
  return code;
}

static int add_groups(struct discovering *d, mg_node groups, struct mg_err *err) {
  int code = 0;
  for (mg_node g = mg_first(groups); g.at; g = mg_next(g)) {
    mg_str name = mg_string(MG_GET(g, "name"));
    mg_node versions = MG_GET(g, "versions");
    if (!is_word(name) || !mg_is(versions, MG_ARRAY) || !d->wants->group(d->wants->ctx, name)) continue;
    for (mg_node v = mg_first(versions); v.at && code == 0; v = mg_next(v)) {
      mg_str version = mg_string(MG_GET(v, "version"));
      if (is_word(version)) code = add_version(d, name, version, err);
    }
    if (code < 0) return code;
  }
  return 0;
}

static void fini(struct discovering *d) {
  mg_arena_fini(&d->page);
}

int mg_discover(struct mg_api *api, struct mg_arena *arena, const struct mg_discovery *wants, struct mg_served **ret,
                size_t *ret_count, struct mg_err *err) {
  __attribute__((cleanup(fini))) struct discovering d = {.api = api, .arena = arena, .wants = wants};
  struct answer answer;
  mg_arena_init(&d.page, 8 * MG_LISTING_BODY_MAX, 0);
  d.items = MG_NEW_N(arena, struct mg_served, MG_LISTING_KINDS_MAX);
  if (!d.items) return mg_err_nomem(err);
  int code = get(api, arena, "/apis", &answer, err);
  if (code == 0 && answer.status != 200) code = refused(root_of(&answer), answer.status, "/apis", err);
  if (code < 0) return code;
  mg_node groups = MG_GET(root_of(&answer), "groups");
  if (!mg_is(groups, MG_ARRAY)) return mg_err_set(err, MG_E_INVALID, "GET /apis: the reply is no list of groups");
  if (wants->group(wants->ctx, MG_S(""))) code = add_version(&d, MG_S(""), MG_S("v1"), err);
  if (code == 0) code = add_groups(&d, groups, err);
  *ret = d.items;
  *ret_count = d.count;
  return code;
}

/* ---- pages ---- */

struct pages {
  const struct mg_listing *of;
  const struct mg_served *kind;
  char next[CONTINUE_MAX]; /* "": the list begins */
  char last[KEY_MAX];      /* namespace/name of the last object that was given away */
  uint64_t objects;
  unsigned limit, restarts, empty;
  bool again; /* the list began anew: what is not behind `last` was given away */
};

static void put_escaped(struct mg_buf *out, const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    bool plain = mg_is_alnum((char)c) || strchr("-._~", c);
    mg_buf_printf(out, plain ? "%c" : "%%%02X", c);
  }
}

static void put_path(struct mg_buf *out, const struct pages *p) {
  const struct mg_served *kind = p->kind;
  if (*kind->group) mg_buf_printf(out, "/apis/%s/%s", kind->group, kind->version);
  else mg_buf_printf(out, "/api/%s", kind->version);
  if (p->of->ns && kind->namespaced) {
    mg_buf_lit(out, "/namespaces/");
    put_escaped(out, p->of->ns);
  }
  mg_buf_printf(out, "/%s", kind->resource);
}

static void put_query(struct mg_buf *out, const struct pages *p) {
  mg_buf_printf(out, "?limit=%u", p->limit);
  if (p->of->selector) {
    mg_buf_lit(out, "&labelSelector=");
    put_escaped(out, p->of->selector);
  }
  if (*p->next) {
    mg_buf_lit(out, "&continue=");
    put_escaped(out, p->next);
  }
}

/* As etcd orders them. */
static bool make_key(mg_node object, char *to) {
  mg_node meta = MG_GET(object, "metadata");
  mg_str ns = mg_string(MG_GET(meta, "namespace")), name = mg_string(MG_GET(meta, "name"));
  return (size_t)snprintf(to, KEY_MAX, "%.*s/%.*s", MG_FMT(ns), MG_FMT(name)) < KEY_MAX;
}

static int give_items(struct pages *p, mg_node items, struct mg_err *err) {
  char key[KEY_MAX];
  for (mg_node item = mg_first(items); item.at; item = mg_next(item)) {
    bool keyed = make_key(item, key);
    if (p->again && keyed && strcmp(key, p->last) <= 0) continue;
    if (++p->objects > MG_LISTING_OBJECTS_MAX)
      return mg_err_set(err, MG_E_LIMIT, "more than %d of %s", MG_LISTING_OBJECTS_MAX, p->kind->resource);
    int code = p->of->object(p->of->ctx, item, err);
    if (code < 0) return code;
    if (keyed) memcpy(p->last, key, sizeof key);
  }
  return 0;
}

static int keep_next(struct pages *p, mg_str next, const char *path, struct mg_err *err) {
  if (next.n >= sizeof p->next || memchr(next.p ? next.p : "", '\0', next.n))
    return mg_err_set(err, MG_E_INVALID, "GET %s: a continue token that cannot be used", path);
  if (next.n) memcpy(p->next, next.p, next.n);
  p->next[next.n] = '\0';
  return next.n > 0;
}

static int take_page(struct pages *p, mg_node list, const char *path, struct mg_err *err) {
  mg_node items = MG_GET(list, "items");
  mg_str next = mg_string(MG_GET(MG_GET(list, "metadata"), "continue"));
  if (!mg_is(list, MG_OBJECT) || (!mg_missing(items) && !mg_is(items, MG_ARRAY)))
    return mg_err_set(err, MG_E_INVALID, "GET %s: the reply is no list", path);
  p->empty = mg_count(items) ? 0 : p->empty + 1;
  if (p->empty > EMPTY_MAX) return mg_err_set(err, MG_E_INVALID, "GET %s: the list does not end", path);
  int code = give_items(p, items, err);
  return code < 0 ? code : keep_next(p, next, path, err);
}

/* The version that the list began with is gone. The server offers to go on with what there is now; else it is begun anew, and
 * what was given away is passed over. */
static int go_on(struct pages *p, mg_node status, const char *path, struct mg_err *err) {
  if (++p->restarts > RESTARTS_MAX) return refused(status, 410, path, err);
  int more = keep_next(p, mg_string(MG_GET(MG_GET(status, "metadata"), "continue")), path, err);
  if (more == 0) p->again = *p->last != '\0';
  return more < 0 ? more : 1;
}

/* 1: another page is due. */
static int one_page(struct pages *p, struct mg_err *err) {
  MG_BUF_AUTO path, target;
  struct answer answer;
  mg_buf_init(&path, NULL, MG_API_PATH_MAX);
  mg_buf_init(&target, NULL, MG_API_PATH_MAX);
  put_path(&path, p);
  mg_buf_byte(&path, '\0');
  put_path(&target, p);
  put_query(&target, p);
  mg_buf_byte(&target, '\0');
  if (path.failed || target.failed) return mg_err_set(err, MG_E_LIMIT, "the selector is too long, or out of memory");
  mg_arena_reset(p->of->arena);
  int code = get(p->of->api, p->of->arena, target.p, &answer, err);
  if (code == MG_E_LIMIT && p->limit > 1) {
    p->limit /= 2;
    return 1;
  }
  if (code < 0) return code;
  if (answer.status == 410) return go_on(p, root_of(&answer), path.p, err);
  if (answer.status != 200) return refused(root_of(&answer), answer.status, path.p, err);
  return take_page(p, root_of(&answer), path.p, err);
}

int mg_list(const struct mg_listing *listing, const struct mg_served *kind, struct mg_err *err) {
  struct pages pages = {.of = listing, .kind = kind, .limit = MG_LISTING_PAGE};
  int code;
  do code = one_page(&pages, err);
  while (code > 0);
  return code;
}
