package limit

import (
	"strings"
	"testing"
	"time"
)

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	want := Limits{
		JoinsPerSecond: 100, EventsPerSecond: 100, PresencePerSecond: 1000, ChangesPerSecond: 100,
		ChannelsPerSocket: 100, PresenceCalls: 5, PresenceWindow: 30 * time.Second,
		PayloadBytes: 3_000_500, FrameBytes: 5_000_000, IdleTimeout: 60 * time.Second, NoChannelTimeout: 10 * time.Minute,
		Connections: 16384, ConnectsPerSecond: 500,
	}
	if got := Default(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for name, l := range map[string]Limits{"defaults": Default(), "none": {}} {
		if err := l.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateSaysAllThatIsWrong(t *testing.T) {
	err := Limits{
		JoinsPerSecond: -1, EventsPerSecond: -1, PresencePerSecond: -1, ChangesPerSecond: -1, ChannelsPerSocket: -1,
		PresenceCalls: -1, PresenceWindow: -1, PayloadBytes: -1, FrameBytes: -1, IdleTimeout: -1, NoChannelTimeout: -1,
		Connections: -1, ConnectsPerSecond: -1, ConcurrentUsers: -1,
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, flag := range []string{
		"--max-joins-per-second", "--max-events-per-second", "--max-presence-events-per-second", "--max-changes-per-second",
		"--max-channels", "--presence-calls", "--presence-window", "--max-payload", "--max-frame", "--idle-timeout",
		"--no-channel-timeout", "--max-connections", "--max-connects-per-second", "--max-users",
	} {
		if !strings.Contains(err.Error(), flag+" is -1") {
			t.Errorf("%s is missing in:\n%v", flag, err)
		}
	}
	if err := (Limits{PresenceCalls: 5}).Validate(); err == nil || !strings.Contains(err.Error(), "set --presence-window") {
		t.Errorf("calls without a window: %v", err)
	}
}
