// Presence as an application sees it.

import { Seat, connect } from './guest.mjs'
import { Inbox } from './inbox.mjs'

// sit joins a topic under a presence key, with listeners for presence.
export async function sit(region, topic, key, config = {}, options) {
  const seat = new Seat(connect(region, options), topic, { ...config, presence: key === undefined ? {} : { key } })
  seat.presence = new Inbox(`presence of ${topic} at ${region.name}`)
  seat.channel.on('presence', { event: 'sync' }, () => seat.presence.put({ event: 'sync' }))
  seat.channel.on('presence', { event: 'join' }, ({ key, newPresences }) =>
    seat.presence.put({ event: 'join', key, metas: newPresences.map(payload) }))
  seat.channel.on('presence', { event: 'leave' }, ({ key, leftPresences }) =>
    seat.presence.put({ event: 'leave', key, metas: leftPresences.map(payload) }))
  return seat.join()
}

// who is what a member sees: the payloads under each key.
export function who(seat) {
  const state = Object.entries(seat.channel.presenceState())
  return Object.fromEntries(state.map(([key, metas]) => [key, metas.map(payload)]))
}

function payload({ presence_ref, ...rest }) {
  if (!presence_ref) throw new Error('a presence without a ref')
  return rest
}
