package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// differences of one object, in words; none if both sides agree.
func differences(o *object) (found []string) {
	text, isDenial := o.judged.denial()
	if o.check == nil {
		if !o.judged.accepted && o.GetName() == "mlgate" && strings.HasSuffix(o.GetKind(), "WebhookConfiguration") {
			return nil // our own configurations are there by then, and a second one of the name is a conflict
		}
		if !o.judged.accepted {
			found = append(found, "check skips the kind; API server: "+o.judged.text)
		} else if !reflect.DeepEqual(o.judged.object, o.plain.object) {
			found = append(found, "check skips the kind; mlgate changes it:\n"+diff(o.plain.object, o.judged.object))
		}
		return found
	}
	if o.check.Allowed != o.judged.accepted {
		found = append(found, fmt.Sprintf("decision: check allowed=%v, API server accepted=%v %s", o.check.Allowed, o.judged.accepted, o.judged.text))
	}
	if isDenial {
		lines := strings.Split(text, "\n")
		slices.Sort(lines)
		if want := o.check.lines("deny"); !slices.Equal(lines, want) && !abridged(lines) {
			found = append(found, "violations:\n  check:\n    "+strings.Join(want, "\n    ")+"\n  API server:\n    "+strings.Join(lines, "\n    "))
		}
	}
	if got, want := warnings(o.judged.warnings), checkWarnings(o); !slices.Equal(got, want) {
		found = append(found, "warnings:\n  check:\n    "+strings.Join(want, "\n    ")+"\n  API server:\n    "+strings.Join(got, "\n    "))
	}
	if !o.judged.accepted {
		return found
	}
	if !o.patched.accepted {
		found = append(found, "the API server refuses what check makes of it: "+o.patched.text)
	} else if !reflect.DeepEqual(o.patched.object, o.judged.object) {
		found = append(found, "object (- check, + API server):\n"+diff(o.patched.object, o.judged.object))
	}
	return found
}

// abridged holds for a denial with more violations than are shown.
func abridged(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "and ") && strings.HasSuffix(line, " more") })
}

// warnings are those of mlgate, sorted: `policy/rule: text`.
func warnings(all []string) (own []string) {
	for _, w := range all {
		if head, _, ok := strings.Cut(w, ": "); ok && strings.Count(head, "/") == 1 && !strings.Contains(head, " ") {
			own = append(own, w)
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}

// checkWarnings are the violations that warn, as the webhook shortens them.
func checkWarnings(o *object) (own []string) {
	for _, v := range o.check.Violations {
		if v.Action != "warn" {
			continue
		}
		text := []rune(v.Policy + "/" + v.Rule + ": " + v.Message)
		if len(text) > 120 {
			text = append(text[:119], '…')
		}
		own = append(own, string(text))
	}
	slices.Sort(own)
	return slices.Compact(own)
}

// diff shows the lines that only one side has.
func diff(before, after map[string]any) string {
	a, _ := yaml.Marshal(before)
	b, _ := yaml.Marshal(after)
	left, right := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	var out []string
	for len(left) > 0 && len(right) > 0 && left[0] == right[0] {
		left, right = left[1:], right[1:]
	}
	for len(left) > 0 && len(right) > 0 && left[len(left)-1] == right[len(right)-1] {
		left, right = left[:len(left)-1], right[:len(right)-1]
	}
	for _, line := range left {
		out = append(out, "  - "+line)
	}
	for _, line := range right {
		out = append(out, "  + "+line)
	}
	return strings.Join(out, "\n")
}

// spared namespaces are those that `mlgate manifests` keeps the hooks away from.
var spared = map[string]bool{"kube-system": true, "kube-public": true, "kube-node-lease": true, "mlgate-system": true}

// report prints every difference and the numbers; it holds if there is no difference.
func report(objects []*object, unreadable int) bool {
	var unserved, refused, skipped, agree, differ, deniedCount, patched, quiet int
	kinds := map[string]int{}
	for _, o := range objects {
		switch {
		case !o.plain.accepted && o.plain.text == "":
			unserved++
			kinds[o.GetKind()+"."+o.GetAPIVersion()]++
			continue
		case !o.plain.accepted:
			refused++
			continue
		}
		if o.check == nil {
			skipped++
		}
		if spared[namespaceOf(o)] && o.judged.accepted && reflect.DeepEqual(o.plain.object, o.judged.object) && o.check != nil {
			quiet++
			continue
		}
		if found := differences(o); len(found) > 0 {
			differ++
			fmt.Printf("%v\n  %s\n", o, strings.Join(found, "\n  "))
			continue
		}
		agree++
		if !o.judged.accepted {
			deniedCount++
		} else if !reflect.DeepEqual(o.plain.object, o.judged.object) {
			patched++
		}
	}
	fmt.Printf("%d objects, %d documents unreadable\n", len(objects), unreadable)
	fmt.Printf("left out: %d of kinds that the API server does not serve, %d that it refuses without mlgate, %d in namespaces that the hooks spare\n",
		unserved, refused, quiet)
	if unserved > 0 {
		fmt.Println("not served:", kinds)
	}
	fmt.Printf("compared: %d (%d of them of kinds that mlgate skips); agree: %d (%d denied, %d patched, %d as they are); differ: %d\n",
		agree+differ, skipped, agree, deniedCount, patched, agree-deniedCount-patched, differ)
	return differ == 0
}
