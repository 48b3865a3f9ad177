package stock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holdsPort says whether a process has a TCP connection from a local port: the kernel lists connections with their
// inode (proc(5), /proc/net/tcp), and the inode is what the process's descriptor points to.
func holdsPort(pid int, port string) (bool, error) {
	number, err := strconv.Atoi(port)
	if err != nil {
		return false, fmt.Errorf("port %q: %w", port, err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false, err
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) { // it has ended
			return false, nil
		}
		return false, err
	}
	sockets := map[string]bool{}
	for _, fd := range open {
		target, err := os.Readlink(filepath.Join(fmt.Sprintf("/proc/%d/fd", pid), fd.Name()))
		if err == nil { // else it has been closed meanwhile
			sockets[target] = true
		}
	}
	const local, inode = 1, 9 // columns
	suffix := fmt.Sprintf(":%04X", number)
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) > inode && strings.HasSuffix(columns[local], suffix) && sockets["socket:["+columns[inode]+"]"] {
			return true, nil
		}
	}
	return false, nil
}
