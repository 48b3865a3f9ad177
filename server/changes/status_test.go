package changes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

func testStatuses(t *testing.T, server *pgtest.Server) {
	s := newScene(t, server, "statuses", append([]string{guests, `create table secret (id int primary key, pin text)`, `grant select (id) on secret to anon`,
		`alter publication supabase_realtime add table secret`, `create table unpublished (id int)`}, readable("guests")...)...)
	const unable = "error: Unable to subscribe to changes with given parameters. "
	const please = unable + "Please check Realtime is enabled for the given connect parameters: "
	const exception = unable + "An exception happened so please check your connect parameters: "
	for entry, want := range map[string]string{
		all:                                   subscribed,
		`{"event":"INSERT","schema":"other"}`: please + `[event: INSERT, schema: other, table: *, filters: [], select: nil]`,
		`{"schema":"public","table":"unpublished"}`:                                       please + `[event: *, schema: public, table: unpublished, filters: [], select: nil]`,
		`{"schema":"realtime","table":"messages"}`:                                        please + `[event: *, schema: realtime, table: messages, filters: [], select: nil]`,
		`{"schema":"public","table":"nothing","filter":"id=eq.1","select":["id","name"]}`: please + `[event: *, schema: public, table: nothing, filters: [{"id", "eq", "1", false}], select: ["id", "name"]]`,
		`{"schema":"public","table":"guests","filter":"nope=eq.1"}`:                       exception + `[event: *, schema: public, table: guests, filters: [{"nope", "eq", "1", false}], select: nil]. Exception: ERROR P0001 (raise_exception) invalid column for filter nope`,
		`{"schema":"public","table":"guests","select":["nope"]}`:                          exception + `[event: *, schema: public, table: guests, filters: [], select: ["nope"]]. Exception: ERROR P0001 (raise_exception) invalid column for select nope`,
		`{"schema":"public","table":"secret","filter":"pin=eq.1"}`:                        exception + `[event: *, schema: public, table: secret, filters: [{"pin", "eq", "1", false}], select: nil]. Exception: ERROR P0001 (raise_exception) invalid column for filter pin`,
		`{"schema":"public","table":"guests","filter":"seats=eq.many"}`:                   exception + `[event: *, schema: public, table: guests, filters: [{"seats", "eq", "many", false}], select: nil]. Exception: ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "many"`,
		`{"schema":"public","table":"guests","filter":"name=foo.hey"}`:                    "error: Error parsing `filter` params: [\"foo\", \"hey\"]",
		`{"schema":"public","table":"guests","filter":"undefined"}`:                       "error: Error parsing `filter` params: [\"undefined\"]",
	} {
		m := s.join(s.feed, claims("anon", ""), entry)
		within(t, "a status", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.said) > 0 })
		// Some texts go on with a word on what to do about it.
		if got := m.said[0]; !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", entry, got, want)
		}
	}
	nobody := s.join(s.feed, claims("nobody", ""), all)
	nobody.hears(exception + `[event: *, schema: public, table: guests, filters: [], select: nil]. Exception: ERROR 42704 (undefined_object) role "nobody" does not exist`)
	var tooMany []string
	for i := range 101 {
		tooMany = append(tooMany, fmt.Sprint(i))
	}
	m := s.join(s.feed, claims("anon", ""), fmt.Sprintf(`{"schema":"public","table":"guests","filter":"id=in.(%s)"}`, strings.Join(tooMany, ",")))
	within(t, "a refusal", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.said) > 0 })
	if !strings.Contains(m.said[0], "too many values for `in` filter. Maximum 100") {
		t.Error(m.said[0])
	}
	// One bad entry is enough, and a refused channel gets nothing.
	half := s.join(s.feed, claims("anon", ""), all, `{"schema":"other","table":"x"}`)
	half.hears(please + `[event: *, schema: other, table: x, filters: [], select: nil]`)
	witness := s.joined(claims("anon", ""), all)
	s.sql(`insert into guests (id) values (1)`)
	within(t, "the change", func() bool { return witness.count() == 1 })
	if half.count() != 0 {
		t.Error("a refused subscription was told of a change")
	}
	// A table that was added to the publication a moment ago can be subscribed to at once.
	s.sql(`alter publication supabase_realtime add table unpublished`)
	s.joined(claims("anon", ""), `{"schema":"public","table":"unpublished"}`)
}
