/* The same as a Helm chart: the template with Helm's expressions where variables stand, and the variables as values. Every
 * expression ends in toJson, and JSON is YAML of one line, so that no value can become anything but that value. */
#include "app/manifests.h"
#include "doc/json.h"
#include "doc/yaml_write.h"

#define TEXT_MAX ((size_t)1 << 20)
#define NAMESPACE "$.Release.Namespace"
#define SERVICE "$.Values.name " NAMESPACE

/* What a variable is in a chart; one that is not here is the value of its name. */
static const struct variable {
  const char *name, *expression;
  bool optional; /* what it is the value of is left out where it is empty */
  bool list;     /* stands for its items where it is an item itself */
} variables[] = {
    {"namespace", NAMESPACE, false, false},
    {"exemptNamespaces", "(append $.Values.exemptNamespaces " NAMESPACE " | uniq)", false, false},
    {"dnsNames", "(list $.Values.name (printf \"%s.%s\" " SERVICE ") (printf \"%s.%s.svc\" " SERVICE ")"
                 " (printf \"%s.%s.svc.cluster.local\" " SERVICE "))", false, false},
    {"revision", "(printf \"-%d\" $.Release.Revision)", false, false},
    {"validate", "(and $.Values.admission (or $.Values.validatePods $.Values.validateWorkloads))", false, false},
    {"mutate", "(and $.Values.admission (or $.Values.mutatePods $.Values.mutateWorkloads))", false, false},
    {"caBundle", "$.Values.caBundle", true, false},
    {"mountToken", "(or (not (empty $.Values.liveContext)) $.Values.pullSecrets)", false, false},
    {"validatePodsConditions", "$.Values.validatePodsConditions", false, true},
    {"validateWorkloadsConditions", "$.Values.validateWorkloadsConditions", true, false},
    {"mutatePodsConditions", "$.Values.mutatePodsConditions", false, true},
    {"mutateWorkloadsConditions", "$.Values.mutateWorkloadsConditions", true, false},
    {"configmap", "$item.configmap", false, false},
    {"data", "$item.data", true, false},
    {"binaryData", "$item.binaryData", true, false},
    {"class", "$item.class", false, false},
    {"value", "$item.value", false, false},
    {"preemptionPolicy", "$item.preemptionPolicy", true, false},
    {"globalDefault", "$item.globalDefault", true, false},
    {"description", "$item.description", true, false},
};

static const struct value {
  const char *name, *absent, *doc;
} values[] = {
    {"name", "", "Of the Service and of everything else."},
    {"image", "", "Runs `mlgate serve`, and `mlgate certs` for certificates of its own."},
    {"replicas", "", "Servers."},
    {"timeout", "", "Of a review, in seconds, at most 30."},
    {"admission", "true", "Whether the API server asks: false until the servers stand; see README.md."},
    {"selfSigned", "false", "A Job and a CronJob of mlgate make and renew the certificate."},
    {"certManager", "false", "cert-manager does. Neither: tlsSecret is yours, and so is caBundle."},
    {"tlsSecret", "", "Secret with tls.crt and tls.key."},
    {"caBundle", "\"\"", "PEM in base64: who signed a certificate of yours. selfSigned and certManager fill it in."},
    {"serviceMonitor", "false", "For the Prometheus operator."},
    {"servicePort", "", "Of the Service."},
    {"tlsPort", "", "Of the server: reviews."},
    {"plainPort", "", "Of the server: health and metrics."},
    {"grace", "", "Seconds that a server goes on serving after SIGTERM."},
    {"termination", "", "Seconds until it is killed: more than grace and 30, the longest time-out of a webhook."},
    {"kubeNamespaces", "", "Never asked about, nor is the release's own."},
    {"classes", "[]", "PriorityClasses. All from here on follows from the policies: `mlgate manifests --values --policies DIR`."},
    {"configmaps", "", "Policy files, and those of --context."},
    {"policySources", "", "The ConfigMaps of the policies."},
    {"contextSources", "[]", "The ConfigMaps of --context."},
    {"digest", "", "Of all files: others are other Pods."},
    {"liveContext", "[]", "What these policies need to watch in the cluster, of --live-context: rules of a ClusterRole."},
    {"registries", "false", "Whether these policies have images looked up (imageSize): then the servers may open connections."},
    {"pullSecrets", "false", "Whether the servers read the pull secrets of pods, where Roles let them; see README.md."},
    {"validatePods", "[]", "Rules of the webhooks: the kinds that these policies can match."},
    {"validateWorkloads", "[]", NULL},
    {"mutatePods", "[]", NULL},
    {"mutateWorkloads", "[]", NULL},
    {"validatePodsConditions", "[]", "Match conditions, of --match-conditions derived."},
    {"validateWorkloadsConditions", "[]", NULL},
    {"mutatePodsConditions", "[]", NULL},
    {"mutateWorkloadsConditions", "[]", NULL},
};

/* ---- expressions ---- */

static const struct variable *find(mg_str name) {
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    if (mg_str_is(name, variables[i].name)) return &variables[i];
  return NULL;
}

static void put_expression(struct mg_buf *out, mg_str name) {
  const struct variable *v = find(name);
  if (v) mg_buf_put(out, mg_str_of(v->expression));
  else mg_buf_printf(out, "$.Values.%.*s", MG_FMT(name));
}

/* The next variable of a string; false where there is none any more. */
static bool next_variable(mg_str *text, mg_str *ret_before, mg_str *ret_name) {
  size_t dollar = 0;
  while (dollar < text->n && !mg_manifests_reference(mg_str_from(*text, dollar), ret_name)) dollar++;
  *ret_before = (mg_str){text->p, dollar};
  if (dollar == text->n) return false;
  *text = mg_str_from(*text, dollar + ret_name->n + 3);
  return true;
}

/* A string: itself, a value, or text with values in it. */
static void put_string(struct mg_buf *out, mg_str text) {
  MG_BUF_AUTO format;
  MG_BUF_AUTO arguments;
  mg_str rest = text, before, name;
  size_t count = 0;
  mg_buf_init(&format, NULL, TEXT_MAX);
  mg_buf_init(&arguments, NULL, TEXT_MAX);
  for (bool more = true; more; count += more) {
    more = next_variable(&rest, &before, &name);
    mg_buf_put(&format, before);
    if (!more) break;
    mg_buf_lit(&format, "%v");
    mg_buf_byte(&arguments, ' ');
    put_expression(&arguments, name);
  }
  bool whole = count == 1 && format.n == 2;
  if (!count) mg_buf_json(out, text);
  else mg_buf_lit(out, "{{ ");
  if (whole) mg_buf_put(out, mg_str_from(mg_buf_str(&arguments), 1));
  if (count && !whole) mg_buf_printf(out, "printf \"%.*s\"%.*s", MG_FMT(mg_buf_str(&format)), MG_FMT(mg_buf_str(&arguments)));
  if (count) mg_buf_lit(out, " | toJson }}");
  out->failed = out->failed || format.failed || arguments.failed;
}

/* The variable without which the node is left out. */
static mg_str condition_of(mg_node n) {
  mg_str rest = mg_string(n), before, name;
  if (mg_is(n, MG_OBJECT)) return mg_string(MG_GET(n, "when"));
  while (rest.n && next_variable(&rest, &before, &name))
    if (find(name) && find(name)->optional) return name;
  return (mg_str){0};
}

/* ---- the template ---- */

static void put_if(struct mg_buf *out, mg_str variable) {
  mg_buf_lit(out, "{{- if ");
  put_expression(out, variable);
  mg_buf_lit(out, " }}\n");
}

static void put_value(struct mg_buf *out, mg_node n, int indent);

static void put_members(struct mg_buf *out, mg_node object, int indent) {
  for (mg_node key = mg_first(object); key.at; key = mg_next(key)) {
    mg_str condition = condition_of(mg_value(key));
    if (mg_str_is(mg_text(key), "when")) continue;
    if (condition.n) put_if(out, condition);
    mg_buf_printf(out, "%*s%.*s:", indent, "", MG_FMT(mg_text(key)));
    put_value(out, mg_value(key), indent);
    if (condition.n) mg_buf_lit(out, "{{- end }}\n");
  }
}

static void put_scalar(struct mg_buf *out, mg_node n) {
  if (mg_is(n, MG_STRING)) put_string(out, mg_text(n));
  else mg_json_write(out, n);
}

/* Whether the object's text begins with its first member, and not with a condition of that. */
static bool begins_plainly(mg_node object) {
  mg_node key = mg_first(object);
  if (mg_str_is(mg_text(key), "when")) key = mg_next(key);
  return !condition_of(mg_value(key)).n;
}

/* The dash takes the place of its first member's indentation. */
static void put_object_item(struct mg_buf *out, mg_node object, int indent) {
  bool plainly = begins_plainly(object);
  size_t start = out->n;
  if (!plainly) mg_buf_printf(out, "%*s-\n", indent, "");
  put_members(out, object, indent + 2);
  if (plainly && !out->failed) out->p[start + (size_t)indent] = '-';
}

static bool is_list(mg_node n, mg_str *ret_name) {
  mg_str rest = mg_string(n), before;
  return rest.n && next_variable(&rest, &before, ret_name) && find(*ret_name) && find(*ret_name)->list;
}

static void put_item(struct mg_buf *out, mg_node n, int indent) {
  mg_str name, condition = condition_of(n);
  if (condition.n) put_if(out, condition);
  if (condition.n && MG_GET(n, "item").at) n = MG_GET(n, "item");
  if (mg_is(n, MG_OBJECT)) {
    put_object_item(out, n, indent);
  } else if (is_list(n, &name)) {
    mg_buf_lit(out, "{{- range ");
    put_expression(out, name);
    mg_buf_printf(out, " }}\n%*s- {{ toJson . }}\n{{- end }}\n", indent, "");
  } else {
    mg_buf_printf(out, "%*s- ", indent, "");
    put_scalar(out, n);
    mg_buf_byte(out, '\n');
  }
  if (condition.n) mg_buf_lit(out, "{{- end }}\n");
}

/* What follows a key, and the end of its line. */
static void put_value(struct mg_buf *out, mg_node n, int indent) {
  bool block = (mg_is(n, MG_OBJECT) || mg_is(n, MG_ARRAY)) && mg_first(n).at;
  mg_buf_byte(out, block ? '\n' : ' ');
  if (!block) {
    put_scalar(out, n);
    mg_buf_byte(out, '\n');
  } else if (mg_is(n, MG_OBJECT)) {
    put_members(out, n, indent + 2);
  } else {
    for (mg_node item = mg_first(n); item.at; item = mg_next(item)) put_item(out, item, indent);
  }
}

static void put_object(struct mg_buf *out, mg_node entry) {
  mg_str when = mg_string(MG_GET(entry, "when")), each = mg_string(MG_GET(entry, "each"));
  mg_buf_lit(out, "# Generated: make manifests\n");
  if (when.n) put_if(out, when);
  if (each.n) mg_buf_printf(out, "{{- range $item := $.Values.%.*s }}\n---\n", MG_FMT(each));
  put_members(out, MG_GET(entry, "object"), 0);
  if (when.n || each.n) mg_buf_lit(out, "{{- end }}\n");
}

int mg_manifests_chart(mg_node skeleton, mg_manifest_text_fn emit, void *ctx, struct mg_err *err) {
  int code = 0;
  for (mg_node entry = mg_first(MG_GET(skeleton, "objects")); entry.at && code == 0; entry = mg_next(entry)) {
    if (mg_str_is(mg_text(MG_GET(MG_GET(entry, "object"), "kind")), "Namespace")) continue; /* Helm makes it, or others do */
    MG_BUF_AUTO text;
    MG_BUF_AUTO name;
    mg_str file = mg_text(MG_GET(entry, "file")), each = mg_string(MG_GET(entry, "each"));
    mg_buf_init(&text, NULL, TEXT_MAX);
    mg_buf_init(&name, NULL, TEXT_MAX);
    put_object(&text, entry);
    mg_buf_put(&name, (mg_str){file.p, mg_str_find(file, '$')});
    mg_buf_put(&name, each);
    if (text.failed || name.failed) return mg_err_nomem(err);
    code = emit(ctx, mg_buf_str(&name), mg_buf_str(&text), err);
  }
  return code;
}

/* ---- the values ---- */

void mg_manifests_values(mg_node given, struct mg_buf *out) {
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    const struct value *v = &values[i];
    mg_str key = mg_str_of(v->name);
    mg_node value = mg_get(given, key), member = mg_make(given.doc, MG_OBJECT);
    if (v->doc) mg_buf_printf(out, "%s# %s\n", i ? "\n" : "", v->doc);
    if (mg_str_is(key, "kubeNamespaces")) key = MG_S("exemptNamespaces");
    if (value.at) mg_put(member, key, mg_make_copy(given.doc, value));
    if (value.at) mg_yaml_write(out, member);
    else mg_buf_printf(out, "%s: %s\n", v->name, v->absent);
  }
}
