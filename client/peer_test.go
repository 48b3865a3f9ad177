package client

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
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

	refuse   int                                        // HTTP status of every handshake
	onJoin   func(m *member, j protocol.Join) []byte    // nil: accept; else the reply; empty: none
	onPush   func(m *member, meta protocol.Meta) []byte // nil: hold and say ok; else the reply; empty: none
	delay    time.Duration                              // before every answer
	joins    []protocol.Join
	pushes   []protocol.Meta
	confirms [][]string
	beats    []time.Time
	leaves   int
	closes   []int // codes of close frames
}

// member is one joined socket.
type member struct {
	p       *peer
	v       protocol.Version
	conn    *websocket.Conn
	joinRef protocol.Ref
	out     chan outgoing
	done    chan struct{}
}

type outgoing struct {
	kind  int
	frame []byte
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
	refuse, delay := p.refuse, p.delay
	p.w.mu.Unlock()
	if refuse != 0 {
		time.Sleep(delay)
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

func (m *member) write() {
	for {
		select {
		case o := <-m.out:
			if m.conn.WriteMessage(o.kind, o.frame) != nil {
				return
			}
		case <-m.done:
			return
		}
	}
}

func (m *member) read() {
	p := m.p
	for {
		kind, b, err := m.conn.ReadMessage()
		if err != nil {
			if closed, ok := err.(*websocket.CloseError); ok && closed.Code != websocket.CloseAbnormalClosure {
				p.w.mu.Lock()
				p.closes = append(p.closes, closed.Code)
				p.w.mu.Unlock()
			}
			return
		}
		var f protocol.Frame
		if kind == websocket.BinaryMessage {
			f, err = protocol.DecodePush(b)
		} else {
			f, err = protocol.DecodeText(m.v, b)
		}
		if err != nil {
			p.w.t.Errorf("the client sent %q: %v", b, err)
			return
		}
		p.w.mu.Lock()
		delay := p.delay
		p.w.mu.Unlock()
		if delay > 0 && f.Event != protocol.EventHeartbeat {
			p.running.Go(func() {
				time.Sleep(delay)
				m.handle(f)
			})
			continue
		}
		m.handle(f)
	}
}

func (m *member) handle(f protocol.Frame) {
	p := m.p
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	switch f.Event {
	case protocol.EventHeartbeat:
		p.beats = append(p.beats, time.Now())
		m.reply(f, protocol.ReplyPayload(protocol.StatusOK, nil))
	case protocol.EventJoin:
		m.join(f)
	case protocol.EventLeave:
		p.leaves++
		delete(p.members, m)
		m.reply(f, protocol.ReplyPayload(protocol.StatusOK, nil))
		m.push(protocol.EventClose, m.joinRef, nil)
	case protocol.EventReceipt:
		ids, err := protocol.ParseConfirm(f.Payload)
		if err != nil {
			p.w.t.Errorf("confirmation: %v", err)
		}
		p.confirms = append(p.confirms, ids)
	case protocol.EventBroadcast:
		m.broadcast(f)
	default:
		p.w.t.Errorf("unexpected %s", f.String())
	}
}

func (m *member) join(f protocol.Frame) {
	p := m.p
	j, errs := protocol.ParseJoin(f.Payload)
	if len(errs) > 0 || f.Topic != protocol.WireTopic(testTopic) {
		p.w.t.Errorf("join of %s: %v", f.Topic, errs)
	}
	p.joins = append(p.joins, j)
	if p.onJoin != nil {
		if reply := p.onJoin(m, j); reply != nil {
			if len(reply) > 0 {
				m.reply(f, reply)
			}
			return
		}
	}
	m.joinRef = f.JoinRef
	p.members[m] = true
	m.reply(f, protocol.ReplyPayload(protocol.StatusOK, protocol.JoinResponse(nil)))
	if r := j.Config.Wedsync.Resume; r != nil {
		const overlap = 5000 << 16
		for _, s := range p.w.log {
			if s.meta.HLC+overlap >= r.HLC {
				s.meta.Replayed = true
				m.tell(s)
			}
		}
	}
}

func (m *member) broadcast(f protocol.Frame) {
	p := m.p
	var meta protocol.Meta
	var event string
	var payload []byte
	if b := f.Broadcast; b != nil {
		meta, _ = protocol.ParseMeta(b.Meta)
		event, payload = b.Event, b.Payload
	} else {
		u, err := protocol.ParseUserBroadcast(f.Payload)
		if err != nil {
			p.w.t.Errorf("broadcast: %v", err)
		}
		meta, event, payload = u.Meta, u.Event, u.Payload
	}
	p.pushes = append(p.pushes, meta)
	if p.onPush != nil {
		if reply := p.onPush(m, meta); reply != nil {
			if len(reply) > 0 {
				m.reply(f, reply)
			}
			return
		}
	}
	p.w.sayLocked(meta, event, payload, m)
	m.reply(f, protocol.ReplyPayload(protocol.StatusOK, map[string]any{"id": meta.ID, "held": []string{p.region, "elsewhere"}}))
}

// tell sends an event as the member's version has it.
func (m *member) tell(s said) {
	if m.v == protocol.V2 {
		frame, err := protocol.AppendBroadcast(nil, protocol.WireTopic(testTopic),
			&protocol.Broadcast{Event: s.event, Encoding: protocol.JSON, Meta: s.meta.Append(nil), Payload: s.payload})
		if err != nil {
			m.p.w.t.Error(err)
		}
		m.send(websocket.BinaryMessage, frame)
		return
	}
	u := protocol.UserBroadcast{Event: s.event, Payload: s.payload, Meta: s.meta, HasMeta: true}
	m.push(protocol.EventBroadcast, "", protocol.AppendUserBroadcast(nil, &u))
}

func (m *member) reply(f protocol.Frame, payload []byte) {
	m.sendText(&protocol.Frame{JoinRef: f.JoinRef, Ref: f.Ref, Topic: f.Topic, Event: protocol.EventReply, Payload: payload})
}

func (m *member) push(event string, ref protocol.Ref, payload []byte) {
	m.sendText(&protocol.Frame{JoinRef: m.joinRef, Ref: ref, Topic: protocol.WireTopic(testTopic), Event: event, Payload: payload})
}

func (m *member) sendText(f *protocol.Frame) {
	m.send(websocket.TextMessage, protocol.AppendText(nil, m.v, f))
}

func (m *member) send(kind int, frame []byte) {
	select {
	case m.out <- outgoing{kind, frame}:
	default:
		m.p.w.t.Errorf("%s: a member does not read", m.p.region)
	}
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

// recorder is the application of a client: it keeps what it is told.
type recorder struct {
	mu         sync.Mutex
	messages   []Message
	duplicates []Message
	states     []State
	receipts   []Receipt
}

func (r *recorder) attach(cfg *Config) {
	cfg.OnMessage = func(m Message) { r.mu.Lock(); r.messages = append(r.messages, m); r.mu.Unlock() }
	cfg.OnDuplicate = func(m Message) { r.mu.Lock(); r.duplicates = append(r.duplicates, m); r.mu.Unlock() }
	cfg.OnState = func(s State) { r.mu.Lock(); r.states = append(r.states, s); r.mu.Unlock() }
	cfg.OnReceipt = func(x Receipt) { r.mu.Lock(); r.receipts = append(r.receipts, x); r.mu.Unlock() }
}

func (r *recorder) ids() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		all = append(all, m.ID)
	}
	return all
}

func (r *recorder) seen() (messages, duplicates []Message, states []State, receipts []Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages), slices.Clone(r.duplicates), slices.Clone(r.states), slices.Clone(r.receipts)
}

// joined returns the regions in which the client is joined now, sorted.
func (r *recorder) joined() (regions []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := map[int]string{}
	for _, s := range r.states {
		delete(now, s.Session)
		if s.Phase == Joined {
			now[s.Session] = s.Region
		}
	}
	for _, region := range now {
		regions = append(regions, region)
	}
	slices.Sort(regions)
	return regions
}

// state returns the first state that matches.
func (r *recorder) state(region string, p Phase) (State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.states {
		if s.Region == region && s.Phase == p {
			return s, true
		}
	}
	return State{}, false
}

// newTestClient returns a client of the world, which is closed with the test.
func newTestClient(t testing.TB, w *world, change func(*Config)) (*Client, *recorder) {
	t.Helper()
	r := new(recorder)
	cfg := Config{Endpoints: w.endpoints(), Topic: testTopic, Key: "florist-7", Token: "eyJ", ReturnAfter: DefaultReturnAfter}
	if w.net != nil {
		cfg.NetDial = w.net.dial
	}
	r.attach(&cfg)
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c, r
}

func connect(t testing.TB, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually polls a condition: fast in a bubble, patient outside.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func reason(text string) []byte {
	b, _ := json.Marshal(map[string]any{"status": "error", "response": map[string]string{"reason": text}})
	return b
}
