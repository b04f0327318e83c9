#include "cluster/kubeconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "doc/yaml.h"

#define ARENA ((size_t)256 << 20)
#define DEPTH 32
#define CELLS 200000
#define NAMES_MAX 400 /* bytes of a message that lists names */

struct file {
  const char *path;
  mg_node root;
};

struct reading {
  struct mg_kubeconfig *to;
  struct file files[MG_KUBECONFIG_FILES];
  size_t count;
};

/* One entry of a list, and the file that it stands in: paths are relative to that. */
struct entry {
  mg_node at;
  const struct file *file;
  mg_str name;
};

void mg_kubeconfig_fini(struct mg_kubeconfig *config) {
  mg_arena_fini(&config->arena);
  *config = (struct mg_kubeconfig){0};
}

/* ---- files ---- */

static void closep(int *fd) {
  if (*fd >= 0) close(*fd);
}

static void wipe_buf(struct mg_buf *buf) {
  if (buf->p) OPENSSL_cleanse(buf->p, buf->cap);
  mg_buf_fini(buf);
}

/* 1: there is no such file, which is told by the caller if it matters. */
static int read_text(struct mg_arena *arena, const char *path, mg_str *ret, struct mg_err *err) {
  __attribute__((cleanup(wipe_buf))) struct mg_buf text;
  __attribute__((cleanup(closep))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  ssize_t n = 1;
  mg_buf_init(&text, NULL, MG_KUBECONFIG_BYTES + 1);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return 1;
  while (fd >= 0 && n > 0 && text.n <= MG_KUBECONFIG_BYTES) {
    size_t left = MG_KUBECONFIG_BYTES + 1 - text.n, want = left < 65536 ? left : 65536;
    char *to = mg_buf_room(&text, want);
    if (!to) return mg_err_nomem(err);
    n = read(fd, to, want);
    if (n > 0) text.n += (size_t)n;
    if (n < 0 && errno == EINTR) n = 1;
  }
  if (fd < 0 || n < 0) return mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(errno));
  if (text.n > MG_KUBECONFIG_BYTES)
    return mg_err_set(err, MG_E_LIMIT, "%s: larger than %zu MiB", path, MG_KUBECONFIG_BYTES >> 20);
  *ret = mg_arena_dup(arena, mg_buf_str(&text));
  return ret->p ? 0 : mg_err_nomem(err);
}

static int add_file(struct reading *r, const char *path, bool needed, struct mg_err *err) {
  struct mg_read how = {.limits = {MG_KUBECONFIG_BYTES, DEPTH, CELLS}, .file = path, .last_wins = true};
  struct mg_arena *arena = &r->to->arena;
  struct mg_file_doc *docs = NULL;
  mg_str text;
  int code = read_text(arena, path, &text, err);
  if (code > 0) return needed ? mg_err_set(err, MG_E_IO, "%s: %s", path, strerror(ENOENT)) : 0;
  if (code < 0) return code;
  code = mg_yaml_read(&docs, arena, text, &how, err);
  if (code < 0) return mg_err_wrap(err, "%s:%u:%u", path, err->line, err->column);
  if (!docs) return 0; /* empty, as kubectl may leave it */
  if (!mg_is(mg_root(&docs->doc), MG_OBJECT)) return mg_err_set(err, MG_E_INVALID, "%s: no kubeconfig", path);
  if (r->count == MG_KUBECONFIG_FILES) return mg_err_set(err, MG_E_LIMIT, "KUBECONFIG: more than %d files", MG_KUBECONFIG_FILES);
  r->files[r->count++] = (struct file){path, mg_root(&docs->doc)};
  return 0;
}

/* What is not there is left out, as kubectl does. */
static int add_files(struct reading *r, const char *list, struct mg_err *err) {
  mg_str rest = mg_str_of(list);
  int code = 0;
  while (rest.n && code == 0) {
    size_t n = mg_str_find(rest, ':');
    const char *path = mg_arena_dup(&r->to->arena, (mg_str){rest.p, n}).p;
    if (!path) return mg_err_nomem(err);
    if (n) code = add_file(r, path, false, err);
    rest = mg_str_from(rest, n + 1);
  }
  return code;
}

static int find_files(struct reading *r, const char *path, struct mg_err *err) {
  const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
  if (path) return add_file(r, path, true, err);
  if (list && *list) return add_files(r, list, err);
  if (!home || !*home) return 0;
  path = mg_arena_printf(&r->to->arena, "%s/.kube/config", home).p;
  return path ? add_file(r, path, false, err) : mg_err_nomem(err);
}

/* ---- entries ---- */

/* Of several of a name the first one holds. */
static bool find(const struct reading *r, const char *list, const char *what, mg_str name, struct entry *ret) {
  for (size_t i = 0; i < r->count; i++) {
    mg_node items = mg_get(r->files[i].root, mg_str_of(list));
    for (mg_node item = mg_first(mg_as(items, MG_ARRAY)); item.at; item = mg_next(item)) {
      if (!mg_str_eq(mg_string(MG_GET(item, "name")), name)) continue;
      *ret = (struct entry){mg_get(item, mg_str_of(what)), &r->files[i], name};
      return true;
    }
  }
  return false;
}

static mg_str names(const struct reading *r, const char *list) {
  struct mg_buf out;
  mg_buf_init(&out, &r->to->arena, NAMES_MAX);
  for (size_t i = 0; i < r->count; i++) {
    mg_node items = mg_get(r->files[i].root, mg_str_of(list));
    for (mg_node item = mg_first(mg_as(items, MG_ARRAY)); item.at && !out.failed; item = mg_next(item)) {
      if (out.n) mg_buf_lit(&out, ", ");
      mg_buf_clean(&out, mg_string(MG_GET(item, "name")));
    }
  }
  return mg_buf_str(&out);
}

/* A text without a NUL in it; NULL where there is none. */
static int text_of(const struct reading *r, const struct entry *e, const char *key, const char **ret, struct mg_err *err) {
  mg_node value = mg_get(e->at, mg_str_of(key));
  mg_str text = mg_string(value);
  *ret = NULL;
  if (!text.n && !mg_missing(value) && !mg_is(value, MG_STRING))
    return mg_err_set(err, MG_E_INVALID, "%s: %s of \"%.*s\" is no text", e->file->path, key, MG_FMT(e->name));
  if (!text.n) return 0;
  if (memchr(text.p, '\0', text.n)) return mg_err_set(err, MG_E_INVALID, "%s: %s has a NUL in it", e->file->path, key);
  *ret = mg_arena_dup(&r->to->arena, text).p;
  return *ret ? 0 : mg_err_nomem(err);
}

static int path_of(const struct reading *r, const struct entry *e, const char *key, const char **ret, struct mg_err *err) {
  const char *slash = strrchr(e->file->path, '/');
  int code = text_of(r, e, key, ret, err);
  if (code < 0 || !*ret || **ret == '/' || !slash) return code;
  *ret = mg_arena_printf(&r->to->arena, "%.*s/%s", (int)(slash - e->file->path), e->file->path, *ret).p;
  return *ret ? 0 : mg_err_nomem(err);
}

/* Base64, folded or not. */
static int data_of(const struct reading *r, const struct entry *e, const char *key, mg_str *ret, struct mg_err *err) {
  const char *given;
  int code = text_of(r, e, key, &given, err);
  if (code < 0 || !given) return code;
  size_t n = 0, padding = 0, room = strlen(given) + 4;
  unsigned char *text = mg_arena_alloc(&r->to->arena, room), *bytes = mg_arena_alloc(&r->to->arena, room);
  if (!text || !bytes) return mg_err_nomem(err);
  for (; *given; given++)
    if (!strchr(" \r\n", *given)) text[n++] = (unsigned char)*given;
  while (padding < 2 && padding < n && text[n - 1 - padding] == '=') padding++;
  int got = EVP_DecodeBlock(bytes, text, (int)n);
  if (got < 0 || (size_t)got <= padding)
    return mg_err_set(err, MG_E_INVALID, "%s: %s of \"%.*s\" is no base64", e->file->path, key, MG_FMT(e->name));
  *ret = (mg_str){(const char *)bytes, (size_t)got - padding};
  return 0;
}

/* ---- what it means ---- */

struct refusal {
  const char *key, *hint;
};

static bool is_off(mg_node value) {
  return mg_missing(value) || (mg_is(value, MG_BOOL) && !mg_true(value)) || (mg_is(value, MG_STRING) && !mg_string(value).n);
}

/* Left out, these would ask somebody else, or as somebody else, than kubectl does. */
static int refuse(const struct entry *e, const struct refusal *refusals, size_t count, struct mg_err *err) {
  for (size_t i = 0; i < count; i++) {
    if (is_off(mg_get(e->at, mg_str_of(refusals[i].key)))) continue;
    return mg_err_set(err, MG_E_USAGE, "%s: \"%.*s\" has %s: %s", e->file->path, MG_FMT(e->name), refusals[i].key,
                      refusals[i].hint);
  }
  return 0;
}

static int take_cluster(const struct reading *r, const struct entry *e, struct mg_err *err) {
  static const struct refusal refusals[] = {
      {"insecure-skip-tls-verify", "the token would go to whoever answers; name its certificate-authority instead"},
  };
  struct mg_api_options *api = &r->to->api;
  api->loopback = true;
  int code = refuse(e, refusals, sizeof refusals / sizeof *refusals, err);
  if (code == 0) code = text_of(r, e, "server", &api->server, err);
  if (code == 0) code = text_of(r, e, "tls-server-name", &api->server_name, err);
  if (code == 0) code = text_of(r, e, "proxy-url", &api->proxy, err);
  if (code == 0) code = path_of(r, e, "certificate-authority", &api->ca_file, err);
  if (code == 0) code = data_of(r, e, "certificate-authority-data", &api->ca_data, err);
  if (code == 0 && !api->server)
    code = mg_err_set(err, MG_E_INVALID, "%s: cluster \"%.*s\" has no server", e->file->path, MG_FMT(e->name));
  return code;
}

#define TOKEN_HINT "no program is run for a credential; `kubectl create token` makes one for the user's token or tokenFile"

static int take_user(const struct reading *r, const struct entry *e, struct mg_err *err) {
  static const struct refusal refusals[] = {
      {"exec", TOKEN_HINT},
      {"auth-provider", TOKEN_HINT},
      {"as", "nobody is impersonated; name a user who may read by itself"},
      {"username", "the API server takes no passwords any more; give it a token or a client certificate"},
  };
  struct mg_api_options *api = &r->to->api;
  int code = refuse(e, refusals, sizeof refusals / sizeof *refusals, err);
  if (code == 0) code = text_of(r, e, "token", &api->token, err);
  if (code == 0) code = path_of(r, e, "tokenFile", &api->token_file, err);
  if (code == 0) code = path_of(r, e, "client-certificate", &api->cert_file, err);
  if (code == 0) code = data_of(r, e, "client-certificate-data", &api->cert_data, err);
  if (code == 0) code = path_of(r, e, "client-key", &api->key_file, err);
  if (code == 0) code = data_of(r, e, "client-key-data", &api->key_data, err);
  if (api->token_file) api->token = NULL; /* the file is read again when the token ends */
  return code;
}

static int check_proxy(const char *proxy, struct mg_err *err) {
  static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
  for (size_t i = 0; proxy && i < sizeof schemes / sizeof *schemes; i++)
    if (mg_str_starts(mg_str_of(proxy), mg_str_of(schemes[i]))) return 0;
  return proxy ? mg_err_set(err, MG_E_INVALID, "proxy-url is none of http://, https://, socks5://") : 0;
}

static mg_str current(const struct reading *r) {
  mg_str name = {0};
  for (size_t i = 0; i < r->count && !name.n; i++) name = mg_string(MG_GET(r->files[i].root, "current-context"));
  return name;
}

static int take_context(struct reading *r, mg_str name, struct mg_err *err) {
  struct entry context, cluster, user;
  if (!name.n)
    return mg_err_set(err, MG_E_USAGE, "no context is current; --kube-context takes one of: %.*s", MG_FMT(names(r, "contexts")));
  if (!find(r, "contexts", "context", name, &context))
    return mg_err_set(err, MG_E_USAGE, "there is no context \"%.*s\"; there are: %.*s", MG_FMT(name),
                      MG_FMT(names(r, "contexts")));
  r->to->context = mg_arena_dup(&r->to->arena, name).p;
  if (!r->to->context) return mg_err_nomem(err);
  mg_str its_cluster = mg_string(MG_GET(context.at, "cluster")), its_user = mg_string(MG_GET(context.at, "user"));
  if (!find(r, "clusters", "cluster", its_cluster, &cluster))
    return mg_err_set(err, MG_E_INVALID, "context \"%.*s\": there is no cluster \"%.*s\"", MG_FMT(name), MG_FMT(its_cluster));
  if (its_user.n && !find(r, "users", "user", its_user, &user))
    return mg_err_set(err, MG_E_INVALID, "context \"%.*s\": there is no user \"%.*s\"", MG_FMT(name), MG_FMT(its_user));
  int code = take_cluster(r, &cluster, err);
  if (code == 0 && its_user.n) code = take_user(r, &user, err);
  return code < 0 ? code : check_proxy(r->to->api.proxy, err);
}

int mg_kubeconfig_read(struct mg_kubeconfig *ret, const char *path, const char *context, struct mg_err *err) {
  struct reading r = {.to = ret};
  *ret = (struct mg_kubeconfig){0};
  mg_arena_init(&ret->arena, ARENA, 0);
  int code = find_files(&r, path, err);
  if (code < 0) return code;
  if (r.count) return take_context(&r, context ? mg_str_of(context) : current(&r), err);
  if (path) return mg_err_set(err, MG_E_INVALID, "%s: empty", path);
  if (context) return mg_err_set(err, MG_E_USAGE, "--kube-context: there is no kubeconfig");
  const char *host = getenv("KUBERNETES_SERVICE_HOST");
  if (!host || !*host)
    return mg_err_set(err, MG_E_USAGE, "there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config), and this is no pod");
  return 0;
}
