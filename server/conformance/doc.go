// Package conformance is a table of what a client of Supabase Realtime may count on: one named case
// for each behaviour of the protocol, numbered as in our reference of it.
//
// The cases are black-box tests. They start nodes of the reference server in this process, open real
// sockets to them, and check every frame that comes back. Nothing of the server's own packages is used
// to read a frame: what is wrong with an encoder must not be hidden by the decoder next to it.
//
// # Reading a case
//
// A case is a name and a script:
//
//	{name: "§3 a heartbeat is answered", script: `
//		a> [null,"8","phoenix","heartbeat",{}]
//		a< [null,"8","phoenix","phx_reply",{"status":"ok","response":{}}]`},
//
// Frames are written as version 2 writes them. Each case runs once for version 2 and once for version 1,
// for which the driver turns them into objects; names beginning with "old" and "new" are clients of
// version 1 and 2 in both runs. A case that exists in one version alone says so in its field vsn.
//
//	a> [join_ref,ref,topic,event,payload]              the client a sends a text frame
//	a>raw TEXT                                         a text frame that may be no frame at all
//	a>3 [join_ref,ref,topic,event,metadata,payload]    a binary frame of kind 3; 3b: payload in hex, not JSON
//	a< [join_ref,ref,topic,event,payload]              the next thing that a hears
//	a<4 [topic,event,metadata,payload]                 the same in a binary frame of kind 4; or 4b
//	a~ …  a~4 …                                        like <, and neighbouring lines in any order
//	a as ROLE                                          a connects with a token of that role, not authenticated
//	a join CONFIG                                      a joins the case's topic (ref "1") and hears ok
//	a leave                                            a leaves the case's topic (ref "99"), to the end
//	a nothing                                          nothing else was said to a
//	a hangs up                                         a ends its connection without a word
//	sql STATEMENT                                      the database of the case runs it
//	a closed CODE                                      the server closes a's connection (1006: without a close frame)
//
// $T is the case's own topic, without the prefix realtime:, $vsn its version, $tab its table. Other $names are set by the case: tokens
// ($anon, $authenticated, $service_role, $expired, $forged) and what it prepares itself.
//
// In what is expected, <n> stands for digits, <uuid> for a UUID, <any> for any text; "<object>",
// "<any list>", "<number>" and "<string>" for any value of that kind; <name=…> binds what it matches to a name,
// as in "<first=ref>" or "<id=number>", and <name> later stands for the same text again. A key "..." in an object allows
// for more keys: the protocol lets a server add some to meta and to the answer to a broadcast.
//
// "Nothing" is shown, not waited for: every client of the case makes a round trip, so that what it sent
// has been handled; then the silent one makes two more, and hears their answers and nothing else.
//
// # What is not in the table
//
// The original serves many tenants, one database each. A node of ours serves one system, so that
// nothing about choosing, suspending or reloading tenants applies, nor the errors of a tenant's database
// while joining (§5.3, 8). A channel that crashes (phx_error) cannot be provoked from outside, nor can
// a subscription to the messages of the database that is not there within its 60 s (§12). Legacy joins
// (§4) and long-polling (§1) are optional, and not supported. What the JavaScript client does (§6, §7) is
// the business of the suite that drives the client itself.
package conformance
