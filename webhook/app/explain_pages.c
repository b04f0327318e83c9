/* Pages of `mlgate explain`, out of the tables that the loader reads with. */
#include "app/explain.h"
#include "rules/rules.h"

#define WIDTH 100

static void spaces(struct mg_buf *out, size_t n) {
  while (n--) mg_buf_byte(out, ' ');
}

/* Words in lines of at most WIDTH bytes, each line indented. */
static void wrapped(struct mg_buf *out, size_t indent, mg_str text) {
  size_t column = 0;
  while (text.n) {
    size_t end = mg_str_find(text, ' ');
    if (column && column + 1 + end > WIDTH) {
      mg_buf_byte(out, '\n');
      column = 0;
    }
    if (column) mg_buf_byte(out, ' ');
    else spaces(out, indent);
    column += (column ? 1 : indent) + end;
    mg_buf_put(out, (mg_str){text.p, end});
    text = mg_str_from(text, end < text.n ? end + 1 : end);
  }
  if (column) mg_buf_byte(out, '\n');
}

static mg_str first_sentence(const char *doc) {
  mg_str text = mg_str_of(doc);
  for (size_t i = 0; i + 1 < text.n; i++)
    if (text.p[i] == '.' && text.p[i + 1] == ' ') return (mg_str){text.p, i + 1};
  return text;
}

void mg_explain_topics(struct mg_buf *out) {
  mg_buf_lit(out, "Rule types; `mlgate explain TYPE` shows the parameters of one:\n\n");
  for (mg_rule_types type = mg_rules; *type; type++)
    mg_buf_printf(out, "  %-15s %.*s\n", (*type)->name, MG_FMT(first_sentence((*type)->doc)));
  mg_buf_lit(out, "\nAnd:\n\n"
                  "  workloads       The kinds that are judged, and where each keeps its pod templates.\n"
                  "  accelerators    What counts as an accelerator, and what as a way around.\n"
                  "  FILE...         What mlgate sees in manifests, and why each policy does or does not apply.\n");
}

/* ---- rules ---- */

static void type_name(struct mg_buf *out, const struct mg_type *type, const void *arg) {
  if (type == &mg_t_list) {
    const struct mg_item *item = arg;
    mg_buf_lit(out, "list of ");
    type_name(out, item->type, item->arg);
    return;
  }
  if (type != &mg_t_enum) {
    mg_buf_printf(out, "%s", type->name);
    return;
  }
  for (const char *const *word = arg; *word; word++) mg_buf_printf(out, "%s%s", word == arg ? "" : " | ", *word);
}

static const struct mg_field *inner_fields(const struct mg_type *type, const void *arg) {
  if (type == &mg_t_list) return inner_fields(((const struct mg_item *)arg)->type, ((const struct mg_item *)arg)->arg);
  return type == &mg_t_object ? ((const struct mg_shape *)arg)->fields : type->fields;
}

static void fields_page(struct mg_buf *out, const struct mg_field *fields, size_t indent) {
  for (; fields->key; fields++) {
    spaces(out, indent);
    mg_buf_printf(out, "%s: ", fields->key);
    type_name(out, fields->type, fields->arg);
    if (fields->def) mg_buf_printf(out, " [%s]", fields->def);
    if (fields->required) mg_buf_lit(out, " (required)");
    mg_buf_byte(out, '\n');
    if (fields->doc) wrapped(out, indent + 4, mg_str_of(fields->doc));
    const struct mg_field *inner = inner_fields(fields->type, fields->arg);
    if (inner) fields_page(out, inner, indent + 4);
  }
}

void mg_explain_rule(struct mg_buf *out, const struct mg_rule_type *type) {
  bool mutates = mg_rule_type_mutates(type), validates = type->judge || type->judge_workload;
  const char *does = mutates && validates ? "mutates and validates" : mutates ? "mutates" : "validates";
  mg_buf_printf(out, "%s (%s)\n\n", type->name, does);
  wrapped(out, 2, mg_str_of(type->doc));
  mg_buf_lit(out, "\nParameters [default]:\n\n");
  fields_page(out, type->fields, 2);
}

/* ---- workloads ---- */

static void put_steps(struct mg_buf *out, struct mg_steps path) {
  if (!path.count) mg_buf_byte(out, '.');
  for (uint32_t i = 0; i < path.count; i++) {
    const struct mg_step *step = &path.steps[i];
    if (step->kind == MG_STEP_KEY && i) mg_buf_byte(out, '.');
    if (step->kind == MG_STEP_KEY) mg_buf_put(out, step->key);
    else mg_buf_printf(out, "%s", step->kind == MG_STEP_ITEMS ? "[]" : "{}");
  }
}

static void template_line(struct mg_buf *out, const struct mg_template_row *row) {
  static const char *const shapes[] = {"", " (a pod spec)", " (a fragment of one)"};
  mg_buf_lit(out, "    ");
  put_steps(out, row->path);
  mg_buf_printf(out, "%s", shapes[row->shape]);
  for (uint32_t i = 0; i < row->replicas.count; i++) {
    const struct mg_replicas_row *r = &MG_LIST_AT(row->replicas, struct mg_replicas_row, i);
    mg_buf_lit(out, " x ");
    put_steps(out, r->path);
    if (r->max.set) mg_buf_lit(out, ", up to "), put_steps(out, r->max);
  }
  mg_buf_byte(out, '\n');
}

static void kind_page(struct mg_buf *out, const struct mg_kind_row *row) {
  static const char *const mutate[] = {"patched", "its Pods are patched", "never patched"};
  mg_buf_put(out, row->kind);
  if (row->group.n) mg_buf_printf(out, ".%.*s", MG_FMT(row->group));
  mg_buf_printf(out, ": %s, %s", row->role ? mg_role_words[row->role] : "no role of its own", mutate[row->mutate]);
  if (row->source.n) mg_buf_printf(out, "; %.*s", MG_FMT(row->source));
  mg_buf_byte(out, '\n');
  for (uint32_t i = 0; i < row->templates.count; i++)
    template_line(out, &MG_LIST_AT(row->templates, struct mg_template_row, i));
  for (uint32_t i = 0; i < row->nested.count; i++) {
    mg_buf_lit(out, "    ");
    put_steps(out, MG_LIST_AT(row->nested, struct mg_nested_row, i).path);
    mg_buf_lit(out, " (a whole object, judged as its own kind)\n");
  }
}

void mg_explain_workloads(struct mg_buf *out, const struct mg_snapshot *snapshot) {
  const struct mg_kind_table *kinds = mg_snapshot_kinds(snapshot);
  for (uint32_t i = 0; i < kinds->count; i++) kind_page(out, &kinds->rows[i]);
}

/* ---- accelerators ---- */

static void patterns_line(struct mg_buf *out, const char *title, struct mg_list patterns) {
  MG_BUF_AUTO line;
  mg_buf_init(&line, NULL, MG_EXPLAIN_MAX);
  for (uint32_t i = 0; i < patterns.count; i++)
    mg_buf_printf(&line, "%s%.*s", i ? " " : "", MG_FMT(mg_pattern_text(MG_LIST_AT(patterns, struct mg_pattern *, i))));
  if (!line.n) return;
  mg_buf_printf(out, "%s\n", title);
  wrapped(out, 2, mg_buf_str(&line));
}

static void words_line(struct mg_buf *out, const char *title, struct mg_list words) {
  if (!words.count) return;
  mg_buf_printf(out, "%s\n ", title);
  for (uint32_t i = 0; i < words.count; i++) mg_buf_printf(out, " %.*s", MG_FMT(MG_LIST_AT(words, mg_str, i)));
  mg_buf_byte(out, '\n');
}

void mg_explain_accelerators(struct mg_buf *out, const struct mg_snapshot *snapshot) {
  static const char *const units[] = {"count", "size", "none"};
  const struct mg_accelerators *all = mg_snapshot_accelerators(snapshot);
  mg_buf_lit(out, "Resource names; the first that matches holds. count: devices, summed; size: memory or cores, never summed;\n"
                  "none: no accelerator after all:\n");
  for (uint32_t i = 0; i < all->resources.count; i++) {
    const struct mg_accelerator_row *row = &MG_LIST_AT(all->resources, struct mg_accelerator_row, i);
    mg_buf_printf(out, "  %-5s %.*s\n", units[row->unit], MG_FMT(mg_pattern_text(row->name)));
  }
  patterns_line(out, "Device classes of claims:", all->device_classes);
  words_line(out, "Annotations that stand for a share of a device:", all->shares);
  words_line(out, "Environment variables that hand out devices:", all->back_doors.env);
  patterns_line(out, "Host paths of devices:", all->back_doors.paths);
  patterns_line(out, "Mount paths that ask the runtime for devices:", all->back_doors.mounts);
  patterns_line(out, "Runtime classes that show devices:", all->back_doors.runtime_classes);
  patterns_line(out, "Images that are made for devices:", all->back_doors.images);
  patterns_line(out, "Labels of nodes with devices:", all->node_labels);
  patterns_line(out, "Images that may see devices without a limit:", all->infrastructure);
}
