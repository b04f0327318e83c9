#include "rules/rules.h"

#define ADDRESS(name) &mg_rule_##name,
const struct mg_rule_type *const mg_rules[] = {MG_RULES(ADDRESS) NULL};
