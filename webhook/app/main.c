/* mlgate COMMAND …: finds the command in the table, reads its options, runs it. */
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <yaml.h>

#include "app/command.h"
#include "app/config.h"
#include "base/embedded.h"

#define OPTIONS_ARENA ((size_t)256 << 20)
#define HELP_MAX ((size_t)1 << 16)
#define ENVIRONMENT "Every option can be given as MLGATE_<OPTION> too, lists with commas."
#define DEFAULTS "In .mlgate.yaml the keys are these names, and paths start from its folder."

static int run_version(const void *options, const struct mg_strings *args);
static int run_help(const void *options, const struct mg_strings *args);

static const struct mg_option no_options[] = {MG_OPTIONS_END};
static const struct mg_command command_version = {
    .name = "version", .doc = "show the version of mlgate and of its libraries", .options = no_options, .run = run_version};
static const struct mg_command command_help = {
    .name = "help", .args = "[COMMAND]", .doc = "show this, or the options of a command", .options = no_options, .run = run_help};

const struct mg_command *const mg_commands[] = {
    &mg_command_serve,
    &mg_command_check,
    &mg_command_fix,
    &mg_command_test,
    &mg_command_certs,
    &mg_command_manifests,
    &mg_command_schema,
    &mg_command_explain,
    &mg_command_image,
    &mg_command_replay,
    &mg_command_scan,
    &mg_command_completion,
    &mg_command_man,
    &command_version,
    &command_help,
    NULL,
};
#define COMMANDS (sizeof mg_commands / sizeof *mg_commands - 1)

static void overview(struct mg_buf *out) {
  mg_buf_lit(out, "usage: mlgate COMMAND [options]\n\nPolicies for machine-learning workloads in Kubernetes.\n\n");
  for (size_t i = 0; i < COMMANDS; i++) mg_buf_printf(out, "  %-10s %s\n", mg_commands[i]->name, mg_commands[i]->doc);
  mg_buf_lit(out, "\n`mlgate COMMAND --help` shows the options of a command.\n");
}

static void command_help_text(struct mg_buf *out, const struct mg_command *command, bool all) {
  bool any = command->options->name != NULL;
  mg_buf_printf(out, "usage: mlgate %s%s%s%s\n\n", command->name, any ? " [options]" : "", command->args ? " " : "",
                command->args ? command->args : "");
  mg_buf_printf(out, "%s\n", command->doc);
  if (any) mg_buf_byte(out, '\n');
  bool whole = mg_options_help(out, command->options, all);
  if (any) mg_buf_printf(out, "\n%s\n", ENVIRONMENT);
  if (mg_config_is_read(command)) mg_buf_printf(out, "%s\n", DEFAULTS);
  if (!whole) mg_buf_printf(out, "`mlgate %s --help-all` shows those too that are rarely needed.\n", command->name);
  if (command->more) mg_buf_printf(out, "%s\n", command->more);
}

static int show_help(const struct mg_command *command, bool all) {
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, HELP_MAX);
  if (command) command_help_text(&text, command, all);
  else overview(&text);
  return mg_command_print("mlgate", &text);
}

static int run_version(const void *options, const struct mg_strings *args) {
  MG_BUF_AUTO text;
  char pcre[64] = "";
  (void)options, (void)args;
  mg_buf_init(&text, NULL, HELP_MAX);
  pcre2_config(PCRE2_CONFIG_VERSION, pcre);
  mg_buf_printf(&text, "mlgate %s\n", mg_version);
  mg_buf_printf(&text, "libmicrohttpd %s, GnuTLS %s, %s, libyaml %s, PCRE2 %s\n", MHD_get_version(), gnutls_check_version(NULL),
                OpenSSL_version(OPENSSL_VERSION), yaml_get_version_string(), pcre);
  return mg_command_print("mlgate", &text);
}

static const struct mg_command *find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(mg_commands[i]->name, name) == 0) return mg_commands[i];
  return NULL;
}

static int unknown(const char *name) {
  const char *words[COMMANDS + 1] = {NULL};
  struct mg_arena arena;
  for (size_t i = 0; i < COMMANDS; i++) words[i] = mg_commands[i]->name;
  mg_arena_init(&arena, HELP_MAX, 0);
  mg_str hint = mg_did_you_mean(&arena, mg_str_of(name), words);
  fprintf(stderr, "mlgate: unknown command \"%s\"%.*s\n`mlgate help` shows what there is.\n", name, MG_FMT(hint));
  mg_arena_fini(&arena);
  return MG_EXIT_USAGE;
}

static int run_help(const void *options, const struct mg_strings *args) {
  (void)options;
  if (args->count == 0) return show_help(NULL, false);
  const struct mg_command *command = find(args->items[0]);
  return command ? show_help(command, false) : unknown(args->items[0]);
}

static int wrong_usage(const struct mg_command *command, const char *text) {
  fprintf(stderr, "mlgate %s: %s\n`mlgate %s --help` shows the options.\n", command->name, text, command->name);
  return MG_EXIT_USAGE;
}

static int run(const struct mg_command *command, int argc, char **argv, struct mg_arena *arena) {
  struct mg_strings args;
  struct mg_err err = {0};
  enum mg_help help;
  void *options = mg_arena_zero(arena, 1, command->size ? command->size : 1);
  if (!options) return wrong_usage(command, "out of memory");
  struct mg_options_given given;
  int code = mg_options_take(command->options, argc, argv, arena, options, &args, &help, &given, &err);
  if (code == 0 && !help) code = mg_config_apply(mg_commands, COMMANDS, command, arena, options, &given, &err);
  if (code == 0 && !help) code = mg_options_defaults(command->options, arena, options, &given, &err);
  if (code < 0) return wrong_usage(command, err.text);
  if (help) return show_help(command, help == MG_HELP_ALL);
  if (args.count && !command->args) {
    mg_err_set(&err, MG_E_USAGE, "takes no argument \"%s\"", args.items[0]);
    return wrong_usage(command, err.text);
  }
  return command->run(options, &args);
}

int main(int argc, char **argv) {
  static const struct {
    const char *flag, *command;
  } flags[] = {{"--help", "help"}, {"-h", "help"}, {"--version", "version"}};
  MG_BUF_AUTO text;
  mg_buf_init(&text, NULL, HELP_MAX);
  if (argc < 2) {
    overview(&text);
    if (text.n) fwrite(text.p, 1, text.n, stderr);
    return MG_EXIT_USAGE;
  }
  const char *name = argv[1];
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    if (strcmp(name, flags[i].flag) == 0) name = flags[i].command;
  const struct mg_command *command = find(name);
  if (!command) return unknown(name);
  struct mg_arena arena;
  mg_arena_init(&arena, OPTIONS_ARENA, 0);
  int status = run(command, argc - 2, argv + 2, &arena);
  mg_arena_fini(&arena);
  return status;
}
