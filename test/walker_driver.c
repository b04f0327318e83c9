/* walker_driver PATH...
 * Every place that looks like a container, whatever the object is, and whether the workload table leads there: a line of JSON for
 * each item with an image of each list called "containers", {"file", "line", "kind", "apiVersion", "path", "seen"}. */
#include <stdio.h>

#include "app/inputs.h"
#include "app/objects.h"
#include "doc/yaml.h"
#include "policy/policy.h"
#include "rules/rules.h"

#define CELLS 4000000
#define DEPTH 256

struct walker {
  const struct mg_snapshot *snapshot;
  struct mg_arena arena; /* of the file at hand */
  const char *file;
  mg_node object;
  const struct mg_workload *workload; /* NULL: an unknown kind */
};

static bool is_seen(const struct walker *w, mg_node container) {
  for (uint32_t p = 0; w->workload && p < w->workload->pod_count; p++)
    for (uint32_t c = 0; c < w->workload->pods[p]->container_count; c++)
      if (mg_same(w->workload->pods[p]->containers[c].node, container)) return true;
  return false;
}

static void print_member(struct mg_buf *out, const char *key, mg_str value) {
  mg_buf_printf(out, "\"%s\": ", key);
  mg_buf_json(out, value);
  mg_buf_lit(out, ", ");
}

static void print_container(struct walker *w, mg_node container) {
  struct mg_pos pos = {0};
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, 1 << 20);
  mg_pos(container, &pos);
  mg_buf_byte(&out, '{');
  print_member(&out, "file", mg_str_of(w->file));
  print_member(&out, "kind", mg_string(MG_GET(w->object, "kind")));
  print_member(&out, "apiVersion", mg_string(MG_GET(w->object, "apiVersion")));
  print_member(&out, "path", mg_path(&w->arena, w->object, container));
  mg_buf_printf(&out, "\"line\": %u, \"seen\": %s}", pos.line, is_seen(w, container) ? "true" : "false");
  printf("%.*s\n", MG_FMT(mg_buf_str(&out)));
}

/* Depth is bounded by that of the reader. */
static void walk(struct walker *w, mg_node node) {
  for (mg_node n = mg_first(node); n.at; n = mg_next(n)) {
    mg_node value = mg_is(n, MG_KEY) ? mg_value(n) : n;
    bool list = mg_is(n, MG_KEY) && mg_str_is(mg_text(n), "containers") && mg_is(value, MG_ARRAY);
    for (mg_node c = list ? mg_first(value) : (mg_node){0}; c.at; c = mg_next(c))
      if (!mg_missing(MG_GET(c, "image"))) print_container(w, c);
    walk(w, value);
  }
}

static int walk_object(void *ctx, const struct mg_request *request, mg_str api_version, struct mg_err *err) {
  struct walker *w = ctx;
  struct mg_world world = {mg_snapshot_kinds(w->snapshot), mg_snapshot_accelerators(w->snapshot),
                           mg_snapshot_context(w->snapshot), false};
  const struct mg_kind_row *kind = mg_kind_find(world.kinds, request->group, request->version, request->kind);
  struct mg_workload *workload = NULL;
  (void)api_version;
  if (kind && mg_workload_view(&world, &w->arena, kind, request->object, request->ns, &workload))
    return mg_err_nomem(err);
  w->workload = workload;
  w->object = request->object;
  walk(w, w->object);
  return 0;
}

static void walk_unknown(void *ctx, mg_node object) {
  struct walker *w = ctx;
  w->workload = NULL;
  w->object = object;
  walk(w, object);
}

static int ignore(void *ctx, mg_node at, const char *message) {
  (void)ctx;
  (void)at;
  (void)message;
  return 0;
}

static int walk_file(struct walker *w, const struct mg_input *input, struct mg_buf *text, struct mg_err *err) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {MG_INPUT_MAX_BYTES, DEPTH, CELLS}, .file = input->path, .last_wins = true};
  struct mg_object_visitor visitor = {.kinds = mg_snapshot_kinds(w->snapshot),
                                      .usual = {.operation = MG_CREATE},
                                      .ctx = w,
                                      .object = walk_object,
                                      .skipped = walk_unknown,
                                      .error = ignore};
  mg_arena_reset(&w->arena);
  w->file = input->path;
  int code = input->problem ? -1 : mg_input_read(input->path, text, err);
  if (code >= 0) code = mg_yaml_read(&docs, &w->arena, mg_buf_str(text), &how, err);
  for (; code >= 0 && docs; docs = docs->next) code = mg_objects_visit(&visitor, mg_root(&docs->doc), &w->arena, err);
  return code;
}

int main(int argc, char **argv) {
  struct walker w = {0};
  struct mg_arena keep;
  struct mg_diags diags;
  struct mg_err err = {0};
  struct mg_snapshot *snapshot = NULL;
  MG_BUF_AUTO text;
  int failed = 0;
  mg_arena_init(&keep, (size_t)1 << 30, 0);
  mg_arena_init(&w.arena, (size_t)1 << 30, 0);
  mg_buf_init(&text, NULL, MG_INPUT_MAX_BYTES + 1);
  mg_diags_init(&diags, &keep);
  struct mg_inputs inputs = {.arena = &keep};
  if (mg_snapshot_new(&snapshot, mg_rules, NULL, 0, &diags, &err) < 0) failed = 2;
  for (int i = 1; i < argc && !failed; i++) failed = mg_inputs_add(&inputs, argv[i], &err) < 0 ? 2 : 0;
  w.snapshot = snapshot;
  for (size_t i = 0; i < inputs.count && failed != 2; i++) {
    if (walk_file(&w, &inputs.items[i], &text, &err) >= 0) continue;
    fprintf(stderr, "%s: %s\n", inputs.items[i].path, inputs.items[i].problem ? inputs.items[i].problem : err.text);
    failed = 1;
  }
  if (failed == 2) fprintf(stderr, "walker_driver: %s\n", err.text);
  mg_snapshot_unref(snapshot);
  mg_arena_fini(&w.arena);
  mg_arena_fini(&keep);
  return failed;
}
