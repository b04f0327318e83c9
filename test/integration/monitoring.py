#!/usr/bin/python3
"""manifests/monitoring: every metric that alerts and dashboard name is in /metrics, what is generated is up to date, and every
alert fires when it should and only then (promtool)."""
import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
import exposition  # noqa: E402
import harness  # noqa: E402
from exposition import promtool  # noqa: E402
from harness import expect  # noqa: E402

FOLDER = os.path.join(harness.TOP, "manifests", "monitoring")
RULES = os.path.join(FOLDER, "rules.yaml")
OURS = r"\b((?:mlgate|process)_[a-z_]+)\b"
INSTANCE = 'job="m",instance="a"'


def rules():
    return [rule for group in harness.load_yaml(RULES)["groups"] for rule in group["rules"]]


def dashboard():
    with open(os.path.join(FOLDER, "dashboard.json"), encoding="utf-8") as file:
        return json.load(file)


def dashboard_queries():
    board = dashboard()
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [item["expr"] for item in board["annotations"]["list"]]
    return [query.replace("$__rate_interval", "5m").replace("$job", ".*") for query in queries]


def scrape():
    """Every family, with those that only come with the context."""
    extra = ["--live-context", "--kube-api", "https://127.0.0.1:1", "--context-wait", "0"]
    with harness.Server([os.path.join(harness.TOP, "policies", "baseline")], extra=extra) as server:
        return exposition.read(server.get("/metrics")[1].decode())


def names_exist(families):
    """Names, and the values of the labels that have few."""
    samples = {name + suffix for name, family in families.items() for suffix in exposition.SUFFIXES[family.kind]}
    board = dashboard()
    board = json.dumps([board["panels"], board["annotations"]["list"], board["templating"]["list"]])
    for where, text in (("rules.yaml", open(RULES, encoding="utf-8").read()), ("dashboard.json", board)):
        names = set(re.findall(OURS, text))
        expect(len(names) > 10, f"{where}: {names}")
        expect(names <= samples, f"{where}: not in /metrics: {sorted(names - samples)}")


def label_values_exist(families):
    """What a query selects by is there: a renamed reason would silence an alert for ever."""
    exprs = [rule["expr"] for rule in rules()] + dashboard_queries()
    checked = 0
    for name, matchers in re.findall(OURS + r"\{([^}]*)\}", "\n".join(exprs)):
        family = families[re.sub("_(bucket|sum|count)$", "", name)]
        for label, how, value in re.findall(r'([a-z]+)(=~|!~|!=|=)"([^"]*)"', matchers):
            if label in ("job", "instance"):
                continue
            for one in value.split("|") if "~" in how else [value]:
                there = {dict(key[1]).get(label) for key in family.samples}
                expect(one in there, f"{name}{{{label}=\"{one}\"}}: there is only {sorted(map(str, there))}")
                checked += 1
    expect(checked > 10, f"only {checked} values")


def metrics_are_listed(families):
    with open(os.path.join(FOLDER, "README.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `([a-z_]+)` \| ([a-z]+) \| (.*) \|$", file.read(), re.M)
    expect(rows == [(family.name, family.kind, family.help) for family in families.values()],
           f"README.md is not what a server says: make monitoring ({set(families) ^ {row[0] for row in rows}})")


def rule_is_the_same():
    expect(harness.load_yaml(os.path.join(FOLDER, "prometheusrule.yaml"))["spec"] == harness.load_yaml(RULES),
           "prometheusrule.yaml is not rules.yaml: make monitoring")


def rules_are_whole():
    for rule in rules():
        expect(set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, f"{rule}")
        expect(rule["labels"]["severity"] in ("critical", "warning", "info"), f"{rule['alert']}: severity")
        expect(rule["annotations"]["summary"] and rule["annotations"]["description"], f"{rule['alert']}: no words")


def monitor_selects_the_servers():
    """PodMonitor against the Deployment of the base: the same labels and port."""
    monitor = harness.load_yaml(os.path.join(FOLDER, "podmonitor.yaml"))
    pod = harness.load_yaml(os.path.join(harness.TOP, "manifests", "base", "50-deployment.yaml"))
    labels = pod["spec"]["template"]["metadata"]["labels"]
    expect(monitor["spec"]["selector"]["matchLabels"].items() <= labels.items(), f"{labels}")
    expect(monitor["metadata"]["namespace"] == pod["metadata"]["namespace"], "namespace")
    ports = {port["name"] for container in pod["spec"]["template"]["spec"]["containers"] for port in container["ports"]}
    expect({end["port"] for end in monitor["spec"]["podMetricsEndpoints"]} <= ports, f"{ports}")


def dashboard_is_whole():
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    expect(len(set(ids)) == len(ids) > 10, "ids")
    cells = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        expect(not mine & cells and at["x"] + at["w"] <= 24, f"{panel['title']}: lies over another")
        cells |= mine
        expect(panel["title"] and panel["description"] and panel["targets"], f"{panel['id']}: not whole")
        expect(all(target["datasource"]["uid"] == "$datasource" for target in panel["targets"]), f"{panel['title']}: source")


def queries_are_promql():
    with tempfile.TemporaryDirectory(prefix="mlgate-promtool-") as folder:
        path = os.path.join(folder, "rules.yaml")
        with open(path, "w", encoding="utf-8") as file:
            records = [{"record": f"query:{i}", "expr": query} for i, query in enumerate(dashboard_queries())]
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}, file)
        for one in (path, RULES):
            done = subprocess.run([promtool(), "check", "rules", one], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=60, check=False)
            expect(done.returncode == 0, done.stdout.decode())


# What fires (and by which labels), and what does not, as series of promtool: start+step x count, one sample a minute. Looked at
# after 90 minutes; * is the usual job and instance.
BUILD = 'mlgate_build_info{*,version="1"} 1x200'
OTHER = '{job="b",instance="c"}'
ALERTS = {
    "MlgateDown": ([], "", [BUILD]),
    "MlgateRestarting": (
        [BUILD, "process_start_time_seconds{*} 1x30 2x20 3x20 4x100"], "*",
        [BUILD, "process_start_time_seconds{*} 1x30 2x20 3x150", f"process_start_time_seconds{OTHER} 0+1x200"]),
    "MlgateCertificateEnding": (
        ["mlgate_certificate_expiry_timestamp_seconds{*} 600000x200"], "*",
        ["mlgate_certificate_expiry_timestamp_seconds{*} 700000x200"]),
    "MlgateCertificateEnded": (
        ["mlgate_certificate_expiry_timestamp_seconds{*} 1000x200"], "*",
        ["mlgate_certificate_expiry_timestamp_seconds{*} 100000x200"]),
    "MlgateReloadFailing": (
        ['mlgate_config_reload_failing{*,what="policies"} 1x200'], '*,what="policies"',
        ['mlgate_config_reload_failing{*,what="policies"} 0x86 1x2 0x100']),
    "MlgateGenerationsDiffer": (
        ['mlgate_config_hash{job="m",instance="a"} 200000000000001x200',
         'mlgate_config_hash{job="m",instance="b"} 200000000000002x200'], 'job="m"',
        ['mlgate_config_hash{job="m",instance="a"} 1x80 2x200', 'mlgate_config_hash{job="m",instance="b"} 1x84 2x200']),
    "MlgateErrors": (
        ['mlgate_admission_errors_total{*,status="400"} 0+2x200', "mlgate_admission_requests_total{*} 0+100x200"], 'job="m"',
        ['mlgate_admission_errors_total{*,status="400"} 0+1x200', "mlgate_admission_requests_total{*} 0+200x200"]),
    "MlgateOverloaded": (
        ['mlgate_http_refused_total{*,reason="budget"} 0+1x200'], '*,reason="budget"',
        ['mlgate_http_refused_total{*,reason="budget"} 9x200', 'mlgate_http_refused_total{*,reason="path"} 0+9x200']),
    "MlgateBudgetNearlyExhausted": (
        ["mlgate_http_body_bytes{*} 95x200", "mlgate_http_body_budget_bytes{*} 100x200"], "*",
        ["mlgate_http_body_bytes{*} 50x200", "mlgate_http_body_budget_bytes{*} 100x200"]),
    "MlgateCrowded": (
        ['mlgate_http_connections_ended_total{*,reason="crowded"} 0+1x200'], '*,reason="crowded"',
        ['mlgate_http_connections_ended_total{*,reason="crowded"} 7x200',
         'mlgate_http_connections_ended_total{*,reason="deadline"} 0+1x200',
         'mlgate_tls_handshakes_total{*,result="no_room"} 3x200']),
    "MlgateHandshakesFailing": (
        ['mlgate_tls_handshakes_total{*,result="failure"} 0+60x200',
         'mlgate_tls_handshakes_total{*,result="success"} 0+1x200'], '*,result="failure"',
        ['mlgate_tls_handshakes_total{*,result="failure"} 0+60x200',
         'mlgate_tls_handshakes_total{*,result="success"} 0+90x200']),
    "MlgateSlow": (
        ['mlgate_admission_duration_seconds_bucket{*,le="0.1"} 0+90x200',
         'mlgate_admission_duration_seconds_bucket{*,le="1.0"} 0+100x200',
         'mlgate_admission_duration_seconds_bucket{*,le="+Inf"} 0+100x200'], 'job="m"',
        ['mlgate_admission_duration_seconds_bucket{*,le="0.1"} 0+995x200',
         'mlgate_admission_duration_seconds_bucket{*,le="+Inf"} 0+1000x200']),
    "MlgateImagesUnknown": (
        ['mlgate_image_lookups_total{*,result="timeout"} 0+3x200', 'mlgate_image_lookups_total{*,result="hit"} 0+7x200'],
        'job="m"',
        ['mlgate_image_lookups_total{*,result="timeout"} 0+1x200', 'mlgate_image_lookups_total{*,result="fetched"} 0+9x200']),
    "MlgateRegistryQuotaLow": (
        ['mlgate_registry_quota_remaining{*,host="h"} 5x200', 'mlgate_registry_quota_limit{*,host="h"} 100x200'], '*,host="h"',
        ['mlgate_registry_quota_remaining{*,host="h"} 50x200', 'mlgate_registry_quota_limit{*,host="h"} 100x200']),
    "MlgateContextStale": (
        ['mlgate_context_synced{*,kind="Namespace"} 0x200'], '*,kind="Namespace"',
        ['mlgate_context_synced{*,kind="Namespace"} 0x80 1x100']),
    "MlgateLogLinesLost": (
        ['mlgate_log_lines_dropped_total{*,reason="blocked"} 0x85 1x100'], '*,reason="blocked"',
        ['mlgate_log_lines_dropped_total{*,reason="blocked"} 5x200', 'mlgate_log_lines_dropped_total{*,reason="rate"} 0+1x200']),
    "MlgateSpansLost": (
        ['mlgate_otlp_spans_total{*,result="dropped"} 0+1x200'], "*", ['mlgate_otlp_spans_total{*,result="sent"} 0+1x200']),
    "MlgateFileDescriptors": (
        [BUILD, "process_open_fds{*} 90x200", "process_max_fds{*} 100x200"], "*",
        [BUILD, "process_open_fds{*} 70x200", "process_max_fds{*} 100x200", f"process_open_fds{OTHER} 90x200",
         f"process_max_fds{OTHER} 100x200"]),
    "MlgateExceptionEnding": (
        ['mlgate_exceptions{*,state="expiring"} 1x200'], '*,state="expiring"',
        ['mlgate_exceptions{*,state="expiring"} 0x200', 'mlgate_exceptions{*,state="expired"} 1x200']),
}


def rule_test(name, series, fires, more=""):
    expr = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
    severity = next(rule["labels"]["severity"] for rule in rules() if rule["alert"] == name)
    labels = ",".join(part for part in (f'alertname="{name}"', 'alertstate="firing"', f'severity="{severity}"', more) if part)
    samples = [{"labels": f"ALERTS{{{labels}}}".replace("*", INSTANCE), "value": 1}] if fires else []
    return {"interval": "1m",
            "input_series": [dict(zip(("series", "values"), one.replace("*", INSTANCE).split(" ", 1))) for one in series],
            "promql_expr_test": [{"expr": expr, "eval_time": "90m", "exp_samples": samples}]}


def run_rule_tests(tests):
    with tempfile.TemporaryDirectory(prefix="mlgate-promtool-") as folder:
        path = os.path.join(folder, "tests.yaml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump({"rule_files": [RULES], "evaluation_interval": "1m", "tests": tests}, file)
        done = subprocess.run([promtool(), "test", "rules", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              check=False)
        return done.returncode, done.stdout.decode()


def alert_fires_and_does_not(name):
    firing, labels, quiet = ALERTS[name]
    status, text = run_rule_tests([rule_test(name, firing, True, labels), rule_test(name, quiet, False)])
    expect(status == 0, text)


def words_are_rendered():
    """One alert as people see it."""
    rule = next(rule for rule in rules() if rule["alert"] == "MlgateReloadFailing")
    summary = "mlgate at a cannot use its new policies and serves on with the old."
    series = [{"series": f'mlgate_config_reload_failing{{{INSTANCE},what="policies"}}', "values": "1x20"}]
    alert = {"exp_labels": {"job": "m", "instance": "a", "what": "policies", "severity": "warning"},
             "exp_annotations": {"summary": summary, "description": rule["annotations"]["description"]}}
    status, text = run_rule_tests([{"interval": "1m", "input_series": series, "alert_rule_test": [
        {"eval_time": "10m", "alertname": "MlgateReloadFailing", "exp_alerts": [alert]}]}])
    expect(status == 0, text)


def every_alert_has_a_case():
    names = [rule["alert"] for rule in rules()]
    expect(sorted(names) == sorted(ALERTS), f"without a case, or without a rule: {set(names) ^ set(ALERTS)}")


def main():
    tap = harness.Tap()
    try:
        families = scrape()
    except harness.Mismatch as wrong:
        tap.result("a server's metrics", str(wrong))
        families = {}
    for test in (names_exist, label_values_exist, metrics_are_listed):
        tap.run(test.__name__.replace("_", " "), test, families)
    for test in (rule_is_the_same, rules_are_whole, monitor_selects_the_servers, dashboard_is_whole, every_alert_has_a_case):
        tap.run(test.__name__.replace("_", " "), test)
    checks = [("queries are PromQL", queries_are_promql, ()), ("words are rendered", words_are_rendered, ())]
    checks += [(name, alert_fires_and_does_not, (name,)) for name in ALERTS]
    for name, test, args in checks:
        if promtool():
            tap.run(name, test, *args)
        else:
            tap.skip(name, "promtool is not installed (make promtool)")
    tap.finish()


if __name__ == "__main__":
    main()
