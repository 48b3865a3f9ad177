package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ, which Linux keeps at 100 for programs whatever its own clock.
const tick = time.Second / 100

// cpuTime is how long a process has run on CPUs, in user and kernel mode, all its threads together.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of process %d, has it ended?: %w", pid, err)
	}
	return parseStat(stat)
}

// parseStat reads utime and stime, fields 14 and 15. They are counted from the end of the name, field 2, which is in
// parentheses and may contain both spaces and parentheses.
func parseStat(stat []byte) (time.Duration, error) {
	const state, utime, stime = 3, 14, 15
	name := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[name+1:]))
	if name < 0 || len(fields) <= stime-state {
		return 0, fmt.Errorf("%.60q is no /proc/PID/stat", stat)
	}
	user, err := strconv.ParseInt(fields[utime-state], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("utime in /proc/PID/stat: %w", err)
	}
	system, err := strconv.ParseInt(fields[stime-state], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stime in /proc/PID/stat: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

// residentKiB is the memory of a process. The sum over its mappings is exact; status is a few pages per thread off,
// and there for processes whose mappings may not be read.
func residentKiB(pid int) (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err == nil {
		return parseKiB(rollup, "Rss:")
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d, has it ended?: %w", pid, err)
	}
	return parseKiB(status, "VmRSS:")
}

// parseKiB finds the line "KEY   123 kB".
func parseKiB(text []byte, key string) (int64, error) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key && fields[2] == "kB" {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no line %q in %.60q", key, text)
}
