package drill

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memory is where Linux keeps files in memory, and memoryNeeded what a drill leaves there at the most, with room to spare.
const (
	memory       = "/dev/shm"
	memoryNeeded = 512 << 20
)

// makeWork makes the directory of the cluster's data, in memory if the drill asks for it and there is enough.
func (r *run) makeWork() (err error) {
	where := ""
	if r.drill.Topology.Data == "memory" {
		var fs unix.Statfs_t
		if err := unix.Statfs(memory, &fs); err == nil && int64(fs.Bavail)*fs.Bsize >= memoryNeeded {
			where = memory
			r.note("the servers' logs are kept in memory, since all regions share this machine's disk: this run shows nothing about disks or power failures")
		} else {
			r.note("the servers' logs are on this machine's one disk, because " + memory + " is too small: a slow fsync stalls all regions at once")
		}
	}
	if where == "" {
		where = os.TempDir()
	}
	if err := removeAbandoned(where); err != nil {
		return err
	}
	prefix := workPrefix
	if r.cfg.Keep {
		prefix = keptPrefix
	}
	if r.work, err = os.MkdirTemp(where, prefix); err != nil {
		return fmt.Errorf("making a working directory: %w", err)
	}
	r.lock, err = lockWork(r.work)
	return err
}
