package drill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workPrefix begins the names of working directories; lockName is a file in each that is locked for as long as its
// drill lives, since the kernel gives up the lock of a process that was killed.
const (
	workPrefix = "wedsync-drill-"
	keptPrefix = "wedsync-kept-"
	lockName   = "lock"
)

// lockWork marks a working directory as in use until the returned file is closed.
func lockWork(dir string) (*os.File, error) {
	lock, err := os.Create(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("locking the working directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the working directory: %w", err), lock.Close())
	}
	return lock, nil
}

// removeAbandoned removes what drills that were killed (SIGKILL) could not remove themselves: in memory it would stay
// until the next boot. A directory without a lock file is left alone, its drill is only just beginning.
func removeAbandoned(where string) error {
	dirs, err := filepath.Glob(filepath.Join(where, workPrefix+"*"))
	if err != nil {
		return fmt.Errorf("looking for abandoned working directories: %w", err)
	}
	for _, dir := range dirs {
		lock, err := os.Open(filepath.Join(dir, lockName))
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = os.RemoveAll(dir)
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			return fmt.Errorf("removing the abandoned working directory %s: %w", dir, err)
		}
	}
	return nil
}
