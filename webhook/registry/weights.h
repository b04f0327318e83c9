/* Proof of model weights in bytes and words: pure functions, no I/O. All input is hostile. */
#pragma once
#include "base/arena.h"
#include "kube/image_facts.h"

#define MG_WEIGHT_FILE_MIN ((int64_t)100 << 20) /* smaller files are no proof */
#define MG_PEEK_OUTPUT_MAX ((size_t)16 << 20)   /* decompressed bytes of one peek */
#define MG_TOC_MAX ((size_t)32 << 20)

struct mg_finding_in_layer {
  enum mg_proof proof;
  mg_str what;       /* cleaned, in the arena */
  int64_t file_size; /* -1: not known */
  int64_t next;      /* where the next file begins, behind the bytes of a tar that is not packed; 0: nobody knows */
};

enum mg_peek {
  MG_PEEK_PROOF,
  MG_PEEK_NOTHING,
  MG_PEEK_UNDECIDED,  /* more bytes may tell */
  MG_PEEK_UNREADABLE, /* no tar in it */
};

/* The first bytes of a layer: gzip (several members too), zstd or plain tar, whatever its media type says; `whole`: there are no
 * more. */
enum mg_peek mg_weights_peek(struct mg_arena *arena, mg_str bytes, bool whole, struct mg_finding_in_layer *ret);

/* The table of contents of a zstd:chunked (JSON) or eStargz (tar of stargz.index.json) layer, decompressed or not. `digest`: of
 * the JSON; "": not checked. */
enum mg_peek mg_weights_toc(struct mg_arena *arena, mg_str bytes, mg_str digest, struct mg_finding_in_layer *ret);
/* The last bytes of an eStargz layer: where its table of contents begins. */
#define MG_STARGZ_FOOTER 51
bool mg_weights_footer(mg_str bytes, int64_t *ret_at);

/* A file by its path, size and first bytes (may be none). */
bool mg_weights_file(mg_str path, int64_t size, mg_str head);

/* A history command that copies or downloads weights; *ret_words are the words that say so. */
bool mg_weights_command(struct mg_arena *arena, mg_str command, mg_str *ret_words);

/* Layer and artifact media types of models. */
bool mg_weights_media_type(mg_str media_type);
/* Labels and annotations that only models have. */
bool mg_weights_label(mg_str key);

/* A command as it may be shown: instructions without BuildKit's and the classic builder's noise, no controls, no build
 * argument or token that looks like a secret, at most MG_COMMAND_MAX bytes. */
mg_str mg_weights_clean_command(struct mg_arena *arena, mg_str command);
