package limit

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestUsers(t *testing.T) {
	u := NewUsers(2)
	if !u.Enter() || u.Full() || !u.Enter() || !u.Full() || u.Enter() || u.Len() != 2 {
		t.Fatalf("the third was let in, or somebody before was not: %d", u.Len())
	}
	u.Leave()
	if u.Full() || !u.Enter() {
		t.Error("a place that was left is not free")
	}
	none := NewUsers(0)
	for range 1000 {
		if none.Full() || !none.Enter() {
			t.Fatal("refused without a limit")
		}
	}
}

// However many come at once, as many enter as there is room for.
func TestUsersEnterAtOnce(t *testing.T) {
	u := NewUsers(10)
	var entered atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if u.Enter() {
				entered.Add(1)
			}
		})
	}
	wg.Wait()
	if entered.Load() != 10 || u.Len() != 10 {
		t.Errorf("%d entered, %d are there", entered.Load(), u.Len())
	}
}
