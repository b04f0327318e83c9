/* mlgate completion: a script with which a shell completes mlgate's commands, options and their values. */
#include "app/completion.h"

#include <stdio.h>

#include "app/schema.h"
#include "base/ascii.h"
#include "report/report.h"
#include "rules/rules.h"

#define TEXT_MAX ((size_t)1 << 20)

static void add(struct mg_choice *choice, mg_str word) {
  if (choice->count < MG_CHOICE_WORDS) choice->words[choice->count++] = word;
}

static void add_words(struct mg_choice *choice, const char *const *words) {
  for (; *words; words++) add(choice, mg_str_of(*words));
}

static void take_files(struct mg_choice *choice) {
  choice->files = true;
}

static void take_dirs(struct mg_choice *choice) {
  choice->dirs = true;
}

static void take_formats(struct mg_choice *choice) {
  add_words(choice, mg_report_format_names);
}

static void take_rules(struct mg_choice *choice) {
  for (mg_rule_types type = mg_rules; *type; type++) add(choice, mg_str_of((*type)->name));
}

static void take_kinds(struct mg_choice *choice) {
  const char *kinds[MG_SCHEMA_KINDS];
  mg_schema_kinds(kinds);
  add_words(choice, kinds);
}

static void take_commands(struct mg_choice *choice) {
  for (const struct mg_command *const *c = mg_commands; *c; c++) add(choice, mg_str_of((*c)->name));
}

/* The capital words of the help that stand for something of which mlgate knows what it can be. */
static const struct {
  const char *name;
  void (*take)(struct mg_choice *choice);
} places[] = {{"FILE", take_files}, {"PATH", take_files}, {"DIR", take_dirs},        {"F", take_formats},
              {"RULE", take_rules}, {"KIND", take_kinds}, {"COMMAND", take_commands}};

static bool is_word_char(char c) {
  return mg_is_alnum(c) || c == '_' || c == '-';
}

/* "[RULE|workloads|FILE...]": what is written small is meant as it stands. */
static void take_text(struct mg_choice *choice, const char *text) {
  for (const char *p = text; *p;) {
    const char *from = p;
    while (is_word_char(*p)) p++;
    mg_str word = {from, (size_t)(p - from)};
    if (word.n == 0)
      p++;
    else if (mg_is_lower(*word.p))
      add(choice, word);
    for (size_t i = 0; word.n && i < sizeof places / sizeof *places; i++)
      if (mg_str_is(word, places[i].name)) places[i].take(choice);
  }
}

void mg_choice_of_option(struct mg_choice *ret, const struct mg_option *option) {
  *ret = (struct mg_choice){0};
  if (option->words)
    add_words(ret, option->words);
  else
    take_text(ret, option->value);
  ret->assign = ret->count && mg_str_has(mg_str_of(option->value), MG_S("=FILE"));
}

void mg_choice_of_arguments(struct mg_choice *ret, const struct mg_command *command) {
  *ret = (struct mg_choice){0};
  if (command->args) take_text(ret, command->args);
}

void mg_choice_words(struct mg_buf *out, const struct mg_choice *choice) {
  for (size_t i = 0; i < choice->count; i++) mg_buf_printf(out, "%s%.*s", i ? " " : "", MG_FMT(choice->words[i]));
}

/* ---- the command ---- */

static const struct {
  const char *name;
  void (*write)(struct mg_buf *out);
} shells[] = {{"bash", mg_completion_bash}, {"zsh", mg_completion_zsh}, {"fish", mg_completion_fish}};
#define SHELLS (sizeof shells / sizeof *shells)

static int wrong_shell(const char *name) {
  const char *words[SHELLS + 1] = {NULL};
  struct mg_arena arena;
  for (size_t i = 0; i < SHELLS; i++) words[i] = shells[i].name;
  mg_arena_init(&arena, TEXT_MAX, 0);
  mg_str hint = mg_did_you_mean(&arena, mg_str_of(name), words);
  fprintf(stderr, "mlgate completion: no shell \"%s\"%.*s; there are bash, zsh and fish\n", name, MG_FMT(hint));
  mg_arena_fini(&arena);
  return MG_EXIT_USAGE;
}

static int run(const void *options, const struct mg_strings *args) {
  MG_BUF_AUTO out;
  (void)options;
  mg_buf_init(&out, NULL, TEXT_MAX);
  if (args->count != 1) {
    fputs("mlgate completion: say for which shell: bash, zsh or fish\n", stderr);
    return MG_EXIT_USAGE;
  }
  for (size_t i = 0; i < SHELLS; i++)
    if (strcmp(args->items[0], shells[i].name) == 0) shells[i].write(&out);
  return out.n || out.failed ? mg_command_print("mlgate completion", &out) : wrong_shell(args->items[0]);
}

static const struct mg_option options[] = {MG_OPTIONS_END};
const struct mg_command mg_command_completion = {.name = "completion",
                                                 .args = "bash|zsh|fish",
                                                 .doc = "a script with which a shell completes mlgate",
                                                 .options = options,
                                                 .run = run,
                                                 .more = "bash: source <(mlgate completion bash) in ~/.bashrc\n"
                                                         "zsh: source <(mlgate completion zsh) in ~/.zshrc, behind compinit\n"
                                                         "fish: mlgate completion fish | source in ~/.config/fish/config.fish"};
