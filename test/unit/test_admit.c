#include "unit/probe.h"

/* One answer, and the answer read again. */
struct answered {
  struct mg_arena arena, work;
  struct mg_answer answer;
  mg_node root, response;
};

static void admit(struct answered *a, const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, mg_str body) {
  struct mg_read how = {.limits = {(size_t)64 << 20, 200, 1000000}};
  struct mg_err err = {0};
  mg_arena_init(&a->work, MG_REVIEW_ARENA, 0);
  mg_admit(snapshot, endpoint, body, SCENE_NOW, NULL, &a->work, &a->answer);
  struct mg_doc *doc = MG_NEW(&a->arena, struct mg_doc);
  if (mg_json_read(doc, &a->arena, mg_buf_str(&a->answer.body), &how, &err))
    fail_msg("no JSON: %s: %.*s", err.text, MG_FMT(mg_buf_str(&a->answer.body)));
  a->root = mg_root(doc);
  a->response = MG_GET(a->root, "response");
}

static void ask(struct answered *a, const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, const struct ask *ask) {
  mg_arena_init(&a->arena, (size_t)128 << 20, 0);
  admit(a, snapshot, endpoint, scene_review(&a->arena, ask));
  assert_int_equal(a->answer.http_status, 200);
  assert_true(a->answer.summary.decided);
}
#define ASK(a, snapshot, endpoint, ...) ask((a), (snapshot), (endpoint), &(struct ask){__VA_ARGS__})

static void ask_text(struct answered *a, const struct mg_snapshot *snapshot, mg_str body) {
  mg_arena_init(&a->arena, (size_t)128 << 20, 0);
  admit(a, snapshot, MG_VALIDATE, body);
}

static void done(struct answered *a) {
  mg_arena_fini(&a->work);
  mg_arena_fini(&a->arena);
}

static mg_str get(mg_node n, const char *a, const char *b) {
  n = mg_get(n, mg_str_of(a));
  return mg_string(b ? mg_get(n, mg_str_of(b)) : n);
}

static void expect_text(mg_str got, const char *want) {
  if (!mg_str_is(got, want)) fail_msg("got:    %.*s\nwanted: %s", MG_FMT(got), want);
}

static void expect_body(const struct answered *a, const char *want) {
  expect_text(mg_buf_str(&a->answer.body), want);
}

#define POD(meta, spec) "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ns" meta "}\nspec: {" spec "}\n"
#define REPLY "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":\"u-1\","

/* Every shape, to the byte. */
static void shapes(void **state) {
  (void)state;
  struct answered a;
  struct mg_snapshot *s =
      scene_load(probe_types,
                 "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: p, annotations: {mlgate.dev/docs: \"https://x/y\"}}\n"
                 "spec: {rules: [{see: {}}, {name: m, mark: {key: x, value: v}}]}\n" POLICY(
                     "w", "  action: warn\n  rules: [{mark: {key: z, value: v}}]"),
                 NULL);
  ASK(&a, s, MG_VALIDATE, .object = POD("", "containers: [{name: c}]"));
  expect_body(
      &a, REPLY
      "\"allowed\":false,\"status\":{\"code\":403,\"reason\":\"Forbidden\",\"message\":"
      "\"p/see: spec: seen (https://x/y)\\np/see: spec.containers[0]: seen (https://x/y)\"},\"warnings\":[\"w/mark: no z\"],"
      "\"auditAnnotations\":{\"violations\":\"p/see=deny,p/see=deny,w/mark=warn\",\"policies\":\"p,w\"}}}\n");
  assert_true(!a.answer.summary.allowed && !a.answer.summary.patched && a.answer.summary.violations[MG_OUT_DENY] == 2);
  expect_text(a.answer.summary.message, "p/see: spec: seen (https://x/y)\np/see: spec.containers[0]: seen (https://x/y)");
  expect_text(a.answer.summary.ns, "ns");
  expect_text(a.answer.summary.kind, "Pod");
  done(&a);
  /* /mutate never denies. [{"op":"add","path":"/spec/x","value":"v"}] */
  ASK(&a, s, MG_MUTATE, .object = POD("", "containers: [{name: c}]"));
  expect_body(&a, REPLY "\"allowed\":true,\"patchType\":\"JSONPatch\",\"patch\":"
                        "\"W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMveCIsInZhbHVlIjoidiJ9XQ==\"}}\n");
  assert_true(a.answer.summary.allowed && a.answer.summary.patched);
  done(&a);
  ASK(&a, s, MG_MUTATE, .object = POD("", "x: v, containers: [{name: c}]"));
  expect_body(&a, REPLY "\"allowed\":true}}\n");
  assert_false(a.answer.summary.patched);
  done(&a);
  ASK(&a, s, MG_VALIDATE, .object = "apiVersion: v1\nkind: ConfigMap\n");
  expect_body(&a, REPLY "\"allowed\":true}}\n");
  assert_int_equal(a.answer.summary.kind_index, UINT32_MAX);
  done(&a);
  mg_snapshot_unref(s);
}

static void line_forms(void **state) {
  (void)state;
  struct answered a;
  struct mg_snapshot *s = scene_load(
      probe_types, POLICY("p", "  rules: [{gpuLimits: {signals: []}}, {name: own, message: Ask us first, grade: {of: object}}]"),
      NULL);
  ASK(&a, s, MG_VALIDATE,
      .object = POD(", annotations: {grade: \"1\"}", "containers: [{name: c, resources: {requests: {nvidia.com/gpu: 2}}}]"));
  expect_text(get(a.response, "status", "message"),
              "p/gpuLimits: spec.containers[0].resources.limits: container \"c\" requests 2 nvidia.com/gpu and sets no limit "
              "(resources.limits[\"nvidia.com/gpu\"]: 2)\np/own: metadata.annotations.grade: Ask us first: grade 1");
  done(&a);
  mg_snapshot_unref(s);
}

/* An object of n containers. */
static mg_str with_containers(struct mg_arena *arena, uint32_t n, const char *grade) {
  struct mg_buf out;
  mg_buf_init(&out, arena, (size_t)16 << 20);
  mg_buf_lit(&out, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n");
  for (uint32_t i = 0; i < n; i++) mg_buf_printf(&out, "  - {name: c%u, grade: \"%s\"}\n", i, grade);
  mg_buf_byte(&out, '\0');
  return mg_buf_str(&out);
}

static size_t count(mg_str text, char c) {
  size_t n = 0;
  for (size_t i = 0; i < text.n; i++) n += text.p[i] == c;
  return n;
}

static void twenty_lines(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{grade: {of: container}}]"), NULL);
  for (uint32_t n = 19; n <= 122; n = n == 22 ? 122 : n + 1) {
    struct answered a;
    struct mg_arena arena;
    char more[32];
    mg_arena_init(&arena, (size_t)16 << 20, 0);
    ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, n, "1").p);
    mg_str message = get(a.response, "status", "message");
    snprintf(more, sizeof more, "\nand %u more", n - 20);
    assert_int_equal(count(message, '\n') + 1, n <= 20 ? n : 21);
    assert_int_equal(mg_str_ends(message, mg_str_of(more)), n > 20);
    done(&a);
    mg_arena_fini(&arena);
  }
  mg_snapshot_unref(s);
}

/* Past a thousand of one rule they are only counted, and still deny. */
static void thousands(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{grade: {of: container}}]"), NULL);
  struct answered a;
  struct mg_arena arena;
  mg_arena_init(&arena, (size_t)16 << 20, 0);
  ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, 5000, "1").p);
  assert_true(mg_str_ends(get(a.response, "status", "message"), MG_S("\nand 4980 more")));
  assert_int_equal(a.answer.summary.violations[MG_OUT_DENY], 5000);
  expect_text(mg_string(mg_item(MG_GET(a.response, "warnings"), 0)),
              "p/grade: and 4000 more violations that are not listed, 4000 of which deny");
  mg_str noted = get(a.response, "auditAnnotations", "violations");
  assert_int_equal(count(noted, '='), 78);
  assert_true(mg_str_ends(noted, MG_S(",+4922")));
  done(&a);
  mg_snapshot_unref(s);
  s = scene_load(probe_types, POLICY("p", "  action: warn\n  rules: [{grade: {of: container}}]"), NULL);
  ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, 5000, "1").p);
  expect_text(mg_string(mg_item(MG_GET(a.response, "warnings"), 30)), "mlgate: and 4971 more warnings"); /* and the one above */
  done(&a);
  mg_arena_fini(&arena);
  mg_snapshot_unref(s);
}

/* What was there before leaves room for what denies. */
static void one_behind_thousands(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{grade: {of: container}}]"), NULL);
  struct answered a;
  struct mg_arena arena;
  mg_arena_init(&arena, (size_t)16 << 20, 0);
  ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, 1201, "1").p, .old = with_containers(&arena, 1200, "1").p);
  expect_text(get(a.response, "status", "message"), "p/grade: spec.containers[1200].grade: grade 1");
  done(&a);
  mg_arena_fini(&arena);
  mg_snapshot_unref(s);
}

/* 8 KiB in all, in whole lines; the first of them is cut where it alone is too long. */
static void eight_kib(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{grade: {of: container}}]"), NULL);
  char *grade = calloc(1, 9001);
  assert_non_null(grade);
  memset(grade, 'x', 9000);
  const size_t head = strlen("p/grade: spec.containers[0].grade: grade "), more = strlen("\nand 4 more");
  for (size_t n = 100; n <= 9000; n = n < 2000 ? n + 379 : n < 8100 ? n + 1500 : n < 8180 ? n + 1 : n + 205) {
    struct answered a;
    struct mg_arena arena;
    mg_arena_init(&arena, (size_t)16 << 20, 0);
    for (uint32_t containers = 1; containers <= 5; containers += 4) {
      char said = grade[n];
      grade[n] = '\0';
      ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, containers, grade).p);
      grade[n] = said;
      mg_str message = get(a.response, "status", "message");
      assert_true(message.n <= 8192);
      assert_true(mg_str_starts(message, MG_S("p/grade: spec.containers[0].grade: grade xxx")));
      bool all = (head + n) * containers + containers - 1 <= 8192;
      if (all) assert_int_equal(message.n, (head + n) * containers + containers - 1);
      if (containers == 1 && !all) assert_true(message.n == 8192 && mg_str_ends(message, MG_S("xxx\xE2\x80\xA6")));
      if (containers == 5 && (head + n) * 5 > 8192 + more)
        assert_true(mg_str_has(message, MG_S("\nand ")) && mg_str_ends(message, MG_S(" more")));
      done(&a);
    }
    mg_arena_fini(&arena);
  }
  free(grade);
  mg_snapshot_unref(s);
}

static size_t points(mg_str text) {
  size_t n = 0;
  for (size_t i = 0; i < text.n; i++) n += ((unsigned char)text.p[i] & 0xC0) != 0x80;
  return n;
}

/* 120 characters, not bytes; what is cut ends in an ellipsis. */
static void long_warnings(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  action: warn\n  rules: [{grade: {}}]"), NULL);
  static const char *const letters[] = {"x", "\xC3\xA9", "\xE8\xAA\xAC", "\xF0\x9F\x98\x80"};
  const size_t head = strlen("p/grade: grade ");
  for (size_t l = 0; l < COUNT(letters); l++)
    for (size_t n = 119 - head; n <= 123 - head; n++) {
      struct answered a;
      char text[600] = "", object[900];
      for (size_t i = 0; i < n; i++) memcpy(text + i * strlen(letters[l]), letters[l], strlen(letters[l]) + 1);
      snprintf(object, sizeof object, POD(", annotations: {grade: \"%s\"}", ""), text);
      ASK(&a, s, MG_VALIDATE, .object = object);
      mg_str warning = mg_string(mg_item(MG_GET(a.response, "warnings"), 0));
      assert_true(mg_true(MG_GET(a.response, "allowed")));
      assert_int_equal(points(warning), head + n > 120 ? 120 : head + n);
      assert_int_equal(mg_str_ends(warning, MG_S("\xE2\x80\xA6")), head + n > 120);
      assert_true(mg_str_starts(warning, MG_S("p/grade: grade ")));
      done(&a);
    }
  mg_snapshot_unref(s);
}

static void thirty_warnings(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  action: warn\n  rules: [{grade: {of: container}}]"), NULL);
  for (uint32_t n = 29; n <= 32; n++) {
    struct answered a;
    struct mg_arena arena;
    char more[32];
    mg_arena_init(&arena, (size_t)16 << 20, 0);
    ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, n, "1").p);
    mg_node warnings = MG_GET(a.response, "warnings");
    assert_int_equal(mg_count(warnings), n <= 30 ? n : 31);
    snprintf(more, sizeof more, "%u more", n - 30);
    assert_int_equal(mg_str_has(mg_string(mg_item(warnings, mg_count(warnings) - 1)), mg_str_of(more)), n > 30);
    done(&a);
    mg_arena_fini(&arena);
  }
  mg_snapshot_unref(s);
}

/* Text for people carries no control and no bidirectional characters; data is exact. */
static void control_characters(void **state) {
  (void)state;
  struct answered a;
  struct mg_snapshot *s =
      scene_load(probe_types, POLICY("p", "  rules: [{grade: {}}]") POLICY("w", "  action: warn\n  rules: [{grade: {}}]"), NULL);
  const char *object = POD(", annotations: {grade: \"1\\e[2J\\u202e\\n\\t\\x7f\\u2028\\u0085x\"}", "");
#define BAD "\xEF\xBF\xBD"
  ASK(&a, s, MG_VALIDATE, .object = object);
  expect_text(mg_string(mg_item(MG_GET(a.response, "warnings"), 0)), "w/grade: grade 1" BAD "[2J" BAD BAD BAD BAD BAD BAD "x");
  expect_text(get(a.response, "status", "message"),
              "p/grade: metadata.annotations.grade: grade 1" BAD "[2J" BAD BAD BAD BAD BAD BAD "x");
  done(&a);
  mg_snapshot_unref(s);
}

static void exact_patch(void **state) {
  (void)state;
  struct answered a;
  struct mg_snapshot *s =
      scene_load(probe_types, POLICY("m", "  rules: [{mark: {key: \"a\\nb/~\", value: \"\\e\\u202e\"}}]"), NULL);
  ASK(&a, s, MG_MUTATE, .object = POD("", ""));
  /* [{"op":"add","path":"/spec/a\nb~1~0","value":"\u001b<U+202E>"}] */
  expect_body(&a, REPLY "\"allowed\":true,\"patchType\":\"JSONPatch\",\"patch\":"
                        "\"W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvYVxuYn4xfjAiLCJ2YWx1ZSI6Ilx1MDAxYuKAriJ9XQ==\"}}\n");
  done(&a);
  mg_snapshot_unref(s);
}

/* Whole entries up to 1 KiB, then how many more; only on /validate. */
static void audit_annotations(void **state) {
  (void)state;
  struct mg_snapshot *s =
      scene_load(probe_types,
                 POLICY("p", "  rules: [{grade: {of: container}}]") POLICY("spared", "  rules: [{grade: {of: container}}]")
                     EXCEPTION("e", "  {policies: [spared], owner: o, reason: r, expires: 2030-01-01}"),
                 NULL);
  for (uint32_t n = 1; n <= 70; n++) {
    struct answered a;
    struct mg_arena arena;
    mg_arena_init(&arena, (size_t)16 << 20, 0);
    ASK(&a, s, MG_VALIDATE, .object = with_containers(&arena, n, "1").p);
    mg_str text = get(MG_GET(a.response, "auditAnnotations"), "violations", NULL);
    size_t deny = strlen("p/grade=deny"), spared = strlen("spared/grade=exempted"), all = n * (deny + spared) + 2 * n - 1;
    expect_text(get(MG_GET(a.response, "auditAnnotations"), "policies", NULL), "p,spared");
    assert_true(mg_str_starts(text, MG_S("p/grade=deny")));
    if (all <= 1024) {
      assert_int_equal(text.n, all);
    } else {
      uint32_t shown = (uint32_t)count(text, '=');
      char end[32];
      int length = snprintf(end, sizeof end, ",+%u", 2 * n - shown);
      assert_true(mg_str_ends(text, mg_str_of(end)));
      assert_true(text.n - (size_t)length <= 1024 && text.n - (size_t)length > 1024 - spared - 1);
    }
    done(&a);
    ASK(&a, s, MG_MUTATE, .object = with_containers(&arena, n, "1").p);
    assert_false(MG_GET(a.response, "auditAnnotations").at);
    done(&a);
    mg_arena_fini(&arena);
  }
  mg_snapshot_unref(s);
}

#define REVIEW(head, request)                                                                                                    \
  "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\"" head ",\"request\":" request "}"
#define KIND_POD "\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"}"

/* What is no review gets its status, and a Status whose words reach the user. */
static void refused(void **state) {
  (void)state;
  static const struct {
    const char *body;
    unsigned status;
    const char *said;
  } rows[] = {
      {"", 400, "cannot be read"},
      {"nonsense", 400, "cannot be read"},
      {"{", 400, "cannot be read"},
      {"{} {}", 400, "cannot be read"},
      {"[]", 400, "apiVersion"},
      {"{}", 400, "apiVersion"},
      {"{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"x\"}}", 400,
       "apiVersion"},
      {"{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"Review\",\"request\":{\"uid\":\"x\"}}", 400, "kind"},
      {"{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\"}", 400, "no request"},
      {REVIEW("", "null"), 400, "no request"},
      {REVIEW("", "[]"), 400, "no request"},
      {REVIEW("", "{" KIND_POD ",\"operation\":\"CREATE\"}"), 400, "no uid"},
      {REVIEW("", "{\"uid\":\"\"," KIND_POD ",\"operation\":\"CREATE\"}"), 400, "no uid"},
      {REVIEW("", "{\"uid\":7," KIND_POD ",\"operation\":\"CREATE\"}"), 400, "no uid"},
      {REVIEW("", "{\"uid\":\"x\",\"operation\":\"CREATE\"}"), 400, "no kind"},
      {REVIEW("", "{\"uid\":\"x\"," KIND_POD "}"), 400, "operation"},
      {REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"create\"}"), 400, "operation"},
      {REVIEW("", "{\"uid\":\"x\",\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\"}"), 400, "duplicate key"},
      {REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\",\"object\":{\"spec\":{\"a\":1,\"a\":2}}}"), 400,
       "duplicate key"},
      {REVIEW("", "{\"uid\":\"\xFF\"," KIND_POD ",\"operation\":\"CREATE\"}"), 400, "cannot be read"},
  };
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{see: {}}]"), NULL);
  for (size_t i = 0; i < COUNT(rows); i++) {
    struct answered a;
    ask_text(&a, s, mg_str_of(rows[i].body));
    int64_t code = 0;
    if (a.answer.http_status != rows[i].status) fail_msg("%u for %s", a.answer.http_status, rows[i].body);
    expect_text(get(a.root, "kind", NULL), "Status");
    expect_text(get(a.root, "apiVersion", NULL), "v1");
    expect_text(get(a.root, "status", NULL), "Failure");
    expect_text(get(a.root, "reason", NULL), "BadRequest");
    assert_true(mg_int64(MG_GET(a.root, "code"), &code) && code == rows[i].status);
    mg_str message = get(a.root, "message", NULL);
    if (!mg_str_starts(message, MG_S("mlgate: ")) || !mg_str_has(message, mg_str_of(rows[i].said)))
      fail_msg("%s: %.*s", rows[i].body, MG_FMT(message));
    assert_false(a.answer.summary.decided);
    assert_true(mg_str_eq(a.answer.summary.message, message));
    done(&a);
  }
  mg_snapshot_unref(s);
}

/* Limits: bytes, depth, values, each met and passed by one. */
static mg_str review_of(struct mg_arena *arena, mg_str object) {
  return mg_arena_printf(arena, REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\",\"object\":%.*s}"),
                         MG_FMT(object));
}

static mg_str repeated(struct mg_arena *arena, const char *head, const char *piece, size_t n, const char *tail) {
  struct mg_buf out;
  mg_buf_init(&out, arena, (size_t)32 << 20);
  mg_buf_put(&out, mg_str_of(head));
  for (size_t i = 0; i < n; i++) mg_buf_put(&out, mg_str_of(piece));
  mg_buf_put(&out, mg_str_of(tail));
  assert_false(out.failed);
  return mg_buf_str(&out);
}

static void expect_limit(const struct mg_snapshot *s, mg_str body, bool over) {
  struct answered a;
  ask_text(&a, s, body);
  if (a.answer.http_status != (over ? 413u : 200u)) fail_msg("%u: %.*s", a.answer.http_status, MG_FMT(a.answer.summary.message));
  if (over) expect_text(get(a.root, "reason", NULL), "RequestEntityTooLarge");
  done(&a);
}

static void limits(void **state) {
  (void)state;
  struct mg_arena arena;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{see: {}}]"), NULL);
  mg_arena_init(&arena, (size_t)256 << 20, 0);
  size_t empty = review_of(&arena, MG_S("\"\"")).n;
  for (size_t n = MG_REVIEW_MAX_BYTES - 1; n <= MG_REVIEW_MAX_BYTES + 1; n++)
    expect_limit(s, review_of(&arena, repeated(&arena, "\"", "x", n - empty, "\"")), n > MG_REVIEW_MAX_BYTES);
  for (size_t n = MG_REVIEW_MAX_DEPTH - 1; n <= MG_REVIEW_MAX_DEPTH + 1; n++) { /* the review and its request are two */
    mg_str open = repeated(&arena, "", "[", n - 2, "");
    expect_limit(s, review_of(&arena, repeated(&arena, mg_arena_dup(&arena, open).p, "]", n - 2, "")), n > MG_REVIEW_MAX_DEPTH);
  }
  expect_limit(s, review_of(&arena, repeated(&arena, "[0", ",0", MG_REVIEW_MAX_CELLS - 100, "]")), false);
  expect_limit(s, review_of(&arena, repeated(&arena, "[0", ",0", MG_REVIEW_MAX_CELLS, "]")), true);
  mg_arena_fini(&arena);
  mg_snapshot_unref(s);
}

/* The uid comes back as it is, whatever it is. */
static void uid_exact(void **state) {
  (void)state;
  static const char *const uids[] = {
      "0b4f5c8e-2c3b-4f0e-9d59-0e9f6f7c1a11", "\\\"\\\\\\/", "\\u0000x", "\\u202e\\u001b", "\xF0\x9F\x98\x80", " ", "a\\nb"};
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{see: {}}]"), NULL);
  for (size_t i = 0; i < COUNT(uids); i++) {
    char body[400];
    struct answered a;
    struct mg_doc doc;
    struct mg_read how = {.limits = {4096, 16, 64}};
    snprintf(body, sizeof body, REVIEW("", "{\"uid\":\"%s\"," KIND_POD ",\"operation\":\"CREATE\",\"object\":{\"spec\":{}}}"),
             uids[i]);
    ask_text(&a, s, mg_str_of(body));
    assert_int_equal(a.answer.http_status, 200);
    assert_int_equal(mg_json_read(&doc, &a.arena, mg_str_of(body), &how, NULL), 0);
    mg_str sent = mg_string(MG_GET(MG_GET(mg_root(&doc), "request"), "uid"));
    assert_true(sent.n > 0 && mg_str_eq(sent, get(a.response, "uid", NULL)));
    done(&a);
  }
  mg_snapshot_unref(s);
}

/* Too many templates are too many for ever: no 503, which would be asked again. */
static void many_templates(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(mg_rules, POLICY("p", "  rules: [{gpuLimits: {}}]"), NULL);
  for (int n = MG_MOST_TEMPLATES; n <= MG_MOST_TEMPLATES + 1; n++) {
    struct answered a;
    struct mg_buf body;
    mg_buf_init(&body, NULL, (size_t)1 << 20);
    mg_buf_lit(&body, "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u-1\","
                      "\"kind\":{\"group\":\"jobset.x-k8s.io\",\"version\":\"v1alpha2\",\"kind\":\"JobSet\"},"
                      "\"operation\":\"CREATE\",\"object\":{\"spec\":{\"replicatedJobs\":[{}");
    for (int i = 0; i < n; i++)
      mg_buf_lit(&body, ",{\"template\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{}]}}}}}");
    mg_buf_lit(&body, "]}}}}");
    ask_text(&a, s, mg_buf_str(&body));
    assert_int_equal(a.answer.http_status, n > MG_MOST_TEMPLATES ? 413 : 200);
    if (n > MG_MOST_TEMPLATES)
      expect_text(a.answer.summary.message, "mlgate: the object has more than 4096 pod templates");
    done(&a);
    mg_buf_fini(&body);
  }
  mg_snapshot_unref(s);
}

/* Every size of memory gives an answer: the true one, or a Status: 413, and 503 where not even that has room; and for metrics,
 * the policy that was at work. */
static size_t with_every_size(const struct mg_snapshot *s, enum mg_endpoint endpoint, mg_str body, mg_str want) {
  size_t good = 0, undecided = 0;
  for (size_t max = 0; max < (size_t)512 << 10; max += max < 70000 ? 16 : 1024) {
    struct mg_arena work, arena;
    struct mg_answer answer;
    struct mg_doc doc;
    struct mg_read how = {.limits = {1 << 20, 64, 10000}};
    mg_arena_init(&work, max, 0);
    mg_arena_init(&arena, 1 << 20, 0);
    mg_admit(s, endpoint, body, SCENE_NOW, NULL, &work, &answer);
    if (answer.http_status == 200) {
      good++;
      assert_true(mg_str_eq(mg_buf_str(&answer.body), want));
      assert_null(answer.summary.undecided);
    } else {
      if (good) fail_msg("%zu bytes are too few, fewer were enough", max);
      bool told = answer.http_status == 413;
      if (!told && (answer.http_status != 503 || max > 1024)) fail_msg("%u with %zu bytes", answer.http_status, max);
      assert_int_equal(mg_json_read(&doc, &arena, mg_buf_str(&answer.body), &how, NULL), 0);
      expect_text(get(mg_root(&doc), "kind", NULL), "Status");
      expect_text(get(mg_root(&doc), "reason", NULL), told ? "RequestEntityTooLarge" : "ServiceUnavailable");
      assert_true(answer.summary.message.n > 0 && !answer.summary.decided);
      undecided += answer.summary.undecided != NULL;
    }
    mg_arena_fini(&arena);
    mg_arena_fini(&work);
  }
  assert_true(undecided > 0);
  return good;
}

static void memory(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(
      mg_rules,
      POLICY("p", "  match: {containers: [\"*\"], namespaces: [ns]}\n  exclude: [{images: [\"x/*\"]}]\n"
                  "  rules: [{gpuLimits: {require: [memory], max: {workload: 1}}}, {tolerations: {forEachAccelerator: true}},\n"
                  "    {sharedMemory: {}}, {priority: {className: c, allowed: [d]}}, {nodeSelector: {add: {a: b}}}]")
          POLICY("w", "  action: warn\n  rules: [{sharedMemory: {}}, {priority: {className: e, override: true}}]")
              EXCEPTION("e", "  {policies: [p], rules: [priority], owner: o, reason: r, expires: 2030-01-01}"),
      NULL);
  const char *object = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: ns}\nspec: {replicas: 4, template: "
                       "{spec: {priorityClassName: z,\n"
                       "  initContainers: [{name: i, image: nginx}], containers: [{name: c, resources: {requests: "
                       "{nvidia.com/gpu: 2}}}, {name: d,\n"
                       "  volumeMounts: [{name: v, mountPath: /x}], resources: {limits: {nvidia.com/gpu: \"$N\"}}}], volumes: "
                       "[{name: v, emptyDir: {}}]}}}\n";
  const char *old = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: ns}\nspec: {template: {spec: "
                    "{containers: [{name: c}]}}}\n";
  for (int update = 0; update < 2; update++)
    for (int endpoint = 0; endpoint < 2; endpoint++) {
      struct answered a;
      ASK(&a, s, endpoint ? MG_VALIDATE : MG_MUTATE, .object = object, .old = update ? old : NULL);
      struct ask again = {.object = object, .old = update ? old : NULL};
      mg_str body = scene_review(&a.arena, &again);
      assert_true(endpoint ? !a.answer.summary.allowed : a.answer.summary.patched);
      assert_true(with_every_size(s, endpoint ? MG_VALIDATE : MG_MUTATE, body, mg_buf_str(&a.answer.body)) > 100);
      done(&a);
    }
  mg_snapshot_unref(s);
}

/* Only what another moment can mend is a 503. */
static void whose_memory_it_is(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{see: {}}]"), NULL);
  struct mg_budget budget = {.max = 24 << 10};
  for (int crowded = 0; crowded < 2; crowded++) {
    struct answered a;
    struct mg_arena work;
    struct mg_buf body;
    mg_buf_init(&body, NULL, (size_t)1 << 20);
    mg_buf_lit(&body, "{\"a\":[0");
    for (int i = 0; i < 3000; i++) mg_buf_lit(&body, ",0");
    mg_buf_lit(&body, "]}");
    mg_arena_init(&a.arena, 1 << 20, 0);
    mg_arena_init(&work, crowded ? (size_t)32 << 20 : (size_t)24 << 10, 0);
    work.budget = crowded ? &budget : NULL;
    mg_admit(s, MG_VALIDATE, mg_buf_str(&body), SCENE_NOW, NULL, &work, &a.answer);
    assert_int_equal(a.answer.http_status, crowded ? 503 : 413);
    expect_text(a.answer.summary.message,
                crowded ? "mlgate: the reviews that are answered now have the memory that this one needs; try again"
                        : "mlgate: the review needs more than 0 MiB of memory");
    mg_arena_fini(&work);
    mg_arena_fini(&a.arena);
    mg_buf_fini(&body);
  }
  mg_snapshot_unref(s);
}

/* A bad request with no memory for its answer is no crash either. */
static void memory_of_an_error(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(probe_types, "", NULL);
  for (size_t max = 0; max < 20000; max += 16) {
    struct mg_arena work;
    struct mg_answer answer;
    mg_arena_init(&work, max, 0);
    mg_admit(s, MG_VALIDATE, MG_S("{\"a\":{}}"), SCENE_NOW, NULL, &work, &answer);
    assert_true(answer.http_status == 400 || answer.http_status == 413 || (answer.http_status == 503 && max <= 1024));
    assert_true(mg_str_starts(mg_buf_str(&answer.body), MG_S("{\"kind\":\"Status\"")));
    assert_true(mg_str_ends(mg_buf_str(&answer.body), MG_S("}\n")));
    mg_arena_fini(&work);
  }
  mg_snapshot_unref(s);
}

/* One arena for review after review, as the server does it. */
static void one_arena(void **state) {
  (void)state;
  struct mg_arena work;
  struct mg_snapshot *s = scene_load(probe_types, POLICY("p", "  rules: [{see: {}}, {mark: {key: x, value: v}}]"), NULL);
  mg_arena_init(&work, MG_REVIEW_ARENA, 1 << 20);
  for (int i = 0; i < 50; i++) {
    struct answered a;
    struct mg_answer answer;
    ASK(&a, s, i % 2 ? MG_VALIDATE : MG_MUTATE, .object = POD("", "containers: [{name: c}]"));
    struct ask again = {.object = POD("", "containers: [{name: c}]")};
    mg_str body = i % 5 == 4 ? MG_S("bad") : scene_review(&a.arena, &again);
    mg_arena_reset(&work);
    mg_admit(s, i % 2 ? MG_VALIDATE : MG_MUTATE, body, SCENE_NOW, NULL, &work, &answer);
    if (i % 5 == 4)
      assert_int_equal(answer.http_status, 400);
    else
      assert_true(mg_str_eq(mg_buf_str(&answer.body), mg_buf_str(&a.answer.body)));
    done(&a);
  }
  mg_arena_fini(&work);
  mg_snapshot_unref(s);
}

/* Unusual but well-formed requests. */
static void odd_requests(void **state) {
  (void)state;
  static const char *const bodies[] = {
      REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\"}"),
      REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\",\"object\":null,\"oldObject\":null}"),
      REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"DELETE\",\"object\":null,\"oldObject\":null}"),
      REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"UPDATE\",\"object\":7,\"oldObject\":[]}"),
      REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\",\"object\":\"text\"}"),
      REVIEW("", "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CONNECT\",\"object\":{\"kind\":\"PodExecOptions\"}}"),
      REVIEW("",
             "{\"uid\":\"x\"," KIND_POD ",\"operation\":\"CREATE\",\"userInfo\":7,\"name\":[],\"namespace\":{},\"object\":{}}"),
      REVIEW(",\"unknown\":{\"a\":1}",
             "{\"uid\":\"x\"," KIND_POD
             ",\"operation\":\"CREATE\",\"dryRun\":true,\"object\":{\"spec\":{\"\\u0000\":\"\\u0000\"}}}"),
  };
  struct mg_snapshot *s =
      scene_load(probe_types, POLICY("p", "  rules: [{grade: {}}, {mark: {key: x, value: v}}, {gpuLimits: {}}]"), NULL);
  for (size_t i = 0; i < COUNT(bodies); i++) {
    struct answered a;
    ask_text(&a, s, mg_str_of(bodies[i]));
    assert_int_equal(a.answer.http_status, 200);
    assert_true(mg_true(MG_GET(a.response, "allowed")));
    done(&a);
  }
  mg_snapshot_unref(s);
}

static uint64_t ticks(void) {
  static uint64_t now;
  return now += 1000;
}

/* A clock that somebody gives times every policy that matched, and no other. */
static void policies_are_timed(void **state) {
  (void)state;
  static const char policies[] = POLICY("match", "  rules: [{see: {}}, {mark: {key: x, value: v}}]")
      POLICY("other", "  match: {names: [b]}\n  rules: [{see: {}}, {mark: {key: z, value: v}}]");
  struct mg_snapshot *s = scene_load(probe_types, policies, NULL);
  struct mg_arena arena, work;
  mg_arena_init(&arena, 1 << 20, 0);
  mg_arena_init(&work, MG_REVIEW_ARENA, 0);
  struct ask pod = {.object = POD("", "containers: [{name: c}]")};
  mg_str body = scene_review(&arena, &pod);
  for (enum mg_endpoint endpoint = MG_MUTATE; endpoint <= MG_VALIDATE; endpoint++) {
    struct mg_answer timed, plain;
    mg_admit_timed(s, endpoint, body, SCENE_NOW, NULL, ticks, &work, &timed);
    assert_non_null(timed.summary.policy_ns);
    assert_true(timed.summary.policy_ns[0] >= 1000 && timed.summary.policy_ns[0] < 3000);
    assert_int_equal(timed.summary.policy_ns[1], 0);
    mg_admit(s, endpoint, body, SCENE_NOW, NULL, &arena, &plain);
    assert_null(plain.summary.policy_ns);
    assert_true(mg_str_eq(mg_buf_str(&plain.body), mg_buf_str(&timed.body)));
    mg_arena_reset(&work);
  }
  mg_arena_fini(&work);
  mg_arena_fini(&arena);
  mg_snapshot_unref(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes),
      cmocka_unit_test(line_forms),
      cmocka_unit_test(twenty_lines),
      cmocka_unit_test(thousands),
      cmocka_unit_test(one_behind_thousands),
      cmocka_unit_test(eight_kib),
      cmocka_unit_test(long_warnings),
      cmocka_unit_test(thirty_warnings),
      cmocka_unit_test(exact_patch),
      cmocka_unit_test(control_characters),
      cmocka_unit_test(audit_annotations),
      cmocka_unit_test(refused),
      cmocka_unit_test(limits),
      cmocka_unit_test(uid_exact),
      cmocka_unit_test(many_templates),
      cmocka_unit_test(memory),
      cmocka_unit_test(whose_memory_it_is),
    cmocka_unit_test(memory_of_an_error),
      cmocka_unit_test(one_arena),
      cmocka_unit_test(odd_requests),
      cmocka_unit_test(policies_are_timed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
