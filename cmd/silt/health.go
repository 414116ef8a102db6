package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A health is what supervisors ask of a running query: GET /livez says that the process answers, whatever Kafka or a store do; GET /readyz
// says whether the query does its work, with 503 and what it waits for if not. /ping and /ready are the same.
type health struct {
	secrets *secret.Scrubber

	mu    sync.Mutex
	ready bool
	why   string
}

// set is silt.RunOptions.OnReady.
func (h *health) set(ready bool, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready, h.why = ready, why
}

// healthTime is how long an answer may take.
const healthTime = 5 * time.Second

// serve answers on the address until the function that it returns is called.
func (h *health) serve(addr string, log *slog.Logger) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, problem.New(problem.PortTaken, "--health cannot listen on %s: %w", addr, err).Fix("choose another port, or :0 for a free one")
	}
	log.Info("the query's health can be asked for", "livez", "http://"+l.Addr().String()+"/livez", "readyz", "http://"+l.Addr().String()+"/readyz")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := problem.Catch("the health service", func() error {
			return httpd.Serve(ctx, l, httpd.Server{Handler: byAddress(l.Addr(), h.handler()), Timeout: healthTime, Log: log})
		})
		if err != nil {
			log.Error("the health service has ended", "error", err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	live := func(w http.ResponseWriter, _ *http.Request) {
		writeHealth(w, http.StatusOK, map[string]any{"live": true})
	}
	ready := func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		ready, why := h.ready, h.why
		h.mu.Unlock()
		if ready {
			writeHealth(w, http.StatusOK, map[string]any{"ready": true})
			return
		}
		writeHealth(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "why": h.secrets.String(why)})
	}
	mux.HandleFunc("GET /livez", live)
	mux.HandleFunc("GET /ping", live)
	mux.HandleFunc("GET /readyz", ready)
	mux.HandleFunc("GET /ready", ready)
	return mux
}

// byAddress keeps pages in a browser of this machine from reading what a service of the loopback interface answers.
func byAddress(addr net.Addr, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := httpd.ByAddress(req); err != nil && httpd.Loopback(addr) {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}

func writeHealth(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked went away
}
