import { createHmac } from 'node:crypto'
import { secret } from './cluster.mjs'

// token signs claims as Supabase Auth would: by default somebody who is logged in, for an hour.
export function token(claims = {}) {
  const now = Math.floor(Date.now() / 1000)
  const head = encode({ alg: 'HS256', typ: 'JWT' })
  const body = encode({ role: 'authenticated', sub: 'guest', iat: now, exp: now + 3600, ...claims })
  const signature = createHmac('sha256', secret).update(`${head}.${body}`).digest('base64url')
  return `${head}.${body}.${signature}`
}

// expiring is a token that is good for some seconds.
export const expiring = (seconds, claims = {}) =>
  token({ ...claims, exp: Math.ceil(Date.now() / 1000) + seconds })

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
