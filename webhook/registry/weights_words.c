/* What a history command says. Builders wrap the lines of a Dockerfile in text of their own; what is judged and
 * shown is the line. */
#include "base/ascii.h"
#include "registry/weights_parts.h"

static bool is_word_char(char c) {
  return mg_is_alnum(c) || c == '_';
}

static mg_str trimmed(mg_str s) {
  while (s.n && memchr(" \t\r\n", s.p[0], 4)) s = mg_str_from(s, 1);
  while (s.n && memchr(" \t\r\n", s.p[s.n - 1], 4)) s.n--;
  return s;
}

static bool take(mg_str *s, const char *prefix) {
  if (!mg_str_starts(*s, mg_str_of(prefix))) return false;
  *s = trimmed(mg_str_from(*s, strlen(prefix)));
  return true;
}

/* The next of the words that `between` separates; {NULL, 0} at the end. */
static mg_str next_word(mg_str *s, const char *between) {
  while (s->n && strchr(between, s->p[0])) *s = mg_str_from(*s, 1);
  mg_str word = {s->p, 0};
  while (word.n < s->n && !strchr(between, s->p[word.n])) word.n++;
  *s = mg_str_from(*s, word.n);
  return word;
}

static bool is_shell(mg_str word) {
  static const char *const shells[] = {"sh", "bash", "ash", "dash", "zsh", "ksh"};
  if (word.n == 0 || word.p[0] != '/') return false;
  for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
    if (mg_str_is(mg_weights_base(word), shells[i])) return true;
  return false;
}

/* "/bin/sh -c", "/bin/bash -o pipefail -c" */
static bool take_shell(mg_str *s) {
  mg_str after = *s, word = next_word(&after, " ");
  if (!is_shell(word)) return false;
  for (int i = 0; i < 8 && (word = next_word(&after, " ")).n; i++) {
    if (word.p[0] != '-' || word.p[word.n - 1] != 'c') continue;
    *s = trimmed(after);
    return true;
  }
  return false;
}

/* Build arguments, "|2 A=1 B=two words /bin/sh -c …": gone with all that stands before a shell. Nothing quotes them, so that one
 * may have a shell in it, too: only what comes behind the last is surely the command's; what comes behind the first may be. */
static void drop_arguments(mg_str *s, bool last) {
  mg_str found = {0};
  for (mg_str at = *s; at.n && (last || !found.p);) {
    if (take_shell(&at)) found = at;
    else next_word(&at, " ");
    at = trimmed(at);
  }
  *s = found;
}

enum sure { PERHAPS_ITS_OWN, SURELY_ITS_OWN };

/* The line without what builders put around it; *ret_run: it is the command of a RUN. */
static mg_str line_of(mg_str command, enum sure sure, bool *ret_run) {
  static const mg_str mark = {"# buildkit", 10};
  mg_str s = trimmed(command);
  if (mg_str_ends(s, mark)) s = trimmed((mg_str){s.p, s.n - mark.n});
  *ret_run = take(&s, "RUN ");
  if (s.n && s.p[0] == '|') {
    *ret_run = true;
    drop_arguments(&s, sure == SURELY_ITS_OWN);
  } else if (take_shell(&s) && !*ret_run) {
    *ret_run = !take(&s, "#(nop)");
  }
  return s;
}

mg_str mg_weights_clean_command(struct mg_arena *arena, mg_str command) {
  bool run;
  mg_str line = line_of(command, SURELY_ITS_OWN, &run);
  if (!run && mg_str_starts(line, MG_S("ARG "))) line.n = mg_str_find(line, '=');
  if (!run) return mg_weights_clean(arena, line);
  if (line.n > MG_WEIGHTS_READ_MAX) line.n = MG_WEIGHTS_READ_MAX;
  return line.n ? mg_weights_clean(arena, mg_arena_printf(arena, "RUN %.*s", MG_FMT(line))) : MG_S("RUN");
}

/* --- what downloads ----------------------------------------------------------------------------------------------------- */

/* `first`, and behind it `then` where there is one. */
static const struct {
  const char *first, *then;
} downloads[] = {
    {"huggingface-cli", " download"},
    {"hf download", ""},
    {"snapshot_download", ""},
    {"hf_hub_download", ""},
    {".from_pretrained", ""},
    {"SentenceTransformer(", ""},
    {"whisper.load_model(", ""},
    {"torch.hub.load", ""},
    {"load_state_dict_from_url", ""},
    {"git lfs clone", ""},
    {"git lfs pull", ""},
    {"git clone", "huggingface.co/"},
    {"ollama pull", ""},
    {"modelscope download", ""},
    {"litgpt download", ""},
};

/* What is fetched with these is the command's own choice, so that a name that surely means weights has to be among its words. */
static const char *const copiers[] = {"cp", "mv", "rsync", "rclone", "mc", "s5cmd", "wget", "curl", "aria2c", "axel"};

/* The place of `part` with no letter before it; text.n where there is none. */
static size_t place_of(mg_str text, const char *part) {
  for (size_t i = 0; i < text.n; i++) {
    i += mg_str_find(mg_str_from(text, i), part[0]);
    if (!mg_str_starts(mg_str_from(text, i), mg_str_of(part))) continue;
    if (i == 0 || !is_word_char(part[0]) || !is_word_char(text.p[i - 1])) return i;
  }
  return text.n;
}

static bool has_word(mg_str text, const char *word) {
  size_t n = strlen(word);
  for (mg_str at = text; at.n; at = mg_str_from(at, 1)) {
    size_t i = place_of(at, word);
    at = mg_str_from(at, i);
    if (at.n >= n && (at.n == n || at.p[n] == ' ')) return true;
  }
  return false;
}

/* Data sets and demo pages are not models. */
static bool is_other_repository(mg_str text) {
  static const char *const others[] = {"huggingface.co/datasets/", "huggingface.co/spaces/"};
  static const char *const kinds[] = {"dataset", "space"};
  for (size_t i = 0; i < 2; i++)
    if (mg_str_has(text, mg_str_of(others[i]))) return true;
  size_t at = place_of(text, "repo_type");
  if (at == text.n) at = place_of(text, "--repo-type");
  mg_str kind = {mg_str_from(text, at).p, text.n - at < 28 ? text.n - at : 28};
  for (size_t i = 0; i < 2; i++)
    if (mg_str_has(kind, mg_str_of(kinds[i]))) return true;
  return false;
}

/* Tokenizers and settings come by the same call as models, and are small. */
static bool is_small_part(mg_str text, size_t at) {
  static const char *const small[] = {"Tokenizer", "TokenizerFast", "Config", "Processor", "FeatureExtractor"};
  for (size_t i = 0; i < sizeof small / sizeof *small; i++)
    if (mg_str_ends((mg_str){text.p, at}, mg_str_of(small[i]))) return true;
  return false;
}

static bool has_download(mg_str part, mg_str *ret_words) {
  if (is_other_repository(part)) return false;
  for (size_t i = 0; i < sizeof downloads / sizeof *downloads; i++) {
    const char *first = downloads[i].first, *then = downloads[i].then;
    for (mg_str s = part; s.n;) {
      size_t at = place_of(s, first);
      if (at == s.n) break;
      mg_str behind = mg_str_from(s, at + strlen(first));
      size_t where = then[0] ? place_of(behind, then) : 0;
      if (then[0] && where == behind.n) break;
      if (!is_small_part(s, at)) {
        *ret_words = (mg_str){s.p + at, strlen(first) + where + strlen(then)};
        return true;
      }
      s = behind;
    }
  }
  return false;
}

/* --- what is named ------------------------------------------------------------------------------------------------------- */

#define BETWEEN " \t\r\n\"'`,;()[]{}<>|&"

static mg_str without_query(mg_str word) {
  size_t n = mg_str_find(word, '?');
  if (mg_str_find(word, '#') < n) n = mg_str_find(word, '#');
  return (mg_str){word.p, n};
}

/* A file behind a link of Hugging Face, if it is not one of the small ones beside the weights. */
static bool is_hub_file(mg_str word) {
  static const char *const small[] = {".json", ".txt", ".md", ".model", ".py", ".yaml", ".yml", ".jinja"};
  if (!mg_str_has(word, MG_S("huggingface.co/")) || !mg_str_has(word, MG_S("/resolve/"))) return false;
  if (is_other_repository(word)) return false;
  for (size_t i = 0; i < sizeof small / sizeof *small; i++)
    if (mg_weights_ends(word, small[i])) return false;
  return true;
}

static bool has_file(mg_str part, mg_str *ret_words) {
  bool copied = false;
  for (size_t i = 0; i < sizeof copiers / sizeof *copiers; i++) copied |= has_word(part, copiers[i]);
  for (mg_str s = part, word; (word = next_word(&s, BETWEEN)).n;) {
    mg_str path = without_query(word);
    enum mg_weights_named named = mg_weights_named(path);
    bool link = mg_str_has(path, MG_S("://"));
    if (!(link && (named != MG_NAMED_NOT || is_hub_file(path))) && !(copied && named == MG_NAMED_SURELY)) continue;
    *ret_words = path;
    return true;
  }
  return false;
}

/* The command of a RUN, part by part: what fetches and what is fetched stand in the same one. */
static bool judge_run(mg_str line, mg_str *ret_words) {
  for (size_t at = 0; at < line.n;) {
    mg_str s = mg_str_from(line, at);
    size_t n = 0;
    while (n < s.n && !memchr(";|\n", s.p[n], 3) && !mg_str_starts(mg_str_from(s, n), MG_S("&&"))) n++;
    mg_str part = {s.p, n};
    if (has_download(part, ret_words) || has_file(part, ret_words)) return true;
    at += n + 1;
  }
  return false;
}

/* Folders that hold nothing else: /models and /model at the root, weights and checkpoints anywhere, the caches. */
static bool is_model_folder(mg_str word) {
  static const char *const anywhere[] = {"weights", "model_weights", "model-weights", "checkpoints"};
  static const char *const at_root[] = {"models", "model"};
  bool root = word.n && word.p[0] == '/';
  mg_str s = word, part;
  for (int i = 0; (part = next_word(&s, "/")).n; i++) {
    for (size_t k = 0; k < sizeof anywhere / sizeof *anywhere; k++)
      if (mg_str_is(part, anywhere[k])) return true;
    for (size_t k = 0; root && i == 0 && k < sizeof at_root / sizeof *at_root; k++)
      if (mg_str_is(part, at_root[k])) return true;
  }
  return mg_str_has(word, MG_S(".cache/huggingface")) || mg_str_has(word, MG_S(".ollama/models")) ||
         mg_str_has(word, MG_S("models--"));
}

static bool judge_copy(mg_str line, mg_str *ret_words) {
  mg_str folder = {0};
  for (mg_str s = line, word; (word = next_word(&s, BETWEEN)).n;) {
    mg_str path = without_query(word);
    if (mg_str_starts(word, MG_S("--"))) continue;
    bool hub = mg_str_has(path, MG_S("://huggingface.co/")) && !is_other_repository(path);
    if (hub || mg_weights_named(path) != MG_NAMED_NOT) {
      *ret_words = path;
      return true;
    }
    if (folder.n == 0 && is_model_folder(path)) folder = path;
  }
  *ret_words = folder;
  return folder.n > 0;
}

bool mg_weights_command(struct mg_arena *arena, mg_str command, mg_str *ret_words) {
  bool run, found;
  mg_str line = line_of(command, SURELY_ITS_OWN, &run), words = {0};
  if (run) found = judge_run(line, &words);
  else found = (take(&line, "COPY ") || take(&line, "ADD ")) && judge_copy(line, &words);
  if (!found && run && judge_run(line_of(command, PERHAPS_ITS_OWN, &run), &words)) {
    found = true;
    words = MG_S("a command with a shell in it"); /* the words may be a build argument's */
  }
  if (found) *ret_words = mg_weights_clean(arena, words);
  return found;
}
