#include "kube/review.h"

#include "base/err.h"

const char *const mg_operation_words[] = {"CREATE", "UPDATE", "DELETE", "CONNECT", NULL};

static mg_node present(mg_node n) {
  return mg_missing(n) ? (mg_node){0} : n;
}

static bool read_operation(mg_str word, enum mg_operation *ret) {
  for (uint32_t i = 0; mg_operation_words[i]; i++)
    if (mg_str_is(word, mg_operation_words[i])) {
      *ret = (enum mg_operation)i;
      return true;
    }
  return false;
}

/* The object's own name; a DELETE of a collection has it only in oldObject. */
static mg_str object_name(const struct mg_request *r, mg_str name) {
  mg_node meta = MG_GET(r->object.at ? r->object : r->old_object, "metadata");
  if (!name.n) name = mg_string(MG_GET(meta, "name"));
  return name.n ? name : mg_string(MG_GET(meta, "generateName"));
}

int mg_review_read(mg_node root, struct mg_request *ret, struct mg_err *err) {
  mg_node request = MG_GET(root, "request"), kind = MG_GET(request, "kind"), user = MG_GET(request, "userInfo");
  if (!mg_str_is(mg_string(MG_GET(root, "apiVersion")), "admission.k8s.io/v1"))
    return mg_err_set(err, MG_E_INVALID, "apiVersion must be admission.k8s.io/v1");
  if (!mg_str_is(mg_string(MG_GET(root, "kind")), "AdmissionReview"))
    return mg_err_set(err, MG_E_INVALID, "kind must be AdmissionReview");
  if (!mg_is(request, MG_OBJECT)) return mg_err_set(err, MG_E_INVALID, "the review has no request");
  *ret = (struct mg_request){
      .uid = mg_string(MG_GET(request, "uid")),
      .group = mg_string(MG_GET(kind, "group")),
      .version = mg_string(MG_GET(kind, "version")),
      .kind = mg_string(MG_GET(kind, "kind")),
      .subresource = mg_string(MG_GET(request, "subResource")),
      .ns = mg_string(MG_GET(request, "namespace")),
      .user = mg_string(MG_GET(user, "username")),
      .groups = MG_GET(user, "groups"),
      .object = present(MG_GET(request, "object")),
      .old_object = present(MG_GET(request, "oldObject")),
      .dry_run = mg_true(MG_GET(request, "dryRun")),
  };
  ret->name = object_name(ret, mg_string(MG_GET(request, "name")));
  if (!ret->uid.n) return mg_err_set(err, MG_E_INVALID, "the request has no uid");
  if (!ret->kind.n) return mg_err_set(err, MG_E_INVALID, "the request has no kind");
  if (!read_operation(mg_string(MG_GET(request, "operation")), &ret->operation))
    return mg_err_set(err, MG_E_INVALID, "the request's operation is not CREATE, UPDATE, DELETE or CONNECT");
  return 0;
}

void mg_review_write(struct mg_buf *out, const struct mg_response *r) {
  mg_buf_lit(out, "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
  mg_buf_json(out, r->uid);
  mg_buf_put(out, r->allowed ? MG_S(",\"allowed\":true") : MG_S(",\"allowed\":false"));
  if (!r->allowed) {
    mg_buf_lit(out, ",\"status\":{\"code\":403,\"reason\":\"Forbidden\",\"message\":");
    mg_buf_json(out, r->message);
    mg_buf_byte(out, '}');
  }
  if (r->patch.n) {
    mg_buf_lit(out, ",\"patchType\":\"JSONPatch\",\"patch\":\"");
    mg_buf_base64(out, r->patch);
    mg_buf_byte(out, '"');
  }
  for (uint32_t i = 0; i < r->warning_count; i++) {
    mg_buf_put(out, i ? MG_S(",") : MG_S(",\"warnings\":["));
    mg_buf_json(out, r->warnings[i]);
  }
  if (r->warning_count) mg_buf_byte(out, ']');
  for (uint32_t i = 0; i < r->annotation_count; i++) {
    mg_buf_put(out, i ? MG_S(",") : MG_S(",\"auditAnnotations\":{"));
    mg_buf_json(out, mg_str_of(r->annotations[i].key));
    mg_buf_byte(out, ':');
    mg_buf_json(out, r->annotations[i].value);
  }
  if (r->annotation_count) mg_buf_byte(out, '}');
  mg_buf_lit(out, "}}\n");
}
