#!/usr/bin/env bash
# policies.sh BINARY DIR   writes what is generated of DIR: schema.json, and policies.md out of the comments and fields of the files
# below policies/ and of what they hit (test/integration/packs.hits).
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
binary=$1 dir=$2
hits=test/integration/packs.hits
for name in $(compgen -e | grep '^MLGATE_' || true); do unset "$name"; done
mkdir -p "$dir"
"$binary" schema >"$dir/schema.json"
types=$("$binary" explain | sed -n '/^And:$/q; s/^  \([a-zA-Z]*\) .*/\1/p' | tr '\n' '|')

# One file: its comments up to the first field are the parts; what follows are its policies.
page() { # FILE
  awk -v file="$1" -v tests="$(grep -c '^- name:' "${1%.yaml}.test.yaml" 2>/dev/null || true)" -v types="$types" -v hits="$hits" '
    function words(line) { sub(/^#? */, "", line); return line }
    function say(name, text) { if (text != "") print "- **" name "** " text }
    function end_policy() {
      if (name == "") return
      print "- `" name "` (" (action == "" ? "enforce" : action) "; " rules "): " description
      if (name in hit) print "  " hit[name]
      name = action = rules = description = ""
    }
    BEGIN {
      while ((getline line <hits) > 0) {
        if (split(line, f, " ") == 4 && f[1] !~ /^#/) {
          text = f[2] + f[3] + f[4] == 0 ? "hits nothing" : ""
          if (f[2] > 0) text = text "denies " f[2]
          if (f[3] > 0) text = text (text == "" ? "" : ", ") "warns of " f[3]
          if (f[4] > 0) text = text (text == "" ? "" : ", ") "changes " f[4]
          hit[f[1]] = "Of the public manifests it " text "."
        }
      }
      count_types = split(types, type, "|")
      for (i = 1; i <= count_types; i++) known[type[i]] = 1
      part = "why"
    }
    /^# yaml-language-server:/ { next }
    /^#/ && !body {
      line = words($0)
      if (line ~ /^Who is hit: /) { part = "hit"; sub(/^Who is hit: /, "", line) }
      else if (line ~ /^Edit: /) { part = "edit"; sub(/^Edit: /, "", line) }
      else if (line ~ /^Except: /) { part = "except"; sub(/^Except: /, "", line) }
      text_of[part] = text_of[part] (text_of[part] == "" ? "" : " ") line
      next
    }
    !body {
      body = 1
      title = file
      sub(/^policies\//, "", title)
      print "\n### " title "\n\n" text_of["why"] "\n"
      say("Who is hit:", text_of["hit"])
      say("Edit:", text_of["edit"])
      say("Except:", text_of["except"])
      if (tests > 0) print "- **Tests:** " tests " cases in `" file_of_tests() "`"
      print ""
    }
    function file_of_tests(  t) { t = file; sub(/[.]yaml$/, ".test.yaml", t); return t }
    /^---/ { end_policy(); kind = "" }
    /^kind: / { kind = $2 }
    kind == "Policy" && /^  name: / { name = $2 }
    kind == "Policy" && /^  description: / { description = $0; sub(/^  description: /, "", description) }
    kind == "Policy" && /^  action: / { action = $2 }
    kind == "Policy" && /^  (- |  )[a-zA-Z]+:/ {
      key = $0
      sub(/^  (- |  )/, "", key)
      sub(/:.*/, "", key)
      if (key in known && index(rules, "`" key "`") == 0) rules = rules (rules == "" ? "" : ", ") "`" key "`"
    }
    kind == "PriorityClass" && /^  name: / { print "- the PriorityClass `" $2 "`" }
    END { end_policy() }' "$1"
}

section() { # FOLDER TITLE TEXT
  local file
  printf '\n## %s\n\n%s\n' "$2" "$3"
  for file in "policies/$1"/*.yaml; do
    case $file in *.test.yaml) ;; *) page "$file" ;; esac
  done
}

{
  echo '# Policies that ship'
  echo
  # shellcheck disable=SC2016
  echo '<!-- Written by `make policies`. -->'
  echo
  # shellcheck disable=SC2016
  echo 'Copy what you want, edit it, and hold it against its tests: `mlgate test policies/`. All of them can be loaded together. What a policy says of public manifests is'
  echo "counted over the $(sed -n 's/^# \([0-9]* objects.*\)/\1/p' "$hits"), each policy by itself; what needs a cluster or a registry hits nothing there."
  section baseline 'Baseline' 'Built into the binary, and used where no other policies are given.'
  section strict 'Strict' 'Beside the baseline: its warnings become denials.'
  section addons/training 'Training' 'Jobs that end, and are not disturbed before.'
  section addons/inference 'Inference' 'Services that answer, all the time.'
  section addons/notebooks 'Notebooks' 'Interactive work, which is idle most of the time.'
  section addons/spot 'Spot' 'Nodes that are cheap because they are taken away.'
  section addons/multi-tenant 'Multi-tenant' 'Clusters that several teams share.'
  section addons/images 'Images' 'Where images come from, and what is in them.'
  section addons/kueue 'Kueue' 'Jobs that wait in a queue.'
  section addons/sharing 'MIG and sharing' 'Parts of NVIDIA devices.'
  section addons/vendors 'AMD, Gaudi, TPU, Neuron' 'What other devices want.'
  section addons/devices 'Access to devices' 'Devices that nobody counted.'
} >"$dir/policies.md.new"
mv "$dir/policies.md.new" "$dir/policies.md"
