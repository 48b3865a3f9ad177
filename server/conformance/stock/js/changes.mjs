// Postgres changes as an application sees them.

import { randomUUID } from 'node:crypto'
import { sql } from './cluster.mjs'
import { Seat, connect, topicOf } from './guest.mjs'
import { Inbox } from './inbox.mjs'

// weddingID names a wedding that no other case uses: the rows of all cases are in the same tables.
export const weddingID = () => `w-${randomUUID().slice(0, 8)}`

let last = 0
// nextID is a primary key of tasks; each test file has numbers of its own.
export const nextID = () => (process.pid % 100_000) * 10_000 + ++last

// insertTask adds a task and returns its id.
export async function insertTask(wedding, values = {}) {
  const row = { id: nextID(), wedding, ...values }
  const columns = Object.keys(row)
  await sql(`insert into tasks (${columns}) values (${columns.map((c) => literal(row[c]))})`)
  return row.id
}

export function literal(value) {
  if (value === null || value === undefined) return 'null'
  if (typeof value !== 'string') return String(value)
  return `'${value.replaceAll("'", "''")}'`
}

// follow joins a channel that listens to changes, and waits until the server says that it is subscribed to them. The
// changes of the i-th binding are in seat.heard[i].
export async function follow(region, bindings, { topic = topicOf('changes'), config, ...options } = {}) {
  const seat = listen(new Seat(connect(region, options), topic, config), bindings)
  await seat.join()
  await subscribed(seat)
  return seat
}

// listen adds bindings to a seat that has not joined yet.
export function listen(seat, bindings) {
  seat.heard = bindings.map((binding, i) => {
    const inbox = new Inbox(`changes of ${JSON.stringify(binding)}`)
    seat.channel.on('postgres_changes', { schema: 'public', event: '*', ...binding }, (change) => inbox.put(change))
    return inbox
  })
  return seat
}

// subscribed waits for the message that a stock server sends once changes flow.
export async function subscribed(seat) {
  const { status, message, channel } = await seat.systems.until((m) => m.extension === 'postgres_changes')
  if (status !== 'ok' || message !== 'Subscribed to PostgreSQL' || channel !== seat.channel.subTopic) {
    throw new Error(`${status}: ${message} (${channel})`)
  }
}
