-- What a database needs for broadcasts of its own (realtime.send and its relatives) and for Postgres changes.
-- It may be run again at any time. It runs in one transaction.

do $$
declare
  missing text;
begin
  -- The roles that tokens of a Supabase client name. What exists is left as it is. Roles belong to all databases
  -- of a server, so that another one may be making them at this moment.
  foreach missing in array array['anon', 'authenticated', 'service_role'] loop
    if to_regrole(missing) is null then
      begin
        execute format('create role %I nologin noinherit %s', missing, case missing when 'service_role' then 'bypassrls' end);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
  end loop;
  if exists (select from pg_class where oid = to_regclass('realtime.messages') and relkind = 'p') then
    raise exception 'realtime.messages is partitioned: another Realtime server has been installed in this database'
      using hint = 'Use a database of its own, or drop the schema realtime.';
  end if;
end
$$;

create schema if not exists realtime;
grant usage on schema realtime to anon, authenticated, service_role;

-- One row per broadcast. The row is only the way into the log, which keeps it for replay and for other regions;
-- the nodes delete rows after 72 hours. So the table stays small, and partitions, which have to be made before
-- the rows come, would only be one more thing that can be missing.
create table if not exists realtime.messages (
  id uuid primary key default gen_random_uuid(),
  topic text not null,
  extension text not null,
  event text,
  payload jsonb,
  binary_payload bytea,
  private boolean default false,
  inserted_at timestamp not null default now(),
  updated_at timestamp not null default now()
);
create index if not exists messages_inserted_at on realtime.messages (inserted_at);
alter table realtime.messages enable row level security;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;

-- The topic that a policy, or a trigger of realtime.messages, is about.
create or replace function realtime.topic() returns text
language sql stable
as $$ select nullif(current_setting('realtime.topic', true), '') $$;

-- Broadcasts JSON. It never fails: whoever changes a row must not be stopped because nobody can be told.
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
language plpgsql
as $$
declare
  message uuid := gen_random_uuid();
begin
  perform set_config('realtime.topic', topic, true);
  if jsonb_typeof(payload) = 'object' and not payload ? 'id' then
    payload := payload || jsonb_build_object('id', message);
  end if;
  insert into realtime.messages (id, topic, extension, event, payload, private)
  values (message, send.topic, 'broadcast', send.event, send.payload, send.private);
exception when others then
  raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- Broadcasts bytes.
create or replace function realtime.send_binary(payload bytea, event text, topic text, private boolean default true) returns void
language plpgsql
as $$
begin
  perform set_config('realtime.topic', topic, true);
  insert into realtime.messages (topic, extension, event, binary_payload, private)
  values (send_binary.topic, 'broadcast', send_binary.event, send_binary.payload, send_binary.private);
exception when others then
  raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- Broadcasts the change of a row, from a trigger for each row: always to the private topic.
create or replace function realtime.broadcast_changes(topic_name text, event_name text, operation text, table_name text,
  table_schema text, new record, old record, level text default 'ROW') returns void
language plpgsql
as $$
begin
  if level <> 'ROW' then
    raise exception 'realtime.broadcast_changes needs a trigger for each row, not for each statement';
  end if;
  perform realtime.send(jsonb_build_object('schema', table_schema, 'table', table_name, 'operation', operation,
    'record', to_jsonb(new), 'old_record', to_jsonb(old)), event_name, topic_name, true);
exception when others then
  raise warning 'WarnSendingBroadcastMessage: %', sqlerrm;
end
$$;

-- One slot reads one publication, so that the messages are in that of the changes. Nobody can subscribe to
-- their changes: the server takes them for what they are.
do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    create publication supabase_realtime;
  end if;
  if not exists (select from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'realtime' and tablename = 'messages') then
    alter publication supabase_realtime add table realtime.messages;
  end if;
end
$$;
