import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { here, regions } from './cluster.mjs'
import { Seat, connect, everywhere, join, topicOf } from './guest.mjs'
import { Inbox, eventually } from './inbox.mjs'
import { token } from './token.mjs'

describe('connect', { concurrency: true }, () => {
  for (const region of regions) {
    for (const path of ['/realtime/v1', '/socket']) {
      for (const vsn of ['1.0.0', '2.0.0']) {
        test(`${region.name}, ${path}, vsn ${vsn}`, async () => {
          const seat = await join(region, topicOf('connect'), {}, { path, vsn })
          assert.equal(seat.client.connectionState(), 'open')
        })
      }
    }
  }

  test('with a log level', () => join(here, topicOf('connect'), {}, { logLevel: 'info' }))

  test('several channels share one socket and do not mix', async () => {
    const [a, b] = [topicOf('a'), topicOf('b')]
    const client = connect(here)
    const seats = await Promise.all([new Seat(client, a).join(), new Seat(client, b).join()])
    const other = await join(regions[1], a)
    await other.send('only', { to: 'a' })
    assert.deepEqual((await seats[0].broadcasts.next()).payload, { to: 'a' })
    await seats[1].broadcasts.nothing()
  })

  test('leaving ends in CLOSED, and the topic can be joined again', async () => {
    const topic = topicOf('again')
    const [seat, other] = await everywhere(topic)
    assert.equal(await seat.channel.unsubscribe(), 'ok')
    assert.equal((await seat.states.next()).status, 'CLOSED')
    await other.send('gone', {})
    await seat.broadcasts.nothing()

    const again = await new Seat(seat.client, topic).join()
    await other.send('back', {})
    assert.equal((await again.broadcasts.next()).event, 'back')
  })

  test('removeChannel and removeAllChannels', async () => {
    const client = connect(here)
    const seats = await Promise.all(['x', 'y', 'z'].map((kind) => new Seat(client, topicOf(kind)).join()))
    assert.equal(await client.removeChannel(seats[0].channel), 'ok')
    assert.deepEqual(await client.removeAllChannels(), ['ok', 'ok'])
    await eventually(() => assert.equal(client.connectionState(), 'closed'))
  })

  for (const region of regions) {
    test(`heartbeats are answered, ${region.name}`, async () => {
      const beats = new Inbox('heartbeats')
      const heartbeatCallback = (status, latency) => beats.put({ status, latency })
      await join(region, topicOf('beat'), {}, { heartbeatIntervalMs: 500, heartbeatCallback })
      for (let i = 0; i < 2; i++) {
        assert.equal((await beats.next()).status, 'sent')
        const answer = await beats.next()
        assert.equal(answer.status, 'ok')
        assert.ok(answer.latency < 500, `${answer.latency} ms`)
      }
    })
  }

  const bad = {
    'a forged token': `${token().slice(0, -8)}AAAAAAAA`,
    'no token at all': 'hello',
    'an expired token': token({ exp: Math.floor(Date.now() / 1000) - 60 }),
    'a token without a role': token({ role: undefined }),
  }
  for (const [what, apikey] of Object.entries(bad)) {
    test(`${what} does not get in`, async () => {
      const client = connect(here, { apikey, reconnectAfterMs: () => 60_000 })
      const { status, message } = await new Seat(client, topicOf('refused')).subscribe()
      assert.equal(status, 'CHANNEL_ERROR', message)
      assert.notEqual(client.connectionState(), 'open')
    })
  }
})
