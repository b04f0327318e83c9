#include "certs/hooks.h"

#include <stdio.h>

#include "kube/name.h"

static const char *const kinds[] = {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"};
#define KINDS (sizeof kinds / sizeof *kinds)

/* Sets the caBundle of each webhook; *ret_changed: of one at least. */
static int set_bundle(json_t *configuration, const struct mg_blob *bundle, bool *ret_changed, struct mg_err *err) {
  MG_JSON_AUTO wanted = json_object();
  size_t i;
  json_t *hook;
  *ret_changed = false;
  int code = wanted ? mg_base64_set(wanted, "caBundle", bundle, err) : mg_err_set(err, MG_E_NOMEM, "out of memory");
  if (code < 0) return code;
  json_t *text = json_object_get(wanted, "caBundle");
  json_array_foreach(json_object_get(configuration, "webhooks"), i, hook) {
    json_t *client = json_object_get(hook, "clientConfig");
    if (!json_is_object(client) || json_equal(json_object_get(client, "caBundle"), text)) continue;
    *ret_changed = true;
    if (json_object_set(client, "caBundle", text) != 0) return mg_err_set(err, MG_E_NOMEM, "out of memory");
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

static int follow(const struct mg_certs_place *place, const char *name, unsigned *patched, struct mg_err *err) {
  bool any = false;
  if (!mg_name_is_dns_subdomain(mg_str_of(name)))
    return mg_err_set(err, MG_E_USAGE, "\"%.100s\" is not the name of a webhook configuration", name);
  for (size_t i = 0; i < KINDS; i++) {
    bool found = false;
    int code = follow_one(place, kinds[i], name, &found, patched, err);
    if (code < 0) return code;
    any = any || found;
  }
  return any ? 0 : mg_err_set(err, MG_E_INVALID, "there is no webhook configuration %.253s, mutating or validating", name);
}

int mg_hooks_follow(const struct mg_certs_place *place, unsigned *patched, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < place->n_hooks && code == 0; i++) code = follow(place, place->hooks[i], patched, err);
  return code;
}
