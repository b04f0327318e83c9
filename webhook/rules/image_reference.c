#include "kube/image.h"
#include "policy/policy.h"
#include "rules/listed.h"
#include "rules/rules.h"

enum digest { OPTIONAL, REQUIRED };
static const char *const digest_words[] = {"optional", "required", NULL};

struct registry {
  mg_str text; /* as written */
  struct mg_pattern *host;
  mg_str path; /* whole segments; empty: any */
};

struct params {
  struct mg_list registries; /* of struct registry */
  uint32_t digest;
  struct mg_list forbid_tags; /* of struct mg_pattern * */
  mg_str allowed;             /* the registries, for messages */
};

/* ---- loading ---- */

static bool has_any(mg_str s, const char *bytes) {
  for (; *bytes; bytes++)
    if (mg_str_find(s, *bytes) < s.n) return true;
  return false;
}

/* As in an image: the first segment is a host if it looks like one, else all of it is a name of the Hub. */
static bool looks_like_host(mg_str s) {
  if (mg_str_is(s, "localhost") || has_any(s, ".:*?[")) return true;
  for (size_t i = 0; i < s.n; i++)
    if (s.p[i] >= 'A' && s.p[i] <= 'Z') return true;
  return false;
}

/* A prefix is itself a repository, without tag or digest. */
static bool is_repository(struct mg_arena *arena, mg_str path) {
  struct mg_image image;
  return mg_image_parse(arena, mg_arena_printf(arena, "registry.example/%.*s", MG_FMT(path)), &image) && !image.tag.n &&
         !image.digest.n;
}

static bool read_registry(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct registry *r = dst;
  struct mg_err err = {0};
  mg_str text;
  if (!mg_t_string.read(load, field, value, &text)) return false;
  size_t slash = mg_str_find(text, '/');
  mg_str host = {text.p, slash}, path = mg_str_from(text, slash + 1);
  if (slash < text.n && !looks_like_host(host)) {
    host = MG_S("docker.io");
    path = text;
  }
  if (path.n && path.p[path.n - 1] == '/') path.n--;
  if (!looks_like_host(host) || (path.n && !is_repository(load->arena, path))) {
    mg_diag_error(load->diags, value, MG_AT_VALUE,
                  "\"%.*s\" is no registry: write a host (nvcr.io, *.example.com), or a repository prefix (nvcr.io/nvidia, "
                  "docker.io/library) without globs, tag or digest behind the first \"/\"",
                  MG_FMT(text));
    return false;
  }
  r->text = text;
  r->path = path;
  host = mg_image_domain(load->arena, host);
  if (mg_pattern_compile(host, load->arena, &r->host, &err) == 0) return true; /* no regex: that has slashes */
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%.*s\": %s", MG_FMT(text), err.text);
  return false;
}
static const struct mg_type t_registry = {
    .name = "a registry or repository prefix", .read = read_registry, .schema = MG_SCHEMA_STRING};
static const struct mg_item registry_item = {&t_registry, sizeof(struct registry), NULL};

static const struct mg_field fields[] = {
    {"registries", &mg_t_list, offsetof(struct params, registries), &registry_item,
     .doc = "Where images may come from: a host (glob), such as nvcr.io or *.example.com; or, with a /, a prefix of whole path "
            "segments: nvcr.io/nvidia allows nvcr.io/nvidia/pytorch, not nvcr.io/nvidia-x. ubuntu is docker.io/library/ubuntu."},
    {"digest", &mg_t_enum, offsetof(struct params, digest), digest_words, .def = "optional",
     .doc = "required: every image names a digest."},
    {"forbidTags", &mg_t_list, offsetof(struct params, forbid_tags), &mg_item_pattern,
     .doc = "Globs or /PCRE2/ on tags that no image may have. Without tag and digest the tag is latest; one beside a digest "
            "counts."},
    MG_FIELDS_END,
};

static void not_empty(struct mg_load *load, mg_node at, mg_str key, const struct mg_list *list) {
  mg_node n = mg_get(at, key);
  if (n.at && !list->count)
    mg_diag_error(load->diags, n, MG_AT_VALUE, "\"%.*s\" must name at least one", MG_FMT(key));
}

static mg_str registry_text(struct mg_list list, uint32_t i) {
  return MG_LIST_AT(list, struct registry, i).text;
}

static bool compile(struct mg_load *load, mg_node at, void *params) {
  struct params *p = params;
  const uint32_t before = load->diags->error_count;
  not_empty(load, at, MG_S("registries"), &p->registries);
  not_empty(load, at, MG_S("forbidTags"), &p->forbid_tags);
  p->allowed = mg_listed(load->arena, p->registries, registry_text);
  if (load->diags->error_count == before && !p->registries.count && !p->forbid_tags.count && p->digest == OPTIONAL)
    mg_diag_error(load->diags, at, MG_AT_KEY,
                  "imageReference says nothing: it needs \"registries\", \"digest: required\" or \"forbidTags\"");
  return load->diags->error_count == before;
}

/* ---- judging ---- */

static bool is_allowed(const struct params *p, const struct mg_image *image) {
  for (uint32_t i = 0; i < p->registries.count; i++) {
    const struct registry *r = &MG_LIST_AT(p->registries, struct registry, i);
    const bool below = mg_str_starts(image->path, r->path) &&
                       (!r->path.n || image->path.n == r->path.n || image->path.p[r->path.n] == '/');
    if (below && mg_pattern_match(r->host, image->domain) == 1) return true;
  }
  return !p->registries.count;
}

/* A regex that runs into its limits forbids. */
static bool is_forbidden(const struct params *p, mg_str tag) {
  for (uint32_t i = 0; tag.n && i < p->forbid_tags.count; i++)
    if (mg_pattern_match(MG_LIST_AT(p->forbid_tags, struct mg_pattern *, i), tag) != 0) return true;
  return false;
}

/* One image of a container, or of a volume. */
struct use {
  struct mg_run *run;
  const struct params *p;
  struct mg_pod *pod;
  struct mg_container *container; /* NULL: a volume's */
  mg_node at;
  mg_str who; /* for messages and, of a volume, the subject */
};

static struct mg_finding finding_of(const struct use *use, const char *subject, mg_str value) {
  struct mg_finding f = {.pod = use->pod, .container = use->container, .where = {.node = use->at}, .subject = mg_str_of(subject)};
  f.measure = (struct mg_measure){.kind = MG_MEASURE_TEXT, .text = value};
  if (!use->container) f.subject = mg_arena_printf(mg_run_arena(use->run), "%.*s %s", MG_FMT(use->who), subject);
  return f;
}

static void judge_reference(const struct use *use, mg_str reference, const struct mg_image *image) {
  const struct params *p = use->p;
  mg_str tag = image->tag.n ? image->tag : image->digest.n ? MG_S("") : MG_S("latest");
  if (!is_allowed(p, image)) {
    struct mg_finding f = finding_of(use, "registry", reference);
    mg_run_violation(use->run, &f, "%.*s has image \"%.*s\" of %.*s/%.*s, allowed: %.*s", MG_FMT(use->who), MG_FMT(reference),
                     MG_FMT(image->domain), MG_FMT(image->path), MG_FMT(p->allowed));
  }
  if (p->digest == REQUIRED && !image->digest.n) {
    struct mg_finding f = finding_of(use, "digest", reference);
    if (mg_run_explains(use->run)) f.fix = mg_arena_printf(mg_run_arena(use->run), "%.*s@sha256:…", MG_FMT(reference));
    mg_run_violation(use->run, &f, "%.*s has image \"%.*s\" without a digest", MG_FMT(use->who), MG_FMT(reference));
  }
  if (is_forbidden(p, tag)) {
    struct mg_finding f = finding_of(use, "tag", reference);
    f.fix = MG_S("name a tag that does not move, or a digest alone");
    mg_run_violation(use->run, &f, "%.*s has image \"%.*s\" %s %.*s, which is forbidden", MG_FMT(use->who), MG_FMT(reference),
                     image->tag.n ? "with the tag" : "without a tag, that is", MG_FMT(tag));
  }
}

/* As written; of an image in parts, {repository, tag}, what they make together. */
static mg_str reference_of(const struct use *use) {
  return use->container && mg_is(use->at, MG_OBJECT) ? use->container->image : mg_text(use->at);
}

/* An image that is not there, or parts without a name, is for its controller to fill in. */
static void judge_image(struct use *use) {
  struct mg_arena *arena = mg_run_arena(use->run);
  struct mg_image image;
  mg_str reference = reference_of(use);
  const bool written = mg_is(use->at, MG_OBJECT) || mg_is(use->at, MG_STRING);
  if (mg_missing(use->at) || (written && !reference.n)) return;
  if (written && mg_image_parse(arena, reference, &image)) {
    judge_reference(use, reference, &image);
    return;
  }
  struct mg_finding f = finding_of(use, "reference", reference);
  if (written)
    mg_run_violation(use->run, &f, "%.*s has image \"%.*s\", which is no image reference", MG_FMT(use->who), MG_FMT(reference));
  else
    mg_run_violation(use->run, &f, "%.*s has an image that is not a string", MG_FMT(use->who));
}

static mg_str container_text(struct mg_run *run, const struct mg_container *c) {
  static const char *const kinds[] = {"init ", "", "ephemeral ", ""};
  if (!mg_run_explains(run)) return (mg_str){0};
  if (!c->name.n) return mg_arena_printf(mg_run_arena(run), "%scontainer %u", kinds[c->list], c->number);
  return mg_arena_printf(mg_run_arena(run), "%scontainer \"%.*s\"", kinds[c->list], MG_FMT(c->name));
}

static void judge_volumes(struct mg_run *run, const struct params *p, struct mg_pod *pod) {
  mg_node volumes = MG_GET(pod->spec, "volumes");
  uint32_t number = 0;
  for (mg_node n = mg_first(mg_as(volumes, MG_ARRAY)); n.at; n = mg_next(n), number++) {
    struct use use = {.run = run, .p = p, .pod = pod, .at = MG_GET(MG_GET(n, "image"), "reference")};
    mg_str name = mg_string(MG_GET(n, "name"));
    if (!use.at.at) continue;
    use.who = name.n ? mg_arena_printf(mg_run_arena(run), "volume \"%.*s\"", MG_FMT(name))
                     : mg_arena_printf(mg_run_arena(run), "volume %u", number);
    judge_image(&use);
  }
}

static void judge(struct mg_run *run, const void *params, struct mg_pod *pod) {
  const struct params *p = params;
  for (uint32_t i = 0; i < pod->container_count; i++) {
    struct mg_container *c = &pod->containers[i];
    struct use use = {.run = run, .p = p, .pod = pod, .container = c, .at = MG_GET(c->node, "image")};
    if (!mg_run_sees(run, c)) continue;
    use.who = container_text(run, c);
    judge_image(&use);
  }
  if (mg_run_sees_template(run)) judge_volumes(run, p, pod);
}

const struct mg_rule_type mg_rule_image_reference = {
    .name = "imageReference",
    .doc = "Where images come from and how they are named, in every container (init and ephemeral ones too) and image volume. "
           "What cannot be read as a reference is a violation.",
    .fields = fields,
    .params_size = sizeof(struct params),
    .compile = compile,
    .judge = judge,
};
