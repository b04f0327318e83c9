/* What a replay found, for people and as JSON. */
#include <inttypes.h>

#include "app/replay.h"

#define NAMES_SHOWN 10

struct word {
  const char *key, *text;
};
static const struct word of_one[MG_GROUPS_OF_ONE] = {
    [MG_GROUP_DENIALS] = {"denials", "denied"},
    [MG_GROUP_WARNINGS] = {"warnings", "with warnings"},
    [MG_GROUP_AUDITS] = {"audits", "with audit findings"},
    [MG_GROUP_EXEMPTIONS] = {"exemptions", "with exempted findings"},
    [MG_GROUP_PATCHES] = {"patches", "patched"},
};
static const struct word of_two[MG_GROUPS_OF_TWO] = {
    [MG_GROUP_NEWLY_DENIED] = {"newlyDenied", "newly denied"},
    [MG_GROUP_NEWLY_ALLOWED] = {"newlyAllowed", "newly allowed"},
    [MG_GROUP_OTHER_DENIALS] = {"otherDenials", "denied for other reasons"},
    [MG_GROUP_OTHER_WARNINGS] = {"otherWarnings", "with other warnings"},
    [MG_GROUP_OTHER_AUDITS] = {"otherAudits", "with other audit findings or exemptions"},
    [MG_GROUP_OTHER_PATCHES] = {"otherPatches", "with another patch"},
};
static const struct word of_names[MG_OF_COUNT] = {
    [MG_OF_POLICIES] = {"policies", "policies"},
    [MG_OF_NAMESPACES] = {"namespaces", "namespaces"},
    [MG_OF_KINDS] = {"kinds", "kinds"},
};

static size_t groups_of(const struct mg_replay *replay, const struct word **ret_words) {
  *ret_words = replay->two ? of_two : of_one;
  return replay->two ? MG_GROUPS_OF_TWO : MG_GROUPS_OF_ONE;
}

/* ---- for people ---- */

static void count(struct mg_buf *out, uint64_t n, const char *what) {
  mg_buf_printf(out, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

static void names_text(struct mg_buf *out, const struct mg_tally *tally, const char *of) {
  uint64_t more = tally->others;
  if (!tally->count) return;
  mg_buf_printf(out, "    %s: ", of);
  for (uint32_t i = 0; i < tally->count; i++) {
    mg_str name = tally->rows[i].name;
    if (i >= NAMES_SHOWN) more += tally->rows[i].count;
    if (i >= NAMES_SHOWN) continue;
    mg_buf_clean(out, name.n ? name : MG_S("(none)"));
    mg_buf_printf(out, " %" PRIu64 "%s", tally->rows[i].count, i + 1 < tally->count ? ", " : "");
  }
  if (more) mg_buf_printf(out, "%sothers %" PRIu64, tally->count <= NAMES_SHOWN ? ", " : "", more);
  mg_buf_byte(out, '\n');
}

static void labelled(struct mg_buf *out, const char *label, mg_str text) {
  if (!text.n) return;
  mg_buf_printf(out, "        %s", label);
  mg_buf_clean(out, text);
  mg_buf_byte(out, '\n');
}

static void example_text(struct mg_buf *out, const struct mg_replay_example *e, bool two) {
  mg_buf_lit(out, "    ");
  mg_buf_clean(out, mg_str_of(e->file));
  mg_buf_printf(out, ":%u: %.*s ", e->line, MG_FMT(e->operation));
  mg_buf_clean(out, e->kind);
  mg_buf_byte(out, ' ');
  mg_buf_clean(out, e->ns);
  if (e->ns.n) mg_buf_byte(out, '/');
  mg_buf_clean(out, e->name);
  if (e->user.n) mg_buf_lit(out, " by ");
  mg_buf_clean(out, e->user);
  mg_buf_byte(out, '\n');
  for (uint32_t i = 0; i < e->line_count; i++) labelled(out, !two ? "" : e->lines[i].gone ? "- " : "+ ", e->lines[i].text);
  if (e->more) mg_buf_printf(out, "        and %u more\n", e->more);
  labelled(out, two ? "- " : "", e->patches[0]);
  labelled(out, "+ ", e->patches[1]);
}

static void group_text(struct mg_buf *out, const struct mg_replay_group *group, const char *title, bool two) {
  mg_buf_printf(out, "%s: ", title);
  count(out, group->requests, "request");
  mg_buf_byte(out, '\n');
  for (size_t i = 0; i < MG_OF_COUNT; i++) names_text(out, &group->tallies[i], of_names[i].text);
  for (const struct mg_replay_example *e = group->examples; e; e = e->next) example_text(out, e, two);
}

static void errors_text(struct mg_buf *out, const struct mg_replay *replay) {
  uint64_t all = replay->totals[0].errors;
  for (uint64_t i = 0; i < all && i < MG_REPLAY_ERRORS; i++) {
    mg_buf_clean(out, mg_str_of(replay->errors[i].file));
    if (replay->errors[i].line) mg_buf_printf(out, ":%u", replay->errors[i].line);
    mg_buf_lit(out, ": error: ");
    mg_buf_clean(out, replay->errors[i].message);
    mg_buf_byte(out, '\n');
  }
  if (all > MG_REPLAY_ERRORS) mg_buf_printf(out, "and %" PRIu64 " more errors\n", all - MG_REPLAY_ERRORS);
}

/* What the recording does not tell, so that nobody takes it for more than it is. */
static void recording_text(struct mg_buf *out, const struct mg_replay *replay) {
  const struct {
    uint64_t n;
    const char *what, *text;
  } notes[] = {
      {replay->no_old, "update", "without the old object, which the audit log does not have: all of it was judged as new"},
      {replay->as_stored, "patch", "judged by the object that was stored, with what webhooks had added"},
      {replay->dry_runs, "dry run", "among the requests"},
      {replay->refused, "request", "that the API server refused when it came"},
  };
  for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
    if (!notes[i].n) continue;
    bool patches = notes[i].n > 1 && strcmp(notes[i].what, "patch") == 0;
    mg_buf_printf(out, "note: %" PRIu64 " %s%s %s\n", notes[i].n, notes[i].what, patches ? "es" : notes[i].n > 1 ? "s" : "",
                  notes[i].text);
  }
  for (size_t i = 0; i < MG_UNUSED_COUNT; i++)
    if (replay->unused[i]) mg_buf_printf(out, "not judged: %" PRIu64 ": %s\n", replay->unused[i], mg_unused_words[i].text);
}

static void totals_text(struct mg_buf *out, const struct mg_report_totals *t) {
  mg_buf_printf(out, "%" PRIu64 " denied, %" PRIu64 " warned, %" PRIu64 " audited, ", t->outcomes[MG_OUT_DENY],
                t->outcomes[MG_OUT_WARN], t->outcomes[MG_OUT_AUDIT]);
  mg_buf_printf(out, "%" PRIu64 " mutated, %" PRIu64 " exempted", t->mutated, t->outcomes[MG_OUT_EXEMPTED]);
}

void mg_replay_text(struct mg_buf *out, const struct mg_replay *replay) {
  const struct mg_report_totals *t = replay->totals;
  const struct word *words;
  size_t n = groups_of(replay, &words);
  errors_text(out, replay);
  for (size_t i = 0; i < n; i++)
    if (replay->two || replay->groups[i].requests) group_text(out, &replay->groups[i], words[i].text, replay->two);
  recording_text(out, replay);
  if (replay->two) {
    mg_buf_lit(out, "before: ");
    totals_text(out, &t[0]);
    mg_buf_lit(out, "\nafter:  ");
    totals_text(out, &t[1]);
    mg_buf_printf(out, "; %" PRIu64 " unchanged\n", replay->unchanged);
  }
  count(out, t->files, "file");
  mg_buf_lit(out, ", ");
  count(out, t->objects, "request");
  mg_buf_lit(out, ": ");
  if (!replay->two) totals_text(out, t), mg_buf_lit(out, "; ");
  mg_buf_printf(out, "%" PRIu64 " skipped, ", t->skipped);
  count(out, t->errors, "error");
  mg_buf_byte(out, '\n');
}

/* ---- as JSON ---- */

static void put_text(struct mg_buf *out, const char *before, mg_str text) {
  mg_buf_printf(out, "%s", before);
  mg_buf_json_clean(out, text);
}

struct number {
  const char *key;
  uint64_t n;
};
static void put_numbers(struct mg_buf *out, const struct number *numbers, size_t count) {
  for (size_t i = 0; i < count; i++) mg_buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", numbers[i].key, numbers[i].n);
}

static void put_totals(struct mg_buf *out, const struct mg_report_totals *t) {
  const struct number numbers[] = {{"denied", t->outcomes[MG_OUT_DENY]},
                                   {"warned", t->outcomes[MG_OUT_WARN]},
                                   {"audited", t->outcomes[MG_OUT_AUDIT]},
                                   {"mutated", t->mutated},
                                   {"exempted", t->outcomes[MG_OUT_EXEMPTED]}};
  put_numbers(out, numbers, sizeof numbers / sizeof *numbers);
}

static void summary_json(struct mg_buf *out, const struct mg_replay *replay) {
  const struct mg_report_totals *t = replay->totals;
  const struct number numbers[] = {{"files", t->files}, {"objects", t->objects}, {"skipped", t->skipped}, {"errors", t->errors}};
  mg_buf_lit(out, "\"summary\":{");
  put_numbers(out, numbers, sizeof numbers / sizeof *numbers);
  mg_buf_byte(out, ',');
  put_totals(out, t);
  if (replay->two) {
    mg_buf_lit(out, "},\n\"against\":{");
    put_totals(out, &t[1]);
    mg_buf_printf(out, ",\"unchanged\":%" PRIu64, replay->unchanged);
  }
  mg_buf_lit(out, "},\n");
}

static void recorded_json(struct mg_buf *out, const struct mg_replay *replay) {
  const struct number numbers[] = {{"reviews", replay->reviews},  {"events", replay->events},
                                   {"dryRun", replay->dry_runs},  {"refused", replay->refused},
                                   {"noOldObject", replay->no_old}, {"asStored", replay->as_stored}};
  mg_buf_lit(out, "\"recorded\":{");
  put_numbers(out, numbers, sizeof numbers / sizeof *numbers);
  mg_buf_lit(out, ",\"unused\":{");
  for (size_t i = 0; i < MG_UNUSED_COUNT; i++)
    mg_buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", mg_unused_words[i].key, replay->unused[i]);
  mg_buf_lit(out, "}},\n");
}

static void names_json(struct mg_buf *out, const struct mg_tally *tally, const char *key) {
  mg_buf_printf(out, ",\"%s\":[", key);
  for (uint32_t i = 0; i < tally->count; i++) {
    put_text(out, i ? ",{\"name\":" : "{\"name\":", tally->rows[i].name);
    mg_buf_printf(out, ",\"requests\":%" PRIu64 "}", tally->rows[i].count);
  }
  mg_buf_byte(out, ']');
}

static void lines_json(struct mg_buf *out, const struct mg_replay_example *e, bool gone, const char *key) {
  bool any = false;
  mg_buf_printf(out, ",\"%s\":[", key);
  for (uint32_t i = 0; i < e->line_count; i++) {
    if (e->lines[i].gone != gone) continue;
    put_text(out, any ? "," : "", e->lines[i].text);
    any = true;
  }
  mg_buf_byte(out, ']');
}

static void patch_json(struct mg_buf *out, const char *key, mg_str patch) {
  if (!patch.n) return;
  mg_buf_printf(out, ",\"%s\":", key);
  mg_buf_put(out, patch);
}

static void example_json(struct mg_buf *out, const struct mg_replay_example *e, bool two) {
  put_text(out, "\n    {\"file\":", mg_str_of(e->file));
  mg_buf_printf(out, ",\"line\":%u", e->line);
  put_text(out, ",\"operation\":", e->operation);
  put_text(out, ",\"kind\":", e->kind);
  put_text(out, ",\"namespace\":", e->ns);
  put_text(out, ",\"name\":", e->name);
  put_text(out, ",\"user\":", e->user);
  lines_json(out, e, false, two ? "added" : "findings");
  if (two) lines_json(out, e, true, "gone");
  mg_buf_printf(out, ",\"more\":%u", e->more);
  patch_json(out, two ? "patchBefore" : "patch", e->patches[0]);
  patch_json(out, "patchAfter", e->patches[1]);
  mg_buf_byte(out, '}');
}

static void group_json(struct mg_buf *out, const struct mg_replay_group *group, const char *key, bool two) {
  mg_buf_printf(out, "  \"%s\":{\"requests\":%" PRIu64, key, group->requests);
  for (size_t i = 0; i < MG_OF_COUNT; i++) names_json(out, &group->tallies[i], of_names[i].key);
  mg_buf_lit(out, ",\"others\":{");
  for (size_t i = 0; i < MG_OF_COUNT; i++)
    mg_buf_printf(out, "%s\"%s\":%" PRIu64, i ? "," : "", of_names[i].key, group->tallies[i].others);
  mg_buf_lit(out, "},\"examples\":[");
  for (const struct mg_replay_example *e = group->examples; e; e = e->next) {
    if (e != group->examples) mg_buf_byte(out, ',');
    example_json(out, e, two);
  }
  mg_buf_lit(out, "]}");
}

static void errors_json(struct mg_buf *out, const struct mg_replay *replay) {
  mg_buf_lit(out, "\"errors\":[");
  for (uint64_t i = 0; i < replay->totals[0].errors && i < MG_REPLAY_ERRORS; i++) {
    const struct mg_report_error *e = &replay->errors[i];
    put_text(out, i ? ",\n  {\"file\":" : "\n  {\"file\":", mg_str_of(e->file));
    mg_buf_printf(out, ",\"line\":%u,\"column\":%u", e->line ? e->line : 1, e->column ? e->column : 1);
    put_text(out, ",\"message\":", e->message);
    mg_buf_byte(out, '}');
  }
  mg_buf_byte(out, ']');
}

void mg_replay_json(struct mg_buf *out, const struct mg_replay *replay) {
  const struct word *words;
  size_t n = groups_of(replay, &words);
  mg_buf_lit(out, "{\"mlgate\":1,\n");
  summary_json(out, replay);
  recorded_json(out, replay);
  mg_buf_printf(out, "\"%s\":{\n", replay->two ? "changes" : "findings");
  for (size_t i = 0; i < n; i++) {
    group_json(out, &replay->groups[i], words[i].key, replay->two);
    mg_buf_put(out, i + 1 < n ? MG_S(",\n") : MG_S("},\n"));
  }
  errors_json(out, replay);
  mg_buf_lit(out, "}\n");
}
