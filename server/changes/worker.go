package changes

import (
	"context"
	"slices"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// maxPending is how many deliveries may wait for row level security. Beyond it the database is too slow for what
// is asked of it, and the subscriptions that wait are ended, so that the others go on.
const maxPending = 1 << 16

// delivery is a payload on its way to a subscription.
type delivery struct {
	payload []byte
	ev      *backbone.Event
	asked   *question // nil: nothing was to be asked
}

// worker matches changes with subscriptions, one change after the other, and asks row level security about
// several of them at once. A change that waits for its answer holds up only the subscriptions that it is for:
// what comes after it for them waits behind it, so that each channel is told in the order of the commits.
type worker struct {
	feed    *Feed
	answers chan []*question // room for all trips under way
	trips   int              // under way
	open    []*question      // to be asked
	pending int              // deliveries that wait

	change uint64
	hits   []*watch
	roles  []string
	subs   []*Subscription
	odd    map[key][]field // columns of changes that the database does not know any more
	views  map[viewKey]*view
	asked  map[*bearer]*question
}

type viewKey struct {
	access *access
	chosen string
}

// newWorker leaves one connection for those who subscribe.
func newWorker(f *Feed) *worker {
	return &worker{feed: f, answers: make(chan []*question, f.cfg.Connections-1), odd: map[key][]field{},
		views: map[viewKey]*view{}, asked: map[*bearer]*question{}}
}

// run ends with the context.
func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-w.feed.queue:
			w.handle(ctx, ev)
			if w.pending > maxPending {
				w.giveUp()
			}
		case questions := <-w.answers:
			w.trips--
			w.settle(questions)
		}
		w.dispatch(ctx)
	}
}

// handle sends a change to whom it concerns.
func (w *worker) handle(ctx context.Context, ev *backbone.Event) {
	f := w.feed
	if f.overflowed.Swap(false) {
		f.cfg.Logger.Error("this node fell behind with Postgres changes: those subscribed have to subscribe again", "queue", f.cfg.QueueLen)
		for _, s := range f.index.subscriptions(nil) {
			w.lose(s)
		}
	}
	if f.index.empty() {
		return
	}
	r, err := decode(ev.Payload)
	if err != nil {
		f.cfg.Logger.Error("a Postgres change is not delivered: does a newer version run on another node?", "id", ev.ID, "err", err)
		return
	}
	w.hits, w.roles = f.index.match(w.hits[:0], w.roles[:0], r)
	if len(w.roles) == 0 {
		return
	}
	t := w.tableOf(ctx, r)
	if t == nil {
		for _, hit := range w.hits {
			w.lose(hit.sub)
		}
		return
	}
	for _, role := range w.roles {
		if a := t.roles[role]; a != nil && failure(r, a) != "" {
			w.hits = f.index.unfiltered(w.hits, r, role)
		}
	}
	w.group(r.LSN)
	clear(w.views)
	clear(w.asked)
	for _, s := range w.subs {
		for len(s.hits) > 0 {
			w.deliver(s, s.take(), r, t, ev)
		}
	}
}

// group puts the hits of a change with their subscriptions, but for those that began after it.
func (w *worker) group(lsn uint64) {
	w.change++
	w.subs = w.subs[:0]
	for _, hit := range w.hits {
		s := hit.sub
		if lsn < s.floor {
			continue
		}
		if s.change != w.change {
			s.change, s.hits = w.change, s.hits[:0]
			w.subs = append(w.subs, s)
		}
		s.hits = append(s.hits, hit)
	}
	clear(w.hits) // they keep nobody alive who has left
}

// take removes the hits that go into one message: those of the first one's selection.
func (s *Subscription) take() []*watch {
	n := 1
	for i := 1; i < len(s.hits); i++ {
		if s.hits[i].chosen == s.hits[0].chosen {
			s.hits[n], s.hits[i] = s.hits[i], s.hits[n]
			n++
		}
	}
	hits := s.hits[:n]
	s.hits = s.hits[n:]
	return hits
}

// deliver sends one message, at once if nothing is in its way.
func (w *worker) deliver(s *Subscription, hits []*watch, r *record, t *table, ev *backbone.Event) {
	who := hits[0].bearer
	a := t.roles[who.role]
	if !mayHear(r, a) {
		return
	}
	at := viewKey{a, hits[0].chosen}
	v := w.views[at]
	if v == nil {
		v = newView(r, t, a, hits[0].chosen, ev)
		w.views[at] = v
	}
	d := delivery{payload: v.payload(idsOf(hits)), ev: ev}
	if needsCheck(r, t, a) {
		q := w.asked[who]
		if q == nil {
			if q = newQuestion(who, r, t); q == nil {
				return // a row that cannot be named cannot be asked about: nobody sees it
			}
			w.asked[who] = q
			w.open = append(w.open, q)
		}
		q.subs = append(q.subs, s)
		d.asked = q
	} else if len(s.pending) == 0 {
		w.send(s, d)
		return
	}
	s.pending = append(s.pending, d)
	w.pending++
}

// mayHear says whether a role is told of a change at all: there is such a role, and a deletion has something
// that it may read.
func mayHear(r *record, a *access) bool {
	return a != nil && (r.Type != "DELETE" || len(a.readable) > 0)
}

// needsCheck says whether row level security decides. Deletions are told to all: their row is gone.
func needsCheck(r *record, t *table, a *access) bool {
	return t.rls && !a.exempt && r.Type != "DELETE" && failure(r, a) == ""
}

func (w *worker) send(s *Subscription, d delivery) {
	if !s.ended.Load() {
		w.feed.m.delivered.Inc()
		s.Deliver(d.payload, d.ev)
	}
}

// dispatch starts trips to the database while there are questions and connections.
func (w *worker) dispatch(ctx context.Context) {
	for len(w.open) > 0 && w.trips < cap(w.answers) {
		n := min(len(w.open), checkBatch)
		questions := append([]*question(nil), w.open[:n]...)
		w.open = append(w.open[:0], w.open[n:]...)
		w.trips++
		// Owner: the feed; ends with the answers or the feed; at most as many as answers has room for.
		w.feed.goRun(func() {
			w.feed.ask(ctx, questions)
			w.answers <- questions
		})
	}
}

// settle sends on what waited for the answers.
func (w *worker) settle(questions []*question) {
	for _, q := range questions {
		q.answer = q.reply
	}
	for _, q := range questions {
		for _, s := range q.subs {
			w.flush(s)
		}
	}
}

// flush sends what is decided, up to the first delivery that is not.
func (w *worker) flush(s *Subscription) {
	n := 0
	for ; n < len(s.pending); n++ {
		d := s.pending[n]
		if d.asked != nil {
			if d.asked.answer == undecided {
				break
			}
			if d.asked.answer == unanswered {
				w.lose(s)
				return
			}
			if d.asked.answer == hidden {
				continue
			}
		}
		w.send(s, d)
	}
	w.pending -= n
	left := copy(s.pending, s.pending[n:])
	clear(s.pending[left:])
	s.pending = s.pending[:left]
}

// giveUp ends the subscriptions that wait for row level security.
func (w *worker) giveUp() {
	w.feed.cfg.Logger.Error("row level security takes longer than changes come: those that wait for it have to subscribe again", "waiting", w.pending)
	for _, s := range w.feed.index.subscriptions(nil) {
		if len(s.pending) > 0 {
			w.lose(s)
		}
	}
	w.open = nil // nobody waits for these answers any more
}

// lose ends a subscription that has missed something.
func (w *worker) lose(s *Subscription) {
	w.pending -= len(s.pending)
	s.pending = nil
	s.lose()
}

// tableOf returns what is known of the table of a change, fresh enough to decide who may see it. It waits for
// the database if it has to, up to the patience; nil: it has not said.
func (w *worker) tableOf(ctx context.Context, r *record) *table {
	f, k := w.feed, r.key()
	now := time.Now()
	since := now.Add(-f.cfg.RightsAge)
	for {
		trip, cancel := context.WithTimeout(ctx, checkTime)
		t, err := f.catalog.table(trip, k, since, w.roles...)
		cancel()
		switch {
		case err == nil && t == nil:
			return &table{key: k} // it was dropped: nobody has rights on it
		case err == nil && !t.knows(r.Columns):
			if t.loaded.Before(now) && !slices.Equal(w.odd[k], r.Columns) {
				since = now // it was altered after it was looked at, or after the change
				continue
			}
			w.odd[k] = r.Columns
			return t
		case err == nil:
			return t
		case ctx.Err() != nil || time.Since(now) > f.cfg.Patience:
			f.cfg.Logger.Error("the database does not say who may see a change: those concerned have to subscribe again", "table", r.Schema+"."+r.Table, "err", err)
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(checkPause):
		}
	}
}
