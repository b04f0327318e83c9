#include "app/exceptions.h"

#include "base/when.h"

void mg_exceptions_note(const struct mg_snapshot *snapshot, const struct mg_verdict *verdict, bool *matched) {
  for (uint32_t i = 0; verdict->exempting && i < mg_snapshot_exception_count(snapshot); i++) matched[i] |= verdict->exempting[i];
}

static mg_str expires_text(const struct mg_exception *e, char room[MG_WHEN_ROOM]) {
  mg_str given = mg_string(MG_GET(MG_GET(e->at, "spec"), "expires"));
  return given.n ? given : mg_str_of(mg_when_text(e->expires, room));
}

void mg_exceptions_report(struct mg_report *report, const struct mg_snapshot *snapshot, const bool *matched, int64_t now) {
  for (uint32_t i = 0; i < mg_snapshot_exception_count(snapshot); i++) {
    const struct mg_exception *e = mg_snapshot_exception(snapshot, i);
    struct mg_report_exception line = {.name = e->name, .state = mg_exception_state(e, now)};
    char room[MG_WHEN_ROOM];
    if (line.state == MG_EXCEPTION_ACTIVE && !matched[i]) continue;
    line.expires = expires_text(e, room);
    mg_pos(e->at, &line.pos);
    mg_report_exception(report, &line);
  }
}
