# Includes point to the same layer or down, in this order; "base/x.h", never "x.h"; one rule file does not include another.
BEGIN {
  n = split("base doc kube policy rules admit registry cluster certs http report app", order, " ")
  for (i = 1; i <= n; i++) rank[order[i]] = i
}
FNR == 1 {
  here = FILENAME
  sub(/^webhook\//, "", here)
  sub(/\/.*/, "", here)
  if (!(here in rank)) print FILENAME ":1: " here " is no layer"
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
  name = $0
  sub(/^[^"]*"/, "", name)
  sub(/".*/, "", name)
  where = FILENAME ":" FNR ": "
  if (name !~ /\//) { print where "include \"" name "\" without its layer"; next }
  there = name
  sub(/\/.*/, "", there)
  if (!(there in rank)) print where there " is no layer"
  else if (rank[there] > rank[here]) print where here " includes " name ", which is above it"
}
