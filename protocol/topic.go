package protocol

import (
	"errors"
	"strings"
)

const (
	// Prefix begins the topic of every channel on the wire. REST and policies use the rest alone.
	Prefix = "realtime:"
	// TopicPhoenix is the topic of heartbeats.
	TopicPhoenix = "phoenix"
)

// The texts of these errors are those that clients of the original server match on.
var (
	ErrUnmatchedTopic = errors.New("unmatched topic")
	ErrTopicRequired  = errors.New("TopicNameRequired: You must provide a topic name")
)

// SubTopic strips the prefix of a wire topic.
func SubTopic(topic string) (string, error) {
	sub, ok := strings.CutPrefix(topic, Prefix)
	if !ok {
		return "", ErrUnmatchedTopic
	}
	if sub == "" {
		return "", ErrTopicRequired
	}
	return sub, nil
}

// WireTopic adds the prefix to a sub-topic.
func WireTopic(sub string) string { return Prefix + sub }
