#include "app/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/ascii.h"
#include "kube/quantity.h"

#define LIST_MAX 65536

static int read_flag(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  static const struct {
    const char *word;
    bool is;
  } words[] = {{"true", true}, {"1", true}, {"yes", true}, {"false", false}, {"0", false}, {"no", false}};
  (void)option, (void)arena;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasecmp(value, words[i].word) == 0) {
      *(bool *)dst = words[i].is;
      return 0;
    }
  return mg_err_set(err, MG_E_USAGE, "must be true or false, not \"%s\"", value);
}

static int read_text(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  (void)option, (void)arena;
  if (!*value) return mg_err_set(err, MG_E_USAGE, "must not be empty");
  *(const char **)dst = value;
  return 0;
}

static int append(struct mg_strings *list, const char *value, struct mg_arena *arena, struct mg_err *err) {
  size_t n = list->count;
  if (n >= LIST_MAX) return mg_err_set(err, MG_E_LIMIT, "has more than %d values", LIST_MAX);
  if ((n & (n - 1)) == 0) { /* a power of two, or none: full */
    size_t cap = n ? 2 * n : 1;
    const char **items = mg_arena_grow(arena, list->items, n * sizeof *items, cap * sizeof *items);
    if (!items) return mg_err_nomem(err);
    list->items = items;
  }
  list->items[list->count++] = value;
  return 0;
}

static int read_list(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  (void)option;
  if (!*value) return mg_err_set(err, MG_E_USAGE, "must not be empty");
  return append(dst, value, arena, err);
}

static int read_number(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  char *end = NULL;
  (void)arena;
  errno = 0;
  long long number = strtoll(value, &end, 10);
  bool digits = mg_is_digit(value[*value == '-']);
  if (!digits || *end || errno || number < option->min || number > option->max)
    return mg_err_set(err, MG_E_USAGE, "must be a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", option->min,
                      option->max, value);
  *(struct mg_opt_int *)dst = (struct mg_opt_int){true, number};
  return 0;
}

static int read_size(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  struct mg_quantity q;
  struct mg_err why;
  (void)arena;
  bool good = mg_quantity_parse(mg_str_of(value), &q, &why) == 0 && mg_quantity_whole(q);
  int64_t bytes = good ? mg_quantity_value(q) : 0;
  if (!good || bytes < option->min || bytes > option->max) {
    char least[MG_QUANTITY_TEXT], most[MG_QUANTITY_TEXT];
    mg_str from = mg_quantity_text(mg_quantity_of(option->min, MG_BINARY_SI), least);
    mg_str to = mg_quantity_text(mg_quantity_of(option->max, MG_BINARY_SI), most);
    return mg_err_set(err, MG_E_USAGE, "must be bytes such as 8Mi, from %.*s to %.*s, not \"%s\"", MG_FMT(from), MG_FMT(to),
                      value);
  }
  *(struct mg_opt_int *)dst = (struct mg_opt_int){true, bytes};
  return 0;
}

static int read_word(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  struct mg_buf all;
  for (uint32_t i = 0; option->words[i]; i++)
    if (strcasecmp(value, option->words[i]) == 0) {
      *(uint32_t *)dst = i;
      return 0;
    }
  mg_buf_init(&all, arena, 512);
  for (uint32_t i = 0; option->words[i]; i++) mg_buf_printf(&all, "%s%s", i ? ", " : "", option->words[i]);
  mg_str hint = mg_did_you_mean(arena, mg_str_of(value), option->words);
  return mg_err_set(err, MG_E_USAGE, "cannot be \"%s\"; it is one of %.*s%.*s", value, MG_FMT(mg_buf_str(&all)), MG_FMT(hint));
}

/* Exactly `count` digits. */
static bool digits(const char **p, int count, int *ret) {
  int n = 0;
  for (int i = 0; i < count; i++, (*p)++) {
    if (!mg_is_digit(**p)) return false;
    n = n * 10 + (**p - '0');
  }
  *ret = n;
  return true;
}

static bool literal(const char **p, char c) {
  if (**p != c) return false;
  (*p)++;
  return true;
}

/* `Z`, or the distance from UTC in seconds. */
static bool read_zone(const char **p, int *ret_seconds) {
  int hours, minutes, sign = **p == '-' ? -1 : 1;
  *ret_seconds = 0;
  if (**p == 'Z' || **p == 'z') {
    (*p)++;
    return true;
  }
  if (**p != '+' && **p != '-') return false;
  (*p)++;
  if (!digits(p, 2, &hours) || !literal(p, ':') || !digits(p, 2, &minutes) || hours > 23 || minutes > 59) return false;
  *ret_seconds = sign * (hours * 3600 + minutes * 60);
  return true;
}

static bool read_clock(const char **p, struct tm *tm, int *ret_zone) {
  if (!digits(p, 2, &tm->tm_hour) || !literal(p, ':') || !digits(p, 2, &tm->tm_min) || !literal(p, ':') ||
      !digits(p, 2, &tm->tm_sec))
    return false;
  if (**p == '.') {
    const char *from = ++*p;
    while (mg_is_digit(**p)) (*p)++;
    if (*p == from) return false;
  }
  return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60 && read_zone(p, ret_zone);
}

bool mg_time_read(const char *text, int64_t *ret_unix) {
  struct tm tm = {0};
  int year, month, day, zone = 0;
  const char *p = text;
  if (!digits(&p, 4, &year) || !literal(&p, '-') || !digits(&p, 2, &month) || !literal(&p, '-') || !digits(&p, 2, &day))
    return false;
  if (year < 1970 || month < 1 || month > 12 || day < 1) return false;
  if (*p) {
    if (*p != 'T' && *p != 't') return false;
    p++;
    if (!read_clock(&p, &tm, &zone) || *p) return false;
  }
  tm.tm_year = year - 1900, tm.tm_mon = month - 1, tm.tm_mday = day;
  struct tm same = tm;
  time_t t = timegm(&same);
  /* timegm carries 31 April into May. */
  if (tm.tm_sec < 60 && (same.tm_mday != day || same.tm_mon != month - 1)) return false;
  *ret_unix = (int64_t)t - zone;
  return true;
}

static int read_time(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  struct mg_opt_int *to = dst;
  (void)option, (void)arena;
  if (!mg_time_read(value, &to->value))
    return mg_err_set(err, MG_E_USAGE, "must be a date or a timestamp such as 2027-01-31T12:00:00Z, not \"%s\"", value);
  to->set = true;
  return 0;
}

const struct mg_option_type mg_o_flag = {.flag = true, .read = read_flag};
const struct mg_option_type mg_o_text = {.read = read_text};
const struct mg_option_type mg_o_list = {.repeat = true, .read = read_list};
const struct mg_option_type mg_o_number = {.read = read_number};
const struct mg_option_type mg_o_size = {.read = read_size};
const struct mg_option_type mg_o_word = {.read = read_word};
const struct mg_option_type mg_o_time = {.read = read_time};

struct reading {
  const struct mg_option *options;
  struct mg_arena *arena;
  void *dst;
  struct mg_strings *args;
  uint64_t seen; /* by row: given on the command line */
  struct mg_err *err;
};

int mg_option_put(const struct mg_option *option, const char *value, struct mg_arena *arena, void *dst, struct mg_err *err) {
  return option->type->read(option, value, arena, (char *)dst + option->offset, err);
}

static int read_value(struct reading *r, const struct mg_option *option, const char *value) {
  return mg_option_put(option, value, r->arena, r->dst, r->err);
}

static const struct mg_option *find(const struct mg_option *options, mg_str name) {
  for (; options->name; options++)
    if (mg_str_is(name, options->name)) return options;
  return NULL;
}

static int unknown(struct reading *r, mg_str name, const char *as_typed) {
  const char *words[MG_OPTIONS_MAX + 2] = {NULL};
  size_t n = 0;
  for (; n < MG_OPTIONS_MAX && r->options[n].name; n++) words[n] = r->options[n].name;
  words[n] = "help";
  mg_str hint = mg_did_you_mean(r->arena, name, words), marker = MG_S("\"");
  size_t quote = mg_str_find(hint, *marker.p);
  mg_str before = {hint.p, quote < hint.n ? quote + 1 : hint.n}, behind = mg_str_from(hint, before.n);
  return mg_err_set(r->err, MG_E_USAGE, "unknown option \"%s\"%.*s%s%.*s", as_typed, MG_FMT(before), behind.n ? "--" : "",
                    MG_FMT(behind));
}

/* `arg` starts with a dash; *index moves on where the value is the next argument. */
static int read_option(struct reading *r, int argc, char **argv, int *index) {
  const char *arg = argv[*index], *value = NULL;
  if (arg[1] != '-') return unknown(r, mg_str_of(arg + 1), arg);
  mg_str name = mg_str_of(arg + 2);
  size_t equals = mg_str_find(name, '=');
  if (equals < name.n) value = name.p + equals + 1, name.n = equals;
  const struct mg_option *option = find(r->options, name);
  if (!option) return unknown(r, name, mg_arena_printf(r->arena, "--%.*s", MG_FMT(name)).p);
  if (!value && option->type->flag) value = "true";
  if (!value && *index + 1 >= argc)
    return mg_err_set(r->err, MG_E_USAGE, "--%s needs a value: %s", option->name, option->value);
  if (!value) value = argv[++*index];
  r->seen |= (uint64_t)1 << (option - r->options);
  int code = read_value(r, option, value);
  return code < 0 ? mg_err_wrap(r->err, "--%s", option->name) : 0;
}

static enum mg_help help_wanted(const char *arg) {
  if (strcmp(arg, "--help-all") == 0) return MG_HELP_ALL;
  return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 ? MG_HELP : MG_HELP_NONE;
}

static int read_arguments(struct reading *r, int argc, char **argv, enum mg_help *ret_help) {
  bool all = false;
  for (int i = 0; i < argc; i++) {
    int code = 0;
    if (all || argv[i][0] != '-' || !argv[i][1]) code = append(r->args, argv[i], r->arena, r->err);
    else if (strcmp(argv[i], "--") == 0) all = true;
    else if (help_wanted(argv[i])) *ret_help = help_wanted(argv[i]);
    else code = read_option(r, argc, argv, &i);
    if (code < 0 && !*ret_help) return code;
  }
  return 0;
}

/* A Service called mlgate puts MLGATE_PORT, MLGATE_PORT_…, MLGATE_SERVICE_HOST and MLGATE_SERVICE_PORT… into every Pod beside
 * it: no option may be called like that. */
void mg_option_variable(const struct mg_option *option, char ret[MG_VARIABLE_MAX]) {
  int n = snprintf(ret, MG_VARIABLE_MAX, "MLGATE_%s", option->name);
  for (int i = 7; i < n && i < MG_VARIABLE_MAX - 1; i++) {
    if (ret[i] == '-') ret[i] = '_';
    else if (ret[i] >= 'a' && ret[i] <= 'z') ret[i] = (char)(ret[i] - 'a' + 'A');
  }
}

/* The items between commas; empty ones do not count. */
static int read_commas(struct reading *r, const struct mg_option *option, const char *value) {
  for (mg_str rest = mg_str_of(value); rest.n;) {
    mg_str item = {rest.p, mg_str_find(rest, ',')};
    rest = mg_str_from(rest, item.n + 1);
    if (!item.n) continue;
    mg_str copy = mg_arena_dup(r->arena, item);
    if (!copy.p) return mg_err_nomem(r->err);
    int code = read_value(r, option, copy.p);
    if (code < 0) return code;
  }
  return 0;
}

/* An empty variable counts as none. */
static int read_variable(struct reading *r, const struct mg_option *option, bool *ret_found) {
  char name[MG_VARIABLE_MAX];
  mg_option_variable(option, name);
  const char *value = getenv(name);
  *ret_found = value && *value;
  if (!*ret_found) return 0;
  int code = option->type->repeat ? read_commas(r, option, value) : read_value(r, option, value);
  return code < 0 ? mg_err_wrap(r->err, "%s", name) : 0;
}

int mg_options_take(const struct mg_option *options, int argc, char **argv, struct mg_arena *arena, void *dst,
                    struct mg_strings *ret_args, enum mg_help *ret_help, struct mg_options_given *ret_given, struct mg_err *err) {
  struct reading r = {.options = options, .arena = arena, .dst = dst, .args = ret_args, .err = err};
  *ret_args = (struct mg_strings){0};
  *ret_help = MG_HELP_NONE;
  int code = read_arguments(&r, argc, argv, ret_help);
  *ret_given = (struct mg_options_given){r.seen, r.seen};
  if (code < 0 || *ret_help) return *ret_help ? 0 : code;
  for (size_t i = 0; options[i].name; i++) {
    bool found = (r.seen >> i & 1) != 0;
    if (!found) code = read_variable(&r, &options[i], &found);
    if (code < 0) return code;
    ret_given->given |= (uint64_t)found << i;
  }
  return 0;
}

int mg_options_defaults(const struct mg_option *options, struct mg_arena *arena, void *dst, const struct mg_options_given *given,
                        struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; options[i].name && code == 0; i++)
    if (!(given->given >> i & 1) && options[i].def) code = mg_option_put(&options[i], options[i].def, arena, dst, err);
  return code;
}

int mg_options_read(const struct mg_option *options, int argc, char **argv, struct mg_arena *arena, void *dst,
                    struct mg_strings *ret_args, enum mg_help *ret_help, struct mg_err *err) {
  struct mg_options_given given;
  int code = mg_options_take(options, argc, argv, arena, dst, ret_args, ret_help, &given, err);
  return code < 0 || *ret_help ? code : mg_options_defaults(options, arena, dst, &given, err);
}

bool mg_options_help(struct mg_buf *out, const struct mg_option *options, bool all) {
  int width = (int)sizeof "help" + 1;
  bool whole = true;
  for (const struct mg_option *o = options; o->name; o++) {
    if (o->aside && !all) continue;
    int n = (int)strlen(o->name) + 2 + (o->value ? (int)strlen(o->value) + 1 : 0);
    if (n > width) width = n;
  }
  for (const struct mg_option *o = options; o->name; o++) {
    char left[MG_VARIABLE_MAX];
    whole &= all || !o->aside;
    if (o->aside && !all) continue;
    snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    mg_buf_printf(out, "  %-*s  %s", width, left, o->doc);
    if (o->def) mg_buf_printf(out, " [%s]", o->def);
    mg_buf_byte(out, '\n');
  }
  return whole;
}
