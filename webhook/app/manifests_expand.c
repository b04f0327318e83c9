/* The template of the manifests with its variables put in: always whole values of a tree, so that no text of a user's can become
 * anything but a string. */
#include "app/manifests.h"

struct scope {
  mg_node item, variables; /* members of the item come first */
  struct mg_arena *arena;
  struct mg_err *err;
  int code;
};

static mg_node lookup(const struct scope *s, mg_str name) {
  mg_node value = mg_get(s->item, name);
  return value.at ? value : mg_get(s->variables, name);
}

bool mg_manifests_reference(mg_str s, mg_str *ret_name) {
  size_t end = mg_str_find(s, '}');
  if (!mg_str_starts(s, MG_S("${")) || end == s.n) return false;
  *ret_name = (mg_str){s.p + 2, end - 2};
  return true;
}

/* A string with variables inside; absent where one of them is. */
static mg_node expand_text(struct scope *s, mg_str text) {
  struct mg_doc *doc = s->variables.doc;
  struct mg_buf buf;
  mg_str name;
  mg_buf_init(&buf, s->arena, MG_MANIFESTS_FILE_MAX);
  while (text.n) {
    size_t dollar = mg_str_find(text, '$');
    mg_buf_put(&buf, (mg_str){text.p, dollar});
    text = mg_str_from(text, dollar);
    if (!text.n) break;
    if (mg_manifests_reference(text, &name)) {
      mg_node value = lookup(s, name);
      if (!value.at) return (mg_node){doc, 0};
      mg_buf_put(&buf, mg_text(value));
      text = mg_str_from(text, name.n + 3);
    } else {
      mg_buf_byte(&buf, '$');
      text = mg_str_from(text, 1);
    }
  }
  if (buf.failed) s->code = mg_err_nomem(s->err);
  return mg_make_text(doc, MG_STRING, buf.n ? mg_buf_str(&buf) : MG_S(""));
}

static mg_node expand(struct scope *s, mg_node n);

static mg_node expand_object(struct scope *s, mg_node n) {
  struct mg_doc *doc = s->variables.doc;
  mg_node when = MG_GET(n, "when");
  if (when.at && !lookup(s, mg_text(when)).at) return (mg_node){doc, 0};
  if (when.at && MG_GET(n, "item").at) return expand(s, MG_GET(n, "item"));
  mg_node ret = mg_make(doc, MG_OBJECT);
  for (mg_node key = mg_first(n); key.at; key = mg_next(key))
    if (!mg_str_is(mg_text(key), "when")) mg_put(ret, mg_text(key), expand(s, mg_value(key)));
  return ret;
}

/* A variable that is a list stands for its items. */
static void expand_item(struct scope *s, mg_node list, mg_node item) {
  mg_node value = expand(s, item);
  if (!mg_is(item, MG_STRING) || !mg_is(value, MG_ARRAY)) {
    mg_push(list, value);
    return;
  }
  for (mg_node n = mg_first(value); n.at; n = mg_next(n)) mg_push(list, mg_make_copy(list.doc, n));
}

/* What is absent is left out of whatever holds it. */
static mg_node expand(struct scope *s, mg_node n) {
  struct mg_doc *doc = s->variables.doc;
  mg_str name, text = mg_text(n);
  if (mg_is(n, MG_OBJECT)) return expand_object(s, n);
  if (mg_is(n, MG_ARRAY)) {
    mg_node ret = mg_make(doc, MG_ARRAY);
    for (mg_node item = mg_first(n); item.at; item = mg_next(item)) expand_item(s, ret, item);
    return ret;
  }
  if (!mg_is(n, MG_STRING)) return mg_make_copy(doc, n);
  if (mg_manifests_reference(text, &name) && name.n + 3 == text.n) return mg_make_copy(doc, lookup(s, name));
  return expand_text(s, text);
}

static void emit_one(struct scope *s, mg_node entry, mg_manifest_fn emit, void *ctx) {
  mg_node file = expand(s, MG_GET(entry, "file")), object = expand(s, MG_GET(entry, "object"));
  if (s->arena->failed) s->code = mg_err_nomem(s->err);
  else if (s->code == 0) s->code = emit(ctx, mg_text(file), object, s->err);
}

int mg_manifests_expand(mg_node skeleton, mg_node variables, mg_manifest_fn emit, void *ctx, struct mg_err *err) {
  struct scope s = {.variables = variables, .arena = variables.doc->arena, .err = err};
  for (mg_node entry = mg_first(MG_GET(skeleton, "objects")); entry.at && s.code == 0; entry = mg_next(entry)) {
    mg_node when = MG_GET(entry, "when"), each = MG_GET(entry, "each");
    s.item = (mg_node){0};
    if (when.at && !lookup(&s, mg_text(when)).at) continue;
    if (!each.at) {
      emit_one(&s, entry, emit, ctx);
      continue;
    }
    for (s.item = mg_first(lookup(&s, mg_text(each))); s.item.at && s.code == 0; s.item = mg_next(s.item))
      emit_one(&s, entry, emit, ctx);
  }
  return s.code;
}
