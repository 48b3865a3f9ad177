import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { postgresChangesFilter } from '@supabase/realtime-js'
import { far, here, regions, sql, there } from './cluster.mjs'
import { follow, insertTask, listen, nextID, subscribed, weddingID } from './changes.mjs'
import { Seat, connect, join, topicOf } from './guest.mjs'
import { eventually } from './inbox.mjs'
import { who } from './presence.mjs'
import { token } from './token.mjs'

const of = (wedding) => ({ table: 'tasks', filter: `wedding=eq.${wedding}` })
const empty = { priority: null, cost: null, due: null, done: null, tags: null, details: null }
const everywhere = (bindings, options) => Promise.all(regions.map((region) => follow(region, bindings, options)))
const nothing = (...seats) => Promise.all(seats.flatMap((seat) => seat.heard.map((inbox) => inbox.nothing())))

describe('Postgres changes', { concurrency: true }, () => {
  test('INSERT, UPDATE and DELETE reach every region, once', async () => {
    const wedding = weddingID()
    const seats = await everywhere([of(wedding)])
    const id = await insertTask(wedding, { title: 'cake' })
    await sql(`update tasks set state = 'done' where id = ${id}`)
    await sql(`delete from tasks where id = ${id}`)
    for (const { heard: [inbox] } of seats) {
      const [insert, update] = await inbox.take(2)
      const row = { id, wedding, title: 'cake', state: 'open', ...empty }
      assert.deepEqual([insert.eventType, insert.schema, insert.table, insert.errors], ['INSERT', 'public', 'tasks', null])
      assert.match(insert.commit_timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.deepEqual([insert.new, insert.old], [row, {}])
      assert.deepEqual([update.eventType, update.new, update.old], ['UPDATE', { ...row, state: 'done' }, { id }])
    }
    // Of a deleted row only the primary key is known, so that a filter on another column does not find it.
    await nothing(...seats)
  })

  test('DELETE is heard with the primary key', async () => {
    const wedding = weddingID()
    const id = await insertTask(wedding)
    const seats = await everywhere([{ table: 'tasks', event: 'DELETE', filter: `id=eq.${id}` }])
    await sql(`update tasks set state = 'done' where id = ${id}`)
    await sql(`delete from tasks where id = ${id}`)
    for (const { heard: [inbox] } of seats) {
      const change = await inbox.next()
      assert.deepEqual([change.eventType, change.new, change.old], ['DELETE', {}, { id }])
    }
    await nothing(...seats)
  })

  test('with replica identity full, old is the whole row, and filters see it', async () => {
    const wedding = weddingID()
    const seats = await everywhere([{ table: 'guests', filter: `wedding=eq.${wedding}` }])
    const id = crypto.randomUUID()
    await sql(`insert into guests values ('${id}', '${wedding}', 'Zoë', 4)`)
    await sql(`update guests set seat = 5 where id = '${id}'`)
    await sql(`delete from guests where id = '${id}'`)
    const row = { id, wedding, name: 'Zoë', seat: 4 }
    for (const { heard: [inbox] } of seats) {
      const changes = await inbox.take(3)
      assert.deepEqual(changes.map((change) => [change.eventType, change.new, change.old]), [
        ['INSERT', row, {}], ['UPDATE', { ...row, seat: 5 }, row], ['DELETE', {}, { ...row, seat: 5 }],
      ])
    }
    await nothing(...seats)
  })

  test('values have their types', async () => {
    const wedding = weddingID()
    const { heard: [inbox] } = await follow(there, [of(wedding)])
    const id = nextID()
    await sql(`insert into tasks values (${id}, '${wedding}', E'O''Brien \\\\ "x"', 'open', -3, 1234.50,
      '2026-06-13 14:03:07.25+02', true, '{rose,"white lily",NULL}', '{"a": [1, null, {"b": "c"}]}')`)
    const row = (await inbox.next()).new
    assert.equal(new Date(row.due).toISOString(), '2026-06-13T12:03:07.250Z')
    delete row.due
    assert.deepEqual(row, {
      id, wedding, title: `O'Brien \\ "x"`, state: 'open', priority: -3, cost: 1234.5, done: true,
      tags: ['rose', 'white lily', null], details: { a: [1, null, { b: 'c' }] },
    })
  })

  for (const event of ['INSERT', 'UPDATE', 'DELETE', '*']) {
    test(`event ${event}`, async () => {
      const want = event === '*' ? ['INSERT', 'UPDATE', 'DELETE'] : [event]
      const wedding = weddingID()
      const seat = await follow(far, [{ table: 'guests', event, filter: `wedding=eq.${wedding}` }])
      const id = crypto.randomUUID()
      await sql(`insert into guests values ('${id}', '${wedding}')`)
      await sql(`update guests set seat = 1 where id = '${id}'`)
      await sql(`delete from guests where id = '${id}'`)
      assert.deepEqual((await seat.heard[0].take(want.length)).map(({ eventType }) => eventType), want)
      await nothing(seat)
    })
  }

  const filters = {
    'state=eq.open': ['cake', 'flowers', 'Music, loud'],
    'state=neq.open': ['rings'],
    'priority=gt.2': ['rings', 'Music, loud'],
    'priority=gte.2': ['flowers', 'rings', 'Music, loud'],
    'priority=lt.2': ['cake'],
    'priority=lte.2': ['cake', 'flowers'],
    'cost=gt.9.5': ['flowers'],
    'title=in.(cake,rings)': ['cake', 'rings'],
    'title=in.(cake,"Music, loud")': ['cake', 'Music, loud'],
    'title=eq."Music, loud"': ['Music, loud'],
    'title=like.%s': ['flowers', 'rings'],
    'title=like.m%': [],
    'title=ilike.m%': ['Music, loud'],
    'title=match.^[cf]': ['cake', 'flowers'],
    'title=imatch.^M': ['Music, loud'],
    'done=is.null': ['flowers', 'rings', 'Music, loud'],
    'done=is.true': ['cake'],
    'done=isdistinct.true': ['flowers', 'rings', 'Music, loud'],
    'done=not.is.null': ['cake'],
    'title=not.in.(cake,rings)': ['flowers', 'Music, loud'],
    'state=not.eq.open': ['rings'],
    'due=lt.2026-06-13T12:00:00Z': ['rings'],
    'priority=gt.1,state=eq.open': ['flowers', 'Music, loud'],
  }
  for (const [i, [filter, titles]] of Object.entries(filters).entries()) {
    test(`filter ${filter}`, async () => {
      const wedding = weddingID()
      const binding = { table: 'tasks', event: 'INSERT', filter: `wedding=eq.${wedding},${filter}` }
      const seat = await follow(regions[i % 3], [binding])
      await sql(`insert into tasks (id, wedding, title, state, priority, cost, due, done) values
        (${nextID()}, '${wedding}', 'cake', 'open', 1, 9.5, '2026-06-13 14:00+00', true),
        (${nextID()}, '${wedding}', 'flowers', 'open', 2, 10, null, null),
        (${nextID()}, '${wedding}', 'rings', 'done', 3, null, '2026-06-13 13:00+02', null),
        (${nextID()}, '${wedding}', 'Music, loud', 'open', 10, -1, null, null)`)
      assert.deepEqual((await seat.heard[0].take(titles.length)).map((change) => change.new.title), titles)
      await nothing(seat)
    })
  }

  test('the filter builder of the client', async () => {
    const wedding = weddingID()
    const filter = postgresChangesFilter().eq('wedding', wedding).in('title', ['a,b', 'c"d']).not('state', 'eq', 'done')
    const seat = await follow(here, [{ table: 'tasks', filter }])
    await insertTask(wedding, { title: 'a,b' })
    await insertTask(wedding, { title: 'a' })
    await insertTask(wedding, { title: 'c"d', state: 'done' })
    await insertTask(wedding, { title: 'c"d' })
    assert.deepEqual((await seat.heard[0].take(2)).map((change) => change.new.title), ['a,b', 'c"d'])
    await nothing(seat)
  })

  test('several bindings of one channel get what is theirs', async () => {
    const wedding = weddingID()
    const seat = await follow(there, [
      { ...of(wedding), event: 'INSERT' },
      { ...of(wedding), event: 'UPDATE' },
      of(wedding),
      { table: 'guests', filter: `wedding=eq.${wedding}` },
      { table: 'tasks', filter: `wedding=eq.${wedding},priority=gt.5` },
    ])
    const id = await insertTask(wedding, { priority: 1 })
    await sql(`update tasks set priority = 9 where id = ${id}`)
    const types = async (inbox, n) => (await inbox.take(n)).map(({ eventType }) => eventType)
    assert.deepEqual(await types(seat.heard[0], 1), ['INSERT'])
    assert.deepEqual(await types(seat.heard[1], 1), ['UPDATE'])
    assert.deepEqual(await types(seat.heard[2], 2), ['INSERT', 'UPDATE'])
    assert.deepEqual(await types(seat.heard[4], 1), ['UPDATE'])
    await nothing(seat)
  })

  test('a whole table, and a whole schema', async () => {
    const wedding = weddingID()
    const seat = await follow(far, [{ table: 'tasks' }, {}])
    const id = await insertTask(wedding)
    const guest = crypto.randomUUID()
    await sql(`insert into guests values ('${guest}', '${wedding}')`)
    for (const inbox of seat.heard) await inbox.until((change) => change.new.id === id)
    await seat.heard[1].until((change) => change.table === 'guests' && change.new.id === guest)
    assert.ok(seat.heard[0].all.every((change) => change.table === 'tasks'))
  })

  test('select gives the chosen columns and the primary key', async () => {
    const wedding = weddingID()
    const seat = await follow(here, [{ ...of(wedding), select: ['title', 'priority'] }])
    const id = await insertTask(wedding, { title: 'cake', priority: 2 })
    assert.deepEqual((await seat.heard[0].next()).new, { id, title: 'cake', priority: 2 })
  })

  test('columns that a role may not read are left out', async () => {
    const seat = await follow(here, [{ table: 'vendors' }])
    const id = nextID() % 1_000_000_000
    await sql(`insert into vendors values (${id}, 'Bloom & Co', 'DE89 3704 0044 0532 0130 00')`)
    assert.deepEqual((await seat.heard[0].until((change) => change.new.id === id)).new, { id, name: 'Bloom & Co' })
  })

  test('a transaction is heard in order once it is committed, and not at all if it is rolled back', async () => {
    const wedding = weddingID()
    const seats = await everywhere([of(wedding)])
    const [a, b] = [nextID(), nextID()]
    await sql(`begin; insert into tasks (id, wedding) values (${a}, '${wedding}'); rollback`)
    await sql(`begin; insert into tasks (id, wedding) values (${b}, '${wedding}');
      update tasks set priority = 1 where id = ${b}; commit`)
    for (const { heard: [inbox] } of seats) {
      const changes = await inbox.take(2)
      assert.deepEqual(changes.map((change) => [change.eventType, change.new.id]), [['INSERT', b], ['UPDATE', b]])
      assert.equal(changes[0].commit_timestamp, changes[1].commit_timestamp)
    }
    await nothing(...seats)
  })

  test('two hundred rows reach every region in order, once', async () => {
    const wedding = weddingID()
    const seats = await everywhere([of(wedding)])
    const from = 1e13 + nextID() * 1000 // beyond all others
    for (let i = 0; i < 4; i++) {
      await sql(`insert into tasks (id, wedding)
        select ${from} + n, '${wedding}' from generate_series(${i * 50}, ${i * 50 + 49}) n`)
    }
    for (const { heard: [inbox] } of seats) {
      assert.deepEqual((await inbox.take(200)).map((change) => change.new.id - from), [...Array(200).keys()])
    }
    await nothing(...seats)
  })

  for (const vsn of ['1.0.0', '2.0.0']) {
    test(`a ${vsn} client`, async () => {
      const wedding = weddingID()
      const seat = await follow(there, [of(wedding)], { vsn })
      const id = await insertTask(wedding)
      assert.equal((await seat.heard[0].next()).new.id, id)
    })
  }

  test('wait: SUBSCRIBED means that changes flow', async () => {
    for (const region of regions) {
      const wedding = weddingID()
      const config = { postgres_changes_options: { wait: true } }
      const seat = await listen(new Seat(connect(region), topicOf('wait'), config), [of(wedding)]).join()
      const id = await insertTask(wedding)
      assert.equal((await seat.heard[0].next()).new.id, id)
    }
  })

  test('wait: what cannot be subscribed to is refused', async () => {
    const config = { postgres_changes_options: { wait: true } }
    const seat = listen(new Seat(connect(there), topicOf('wait'), config), [{ table: 'attic' }])
    const { status, message } = await seat.subscribe()
    assert.equal(status, 'CHANNEL_ERROR')
    assert.match(message, /^RealtimeDisabledForConfiguration: /)
  })

  test('one channel for broadcast, presence and changes', async () => {
    const wedding = weddingID()
    const topic = topicOf('open')
    const seats = []
    for (const region of regions) {
      const config = { private: true, presence: { key: region.name } }
      const seat = listen(new Seat(connect(region), topic, config), [of(wedding)])
      seat.channel.on('presence', { event: 'sync' }, () => {})
      await seat.join()
      await subscribed(seat)
      seats.push(seat)
    }
    const id = await insertTask(wedding)
    await seats[0].send('hello', {})
    await seats[1].channel.track({ n: 1 })
    for (const seat of seats) {
      assert.equal((await seat.heard[0].next()).new.id, id)
      await eventually(() => assert.deepEqual(who(seat), { [there.name]: [{ n: 1 }] }))
    }
    for (const seat of seats.slice(1)) assert.equal((await seat.broadcasts.next()).event, 'hello')
  })

  const unable = (schema, table) => new RegExp('^Unable to subscribe to changes with given parameters\\. ' +
    'Please check Realtime is enabled for the given connect parameters: ' +
    `\\[event: \\*, schema: ${schema}, table: ${table}, filters: \\[\\], select: nil\\]$`)
  const wrong = {
    'a filter that cannot be read': [{ table: 'tasks', filter: 'state~open' }, /^Error parsing `filter` params: /],
    'an unknown operator': [{ table: 'tasks', filter: 'state=near.open' }, /./],
    'an unknown column': [{ table: 'tasks', filter: 'colour=eq.red' }, /colour/],
    'a value that is not of the column\'s type': [{ table: 'tasks', filter: 'priority=eq.high' }, /high/],
    'a table that is not published': [{ table: 'attic' }, unable('public', 'attic')],
    'a table that does not exist': [{ table: 'nowhere' }, unable('public', 'nowhere')],
    'a schema that does not exist': [{ schema: 'nowhere', table: 'tasks' }, unable('nowhere', 'tasks')],
  }
  for (const [what, [binding, text]] of Object.entries(wrong)) {
    test(`${what} is said, and the channel goes on`, async () => {
      const topic = topicOf('wrong')
      const seat = await listen(new Seat(connect(here), topic), [binding]).join()
      const { extension, status, message, channel } = await seat.systems.next()
      assert.deepEqual({ extension, status, channel }, { extension: 'postgres_changes', status: 'error', channel: topic })
      assert.match(message, text)
      await (await join(there, topic)).send('hello', {})
      assert.equal((await seat.broadcasts.next()).event, 'hello')
      assert.deepEqual(seat.states.all.map(({ status }) => status), ['SUBSCRIBED'])
    })
  }

  test('row level security: everybody hears of their own rows', async () => {
    const id = nextID() % 1_000_000_000
    const binding = { table: 'contracts', filter: `id=eq.${id}` }
    const florist = await everywhere([binding], { claims: { vendor: 'florist' } })
    const caterer = await follow(there, [binding], { claims: { vendor: 'caterer' } })
    const service = await follow(far, [binding], { claims: { role: 'service_role' } })
    await sql(`insert into contracts values (${id}, 'florist', 900)`)
    await sql(`update contracts set amount = 950 where id = ${id}`)
    for (const seat of [...florist, service]) {
      assert.deepEqual((await seat.heard[0].take(2)).map((change) => [change.eventType, change.new, change.old]), [
        ['INSERT', { id, vendor: 'florist', amount: 900 }, {}],
        ['UPDATE', { id, vendor: 'florist', amount: 950 }, { id }],
      ])
    }
    // Who may see a row is asked of the table as it is, so that it must not be gone yet.
    await sql(`delete from contracts where id = ${id}`)
    for (const seat of [...florist, service]) {
      const { eventType, new: row, old } = await seat.heard[0].next()
      assert.deepEqual([eventType, row, old], ['DELETE', {}, { id }])
    }
    // A row that is gone cannot be checked any more: its key is told to all.
    assert.deepEqual((await caterer.heard[0].next()).eventType, 'DELETE')
    await nothing(...florist, caterer, service)
  })

  test('row level security sees the token of the person, not the key of the project', async () => {
    const id = nextID() % 1_000_000_000
    const client = connect(here, { claims: { role: 'anon' } })
    await client.setAuth(token({ vendor: 'florist' }))
    const seat = await listen(new Seat(client, topicOf('rights')), [{ table: 'contracts', filter: `id=eq.${id}` }]).join()
    await subscribed(seat)
    await sql(`insert into contracts values (${id}, 'florist', 1)`)
    assert.equal((await seat.heard[0].next()).new.amount, 1)
  })

  test('row level security follows a new token', async () => {
    const id = nextID() % 1_000_000_000
    const binding = { table: 'contracts', event: 'INSERT', filter: `id=gte.${id},id=lte.${id + 1}` }
    const seat = await follow(here, [binding], { claims: { vendor: 'caterer' } })
    await sql(`insert into contracts values (${id}, 'florist', 1)`)
    await seat.heard[0].nothing()
    await seat.client.setAuth(token({ vendor: 'florist' }))
    await subscribed(seat)
    await sql(`insert into contracts values (${id + 1}, 'florist', 2)`)
    assert.equal((await seat.heard[0].next()).new.id, id + 1)
  })

  test('a table that the role may not read is heard of as Unauthorized, without its rows', async () => {
    const seat = await follow(there, [{ table: 'salaries' }])
    await sql(`insert into salaries values (${nextID() % 1_000_000_000}, 5000)`)
    const change = await seat.heard[0].next()
    assert.deepEqual([change.eventType, change.new, change.errors], ['INSERT', {}, ['Error 401: Unauthorized']])
  })
})
