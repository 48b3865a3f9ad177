package wedsync_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/wedsync/wedsync"

// arrows says which of our own packages a package may import. A key covers the packages below it, the
// longest one counts; "/..." covers a folder and all below. Tests may look further.
var arrows = map[string][]string{
	".":                     {"xk6-wedsync"},
	"internal/clock":        {},
	"internal/loopback":     {},
	"protocol":              {},
	"client":                {"protocol"},
	"server":                {"protocol", "server/..."},
	"server/presence":       {"protocol"},
	"server/limit":          {"protocol"},
	"server/auth":           {"server/watch"},
	"server/watch":          {},
	"server/receipt":        {"protocol", "server/backbone"},
	"server/scaling":        {},
	"server/account":        {"server/auth"},
	"server/changes":        {"protocol", "server/backbone", "server/auth", "server/changes/..."},
	"server/changes/pgtest": {"internal/loopback"},
	"xk6-wedsync":           {"client", "protocol", "internal/clock", "xk6-wedsync/..."},
	"xk6-wedsync/fleet":     {"client", "protocol", "internal/clock", "xk6-wedsync/journal", "xk6-wedsync/link"},
	"xk6-wedsync/link":      {},
	"xk6-wedsync/journal":   {"internal/clock"},
	"bench":                 {"protocol", "cluster/...", "internal/loopback", "reports/svg"},
	"bench/generator":       {"bench", "protocol", "cluster/..."},
	"cluster":               {"cluster/..."},
	"chaos":                 {"chaos/experiment", "chaos/..."},
	"chaos/experiment":      {},
	"chaos/journal":         {"internal/clock"},
	"chaos/workflow":        {"chaos/experiment"},
	"chaos/local":           {"chaos/experiment", "chaos/journal", "cluster/..."},
	"reports":               {"reports/...", "xk6-wedsync/journal", "chaos/journal", "internal/clock"},
	"drill":                 {"chaos/...", "cluster/...", "reports/...", "internal/clock"},
	"drill/explore":         {"drill", "reports/..."},
	"cmd/wedsync":           {"bench/...", "drill/...", "cluster/...", "chaos/...", "reports/..."},
	"cmd/wedsync-server":    {"server/..."},
	"cmd/k6":                {"."},
}

// foreign says who alone may import a family of foreign packages.
var foreign = []struct {
	family string
	within []string
}{
	{"go.k6.io/", []string{"xk6-wedsync", "cmd/k6"}},
	{"github.com/grafana/sobek", []string{"xk6-wedsync"}},
	{"github.com/chaos-mesh/", []string{"chaos"}},
	{"k8s.io/", []string{"chaos"}},
	{"sigs.k8s.io/", []string{"chaos"}},
	{"github.com/nats-io/", []string{"server/backbone"}},
	{"github.com/jackc/", []string{"server/changes", "server/changes/source", "server/changes/pgtest"}},
}

// TestArrows holds the imports of the house against shared design: data flows one way, and the heavy
// guests (k6, Kubernetes, NATS) stay in their rooms.
func TestArrows(t *testing.T) {
	packages, err := imports(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 20 {
		t.Fatalf("found only %d packages; is the test run from the root?", len(packages))
	}
	for _, violation := range violations(packages) {
		t.Error(violation)
	}
}

// TestArrowsFire shows that the check can fail.
func TestArrowsFire(t *testing.T) {
	for name, c := range map[string]struct {
		pkg, imports string
	}{
		"server imports k6":             {"server/socket", "go.k6.io/k6/metrics"},
		"server imports client":         {"server/room", module + "/client"},
		"fleet imports k6":              {"xk6-wedsync/fleet", "go.k6.io/k6/lib"},
		"reports imports chaos":         {"reports", module + "/chaos"},
		"reports imports the generator": {"reports/check", module + "/xk6-wedsync/fleet"},
		"drill imports Kubernetes":      {"drill", "k8s.io/apimachinery/pkg/runtime"},
		"protocol imports anything":     {"protocol", module + "/internal/clock"},
		"a package without a rule":      {"helpers", "fmt"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := violations(map[string][]string{c.pkg: {c.imports}}); len(got) != 1 {
				t.Fatalf("got %q, want one violation", got)
			}
		})
	}
	if got := violations(map[string][]string{"server/urgent": {module + "/server/backbone", "context"}}); len(got) != 0 {
		t.Fatalf("a legal import was refused: %q", got)
	}
}

// imports reads the imports of every package below root, without its tests.
func imports(root string) (map[string][]string, error) {
	packages := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || strings.HasPrefix(name, "zz_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			packages[dir] = append(packages[dir], imported)
		}
		return nil
	})
	return packages, err
}

func violations(packages map[string][]string) []string {
	var all []string
	for pkg, imported := range packages {
		allowed, ok := rule(pkg)
		if !ok {
			all = append(all, fmt.Sprintf("%s has no rule: give it a place in the architecture first", pkg))
			continue
		}
		for _, i := range imported {
			if own, isOwn := ownPackage(i); isOwn && own != pkg && !covers(allowed, own) {
				all = append(all, fmt.Sprintf("%s may not import %s", pkg, own))
			}
			for _, f := range foreign {
				if strings.HasPrefix(i, f.family) && !slices.ContainsFunc(f.within, func(room string) bool { return pkg == room }) {
					all = append(all, fmt.Sprintf("%s may not import %s: that stays in %s", pkg, i, strings.Join(f.within, ", ")))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// rule finds the longest key that covers pkg.
func rule(pkg string) ([]string, bool) {
	for p := pkg; ; p = path.Dir(p) {
		if allowed, ok := arrows[p]; ok && (p != "." || pkg == ".") {
			return allowed, true
		}
		if p == "." {
			return nil, false
		}
	}
}

func ownPackage(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func covers(allowed []string, own string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		folder, below := strings.CutSuffix(a, "/...")
		return own == folder || below && strings.HasPrefix(own, folder+"/")
	})
}
