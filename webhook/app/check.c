/* mlgate check: what the webhook would answer to the objects of files, as a report. */
#include "app/command.h"
#include "app/selection.h"

struct check_options {
  struct mg_selection selection;
};

static const struct mg_option options[] = {
    MG_SELECTION_OPTIONS(struct check_options, selection),
    MG_OPTIONS_END,
};

static int run(const void *given, const struct mg_strings *args) {
  const struct check_options *o = given;
  return mg_selection_run(&o->selection, args, &(struct mg_selection_visitor){.command = "check"});
}

const struct mg_command mg_command_check = {
    .name = "check", .args = "[FILE|DIR|-]...", .doc = "judge manifests as the webhook would", .options = options,
    .size = sizeof(struct check_options), .run = run,
    .more = "Formats:" MG_FORMAT_WORDS ".\n"
            "Without --policies: ./policies if it exists, else the built-in pack.\n"
            "Exit: 0 nothing denied, 1 denied, 2 usage or policies, 3 unreadable or empty."};
