import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { far, here, regions, there } from './cluster.mjs'
import { Seat, connect, join, topicOf } from './guest.mjs'
import { eventually } from './inbox.mjs'
import { sit, who } from './presence.mjs'

const sees = (seat, state) => eventually(() => assert.deepEqual(who(seat), state))
const silent = (...seats) => Promise.all(seats.map((seat) => seat.broadcasts.nothing()))

// wedding seats people at the wedding, its timeline, its vendors and its florist, each in the next region.
async function wedding(config, claims) {
  const root = topicOf('wedding')
  const at = (i, path) => join(regions[i % 3], root + path, config, { claims: claims?.(root.split(':')[1]) })
  const [planner, timeline, vendors, florist, caterer] = await Promise.all([
    at(0, ''), at(1, ':timeline'), at(2, ':vendor'), at(0, ':vendor:florist'), at(1, ':vendor:caterer'),
  ])
  return { root, planner, timeline, vendors, florist, caterer }
}

const kinds = { public: [{}, undefined], private: [{ private: true }, (id) => ({ wedding_id: id })] }

describe('hierarchical channels', { concurrency: true }, () => {
  for (const [kind, [config, claims]] of Object.entries(kinds)) {
    test(`${kind}: what is said below is heard above, not beside`, async () => {
      const { root, planner, timeline, vendors, florist, caterer } = await wedding(config, claims)
      await florist.send('status', { roses: 'here' })
      for (const seat of [planner, vendors]) {
        const { event, payload, meta } = await seat.broadcasts.next()
        assert.deepEqual({ event, payload }, { event: 'status', payload: { roses: 'here' } })
        assert.equal(meta?.channel, `${root}:vendor:florist`, 'where it was said')
      }
      await silent(timeline, florist, caterer, planner, vendors)
    })

    test(`${kind}: what is said above is not heard below`, async () => {
      const { planner, timeline, vendors, florist, caterer } = await wedding(config, claims)
      await planner.send('note', {})
      await vendors.send('note', {})
      assert.equal((await planner.broadcasts.next()).event, 'note')
      await silent(planner, timeline, vendors, florist, caterer)
    })

    test(`${kind}: urgent is heard by the whole wedding, wherever it is said`, async () => {
      const { root, planner, timeline, vendors, florist, caterer } = await wedding(config, claims)
      await timeline.send('urgent', { fire: true })
      for (const seat of [planner, vendors, florist, caterer]) {
        const { event, payload, meta } = await seat.broadcasts.next()
        assert.deepEqual({ event, payload, channel: meta?.channel }, {
          event: 'urgent', payload: { fire: true }, channel: `${root}:timeline`,
        })
      }
      await silent(timeline, planner, vendors, florist, caterer)
    })
  }

  test('one client on several channels of a wedding hears each on its own channel, once', async () => {
    const root = topicOf('wedding')
    const client = connect(here)
    const [above, below] = await Promise.all([new Seat(client, root).join(), new Seat(client, `${root}:timeline`).join()])
    const speaker = await join(far, `${root}:timeline`)
    await speaker.send('slot', { n: 1 })
    for (const seat of [above, below]) assert.deepEqual((await seat.broadcasts.next()).payload, { n: 1 })
    await silent(above, below)
  })

  test('who speaks below is heard by itself above', async () => {
    const root = topicOf('wedding')
    const client = connect(there)
    const [above, below] = await Promise.all([new Seat(client, root).join(), new Seat(client, `${root}:timeline`).join()])
    await below.send('slot', { n: 1 })
    assert.deepEqual((await above.broadcasts.next()).payload, { n: 1 })
    await silent(above, below)
  })

  test('another wedding hears nothing', async () => {
    const [one, two] = [await wedding(), await wedding()]
    await one.florist.send('urgent', {})
    assert.equal((await one.planner.broadcasts.next()).event, 'urgent')
    await silent(two.planner, two.timeline, two.vendors, two.florist, two.caterer)
  })

  test('REST broadcasts to a channel below are heard above, by both versions', async () => {
    const root = topicOf('wedding')
    const [one, two] = [await join(here, root, {}, { vsn: '1.0.0' }), await join(there, root)]
    assert.deepEqual(await connect(far).channel(`${root}:timeline`).httpSend('slot', { n: 1 }), { success: true })
    for (const seat of [one, two]) {
      const { payload, meta } = await seat.broadcasts.next()
      assert.deepEqual([payload, meta?.channel], [{ n: 1 }, `${root}:timeline`])
    }
  })

  test('presence below is seen above, not beside', async () => {
    const root = topicOf('wedding')
    const planner = await sit(here, root, 'planner')
    const timeline = await sit(there, `${root}:timeline`, 'dj')
    const florist = await sit(far, `${root}:vendor:florist`, 'florist')
    assert.equal(await florist.channel.track({ van: 1 }), 'ok')
    assert.equal(await timeline.channel.track({ set: 2 }), 'ok')
    assert.equal(await planner.channel.track({ list: 3 }), 'ok')
    await sees(planner, { planner: [{ list: 3 }], dj: [{ set: 2 }], florist: [{ van: 1 }] })
    await sees(timeline, { dj: [{ set: 2 }] })
    await sees(florist, { florist: [{ van: 1 }] })
    await florist.channel.unsubscribe()
    await sees(planner, { planner: [{ list: 3 }], dj: [{ set: 2 }] })
    await sees(await sit(far, root, 'late'), { planner: [{ list: 3 }], dj: [{ set: 2 }] })
  })

  test('a vendor is let into its own corner, and no other, and hears what is urgent', async () => {
    const root = topicOf('wedding')
    const id = root.split(':')[1]
    const hidden = { private: true, broadcast: { ack: true } }
    const claims = { vendor_at: id, trade: 'florist' }
    const florist = await join(here, `${root}:vendor:florist`, hidden, { claims })
    for (const topic of [root, `${root}:timeline`, `${root}:vendor:caterer`, `${root}:vendor`]) {
      const { status, message } = await new Seat(connect(there, { claims }), topic, hidden).subscribe()
      assert.equal(status, 'CHANNEL_ERROR')
      assert.equal(message, `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`)
    }
    const planner = await join(far, root, hidden, { claims: { wedding_id: id } })
    assert.equal(await planner.send('note', {}), 'ok')
    assert.equal(await planner.send('urgent', { storm: true }), 'ok')
    assert.deepEqual((await florist.broadcasts.next()).payload, { storm: true })
    await silent(florist)
  })

  test('replay at a wedding holds what was said below it', async () => {
    const root = topicOf('wedding')
    const claims = { wedding_id: root.split(':')[1] }
    const since = Date.now()
    const acked = { private: true, broadcast: { ack: true } }
    const florist = await join(here, `${root}:vendor:florist`, acked, { claims })
    const timeline = await join(there, `${root}:timeline`, acked, { claims })
    assert.equal(await florist.send('status', { n: 1 }), 'ok')
    assert.equal(await timeline.send('slot', { n: 2 }), 'ok')
    const replay = { private: true, broadcast: { replay: { since, limit: 10 } } }
    const planner = await join(far, root, replay, { claims })
    assert.deepEqual((await planner.broadcasts.take(2)).map(({ payload }) => payload.n), [1, 2])
    const dj = await join(here, `${root}:timeline`, replay, { claims })
    assert.deepEqual((await dj.broadcasts.next()).payload, { n: 2 })
    await silent(planner, dj)
  })
})
