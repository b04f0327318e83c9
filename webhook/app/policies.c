#include "app/policies.h"

#include <stdio.h>
#include <sys/stat.h>

#include "app/inputs.h"
#include "base/embedded.h"
#include "rules/rules.h"

#define LOAD_ARENA ((size_t)1 << 30)
#define SAID_MAX ((size_t)1 << 20)
#define BUILT_IN "policies/baseline/"

struct load {
  struct mg_policy_sources *sources; /* its arena has paths, texts and diagnostics */
  struct mg_load_said *said;
  bool failed;
};

void mg_policy_sources_fini(struct mg_policy_sources *sources) {
  mg_arena_fini(&sources->arena);
}

/* What is said next is an error. */
static void mark_error(struct mg_load_said *said) {
  if (said->error == SIZE_MAX) said->error = said->text.n;
}

static int add_source(struct load *load, const struct mg_source *source, struct mg_err *err) {
  struct mg_policy_sources *s = load->sources;
  struct mg_source *items = mg_arena_room(&s->arena, s->items, &s->cap, s->count, sizeof *items);
  if (!items) return mg_err_nomem(err);
  s->items = items;
  items[s->count++] = *source;
  return 0;
}

static int add_built_in(struct load *load, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < mg_embedded_count && code == 0; i++) {
    const struct mg_embedded *file = &mg_embedded_files[i];
    if (!mg_str_starts(mg_str_of(file->name), MG_S(BUILT_IN))) continue;
    struct mg_source source = {.path = file->name, .text = {(const char *)file->data, file->size}, .pack = true};
    code = add_source(load, &source, err);
  }
  return code;
}

/* One file that cannot be read does not hide what is wrong with the next. */
static int add_file(struct load *load, const struct mg_input *input, bool context_only, struct mg_buf *buf, struct mg_err *err) {
  struct mg_source source = {.path = input->path, .copy = true, .context_only = context_only};
  struct mg_err why = {0};
  int code = input->problem ? MG_E_IO : mg_input_read(input->path, buf, &why);
  if (code < 0) {
    mark_error(load->said);
    mg_buf_printf(&load->said->text, "%s: %s\n", input->path, input->problem ? input->problem : why.text);
    load->failed = true;
    return 0;
  }
  source.text = mg_arena_dup(&load->sources->arena, mg_buf_str(buf));
  return source.text.p ? add_source(load, &source, err) : mg_err_nomem(err);
}

static int add_paths(struct load *load, const struct mg_strings *paths, bool context_only, struct mg_err *err) {
  MG_BUF_AUTO buf;
  struct mg_inputs inputs = {.arena = &load->sources->arena, .policies = true};
  mg_buf_init(&buf, NULL, MG_INPUT_MAX_BYTES + 1);
  for (size_t i = 0; i < paths->count; i++) {
    int code = mg_inputs_add(&inputs, paths->items[i], err);
    if (code < 0) return mg_err_wrap(err, "%s", paths->items[i]);
  }
  for (size_t i = 0; i < inputs.count; i++) {
    int code = add_file(load, &inputs.items[i], context_only, &buf, err);
    if (code < 0) return code;
  }
  return 0;
}

void mg_policy_files_settle(struct mg_policy_files *files) {
  static const char *usual[] = {MG_POLICIES_USUAL};
  struct stat info;
  if (files->policies.count == 0 && lstat(MG_POLICIES_USUAL, &info) == 0) files->policies = (struct mg_strings){usual, 1};
}

static int gather(struct load *load, const struct mg_policy_files *given, struct mg_err *err) {
  struct mg_policy_files settled = *given, *files = &settled;
  mg_policy_files_settle(files);
  int code = files->policies.count ? add_paths(load, &files->policies, false, err) : add_built_in(load, err);
  if (code == 0) code = add_paths(load, &files->context, true, err);
  for (size_t i = 0; i < files->more_count && code == 0; i++) code = add_source(load, &files->more[i], err);
  return code;
}

static void say(struct mg_load_said *said, const struct mg_diags *diags) {
  struct mg_buf *text = &said->text;
  mg_diags_print(text, diags->warnings, "warning: ");
  if (diags->error_count) mark_error(said);
  mg_diags_print(text, diags->errors, "");
  if (diags->error_count > MG_DIAGS_SHOWN) mg_buf_printf(text, "and %u more errors\n", diags->error_count - MG_DIAGS_SHOWN);
}

int mg_load_policies(const struct mg_policy_files *files, struct mg_snapshot **ret) {
  __attribute__((cleanup(mg_policy_sources_fini))) struct mg_policy_sources sources = {0};
  return mg_load_policies_and(files, &sources, ret);
}

int mg_load_policies_and(const struct mg_policy_files *files, struct mg_policy_sources *ret_sources, struct mg_snapshot **ret) {
  struct mg_load_said said = {0};
  int code = mg_load_policies_into(files, ret_sources, &said, ret);
  if (said.text.n) fwrite(said.text.p, 1, said.text.n, stderr);
  mg_buf_fini(&said.text);
  return code;
}

int mg_load_policies_into(const struct mg_policy_files *files, struct mg_policy_sources *ret_sources, struct mg_load_said *said,
                          struct mg_snapshot **ret) {
  struct load load = {.sources = ret_sources, .said = said};
  struct mg_diags diags;
  struct mg_err err = {0};
  *ret = NULL;
  said->error = SIZE_MAX;
  mg_buf_init(&said->text, NULL, SAID_MAX);
  mg_arena_init(&ret_sources->arena, LOAD_ARENA, 0);
  mg_diags_init(&diags, &ret_sources->arena);
  int code = gather(&load, files, &err);
  if (code == 0) {
    code = mg_snapshot_new(ret, mg_rules, ret_sources->items, ret_sources->count, &diags, &err);
    say(said, &diags);
  }
  if (code < 0 && (diags.error_count == 0 || code == MG_E_NOMEM)) {
    mark_error(said);
    mg_buf_printf(&said->text, "%s\n", err.text);
  }
  if (code == 0 && load.failed) {
    mg_snapshot_unref(*ret);
    *ret = NULL;
    code = MG_E_IO;
  }
  if (code == 0 && !mg_snapshot_policy_count(*ret))
    mg_buf_lit(&said->text, "warning: no policy was found, so nothing is judged\n");
  return code;
}
