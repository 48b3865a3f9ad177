package changes

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// patient bounds every wait of a test.
const patient = 20 * time.Second

// journal stands for the logs of a cluster: it gives each event its time, keeps it once, and delivers it to
// the feeds of all nodes in the same order.
type journal struct {
	mu       sync.Mutex
	clock    backbone.HLC
	events   []*backbone.Event
	ids      map[string]bool
	messages []Message
	feeds    []*Feed
	repeated int
}

func newJournal() *journal { return &journal{clock: backbone.At(time.Now()), ids: map[string]bool{}} }

func (j *journal) publish(_ context.Context, ev *backbone.Event) (func(context.Context) error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ids[ev.ID] {
		j.repeated++
		return held, nil
	}
	j.ids[ev.ID] = true
	j.clock++
	ev.HLC = j.clock
	j.events = append(j.events, ev)
	for _, f := range j.feeds {
		f.Deliver(ev)
	}
	return held, nil
}

func (j *journal) known(_ context.Context, id string) (bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ids[id], nil
}

func (j *journal) broadcast(_ context.Context, m Message) (func(context.Context) error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ids[m.ID] {
		j.ids[m.ID] = true
		j.messages = append(j.messages, m)
	}
	return held, nil
}

func (j *journal) broadcasts() []Message {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Message(nil), j.messages...)
}

func (j *journal) all() []*backbone.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*backbone.Event(nil), j.events...)
}

// scene is a database with a feed.
type scene struct {
	testing.TB
	server *pgtest.Server
	name   string
	url    string
	conn   *pgx.Conn
	log    *journal
	feed   *Feed
}

// newDatabase makes a database with the schema realtime and runs the statements in it.
func newDatabase(t testing.TB, server *pgtest.Server, name string, statements ...string) *scene {
	t.Helper()
	s := &scene{TB: t, server: server, name: name, url: server.URL(name), log: newJournal()}
	root := server.Connect(t, "postgres")
	if _, err := root.Exec(context.Background(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	if err := Install(context.Background(), s.url); err != nil {
		t.Fatal(err)
	}
	s.conn = server.Connect(t, name)
	s.sql(statements...)
	return s
}

// newScene starts a feed on a new database.
func newScene(t testing.TB, server *pgtest.Server, name string, statements ...string) *scene {
	t.Helper()
	s := newDatabase(t, server, name, statements...)
	s.feed = s.start()
	// Before that, a subscription is tried again only after seconds.
	within(t, "the replication slot", func() bool { return s.holds("confirmed_flush_lsn is not null") })
	return s
}

// holds says whether a condition on the replication slot is true.
func (s *scene) holds(condition string) (yes bool) {
	s.Helper()
	row := s.conn.QueryRow(context.Background(), "select exists (select from pg_replication_slots where slot_name = $1 and "+condition+")", s.name)
	if err := row.Scan(&yes); err != nil {
		s.Fatal(err)
	}
	return yes
}

// start runs one more feed on the same database and log, until the test ends.
func (s *scene) start(with ...func(*Config)) *Feed {
	s.Helper()
	cfg := Config{URL: s.url, Slot: s.name, Publish: s.log.publish, Known: s.log.known,
		Broadcast: s.log.broadcast, RightsAge: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(lines{s}, nil))}
	for _, change := range with {
		change(&cfg)
	}
	f, err := Start(context.Background(), cfg)
	if err != nil {
		s.Fatal(err)
	}
	s.log.mu.Lock()
	s.log.feeds = append(s.log.feeds, f)
	s.log.mu.Unlock()
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("%d changes in the log, %d waiting", len(s.log.all()), len(f.queue))
		}
		s.close(f)
	})
	return f
}

func (s *scene) close(f *Feed) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := f.Close(ctx); err != nil {
		s.Error(err)
	}
}

// lines shows what a feed logs if the test fails.
type lines struct{ s *scene }

func (l lines) Write(b []byte) (int, error) {
	l.s.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func (s *scene) sql(statements ...string) {
	s.Helper()
	for _, statement := range statements {
		if _, err := s.conn.Exec(context.Background(), statement); err != nil {
			s.Fatalf("%s: %v", statement, err)
		}
	}
}

// member is a channel.
type member struct {
	s    *scene
	sub  *Subscription
	mu   sync.Mutex // guards the following
	got  []string   // payloads
	said []string
	lost int
}

// claims of a role, and of a user if there is one.
func claims(role, user string) *auth.Claims {
	return &auth.Claims{Role: role, Subject: user, Raw: json.RawMessage(fmt.Sprintf(`{"role":%q,"sub":%q}`, role, user))}
}

// join subscribes with entries in JSON, and does not wait.
func (s *scene) join(f *Feed, who *auth.Claims, entries ...string) *member {
	s.Helper()
	raw := make([]json.RawMessage, len(entries))
	for i, e := range entries {
		raw[i] = json.RawMessage(e)
	}
	parsed, err := ParseEntries(raw)
	if err != nil {
		s.Fatal(err)
	}
	for i := range parsed {
		parsed[i].ID = int64(i + 1)
	}
	m := &member{s: s}
	m.sub = f.Subscribe(Subscriber{Entries: parsed, Claims: who,
		Deliver: func(payload []byte, _ *backbone.Event) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.got = append(m.got, string(payload))
		},
		Status: func(status, message string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.said = append(m.said, status+": "+message)
		},
		Lost: func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lost++
		}})
	s.Cleanup(m.sub.Close)
	return m
}

const subscribed = "ok: Subscribed to PostgreSQL"

// joined subscribes and waits for the ok.
func (s *scene) joined(who *auth.Claims, entries ...string) *member {
	s.Helper()
	m := s.join(s.feed, who, entries...)
	m.hears(subscribed)
	return m
}

// hears waits for what is said next.
func (m *member) hears(want string) {
	m.s.Helper()
	within(m.s, "being told "+want, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.said) > 0
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.said[0] != want {
		m.s.Fatalf("told\n %s\nwant\n %s", m.said[0], want)
	}
	m.said = m.said[1:]
}

func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.got)
}

// gets waits for payloads and compares them: "ids data" with what is different each time taken out.
func (m *member) gets(want ...string) {
	m.s.Helper()
	within(m.s, fmt.Sprintf("getting %d changes", len(want)), func() bool { return m.count() >= len(want) })
	m.mu.Lock()
	defer m.mu.Unlock()
	var got []string
	for _, p := range m.got {
		got = append(got, brief(m.s, p))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.s.Fatalf("(-want +got)\n%s", diff)
	}
	m.got = nil
}

// brief writes a payload for a person: ids, type, table, record, old record, errors.
func brief(t testing.TB, payload string) string {
	var p struct {
		IDs  []int `json:"ids"`
		Data struct {
			Schema, Table, Type string
			Record              json.RawMessage
			Old                 json.RawMessage `json:"old_record"`
			Errors              []string
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		t.Fatalf("%v in %s", err, payload)
	}
	out := fmt.Sprintf("%v %s %s", p.IDs, p.Data.Type, p.Data.Table)
	if p.Data.Record != nil {
		out += " new" + string(p.Data.Record)
	}
	if p.Data.Old != nil {
		out += " old" + string(p.Data.Old)
	}
	if p.Data.Errors != nil {
		out += " " + strings.Join(p.Data.Errors, ",")
	}
	return out
}

func within(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patient); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patient, what)
		}
	}
}

// outlive waits until the feed has asked anew for all that it knows of rights.
func (s *scene) outlive() {
	s.Helper()
	start := time.Now()
	within(s, "rights to grow old", func() bool { return time.Since(start) > s.feed.cfg.RightsAge })
}

// actingAs says under which role the feed's connections are.
func (f *Feed) actingAs(ctx context.Context) (role string, err error) {
	err = f.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select current_user::text || coalesce(nullif(current_setting('request.jwt.claims', true), ''), '')`).Scan(&role)
	})
	return role, err
}
