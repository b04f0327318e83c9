/* Policy and context files as ConfigMaps, in the order in which the server is to read them. */
#include <openssl/evp.h>

#include "app/manifests.h"
#include "base/ascii.h"
#include "base/utf8.h"
#include "doc/yaml.h"

#define KEY_MAX 200 /* bytes of a file's name that are kept; the API allows 253 */
#define DIGEST_BYTES 16

/* One directory of the server: its files, spread over as many ConfigMaps as they need. */
struct volume {
  mg_node maps, sources; /* variables: configmaps of both volumes; the projected volume's sources */
  mg_str name;           /* of the first ConfigMap */
  mg_node map;           /* the one at hand */
  size_t used, count;
  bool numbered;
};

/* Nothing but Tests, which no server needs. */
static bool is_of_tests(struct mg_arena *arena, const struct mg_source *source) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {MG_MANIFESTS_FILE_MAX, 64, 2000000}, .last_wins = true};
  if (source->context_only || mg_yaml_read(&docs, arena, source->text, &how, NULL) < 0 || !docs) return false;
  for (; docs; docs = docs->next) {
    mg_node root = mg_root(&docs->doc);
    if (!mg_str_is(mg_string(MG_GET(root, "apiVersion")), "mlgate.dev/v1") || !mg_str_is(mg_string(MG_GET(root, "kind")), "Test"))
      return false;
  }
  return true;
}

void mg_manifests_leave_tests(struct mg_policy_sources *sources) {
  size_t n = 0;
  for (size_t i = 0; i < sources->count; i++)
    if (!is_of_tests(&sources->arena, &sources->items[i])) sources->items[n++] = sources->items[i];
  sources->count = n;
}

static mg_str base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return mg_str_of(slash ? slash + 1 : path);
}

static bool is_read(mg_str name) {
  return mg_str_ends(name, MG_S(".yaml")) || mg_str_ends(name, MG_S(".yml")) || mg_str_ends(name, MG_S(".json"));
}

/* The file's name as a ConfigMap's key, and as one that is found in a directory: no dot first, an ending that is read. */
static mg_str key_of(struct mg_arena *arena, const struct mg_source *source, bool numbered, size_t number) {
  mg_str name = base_name(source->path);
  struct mg_buf buf;
  mg_buf_init(&buf, arena, KEY_MAX + 32);
  if (numbered) mg_buf_printf(&buf, "%05zu-", number);
  for (size_t i = name.n > KEY_MAX ? name.n - KEY_MAX : 0; i < name.n; i++) {
    char c = name.p[i];
    bool good = mg_is_alnum(c) || c == '-' || c == '_' || c == '.';
    mg_buf_byte(&buf, good && !(c == '.' && buf.n == 0) ? c : '_');
  }
  if (!is_read(mg_buf_str(&buf))) mg_buf_lit(&buf, ".yaml");
  return mg_buf_str(&buf);
}

static bool is_utf8(mg_str s) {
  for (const char *p = s.p, *end = s.p + s.n; p < end;) {
    size_t n = mg_utf8_len(p, end);
    if (n == 0) return false;
    p += n;
  }
  return true;
}

/* The member of the object, made where it is not there. */
static mg_node member(mg_node object, mg_str key, enum mg_kind kind) {
  if (!mg_get(object, key).at) mg_put(object, key, mg_make(object.doc, kind));
  return mg_get(object, key);
}

static void open_map(struct volume *v) {
  struct mg_doc *doc = v->maps.doc;
  mg_str name = v->count++ ? mg_arena_printf(doc->arena, "%.*s-%zu", MG_FMT(v->name), v->count) : v->name;
  mg_node item = mg_make(doc, MG_OBJECT), source = mg_make(doc, MG_OBJECT);
  mg_put(item, MG_S("configmap"), mg_make_text(doc, MG_STRING, name));
  mg_push(v->maps, item);
  v->map = item;
  v->used = 0;
  mg_put(member(source, MG_S("configMap"), MG_OBJECT), MG_S("name"), mg_make_text(doc, MG_STRING, name));
  mg_push(v->sources, source);
}

static int add_file(struct volume *v, const struct mg_source *source, size_t number, struct mg_err *err) {
  struct mg_arena *arena = v->maps.doc->arena;
  bool text = is_utf8(source->text);
  if (source->text.n > MG_MANIFESTS_FILE_MAX / (text ? 1 : 2))
    return mg_err_set(err, MG_E_LIMIT, "%s: larger than a ConfigMap may be", source->path);
  if (!v->map.at || v->used + source->text.n > MG_MANIFESTS_MAP_MAX) open_map(v);
  v->used += source->text.n;
  mg_str content = mg_arena_dup(arena, source->text);
  if (!text) {
    struct mg_buf buf;
    mg_buf_init(&buf, arena, 2 * MG_MANIFESTS_FILE_MAX);
    mg_buf_base64(&buf, source->text);
    content = mg_buf_str(&buf);
  }
  mg_node data = member(v->map, text ? MG_S("data") : MG_S("binaryData"), MG_OBJECT);
  mg_put(data, key_of(arena, source, v->numbered, number), mg_make_text(data.doc, MG_STRING, content.n ? content : MG_S("")));
  return 0;
}

/* The server reads a directory in byte order: names that are not in that order, or not different, get numbers. */
static bool in_order(struct mg_arena *arena, const struct mg_policy_sources *sources, bool context) {
  mg_str before = {0};
  for (size_t i = 0; i < sources->count; i++) {
    if (sources->items[i].context_only != context) continue;
    mg_str key = key_of(arena, &sources->items[i], false, 0);
    if (mg_str_cmp(before, key) >= 0) return false;
    before = key;
  }
  return true;
}

static int add_volume(mg_node variables, mg_str name, bool context, const struct mg_policy_sources *sources, struct mg_err *err) {
  struct mg_doc *doc = variables.doc;
  mg_str list = context ? MG_S("contextSources") : MG_S("policySources");
  struct volume v = {.maps = member(variables, MG_S("configmaps"), MG_ARRAY), .sources = mg_make(doc, MG_ARRAY)};
  int code = 0;
  v.name = mg_arena_printf(doc->arena, "%.*s-%s", MG_FMT(name), context ? "context" : "policies");
  v.numbered = !in_order(doc->arena, sources, context);
  for (size_t i = 0; i < sources->count && code == 0; i++)
    if (sources->items[i].context_only == context) code = add_file(&v, &sources->items[i], i + 1, err);
  if (!context && !v.map.at) open_map(&v); /* the volume needs one, and an empty directory is no mistake */
  if (v.map.at) mg_put(variables, list, v.sources);
  return code;
}

/* Of all files with their names, so that the Deployment changes when and only when they do. */
static int put_digest(mg_node variables, struct mg_err *err) {
  struct mg_arena *arena = variables.doc->arena;
  unsigned char sum[EVP_MAX_MD_SIZE];
  struct mg_buf all, hex;
  mg_buf_init(&all, arena, MG_DOC_MAX_BYTES);
  mg_buf_init(&hex, arena, 2 * DIGEST_BYTES);
  mg_json_write(&all, MG_GET(variables, "configmaps"));
  if (all.failed || !EVP_Digest(all.p, all.n, sum, NULL, EVP_sha256(), NULL))
    return mg_err_set(err, all.failed ? MG_E_LIMIT : MG_E_NOMEM, "the policies are too large for an installation");
  for (size_t i = 0; i < DIGEST_BYTES; i++) mg_buf_printf(&hex, "%02x", sum[i]);
  mg_put(variables, MG_S("digest"), mg_make_text(variables.doc, MG_STRING, mg_buf_str(&hex)));
  return 0;
}

int mg_manifests_files(mg_node variables, mg_str name, const struct mg_policy_sources *sources, struct mg_err *err) {
  int code = add_volume(variables, name, false, sources, err);
  if (code == 0) code = add_volume(variables, name, true, sources, err);
  return code < 0 ? code : put_digest(variables, err);
}

/* ---- PriorityClasses ---- */

static bool is_from_context(const struct mg_policy_sources *sources, mg_node class) {
  const char *file = class.doc->file ? class.doc->file : "";
  for (size_t i = 0; i < sources->count; i++)
    if (sources->items[i].context_only && strcmp(sources->items[i].path, file) == 0) return true;
  return false;
}

static mg_node item_of(mg_node list, mg_str name) {
  mg_node n = mg_first(list);
  while (n.at && !mg_str_eq(mg_text(MG_GET(n, "class")), name)) n = mg_next(n);
  return n;
}

static mg_node add_class(mg_node list, mg_str name) {
  mg_node item = mg_make(list.doc, MG_OBJECT);
  mg_put(item, MG_S("class"), mg_make_text(list.doc, MG_STRING, name));
  mg_push(list, item);
  return item;
}

static void copy_class(mg_node item, mg_node class) {
  static const char *const keys[] = {"value", "preemptionPolicy", "globalDefault", "description"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    mg_node value = mg_get(class, mg_str_of(keys[i]));
    /* The API server keeps no false, and whoever applied one would see a difference for ever. */
    if (!mg_is(value, MG_BOOL) || mg_true(value)) mg_put(item, mg_str_of(keys[i]), value);
  }
}

static void invent_class(mg_node item, const struct mg_rule *rule, mg_node params, struct mg_buf *notes) {
  struct mg_doc *doc = item.doc;
  mg_str name = mg_text(MG_GET(item, "class"));
  mg_put(item, MG_S("value"), mg_make_text(doc, MG_NUMBER, MG_S("1000")));
  mg_put(item, MG_S("preemptionPolicy"), MG_GET(params, "preemptionPolicy"));
  mg_str why = mg_arena_printf(doc->arena, "Named by the policy %.*s of mlgate.", MG_FMT(rule->policy->name));
  mg_put(item, MG_S("description"), mg_make_text(doc, MG_STRING, why));
  mg_buf_printf(notes, "PriorityClass %.*s is described nowhere: rendered with value 1000\n", MG_FMT(name));
}

static void add_named_class(mg_node list, const struct mg_snapshot *snapshot, const struct mg_policy_sources *sources,
                            const struct mg_rule *rule, struct mg_buf *notes) {
  mg_node params = mg_get(rule->at, mg_str_of(rule->type->name));
  mg_str name = mg_string(MG_GET(params, "className"));
  /* The API server makes those that start with "system-" itself, and lets nobody else. */
  if (!name.n || mg_str_starts(name, MG_S("system-"))) return;
  mg_node known = mg_context_find(mg_snapshot_context(snapshot), MG_CTX_PRIORITY_CLASS, (mg_str){0}, name);
  mg_node there = item_of(list, name);
  if (known.at && (there.at || is_from_context(sources, known))) return;
  if (known.at) copy_class(add_class(list, name), known);
  else if (!there.at) invent_class(add_class(list, name), rule, params, notes);
  else if (!MG_GET(there, "preemptionPolicy").at) mg_put(there, MG_S("preemptionPolicy"), MG_GET(params, "preemptionPolicy"));
}

void mg_manifests_classes(mg_node variables, const struct mg_snapshot *snapshot, const struct mg_policy_sources *sources,
                          struct mg_buf *notes) {
  mg_node list = member(variables, MG_S("classes"), MG_ARRAY);
  for (uint32_t i = 0; i < mg_snapshot_policy_count(snapshot); i++) {
    const struct mg_policy *policy = mg_snapshot_policy(snapshot, i);
    for (uint32_t r = 0; r < policy->rule_count; r++)
      if (mg_str_is(mg_str_of(policy->rules[r].type->name), "priority"))
        add_named_class(list, snapshot, sources, &policy->rules[r], notes);
  }
}
