#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "certs/store.h"
#include "kube/name.h"

#define ENTRY_MAX MG_PEM_MAX

/* Base64 to bytes; EVP_DecodeBlock counts the padding as bytes. */
static int decode(const char *name, const char *text, struct mg_blob *ret, struct mg_err *err) {
  size_t n = strlen(text), pad = 0;
  if (n > ENTRY_MAX / 3 * 4) return mg_err_set(err, MG_E_LIMIT, "%s is larger than %u bytes", name, ENTRY_MAX);
  while (pad < 2 && pad < n && text[n - 1 - pad] == '=') pad++;
  if (n % 4) return mg_err_set(err, MG_E_INVALID, "%s is not base64", name);
  mg_blob_fini(ret);
  if (n == 0) return 0;
  unsigned char *bytes = calloc(1, n / 4 * 3 + 1);
  if (!bytes) return mg_err_nomem(err);
  int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
  if (got < (int)pad) {
    OPENSSL_cleanse(bytes, n / 4 * 3);
    free(bytes);
    return mg_err_set(err, MG_E_INVALID, "%s is not base64", name);
  }
  size_t size = (size_t)got - pad;
  bytes[size] = 0;
  *ret = (struct mg_blob){(char *)bytes, size};
  return 0;
}

int mg_base64_set(json_t *object, const char *key, const struct mg_blob *value, struct mg_err *err) {
  size_t size = (value->n + 2) / 3 * 4 + 1;
  unsigned char *text = malloc(size);
  if (!text) return mg_err_nomem(err);
  int n = EVP_EncodeBlock(text, (const unsigned char *)value->p, (int)value->n);
  int failed = json_object_set_new(object, key, json_stringn((const char *)text, (size_t)n));
  OPENSSL_cleanse(text, size);
  free(text);
  return failed ? mg_err_nomem(err) : 0;
}

static int path_of(const struct mg_certs_place *place, bool all, char path[MG_API_PATH_MAX], struct mg_err *err) {
  if (!mg_name_is_dns_label(mg_str_of(place->ns)) || !mg_name_is_dns_subdomain(mg_str_of(place->secret)))
    return mg_err_set(err, MG_E_USAGE, "\"%.100s/%.100s\" is not the name of a Secret: NAMESPACE/NAME", place->ns, place->secret);
  (void)snprintf(path, MG_API_PATH_MAX, "/api/v1/namespaces/%s/secrets%s%s", place->ns, all ? "" : "/", all ? "" : place->secret);
  return 0;
}

static int load_data(const json_t *data, struct mg_entries *ret, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < MG_ENTRIES && code == 0; i++) {
    const char *text = json_string_value(json_object_get(data, mg_entry_names[i]));
    code = decode(mg_entry_names[i], text ? text : "", &ret->of[i], err);
  }
  return code;
}

int mg_secret_load(struct mg_store *store, struct mg_entries *ret, struct mg_err *err) {
  char path[MG_API_PATH_MAX], name[MG_STORE_NAME];
  int status = 0;
  int code = path_of(store->place, false, path, err);
  json_decref(store->object);
  store->object = NULL;
  if (code == 0) code = mg_api_object(store->place->api, "GET", path, NULL, &status, &store->object, err);
  if (code < 0) return code;
  if (status == 409) return mg_err_set(err, MG_E_IO, "GET %s: status 409", path);
  const char *version = json_string_value(json_object_get(json_object_get(store->object, "metadata"), "resourceVersion"));
  if (store->object && (!version || !*version)) /* an update without it would overwrite what others write */
    return mg_err_set(err, MG_E_INVALID, "GET %s: no resourceVersion", path);
  code = load_data(json_object_get(store->object, "data"), ret, err);
  return code < 0 ? mg_err_wrap(err, "%s", mg_store_name(store->place, name)) : 0;
}

static json_t *new_secret(const struct mg_certs_place *place) {
  return json_pack("{s:s,s:s,s:{s:s,s:s,s:{s:s}},s:s}", "apiVersion", "v1", "kind", "Secret", "metadata", "name", place->secret,
                   "namespace", place->ns, "labels", "app.kubernetes.io/managed-by", "mlgate", "type", "kubernetes.io/tls");
}

/* Keys of others stay as they are. */
static int fill(json_t *secret, const struct mg_entries *new, struct mg_err *err) {
  json_t *data = json_object_get(secret, "data");
  if (!json_is_object(data)) {
    if (json_object_set_new(secret, "data", json_object()) != 0) return mg_err_nomem(err);
    data = json_object_get(secret, "data");
  }
  int code = 0;
  for (size_t i = 0; i < MG_ENTRIES && code == 0; i++) {
    if (new->of[i].n) code = mg_base64_set(data, mg_entry_names[i], &new->of[i], err);
    else json_object_del(data, mg_entry_names[i]);
  }
  return code;
}

int mg_secret_save(struct mg_store *store, const struct mg_entries *new, bool *ret_lost, struct mg_err *err) {
  char path[MG_API_PATH_MAX];
  bool create = !store->object;
  int status = 0;
  MG_JSON_AUTO secret = create ? new_secret(store->place) : json_deep_copy(store->object);
  int code = secret ? fill(secret, new, err) : mg_err_nomem(err);
  if (code == 0) code = path_of(store->place, create, path, err);
  if (code == 0) code = mg_api_object(store->place->api, create ? "POST" : "PUT", path, secret, &status, NULL, err);
  if (code < 0) return code;
  if (status == 404 && create) return mg_err_set(err, MG_E_IO, "there is no namespace %s", store->place->ns);
  *ret_lost = status == 409 || status == 404; /* 404: deleted since it was read */
  return 0;
}
