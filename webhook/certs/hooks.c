#include "certs/hooks.h"

#include <stdio.h>

#include "base/clock.h"
#include "kube/name.h"

static const struct kind {
  const char *prefix, *resource;
} kinds[] = {{"mutating/", "mutatingwebhookconfigurations"}, {"validating/", "validatingwebhookconfigurations"}};
#define KINDS (sizeof kinds / sizeof *kinds)

/* Sets the caBundle of each webhook; *ret_changed: of one at least. */
static int set_bundle(json_t *configuration, const struct mg_blob *bundle, bool *ret_changed, struct mg_err *err) {
  MG_JSON_AUTO wanted = json_object();
  size_t i;
  json_t *hook;
  *ret_changed = false;
  int code = wanted ? mg_base64_set(wanted, "caBundle", bundle, err) : mg_err_nomem(err);
  if (code < 0) return code;
  json_t *text = json_object_get(wanted, "caBundle");
  json_array_foreach(json_object_get(configuration, "webhooks"), i, hook) {
    json_t *client = json_object_get(hook, "clientConfig");
    if (!json_is_object(client) || json_equal(json_object_get(client, "caBundle"), text)) continue;
    *ret_changed = true;
    if (json_object_set(client, "caBundle", text) != 0) return mg_err_nomem(err);
  }
  return 0;
}

/* ca.crt as it is now, whatever a store has read before. */
static int read_bundle(const struct mg_certs_place *place, struct mg_blob *ret, struct mg_err *err) {
  char name[MG_STORE_NAME];
  MG_STORE_AUTO store = MG_STORE_READ(place);
  MG_ENTRIES_AUTO entries = {0};
  int code = mg_store_load(&store, &entries, err);
  if (code < 0) return code;
  const struct mg_blob *bundle = &entries.of[MG_CA_CRT];
  if (!bundle->n) return mg_err_set(err, MG_E_INVALID, "%s has no ca.crt any more", mg_store_name(place, name));
  return mg_blob_dup(bundle->p, bundle->n, ret, err);
}

/* The configuration is read first and ca.crt second. Were it the other way round, a bundle that is out of date by then could be
 * written over a newer one, with the resourceVersion that came with that one. */
static int try_one(const struct mg_certs_place *place, const char *path, bool *ret_found, bool *ret_lost, unsigned *patched,
                   struct mg_err *err) {
  __attribute__((cleanup(mg_blob_fini))) struct mg_blob bundle = {0};
  MG_JSON_AUTO configuration = NULL;
  bool changed = false;
  int status = 0;
  *ret_lost = false;
  int code = mg_api_object(place->api, "GET", path, NULL, &status, &configuration, err);
  *ret_found = configuration != NULL;
  if (code < 0 || !configuration) return code;
  if (!json_is_string(json_object_get(json_object_get(configuration, "metadata"), "resourceVersion")))
    return mg_err_set(err, MG_E_INVALID, "GET %s: no resourceVersion", path);
  code = read_bundle(place, &bundle, err);
  if (code == 0) code = set_bundle(configuration, &bundle, &changed, err);
  if (code < 0 || !changed) return code;
  code = mg_api_object(place->api, "PUT", path, configuration, &status, NULL, err);
  if (code < 0) return code;
  *ret_lost = status == 409 || status == 404;
  if (!*ret_lost) ++*patched;
  return 0;
}

static int follow_one(const struct mg_certs_place *place, const char *kind, const char *name, bool *ret_found, unsigned *patched,
                      struct mg_err *err) {
  char path[MG_API_PATH_MAX];
  (void)snprintf(path, sizeof path, "/apis/admissionregistration.k8s.io/v1/%s/%.253s", kind, name);
  for (unsigned tries = 0; tries < MG_STORE_TRIES; tries++) {
    bool lost;
    int code = try_one(place, path, ret_found, &lost, patched, err);
    if (code < 0 || !lost) return code;
    mg_store_pause(tries);
  }
  return mg_err_set(err, MG_E_IO, "PUT %s: others changed it %d times in between", path, MG_STORE_TRIES);
}

/* Only the kind that is named before the name, and else both. */
static int follow(const struct mg_certs_place *place, const char *hook, bool *ret_found, unsigned *patched, struct mg_err *err) {
  const char *name = hook;
  size_t first = 0, end = KINDS;
  for (size_t i = 0; i < KINDS; i++) {
    if (!mg_str_starts(mg_str_of(hook), mg_str_of(kinds[i].prefix))) continue;
    name = hook + strlen(kinds[i].prefix);
    first = i;
    end = i + 1;
  }
  if (!mg_name_is_dns_subdomain(mg_str_of(name)))
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\" is not the name of a webhook configuration", hook);
  for (size_t i = first; i < end; i++) {
    bool found = false;
    int code = follow_one(place, kinds[i].resource, name, &found, patched, err);
    if (code < 0) return code;
    *ret_found = *ret_found || found;
  }
  return 0;
}

int mg_hooks_follow(const struct mg_certs_place *place, unsigned *patched, struct mg_err *err) {
  int64_t end = mg_clock_ms() + place->wait * 1000;
  for (size_t i = 0; i < place->n_hooks; i++) {
    bool found = false;
    int code = follow(place, place->hooks[i], &found, patched, err);
    while (code == 0 && !found && mg_clock_ms() < end) {
      mg_store_pause(MG_STORE_TRIES);
      code = follow(place, place->hooks[i], &found, patched, err);
    }
    if (code < 0) return code;
    if (!found)
      return mg_err_set(err, MG_E_INVALID, "there is no webhook configuration %.253s%s", place->hooks[i],
                        strchr(place->hooks[i], '/') ? "" : ", mutating or validating");
  }
  return 0;
}
