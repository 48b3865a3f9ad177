import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { here, regions, there } from './cluster.mjs'
import { Seat, connect, everywhere, topicOf } from './guest.mjs'
import { token } from './token.mjs'

// batch posts messages as the clients' HTTP libraries do.
const batch = (region, path, messages, headers = { Authorization: `Bearer ${token()}` }) =>
  fetch(`${region.http}${path}/api/broadcast`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify({ messages }),
  })

describe('REST', { concurrency: true }, () => {
  for (const region of regions) {
    test(`httpSend to ${region.name} reaches every region, without a socket`, async () => {
      const topic = topicOf('rest')
      const seats = await everywhere(topic)
      const channel = connect(region).channel(topic)
      assert.deepEqual(await channel.httpSend('menu', { course: 2, dish: 'sole' }), { success: true })
      assert.deepEqual(await channel.httpSend('photo', new Uint8Array([9, 8, 7])), { success: true })
      for (const seat of seats) {
        const [menu, photo] = await seat.broadcasts.take(2)
        assert.deepEqual([menu.event, menu.payload], ['menu', { course: 2, dish: 'sole' }])
        assert.deepEqual([photo.event, new Uint8Array(photo.payload)], ['photo', new Uint8Array([9, 8, 7])])
      }
    })

    test(`a batch to ${region.name} reaches every region, each topic its own`, async () => {
      const [a, b] = [topicOf('a'), topicOf('b')]
      const seats = [...(await everywhere(a)), ...(await everywhere(b))]
      const response = await batch(region, region === here ? '' : '/realtime/v1', [
        { topic: a, event: 'one', payload: { n: 1 } },
        { topic: b, event: 'two', payload: { n: 2 } },
        { topic: a, event: 'three', payload: { n: 3 } },
      ])
      assert.equal(response.status, 202)
      for (const seat of seats.slice(0, 3)) {
        assert.deepEqual((await seat.broadcasts.take(2)).map((m) => [m.event, m.payload.n]), [['one', 1], ['three', 3]])
      }
      for (const seat of seats.slice(3)) assert.equal((await seat.broadcasts.next()).event, 'two')
      await Promise.all(seats.map((seat) => seat.broadcasts.nothing()))
    })
  }

  test('send on a channel that is not joined falls back to REST', async () => {
    const topic = topicOf('fallback')
    const seats = await everywhere(topic)
    assert.equal(await new Seat(connect(there), topic).send('late', { by: 5 }), 'ok')
    for (const seat of seats) assert.deepEqual((await seat.broadcasts.next()).payload, { by: 5 })
  })

  test('private httpSend reaches private channels only', async () => {
    const topic = topicOf('open')
    const priv = await everywhere(topic, { private: true })
    const pub = await everywhere(topic)
    const channel = connect(here).channel(topic, { config: { private: true } })
    assert.deepEqual(await channel.httpSend('secret', { n: 1 }), { success: true })
    for (const seat of priv) assert.equal((await seat.broadcasts.next()).event, 'secret')
    await Promise.all(pub.map((seat) => seat.broadcasts.nothing()))
  })

  test('private httpSend without the right is refused', async () => {
    const channel = connect(here, { claims: { role: 'anon' } }).channel(topicOf('open'), { config: { private: true } })
    await assert.rejects(channel.httpSend('secret', {}), { message: 'Unauthorized' })
  })

  test('private messages of a batch without the right are skipped', async () => {
    const topic = topicOf('open')
    const [seat] = await everywhere(topic, { private: true })
    const response = await batch(here, '', [{ topic, event: 'secret', payload: {}, private: true }],
      { Authorization: `Bearer ${token({ role: 'anon' })}` })
    assert.equal(response.status, 202)
    await seat.broadcasts.nothing()
  })

  test('a bad token is refused', async () => {
    const channel = connect(here, { apikey: 'nonsense' }).channel(topicOf('rest'))
    await assert.rejects(channel.httpSend('menu', {}), { message: 'Unauthorized' })
    assert.equal((await batch(here, '', [{ topic: 't', event: 'e', payload: {} }], { apikey: 'x' })).status, 401)
  })

  test('the apikey header is enough', async () => {
    const topic = topicOf('apikey')
    const [seat] = await everywhere(topic)
    const response = await batch(there, '/realtime/v1', [{ topic, event: 'e', payload: {} }], { apikey: token() })
    assert.equal(response.status, 202)
    await seat.broadcasts.next()
  })
})
