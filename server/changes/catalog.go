package changes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/singleflight"
)

// key names a table.
type key struct{ schema, table string }

// covers says whether a table is one of those that a key with wildcards stands for.
func (k key) covers(t key) bool {
	return (k.schema == wildcard || k.schema == t.schema) && (k.table == wildcard || k.table == t.table)
}

// table is what the database says about a table. It does not change: what is newer is another table.
type table struct {
	key
	oid     uint32
	rls     bool // row level security is on
	columns []column
	roles   map[string]*access // of the roles that were asked for; nil: there is no such role
	loaded  time.Time
}

type column struct {
	name     string
	typ      string // in pg_type
	base     string // what values are underneath: of a domain the constrained type, of an enum "anyenum"
	sql      string // the same as a cast needs it
	primary  bool   // in the primary key
	identity bool   // in the replica identity
}

// access is what a role may do with a table.
type access struct {
	role     string
	exempt   bool // row level security does not apply to it
	readable map[string]bool
	// noKey: a column of the primary key is not readable, noPrimary: there is none.
	noKey, noPrimary bool
}

func (t *table) column(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// knows says whether the table is the one that the change was made in: every column is there, with its type.
func (t *table) knows(columns []field) bool {
	for i := range columns {
		if c := t.column(columns[i].Name); c == nil || c.typ != columns[i].Type {
			return false
		}
	}
	return true
}

// sameColumns says whether subscriptions that were compiled for one of the tables fit the other.
func (t *table) sameColumns(other *table) bool { return slices.Equal(t.columns, other.columns) }

// catalog knows the tables and rights of the database, for a short while each: rights change without a word.
type catalog struct {
	db          *database
	publication string
	slot        string
	maxAge      time.Duration
	changed     func(key) // called when a table has other columns than before

	loads singleflight.Group

	mu        sync.Mutex // guards the following
	published *published
	tables    map[key]*table
	roles     map[string]bool // that have been asked for
	used      map[key]bool    // since the last refresh
}

// published is the tables that can be subscribed to.
type published struct {
	tables map[key]bool
	loaded time.Time
	wal    uint64 // where the WAL ended then
}

func newCatalog(db *database, cfg *Config, changed func(key)) *catalog {
	return &catalog{db: db, publication: cfg.Publication, slot: cfg.Slot, maxAge: cfg.RightsAge, changed: changed,
		tables: map[key]*table{}, roles: map[string]bool{}, used: map[key]bool{}}
}

// errNotReading says that nobody has made the replication slot yet, or that this node does not hear of all
// changes yet: what is committed now might not be told.
var errNotReading = errors.New("the replication slot does not exist yet, or this node is catching up")

// listed returns the tables of the publication, at most as old as since.
func (c *catalog) listed(ctx context.Context, since time.Time) (*published, error) {
	for {
		// Somebody else's load may have begun before since: then it is done again.
		if p, err := c.listOnce(ctx, since); err != nil || !p.loaded.Before(since) {
			return p, err
		}
	}
}

func (c *catalog) listOnce(ctx context.Context, since time.Time) (*published, error) {
	c.mu.Lock()
	p := c.published
	c.mu.Unlock()
	if p != nil && !p.loaded.Before(since) {
		return p, nil
	}
	v, err, _ := c.loads.Do("published", func() (any, error) {
		p := &published{tables: map[key]bool{}, loaded: time.Now()}
		var reading bool
		err := c.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			clear(p.tables)
			// A slot that is being made is there already, but what is committed before it is ready is not in it.
			if err := conn.QueryRow(ctx, `select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::int8,
				exists (select from pg_catalog.pg_replication_slots where slot_name = $1 and confirmed_flush_lsn is not null)`,
				c.slot).Scan(&p.wal, &reading); err != nil {
				return err
			}
			rows, err := conn.Query(ctx, `select schemaname, tablename from pg_catalog.pg_publication_tables where pubname = $1`, c.publication)
			if err != nil {
				return err
			}
			var k key
			_, err = pgx.ForEachRow(rows, []any{&k.schema, &k.table}, func() error {
				p.tables[k] = true
				return nil
			})
			return err
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the tables of publication %s: %w", c.publication, err)
		case !reading:
			return nil, errNotReading
		}
		c.mu.Lock()
		c.published = p
		c.mu.Unlock()
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*published), nil
}

// table returns a table with the rights of the roles, not older than since; nil if it does not exist.
func (c *catalog) table(ctx context.Context, k key, since time.Time, roles ...string) (*table, error) {
	c.mu.Lock()
	t := c.tables[k]
	c.used[k] = true
	for _, role := range roles {
		if t != nil {
			if _, asked := t.roles[role]; !asked {
				t = nil
			}
		}
		c.roles[role] = true
	}
	c.mu.Unlock()
	if t != nil && !t.loaded.Before(since) {
		return t, nil
	}
	for {
		v, err, _ := c.loads.Do(k.schema+"\x00"+k.table, func() (any, error) { return c.load(ctx, k) })
		if err != nil {
			if ctx.Err() == nil && errors.Is(err, context.Canceled) {
				continue // the load was somebody else's, who has gone
			}
			return nil, fmt.Errorf("reading what may be seen of %s.%s: %w", k.schema, k.table, err)
		}
		t := v.(*table)
		if t != nil && !hasRoles(t, roles) {
			continue // the load had begun before these roles were known
		}
		return t, nil
	}
}

func hasRoles(t *table, roles []string) bool {
	for _, role := range roles {
		if _, asked := t.roles[role]; !asked {
			return false
		}
	}
	return true
}

// under is the type beneath a domain, and beneath a domain over that.
const queryColumns = `
select c.oid, c.relrowsecurity, a.attname, t.typname, case when u.typtype = 'e' then 'anyenum' else u.typname end,
  pg_catalog.quote_ident(u.nspname) || '.' || pg_catalog.quote_ident(u.typname),
  coalesce(a.attnum = any ((p.indkey::int2[])[0:p.indnkeyatts - 1]), false),
  case c.relreplident when 'd' then coalesce(a.attnum = any ((p.indkey::int2[])[0:p.indnkeyatts - 1]), false) when 'f' then true
    when 'i' then coalesce(a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]), false) else false end
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
cross join lateral (
  with recursive under as (
    select a.atttypid as oid
    union all
    select d.typbasetype from under join pg_catalog.pg_type d on d.oid = under.oid where d.typtype = 'd')
  select b.typname, b.typtype, s.nspname from under
  join pg_catalog.pg_type b on b.oid = under.oid join pg_catalog.pg_namespace s on s.oid = b.typnamespace
  where b.typtype <> 'd') u
left join pg_catalog.pg_index p on p.indrelid = c.oid and p.indisprimary
left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisreplident
where n.nspname = $1 and c.relname = $2
order by a.attnum`

const queryAccess = `
select r.rolname, r.rolsuper or r.rolbypassrls, array(
  select a.attname::text from pg_catalog.pg_attribute a
  where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
    and pg_catalog.has_column_privilege(r.oid, a.attrelid, a.attnum, 'select'))
from pg_catalog.pg_roles r where r.rolname = any ($2::text[])`

// load asks the database about a table, for all roles that were ever asked for.
func (c *catalog) load(ctx context.Context, k key) (*table, error) {
	c.mu.Lock()
	roles := slices.Collect(maps.Keys(c.roles))
	c.mu.Unlock()
	var t *table
	err := c.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		t, err = readTable(ctx, conn, k, roles)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	before := c.tables[k]
	if t == nil {
		delete(c.tables, k)
	} else {
		c.tables[k] = t
	}
	c.mu.Unlock()
	if before != nil && t != nil && !t.sameColumns(before) {
		c.changed(k)
	}
	return t, nil
}

func readTable(ctx context.Context, conn *pgx.Conn, k key, roles []string) (*table, error) {
	t := &table{key: k, roles: map[string]*access{}, loaded: time.Now()}
	rows, err := conn.Query(ctx, queryColumns, k.schema, k.table)
	if err != nil {
		return nil, err
	}
	var col column
	if _, err = pgx.ForEachRow(rows, []any{&t.oid, &t.rls, &col.name, &col.typ, &col.base, &col.sql, &col.primary, &col.identity}, func() error {
		t.columns = append(t.columns, col)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(t.columns) == 0 {
		return nil, nil
	}
	for _, role := range roles {
		t.roles[role] = nil
	}
	if rows, err = conn.Query(ctx, queryAccess, t.oid, roles); err != nil {
		return nil, err
	}
	var role string
	var exempt bool
	var readable []string
	_, err = pgx.ForEachRow(rows, []any{&role, &exempt, &readable}, func() error {
		t.roles[role] = t.access(role, exempt, readable)
		return nil
	})
	return t, err
}

func (t *table) access(role string, exempt bool, readable []string) *access {
	a := &access{role: role, exempt: exempt, readable: map[string]bool{}, noPrimary: true}
	for _, name := range readable {
		a.readable[name] = true
	}
	for i := range t.columns {
		if c := &t.columns[i]; c.primary {
			a.noPrimary = false
			a.noKey = a.noKey || !a.readable[c.name]
		}
	}
	return a
}

// refresh renews what was used since the last time, so that the worker need not wait for it.
func (c *catalog) refresh(ctx context.Context) {
	c.mu.Lock()
	used := c.used
	c.used = map[key]bool{}
	for k, t := range c.tables {
		if !used[k] && time.Since(t.loaded) > unusedFor {
			delete(c.tables, k)
		}
	}
	c.mu.Unlock()
	for k := range used {
		if _, err, _ := c.loads.Do(k.schema+"\x00"+k.table, func() (any, error) { return c.load(ctx, k) }); err != nil {
			return // it comes again when somebody needs the answer, who then deals with it
		}
	}
}

// unusedFor is how long a table is remembered of which no change comes.
const unusedFor = 10 * time.Minute
