package limit

import "sync/atomic"

// Users counts the sockets that have joined a channel. Its methods may be called from any goroutine.
type Users struct {
	most int64 // 0: no limit
	now  atomic.Int64
}

// NewUsers allows most of them; 0 is no limit.
func NewUsers(most int) *Users { return &Users{most: int64(most)} }

// Enter counts one more, unless there are enough. Leave must follow if it did.
func (u *Users) Enter() bool {
	for {
		now := u.now.Load()
		if u.most > 0 && now >= u.most {
			return false
		}
		if u.now.CompareAndSwap(now, now+1) {
			return true
		}
	}
}

// Leave counts one less.
func (u *Users) Leave() { u.now.Add(-1) }

// Full says whether another one would be refused.
func (u *Users) Full() bool { return u.most > 0 && u.now.Load() >= u.most }

// Len is how many there are.
func (u *Users) Len() int { return int(u.now.Load()) }
