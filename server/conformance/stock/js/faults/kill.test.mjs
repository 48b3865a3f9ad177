// A region dies, and comes back with its data. The cases are its story, in order.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { far, here, kill, regions, start, there } from '../cluster.mjs'
import { Seat, connect, join, topicOf } from '../guest.mjs'
import { eventually } from '../inbox.mjs'
import { sit, who } from '../presence.mjs'

describe('a region is killed', () => {
  const wedding = topicOf('wedding')
  const claims = { wedding_id: wedding.split(':')[1] }
  const presence = topicOf('presence')
  const guest = new Map() // in each region: somebody with several channels on one socket
  const person = new Map() // in each region: somebody who is present
  let killed

  before(async () => {
    for (const region of regions) {
      const client = connect(region, { claims })
      guest.set(region, await Promise.all([
        new Seat(client, `lobby-${wedding}`).join(),
        new Seat(client, wedding, { private: true, broadcast: { ack: true } }).join(),
        new Seat(client, `${wedding}:timeline`).join(),
      ]))
      const seat = await sit(region, presence, region.name)
      await seat.channel.track({ at: region.name })
      person.set(region, seat)
    }
  })

  const present = (...there) => Object.fromEntries(there.map((region) => [region.name, [{ at: region.name }]]))
  const allSee = (seers, state, within) =>
    Promise.all(seers.map((seer) => eventually(() => assert.deepEqual(who(person.get(seer)), state), within)))

  test('at first everybody sees everybody', () => allSee(regions, present(...regions)))

  test('three seconds after the kill nobody sees a ghost', async () => {
    killed = Date.now()
    await kill(there)
    await allSee([here, far], present(here, far), 3000)
  })

  test('the clients of the region are told', async () => {
    for (const seat of [...guest.get(there), person.get(there)]) {
      const { status, message } = await seat.states.next()
      assert.equal(status, 'CHANNEL_ERROR')
      assert.match(message, /^socket closed: 1006/)
    }
  })

  test('the others go on, with urgent messages too', async () => {
    const [, speaker] = guest.get(here)
    const [, listener] = guest.get(far)
    assert.equal(await speaker.send('note', { n: 1 }), 'ok')
    assert.equal(await speaker.send('urgent', { n: 2 }), 'ok')
    const heard = await listener.broadcasts.take(2)
    assert.deepEqual(heard.map(({ payload }) => payload.n).sort(), [1, 2])
  })

  test('the region comes back, and its clients rejoin all their channels by themselves', async () => {
    await start(there)
    for (const seat of [...guest.get(there), person.get(there)]) {
      assert.equal((await seat.states.until(({ status }) => status !== 'CHANNEL_ERROR')).status, 'SUBSCRIBED')
    }
  })

  test('they hear again, each message once, on every channel', async () => {
    const speakers = guest.get(here)
    for (const [i, seat] of guest.get(there).entries()) {
      // The wedding also hears what is said on its timeline, which comes last.
      await speakers[i].send('back', { i })
      assert.deepEqual((await seat.broadcasts.until(({ event }) => event === 'back')).payload, { i })
    }
    await guest.get(there)[0].broadcasts.nothing()
    await guest.get(there)[2].broadcasts.nothing()
  })

  test('and are heard', async () => {
    const [lobby, inside] = guest.get(there)
    await lobby.send('here-again', {})
    await guest.get(far)[0].broadcasts.until(({ event }) => event === 'here-again')
    assert.equal(await inside.send('urgent', { n: 3 }), 'ok')
    for (const region of [here, far]) await guest.get(region)[1].broadcasts.until(({ payload }) => payload.n === 3)
  })

  test('presence is right again: those who stayed, and who tracks again', async () => {
    await allSee(regions, present(here, far))
    assert.equal(await person.get(there).channel.track({ at: there.name }), 'ok') // as applications do on SUBSCRIBED
    await allSee(regions, present(...regions))
  })

  test('a newcomer in the region sees the same', async () => {
    const late = await sit(there, presence, 'late')
    await eventually(() => assert.deepEqual(who(late), present(...regions)))
  })

  test('what was kept before and during the kill is replayed in the region', async () => {
    const replay = { private: true, broadcast: { replay: { since: killed, limit: 25 } } }
    const late = await join(there, wedding, replay, { claims })
    await late.broadcasts.until(({ payload }) => payload.n === 1)
  })
})
