/* Text in the languages that reports are written in, without what might mislead who reads it (mg_buf_clean). */
#pragma once
#include "base/buf.h"

/* XML and HTML, in an element or a quoted attribute. */
void mg_buf_markup(struct mg_buf *to, mg_str text);
/* A path as a URI's: all but letters, digits and -._~/ percent-encoded, byte by byte. */
void mg_buf_uri(struct mg_buf *to, mg_str path);
/* GitHub's and GitLab's Markdown, in a paragraph or a cell of a table: nothing in the text is a mark, a link, a mention or an
 * issue. */
void mg_buf_markdown(struct mg_buf *to, mg_str text);
/* The same as a code span, in a cell of a table. */
void mg_buf_code(struct mg_buf *to, mg_str text);
/* At most so many bytes of the text, with "…" where that is not all. */
void mg_buf_cut(struct mg_buf *to, mg_str text, size_t most);

/* True of an absolute http or https address, which may become a link. */
bool mg_is_link(mg_str text);
/* The same as an address in JSON: what one cannot hold is percent-encoded. In markup and Markdown it is mg_buf_markup's text. */
void mg_buf_link(struct mg_buf *to, mg_str link);
