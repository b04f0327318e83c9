/* The document model: JSON, YAML, reviews, manifests, policies and context are all read into this one tree of cells.
 * A doc lives in an arena and borrows its source text, which must outlive it. Reading changes nothing; the only
 * writers are the readers and doc/patch.h. */
#pragma once
#include "base/arena.h"
#include "base/err.h"

enum mg_kind { MG_ABSENT, MG_NULL, MG_BOOL, MG_NUMBER, MG_STRING, MG_KEY, MG_ARRAY, MG_OBJECT };

/* One value or key. An object's children are keys, a key's only child is its value, an array's children are its items. */
struct mg_cell {
  const char *text;    /* scalars and keys: the content, unescaped; not NUL-terminated */
  uint32_t len : 27;   /* of text */
  uint32_t kind : 3;
  uint32_t fresh : 1;   /* made by an edit: has no place in the source */
  uint32_t touched : 1; /* container that an edit changed */
  uint32_t start, end; /* bytes of the source [start, end); a fresh cell has end == 0; what an alias brings stands at the alias */
  uint32_t parent, next, first; /* cell numbers; 0: none */
};

#define MG_DOC_MAX_BYTES ((size_t)1 << 27)

struct mg_limits {
  size_t bytes;   /* of source; never above MG_DOC_MAX_BYTES */
  uint32_t depth; /* of nested containers */
  uint32_t cells; /* keys and values, aliases expanded */
};

/* Known places of a file: where each line begins, and more of them in long lines; worked out when a position is first asked
 * for. */
struct mg_lines {
  struct mg_mark {
    uint32_t offset, line, column;
  } *marks;
  uint32_t count;
};

struct mg_doc {
  struct mg_cell *cells; /* [0] is the absent cell, [1] the root */
  uint32_t count, cap;
  struct mg_arena *arena; /* where edits take their memory; NULL after sealing */
  mg_str source;          /* the whole file or body, also when it holds several documents */
  const char *file;       /* for positions; NULL: from the wire */
  bool is_json;           /* spans can be copied as JSON */
  struct mg_lines *lines; /* shared by the docs of a file; NULL: each position is counted from the beginning */
};

/* A place in a doc. at == 0: absent, and every accessor takes it. */
typedef struct mg_node {
  struct mg_doc *doc;
  uint32_t at;
} mg_node;

struct mg_pos {
  const char *file;
  uint32_t line, column; /* 1-based, column in code points */
};

static inline const struct mg_cell *mg_cell_of(mg_node n) {
  static const struct mg_cell absent;
  return n.doc ? &n.doc->cells[n.at] : &absent;
}

static inline enum mg_kind mg_kind_of(mg_node n) {
  return (enum mg_kind)mg_cell_of(n)->kind;
}

static inline bool mg_is(mg_node n, enum mg_kind kind) {
  return mg_cell_of(n)->kind == kind;
}

/* The node where it is of that kind, else an absent one. */
static inline mg_node mg_as(mg_node n, enum mg_kind kind) {
  return mg_is(n, kind) ? n : (mg_node){0};
}

/* Absent or null: what Kubernetes treats alike. */
static inline bool mg_missing(mg_node n) {
  return mg_cell_of(n)->kind <= MG_NULL;
}

static inline bool mg_same(mg_node a, mg_node b) {
  return a.doc == b.doc && a.at == b.at;
}

static inline mg_node mg_root(struct mg_doc *doc) {
  return (mg_node){doc, doc->count > 1 ? 1u : 0u};
}

/* The children: keys of an object, items of an array. for (n = mg_first(x); n.at; n = mg_next(n)) */
static inline mg_node mg_first(mg_node container) {
  return (mg_node){container.doc, mg_cell_of(container)->kind >= MG_ARRAY ? mg_cell_of(container)->first : 0};
}

static inline mg_node mg_next(mg_node child) {
  return (mg_node){child.doc, mg_cell_of(child)->next};
}

/* The value of a key that mg_first / mg_next gave. */
static inline mg_node mg_value(mg_node key) {
  return (mg_node){key.doc, mg_cell_of(key)->kind == MG_KEY ? mg_cell_of(key)->first : 0};
}

/* Content of a string, number, boolean ("true") or key; {NULL, 0} of anything else. */
static inline mg_str mg_text(mg_node n) {
  const struct mg_cell *c = mg_cell_of(n);
  return c->kind >= MG_BOOL && c->kind <= MG_KEY ? (mg_str){c->text, c->len} : (mg_str){0};
}

/* Content of a string only. */
static inline mg_str mg_string(mg_node n) {
  return mg_is(n, MG_STRING) ? mg_text(n) : (mg_str){0};
}

mg_node mg_get_key(mg_node object, mg_str key);           /* the key cell; absent if not an object or no such key */
mg_node mg_get(mg_node object, mg_str key);               /* the value */
mg_node mg_item(mg_node array, uint32_t index);           /* absent past the end */
uint32_t mg_count(mg_node container);                     /* items or members; 0 of anything else */
#define MG_GET(object, literal) mg_get((object), MG_S(literal))

/* The container that holds n: for a value of an object, the object. Absent of the root. */
mg_node mg_parent(mg_node n);
/* The key cell of an object's value; absent of an item or of the root. */
mg_node mg_key_of(mg_node value);
/* Index of an item in its array; 0 of anything else. */
uint32_t mg_index_of(mg_node item);

bool mg_true(mg_node n); /* the boolean true and nothing else */
/* A JSON number that is an integer within int64 ("8", "1e3" is none). */
bool mg_int64(mg_node n, int64_t *ret);
/* Same kind and value: numbers by value, objects without regard to order. */
bool mg_equal(mg_node a, mg_node b);

/* RFC 6901 pointer from `base` (itself "") or, with an absent base, from the root; spec.containers[0] form for people. */
mg_str mg_pointer(struct mg_arena *arena, mg_node base, mg_node n);
mg_str mg_path(struct mg_arena *arena, mg_node base, mg_node n);
bool mg_path_is_plain(mg_str key); /* else it stands in brackets and quotes there */

/* Where a person looks for it: the key of a member, the first character of an item or root; of a fresh cell, its nearest
 * parent that stands in the source. False for a review from the wire, with ret zeroed. */
bool mg_pos(mg_node n, struct mg_pos *ret);
/* The first character of the value itself. */
bool mg_value_pos(mg_node n, struct mg_pos *ret);
/* Line and column of a byte offset, both 1-based. */
void mg_line_of(mg_str source, size_t offset, uint32_t *ret_line, uint32_t *ret_column);

/* For the two readers. mg_doc_init allocates cell 0. mg_doc_add returns 0 when memory or limits->cells is used up;
 * the cell knows its parent, but first and next are for the caller to set, who knows where the last child is. */
int mg_doc_init(struct mg_doc *doc, struct mg_arena *arena, mg_str source, const char *file, uint32_t expect);
uint32_t mg_doc_add(struct mg_doc *doc, enum mg_kind kind, uint32_t parent, uint32_t max_cells);
