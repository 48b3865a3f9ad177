package cluster

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenLife is longer than any drill.
const tokenLife = 24 * time.Hour

// Token signs a token that the servers accept, for a role: authenticated, or service_role for what only
// administrators may do.
func (c *Cluster) Token(role string) (string, error) {
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"role": role, "sub": "wedsync-cluster", "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	}).SignedString([]byte(c.cfg.JWTSecret))
	if err != nil {
		return "", fmt.Errorf("signing a token for %s: %w", role, err)
	}
	return token, nil
}
