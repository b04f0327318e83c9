#include "app/strict.h"

#include <stdio.h>

#include "app/inputs.h"
#include "doc/yaml.h"

#define TELL_MAX ((size_t)1 << 20)

static void parse(struct mg_strict *s, mg_str text) {
  struct mg_read how = {.limits = {MG_INPUT_MAX_BYTES, MG_STRICT_DEPTH, MG_STRICT_CELLS}, .file = s->path};
  struct mg_file_doc *docs = NULL;
  struct mg_err why = {0};
  if (mg_yaml_read(&docs, &s->arena, text, &how, &why) < 0) mg_diag_syntax(&s->diags, s->path, text, &why);
  else if (docs) s->root = mg_root(&docs->doc);
  if (docs && docs->next)
    mg_diag_error(&s->diags, mg_root(&docs->next->doc), MG_AT_VALUE, "a second document; this file has one");
}

int mg_strict_read(struct mg_strict *s, const char *path, struct mg_err *err) {
  MG_BUF_AUTO buf;
  *s = (struct mg_strict){0};
  mg_arena_init(&s->arena, MG_STRICT_ARENA, 0);
  mg_diags_init(&s->diags, &s->arena);
  s->load = (struct mg_load){.diags = &s->diags, .arena = &s->arena};
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  int code = mg_input_read(path, &buf, err);
  if (code < 0) return mg_err_wrap(err, "%s", path);
  mg_str text = mg_arena_dup(&s->arena, buf.n ? mg_buf_str(&buf) : MG_S(""));
  s->path = mg_arena_dup(&s->arena, mg_str_of(path)).p;
  if (!text.p || !s->path) return mg_err_set(err, MG_E_NOMEM, "%s: out of memory", path);
  parse(s, text);
  return 0;
}

void mg_strict_fini(struct mg_strict *s) {
  mg_arena_fini(&s->arena);
}

int mg_strict_end(struct mg_strict *s, struct mg_err *err) {
  MG_BUF_AUTO text;
  uint32_t count = s->diags.error_count;
  mg_buf_init(&text, NULL, TELL_MAX);
  mg_diags_print(&text, s->diags.errors, "");
  if (text.n) fwrite(text.p, 1, text.n, stderr);
  if (count) return mg_err_set(err, MG_E_INVALID, "%s: %u error%s", s->path, count, count > 1 ? "s" : "");
  return s->arena.failed ? mg_err_set(err, MG_E_NOMEM, "%s: out of memory", s->path) : 0;
}
