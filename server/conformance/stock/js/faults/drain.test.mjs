// A region is drained, as for a deployment: asked to stop, and started again.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { drain, far, here, regions, start } from '../cluster.mjs'
import { join, topicOf } from '../guest.mjs'
import { eventually } from '../inbox.mjs'
import { sit, who } from '../presence.mjs'

describe('a region is drained', () => {
  const topic = topicOf('drain')
  let seats, present, watcher

  test('its clients are told to come back, with 1012', async () => {
    const acked = { broadcast: { ack: true } }
    seats = await Promise.all(['1.0.0', '2.0.0', '2.0.0'].map((vsn) => join(here, topic, acked, { vsn })))
    present = await sit(here, topic, 'anna')
    watcher = await sit(far, topic, 'watcher')
    await present.channel.track({ n: 1 })
    await watcher.presence.until(({ event }) => event === 'join')
    await drain(here)
    for (const seat of [...seats, present]) {
      const { status, message } = await seat.states.next()
      assert.equal(status, 'CHANNEL_ERROR')
      assert.match(message, /^socket closed: 1012/)
    }
  })

  test('who was there is seen until it could have come back elsewhere, and then has left', async () => {
    await eventually(() => assert.deepEqual(who(watcher), {}), 5000)
    const changes = watcher.presence.all.filter(({ event }) => event !== 'sync')
    assert.deepEqual(changes.map(({ event }) => event), ['join', 'leave'])
  })

  test('they come back by themselves, and hear and are heard', async () => {
    await start(here)
    for (const seat of [...seats, present]) {
      assert.equal((await seat.states.until(({ status }) => status !== 'CHANNEL_ERROR')).status, 'SUBSCRIBED')
    }
    const speaker = await join(far, topic)
    await speaker.send('back', {})
    for (const seat of seats) assert.equal((await seat.broadcasts.next()).event, 'back')
    assert.equal(await seats[0].send('yes', {}), 'ok')
    assert.equal((await speaker.broadcasts.next()).event, 'yes')
    await Promise.all(seats.slice(1).map((seat) => seat.broadcasts.next()))
    await Promise.all(seats.map((seat) => seat.broadcasts.nothing()))
  })

  test('every region is drained in turn, and nobody who is elsewhere notices', async () => {
    const steady = await join(here, topic)
    for (const region of regions.slice(1)) {
      await drain(region)
      await start(region)
    }
    assert.deepEqual(steady.states.all.map(({ status }) => status), ['SUBSCRIBED'])
  })
})
