import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { far, here, regions, there } from './cluster.mjs'
import { Seat, connect, everywhere, join, topicOf } from './guest.mjs'
import { sit, who } from './presence.mjs'
import { eventually } from './inbox.mjs'

const hidden = { private: true }
const acked = { private: true, broadcast: { ack: true } }
const refusal = (topic) => ({
  status: 'CHANNEL_ERROR', message: `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`,
})

describe('private channels', { concurrency: true }, () => {
  for (const region of regions) {
    const topic = topicOf('wedding')
    const id = topic.split(':')[1]

    test(`${region.name}: who belongs to the wedding is let in, and heard in every region`, async () => {
      const seats = await everywhere(topic, hidden, { claims: { wedding_id: id } })
      const planner = await join(region, topic, acked, { claims: { wedding_id: [id, 'another'] } })
      assert.equal(await planner.send('timeline', { n: 1 }), 'ok')
      for (const seat of seats) assert.deepEqual((await seat.broadcasts.next()).payload, { n: 1 })
    })

    test(`${region.name}: who does not is refused`, async () => {
      for (const claims of [{}, { wedding_id: 'another' }, { role: 'anon', wedding_id: id }]) {
        assert.deepEqual(await new Seat(connect(region, { claims }), topic, hidden).subscribe(), refusal(topic))
      }
    })

    test(`${region.name}: service_role is let in everywhere`, async () => {
      await join(region, topic, hidden, { claims: { role: 'service_role' } })
      await join(region, topicOf('nobody'), hidden, { claims: { role: 'service_role' } })
    })
  }

  test('a topic that no rule names is refused, its public namesake is not', async () => {
    const topic = topicOf('nobody')
    assert.deepEqual(await new Seat(connect(here), topic, hidden).subscribe(), refusal(topic))
    await join(here, topic)
  })

  test('the private and the public channel of one name are two rooms', async () => {
    const topic = topicOf('open')
    const priv = await everywhere(topic, hidden)
    const pub = await everywhere(topic)
    await priv[0].send('for-private', {})
    await pub[0].send('for-public', {})
    for (const seat of priv.slice(1)) assert.equal((await seat.broadcasts.next()).event, 'for-private')
    for (const seat of pub.slice(1)) assert.equal((await seat.broadcasts.next()).event, 'for-public')
    await Promise.all([...priv, ...pub].map((seat) => seat.broadcasts.nothing()))
  })

  test('presence of the private and the public channel of one name are two', async () => {
    const topic = topicOf('open')
    const [inside, outside] = [await sit(here, topic, 'inside', hidden), await sit(there, topic, 'outside')]
    assert.equal(await inside.channel.track({}), 'ok')
    assert.equal(await outside.channel.track({}), 'ok')
    await eventually(() => assert.deepEqual(who(inside), { inside: [{}] }))
    await eventually(() => assert.deepEqual(who(outside), { outside: [{}] }))
  })

  test('who may only read is not heard, and gets no answer', async () => {
    const topic = topicOf('board')
    const reader = await join(here, topic, acked)
    const listener = await join(there, topic, hidden)
    const planner = await join(far, topic, acked, { claims: { job: 'planner' } })
    assert.equal(await reader.send('note', { by: 'reader' }, { timeout: 1000 }), 'timed out')
    assert.equal(await planner.send('note', { by: 'planner' }), 'ok')
    assert.deepEqual((await listener.broadcasts.next()).payload, { by: 'planner' })
    await listener.broadcasts.nothing()
  })

  test('who may only broadcast sees nobody and is not seen', async () => {
    const topic = topicOf('heard')
    const [one, two] = [await sit(here, topic, 'one', hidden), await sit(there, topic, 'two', hidden)]
    assert.equal(await one.channel.track({}), 'error')
    await one.send('hello', {})
    assert.equal((await two.broadcasts.next()).event, 'hello')
    assert.deepEqual(who(two), {})
  })

  test('who may only be present hears nothing', async () => {
    const topic = topicOf('seen')
    const [one, two] = [await sit(here, topic, 'one', hidden), await sit(there, topic, 'two', hidden)]
    const admin = await join(here, topic, acked, { claims: { role: 'service_role' } })
    assert.equal(await one.channel.track({}), 'ok')
    await eventually(() => assert.deepEqual(who(two), { one: [{}] }))
    assert.equal(await admin.send('hello', {}), 'ok')
    await two.broadcasts.nothing()
  })
})
