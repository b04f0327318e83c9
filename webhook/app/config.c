#include "app/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "app/inputs.h"
#include "app/strict.h"
#include "doc/yaml.h"

struct config {
  const struct mg_command *const *commands;
  size_t command_count;
  const struct mg_command *command;
  struct mg_arena *arena; /* of the options */
  void *options;
  struct mg_options_given *given;
  mg_str dir; /* before relative paths, with a slash; empty: the working directory */
  struct mg_strict file;
};

static const struct mg_option *row_of(const struct mg_command *command, const char *name) {
  for (const struct mg_option *row = command->options; row->name; row++)
    if (strcmp(row->name, name) == 0) return row;
  return NULL;
}

bool mg_config_is_read(const struct mg_command *command) {
  return row_of(command, "config") && row_of(command, "no-config");
}

/* ---- the file ---- */

static bool exists(struct mg_arena *arena, const char *dir, const char *name) {
  const char *path = mg_arena_printf(arena, "%s%s", dir, name).p;
  return path && access(path, F_OK) == 0;
}

static bool is_root(struct mg_arena *arena, const char *dir) {
  struct stat here, above;
  const char *path = mg_arena_printf(arena, "%s..", dir).p;
  return !path || stat(*dir ? dir : ".", &here) != 0 || stat(path, &above) != 0 ||
         (here.st_dev == above.st_dev && here.st_ino == above.st_ino);
}

/* "", "../", "../../" …; NULL: there is none. A file above counts only if a repository's root is there or above it. */
static const char *search(struct mg_arena *arena) {
  const char *found = NULL, *dir = "";
  for (int level = 0; dir && level < MG_CONFIG_LEVELS; level++) {
    if (!found && exists(arena, dir, MG_CONFIG_NAME)) found = dir;
    if (exists(arena, dir, ".git")) return found;
    if (is_root(arena, dir)) break;
    dir = mg_arena_printf(arena, "%s../", dir).p;
  }
  return found && !*found ? found : NULL;
}

/* ---- values ---- */

static bool wrong_kind(struct config *c, const struct mg_option *row, mg_node value, const char *wanted) {
  const char *why = mg_yaml_is_bare_bool(value) ? "; this is a boolean in YAML 1.1; quote it" : "";
  mg_diag_error(&c->file.diags, value, MG_AT_VALUE, "\"%s\" must be %s%s", row->name, wanted, why);
  return false;
}

static mg_str with_dir(struct config *c, const struct mg_option *row, mg_str text) {
  size_t at = row->path == MG_PATH_BEHIND_EQUALS ? mg_str_find(text, '=') + 1 : 0;
  mg_str rest = mg_str_from(text, at), before = {text.p, at};
  bool relative = rest.n && *rest.p != '/' && !mg_str_is(rest, "-");
  if (row->path == MG_PATH_NONE || !c->dir.n || !relative) return mg_arena_dup(c->arena, text);
  return mg_arena_printf(c->arena, "%.*s%.*s%.*s", MG_FMT(before), MG_FMT(c->dir), MG_FMT(rest));
}

static bool put_text(struct config *c, const struct mg_option *row, mg_node value, void *dst) {
  struct mg_err why = {0};
  mg_str text = mg_text(value);
  if (text.n && memchr(text.p, '\0', text.n)) return wrong_kind(c, row, value, "without the character 0");
  text = with_dir(c, row, text);
  if (!text.p) return false;
  if (mg_option_put(row, text.p, c->arena, dst, &why) == 0) return true;
  mg_diag_error(&c->file.diags, value, MG_AT_VALUE, "\"%s\" %s", row->name, why.text);
  return false;
}

static bool put_value(struct config *c, const struct mg_option *row, mg_node value, void *dst) {
  if (row->type->repeat && mg_is(value, MG_ARRAY)) {
    bool good = true;
    for (mg_node item = mg_first(value); item.at; item = mg_next(item))
      good &= mg_is(item, MG_STRING) ? put_text(c, row, item, dst) : wrong_kind(c, row, item, "a list of strings");
    return good;
  }
  if (row->type->flag) return mg_is(value, MG_BOOL) ? put_text(c, row, value, dst) : wrong_kind(c, row, value, "true or false");
  if (row->type == &mg_o_number)
    return mg_is(value, MG_NUMBER) ? put_text(c, row, value, dst) : wrong_kind(c, row, value, "a whole number");
  if (mg_is(value, MG_STRING)) return put_text(c, row, value, dst);
  return wrong_kind(c, row, value, row->type->repeat ? "a string or a list of strings" : "a string");
}

/* ---- keys ---- */

/* An option of this command, else of another one that reads the file. */
static const struct mg_option *find(const struct config *c, const char *key, const struct mg_command **ret_command) {
  const struct mg_option *row = row_of(c->command, key);
  *ret_command = c->command;
  for (size_t i = 0; !row && i < c->command_count; i++) {
    if (!mg_config_is_read(c->commands[i])) continue;
    row = row_of(c->commands[i], key);
    *ret_command = c->commands[i];
  }
  return row;
}

bool mg_config_has(const struct mg_option *row) {
  return strcmp(row->name, "config") != 0 && strcmp(row->name, "no-config") != 0;
}

static void unknown_key(struct config *c, mg_node key) {
  const char *words[4 * MG_OPTIONS_MAX] = {NULL};
  size_t n = 0;
  for (size_t i = 0; i < c->command_count; i++) {
    if (!mg_config_is_read(c->commands[i])) continue;
    for (const struct mg_option *row = c->commands[i]->options; row->name && n + 1 < sizeof words / sizeof *words; row++)
      if (mg_config_has(row)) words[n++] = row->name;
  }
  mg_str hint = mg_did_you_mean(c->arena, mg_text(key), words);
  mg_diag_error(&c->file.diags, mg_value(key), MG_AT_KEY, "unknown key \"%.*s\"; keys are names of options%.*s",
                MG_FMT(mg_text(key)), MG_FMT(hint));
}

/* What has its value already, or is of another command, is read to nowhere. */
static bool take_key(struct config *c, mg_node key) {
  const struct mg_command *command;
  mg_str name = mg_arena_dup(c->arena, mg_text(key));
  if (!name.p) return false;
  const struct mg_option *row = strlen(name.p) == name.n ? find(c, name.p, &command) : NULL;
  if (!row || !mg_config_has(row)) {
    unknown_key(c, key);
    return true;
  }
  uint64_t bit = (uint64_t)1 << (row - command->options);
  bool wanted = command == c->command && !(c->given->given & bit);
  void *dst = wanted ? c->options : mg_arena_zero(c->arena, 1, command->size);
  if (!dst) return false;
  if (put_value(c, row, mg_value(key), dst) && wanted) c->given->given |= bit;
  return true;
}

static int take_file(struct config *c, const char *path, struct mg_err *err) {
  mg_node root;
  int code = mg_strict_read(&c->file, path, err);
  if (code < 0) return code;
  root = c->file.root;
  if (root.at && !mg_is(root, MG_OBJECT))
    mg_diag_error(&c->file.diags, root, MG_AT_VALUE, "the file must be an object whose keys are names of options");
  bool memory = true;
  for (mg_node key = mg_first(mg_as(root, MG_OBJECT)); key.at && memory; key = mg_next(key))
    memory = take_key(c, key);
  code = mg_strict_end(&c->file, err);
  return code == 0 && (!memory || c->arena->failed) ? mg_err_set(err, MG_E_NOMEM, "%s: out of memory", path) : code;
}

/* Of --config and --no-config the one that was typed holds; of two that were, or two variables, --no-config. NULL: no file. */
static const char *choose(struct config *c, const struct mg_option *config, const struct mg_option *none) {
  const char *file = *(const char *const *)((const char *)c->options + config->offset);
  bool off = *(const bool *)((const char *)c->options + none->offset);
  bool typed = c->given->typed >> (config - c->command->options) & 1;
  bool off_typed = c->given->typed >> (none - c->command->options) & 1;
  if (off && (!file || !typed || off_typed)) return NULL;
  if (file) {
    const char *slash = strrchr(file, '/');
    if (slash) c->dir = (mg_str){file, (size_t)(slash - file) + 1};
    return file;
  }
  const char *dir = search(c->arena);
  if (!dir) return NULL;
  c->dir = mg_str_of(dir);
  return mg_arena_printf(c->arena, "%s%s", dir, MG_CONFIG_NAME).p;
}

int mg_config_apply(const struct mg_command *const *commands, size_t count, const struct mg_command *command,
                    struct mg_arena *arena, void *options, struct mg_options_given *given, struct mg_err *err) {
  struct config c = {.commands = commands, .command_count = count, .command = command, .arena = arena, .options = options,
                     .given = given};
  const struct mg_option *config = row_of(command, "config"), *none = row_of(command, "no-config");
  const char *file = config && none ? choose(&c, config, none) : NULL;
  if (!file) return arena->failed ? mg_err_nomem(err) : 0;
  int code = take_file(&c, file, err);
  mg_strict_fini(&c.file);
  return code;
}
