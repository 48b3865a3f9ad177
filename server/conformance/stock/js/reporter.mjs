// The reporter of Node's test runner that ../cases_test.go reads: one JSON line for each case.

export default async function* (events) {
  const suites = [] // those that enclose the event, by depth
  for await (const { type, data } of events) {
    if (type === 'test:start') suites[data.nesting] = data.name
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const suite = data.details?.type === 'suite'
    // A suite fails with its cases; by itself only when its hooks do.
    if (suite && (type === 'test:pass' || data.details.error.failureType === 'subtestsFailed')) continue
    yield JSON.stringify({
      name: [...suites.slice(1, data.nesting), data.name].join(': '), // the file says what the first suite is about
      ok: type === 'test:pass',
      skipped: data.skip !== undefined || data.todo !== undefined,
      elapsed_ns: Math.round(data.details.duration_ms * 1e6),
      error: type === 'test:pass' ? '' : explain(data.details.error),
    }) + '\n'
  }
}

function explain(error) {
  const cause = error.cause ?? error
  return cause.stack ?? String(cause.message ?? cause)
}
