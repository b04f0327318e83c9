/* What a message lists: `a, b, c and 7 more`. */
#pragma once
#include "doc/decode.h"

/* `text_of` gives the text of one item. */
mg_str mg_listed(struct mg_arena *arena, struct mg_list list, mg_str (*text_of)(struct mg_list list, uint32_t i));
mg_str mg_listed_string(struct mg_list list, uint32_t i);  /* of a list of mg_str */
mg_str mg_listed_pattern(struct mg_list list, uint32_t i); /* of a list of struct mg_pattern * */
