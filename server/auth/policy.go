package auth

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/wedsync/wedsync/server/watch"
)

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
//
// Policies are written in files; default-policy.yaml describes their language.
type Policy func(claims *Claims, topic string, ext Extension, act Action) bool

var (
	//go:embed default-policy.yaml
	defaultText []byte
	//go:embed local-policy.yaml
	localText []byte

	defaultPolicy = sync.OnceValue(func() Policy { return embedded("default-policy.yaml", defaultText) })
	localPolicy   = sync.OnceValue(func() Policy { return embedded("local-policy.yaml", localText) })
)

// DefaultPolicy lets every role but RoleAnonymous read and write (default-policy.yaml).
func DefaultPolicy() Policy { return defaultPolicy() }

// LocalPolicy lets every valid token do everything (local-policy.yaml).
func LocalPolicy() Policy { return localPolicy() }

// embedded parses a policy that was compiled in; that it is valid is tested.
func embedded(name string, text []byte) Policy {
	p, err := parseRules(name, text)
	if err != nil {
		panic(fmt.Sprintf("the policy in this program is broken: %v", err))
	}
	return p.allows
}

// ParsePolicy reads the text of a policy file. Its error names every mistake with its line.
func ParsePolicy(yaml []byte) (Policy, error) {
	rules, err := parseRules("policy", yaml)
	if err != nil {
		return nil, err
	}
	return rules.allows, nil
}

// maxPolicy bounds a policy file, in bytes.
const maxPolicy = 1 << 20

// LoadPolicy reads a policy file.
func LoadPolicy(path string) (Policy, error) {
	rules, _, err := loadRules(path)
	if err != nil {
		return nil, err
	}
	return rules.allows, nil
}

func loadRules(path string) (rules, []byte, error) {
	text, err := watch.Read(path, maxPolicy)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the policy: %w", err)
	}
	rules, err := parseRules(path, text)
	return rules, text, err
}
