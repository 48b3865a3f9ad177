package stock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/wedsync/wedsync/cluster"
)

// control opens the endpoint by which the cases act on the cluster and the database; js/cluster.mjs is its client. It
// returns the URL and ends with the test.
func (v *venue) control(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /kill", v.region(func(_ context.Context, n *cluster.Node) error { return n.Kill() }))
	mux.HandleFunc("POST /drain", v.region(func(_ context.Context, n *cluster.Node) error { return n.Stop(stopGrace) }))
	mux.HandleFunc("POST /start", v.region(func(ctx context.Context, n *cluster.Node) error {
		if err := n.Start(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return v.WaitReady(ctx, n)
	}))
	mux.HandleFunc("POST /cut", v.region(func(_ context.Context, n *cluster.Node) error { return v.Network().Isolate(n.Region, true) }))
	mux.HandleFunc("POST /heal", v.region(func(_ context.Context, n *cluster.Node) error { return v.Network().Isolate(n.Region, false) }))
	mux.HandleFunc("POST /sql", func(w http.ResponseWriter, r *http.Request) {
		statements, err := io.ReadAll(r.Body)
		if err != nil {
			answer(w, nil, err)
			return
		}
		rows, err := v.database.run(r.Context(), string(statements))
		answer(w, rows, err)
	})
	mux.HandleFunc("POST /reader", func(w http.ResponseWriter, r *http.Request) {
		region, err := v.reader(r.Context())
		answer(w, map[string]string{"region": region}, err)
	})

	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: mux}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		must(t, server.Close())
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// region is a handler that acts on the node of the region in the query.
func (v *venue) region(act func(context.Context, *cluster.Node) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, n := range v.Nodes() {
			if n.Region == r.FormValue("region") {
				answer(w, nil, act(r.Context(), n))
				return
			}
		}
		answer(w, nil, fmt.Errorf("there is no region %q", r.FormValue("region")))
	}
}

// answer writes a result, or what went wrong.
func answer(w http.ResponseWriter, result any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if result != nil {
		_ = json.NewEncoder(w).Encode(result) // a case that has gone does not need it
	}
}
