# Functions that are not to be called, tabs, long lines, blanks at the end, and buffers that free themselves before they are made.
# Text in quotes and comments may name them.
BEGIN {
  n = split("sprintf vsprintf strcpy strcat strncat strtok gets atoi atol atof alloca system popen mktemp tmpnam setjmp longjmp", list, " ")
  for (i = 1; i <= n; i++) banned[list[i]] = 1
}
FNR == 1 { comment = 0; delete unmade }
{
  where = FILENAME ":" FNR ": "
  if (/\t/) print where "a tab"
  if (/[ \t]$/) print where "blanks at the end of the line"
  text = $0
  gsub(/[\300-\377][\200-\277]*/, "x", text)
  if (length(text) > 130) print where length(text) " columns"
  gsub(/\\./, "", text)
  gsub(/"[^"]*"/, "\"\"", text)
  if (comment) {
    if (!(end = index(text, "*/"))) next
    text = substr(text, end + 2)
    comment = 0
  }
  while ((begin = index(text, "/*"))) {
    end = index(substr(text, begin + 2), "*/")
    text = substr(text, 1, begin - 1) (end ? substr(text, begin + end + 3) : "")
    comment = !end
  }
  sub(/\/\/.*/, "", text)
  if (match(text, /^ *MG_BUF_AUTO [a-z0-9_, ]+;/)) {
    names = substr(text, RSTART, RLENGTH - 1)
    sub(/^ *MG_BUF_AUTO /, "", names)
    n = split(names, list, /, */)
    for (i = 1; i <= n; i++) unmade[list[i]] = 1
  }
  for (name in unmade) if (index(text, "mg_buf_init(&" name ",")) delete unmade[name]
  if (text ~ /(^|[^a-z_])(return|continue|break|goto)([^a-z_]|$)/ || text ~ /^}/) {
    for (name in unmade) print where name " is freed here, and mg_buf_init has not made it"
    delete unmade
  }
  while (match(text, /[A-Za-z_][A-Za-z0-9_]*[ ]*\(/)) {
    name = substr(text, RSTART, RLENGTH - 1)
    sub(/ +$/, "", name)
    if ((name in banned) && !(RSTART > 1 && substr(text, RSTART - 1, 1) ~ /[.>]/)) print where name " is banned"
    text = substr(text, RSTART + RLENGTH)
  }
}
