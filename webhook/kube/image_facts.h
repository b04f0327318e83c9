/* What a registry says of an image, and who can be asked for it. Facts are immutable and shared: they are of a digest, not of
 * a policy; which of them matter (bases, limits) is for rules to say. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define MG_LAYERS_MAX 256    /* of one platform; more is malformed */
#define MG_PLATFORMS_MAX 4   /* children of an index that are looked at */
#define MG_COMMAND_MAX 160   /* bytes of a history command that are kept, cleaned and without what looks like a secret */

/* Why bytes are taken for model weights. */
enum mg_proof {
  MG_PROOF_NONE,
  MG_PROOF_MEDIA_TYPE, /* the layer or the artifact says that it is a model */
  MG_PROOF_HISTORY,    /* the command that made the layer names weights or downloads them */
  MG_PROOF_FILE,       /* the first bytes of the layer, or its table of contents, have the file */
  MG_PROOF_LABEL,      /* labels or annotations of the image say so */
};

struct mg_layer_fact {
  mg_str digest, diff_id, media_type;
  int64_t size;          /* as the manifest claims it */
  mg_str command;        /* the Dockerfile line as far as the history tells; "" where it does not align */
  enum mg_proof proof;
  mg_str what;           /* the file (cleaned), the words of the command, or the media type */
  int64_t file_size;     /* of that file; -1: not known */
  bool looked_into;      /* its first bytes were read, and what they show is above */
  int64_t held;          /* bytes that the registry has of it, where they are fewer than `size`; 0: as many, or nobody says so */
  mg_str unread;         /* why they were not, though they were wanted; "": they were, or nobody wanted them */
};

struct mg_platform_fact {
  mg_str platform;       /* "linux/amd64" */
  mg_str unknown;        /* why nothing more is known of it; "": it is known */
  mg_str digest;         /* of the manifest */
  struct mg_layer_fact *layers;
  uint32_t layer_count;
  int64_t total;         /* config and every distinct layer, compressed; -1 where a size is malformed */
  mg_str malformed;      /* what is wrong with the manifest; "": nothing */
  mg_str artifact;       /* the media type that makes it something no container can run; "": an image */
  enum mg_proof proof;   /* of the image as a whole: history that aligns with no layer, labels */
  mg_str what;
};

struct mg_image_facts {
  mg_str digest;         /* of what the reference names: an index, or the one manifest */
  struct mg_platform_fact *platforms;
  uint32_t platform_count;
};

/* What a rule wants to know. Strings are borrowed for the call. */
struct mg_image_query {
  mg_str reference;         /* normalised: kube/image.h */
  mg_str platform;          /* that the pod can only run on, such as "linux/arm64"; "": not known */
  int64_t evidence_size;    /* layers of at least that size are looked into, unless a base has them */
  const mg_str *bases;      /* normalised references */
  uint32_t base_count;
  mg_str ns;                /* of the pod */
  const mg_str *secrets;    /* its imagePullSecrets */
  uint32_t secret_count;
  mg_str account;           /* whose imagePullSecrets it will get, where it names none; "": nobody's */
};

enum mg_image_answer {
  MG_IMAGE_KNOWN,   /* *ret_facts; and ret_bases, by number: facts, or NULL where a base cannot be had */
  MG_IMAGE_WAIT,    /* not yet: the answer to the whole review will be asked for again */
  MG_IMAGE_UNKNOWN, /* *ret_why: for people, without a secret */
};

/* Who can be asked. Everything that comes back lives as long as the review. */
struct mg_images {
  void *ctx;
  enum mg_image_answer (*ask)(void *ctx, const struct mg_image_query *query, const struct mg_image_facts **ret_facts,
                              const struct mg_image_facts **ret_bases, mg_str *ret_why);
};
