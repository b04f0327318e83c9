/* One page that needs nothing but itself: each object with its findings, the lines that they point at, and its patch. What is
 * shown is escaped text; the only script and style that a browser takes are those of page.js and page.css. */
#include <inttypes.h>
#include <openssl/evp.h>

#include "base/embedded.h"
#include "report/diff.h"
#include "report/markup.h"
#include "report/place.h"
#include "report/words.h"

#define PAGE_MAX ((size_t)64 << 20) /* bytes of findings; a browser has to hold them */

enum part { OBJECTS, NOTES };
enum { LEFT_OUT }; /* of sink->counts */

static bool is_full(struct mg_sink *sink) {
  if (sink->parts[OBJECTS].n + sink->parts[NOTES].n < PAGE_MAX) return false;
  sink->counts[LEFT_OUT]++;
  return true;
}

static void attribute(struct mg_buf *to, const char *name, mg_str text) {
  mg_buf_printf(to, " %s=\"", name);
  mg_buf_markup(to, text);
  mg_buf_byte(to, '"');
}

static void element(struct mg_buf *to, const char *name, const char *class, mg_str text) {
  mg_buf_printf(to, "<%s class=\"%s\">", name, class);
  mg_buf_markup(to, text);
  mg_buf_printf(to, "</%s>", name);
}

/* Tabs are kept apart by blanks; all else that moves the eye is replaced. */
static void source(struct mg_buf *to, mg_str text) {
  while (text.n) {
    size_t n = mg_str_find(text, '\t');
    mg_buf_markup(to, (mg_str){text.p, n});
    if (n < text.n) mg_buf_lit(to, "    ");
    text = mg_str_from(text, n + 1);
  }
}

static void excerpt(struct mg_buf *to, const struct mg_region *at) {
  struct mg_excerpt lines[MG_EXCERPT_LINES];
  size_t n = mg_excerpt_of(at, lines);
  if (!n) return;
  mg_buf_lit(to, "<pre class=\"source\" tabindex=\"-1\">");
  for (size_t i = 0; i < n; i++) {
    bool here = lines[i].number == at->line;
    mg_buf_printf(to, "<span class=\"line%s\"><span class=\"number\">%u</span> ", here ? " here" : "", lines[i].number);
    if (lines[i].cut_before) mg_buf_lit(to, "…");
    source(to, lines[i].before);
    if (here) mg_buf_lit(to, "<mark>");
    source(to, lines[i].marked);
    if (here) mg_buf_lit(to, "</mark>");
    source(to, lines[i].after);
    if (lines[i].cut_after) mg_buf_lit(to, "…");
    mg_buf_lit(to, "\n</span>");
  }
  mg_buf_lit(to, "</pre>\n");
}

static void detail(struct mg_sink *sink, const char *label, mg_str text) {
  struct mg_buf *to = &sink->parts[OBJECTS];
  if (!text.n) return;
  mg_buf_printf(to, "<p class=\"detail\"><span class=\"label\">%s</span> ", label);
  if (mg_is_link(text)) {
    sink->scratch.n = 0;
    mg_buf_link(&sink->scratch, text);
    mg_buf_lit(to, "<a rel=\"noreferrer noopener\"");
    attribute(to, "href", mg_buf_str(&sink->scratch));
    mg_buf_byte(to, '>');
    mg_buf_markup(to, text);
    mg_buf_lit(to, "</a>");
  } else {
    element(to, "code", "text", text);
  }
  mg_buf_lit(to, "</p>\n");
}

static void open_finding(struct mg_buf *to, const char *action, bool open) {
  mg_buf_printf(to, "<details class=\"finding %s\" data-action=\"%s\"%s", action, action, open ? " open" : "");
}

static void violation(struct mg_sink *sink, const struct mg_report_result *r, const struct mg_violation *v) {
  struct mg_buf *to = &sink->parts[OBJECTS];
  struct mg_region at = mg_region_of(r, v);
  if (is_full(sink)) return;
  open_finding(to, mg_outcome_words[v->outcome], v->outcome <= MG_OUT_WARN);
  attribute(to, "data-policy", v->policy->name);
  mg_buf_printf(to, "><summary><span class=\"action\">%s</span> ", mg_outcome_words[v->outcome]);
  element(to, "span", "rule", mg_say_rule(sink, v));
  mg_buf_printf(to, " <span class=\"at\">line %u, column %u</span></summary>\n", at.line, at.column);
  mg_buf_lit(to, "<p class=\"message\">");
  mg_str path = mg_violation_path(v);
  if (path.n) element(to, "code", "path", path);
  mg_buf_byte(to, ' ');
  mg_buf_markup(to, v->message);
  mg_buf_lit(to, "</p>\n");
  excerpt(to, &at);
  detail(sink, "fix", v->fix);
  detail(sink, "docs", v->policy->docs);
  detail(sink, "hidden", mg_say_excuse(sink, v));
  mg_buf_lit(to, "</details>\n");
}

static void warning(struct mg_sink *sink, const struct mg_report_warning *w) {
  struct mg_buf *to = &sink->parts[OBJECTS];
  if (is_full(sink)) return;
  open_finding(to, "warning", true);
  mg_buf_printf(to, "><summary><span class=\"action\">warning</span> <span class=\"at\">line %u, column %u</span></summary>\n",
                w->line, w->column);
  element(to, "p", "message", w->text);
  mg_buf_lit(to, "</details>\n");
}

static void patch(struct mg_sink *sink, const struct mg_report_result *r) {
  static const char *const classes[128] = {['+'] = "plus", ['-'] = "minus", ['@'] = "hunk", [' '] = "same"};
  struct mg_buf *to = &sink->parts[OBJECTS], *diff = &sink->text;
  uint32_t count = r->verdict->patch.count;
  if (!count || is_full(sink)) return;
  open_finding(to, "mutate", false);
  mg_buf_printf(to, "><summary><span class=\"action\">mutate</span> <span class=\"rule\">%u addition%s</span></summary>\n", count,
                count == 1 ? " or change" : "s or changes");
  diff->n = 0;
  mg_diff_write(diff, r);
  mg_buf_lit(to, "<pre class=\"diff\" tabindex=\"-1\">");
  for (mg_str left = mg_buf_str(diff); left.n;) {
    mg_buf_printf(to, "<span class=\"%s\">", classes[(unsigned char)left.p[0] & 127]);
    source(to, mg_str_cut(&left, '\n'));
    mg_buf_lit(to, "\n</span>");
  }
  mg_buf_lit(to, "</pre>\n</details>\n");
}

static void result(struct mg_sink *sink, const struct mg_report_result *r) {
  struct mg_buf *to = &sink->parts[OBJECTS];
  if (!r->verdict->violations && !r->warning_count && !r->verdict->patch.count) return;
  mg_buf_lit(to, "<section class=\"object\"");
  attribute(to, "data-kind", r->kind);
  attribute(to, "data-file", mg_str_of(r->file));
  mg_buf_lit(to, ">\n");
  element(to, "h2", "name", mg_say_object(sink, r));
  mg_buf_lit(to, "<p class=\"file\">");
  mg_buf_markup(to, mg_str_of(r->file));
  mg_buf_printf(to, ":%u</p>\n", r->line);
  for (const struct mg_violation *v = r->verdict->violations; v; v = v->next) violation(sink, r, v);
  for (uint32_t i = 0; i < r->warning_count; i++) warning(sink, &r->warnings[i]);
  patch(sink, r);
  mg_buf_lit(to, "</section>\n");
}

/* About a file, or the policies: no object. */
static void note(struct mg_sink *sink, const char *action, const struct mg_pos *pos, mg_str text) {
  struct mg_buf *to = &sink->parts[NOTES];
  mg_str file = mg_str_of(pos->file);
  if (is_full(sink)) return;
  mg_buf_lit(to, "<section class=\"object\" data-kind=\"\"");
  attribute(to, "data-file", file);
  mg_buf_lit(to, ">\n");
  element(to, "h2", "name", file.n ? file : MG_S("policies"));
  open_finding(to, action, true);
  mg_buf_printf(to, "><summary><span class=\"action\">%s</span>", action);
  if (pos->line) mg_buf_printf(to, " <span class=\"at\">line %u, column %u</span>", pos->line, pos->column);
  mg_buf_lit(to, "</summary>\n");
  element(to, "p", "message", text);
  mg_buf_lit(to, "</details>\n</section>\n");
}

static void error(struct mg_sink *sink, const struct mg_report_error *e) {
  note(sink, "error", &(struct mg_pos){e->file, e->line, e->column}, e->message);
}

static void exception(struct mg_sink *sink, const struct mg_report_exception *e) {
  if (e->state != MG_EXCEPTION_ACTIVE) note(sink, "warning", &e->pos, mg_say_exception(sink, e));
}

static mg_str embedded(const char *name) {
  for (size_t i = 0; i < mg_embedded_count; i++)
    if (strcmp(mg_embedded_files[i].name, name) == 0)
      return (mg_str){(const char *)mg_embedded_files[i].data, mg_embedded_files[i].size};
  return (mg_str){0};
}

static void hash_source(struct mg_buf *to, mg_str text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned n = 0;
  if (EVP_Digest(text.p, text.n, digest, &n, EVP_sha256(), NULL) != 1) to->failed = true;
  mg_buf_lit(to, "'sha256-");
  mg_buf_base64(to, (mg_str){(const char *)digest, n});
  mg_buf_byte(to, '\'');
}

static void head(struct mg_buf *out, uint64_t denied, mg_str style, mg_str script) {
  mg_buf_lit(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src ");
  hash_source(out, script);
  mg_buf_lit(out, "; style-src ");
  hash_source(out, style);
  mg_buf_lit(out, "; base-uri 'none'; form-action 'none'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
                  "<title>mlgate: ");
  mg_buf_printf(out, "%" PRIu64 " denied</title>\n<style>", denied);
  mg_buf_put(out, style);
  mg_buf_lit(out, "</style>\n</head>\n<body>\n");
}

static void end(struct mg_sink *sink, const struct mg_report_totals *t) {
  struct mg_buf *out = &sink->out;
  mg_str style = embedded("report/page.css"), script = embedded("report/page.js"), filter = embedded("report/page.html");
  head(out, t->outcomes[MG_OUT_DENY], style, script);
  mg_buf_lit(out, "<header>\n<h1>mlgate</h1>\n<p class=\"totals\">");
  mg_put_totals(out, t);
  mg_buf_lit(out, "</p>\n</header>\n");
  mg_buf_put(out, filter);
  mg_buf_lit(out, "<main id=\"findings\">\n");
  mg_sink_write(sink, out);
  mg_sink_write(sink, &sink->parts[NOTES]);
  mg_sink_write(sink, &sink->parts[OBJECTS]);
  if (sink->counts[LEFT_OUT])
    mg_buf_printf(out, "<p class=\"more\">and %" PRIu64 " more: the page is full</p>\n", sink->counts[LEFT_OUT]);
  mg_buf_lit(out, "<p id=\"none\" hidden>Nothing to show.</p>\n</main>\n<script>");
  mg_buf_put(out, script);
  mg_buf_lit(out, "</script>\n</body>\n</html>\n");
}

const struct mg_format mg_format_html = {"html", "a page to look through", result, error, exception, end};
