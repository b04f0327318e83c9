#include "app/recorded.h"

#include "kube/workload.h"

const struct mg_unused_word mg_unused_words[MG_UNUSED_COUNT] = {
    [MG_UNUSED_ANSWER] = {"answers", "an answer without its request"},
    [MG_UNUSED_STAGE] = {"stages", "a stage of the audit log other than ResponseComplete"},
    [MG_UNUSED_VERB] = {"verbs", "neither created, updated nor patched; of a deletion the audit log has no object"},
    [MG_UNUSED_SUBRESOURCE] = {"subresources", "a subresource that is not judged, such as status"},
    [MG_UNUSED_NO_OBJECT] = {"noObject", "no object: the audit policy must record these requests at level Request"},
    [MG_UNUSED_PATCH] = {"patches", "a patch whose result is not there: the audit policy must record these at RequestResponse"},
    [MG_UNUSED_KIND] = {"kinds", "of a kind that is not judged"},
    [MG_UNUSED_OTHER] = {"others", "neither an AdmissionReview nor an event of the audit log"},
};

static bool is_of(mg_node root, const char *group, const char *kind) {
  mg_str its, version;
  mg_split_api_version(mg_string(MG_GET(root, "apiVersion")), &its, &version);
  return mg_str_is(its, group) && mg_str_is(mg_string(MG_GET(root, "kind")), kind);
}

static bool is_judged(mg_str subresource) {
  return !subresource.n || mg_str_is(subresource, "ephemeralcontainers") || mg_str_is(subresource, "resize");
}

static int read_review(mg_node root, struct mg_recorded *ret, enum mg_unused *ret_unused, struct mg_err *err) {
  if (mg_missing(MG_GET(root, "request"))) {
    *ret_unused = MG_UNUSED_ANSWER;
    return 0;
  }
  int code = mg_review_read(root, &ret->request, err);
  if (code < 0) return code;
  *ret_unused = is_judged(ret->request.subresource) ? MG_UNUSED_COUNT : MG_UNUSED_SUBRESOURCE;
  return 0;
}

static int64_t status_of(mg_node event) {
  int64_t code = 0;
  return mg_int64(MG_GET(MG_GET(event, "responseStatus"), "code"), &code) ? code : 0;
}

/* What was sent, as it was sent; of a patch, which is no object, what came of it. */
static mg_node object_of(mg_node event, struct mg_recorded *ret, mg_str verb, enum mg_unused *ret_unused) {
  mg_node sent = MG_GET(event, "requestObject"), got = MG_GET(event, "responseObject");
  int64_t status = status_of(event);
  if (!mg_str_is(verb, "patch")) {
    ret->no_old = ret->request.operation == MG_UPDATE;
    ret->request.as_written = ret->request.operation == MG_CREATE;
    if (!mg_is(sent, MG_OBJECT)) *ret_unused = MG_UNUSED_NO_OBJECT;
    return sent;
  }
  ret->as_stored = true;
  ret->no_old = status != 201;
  if (status == 201) ret->request.operation = MG_CREATE; /* a server-side apply that made it */
  if (!mg_is(got, MG_OBJECT) || status < 200 || status > 299)
    *ret_unused = mg_is(sent, MG_OBJECT) || mg_is(sent, MG_ARRAY) ? MG_UNUSED_PATCH : MG_UNUSED_NO_OBJECT;
  return got;
}

static mg_str first_of(mg_str a, mg_str b) {
  return a.n ? a : b;
}

static bool is_dry_run(mg_str uri) {
  return mg_str_has(mg_str_from(uri, mg_str_find(uri, '?')), MG_S("dryRun=All"));
}

static void fill(mg_node event, mg_node object, struct mg_recorded *ret) {
  mg_node ref = MG_GET(event, "objectRef"), meta = MG_GET(object, "metadata"), user = MG_GET(event, "impersonatedUser");
  struct mg_request *r = &ret->request;
  if (mg_missing(user)) user = MG_GET(event, "user");
  mg_split_api_version(mg_string(MG_GET(object, "apiVersion")), &r->group, &r->version);
  r->kind = mg_string(MG_GET(object, "kind"));
  r->uid = mg_string(MG_GET(event, "auditID"));
  r->name = first_of(mg_string(MG_GET(meta, "name")), mg_string(MG_GET(meta, "generateName")));
  r->name = first_of(r->name, mg_string(MG_GET(ref, "name")));
  r->ns = first_of(mg_string(MG_GET(ref, "namespace")), mg_string(MG_GET(meta, "namespace")));
  r->user = mg_string(MG_GET(user, "username"));
  r->groups = MG_GET(user, "groups");
  r->object = object;
  r->dry_run = is_dry_run(mg_string(MG_GET(event, "requestURI")));
  ret->refused = status_of(event) >= 400;
}

static void read_event(mg_node event, struct mg_recorded *ret, enum mg_unused *ret_unused) {
  static const struct {
    const char *verb;
    enum mg_operation operation;
  } verbs[] = {{"create", MG_CREATE}, {"update", MG_UPDATE}, {"patch", MG_UPDATE}};
  mg_str verb = mg_string(MG_GET(event, "verb"));
  size_t i = 0, n = sizeof verbs / sizeof *verbs;
  ret->event = true;
  while (i < n && !mg_str_is(verb, verbs[i].verb)) i++;
  ret->request.subresource = mg_string(MG_GET(MG_GET(event, "objectRef"), "subresource"));
  if (!mg_str_is(mg_string(MG_GET(event, "stage")), "ResponseComplete")) *ret_unused = MG_UNUSED_STAGE;
  else if (i == n) *ret_unused = MG_UNUSED_VERB;
  else if (!is_judged(ret->request.subresource)) *ret_unused = MG_UNUSED_SUBRESOURCE;
  else *ret_unused = MG_UNUSED_COUNT;
  if (*ret_unused != MG_UNUSED_COUNT) return;
  ret->request.operation = verbs[i].operation;
  fill(event, object_of(event, ret, verb, ret_unused), ret);
}

int mg_recorded_read(mg_node root, struct mg_recorded *ret, enum mg_unused *ret_unused, struct mg_err *err) {
  *ret = (struct mg_recorded){0};
  *ret_unused = MG_UNUSED_OTHER;
  if (is_of(root, "admission.k8s.io", "AdmissionReview")) return read_review(root, ret, ret_unused, err);
  if (is_of(root, "audit.k8s.io", "Event")) read_event(root, ret, ret_unused);
  return 0;
}
