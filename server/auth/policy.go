package auth

// Extension is the part of a channel that a policy is asked about.
type Extension string

// Action is what a bearer wants to do with it.
type Action string

// The questions that the server asks.
const (
	Broadcast Extension = "broadcast"
	Presence  Extension = "presence"

	Read  Action = "read"  // at join, and when the token changes
	Write Action = "write" // at the first send, and when the token changes
)

// Policy says whether the bearer of claims may act on a private topic (without its wire prefix).
// It is never asked about public rooms: there, any valid token is enough.
type Policy func(claims *Claims, topic string, ext Extension, act Action) bool

// Members is the policy until topics have owners: whoever has an account may read and write.
func Members(claims *Claims, _ string, _ Extension, _ Action) bool {
	return claims.Role != RoleAnonymous
}
