package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxOthers is the share of the machine that other programs may use before absolute figures mean little.
const maxOthers = 0.05

// machine measures what programs that are neither this one nor the subject do to a round.
type machine struct {
	pid      int // of the subject
	at       time.Time
	busy, us time.Duration
	cpus     int
}

// watch begins to measure.
func watch(pid, cpus int) (*machine, error) {
	m := &machine{pid: pid, cpus: cpus, at: time.Now()}
	var err error
	m.busy, m.us, err = m.read()
	return m, err
}

// others is the share of the machine that others have used since.
func (m *machine) others() (float64, error) {
	busy, us, err := m.read()
	if err != nil {
		return 0, err
	}
	all := time.Since(m.at) * time.Duration(m.cpus)
	return max(0, float64((busy-m.busy)-(us-m.us))/float64(all)), nil
}

// read returns the time that all CPUs were busy, and the part of it that is ours and the subject's.
func (m *machine) read() (busy, us time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("reading how busy the machine is: %w", err)
	}
	if busy, err = parseBusy(text); err != nil {
		return 0, 0, err
	}
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return 0, 0, fmt.Errorf("reading the CPU time of this program: %w", err)
	}
	subject, err := cpuTime(m.pid)
	return busy, subject + time.Duration(self.Utime.Nano()+self.Stime.Nano()), err
}

// parseBusy sums the first line of /proc/stat but for idle and iowait, its fourth and fifth value, and guests, which
// are counted under user already.
func parseBusy(stat []byte) (time.Duration, error) {
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("%.60q is no /proc/stat", line)
	}
	var ticks int64
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		if i != 3 && i != 4 {
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, nil
}
