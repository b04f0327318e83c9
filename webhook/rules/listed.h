/* What a message lists: `a, b, c and 7 more`; and lists of names that a rule allows. */
#pragma once
#include "doc/decode.h"

/* `text_of` gives the text of one item. */
mg_str mg_listed(struct mg_arena *arena, struct mg_list list, mg_str (*text_of)(struct mg_list list, uint32_t i));
mg_str mg_listed_string(struct mg_list list, uint32_t i);  /* of a list of mg_str */
mg_str mg_listed_pattern(struct mg_list list, uint32_t i); /* of a list of struct mg_pattern * */

/* Checks the class that a rule sets and those that it allows, each of which may be absent, against each other and against what
 * can be a name; kind: PriorityClass, RuntimeClass. */
void mg_listed_classes(struct mg_load *load, const char *kind, mg_node sets, mg_node allows, struct mg_list allowed);
