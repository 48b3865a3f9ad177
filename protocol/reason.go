package protocol

import "strings"

// Reasons of refusing replies, as clients match on them. A reason is followed by ": " and a text
// for people where the text depends on the case.
const (
	ReasonUnmatchedTopic  = "unmatched topic"
	ReasonPayloadTooLarge = "payload_size_exceeded"
	ReasonUnauthorized    = "Unauthorized"
	ReasonMalformed       = "MalformedBroadcast" // ours: meta is wrong
	ReasonNotHeld         = "NotHeld"            // ours: not held in two regions in time; send the same id again
	ReasonRestarting      = "RealtimeRestarting" // try another node
)

// definite are the beginnings of reasons that will not change by trying again.
var definite = []string{
	ReasonPayloadTooLarge, ReasonUnauthorized, ReasonMalformed,
	"InvalidJWTToken", "MalformedJWT", "JwtSignatureError", "JwtSignerError",
	"PrivateOnly", "TopicNameRequired", "TenantNotFound", "RealtimeDisabledForTenant",
}

// Definite says whether a refusal is final: the same message or join would be refused again, by
// every node. All other refusals, known or not, leave the outcome open and are worth a retry.
func Definite(reason string) bool {
	for _, d := range definite {
		if strings.HasPrefix(reason, d) {
			return true
		}
	}
	return false
}
