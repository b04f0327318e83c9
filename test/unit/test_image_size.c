/* rules/image_size.c and kube/image_layers.c: the rule against facts made by hand. */
#include "scene.h"

#include "kube/image_layers.h"

#define MI ((int64_t)1 << 20)
#define GI ((int64_t)1 << 30)
#define WEIGHTS "models/model-00001-of-00001.safetensors"

/* ---- images ---- */

#define LAYER(id, bytes) {.digest = MG_S("sha256:" id), .diff_id = MG_S("sha256:d" id), .size = (bytes)}
#define FILE_LAYER(id, bytes)                                                                                        \
  {.digest = MG_S("sha256:" id), .diff_id = MG_S("sha256:d" id), .size = (bytes), .proof = MG_PROOF_FILE,            \
   .what = MG_S(WEIGHTS), .file_size = (bytes) - MI, .command = MG_S("COPY weights/ /models/")}

static struct mg_layer_fact base_layers[] = {LAYER("a", 1 * GI), LAYER("b", 3 * GI)};
static struct mg_layer_fact fat_layers[] = {LAYER("a", 1 * GI), LAYER("b", 3 * GI), FILE_LAYER("w", 5 * GI)};
static struct mg_layer_fact copied_layers[] = {{.digest = MG_S("sha256:a2"), .diff_id = MG_S("sha256:da"), .size = 2 * GI},
                                               LAYER("b", 3 * GI), LAYER("c", 1 * GI)};
static struct mg_layer_fact slim_layers[] = {LAYER("a", 1 * GI), LAYER("b", 3 * GI), LAYER("c", 1 * GI)};
static struct mg_layer_fact big_layers[] = {LAYER("a", 1 * GI), LAYER("b", 3 * GI), LAYER("c", 3 * GI)};
static struct mg_layer_fact small_layers[] = {LAYER("s", 10 * MI), FILE_LAYER("t", 200 * MI)};
static struct mg_layer_fact said_layers[] = {{.digest = MG_S("sha256:h"), .size = 600 * MI, .proof = MG_PROOF_HISTORY,
                                              .what = MG_S("huggingface-cli download"), .file_size = -1,
                                              .command = MG_S("RUN huggingface-cli download bert")}};
static struct mg_layer_fact model_layers[] = {{.digest = MG_S("sha256:m"), .size = 20 * MI, .proof = MG_PROOF_MEDIA_TYPE,
                                               .what = MG_S("application/vnd.model"), .file_size = -1}};
static struct mg_layer_fact two_layers[] = {FILE_LAYER("w1", 1 * GI), FILE_LAYER("w2", 2 * GI)};
static struct mg_layer_fact arm_layers[] = {LAYER("x", 2 * GI)};
/* The base's own layers have weights in them: that is for its owner to answer. */
static struct mg_layer_fact kept_layers[] = {FILE_LAYER("k", 4 * GI), LAYER("l", 1 * GI)};
static struct mg_layer_fact kept_base_layers[] = {FILE_LAYER("k", 4 * GI)};

#define ONE(name, total_, layers_)                                                                    \
  {.platform = MG_S(name), .total = (total_), .layers = (layers_), .layer_count = COUNT(layers_)}

static struct mg_platform_fact base_p[] = {ONE("linux/amd64", 4 * GI, base_layers)};
static struct mg_platform_fact fat_p[] = {ONE("linux/amd64", 9 * GI, fat_layers)};
static struct mg_platform_fact copied_p[] = {ONE("linux/amd64", 6 * GI, copied_layers)};
static struct mg_platform_fact slim_p[] = {ONE("linux/amd64", 5 * GI, slim_layers)};
static struct mg_platform_fact big_p[] = {ONE("linux/amd64", 7 * GI, big_layers)};
static struct mg_platform_fact small_p[] = {ONE("linux/amd64", 210 * MI, small_layers)};
static struct mg_platform_fact said_p[] = {ONE("linux/amd64", 600 * MI, said_layers)};
static struct mg_platform_fact model_p[] = {ONE("linux/amd64", 20 * MI, model_layers)};
static struct mg_platform_fact two_p[] = {ONE("linux/amd64", 3 * GI, two_layers)};
static struct mg_platform_fact kept_p[] = {ONE("linux/amd64", 5 * GI, kept_layers)};
static struct mg_platform_fact kept_base_p[] = {ONE("linux/amd64", 4 * GI, kept_base_layers)};
static struct mg_platform_fact both_p[] = {ONE("linux/amd64", 9 * GI, fat_layers), ONE("linux/arm64/v8", 2 * GI, arm_layers)};
static struct mg_platform_fact uneven_p[] = {ONE("linux/arm64/v8", 2 * GI, arm_layers), ONE("linux/amd64", 5 * GI, slim_layers)};
static struct mg_platform_fact bad_p[] = {
    {.platform = MG_S("linux/amd64"), .total = -1, .malformed = MG_S("layer 1 has the size -5")}};
static struct mg_platform_fact artifact_p[] = {
    {.platform = MG_S("linux/amd64"), .total = 2 * GI, .artifact = MG_S("application/vnd.ollama.image.model"),
     .proof = MG_PROOF_MEDIA_TYPE, .what = MG_S("application/vnd.ollama.image.model")}};
static struct mg_platform_fact label_p[] = {{.platform = MG_S("linux/amd64"), .total = 1 * GI, .layers = arm_layers,
                                             .layer_count = 1, .proof = MG_PROOF_LABEL, .what = MG_S("gguf.model.name")}};
static struct mg_platform_fact squash_p[] = {{.platform = MG_S("linux/amd64"), .total = 2 * GI, .layers = arm_layers,
                                              .layer_count = 1, .proof = MG_PROOF_HISTORY, .what = MG_S("/models/x.gguf")}};

static struct mg_layer_fact shut_layers[] = {LAYER("a", 1 * GI),
                                             {.digest = MG_S("sha256:n"), .size = 3 * GI, .unread = MG_S("it answers 403")},
                                             {.digest = MG_S("sha256:o"), .size = 2 * GI, .unread = MG_S("it answers 403")}};
static struct mg_layer_fact told_layers[] = {{.digest = MG_S("sha256:h"), .size = 600 * MI, .proof = MG_PROOF_HISTORY,
                                              .what = MG_S("huggingface-cli download"), .file_size = -1,
                                              .unread = MG_S("it answers 403")}};
static struct mg_platform_fact shut_p[] = {ONE("linux/amd64", 6 * GI, shut_layers)};
static struct mg_platform_fact told_p[] = {ONE("linux/amd64", 600 * MI, told_layers)};
#define LOST(name) {.platform = MG_S(name), .total = -1, .unknown = MG_S("it has no such thing (404)")}
static struct mg_platform_fact half_p[] = {LOST("linux/arm64"), ONE("linux/amd64", 9 * GI, fat_layers)};
static struct mg_platform_fact half_slim_p[] = {LOST("linux/arm64"), ONE("linux/amd64", 5 * GI, slim_layers)};
static struct mg_platform_fact half_base_p[] = {LOST("linux/amd64"), ONE("linux/arm64", 2 * GI, arm_layers)};

static const struct row {
  const char *reference;
  struct mg_image_facts facts;
} rows[] = {
#define ROW(name, platforms_) {"r.example/" name ":1", {.platforms = (platforms_), .platform_count = COUNT(platforms_)}}
    ROW("base", base_p), ROW("fat", fat_p), ROW("copied", copied_p), ROW("slim", slim_p), ROW("big", big_p),
    ROW("small", small_p), ROW("said", said_p), ROW("model", model_p), ROW("two", two_p), ROW("both", both_p),
    ROW("bad", bad_p), ROW("artifact", artifact_p), ROW("label", label_p), ROW("squash", squash_p), ROW("kept", kept_p),
    ROW("kept-base", kept_base_p), ROW("shut", shut_p), ROW("told", told_p), ROW("half", half_p), ROW("half-slim", half_slim_p),
    ROW("half-base", half_base_p), ROW("uneven", uneven_p), {"r.example/none:1", {.platform_count = 0}},
};

static unsigned asked;

static char last_platform[64];

static const struct mg_image_facts *find(mg_str reference) {
  for (size_t i = 0; i < COUNT(rows); i++)
    if (mg_str_is(reference, rows[i].reference)) return &rows[i].facts;
  return NULL;
}

static char last_secrets[256]; /* namespace, names, account */

static enum mg_image_answer ask_rows(void *ctx, const struct mg_image_query *query, const struct mg_image_facts **ret_facts,
                                     const struct mg_image_facts **ret_bases, mg_str *ret_why) {
  (void)ctx;
  asked++;
  snprintf(last_platform, sizeof last_platform, "%.*s", MG_FMT(query->platform));
  int n = snprintf(last_secrets, sizeof last_secrets, "%.*s:", MG_FMT(query->ns));
  for (uint32_t i = 0; i < query->secret_count; i++)
    n += snprintf(last_secrets + n, sizeof last_secrets - (size_t)n, " %.*s", MG_FMT(query->secrets[i]));
  snprintf(last_secrets + n, sizeof last_secrets - (size_t)n, " %.*s", MG_FMT(query->account));
  if (mg_str_is(query->reference, "r.example/slow:1")) return MG_IMAGE_WAIT;
  *ret_facts = find(query->reference);
  *ret_why = MG_S("the registry answers 404");
  for (uint32_t b = 0; b < query->base_count; b++) ret_bases[b] = find(query->bases[b]);
  return *ret_facts ? MG_IMAGE_KNOWN : MG_IMAGE_UNKNOWN;
}
static const struct mg_images images = {NULL, ask_rows};

/* ---- what is asked ---- */

#define R "r.example/"
#define POD(spec) "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ml}\nspec: {" spec "}"
#define MAIN(image) POD("containers: [{name: a, image: \"" image "\"}]")

static struct mg_snapshot *policy(const char *action, const char *params) {
  char text[2048];
  snprintf(text, sizeof text, POLICY("p", "  action: %s") "  rules: [{imageSize: {%s}}]\n", action, params);
  return scene_load(mg_rules, text, NULL);
}

/* `want`: like scene_text; `part`: what the first message has; NULL: any. */
static void expect_says(const char *action, const char *params, const char *object, const char *want, const char *part) {
  struct mg_snapshot *snapshot = policy(action, params);
  struct scene scene;
  struct ask ask = {.object = object, .images = &images};
  scene_judge(&scene, snapshot, &ask, MG_PHASE_VALIDATE);
  mg_str got = scene_text(&scene), message = scene.verdict.violations ? scene.verdict.violations->message : MG_S("");
  if (!mg_str_is(got, want) || (part && !mg_str_has(message, mg_str_of(part))))
    fail_msg("{%s} %s\n  got:    %.*s: %.*s\n  wanted: %s: %s", params, object, MG_FMT(got), MG_FMT(message), want,
             part ? part : "");
  scene_fini(&scene);
  mg_snapshot_unref(snapshot);
}

#define DENY "deny p/imageSize a"
#define WARN "warn p/imageSize a"

static void test_weights(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "fat:1"), DENY,
              "container \"a\" has image \"r.example/fat:1\" with model weights in it: " WEIGHTS " (5 GiB) in layer "
              "3 of 3 (5 GiB), from `COPY weights/ /models/`; linux/amd64: 9 GiB in all, largest layer 5 GiB");
  expect_says("enforce", "weights: warn", MAIN(R "fat:1"), WARN, "model weights");
  expect_says("enforce", "weights: ignore, maxTotal: 20Gi", MAIN(R "fat:1"), "", NULL);
  expect_says("warn", "", MAIN(R "fat:1"), WARN, NULL);
  expect_says("audit", "", MAIN(R "fat:1"), "audit p/imageSize a", NULL);
  expect_says("enforce", "", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "", MAIN(R "said:1"), DENY,
              "huggingface-cli download in layer 1 of 1 (600 MiB), from `RUN huggingface-cli download bert`");
  expect_says("enforce", "", MAIN(R "two:1"), DENY,
              "in layer 2 of 2 (2 GiB), from `COPY weights/ /models/`, and in 1 more");
}

/* A layer below evidenceSize is none, save one that says itself that it is a model. */
static void test_evidence_size(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "small:1"), "", NULL);
  expect_says("enforce", "evidenceSize: 200Mi", MAIN(R "small:1"), DENY, WEIGHTS);
  expect_says("enforce", "evidenceSize: 0", MAIN(R "small:1"), DENY, WEIGHTS);
  expect_says("enforce", "evidenceSize: 201Mi", MAIN(R "small:1"), "", NULL);
  expect_says("enforce", "", MAIN(R "model:1"), DENY, "application/vnd.model in layer 1 of 1 (20 MiB)");
}

static void test_whole_image(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "label:1"), DENY, "with model weights in it: its label says gguf.model.name");
  expect_says("enforce", "", MAIN(R "squash:1"), DENY, "its history says /models/x.gguf");
  expect_says("enforce", "evidenceSize: 3Gi", MAIN(R "squash:1"), "", NULL);
  expect_says("enforce", "bases: [r.example/label:1]", MAIN(R "label:1"), "", NULL);
}

static void test_artifact_and_malformed(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "artifact:1"), DENY,
              "has image \"r.example/artifact:1\" that is an artifact of type application/vnd.ollama.image.model, which no "
              "container");
  expect_says("enforce", "weights: warn", MAIN(R "artifact:1"), WARN, NULL);
  expect_says("enforce", "weights: ignore, maxTotal: 1Gi, oversize: deny", MAIN(R "artifact:1"), "", NULL);
  expect_says("enforce", "", MAIN(R "bad:1"), DENY, "whose manifest is malformed: layer 1 has the size -5; linux/amd64");
  expect_says("enforce", "weights: warn", MAIN(R "bad:1"), WARN, NULL);
}

static void test_sizes(void **state) {
  (void)state;
  expect_says("enforce", "maxTotal: 5Gi", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "maxTotal: 5119Mi", MAIN(R "slim:1"), WARN,
              "has image \"r.example/slim:1\" that is too large; linux/amd64: 5 GiB in all (maxTotal is 5 GiB), "
              "largest layer 3 GiB");
  expect_says("enforce", "maxTotal: 4Gi, oversize: deny", MAIN(R "slim:1"), DENY, "5 GiB in all (maxTotal is 4 GiB)");
  expect_says("enforce", "maxTotal: 4Gi, oversize: ignore", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "maxLayer: 3Gi", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "maxLayer: 2Gi", MAIN(R "slim:1"), WARN, "largest layer 3 GiB (maxLayer is 2 GiB)");
  expect_says("enforce", "maxOverBase: 4Gi", MAIN(R "slim:1"), WARN, "5 GiB over no base (maxOverBase is 4 GiB)");
  expect_says("enforce", "maxOverBase: 5Gi", MAIN(R "slim:1"), "", NULL);
  expect_says("warn", "maxTotal: 4Gi, oversize: deny", MAIN(R "slim:1"), WARN, NULL);
}

/* One finding, as hard as the harder of the two. */
static void test_both(void **state) {
  (void)state;
  expect_says("enforce", "maxTotal: 8Gi", MAIN(R "fat:1"), DENY,
              "; it is also too large; linux/amd64: 9 GiB in all (maxTotal");
  expect_says("enforce", "weights: warn, maxTotal: 8Gi, oversize: deny", MAIN(R "fat:1"), DENY,
              "with model weights in it");
}

static void test_bases(void **state) {
  (void)state;
  expect_says("enforce", "bases: [r.example/base:1]", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "bases: [r.example/base:1]", MAIN(R "big:1"), WARN,
              "7 GiB in all, largest layer 3 GiB, 3 GiB over base r.example/base:1 (maxOverBase is 2 GiB)");
  expect_says("enforce", "bases: [r.example/base:1], maxOverBase: 3Gi", MAIN(R "big:1"), "", NULL);
  expect_says("enforce", "bases: [r.example/said:1, r.example/base:1]", MAIN(R "fat:1"), DENY,
              "5 GiB over base r.example/base:1");
  expect_says("enforce", "bases: [r.example/said:1]", MAIN(R "slim:1"), WARN, "5 GiB of it from no base (maxOverBase");
  expect_says("enforce", "bases: [r.example/base:1]", MAIN(R "copied:1"), "", NULL);
  expect_says("enforce", "bases: [r.example/kept-base:1]", MAIN(R "kept:1"), "", NULL);
  expect_says("enforce", "", MAIN(R "kept:1"), DENY, NULL);
}

/* What cannot be had may explain the size, and the weights. */
static void test_lost_base(void **state) {
  (void)state;
  expect_says("enforce", "bases: [r.example/gone:1]", MAIN(R "slim:1"), WARN,
              "; its base r.example/gone:1, which could not be asked, may explain its size; linux/amd64: 5 GiB in all");
  expect_says("enforce", "bases: [r.example/gone:1], unknown: deny", MAIN(R "slim:1"), DENY, NULL);
  expect_says("enforce", "bases: [r.example/gone:1], unknown: ignore", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "bases: [r.example/gone:1, r.example/base:1]", MAIN(R "slim:1"), "", NULL);
  expect_says("enforce", "bases: [r.example/gone:1]", MAIN(R "fat:1"), WARN, "with model weights in it");
  expect_says("enforce", "bases: [r.example/gone:1, r.example/base:1]", MAIN(R "fat:1"), DENY, NULL);
}

static void test_unknown(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "gone:1"), WARN,
              "container \"a\" has image \"r.example/gone:1\" that could not be looked into: the registry answers 404");
  expect_says("enforce", "unknown: deny", MAIN(R "gone:1"), DENY, NULL);
  expect_says("enforce", "unknown: ignore", MAIN(R "gone:1"), "", NULL);
  expect_says("warn", "unknown: deny", MAIN(R "gone:1"), WARN, NULL);
  expect_says("enforce", "", MAIN(R "none:1"), WARN, "it has no platform that runs on Linux");
}

/* A layer that was not looked into: only whether there are weights in it is not known, and only where nothing else denies. */
static void test_unread(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "shut:1"), WARN,
              "image \"r.example/shut:1\" whose layer 2 of 3 (3 GiB) could not be looked into: it answers 403; linux/amd64: "
              "6 GiB");
  expect_says("enforce", "unknown: deny", MAIN(R "shut:1"), DENY, NULL);
  expect_says("enforce", "unknown: ignore", MAIN(R "shut:1"), "", NULL);
  expect_says("enforce", "unknown: deny, evidenceSize: 4Gi", MAIN(R "shut:1"), "", NULL);
  expect_says("enforce", "unknown: deny, weights: ignore, maxTotal: 20Gi", MAIN(R "shut:1"), "", NULL);
  expect_says("enforce", "maxTotal: 1Gi", MAIN(R "shut:1"), WARN, " that is too large; layer 2 of 3 (3 GiB) could not be");
  expect_says("enforce", "maxTotal: 1Gi, oversize: deny", MAIN(R "shut:1"), DENY, " that is too large; linux/amd64");
  expect_says("enforce", "unknown: ignore", MAIN(R "told:1"), DENY, "with model weights in it: huggingface-cli download");
  expect_says("enforce", "weights: warn, unknown: deny", MAIN(R "told:1"), WARN, NULL);
}

/* A platform that is not known is no reason to forget the others. */
static void test_unknown_platform(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "half:1"), DENY, "linux/amd64: 9 GiB");
  expect_says("enforce", "unknown: deny", MAIN(R "half:1"), DENY, "linux/amd64: 9 GiB"); /* what is known comes first */
  expect_says("enforce", "", MAIN(R "half-slim:1"), WARN,
              "whose platform linux/arm64 could not be looked into: it has no such thing (404)");
  expect_says("enforce", "unknown: deny", MAIN(R "half-slim:1"), DENY, NULL);
  expect_says("enforce", "unknown: ignore", MAIN(R "half-slim:1"), "", NULL);
  expect_says("enforce", "unknown: deny",
              POD("nodeSelector: {kubernetes.io/arch: amd64}, containers: [{name: a, image: r.example/half-slim:1}]"), "", NULL);
  expect_says("enforce", "unknown: deny",
              POD("nodeSelector: {kubernetes.io/arch: arm64}, containers: [{name: a, image: r.example/half:1}]"), DENY,
              "whose platform linux/arm64");
  expect_says("enforce", "bases: [r.example/half-base:1]", MAIN(R "slim:1"), WARN, "its base r.example/half-base:1, which could");
}

static void test_exempt(void **state) {
  (void)state;
  expect_says("enforce", "exempt: [\"r.example/f*\"]", MAIN(R "fat:1"), "", NULL);
  expect_says("enforce", "exempt: [\"/r\\\\.example/(fat|x):.*/\"]", MAIN(R "fat:1"), "", NULL);
  expect_says("enforce", "exempt: [r.example/fat]", MAIN(R "fat:1"), DENY, NULL);
}

#define BOTH "containers: [{name: a, image: r.example/both:1}]"
#define ON(arch) POD("nodeSelector: {kubernetes.io/arch: " arch "}, " BOTH)
#define AFFINE(archs)                                                                                              \
  POD("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "             \
      "[{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [" archs "]}]}]}}}, " BOTH)

/* The worst of those that the pod can run on. */
static void test_platforms(void **state) {
  (void)state;
  expect_says("enforce", "", MAIN(R "both:1"), DENY, "linux/amd64: 9 GiB");
  expect_says("enforce", "", ON("arm64"), "", NULL);
  assert_string_equal(last_platform, "linux/arm64");
  expect_says("enforce", "maxTotal: 1Gi", ON("arm64"), WARN, "linux/arm64/v8: 2 GiB");
  expect_says("enforce", "maxTotal: 1Gi", MAIN(R "uneven:1"), WARN, "linux/amd64: 5 GiB"); /* both are too large */
  expect_says("enforce", "", ON("s390x"), DENY, NULL);
  expect_says("enforce", "", AFFINE("arm64"), "", NULL);
  expect_says("enforce", "", AFFINE("arm64, amd64"), DENY, NULL);
}

static void test_containers(void **state) {
  (void)state;
  expect_says("enforce", "",
              POD("initContainers: [{name: i, image: r.example/fat:1}, "
                  "{name: s, restartPolicy: Always, image: r.example/fat:1}], "
                  "containers: [{name: a, image: r.example/fat:1}, {name: b, image: r.example/slim:1}], "
                  "ephemeralContainers: [{name: e, image: r.example/fat:1}]"),
              "deny p/imageSize i|deny p/imageSize s|deny p/imageSize a|deny p/imageSize e", "init container \"i\" has image");
  expect_says("enforce", "",
              POD("volumes: [{name: m, image: {reference: r.example/fat:1}}], "
                  "containers: [{name: a, image: r.example/slim:1}]"),
              "", NULL);
  expect_says("enforce", "", POD("containers: [{name: a}, {name: b, image: \"\"}, {name: c, image: 7}]"), "", NULL);
}

#define CAR                                                                                                                    \
  "{name: modelcar, image: r.example/fat:1, args: [sh, -c, \"ln -sf /proc/$$$$/root/models /mnt/models && sleep infinity\"]}"
#define OWNED(labels, spec)                                                                                        \
  "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: ml, labels: {" labels "}, ownerReferences: "         \
  "[{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u, controller: true}]}\nspec: {" spec "}"
#define KSERVE "serving.kserve.io/inferenceservice: x"

/* All signs, or none. */
static void test_model_cars(void **state) {
  (void)state;
  expect_says("enforce", "", OWNED(KSERVE, "shareProcessNamespace: true, containers: [" CAR "]"), "", NULL);
  expect_says("enforce", "",
              OWNED(KSERVE, "shareProcessNamespace: true, initContainers: [{name: modelcar-init, image: r.example/fat:1}], "
                            "containers: [" CAR "]"),
              "", NULL);
  expect_says("enforce", "", OWNED(KSERVE, "shareProcessNamespace: false, containers: [" CAR "]"),
              "deny p/imageSize modelcar", NULL);
  expect_says("enforce", "", OWNED("", "shareProcessNamespace: true, containers: [" CAR "]"), "deny p/imageSize modelcar", NULL);
  expect_says("enforce", "", OWNED(KSERVE, "shareProcessNamespace: true, containers: [{name: modelcar, image: r.example/fat:1}]"),
              "deny p/imageSize modelcar", NULL);
  expect_says("enforce", "",
              OWNED(KSERVE, "shareProcessNamespace: true, initContainers: [{name: modelcar-init, image: r.example/two:1}], "
                            "containers: [" CAR "]"),
              "deny p/imageSize modelcar-init", NULL);
  expect_says("enforce", "", POD("shareProcessNamespace: true, containers: [" CAR "]"), "deny p/imageSize modelcar", NULL);
}

static void test_mirror_pods(void **state) {
  (void)state;
  expect_says("enforce", "",
              "apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {kubernetes.io/config.mirror: x}}\n"
              "spec: {containers: [{name: a, image: r.example/fat:1}]}",
              "", NULL);
}

/* A Pod has its service account's secrets already; other templates will get them where they name none. */
static void test_pull_secrets(void **state) {
  (void)state;
#define SLIM "containers: [{name: a, image: r.example/slim:1}]"
#define JOB(spec) \
  "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: ml}\nspec: {template: {spec: {" SLIM spec "}}}"
  static const struct {
    const char *object, *secrets;
  } templates[] = {
      {POD(SLIM), "ml: "},
      {POD(SLIM ", imagePullSecrets: [{name: a}, {name: b}], serviceAccountName: train"), "ml: a b "},
      {POD(SLIM ", serviceAccountName: train"), "ml: "},
      {JOB(""), "ml: default"},
      {JOB(", imagePullSecrets: []"), "ml: default"},
      {JOB(", serviceAccountName: train, serviceAccount: old"), "ml: train"},
      {JOB(", serviceAccount: old"), "ml: old"},
      {JOB(", imagePullSecrets: [{name: a}], serviceAccountName: train"), "ml: a "},
      {JOB(", imagePullSecrets: {name: a}"), "ml: default"},
      {JOB(", imagePullSecrets: [5, {}, {name: a}]"), "ml:   a "},
  };
  for (size_t i = 0; i < COUNT(templates); i++) {
    expect_says("enforce", "", templates[i].object, "", NULL);
    if (strcmp(last_secrets, templates[i].secrets) != 0) fail_msg("%s: \"%s\"", templates[i].object, last_secrets);
  }
}

#define EXPECT_UPDATE(want, ...) EXPECT_PHASE(snapshot, MG_PHASE_VALIDATE, (want), __VA_ARGS__)

/* Not even asked for: what the object had before. */
static void test_update(void **state) {
  (void)state;
  struct mg_snapshot *snapshot = policy("enforce", "");
  asked = 0;
  EXPECT_UPDATE("", .object = MAIN(R "fat:1"), .old = MAIN(R "fat:1"), .images = &images);
  EXPECT_UPDATE("", .object = MAIN(R "slow:1"), .old = MAIN(R "slow:1"), .images = &images);
  assert_int_equal(asked, 0);
  EXPECT_UPDATE(DENY, .object = MAIN(R "fat:1"), .old = MAIN(R "two:1"), .images = &images);
  EXPECT_UPDATE("deny p/imageSize e",
               .object = POD("containers: [{name: a, image: r.example/fat:1}], ephemeralContainers: "
                             "[{name: e, image: r.example/fat:1}]"),
               .old = MAIN(R "fat:1"), .subresource = "ephemeralcontainers", .images = &images);
  mg_snapshot_unref(snapshot);
}

static void test_waiting(void **state) {
  (void)state;
  struct mg_snapshot *snapshot = policy("enforce", "");
  struct scene scene;
  struct ask ask = {.object = MAIN(R "slow:1"), .images = &images};
  scene_judge(&scene, snapshot, &ask, MG_PHASE_VALIDATE);
  assert_true(scene.verdict.waiting);
  assert_null(scene.verdict.violations);
  scene_fini(&scene);
  asked = 0;
  scene_judge(&scene, snapshot, &ask, MG_PHASE_MUTATE);
  assert_false(scene.verdict.waiting);
  assert_int_equal(asked, 0); /* /mutate never asks */
  scene_fini(&scene);
  mg_snapshot_unref(snapshot);
}

/* Offline nothing is said, be the policy as hard as it may. */
static void test_nobody_asked(void **state) {
  (void)state;
  struct mg_snapshot *snapshot = policy("enforce", "unknown: deny");
  EXPECT_PHASE(snapshot, MG_PHASE_VALIDATE, "", .object = MAIN(R "gone:1"));
  EXPECT_PHASE(snapshot, MG_PHASE_VALIDATE, "", .object = MAIN("Not A Reference"));
  mg_snapshot_unref(snapshot);
}

/* A registry is asked for so many images of a template; the others are not known. */
static void test_many_images(void **state) {
  (void)state;
  char text[8192];
  int n = snprintf(text, sizeof text, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n");
  for (int i = 0; i < 66; i++) n += snprintf(text + n, sizeof text - (size_t)n, "  - {name: c%d, image: r.example/slim:1}\n", i);
  asked = 0;
  expect_says("enforce", "", text, "warn p/imageSize c64|warn p/imageSize c65", "only the first 64 images");
  assert_int_equal(asked, 64);
}

static void test_size_text(void **state) {
  (void)state;
  static const struct {
    int64_t bytes;
    const char *want;
  } cases[] = {
      {-1, "0 B"},      {0, "0 B"},          {1023, "1023 B"},        {1024, "1 KiB"},           {1536, "1.5 KiB"},
      {1025, "1.01 KiB"}, {MI, "1 MiB"},     {256 * MI, "256 MiB"},   {GI - 1, "1024 MiB"},      {20 * GI, "20 GiB"},
      {20 * GI + 1, "20.01 GiB"}, {5 * GI + GI / 4, "5.25 GiB"}, {INT64_MAX, "8 EiB"},
  };
  struct mg_arena arena;
  mg_arena_init(&arena, 1 << 20, 0);
  for (size_t i = 0; i < COUNT(cases); i++) {
    mg_str got = mg_size_text(&arena, cases[i].bytes);
    if (!mg_str_is(got, cases[i].want)) fail_msg("%lld: %.*s, wanted %s", (long long)cases[i].bytes, MG_FMT(got), cases[i].want);
  }
  mg_arena_fini(&arena);
}

/* The first layers only, each digest once; a gap ends it. */
static void test_credit(void **state) {
  (void)state;
  static struct mg_layer_fact twice[] = {LAYER("a", 1 * GI), LAYER("a", 1 * GI), LAYER("c", 2 * GI)};
  static struct mg_layer_fact later[] = {LAYER("z", 1 * GI), LAYER("a", 1 * GI), LAYER("b", 3 * GI)};
  const struct mg_platform_fact twice_p = {.total = 3 * GI + 5, .layers = twice, .layer_count = 3};
  const struct mg_platform_fact later_p = {.total = 5 * GI, .layers = later, .layer_count = 3};
  static struct mg_layer_fact pair[] = {LAYER("a", 1 * GI), LAYER("a", 1 * GI)};
  struct mg_platform_fact pair_p = {.total = 1 * GI, .layers = pair, .layer_count = 2};
  const struct mg_image_facts pair_i = {.platforms = &pair_p, .platform_count = 1};
  const struct mg_image_facts *bases[] = {NULL, find(MG_S("r.example/base:1")), &pair_i};
  struct mg_credit credit = mg_image_credit(&twice_p, bases, 3);
  assert_int_equal(credit.layers, 2);
  assert_int_equal(credit.base, 2);
  assert_int_equal(credit.over, 2 * GI + 5);
  credit = mg_image_credit(&later_p, bases, 3);
  assert_int_equal(credit.layers, 0);
  assert_int_equal(credit.over, 5 * GI);
  credit = mg_image_credit(&(struct mg_platform_fact){.total = -1, .layers = twice, .layer_count = 3}, bases, 3);
  assert_int_equal(credit.over, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weights),      cmocka_unit_test(test_evidence_size), cmocka_unit_test(test_whole_image),
      cmocka_unit_test(test_artifact_and_malformed), cmocka_unit_test(test_sizes), cmocka_unit_test(test_both),
      cmocka_unit_test(test_bases),        cmocka_unit_test(test_lost_base),     cmocka_unit_test(test_unknown),
      cmocka_unit_test(test_unread),     cmocka_unit_test(test_unknown_platform),
      cmocka_unit_test(test_exempt),       cmocka_unit_test(test_platforms),     cmocka_unit_test(test_containers),
      cmocka_unit_test(test_model_cars),   cmocka_unit_test(test_mirror_pods),   cmocka_unit_test(test_update),
      cmocka_unit_test(test_waiting),      cmocka_unit_test(test_nobody_asked),  cmocka_unit_test(test_many_images),
      cmocka_unit_test(test_pull_secrets),
      cmocka_unit_test(test_size_text),    cmocka_unit_test(test_credit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
