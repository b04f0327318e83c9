/* What the tests of policy/ and admit/ share: policies and objects as YAML, reviews made of them, verdicts as one line of text.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admit/admit.h"
#include "doc/yaml.h"
#include "rules/rules.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define SCENE_NOW 1800000000 /* 2027-01-15T08:00:00Z */

/* A policy with a head; the test adds what stands under spec. */
#define POLICY(name, spec) "---\napiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: " name "}\nspec:\n" spec "\n"
#define EXCEPTION(name, spec) "---\napiVersion: mlgate.dev/v1\nkind: Exception\nmetadata: {name: " name "}\nspec:\n" spec "\n"

/* Loads; *ret_said gets what was said of it (in the arena). NULL where it was refused. */
static inline struct mg_snapshot *scene_try(mg_rule_types types, const struct mg_source *sources, size_t count,
                                            struct mg_arena *arena, mg_str *ret_said) {
  struct mg_snapshot *snapshot = NULL;
  struct mg_diags diags;
  struct mg_err err = {0};
  struct mg_buf out;
  mg_diags_init(&diags, arena);
  int code = mg_snapshot_new(&snapshot, types, sources, count, &diags, &err);
  mg_buf_init(&out, arena, (size_t)1 << 22);
  mg_diags_print(&out, diags.warnings, "warning: ");
  mg_diags_print(&out, diags.errors, "");
  if (diags.error_count > MG_DIAGS_SHOWN) mg_buf_printf(&out, "(%u in all)\n", diags.error_count);
  *ret_said = mg_arena_dup(arena, mg_buf_str(&out));
  assert_int_equal(code == 0, snapshot != NULL);
  assert_int_equal(code == 0, diags.error_count == 0);
  return snapshot;
}

/* Policies, with context of the same form behind them; they must load. */
static inline struct mg_snapshot *scene_load(mg_rule_types types, const char *policies, const char *context) {
  struct mg_arena arena;
  struct mg_source sources[] = {{.path = "policy.yaml", .text = mg_str_of(policies), .copy = true},
                                {.path = "context.yaml", .text = mg_str_of(context), .copy = true, .context_only = true}};
  mg_str said;
  mg_arena_init(&arena, (size_t)16 << 20, 0);
  struct mg_snapshot *snapshot = scene_try(types, sources, context ? 2 : 1, &arena, &said);
  if (!snapshot) fail_msg("the policies do not load:\n%.*s", MG_FMT(said));
  mg_arena_fini(&arena);
  return snapshot;
}

/* What is asked. Everything but the object has a default. */
struct ask {
  const char *object, *old;              /* YAML */
  const char *operation;                 /* CREATE, or UPDATE where `old` is there; a DELETE has only `old` */
  const char *ns, *name, *user, *groups; /* groups: a JSON list */
  const char *subresource;
  const char *kind; /* JSON of request.kind, else that of the object */
  int64_t now;
  const struct mg_images *images; /* who can be asked; NULL: nobody */
};

static inline mg_node scene_yaml(struct mg_arena *arena, const char *text) {
  struct mg_file_doc *docs = NULL;
  struct mg_read how = {.limits = {(size_t)64 << 20, 100, 4000000}, .file = "object"};
  struct mg_err err = {0};
  if (mg_yaml_read(&docs, arena, mg_str_of(text), &how, &err) || !docs) fail_msg("%s\n%s", err.text, text);
  return mg_root(&docs->doc);
}

static inline void scene_put(struct mg_buf *out, const char *key, mg_str value, bool quote) {
  if (!value.p) return;
  mg_buf_printf(out, ",\"%s\":", key);
  if (quote)
    mg_buf_json(out, value);
  else
    mg_buf_put(out, value);
}

static inline void scene_put_kind(struct mg_buf *out, mg_node object) {
  mg_str group, version;
  mg_split_api_version(mg_string(MG_GET(object, "apiVersion")), &group, &version);
  mg_buf_lit(out, ",\"kind\":{\"group\":");
  mg_buf_json(out, group);
  scene_put(out, "version", version, true);
  scene_put(out, "kind", mg_string(MG_GET(object, "kind")), true);
  mg_buf_byte(out, '}');
}

/* The review as an API server would send it. */
static inline mg_str scene_review(struct mg_arena *arena, const struct ask *ask) {
  struct mg_buf out;
  mg_node object = ask->object ? scene_yaml(arena, ask->object) : (mg_node){0};
  mg_node old = ask->old ? scene_yaml(arena, ask->old) : (mg_node){0};
  const char *operation = ask->operation ? ask->operation : ask->old ? "UPDATE" : "CREATE";
  mg_node meta = MG_GET(object.at ? object : old, "metadata");
  mg_str ns = ask->ns ? mg_str_of(ask->ns) : mg_string(MG_GET(meta, "namespace"));
  mg_buf_init(&out, arena, (size_t)64 << 20);
  mg_buf_lit(&out, "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":\"u-1\"");
  if (ask->kind)
    scene_put(&out, "kind", mg_str_of(ask->kind), false);
  else
    scene_put_kind(&out, object.at ? object : old);
  scene_put(&out, "operation", mg_str_of(operation), true);
  scene_put(&out, "namespace", ns, true);
  scene_put(&out, "name", mg_str_of(ask->name), true);
  scene_put(&out, "subResource", mg_str_of(ask->subresource), true);
  mg_buf_printf(&out, ",\"userInfo\":{\"username\":\"%s\",\"groups\":%s}", ask->user ? ask->user : "kim",
                ask->groups ? ask->groups : "[]");
  mg_buf_lit(&out, ",\"object\":");
  mg_json_write(&out, object.at ? object : mg_make(old.doc, MG_NULL));
  mg_buf_lit(&out, ",\"oldObject\":");
  if (old.at)
    mg_json_write(&out, old);
  else
    mg_buf_lit(&out, "null");
  mg_buf_lit(&out, "}}");
  assert_false(out.failed);
  return mg_buf_str(&out);
}

/* One evaluation; fini frees it. */
struct scene {
  struct mg_arena arena;
  struct mg_doc doc;
  struct mg_request request;
  struct mg_verdict verdict;
};

static inline void scene_judge(struct scene *scene, const struct mg_snapshot *snapshot, const struct ask *ask, unsigned phases) {
  struct mg_err err = {0};
  struct mg_read how = {.limits = {MG_REVIEW_MAX_BYTES, MG_REVIEW_MAX_DEPTH, MG_REVIEW_MAX_CELLS}};
  mg_arena_init(&scene->arena, MG_REVIEW_ARENA, 0);
  mg_str text = scene_review(&scene->arena, ask);
  if (mg_json_read(&scene->doc, &scene->arena, text, &how, &err)) fail_msg("%s: %.*s", err.text, MG_FMT(text));
  if (mg_review_read(mg_root(&scene->doc), &scene->request, &err)) fail_msg("%s", err.text);
  scene->request.images = ask->images;
  int64_t now = ask->now ? ask->now : SCENE_NOW;
  if (mg_evaluate(snapshot, &scene->request, phases, now, &scene->arena, &scene->verdict, &err)) fail_msg("%s", err.text);
}

static inline void scene_fini(struct scene *scene) {
  mg_arena_fini(&scene->arena);
}

/* `deny p/rule template container|…`, then ` +` and the patch where there is one; exceptions in brackets. */
static inline mg_str scene_text(struct scene *scene) {
  struct mg_buf out;
  mg_buf_init(&out, &scene->arena, (size_t)1 << 22);
  for (const struct mg_violation *v = scene->verdict.violations; v; v = v->next) {
    mg_buf_printf(&out, "%s%s %.*s/%.*s", out.n ? "|" : "", mg_outcome_words[v->outcome], MG_FMT(v->policy->name),
                  MG_FMT(v->rule->name));
    if (v->container.n) mg_buf_printf(&out, " %.*s", MG_FMT(v->container));
    if (v->exception.n) mg_buf_printf(&out, " (%.*s)", MG_FMT(v->exception));
  }
  if (scene->verdict.patch.count) {
    mg_buf_lit(&out, " + ");
    mg_patch_write(&out, &scene->verdict.patch);
  }
  return mg_buf_str(&out);
}

/* Judges with these phases and compares with the line. */
static inline void scene_expect_at(const struct mg_snapshot *snapshot, const struct ask *ask, unsigned phases, const char *want,
                                   const char *file, int line) {
  struct scene scene;
  scene_judge(&scene, snapshot, ask, phases);
  mg_str got = scene_text(&scene);
  if (!mg_str_is(got, want)) {
    print_error("%s:%d\n  got:    %.*s\n  wanted: %s\n", file, line, MG_FMT(got), want);
    scene_fini(&scene);
    fail();
  }
  bool denied = strncmp(want, "deny ", 5) == 0 || strstr(want, "|deny ");
  assert_int_equal(scene.verdict.allowed, !denied);
  scene_fini(&scene);
}
#define EXPECT(snapshot, want, ...)                                                                                              \
  scene_expect_at((snapshot), &(struct ask){__VA_ARGS__}, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, (want), __FILE__, __LINE__)
#define EXPECT_PHASE(snapshot, phases, want, ...)                                                                                \
  scene_expect_at((snapshot), &(struct ask){__VA_ARGS__}, (phases), (want), __FILE__, __LINE__)
