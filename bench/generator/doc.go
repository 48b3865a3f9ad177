// Package generator measures load generators: what a connected vendor and a received message cost the process that
// plays them.
//
// Three generators play the same weddings against the same server, one after the other, in rounds:
//
//   - fleet: the k6 extension of this repository, one virtual user per wedding;
//   - websockets: k6's own k6/websockets, one virtual user and one socket per vendor, which parses each message and records
//     its latency: what a script without the extension does;
//   - bare: a Go program with a goroutine and a gorilla socket per vendor, which looks for one number in each message and
//     counts it in a histogram: what no generator can be cheaper than by much.
//
// At each wedding one vendor speaks on schedule and all others hear it. A generator is watched from outside: its processor
// time and memory from /proc, and how many messages it was sent from the server's own counters, over the same seconds.
// Memory per vendor is a slope, between a small crowd and the large one, so that what a process costs without anybody is
// not in it.
package generator
