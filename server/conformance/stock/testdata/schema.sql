-- What an application's migrations would make, in a database with the schema realtime: tables of a wedding, and who
-- may see what of them.

-- tasks are for everybody who is logged in.
create table tasks (
  id bigint primary key,
  wedding text not null,
  title text,
  state text not null default 'open',
  priority int,
  cost numeric(10, 2),
  due timestamptz,
  done boolean,
  tags text[],
  details jsonb
);
grant select on tasks to authenticated;

-- Some are also announced on a channel.
create function announce() returns trigger language plpgsql as $$
begin
  perform realtime.broadcast_changes('open:' || new.wedding, tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
  return null;
end
$$;
create trigger announce after insert on tasks for each row when (new.title = 'announced') execute function announce();

-- guests are seen with all that they were before.
create table guests (id uuid primary key, wedding text not null, name text, seat int);
alter table guests replica identity full;
grant select on guests to authenticated;

-- contracts are seen by their vendor.
create table contracts (id int primary key, vendor text not null, amount int);
alter table contracts enable row level security;
create policy own on contracts for select to authenticated
  using (vendor = current_setting('request.jwt.claims', true)::json ->> 'vendor');
grant select on contracts to authenticated, service_role;

-- vendors have a column that is not for everybody.
create table vendors (id int primary key, name text, iban text);
grant select (id, name) on vendors to authenticated;

-- salaries are for nobody.
create table salaries (id int primary key, amount int);

alter publication supabase_realtime add table tasks, guests, contracts, vendors, salaries;

-- attic is not published.
create table attic (id int primary key);
grant select on attic to authenticated;
