/* One object of the context in one block of memory: the struct, its cells, its text, and what of the text had escapes. */
#include <stdlib.h>

#include "doc/json.h"
#include "kube/context.h"

#define OBJECT_BYTES ((size_t)4 << 20)
#define OBJECT_CELLS 400000
#define OBJECT_ARENA ((size_t)96 << 20)

/* ---- what is kept ---- */

static const char *const unread[] = {"apiVersion", "kind", "status", NULL};
static const char *const unread_quota[] = {"apiVersion", "kind", NULL}; /* what is used of it stands in its status */
static const char *const unread_metadata[] = {"managedFields", "uid", "resourceVersion", "generation", "creationTimestamp",
                                              "selfLink", NULL};
static const char *const unread_annotations[] = {"kubectl.kubernetes.io/last-applied-configuration", NULL};

static bool is_one_of(mg_str key, const char *const *words) {
  for (; *words; words++)
    if (mg_str_is(key, *words)) return true;
  return false;
}

static void put_key(struct mg_buf *out, mg_node key) {
  if (out->n && out->p[out->n - 1] != '{') mg_buf_byte(out, ',');
  mg_buf_json(out, mg_text(key));
  mg_buf_byte(out, ':');
}

/* The members of an object but for some; that of the key `special`, if it is not NULL, is written by `write`. */
static void put_members(struct mg_buf *out, mg_node object, const char *const *but, const char *special,
                        void (*write)(struct mg_buf *out, mg_node value)) {
  if (!mg_is(object, MG_OBJECT)) {
    mg_json_write(out, object);
    return;
  }
  mg_buf_byte(out, '{');
  for (mg_node key = mg_first(object); key.at; key = mg_next(key)) {
    if (is_one_of(mg_text(key), but)) continue;
    put_key(out, key);
    if (special && mg_str_is(mg_text(key), special)) write(out, mg_value(key));
    else mg_json_write(out, mg_value(key));
  }
  mg_buf_byte(out, '}');
}

static void put_annotations(struct mg_buf *out, mg_node annotations) {
  put_members(out, annotations, unread_annotations, NULL, NULL);
}

static void put_metadata(struct mg_buf *out, mg_node metadata) {
  put_members(out, metadata, unread_metadata, "annotations", put_annotations);
}

/* ---- one block ---- */

static bool within(mg_str text, const char *p) {
  return p >= text.p && p < text.p + text.n;
}

static struct mg_context_object *pack(const struct mg_doc *doc) {
  size_t cells = doc->count * sizeof *doc->cells, beside = 0;
  for (uint32_t i = 0; i < doc->count; i++)
    if (doc->cells[i].len && !within(doc->source, doc->cells[i].text)) beside += doc->cells[i].len;
  struct mg_context_object *o = malloc(sizeof *o + cells + doc->source.n + beside);
  if (!o) return NULL;
  struct mg_cell *to = (struct mg_cell *)(void *)(o + 1);
  char *text = (char *)to + cells, *rest = text + doc->source.n;
  memcpy(to, doc->cells, cells);
  memcpy(text, doc->source.p, doc->source.n);
  for (uint32_t i = 0; i < doc->count; i++) {
    struct mg_cell *c = &to[i];
    if (!c->text) continue;
    if (within(doc->source, c->text) || !c->len) {
      c->text = c->len ? text + (c->text - doc->source.p) : text;
      continue;
    }
    memcpy(rest, c->text, c->len);
    c->text = rest;
    rest += c->len;
  }
  *o = (struct mg_context_object){
      .doc = {.cells = to, .count = doc->count, .cap = doc->count, .source = {text, doc->source.n}, .is_json = true}};
  atomic_init(&o->refs, 1);
  return o;
}

static int make(struct mg_context_object **ret, enum mg_context_kind kind, mg_node object, struct mg_arena *arena,
                struct mg_err *err) {
  struct mg_buf out;
  struct mg_doc doc;
  struct mg_read how = {.limits = {OBJECT_BYTES, 64, OBJECT_CELLS}};
  mg_str name = mg_string(MG_GET(MG_GET(object, "metadata"), "name"));
  mg_str ns = mg_string(MG_GET(MG_GET(object, "metadata"), "namespace"));
  if (!name.n || name.n > MG_CONTEXT_NAME_MAX || ns.n > MG_CONTEXT_NAME_MAX)
    return mg_err_set(err, MG_E_INVALID, "a %s without a name", mg_context_kind_name(kind));
  mg_buf_init(&out, arena, OBJECT_BYTES);
  put_members(&out, object, kind == MG_CTX_RESOURCE_QUOTA ? unread_quota : unread, "metadata", put_metadata);
  if (out.failed) return mg_err_set(err, MG_E_LIMIT, "a %s is larger than %zu bytes", mg_context_kind_name(kind), OBJECT_BYTES);
  int code = mg_json_read(&doc, arena, mg_buf_str(&out), &how, err);
  if (code < 0) return code;
  struct mg_context_object *o = pack(&doc);
  if (!o) return mg_err_nomem(err);
  mg_context_identify(o, kind, mg_root(&o->doc));
  *ret = o;
  return 0;
}

int mg_context_object_new(struct mg_context_object **ret, enum mg_context_kind kind, mg_node object, struct mg_err *err) {
  struct mg_arena arena;
  mg_arena_init(&arena, OBJECT_ARENA, 0);
  int code = make(ret, kind, object, &arena, err);
  mg_arena_fini(&arena);
  return code;
}

struct mg_context_object *mg_context_object_ref(struct mg_context_object *object) {
  if (!object->borrowed) atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
  return object;
}

void mg_context_object_unref(struct mg_context_object *o) {
  if (o && !o->borrowed && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1) free(o);
}

bool mg_context_object_same(const struct mg_context_object *a, const struct mg_context_object *b) {
  return mg_str_eq(a->doc.source, b->doc.source);
}
