package registryd

import (
	"net/http"
	"net/url"
	"strings"
)

// A decision is what a call comes to on a state, which it does not change.
type decision func(*state, *request) outcome

// A route is a method and a path, whose parts in braces are taken for the request. One that writes waits for its turn.
type route struct {
	method string
	parts  []string
	decide decision
	writes bool
}

// routes is the API (Confluent's Schema Registry API; docs of version 8).
func routes() []route {
	const (
		get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
		subjects            = "/subjects/{subject}"
		versions            = subjects + "/versions"
	)
	var all []route
	on := func(method, path string, decide decision) {
		all = append(all, route{method: method, parts: split(path), decide: decide})
	}
	write := func(method, path string, decide decision) {
		on(method, path, decide)
		all[len(all)-1].writes = true
	}
	on(get, "/", getRoot)
	on(post, "/", getRoot)
	on(get, "/subjects", listSubjects)
	on(post, subjects, lookUp)
	write(del, subjects, deleteSubject)
	on(get, subjects+"/metadata", getByMetadata)
	on(get, versions, listVersions)
	write(post, versions, register)
	on(get, versions+"/{version}", getVersion)
	write(del, versions+"/{version}", deleteVersion)
	on(get, versions+"/{version}/schema", getVersionText)
	on(get, versions+"/{version}/referencedby", getReferrers)
	on(get, "/schemas", listSchemas)
	on(get, "/schemas/types", getTypes)
	on(get, "/schemas/ids/{id}", getID)
	on(get, "/schemas/ids/{id}/schema", getIDText)
	on(get, "/schemas/ids/{id}/subjects", getIDSubjects)
	on(get, "/schemas/ids/{id}/versions", getIDVersions)
	on(get, "/schemas/guids/{guid}", getGUID)
	on(get, "/schemas/guids/{guid}/ids", getGUIDIDs)
	for _, scope := range []string{"", "/{subject}"} {
		on(get, "/config"+scope, getConfig)
		write(put, "/config"+scope, putConfig)
		write(del, "/config"+scope, deleteConfig)
		on(get, "/mode"+scope, getMode)
		write(put, "/mode"+scope, putMode)
		write(del, "/mode"+scope, deleteMode)
	}
	on(post, "/compatibility"+versions, checkAll)
	on(post, "/compatibility"+versions+"/{version}", checkVersion)
	on(get, "/contexts", getContexts)
	write(del, "/contexts/{context}", deleteContext)
	on(get, "/associations/resources/{namespace}/{resource}", getAssociations)
	on(get, "/associations/subjects/{resource}", getAssociations)
	on(get, "/associations/resources/{resource}", getAssociations)
	return all
}

func split(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// take matches the parts of a path, which are still escaped: a subject may have a slash in its name.
func (rt *route) take(parts []string) (map[string]string, bool) {
	if len(parts) != len(rt.parts) {
		return nil, false
	}
	values := map[string]string{}
	for i, want := range rt.parts {
		got, err := url.PathUnescape(parts[i])
		if err != nil {
			return nil, false
		}
		if strings.HasPrefix(want, "{") {
			values[want[1:len(want)-1]] = got
		} else if want != got {
			return nil, false
		}
	}
	return values, true
}

// dispatch finds the route of a request. A path below /contexts/{context} is that of the rest, within the context.
func (r *Registry) dispatch(method, path string) (*route, *request, *apiError) {
	q := &request{}
	parts := split(path)
	if len(parts) > 2 && parts[0] == "contexts" {
		name, err := url.PathUnescape(parts[1])
		if err != nil {
			return nil, nil, errStatus(http.StatusNotFound)
		}
		context, fault := parseContext(name)
		if fault != nil {
			return nil, nil, fault
		}
		q.context, parts = context, parts[2:]
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	status := http.StatusNotFound
	for i := range r.routes {
		rt := &r.routes[i]
		values, ok := rt.take(parts)
		if !ok {
			continue
		}
		if rt.method == method {
			q.path = values
			return rt, q, nil
		}
		status = http.StatusMethodNotAllowed
	}
	return nil, nil, errStatus(status)
}
