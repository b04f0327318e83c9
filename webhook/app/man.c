/* mlgate man: manual pages, out of the tables of commands and options. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "app/command.h"
#include "app/man.h"
#include "base/ascii.h"
#include "base/embedded.h"
#include "base/utf8.h"

#define TEXT_MAX ((size_t)1 << 20)
#define WIDTH 72 /* of lines of source, about */
#define EXIT "Exit: "

/* ---- roff ---- */

static void put_char(struct mg_buf *out, mg_str c, bool first) {
  uint32_t point = mg_utf8_point(c.p, c.n);
  if (point == 0x2026)
    mg_buf_lit(out, "..."); /* a terminal may not have it */
  else if (point > 0x7F)
    mg_buf_printf(out, "\\[u%04" PRIX32 "]", point);
  if (point > 0x7F) return;
  if (first && (*c.p == '.' || *c.p == '\'')) mg_buf_lit(out, "\\&");
  if (*c.p == '\\')
    mg_buf_lit(out, "\\e");
  else if (*c.p == '-')
    mg_buf_lit(out, "\\-");
  else if (*c.p == '~')
    mg_buf_lit(out, "\\(ti");
  else
    mg_buf_put(out, c);
}

/* What stands between backticks is bold. A width breaks lines between words, and behind sentences, as roff likes it. */
static void put_text(struct mg_buf *out, mg_str text, size_t width) {
  const char *end = text.p + text.n;
  bool bold = false, first = true;
  size_t column = 0;
  for (const char *p = text.p; p < end;) {
    size_t n = mg_utf8_len(p, end);
    mg_str c = {p, n ? n : 1}, word = mg_str_from((mg_str){p, (size_t)(end - p)}, 1);
    bool turn = width && p > text.p && *p == ' ' && (p[-1] == '.' || column + mg_str_find(word, ' ') > width);
    if (*p == '`')
      bold = !bold, mg_buf_put(out, bold ? MG_S("\\fB") : MG_S("\\fR"));
    else if (turn)
      mg_buf_byte(out, '\n');
    else
      put_char(out, c, first);
    first = turn;
    column = turn ? 0 : column + (*p == '`' ? 3 : *p == '-' ? 2 : 1);
    p += c.n;
  }
}

static void put_line(struct mg_buf *out, mg_str text) {
  put_text(out, text, 0);
  mg_buf_byte(out, '\n');
}

static mg_str next_line(mg_str *rest) {
  mg_str line = {rest->p, mg_str_find(*rest, '\n')};
  *rest = mg_str_from(*rest, line.n + 1);
  return line;
}

static void put_paragraph(struct mg_buf *out, mg_str text) {
  put_text(out, text, WIDTH);
  mg_buf_byte(out, '\n');
}

static void put_paragraphs(struct mg_buf *out, const char *text) {
  for (mg_str rest = mg_str_of(text); rest.n;) {
    mg_str line = next_line(&rest);
    if (line.n)
      put_paragraph(out, line);
    else
      mg_buf_lit(out, ".PP\n");
  }
}

static void put_row(struct mg_buf *out, mg_str term, const char *text) {
  mg_buf_lit(out, ".TP\n");
  put_line(out, term);
  put_paragraphs(out, text);
}

static void put_rows(struct mg_buf *out, const char *title, const struct mg_man_row *rows) {
  if (!rows) return;
  if (title) mg_buf_printf(out, ".SH %s\n", title);
  for (; rows->term; rows++) put_row(out, mg_str_of(rows->term), rows->text);
}

static void put_examples(struct mg_buf *out, const struct mg_man_row *rows) {
  if (!rows) return;
  mg_buf_lit(out, ".SH EXAMPLES\n");
  for (const struct mg_man_row *row = rows; row->term; row++) {
    if (row != rows) mg_buf_lit(out, ".PP\n");
    put_paragraphs(out, row->text);
    mg_buf_lit(out, ".PP\n.nf\n.RS\n");
    for (mg_str rest = mg_str_of(row->term); rest.n;) put_line(out, next_line(&rest));
    mg_buf_lit(out, ".RE\n.fi\n");
  }
}

static void put_upper(struct mg_buf *out, const char *text) {
  for (; *text; text++) mg_buf_byte(out, (char)(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text));
}

/* SOURCE_DATE_EPOCH makes the same page of the same source. */
static void put_date(struct mg_buf *out) {
  const char *given = getenv("SOURCE_DATE_EPOCH");
  time_t when = given && *given ? (time_t)strtoll(given, NULL, 10) : time(NULL);
  char text[32] = "";
  struct tm tm = {0};
  if (gmtime_r(&when, &tm)) (void)strftime(text, sizeof text, "%Y-%m-%d", &tm);
  mg_buf_printf(out, "%s", text);
}

static void head(struct mg_buf *out, const char *command, const char *doc) {
  mg_buf_lit(out, ".TH MLGATE");
  if (command) mg_buf_byte(out, '-'), put_upper(out, command);
  mg_buf_lit(out, " 1 \"");
  put_date(out);
  mg_buf_printf(out, "\" \"mlgate %s\" mlgate\n.SH NAME\nmlgate", mg_version);
  if (command) mg_buf_printf(out, "\\-%s", command);
  mg_buf_lit(out, " \\- ");
  put_line(out, mg_str_of(doc));
}

/* ---- what follows from the tables ---- */

static void option_row(struct mg_buf *out, const struct mg_option *o) {
  mg_buf_lit(out, ".TP\n\\fB\\-\\-");
  put_text(out, mg_str_of(o->name), 0);
  mg_buf_lit(out, "\\fR");
  if (o->value) {
    mg_buf_lit(out, " \\fI");
    put_text(out, mg_str_of(o->value), 0);
    mg_buf_lit(out, "\\fR");
  }
  mg_buf_byte(out, '\n');
  put_paragraph(out, mg_str_of(o->doc));
  if (o->def) {
    mg_buf_byte(out, '[');
    put_text(out, mg_str_of(o->def), 0);
    mg_buf_lit(out, "]\n");
  }
  if (o->type == &mg_o_number && o->max < INT64_MAX) mg_buf_printf(out, "(from %" PRId64 " to %" PRId64 ")\n", o->min, o->max);
}

static void options_section(struct mg_buf *out, const struct mg_command *command) {
  mg_buf_lit(out, ".SH OPTIONS\n");
  for (const struct mg_option *o = command->options; o->name; o++) option_row(out, o);
  put_row(out, MG_S("`--help`"), "show the options that are often needed; `--help-all` shows all");
}

static void environment_section(struct mg_buf *out, const struct mg_command *command, const struct mg_man_page *page) {
  char name[MG_VARIABLE_MAX];
  if (!command->options->name && !page->environment) return;
  mg_buf_lit(out, ".SH ENVIRONMENT\n");
  for (const struct mg_option *o = command->options; o->name; o++) {
    mg_option_variable(o, name);
    mg_buf_printf(out, "%s\\fB%s\\fR\n", o == command->options ? ".TP\n" : ".TQ\n", name);
  }
  if (command->options->name)
    put_paragraphs(out,
                   "The options of the same names. A list is written with commas. The command line wins; an empty variable is "
                   "none.");
  put_rows(out, NULL, page->environment);
}

/* "0 nothing denied, 1 denied." */
static void exit_rows(struct mg_buf *out, mg_str text) {
  if (text.n && text.p[text.n - 1] == '.') text.n--;
  while (text.n) {
    size_t digits = 0, end = 0;
    while (digits < text.n && mg_is_digit(text.p[digits])) digits++;
    while (end < text.n && !(text.p[end] == ',' && end + 2 < text.n && mg_is_digit(text.p[end + 2]))) end++;
    mg_buf_printf(out, ".TP\n\\fB%.*s\\fR\n", (int)digits, text.p);
    size_t from = digits + (digits < end);
    put_paragraph(out, (mg_str){text.p + from, end - from});
    text = mg_str_from(text, end + 2);
  }
}

/* Where the exit statuses begin among the lines that the help has behind the options; they are the last of them. */
static size_t exit_start(mg_str more) {
  for (mg_str rest = more; rest.n;) {
    if (mg_str_starts(rest, MG_S(EXIT))) return more.n - rest.n;
    next_line(&rest);
  }
  return more.n;
}

static void more_lines(struct mg_buf *out, mg_str more) {
  mg_str rest = {more.p, exit_start(more)};
  for (bool first = true; rest.n; first = false) {
    mg_buf_put(out, first ? MG_S(".PP\n") : MG_S(".br\n"));
    put_paragraph(out, next_line(&rest));
  }
}

static void exit_section(struct mg_buf *out, mg_str more) {
  static const struct mg_man_row usual[] = {{"`0`", "done"}, {"`2`", "wrong usage, or it could not be done"}, {NULL, NULL}};
  mg_str rest = mg_str_from(more, exit_start(more) + sizeof EXIT - 1);
  struct mg_buf line;
  mg_buf_init(&line, NULL, TEXT_MAX);
  while (rest.n) {
    mg_buf_put(&line, next_line(&rest));
    if (rest.n) mg_buf_byte(&line, ' ');
  }
  out->failed |= line.failed;
  mg_buf_lit(out, ".SH EXIT STATUS\n");
  if (line.n)
    exit_rows(out, mg_buf_str(&line));
  else
    put_rows(out, NULL, usual);
  mg_buf_fini(&line);
}

static const struct mg_command *command_of(mg_str name) {
  for (const struct mg_command *const *c = mg_commands; *c; c++)
    if (mg_str_is(name, (*c)->name)) return *c;
  return NULL;
}

static void see_also(struct mg_buf *out, const char *see) {
  mg_buf_lit(out, ".SH SEE ALSO\n.BR mlgate (1)");
  for (mg_str rest = mg_str_of(see); rest.n;) {
    mg_str name = {rest.p, mg_str_find(rest, ' ')};
    if (command_of(name)) mg_buf_printf(out, ",\n.BR mlgate\\-%.*s (1)", MG_FMT(name));
    rest = mg_str_from(rest, name.n + 1);
  }
  mg_buf_byte(out, '\n');
}

static void command_page(struct mg_buf *out, const struct mg_command *command) {
  const struct mg_man_page *page = mg_man_page(command->name);
  bool any = command->options->name != NULL;
  head(out, command->name, command->doc);
  mg_buf_printf(out, ".SH SYNOPSIS\n\\fBmlgate %s\\fR", command->name);
  mg_buf_put(out, any ? MG_S(" [\\fIoptions\\fR]") : MG_S(""));
  mg_buf_byte(out, command->args ? ' ' : '\n');
  if (command->args) put_line(out, mg_str_of(command->args));
  mg_buf_lit(out, ".SH DESCRIPTION\n");
  put_paragraphs(out, page->text ? page->text : command->doc);
  more_lines(out, mg_str_of(command->more));
  if (any) options_section(out, command);
  exit_section(out, mg_str_of(command->more));
  environment_section(out, command, page);
  put_rows(out, "FILES", page->files);
  put_examples(out, page->examples);
  see_also(out, page->see ? page->see : "");
}

static void overview_page(struct mg_buf *out) {
  const struct mg_man_page *page = &mg_man_overview;
  static const struct mg_man_row statuses[] = {{"`0`", "done; of what judges: nothing is denied"},
                                               {"`1`", "something is denied, or is not as it should be"},
                                               {"`2`", "wrong usage, or policy files with mistakes"},
                                               {"`3`", "input that cannot be read, or nothing found to check"},
                                               {NULL, NULL}};
  head(out, NULL, "policies for machine-learning workloads in Kubernetes");
  mg_buf_lit(out, ".SH SYNOPSIS\n\\fBmlgate\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH DESCRIPTION\n");
  put_paragraphs(out, page->text);
  mg_buf_lit(out, ".SH COMMANDS\n");
  for (const struct mg_command *const *c = mg_commands; *c; c++) {
    mg_buf_printf(out, ".TP\n.BR mlgate\\-%s (1)\n", (*c)->name);
    put_line(out, mg_str_of((*c)->doc));
  }
  put_rows(out, "EXIT STATUS", statuses);
  put_rows(out, "ENVIRONMENT", page->environment);
  put_rows(out, "FILES", page->files);
  put_examples(out, page->examples);
  mg_buf_lit(out, ".SH SEE ALSO\n");
  for (const struct mg_command *const *c = mg_commands; *c; c++)
    mg_buf_printf(out, ".BR mlgate\\-%s (1)%s\n", (*c)->name, c[1] ? "," : "");
}

static int run(const void *options, const struct mg_strings *args) {
  MG_BUF_AUTO out;
  const struct mg_command *command = args->count ? command_of(mg_str_of(args->items[0])) : NULL;
  (void)options;
  mg_buf_init(&out, NULL, TEXT_MAX);
  if (args->count > 1 || (args->count && !command)) {
    fprintf(stderr, "mlgate man: there is no command \"%s\"\n", args->items[args->count - 1]);
    return MG_EXIT_USAGE;
  }
  if (command)
    command_page(&out, command);
  else
    overview_page(&out);
  return mg_command_print("mlgate man", &out);
}

static const struct mg_option options[] = {MG_OPTIONS_END};
const struct mg_command mg_command_man = {.name = "man",
                                          .args = "[COMMAND]",
                                          .doc = "a manual page of mlgate or of a command",
                                          .options = options,
                                          .run = run,
                                          .more = "Written for man(1): `mlgate man check | man -l -` shows it."};
