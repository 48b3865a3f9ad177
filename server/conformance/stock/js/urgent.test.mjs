import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { regions } from './cluster.mjs'
import { connect, everywhere, join, topicOf } from './guest.mjs'

const storm = { weather: 'storm', move: 'indoors' }

async function hearTheStorm(seats) {
  for (const seat of seats) {
    const { type, event, payload } = await seat.broadcasts.next()
    assert.deepEqual({ type, event, payload }, { type: 'broadcast', event: 'urgent', payload: storm })
  }
  await Promise.all(seats.map((seat) => seat.broadcasts.nothing()))
}

describe('urgent', { concurrency: true }, () => {
  for (const region of regions) {
    for (const vsn of ['1.0.0', '2.0.0']) {
      test(`from a ${vsn} client in ${region.name} to all regions and both versions, once`, async () => {
        const topic = topicOf('storm')
        const seats = [...(await everywhere(topic)), ...(await everywhere(topic, {}, { vsn: '1.0.0' }))]
        const speaker = await join(region, topic, { broadcast: { ack: true } }, { vsn })
        assert.equal(await speaker.send('urgent', storm), 'ok')
        await hearTheStorm(seats)
      })
    }

    test(`by httpSend to ${region.name}`, async () => {
      const topic = topicOf('storm')
      const seats = await everywhere(topic)
      assert.deepEqual(await connect(region).channel(topic).httpSend('urgent', storm), { success: true })
      await hearTheStorm(seats)
    })
  }

  test('without an ack it arrives all the same', async () => {
    const [speaker, ...others] = await everywhere(topicOf('storm'))
    assert.equal(await speaker.send('urgent', storm), 'ok')
    await hearTheStorm(others)
  })
})
