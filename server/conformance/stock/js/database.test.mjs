import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { regions, sql } from './cluster.mjs'
import { insertTask, weddingID } from './changes.mjs'
import { everywhere, join, topicOf } from './guest.mjs'

const hidden = { private: true }

describe('broadcast from the database', { concurrency: true }, () => {
  test('realtime.send reaches the private channel in every region, once, with an id', async () => {
    const topic = topicOf('open')
    const [priv, pub] = [await everywhere(topic, hidden), await everywhere(topic)]
    await sql(`select realtime.send('{"slot": "cake"}', 'timeline', '${topic}')`)
    const ids = new Set()
    for (const seat of priv) {
      const { type, event, payload, meta } = await seat.broadcasts.next()
      assert.deepEqual({ type, event, slot: payload.slot }, { type: 'broadcast', event: 'timeline', slot: 'cake' })
      ids.add(meta.id)
    }
    assert.equal(ids.size, 1)
    await Promise.all([...priv, ...pub].map((seat) => seat.broadcasts.nothing()))
  })

  test('realtime.send with private false reaches the public channel', async () => {
    const topic = topicOf('open')
    const [priv, pub] = [await everywhere(topic, hidden), await everywhere(topic, {}, { vsn: '1.0.0' })]
    await sql(`select realtime.send('{"slot": "cake"}', 'timeline', '${topic}', false)`)
    for (const seat of pub) assert.equal((await seat.broadcasts.next()).payload.slot, 'cake')
    await Promise.all([...priv, ...pub].map((seat) => seat.broadcasts.nothing()))
  })

  test('realtime.send_binary', async () => {
    const topic = topicOf('open')
    const seats = await everywhere(topic, hidden)
    await sql(`select realtime.send_binary('\\x00ff10'::bytea, 'photo', '${topic}')`)
    for (const seat of seats) {
      const { event, payload } = await seat.broadcasts.next()
      assert.deepEqual([event, [...new Uint8Array(payload)]], ['photo', [0, 255, 16]])
    }
  })

  test('an urgent event from the database', async () => {
    const topic = topicOf('open')
    const seats = await everywhere(topic, hidden)
    await sql(`select realtime.send('{"weather": "storm"}', 'urgent', '${topic}')`)
    for (const seat of seats) assert.equal((await seat.broadcasts.next()).payload.weather, 'storm')
  })

  test('realtime.broadcast_changes in a trigger', async () => {
    const wedding = weddingID()
    const seats = await everywhere(`open:${wedding}`, hidden)
    const id = await insertTask(wedding, { title: 'announced' })
    for (const seat of seats) {
      const { event, payload } = await seat.broadcasts.next()
      const { operation, table, schema, record, old_record } = payload
      assert.deepEqual({ event, operation, table, schema, old_record }, {
        event: 'INSERT', operation: 'INSERT', table: 'tasks', schema: 'public', old_record: null,
      })
      assert.deepEqual([record.id, record.title], [id, 'announced'])
    }
  })

  test('what the database has said is replayed', async () => {
    const topic = topicOf('open')
    const since = Date.now()
    const seats = await everywhere(topic, hidden)
    for (const n of [1, 2, 3]) await sql(`select realtime.send('{"n": ${n}}', 'timeline', '${topic}')`)
    for (const seat of seats) await seat.broadcasts.take(3) // or the last one might still come live
    for (const region of regions) {
      const late = await join(region, topic, { private: true, broadcast: { replay: { since, limit: 2 } } })
      const old = await late.broadcasts.take(2)
      assert.deepEqual(old.map(({ payload, meta }) => [payload.n, meta.replayed]), [[2, true], [3, true]])
    }
  })

  test('replication_ready is answered', async () => {
    for (const region of regions) {
      const seat = await join(region, topicOf('open'), { private: true, broadcast: { replication_ready: true } })
      const { extension, status, message } = await seat.systems.next()
      assert.deepEqual({ extension, status, message }, {
        extension: 'system', status: 'ok', message: 'Replication connection established',
      })
    }
  })
})
