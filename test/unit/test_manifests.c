/* app/manifests: the template and its variables; rules, files and classes as variables. */
#include "unit/scene.h"

#include "app/manifests.h"
#include "doc/json.h"
#include "policy/policy.h"

static struct mg_arena arena;
static struct mg_doc doc;
static mg_node variables;

static int set_up(void **state) {
  (void)state;
  mg_arena_init(&arena, (size_t)64 << 20, 0);
  if (mg_doc_init(&doc, &arena, (mg_str){0}, NULL, 64)) return -1;
  variables = mg_make(&doc, MG_OBJECT);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  mg_arena_fini(&arena);
  return 0;
}

static mg_str json_of(mg_node n) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, (size_t)16 << 20);
  mg_json_write(&buf, n);
  return mg_buf_str(&buf);
}

static void expect_json(mg_node n, const char *want) {
  mg_str got = n.at ? json_of(n) : MG_S("absent");
  if (!mg_str_is(got, want)) fail_msg("got:    %.*s\nwanted: %s", MG_FMT(got), want);
}

/* ---- the template ---- */

static int collect(void *ctx, mg_str file, mg_node object, struct mg_err *err) {
  struct mg_buf *buf = ctx;
  (void)err;
  mg_buf_printf(buf, "%s%.*s ", buf->n ? "|" : "", MG_FMT(file));
  mg_json_write(buf, object);
  return 0;
}

static void expect_expanded(const char *skeleton, const char *given, const char *want) {
  struct mg_buf buf;
  struct mg_err err = {0};
  mg_buf_init(&buf, &arena, 1 << 20);
  mg_node put = mg_make_copy(&doc, scene_yaml(&arena, given));
  assert_int_equal(mg_manifests_expand(scene_yaml(&arena, skeleton), put, collect, &buf, &err), 0);
  if (!mg_str_is(mg_buf_str(&buf), want)) fail_msg("got:    %.*s\nwanted: %s", MG_FMT(mg_buf_str(&buf)), want);
}

static void test_values_keep_their_kind(void **state) {
  (void)state;
  expect_expanded("objects: [{file: a, object: {i: '${i}', s: '${s}', l: '${l}', t: '${i}-${s}', plain: 1}}]",
                  "{i: 8, s: '8', l: [true, null]}", "a {\"i\":8,\"s\":\"8\",\"l\":[true,null],\"t\":\"8-8\",\"plain\":1}");
}

static void test_what_is_not_there_is_left_out(void **state) {
  (void)state;
  expect_expanded("objects: [{file: a, object: {k: '${no}', t: 'x${no}', l: ['${no}', a, 'b${no}'], o: {x: '${no}'}}}]", "{}",
                  "a {\"l\":[\"a\"],\"o\":{}}");
  expect_expanded("objects: [{file: a, when: off_, object: {}}, {file: b, when: on_,"
                  " object: {l: [{when: off_, a: 1}, {when: on_, b: 2}]}}]",
                  "{on_: false}", "b {\"l\":[{\"b\":2}]}");
  expect_expanded("objects: [{file: a, object: {l: [{when: off_, item: 1}, {when: on_, item: 'x${on_}'}, {item: 2}]}}]",
                  "{on_: '3'}", "a {\"l\":[\"x3\",{\"item\":2}]}");
}

static void test_text_of_a_variable_is_not_looked_into(void **state) {
  (void)state;
  expect_expanded("objects: [{file: '${f}', object: {a: '${s}', b: '-${s}', o: '${o}'}}]",
                  "{f: x, s: '${f}', o: {'${f}': '${f}', when: nothing}}",
                  "x {\"a\":\"${f}\",\"b\":\"-${f}\",\"o\":{\"${f}\":\"${f}\",\"when\":\"nothing\"}}");
}

static void test_dollars_that_are_no_variables(void **state) {
  (void)state;
  expect_expanded("objects: [{file: a, object: {a: '$', b: '$x', c: '${x', d: 'a$$${x}$', e: ''}}]", "{x: 1}",
                  "a {\"a\":\"$\",\"b\":\"$x\",\"c\":\"${x\",\"d\":\"a$$1$\",\"e\":\"\"}");
}

static void test_a_list_in_a_list_is_its_items(void **state) {
  (void)state;
  expect_expanded("objects: [{file: a, object: {l: [0, '${l}', '${none}', '${s}', ['${l}'], 'x${s}']}}]",
                  "{l: [{a: 1}, [2]], s: z}", "a {\"l\":[0,{\"a\":1},[2],\"z\",[{\"a\":1},[2]],\"xz\"]}");
  expect_expanded("objects: [{file: a, object: {l: ['${l}', 1]}}]", "{l: []}", "a {\"l\":[1]}");
}

static void test_each(void **state) {
  (void)state;
  expect_expanded("objects: [{file: 'f-${i}', each: list, object: {i: '${i}', m: '${m}'}}, {file: z, each: none, object: {}}]",
                  "{i: outer, m: outer, list: [{i: 1}, {i: 2, m: 3}]}",
                  "f-1 {\"i\":1,\"m\":\"outer\"}|f-2 {\"i\":2,\"m\":3}");
}

/* ---- the chart ---- */

static int collect_text(void *ctx, mg_str file, mg_str text, struct mg_err *err) {
  struct mg_buf *buf = ctx;
  (void)err;
  mg_buf_printf(buf, "%.*s|%.*s", MG_FMT(file), MG_FMT(text));
  return 0;
}

#define HEAD "# Generated: make manifests\n"

static void expect_chart(const char *object, const char *want) {
  struct mg_buf buf;
  struct mg_err err = {0};
  mg_buf_init(&buf, &arena, 1 << 20);
  mg_str skeleton = mg_arena_printf(&arena, "objects: [{file: f, object: %s}]", object);
  assert_int_equal(mg_manifests_chart(scene_yaml(&arena, skeleton.p), collect_text, &buf, &err), 0);
  mg_str all = mg_arena_printf(&arena, "f|" HEAD "%s", want);
  if (!mg_str_eq(mg_buf_str(&buf), all)) fail_msg("got:    %.*s\nwanted: %.*s", MG_FMT(mg_buf_str(&buf)), MG_FMT(all));
}

static void test_chart_strings(void **state) {
  (void)state;
  expect_chart("{a: 'b', c: 1, d: true, e: '', f: {}, g: [], h: '$x'}",
               "a: \"b\"\nc: 1\nd: true\ne: \"\"\nf: {}\ng: []\nh: \"$x\"\n");
  expect_chart("{a: '${image}', b: '${namespace}', c: 'x-${name}', d: '${namespace}/${name}-y'}",
               "a: {{ $.Values.image | toJson }}\nb: {{ $.Release.Namespace | toJson }}\n"
               "c: {{ printf \"x-%v\" $.Values.name | toJson }}\n"
               "d: {{ printf \"%v/%v-y\" $.Release.Namespace $.Values.name | toJson }}\n");
}

static void test_chart_conditions(void **state) {
  (void)state;
  expect_chart("{a: {when: x, b: 1}, c: '${caBundle}', d: 2}",
               "{{- if $.Values.x }}\na:\n  b: 1\n{{- end }}\n"
               "{{- if $.Values.caBundle }}\nc: {{ $.Values.caBundle | toJson }}\n{{- end }}\nd: 2\n");
}

static void test_chart_lists(void **state) {
  (void)state;
  expect_chart("{l: [1, {a: 1, b: {c: 2}}, {when: x, a: 3}, {when: w, item: '-${name}'}, '${name}', '${mutatePodsConditions}']}",
               "l:\n- 1\n- a: 1\n  b:\n    c: 2\n{{- if $.Values.x }}\n- a: 3\n{{- end }}\n"
               "{{- if $.Values.w }}\n- {{ printf \"-%v\" $.Values.name | toJson }}\n{{- end }}\n- {{ $.Values.name | toJson }}\n"
               "{{- range $.Values.mutatePodsConditions }}\n- {{ toJson . }}\n{{- end }}\n");
  expect_chart("{o: {l: [{a: '${caBundle}', b: 1}]}}",
               "o:\n  l:\n  -\n{{- if $.Values.caBundle }}\n    a: {{ $.Values.caBundle | toJson }}\n{{- end }}\n    b: 1\n");
}

static void test_chart_objects(void **state) {
  (void)state;
  struct mg_buf buf;
  struct mg_err err = {0};
  mg_buf_init(&buf, &arena, 1 << 20);
  mg_node skeleton = scene_yaml(&arena, "objects: [{file: n, object: {kind: Namespace}}, {file: 'f-${class}', each: classes,"
                                        " object: {a: '${class}'}}, {file: g, when: x, object: {b: 1}}]");
  assert_int_equal(mg_manifests_chart(skeleton, collect_text, &buf, &err), 0);
  const char *want = "f-classes|" HEAD "{{- range $item := $.Values.classes }}\n---\na: {{ $item.class | toJson }}\n{{- end }}\n"
                     "g|" HEAD "{{- if $.Values.x }}\nb: 1\n{{- end }}\n";
  if (!mg_str_is(mg_buf_str(&buf), want)) fail_msg("got:    %.*s\nwanted: %s", MG_FMT(mg_buf_str(&buf)), want);
}

static void test_chart_values(void **state) {
  (void)state;
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 1 << 20);
  mg_node given = mg_make_copy(&doc, scene_yaml(&arena, "{name: g8, kubeNamespaces: [a], image: '{{ x }}: #', unknown: 1}"));
  mg_manifests_values(given, &buf);
  mg_str text = mg_buf_str(&buf);
  assert_true(mg_str_has(text, MG_S("\nname: g8\n")) && mg_str_has(text, MG_S("\nexemptNamespaces:\n- a\n")));
  assert_true(mg_str_has(text, MG_S("\nimage: \"{{ x }}: #\"\n")) && mg_str_has(text, MG_S("\nselfSigned: false\n")));
  assert_false(mg_str_has(text, MG_S("unknown")));
}

static int refuse(void *ctx, mg_str file, mg_node object, struct mg_err *err) {
  (void)object;
  ++*(int *)ctx;
  return mg_err_set(err, MG_E_IO, "%.*s", MG_FMT(file));
}

static void test_the_first_failure_ends_it(void **state) {
  (void)state;
  int calls = 0;
  struct mg_err err = {0};
  mg_node skeleton = scene_yaml(&arena, "objects: [{file: a, object: {}}, {file: b, object: {}}]");
  assert_int_equal(mg_manifests_expand(skeleton, variables, refuse, &calls, &err), MG_E_IO);
  assert_int_equal(calls, 1);
  assert_string_equal(err.text, "a");
}

static void test_memory_that_runs_out_is_told(void **state) {
  (void)state;
  mg_node skeleton = scene_yaml(&arena, "objects: [{file: a, object: {a: 'x${n}', b: [{c: '${n}'}]}}]");
  for (size_t spare = 0; spare < 4096; spare += 64) {
    struct mg_arena small;
    struct mg_doc d;
    struct mg_buf out;
    struct mg_err err = {0};
    mg_arena_init(&small, (size_t)1 << 20, 0);
    assert_int_equal(mg_doc_init(&d, &small, (mg_str){0}, NULL, 4), 0);
    mg_node put = mg_make(&d, MG_OBJECT);
    mg_put(put, MG_S("n"), mg_make_text(&d, MG_NUMBER, MG_S("1")));
    small.max = small.used + spare;
    mg_buf_init(&out, &arena, 1 << 16);
    int code = mg_manifests_expand(skeleton, put, collect, &out, &err);
    bool whole = mg_str_is(mg_buf_str(&out), "a {\"a\":\"x1\",\"b\":[{\"c\":1}]}");
    if (code == 0 ? !whole : code != MG_E_NOMEM) fail_msg("spare %zu: %d, %.*s", spare, code, MG_FMT(mg_buf_str(&out)));
    mg_arena_fini(&small);
  }
}

/* ---- rules ---- */

static mg_str load_rules(const char *policies) {
  struct mg_snapshot *snapshot = scene_load(mg_rules, policies, NULL);
  struct mg_buf notes;
  mg_buf_init(&notes, &arena, 1 << 16);
  variables = mg_make(&doc, MG_OBJECT);
  mg_manifests_rules(variables, snapshot, &notes);
  variables = scene_yaml(&arena, mg_arena_dup(&arena, json_of(variables)).p); /* outlives the snapshot */
  mg_snapshot_unref(snapshot);
  return mg_buf_str(&notes);
}

#define RULE(groups, versions, operations, resources) \
  "{\"apiGroups\":[" groups "],\"apiVersions\":[" versions "],\"operations\":[" operations "],\"resources\":[" resources \
  "],\"scope\":\"Namespaced\"}"
#define USUAL "\"CREATE\",\"UPDATE\""

static void test_rules_of_one_kind(void **state) {
  (void)state;
  assert_int_equal(load_rules(POLICY("p", "  match: {kinds: [Job.batch]}\n  rules: [{gpuLimits: {}}]")).n, 0);
  expect_json(variables, "{\"validateWorkloads\":[" RULE("\"batch\"", "\"*\"", USUAL, "\"jobs\"") "],\"validate\":true}");
}

static void test_no_policy_no_rule(void **state) {
  (void)state;
  load_rules("");
  expect_json(variables, "{}");
}

static void test_pods_have_their_own_webhook(void **state) {
  (void)state;
  load_rules(POLICY("p", "  match: {kinds: [Pod, Job.batch]}\n  rules: [{tolerations: {forEachAccelerator: true}}]"));
  expect_json(MG_GET(variables, "validatePods"),
              "[" RULE("\"\"", "\"*\"", USUAL, "\"pods\",\"pods/ephemeralcontainers\",\"pods/resize\"") "]");
  expect_json(MG_GET(variables, "mutatePods"), "[" RULE("\"\"", "\"*\"", USUAL, "\"pods\"") "]");
  expect_json(MG_GET(variables, "mutateWorkloads"), "[" RULE("\"batch\"", "\"*\"", USUAL, "\"jobs\"") "]");
}

static void test_kinds_without_patch(void **state) {
  (void)state;
  static const char *const mutates[] = {"pods", "never"};
  for (size_t i = 0; i < COUNT(mutates); i++) {
    load_rules(mg_arena_printf(&arena, "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: things.x}\n"
                                       "spec: {group: x, kind: Thing, mutate: %s, templates: [{path: t}]}\n%s",
                               mutates[i],
                               POLICY("p", "  match: {kinds: [Thing]}\n  rules: [{tolerations: {forEachAccelerator: true}}]"))
                   .p);
    expect_json(MG_GET(variables, "mutate"), "absent");
    expect_json(MG_GET(variables, "validateWorkloads"), "[" RULE("\"x\"", "\"*\"", USUAL, "\"things\"") "]");
  }
}

static void test_guessed_resources(void **state) {
  (void)state;
  static const struct {
    const char *name, *kind, *resource, *said;
  } cases[] = {
      {"things.x", "Thing", "things", ""},
      {"fish.x", "Fish", "fish", ""},
      {"things.z", "Thing", "things", "things.x"},
      {"a", "Gateway", "gateways", "gateways.x"},
      {"a", "Policy", "policies", "policies.x"},
      {"a", "Ingress", "ingresses", "ingresses.x"},
      {"a", "Batch", "batches", "batches.x"},
      {"a", "Y", "ys", "ys.x"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    mg_str policies = mg_arena_printf(&arena, "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: %s}\n"
                                              "spec: {group: x, kind: '%s', templates: [{path: t}]}\n%s",
                                      cases[i].name, cases[i].kind,
                                      POLICY("p", "  match: {kinds: ['*.x']}\n  rules: [{gpuLimits: {}}]"));
    mg_str notes = load_rules(policies.p);
    mg_node rule = mg_item(MG_GET(variables, "validateWorkloads"), 0);
    assert_true(mg_str_is(mg_text(mg_item(MG_GET(rule, "resources"), 0)), cases[i].resource));
    assert_int_equal(notes.n != 0, *cases[i].said != '\0');
    assert_true(mg_str_has(notes, mg_str_of(cases[i].said)));
  }
}

static void test_exceptions_take_nothing_away(void **state) {
  (void)state;
  load_rules(POLICY("p", "  match: {kinds: [Job]}\n  rules: [{gpuLimits: {}}]")
                 EXCEPTION("e", "  policies: [p]\n  match: {kinds: [Job]}\n  owner: a\n  reason: b\n  expires: 2027-01-31"));
  assert_true(MG_GET(variables, "validateWorkloads").at);
}

/* ---- conditions ---- */

static const char *const hooks[] = {"validatePodsConditions", "validateWorkloadsConditions", "mutatePodsConditions",
                                    "mutateWorkloadsConditions"};

static void load_conditions(const char *policies) {
  struct mg_snapshot *snapshot = scene_load(mg_rules, policies, NULL);
  variables = mg_make(&doc, MG_OBJECT);
  mg_manifests_conditions(variables, snapshot);
  variables = scene_yaml(&arena, mg_arena_dup(&arena, json_of(variables)).p);
  mg_snapshot_unref(snapshot);
}

/* "" where there is none. */
static mg_str condition(const char *hook, const char *name) {
  for (mg_node c = mg_first(mg_get(variables, mg_str_of(hook))); c.at; c = mg_next(c))
    if (mg_str_is(mg_text(MG_GET(c, "name")), name)) return mg_text(MG_GET(c, "expression"));
  return MG_S("");
}

/* The first letters of the conditions of each webhook: n(amespace), u(ser), g(roup), h(as what a policy is about). */
static void expect_conditions(const char *policies, const char *want) {
  static const struct {
    const char *name;
    char letter;
  } names[] = {{"in-a-namespace-of-a-policy", 'n'},
               {"by-a-user-of-a-policy", 'u'},
               {"by-a-group-of-a-policy", 'g'},
               {"has-what-a-policy-is-about", 'h'}};
  struct mg_buf got;
  mg_buf_init(&got, &arena, 64);
  load_conditions(policies);
  for (size_t h = 0; h < COUNT(hooks); h++) {
    if (h) mg_buf_byte(&got, ' ');
    for (size_t i = 0; i < COUNT(names); i++)
      if (condition(hooks[h], names[i].name).n) mg_buf_byte(&got, names[i].letter);
  }
  if (!mg_str_is(mg_buf_str(&got), want)) fail_msg("%s\ngot:    %.*s\nwanted: %s", policies, MG_FMT(mg_buf_str(&got)), want);
}

#define ANY_POLICY(spec) POLICY("p", spec "\n  rules: [{tolerations: {add: [{key: k, operator: Exists}]}}]")

static void test_keys_of_the_request(void **state) {
  (void)state;
  static const struct {
    const char *match, *want;
  } cases[] = {
      {"namespaces: [a]", "n n n n"},
      {"namespaces: [a, 'b*', 'c[d]e']", "n n n n"},
      {"namespaces: [a, '*b']", "   "},
      {"namespaces: [a, '/b/']", "   "},
      {"namespaces: []", "   "},
      {"users: [a], groups: ['g-*']", "ug ug ug ug"},
      {"users: [\"it's\"]", "   "},
      {"users: ['back\\slash']", "   "},
      {"users: ['\u00fc']", "   "},
      {"names: [a], operations: [DELETE]", "   "},
      {"kinds: [Pod], namespaces: [a]", "n  n "},
      {"kinds: [Job], namespaces: [a]", " n  n"},
      {"namespaces: [a], accelerators: true", "nh n nh n"},
      {"namespaces: [a], accelerators: ['x/*']", "nh n nh n"},
      {"namespaces: [a], accelerators: []", "n n n n"},
      {"accelerators: false", "   "},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect_conditions(mg_arena_printf(&arena, ANY_POLICY("  match: {%s}"), cases[i].match).p, cases[i].want);
}

static void test_one_policy_for_all_takes_a_condition_away(void **state) {
  (void)state;
  expect_conditions(POLICY("a", "  match: {namespaces: [a], accelerators: true}\n  rules: [{gpuLimits: {}}]")
                        POLICY("b", "  match: {users: [u], accelerators: true}\n  rules: [{gpuLimits: {}}]"),
                    "h   ");
  expect_conditions(POLICY("a", "  match: {namespaces: [a]}\n  rules: [{gpuLimits: {}}]")
                        POLICY("b", "  match: {namespaces: [b]}\n  rules: [{priority: {className: c}}]"),
                    "n n n n");
}

static void test_what_rules_are_about(void **state) {
  (void)state;
  static const struct {
    const char *rule, *want;
  } cases[] = {
      {"gpuLimits: {}", "h   "},
      {"gpuLimits: {signals: []}", "h   "},
      {"gpuLimits: {signals: [devicePath, nodeSelector]}", "h   "},
      {"gpuLimits: {signals: [toleration]}", "   "},
      {"gpuLimits: {signals: [image, runtimeClass]}", "   "},
      {"tolerations: {forEachAccelerator: true}", "h  h "},
      {"tolerations: {forEachAccelerator: true, add: [{key: k, operator: Exists}]}", "   "},
      {"nodeSelector: {byAccelerator: {'x/*': {k: v}}}", "h  h "},
      {"nodeSelector: {byAccelerator: {'x/*': {k: v}}, add: {l: v}}", "   "},
      {"sharedMemory: {}", "h  h "},
      {"sharedMemory: {containers: all}", "h  h "},
      {"sharedMemory: {containers: all, minAccelerators: 0}", "   "},
      {"priority: {allowed: [c]}", "   "},
      {"gpuLimits: {}}, {priority: {allowed: [c]}", "   "},
      {"gpuLimits: {signals: [image]}}, {tolerations: {forEachAccelerator: true}", "  h "},
  };
  for (size_t i = 0; i < COUNT(cases); i++)
    expect_conditions(mg_arena_printf(&arena, POLICY("p", "  rules: [{%s}]"), cases[i].rule).p, cases[i].want);
}

static void test_the_text_of_conditions(void **state) {
  (void)state;
  load_conditions(ANY_POLICY("  match: {kinds: [Pod], namespaces: [a, 'b*', a], groups: [g, 'h?']}"));
  mg_str text = condition("mutatePodsConditions", "in-a-namespace-of-a-policy");
  assert_true(mg_str_is(text, "has(request.namespace) && (request.namespace in ['a'] || request.namespace.startsWith('b'))"));
  text = condition("mutatePodsConditions", "by-a-group-of-a-policy");
  assert_true(mg_str_is(text, "has(request.userInfo.groups) && (request.userInfo.groups.size() > 256 || "
                              "request.userInfo.groups.exists(g, g in ['g'] || g.startsWith('h')))"));
}

static void test_only_what_is_asked_for_is_looked_at(void **state) {
  (void)state;
  static const struct {
    const char *signal, *text;
  } cases[] = {
      {"visibleDevices", "e.name in ['NVIDIA_VISIBLE_DEVICES', "},
      {"runtimeClass", "runtimeClassName"},
      {"devicePath", "hostPath"},
      {"nodeSelector", "nodeSelector"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    mg_str policy = mg_arena_printf(&arena, POLICY("p", "  rules: [{gpuLimits: {signals: [%s]}}]"), cases[i].signal);
    load_conditions(policy.p);
    mg_str text = condition("validatePodsConditions", "has-what-a-policy-is-about");
    assert_true(mg_str_has(text, MG_S("'gpu-fraction'")) && mg_str_has(text, MG_S("resourceClaims")));
    for (size_t k = 0; k < COUNT(cases); k++) assert_int_equal(mg_str_has(text, mg_str_of(cases[k].text)), k == i);
  }
}

static mg_str list_of_words(size_t count, size_t length) {
  struct mg_buf buf;
  mg_buf_init(&buf, &arena, 1 << 20);
  for (size_t i = 0; i < count; i++) mg_buf_printf(&buf, "%s%0*zu", i ? ", a" : "a", (int)length - 1, i);
  return mg_buf_str(&buf);
}

static void test_limits_of_words(void **state) {
  (void)state;
  static const struct {
    size_t count, length;
    const char *want;
  } cases[] = {{31, 5, "n n n n"}, {32, 5, "n n n n"}, {33, 5, "   "}, {1, 255, "n n n n"}, {1, 256, "n n n n"}, {1, 257, "   "}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    mg_str words = list_of_words(cases[i].count, cases[i].length);
    expect_conditions(mg_arena_printf(&arena, ANY_POLICY("  match: {namespaces: [%.*s]}"), MG_FMT(words)).p, cases[i].want);
  }
}

static void test_words_of_accelerators(void **state) {
  (void)state;
#define ACCELERATORS(spec) "apiVersion: mlgate.dev/v1\nkind: Accelerators\nmetadata: {name: a}\nspec: {" spec "}\n"
  expect_conditions(ACCELERATORS("shares: [mine/share]") POLICY("p", "  rules: [{gpuLimits: {}}]"), "h   ");
  mg_str text = condition("validatePodsConditions", "has-what-a-policy-is-about");
  assert_true(mg_str_has(text, MG_S("['mine/share', 'gpu-fraction', ")));
  expect_conditions(ACCELERATORS("shares: [\"it's\"]") POLICY("p", "  rules: [{gpuLimits: {}}]"), "   ");
  expect_conditions(ACCELERATORS("backDoors: {env: [\"it's\"]}") POLICY("p", "  rules: [{gpuLimits: {}}]"), "   ");
}

static void test_pods_that_are_more_than_pods(void **state) {
  (void)state;
  static const char *const templates[] = {"{path: ., shape: template, containers: [spec.more]}", "{path: spec, shape: spec}",
                                          "{path: .}, {path: spec.template}"};
  for (size_t i = 0; i < COUNT(templates); i++)
    expect_conditions(mg_arena_printf(&arena, "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: pods}\n"
                                              "spec: {group: '', kind: Pod, templates: [%s]}\n%s",
                                      templates[i], POLICY("p", "  rules: [{gpuLimits: {}}]"))
                          .p,
                      "   ");
}

/* ---- files ---- */

static int put_files(const struct mg_source *items, size_t count, struct mg_err *err) {
  struct mg_source copy[16];
  memcpy(copy, items, count * sizeof *items);
  struct mg_policy_sources sources = {.items = copy, .count = count};
  variables = mg_make(&doc, MG_OBJECT);
  return mg_manifests_files(variables, MG_S("n"), &sources, err);
}

static mg_str text_of(size_t size, char fill) {
  char *p = mg_arena_alloc(&arena, size);
  assert_non_null(p);
  memset(p, fill, size);
  return (mg_str){p, size};
}

static void test_file_names(void **state) {
  (void)state;
  struct mg_err err = {0};
  const struct mg_source flat[] = {
      {.path = "d/a.yaml", .text = MG_S("1")}, {.path = "d/b.json", .text = MG_S("2")}, {.path = "x", .text = MG_S("")}};
  assert_int_equal(put_files(flat, 3, &err), 0);
  expect_json(MG_GET(variables, "configmaps"),
              "[{\"configmap\":\"n-policies\",\"data\":{\"a.yaml\":\"1\",\"b.json\":\"2\",\"x.yaml\":\"\"}}]");
  const struct mg_source back[] = {{.path = "b.yaml", .text = MG_S("1")}, {.path = "a.yaml", .text = MG_S("2")}};
  assert_int_equal(put_files(back, 2, &err), 0);
  expect_json(MG_GET(variables, "configmaps"),
              "[{\"configmap\":\"n-policies\",\"data\":{\"00001-b.yaml\":\"1\",\"00002-a.yaml\":\"2\"}}]");
  const struct mg_source binary[] = {{.path = "a.yaml", .text = MG_S("\xFF\xFE")}};
  assert_int_equal(put_files(binary, 1, &err), 0);
  expect_json(MG_GET(variables, "configmaps"), "[{\"configmap\":\"n-policies\",\"binaryData\":{\"a.yaml\":\"//4=\"}}]");
}

static void test_long_file_names(void **state) {
  (void)state;
  struct mg_err err = {0};
  for (size_t n = 195; n < 300; n += 1) {
    mg_str path = mg_arena_printf(&arena, "%.*s.yaml", MG_FMT(text_of(n, 'a')));
    const struct mg_source one[] = {{.path = path.p, .text = MG_S("1")}};
    assert_int_equal(put_files(one, 1, &err), 0);
    mg_str key = mg_text(mg_first(MG_GET(mg_item(MG_GET(variables, "configmaps"), 0), "data")));
    assert_true(key.n <= 253 && mg_str_ends(key, MG_S("a.yaml")));
  }
}

static void test_context_has_maps_of_its_own(void **state) {
  (void)state;
  struct mg_err err = {0};
  const struct mg_source both[] = {{.path = "p.yaml", .text = MG_S("1")},
                                   {.path = "c.yaml", .text = MG_S("2"), .context_only = true}};
  assert_int_equal(put_files(both, 2, &err), 0);
  expect_json(MG_GET(variables, "configmaps"), "[{\"configmap\":\"n-policies\",\"data\":{\"p.yaml\":\"1\"}},"
                                               "{\"configmap\":\"n-context\",\"data\":{\"c.yaml\":\"2\"}}]");
  expect_json(MG_GET(variables, "contextSources"), "[{\"configMap\":{\"name\":\"n-context\"}}]");
  assert_int_equal(put_files(both, 1, &err), 0);
  expect_json(MG_GET(variables, "contextSources"), "absent");
  assert_int_equal(put_files(both, 0, &err), 0);
  expect_json(MG_GET(variables, "configmaps"), "[{\"configmap\":\"n-policies\"}]");
}

static uint32_t maps_of(size_t first, size_t second) {
  struct mg_err err = {0};
  const struct mg_source two[] = {{.path = "a.yaml", .text = text_of(first, 'a')},
                                  {.path = "b.yaml", .text = text_of(second, 'b')}};
  assert_int_equal(put_files(two, 2, &err), 0);
  assert_int_equal(mg_count(MG_GET(variables, "policySources")), mg_count(MG_GET(variables, "configmaps")));
  return mg_count(MG_GET(variables, "configmaps"));
}

static void test_limits(void **state) {
  (void)state;
  assert_int_equal(maps_of(MG_MANIFESTS_MAP_MAX - 2, 1), 1);
  assert_int_equal(maps_of(MG_MANIFESTS_MAP_MAX - 1, 1), 1);
  assert_int_equal(maps_of(MG_MANIFESTS_MAP_MAX, 1), 2);
  assert_int_equal(maps_of(1, MG_MANIFESTS_FILE_MAX), 2);
  struct mg_err err = {0};
  const struct mg_source most[] = {{.path = "a.yaml", .text = text_of(MG_MANIFESTS_FILE_MAX - 1, 'a')}};
  assert_int_equal(put_files(most, 1, &err), 0);
  const struct mg_source more[] = {{.path = "a.yaml", .text = text_of(MG_MANIFESTS_FILE_MAX + 1, 'a')}};
  assert_int_equal(put_files(more, 1, &err), MG_E_LIMIT);
  assert_string_equal(err.text, "a.yaml: larger than a ConfigMap may be");
  const struct mg_source binary[] = {{.path = "a.yaml", .text = text_of(MG_MANIFESTS_FILE_MAX / 2 + 1, '\xFF')}};
  assert_int_equal(put_files(binary, 1, &err), MG_E_LIMIT);
}

static void test_the_digest_is_of_names_and_contents(void **state) {
  (void)state;
  static const struct mg_source all[][1] = {{{.path = "a.yaml", .text = {"1", 1}}}, {{.path = "d/a.yaml", .text = {"1", 1}}},
                                            {{.path = "b.yaml", .text = {"1", 1}}}, {{.path = "a.yaml", .text = {"2", 1}}}};
  struct mg_err err = {0};
  mg_str digests[4];
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(put_files(all[i], 1, &err), 0);
    digests[i] = mg_text(MG_GET(variables, "digest"));
    assert_int_equal(digests[i].n, 32);
  }
  assert_true(mg_str_eq(digests[0], digests[1]));
  assert_false(mg_str_eq(digests[0], digests[2]));
  assert_false(mg_str_eq(digests[0], digests[3]));
}

/* ---- classes ---- */

static const char class_x[] =
    "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: x}\nvalue: -5\nglobalDefault: false\n";

static mg_str load_classes(const char *policies, const char *context) {
  struct mg_source items[] = {{.path = "policy.yaml"}, {.path = "context.yaml", .context_only = true}};
  struct mg_policy_sources sources = {.items = items, .count = 2};
  struct mg_snapshot *snapshot = scene_load(mg_rules, policies, context);
  struct mg_buf notes;
  mg_buf_init(&notes, &arena, 1 << 16);
  variables = mg_make(&doc, MG_OBJECT);
  mg_manifests_classes(variables, snapshot, &sources, &notes);
  variables = scene_yaml(&arena, mg_arena_dup(&arena, json_of(variables)).p);
  mg_snapshot_unref(snapshot);
  return mg_buf_str(&notes);
}

static void test_classes(void **state) {
  (void)state;
  static const char policies[] =
      POLICY("p", "  rules: [{priority: {className: x}}, {priority: {allowed: [z]}}]")
      POLICY("q", "  rules: [{priority: {className: x, preemptionPolicy: Never}}, {priority: {className: system-a}}]");
  mg_str notes = load_classes(policies, NULL);
  expect_json(variables, "{\"classes\":[{\"class\":\"x\",\"value\":1000,\"description\":\"Named by the policy p of mlgate.\","
                         "\"preemptionPolicy\":\"Never\"}]}");
  assert_true(mg_str_is(notes, "PriorityClass x is described nowhere: rendered with value 1000\n"));
  static const char never[] = "preemptionPolicy: Never\n";
  mg_str known = mg_arena_printf(&arena, "%s%s", class_x, never);
  mg_str with = mg_arena_printf(&arena, "%.*s%s", MG_FMT(known), policies);
  assert_int_equal(load_classes(policies, known.p).n, 0);
  expect_json(variables, "{\"classes\":[]}");
  assert_int_equal(load_classes(with.p, NULL).n, 0);
  expect_json(variables, "{\"classes\":[{\"class\":\"x\",\"value\":-5,\"preemptionPolicy\":\"Never\"}]}");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      CASE(test_values_keep_their_kind),
      CASE(test_what_is_not_there_is_left_out),
      CASE(test_text_of_a_variable_is_not_looked_into),
      CASE(test_dollars_that_are_no_variables),
      CASE(test_a_list_in_a_list_is_its_items),
      CASE(test_each),
      CASE(test_chart_strings),
      CASE(test_chart_conditions),
      CASE(test_chart_lists),
      CASE(test_chart_objects),
      CASE(test_chart_values),
      CASE(test_the_first_failure_ends_it),
      CASE(test_memory_that_runs_out_is_told),
      CASE(test_rules_of_one_kind),
      CASE(test_no_policy_no_rule),
      CASE(test_pods_have_their_own_webhook),
      CASE(test_kinds_without_patch),
      CASE(test_guessed_resources),
      CASE(test_exceptions_take_nothing_away),
      CASE(test_keys_of_the_request),
      CASE(test_one_policy_for_all_takes_a_condition_away),
      CASE(test_what_rules_are_about),
      CASE(test_the_text_of_conditions),
      CASE(test_only_what_is_asked_for_is_looked_at),
      CASE(test_limits_of_words),
      CASE(test_words_of_accelerators),
      CASE(test_pods_that_are_more_than_pods),
      CASE(test_file_names),
      CASE(test_long_file_names),
      CASE(test_context_has_maps_of_its_own),
      CASE(test_limits),
      CASE(test_the_digest_is_of_names_and_contents),
      CASE(test_classes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
