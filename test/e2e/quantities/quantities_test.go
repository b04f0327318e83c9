// Package quantities asks the real library for what fuzzing has found of quantities.
package quantities

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"gopkg.in/inf.v0"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestTable writes to the file TABLE what the library makes of each line of the files of the folder CORPUS: the line, a
// tab, and "error", or its value in 10^-9, a blank and its canonical text. test/fuzz/quantity.sh holds it against ours.
func TestTable(t *testing.T) {
	table, corpus := os.Getenv("TABLE"), os.Getenv("CORPUS")
	if table == "" || corpus == "" {
		t.Skip("TABLE and CORPUS are not set")
	}
	files, err := filepath.Glob(filepath.Join(corpus, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files in ", corpus, err)
	}
	lines := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			lines[line] = len(line) <= 200 && !strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' })
		}
	}
	var rows []string
	for line, plain := range lines {
		if plain {
			rows = append(rows, line+"\t"+of(line))
		}
	}
	sort.Strings(rows)
	var out bytes.Buffer
	for _, row := range rows {
		fmt.Fprintln(&out, row)
	}
	if err := os.WriteFile(table, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d quantities", len(rows))
}

func of(line string) string {
	q, err := resource.ParseQuantity(line)
	if err != nil {
		return "error"
	}
	text := q.DeepCopy()
	text.Add(resource.Quantity{Format: q.Format}) // forgets how it was written
	value := q.AsDec()
	if value.Sign() == 0 {
		return "0 0"
	}
	if value.Scale() < -100 {
		return "far"
	}
	nano := new(inf.Dec).Round(value, 9, inf.RoundUp)
	return new(big.Int).Set(nano.UnscaledBig()).String() + " " + text.String()
}
