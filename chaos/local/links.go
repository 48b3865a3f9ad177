package local

import (
	"errors"
	"fmt"
	"sync"

	"github.com/wedsync/wedsync/cluster/wan"
)

// links is what all injections together do to the network. Two of them may touch the same path, and
// the first revert must not heal what the other holds: so each path is set to the sum of what is in
// force, in whatever order injections come and go.
type links struct {
	network impairer

	mu      sync.Mutex // guards the following
	inForce map[uint64][]link
}

// impairer is the part of a wan.Network that links needs.
type impairer interface {
	Impair(from, to string, im wan.Impairment) error
}

func newLinks(network impairer) *links {
	return &links{network: network, inForce: make(map[uint64][]link)}
}

// put makes an injection's links be in force, in addition to those of others.
func (l *links) put(owner uint64, wanted []link) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inForce[owner] = wanted
	return l.apply(wanted)
}

// take takes an injection's links back. It may be called again.
func (l *links) take(owner uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.inForce[owner]
	delete(l.inForce, owner)
	if err := l.apply(was); err != nil {
		l.inForce[owner] = was
		return err
	}
	return nil
}

// others reports whether another injection holds the path, in either direction.
func (l *links) others(owner uint64, a, b string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for o, ls := range l.inForce {
		for _, k := range ls {
			if o != owner && (k.from == a && k.to == b || k.from == b && k.to == a) {
				return true
			}
		}
	}
	return false
}

// any reports whether any injection holds the path, in either direction.
func (l *links) any(a, b string) bool { return l.others(0, a, b) } // injections count from 1

// apply sets the paths of these links to what is now in force on them. It goes on past errors. The
// caller holds the lock.
func (l *links) apply(touched []link) error {
	var errs []error
	for _, k := range touched {
		if err := l.network.Impair(k.from, k.to, l.sum(k.from, k.to)); err != nil {
			errs = append(errs, fmt.Errorf("the path from %s to %s: %w", k.from, k.to, err))
		}
	}
	return errors.Join(errs...)
}

// sum adds up what is in force on a path.
func (l *links) sum(from, to string) (all wan.Impairment) {
	for _, ls := range l.inForce {
		for _, k := range ls {
			if k.from == from && k.to == to {
				all = all.Or(k.impair)
			}
		}
	}
	return all
}
