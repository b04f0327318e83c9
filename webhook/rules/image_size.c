/* imageSize: is there proof of model weights in what an image adds to its bases, and is it too large. Two questions, one finding
 * an image and container. What the registry says comes through mg_run_image; nothing here waits. */
#include "kube/image.h"
#include "kube/image_layers.h"
#include "policy/policy.h"
#include "rules/gpu.h"
#include "rules/model_car.h"
#include "rules/rules.h"

#define BASES_MAX 32
#define IMAGES_MAX 64 /* of one template that a registry is asked for */

/* By enum mg_outcome; the last stands for none. */
static const char *const harshness_words[] = {"deny", "warn", "ignore", NULL};
enum { IGNORE = 2 };
#define NOTHING MG_OUT_EXEMPTED

struct params {
  uint32_t weights, oversize, unknown;
  struct mg_opt_quantity evidence_size, max_total, max_layer, max_over_base;
  struct mg_list bases;  /* of mg_str, normalised */
  struct mg_list exempt; /* of struct mg_pattern * */
};

static enum mg_outcome outcome_of(uint32_t word) {
  return word == IGNORE ? NOTHING : (enum mg_outcome)word;
}

/* ---- loading ---- */

static bool read_base(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_image image;
  mg_str text;
  if (!mg_t_string.read(load, field, value, &text)) return false;
  if (mg_image_parse(load->arena, text, &image)) {
    *(mg_str *)dst = mg_image_normalise(load->arena, text);
    return true;
  }
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%.*s\" is no image reference; globs are for \"exempt\"", MG_FMT(text));
  return false;
}
static const struct mg_type t_base = {.name = "an image reference", .read = read_base, .schema = MG_SCHEMA_STRING};
static const struct mg_item base_item = {&t_base, sizeof(mg_str), NULL};

#define AT(member) offsetof(struct params, member)
static const struct mg_field fields[] = {
    {"weights", &mg_t_enum, AT(weights), harshness_words, .def = "deny",
     .doc = "Proof of model weights in a layer that is not from a base: its media type, the command that made it, or its first "
            "bytes; or an artifact in the place of an image."},
    {"evidenceSize", &mg_t_quantity, AT(evidence_size), .def = "256Mi",
     .doc = "Smaller layers are not looked into, whatever their history says; files below 100Mi are no proof."},
    {"maxTotal", &mg_t_quantity, AT(max_total), .doc = "Of config and layers, compressed, of one platform."},
    {"maxLayer", &mg_t_quantity, AT(max_layer), .doc = "Of any one layer, compressed."},
    {"maxOverBase", &mg_t_quantity, AT(max_over_base),
     .doc = "Of what is not shared with a base, 2Gi if there are bases; without bases the whole image."},
    {"bases", &mg_t_list, AT(bases), &base_item,
     .doc = "Images whose layers are no proof and do not count as \"over\": as many of an image's first layers as one of these "
            "begins with."},
    {"oversize", &mg_t_enum, AT(oversize), harshness_words, .def = "warn", .doc = "Above a maximum, with no proof of weights."},
    {"unknown", &mg_t_enum, AT(unknown), harshness_words, .def = "warn",
     .doc = "The registry could not be asked for the image, one of its platforms or a layer, or not in time; offline nothing is "
            "said."},
    {"exempt", &mg_t_list, AT(exempt), &mg_item_pattern, .doc = "Globs or /PCRE2/ on normalised references that are left alone."},
    MG_FIELDS_END,
};

static void check_size(struct mg_load *load, mg_node at, mg_str key, const struct mg_opt_quantity *q, int64_t least) {
  mg_node n = mg_get(at, key);
  if (!n.at || !q->set || (mg_quantity_whole(q->q) && q->q.nano >= (mg_nano)least * 1000000000)) return;
  mg_diag_error(load->diags, n, MG_AT_VALUE, "\"%.*s\" must be a whole number of bytes%s", MG_FMT(key),
                least ? " above zero" : "");
}

static bool has_maximum(const struct params *p) {
  return p->max_total.set || p->max_layer.set || p->max_over_base.set;
}

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  const uint32_t before = load->diags->error_count;
  check_size(load, at, MG_S("evidenceSize"), &p->evidence_size, 0);
  check_size(load, at, MG_S("maxTotal"), &p->max_total, 1);
  check_size(load, at, MG_S("maxLayer"), &p->max_layer, 1);
  check_size(load, at, MG_S("maxOverBase"), &p->max_over_base, 1);
  if (p->bases.count > BASES_MAX)
    mg_diag_error(load->diags, MG_GET(at, "bases"), MG_AT_VALUE, "\"bases\" may name at most %d images", BASES_MAX);
  if (p->bases.count && !p->max_over_base.set) {
    p->max_over_base.q = mg_quantity_of((int64_t)2 << 30, MG_BINARY_SI);
    p->max_over_base.set = true;
  }
  if (load->diags->error_count == before && p->weights == IGNORE && (p->oversize == IGNORE || !has_maximum(p)))
    mg_diag_error(load->diags, at, MG_AT_KEY,
                  "imageSize says nothing: it needs \"weights\", or \"oversize\" with \"maxTotal\", \"maxLayer\" or "
                  "\"maxOverBase\"");
  return load->diags->error_count == before;
}

/* ---- what the pod says ---- */

/* A static Pod as its kubelet shows it: it runs already. */
static bool is_mirror(const struct mg_pod *pod) {
  mg_str value;
  return pod->is_pod && mg_pod_annotation(pod, MG_S("kubernetes.io/config.mirror"), &value);
}

/* The architecture that required node affinity leaves: one term that allows one. */
static mg_str pinned_by_affinity(const struct mg_pod *pod) {
  mg_node required =
      MG_GET(MG_GET(MG_GET(pod->spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
  mg_node terms = MG_GET(required, "nodeSelectorTerms");
  if (!mg_is(terms, MG_ARRAY) || mg_count(terms) != 1) return (mg_str){0};
  mg_node expressions = MG_GET(mg_first(terms), "matchExpressions");
  for (mg_node e = mg_first(mg_as(expressions, MG_ARRAY)); e.at; e = mg_next(e)) {
    mg_node values = MG_GET(e, "values");
    if (mg_str_is(mg_string(MG_GET(e, "key")), "kubernetes.io/arch") && mg_str_is(mg_string(MG_GET(e, "operator")), "In") &&
        mg_is(values, MG_ARRAY) && mg_count(values) == 1)
      return mg_string(mg_first(values));
  }
  return (mg_str){0};
}

static mg_str pinned_platform(struct mg_run *run, const struct mg_pod *pod) {
  mg_str arch = mg_string(MG_GET(MG_GET(pod->spec, "nodeSelector"), "kubernetes.io/arch"));
  if (!arch.n) arch = pinned_by_affinity(pod);
  return arch.n ? mg_arena_printf(mg_run_arena(run), "linux/%.*s", MG_FMT(arch)) : (mg_str){0};
}

/* ---- judging one platform ---- */

/* One image of one container. */
struct use {
  struct mg_run *run;
  const struct params *p;
  struct mg_pod *pod;
  struct mg_container *container;
  struct mg_image_query query;
  const struct mg_image_facts *facts, *bases[BASES_MAX];
};

/* What one platform of it comes to. */
struct opinion {
  const struct mg_platform_fact *platform;
  struct mg_credit credit;
  uint32_t proof;  /* the largest layer with proof; layer_count: none */
  uint32_t proofs; /* how many have */
  bool whole;      /* the image as a whole has it */
  bool over_total, over_layer, over_base;
  mg_str lost_base; /* one that could not be had and may explain it; "": all could, or another one does */
  uint32_t unread; /* the largest layer that may have proof and was not looked into; layer_count: none */
  enum mg_outcome weights, size, doubt, outcome; /* the last is the harshest of the others */
};

static bool is_above(int64_t bytes, const struct mg_opt_quantity *most) {
  return most->set && (mg_nano)bytes * 1000000000 > most->q.nano;
}

/* Labels and history are handed on by a base. */
static bool base_says_same(const struct use *use, const struct opinion *o) {
  const struct mg_image_facts *base = o->credit.layers ? use->bases[o->credit.base] : NULL;
  for (uint32_t i = 0; base && i < base->platform_count; i++)
    if (base->platforms[i].proof == o->platform->proof && mg_str_eq(base->platforms[i].what, o->platform->what)) return true;
  return false;
}

/* One that is not to be had, as a whole or for this platform. */
static mg_str lost_base(const struct use *use, const struct mg_platform_fact *platform) {
  for (uint32_t b = 0; b < use->query.base_count; b++) {
    const struct mg_image_facts *base = use->bases[b];
    bool lost = !base;
    for (uint32_t i = 0; base && i < base->platform_count; i++)
      lost |= base->platforms[i].unknown.n && mg_platform_is(base->platforms[i].platform, platform->platform);
    if (lost) return use->query.bases[b];
  }
  return (mg_str){0};
}

static bool is_asked_of(const struct use *use, const struct mg_layer_fact *layer) {
  return layer->size >= use->query.evidence_size || layer->proof == MG_PROOF_MEDIA_TYPE;
}

static void find_proof(const struct use *use, struct opinion *o) {
  const struct mg_platform_fact *platform = o->platform;
  for (uint32_t i = o->credit.layers; i < platform->layer_count; i++) {
    const struct mg_layer_fact *layer = &platform->layers[i];
    if (!is_asked_of(use, layer)) continue;
    bool unread = layer->unread.n && layer->proof == MG_PROOF_NONE;
    if (unread && (o->unread == platform->layer_count || layer->size > platform->layers[o->unread].size)) o->unread = i;
    if (layer->proof == MG_PROOF_NONE) continue;
    if (!o->proofs++ || layer->size > platform->layers[o->proof].size) o->proof = i;
  }
  o->whole = platform->proof != MG_PROOF_NONE && o->credit.over >= use->query.evidence_size && !base_says_same(use, o);
}

static void weigh_sizes(const struct use *use, struct opinion *o) {
  const struct params *p = use->p;
  const struct mg_platform_fact *platform = o->platform;
  o->over_total = is_above(platform->total, &p->max_total);
  o->over_layer = platform->layer_count && is_above(platform->layers[mg_image_largest(platform)].size, &p->max_layer);
  o->over_base = is_above(o->credit.over, &p->max_over_base);
  if (o->over_base && o->lost_base.n) o->over_base = false, o->doubt = outcome_of(p->unknown);
  else o->lost_base = (mg_str){0};
  if (o->over_total || o->over_layer || o->over_base) o->size = outcome_of(p->oversize);
}

static enum mg_outcome harsher(enum mg_outcome a, enum mg_outcome b) {
  return a < b ? a : b;
}

static struct opinion opinion_of(const struct use *use, const struct mg_platform_fact *platform) {
  struct opinion o = {.platform = platform, .weights = NOTHING, .size = NOTHING, .doubt = NOTHING};
  o.credit = mg_image_credit(platform, use->bases, use->query.base_count);
  if (!o.credit.layers) o.lost_base = lost_base(use, platform);
  o.proof = o.unread = platform->layer_count;
  if (platform->unknown.n) {
    o.doubt = outcome_of(use->p->unknown);
  } else if (platform->malformed.n) {
    /* Nobody's tool makes such a thing: it is there to look small. */
    o.size = harsher(outcome_of(use->p->weights), harsher(outcome_of(use->p->oversize), outcome_of(use->p->unknown)));
  } else if (platform->artifact.n) {
    o.weights = outcome_of(use->p->weights);
  } else {
    find_proof(use, &o);
    if (o.proofs || o.whole) o.weights = outcome_of(use->p->weights);
    if (o.lost_base.n && o.weights == MG_OUT_DENY) o.weights = MG_OUT_WARN; /* they may be the base's own */
    weigh_sizes(use, &o);
    if (use->p->weights == IGNORE || o.weights != NOTHING || o.size == MG_OUT_DENY) o.unread = platform->layer_count;
    if (o.unread < platform->layer_count) o.doubt = outcome_of(use->p->unknown);
  }
  o.outcome = harsher(o.weights, harsher(o.size, o.doubt));
  return o;
}

/* ---- saying so ---- */

static void say_proof(const struct use *use, const struct opinion *o, struct mg_buf *out) {
  struct mg_arena *arena = mg_run_arena(use->run);
  const struct mg_platform_fact *platform = o->platform;
  if (!o->proofs) {
    mg_buf_printf(out, " with model weights in it: its %s says %.*s", platform->proof == MG_PROOF_LABEL ? "label" : "history",
                  MG_FMT(platform->what));
    return;
  }
  const struct mg_layer_fact *layer = &platform->layers[o->proof];
  mg_buf_printf(out, " with model weights in it: %.*s", MG_FMT(layer->what));
  if (layer->proof == MG_PROOF_FILE && layer->file_size >= 0)
    mg_buf_printf(out, " (%.*s)", MG_FMT(mg_size_text(arena, layer->file_size)));
  mg_buf_printf(out, " in layer %u of %u (%.*s)", o->proof + 1, platform->layer_count, MG_FMT(mg_size_text(arena, layer->size)));
  if (layer->command.n) mg_buf_printf(out, ", from `%.*s`", MG_FMT(layer->command));
  if (o->proofs > 1) mg_buf_printf(out, ", and in %u more", o->proofs - 1);
}

static void say_size(struct mg_arena *arena, struct mg_buf *out, int64_t bytes, const char *what, bool above, const char *key,
                     const struct mg_opt_quantity *most) {
  mg_buf_printf(out, "%.*s%s", MG_FMT(mg_size_text(arena, bytes)), what);
  if (above) mg_buf_printf(out, " (%s is %.*s)", key, MG_FMT(mg_size_text(arena, mg_quantity_value(most->q))));
}

/* `linux/amd64: 14.2 GiB in all, …`: of every finding, since people ask for it next. */
static void say_sizes(const struct use *use, const struct opinion *o, struct mg_buf *out) {
  struct mg_arena *arena = mg_run_arena(use->run);
  const struct mg_platform_fact *platform = o->platform;
  mg_str base = o->credit.layers ? use->query.bases[o->credit.base] : (mg_str){0};
  mg_buf_printf(out, "; %.*s: ", MG_FMT(platform->platform));
  say_size(arena, out, platform->total, " in all", o->over_total, "maxTotal", &use->p->max_total);
  if (platform->layer_count) {
    mg_buf_lit(out, ", largest layer ");
    say_size(arena, out, platform->layers[mg_image_largest(platform)].size, "", o->over_layer, "maxLayer", &use->p->max_layer);
  }
  if (!use->query.base_count && !o->over_base) return;
  mg_buf_lit(out, ", ");
  const char *what = !use->query.base_count ? " over no base" : base.n ? " over base " : " of it from no base";
  say_size(arena, out, o->credit.over, what, false, NULL, NULL);
  mg_buf_put(out, base);
  if (o->over_base)
    mg_buf_printf(out, " (maxOverBase is %.*s)", MG_FMT(mg_size_text(arena, mg_quantity_value(use->p->max_over_base.q))));
}

static void say_doubt(const struct use *use, const struct opinion *o, struct mg_buf *out) {
  const struct mg_platform_fact *platform = o->platform;
  const bool more = o->weights != NOTHING || o->size != NOTHING;
  if (o->lost_base.n)
    mg_buf_printf(out, "%s base %.*s, which could not be asked, may explain its size", more ? ";" : "; its",
                  MG_FMT(o->lost_base));
  if (o->unread == platform->layer_count) return;
  const struct mg_layer_fact *layer = &platform->layers[o->unread];
  const char *which = more || o->lost_base.n ? "; layer" : " whose layer";
  mg_buf_printf(out, "%s %u of %u (%.*s) could not be looked into: %.*s", which, o->unread + 1, platform->layer_count,
                MG_FMT(mg_size_text(mg_run_arena(use->run), layer->size)), MG_FMT(layer->unread));
}

static mg_str text_of(const struct use *use, const struct opinion *o) {
  const struct mg_platform_fact *platform = o->platform;
  struct mg_buf out;
  mg_buf_init(&out, mg_run_arena(use->run), 8192);
  if (platform->unknown.n) {
    mg_buf_printf(&out, " whose platform %.*s could not be looked into: %.*s", MG_FMT(platform->platform),
                  MG_FMT(platform->unknown));
    return mg_buf_str(&out);
  }
  if (platform->malformed.n) {
    mg_buf_printf(&out, " whose manifest is malformed: %.*s; %.*s", MG_FMT(platform->malformed), MG_FMT(platform->platform));
    return mg_buf_str(&out);
  }
  if (platform->artifact.n) {
    mg_buf_printf(&out, " that is an artifact of type %.*s, which no container can run", MG_FMT(platform->artifact));
    return mg_buf_str(&out);
  }
  if (o->weights != NOTHING) say_proof(use, o, &out);
  if (o->size != NOTHING) mg_buf_put(&out, o->weights != NOTHING ? MG_S("; it is also too large") : MG_S(" that is too large"));
  if (o->doubt != NOTHING) say_doubt(use, o, &out);
  say_sizes(use, o, &out);
  return mg_buf_str(&out);
}

#define INSTEAD "mount them as an image volume or from a PersistentVolumeClaim, or download them when the container starts"

static void report(const struct use *use, mg_str subject, enum mg_outcome outcome, mg_str text, mg_str fix) {
  mg_node at = MG_GET(use->container->node, "image");
  struct mg_finding f = {.pod = use->pod, .container = use->container, .where = {.node = at}, .subject = subject, .fix = fix,
                         .hardest = outcome};
  f.measure = (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = use->query.reference};
  mg_run_violation(use->run, &f, "%.*s has image \"%.*s\"%.*s", MG_FMT(mg_gpu_who(use->run, use->container)),
                   MG_FMT(mg_gpu_short(mg_run_arena(use->run), use->container->image)), MG_FMT(text));
}

static void report_opinion(const struct use *use, const struct opinion *o) {
  mg_str subject = MG_S("size"), fix = MG_S("leave out what the container does not need; as for model weights, " INSTEAD);
  if (o->platform->malformed.n) {
    subject = MG_S("manifest"), fix = MG_S("build and push the image again");
  } else if (o->platform->artifact.n) {
    subject = MG_S("artifact"), fix = MG_S("mount it as an image volume: volumes[].image.reference");
  } else if (o->weights != NOTHING) {
    subject = MG_S("weights"), fix = MG_S("keep model weights out of images: " INSTEAD);
  } else if (o->size == NOTHING) {
    subject = MG_S("unknown"), fix = (mg_str){0};
  }
  report(use, subject, o->outcome, text_of(use, o), fix);
}

static void report_unknown(const struct use *use, mg_str why) {
  struct mg_arena *arena = mg_run_arena(use->run);
  /* Offline there is no why, and nothing to say. */
  if (use->p->unknown == IGNORE || !why.n) return;
  mg_str text = mg_arena_printf(arena, " that could not be looked into: %.*s", MG_FMT(why));
  report(use, MG_S("unknown"), outcome_of(use->p->unknown), text, (mg_str){0});
}

/* ---- judging ---- */

/* The harsher, then what is known before what is not, then the larger. */
static bool is_worse(const struct opinion *a, const struct opinion *b) {
  if (a->outcome != b->outcome || a->outcome == NOTHING) return a->outcome < b->outcome;
  if (a->platform->unknown.n || b->platform->unknown.n) return !a->platform->unknown.n;
  return a->platform->total > b->platform->total;
}

/* The worst platform of those that the pod can run on; all of them where none is that one. */
static void judge_facts(const struct use *use) {
  const struct mg_image_facts *facts = use->facts;
  struct opinion worst = {.outcome = NOTHING};
  bool known = false;
  for (uint32_t i = 0; i < facts->platform_count && !known; i++)
    known = mg_platform_is(facts->platforms[i].platform, use->query.platform);
  for (uint32_t i = 0; i < facts->platform_count; i++) {
    if (known && !mg_platform_is(facts->platforms[i].platform, use->query.platform)) continue;
    struct opinion o = opinion_of(use, &facts->platforms[i]);
    if (is_worse(&o, &worst)) worst = o;
  }
  if (worst.outcome != NOTHING) report_opinion(use, &worst);
}

/* False: nobody can be asked. */
static bool judge_image(struct use *use) {
  mg_str why = {0};
  switch (mg_run_image(use->run, &use->query, &use->facts, use->bases, &why)) {
    case MG_IMAGE_WAIT: return true;
    case MG_IMAGE_UNKNOWN: report_unknown(use, why); return why.n > 0;
    case MG_IMAGE_KNOWN: break;
  }
  if (use->facts && use->facts->platform_count) judge_facts(use);
  else report_unknown(use, MG_S("it has no platform that runs on Linux"));
  return true;
}

/* Of an UPDATE only what it brings: what runs is neither judged nor asked for again. */
static bool is_judged(struct mg_run *run, const struct params *p, struct mg_pod *pod, struct mg_container *c) {
  struct mg_container *old = mg_run_old_container(run, c);
  mg_str image = mg_container_image(pod, c);
  if (!image.n || !mg_run_sees(run, c) || mg_any_pattern(p->exempt, image) || mg_is_kserve_car(pod, c)) return false;
  return !old || !mg_str_eq(image, mg_container_image(mg_run_old_pod(run), old));
}

/* Whose credentials the kubelet will use. A Pod has its service account's already, since the API server copies them; one that
 * names none then has none. */
static void name_secrets(struct mg_run *run, const struct mg_pod *pod, struct mg_image_query *ret) {
  mg_node list = MG_GET(pod->spec, "imagePullSecrets");
  uint32_t count = mg_count(mg_as(list, MG_ARRAY));
  mg_str *names = count ? MG_NEW_N(mg_run_arena(run), mg_str, count) : NULL;
  for (mg_node n = names ? mg_first(list) : (mg_node){0}; n.at; n = mg_next(n))
    names[ret->secret_count++] = mg_string(MG_GET(n, "name"));
  ret->ns = pod->ns;
  ret->secrets = names;
  if (count || pod->is_pod) return;
  ret->account = mg_string(MG_GET(pod->spec, "serviceAccountName"));
  if (!ret->account.n) ret->account = mg_string(MG_GET(pod->spec, "serviceAccount"));
  if (!ret->account.n) ret->account = MG_S("default");
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  uint32_t asked = 0;
  if (!mg_run_explains(run) || is_mirror(pod)) return; /* oldObject has no image that is judged */
  struct mg_image_query query = {.platform = pinned_platform(run, pod),
                                 .evidence_size = mg_quantity_value(p->evidence_size.q),
                                 .bases = p->bases.items,
                                 .base_count = p->bases.count};
  name_secrets(run, pod, &query);
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    if (!is_judged(run, p, pod, c)) continue;
    struct use use = {.run = run, .p = p, .pod = pod, .container = c, .query = query};
    use.query.reference = mg_container_image(pod, c);
    if (asked++ >= IMAGES_MAX) report_unknown(&use, MG_S("only the first 64 images of a template are looked into"));
    else if (!judge_image(&use)) return;
  }
}

const struct mg_rule_type mg_rule_image_size = {
    .name = "imageSize",
    .doc = "Images without model weights in them, and not too large, by what their registry says of each layer. On an UPDATE "
           "only images that it brings; never images of volumes, nor those that KServe itself puts beside a server.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge = judge,
};
