package drill

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyAbandonedDirectoriesAreRemoved(t *testing.T) {
	where := t.TempDir()
	mkdir := func(name string) string {
		dir := filepath.Join(where, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	inUse, abandoned, beginning, kept := mkdir(workPrefix+"1"), mkdir(workPrefix+"2"), mkdir(workPrefix+"3"), mkdir(keptPrefix+"4")
	lock, err := lockWork(inUse)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, dir := range []string{abandoned, kept} {
		lock, err := lockWork(dir)
		if err != nil {
			t.Fatal(err)
		}
		lock.Close() // as the kernel does when a process is killed
	}
	if err := removeAbandoned(where); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{inUse: true, abandoned: false, beginning: true, kept: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: there %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
}
