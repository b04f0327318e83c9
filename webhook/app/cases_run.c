/* One case: its object, as a request, judged. */
#include "app/cases.h"
#include "app/inputs.h"
#include "app/objects.h"
#include "base/clock.h"
#include "doc/yaml.h"

/* What a file or an inline object holds. */
struct found {
  struct mg_case_work *work;
  struct mg_request request; /* of the first object */
  uint32_t objects, skipped;
  mg_str skipped_kind;
  bool failed; /* the result has an error */
};

__attribute__((format(printf, 2, 3))) static void fail(struct mg_case_work *work, const char *format, ...) {
  va_list args;
  if (work->result->error.n) return;
  va_start(args, format);
  work->result->error = mg_arena_vprintf(work->keep, format, args);
  va_end(args);
  work->result->state = MG_CASE_BROKEN;
}

/* ---- files ---- */

static struct mg_file_doc *read_documents(struct mg_case_work *work, mg_str path) {
  MG_BUF_AUTO buf;
  struct mg_err why = {0};
  struct mg_file_doc *docs = NULL;
  struct mg_read how = mg_manifest_reading(path.p);
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  if (mg_input_read(path.p, &buf, &why) < 0) {
    fail(work, "%s: %s", path.p, why.text);
    return NULL;
  }
  mg_str text = mg_arena_dup(work->arena, mg_buf_str(&buf));
  if (mg_yaml_read(&docs, work->arena, text, &how, &why) < 0) {
    if (why.line) fail(work, "%s:%u:%u: %s", path.p, why.line, why.column, why.text);
    else fail(work, "%s: %s", path.p, why.text);
    return NULL;
  }
  if (!docs) fail(work, "%s: there is nothing in it", path.p);
  return docs;
}

mg_node mg_case_document(struct mg_case_work *work, mg_str name) {
  mg_str path = mg_case_path(work->arena, work->result->test->file, name);
  struct mg_file_doc *docs = read_documents(work, path);
  if (docs && docs->next) fail(work, "%s: more than one document", path.p);
  return docs && !docs->next ? mg_root(&docs->doc) : (mg_node){0};
}

/* ---- objects ---- */

static int take_object(void *ctx, const struct mg_request *request, mg_str api_version, struct mg_err *err) {
  struct found *found = ctx;
  (void)api_version, (void)err;
  if (found->objects++ == 0) found->request = *request;
  return 0;
}

static void skip_object(void *ctx, mg_node node) {
  struct found *found = ctx;
  if (found->skipped++ == 0) found->skipped_kind = mg_string(MG_GET(node, "kind"));
}

static int object_error(void *ctx, mg_node at, const char *message) {
  struct found *found = ctx;
  (void)at;
  fail(found->work, "%s", message);
  found->failed = true;
  return 0;
}

/* A copy, since judging an object edits it; read anew, since edits of what was made here need no operation of a patch. */
static mg_node copy_of(struct mg_case_work *work, mg_node node) {
  struct mg_doc *doc = MG_NEW(work->arena, struct mg_doc);
  struct mg_read how = {.limits = {MG_INPUT_MAX_BYTES, MG_MANIFEST_DEPTH, MG_MANIFEST_CELLS}};
  mg_str text = mg_json_text(work->arena, node);
  if (doc && mg_json_read(doc, work->arena, text, &how, NULL) == 0) return mg_root(doc);
  work->arena->failed = true;
  return (mg_node){0};
}

/* A List is as many objects as it holds. `where`: the file, if there is one. */
static void check_one(struct mg_case_work *work, struct found *found, const char *where, const char *what) {
  if (found->objects <= 1) return;
  fail(work, "%s%s%u objects, where %s is one", where ? where : "", where ? ": " : "", found->objects, what);
  found->failed = true;
}

static int visit(struct mg_case_work *work, mg_node at, const char *what, struct found *ret, struct mg_err *err) {
  const struct mg_case *c = work->result->c;
  struct mg_object_visitor visitor = {.kinds = mg_snapshot_kinds(work->snapshot), .ctx = ret, .object = take_object,
                                      .skipped = skip_object, .error = object_error};
  visitor.usual = (struct mg_request){.ns = c->ns.n ? c->ns : MG_S("default"), .as_written = true};
  *ret = (struct found){.work = work};
  if (mg_is(at, MG_OBJECT)) {
    int code = mg_objects_visit(&visitor, copy_of(work, at), work->arena, err);
    check_one(work, ret, NULL, what);
    return code;
  }
  mg_str path = mg_case_path(work->arena, work->result->test->file, mg_text(at));
  struct mg_file_doc *docs = read_documents(work, path);
  ret->failed |= !docs;
  for (int code = 0; docs && code == 0; docs = docs->next)
    if ((code = mg_objects_visit(&visitor, mg_root(&docs->doc), work->arena, err)) < 0) return code;
  check_one(work, ret, path.p, what);
  return 0;
}

/* What the case says of the request stands before what a recorded review says. */
static void complete(struct mg_case_work *work, struct mg_request *request) {
  const struct mg_case *c = work->result->c;
  if (c->ns.n && request->ns.n) request->ns = c->ns;
  if (MG_GET(c->at, "user").at) request->user = c->user;
  if (MG_GET(c->at, "groups").at) {
    request->groups = (mg_node){0};
    request->group_list = c->groups.items;
    request->group_count = c->groups.count;
  }
  if (MG_GET(c->at, "operation").at) request->operation = (enum mg_operation)c->operation;
  else if (c->old_object.at && c->object.at) request->operation = MG_UPDATE;
  else if (c->old_object.at) request->operation = MG_DELETE;
  /* As the API server sends them: what is deleted is the old object. */
  if (request->operation != MG_DELETE || !request->object.at) return;
  if (!request->old_object.at) request->old_object = request->object;
  request->object = (mg_node){0};
}

/* False: nothing is to be judged, and the result may say why. */
static bool make_request(struct mg_case_work *work, struct mg_request *ret, int *ret_code, struct mg_err *err) {
  const struct mg_case *c = work->result->c;
  struct found found, old;
  mg_node first = c->object.at ? c->object : c->old_object;
  *ret_code = visit(work, first, "an object", &found, err);
  if (*ret_code < 0 || found.failed) return false;
  if (!found.objects && !found.skipped) fail(work, "there is no object");
  if (!found.objects) {
    mg_str kind = found.skipped_kind.n ? found.skipped_kind : MG_S("object without a kind");
    work->result->note = mg_arena_printf(work->keep, "no workload kind: the %.*s is not judged", MG_FMT(kind));
    return false;
  }
  *ret = found.request;
  if (c->old_object.at && c->object.at) {
    *ret_code = visit(work, c->old_object, "an oldObject", &old, err);
    if (*ret_code < 0 || old.failed) return false;
    if (!old.objects) fail(work, "\"oldObject\" is no object that is judged");
    ret->old_object = old.request.object;
  }
  complete(work, ret);
  return work->result->state != MG_CASE_BROKEN;
}

/* ---- the case ---- */

static int judge(struct mg_case_work *work, struct mg_err *err) {
  struct mg_request request = {0};
  struct mg_verdict verdict = {.allowed = true};
  mg_node before = {0};
  int code = 0;
  if (make_request(work, &request, &code, err)) {
    bool none = mg_is(mg_case_expects(work->result->c, MG_S("patched")), MG_NULL);
    if (none && request.object.at) before = copy_of(work, request.object);
    code = mg_evaluate(work->snapshot, &request, MG_PHASE_MUTATE | MG_PHASE_VALIDATE, work->now, work->arena, &verdict, err);
    work->actual.object = request.object;
  }
  if (code < 0 || work->result->state == MG_CASE_BROKEN) return code;
  mg_case_compare(work, before, &verdict);
  return 0;
}

int mg_case_run(struct mg_case_work *work, struct mg_err *err) {
  uint64_t start = mg_clock_ns();
  mg_arena_reset(work->arena);
  work->actual = (struct mg_case_actual){.allowed = true};
  work->result->problems_end = &work->result->problems;
  int code = judge(work, err);
  work->result->ns = mg_clock_ns() - start;
  if (code == 0 && (work->arena->failed || work->keep->failed)) code = mg_err_nomem(err);
  return code;
}
