#include "doc/patch.h"

#include "doc/json.h"

/* The cells of an editable doc; NULL where nothing may change. No pointer into it may be kept across mg_doc_add. */
static struct mg_cell *cells_of(mg_node n) {
  return n.at && n.doc && n.doc->arena ? n.doc->cells : NULL;
}

static mg_node absent_in(struct mg_doc *doc) {
  return (mg_node){doc, 0};
}

/* --- new values --- */

static uint32_t add_fresh(struct mg_doc *doc, enum mg_kind kind, uint32_t parent, mg_str text) {
  if (text.n >= MG_DOC_MAX_BYTES) {
    if (doc->arena) doc->arena->failed = true;
    return 0;
  }
  uint32_t at = mg_doc_add(doc, kind, parent, UINT32_MAX);
  if (!at) {
    if (doc->arena) doc->arena->failed = true; /* also where not memory, but the number of cells is used up */
    return 0;
  }
  struct mg_cell *c = &doc->cells[at];
  c->text = text.p;
  c->len = (uint32_t)text.n & (MG_DOC_MAX_BYTES - 1);
  c->fresh = 1;
  return at;
}

mg_node mg_make(struct mg_doc *doc, enum mg_kind kind) {
  bool empty = kind == MG_NULL || kind == MG_ARRAY || kind == MG_OBJECT;
  return (mg_node){doc, doc && empty ? add_fresh(doc, kind, 0, (mg_str){0}) : 0};
}

mg_node mg_make_text(struct mg_doc *doc, enum mg_kind kind, mg_str text) {
  bool scalar = kind == MG_BOOL || kind == MG_NUMBER || kind == MG_STRING;
  return (mg_node){doc, doc && scalar ? add_fresh(doc, kind, 0, text) : 0};
}

static uint32_t copy_cell(struct mg_doc *doc, mg_node from, uint32_t parent) {
  return add_fresh(doc, mg_kind_of(from), parent, mg_text(from));
}

mg_node mg_make_copy(struct mg_doc *doc, mg_node from) {
  mg_node top = mg_is(from, MG_KEY) ? mg_value(from) : from, source = top;
  uint32_t copy = doc && top.at ? copy_cell(doc, top, 0) : 0, at = copy;
  while (at) {
    const struct mg_cell *s = mg_cell_of(source);
    if (s->first) {
      source.at = s->first;
      uint32_t child = copy_cell(doc, source, at);
      if (child) doc->cells[at].first = child;
      at = child;
      continue;
    }
    while (source.at != top.at && !mg_cell_of(source)->next) {
      source.at = mg_cell_of(source)->parent;
      at = doc->cells[at].parent;
    }
    if (source.at == top.at) return (mg_node){doc, copy};
    source.at = mg_cell_of(source)->next;
    uint32_t sibling = copy_cell(doc, source, doc->cells[at].parent);
    if (sibling) doc->cells[at].next = sibling;
    at = sibling;
  }
  return absent_in(doc);
}

/* --- the tree --- */

/* Tells the writer that this container and what it lies in differ from the source. */
static void touch(mg_node container) {
  struct mg_cell *cells = container.doc->cells;
  for (uint32_t at = container.at; at; at = cells[at].parent) {
    if (cells[at].kind == MG_KEY) continue;
    if (cells[at].touched) break;
    cells[at].touched = 1;
  }
}

static bool is_within(mg_node n, uint32_t outer) {
  const struct mg_cell *cells = n.doc->cells;
  uint32_t at = n.at;
  while (at && at != outer) at = cells[at].parent;
  return at != 0;
}

/* A value that may be hung below `container`: itself, or a copy where it hangs somewhere already, is of another doc, or
 * stands in the source, for whoever edits it later must find it fresh. */
static mg_node adopt(mg_node container, mg_node value) {
  if (!value.at || !container.at) return absent_in(container.doc);
  bool free = value.doc == container.doc && mg_cell_of(value)->fresh && !mg_is(value, MG_KEY) && !mg_cell_of(value)->parent;
  return free && !is_within(container, value.at) ? value : mg_make_copy(container.doc, value);
}

static void hang(mg_node value, uint32_t parent) {
  value.doc->cells[value.at].parent = parent;
  value.doc->cells[value.at].next = 0;
}

static uint32_t last_child(mg_node container) {
  const struct mg_cell *cells = container.doc->cells;
  uint32_t at = cells[container.at].first;
  while (at && cells[at].next) at = cells[at].next;
  return at;
}

/* Puts `child`, whose parent is set, behind `before`, or first. */
static void link_behind(mg_node container, uint32_t before, uint32_t child) {
  struct mg_cell *cells = container.doc->cells;
  uint32_t *slot = before ? &cells[before].next : &cells[container.at].first;
  cells[child].next = *slot;
  *slot = child;
  touch(container);
}

/* Sets the member and returns its value's node; *ret_new tells whether the key is new. Absent when nothing changed. */
static mg_node put_member(mg_node object, mg_str key, mg_node value, bool *ret_new) {
  mg_node fresh = mg_is(object, MG_OBJECT) && cells_of(object) ? adopt(object, value) : absent_in(object.doc);
  if (!fresh.at) return fresh;
  mg_node member = mg_get_key(object, key);
  *ret_new = !member.at;
  if (!member.at) {
    uint32_t last = last_child(object);
    member.at = add_fresh(object.doc, MG_KEY, object.at, key);
    if (!member.at) return absent_in(object.doc);
    link_behind(object, last, member.at);
  }
  uint32_t old = mg_value(member).at;
  if (old) object.doc->cells[old].parent = 0;
  hang(fresh, member.at);
  object.doc->cells[member.at].first = fresh.at;
  touch(object);
  return fresh;
}

/* Puts an item before the index; *ret_last tells whether that is the end. Absent when nothing changed. */
static mg_node put_item(mg_node array, uint32_t index, mg_node value, bool *ret_last) {
  mg_node fresh = mg_is(array, MG_ARRAY) && cells_of(array) ? adopt(array, value) : absent_in(array.doc);
  if (!fresh.at) return fresh;
  const struct mg_cell *cells = array.doc->cells;
  uint32_t before = 0, at = cells[array.at].first;
  for (; at && index > 0; index--, at = cells[at].next) before = at;
  *ret_last = !at;
  hang(fresh, array.at);
  link_behind(array, before, fresh.at);
  return fresh;
}

mg_node mg_make_aside(mg_node object, const mg_str *keys, size_t count, mg_node value) {
  uint32_t parent = value.at && value.doc == object.doc ? object.at : 0;
  for (size_t i = 0; i < count && parent; i++) {
    uint32_t key = add_fresh(object.doc, MG_KEY, parent, keys[i]);
    parent = key && i + 1 < count ? add_fresh(object.doc, MG_OBJECT, key, (mg_str){0}) : key;
    if (!parent) break;
    object.doc->cells[key].first = i + 1 < count ? parent : value.at;
  }
  if (!parent) return absent_in(object.doc);
  hang(value, parent);
  return value;
}

void mg_put(mg_node object, mg_str key, mg_node value) {
  bool added;
  put_member(object, key, value, &added);
}

void mg_push(mg_node array, mg_node value) {
  bool last;
  put_item(array, UINT32_MAX, value, &last);
}

void mg_put_all(mg_node container, mg_node from) {
  mg_node copy = cells_of(container) ? mg_make_copy(container.doc, from) : absent_in(container.doc);
  if (!copy.at || mg_kind_of(copy) != mg_kind_of(container)) return;
  struct mg_cell *cells = container.doc->cells;
  cells[container.at].first = cells[copy.at].first;
  for (uint32_t at = cells[container.at].first; at; at = cells[at].next) cells[at].parent = container.at;
  touch(container);
}

/* --- recorded edits --- */

void mg_patch_init(struct mg_patch *patch, struct mg_arena *arena, mg_node root) {
  *patch = (struct mg_patch){.arena = arena, .root = root};
}

static void record(struct mg_patch *patch, enum mg_op_kind kind, mg_str pointer, mg_node value) {
  if (!pointer.p) return; /* out of memory, and the arena says so */
  if (patch->count == patch->cap) {
    uint32_t cap = patch->cap ? patch->cap * 2 : 16;
    struct mg_op *ops = mg_arena_grow(patch->arena, patch->ops, patch->cap * sizeof(*ops), cap * sizeof(*ops));
    if (!ops) return;
    patch->ops = ops;
    patch->cap = cap;
  }
  patch->ops[patch->count++] = (struct mg_op){kind, pointer, value};
}

/* What lies in a fresh container is written when the operation that added the container is; what an edit took out of the
 * tree concerns nobody. */
static bool is_recorded(const struct mg_patch *patch, mg_node container) {
  return !mg_cell_of(container)->fresh && is_within(container, patch->root.at ? patch->root.at : 1);
}

void mg_patch_set(struct mg_patch *patch, mg_node object, mg_str key, mg_node value) {
  bool added = false;
  mg_node put = put_member(object, key, value, &added);
  patch->edits++;
  if (!put.at || !is_recorded(patch, object)) return;
  record(patch, added ? MG_OP_ADD : MG_OP_REPLACE, mg_pointer(patch->arena, patch->root, put), put);
}

/* The array's pointer with "/-" behind it. */
static mg_str append_pointer(struct mg_arena *arena, mg_str array) {
  char *p = array.p ? mg_arena_alloc(arena, array.n + 2) : NULL;
  if (!p) return (mg_str){0};
  memcpy(p, array.p, array.n);
  p[array.n] = '/';
  p[array.n + 1] = '-';
  return (mg_str){p, array.n + 2};
}

void mg_patch_insert(struct mg_patch *patch, mg_node array, uint32_t index, mg_node value) {
  bool last = false;
  mg_node put = put_item(array, index, value, &last);
  patch->edits++;
  if (!put.at || !is_recorded(patch, array)) return;
  mg_str pointer = last ? mg_pointer(patch->arena, patch->root, array) : mg_pointer(patch->arena, patch->root, put);
  if (last) pointer = append_pointer(patch->arena, pointer);
  record(patch, MG_OP_ADD, pointer, put);
}

void mg_patch_append(struct mg_patch *patch, mg_node array, mg_node value) {
  mg_patch_insert(patch, array, UINT32_MAX, value);
}

void mg_patch_remove(struct mg_patch *patch, mg_node object, mg_str key) {
  struct mg_cell *cells = cells_of(object);
  mg_node member = cells ? mg_get_key(object, key) : absent_in(object.doc);
  if (!member.at) return;
  mg_str pointer = is_recorded(patch, object) ? mg_pointer(patch->arena, patch->root, member) : (mg_str){0};
  uint32_t *slot = &cells[object.at].first;
  while (*slot != member.at) slot = &cells[*slot].next;
  *slot = cells[member.at].next;
  cells[cells[member.at].first].parent = 0; /* the value may be hung elsewhere */
  touch(object);
  patch->edits++;
  if (is_recorded(patch, object)) record(patch, MG_OP_REMOVE, pointer, absent_in(object.doc));
}

mg_node mg_patch_child(struct mg_patch *patch, mg_node object, mg_str key, enum mg_kind kind) {
  mg_node child = mg_get(object, key);
  if (mg_is(child, kind) && kind >= MG_ARRAY) return child;
  if (!mg_missing(child) || kind < MG_ARRAY || !mg_is(object, MG_OBJECT)) return absent_in(object.doc);
  mg_patch_set(patch, object, key, mg_make(object.doc, kind));
  child = mg_get(object, key);
  return mg_is(child, kind) ? child : absent_in(object.doc);
}

void mg_patch_write(struct mg_buf *buf, const struct mg_patch *patch) {
  static const mg_str begins[] = {
    [MG_OP_ADD] = {"{\"op\":\"add\",\"path\":", 19},
    [MG_OP_REPLACE] = {"{\"op\":\"replace\",\"path\":", 23},
    [MG_OP_REMOVE] = {"{\"op\":\"remove\",\"path\":", 22},
  };
  mg_buf_byte(buf, '[');
  for (uint32_t i = 0; i < patch->count; i++) {
    const struct mg_op *op = &patch->ops[i];
    if (i) mg_buf_byte(buf, ',');
    mg_buf_put(buf, begins[op->kind]);
    mg_buf_json(buf, op->pointer);
    if (op->kind != MG_OP_REMOVE) {
      mg_buf_lit(buf, ",\"value\":");
      mg_json_write(buf, op->value);
    }
    mg_buf_byte(buf, '}');
  }
  mg_buf_byte(buf, ']');
}
