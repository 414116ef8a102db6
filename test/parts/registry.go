package parts

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// FirstSchemaID is the id of the first schema that a Registry is given.
const FirstSchemaID = 100001

// Registry is a Schema Registry for tests and for the example: it keeps what it is given in memory and answers the calls that Confluent's
// clients and silt make. It has no rules of compatibility. Its methods are safe for concurrent use.
type Registry struct {
	URL            string
	User, Password string

	server *http.Server

	mu       sync.Mutex
	schemas  []registered // by id - FirstSchemaID
	subjects map[string][]int32
	fault    func(*http.Request) int
	requests map[string]int
}

type registered struct {
	Schema     string      `json:"schema"`
	SchemaType string      `json:"schemaType,omitempty"` // AVRO if empty
	References []Reference `json:"references,omitempty"`
}

// Reference is a schema that another one refers to by name.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// StartRegistry starts a registry that wants this login on a free loopback port.
func StartRegistry(user, password string) (*Registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Registry{
		URL: "http://" + l.Addr().String(), User: user, Password: password,
		subjects: map[string][]int32{}, requests: map[string]int{},
	}
	r.server = &http.Server{Handler: r.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		// Serve ends by Close alone; a failure shows in the clients.
		_ = r.server.Serve(l)
	}()
	return r, nil
}

// Close stops the registry.
func (r *Registry) Close() error { return r.server.Close() }

// Add registers an Avro schema and returns its id; the same text and references under any subject have one id.
func (r *Registry) Add(subject, schema string, references ...Reference) int32 {
	return r.add(subject, registered{Schema: schema, References: references})
}

// AddTyped registers a schema of another type, such as JSON or PROTOBUF.
func (r *Registry) AddTyped(subject, schemaType, schema string) int32 {
	return r.add(subject, registered{Schema: schema, SchemaType: schemaType})
}

func (r *Registry) add(subject string, s registered) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := int32(FirstSchemaID + r.find(s))
	if id == int32(FirstSchemaID+len(r.schemas)) {
		r.schemas = append(r.schemas, s)
	}
	if !slices.Contains(r.subjects[subject], id) {
		r.subjects[subject] = append(r.subjects[subject], id)
	}
	return id
}

// find returns the index of s in r.schemas, or one past the last.
func (r *Registry) find(s registered) int {
	at := slices.IndexFunc(r.schemas, func(have registered) bool {
		return have.Schema == s.Schema && have.SchemaType == s.SchemaType && slices.Equal(have.References, s.References)
	})
	if at < 0 {
		return len(r.schemas)
	}
	return at
}

// Fault makes every request that status returns a status other than 0 for fail with it; nil ends that.
func (r *Registry) Fault(status func(*http.Request) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = status
}

// Requests returns how often each path was asked for.
func (r *Registry) Requests() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]int{}
	for path, n := range r.requests {
		counts[path] = n
	}
	return counts
}

// registryError is an answer other than 200, with Confluent's error code.
type registryError struct {
	status, code int
	message      string
}

func (r *Registry) handler() http.Handler {
	mux := http.NewServeMux()
	routes := map[string]func(*http.Request) (any, *registryError){
		"GET /schemas/types": func(*http.Request) (any, *registryError) {
			return []string{"JSON", "PROTOBUF", "AVRO"},
				nil
		},
		"GET /schemas/ids/{id}":                      r.getID,
		"GET /subjects":                              r.getSubjects,
		"GET /subjects/{subject}/versions":           r.getVersions,
		"GET /subjects/{subject}/versions/{version}": r.getVersion,
		"POST /subjects/{subject}/versions":          r.register,
		"POST /subjects/{subject}":                   r.lookUp,
		"/":                                          notFound,
	}
	for pattern, answer := range routes {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
			if err := r.admit(req); err != nil {
				writeRegistryError(w, err)
				return
			}
			body, err := answer(req)
			if err != nil {
				writeRegistryError(w, err)
				return
			}
			writeRegistryAnswer(w, http.StatusOK, body)
		})
	}
	return mux
}

// admit counts the request, plays a planned fault and checks the login.
func (r *Registry) admit(req *http.Request) *registryError {
	r.mu.Lock()
	r.requests[req.URL.Path]++
	fault := r.fault
	r.mu.Unlock()
	if fault != nil {
		if status := fault(req); status != 0 {
			return &registryError{status, status * 100, "planned fault"}
		}
	}
	user, password, _ := req.BasicAuth()
	if user != r.User || password != r.Password {
		return &registryError{http.StatusUnauthorized, http.StatusUnauthorized, "Unauthorized"}
	}
	return nil
}

func writeRegistryError(w http.ResponseWriter, e *registryError) {
	writeRegistryAnswer(w, e.status, map[string]any{"error_code": e.code, "message": e.message})
}

func writeRegistryAnswer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	// A client that went away is not the registry's problem.
	_ = json.NewEncoder(w).Encode(body)
}

func notFound(*http.Request) (any, *registryError) {
	return nil, &registryError{http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found"}
}

func (r *Registry) getID(req *http.Request) (any, *registryError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := req.PathValue("id")
	id, err := strconv.Atoi(text)
	if err != nil || id < FirstSchemaID || id >= FirstSchemaID+len(r.schemas) {
		return nil, &registryError{http.StatusNotFound, 40403, fmt.Sprintf("Schema %s not found", text)}
	}
	return r.schemas[id-FirstSchemaID], nil
}

func (r *Registry) getSubjects(*http.Request) (any, *registryError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{}
	for name := range r.subjects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (r *Registry) getVersions(req *http.Request) (any, *registryError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids, err := r.idsOf(req)
	if err != nil {
		return nil, err
	}
	versions := make([]int, len(ids))
	for i := range ids {
		versions[i] = i + 1
	}
	return versions, nil
}

func (r *Registry) getVersion(req *http.Request) (any, *registryError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids, err := r.idsOf(req)
	if err != nil {
		return nil, err
	}
	text := req.PathValue("version")
	version := len(ids)
	if text != "latest" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(ids) {
			return nil, &registryError{http.StatusNotFound, 40402, fmt.Sprintf("Version %s not found.", text)}
		}
		version = n
	}
	return r.versioned(req.PathValue("subject"), version), nil
}

// idsOf returns the ids of a subject's versions.
func (r *Registry) idsOf(req *http.Request) ([]int32, *registryError) {
	subject := req.PathValue("subject")
	ids, ok := r.subjects[subject]
	if !ok {
		return nil, &registryError{http.StatusNotFound, 40401, fmt.Sprintf("Subject '%s' not found.", subject)}
	}
	return ids, nil
}

type subjectVersion struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int32  `json:"id"`
	registered
}

func (r *Registry) versioned(subject string, version int) subjectVersion {
	id := r.subjects[subject][version-1]
	return subjectVersion{subject, version, id, r.schemas[id-FirstSchemaID]}
}

func readSchema(req *http.Request) (registered, *registryError) {
	var s registered
	if err := json.NewDecoder(http.MaxBytesReader(nil, req.Body, 1<<20)).Decode(&s); err != nil || s.Schema == "" {
		return s, &registryError{http.StatusUnprocessableEntity, 42201, "Invalid schema"}
	}
	if s.SchemaType == "AVRO" {
		s.SchemaType = ""
	}
	return s, nil
}

func (r *Registry) register(req *http.Request) (any, *registryError) {
	s, bad := readSchema(req)
	if bad != nil {
		return nil, bad
	}
	id := r.add(req.PathValue("subject"), s)
	return map[string]int32{"id": id}, nil
}

// lookUp answers whether a subject has a schema already.
func (r *Registry) lookUp(req *http.Request) (any, *registryError) {
	s, bad := readSchema(req)
	if bad != nil {
		return nil, bad
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ids, err := r.idsOf(req)
	if err != nil {
		return nil, err
	}
	at := slices.Index(ids, int32(FirstSchemaID+r.find(s)))
	if at < 0 {
		return nil, &registryError{http.StatusNotFound, 40403, "Schema not found"}
	}
	return r.versioned(req.PathValue("subject"), at+1), nil
}
