#!/usr/bin/python3
"""Prints the review that the benchmark posts, 6 KB: a training Pod of two containers with GPUs, as an API server sends it.

review.py [--bytes N] [--containers N]   --bytes: environment is added until it has so many; under 4 KB a Pod of few words
"""
import argparse
import json


def env(**names):
    return [{"name": name, "value": value} for name, value in names.items()]


def probe(path):
    return {"httpGet": {"path": path, "port": 9090, "scheme": "HTTP"}, "initialDelaySeconds": 30, "timeoutSeconds": 5,
            "periodSeconds": 20, "successThreshold": 1, "failureThreshold": 3}


def mounts(*pairs):
    own = {"name": "kube-api-access-q7xkd", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    return [{"name": name, "mountPath": path} for name, path in pairs] + [own]


def container(name, gpus, more):
    amounts = {"cpu": "24", "memory": "180Gi", "ephemeral-storage": "200Gi", "nvidia.com/gpu": gpus}
    return {
        "name": name, "image": f"registry.larch.example/train/{name}:2.4.1",
        "command": ["/opt/train/bin/start"], "args": ["--config=/etc/train/run.yaml", f"--part={name}"],
        "ports": [{"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
        "env": env(RANK="0", WORLD_SIZE="16", MASTER_ADDR="larch-7b-worker-0.larch-7b", MASTER_PORT="29500", NCCL_DEBUG="WARN",
                   NCCL_SOCKET_IFNAME="eth0", OMP_NUM_THREADS="12", **more),
        "resources": {"limits": amounts, "requests": amounts},
        "volumeMounts": mounts(("corpus", "/data/corpus"), ("results", "/data/results"), ("settings", "/etc/train")),
        "livenessProbe": probe("/healthz"), "readinessProbe": probe("/ready"),
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def managed_fields():
    item = {f"f:{key}": {} for key in ("args", "command", "env", "image", "imagePullPolicy", "name", "resources", "volumeMounts")}
    spec = {"f:containers": {'k:{"name":"trainer"}': item, 'k:{"name":"evaluator"}': item}}
    spec |= {f"f:{key}": {} for key in ("nodeSelector", "restartPolicy", "schedulerName", "securityContext", "volumes")}
    fields = {"f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:team": {}}}, "f:spec": spec}
    return [{"manager": "training-controller", "operation": "Update", "apiVersion": "v1", "time": "2026-03-02T08:15:31Z",
             "fieldsType": "FieldsV1", "fieldsV1": fields}]


def volumes():
    token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    root = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return [{"name": "corpus", "persistentVolumeClaim": {"claimName": "corpus-v4", "readOnly": True}},
            {"name": "results", "persistentVolumeClaim": {"claimName": "larch-results"}},
            {"name": "settings", "configMap": {"name": "larch-7b-run", "defaultMode": 420}},
            {"name": "kube-api-access-q7xkd", "projected": {"defaultMode": 420, "sources": [token, root]}}]


def pod():
    tolerations = [{"key": f"node.kubernetes.io/{why}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                   for why in ("not-ready", "unreachable")]
    return {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "larch-7b-worker-0", "namespace": "ml-larch", "creationTimestamp": None,
            "labels": {"app": "larch-7b", "team": "language", "mlgate.dev/role": "training"},
            "annotations": {"larch.example/run": "2026-03-02-a", "larch.example/owner": "night-batch"},
            "managedFields": managed_fields()},
        "spec": {
            "volumes": volumes(),
            "containers": [container("trainer", "8", {"PRECISION": "bf16"}), container("evaluator", "1", {"EVERY": "500"})],
            "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 120, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "trainer", "serviceAccount": "trainer", "nodeSelector": {"larch.example/pool": "training"},
            "securityContext": {"runAsUser": 1000, "fsGroup": 1000}, "schedulerName": "default-scheduler",
            "tolerations": tolerations, "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"},
        "status": {"phase": "Pending", "qosClass": "Guaranteed"},
    }


def small():
    amounts = {"nvidia.com/gpu": "8"}
    return {"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "larch", "labels": {"mlgate.dev/role": "training"}},
            "spec": {"containers": [{"name": "trainer", "image": "trainer:1", "env": [], "volumeMounts": [],
                                     "resources": {"limits": amounts, "requests": amounts}}],
                     "volumes": [], "tolerations": []}}


def of_containers(count):
    it = pod()
    it["spec"]["containers"] = [container(f"part-{n}", "1", {"PART": str(n)}) for n in range(count)]
    return it


def review(of):
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    resource = {"group": "", "version": "v1", "resource": "pods"}
    user = {"username": "system:serviceaccount:training:controller", "uid": "0b9a4f8e-3c55-4a7e-8f0e-2f4f4d1f7a10",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:training", "system:authenticated"]}
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "5d1c0f0e-6b1f-4d0a-9a39-0c5e7a1f2b44", "kind": kind, "resource": resource, "requestKind": kind,
        "requestResource": resource, "name": of["metadata"]["name"], "namespace": "ml-larch", "operation": "CREATE",
        "userInfo": user, "object": of, "oldObject": None, "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}}


def text(of):
    return json.dumps(review(of), separators=(",", ":"))


def of_bytes(count):
    it = small() if count < 4096 else pod()
    first, missing = it["spec"]["containers"][0]["env"], count - len(text(it))
    first += [{"name": f"SHARD_{n:06}", "value": "0123456789"} for n in range(missing // 47)]
    return it


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--containers", type=int)
    args = parser.parse_args()
    it = of_bytes(args.bytes) if args.bytes else of_containers(args.containers) if args.containers else pod()
    print(text(it), end="")


main()
