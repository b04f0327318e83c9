/* The kinds of file that have a schema. */
#pragma once

#define MG_SCHEMA_KINDS 16
#define MG_SCHEMA_CONFIG "Config" /* .mlgate.yaml, which does not say its kind */

/* Their names, and NULL behind them. */
void mg_schema_kinds(const char *ret[MG_SCHEMA_KINDS]);
