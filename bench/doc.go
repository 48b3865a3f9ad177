// Package bench measures whole realtime servers from outside, each beside the floor: our own, and peers of other
// protocols, which the same load client speaks too (Dialect).
//
// The floor is the least that a Go server can do: it upgrades with gorilla, encodes a broadcast once and writes it to
// the sockets of a room. Absolute figures move from machine to machine; the ratio to a floor that was measured in
// turns with the server, in the same minutes, is what can be compared and kept.
//
//	connect   N idle joined sockets    RSS over the base, CPU of the connects, connects per second
//	fanout    1 room, 1,000 members    CPU per delivery, latency
//	wedding   100 rooms of 10          the same, with a few urgent messages among many others
//	storm     N sockets reset at once  time until all have joined again
//
// A Case is one load at one size. Run plays every case on all subjects in turns (A B A B), each time on a process of
// its own that was started for it, and judges each Round: every message must have arrived exactly once, and the
// generator must have sent in time, else the round is INVALID and proves nothing.
//
// Publishers and receivers live in this process, on one monotonic clock. A message's latency counts from the moment
// at which it was due, so a server that slows its publishers down pays for it. CPU and memory of a subject are read
// from /proc.
//
// Verdicts say of a run whether our own server reaches its targets, and is ahead of the best of its peers.
package bench
