# Files of at most 800 lines, headers of 200, functions of 80. A function starts at the line of its opening brace's head and ends at "}"
# in the first column.
function finish() {
  if (file != "" && lines > (file ~ /\.h$/ ? 200 : 800)) print file ":" lines ": file of " lines " lines"
}
FNR == 1 { finish(); file = FILENAME; start = 0; head = "" }
{ lines = FNR }
/^[A-Za-z_].*\(/ && !/;[ \t]*$/ && !/^#/ { head = $0; head_line = FNR }
# A head may run over several lines; the brace ends the one or stands alone.
/^[^ \t#].*[)] *\{[ \t]*$/ || /^\{/ || (/^[ \t]+.*[)] *\{[ \t]*$/ && head != "" && !start && FNR - head_line < 6) { if (!start) start = head_line }
/^\}/ {
  if (start && FNR - start + 1 > 80) {
    name = head
    sub(/\(.*/, "", name)
    sub(/.*[ *]/, "", name)
    print FILENAME ":" start ": " name " has " FNR - start + 1 " lines"
  }
  start = 0
  head = ""
}
END { finish() }
