/* What `mlgate image` prints of one image. */
#pragma once
#include "base/buf.h"
#include "policy/policy.h"

struct mg_image_report {
  mg_str reference, normalised;
  enum mg_image_answer answer;
  mg_str why; /* where it is not known */
  const struct mg_image_facts *facts;
  const mg_str *bases;
  const struct mg_image_facts *base_facts[32];
  uint32_t base_count;
  struct mg_verdict verdict; /* of a pod with this image alone; only what imageSize says is shown */
};

void mg_image_report_text(struct mg_buf *out, struct mg_arena *arena, const struct mg_image_report *report);
/* One line; sizes are bytes, -1 where they are not known. */
void mg_image_report_json(struct mg_buf *out, const struct mg_image_report *report);
/* imageSize denies it. */
bool mg_image_report_denied(const struct mg_image_report *report);
