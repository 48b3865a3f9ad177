// A region is cut off: no packet goes in or out, and nobody is told. The cases are its story, in order.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { cut, far, heal, here, regions, there } from '../cluster.mjs'
import { topicOf } from '../guest.mjs'
import { eventually } from '../inbox.mjs'
import { sit, who } from '../presence.mjs'

describe('a region is cut off', () => {
  const presence = topicOf('presence')
  const person = new Map() // in each region

  before(async () => {
    for (const region of regions) {
      const seat = await sit(region, presence, region.name)
      await seat.channel.track({ at: region.name })
      person.set(region, seat)
    }
  })

  const present = (...there) => Object.fromEntries(there.map((region) => [region.name, [{ at: region.name }]]))
  const allSee = (seers, state, within) =>
    Promise.all(seers.map((seer) => eventually(() => assert.deepEqual(who(person.get(seer)), state), within)))

  test('at first everybody sees everybody', () => allSee(regions, present(...regions)))

  test('within three seconds nobody outside sees a ghost', async () => {
    await cut(there)
    await allSee([here, far], present(here, far), 3000)
  })

  test('the others see each other come and go', async () => {
    await person.get(far).channel.track({ at: far.name, moved: true })
    const moved = { ...present(here, far), [far.name]: [{ at: far.name, moved: true }] }
    await allSee([here, far], moved)
  })

  test('back on the network, those in the region are there again and see what they missed', async () => {
    await heal(there)
    const all = { ...present(...regions), [far.name]: [{ at: far.name, moved: true }] }
    await allSee(regions, all)
  })
})
