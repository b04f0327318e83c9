/* The records of a file that may be larger than memory: JSON values one after the other, one a line or not, or in one array; gzip
 * is seen through. A file that is YAML is one record. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define MG_RECORD_MAX ((size_t)64 << 20)

struct mg_record {
  mg_str text;   /* until the next one is asked for */
  uint32_t line; /* of its first character in the file */
  bool yaml;
};

struct mg_records;

/* "-": standard input. */
int mg_records_open(struct mg_records **ret, const char *path, struct mg_err *err) __attribute__((warn_unused_result));
void mg_records_close(struct mg_records *records); /* NULL is fine */

/* 1: there is one. 0: there is none left. MG_E_SYNTAX, MG_E_LIMIT: one is spoiled, err->line says where, and those behind it are
 * still to come. MG_E_IO, MG_E_NOMEM: no more. */
int mg_records_next(struct mg_records *records, struct mg_record *ret, struct mg_err *err) __attribute__((warn_unused_result));

static inline void mg_records_closep(struct mg_records **records) {
  mg_records_close(*records);
}
#define MG_RECORDS_AUTO __attribute__((cleanup(mg_records_closep))) struct mg_records *
