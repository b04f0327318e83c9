#include "rules/pod_fields.h"

#include "kube/quantity.h"

static bool read_amounts(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  struct mg_err err = {0};
  bool good = mg_is(value, MG_OBJECT);
  (void)dst;
  if (!good) mg_diag_error(load->diags, value, MG_AT_VALUE, "\"%s\" must be %s", field->key, field->type->name);
  for (mg_node key = good ? mg_first(value) : (mg_node){0}; key.at; key = mg_next(key)) {
    struct mg_quantity q;
    if (mg_quantity_read(mg_value(key), &q, &err) == 0) continue;
    mg_diag_error(load->diags, mg_value(key), MG_AT_VALUE, "\"%.*s\": %s", MG_FMT(mg_text(key)), err.text);
    good = false;
  }
  return good;
}
const struct mg_type mg_t_amounts = {
    .name = "a map of quantities", .read = read_amounts,
    .schema = "{type: object, additionalProperties: {type: [string, number]}}"};

static bool read_refused(struct mg_load *load, const struct mg_field *field, mg_node value, void *dst) {
  (void)dst;
  mg_diag_error(load->diags, value, MG_AT_KEY, "\"%s\" cannot be added: %s", field->key, (const char *)field->arg);
  return false;
}
static const struct mg_type t_refused = {.name = "nothing", .read = read_refused, .schema = "false"};

#define TEXT(name) {.key = name, .type = &mg_t_text}
#define BOOL(name) {.key = name, .type = &mg_t_bool}
#define COUNT(name) {.key = name, .type = &mg_t_count}
#define ANY(name) {.key = name, .type = &mg_t_node}
#define PAIRS(name) {.key = name, .type = &mg_t_pairs}
#define AMOUNTS(name) {.key = name, .type = &mg_t_amounts}
#define OBJECT(name, shape) {.key = name, .type = &mg_t_object, .arg = &(shape)}
#define LIST(name, item) {.key = name, .type = &mg_t_list, .arg = &(item)}
#define REFUSED(name, why) {.key = name, .type = &t_refused, .arg = why}
#define NEEDED(name) {.key = name, .type = &mg_t_string, .required = true}
#define SHAPE(name, fields, text) static const struct mg_shape name = {fields, text}
#define ITEM(name, type, arg) static const struct mg_item name = {type, sizeof(union mg_pod_scratch), arg}

ITEM(text_item, &mg_t_text, NULL);
ITEM(count_item, &mg_t_count, NULL);
ITEM(any_item, &mg_t_node, NULL);

/* ---- containers ---- */

static const struct mg_field env_fields[] = {NEEDED("name"), TEXT("value"), ANY("valueFrom"), MG_FIELDS_END};
SHAPE(env_shape, env_fields, "an env variable");
ITEM(env_item, &mg_t_object, &env_shape);

static const struct mg_field port_fields[] = {
    {"containerPort", &mg_t_count, 0, .required = true},
    TEXT("name"),
    TEXT("protocol"),
    COUNT("hostPort"),
    TEXT("hostIP"),
    MG_FIELDS_END,
};
SHAPE(port_shape, port_fields, "a port");
ITEM(port_item, &mg_t_object, &port_shape);

static const struct mg_field mount_fields[] = {
    NEEDED("name"),      NEEDED("mountPath"),      TEXT("subPath"),           TEXT("subPathExpr"),
    BOOL("readOnly"),    TEXT("mountPropagation"), TEXT("recursiveReadOnly"), MG_FIELDS_END,
};
SHAPE(mount_shape, mount_fields, "a volume mount");
ITEM(mount_item, &mg_t_object, &mount_shape);

static const struct mg_field device_fields[] = {NEEDED("name"), NEEDED("devicePath"), MG_FIELDS_END};
SHAPE(device_shape, device_fields, "a volume device");
ITEM(device_item, &mg_t_object, &device_shape);

static const struct mg_field claim_use_fields[] = {NEEDED("name"), TEXT("request"), MG_FIELDS_END};
SHAPE(claim_use_shape, claim_use_fields, "a claim");
ITEM(claim_use_item, &mg_t_object, &claim_use_shape);

static const struct mg_field resource_fields[] = {
    AMOUNTS("limits"), AMOUNTS("requests"), LIST("claims", claim_use_item), MG_FIELDS_END,
};
SHAPE(resource_shape, resource_fields, "resources");

static const struct mg_field resize_fields[] = {NEEDED("resourceName"), TEXT("restartPolicy"), MG_FIELDS_END};
SHAPE(resize_shape, resize_fields, "a resize policy");
ITEM(resize_item, &mg_t_object, &resize_shape);

static const struct mg_field capability_fields[] = {LIST("add", text_item), LIST("drop", text_item), MG_FIELDS_END};
SHAPE(capability_shape, capability_fields, "capabilities");

static const struct mg_field container_security_fields[] = {
    OBJECT("capabilities", capability_shape),
    BOOL("privileged"),
    ANY("seLinuxOptions"),
    ANY("windowsOptions"),
    COUNT("runAsUser"),
    COUNT("runAsGroup"),
    BOOL("runAsNonRoot"),
    BOOL("readOnlyRootFilesystem"),
    BOOL("allowPrivilegeEscalation"),
    TEXT("procMount"),
    ANY("seccompProfile"),
    ANY("appArmorProfile"),
    MG_FIELDS_END,
};
SHAPE(container_security_shape, container_security_fields, "securityContext");

const struct mg_field mg_pod_container_fields[] = {
    NEEDED("name"),
    TEXT("image"),
    LIST("command", text_item),
    LIST("args", text_item),
    TEXT("workingDir"),
    LIST("ports", port_item),
    LIST("envFrom", any_item),
    LIST("env", env_item),
    OBJECT("resources", resource_shape),
    LIST("resizePolicy", resize_item),
    TEXT("restartPolicy"),
    LIST("restartPolicyRules", any_item),
    LIST("volumeMounts", mount_item),
    LIST("volumeDevices", device_item),
    ANY("livenessProbe"),
    ANY("readinessProbe"),
    ANY("startupProbe"),
    ANY("lifecycle"),
    TEXT("terminationMessagePath"),
    TEXT("terminationMessagePolicy"),
    TEXT("imagePullPolicy"),
    OBJECT("securityContext", container_security_shape),
    BOOL("stdin"),
    BOOL("stdinOnce"),
    BOOL("tty"),
    MG_FIELDS_END,
};
SHAPE(container_shape, mg_pod_container_fields, "a container");
ITEM(container_item, &mg_t_object, &container_shape);

/* ---- the pod ---- */

static const struct mg_field volume_fields[] = {
    NEEDED("name"),
    ANY("emptyDir"),
    ANY("configMap"),
    ANY("secret"),
    ANY("persistentVolumeClaim"),
    ANY("hostPath"),
    ANY("projected"),
    ANY("downwardAPI"),
    ANY("csi"),
    ANY("ephemeral"),
    ANY("image"),
    ANY("nfs"),
    ANY("iscsi"),
    ANY("fc"),
    ANY("cephfs"),
    ANY("rbd"),
    ANY("glusterfs"),
    ANY("azureDisk"),
    ANY("azureFile"),
    ANY("awsElasticBlockStore"),
    ANY("gcePersistentDisk"),
    ANY("cinder"),
    ANY("vsphereVolume"),
    ANY("portworxVolume"),
    ANY("flexVolume"),
    MG_FIELDS_END,
};
SHAPE(volume_shape, volume_fields, "a volume");
ITEM(volume_item, &mg_t_object, &volume_shape);

static const struct mg_field toleration_fields[] = {
    TEXT("key"), TEXT("operator"), TEXT("value"), TEXT("effect"), COUNT("tolerationSeconds"), MG_FIELDS_END,
};
SHAPE(toleration_shape, toleration_fields, "a toleration");
ITEM(toleration_item, &mg_t_object, &toleration_shape);

static const struct mg_field affinity_fields[] = {ANY("nodeAffinity"), ANY("podAffinity"), ANY("podAntiAffinity"), MG_FIELDS_END};
SHAPE(affinity_shape, affinity_fields, "affinity");

static const struct mg_field name_fields[] = {NEEDED("name"), MG_FIELDS_END};
SHAPE(name_shape, name_fields, "an item");
ITEM(name_item, &mg_t_object, &name_shape);

static const struct mg_field readiness_fields[] = {NEEDED("conditionType"), MG_FIELDS_END};
SHAPE(readiness_shape, readiness_fields, "a readiness gate");
ITEM(readiness_item, &mg_t_object, &readiness_shape);

static const struct mg_field alias_fields[] = {NEEDED("ip"), LIST("hostnames", text_item), MG_FIELDS_END};
SHAPE(alias_shape, alias_fields, "a host alias");
ITEM(alias_item, &mg_t_object, &alias_shape);

static const struct mg_field spread_fields[] = {
    NEEDED("topologyKey"),      COUNT("maxSkew"),          NEEDED("whenUnsatisfiable"),
    ANY("labelSelector"),       COUNT("minDomains"),       TEXT("nodeAffinityPolicy"),
    TEXT("nodeTaintsPolicy"),   LIST("matchLabelKeys", text_item), MG_FIELDS_END,
};
SHAPE(spread_shape, spread_fields, "a topology spread constraint");
ITEM(spread_item, &mg_t_object, &spread_shape);

static const struct mg_field claim_fields[] = {
    NEEDED("name"), TEXT("resourceClaimName"), TEXT("resourceClaimTemplateName"), MG_FIELDS_END,
};
SHAPE(claim_shape, claim_fields, "a resource claim");
ITEM(claim_item, &mg_t_object, &claim_shape);

static const struct mg_field pod_security_fields[] = {
    COUNT("runAsUser"),
    COUNT("runAsGroup"),
    BOOL("runAsNonRoot"),
    COUNT("fsGroup"),
    TEXT("fsGroupChangePolicy"),
    LIST("supplementalGroups", count_item),
    TEXT("supplementalGroupsPolicy"),
    LIST("sysctls", any_item),
    ANY("seccompProfile"),
    ANY("appArmorProfile"),
    ANY("seLinuxOptions"),
    TEXT("seLinuxChangePolicy"),
    ANY("windowsOptions"),
    MG_FIELDS_END,
};
SHAPE(pod_security_shape, pod_security_fields, "securityContext");

const struct mg_field mg_pod_spec_fields[] = {
    LIST("containers", container_item),
    LIST("initContainers", container_item),
    LIST("volumes", volume_item),
    LIST("tolerations", toleration_item),
    PAIRS("nodeSelector"),
    OBJECT("affinity", affinity_shape),
    LIST("topologySpreadConstraints", spread_item),
    LIST("imagePullSecrets", name_item),
    LIST("hostAliases", alias_item),
    LIST("resourceClaims", claim_item),
    LIST("schedulingGates", name_item),
    LIST("readinessGates", readiness_item),
    OBJECT("securityContext", pod_security_shape),
    OBJECT("resources", resource_shape),
    TEXT("restartPolicy"),
    COUNT("terminationGracePeriodSeconds"),
    COUNT("activeDeadlineSeconds"),
    TEXT("serviceAccountName"),
    BOOL("automountServiceAccountToken"),
    TEXT("schedulerName"),
    TEXT("runtimeClassName"),
    TEXT("dnsPolicy"),
    ANY("dnsConfig"),
    BOOL("hostNetwork"),
    BOOL("hostPID"),
    BOOL("hostIPC"),
    BOOL("hostUsers"),
    BOOL("shareProcessNamespace"),
    TEXT("hostname"),
    TEXT("subdomain"),
    BOOL("setHostnameAsFQDN"),
    TEXT("hostnameOverride"),
    BOOL("enableServiceLinks"),
    ANY("os"),
    REFUSED("nodeName", "the scheduler chooses the node; nodeSelector and affinity narrow its choice"),
    REFUSED("priorityClassName", "the API server has computed the priority by then; the rule type priority settles both"),
    REFUSED("priority", "the API server computes it from the class"),
    REFUSED("preemptionPolicy", "the API server takes it from the class"),
    REFUSED("overhead", "the API server takes it from the runtime class"),
    REFUSED("ephemeralContainers", "the API server takes them for a running Pod only"),
    REFUSED("serviceAccount", "it is the old name of serviceAccountName"),
    MG_FIELDS_END,
};
SHAPE(spec_shape, mg_pod_spec_fields, "a pod spec");

const struct mg_field mg_pod_metadata_fields[] = {PAIRS("labels"), PAIRS("annotations"), MG_FIELDS_END};
SHAPE(metadata_shape, mg_pod_metadata_fields, "metadata");

const struct mg_field mg_pod_template_fields[] = {
    OBJECT("metadata", metadata_shape), OBJECT("spec", spec_shape), MG_FIELDS_END,
};

/* ---- how lists merge ---- */

static const struct {
  const char *list, *key; /* key NULL: as a whole */
} merges[] = {
    {"containers", "name"},
    {"initContainers", "name"},
    {"volumes", "name"},
    {"env", "name"},
    {"volumeMounts", "mountPath"},
    {"volumeDevices", "devicePath"},
    {"ports", "containerPort"},
    {"imagePullSecrets", "name"},
    {"hostAliases", "ip"},
    {"topologySpreadConstraints", "topologyKey"},
    {"resourceClaims", "name"},
    {"claims", "name"},
    {"schedulingGates", "name"},
    {"readinessGates", "conditionType"},
    {"resizePolicy", "resourceName"},
    {"command", NULL},
    {"args", NULL},
    {"restartPolicyRules", NULL},
};

enum mg_list_merge mg_pod_list_merge(mg_str list, mg_str *ret_key) {
  for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
    if (!mg_str_is(list, merges[i].list)) continue;
    *ret_key = merges[i].key ? mg_str_of(merges[i].key) : (mg_str){0};
    return merges[i].key ? MG_MERGE_KEY : MG_MERGE_WHOLE;
  }
  return MG_MERGE_VALUE;
}

bool mg_pod_field_is_defaulted(mg_str field) {
  static const char *const names[] = {
      "restartPolicy",   "terminationGracePeriodSeconds", "schedulerName",            "dnsPolicy",
      "imagePullPolicy", "terminationMessagePath",        "terminationMessagePolicy", "enableServiceLinks",
  };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (mg_str_is(field, names[i])) return true;
  return false;
}

const struct mg_field *mg_pod_field_of(const struct mg_field *table, mg_str key) {
  while (table->key && !mg_str_is(key, table->key)) table++;
  return table->key ? table : NULL;
}

static bool same_item(mg_node a, mg_node b, mg_str key) {
  if (!key.n) return mg_equal(a, b);
  if (mg_missing(mg_get(a, key)) || !mg_equal(mg_get(a, key), mg_get(b, key))) return false;
  if (!mg_str_is(key, "containerPort")) return true;
  mg_str x = mg_string(MG_GET(a, "protocol")), y = mg_string(MG_GET(b, "protocol"));
  return mg_str_eq(x.n ? x : MG_S("TCP"), y.n ? y : MG_S("TCP"));
}

mg_node mg_pod_find_item(mg_node list, mg_node like, mg_str key, uint32_t *ret_index) {
  *ret_index = 0;
  for (mg_node n = mg_first(mg_as(list, MG_ARRAY)); n.at; n = mg_next(n), ++*ret_index)
    if (same_item(n, like, key)) return n;
  return (mg_node){0};
}
