package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wedsync/wedsync/cluster/wan"
)

// A process that was started as a probe answers and ends before main does anything: so that every program and
// test that imports the lab can be asked, and none can forget to answer.
func init() {
	if role == roleProbe {
		os.Exit(answerProbe())
	}
}

// probeDeviceVar carries the path of the TUN device to the probe.
const probeDeviceVar = "WEDSYNC_LAB_TUN"

// Probe finds out whether this machine allows the packet-level network, by making a small one in a process of its
// own: the kernel's version, its configuration, sysctls, AppArmor, seccomp and file permissions all have a say,
// and asking them one by one would miss some. nil: it does.
func Probe(ctx context.Context, tunDevice string) error {
	cmd := again(roleProbe)
	cmd.Env = append(cmd.Env, probeDeviceVar+"="+tunDevice)
	var says bytes.Buffer
	cmd.Stderr = &says
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("user namespaces are refused: %w\n"+
			"allow them: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), "+
			"user.max_user_namespaces over 0; in a container: --security-opt seccomp=unconfined or --privileged", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the probe, which is killed below if it takes too long
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = errors.Join(ctx.Err(), cmd.Process.Kill())
		<-ended
	}
	if err != nil {
		return fmt.Errorf("%s (%w)", strings.TrimSpace(says.String()), err)
	}
	return nil
}

func answerProbe() int {
	profile := wan.Profile{Name: "probe", Regions: []string{"a"}, Access: time.Millisecond}
	network, err := newPacketNetwork(profile, os.Getenv(probeDeviceVar), nil)
	if err == nil {
		err = network.Close()
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	switch {
	case errors.Is(err, errTUN) && errors.Is(err, unix.ENOENT):
		fmt.Fprintln(os.Stderr, "the kernel's TUN device is missing: modprobe tun; in a container: --device /dev/net/tun")
	case errors.Is(err, errTUN):
		fmt.Fprintln(os.Stderr, "the TUN device may not be opened: chmod 0666 /dev/net/tun (the usual mode), or run as its owner")
	}
	return 1
}
