#!/bin/sh
# embed.sh FILE...   writes, as C, the table that webhook/base/embedded.h declares. A name is the path without "webhook/".
set -eu
export LC_ALL=C

echo '#include "base/embedded.h"'
echo
echo 'const char mg_version[] = MG_VERSION;'

names=$(for f in "$@"; do printf '%s %s\n' "${f#webhook/}" "$f"; done | sort)
table=''
i=0
while read -r name file; do
  [ -n "$name" ] || continue
  printf '\nstatic const unsigned char file_%d[] = {\n' "$i"
  od -An -v -tx1 "$file" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g'
  echo '0};'
  table="$table  {\"$name\", file_$i, sizeof file_$i - 1},
"
  i=$((i + 1))
done <<EOF
$names
EOF

# The empty last row keeps the array legal when there is nothing to embed.
printf '\nconst struct mg_embedded mg_embedded_files[] = {\n%s  {NULL, NULL, 0},\n};\n' "$table"
echo 'const size_t mg_embedded_count = sizeof mg_embedded_files / sizeof *mg_embedded_files - 1;'
