import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { here, far, there } from './cluster.mjs'
import { join, topicOf } from './guest.mjs'

const versions = ['1.0.0', '2.0.0']
const data = { slot: 'cake', eta: 95 }
const bytes = new Uint8Array([1, 2, 3, 255])

// listeners are one client of each version, in another region than the publisher.
const listeners = (topic) => Promise.all(versions.map((vsn, i) => join([there, far][i], topic, {}, { vsn })))

async function isHeard(seat, payload) {
  const { type, event, payload: got } = await seat.broadcasts.next()
  assert.deepEqual({ type, event, payload: got }, { type: 'broadcast', event: 'timeline', payload })
}

describe('protocol versions', { concurrency: true }, () => {
  for (const vsn of versions) {
    test(`JSON from a ${vsn} client reaches clients of both versions`, async () => {
      const topic = topicOf('json')
      const [one, two] = await listeners(topic)
      const publisher = await join(here, topic, { broadcast: { ack: true, self: true } }, { vsn })
      assert.equal(await publisher.send('timeline', data), 'ok')
      for (const seat of [one, two, publisher]) await isHeard(seat, data)
    })
  }

  test('binary from a 2.0.0 client reaches 2.0.0 only, and 1.0.0 goes on', async () => {
    const topic = topicOf('binary')
    const [one, two] = await listeners(topic)
    const publisher = await join(here, topic)
    await publisher.send('timeline', bytes.buffer)
    await publisher.send('timeline', data)
    await isHeard(two, bytes.buffer)
    await isHeard(two, data)
    await isHeard(one, data)
  })

  test('REST broadcasts reach clients of both versions, binary ones 2.0.0 only', async () => {
    const topic = topicOf('rest')
    const [one, two] = await listeners(topic)
    const { channel } = await join(here, topic)
    assert.deepEqual(await channel.httpSend('timeline', bytes.buffer), { success: true })
    await isHeard(two, bytes.buffer)
    assert.deepEqual(await channel.httpSend('timeline', data), { success: true })
    await isHeard(two, data)
    await isHeard(one, data)
  })

  test('a 1.0.0 client is told of its leave, and rejoins', async () => {
    const topic = topicOf('leave')
    const seat = await join(here, topic, {}, { vsn: '1.0.0' })
    assert.equal(await seat.channel.unsubscribe(), 'ok')
    assert.equal((await seat.states.next()).status, 'CLOSED')
    await join(here, topic, {}, { vsn: '1.0.0' })
  })
})
