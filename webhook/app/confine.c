#include "app/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/images.h"
#include "app/inputs.h"
#include "cluster/api.h"

#define FILES_ARENA ((size_t)64 << 20)
#define HTTPS_PORT 443
#define NAME_SERVERS "/etc/resolv.conf"
#define DNS_PORT 53 /* for what is too long for a datagram */

/* Libraries are still loaded when a thread ends, by the resolver and for what a crash prints. */
static const char *const always[] = {"/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/dev/null",
                                     "/dev/urandom", "/sys/devices/system/cpu", "/sys/fs/cgroup", NULL};
/* What names of hosts and public authorities are known by. */
static const char *const to_connect[] = {
    NAME_SERVERS, "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/ssl/certs",
    "/etc/ssl/cert.pem", "/etc/pki/tls", "/etc/pki/ca-trust", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
    NULL,
};

typedef int per_file(struct mg_sandbox *s, const char *path, struct mg_err *err);

static bool is_directory(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static bool is_link(const char *path) {
  struct stat s;
  return lstat(path, &s) == 0 && S_ISLNK(s.st_mode);
}

static int read_all(struct mg_sandbox *s, const char *const *paths, struct mg_err *err) {
  int code = 0;
  for (; *paths && code == 0; paths++) code = mg_sandbox_read(s, *paths, err);
  return code;
}

/* Who finds the name servers out may put another file where the link of /etc leads; /etc itself is not read. */
static int read_name_servers(struct mg_sandbox *s, struct mg_err *err) {
  char real[PATH_MAX];
  if (!is_link(NAME_SERVERS) || !realpath(NAME_SERVERS, real)) return 0;
  return mg_sandbox_read_around(s, real, err);
}

/* Files that are links to elsewhere; those of a volume stay within it and are no news. */
static int read_links(struct mg_sandbox *s, const char *dir, struct mg_err *err) {
  struct mg_arena arena;
  struct mg_inputs inputs = {.arena = &arena, .policies = true};
  mg_arena_init(&arena, FILES_ARENA, 0);
  int code = mg_inputs_add(&inputs, dir, err);
  for (size_t i = 0; i < inputs.count && code == 0; i++)
    if (is_link(inputs.items[i].path)) code = mg_sandbox_read_around(s, inputs.items[i].path, err);
  mg_arena_fini(&arena);
  return code;
}

static int read_policies(struct mg_sandbox *s, const struct mg_strings *paths, struct mg_err *err) {
  int code = 0;
  for (size_t i = 0; i < paths->count && code == 0; i++) {
    const char *path = paths->items[i];
    bool directory = is_directory(path);
    if (directory) code = mg_sandbox_read(s, path, err);
    if (directory && code == 0) code = read_links(s, path, err);
    /* Another directory may take the place of a link. */
    if (code == 0 && (!directory || is_link(path))) code = mg_sandbox_read_around(s, path, err);
  }
  return code;
}

/* Calls for each file that has one name and must stay readable. */
static int each_file(const struct mg_confine_needs *needs, per_file *call, struct mg_sandbox *s, struct mg_err *err) {
  static const char *const account[] = {MG_API_ACCOUNT "/token", MG_API_ACCOUNT "/ca.crt"};
  const struct mg_credentials_files *c = needs->credentials;
  const struct mg_api_options *api = needs->api;
  bool pod = api && !api->server;
  const char *const paths[] = {c->cert, c->key, c->client_ca, api && api->token_file ? api->token_file : pod ? account[0] : NULL,
                               api && api->ca_file ? api->ca_file : pod ? account[1] : NULL, needs->collector_ca};
  int code = 0;
  for (size_t i = 0; i < sizeof paths / sizeof *paths && code == 0; i++)
    if (paths[i]) code = call(s, paths[i], err);
  return code;
}

/* Likewise for those that Registry documents name; their strings have lengths. */
static int each_registry_file(const struct mg_snapshot *snapshot, per_file *call, struct mg_sandbox *s, struct mg_err *err) {
  uint32_t count = 0;
  const struct mg_registry_host *hosts = mg_snapshot_registries(snapshot, &count);
  int code = 0;
  for (uint32_t i = 0; i < 2 * count && code == 0; i++) {
    char path[PATH_MAX];
    mg_str name = i % 2 ? hosts[i / 2].auth_file : hosts[i / 2].ca_file;
    if (!name.n || name.n >= sizeof path) continue;
    memcpy(path, name.p, name.n);
    path[name.n] = '\0';
    code = call(s, path, err);
  }
  return code;
}

/* Of https://HOST[:PORT][/…], or what the kubelet says. */
static uint16_t api_port(const struct mg_api_options *api) {
  const char *text = api->server ? NULL : getenv("KUBERNETES_SERVICE_PORT");
  if (api->server) {
    const char *host = strstr(api->server, "//"), *bracket = host ? strchr(host, ']') : NULL;
    host = bracket ? bracket : host ? host + 2 : api->server;
    const char *colon = strchr(host, ':'), *path = strchr(host, '/');
    text = colon && (!path || colon < path) ? colon + 1 : NULL;
  }
  long port = text ? strtol(text, NULL, 10) : HTTPS_PORT;
  return port > 0 && port <= UINT16_MAX ? (uint16_t)port : HTTPS_PORT;
}

static int add_needs(struct mg_sandbox *s, const struct mg_confine_needs *needs, struct mg_err *err) {
  static const char *usual[] = {MG_POLICIES_USUAL};
  const struct mg_policy_files *files = needs->policies;
  const struct mg_strings without = {usual, is_directory(*usual)};
  int code = read_all(s, always, err);
  if (code == 0 && s->tcp != MG_SANDBOX_NO_TCP) code = read_all(s, to_connect, err);
  if (code == 0 && s->tcp != MG_SANDBOX_NO_TCP) code = read_name_servers(s, err);
  if (code == 0) code = read_policies(s, files->policies.count ? &files->policies : &without, err);
  if (code == 0) code = read_policies(s, &files->context, err);
  if (code == 0) code = each_file(needs, mg_sandbox_read_around, s, err);
  if (code == 0) code = each_registry_file(needs->snapshot, mg_sandbox_read_around, s, err);
  if (code == 0 && needs->api) code = mg_sandbox_port(s, api_port(needs->api), err);
  if (code == 0 && needs->api) code = mg_sandbox_port(s, DNS_PORT, err);
  return code;
}

/* Of what is not there at all somebody else tells. */
static int still_read(struct mg_sandbox *s, const char *path, struct mg_err *err) {
  (void)s;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0) close(fd);
  else if (errno == EACCES || errno == EPERM) return mg_err_set(err, MG_E_IO, "%s cannot be read inside the sandbox", path);
  return 0;
}

int mg_confine(struct mg_sandbox *s, enum mg_sandbox_want want, const struct mg_confine_needs *needs, struct mg_err *err) {
  const struct mg_strings *policies = &needs->policies->policies;
  enum mg_sandbox_tcp tcp = needs->api ? MG_SANDBOX_TCP_PORTS : MG_SANDBOX_NO_TCP;
  /* By default policies that come later may be the first that ask registries: who requires the sandbox starts anew for those. */
  if (want != MG_SANDBOX_REQUIRE || mg_images_needed(needs->snapshot) || needs->collector) tcp = MG_SANDBOX_ANY_TCP;
  int code = mg_sandbox_begin(s, want, tcp, err);
  if (code == 0 && s->ruleset >= 0) code = add_needs(s, needs, err);
  if (code == 0 && needs->cache_dir) code = mg_sandbox_write(s, needs->cache_dir, err);
  if (code == 0) code = mg_sandbox_enter(s, err);
  if (code < 0 || !atomic_load(&s->entered)) return code;
  for (size_t i = 0; i < policies->count && code == 0; i++) code = still_read(s, policies->items[i], err);
  return code < 0 ? code : each_file(needs, still_read, s, err);
}

int mg_confine_fits(const struct mg_sandbox *s, const struct mg_snapshot *snapshot, struct mg_err *err) {
  if (!atomic_load(&s->entered)) return 0;
  if (s->tcp != MG_SANDBOX_ANY_TCP && mg_images_needed(snapshot))
    return mg_err_set(err, MG_E_INVALID, "imageSize asks registries, and --sandbox=require closed the server to them when it "
                                         "started without: start it anew");
  return each_registry_file(snapshot, still_read, NULL, err);
}
