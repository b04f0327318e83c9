/* The scripts of `mlgate completion`: tables of ours, written in each shell's own form, around a few lines that stay the same. */
#include "app/completion.h"

#define EACH_COMMAND(c) for (const struct mg_command *const *c = mg_commands; *c; c++)
#define EACH_OPTION(o, command) for (const struct mg_option *o = (command)->options; o->name; o++)

/* A backslash before each of the bytes. */
static void escaped(struct mg_buf *out, const char *text, const char *bytes) {
  for (; *text; text++) {
    if (strchr(bytes, *text)) mg_buf_byte(out, '\\');
    mg_buf_byte(out, *text);
  }
}

/* ---- bash ---- */

static const char bash_head[] =
    "# bash completes mlgate: `mlgate completion bash` wrote this. Needs bash 4.4.\n\n"
    "# What can stand behind an option of a command, or with \"\" behind the options: sets `words` and `kind`.\n"
    "# Fails where the option takes no value.\n"
    "_mlgate_values() { # COMMAND OPTION\n"
    "  case \"$1 $2\" in\n";

static const char bash_middle[] = "  *) return 1 ;;\n"
                                  "  esac\n"
                                  "}\n\n"
                                  "_mlgate_options() { # COMMAND\n"
                                  "  case $1 in\n";

static const char bash_tail[] =
    "  esac\n"
    "}\n\n"
    "_mlgate() {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} line=() word option='' words='' kind='' behind='' i\n"
    "  COMPREPLY=()\n"
    "  # Where `=` breaks words, `--option=value` comes as three of them.\n"
    "  for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "    word=${COMP_WORDS[i]}\n"
    "    if ((i > 1)) && [[ $word == =* || ${COMP_WORDS[i - 1]} == = ]]; then line[-1]+=$word; else line+=(\"$word\"); fi\n"
    "  done\n"
    "  [[ $cur != = ]] || cur=''\n"
    "  word=${line[-1]}\n"
    "  if ((${#line[@]} == 1)); then\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$_mlgate_commands --help --version\" -- \"$word\")\n"
    "    return\n"
    "  fi\n"
    "  for ((i = 1; i < ${#line[@]} - 1; i++)); do\n"
    "    if [[ $option ]]; then option=''\n"
    "    elif [[ ${line[i]} == -- ]]; then behind=1 && break\n"
    "    elif [[ ${line[i]} == --* ]] && _mlgate_values \"${line[0]}\" \"${line[i]}\"; then option=${line[i]}\n"
    "    fi\n"
    "  done\n"
    "  words='' kind=''\n"
    "  if [[ ! $option && ! $behind && $word == --*=* ]]; then\n"
    "    option=${word%%=*} word=${word#*=}\n"
    "  elif [[ ! $option && ! $behind && $word == -* ]]; then\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$(_mlgate_options \"${line[0]}\") --help\" -- \"$word\")\n"
    "    return\n"
    "  fi\n"
    "  _mlgate_values \"${line[0]}\" \"$option\" || return\n"
    "  if [[ $kind == assign && $word == *=* ]]; then\n"
    "    word=${word#*=} words='' kind=files\n"
    "  fi\n"
    "  [[ $kind != assign ]] || compopt -o nospace\n"
    "  mapfile -t COMPREPLY < <(compgen -P \"${cur%\"$word\"}\" -W \"$words\" -- \"$word\")\n"
    "  # Readline quotes names of files best; beside words, or behind a `=` that breaks none, they are ours to find.\n"
    "  case $kind in\n"
    "  files)\n"
    "    compopt -o filenames\n"
    "    if ((${#COMPREPLY[@]})) || [[ $cur != \"$word\" ]]; then\n"
    "      mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P \"${cur%\"$word\"}\" -f -- \"$word\")\n"
    "    else compopt -o default; fi ;;\n"
    "  dirs) compopt -o dirnames ;;\n"
    "  esac\n"
    "}\n"
    "complete -F _mlgate mlgate\n";

static void bash_row(struct mg_buf *out, const char *command, const char *dashes, const char *option,
                     const struct mg_choice *choice) {
  const char *kind = choice->assign ? "assign" : choice->files ? "files" : choice->dirs ? "dirs" : NULL;
  mg_buf_printf(out, "  '%s %s%s')", command, dashes, option);
  if (choice->count) {
    mg_buf_lit(out, " words='");
    mg_choice_words(out, choice);
    mg_buf_byte(out, '\'');
  }
  if (kind) mg_buf_printf(out, " kind=%s", kind);
  mg_buf_lit(out, " ;;\n");
}

void mg_completion_bash(struct mg_buf *out) {
  struct mg_choice choice;
  mg_buf_put(out, mg_str_of(bash_head));
  EACH_COMMAND(c) {
    EACH_OPTION(o, *c) {
      if (o->type->flag) continue;
      mg_choice_of_option(&choice, o);
      bash_row(out, (*c)->name, "--", o->name, &choice);
    }
    mg_choice_of_arguments(&choice, *c);
    bash_row(out, (*c)->name, "", "", &choice);
  }
  mg_buf_put(out, mg_str_of(bash_middle));
  EACH_COMMAND(c) {
    mg_buf_printf(out, "  %s) echo '", (*c)->name);
    EACH_OPTION(o, *c) mg_buf_printf(out, "%s--%s", o == (*c)->options ? "" : " ", o->name);
    mg_buf_lit(out, "' ;;\n");
  }
  mg_buf_put(out, mg_str_of(bash_tail));
  mg_buf_lit(out, "_mlgate_commands='");
  EACH_COMMAND(c) mg_buf_printf(out, "%s%s", c == mg_commands ? "" : " ", (*c)->name);
  mg_buf_lit(out, "'\n");
}

/* ---- zsh ---- */

static const char zsh_head[] = "#compdef mlgate\n"
                               "# zsh completes mlgate: `mlgate completion zsh` wrote this.\n\n"
                               "_mlgate_mix() { # WORD...: one of them, or a file\n"
                               "  _alternative \"words:word:($*)\" 'files:file:_files'\n"
                               "}\n\n"
                               "_mlgate_assign() { # WORD...: one of them, or WORD=FILE\n"
                               "  if compset -P 1 '*='; then _files; else compadd -S '' -- \"$@\"; fi\n"
                               "}\n\n"
                               "_mlgate() {\n"
                               "  local curcontext=$curcontext state line ret=1\n"
                               "  local -a state_descr commands\n"
                               "  typeset -A opt_args\n"
                               "  commands=(\n";

static const char zsh_middle[] = "  )\n"
                                 "  _arguments -C '(- *)'{-h,--help}'[show the commands]' '(- *)--version[show the version]' \\\n"
                                 "    '1:command:->command' '*::argument:->rest' && ret=0\n"
                                 "  case $state in\n"
                                 "  command) _describe -t commands command commands && ret=0 ;;\n"
                                 "  rest)\n"
                                 "    curcontext=${curcontext%:*:*}:mlgate-$words[1]:\n"
                                 "    case $words[1] in\n";

static const char zsh_tail[] = "    esac ;;\n"
                               "  esac\n"
                               "  return ret\n"
                               "}\n\n"
                               "# The file may be in $fpath, or sourced.\n"
                               "if [ \"$funcstack[1]\" = _mlgate ]; then _mlgate \"$@\"; else compdef _mlgate mlgate; fi\n";

/* Between single quotes, a colon and brackets being _arguments' own. */
static void zsh_text(struct mg_buf *out, const char *text) {
  for (; *text; text++) {
    char one[2] = {*text, 0};
    if (*text == '\'')
      mg_buf_lit(out, "'\\''");
    else
      escaped(out, one, ":[]\\");
  }
}

static void zsh_action(struct mg_buf *out, const struct mg_choice *choice) {
  bool call = choice->assign || (choice->count && choice->files);
  if (call)
    mg_buf_printf(out, " %s ", choice->assign ? "_mlgate_assign" : "_mlgate_mix");
  else if (choice->count)
    mg_buf_byte(out, '(');
  mg_choice_words(out, choice);
  if (choice->count && !call) mg_buf_byte(out, ')');
  if (!choice->count) mg_buf_printf(out, "%s", choice->files ? "_files" : choice->dirs ? "_files -/" : " ");
}

static void zsh_option(struct mg_buf *out, const struct mg_option *option) {
  struct mg_choice choice;
  mg_buf_printf(out, "        '%s--%s%s[", option->type->repeat ? "*" : "", option->name, option->type->flag ? "" : "=");
  zsh_text(out, option->doc);
  mg_buf_byte(out, ']');
  if (!option->type->flag) {
    mg_buf_byte(out, ':');
    zsh_text(out, option->value);
    mg_buf_byte(out, ':');
    mg_choice_of_option(&choice, option);
    zsh_action(out, &choice);
  }
  mg_buf_lit(out, "' \\\n");
}

void mg_completion_zsh(struct mg_buf *out) {
  struct mg_choice choice;
  mg_buf_put(out, mg_str_of(zsh_head));
  EACH_COMMAND(c) {
    mg_buf_printf(out, "    '%s:", (*c)->name);
    zsh_text(out, (*c)->doc);
    mg_buf_lit(out, "'\n");
  }
  mg_buf_put(out, mg_str_of(zsh_middle));
  EACH_COMMAND(c) {
    mg_buf_printf(out, "    %s)\n      _arguments -S \\\n", (*c)->name);
    EACH_OPTION(o, *c) zsh_option(out, o);
    if ((*c)->args) {
      mg_buf_lit(out, "        '*:");
      zsh_text(out, (*c)->args);
      mg_buf_byte(out, ':');
      mg_choice_of_arguments(&choice, *c);
      zsh_action(out, &choice);
      mg_buf_lit(out, "' \\\n");
    }
    mg_buf_lit(out, "        '(- *)'{-h,--help}'[show the options]' '(- *)--help-all[show all options]' && ret=0 ;;\n");
  }
  mg_buf_put(out, mg_str_of(zsh_tail));
}

/* ---- fish ---- */

static const char fish_head[] = "# fish completes mlgate: `mlgate completion fish` wrote this.\n\n"
                                "# The command is one of these; without any: it is yet to come.\n"
                                "function __mlgate_is\n"
                                "    set -l words (commandline -opc)\n"
                                "    if test (count $argv) -eq 0\n"
                                "        test (count $words) -eq 1\n"
                                "    else\n"
                                "        test (count $words) -gt 1; and contains -- $words[2] $argv\n"
                                "    end\n"
                                "end\n\n"
                                "complete -c mlgate -f\n"
                                "complete -c mlgate -s h -l help -d 'show what there is'\n"
                                "complete -c mlgate -n __mlgate_is -l version -d 'show the version'\n";

static void fish_doc(struct mg_buf *out, const char *text) {
  mg_buf_lit(out, " -d '");
  escaped(out, text, "'\\");
  mg_buf_lit(out, "'\n");
}

/* -r: a value follows, -x: which is no file. */
static void fish_choice(struct mg_buf *out, const struct mg_choice *choice, bool option) {
  bool files = choice->files || choice->assign;
  if (option) mg_buf_printf(out, " %s", files ? "-r" : "-x");
  if (files) mg_buf_lit(out, " -F");
  if (choice->count) {
    mg_buf_lit(out, " -a '");
    mg_choice_words(out, choice);
    mg_buf_byte(out, '\'');
  } else if (choice->dirs && !files) {
    mg_buf_lit(out, " -a '(__fish_complete_directories)'");
  }
}

void mg_completion_fish(struct mg_buf *out) {
  struct mg_choice choice;
  mg_buf_put(out, mg_str_of(fish_head));
  EACH_COMMAND(c) {
    mg_buf_printf(out, "complete -c mlgate -n __mlgate_is -a %s", (*c)->name);
    fish_doc(out, (*c)->doc);
  }
  EACH_COMMAND(c) {
    EACH_OPTION(o, *c) {
      mg_buf_printf(out, "complete -c mlgate -n '__mlgate_is %s' -l %s", (*c)->name, o->name);
      if (!o->type->flag) {
        mg_choice_of_option(&choice, o);
        fish_choice(out, &choice, true);
      }
      fish_doc(out, o->doc);
    }
    mg_choice_of_arguments(&choice, *c);
    if (!choice.count && !choice.files && !choice.dirs) continue;
    mg_buf_printf(out, "complete -c mlgate -n '__mlgate_is %s'", (*c)->name);
    fish_choice(out, &choice, false);
    mg_buf_byte(out, '\n');
  }
}
