#include "app/objects.h"

enum { SCOPE_CLUSTER = 1 }; /* the second word of WorkloadKind's `scope` */

struct visit {
  const struct mg_object_visitor *visitor;
  struct mg_arena *arena;
  struct mg_err *err;
};

/* What an object of a typed list may leave out. */
struct inherited {
  mg_str api_version, kind;
};

bool mg_objects_is_review(mg_node root) {
  mg_str group, version;
  mg_split_api_version(mg_string(MG_GET(root, "apiVersion")), &group, &version);
  return mg_str_is(group, "admission.k8s.io") && mg_str_is(mg_string(MG_GET(root, "kind")), "AdmissionReview") &&
         !mg_missing(MG_GET(root, "request"));
}

static int judge(struct visit *visit, const struct mg_request *request, mg_str api_version) {
  return visit->visitor->object(visit->visitor->ctx, request, api_version, visit->err);
}

static mg_str join_api_version(struct visit *visit, mg_str group, mg_str version) {
  return group.n ? mg_arena_printf(visit->arena, "%.*s/%.*s", MG_FMT(group), MG_FMT(version)) : version;
}

static int visit_review(struct visit *visit, mg_node root) {
  struct mg_request request;
  struct mg_err why = {0};
  if (mg_review_read(root, &request, &why) < 0) return visit->visitor->error(visit->visitor->ctx, root, why.text);
  if (!mg_kind_find(visit->visitor->kinds, request.group, request.version, request.kind)) {
    visit->visitor->skipped(visit->visitor->ctx, root);
    return 0;
  }
  request.images = visit->visitor->usual.images;
  return judge(visit, &request, join_api_version(visit, request.group, request.version));
}

static mg_str first_of(mg_str a, mg_str b) {
  return a.n ? a : b;
}

static int visit_object(struct visit *visit, mg_node object, const struct inherited *from) {
  mg_str api_version = first_of(mg_string(MG_GET(object, "apiVersion")), from->api_version);
  mg_node meta = MG_GET(object, "metadata");
  struct mg_request request = visit->visitor->usual;
  mg_split_api_version(api_version, &request.group, &request.version);
  request.kind = first_of(mg_string(MG_GET(object, "kind")), from->kind);
  const struct mg_kind_row *row = NULL;
  if (mg_is(object, MG_OBJECT) && api_version.n && request.kind.n)
    row = mg_kind_find(visit->visitor->kinds, request.group, request.version, request.kind);
  if (!row) {
    visit->visitor->skipped(visit->visitor->ctx, object);
    return 0;
  }
  request.name = first_of(mg_string(MG_GET(meta, "name")), mg_string(MG_GET(meta, "generateName")));
  request.ns = row->scope == SCOPE_CLUSTER ? (mg_str){0} : first_of(mg_string(MG_GET(meta, "namespace")), request.ns);
  *(request.operation == MG_DELETE ? &request.old_object : &request.object) = object; /* as the API server sends them */
  return judge(visit, &request, api_version);
}

static int visit_node(struct visit *visit, mg_node node, const struct inherited *from, unsigned depth);

static int visit_list(struct visit *visit, mg_node list, mg_node items, unsigned depth) {
  mg_str kind = mg_string(MG_GET(list, "kind"));
  struct inherited from = {0};
  if (depth >= MG_OBJECTS_MAX_DEPTH) return visit->visitor->error(visit->visitor->ctx, list, "Lists are nested too deeply");
  if (mg_str_ends(kind, MG_S("List")) && kind.n > 4) {
    from.kind = (mg_str){kind.p, kind.n - 4};
    from.api_version = mg_string(MG_GET(list, "apiVersion"));
  }
  for (mg_node item = mg_first(items); item.at; item = mg_next(item)) {
    int code = visit_node(visit, item, &from, depth + 1);
    if (code < 0) return code;
  }
  return 0;
}

/* As kubectl does, whatever has a top-level array `items` is a list. */
static int visit_node(struct visit *visit, mg_node node, const struct inherited *from, unsigned depth) {
  mg_node items = MG_GET(node, "items");
  if (mg_is(items, MG_ARRAY)) return visit_list(visit, node, items, depth);
  if (mg_objects_is_review(node)) return visit_review(visit, node);
  return visit_object(visit, node, from);
}

int mg_objects_visit(const struct mg_object_visitor *visitor, mg_node root, struct mg_arena *arena, struct mg_err *err) {
  struct visit visit = {visitor, arena, err};
  return visit_node(&visit, root, &(struct inherited){0}, 0);
}
