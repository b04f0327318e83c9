/* The pod view: what rules see of one pod template. Views are made from a doc; edits (kube/edit.h) change the doc and the view.
 */
#pragma once
#include "doc/patch.h"
#include "kube/accelerator.h"
#include "kube/context.h"
#include "kube/quantity.h"
#include "kube/workload.h"

enum mg_amount_state { MG_AMOUNT_NONE, MG_AMOUNT_READ, MG_AMOUNT_UNREADABLE }; /* a null is unreadable: "some" */

/* One resource of one container. */
struct mg_amount {
  mg_str resource;
  const struct mg_accelerator_row *accelerator; /* NULL: none */
  mg_node limit, request;                       /* absent where not set */
  struct mg_quantity limit_q, request_q;
  enum mg_amount_state limit_state, request_state;
  bool used;       /* worked out when it is read: mg_amount_used */
  bool plain;      /* the limit is a whole number, and the request is none or the same */
  int64_t devices; /* mg_amount_devices */
};

#define MG_META_LEVELS 3

enum { MG_POD_LEVELS = 2 };

/* What a pod as a whole is given to request where spec.resources has limits only (kube/limit_range.h). */
struct mg_pod_level {
  enum mg_amount_state state;
  struct mg_quantity q;
  mg_node at, text;
};

enum mg_container_list { MG_LIST_INIT, MG_LIST_MAIN, MG_LIST_EPHEMERAL, MG_LIST_EXTRA };

struct mg_container {
  mg_node node;
  mg_node holder;       /* has its resources, usually the node itself; mg_container_resources */
  mg_str resources_key; /* under this key */
  enum mg_container_list list;
  uint32_t number; /* in its list */
  bool sidecar;    /* init container with restartPolicy Always */
  mg_str name;     /* "" where it has none */
  mg_str image;    /* as written */
  mg_str normalised; /* worked out when first asked: mg_container_image */
  struct mg_amount *amounts;
  uint32_t amount_count;
  bool shared;           /* a sharing annotation names it */
  bool presumed;         /* its kind says that it uses devices, and nothing gives it any: no limit, claim or share */
  bool claims_device;    /* uses a device claim that resolves to an accelerator */
  bool claims_unknown;   /* uses a claim that cannot be resolved */
  int64_t claimed;       /* devices of resolved claims */
  bool uses_accelerator; /* amount, resolved claim or share, or presumed to */
  bool plain;            /* the amount of every accelerator is */
  int64_t devices;       /* of every accelerator, with claims */
  bool infrastructure;   /* image of the infrastructure list, when first asked: mg_container_is_infrastructure */
  bool infrastructure_known;
};

struct mg_pod {
  mg_node object;                     /* the object whose kind says where the template is: the workload, or one nested in it */
  mg_node outer;                      /* of a nested object: the workload */
  mg_node node, meta, spec;           /* template, its metadata (absent for spec shapes), its pod spec */
  mg_node labels[MG_META_LEVELS], annotations[MG_META_LEVELS]; /* of template, object, outer object; mg_pod_read finds them */
  const struct mg_kind_row *kind;
  const struct mg_template_row *row;
  const struct mg_accelerators *accelerators;
  const struct mg_context *context;
  struct mg_arena *arena;
  mg_str ns;
  mg_str id;            /* tells templates of object and oldObject apart: the pointer, list items by name */
  bool is_pod;          /* the object is a Pod, not a template */
  bool fixed;           /* judged, never patched: a fragment, whose fields nobody knows, or in a nested object */
  bool unchanged;       /* an UPDATE leaves it as it is in oldObject: nothing is edited in it, whatever rules read elsewhere */
  bool as_written;      /* it has still to pass the API server's own LimitRanger: amounts are those that it will have */
  bool levels_known;    /* worked out, of a Pod as it is written */
  struct mg_pod_level levels[MG_POD_LEVELS]; /* of cpu and memory */
  enum mg_role role;
  struct mg_container *containers; /* init, main, extra, ephemeral: in the order of the API */
  uint32_t container_count;
  int64_t replicas;
  bool replicas_unreadable;
  mg_node replicas_at;             /* the first replica count that is there, for messages */
  bool has_accelerator, has_unknown_claim, has_share; /* of any container */
  int64_t claimed;                 /* devices of resolved claims, each claim once */
  int64_t devices;                 /* of every accelerator, with claims, as the API server adds containers */
  int64_t most;                    /* devices of the container that has the most */
  bool has_presumed, has_granted;  /* of any container: only its kind says that it uses devices; it is given some */
  bool all_granted;                /* it has containers, and each of them is given some */
  uint32_t version;                /* changed by every edit */
  struct {                         /* what a rule type has read of the template, so that its next rule need not */
    const void *owner;             /* the rule type */
    uint32_t version;              /* that it is true of */
    void *value;
  } memo;
  struct mg_taken choices[MG_CHOICES]; /* what the wild cards of the template's path took */
  uint32_t choice_count;
};

/* A whole object inside another, of a kind that the table knows. */
struct mg_inner {
  mg_node object;
  const struct mg_kind_row *kind;
  mg_str id; /* tells those of object and oldObject apart, as a template's does */
};

/* All templates of one object. */
struct mg_workload {
  mg_node object;
  const struct mg_kind_row *kind;
  mg_str ns;
  struct mg_pod **pods;
  uint32_t pod_count;
  struct mg_inner *inner; /* however deep: judged, never patched */
  uint32_t inner_count;
  mg_str malformed; /* "": fine; else what was skipped and why, for a warning */
};

/* The controlling owner's apiVersion and kind; false where there is none. */
bool mg_controlling_owner(mg_node object, mg_str *ret_group, mg_str *ret_version, mg_str *ret_kind);

struct mg_world {
  const struct mg_kind_table *kinds;
  const struct mg_accelerators *accelerators;
  const struct mg_context *context;
  bool as_written; /* the object comes from its author, not from the API server, which would have added its defaults */
};

/* Reads containers of a pod whose nodes are set. 0 or MG_E_NOMEM. */
int mg_pod_read(struct mg_pod *pod);
/* It has no container at all. */
bool mg_pod_is_empty(struct mg_pod *pod);
#define MG_MOST_TEMPLATES 4096
/* Makes the views of an object of that kind. 0, MG_E_NOMEM, or MG_E_LIMIT: it has more than MG_MOST_TEMPLATES, or as many whole
 * objects. */
int mg_workload_view(const struct mg_world *world, struct mg_arena *arena, const struct mg_kind_row *kind, mg_node object,
                     mg_str ns, struct mg_workload **ret);
/* Reads containers and accelerators again, after an edit of resources. */
void mg_pod_refresh(struct mg_pod *pod);

/* Works out the devices of its containers and its own, from their amounts and claims; part of reading it. */
void mg_pod_sum(struct mg_pod *pod);

/* Labels and annotations of the template; keys that it does not set come from the object's. */
bool mg_pod_label(const struct mg_pod *pod, mg_str key, mg_str *ret);
bool mg_pod_annotation(const struct mg_pod *pod, mg_str key, mg_str *ret);

/* Its resources; absent where it has none. */
mg_node mg_container_resources(const struct mg_container *c);
mg_str mg_container_image(struct mg_pod *pod, struct mg_container *c);
bool mg_container_is_infrastructure(struct mg_pod *pod, struct mg_container *c);
const struct mg_amount *mg_container_amount(const struct mg_container *c, mg_str resource);
/* Works out what rules ask of an amount again and again, once its limit and request are set. */
void mg_amount_settle(const struct mg_accelerators *all, struct mg_amount *a);
/* An amount stands for "some": read and not zero, or unreadable. */
bool mg_amount_used(const struct mg_amount *a);
/* The resource is an accelerator and some of it is asked for. */
bool mg_amount_is_device(const struct mg_amount *a);
/* Devices of a count resource: the limit, else the request; unreadable 1; never negative. */
int64_t mg_amount_devices(const struct mg_amount *a);
/* Any use of an accelerator: amount, resolved claim, share, or its kind says so. */
bool mg_container_uses_accelerator(const struct mg_container *c);
/* The same without its kind's word, which gives no device to anybody. */
bool mg_container_is_granted(const struct mg_container *c);

/* Which accelerators count: NULL means all. */
struct mg_device_filter {
  struct mg_list resources; /* of struct mg_pattern *; empty: all */
};
bool mg_device_counts(const struct mg_device_filter *filter, const struct mg_amount *a);
/* Sum of counted devices of a container, and of a template as the API server adds containers: per resource the larger of init and
 * sum, sidecars added. */
int64_t mg_container_devices(const struct mg_container *c, const struct mg_device_filter *filter);
int64_t mg_pod_devices(const struct mg_pod *pod, const struct mg_device_filter *filter);

/* The container's own limit of a resource, else the pod's; false where neither can be read. One of 0 is none to the kubelet. */
bool mg_container_limit(const struct mg_pod *pod, const struct mg_container *c, mg_str resource, struct mg_quantity *ret);
/* spec.resources.limits of that resource is there. */
bool mg_pod_level_limit(const struct mg_pod *pod, mg_str resource, mg_node *ret);

/* The restartPolicy that its pods get: the kind's own, the template's, the kind's default; "" where none says. *ret_at is the
 * node that says it, or absent. */
mg_str mg_pod_restart_policy(const struct mg_pod *pod, mg_node *ret_at);
/* The PriorityClass that its pods get: the template's, else the kind's own; "" where neither says. *ret_at is the node that says
 * it, or absent. */
mg_str mg_pod_priority_class(const struct mg_pod *pod, mg_node *ret_at);
/* A failure of this template's pods is retried (`when` of `tolerations`). */
bool mg_pod_is_retried(const struct mg_pod *pod);

/* The volume of that name, or absent; and whether the controller brings one, from a claim template. */
mg_node mg_pod_volume(const struct mg_pod *pod, mg_str name);
bool mg_pod_has_claim_template(const struct mg_pod *pod, mg_str name);

/* Required node affinity names that label key. */
bool mg_pod_affinity_names(const struct mg_pod *pod, mg_str key);
