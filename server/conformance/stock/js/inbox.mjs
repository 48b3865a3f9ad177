import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

// patience bounds every wait for something that must come, and calm is how long nothing must come: several times what
// a message needs between the two regions that are farthest apart.
export const patience = 10_000
export const calm = 500

// Inbox keeps what has arrived, in order, and hands it out to whoever waits.
export class Inbox {
  all = []
  #read = 0
  #wake = () => {}

  constructor(name) {
    this.name = name
  }

  put(item) {
    this.all.push(item)
    this.#wake()
  }

  // next is the next item that nobody has taken yet.
  async next() {
    const deadline = Date.now() + patience
    while (this.#read === this.all.length) {
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`${this.name}: nothing has come for ${patience} ms; before: ${show(this.all)}`)
      const come = new Promise((resolve) => (this.#wake = resolve))
      const enough = new AbortController()
      await Promise.race([come, sleep(left, undefined, { signal: enough.signal }).catch(() => {})])
      enough.abort()
    }
    return this.all[this.#read++]
  }

  // take is the next n items.
  async take(n) {
    const items = []
    while (items.length < n) items.push(await this.next())
    return items
  }

  // until takes items up to the first for which match is true, and returns that one.
  async until(match) {
    for (;;) {
      const item = await this.next()
      if (match(item)) return item
    }
  }

  // nothing checks that nothing is left, and that nothing more comes for a while.
  async nothing(during = calm) {
    await sleep(during)
    assert.deepEqual(this.all.slice(this.#read), [], `${this.name}: nothing was to come`)
  }
}

// eventually waits until a check passes, and fails with what it said last. Time in which this process itself was not
// let run does not count: on a busy machine the servers are not either.
export async function eventually(check, within = patience) {
  const pause = 20
  for (let spent = 0, before = Date.now(); ; ) {
    try {
      return await check()
    } catch (error) {
      if (spent > within) throw error
    }
    await sleep(pause)
    const now = Date.now()
    spent += Math.min(now - before, 2 * pause)
    before = now
  }
}

function show(items) {
  const text = JSON.stringify(items.slice(-5))
  return text.length > 600 ? `${text.slice(0, 600)}…` : text
}
