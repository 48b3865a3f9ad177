import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { far, here, regions, there } from './cluster.mjs'
import { join, topicOf } from './guest.mjs'
import { eventually } from './inbox.mjs'
import { sit, who } from './presence.mjs'

const sees = (seat, state) => eventually(() => assert.deepEqual(who(seat), state))
const allSee = (seats, state) => Promise.all(seats.map((seat) => sees(seat, state)))
const is = (event) => (change) => change.event === event

// table seats one person in each region: anna, ben, cleo.
const table = (topic) => Promise.all(['anna', 'ben', 'cleo'].map((key, i) => sit(regions[i], topic, key)))

describe('presence', { concurrency: true }, () => {
  test('an empty room syncs, and is empty', async () => {
    const seat = await sit(here, topicOf('empty'), 'anna')
    assert.deepEqual(await seat.presence.next(), { event: 'sync' })
    assert.deepEqual(who(seat), {})
  })

  for (const [i, region] of regions.entries()) {
    test(`who tracks in ${region.name} is seen in every region, by itself too`, async () => {
      const seats = await table(topicOf('track'))
      const key = ['anna', 'ben', 'cleo'][i]
      assert.equal(await seats[i].channel.track({ van: 'WX72' }), 'ok')
      for (const seat of seats) {
        assert.deepEqual(await seat.presence.until(is('join')), { event: 'join', key, metas: [{ van: 'WX72' }] })
      }
      await allSee(seats, { [key]: [{ van: 'WX72' }] })
    })
  }

  test('all track, all see all, and so does who comes later', async () => {
    const topic = topicOf('later')
    const seats = await table(topic)
    await Promise.all(seats.map((seat, n) => seat.channel.track({ n })))
    const everybody = { anna: [{ n: 0 }], ben: [{ n: 1 }], cleo: [{ n: 2 }] }
    await allSee(seats, everybody)
    for (const region of regions) await sees(await sit(region, topic, 'late'), everybody)
  })

  test('one person on two devices, in two regions, is one key with two metas', async () => {
    const topic = topicOf('devices')
    const [phone, tablet] = [await sit(here, topic, 'anna'), await sit(far, topic, 'anna')]
    const watcher = await sit(there, topic, 'watcher')
    await phone.channel.track({ device: 'phone' })
    await sees(watcher, { anna: [{ device: 'phone' }] })
    await tablet.channel.track({ device: 'tablet' })
    await sees(watcher, { anna: [{ device: 'phone' }, { device: 'tablet' }] })
    await phone.channel.untrack()
    await allSee([watcher, phone, tablet], { anna: [{ device: 'tablet' }] })
  })

  test('track again replaces', async () => {
    const [anna, ben, cleo] = await table(topicOf('update'))
    await anna.channel.track({ at: 'depot' })
    await allSee([anna, ben, cleo], { anna: [{ at: 'depot' }] })
    const before = ben.channel.presenceState().anna[0].presence_ref
    assert.equal(await anna.channel.track({ at: 'venue' }), 'ok')
    await allSee([anna, ben, cleo], { anna: [{ at: 'venue' }] })
    assert.notEqual(ben.channel.presenceState().anna[0].presence_ref, before)
  })

  test('the same payload again changes nothing', async () => {
    const [anna, ben] = await table(topicOf('same'))
    await anna.channel.track({ at: 'depot' })
    await sees(ben, { anna: [{ at: 'depot' }] })
    await ben.presence.until(is('join'))
    await ben.presence.until(is('sync'))
    assert.equal(await anna.channel.track({ at: 'depot' }), 'ok')
    await ben.presence.nothing()
  })

  const goodbyes = {
    'untrack': (seat) => seat.channel.untrack(),
    'leaving the channel': (seat) => seat.channel.unsubscribe(),
    'disconnecting': (seat) => seat.client.disconnect(),
    'a broken connection': (seat) => seat.client.socketAdapter.getSocket().conn.terminate(),
  }
  for (const [how, go] of Object.entries(goodbyes)) {
    test(`${how} is a leave in every region`, async () => {
      const [anna, ben, cleo] = await table(topicOf('leave'))
      await Promise.all([anna, ben].map((seat, n) => seat.channel.track({ n })))
      await allSee([ben, cleo], { anna: [{ n: 0 }], ben: [{ n: 1 }] })
      await go(anna)
      for (const seat of [ben, cleo]) {
        assert.deepEqual(await seat.presence.until(is('leave')), { event: 'leave', key: 'anna', metas: [{ n: 0 }] })
      }
      await allSee([ben, cleo], { ben: [{ n: 1 }] })
    })
  }

  test('who does not listen is seen all the same', async () => {
    const topic = topicOf('blind')
    const watcher = await sit(there, topic, 'watcher')
    const blind = await join(here, topic, { presence: { key: 'blind' } })
    assert.equal(await blind.channel.track({ n: 1 }), 'ok')
    await sees(watcher, { blind: [{ n: 1 }] })
  })

  test('without a key the server gives one', async () => {
    const topic = topicOf('keyless')
    const [one, two] = [await sit(here, topic), await sit(there, topic)]
    await one.channel.track({ n: 1 })
    await two.channel.track({ n: 2 })
    for (const seat of [one, two]) {
      await eventually(() => assert.deepEqual(Object.values(who(seat)).flat().map(({ n }) => n).sort(), [1, 2]))
    }
    for (const key of Object.keys(who(two))) assert.match(key, /^[0-9a-f]{8}-[0-9a-f-]{27}$/)
    assert.deepEqual(Object.keys(who(one)).sort(), Object.keys(who(two)).sort())
  })

  test('a payload that is not an object is refused', async () => {
    const seat = await sit(here, topicOf('payload'), 'anna')
    assert.equal(await seat.channel.track('here'), 'error')
    assert.equal(await seat.channel.track([1]), 'error')
    assert.deepEqual(who(seat), {})
  })

  test('1.0.0 and 2.0.0 clients see each other', async () => {
    const topic = topicOf('versions')
    const one = await sit(here, topic, 'one', {}, { vsn: '1.0.0' })
    const two = await sit(there, topic, 'two', {}, { vsn: '2.0.0' })
    await one.channel.track({ v: 1 })
    await two.channel.track({ v: 2 })
    await allSee([one, two], { one: [{ v: 1 }], two: [{ v: 2 }] })
    await two.channel.unsubscribe()
    await sees(one, { one: [{ v: 1 }] })
  })

  test('sixty guests come at once, and then half of them leave', async () => {
    const topic = topicOf('crowd')
    const guests = await Promise.all(Array.from({ length: 60 }, (_, n) => sit(regions[n % 3], topic, `guest-${n}`)))
    await Promise.all(guests.map((guest, n) => guest.channel.track({ n })))
    const state = (ns) => Object.fromEntries(ns.map((n) => [`guest-${n}`, [{ n }]]))
    await allSee(guests, state([...guests.keys()]))
    await Promise.all(guests.slice(0, 30).map((guest) => guest.client.disconnect()))
    await allSee(guests.slice(30), state([...guests.keys()].slice(30)))
  })

  test('the sixth call within thirty seconds closes the channel', async () => {
    const topic = topicOf('busy')
    const [busy, watcher] = [await sit(here, topic, 'busy'), await sit(there, topic, 'watcher')]
    for (let n = 0; n < 5; n++) assert.equal(await busy.channel.track({ n }), 'ok')
    await sees(watcher, { busy: [{ n: 4 }] })
    busy.channel.track({ n: 5 })
    const { extension, status, message } = await busy.systems.next()
    assert.deepEqual({ extension, status, message }, {
      extension: 'system', status: 'error', message: 'Client presence rate limit exceeded',
    })
    assert.equal((await busy.states.next()).status, 'CLOSED')
    await sees(watcher, {})
  })
})
