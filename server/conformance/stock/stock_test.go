package stock

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

func TestStockClient(t *testing.T) {
	dependOnSources(t)
	install(t)
	v := open(t)
	t.Run("up", func(t *testing.T) { // files at once: they do not touch each other's rooms
		for _, file := range files(t, ".") {
			t.Run(theme(file), func(t *testing.T) {
				t.Parallel()
				v.play(t, file)
			})
		}
	})
	t.Run("down", func(t *testing.T) { // one after the other: each takes the cluster apart
		for _, file := range files(t, "faults") {
			t.Run(theme(file), func(t *testing.T) {
				v.play(t, file)
				v.restore(t)
			})
		}
	})
}

const suffix = ".test.mjs"

// files are the files of cases in a folder.
func files(t *testing.T, folder string) []string {
	t.Helper()
	found, err := fs.Glob(os.DirFS("js"), path.Join(folder, "*"+suffix))
	must(t, err)
	if len(found) == 0 {
		t.Fatalf("js/%s has no *%s", folder, suffix)
	}
	return found
}

// theme is what a file is about.
func theme(file string) string { return strings.TrimSuffix(path.Base(file), suffix) }
