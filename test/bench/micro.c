/* micro REVIEW POLICIES   what one review costs without a server around it: CPU of this thread, the least and the median of
 * some batches. A line is NAME, TAB, RESULT, TAB, BUDGET. With mallocs.so preloaded, calls that took memory from the heap are
 * counted too. Under callgrind no clock is read: each piece of work is done COUNTED times, and dumped by its name
 * (instructions.py). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admit/admit.h"
#include "app/answer.h"
#include "app/policies.h"
#include "base/embedded.h"
#include "base/log.h"
#include "doc/json.h"
#include "rules/rules.h"
#include "unit/registry_scene.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_DUMP_STATS_AT(name) (void)(name)
#endif

#define BATCHES 31
#define BATCH 100
#define COUNTED 20
#define HOSTILE ((size_t)3 << 20)
#define ARENA_KEEP ((size_t)64 << 10) /* the server's */

struct work {
  void (*once)(struct work *work);
  mg_str body;
  struct mg_arena arena;
  struct mg_snapshot *snapshot;
  struct mg_answerer *answerer;
  enum mg_endpoint endpoint;
  unsigned status;
};

struct cost {
  double least, median, mallocs; /* of one: µs, µs, calls */
};

static void die(const char *what) {
  fprintf(stderr, "micro: %s\n", what);
  exit(1);
}

static double cpu_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static uint64_t no_mallocs(void) {
  return 0;
}

static uint64_t mallocs(void) {
  static uint64_t (*so_far)(void);
  if (!so_far) {
    void *found = dlsym(RTLD_DEFAULT, "mallocs_so_far");
    if (found) memcpy(&so_far, &found, sizeof so_far);
    else so_far = no_mallocs;
  }
  return so_far();
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void count(struct work *work, const char *name) {
  work->once(work); /* for warming up */
  CALLGRIND_ZERO_STATS;
  CALLGRIND_START_INSTRUMENTATION;
  for (int i = 0; i < COUNTED; i++) work->once(work);
  CALLGRIND_STOP_INSTRUMENTATION;
  CALLGRIND_DUMP_STATS_AT(name);
}

/* The works take turns, so that what else the machine does meets them alike. */
static void measure(struct work *works, int count, struct cost *ret) {
  double each[2][BATCHES];
  uint64_t calls[2] = {0};
  for (int b = -1; b < BATCHES; b++) /* the first is for warming up */
    for (int w = 0; w < count; w++) {
      uint64_t before = mallocs();
      double start = cpu_us();
      for (int i = 0; i < BATCH; i++) works[w].once(&works[w]);
      if (b < 0) continue;
      each[w][b] = (cpu_us() - start) / BATCH;
      calls[w] += mallocs() - before;
    }
  for (int w = 0; w < count; w++) {
    qsort(each[w], BATCHES, sizeof *each[w], by_size);
    ret[w] = (struct cost){each[w][0], each[w][BATCHES / 2], (double)calls[w] / (BATCHES * BATCH)};
  }
}

static void read_once(struct work *work) {
  struct mg_doc doc;
  struct mg_read how = {.limits = {MG_REVIEW_MAX_BYTES, MG_REVIEW_MAX_DEPTH, MG_REVIEW_MAX_CELLS}};
  mg_arena_reset(&work->arena);
  work->status = mg_json_read(&doc, &work->arena, work->body, &how, NULL) ? 413 : 200;
}

static void admit_once(struct work *work) {
  struct mg_answer answer;
  mg_arena_reset(&work->arena);
  mg_admit(work->snapshot, work->endpoint, work->body, 1800000000, NULL, &work->arena, &answer);
  work->status = answer.http_status;
}

/* All that the server does with a review: the answer, what is counted, and the log. */
static void answer_once(struct work *work) {
  mg_str body;
  mg_arena_reset(&work->arena);
  work->status = mg_answerer_review(work->answerer, work->endpoint == MG_MUTATE, work->body, &work->arena, &body);
}

static void print_cost(const char *name, struct work *work, const char *budget) {
  struct cost cost;
  if (RUNNING_ON_VALGRIND) {
    count(work, name);
    return;
  }
  measure(work, 1, &cost);
  printf("%s\t%.2f µs, median %.2f; %.2f mallocs\t%s\n", name, cost.least, cost.median, cost.mallocs, budget);
  fflush(stdout);
}

static void bench_review(mg_str body, struct mg_snapshot *snapshot) {
  static const char *const names[] = {[MG_MUTATE] = "mg_admit, mutate", [MG_VALIDATE] = "mg_admit, validate"};
  struct work work = {.once = read_once, .body = body, .snapshot = snapshot};
  mg_arena_init(&work.arena, MG_REVIEW_ARENA, ARENA_KEEP);
  print_cost("read 6 KB into a doc", &work, "≤ 5 µs, 0 mallocs");
  work.once = admit_once;
  for (work.endpoint = MG_MUTATE; work.endpoint <= MG_VALIDATE; work.endpoint++) {
    print_cost(names[work.endpoint], &work, "0 mallocs");
    if (work.status != 200) die("the review was not answered");
  }
  mg_arena_fini(&work.arena);
}

/* ---- hostile bodies ---- */

static const struct hostile {
  const char *name;
  void (*once)(struct work *work);
  const char *before, *item, *after;
} hostiles[] = {
    {"read 3 MiB of [],[],…", read_once, "[", "[]", "]"},
    {"read 3 MiB of \"\",\"\",…", read_once, "[", "\"\"", "]"},
    {"read 3 MiB of distinct keys", read_once, "{", "\"key%u\":0", "}"},
    {"read 3 MiB of escapes", read_once, "[", "\"\\ud83d\\ude00\\u0000\\n\"", "]"},
    {"validate 3 MiB of containers", admit_once, "\"spec\":{\"containers\":[",
     "{\"name\":\"c%u\",\"resources\":{\"requests\":{\"nvidia.com/gpu\":\"1\",\"nvidia.com/mig-%u\":\"1\"}}}", "]}}}}"},
    {"validate 3 MiB of back doors", admit_once, "\"spec\":{\"containers\":[",
     "{\"name\":\"c%u\",\"env\":[{\"name\":\"NVIDIA_VISIBLE_DEVICES\",\"value\":\"all\"}]}", "]}}}}"},
    {"validate 3 MiB of resources", admit_once, "\"spec\":{\"containers\":[{\"resources\":{\"limits\":{",
     "\"nvidia.com/mig-%u\":1", "}}}]}}}}"},
};
static const char hostile_head[] =
    "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u\",\"kind\":{\"group\":\"\","
    "\"version\":\"v1\",\"kind\":\"Pod\"},\"operation\":\"CREATE\",\"namespace\":\"ml\","
    "\"object\":{\"metadata\":{\"name\":\"p\"},";

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void build_hostile(struct mg_buf *buf, const struct hostile *h) {
  if (h->once == admit_once) mg_buf_put(buf, mg_str_of(hostile_head));
  mg_buf_put(buf, mg_str_of(h->before));
  for (unsigned i = 0; buf->n < HOSTILE && !buf->failed; i++) {
    if (i) mg_buf_byte(buf, ',');
    mg_buf_printf(buf, h->item, i, i);
  }
  mg_buf_put(buf, mg_str_of(h->after));
}

static void bench_one_hostile(const struct hostile *h, struct mg_snapshot *snapshot) {
  MG_BUF_AUTO buf;
  struct work work = {.once = h->once, .snapshot = snapshot, .endpoint = MG_VALIDATE};
  double least = 1e12, used = 0;
  mg_buf_init(&buf, NULL, 2 * HOSTILE);
  build_hostile(&buf, h);
  work.body = mg_buf_str(&buf);
  mg_arena_init(&work.arena, MG_REVIEW_ARENA, ARENA_KEEP);
  for (int round = 0; round < 3; round++) {
    double start = cpu_us();
    h->once(&work);
    double took = cpu_us() - start;
    if (took < least) least = took;
    used = (double)work.arena.used / (double)work.body.n;
  }
  const char *budget = h->once == read_once ? "≤ 10 ms, ≤ 8 ×" : "";
  printf("%s\t%.1f ms, %.1f × its size; status %u\t%s\n", h->name, least / 1e3, used, work.status, budget);
  fflush(stdout);
  mg_arena_fini(&work.arena);
}

/* ---- many policies ---- */

#define ANY_RULE "gpuLimits: {max: {container: 64}, requestsEqualLimits: [memory]}"
static const struct many {
  const char *name;
  unsigned few, more;
  enum mg_endpoint endpoint;
  const char *match, *rule;
} manies[] = {
    {"another kind", 10, 1000, MG_VALIDATE, "kinds: [Job]", ANY_RULE},
    {"another namespace", 10, 1000, MG_VALIDATE, "namespaces: [team-%u]", ANY_RULE},
    {"another namespace, glob", 10, 1000, MG_VALIDATE, "namespaces: [\"team-%u-*\"]", ANY_RULE},
    {"another namespace, mutate", 10, 1000, MG_MUTATE, "namespaces: [team-%u]",
     "tolerations: {add: [{key: spot, operator: Exists}]}"},
    {"another role", 10, 1000, MG_VALIDATE, "roles: [interactive]", ANY_RULE},
    /* Parameters differ, as they do where somebody wrote a hundred policies; most matches are the same. */
    {"match and pass, limits", 5, 100, MG_VALIDATE, "roles: [training], accelerators: true",
     "gpuLimits: {max: {container: 1%u}, requestsEqualLimits: [memory]}"},
    {"match and pass, limits, own matches", 5, 100, MG_VALIDATE, "roles: [training], names: [\"larch-7b-*\", p-%u]", ANY_RULE},
    {"match and pass, priority", 5, 100, MG_VALIDATE, "namespaces: [\"ml-*\"]",
     "priority: {allowed: [class-%u, ml-training], className: ml-training}"},
    {"match and pass, tolerations", 5, 100, MG_MUTATE, "roles: [training], accelerators: true",
     "tolerations: {add: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 3%u}]}"},
    {"match and pass, nodeSelector", 5, 100, MG_MUTATE, "selector: {matchLabels: {team: language}}",
     "nodeSelector: {add: {larch.example/pool: training}}"},
    {"match and pass, sharedMemory", 5, 100, MG_MUTATE, "namespaces: [\"ml-*\"]", "sharedMemory: {minAccelerators: 1%u}"},
};

static struct mg_snapshot *load(mg_str text, const char *what) {
  struct mg_arena diag_arena;
  struct mg_diags diags;
  struct mg_err err = {0};
  struct mg_snapshot *snapshot = NULL;
  mg_arena_init(&diag_arena, (size_t)16 << 20, 0);
  mg_diags_init(&diags, &diag_arena);
  struct mg_source source = {.path = "bench.yaml", .text = text, .copy = true};
  if (mg_snapshot_new(&snapshot, mg_rules, &source, 1, &diags, &err) < 0) {
    MG_BUF_AUTO out;
    mg_buf_init(&out, NULL, 4096);
    mg_diags_print(&out, diags.errors, "");
    fprintf(stderr, "%.*s", MG_FMT(mg_buf_str(&out)));
    die(what);
  }
  mg_arena_fini(&diag_arena);
  return snapshot;
}

static struct mg_snapshot *make_policies(const struct many *many, unsigned count) {
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, (size_t)16 << 20);
  for (unsigned i = 0; i < count; i++) {
    mg_buf_printf(&text, "---\napiVersion: mlgate.dev/v1\nkind: Policy\nmetadata: {name: p-%u}\nspec:\n  match: {", i);
    mg_buf_printf(&text, many->match, i);
    mg_buf_lit(&text, "}\n  rules:\n  - ");
    mg_buf_printf(&text, many->rule, i);
    mg_buf_byte(&text, '\n');
  }
  return load(mg_buf_str(&text), many->name);
}

static void answered_by(struct work *work, struct mg_snapshot *snapshot) {
  struct mg_err err = {0};
  mg_arena_init(&work->arena, MG_REVIEW_ARENA, ARENA_KEEP);
  if (mg_answerer_new(&work->answerer, snapshot, mg_version, NULL, &err) < 0) die(err.text);
}

/* The same review by two answerers, in turns. */
static void compare(struct work works[2], struct cost costs[2], const char *what) {
  if (RUNNING_ON_VALGRIND) count(&works[0], what), count(&works[1], what);
  else measure(works, 2, costs);
  for (int w = 0; w < 2; w++) {
    if (works[w].status != 200) die(what);
    mg_answerer_free(works[w].answerer);
    mg_arena_fini(&works[w].arena);
  }
}

static void bench_many(const struct many *many, mg_str body) {
  struct work works[2] = {{0}};
  struct cost costs[2];
  for (int w = 0; w < 2; w++) {
    works[w] = (struct work){.once = answer_once, .body = body, .endpoint = many->endpoint};
    answered_by(&works[w], make_policies(many, w ? many->more : many->few));
  }
  compare(works, costs, many->name);
  if (RUNNING_ON_VALGRIND) return;
  double few = costs[0].least, more = costs[1].least;
  printf("%u → %u policies: %s\t%.2f → %.2f µs: %.2f ×\t≤ 2 ×\n", many->few, many->more, many->name, few, more, more / few);
  fflush(stdout);
}

/* ---- images ---- */

#define IMAGES_HOST "registry.larch.example"
#define IMAGES_HEAD "apiVersion: mlgate.dev/v1\nkind: "
static const char images_without[] = IMAGES_HEAD "Policy\nmetadata: {name: limits}\nspec: {rules: [" ANY_RULE "]}\n";
static const char images_with[] =
  "---\n" IMAGES_HEAD "Policy\nmetadata: {name: images}\nspec: {rules: [imageSize: {weights: deny, unknown: deny}]}\n"
  "---\n" IMAGES_HEAD "Registry\nmetadata: {name: larch}\n"
  "spec: {host: " IMAGES_HOST ", mirror: \"127.0.0.1:%d\", insecure: true, timeout: 5s}\n";

struct gate {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool open;
};
static void open_gate(void *ctx) {
  struct gate *gate = ctx;
  pthread_mutex_lock(&gate->lock);
  gate->open = true;
  pthread_cond_signal(&gate->changed);
  pthread_mutex_unlock(&gate->lock);
}

/* The first review, which waits for the registry. */
static void look_up(struct work *work) {
  struct mg_review_call call = {.may_wait = true, .body = work->body, .left_ms = 9000};
  struct mg_pending *pending = NULL;
  mg_str answer = {0};
  for (int turn = 0; turn < 2; turn++) {
    struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    mg_arena_reset(&work->arena);
    if (mg_answerer_review_or_wait(work->answerer, &call, &pending, &work->arena, &answer)) break;
    mg_pending_wait(pending, open_gate, &gate);
    pthread_mutex_lock(&gate.lock);
    while (!gate.open) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
  }
  if (!mg_str_has(answer, MG_S("\"allowed\":true"))) die("the images could not be looked up");
}

/* What a policy of images adds to a review whose images are known. */
static void bench_images(mg_str body) {
  struct work works[2] = {{0}};
  struct cost costs[2];
  mg_arena_init(&arena, (size_t)1 << 20, 0);
  if (stub_start() != 0) die("no registry");
  publish_image("train/trainer", "2.4.1", "app/main.py", 300 * MIB);
  publish_image("train/evaluator", "2.4.1", "app/evaluate.py", 300 * MIB);
  for (int w = 0; w < 2; w++) {
    works[w] = (struct work){.once = answer_once, .body = body, .endpoint = MG_VALIDATE};
    answered_by(&works[w], load(mg_str_of(text_of("%s%s", images_without, w ? text_of(images_with, stub.port) : "")), "images"));
  }
  look_up(&works[1]);
  int asked = stub_count("/v2/");
  compare(works, costs, "images");
  if (stub_count("/v2/") != asked) die("the registry was asked again");
  printf("review with 2 cached images, to without imageSize\t%.2f → %.2f µs: %.2f more an image\t≤ 3 µs\n", costs[0].least,
         costs[1].least, (costs[1].least - costs[0].least) / 2);
  stub_end();
  mg_arena_fini(&arena);
}

static mg_str read_file(const char *path) {
  static char text[1 << 20];
  FILE *in = fopen(path, "rb");
  size_t n = in ? fread(text, 1, sizeof text, in) : 0;
  if (n == 0) die("there is no review");
  fclose(in);
  return (mg_str){text, n};
}

int main(int argc, char **argv) {
  struct mg_snapshot *snapshot = NULL;
  if (argc != 3) die("usage: micro REVIEW POLICIES");
  mg_str body = read_file(argv[1]);
  const char *paths[] = {argv[2]};
  struct mg_policy_files files = {.policies = {paths, 1}};
  mg_log_init(MG_LOG_ERROR, 2);
  if (mg_load_policies(&files, &snapshot) < 0) return 1;
  bench_review(body, snapshot);
  if (!RUNNING_ON_VALGRIND)
    for (size_t i = 0; i < sizeof hostiles / sizeof *hostiles; i++) bench_one_hostile(&hostiles[i], snapshot);
  mg_snapshot_unref(snapshot);
  if (!RUNNING_ON_VALGRIND) bench_images(body);
  for (size_t i = 0; i < sizeof manies / sizeof *manies; i++) bench_many(&manies[i], body);
  return 0;
}
