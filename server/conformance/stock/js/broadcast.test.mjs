import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { here, regions, there } from './cluster.mjs'
import { Seat, connect, everywhere, join, topicOf } from './guest.mjs'
import { Inbox } from './inbox.mjs'

const ack = { broadcast: { ack: true } }

describe('broadcast', { concurrency: true }, () => {
  for (const [i, region] of regions.entries()) {
    test(`from ${region.name} to the other regions, and not to oneself`, async () => {
      const seats = await everywhere(topicOf('others'))
      assert.equal(await seats[i].send('timeline', { slot: 'first-dance', from: region.name }), 'ok')
      for (const seat of seats.filter((seat) => seat !== seats[i])) {
        const { type, event, payload } = await seat.broadcasts.next()
        assert.deepEqual({ type, event, payload }, {
          type: 'broadcast', event: 'timeline', payload: { slot: 'first-dance', from: region.name },
        })
      }
      await Promise.all(seats.map((seat) => seat.broadcasts.nothing()))
    })

    test(`from ${region.name}, with self, to all and oneself once`, async () => {
      const seats = await everywhere(topicOf('self'), { broadcast: { self: true, ack: true } })
      assert.equal(await seats[i].send('timeline', { n: 1 }), 'ok')
      for (const seat of seats) assert.deepEqual((await seat.broadcasts.next()).payload, { n: 1 })
      await Promise.all(seats.map((seat) => seat.broadcasts.nothing()))
    })

    test(`ack, ${region.name}`, async () => {
      const seat = await join(region, topicOf('ack'), ack)
      assert.equal(await seat.send('timeline', {}), 'ok')
      assert.equal(await seat.send('timeline', new Uint8Array([1, 2]).buffer), 'ok')
    })
  }

  test('only the channel that sends is left out, not another one of the same person', async () => {
    const topic = topicOf('person')
    const [one, two] = [await join(here, topic), await join(here, topic)]
    await one.send('hello', {})
    assert.equal((await two.broadcasts.next()).event, 'hello')
    await one.broadcasts.nothing()
  })

  const payloads = {
    'an object in depth': { a: { b: [1, 2.5, -3e20, { c: null }] }, t: true, f: false },
    'unicode': { name: 'Zoë & Żółć 💐', 'ключ': '\u0000\u2028"\\' },
    'an empty object': {},
    'a list': [1, 'two', [3]],
    'a string': 'the cake is here',
    'a number': 0,
    'false': false,
    '200 kB': { notes: 'x'.repeat(200_000) },
  }
  for (const [what, payload] of Object.entries(payloads)) {
    test(`JSON payload: ${what}`, async () => {
      const seats = await everywhere(topicOf('json'), { broadcast: { self: true } })
      await seats[0].send('data', payload)
      for (const seat of seats) assert.deepEqual((await seat.broadcasts.next()).payload, payload)
    })
  }

  const bytes = {
    'a picture': new Uint8Array([0xff, 0xd8, 0xff, 0xe0, 0, 1, 2, 3]),
    'nothing': new Uint8Array(0),
    'every byte, 100 kB': Uint8Array.from({ length: 100_000 }, (_, i) => i % 256),
  }
  for (const [what, data] of Object.entries(bytes)) {
    test(`binary payload: ${what}`, async () => {
      const seats = await everywhere(topicOf('binary'), { broadcast: { self: true } })
      await seats[1].send('photo', data.buffer)
      for (const seat of seats) {
        const { event, payload } = await seat.broadcasts.next()
        assert.equal(event, 'photo')
        assert.ok(payload instanceof ArrayBuffer, `a ${typeof payload} is no ArrayBuffer`)
        assert.deepEqual(new Uint8Array(payload), data)
      }
    })
  }

  test('listeners get the events of their name, in any case of letters', async () => {
    const topic = topicOf('names')
    const sender = await join(there, topic)
    const listener = new Seat(connect(here), topic)
    const cakes = new Inbox('cakes')
    listener.channel.on('broadcast', { event: 'Cake' }, (message) => cakes.put(message.event))
    await listener.join()
    for (const event of ['cake', 'flowers', 'CAKE', 'end']) await sender.send(event, {})
    await listener.broadcasts.until((message) => message.event === 'end')
    assert.deepEqual(cakes.all, ['cake', 'CAKE'])
  })

  test('a hundred broadcasts of one sender arrive in order, once, in every region', async () => {
    const [sender, ...others] = await everywhere(topicOf('order'))
    for (let n = 0; n < 100; n++) await sender.send('step', { n })
    for (const seat of others) {
      const got = await seat.broadcasts.take(100)
      assert.deepEqual(got.map((message) => message.payload.n), [...Array(100).keys()])
      await seat.broadcasts.nothing()
    }
  })

  test('topics of any letters', async () => {
    for (const topic of ['Ünïcode: 💒', 'a/b?c=d&e#f', ' spaces ', 'realtime:realtime', '%2F'].map(topicOf)) {
      const [a, b] = [await join(here, topic), await join(there, topic)]
      await a.send('hi', { topic })
      assert.deepEqual((await b.broadcasts.next()).payload, { topic })
    }
  })

  test('a payload over the limit is refused, and the channel goes on', async () => {
    const topic = topicOf('large')
    const [sender, listener] = [await join(here, topic, ack), await join(there, topic)]
    assert.equal(await sender.send('large', { x: 'x'.repeat(3_100_000) }), 'error')
    assert.equal(await sender.send('small', {}), 'ok')
    assert.equal((await listener.broadcasts.next()).event, 'small')
  })
})
