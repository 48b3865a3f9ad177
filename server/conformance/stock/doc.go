// Package stock drives the stock Supabase client against a running cluster of three regions.
//
// Its tests are the promise that applications need not change: the pinned @supabase/realtime-js from npm, unpatched,
// as an application uses it, in every region. The cases are JavaScript (js/*.test.mjs, and js/faults/ for those in
// which a region dies) and use Node's own test runner; each becomes a subtest of TestStockClient:
//
//	go test ./server/conformance/stock                       # all
//	go test ./server/conformance/stock -run '/up/presence$'   # the cases of js/presence.test.mjs
//	go test ./server/conformance/stock -run '/down/kill$'     # the cases of js/faults/kill.test.mjs
//
// The test starts real servers (cluster.Start) between which messages take as long as between continents, a real
// PostgreSQL, and an HTTP endpoint by which a case can kill a region or change a row. It needs Node 20 or newer with
// npm, and PostgreSQL; it fails, saying so, where they are missing.
package stock
