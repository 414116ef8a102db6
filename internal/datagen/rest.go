package datagen

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Handler answers the part of Connect's REST interface that looks at a running connector and stops and starts it, so that what people type
// for Connect works here: GET /connectors, /connectors/NAME with /config, /status and /tasks/N/status, PUT .../pause, /resume and /stop,
// POST .../restart. It authenticates nobody; httpd.Guard does.
//
// Paths, status codes and bodies are those of Apache Kafka 4 (ConnectorsResource).
func (c *Connector) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, do func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if name := r.PathValue("name"); name != c.c.Name {
				writeError(w, http.StatusNotFound, "Connector %s not found", name)
				return
			}
			do(w, r)
		})
	}
	mux.HandleFunc("GET /connectors", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []string{c.c.Name}) })
	handle("GET /connectors/{name}", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, c.info()) })
	handle("GET /connectors/{name}/config", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, c.info().Config) })
	handle("GET /connectors/{name}/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, c.Status()) })
	handle("GET /connectors/{name}/tasks/{task}/status", c.taskStatus)
	handle("PUT /connectors/{name}/pause", func(w http.ResponseWriter, _ *http.Request) {
		c.Pause()
		w.WriteHeader(http.StatusAccepted)
	})
	handle("PUT /connectors/{name}/resume", func(w http.ResponseWriter, r *http.Request) {
		// A stopped connector is started, as in Connect.
		if c.Status().Connector.State == Stopped {
			if err := c.Start(r.Context()); err != nil {
				writeError(w, http.StatusInternalServerError, "%s", err)
				return
			}
		}
		c.Resume()
		w.WriteHeader(http.StatusAccepted)
	})
	handle("PUT /connectors/{name}/stop", func(w http.ResponseWriter, _ *http.Request) {
		c.Stop()
		w.WriteHeader(http.StatusNoContent)
	})
	handle("POST /connectors/{name}/restart", func(w http.ResponseWriter, r *http.Request) {
		if err := c.Restart(r.Context()); err != nil {
			writeError(w, http.StatusInternalServerError, "%s", err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// An info is the body of GET /connectors/NAME.
type info struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"` // secrets masked
	Tasks  []taskID          `json:"tasks"`
	Type   string            `json:"type"`
}

type taskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

func (c *Connector) info() info {
	out := info{Name: c.c.Name, Config: c.c.masked(), Tasks: []taskID{}, Type: "source"}
	for _, t := range c.Status().Tasks {
		out.Tasks = append(out.Tasks, taskID{c.c.Name, t.ID})
	}
	return out
}

func (c *Connector) taskStatus(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("task"))
	tasks := c.Status().Tasks
	if err != nil || id < 0 || id >= len(tasks) {
		writeError(w, http.StatusNotFound, "No status found for task %s-%s", c.c.Name, r.PathValue("task"))
		return
	}
	writeJSON(w, http.StatusOK, tasks[id])
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers are JSON
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// writeError writes the body of Connect's errors.
func writeError(w http.ResponseWriter, status int, format string, args ...any) {
	writeJSON(w, status, struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{status, fmt.Sprintf(format, args...)})
}
