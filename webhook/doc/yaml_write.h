/* A tree as YAML for people and for kubectl: block style; whatever reads YAML 1.1 or 1.2 reads the same back. */
#pragma once
#include "base/buf.h"
#include "doc/doc.h"

/* One document without "---", ended by a newline. Strings of several lines become literal blocks where every character may
 * stand in one, else one line in double quotes; other strings are quoted unless every reader takes them for strings. Bytes that
 * are no UTF-8 become U+FFFD; a number keeps its text. */
void mg_yaml_write(struct mg_buf *buf, mg_node n);
