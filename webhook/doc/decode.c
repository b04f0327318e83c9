#include "doc/decode.h"

#include "doc/yaml.h"

/* Levenshtein distance, cut off at `most` + 1; long words are never near. */
static uint32_t distance(mg_str a, mg_str b, uint32_t most) {
  enum { LONGEST = 48 };
  if (a.n > LONGEST || b.n > LONGEST) return most + 1;
  uint32_t row[LONGEST + 1];
  for (uint32_t j = 0; j <= b.n; j++) row[j] = j;
  for (uint32_t i = 1; i <= a.n; i++) {
    uint32_t diagonal = row[0];
    row[0] = i;
    for (uint32_t j = 1; j <= b.n; j++) {
      uint32_t cost = diagonal + ((a.p[i - 1] | 32) != (b.p[j - 1] | 32));
      diagonal = row[j];
      uint32_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      row[j] = cost < step ? cost : step;
    }
  }
  return row[b.n];
}

mg_str mg_did_you_mean(struct mg_arena *arena, mg_str s, const char *const *words) {
  uint32_t best = s.n < 4 ? 2 : 3; /* one above what is accepted */
  const char *word = NULL;
  for (; *words; words++) {
    uint32_t d = distance(s, mg_str_of(*words), best);
    if (d < best) best = d, word = *words;
  }
  return word ? mg_arena_printf(arena, "; did you mean \"%s\"?", word) : MG_S("");
}

static mg_str near_field(struct mg_load *load, mg_str s, const struct mg_field *fields) {
  const char *words[64] = {NULL};
  for (size_t i = 0; i < 63 && fields[i].key; i++) words[i] = fields[i].key;
  return mg_did_you_mean(load->arena, s, words);
}

static const struct mg_field *field_of(const struct mg_field *fields, mg_str key) {
  for (; fields->key; fields++)
    if (mg_str_is(key, fields->key)) return fields;
  return NULL;
}

/* The default is YAML of our own, so that only memory can be missing; a row that silently lost it would be worse. */
static bool read_default(struct mg_load *load, const struct mg_field *field, void *dst) {
  struct mg_file_doc *file = NULL;
  struct mg_read how = {.limits = {1024, 8, 64}, .file = "default"};
  if (mg_yaml_read(&file, load->arena, mg_str_of(field->def), &how, NULL) || !file) {
    load->arena->failed = true;
    return false;
  }
  return field->type->read(load, field, mg_root(&file->doc), (char *)dst + field->offset);
}

bool mg_decode(struct mg_load *load, const struct mg_field *fields, const char *name, mg_node object, void *dst) {
  if (!mg_is(object, MG_OBJECT)) {
    mg_diag_error(load->diags, object, MG_AT_VALUE, "%s must be an object", name);
    return false;
  }
  bool good = true;
  for (mg_node key = mg_first(object); key.at; key = mg_next(key)) {
    const struct mg_field *field = field_of(fields, mg_text(key));
    if (field) {
      good &= field->type->read(load, field, mg_value(key), (char *)dst + field->offset);
    } else if (!load->lenient) {
      mg_str hint = near_field(load, mg_text(key), fields);
      mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "unknown key \"%.*s\" in %s%.*s", MG_FMT(mg_text(key)), name,
                    MG_FMT(hint));
      good = false;
    }
  }
  for (const struct mg_field *field = fields; field->key; field++) {
    if (mg_get_key(object, mg_str_of(field->key)).at) continue;
    if (field->required) {
      mg_diag_error(load->diags, object, MG_AT_KEY, "%s lacks \"%s\"", name, field->key);
      good = false;
    } else if (field->def) {
      good &= read_default(load, field, dst);
    }
  }
  return good;
}

static const char *kind_words[] = {
    [MG_ABSENT] = "nothing", [MG_NULL] = "null",   [MG_BOOL] = "a boolean",  [MG_NUMBER] = "a number",
    [MG_STRING] = "a string", [MG_KEY] = "a key", [MG_ARRAY] = "a list", [MG_OBJECT] = "an object",
};

static bool wrong_type(struct mg_load *load, const struct mg_field *field, mg_node value) {
  if (mg_yaml_is_bare_bool(value))
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be %s; this is a boolean in YAML 1.1; quote it", field->key,
                  field->type->name);
  else
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be %s, not %s", field->key, field->type->name,
                  kind_words[mg_kind_of(value)]);
  return false;
}

static bool read_text(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_is(value, MG_STRING)) return wrong_type(load, field, value);
  *(mg_str *)dst = mg_text(value);
  return true;
}

static bool not_empty(struct mg_load *load, const struct mg_field *field, mg_node value, mg_str text) {
  if (text.n || load->arena->failed) return text.n;
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must not be empty", field->key);
  return false;
}

static bool read_string(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  return read_text(load, field, value, dst) && not_empty(load, field, value, mg_text(value));
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without white space at its ends; inside, what is not just spaces becomes one. */
static mg_str in_one_line(struct mg_arena *arena, mg_str s) {
  while (s.n && is_space(s.p[0])) s = mg_str_from(s, 1);
  while (s.n && is_space(s.p[s.n - 1])) s.n--;
  char *p = mg_arena_alloc(arena, s.n + 1);
  size_t n = 0;
  for (size_t i = 0, end = 0; p && i < s.n; i = end) {
    bool broken = false;
    for (end = i; end < s.n && is_space(s.p[end]); end++) broken |= s.p[end] != ' ';
    if (end == i) end++;
    if (broken) p[n++] = ' ';
    else memcpy(p + n, s.p + i, end - i), n += end - i;
  }
  return p ? (mg_str){p, n} : (mg_str){0};
}

static bool read_some_words(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!read_text(load, field, value, dst)) return false;
  *(mg_str *)dst = in_one_line(load->arena, mg_text(value));
  return true;
}

static bool read_words(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  return read_some_words(load, field, value, dst) && not_empty(load, field, value, *(mg_str *)dst);
}

static bool read_bool(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  if (!mg_is(value, MG_BOOL)) return wrong_type(load, field, value);
  *(bool *)dst = mg_true(value);
  return true;
}

static bool read_count(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_opt_int *n = dst;
  if (!mg_is(value, MG_NUMBER)) return wrong_type(load, field, value);
  if (!mg_int64(value, &n->value) || n->value < 0) {
    mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be a whole number, 0 or more, not %.*s", field->key,
                  MG_FMT(mg_text(value)));
    return false;
  }
  n->set = true;
  return true;
}

static mg_str join_words(struct mg_arena *arena, const char *const *words) {
  struct mg_buf buf;
  mg_buf_init(&buf, arena, 1024);
  for (size_t i = 0; words[i]; i++) mg_buf_printf(&buf, "%s%s", i ? ", " : "", words[i]);
  return mg_buf_str(&buf);
}

static bool read_enum(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  const char *const *words = field->arg;
  if (!mg_is(value, MG_STRING)) return wrong_type(load, field, value);
  for (uint32_t i = 0; words[i]; i++) {
    if (!mg_str_is(mg_text(value), words[i])) continue;
    *(uint32_t *)dst = i;
    return true;
  }
  mg_str hint = mg_did_you_mean(load->arena, mg_text(value), words), all = join_words(load->arena, words);
  mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" cannot be \"%.*s\"; it is one of %.*s%.*s", field->key,
                MG_FMT(mg_text(value)), MG_FMT(all), MG_FMT(hint));
  return false;
}

static bool read_list(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  const struct mg_item *item = field->arg;
  struct mg_list *list = dst;
  if (!mg_is(value, MG_ARRAY)) return wrong_type(load, field, value);
  struct mg_field one = {.key = field->key, .type = item->type, .arg = item->arg};
  uint32_t count = mg_count(value), i = 0;
  char *items = mg_arena_zero(load->arena, count ? count : 1, item->size);
  if (!items) return false;
  bool good = true;
  for (mg_node n = mg_first(value); n.at; n = mg_next(n), i++) good &= item->type->read(load, &one, n, items + i * item->size);
  *list = (struct mg_list){items, count};
  return good;
}

/* `y: "1"` would otherwise become the key "true". */
static bool check_key(struct mg_load *load, const struct mg_field *field, mg_node key) {
  if (!mg_yaml_is_bare_bool(key)) return true;
  mg_diag_error(load->diags, mg_value(key), MG_AT_KEY, "a key of \"%s\" is a boolean in YAML 1.1; quote it", field->key);
  return false;
}

static bool read_pairs(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_list *list = dst;
  if (!mg_is(value, MG_OBJECT)) return wrong_type(load, field, value);
  uint32_t count = mg_count(value), i = 0;
  struct mg_pair *pairs = MG_NEW_N(load->arena, struct mg_pair, count ? count : 1);
  if (!pairs) return false;
  bool good = true;
  for (mg_node key = mg_first(value); key.at; key = mg_next(key), i++) {
    const char *name = mg_arena_dup(load->arena, mg_text(key)).p;
    struct mg_field one = {.key = name ? name : field->key, .type = &mg_t_text};
    pairs[i].key = mg_text(key);
    good &= check_key(load, field, key);
    good &= read_text(load, &one, mg_value(key), &pairs[i].value);
  }
  *list = (struct mg_list){pairs, count};
  return good;
}

static bool read_object(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  const struct mg_shape *shape = field->arg;
  if (!mg_is(value, MG_OBJECT)) return wrong_type(load, field, value);
  return mg_decode(load, shape->fields, shape->name, value, dst);
}

static bool read_node(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  (void)load;
  (void)field;
  *(mg_node *)dst = value;
  return true;
}

const struct mg_type mg_t_string = {.name = "a string", .read = read_string, .schema = MG_SCHEMA_STRING};
const struct mg_type mg_t_text = {.name = "a string", .read = read_text, .schema = "{type: string}"};
const struct mg_type mg_t_words = {.name = "a string", .read = read_words, .schema = MG_SCHEMA_WORDS};
const struct mg_type mg_t_some_words = {.name = "a string", .read = read_some_words, .schema = "{type: string}"};
const struct mg_type mg_t_bool = {.name = "true or false", .read = read_bool, .schema = "{type: boolean}"};
const struct mg_type mg_t_count = {.name = "a whole number", .read = read_count, .schema = "{type: integer, minimum: 0}"};
const struct mg_type mg_t_enum = {.name = "a word", .read = read_enum};
const struct mg_type mg_t_list = {.name = "a list", .read = read_list};
const struct mg_type mg_t_pairs = {.name = "a map of strings", .read = read_pairs, .schema = MG_SCHEMA_PAIRS};
const struct mg_type mg_t_object = {.name = "an object", .read = read_object};
const struct mg_type mg_t_node = {.name = "a value", .read = read_node, .schema = "true"};

const struct mg_item mg_item_string = {&mg_t_string, sizeof(mg_str), NULL};
