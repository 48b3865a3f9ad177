import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { here, regions, there } from './cluster.mjs'
import { Seat, connect, join, topicOf } from './guest.mjs'

const acked = { private: true, broadcast: { ack: true } }
const replay = (since, limit) => ({ private: true, broadcast: { replay: { since, limit } } })

// said sends n broadcasts that are kept, and returns the time before them and who has sent them.
async function said(topic, n) {
  const since = Date.now()
  const speaker = await join(here, topic, acked)
  for (let i = 1; i <= n; i++) assert.equal(await speaker.send('timeline', { i }), 'ok')
  return { since, speaker }
}

const numbers = (messages) => messages.map((message) => message.payload.i)

describe('replay', { concurrency: true }, () => {
  for (const region of regions) {
    for (const vsn of ['1.0.0', '2.0.0']) {
      test(`${region.name}, vsn ${vsn}: the newest few, oldest first, then what is live`, async () => {
        const topic = topicOf('open')
        const { since, speaker } = await said(topic, 6)
        const seat = await join(region, topic, replay(since, 4), { vsn })
        const old = await seat.broadcasts.take(4)
        assert.deepEqual(numbers(old), [3, 4, 5, 6])
        for (const { type, event, meta } of old) {
          assert.deepEqual([type, event, meta.replayed], ['broadcast', 'timeline', true])
          assert.match(meta.id, /\S/)
        }
        assert.equal(new Set(old.map(({ meta }) => meta.id)).size, 4)
        assert.equal(await speaker.send('timeline', { i: 7 }), 'ok')
        const live = await seat.broadcasts.next()
        assert.deepEqual([live.payload.i, live.meta?.replayed ?? false], [7, false])
        await seat.broadcasts.nothing()
      })
    }
  }

  test('every region replays the same', async () => {
    const topic = topicOf('open')
    const { since } = await said(topic, 3)
    const ids = []
    for (const region of regions) {
      const seat = await join(region, topic, replay(since, 10))
      ids.push((await seat.broadcasts.take(3)).map(({ meta }) => meta.id))
    }
    assert.deepEqual(ids[1], ids[0])
    assert.deepEqual(ids[2], ids[0])
  })

  test('since leaves out what is older', async () => {
    const topic = topicOf('open')
    const { speaker } = await said(topic, 3)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const since = Date.now()
    assert.equal(await speaker.send('timeline', { i: 4 }), 'ok')
    const seat = await join(there, topic, replay(since, 10))
    assert.deepEqual(numbers(await seat.broadcasts.take(1)), [4])
    await seat.broadcasts.nothing()
  })

  test('at most twenty-five, however many are asked for', async () => {
    const topic = topicOf('open')
    const { since } = await said(topic, 30)
    const seat = await join(there, topic, replay(since, 100))
    assert.deepEqual(numbers(await seat.broadcasts.take(25)), Array.from({ length: 25 }, (_, i) => i + 6))
    await seat.broadcasts.nothing()
  })

  test('binary broadcasts are replayed as they were', async () => {
    const topic = topicOf('open')
    const since = Date.now()
    const speaker = await join(here, topic, acked)
    assert.equal(await speaker.send('photo', new Uint8Array([7, 8, 9]).buffer), 'ok')
    const seat = await join(there, topic, replay(since, 5))
    const { event, payload, meta } = await seat.broadcasts.next()
    assert.deepEqual([event, [...new Uint8Array(payload)], meta.replayed], ['photo', [7, 8, 9], true])
  })

  test('who may not read gets nothing of it', async () => {
    const topic = topicOf('wedding')
    assert.deepEqual(await new Seat(connect(there), topic, replay(0, 5)).subscribe(), {
      status: 'CHANNEL_ERROR',
      message: `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`,
    })
  })

  for (const persist of [true, { ttl: 60 }]) {
    test(`a broadcast with persist ${JSON.stringify(persist)} is sent, and replayed`, async () => {
      const topic = topicOf('open')
      const since = Date.now()
      const [speaker, listener] = [await join(here, topic, acked), await join(there, topic, acked)]
      assert.equal(await speaker.channel.send({ type: 'broadcast', event: 'note', payload: { i: 1 }, persist }), 'ok')
      assert.equal((await listener.broadcasts.next()).payload.i, 1)
      const late = await join(there, topic, replay(since, 5))
      assert.deepEqual((await late.broadcasts.next()).payload, { i: 1 })
    })
  }
})
