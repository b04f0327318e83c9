/* A kubeconfig. What is taken from it is fit to be used, named or current; two files that say the same say what one says. */
#include <stdlib.h>
#include <string.h>

#include "cluster/kubeconfig.h"
#include "fuzz.h"

static bool same_text(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_same(const struct mg_kubeconfig *a, const struct mg_kubeconfig *b) {
  const struct mg_api_options *x = &a->api, *y = &b->api;
  bool same = same_text(a->context, b->context) && same_text(x->server, y->server) && same_text(x->token, y->token) &&
              same_text(x->proxy, y->proxy) && same_text(x->server_name, y->server_name) && mg_str_eq(x->ca_data, y->ca_data) &&
              mg_str_eq(x->cert_data, y->cert_data) && mg_str_eq(x->key_data, y->key_data);
  same = same && !x->token_file == !y->token_file && !x->ca_file == !y->ca_file && !x->cert_file == !y->cert_file;
  FUZZ_CHECK(same, "asked for in another way, it says something else");
}

static int read(struct mg_kubeconfig *ret, const char *path, const char *context) {
  struct mg_err err = {0};
  int code = mg_kubeconfig_read(ret, path, context, &err);
  FUZZ_CHECK(code <= 0 && (code == 0) == !err.text[0], "code %d: %s", code, err.text);
  fuzz_check_clean(mg_str_of(err.text), "an error");
  return code;
}

/* Nothing in the clear that could leave this host. */
static bool is_fit(const char *server) {
  if (strncmp(server, "https://", 8) == 0) return true;
  if (strncmp(server, "http://", 7) != 0) return false;
  const char *host = server + 7;
  size_t literal = strncmp(host, "[::1]", 5) == 0 ? 5 : 0, n = literal + strcspn(host + literal, ":/");
  bool address = n > 4 && strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
  return address || (literal && n == literal) || (n == 9 && strncmp(host, "localhost", n) == 0);
}

static void check_use(const struct mg_kubeconfig *config) {
  const struct mg_api_options *api = &config->api;
  struct mg_api_place place;
  struct mg_err err = {0};
  FUZZ_CHECK(config->context, "a kubeconfig without a context");
  FUZZ_CHECK(!(api->token && api->token_file), "two tokens");
  int code = mg_api_find(api, &place, &err);
  fuzz_check_clean(mg_str_of(err.text), "an error");
  if (code == 0) FUZZ_CHECK(is_fit(place.server), "the server %s", place.server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_str text = {(const char *)data, size};
  struct mg_kubeconfig one, named, two;
  char list[80];
  const char *path = fuzz_file(0, text), *other = fuzz_file(1, text);
  unsetenv("KUBERNETES_SERVICE_HOST");
  int code = read(&one, path, NULL);
  if (code == 0) {
    check_use(&one);
    FUZZ_CHECK(read(&named, path, one.context) == 0, "named, it is not found");
    check_same(&one, &named);
    mg_kubeconfig_fini(&named);
    snprintf(list, sizeof list, "/nowhere:%s::%s", path, other);
    setenv("KUBECONFIG", list, 1);
    FUZZ_CHECK(read(&two, NULL, NULL) == 0, "twice, it cannot be read");
    check_same(&one, &two);
    mg_kubeconfig_fini(&two);
  }
  mg_kubeconfig_fini(&one);
  return 0;
}
