package xk6wedsync

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.k6.io/k6/js/modulestest"
	"go.k6.io/k6/lib"
	"go.k6.io/k6/lib/netext"
	"go.k6.io/k6/lib/types"
	"go.k6.io/k6/metrics"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
	"github.com/wedsync/wedsync/xk6-wedsync/rehearsal"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// user is a virtual user of k6 with the module, a rehearsal server, and the samples that came out.
type user struct {
	*testing.T
	rt      *modulestest.Runtime
	samples chan metrics.SampleContainer
	server  *rehearsal.Server
}

// initUser stands in the init context.
func initUser(t *testing.T) *user {
	t.Helper()
	u := &user{T: t, rt: modulestest.NewRuntime(t), samples: make(chan metrics.SampleContainer, 1000)}
	m := New(fleet.New(fleet.FleetConfig{})).NewModuleInstance(u.rt.VU)
	for name, v := range m.Exports().Named {
		if err := u.rt.VU.Runtime().Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func newUser(t *testing.T) *user {
	t.Helper()
	u := initUser(t)
	var err error
	if u.server, err = rehearsal.Start("eu-west", "us-east"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.server.Close)
	if err := u.rt.VU.Runtime().Set("regions", u.server.URLs()); err != nil {
		t.Fatal(err)
	}
	tags := u.rt.VU.InitEnvField.Registry.RootTagSet().With("scenario", "test")
	u.rt.MoveToVUContext(&lib.State{
		Dialer:  netext.NewDialer(net.Dialer{}, netext.NewResolver(net.LookupIP, 0, types.DNSfirst, types.DNSpreferIPv4)),
		Samples: u.samples,
		Tags:    lib.NewVUStateTags(tags),
		VUID:    1,
	})
	_, err = u.rt.VU.Runtime().RunString(`regions = Object.assign({}, regions); let out = {};`)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// run runs an async story to its end and returns its error.
func (u *user) run(story string) error {
	u.Helper()
	_, err := u.rt.RunOnEventLoop(`(async () => {` + story + `})().catch((e) => { out.error = String(e) })`)
	if err != nil {
		return err
	}
	return nil
}

// out returns what the story left in a key of out.
func (u *user) out(key string) any {
	u.Helper()
	return u.rt.VU.Runtime().Get("out").ToObject(u.rt.VU.Runtime()).Get(key).Export()
}

// must fails the test if the story threw.
func (u *user) must(story string) {
	u.Helper()
	if err := u.run(story); err != nil {
		u.Fatal(err)
	}
	if v := u.rt.VU.Runtime().Get("out").ToObject(u.rt.VU.Runtime()).Get("error"); v != nil {
		u.Fatal(v)
	}
}

// counted sums up the samples by metric, and returns the tags of one of each.
func (u *user) counted() (sum map[string]float64, n map[string]int, tags map[string]map[string]string) {
	sum, n, tags = map[string]float64{}, map[string]int{}, map[string]map[string]string{}
	for len(u.samples) > 0 {
		for _, s := range (<-u.samples).GetSamples() {
			sum[s.Metric.Name] += s.Value
			n[s.Metric.Name]++
			tags[s.Metric.Name] = s.Tags.Map()
		}
	}
	return sum, n, tags
}

func TestStory(t *testing.T) {
	u := newUser(t)
	u.must(`
		const w = new Wedding({ regions, vendors: 4, singleHomed: 0.5, seed: 7, sla: '10s' });
		out.id = w.id;
		out.vendors = w.vendors.map((v) => v.type + v.homes).join(' ');
		await w.arrive();
		const r = await w.urgent('planner-1', 'rain', { at: Date.now() });
		out.receipt = JSON.stringify([r.outcome, r.expected, r.delivered, r.late, r.missing, r.held.length, r.slowestMs > 0, r.okMs > 0]);
		const s = await w.update(w.vendors[1], 'photos_ready', { n: 1 });
		out.update = s.outcome + s.delivered;
		const moments = w.schedule({ every: 20, for: '100ms' });
		out.moments = 0;
		for (let at = await moments.next(); at !== null; at = await moments.next()) {
			out.moments++;
			out.near = Math.abs(Date.now() - at) < 5000;
		}
		const photo = await w.bulk(w.vendors[2], 'photo', { bytes: 100 });
		out.photo = photo.outcome + photo.delivered;
		out.flood = await w.flood({ from: w.vendors, payload: { bytes: 100 }, every: 20, for: '100ms' });
		out.waited = await wait(1);
		await w.leave();
		out.left = true;
	`)
	for key, want := range map[string]any{"id": "w001", "vendors": "planner2 venue1 photographer1 videographer2", "update": "ok3",
		"receipt": `["ok",3,3,0,[],2,true,true]`, "moments": int64(5), "near": true, "photo": "ok3", "flood": int64(5), "waited": true, "left": true} {
		if got := u.out(key); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	empty(t, u.server)
	sum, n, tags := u.counted()
	for name, want := range map[string]float64{"wedsync_urgent_sent": 1, "wedsync_urgent_delivered": 3, "wedsync_update_delivered": 3,
		"wedsync_update_sent": 1, "wedsync_urgent_late": 0, "wedsync_urgent_lost": 0, "wedsync_duplicates": 0,
		"wedsync_bulk_sent": 6, "wedsync_bulk_delivered": 18, "wedsync_bulk_shed": 0} {
		if sum[name] != want {
			t.Errorf("%s = %v, want %v", name, sum[name], want)
		}
	}
	if n["wedsync_urgent_latency"] != 3 || n["wedsync_ok_latency"] != 8 || n["wedsync_bulk_latency"] != 18 || n["wedsync_arrival_latency"] != 4 || n["wedsync_vendors"] == 0 {
		t.Errorf("samples: %v", n)
	}
	got := tags["wedsync_urgent_latency"]
	if got["phase"] != "steady" || got["path"] != "live" || got["region"] == "" || got["vendor_type"] == "" || got["scenario"] != "test" {
		t.Errorf("tags of a latency: %v", got)
	}
	if got := tags["wedsync_ok_latency"]; got["lane"] == "" || got["region"] == "" {
		t.Errorf("tags of an ok: %v", got)
	}
}

// TestRefusals shows every strictness of the options firing, by the words that the author of the script reads.
func TestRefusals(t *testing.T) {
	u := newUser(t)
	for code, wants := range map[string][]string{
		`new Wedding()`: {"new Wedding: regions is missing", "WEDSYNC_REGIONS"},
		`new Wedding({ regions, vendor: 3, Seed: 1 })`:                                      {`unknown option "vendor"`, `unknown option "Seed"`, "the options are id, index, seed"},
		`new Wedding({ regions, vendors: 0 })`:                                              {"vendors should be a whole number from 1"},
		`new Wedding({ regions, vendors: '12' })`:                                           {"vendors should be a number or a list of {name, type, homes}, got 12"},
		`new Wedding({ regions, vendors: [{ name: 'a', typ: 'x' }] })`:                      {`vendors[0]: unknown option "typ"`},
		`new Wedding({ regions, vendors: [{ name: 'a', type: 'x', homes: 3 }] })`:           {"a: homes is 3"},
		`new Wedding({ regions, vendors: [{ name: 'a', type: 'x' }], singleHomed: 0.5 })`:   {"singleHomed is for a number of vendors"},
		`new Wedding({ regions, singleHomed: 2 })`:                                          {"singleHomed should be a number from 0 to 1, got 2"},
		`new Wedding({ regions, homes: 3 })`:                                                {"homes is 3"},
		`new Wedding({ regions, id: 7 })`:                                                   {"id should be a string, got 7"},
		`new Wedding({ regions, id: 'w 1' })`:                                               {`id: "w 1" should be`},
		`new Wedding({ regions, private: 'yes' })`:                                          {"private should be true or false"},
		`new Wedding({ regions, seed: 1.5 })`:                                               {"seed should be a whole number"},
		`new Wedding({ regions, index: -1 })`:                                               {"index should not be negative"},
		`new Wedding({ regions, limit: 'soon' })`:                                           {"limit should be a duration like '1.5s'"},
		`new Wedding({ regions, drain: -1 })`:                                               {"drain: -1ms is negative"},
		`new Wedding({ regions, sla: { urgent: 'x', all: 1 } })`:                            {"sla: urgent should be a duration", `sla: unknown option "all"`},
		`new Wedding({ regions, version: '3.0.0' })`:                                        {"version: "},
		`new Wedding({ regions: 'eu-west' })`:                                               {"should read region=ws://host:port/socket"},
		`new Wedding({ regions: { eu: 7 } })`:                                               {"eu should be a URL or a list"},
		`new Wedding({ regions: 7 })`:                                                       {"regions should be a string"},
		`new Wedding({ regions: { eu: 'http://x' } })`:                                      {"should be a URL like ws://"},
		`new Wedding([1])`:                                                                  {"expected an object with options"},
		`new Wedding({ regions }).urgent('planner-1', 7)`:                                   {"urgent: text should be a string, got 7"},
		`new Wedding({ regions }).urgent(7, 'x')`:                                           {"urgent: from should be a string"},
		`new Wedding({ regions }).urgent('a', 'x', { att: 1 })`:                             {`urgent: unknown option "att"`},
		`new Wedding({ regions }).urgent('a', 'x', { at: 5 })`:                              {"at should be what a schedule's next() resolved to"},
		`new Wedding({ regions }).schedule({ every: 0 })`:                                   {"schedule: every: should be more than 0"},
		`new Wedding({ regions }).schedule({ every: 1, evry: 2 })`:                          {`schedule: unknown option "evry"`},
		`new Wedding({ regions, stalled: { share: 2, every: '1s', for: '2s', often: 1 } })`: {"stalled: share should be a number from 0 to 1", `stalled: unknown option "often"`},
		`new Wedding({ regions, stalled: { every: '1s', for: '2s' } })`:                     {"every: should be longer than for"},
		`new Wedding({ regions, arriveTimeout: -1 })`:                                       {"arriveTimeout: -1ms is negative"},
		`new Wedding({ regions }).arrive({ within: -1, by: 2 })`:                            {"arrive: within should not be negative", `arrive: unknown option "by"`},
		`new Wedding({ regions }).bulk('a', 'photo', { bytes: 3 })`:                         {"bulk: bytes: 3 should be between"},
		`new Wedding({ regions }).bulk('a', 'photo', { bytes: '3' })`:                       {"bulk: bytes should be a whole number, got 3"},
		`new Wedding({ regions }).bulk('a', 7)`:                                             {"bulk: event should be a string"},
		`new Wedding({ regions }).bulk('a', 'photo', {}, { att: 1 })`:                       {`bulk: unknown option "att"`},
		`new Wedding({ regions }).flood({ payload: { bytes: 1 }, evry: 1 })`:                {"flood: from is missing", "flood: bytes: 1 should be", `flood: unknown option "evry"`},
		`wait('soon')`: {"wait: the time should be a duration"},
		`{ const s = new Wedding({ regions }).schedule({ every: '1h' }); s.next(); s.next() }`: {"await it"},
	} {
		u.rt.CancelContext() // so that the weddings that were made, and their promises, end at once
		_, err := u.rt.RunOnEventLoop(code)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want an error with %q", code, err, want)
			}
		}
	}
}

func TestRejections(t *testing.T) {
	u := newUser(t)
	u.must(`
		const w = new Wedding({ regions, vendors: 2 });
		const said = async (p) => p.then(() => 'nothing', (e) => e.message);
		out.early = await said(w.urgent('planner-1', 'x'));
		await w.arrive();
		out.nobody = await said(w.urgent('nobody', 'x'));
		out.event = await said(w.update('planner-1', 'urgent', {}));
		out.flood = await said(w.flood({ from: 'nobody', every: 10, for: 10 }));
		out.never = await said(w.flood({ from: 'planner-1' }));
		out.again = await said(w.arrive());
		await w.leave();
		out.late = await said(w.update('planner-1', 'x', {}));
	`)
	for key, want := range map[string]string{"early": "await arrive()", "nobody": `no vendor "nobody"`, "event": "use urgent()",
		"flood": `flood: wedding w001 has no vendor "nobody"`, "never": "flood: every: should be",
		"again": "arrived already", "late": "is over"} {
		if got, _ := u.out(key).(string); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want an error with %q", key, got, want)
		}
	}
}

func TestInitContext(t *testing.T) {
	u := initUser(t)
	for _, code := range []string{`new Wedding({})`, `rehearse()`, `wait('1s')`} {
		if _, err := u.rt.RunOnEventLoop(code); err == nil || !strings.Contains(err.Error(), "not at the top of the script") {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestRehearse(t *testing.T) {
	u := newUser(t)
	u.must(`
		const w = new Wedding({ regions: rehearse('a', 'b'), vendors: 3, version: '1.0.0', homes: 1 });
		await w.arrive();
		const r = await w.urgent('planner-1', 'x');
		out.held = r.held.join() + r.delivered;
		await w.leave();
	`)
	if got := u.out("held"); got != "a,b2" {
		t.Errorf("held and delivered: %v", got)
	}
	u.rt.CancelContext()
}

// TestIterationEnds ends the iteration in the middle of everything: every promise is settled, and only after the
// sockets are closed.
func TestIterationEnds(t *testing.T) {
	u := newUser(t)
	go func() { // ends with its condition
		for u.server.Sockets() < 4 {
			time.Sleep(time.Millisecond)
		}
		u.rt.CancelContext()
	}()
	done := make(chan error, 1)
	go func() {
		done <- u.run(`
			const w = new Wedding({ regions, vendors: 2 });
			const moments = w.schedule({ every: '1h' });
			await w.arrive();
			await Promise.all([moments.next(), w.urgent('planner-1', 'x')]);
			await new Wedding({ id: 'other', regions, vendors: 1 }).arrive();
		`)
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Log(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a promise was never settled: k6 would hang")
	}
	empty(t, u.server)
}

// empty fails the test unless every socket is closed; the server's end of one may notice a moment later.
func empty(t *testing.T, s *rehearsal.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.WaitEmpty(ctx); err != nil {
		t.Error(err)
	}
}
