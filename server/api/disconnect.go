package api

import (
	"net/http"

	"github.com/wedsync/wedsync/server/auth"
)

// disconnect is POST /admin/disconnect: every client of this node is told so and closed with 1012, so that
// it comes back with what it has to show by then. For bearers of a service_role token.
func (a *api) disconnect(w http.ResponseWriter, r *http.Request) {
	claims, err := a.bearer(r)
	if err != nil {
		writeMessage(w, http.StatusUnauthorized, textUnauthorized)
		return
	}
	if claims.Role != auth.RoleService {
		writeMessage(w, http.StatusForbidden, "To disconnect clients takes a token with role "+auth.RoleService)
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]int{"sockets": a.Disconnect("asked by an administrator")})
}
