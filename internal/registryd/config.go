package registryd

import (
	"slices"
	"strings"
)

// A config is what the journal keeps of a CONFIG record, and what the API answers.
type config struct {
	Level     string `json:"compatibilityLevel,omitempty"`
	Normalize *bool  `json:"normalize,omitempty"`
}

// A configUpdate is the body of PUT /config and its echo: like config, but for the name of its first member.
type configUpdate struct {
	Level     string `json:"compatibility,omitempty"`
	Normalize *bool  `json:"normalize,omitempty"`

	// These are known to Confluent's registry and refused here.
	Alias            *string   `json:"alias,omitempty"`
	Group            *string   `json:"compatibilityGroup,omitempty"`
	ValidateFields   *bool     `json:"validateFields,omitempty"`
	ValidateNames    *bool     `json:"validateNames,omitempty"`
	Policy           *string   `json:"compatibilityPolicy,omitempty"`
	DefaultMetadata  *metadata `json:"defaultMetadata,omitempty"`
	OverrideMetadata *metadata `json:"overrideMetadata,omitempty"`
	DefaultRuleSet   *ruleSet  `json:"defaultRuleSet,omitempty"`
	OverrideRuleSet  *ruleSet  `json:"overrideRuleSet,omitempty"`
}

const backward = "BACKWARD"

// levels are the compatibility levels.
func levels() []string {
	return []string{"NONE", backward, "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}
}

// configOf is the config that applies to s: of the nearest scope that has one, its gaps filled from the next.
func (st *state) configOf(s subject) config {
	var c config
	for _, scope := range s.scopes() {
		own, ok := st.configs[scope]
		if !ok {
			continue
		}
		if c.Level == "" {
			c.Level = own.Level
		}
		if c.Normalize == nil {
			c.Normalize = own.Normalize
		}
	}
	if c.Level == "" {
		c.Level = backward
	}
	return c
}

func (c config) normalizes() bool { return c.Normalize != nil && *c.Normalize }

func getConfig(st *state, q *request) outcome {
	s := q.scope()
	if err := s.checkScope(); err != nil {
		return fail(err)
	}
	own, ok := st.configs[s]
	switch {
	case q.isAll() || q.flag("defaultToGlobal"):
		return outcome{body: st.configOf(s)}
	case !ok:
		return fail(failf(codeNoSubjectConfig, "Subject '%s' does not have subject-level compatibility configured", s))
	}
	return outcome{body: own}
}

// isAll says that a call of config or mode names no subject.
func (q *request) isAll() bool {
	_, named := q.path["subject"]
	return !named
}

func putConfig(st *state, q *request) outcome {
	s := q.scope()
	if err := s.checkScope(); err != nil {
		return fail(err)
	}
	var u configUpdate
	if err := parseBody(q.body, &u); err != nil {
		return fail(err)
	}
	if err := u.check(); err != nil {
		return fail(err)
	}
	if st.readOnly(s) {
		return fail(errReadOnly(s))
	}
	if len(st.configs) >= maxScopes {
		return fail(failf(codeTooLarge, "The registry has the config of %d subjects, which is its limit.", maxScopes))
	}
	c := st.configs[s]
	if u.Level != "" {
		c.Level = u.Level
	}
	if u.Normalize != nil {
		c.Normalize = u.Normalize
	}
	return outcome{body: u, records: []Record{scopedRecord(keyConfig, s, c)}}
}

func (u *configUpdate) check() *apiError {
	u.Level = strings.ToUpper(u.Level)
	if u.Level != "" && !slices.Contains(levels(), u.Level) || u.Level == "" && u.Normalize == nil && !u.refused() {
		return failf(codeInvalidLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, "+
			"forward_transitive, and full_transitive")
	}
	if u.refused() {
		return failf(codeNotPermitted, "This registry keeps compatibility and normalize only; alias, compatibilityGroup, compatibilityPolicy, "+
			"validateFields, validateNames, and default and override metadata and rule sets are not supported.")
	}
	return nil
}

// refused says that the update asks for something that this registry would not do.
func (u *configUpdate) refused() bool {
	return u.Alias != nil && *u.Alias != "" || u.Group != nil && *u.Group != "" || u.Policy != nil && *u.Policy != "STRICT" ||
		u.ValidateFields != nil && *u.ValidateFields || u.ValidateNames != nil && *u.ValidateNames ||
		u.DefaultMetadata != nil || u.OverrideMetadata != nil || u.DefaultRuleSet != nil || u.OverrideRuleSet != nil
}

func deleteConfig(st *state, q *request) outcome {
	s := q.scope()
	if err := s.checkScope(); err != nil {
		return fail(err)
	}
	if st.readOnly(s) {
		return fail(errReadOnly(s))
	}
	old, ok := st.configs[s]
	switch {
	case !ok && !q.isAll():
		return fail(errSubjectNotFound(s.String()))
	case !ok:
		return outcome{body: st.configOf(s)}
	}
	return outcome{body: old, records: []Record{scopedRecord(keyConfig, s, nil)}}
}
