/* mlgate test: policies against the cases of Test documents. */
#include <stdio.h>
#include <time.h>

#include "app/cases.h"
#include "app/command.h"
#include "app/inputs.h"
#include "doc/json.h"
#include "kube/pattern.h"

#define DIAG_TEXT ((size_t)1 << 20)

struct test_options {
  struct mg_policy_files files;
  struct mg_strings formats;
  const char *run;
  struct mg_opt_int now;
  bool update;
};

#define AT(member) offsetof(struct test_options, member)
static const struct mg_option options[] = {
    MG_POLICY_OPTIONS(struct test_options, files),
    {"run", "GLOB", &mg_o_text, AT(run), .doc = "only tests, cases or TEST/CASE of such a name"},
    {"format", "F[=FILE]", &mg_o_list, AT(formats), .doc = "text, junit or json, to FILE; repeats [text]"},
    {"update", NULL, &mg_o_flag, AT(update), .doc = "what cases expect becomes what is; read it before you keep it"},
    {"now", "TIME", &mg_o_time, AT(now), .doc = "date or timestamp for exceptions [now]"},
    MG_OPTIONS_END,
};

/* One run of the command. */
struct session {
  const struct test_options *o;
  struct mg_cases cases;
  struct mg_arena arena; /* of the case at hand */
  struct mg_pattern *only; /* NULL: all */
  struct mg_snapshot *usual; /* of --policies, when a Test first wants it */
  struct mg_case_output *outputs;
  struct mg_case_result *results;
  size_t count;
  struct mg_case_totals totals;
  int64_t now;
  bool bad_policies;
};

static void session_fini(struct session *s) {
  mg_case_outputs_close(s->outputs);
  mg_snapshot_unref(s->usual);
  mg_pattern_free(s->only);
  mg_arena_fini(&s->arena);
  mg_cases_fini(&s->cases);
}

/* ---- policies ---- */

static bool add_path(struct session *s, struct mg_strings *list, const struct mg_case_test *test, mg_str name) {
  mg_str path = mg_case_path(&s->cases.arena, test->file, name);
  if (path.p) list->items[list->count++] = path.p;
  return path.p != NULL;
}

/* What the Test says of policies and context stands before the options. */
static bool gather(struct session *s, const struct mg_case_test *test, struct mg_policy_files *ret) {
  const struct mg_test *t = &test->test;
  struct mg_arena *arena = &s->cases.arena;
  struct mg_source *more = MG_NEW_N(arena, struct mg_source, t->context.count + 1);
  *ret = s->o->files;
  if (!more) return false;
  if (t->policies.count) {
    ret->policies = (struct mg_strings){MG_NEW_N(arena, const char *, t->policies.count), 0};
    for (uint32_t i = 0; i < t->policies.count && ret->policies.items; i++)
      if (!add_path(s, &ret->policies, test, MG_LIST_AT(t->policies, mg_str, i))) return false;
  }
  if (!t->context.count) return true;
  ret->context = (struct mg_strings){MG_NEW_N(arena, const char *, t->context.count), 0};
  ret->more = more;
  for (uint32_t i = 0; i < t->context.count && ret->context.items; i++) {
    mg_node n = MG_LIST_AT(t->context, mg_node, i);
    if (mg_is(n, MG_STRING) && !add_path(s, &ret->context, test, mg_text(n))) return false;
    if (mg_is(n, MG_OBJECT))
      more[ret->more_count++] =
          (struct mg_source){.path = test->file->path, .text = mg_json_text(arena, n), .copy = true, .context_only = true};
  }
  return true;
}

/* The policies of the Test, with a count for the caller; NULL: what is wrong with them has been said. */
static struct mg_snapshot *load(struct session *s, const struct mg_case_test *test) {
  struct mg_snapshot *ret = NULL;
  struct mg_policy_files files;
  bool own = test && (test->test.policies.count || test->test.context.count);
  if (!own && s->usual) return mg_snapshot_ref(s->usual);
  if (!own) {
    if (mg_load_policies(&s->o->files, &s->usual) == 0) ret = mg_snapshot_ref(s->usual);
  } else if (!gather(s, test, &files)) {
    fputs("mlgate test: out of memory\n", stderr);
  } else {
    mg_load_policies(&files, &ret);
  }
  s->bad_policies |= !ret;
  return ret;
}

/* ---- cases ---- */

static bool is_wanted(struct session *s, const struct mg_test *test, const struct mg_case *c) {
  if (!s->only || mg_pattern_match(s->only, test->name) > 0 || mg_pattern_match(s->only, c->name) > 0) return true;
  mg_str both = mg_arena_printf(&s->arena, "%.*s/%.*s", MG_FMT(test->name), MG_FMT(c->name));
  bool wanted = mg_pattern_match(s->only, both) > 0;
  mg_arena_reset(&s->arena);
  return wanted;
}

static uint32_t count_wanted(struct session *s, const struct mg_test *test) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < test->cases.count; i++) n += is_wanted(s, test, &MG_LIST_AT(test->cases, struct mg_case, i));
  s->totals.left_out += test->cases.count - n;
  return n;
}

static int run_test(struct session *s, const struct mg_case_test *test, struct mg_err *err) {
  if (!count_wanted(s, &test->test)) return 0;
  MG_SNAPSHOT_AUTO snapshot = load(s, test);
  s->totals.tests++;
  for (uint32_t i = 0; i < test->test.cases.count && snapshot; i++) {
    const struct mg_case *c = &MG_LIST_AT(test->test.cases, struct mg_case, i);
    if (!is_wanted(s, &test->test, c)) continue;
    struct mg_case_result *result = &s->results[s->count++];
    *result = (struct mg_case_result){.test = test, .c = c};
    struct mg_case_work work = {.snapshot = snapshot, .now = s->now, .arena = &s->arena, .keep = &s->cases.arena,
                                .result = result, .update = s->o->update};
    int code = mg_case_run(&work, err);
    if (code < 0) return mg_err_wrap(err, "%s: %.*s", test->file->path, MG_FMT(c->name));
    if (s->o->update) mg_case_update(&s->cases, &work);
  }
  return 0;
}

static int run_all(struct session *s, struct mg_err *err) {
  int code = 0;
  s->results = MG_NEW_N(&s->cases.arena, struct mg_case_result, s->cases.cases + 1);
  if (!s->results) return mg_err_nomem(err);
  if (s->o->files.policies.count || s->o->files.context.count) {
    MG_SNAPSHOT_AUTO named = load(s, NULL); /* a mistake there is told, whether a Test wants them or not */
    (void)named;
  }
  for (size_t i = 0; i < s->cases.count && code == 0 && !s->bad_policies; i++) code = run_test(s, &s->cases.tests[i], err);
  return code;
}

static void sum_up(struct session *s) {
  for (size_t i = 0; i < s->count; i++) s->totals.by_state[s->results[i].state]++;
  s->totals.files = s->cases.files;
  s->totals.errors = s->totals.by_state[MG_CASE_BROKEN] + s->cases.trouble_count;
}

/* ---- the command ---- */

/* False: the Tests are not what they should be; standard error says where. */
static bool tell_diags(struct session *s) {
  const struct mg_diags *diags = &s->cases.diags;
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, DIAG_TEXT);
  mg_diags_print(&text, diags->warnings, "warning: ");
  mg_diags_print(&text, diags->errors, "");
  if (diags->error_count > MG_DIAGS_SHOWN) mg_buf_printf(&text, "and %u more errors\n", diags->error_count - MG_DIAGS_SHOWN);
  if (text.n) fwrite(text.p, 1, text.n, stderr);
  return diags->error_count == 0;
}

static int exit_status(const struct session *s) {
  const struct mg_case_totals *t = &s->totals;
  if (s->count == 0 && !t->errors) {
    fprintf(stderr, "mlgate test: %s\n", t->left_out ? "no case is called so" : "no test was found");
    return MG_EXIT_INPUT;
  }
  if (t->errors) return MG_EXIT_INPUT;
  return t->by_state[MG_CASE_FAILED] ? MG_EXIT_DENIED : MG_EXIT_OK;
}

static int test(struct session *s, const struct mg_strings *args, struct mg_err *err) {
  int code = mg_cases_read(&s->cases, args, err);
  if (code == 0 && s->o->run) code = mg_pattern_compile(mg_str_of(s->o->run), &s->cases.arena, &s->only, err);
  if (code < 0) return code;
  if (!tell_diags(s)) return MG_EXIT_USAGE;
  code = mg_case_outputs_open(&s->outputs, &s->cases.arena, &s->o->formats, err);
  if (code == 0) code = run_all(s, err);
  if (code < 0 || s->bad_policies) return code < 0 ? code : MG_EXIT_USAGE;
  bool written = mg_cases_write_back(&s->cases, s->results, s->count);
  sum_up(s);
  code = mg_case_outputs_write(s->outputs, &s->cases, s->results, s->count, &s->totals, err);
  if (code < 0) return code;
  int status = exit_status(s);
  return status == MG_EXIT_OK && !written ? MG_EXIT_DENIED : status;
}

static int run(const void *given, const struct mg_strings *args) {
  __attribute__((cleanup(session_fini))) struct session s = {.o = given};
  struct mg_err err = {0};
  if (args->count == 0) {
    fputs("mlgate test: wants the files or directories of the tests\n`mlgate test --help` shows the options.\n", stderr);
    return MG_EXIT_USAGE;
  }
  for (size_t i = 0; s.o->update && i < args->count; i++)
    if (mg_is_standard(args->items[i])) {
      fputs("mlgate test: --update: standard input cannot be written anew\n", stderr);
      return MG_EXIT_USAGE;
    }
  s.now = s.o->now.set ? s.o->now.value : (int64_t)time(NULL);
  mg_arena_init(&s.arena, MG_CASE_ARENA, (size_t)4 << 20);
  int code = test(&s, args, &err);
  if (code < 0) fprintf(stderr, "mlgate test: %s\n", err.text);
  return code < 0 ? MG_EXIT_USAGE : code;
}

const struct mg_command mg_command_test = {
    .name = "test", .args = "FILE|DIR|-...", .doc = "hold policies against the cases of Test documents", .options = options,
    .size = sizeof(struct test_options), .run = run,
    .more = "Without --policies: ./policies if it exists, else the built-in pack; a Test that\n"
            "names policies of its own is judged by these.\n"
            "Exit: 0 all hold, 1 some do not, 2 usage, policies or Tests, 3 unreadable or none."};
