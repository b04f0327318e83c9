#!/usr/bin/env python3
"""`mlgate manifests`: what comes out has the right shape, follows the policies, and is what manifests/ has. Speaks TAP."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
MLGATE = os.environ.get("MLGATE", str(TOP / "build/mlgate"))
ENV = {k: v for k, v in os.environ.items() if not k.startswith("MLGATE_")}
count = 0
EXEMPT = ["kube-system", "kube-public", "kube-node-lease", "mlgate-system"]


def result(name, good, why=""):
    global count
    count += 1
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        for line in str(why).splitlines():
            print(f"# {line}")


def same(name, got, want):
    result(name, got == want, f"got    {got}\nwanted {want}")


def run(*args, check=0, **more):
    done = subprocess.run([MLGATE, *map(str, args)], env=ENV, capture_output=True, text=True, **more)
    if check is not None and done.returncode != check:
        result(f"exit {check} of {' '.join(map(str, args))}", False, f"{done.returncode}: {done.stdout}{done.stderr}")
    return done


def tool(name):
    """A program of the PATH, or of those that test/e2e/build.sh makes."""
    built = pathlib.Path(os.environ.get("MLGATE_E2E_BIN") or pathlib.Path.home() / ".cache/mlgate-e2e", name)
    return shutil.which(name) or (built if built.is_file() else None)


def passes(name, path):
    """Nothing of the manifests is denied, warned about or changed by what they install."""
    done = run("check", "--policies", TOP / "policies/baseline", "--format", "json", path, check=None)
    summary = json.loads(done.stdout)["summary"] if done.stdout else {}
    same(f"{name}: mlgate passes it", [summary.get(k) for k in ("denied", "warned", "mutated", "errors")], [0, 0, 0, 0])


def render(*args):
    return [d for d in yaml.safe_load_all(run("manifests", *args).stdout)]


def one(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    return found[0] if len(found) == 1 else {}


def same_objects(name, got, want):
    """The same objects in any order."""
    one_by_one = [{f"{o['kind']} {o['metadata']['name']}": o for o in objects} for objects in (got, want)]
    names = sorted({n for objects in one_by_one for n in objects})
    differing = [(n, *(objects.get(n) for objects in one_by_one)) for n in names
                 if one_by_one[0].get(n) != one_by_one[1].get(n)]
    result(name, not differing and len(got) == len(want) == len(names),
           "\n".join(f"{n}: got    {a}\n{n}: wanted {b}" for n, a, b in differing))


def policy(work, spec, name="p", file="p.yaml", head=""):
    path = pathlib.Path(work) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"apiVersion": "mlgate.dev/v1", "kind": "Policy", "metadata": {"name": name}, "spec": spec}
    path.write_text(head + yaml.safe_dump(document))
    return path


def asked(objects, kind):
    """{(group, resource): (operations, versions, scope)} of every webhook of a configuration."""
    ret = {}
    for hook in one(objects, kind).get("webhooks", []):
        for rule in hook["rules"]:
            for resource in rule["resources"]:
                key = (rule["apiGroups"][0], resource)
                assert key not in ret and len(rule["apiGroups"]) == 1, key
                ret[key] = (tuple(rule["operations"]), tuple(rule["apiVersions"]), rule["scope"])
    return ret


V, M = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
GPU = {"gpuLimits": {}}
TOLERATE = {"tolerations": {"forEachAccelerator": True}}
USUAL = (("CREATE", "UPDATE"), ("*",), "Namespaced")


def default_shape():
    objects = render("--policies", TOP / "policies/baseline")
    same("the kinds, in the order of installing", [o["kind"] for o in objects],
         ["Namespace", "ServiceAccount", "ConfigMap", "PriorityClass", "NetworkPolicy", "Deployment", "Service",
          "PodDisruptionBudget", V, M])
    same("every object says where it belongs to",
         sorted({o["metadata"]["labels"]["app.kubernetes.io/component"] + " " + o["kind"][-13:] for o in objects[-2:]}),
         ["admission Configuration"])
    deployment = one(objects, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    same("three replicas, none of which goes before its successor is there",
         (deployment["replicas"], deployment["strategy"]["rollingUpdate"]["maxUnavailable"]), (3, 0))
    same("nothing that the restricted profile refuses",
         (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"], pod["securityContext"]["seccompProfile"],
          container["securityContext"]["capabilities"], container["securityContext"]["allowPrivilegeEscalation"],
          container["securityContext"]["readOnlyRootFilesystem"]),
         (True, 65532, {"type": "RuntimeDefault"}, {"drop": ["ALL"]}, False, True))
    same("no token", (pod["automountServiceAccountToken"], one(objects, "ServiceAccount")["automountServiceAccountToken"]),
         (False, False))
    result("it may live on for as long as it drains", pod["terminationGracePeriodSeconds"] > 5 + 30, pod)
    probes = ("readinessProbe", "livenessProbe", "startupProbe")
    same("probes on the plain port", [container[p]["httpGet"]["port"] for p in probes], ["plain"] * 3)
    same("the selector is that of the pods", one(objects, "Service")["spec"]["selector"].items()
         <= deployment["template"]["metadata"]["labels"].items(), True)
    network = one(objects, "NetworkPolicy")["spec"]
    same("in to two ports, out to none",
         (network["policyTypes"], [p["port"] for p in network["ingress"][0]["ports"]], "egress" in network),
         (["Ingress", "Egress"], [8443, 8080], False))
    for kind, failure in ((V, "Fail"), (M, "Ignore")):
        hooks = one(objects, kind)["webhooks"]
        for hook in hooks:
            same(f"{hook['name']}: how it is asked",
                 (hook["failurePolicy"], hook["sideEffects"], hook["matchPolicy"], hook["timeoutSeconds"],
                  hook["admissionReviewVersions"], hook.get("reinvocationPolicy"), len(hook["name"].split(".")) >= 3,
                  hook["namespaceSelector"]["matchExpressions"]),
                 (failure, "None", "Equivalent", 5, ["v1"], "IfNeeded" if kind == M else None, True,
                  [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": EXEMPT}]))
        same(f"{kind}: names differ", len({h["name"] for h in hooks}), len(hooks))
    files = {p.name: p.read_text() for p in sorted((TOP / "policies/baseline").iterdir()) if not p.name.endswith(".test.yaml")}
    same("the policies, byte for byte, and no Tests", one(objects, "ConfigMap")["data"], files)
    same("twice the same", run("manifests").stdout, run("manifests").stdout)
    return objects


def follows_policies(work):
    jobs = policy(work, {"match": {"kinds": ["Job.batch"]}, "rules": [GPU]})
    objects = render("--policies", jobs)
    same("a policy on Jobs asks for Jobs only", asked(objects, V), {("batch", "jobs"): USUAL})
    same("a policy that mends nothing needs no mutating webhook", one(objects, M), {})
    objects = render("--policies", policy(work, {"match": {"kinds": ["Pod"]}, "rules": [TOLERATE]}))
    same("Pods are judged with their subresources", set(asked(objects, V)),
         {("", "pods"), ("", "pods/ephemeralcontainers"), ("", "pods/resize")})
    same("and patched without", set(asked(objects, M)), {("", "pods")})
    objects = render("--policies", policy(work, {"match": {"kinds": ["Pod"]}, "action": "warn", "rules": [TOLERATE]}))
    same("who only warns does not patch", one(objects, M), {})
    objects = render("--policies", policy(work, {"match": {"operations": ["CREATE"]}, "rules": [TOLERATE]}))
    same("only what is asked for: operations", {o for o, _, _ in asked(objects, V).values()}, {("CREATE",)})
    same("no subresource without UPDATE", [r for _, r in asked(objects, V) if "/" in r], [])
    deleted = {"match": {"kinds": ["Job.batch"], "operations": ["DELETE"]}, "rules": [GPU, TOLERATE]}
    objects = render("--policies", policy(work, deleted))
    same("a policy may ask for DELETE", asked(objects, V), {("batch", "jobs"): (("DELETE",), ("*",), "Namespaced")})
    same("which is never patched", one(objects, M), {})
    policy(work, {"match": {"kinds": ["Job"]}, "rules": [GPU]}, "a", "two/a.yaml")
    policy(work, {"match": {"kinds": ["Job", "CronJob"], "operations": ["DELETE"]}, "rules": [GPU]}, "b", "two/b.yaml")
    objects = render("--policies", pathlib.Path(work) / "two")
    same("what several policies ask for is joined, kind by kind", {k[1]: v[0] for k, v in asked(objects, V).items()},
         {"jobs": ("CREATE", "UPDATE", "DELETE"), "cronjobs": ("DELETE",)})
    objects = render("--policies", policy(work, {"match": {"kinds": ["*Job.kubeflow.org"]}, "exclude": [
        {"kinds": ["TFJob"]}, {"kinds": ["JAXJob"], "namespaces": ["a"]}], "rules": [GPU]}))
    same("a kind that is excluded altogether is not asked for", {r for _, r in asked(objects, V)},
         {"pytorchjobs", "mpijobs", "xgboostjobs", "paddlejobs", "jaxjobs"})
    same("versions that the table lists", asked(objects, V)[("kubeflow.org", "mpijobs")][1],
         ("v1", "v2beta1", "v1alpha1", "v1alpha2"))


def own_kinds(work):
    def kind(name, group, kind, **more):
        spec = {"group": group, "kind": kind, "templates": [{"path": "spec.template"}], **more}
        return yaml.safe_dump({"apiVersion": "mlgate.dev/v1", "kind": "WorkloadKind", "metadata": {"name": name},
                               "spec": spec}) + "---\n"
    head = (kind("tunings.ml.example", "ml.example", "Tuning", versions=["v1*"]) +
            kind("other", "ml.example", "Sky", mutate="pods") + kind("cluster-x", "x.example", "Box", scope="Cluster"))
    path = policy(work, {"match": {"kinds": ["Tuning", "Sky", "Box"]}, "rules": [TOLERATE]}, head=head)
    done = run("manifests", "--policies", path)
    objects = list(yaml.safe_load_all(done.stdout))
    same("kinds of the user's own; a glob of versions is any", asked(objects, V), {
        ("ml.example", "tunings"): USUAL, ("ml.example", "skies"): USUAL,
        ("x.example", "boxes"): (("CREATE", "UPDATE"), ("*",), "Cluster")})
    same("a kind whose Pods are patched is not", set(asked(objects, M)), {("ml.example", "tunings"), ("x.example", "boxes")})
    result("a resource that had to be guessed is told of",
           'other: taken for resource "skies"; name it skies.ml.example' in done.stderr, done.stderr)


def classes(work):
    rules = [{"priority": {"className": "slow", "preemptionPolicy": "Never"}},
             {"priority": {"className": "system-node-critical"}}]
    path = policy(work, {"rules": rules})
    objects = render("--policies", path)
    made = [o for o in objects if o["kind"] == "PriorityClass"]
    same("a class that is named is rendered, the cluster's own are not",
         [(o["metadata"]["name"], o["value"], o["preemptionPolicy"]) for o in made], [("slow", 1000, "Never")])
    context = pathlib.Path(work) / "context.yaml"
    context.write_text("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: slow}\nvalue: 7\n"
                       "preemptionPolicy: Never\n")
    objects = render("--policies", path, "--context", context)
    same("not if the context has it", one(objects, "PriorityClass"), {})
    same("the context is served with the policies", one(objects, "ConfigMap", "mlgate-context").get("data"),
         {"context.yaml": context.read_text()})
    result("and the server told", "--context=/etc/mlgate/context" in
           one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"])
    objects = render("--policies", path, "--policies", context)
    same("as a policy file describes it", one(objects, "PriorityClass").get("value"), 7)


def files(work):
    base = pathlib.Path(work) / "many"
    policy(base, {"rules": [GPU]}, "one", "z/same.yaml", head="# é\ttab \n\n#  trailing  \n")
    policy(base, {"rules": [GPU]}, "two", "a/same.yaml")
    same("names that clash are numbered, in the order of reading",
         list(one(render("--policies", base / "z", "--policies", base / "a"), "ConfigMap")["data"]),
         ["00001-same.yaml", "00002-same.yaml"])
    odd = policy(base, {"rules": [GPU]}, "odd", "odd/.a b$(x)ü")
    same("a name that is no key is made one", list(one(render("--policies", odd), "ConfigMap")["data"]), ["_a_b__x___.yaml"])
    big = pathlib.Path(work) / "big"
    for i in range(4):
        policy(big, {"rules": [GPU]}, f"p{i}", f"{i}.yaml", head="# filler\n" * 6000)
    objects = render("--policies", big)
    maps = [o for o in objects if o["kind"] == "ConfigMap"]
    volume = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"][0]
    same("many files are several ConfigMaps, all of them mounted",
         ([(m["metadata"]["name"], list(m["data"])) for m in maps],
          [s["configMap"]["name"] for s in volume["projected"]["sources"]]),
         ([("mlgate-policies", ["0.yaml", "1.yaml"]), ("mlgate-policies-2", ["2.yaml", "3.yaml"])],
          ["mlgate-policies", "mlgate-policies-2"]))
    policy(big, {"rules": [GPU]}, "huge", "huge.yaml", head="# filler\n" * 120000)
    done = run("manifests", "--policies", big, check=2)
    result("a file that no ConfigMap can hold is an error",
           "huge.yaml: larger than a ConfigMap may be" in done.stderr and not done.stdout, done.stderr)
    one_policy = policy(work, {"rules": [GPU]})
    before = one(render("--policies", one_policy), "Deployment")["spec"]["template"]["metadata"]["annotations"]
    one_policy.write_text(one_policy.read_text() + "# more\n")
    after = one(render("--policies", one_policy), "Deployment")["spec"]["template"]["metadata"]["annotations"]
    result("other policies are other Pods", before != after, after)


def server_reads_the_same(work, objects):
    """What the ConfigMap holds, in files as the kubelet lays them out, is what was rendered from."""
    served = pathlib.Path(work) / "served"
    (served / "..2026_01").mkdir(parents=True)
    (served / "..data").symlink_to("..2026_01")
    for name, text in one(objects, "ConfigMap")["data"].items():
        (served / "..2026_01" / name).write_text(text)
        (served / name).symlink_to(f"..data/{name}")
    done = run("manifests", "--policies", served)
    same("rendered again from what the Pods will see, the same", done.stdout,
         run("manifests", "--policies", TOP / "policies/baseline").stdout)
    whole = pathlib.Path(work) / "all.yaml"
    whole.write_text(done.stdout)
    summary = json.loads(run("check", "--policies", TOP / "policies/baseline", "--format", "json", whole).stdout)["summary"]
    same("mlgate passes its own manifests",
         [summary[k] for k in ("denied", "warned", "mutated", "errors", "objects")], [0, 0, 0, 0, 1])


def options(work):
    run("certs", "--out", f"{work}/certs")
    ca = pathlib.Path(work, "certs/ca.crt")
    objects = render("--ca-file", ca, "--namespace", "gate", "--name", "g8", "--replicas", 2, "--timeout", 2,
                     "--image", "r:5000/a/b@sha256:0", "--tls-secret", "s.x", "--https-port", 9443, "--tls-port", 7443,
                     "--plain-port", 7080, "--service-monitor")
    hooks = [h for k in (V, M) for h in one(objects, k)["webhooks"]]
    same("the authority, byte for byte",
         {base64.b64decode(h["clientConfig"]["caBundle"], validate=True) for h in hooks}, {ca.read_bytes()})
    services = [h["clientConfig"]["service"] for h in hooks]
    same("the service that is called", {(s["name"], s["namespace"], s["port"]) for s in services}, {("g8", "gate", 9443)})
    same("its own namespace is spared", hooks[0]["namespaceSelector"]["matchExpressions"][0]["values"][3:], ["gate"])
    same("names", sorted({o["metadata"].get("namespace", "-") for o in objects}), ["-", "gate"])
    deployment = one(objects, "Deployment")["spec"]
    container = deployment["template"]["spec"]["containers"][0]
    same("numbers", (deployment["replicas"], hooks[0]["timeoutSeconds"], [p["containerPort"] for p in container["ports"]],
                     container["image"], deployment["template"]["spec"]["volumes"][-1]["secret"]["secretName"]),
         (2, 2, [7443, 7080], "r:5000/a/b@sha256:0", "s.x"))
    ports = one(objects, "NetworkPolicy", "g8")["spec"]["ingress"][0]["ports"]
    same("the ports of the network policy", [p["port"] for p in ports], [7443, 7080])
    out = {folder: [o["metadata"]["name"] for o in render("--policies", TOP / "policies" / folder)
                    if o["kind"] == "NetworkPolicy"] for folder in ("baseline", "addons/images/images.yaml")}
    same("a way out to registries where a policy asks them", out,
         {"baseline": ["mlgate"], "addons/images/images.yaml": ["mlgate", "mlgate-registries"]})
    for folder, reads in (("addons/images/images.yaml", True), ("baseline", False)):
        server = one(render("--policies", TOP / "policies" / folder, "--pull-secrets"), "Deployment")["spec"]["template"]["spec"]
        same(f"a token and the option for pull secrets with {folder}",
             (server["automountServiceAccountToken"], "--pull-secrets" in server["containers"][0]["args"]), (reads, reads))
    same("a monitor that selects the Service", one(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"].items()
         <= one(objects, "Service")["metadata"]["labels"].items(), True)
    args = [a for a in container["args"] if not a.startswith(("--policies=", "--tls-"))]
    done = run("serve", *args, check=2)
    result("serve knows every argument", "needs --tls-cert" in done.stderr, done.stderr)

    names = {how: [[c["name"] for c in h.get("matchConditions", [])] for k in (V, M) for h in
                   one(render("--policies", TOP / "policies/baseline", "--match-conditions", how), k)["webhooks"]]
             for how in ("basic", "derived")}
    usual = ["not-by-a-node", "not-a-mirror-pod"]
    same("basic match conditions", names["basic"], [usual, [], usual, []])
    same("derived match conditions", names["derived"], [usual + ["has-what-a-policy-is-about"], []] * 2)
    same("basic is the default", run("manifests").stdout, run("manifests", "--match-conditions", "basic").stdout)
    done = run("manifests", "--match-conditions", "none", check=2)
    result("other conditions are refused", "--match-conditions" in done.stderr, done.stderr)

    objects = render("--cert-manager")
    certificate = one(objects, "Certificate", "mlgate")["spec"]
    same("cert-manager: who is told",
         {o["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] for o in objects if o["kind"] in (V, M)},
         {"mlgate-system/mlgate"})
    same("cert-manager: the chain",
         ({o["metadata"]["name"] for o in objects if o["kind"] == "Issuer"}, certificate["issuerRef"]["name"],
          one(objects, "Certificate", "mlgate-ca")["spec"]["issuerRef"]["name"], certificate["secretName"]),
         ({"mlgate", "mlgate-bootstrap"}, "mlgate", "mlgate-bootstrap", "mlgate-tls"))
    result("cert-manager: the name that the API server calls", "mlgate.mlgate-system.svc" in certificate["dnsNames"], certificate)
    same("cert-manager: no bundle of our own",
         [h for k in (V, M) for h in one(objects, k)["webhooks"] if "caBundle" in h["clientConfig"]], [])
    text = "a: 'b'\n\"c\": \\ {} é \u2028 : #"
    same("text that means something in YAML stays text",
         one(render("--image", text), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"], text)


def selects(selector, labels):
    return selector.get("matchLabels", selector).items() <= labels.items()


def self_signed():
    objects = render("--policies", TOP / "policies/baseline", "--self-signed", "--namespace", "gate", "--name", "g8",
                     "--tls-secret", "s.x")
    ours = [o for o in objects if o["metadata"]["labels"]["app.kubernetes.io/component"] == "certificates"]
    same("self-signed: the kinds", [o["kind"] for o in ours],
         ["ServiceAccount", "Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "NetworkPolicy", "Job",
          "CronJob"])
    same("self-signed: the rest is the same", [o for o in objects if o not in ours],
         render("--policies", TOP / "policies/baseline", "--namespace", "gate", "--name", "g8", "--tls-secret", "s.x"))
    same("self-signed: no bundle that an apply could put back",
         [h for k in (V, M) for h in one(objects, k)["webhooks"] if "caBundle" in h["clientConfig"]], [])
    secret = one(objects, "Secret")
    same("self-signed: a Secret without data, which an apply could not take away",
         (secret["metadata"]["name"], secret["type"], "data" in secret, "stringData" in secret), ("s.x", "Opaque", False, False))
    same("self-signed: the rights, and no others",
         [[(r["apiGroups"], r["resources"], r["resourceNames"], r["verbs"]) for r in one(objects, kind)["rules"]]
          for kind in ("Role", "ClusterRole")],
         [[([""], ["secrets"], ["s.x"], ["get", "update"])],
          [(["admissionregistration.k8s.io"], ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"], ["g8"],
            ["get", "update"])]])
    for kind, role in (("RoleBinding", "Role"), ("ClusterRoleBinding", "ClusterRole")):
        binding = one(objects, kind)
        same(f"self-signed: {kind}", (binding["roleRef"]["kind"], binding["roleRef"]["name"], binding["subjects"]),
             (role, one(objects, role)["metadata"]["name"],
              [{"kind": "ServiceAccount", "name": "g8-certificates", "namespace": "gate"}]))
    job, cron = one(objects, "Job")["spec"], one(objects, "CronJob")["spec"]
    usual = ["--secret=gate/s.x", "--service=g8", "--namespace=gate", "--patch-webhooks=validating/g8",
             "--patch-webhooks=mutating/g8"]
    server = one(objects, "Deployment")["spec"]["template"]["spec"]
    for name, template, command, args in (("Job", job["template"], "create", usual + ["--wait=3600"]),
                                          ("CronJob", cron["jobTemplate"]["spec"]["template"], "rotate", usual)):
        pod, container = template["spec"], template["spec"]["containers"][0]
        same(f"self-signed: what the {name} runs", (container["image"], container["command"], container["args"]),
             (server["containers"][0]["image"], ["/usr/bin/mlgate", "certs", command], args))
        account = one(objects, "ServiceAccount", "g8-certificates")
        same(f"self-signed: the {name} has the token of its own account", (pod["serviceAccountName"],
             pod["automountServiceAccountToken"], account["automountServiceAccountToken"]), ("g8-certificates", True, False))
        same(f"self-signed: the {name} is as confined as a server",
             (pod["securityContext"], container["securityContext"], pod["enableServiceLinks"]),
             (server["securityContext"], server["containers"][0]["securityContext"], False))
        result(f"self-signed: the {name} has a limit", "memory" in container["resources"]["limits"], container)
        labels = template["metadata"]["labels"]
        same(f"self-signed: who selects the Pods of the {name}",
             [o["metadata"]["name"] + " " + o["kind"] for o in objects for s in [o.get("spec", {})]
              for selector in [s.get("selector") or s.get("podSelector")] if selector and selects(selector, labels)],
             ["g8-certificates NetworkPolicy"])
        done = run(*container["command"][1:], *args, check=2)
        result(f"self-signed: mlgate knows the arguments of the {name}", "KUBERNETES_SERVICE_HOST" in done.stderr, done.stderr)
    same("self-signed: one at a time, few kept", (cron["concurrencyPolicy"], cron["successfulJobsHistoryLimit"],
         cron["failedJobsHistoryLimit"], job["ttlSecondsAfterFinished"]), ("Forbid", 1, 3, 600))
    network = one(objects, "NetworkPolicy", "g8-certificates")["spec"]
    same("self-signed: out to TCP, in not at all", (network["policyTypes"], network.get("ingress"), network["egress"]),
         (["Ingress", "Egress"], None, [{"ports": [{"protocol": "TCP"}]}]))
    volume = [v for v in server["volumes"] if v["name"] == "tls"][0]["secret"]
    same("a server sees no key of the authority", [i["key"] for i in volume["items"]], ["tls.crt", "tls.key"])


def live_context(work):
    """The rights that the policies need, and a token, only where they are asked for."""
    selected = policy(work, {"match": {"namespaceSelector": {"matchLabels": {"a": "b"}}},
                             "rules": [GPU, {"priority": {"className": "slow"}}]}, "live", "live.yaml")
    plain = policy(work, {"rules": [{"priority": {"allowed": ["slow"]}}]}, "plain", "plain.yaml")
    objects = render("--policies", selected, "--live-context", "--name", "g8", "--namespace", "gate")
    usual = render("--policies", selected, "--name", "g8", "--namespace", "gate")
    ours = [o for o in objects if o["metadata"]["name"] == "g8-context"]
    same("live context: the kinds", [o["kind"] for o in ours], ["NetworkPolicy", "ClusterRole", "ClusterRoleBinding"])
    same("live context: the rights, and no others",
         [(r["apiGroups"], r["resources"], r["verbs"]) for r in one(objects, "ClusterRole")["rules"]],
         [(groups, resources, ["get", "list", "watch"]) for groups, resources in (
             ([""], ["namespaces"]), (["scheduling.k8s.io"], ["priorityclasses"]),
             (["resource.k8s.io"], ["resourceclaimtemplates", "deviceclasses"]))])
    binding = one(objects, "ClusterRoleBinding")
    same("live context: the binding", (binding["roleRef"]["name"], binding["subjects"]),
         ("g8-context", [{"kind": "ServiceAccount", "name": "g8", "namespace": "gate"}]))
    deployment = one(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    same("live context: a token and the option", (pod["automountServiceAccountToken"],
                                                  pod["containers"][0]["args"].count("--live-context")), (True, 1))
    network = next(o for o in ours if o["kind"] == "NetworkPolicy")["spec"]
    same("live context: the way out", (selects(network["podSelector"], deployment["spec"]["template"]["metadata"]["labels"]),
                                       network["policyTypes"], network["egress"]),
         (True, ["Egress"], [{"ports": [{"protocol": "TCP"}]}]))
    pod["automountServiceAccountToken"] = False
    pod["containers"][0]["args"].remove("--live-context")
    same("live context: the rest is the same", [o for o in objects if o not in ours], usual)
    done = run("manifests", "--policies", plain, "--live-context")
    same("live context: nothing for policies that need nothing", list(yaml.safe_load_all(done.stdout)),
         render("--policies", plain))
    result("live context: and that is told", "--live-context: these policies need nothing of the cluster" in done.stderr,
           done.stderr)


def hooks_that_are_rendered(work):
    objects = render("--self-signed", "--policies", policy(work, {"match": {"kinds": ["Job"]}, "rules": [GPU]}))
    same("only configurations that are rendered are waited for",
         [[a for a in one(objects, "Job")["spec"]["template"]["spec"]["containers"][0]["args"] if "webhooks" in a]],
         [["--patch-webhooks=validating/mlgate"]])


def refusals(work):
    key = pathlib.Path(work, "both.pem")
    key.write_bytes(pathlib.Path(work, "certs/ca.crt").read_bytes() + pathlib.Path(work, "certs/tls.key").read_bytes())
    for name, args, said in (
            ("a private key never gets into a webhook configuration", ["--ca-file", key], "has a private key in it"),
            ("what is no certificate", ["--ca-file", __file__], __file__),
            ("a file that is not there", ["--ca-file", f"{work}/none"], "none"),
            ("two sources of trust", ["--ca-file", f"{work}/certs/ca.crt", "--cert-manager"], "exclude each other"),
            ("two makers of certificates", ["--self-signed", "--cert-manager"], "exclude each other"),
            ("a name that no CronJob may have", ["--self-signed", "--name", "a" * 40], "too long for a CronJob"),
            ("a namespace that is none", ["--namespace", "A_b"], "no name of a namespace"),
            ("a name that no Service may have", ["--name", "8g"], "no name of a Service"),
            ("a Secret's name", ["--tls-secret", "A"], "no name of a Secret"),
            ("one port for two", ["--tls-port", "8080"], "are both 8080"),
            ("a time-out that the API refuses", ["--timeout", "31"], "from 1 to 30"),
            ("no replica", ["--replicas", "0"], "from 1 to"),
            ("a port below 1024", ["--tls-port", "1023"], "from 1024"),
            ("policies with an error", ["--policies", f"{work}/certs/ca.crt"], "ca.crt"),
            ("a directory that cannot be made", ["--out", f"{work}/no/such"], "No such file"),
            ("an argument", ["x"], "takes no argument")):
        done = run("manifests", *args, check=2)
        result(name, said in done.stderr and not done.stdout, done.stderr + done.stdout)


def folder(work):
    out = pathlib.Path(work, "out")
    listed = run("manifests", "--policies", TOP / "policies/baseline", "--out", out).stdout.split()
    same("a file an object, all of them told", sorted(map(str, out.iterdir())), sorted(listed))
    parts = [list(yaml.safe_load_all(pathlib.Path(p).read_text())) for p in listed]
    same("one in each", {len(p) for p in parts}, {1})
    same("the same as on standard output", [p[0] for p in parts], render("--policies", TOP / "policies/baseline"))


def skip(name, why):
    global count
    count += 1
    print(f"ok {count} - {name} # SKIP {why}")


def shipped(work):
    fresh = pathlib.Path(work, "manifests")
    subprocess.run([TOP / "scripts/manifests.sh", MLGATE, fresh], cwd=TOP, env=ENV, check=True)
    have = {str(p.relative_to(fresh)): p.read_text() for p in fresh.rglob("*.yaml")}
    there = TOP / "manifests"
    want = {name: (there / name).read_text() if (there / name).exists() else None for name in have}
    base = {f"base/{p.name}" for p in (there / "base").glob("*.yaml")}
    result("manifests/ is up to date (`make manifests`)", have == want and base <= set(have),
           [n for n in {*have, *base} if have.get(n) != want.get(n)])
    generated = {f"{p.parent.relative_to(there)}/{p.name}" for p in there.glob("overlays/*/4*.yaml")}
    same("nothing is left of what was generated before", generated - set(have), set())
    kubectl = tool("kubectl")
    if not kubectl:
        skip("overlays", "no kubectl")
        return
    for name, fail in (("self-signed", "Fail"), ("dev", "Ignore"), ("cert-manager", "Fail")):
        done = subprocess.run([kubectl, "kustomize", there / "overlays" / name], capture_output=True, text=True)
        objects = list(yaml.safe_load_all(done.stdout)) if done.returncode == 0 else []
        hooks = [h for k in (V, M) for h in one(objects, k).get("webhooks", [])]
        same(f"overlay {name}", (len(hooks), [h for h in hooks if "caBundle" in h["clientConfig"]],
                                 {h["failurePolicy"] for h in one(objects, V).get("webhooks", [])},
                                 all("app.kubernetes.io/component" in o["metadata"]["labels"] for o in objects)),
             (4, [], {fail}, True))
        kinds = [o["kind"] for o in objects]
        same(f"overlay {name}: where the certificate is from", ("CronJob" in kinds, "Certificate" in kinds),
             (name != "cert-manager", name == "cert-manager"))
        if name != "dev":
            same_objects(f"overlay {name}: what mlgate manifests --{name} renders", objects,
                         render("--policies", TOP / "policies/baseline", f"--{name}"))
        whole = pathlib.Path(work, f"{name}.yaml")
        whole.write_text(done.stdout)
        passes(f"overlay {name}", whole)


def helm_tool():
    return os.environ.get("MLGATE_HELM") or tool("helm")


def template(values=(), *more, namespace="mlgate-system", check=0):
    """What Helm renders, the Job without the number of the release; or what it says when it does not."""
    files = [part for path in values for part in ("-f", path)]
    done = subprocess.run([helm_tool(), "template", "release", TOP / "manifests/chart", "-n", namespace,
                           *files, *more], capture_output=True, text=True, env=HELM_ENV)
    if done.returncode or check:
        result(f"helm exits with {check}", bool(done.returncode) == bool(check), done.stderr)
        return done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    for job in objects:
        if job["kind"] == "Job":
            job["metadata"]["name"] = job["metadata"]["name"].removesuffix("-1")
    return objects


def values_of(work, name, *args):
    path = pathlib.Path(work, f"values-{name}.yaml")
    path.write_text(run("manifests", "--values", *args).stdout)
    return path


def unhelmed(objects):
    return [o for o in objects if o["kind"] != "Namespace"]


def chart(work):
    baseline = ("--policies", TOP / "policies/baseline")
    base = pathlib.Path(work, "chart")
    own = policy(base, {"match": {"kinds": ["Job"]}, "rules": [GPU, {"priority": {"className": "slow"}}]}, "own", "own.yaml",
                 head='# {{ fail "run" }} {{- end }}\n# é "quoted" \\ \t --- \n')
    context = base / "context.yaml"
    context.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: '{{ x }}'}\n")
    ca = pathlib.Path(work, "certs/ca.crt")
    sets = {
        "default": (),
        "self-signed": (*baseline, "--self-signed"),
        "cert-manager": (*baseline, "--cert-manager", "--replicas", 5, "--timeout", 30),
        "authority of one's own": (*baseline, "--ca-file", ca, "--tls-secret", "s.x"),
        "other names": (*baseline, "--self-signed", "--service-monitor", "--name", "g8", "--namespace", "gate",
                        "--tls-port", 7443, "--plain-port", 7080, "--https-port", 9443,
                        "--image", 'r:5000/a@sha256:0 "{{ x }}" # \\'),
        "other policies": ("--policies", own, "--context", context, "--self-signed", "--match-conditions", "derived"),
        "live context": (*baseline, "--self-signed", "--live-context", "--name", "g8"),
        "derived conditions": (*baseline, "--cert-manager", "--match-conditions", "derived"),
        "namespace of Kubernetes": (*baseline, "--namespace", "kube-system"),
    }
    for name, args in sets.items():
        place = args[args.index("--namespace") + 1] if "--namespace" in args else "mlgate-system"
        same_objects(f"chart, {name}: the same objects", template([values_of(work, "set", *args)], namespace=place),
                     unhelmed(render(*args)))
    same_objects("chart: its own values are those of --self-signed", template(), unhelmed(render(*baseline, "--self-signed")))
    same_objects("chart: a value for an option", template((), "--set", "selfSigned=false,certManager=true,replicas=1"),
                 unhelmed(render(*baseline, "--cert-manager", "--replicas", 1)))
    bytes_alone = 'configmaps=[{"configmap":"b","binaryData":{"b.yaml":"/w=="}}]'
    binary = one(template((), "--set-json", bytes_alone), "ConfigMap")
    same("chart: a file that is no text", (binary["binaryData"], "data" in binary), ({"b.yaml": "/w=="}, False))
    before = template((), "--set", "admission=false")
    same("chart: before the API server asks", [o["kind"] for o in before if o["kind"] in (V, M)], [])
    same("chart: nothing is waited for then", [a for a in one(before, "Job")["spec"]["template"]["spec"]["containers"][0]["args"]
                                               if "webhooks" in a], [])
    raw = subprocess.run([helm_tool(), "template", TOP / "manifests/chart"], capture_output=True,
                         text=True, env=HELM_ENV).stdout
    whole = pathlib.Path(work, "chart.yaml")
    whole.write_text(raw)
    same("chart: no two Jobs have a name", raw.count("name: \"mlgate-certificates-1\""), 1)
    passes("chart", whole)
    for name, args in (("a value that is misspelt", ("--set", "replica=1")), ("two makers", ("--set", "certManager=true")),
                       ("a text for a number", ("--set-string", "replicas=1")), ("a time-out", ("--set", "timeout=31")),
                       ("a name", ("--set", "name=A"))):
        said = template((), *args, check=1)
        result(f"chart: {name} is refused", "schema" in said, said)
    done = subprocess.run([helm_tool(), "lint", "--strict", TOP / "manifests/chart"], capture_output=True, text=True,
                          env=HELM_ENV)
    result("helm lint", done.returncode == 0, done.stdout + done.stderr)


def values_alone(work):
    values = yaml.safe_load(run("manifests", "--policies", TOP / "policies/baseline", "--values", "--self-signed").stdout)
    schema = json.loads((TOP / "manifests/chart/values.schema.json").read_text())
    same("the schema knows each value", set(schema["properties"]) - {"global"}, set(values))
    same("the chart's version", yaml.safe_load((TOP / "manifests/chart/Chart.yaml").read_text())["version"],
         (TOP / "VERSION").read_text().strip())
    same("the values of the chart", (TOP / "manifests/chart/values.yaml").read_text(),
         run("manifests", "--policies", TOP / "policies/baseline", "--values", "--self-signed").stdout)
    done = run("manifests", "--values", "--chart", work, check=2)
    result("one kind of output", "exclude each other" in done.stderr, done.stderr)


with tempfile.TemporaryDirectory() as work_dir:
    rendered = default_shape()
    follows_policies(work_dir)
    own_kinds(work_dir)
    classes(work_dir)
    files(work_dir)
    server_reads_the_same(work_dir, rendered)
    options(work_dir)
    self_signed()
    live_context(work_dir)
    hooks_that_are_rendered(work_dir)
    refusals(work_dir)
    folder(work_dir)
    shipped(work_dir)
    values_alone(work_dir)
    HELM_ENV = {**ENV, "HOME": work_dir, "HELM_CACHE_HOME": work_dir, "HELM_CONFIG_HOME": work_dir, "HELM_DATA_HOME": work_dir}
    if helm_tool():
        chart(work_dir)
    else:
        skip("chart", "no helm")
print(f"1..{count}")
