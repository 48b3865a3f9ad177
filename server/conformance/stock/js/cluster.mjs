// The cluster under test, as the Go side (../stock_test.go) has told it, and what can be done to it.

const told = process.env.WEDSYNC_STOCK
if (!told) {
  throw new Error('no cluster: run `go test ./server/conformance/stock`, which starts one and then these cases')
}
const cluster = JSON.parse(told)

// Three regions, three continents apart: { name, http }.
export const regions = cluster.regions
export const [here, there, far] = regions

// secret signs the tokens that the servers accept.
export const secret = cluster.secret

// kill ends a region's server at once, as a power cut would; start brings it back with its data and waits until it
// is ready; drain asks it to stop, as a deployment does, and waits until it has.
export const kill = (region) => control(`/kill?region=${region.name}`)
export const start = (region) => control(`/start?region=${region.name}`)
export const drain = (region) => control(`/drain?region=${region.name}`)

// cut takes a region off the network without a word to anybody, its own clients included; heal ends that.
export const cut = (region) => control(`/cut?region=${region.name}`)
export const heal = (region) => control(`/heal?region=${region.name}`)

// sql runs statements as the owner of the database and returns the rows of the last one, as text.
export const sql = (statements) => control('/sql', statements)

// reader is the region whose server reads the database's changes now.
export async function reader() {
  const { region } = await control('/reader')
  return regions.find((r) => r.name === region)
}

async function control(path, body = '') {
  const response = await fetch(cluster.control + path, { method: 'POST', body })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${text}`)
  return text ? JSON.parse(text) : undefined
}
