// Guests use the stock client as any application does; nothing of it is patched. They leave when their file ends.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after } from 'node:test'
import { RealtimeClient } from '@supabase/realtime-js'
import WebSocket from 'ws'
import { regions } from './cluster.mjs'
import { Inbox } from './inbox.mjs'
import { token } from './token.mjs'

const clients = []
after(() => Promise.all(clients.map((client) => client.disconnect())))

// connect makes a client of a region. Options are the stock client's; apikey is the token, claims are what is in it.
export function connect(region, { apikey, claims, path = '/realtime/v1', ...options } = {}) {
  const client = new RealtimeClient(region.http + path, {
    transport: WebSocket, // Node 20 has none of its own
    params: { apikey: apikey ?? token(claims) },
    logger: () => {}, // or it warns on the console
    ...options,
  })
  clients.push(client)
  return client
}

// Seat is one channel of one client, with everything that it hears.
export class Seat {
  constructor(client, topic, config = {}) {
    this.client = client
    this.broadcasts = new Inbox(`broadcasts of ${topic}`)
    this.systems = new Inbox(`system messages of ${topic}`)
    this.states = new Inbox(`states of ${topic}`)
    this.channel = client.channel(topic, { config })
    this.channel.on('broadcast', { event: '*' }, (message) => this.broadcasts.put(message))
    this.channel.on('system', {}, (message) => this.systems.put(message))
  }

  // subscribe asks to join and returns what became of it: { status, message }.
  subscribe(timeout) {
    this.channel.subscribe((status, error) => this.states.put({ status, message: error?.message }), timeout)
    return this.states.next()
  }

  async join() {
    assert.deepEqual(await this.subscribe(), { status: 'SUBSCRIBED', message: undefined }, this.channel.topic)
    return this
  }

  // send broadcasts an event; the answer is the stock client's.
  send(event, payload, options) {
    return this.channel.send({ type: 'broadcast', event, payload }, options)
  }
}

// topicOf makes a topic that no other case uses.
export const topicOf = (kind) => `${kind}:${randomUUID().slice(0, 8)}`

// join connects a client of its own and joins a topic.
export const join = (region, topic, config, options) => new Seat(connect(region, options), topic, config).join()

// everywhere joins a topic in every region at once, each with a client of its own.
export const everywhere = (topic, config, options) =>
  Promise.all(regions.map((region) => join(region, topic, config, options)))
