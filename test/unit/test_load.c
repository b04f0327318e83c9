#include "unit/scene.h"

/* One file that is refused, with everything that is said of it. */
struct refused {
  const char *text, *said;
};

#define HEAD "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: a}\n"
#define RULE "  rules: [{tolerations: {forEachAccelerator: true}}]\n"

static mg_str try_files(struct mg_arena *arena, const struct mg_source *sources, size_t count, struct mg_snapshot **ret) {
  mg_str said;
  mg_arena_init(arena, (size_t)64 << 20, 0);
  *ret = scene_try(mg_rules, sources, count, arena, &said);
  return said;
}

static void expect_said(const struct mg_source *sources, size_t count, bool loads, const char *want) {
  struct mg_arena arena;
  struct mg_snapshot *snapshot;
  mg_str said = try_files(&arena, sources, count, &snapshot);
  bool good = mg_str_is(said, want) && (snapshot != NULL) == loads;
  if (!good)
    print_error("of\n%s\nsaid (%s):\n%.*s\nwanted:\n%s\n", sources[0].text.p, snapshot ? "loads" : "refused", MG_FMT(said), want);
  mg_snapshot_unref(snapshot);
  mg_arena_fini(&arena);
  assert_true(good);
}

/* One file p.yaml, of which this is said. */
static void expect_one(const char *text, bool loads, const char *want) {
  expect_said(&(struct mg_source){.path = "p.yaml", .text = mg_str_of(text), .copy = true}, 1, loads, want);
}

static void expect_refused(const struct refused *rows, size_t count) {
  for (size_t i = 0; i < count; i++) expect_one(rows[i].text, false, rows[i].said);
}

static void unknown_keys(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {HEAD "specs: {}\nspec:\n" RULE, "p.yaml:4:1: unknown key \"specs\" in Policy; did you mean \"spec\"?\n"
                                       "    4 | specs: {}\n      | ^~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: a, nmae: b}\nspec:\n" RULE,
       "p.yaml:3:21: unknown key \"nmae\" in metadata; did you mean \"name\"?\n"
       "    3 | metadata: {name: a, nmae: b}\n      |                     ^~~~\n"},
      {HEAD "spec:\n  acton: warn\n" RULE, "p.yaml:5:3: unknown key \"acton\" in spec; did you mean \"action\"?\n"
                                           "    5 |   acton: warn\n      |   ^~~~~\n"},
      {HEAD "spec:\n  match: {namespace: [a]}\n" RULE,
       "p.yaml:5:11: unknown key \"namespace\" in match; did you mean \"namespaces\"?\n"
       "    5 |   match: {namespace: [a]}\n      |           ^~~~~~~~~\n"},
      {HEAD "spec:\n  exclude:\n  - {users: [a]}\n  - zzz: 1\n" RULE, "p.yaml:7:5: unknown key \"zzz\" in exclude\n"
                                                                      "    7 |   - zzz: 1\n      |     ^~~\n"},
      {HEAD "spec:\n  match: {selector: {matchLabel: {a: b}}}\n" RULE,
       "p.yaml:5:22: \"selector\": unknown key \"matchLabel\" in a label selector; did you mean \"matchLabels\"?\n"
       "    5 |   match: {selector: {matchLabel: {a: b}}}\n      |                      ^~~~~~~~~~\n"},
      {HEAD "spec:\n  rules:\n  - sharedMemory:\n      sizeLimt: 16Gi\n",
       "p.yaml:7:7: unknown key \"sizeLimt\" in sharedMemory; did you mean \"sizeLimit\"?\n"
       "    7 |       sizeLimt: 16Gi\n      |       ^~~~~~~~\n"},
      {HEAD "spec:\n  rules:\n  - gpuLimits: {max: {contaner: 1}}\n",
       "p.yaml:6:23: unknown key \"contaner\" in max; did you mean \"container\"?\n"
       "    6 |   - gpuLimits: {max: {contaner: 1}}\n      |                       ^~~~~~~~\n"},
      {HEAD "spec:\n  rules:\n  - gpuLimit: {}\n", "p.yaml:6:5: unknown rule type \"gpuLimit\"; did you mean \"gpuLimits\"?\n"
                                                   "    6 |   - gpuLimit: {}\n      |     ^~~~~~~~\n"},
      {HEAD "spec:\n  rules:\n  - {mesage: x, tolerations: {forEachAccelerator: true}}\n",
       "p.yaml:6:6: unknown rule type \"mesage\"; did you mean \"message\"?\n"
       "    6 |   - {mesage: x, tolerations: {forEachAccelerator: true}}\n      |      ^~~~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
}

static void wrong_types(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {"[1, 2]\n",
       "p.yaml:1:1: a document must be an object with apiVersion, kind, metadata and spec\n    1 | [1, 2]\n      | ^~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: a\nspec:\n" RULE,
       "p.yaml:3:11: \"metadata\" must be an object, not a string\n    3 | metadata: a\n      |           ^\n"},
      {HEAD "spec: 7\n", "p.yaml:4:7: spec must be an object\n    4 | spec: 7\n      |       ^\n"},
      {HEAD "spec:\n  match: [Pod]\n" RULE,
       "p.yaml:5:10: match must be an object\n    5 |   match: [Pod]\n      |          ^~~~~\n"},
      {HEAD "spec:\n  match: {kinds: Pod}\n" RULE,
       "p.yaml:5:18: \"kinds\" must be a list, not a string\n    5 |   match: {kinds: Pod}\n      |                  ^~~\n"},
      {HEAD "spec:\n  match: {kinds: [7]}\n" RULE,
       "p.yaml:5:19: \"kinds\" must be a kind such as Job or PyTorchJob.kubeflow.org, not a number\n"
       "    5 |   match: {kinds: [7]}\n      |                   ^\n"},
      {HEAD "spec:\n  match: {namespaces: [{}]}\n" RULE, "p.yaml:5:24: \"namespaces\" must be a string, not an object\n    5 |   "
                                                         "match: {namespaces: [{}]}\n      |                        ^~\n"},
      {HEAD "spec:\n  match: {accelerators: some}\n" RULE,
       "p.yaml:5:25: \"accelerators\" must be true, false or a list of globs\n"
       "    5 |   match: {accelerators: some}\n      |                         ^~~~\n"},
      {HEAD "spec:\n  match: {selector: a}\n" RULE,
       "p.yaml:5:21: \"selector\": must be a label selector\n    5 |   match: {selector: a}\n      |                     ^\n"},
      {HEAD "spec:\n  match: {annotations: {a: 1}}\n" RULE, "p.yaml:5:28: \"a\" must be a string, not a number\n    5 |   match: "
                                                            "{annotations: {a: 1}}\n      |                            ^\n"},
      {HEAD "spec:\n  exclude: {}\n" RULE,
       "p.yaml:5:12: \"exclude\" must be a list, not an object\n    5 |   exclude: {}\n      |            ^~\n"},
      {HEAD "spec:\n  exclude: [a]\n" RULE,
       "p.yaml:5:13: exclude must be an object\n    5 |   exclude: [a]\n      |             ^\n"},
      {HEAD "spec:\n  rules: {gpuLimits: {}}\n", "p.yaml:5:10: \"rules\" must be a list of at least one rule\n    5 |   rules: "
                                                 "{gpuLimits: {}}\n      |          ^~~~~~~~~~~~~~~\n"},
      {HEAD "spec:\n  rules: [gpuLimits]\n", "p.yaml:5:11: a rule must be an object with one rule type as its key\n"
                                             "    5 |   rules: [gpuLimits]\n      |           ^~~~~~~~~\n"},
      {HEAD "spec:\n  rules: [{gpuLimits: []}]\n",
       "p.yaml:5:23: gpuLimits must be an object\n    5 |   rules: [{gpuLimits: []}]\n      |                       ^~\n"},
      {HEAD "spec:\n  rules: [{tolerations: {forEachAccelerator: \"true\"}}]\n",
       "p.yaml:5:46: \"forEachAccelerator\" must be true or false, not a string\n"
       "    5 |   rules: [{tolerations: {forEachAccelerator: \"true\"}}]\n      |                                              "
       "^~~~~~\n"},
      {HEAD "spec:\n  rules: [{gpuLimits: {max: {container: -1}}}]\n",
       "p.yaml:5:41: \"container\" must be a whole number, 0 or more, not -1\n"
       "    5 |   rules: [{gpuLimits: {max: {container: -1}}}]\n      |                                         ^~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Test\nmetadata: {name: a}\ncases: {}\n",
       "p.yaml:4:8: \"cases\" must be a list, not an object\n    4 | cases: {}\n      |        ^~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: a, annotations: {x: 1}}\nspec:\n" RULE,
       "p.yaml:3:38: \"x\" must be a string, not a number\n"
       "    3 | metadata: {name: a, annotations: {x: 1}}\n      |                                      ^\n"},
  };
  expect_refused(rows, COUNT(rows));
}

static void wrong_values(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {HEAD "spec:\n  action: deny\n" RULE, "p.yaml:5:11: \"action\" cannot be \"deny\"; it is one of enforce, warn, audit\n"
                                            "    5 |   action: deny\n      |           ^~~~\n"},
      {HEAD "spec:\n  action: Enforce\n" RULE,
       "p.yaml:5:11: \"action\" cannot be \"Enforce\"; it is one of enforce, warn, audit; did you mean \"enforce\"?\n"
       "    5 |   action: Enforce\n      |           ^~~~~~~\n"},
      {HEAD "spec:\n  match: {operations: [create]}\n" RULE,
       "p.yaml:5:24: \"operations\" cannot be \"create\"; it is one of CREATE, UPDATE, DELETE, CONNECT; did you mean "
       "\"CREATE\"?\n"
       "    5 |   match: {operations: [create]}\n      |                        ^~~~~~\n"},
      {HEAD "spec:\n  match: {roles: [trainig]}\n" RULE,
       "p.yaml:5:19: \"roles\" cannot be \"trainig\"; it is one of training, inference, batch, interactive, service, system; "
       "did you mean \"training\"?\n    5 |   match: {roles: [trainig]}\n      |                   ^~~~~~~\n"},
      {HEAD "spec:\n  match: {namespaces: [\"/a(/\"]}\n" RULE,
       "p.yaml:5:24: \"namespaces\": bad regular expression: missing closing parenthesis\n"
       "    5 |   match: {namespaces: [\"/a(/\"]}\n      |                        ^~~~~~\n"},
      {HEAD "spec:\n  match: {names: [\"a[z-a]\"]}\n" RULE,
       "p.yaml:5:19: \"names\": bad class in glob: no closing ], or a range that runs backwards\n"
       "    5 |   match: {names: [\"a[z-a]\"]}\n      |                   ^~~~~~~~\n"},
      {HEAD "spec:\n  match: {annotations: {a: \"[\", b: \"/*/\"}}\n" RULE,
       "p.yaml:5:28: \"annotations\": bad class in glob: no closing ], or a range that runs backwards\n"
       "    5 |   match: {annotations: {a: \"[\", b: \"/*/\"}}\n      |                            ^~~\n"
       "p.yaml:5:36: \"annotations\": bad regular expression: quantifier does not follow a repeatable item\n"
       "    5 |   match: {annotations: {a: \"[\", b: \"/*/\"}}\n      |                                    ^~~~~\n"},
      {HEAD "spec:\n  match: {kinds: [/Pod/]}\n" RULE,
       "p.yaml:5:19: \"kinds\": write Kind, Kind.group or Kind.version.group; globs are allowed\n"
       "    5 |   match: {kinds: [/Pod/]}\n      |                   ^~~~~\n"},
      {HEAD "spec:\n  match: {kinds: [\"J[ob\", Job]}\n" RULE,
       "p.yaml:5:19: \"kinds\": bad class in glob: no closing ], or a range that runs backwards\n"
       "    5 |   match: {kinds: [\"J[ob\", Job]}\n      |                   ^~~~~~\n"},
      {HEAD "spec:\n  match: {selector: {matchLabels: {a: \"b c\"}}}\n" RULE,
       "p.yaml:5:39: \"selector\": \"b c\" is not a label value\n"
       "    5 |   match: {selector: {matchLabels: {a: \"b c\"}}}\n      |                                       ^~~~~\n"},
      {HEAD "spec:\n  rules: []\n",
       "p.yaml:5:10: \"rules\" must be a list of at least one rule\n    5 |   rules: []\n      |          ^~\n"},
      {HEAD "spec:\n  rules: [{sharedMemory: {sizeLimit: 16GB}}]\n",
       "p.yaml:5:38: \"sizeLimit\" must be a quantity such as 16Gi: \"16GB\" is not a quantity\n"
       "    5 |   rules: [{sharedMemory: {sizeLimit: 16GB}}]\n      |                                      ^~~~\n"},
      {HEAD "spec:\n  rules: [{sharedMemory: {memoryShare: 0%}}]\n",
       "p.yaml:5:40: \"memoryShare\" must be a percentage from 1% to 100%\n"
       "    5 |   rules: [{sharedMemory: {memoryShare: 0%}}]\n      |                                        ^~\n"},
      {HEAD "spec:\n  rules: [{sharedMemory: {memoryShare: 50}}]\n",
       "p.yaml:5:40: \"memoryShare\" must be a percentage from 1% to 100%\n"
       "    5 |   rules: [{sharedMemory: {memoryShare: 50}}]\n      |                                        ^~\n"},
      {HEAD "spec:\n  rules: [{sharedMemory: {memoryShare: 101%}}]\n",
       "p.yaml:5:40: \"memoryShare\" must be a percentage from 1% to 100%\n"
       "    5 |   rules: [{sharedMemory: {memoryShare: 101%}}]\n      |                                        ^~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
}

/* What YAML 1.1 makes a boolean of is told apart from any other wrong type. */
static void bare_words(void **state) {
  (void)state;
  static const char *const words[] = {"y", "Y", "n", "N", "yes", "no", "on", "off", "On", "OFF"};
  for (size_t i = 0; i < COUNT(words); i++) {
    char text[400], want[600], carets[8] = "^~~~~~~";
    carets[strlen(words[i])] = '\0';
    snprintf(text, sizeof text, HEAD "spec:\n  match: {names: [%s]}\n" RULE, words[i]);
    snprintf(want, sizeof want,
             "p.yaml:5:19: \"names\" must be a string; this is a boolean in YAML 1.1; quote it\n"
             "    5 |   match: {names: [%s]}\n      |                   %s\n",
             words[i], carets);
    expect_one(text, false, want);
    snprintf(text, sizeof text, HEAD "spec:\n  match: {names: [\"%s\", '%s']}\n" RULE, words[i], words[i]);
    expect_one(text, true, "");
  }
  static const struct refused rows[] = {
      {HEAD "spec:\n  match: {names: [true]}\n" RULE, "p.yaml:5:19: \"names\" must be a string, not a boolean\n    5 |   match: "
                                                      "{names: [true]}\n      |                   ^~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: on}\nspec:\n" RULE,
       "p.yaml:3:18: \"name\" must be a string; this is a boolean in YAML 1.1; quote it\n"
       "    3 | metadata: {name: on}\n      |                  ^~\n"},
      {HEAD "spec:\n  match: {selector: {matchLabels: {a: y}}}\n" RULE,
       "p.yaml:5:39: \"selector\": \"true\" is a boolean in YAML 1.1; quote it\n"
       "    5 |   match: {selector: {matchLabels: {a: y}}}\n      |                                       ^\n"},
      {"apiVersion: mlgate.dev/v1\nkind: off\nmetadata: {name: a}\n",
       "p.yaml:2:7: \"kind\" must be a string; this is a boolean in YAML 1.1; quote it\n    2 | kind: off\n      |       ^~~\n"},
  };
  expect_refused(rows, COUNT(rows));
  expect_one(HEAD "spec:\n  match: {accelerators: yes}\n" RULE, true, "");
}

static void missing(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {"kind: Policy\nmetadata: {name: a}\nspec:\n" RULE,
       "p.yaml:1:1: the document lacks \"apiVersion\"\n    1 | kind: Policy\n      | ^~~~~~~~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nmetadata: {name: a}\n",
       "p.yaml:1:1: the document lacks \"kind\"\n    1 | apiVersion: mlgate.dev/v1\n      | ^~~~~~~~~~~~~~~~~~~~~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nspec:\n" RULE,
       "p.yaml:1:1: Policy lacks \"metadata\"\n    1 | apiVersion: mlgate.dev/v1\n      | ^~~~~~~~~~~~~~~~~~~~~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {}\nspec:\n" RULE,
       "p.yaml:3:1: metadata lacks \"name\"\n    3 | metadata: {}\n      | ^~~~~~~~\n"},
      {HEAD, "p.yaml:1:1: Policy lacks \"spec\"\n    1 | apiVersion: mlgate.dev/v1\n      | ^~~~~~~~~~~~~~~~~~~~~~~~~\n"},
      {HEAD "spec: {}\n", "p.yaml:4:1: spec lacks \"rules\"\n    4 | spec: {}\n      | ^~~~\n"},
      {HEAD "spec:\n  rules:\n  - {}\n", "p.yaml:6:5: a rule without a rule type\n    6 |   - {}\n      |     ^~\n"},
      {HEAD "spec:\n  rules:\n  - name: x\n    message: z\n",
       "p.yaml:6:5: a rule without a rule type\n    6 |   - name: x\n      |     ^~~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Registry\nmetadata: {name: a}\nspec: {insecure: true}\n",
       "p.yaml:4:1: spec lacks \"host\"\n    4 | spec: {insecure: true}\n      | ^~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Test\nmetadata: {name: a}\n",
       "p.yaml:1:1: Test lacks \"cases\"\n    1 | apiVersion: mlgate.dev/v1\n      | ^~~~~~~~~~~~~~~~~~~~~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: a}\nspec: {group: x}\n",
       "p.yaml:4:1: spec lacks \"kind\"\n    4 | spec: {group: x}\n      | ^~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
}

static void rules_of_one_entry(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {HEAD "spec:\n  rules:\n  - gpuLimits: {}\n    tolerations: {forEachAccelerator: true}\n",
       "p.yaml:7:5: a second rule type \"tolerations\" in one rule; \"gpuLimits\" came first; start a new list item with \"-\"\n"
       "    7 |     tolerations: {forEachAccelerator: true}\n      |     ^~~~~~~~~~~\n"},
      {HEAD "spec:\n  rules:\n  - {name: \"\", gpuLimits: {}}\n",
       "p.yaml:6:12: \"name\" must not be empty\n    6 |   - {name: \"\", gpuLimits: {}}\n      |            ^~\n"},
      {HEAD "spec:\n  rules:\n  - {message: 3, gpuLimits: {}}\n",
       "p.yaml:6:15: \"message\" must be a string, not a number\n    6 |   - {message: 3, gpuLimits: {}}\n      |               "
       "^\n"},
  };
  expect_refused(rows, COUNT(rows));
}

static void names(void **state) {
  (void)state;
  static const char *const bad[] = {"A", "a_b", "-a", "a-", "a.b", "a b", "\xC3\xA9"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char text[300], said[300];
    snprintf(text, sizeof text, "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata:\n  name: \"%s\"\nspec:\n" RULE, bad[i]);
    snprintf(said, sizeof said,
             "p.yaml:4:9: \"%s\" is no DNS label (lower-case letters, digits and -, at most 63)\n    4 |   name: \"%s\"\n      | "
             "        ^%.*s\n",
             bad[i], bad[i], (int)(bad[i][0] == '\xC3' ? 2 : strlen(bad[i]) + 1), "~~~~~~~~~~");
    expect_one(text, false, said);
  }
  char text[800];
  for (int n = 62; n <= 64; n++) {
    char name[65];
    struct mg_arena arena;
    struct mg_snapshot *snapshot;
    memset(name, 'a', sizeof name);
    snprintf(text, sizeof text, "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: %.*s}\nspec:\n" RULE, n, name);
    struct mg_source source = {.path = "p.yaml", .text = mg_str_of(text)};
    try_files(&arena, &source, 1, &snapshot);
    assert_int_equal(snapshot != NULL, n <= 63);
    mg_snapshot_unref(snapshot);
    mg_arena_fini(&arena);
  }
  static const struct refused rows[] = {
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: \"\"}\nspec:\n" RULE,
       "p.yaml:3:18: \"name\" must not be empty\n    3 | metadata: {name: \"\"}\n      |                  ^~\n"},
      {EXCEPTION("a..b", "  {policies: [x], owner: o, reason: r, expires: 2030-01-01}"),
       "p.yaml:4:18: \"a..b\" is no DNS subdomain\n    4 | metadata: {name: a..b}\n      |                  ^~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
}

static void workload_kinds(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {HEAD "spec:\n  match: {kinds: [Pod, PyTorchJobs, Jobb.batch]}\n" RULE,
       "p.yaml:5:24: unknown workload kind \"PyTorchJobs\"; did you mean \"PyTorchJob\"?\n"
       "    5 |   match: {kinds: [Pod, PyTorchJobs, Jobb.batch]}\n      |                        ^~~~~~~~~~~\n"
       "p.yaml:5:37: unknown workload kind \"Jobb.batch\"; did you mean \"Job\"?\n"
       "    5 |   match: {kinds: [Pod, PyTorchJobs, Jobb.batch]}\n      |                                     ^~~~~~~~~~\n"},
      {HEAD "spec:\n  exclude: [{kinds: [Job]}, {kinds: [Frobnicator]}]\n" RULE,
       "p.yaml:5:38: unknown workload kind \"Frobnicator\"\n"
       "    5 |   exclude: [{kinds: [Job]}, {kinds: [Frobnicator]}]\n      |                                      ^~~~~~~~~~~\n"},
      {HEAD "spec:\n  match: {kinds: [Job.apps]}\n" RULE,
       "p.yaml:5:19: unknown workload kind \"Job.apps\"; did you mean \"Job\"?\n"
       "    5 |   match: {kinds: [Job.apps]}\n      |                   ^~~~~~~~\n"},
      {HEAD "spec:\n  match: {kinds: [Job.v1.apps]}\n" RULE,
       "p.yaml:5:19: unknown workload kind \"Job.v1.apps\"; did you mean \"Job\"?\n"
       "    5 |   match: {kinds: [Job.v1.apps]}\n      |                   ^~~~~~~~~~~\n"},
      {EXCEPTION("e", "  {policies: [x], match: {kinds: [Podd]}, owner: o, reason: r, expires: 2030-01-01}"),
       "p.yaml:6:35: unknown workload kind \"Podd\"; did you mean \"Pod\"?\n"
       "    6 |   {policies: [x], match: {kinds: [Podd]}, owner: o, reason: r, expires: 2030-01-01}\n"
       "      |                                   ^~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
  expect_one(HEAD "spec:\n  match: {kinds: [Pod, \"*\", \"*Job\", Job.batch, Job.v1.batch, \"Job.v?.batch\", \"*.kubeflow.org\", "
                  "Pod.v1, \"Pod.\",\n"
                  "    \"PyTorchJob.*.kubeflow.org\", \"PyTorchJob.v1.kube*\", \"Deployment.*\", \"J[ao]b\"]}\n" RULE,
             true, "");
  /* A kind of the same file is known, wherever it stands. */
  expect_one(HEAD "spec:\n  match: {kinds: [Frobnicator]}\n" RULE
                  "---\napiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: f}\n"
                  "spec: {group: x.io, kind: Frobnicator, templates: [{path: spec.template}]}\n",
             true, "");
}

static void documents(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {"apiVersion: mlgate.dev/v2\nkind: Policy\nmetadata: {name: a}\n",
       "p.yaml:1:13: unknown version \"mlgate.dev/v2\"; this is mlgate.dev/v1\n"
       "    1 | apiVersion: mlgate.dev/v2\n      |             ^~~~~~~~~~~~~\n"},
      {"apiVersion: mlgate.dev/v1\nkind: Polcy\nmetadata: {name: a}\n",
       "p.yaml:2:7: unknown kind \"Polcy\" of mlgate.dev/v1; did you mean \"Policy\"?\n    2 | kind: Polcy\n      |       "
       "^~~~~\n"},
      {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
       "p.yaml:2:7: unknown kind \"Deployment\" of apps/v1\n    2 | kind: Deployment\n      |       ^~~~~~~~~~\n"},
      {"apiVersion: v1\nkind: Policy\nmetadata: {name: a}\n",
       "p.yaml:1:13: unknown kind \"Policy\" of v1; it is of mlgate.dev/v1\n    1 | apiVersion: v1\n      |             ^~\n"},
      {"apiVersion: 1\nkind: Policy\n",
       "p.yaml:1:13: \"apiVersion\" must be a string, not a number\n    1 | apiVersion: 1\n      |             ^\n"},
      {"apiVersion: v2\nkind: Namespace\nmetadata: {name: a}\n",
       "p.yaml:2:7: unknown kind \"Namespace\" of v2\n    2 | kind: Namespace\n      |       ^~~~~~~~~\n"},
      {"apiVersion: v1\nkind: LimitRange\nmetadata: {namespace: a}\n",
       "p.yaml:3:1: a LimitRange without a name\n    3 | metadata: {namespace: a}\n      | ^~~~~~~~\n"},
      {"apiVersion: v1\nkind: [\n", "p.yaml:3:1: did not find expected node content\n    3 | \n      | ^\n"},
  };
  expect_refused(rows, COUNT(rows));
  expect_one("", true, "");
  expect_one("# nothing\n---\n---\nnull\n---\n", true, "");
}

/* Lists of duplicates in the order of the file, each with the place of the other. */
static void duplicate_keys(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {HEAD "spec:\n  action: warn\n  action: audit\n" RULE, "p.yaml:6:3: duplicate key \"action\" of line 5, column 3\n"
                                                             "    6 |   action: audit\n      |   ^~~~~~\n"},
      {HEAD "spec:\n  action: warn\n  \"action\": audit\n  match: {names: [a], names: [b]}\n" RULE,
       "p.yaml:6:3: duplicate key \"action\" of line 5, column 3\n"
       "    6 |   \"action\": audit\n      |   ^~~~~~~~\n"
       "p.yaml:7:23: duplicate key \"names\" of line 7, column 11\n"
       "    7 |   match: {names: [a], names: [b]}\n      |                       ^~~~~\n"},
      {HEAD "spec:\n  action: warn\n  <<: {action: audit}\n" RULE,
       "p.yaml:6:3: the merge key overwrites \"action\" of line 5, column 3\n"
       "    6 |   <<: {action: audit}\n      |   ^~\n"},
      {"{\"apiVersion\":\"mlgate.dev/v1\",\"kind\":\"Policy\",\"kind\":\"Test\",\"metadata\":{\"name\":\"a\"},\"cases\":[]}",
       "p.yaml:1:47: duplicate key \"kind\" of line 1, column 31\n"
       "    1 | "
       "{\"apiVersion\":\"mlgate.dev/v1\",\"kind\":\"Policy\",\"kind\":\"Test\",\"metadata\":{\"name\":\"a\"},\"cases\":[]}\n"
       "      |                                               ^~~~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
  /* Context is read as the API server reads it, also beside policies. */
  expect_one("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nx: 1\nx: 2\n", true,
             "p.yaml:5:1: warning: duplicate key \"x\" of line 4, column 1; this one wins\n    5 | x: 2\n      | ^\n");
  expect_one("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {unknown: fields}, more: [1]}\nspec: {odd: true}\n",
             true, "");
}

static void two_of_one_name(void **state) {
  (void)state;
  struct mg_source two[] = {{.path = "a.yaml", .text = mg_str_of(HEAD "spec:\n" RULE)},
                            {.path = "b.yaml", .text = mg_str_of("---\n# second\n" HEAD "spec:\n" RULE)}};
  expect_said(two, 2, false,
              "b.yaml:5:18: a second Policy \"a\"; the first is at a.yaml:3:18\n    5 | metadata: {name: a}\n      |             "
              "     ^\n");
  struct mg_source context[] = {{.path = "a.yaml",
                                 .text = mg_str_of("apiVersion: v1\nkind: LimitRange\nmetadata: {name: a, namespace: x}\n---\n"
                                                   "apiVersion: v1\nkind: LimitRange\nmetadata: {name: a, namespace: y}\n")},
                                {.path = "c.yaml",
                                 .context_only = true,
                                 .text = mg_str_of("apiVersion: v1\nkind: LimitRange\nmetadata: {namespace: y, name: a}\n")}};
  expect_said(context, 2, false,
              "c.yaml:3:32: a second LimitRange \"a\"; the first is at a.yaml:7:18\n"
              "    3 | metadata: {namespace: y, name: a}\n      |                                ^\n");
  expect_said(context, 1, true, "");
  /* Of another kind, of another namespace; cluster-scoped kinds have none. */
  expect_one(HEAD "spec:\n" RULE EXCEPTION(
                 "a", "  {policies: [a], owner: o, reason: r, expires: 2030-01-01}") "---\napiVersion: mlgate.dev/v1\nkind: "
                                                                                     "Policy\nmetadata: {name: a, namespace: "
                                                                                     "x}\nspec:\n" RULE,
             true, "");
  expect_one("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: x}\n---\napiVersion: v1\nkind: "
             "Namespace\nmetadata: {name: a}\n",
             false,
             "p.yaml:7:18: a second Namespace \"a\"; the first is at p.yaml:3:18\n    7 | metadata: {name: a}\n      |           "
             "       ^\n");
  /* A built-in document may be replaced. */
  expect_one(
      "apiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: pods}\nspec: {group: \"\", kind: Pod, mutate: never, "
      "templates: [{path: .}]}\n",
      true, "");
}

static void context_files(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {HEAD "spec:\n" RULE,
       "c.yaml:2:7: \"Policy\" in a context file; pass it with --policies\n    2 | kind: Policy\n      |       ^~~~~~\n"},
      {EXCEPTION("a", "  {}"), "c.yaml:3:7: \"Exception\" in a context file; pass it with --policies\n    3 | kind: Exception\n  "
                               "    |       ^~~~~~~~~\n"},
      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
       "c.yaml:2:7: unknown kind \"ConfigMap\" of v1\n    2 | kind: ConfigMap\n      |       ^~~~~~~~~\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++)
    expect_said(&(struct mg_source){.path = "c.yaml", .text = mg_str_of(rows[i].text), .context_only = true}, 1, false,
                rows[i].said);
  struct mg_source all = {
      .path = "c.yaml",
      .context_only = true,
      .text = mg_str_of("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: a, namespace: n}\n---\n"
                        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: a}\nvalue: 1\n---\n"
                        "apiVersion: resource.k8s.io/v1beta1\nkind: ResourceClaim\nmetadata: {name: a, namespace: n}\n---\n"
                        "apiVersion: resource.k8s.io/v1\nkind: ResourceClaimTemplate\nmetadata: {name: a, namespace: n}\n---\n"
                        "apiVersion: resource.k8s.io/v1\nkind: DeviceClass\nmetadata: {name: a}\n")};
  expect_said(&all, 1, true, "");
}

/* The accelerators are those of all files, whatever comes first; the number is for whoever counts. */
static void limit_ranges_that_give(void **state) {
  (void)state;
  const char *range = "apiVersion: v1\nkind: LimitRange\nmetadata: {name: sizes, namespace: ml}\n"
                      "spec: {limits: [{type: Container, max: {example.com/npu: 4}}]}\n";
  const char *table = "apiVersion: mlgate.dev/v1\nkind: Accelerators\nmetadata: {name: ours}\n"
                      "spec: {resources: [{name: example.com/npu, unit: count}]}\n";
  struct mg_source sources[] = {{.path = "r.yaml", .text = mg_str_of(range), .copy = true, .context_only = true},
                                {.path = "a.yaml", .text = mg_str_of(table), .copy = true}};
  expect_said(sources, 1, true, "");
  expect_said(sources, 2, true,
              "r.yaml:4:41: warning: this maximum gives 4 example.com/npu to every container that asks for none; "
              "\"default\": \"0\" beside it gives none\n"
              "    4 | spec: {limits: [{type: Container, max: {example.com/npu: 4}}]}\n"
              "      |                                         ^~~~~~~~~~~~~~~\n");
  struct mg_arena arena;
  struct mg_snapshot *snapshot;
  try_files(&arena, sources, 2, &snapshot);
  assert_int_equal(mg_snapshot_context(snapshot)->giving, 1);
  mg_snapshot_unref(snapshot);
  mg_arena_fini(&arena);
}

static void exceptions(void **state) {
  (void)state;
#define BAD(spec, column, text, carets)                                                                                          \
  {                                                                                                                              \
    "apiVersion: mlgate.dev/v1\nkind: Exception\nmetadata: {name: e}\nspec: {" spec "}\n",                                       \
        "p.yaml:4:" column ": " text "\n    4 | spec: {" spec "}\n      | " carets "\n"                                          \
  }
  static const struct refused rows[] = {
      BAD("policies: [x], reason: r, expires: 2030-01-01", "1", "spec lacks \"owner\"", "^~~~"),
      BAD("policies: [x], owner: o, expires: 2030-01-01", "1", "spec lacks \"reason\"", "^~~~"),
      BAD("policies: [x], owner: o, reason: r", "1", "spec lacks \"expires\"", "^~~~"),
      BAD("owner: o, reason: r, expires: 2030-01-01", "1", "spec lacks \"policies\"", "^~~~"),
      BAD("policies: [x], owner: o, reason: r, expires: 2030-13-01", "53",
          "\"expires\" must be a date such as 2027-01-31 or a timestamp",
          "                                                    ^~~~~~~~~~"),
      BAD("policies: [x], owner: o, reason: r, expires: 2029-02-29", "53",
          "\"expires\" must be a date such as 2027-01-31 or a timestamp",
          "                                                    ^~~~~~~~~~"),
      BAD("policies: [x], owner: o, reason: r, expires: soon", "53",
          "\"expires\" must be a date such as 2027-01-31 or a timestamp",
          "                                                    ^~~~"),
      BAD("policies: [x], owner: o, reason: r, expires: 2030", "53", "\"expires\" must be a date or timestamp, not a number",
          "                                                    ^~~~"),
      BAD("policies: [x], owner: o, reason: \"\", expires: 2030-01-01", "41", "\"reason\" must not be empty",
          "                                        ^~"),
      BAD("policies: x, owner: o, reason: r, expires: 2030-01-01", "18", "\"policies\" must be a list, not a string",
          "                 ^"),
      BAD("policies: [x], ownr: o, owner: o, reason: r, expires: 2030-01-01", "23",
          "unknown key \"ownr\" in spec; did you mean \"owner\"?", "                      ^~~~"),
  };
#undef BAD
  expect_refused(rows, COUNT(rows));
  expect_one(
      HEAD "spec:\n" RULE EXCEPTION(
          "e", "  {policies: [a, b], rules: [tolerations, gpuLimits], owner: o, reason: r, expires: 2030-01-01T00:00:00Z}"),
      true,
      "p.yaml:11:18: warning: no policy is named \"b\"\n"
      "   11 |   {policies: [a, b], rules: [tolerations, gpuLimits], owner: o, reason: r, expires: 2030-01-01T00:00:00Z}\n"
      "      |                  ^\n"
      "p.yaml:11:43: warning: none of these policies has a rule \"gpuLimits\"\n"
      "   11 |   {policies: [a, b], rules: [tolerations, gpuLimits], owner: o, reason: r, expires: 2030-01-01T00:00:00Z}\n"
      "      |                                           ^~~~~~~~~\n");
}

/* Nothing that is wrong hides something else that is wrong. */
static void all_at_once(void **state) {
  (void)state;
  struct mg_source files[] = {
      {.path = "a.yaml",
       .text = mg_str_of("apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: A}\nspec:\n  acton: 1\n"
                         "  rules:\n  - gpuLimts: {}\n  - {}\n")},
      {.path = "b.yaml", .text = mg_str_of("a: [\n")},
      {.path = "c.yaml", .text = mg_str_of(HEAD "spec:\n" RULE)},
      {.path = "d.yaml", .text = mg_str_of("apiVersion: mlgate.dev/v1\nkind: Polic\n---\n" HEAD "spec: {}\n")},
  };
  expect_said(
      files, COUNT(files), false,
      "b.yaml:2:1: did not find expected node content\n    2 | \n      | ^\n"
      "d.yaml:2:7: unknown kind \"Polic\" of mlgate.dev/v1; did you mean \"Policy\"?\n    2 | kind: Polic\n      |       ^~~~~\n"
      "a.yaml:3:18: \"A\" is no DNS label (lower-case letters, digits and -, at most 63)\n    3 | metadata: {name: A}\n      |   "
      "               ^\n"
      "a.yaml:5:3: unknown key \"acton\" in spec; did you mean \"action\"?\n    5 |   acton: 1\n      |   ^~~~~\n"
      "a.yaml:7:5: unknown rule type \"gpuLimts\"; did you mean \"gpuLimits\"?\n    7 |   - gpuLimts: {}\n      |     ^~~~~~~~\n"
      "a.yaml:8:5: a rule without a rule type\n    8 |   - {}\n      |     ^~\n"
      "d.yaml:6:18: a second Policy \"a\"; the first is at c.yaml:3:18\n    6 | metadata: {name: a}\n      |                  ^\n"
      "d.yaml:7:1: spec lacks \"rules\"\n    7 | spec: {}\n      | ^~~~\n");
}

static size_t count_lines(mg_str text, mg_str start) {
  size_t n = 0;
  for (; text.n; text = mg_str_from(text, mg_str_find(text, '\n') + 1)) n += mg_str_starts(text, start);
  return n;
}

/* Twenty are shown, all are counted. */
static void at_most_twenty(void **state) {
  (void)state;
  for (int errors = 19; errors <= 22; errors++) {
    struct mg_arena arena;
    struct mg_snapshot *snapshot;
    char text[4096];
    int n = snprintf(text, sizeof text, HEAD "spec:\n  rules:\n");
    for (int i = 0; i < errors; i++) n += snprintf(text + n, sizeof text - (size_t)n, "  - {}\n");
    struct mg_source source = {.path = "p.yaml", .text = {text, (size_t)n}};
    mg_str said = try_files(&arena, &source, 1, &snapshot);
    char last[40];
    snprintf(last, sizeof last, "(%d in all)\n", errors);
    assert_null(snapshot);
    assert_int_equal(count_lines(said, MG_S("p.yaml:")), errors > 20 ? 20 : errors);
    assert_int_equal(mg_str_has(said, mg_str_of(last)), errors > 20);
    mg_arena_fini(&arena);
  }
}

/* A caret stands below what it means: behind tabs, wide characters, a mark at the beginning; a long line is left out. */
static void carets(void **state) {
  (void)state;
  static const struct refused rows[] = {
      {"apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: a}\nspec: {rules: [{gpuLimits: {}}],\n\taction: x}\n",
       "p.yaml:5:10: \"action\" cannot be \"x\"; it is one of enforce, warn, audit\n    5 | \taction: x}\n      | \t        ^\n"},
      {HEAD "spec: {description: \"\xE8\xAA\xAC\xE6\x98\x8E\", action: x, rules: [{gpuLimits: {}}]}\n",
       "p.yaml:4:35: \"action\" cannot be \"x\"; it is one of enforce, warn, audit\n"
       "    4 | spec: {description: \"\xE8\xAA\xAC\xE6\x98\x8E\", action: x, rules: [{gpuLimits: {}}]}\n"
       "      |                                   ^\n"},
      {"\xEF\xBB\xBF"
       "apiVersion: mlgate.dev/v2\r\nkind: Policy\r\n",
       "p.yaml:1:13: unknown version \"mlgate.dev/v2\"; this is mlgate.dev/v1\n    1 | apiVersion: mlgate.dev/v2\n      |        "
       "     ^~~~~~~~~~~~~\n"},
  };
  expect_refused(rows, COUNT(rows));
  char text[1200], pad[600];
  memset(pad, 'x', sizeof pad);
  snprintf(text, sizeof text, HEAD "spec: {action: x, rules: [{gpuLimits: {}}], description: %.*s}\n", 500, pad);
  expect_one(text, false, "p.yaml:4:16: \"action\" cannot be \"x\"; it is one of enforce, warn, audit\n");
}

/* Control characters of a file do not reach a terminal. */
static void nothing_dangerous(void **state) {
  (void)state;
  expect_one("apiVersion: mlgate.dev/v1\nkind: \"Pol\\x1b[31m\\u202e\"\nmetadata: {name: a}\n", false,
             "p.yaml:2:7: unknown kind \"Pol\xEF\xBF\xBD[31m\xEF\xBF\xBD\" of mlgate.dev/v1\n"
             "    2 | kind: \"Pol\\x1b[31m\\u202e\"\n      |       ^~~~~~~~~~~~~~~~~~~\n");
}

/* What was loaded is there, and the order is that of files, documents and rules. */
static void what_is_loaded(void **state) {
  (void)state;
  struct mg_snapshot *s =
      scene_load(mg_rules,
                 "apiVersion: mlgate.dev/v1\nkind: Policy\n"
                 "metadata: {name: one, annotations: {mlgate.dev/docs: \"https://x/y\", other: z}}\n"
                 "spec: {description: Says it., action: warn, rules: [{gpuLimits: {}}, {name: t, message: m,\n"
                 "  tolerations: {forEachAccelerator: true}}]}\n" POLICY("two", RULE)
                     EXCEPTION("e", "  {policies: [one], owner: o, reason: r, expires: 2027-01-31}"),
                 "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n");
  assert_int_equal(mg_snapshot_policy_count(s), 2);
  const struct mg_policy *p = mg_snapshot_policy(s, 0);
  assert_true(mg_str_is(p->name, "one") && mg_str_is(p->docs, "https://x/y") && mg_str_is(p->description, "Says it."));
  assert_int_equal(p->action, MG_WARN);
  assert_int_equal(p->rule_count, 2);
  assert_true(mg_str_is(p->rules[0].name, "gpuLimits") && mg_str_is(p->rules[1].name, "t") &&
              mg_str_is(p->rules[1].message, "m"));
  assert_ptr_equal(p->rules[1].policy, p);
  assert_int_equal(p->rules[1].index, 1);
  p = mg_snapshot_policy(s, 1);
  assert_int_equal(p->action, MG_ENFORCE);
  assert_int_equal(p->docs.n, 0);
  assert_int_equal(p->rules[0].index, 2);
  assert_int_equal(mg_snapshot_exception_count(s), 1);
  assert_int_equal(mg_snapshot_exception(s, 0)->expires, 1801440000); /* 2027-02-01T00:00:00Z */
  assert_true(mg_context_find(mg_snapshot_context(s), MG_CTX_NAMESPACE, MG_S(""), MG_S("ns")).at != 0);
  assert_ptr_equal(mg_snapshot_ref(s), s);
  mg_snapshot_unref(s);
  mg_snapshot_unref(s);
  mg_snapshot_unref(NULL);
}

/* What people are to read comes in one line, however it was folded; else its newlines would be taken for hidden characters. */
static void words_in_one_line(void **state) {
  (void)state;
  struct mg_snapshot *s = scene_load(mg_rules,
                                     "apiVersion: mlgate.dev/v1\nkind: Policy\nmetadata:\n  name: one\n  annotations:\n"
                                     "    mlgate.dev/docs: |\n      https://x/y\n"
                                     "spec:\n  description: |\n\n    Says  it\n\n      twice.\n\n  rules:\n"
                                     "  - gpuLimits: {}\n    message: |2+\n        Ask\n      the  team.\n\n"
                                     "  - {name: tabs, message: \"\\ta\\tb \\r\\n\\u00e9 \", gpuLimits: {}}\n"
                                     EXCEPTION("e", "  policies: [one]\n  owner: |\n    the owner\n  reason: >\n    it\n    is\n"
                                                    "  expires: 2027-01-31"),
                                     NULL);
  const struct mg_policy *p = mg_snapshot_policy(s, 0);
  const struct mg_exception *e = mg_snapshot_exception(s, 0);
  assert_true(mg_str_is(p->docs, "https://x/y") && mg_str_is(p->description, "Says  it twice."));
  assert_true(mg_str_is(p->rules[0].message, "Ask the  team.") && mg_str_is(p->rules[1].message, "a b \303\251"));
  assert_true(mg_str_is(e->owner, "the owner") && mg_str_is(e->reason, "it is"));
  mg_snapshot_unref(s);
  expect_one(HEAD "spec:\n  description: \" \"\n" RULE, true, "");
  expect_one(HEAD "spec:\n  rules:\n  - {message: \" \\n\", gpuLimits: {}}\n", false,
             "p.yaml:6:15: \"message\" must not be empty\n    6 |   - {message: \" \\n\", gpuLimits: {}}\n"
             "      |               ^~~~~\n");
}

static struct mg_snapshot *beside(struct mg_snapshot *tables, const char *text) {
  struct mg_arena arena;
  struct mg_diags diags;
  struct mg_snapshot *snapshot = NULL;
  struct mg_err err = {0};
  struct mg_source source = {.path = "p.yaml", .text = mg_str_of(text)};
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  mg_diags_init(&diags, &arena);
  assert_int_equal(mg_snapshot_new_beside(&snapshot, tables, mg_rules, &source, text ? 1 : 0, &diags, &err), 0);
  mg_arena_fini(&arena);
  return snapshot;
}

/* Many sets may share what the built-in tables say: what one of them says otherwise is its own, and it outlives the first. */
static void shared_tables(void **state) {
  static const char other[] =
      "---\napiVersion: mlgate.dev/v1\nkind: WorkloadKind\nmetadata: {name: jobs}\nspec:\n  group: batch\n  kind: Job\n"
      "  role: service\n  templates: [{path: spec.template}]\n"
      "---\napiVersion: mlgate.dev/v1\nkind: Accelerators\nmetadata: {name: more}\nspec:\n  resources: [{name: a.b/c}]\n";
  const mg_str batch = MG_S("batch"), job = MG_S("Job"), device = MG_S("a.b/c"), gpu = MG_S("nvidia.com/gpu");
  (void)state;
  struct mg_snapshot *tables = beside(NULL, NULL), *same = beside(tables, NULL), *own = beside(tables, other);
  assert_int_equal(mg_snapshot_kinds(same)->count, mg_snapshot_kinds(tables)->count);
  assert_int_equal(mg_snapshot_kinds(own)->count, mg_snapshot_kinds(tables)->count);
  assert_int_equal(mg_kind_find(mg_snapshot_kinds(tables), batch, MG_S("v1"), job)->role, MG_ROLE_BATCH);
  mg_snapshot_unref(tables);
  assert_int_equal(mg_kind_find(mg_snapshot_kinds(same), batch, MG_S("v1"), job)->role, MG_ROLE_BATCH);
  assert_int_equal(mg_kind_find(mg_snapshot_kinds(own), batch, MG_S("v1"), job)->role, MG_ROLE_SERVICE);
  assert_non_null(mg_accelerator_of(mg_snapshot_accelerators(own), device));
  assert_null(mg_accelerator_of(mg_snapshot_accelerators(same), device));
  mg_snapshot_unref(own);
  assert_non_null(mg_accelerator_of(mg_snapshot_accelerators(same), gpu));
  mg_snapshot_unref(same);
}

/* Diagnostics that find no memory count all the same: what is wrong is never loaded. */
static void no_memory_for_words(void **state) {
  (void)state;
  for (size_t max = 0; max < 20000; max += 256) {
    struct mg_arena arena;
    struct mg_diags diags;
    struct mg_snapshot *snapshot = NULL;
    struct mg_err err = {0};
    struct mg_source source = {.path = "p.yaml", .text = mg_str_of(HEAD "spec: {acton: x, rules: []}\n")};
    mg_arena_init(&arena, max, 0);
    mg_diags_init(&diags, &arena);
    assert_true(mg_snapshot_new(&snapshot, mg_rules, &source, 1, &diags, &err) < 0);
    assert_null(snapshot);
    assert_int_equal(diags.error_count, 2);
    mg_arena_fini(&arena);
  }
}

/* Rules that contradict each other, and classes that are not what is asked for, are told when files are loaded. */
static void cross_checks(void **state) {
  (void)state;
  expect_one(
      POLICY("a",
             "  rules: [{priority: {className: c, preemptionPolicy: Never}}]") "---\napiVersion: scheduling.k8s.io/v1\nkind: "
                                                                               "PriorityClass\nmetadata: {name: c}\nvalue: 1\n",
      false,
      "p.yaml:6:55: PriorityClass \"c\" has preemptionPolicy PreemptLowerPriority\n"
      "    6 |   rules: [{priority: {className: c, preemptionPolicy: Never}}]\n"
      "      |                                                       ^~~~~\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unknown_keys),
      cmocka_unit_test(wrong_types),
      cmocka_unit_test(wrong_values),
      cmocka_unit_test(bare_words),
      cmocka_unit_test(missing),
      cmocka_unit_test(rules_of_one_entry),
      cmocka_unit_test(names),
      cmocka_unit_test(workload_kinds),
      cmocka_unit_test(documents),
      cmocka_unit_test(duplicate_keys),
      cmocka_unit_test(two_of_one_name),
      cmocka_unit_test(context_files),
      cmocka_unit_test(limit_ranges_that_give),
      cmocka_unit_test(exceptions),
      cmocka_unit_test(all_at_once),
      cmocka_unit_test(at_most_twenty),
      cmocka_unit_test(carets),
      cmocka_unit_test(nothing_dangerous),
      cmocka_unit_test(what_is_loaded),
      cmocka_unit_test(words_in_one_line),
      cmocka_unit_test(cross_checks),
      cmocka_unit_test(shared_tables),
      cmocka_unit_test(no_memory_for_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
