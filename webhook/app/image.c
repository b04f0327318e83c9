/* mlgate image: what a registry says of images, layer by layer, and what the policies at hand say of that. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "app/command.h"
#include "app/image_report.h"
#include "app/images.h"
#include "app/policies.h"
#include "doc/json.h"
#include "kube/image.h"
#include "rules/rules.h"

#define ARENA ((size_t)256 << 20)
#define BASES_MAX 32
#define EVIDENCE ((int64_t)256 << 20) /* where no policy says another size */
#define ROUND_MS (60 * 1000)

struct image_options {
  struct mg_policy_files files;
  const char *platform, *cache_dir;
  uint32_t format;
};

static const char *const format_words[] = {"text", "json", NULL};

#define AT(member) offsetof(struct image_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct image_options, files),
    {"platform", "OS/ARCH", &mg_o_text, AT(platform), .doc = "that a pod can only run on, such as linux/arm64"},
    {"format", "F", &mg_o_word, AT(format), .doc = "text or json", .def = "text", .words = format_words},
    MG_IMAGE_CACHE_OPTION(struct image_options, cache_dir),
    MG_OPTIONS_END,
};

/* One run of the command. */
struct inquiry {
  const struct mg_snapshot *snapshot;
  struct mg_registry_session *session;
  struct mg_images images;
  struct mg_arena arena; /* of the image at hand */
  struct mg_arena keep;
  mg_str bases[BASES_MAX];
  uint32_t base_count;
  int64_t evidence_size;
  mg_str platform;
};

/* ---- what policies ask for ---- */

static void add_base(struct inquiry *q, mg_str reference) {
  mg_str normalised = mg_image_normalise(&q->keep, reference);
  for (uint32_t i = 0; i < q->base_count; i++)
    if (mg_str_eq(q->bases[i], normalised)) return;
  if (q->base_count < BASES_MAX) q->bases[q->base_count++] = normalised;
}

/* The bases of every imageSize rule, and the smallest layer that one of them looks into. */
static void gather_bases(struct inquiry *q) {
  bool any = false;
  q->evidence_size = EVIDENCE;
  for (uint32_t p = 0; p < mg_snapshot_policy_count(q->snapshot); p++) {
    const struct mg_policy *policy = mg_snapshot_policy(q->snapshot, p);
    for (uint32_t r = 0; r < policy->rule_count; r++) {
      if (policy->rules[r].type != &mg_rule_image_size) continue;
      struct mg_quantity size;
      struct mg_err err;
      mg_node params = MG_GET(policy->rules[r].at, "imageSize");
      int64_t least = mg_quantity_read(MG_GET(params, "evidenceSize"), &size, &err) == 0 ? mg_quantity_value(size) : EVIDENCE;
      if (!any || least < q->evidence_size) q->evidence_size = least;
      any = true;
      for (mg_node n = mg_first(MG_GET(params, "bases")); n.at; n = mg_next(n)) add_base(q, mg_string(n));
    }
  }
}

/* ---- asking ---- */

/* A pod that has nothing but the image. */
static int judge_pod(struct inquiry *q, mg_str reference, struct mg_verdict *ret, struct mg_err *err) {
  struct mg_buf text;
  struct mg_doc *doc = MG_NEW(&q->arena, struct mg_doc);
  struct mg_read how = {.limits = {1 << 16, 16, 1000}};
  mg_buf_init(&text, &q->arena, 1 << 16);
  mg_buf_lit(&text, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"image\"},\"spec\":{");
  if (q->platform.n) {
    mg_buf_lit(&text, "\"nodeSelector\":{\"kubernetes.io/arch\":");
    mg_buf_json(&text, mg_str_from(q->platform, mg_str_find(q->platform, '/') + 1));
    mg_buf_lit(&text, "},");
  }
  mg_buf_lit(&text, "\"containers\":[{\"name\":\"image\",\"image\":");
  mg_buf_json(&text, reference);
  mg_buf_lit(&text, "}]}}");
  if (!doc || text.failed) return mg_err_nomem(err);
  int code = mg_json_read(doc, &q->arena, mg_buf_str(&text), &how, err);
  if (code < 0) return code;
  struct mg_request request = {.version = MG_S("v1"), .kind = MG_S("Pod"), .ns = MG_S("default"), .name = MG_S("image"),
                               .operation = MG_CREATE, .object = mg_root(doc), .images = &q->images};
  return mg_evaluate(q->snapshot, &request, MG_PHASE_VALIDATE, (int64_t)time(NULL), &q->arena, ret, err);
}

static void ask(struct inquiry *q, struct mg_image_report *r) {
  const struct mg_image_query query = {.reference = r->normalised, .platform = q->platform, .evidence_size = q->evidence_size,
                                       .bases = q->bases, .base_count = q->base_count};
  r->bases = q->bases;
  r->base_count = q->base_count;
  r->answer = q->images.ask(q->images.ctx, &query, &r->facts, r->base_facts, &r->why);
}

/* What all of them need at first; then again what has come up with that. */
static int ask_all(struct inquiry *q, const struct mg_strings *args, struct mg_err *err) {
  for (int round = 0; round < MG_IMAGES_ROUNDS; round++) {
    bool waiting = false;
    for (size_t i = 0; i < args->count; i++) {
      struct mg_image_report *r = MG_NEW(&q->arena, struct mg_image_report);
      struct mg_verdict verdict;
      if (!r) return mg_err_nomem(err);
      r->normalised = mg_image_normalise(&q->arena, mg_str_of(args->items[i]));
      ask(q, r);
      int code = judge_pod(q, mg_str_of(args->items[i]), &verdict, err);
      if (code < 0) return code;
      waiting |= r->answer == MG_IMAGE_WAIT || verdict.waiting;
      mg_arena_reset(&q->arena);
    }
    if (!waiting || !mg_images_wait(q->session, ROUND_MS)) break;
  }
  mg_registry_session_late(q->session);
  return 0;
}

static int report_all(struct inquiry *q, const struct mg_strings *args, bool json, struct mg_buf *out, struct mg_err *err) {
  int status = MG_EXIT_OK;
  if (json) mg_buf_lit(out, "{\"mlgate\":1,\n\"images\":[");
  for (size_t i = 0; i < args->count; i++) {
    mg_arena_reset(&q->arena);
    struct mg_image_report *r = MG_NEW(&q->arena, struct mg_image_report);
    if (!r) return mg_err_nomem(err);
    r->reference = mg_str_of(args->items[i]);
    r->normalised = mg_image_normalise(&q->arena, r->reference);
    ask(q, r);
    int code = judge_pod(q, r->reference, &r->verdict, err);
    if (code < 0) return code;
    if (json) mg_buf_put(out, i ? MG_S(",\n  ") : MG_S("\n  "));
    if (json) mg_image_report_json(out, r);
    else mg_image_report_text(out, &q->arena, r);
    if (r->answer != MG_IMAGE_KNOWN) status = MG_EXIT_INPUT;
    else if (mg_image_report_denied(r) && status == MG_EXIT_OK) status = MG_EXIT_DENIED;
  }
  if (json) mg_buf_lit(out, "]}\n");
  return status;
}

/* ---- the command ---- */

static int write_out(const struct mg_buf *out, struct mg_err *err) {
  if (out->failed) return mg_err_nomem(err);
  if (fwrite(out->p, 1, out->n, stdout) != out->n || fflush(stdout) != 0)
    return mg_err_set(err, MG_E_IO, "standard output cannot be written");
  return 0;
}

static int inquire(const struct image_options *o, struct inquiry *q, const struct mg_strings *args, struct mg_err *err) {
  MG_BUF_AUTO out;
  mg_buf_init(&out, NULL, ARENA);
  mg_registry_session_patient(q->session);
  q->images = mg_registry_session_images(q->session);
  q->platform = mg_str_of(o->platform);
  gather_bases(q);
  int code = ask_all(q, args, err);
  if (code == 0) code = report_all(q, args, o->format == 1, &out, err);
  int written = code < 0 ? code : write_out(&out, err);
  return written < 0 ? written : code;
}

static void inquiry_fini(struct inquiry *q) {
  mg_registry_session_free(q->session);
  mg_arena_fini(&q->arena);
  mg_arena_fini(&q->keep);
}

static void free_registryp(struct mg_registry **registry) {
  mg_registry_free(*registry);
}

static int run(const void *given, const struct mg_strings *args) {
  const struct image_options *o = given;
  MG_SNAPSHOT_AUTO snapshot = NULL;
  __attribute__((cleanup(free_registryp))) struct mg_registry *registry = NULL;
  __attribute__((cleanup(inquiry_fini))) struct inquiry inquiry = {0};
  struct mg_err err = {0};
  if (!args->count) {
    fputs("mlgate image: needs an image, such as nvcr.io/nvidia/pytorch:24.05-py3\n", stderr);
    return MG_EXIT_USAGE;
  }
  if (mg_load_policies(&o->files, &snapshot) < 0) return MG_EXIT_USAGE;
  mg_arena_init(&inquiry.arena, ARENA, 0);
  mg_arena_init(&inquiry.keep, ARENA, 0);
  inquiry.snapshot = snapshot;
  const struct mg_images_options how = {.auth_file = mg_images_own_auth(&inquiry.keep), .cache_dir = o->cache_dir};
  int code = mg_images_use(&registry, snapshot, &how, &err);
  if (code == 0 && mg_registry_session_new(&inquiry.session, registry) < 0) code = mg_err_nomem(&err);
  if (code == 0) code = inquire(o, &inquiry, args, &err);
  if (code < 0) fprintf(stderr, "mlgate image: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : code;
}

const struct mg_command mg_command_image = {
    .name = "image", .args = "REF...", .doc = "what is in an image, by its registry", .options = options,
    .size = sizeof(struct image_options), .run = run,
    .more = "Credentials are those of Registry documents among the policies, else of $DOCKER_CONFIG\n"
            "or ~/.docker/config.json. Bases are those that imageSize rules name.\n"
            "Exit: 0 nothing denied, 1 denied, 2 usage or policies, 3 an image cannot be had."};
