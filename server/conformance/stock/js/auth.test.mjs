import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { here, regions, there } from './cluster.mjs'
import { Seat, connect, join, topicOf } from './guest.mjs'
import { expiring, token } from './token.mjs'

const hidden = { private: true }
const acked = { private: true, broadcast: { ack: true } }

// closesWith checks that the server says why it closes a channel, and closes it.
async function closesWith(seat, text) {
  const { extension, status, message } = await seat.systems.until((m) => m.extension === 'system')
  assert.deepEqual({ extension, status }, { extension: 'system', status: 'error' })
  assert.match(message, text)
  assert.equal((await seat.states.next()).status, 'CLOSED')
}

describe('tokens', { concurrency: true }, () => {
  for (const region of regions) {
    const wedding_id = topicOf('id').slice(3)
    // sub is a topic of the wedding for each case, so that none hears another.
    const sub = (name) => `wedding:${wedding_id}:${name}`
    const lost = (topic) => new RegExp(`^You no longer have permission to read from this Channel topic: ${topic}$`)

    test(`${region.name}: the project's key opens the socket, the person's token the channels`, async () => {
      const client = connect(region, { claims: { role: 'anon' } })
      await client.setAuth(token({ wedding_id }))
      const seat = await new Seat(client, sub('key'), acked).join()
      assert.equal(await seat.send('hello', {}), 'ok')
      assert.deepEqual(await seat.channel.httpSend('hello', {}), { success: true })
      assert.equal((await seat.broadcasts.next()).event, 'hello')
    })

    test(`${region.name}: a token that the client has to ask for opens them a little later`, async () => {
      const client = connect(region, { claims: { role: 'anon' }, accessToken: async () => token({ wedding_id }) })
      const seat = new Seat(client, sub('asked'), hidden)
      await seat.subscribe() // the client joins without it at first, which may be refused
      if (seat.states.all[0].status !== 'SUBSCRIBED') await seat.states.until(({ status }) => status === 'SUBSCRIBED')
    })

    test(`${region.name}: setAuth grants: a refused channel joins by itself`, async () => {
      const client = connect(region)
      const seat = new Seat(client, sub('grant'), hidden)
      assert.equal((await seat.subscribe()).status, 'CHANNEL_ERROR')
      await client.setAuth(token({ wedding_id }))
      assert.equal((await seat.states.until(({ status }) => status !== 'CHANNEL_ERROR')).status, 'SUBSCRIBED')
    })

    test(`${region.name}: setAuth revokes`, async () => {
      const topic = sub('revoke')
      const seat = await join(region, topic, hidden, { claims: { wedding_id } })
      await seat.client.setAuth(token({ wedding_id: 'another' }))
      await closesWith(seat, lost(topic))
      const speaker = await join(there, topic, acked, { claims: { wedding_id } })
      assert.equal(await speaker.send('secret', {}), 'ok')
      await seat.broadcasts.nothing()
    })

    test(`${region.name}: the accessToken callback revokes at the next heartbeat`, async () => {
      const topic = sub('callback')
      let current = token({ wedding_id })
      const seat = await join(region, topic, hidden, {
        claims: { wedding_id }, accessToken: async () => current, heartbeatIntervalMs: 1000,
      })
      current = token({ wedding_id: 'another' })
      await closesWith(seat, lost(topic))
    })

    test(`${region.name}: an expired token closes the channel`, async () => {
      const seat = await join(region, topicOf('open'), hidden, { apikey: expiring(1) })
      await closesWith(seat, /^Token has expired \d+ seconds ago$/)
    })
  }

  test('an expired token closes a public channel too', async () => {
    await closesWith(await join(here, topicOf('public'), {}, { apikey: expiring(1) }), /^Token has expired/)
  })

  test('the accessToken callback keeps a channel open past the first token', async () => {
    const topic = topicOf('open')
    const seat = await join(here, topic, hidden, {
      apikey: token(), accessToken: async () => expiring(2), heartbeatIntervalMs: 1000,
    })
    await sleep(4000)
    const speaker = await join(there, topic, acked)
    assert.equal(await speaker.send('still', {}), 'ok')
    assert.equal((await seat.broadcasts.next()).event, 'still')
    assert.deepEqual(seat.states.all.map(({ status }) => status), ['SUBSCRIBED'])
  })

  test('a new token is heeded by all channels of the socket', async () => {
    const [open, wedding] = [topicOf('open'), topicOf('wedding')]
    const client = connect(here, { claims: { wedding_id: wedding.split(':')[1] } })
    const [stays, goes] = [await new Seat(client, open, hidden).join(), await new Seat(client, wedding, hidden).join()]
    await client.setAuth(token())
    await closesWith(goes, /^You no longer have permission/)
    const speaker = await join(there, open, acked)
    assert.equal(await speaker.send('hello', {}), 'ok')
    assert.equal((await stays.broadcasts.next()).event, 'hello')
  })

  test('what is not a token closes the channel', async () => {
    const seat = await join(here, topicOf('open'), hidden)
    await seat.client.setAuth('nonsense')
    await closesWith(seat, /^The token provided is not a valid JWT$/)
  })

  test('a forged token closes the channel', async () => {
    const seat = await join(here, topicOf('open'), hidden)
    await seat.client.setAuth(`${token({ sub: 'mallory' }).slice(0, -8)}AAAAAAAA`)
    await closesWith(seat, /./)
  })

  test('an API key of the new style is not a token, and changes nothing', async () => {
    const topic = topicOf('open')
    const seat = await join(here, topic, hidden)
    await seat.client.setAuth('sb_publishable_0123456789')
    const speaker = await join(there, topic, acked)
    assert.equal(await speaker.send('hello', {}), 'ok')
    assert.equal((await seat.broadcasts.next()).event, 'hello')
    assert.deepEqual(seat.systems.all, [])
  })

  test('a new token grants the right to write', async () => {
    const topic = topicOf('board')
    const [seat, listener] = [await join(here, topic, acked), await join(there, topic, hidden)]
    assert.equal(await seat.send('note', { n: 1 }, { timeout: 700 }), 'timed out')
    await seat.client.setAuth(token({ job: 'planner' }))
    assert.equal(await seat.send('note', { n: 2 }), 'ok')
    assert.deepEqual((await listener.broadcasts.next()).payload, { n: 2 })
  })
})
