#include "admit/admit.h"

#include <stdio.h>

#include "doc/json.h"

#define MOST_LINES 20
#define MOST_MESSAGE ((size_t)8 << 10)
#define AND_MORE sizeof("\nand 4294967295 more")
#define MOST_WARNINGS 30
#define WARNING_POINTS 120
#define MOST_ANNOTATION 1024

/* A v1 Status, the only error body whose text reaches the user. */
static void put_status(struct mg_buf *out, unsigned code, const char *reason, mg_str message) {
  mg_buf_lit(out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":");
  mg_buf_json(out, message);
  mg_buf_lit(out, ",\"reason\":");
  mg_buf_json(out, mg_str_of(reason));
  mg_buf_printf(out, ",\"code\":%u}\n", code);
}

void mg_violation_line(struct mg_buf *out, const struct mg_violation *v) {
  mg_str docs = v->policy->docs;
  mg_buf_clean(out, v->policy->name);
  mg_buf_byte(out, '/');
  mg_buf_clean(out, v->rule->name);
  mg_buf_lit(out, ": ");
  mg_str path = mg_violation_path(v);
  if (path.n) {
    mg_buf_clean(out, path);
    mg_buf_lit(out, ": ");
  }
  mg_buf_clean(out, v->message);
  if (!v->fix.n && !docs.n) return;
  mg_buf_lit(out, " (");
  mg_buf_clean(out, v->fix);
  if (v->fix.n && docs.n) mg_buf_lit(out, "; ");
  mg_buf_clean(out, docs);
  mg_buf_byte(out, ')');
}

/* At most that many bytes, in whole characters, the last of them an ellipsis. */
static mg_str cut_bytes(struct mg_arena *arena, mg_str text, size_t most) {
  size_t keep = most - 3;
  while (keep && ((unsigned char)text.p[keep] & 0xC0) == 0x80) keep--;
  return mg_arena_printf(arena, "%.*s\u2026", (int)keep, text.p);
}

/* Every denying violation, one a line, at most 20 and 8 KiB, then how many more. A first line that does not fit is cut: something
 * must be said. */
static mg_str denial_message(struct mg_arena *arena, const struct mg_verdict *verdict) {
  struct mg_buf out, line;
  uint32_t shown = 0, all = verdict->counts[MG_OUT_DENY];
  mg_buf_init(&out, arena, MOST_MESSAGE);
  for (const struct mg_violation *v = verdict->violations; v && shown < MOST_LINES; v = v->next) {
    if (v->outcome != MG_OUT_DENY) continue;
    mg_buf_init(&line, arena, (size_t)1 << 20);
    mg_violation_line(&line, v);
    mg_str text = mg_buf_str(&line);
    size_t room = MOST_MESSAGE - (shown + 1 < all ? AND_MORE : 0);
    if (shown && out.n + 1 + text.n > room) break;
    if (!shown && text.n > room) text = cut_bytes(arena, text, room);
    if (shown++) mg_buf_byte(&out, '\n');
    mg_buf_put(&out, text);
  }
  if (shown < all) mg_buf_printf(&out, "\nand %u more", all - shown);
  return mg_buf_str(&out);
}

/* Cut to 120 code points; what is cut ends in an ellipsis. */
static mg_str cut(struct mg_arena *arena, mg_str text) {
  size_t points = 0, keep = 0;
  for (size_t i = 0; i < text.n; i++) {
    if (((unsigned char)text.p[i] & 0xC0) == 0x80) continue;
    if (points == WARNING_POINTS - 1) keep = i;
    points++;
  }
  if (points <= WARNING_POINTS) return text;
  return mg_arena_printf(arena, "%.*s\u2026", (int)keep, text.p);
}

static mg_str clean(struct mg_arena *arena, mg_str text) {
  struct mg_buf out;
  mg_buf_init(&out, arena, (size_t)1 << 20);
  mg_buf_clean(&out, text);
  return mg_buf_str(&out);
}

struct warnings {
  mg_str text[MOST_WARNINGS + 1];
  uint32_t count, more;
};

static void add_warning(struct warnings *w, struct mg_arena *arena, mg_str text) {
  if (w->count == MOST_WARNINGS)
    w->more++;
  else
    w->text[w->count++] = cut(arena, clean(arena, text));
}

static void collect_warnings(struct warnings *w, struct mg_arena *arena, enum mg_endpoint endpoint,
                             const struct mg_verdict *verdict) {
  uint32_t listed = 0;
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) {
    if (v->outcome != MG_OUT_WARN) continue;
    listed++;
    add_warning(w, arena,
                mg_arena_printf(arena, "%.*s/%.*s: %.*s", MG_FMT(v->policy->name), MG_FMT(v->rule->name), MG_FMT(v->message)));
  }
  w->more += verdict->counts[MG_OUT_WARN] - listed;
  for (const struct mg_warning *note = verdict->warnings; note; note = note->next)
    if (endpoint == MG_VALIDATE || verdict->patch.count) add_warning(w, arena, note->text);
  if (w->more) w->text[w->count++] = mg_arena_printf(arena, "mlgate: and %u more warnings", w->more);
}

/* `policy/rule=action` of every violation, whole entries up to 1 KiB, then how many more. */
static mg_str annotate_violations(struct mg_arena *arena, const struct mg_verdict *verdict) {
  struct mg_buf out, entry;
  uint32_t more = 0;
  for (size_t i = 0; i < sizeof verdict->counts / sizeof *verdict->counts; i++) more += verdict->counts[i];
  mg_buf_init(&out, arena, MOST_ANNOTATION + 32);
  for (const struct mg_violation *v = verdict->violations; v; v = v->next) {
    mg_buf_init(&entry, arena, 4096);
    if (out.n) mg_buf_byte(&entry, ',');
    mg_buf_clean(&entry, v->policy->name);
    mg_buf_byte(&entry, '/');
    mg_buf_clean(&entry, v->rule->name);
    mg_buf_printf(&entry, "=%s", mg_outcome_words[v->outcome]);
    if (out.n + entry.n > MOST_ANNOTATION) break;
    mg_buf_put(&out, mg_buf_str(&entry));
    more--;
  }
  if (more) mg_buf_printf(&out, "%s+%u", out.n ? "," : "", more);
  return mg_buf_str(&out);
}

/* The policies that matched, in order. */
static mg_str annotate_policies(struct mg_arena *arena, const struct mg_snapshot *snapshot, const struct mg_verdict *verdict) {
  struct mg_buf out;
  uint32_t more = 0, count = verdict->policy_results ? mg_snapshot_policy_count(snapshot) : 0;
  mg_buf_init(&out, arena, MOST_ANNOTATION + 32);
  for (uint32_t p = 0; p < count; p++) {
    if (verdict->policy_results[p] == MG_RESULT_NO_MATCH) continue;
    mg_str name = mg_snapshot_policy(snapshot, p)->name;
    if (more || out.n + name.n + 1 > MOST_ANNOTATION) {
      more++;
      continue;
    }
    char *to = mg_buf_room(&out, name.n + 1);
    if (!to) break;
    if (out.n) *to++ = ',', out.n++;
    memcpy(to, name.p, name.n);
    out.n += name.n;
  }
  if (more) mg_buf_printf(&out, ",+%u", more);
  return mg_buf_str(&out);
}

static void answer(const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, const struct mg_request *request,
                   const struct mg_verdict *verdict, struct mg_arena *arena, struct mg_answer *ret) {
  struct mg_annotation annotations[2];
  struct warnings warnings;
  warnings.count = warnings.more = 0;
  struct mg_response r = {.uid = request->uid, .allowed = endpoint == MG_MUTATE || verdict->allowed, .warnings = warnings.text};
  if (!r.allowed) r.message = denial_message(arena, verdict);
  if (endpoint == MG_MUTATE && verdict->patch.count) {
    struct mg_buf patch;
    mg_buf_init(&patch, arena, MG_REVIEW_ARENA);
    mg_patch_write(&patch, &verdict->patch);
    r.patch = mg_buf_str(&patch);
  }
  collect_warnings(&warnings, arena, endpoint, verdict);
  r.warning_count = warnings.count;
  if (endpoint == MG_VALIDATE) {
    r.annotations = annotations;
    if (verdict->violations)
      annotations[r.annotation_count++] = (struct mg_annotation){"violations", annotate_violations(arena, verdict)};
    mg_str policies = annotate_policies(arena, snapshot, verdict);
    if (policies.n) annotations[r.annotation_count++] = (struct mg_annotation){"policies", policies};
  }
  mg_review_write(&ret->body, &r);
  struct mg_summary *s = &ret->summary;
  s->decided = true;
  s->allowed = r.allowed;
  s->patched = r.patch.n > 0;
  s->message = r.message;
  s->policy_results = verdict->policy_results;
  s->policy_ns = verdict->policy_ns;
  memcpy(s->violations, verdict->counts, sizeof s->violations);
}

static const struct {
  int code;
  unsigned status;
  const char *reason;
} error_answers[] = {
    {MG_E_LIMIT, 413, "RequestEntityTooLarge"},
    {MG_E_SYNTAX, 400, "BadRequest"},
    {MG_E_INVALID, 400, "BadRequest"},
    {MG_E_NOMEM, 503, "ServiceUnavailable"},
};

/* What is said where there is no memory to say anything. */
static void answer_without_memory(struct mg_answer *ret) {
  static const char text[] = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
                             "\"message\":\"mlgate: out of memory\",\"reason\":\"ServiceUnavailable\",\"code\":503}\n";
  ret->http_status = 503;
  ret->body.p = (char *)(uintptr_t)text; /* nobody writes to a body that is done */
  ret->body.n = sizeof text - 1;
  ret->summary.message = MG_S("mlgate: out of memory");
}

/* Some fail for what this review needs, and would for ever: a 503 would only be asked again. */
static void explain_memory(struct mg_err *err, const struct mg_arena *arena, const struct mg_answer *answer) {
  if (arena->crowded)
    (void)mg_err_set(err, err->code, "the reviews that are answered now have the memory that this one needs; try again");
  else if (arena->full || (answer->body.failed && !arena->failed))
    (void)mg_err_set(err, MG_E_LIMIT, "the review needs more than %zu MiB of memory", arena->max >> 20);
}

/* The one place where an error becomes an answer. */
static void answer_error(const struct mg_err *err, struct mg_arena *arena, struct mg_answer *ret) {
  unsigned status = 500;
  const char *reason = "InternalError";
  for (size_t i = 0; i < sizeof error_answers / sizeof *error_answers; i++)
    if (error_answers[i].code == err->code) status = error_answers[i].status, reason = error_answers[i].reason;
  mg_arena_reset(arena); /* a Status is small: it has room even where the review had none */
  mg_buf_init(&ret->body, arena, (size_t)1 << 16);
  struct mg_buf text;
  mg_buf_init(&text, arena, (size_t)1 << 16);
  mg_buf_lit(&text, "mlgate: ");
  mg_buf_clean(&text, mg_str_of(err->text));
  put_status(&ret->body, status, reason, mg_buf_str(&text));
  ret->http_status = status;
  ret->summary =
      (struct mg_summary){.kind_index = UINT32_MAX, .message = mg_buf_str(&text), .undecided = ret->summary.undecided};
  if (ret->body.failed || arena->failed) answer_without_memory(ret);
}

/* What a request brings along that is not in its bytes. */
struct around {
  int64_t now;
  const struct mg_images *images;
  uint64_t (*clock)(void);
};

static int review(const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, mg_str body, const struct around *around,
                  struct mg_arena *arena, struct mg_answer *ret, struct mg_err *err) {
  struct mg_doc doc;
  struct mg_request request;
  struct mg_verdict verdict;
  struct mg_read how = {.limits = {MG_REVIEW_MAX_BYTES, MG_REVIEW_MAX_DEPTH, MG_REVIEW_MAX_CELLS}};
  int rc = mg_json_read(&doc, arena, body, &how, err);
  if (rc) return mg_err_wrap(err, "the body cannot be read (byte %zu)", err->offset);
  if ((rc = mg_review_read(mg_root(&doc), &request, err))) return rc;
  request.images = around->images;
  request.clock = around->clock;
  struct mg_summary *s = &ret->summary;
  const struct mg_kind_row *row = mg_kind_find(mg_snapshot_kinds(snapshot), request.group, request.version, request.kind);
  *s = (struct mg_summary){.uid = request.uid, .kind = request.kind, .ns = request.ns, .name = request.name, .user = request.user,
                           .operation = request.operation, .kind_index = row ? row->index : UINT32_MAX};
  unsigned phase = endpoint == MG_MUTATE ? MG_PHASE_MUTATE : MG_PHASE_VALIDATE;
  rc = mg_evaluate(snapshot, &request, phase, around->now, arena, &verdict, err);
  s->undecided = verdict.undecided;
  if (rc) return rc;
  ret->waiting = verdict.waiting;
  answer(snapshot, endpoint, &request, &verdict, arena, ret);
  return ret->body.failed || arena->failed ? mg_err_nomem(err) : 0;
}

void mg_admit_timed(const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, mg_str body, int64_t now,
                    const struct mg_images *images, uint64_t (*clock)(void), struct mg_arena *arena, struct mg_answer *ret) {
  const struct around around = {now, images, clock};
  struct mg_err err = {0};
  *ret = (struct mg_answer){.http_status = 200, .summary = {.kind_index = UINT32_MAX}};
  mg_buf_init(&ret->body, arena, MG_REVIEW_ARENA);
  int code = review(snapshot, endpoint, body, &around, arena, ret, &err);
  if (code == MG_E_NOMEM) explain_memory(&err, arena, ret);
  if (code < 0) answer_error(&err, arena, ret);
}

void mg_admit(const struct mg_snapshot *snapshot, enum mg_endpoint endpoint, mg_str body, int64_t now,
              const struct mg_images *images, struct mg_arena *arena, struct mg_answer *ret) {
  mg_admit_timed(snapshot, endpoint, body, now, images, NULL, arena, ret);
}
