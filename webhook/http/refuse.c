#include "http/refuse.h"

const struct mg_refusal_row mg_refusal_rows[MG_REFUSE_N] = {
#define R(name, status, reason, label, retry, allow, message) \
  [MG_REFUSE_##name] = {status, retry, reason, label, allow, message},
  MG_REFUSALS(R)
#undef R
};

void mg_refusal_body(enum mg_refusal why, size_t max_body, struct mg_buf *out) {
  const struct mg_refusal_row *row = &mg_refusal_rows[why];
  mg_buf_printf(out,
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"mlgate: %s",
                row->message);
  if (why == MG_REFUSE_TOO_LARGE) {
    mg_buf_printf(out, " (%zu bytes)", max_body);
  }
  mg_buf_printf(out, "\",\"reason\":\"%s\",\"code\":%u}", row->reason, row->status);
}
