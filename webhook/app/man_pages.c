/* What manual pages say that no table knows. */
#include "app/man.h"

#include <stddef.h>
#include <string.h>

#define ROWS(...) ((const struct mg_man_row[]){__VA_ARGS__, {NULL, NULL}})

#define FILE_POLICIES                                                                                                            \
  { "`./policies`", "the policies where none are named; if there is no such directory, the pack that is built in" }
#define FILE_DEFAULTS                                                                                                            \
  {                                                                                                                              \
    "`.mlgate.yaml`",                                                                                                            \
        "in the directory at hand or above, up to the root of the repository: options that are not given otherwise"              \
  }
#define FILE_DOCKER                                                                                                              \
  { "`~/.docker/config.json`", "logins for registries, if the policies name none" }
#define VARIABLE_DOCKER                                                                                                          \
  { "`DOCKER_CONFIG`", "the directory of `config.json`, instead of `~/.docker`" }

const struct mg_man_page mg_man_overview = {
    .text =
        "`mlgate` is an admission gate for machine-learning workloads: one engine with two faces. `mlgate serve` is the webhook "
        "that "
        "a Kubernetes API server asks about Pods, Jobs, PyTorchJobs, RayClusters and other workloads; `mlgate check` is the same "
        "decision about files, in a pipeline or at a desk, with file, line and column.\n\n"
        "Policies are YAML files. `mlgate explain` lists what rules there are, `mlgate schema` prints their JSON Schema for "
        "editors.",
    .environment =
        ROWS({"`MLGATE_<OPTION>`", "any option, its name in capitals, `_` for `-`; lists with commas; the command line wins"},
             {"`NO_COLOR`", "if set: no colours, not even on a terminal"}, VARIABLE_DOCKER),
    .files = ROWS(FILE_POLICIES, FILE_DEFAULTS, FILE_DOCKER),
    .examples = ROWS({"mlgate check manifests/", "Judge all manifests of a directory by the policies at hand:"},
                     {"mlgate explain gpuLimits", "What a rule can be told:"}),
};

static const struct mg_man_page pages[] = {
    {.command = "serve",
     .text =
         "Answers the reviews that an API server sends to `/mutate` and `/validate`, by TLS, and at a second port, without TLS, "
         "what is asked for at `/livez`, `/readyz` and `/metrics`. `mlgate manifests` renders what a cluster needs for it.\n\n"
         "On SIGTERM it says that it is not ready, serves on for the time of `--grace`, answers what is under way, and leaves.",
     .environment = ROWS({"`KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT`", "the API server, if `--kube-api` is not given"},
                         {"`HOSTNAME`", "the name of the server in spans"}),
     .files = ROWS(FILE_POLICIES,
                   {"`/var/run/secrets/kubernetes.io/serviceaccount/`", "token and CA with which the API server is asked"}),
     .examples = ROWS({"mlgate certs\nmlgate serve --tls-cert certs/tls.crt --tls-key certs/tls.key --listen 127.0.0.1:8443",
                       "Try it at a desk:"}),
     .see = "manifests certs check"},
    {.command = "check",
     .text =
         "Judges manifests as the webhook would: first the edits are made, then the result is judged, and each finding is told "
         "with "
         "file, line and column. Directories are searched for `.yaml`, `.yml` and `.json`; a dash is standard input; a List is "
         "opened; recorded AdmissionReviews are judged as the requests that they are. Objects of kinds that mlgate does not know "
         "are skipped and counted.\n\n"
         "`--format` may be given several times, each with a file of its own; only the report goes to standard output.",
     .environment = ROWS({"`NO_COLOR`", "if set: no colours, not even on a terminal"}, VARIABLE_DOCKER),
     .files = ROWS(FILE_POLICIES, FILE_DEFAULTS, FILE_DOCKER),
     .examples = ROWS({"mlgate check --policies policies/ --format text --format sarif=mlgate.sarif manifests/",
                       "In a pipeline, with a report for people and one for a machine:"},
                      {"helm template charts/train | mlgate check -", "What Helm renders:"}),
     .see = "fix test explain schema serve"},
    {.command = "fix",
     .text =
         "Writes into manifests what the webhook would add to their objects, so that what is committed is what runs. Comments, "
         "order, "
         "quoting, indentation and ends of lines stay as they are wherever nothing is added. What cannot be written without "
         "touching more is left alone, with a reason.\n\n"
         "`--mend` also writes what a denial of `gpuLimits` asks for: a missing limit as large as the request, or a request as "
         "large as the limit.",
     .files = ROWS(FILE_POLICIES, FILE_DEFAULTS, FILE_DOCKER),
     .examples = ROWS({"mlgate fix --mend --diff jobs/", "See what would be written:"}, {"mlgate fix --mend jobs/", "Write it:"}),
     .see = "check"},
    {.command = "test",
     .text =
         "Runs the cases of Test documents against policies: each names an object and what is expected of it, which must hold "
         "exactly. Policies that ship have their tests beside them.",
     .files = ROWS(FILE_POLICIES),
     .examples = ROWS({"mlgate test --policies policies/ policies/", "In the repository of the policies:"}),
     .see = "check explain"},
    {.command = "replay",
     .text =
         "Judges requests that were recorded, as AdmissionReviews or in the API server's audit log, so that a policy is tried on "
         "what really came. With `--against` it tells what other policies would change: what they newly deny, and what not any "
         "more.",
     .files = ROWS(FILE_POLICIES),
     .examples = ROWS({"mlgate replay --policies policies/ --against next/ audit.log", "Before a policy is made stricter:"}),
     .see = "scan check"},
    {.command = "scan",
     .text = "Lists what runs in a cluster and judges it. It only reads.",
     .environment = ROWS({"`KUBECONFIG`", "the kubeconfig, if `--kubeconfig` is not given"}),
     .files = ROWS(FILE_POLICIES, {"`~/.kube/config`", "the kubeconfig, if no other is named"}),
     .see = "replay check"},
    {.command = "certs",
     .text = "Makes an authority and a server certificate, renews what is due, or shows what is there, in files or in a Secret. "
             "Keys are "
             "ECDSA P-256. An authority is changed in steps, so that the old one is trusted until nobody uses it.",
     .files = ROWS({"`./certs/`", "`ca.crt`, `ca.key`, `tls.crt`, `tls.key`, if neither `--out` nor `--secret` is given"}),
     .examples = ROWS({"mlgate certs create --out certs --dns localhost --ip 127.0.0.1", "For a desk:"}),
     .see = "manifests serve"},
    {.command = "manifests",
     .text = "Renders all that an installation consists of: the server, its service account, the policies as ConfigMaps, and the "
             "webhook "
             "configurations, which ask for no more than the policies can match.",
     .files = ROWS(FILE_POLICIES),
     .examples = ROWS({"mlgate manifests --self-signed --policies policies/ | kubectl apply --dry-run=server -f -",
                       "See what a cluster thinks:"}),
     .see = "serve certs"},
    {.command = "schema",
     .text = "Prints the JSON Schema of policy files and baselines, of dialect 2020-12, or of one kind of them; `Config` is "
             "that of `.mlgate.yaml`.",
     .examples = ROWS({"mlgate schema >policies/schema.json\n# yaml-language-server: $schema=schema.json",
                       "For an editor; the second line is the first of each policy file:"}),
     .see = "explain check"},
    {.command = "explain",
     .text =
         "Without arguments it lists the rule types; with the name of one, its parameters. `workloads` are the kinds that are "
         "judged, and where each keeps its pod templates; `accelerators` what counts as one. With files it says what mlgate sees "
         "in "
         "each object, and why each policy does or does not apply.",
     .files = ROWS(FILE_POLICIES),
     .examples = ROWS({"mlgate explain --policies policies/ jobs/train.yaml", "Why a policy is silent:"}),
     .see = "check schema"},
    {.command = "image",
     .text = "Shows what the registry says of images, layer by layer: sizes, commands, weights, what is over a base, what could "
             "not be "
             "looked into and why, and what the policies make of it.",
     .environment = ROWS(VARIABLE_DOCKER),
     .files = ROWS(FILE_POLICIES, FILE_DOCKER),
     .see = "check explain"},
    {.command = "completion",
     .text = "Prints a script with which a shell completes commands, options, formats, words of options, rule types, kinds and "
             "files. A "
             "package installs them; without one, a line in the shell's own file does:",
     .see = "man"},
    {.command = "man",
     .text = "Prints a manual page in the language of man(1). Without an argument it is the one that lists the commands.",
     .environment = ROWS({"`SOURCE_DATE_EPOCH`", "the date of the page, in seconds since 1970, instead of today"}),
     .see = "completion help"},
    {.command = "version", .see = "help"},
    {.command = "help", .see = "man version"},
};

const struct mg_man_page *mg_man_page(const char *command) {
  static const struct mg_man_page nothing = {0};
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
    if (strcmp(pages[i].command, command) == 0) return &pages[i];
  return &nothing;
}
