#include "registry/target.h"

#include <curl/curl.h>
#include <stdio.h>

static bool part(CURLU *url, CURLUPart what, char *to, size_t room) {
  char *text = NULL;
  if (curl_url_get(url, what, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return false;
  int n = snprintf(to, room, "%s", text);
  curl_free(text);
  return n > 0 && (size_t)n < room;
}

static bool read_parts(CURLU *u, struct mg_target *ret) {
  char scheme[8], port[8];
  if (!part(u, CURLUPART_SCHEME, scheme, sizeof scheme) || !part(u, CURLUPART_HOST, ret->host, sizeof ret->host) ||
      !part(u, CURLUPART_PORT, port, sizeof port))
    return false;
  char *text = NULL;
  if (curl_url_get(u, CURLUPART_USER, &text, 0) == CURLUE_OK) {
    curl_free(text);
    return false;
  }
  for (char *c = ret->host; *c; c++)
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 32);
  ret->plain = strcmp(scheme, "http") == 0;
  int n = snprintf(ret->where, sizeof ret->where, "%s:%s", ret->host, port);
  return n > 0 && (size_t)n < sizeof ret->where && (ret->plain || strcmp(scheme, "https") == 0);
}

bool mg_target_read(const char *url, struct mg_target *ret) {
  CURLU *u = curl_url();
  bool good = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && read_parts(u, ret);
  curl_url_cleanup(u);
  return good;
}
