// The server that reads the database's changes is killed while rows are written.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { kill, reader, regions, start } from '../cluster.mjs'
import { follow, insertTask, subscribed, weddingID } from '../changes.mjs'
import { eventually } from '../inbox.mjs'

describe('the reader of the database is killed', () => {
  const wedding = weddingID()
  const seats = new Map()
  const written = [] // ids, in order
  const ids = (seat) => seat.heard[0].all.map((change) => change.new.id)
  let victim

  const write = async (n, pause) => {
    for (let i = 0; i < n; i++) {
      written.push(await insertTask(wedding))
      await sleep(pause)
    }
  }

  test('in the other regions every row arrives once', async () => {
    const binding = { table: 'tasks', filter: `wedding=eq.${wedding}` }
    for (const region of regions) seats.set(region, await follow(region, [binding]))
    victim = await reader()
    const writing = write(60, 20)
    await sleep(500)
    await kill(victim)
    await writing
    for (const region of regions.filter((region) => region !== victim)) {
      await seats.get(region).heard[0].take(written.length)
      await seats.get(region).heard[0].nothing()
      assert.deepEqual(ids(seats.get(region)).toSorted((a, b) => a - b), written)
    }
  })

  test('in the order in which they were written', () => {
    for (const region of regions.filter((region) => region !== victim)) assert.deepEqual(ids(seats.get(region)), written)
  })

  test('another region reads now', async () => {
    assert.notEqual(await reader(), victim)
  })

  test('back again, the client of its region is subscribed by itself, and hears', async () => {
    await start(victim)
    const seat = seats.get(victim)
    await seat.states.until(({ status }) => status === 'SUBSCRIBED')
    await subscribed(seat)
    await write(10, 5)
    const last = written.slice(-10)
    await eventually(() => assert.deepEqual(ids(seat).filter((id) => last.includes(id)), last))
  })

  test('nobody has heard a row twice', () => {
    for (const region of regions) {
      const heard = ids(seats.get(region))
      assert.equal(new Set(heard).size, heard.length)
    }
  })

  // What was written while it was away may come late, or, as with the original, not at all; but not after what is newer:
  // that would leave an application with the older state of a row.
  test('nor an older row after a newer one', () => {
    for (const region of regions) {
      const heard = ids(seats.get(region))
      assert.deepEqual(heard, heard.toSorted((a, b) => a - b))
    }
  })
})
