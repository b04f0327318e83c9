/* A file's new content, all of it or none. */
#pragma once
#include "base/err.h"

/* Writes beside the file, and renames: who reads meanwhile sees the old one or the new one. Symbolic links are followed; mode
 * and, as far as that is allowed, owner stay. A file that may not be written is an error, though its folder may. What is not
 * there is made; what is no regular file (/dev/stdout, a pipe) is written as it comes. MG_E_IO, MG_E_LIMIT. */
int mg_replace_file(const char *path, mg_str content, struct mg_err *err);
