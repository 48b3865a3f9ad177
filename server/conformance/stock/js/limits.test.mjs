import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { here, there } from './cluster.mjs'
import { Seat, connect, join, topicOf } from './guest.mjs'

// The limits that a client meets by itself; those on rates are off here, because all cases share the servers.
describe('limits', { concurrency: true }, () => {
  test('a hundred channels on one socket, and not one more', async () => {
    const client = connect(here)
    const seats = await Promise.all(Array.from({ length: 100 }, () => new Seat(client, topicOf('many')).join()))
    assert.deepEqual(await new Seat(client, topicOf('many')).subscribe(), {
      status: 'CHANNEL_ERROR', message: 'ChannelRateLimitReached: Too many channels',
    })
    assert.equal(await seats[0].channel.unsubscribe(), 'ok')
    await new Seat(client, topicOf('many')).join()
  })

  test('a frame over the limit ends the socket, and the client comes back', async () => {
    const topic = topicOf('frame')
    const [seat, other] = [await join(here, topic, { broadcast: { ack: true } }), await join(there, topic)]
    seat.send('huge', { x: 'x'.repeat(5_100_000) })
    const { status, message } = await seat.states.next()
    assert.equal(status, 'CHANNEL_ERROR')
    assert.match(message, /^socket closed: 1009/)
    assert.equal((await seat.states.until(({ status }) => status !== 'CHANNEL_ERROR')).status, 'SUBSCRIBED')
    assert.equal(await seat.send('small', {}), 'ok')
    assert.equal((await other.broadcasts.next()).event, 'small')
  })
})
