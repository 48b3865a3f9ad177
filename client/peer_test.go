package client

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/wedsync/wedsync/protocol"
)

const testTopic = "wed:42"

// world is what the test's regions share: one log and one room. It is a small model of a right
// server: an event is in the log and with every member at one instant, and a join that resumes gets
// everything since, live and replayed without a gap.
type world struct {
	t   testing.TB
	net *memNet // nil: real sockets

	mu    sync.Mutex
	peers []*peer
	log   []said
	hlc   uint64
}

// said is one event of the log.
type said struct {
	meta    protocol.Meta
	event   string
	payload []byte
}

// peer is the node of one region. The fields below w and region are guarded by w.mu.
type peer struct {
	w      *world
	region string

	addr     string
	server   *http.Server
	listener net.Listener
	silent   *atomic.Bool
	gates    []gate
	members  map[*member]bool
	running  sync.WaitGroup

	refuse int                                        // HTTP status of every handshake
	again  string                                     // Retry-After of it
	onJoin func(m *member, j protocol.Join) []byte    // nil: accept; else the reply; empty: none
	onPush func(m *member, meta protocol.Meta) []byte // nil: hold and say ok; else the reply; empty: none
	delay  time.Duration                              // before every answer
	notes
}

// notes are what a peer was sent.
type notes struct {
	knocks   []knock
	joins    []protocol.Join
	pushes   []protocol.Meta
	confirms [][]string
	beats    []time.Time
	leaves   int
	closes   []int // codes of close frames
}

// knock is a handshake.
type knock struct {
	at    time.Time
	query url.Values
}

// noted returns a copy.
func (p *peer) noted() notes {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	n := p.notes
	n.knocks = slices.Clone(n.knocks)
	n.joins, n.pushes, n.confirms = slices.Clone(n.joins), slices.Clone(n.pushes), slices.Clone(n.confirms)
	n.beats, n.closes = slices.Clone(n.beats), slices.Clone(n.closes)
	return n
}

// newWorld starts a peer per region. They stop with the test.
func newWorld(t testing.TB, n *memNet, regions ...string) *world {
	w := &world{t: t, net: n}
	for _, region := range regions {
		p := &peer{w: w, region: region, addr: region + ":80", members: map[*member]bool{}}
		if n == nil {
			p.addr = "127.0.0.1:0"
		}
		w.peers = append(w.peers, p)
		p.start()
		t.Cleanup(p.kill)
	}
	return w
}

func (w *world) endpoints() (all []Endpoint) {
	for _, p := range w.peers {
		all = append(all, Endpoint{p.region, "ws://" + p.addr + "/socket"})
	}
	return all
}

// say publishes an event as some other supplier.
func (w *world) say(meta protocol.Meta, event, payload string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sayLocked(meta, event, []byte(payload), nil)
}

func (w *world) sayLocked(meta protocol.Meta, event string, payload []byte, not *member) uint64 {
	if slices.ContainsFunc(w.log, func(s said) bool { return s.meta.ID == meta.ID }) {
		return 0 // held before
	}
	w.hlc = max(w.hlc+1, hlcAt(time.Now()))
	meta.HLC = w.hlc
	s := said{meta, event, slices.Clone(payload)}
	w.log = append(w.log, s)
	for _, p := range w.peers {
		for m := range p.members {
			if m != not {
				m.tell(s)
			}
		}
	}
	return w.hlc
}

// said returns a copy of the log.
func (w *world) said() []said {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

func (p *peer) start() {
	var ln net.Listener
	var err error
	if p.w.net != nil {
		ln, err = p.w.net.listen(p.addr)
	} else {
		ln, err = net.Listen("tcp", p.addr)
	}
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.addr = ln.Addr().String()
	p.silent = new(atomic.Bool)
	p.gates = nil
	server := &http.Server{Handler: http.HandlerFunc(p.serve)}
	p.server, p.listener = server, ln
	p.running.Go(func() { _ = server.Serve(gateListener{ln, p}) })
}

// kill is a SIGKILL: everything is reset, new connections are refused.
func (p *peer) kill() {
	p.w.mu.Lock()
	server, listener, gates := p.server, p.listener, p.gates
	p.server, p.gates = nil, nil
	clear(p.members)
	p.w.mu.Unlock()
	if server == nil {
		return
	}
	_ = listener.Close()
	_ = server.Close()
	for _, g := range gates {
		_ = g.Close()
	}
	p.running.Wait()
}

// restore ends a kill or a silence; what was open before is gone.
func (p *peer) restore() {
	p.kill()
	if p.w.net != nil {
		p.w.net.setBlack(p.addr, false)
	}
	p.start()
}

// fallSilent drops every packet and closes nothing.
func (p *peer) fallSilent() {
	if p.w.net != nil {
		p.w.net.setBlack(p.addr, true)
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.silent != nil {
		p.silent.Store(true)
	}
}

func (p *peer) serve(rw http.ResponseWriter, r *http.Request) {
	p.running.Add(1)
	defer p.running.Done()
	p.w.mu.Lock()
	refuse, again, delay := p.refuse, p.again, p.delay
	p.knocks = append(p.knocks, knock{time.Now(), r.URL.Query()})
	p.w.mu.Unlock()
	if refuse != 0 {
		time.Sleep(delay)
		if again != "" {
			rw.Header().Set("Retry-After", again)
		}
		rw.WriteHeader(refuse)
		_, _ = rw.Write([]byte(`{"error":"Token has expired"}`))
		return
	}
	v, err := protocol.ParseVersion(r.URL.Query().Get("vsn"))
	if err != nil || r.URL.Path != "/socket/websocket" {
		rw.WriteHeader(http.StatusForbidden)
		return
	}
	u := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := u.Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	m := &member{p: p, v: v, conn: conn, out: make(chan outgoing, 4096), done: make(chan struct{})}
	p.running.Go(m.write)
	defer close(m.done)
	m.read()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	delete(p.members, m)
}

// each calls f for every member of the peer.
func (p *peer) each(f func(m *member)) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for m := range p.members {
		f(m)
	}
}

// with changes or reads what the world's lock guards.
func (p *peer) with(f func()) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	f()
}
