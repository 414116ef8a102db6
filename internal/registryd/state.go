package registryd

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/siltlake/silt/internal/registryd/avroschema"
)

// A state is everything that the journal's records say. Only apply changes it. Versions and contents are never changed once they are in
// it, so that an answer may be written while the next record is applied; lists of them are, and no answer holds one.
type state struct {
	contexts map[string]*contextState // by name
	subjects map[string]*subjectState // by qualified name
	configs  map[subject]config
	modes    map[subject]string
	versions int   // of all subjects, deleted ones too
	bytes    int64 // of their schemas' texts
	parsed   *parseCache
}

func newState() *state {
	return &state{
		contexts: map[string]*contextState{}, subjects: map[string]*subjectState{},
		configs: map[subject]config{}, modes: map[subject]string{}, parsed: newParseCache(),
	}
}

// A contextState is a name space of schema ids.
type contextState struct {
	maxID  int32 // the highest that was ever given out
	byID   map[int32]*content
	byGUID map[guid]*content
}

// A content is what an id means. Its uses are those of the subjects' versions; it is forgotten with the last.
type content struct {
	id   int32
	guid guid
	schema
	uses []*version

	once     sync.Once
	resolved guid // see resolvedGUID
}

// A schema is what clients register: the text with what belongs to it.
type schema struct {
	typ        string // AVRO; JSON and PROTOBUF come from journals of other registries only
	text       string
	references []reference
	metadata   *metadata
	ruleSet    *ruleSet
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int32  `json:"version"`
}

type subjectState struct {
	subject  subject
	versions []*version // ascending
}

type version struct {
	subject subject
	number  int32
	content *content
	deleted bool
	time    int64 // of its last record, in ms since 1970
}

// live are the versions that were not deleted.
func (s *subjectState) live() []*version {
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.versions), func(v *version) bool { return v.deleted })
}

func (s *subjectState) latest() *version {
	if s == nil {
		return nil
	}
	for _, v := range slices.Backward(s.versions) {
		if !v.deleted {
			return v
		}
	}
	return nil
}

// at returns a version, deleted or not, or nil.
func (s *subjectState) at(number int32) *version {
	if s == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.versions, number, func(v *version, n int32) int { return cmp.Compare(v.number, n) })
	if !ok {
		return nil
	}
	return s.versions[i]
}

func (st *state) subject(s subject) *subjectState { return st.subjects[s.String()] }

// contextNames are the contexts that hold schemas, after the default one, which is always there.
func (st *state) contextNames() []string {
	names := map[string]bool{}
	for _, s := range st.subjects {
		names[s.subject.context] = true
	}
	delete(names, defaultContext)
	return append([]string{defaultContext}, slices.Sorted(maps.Keys(names))...)
}

// anywhere yields s, and if it is in the default context and unknown there, its namesakes in the other contexts: what a client that
// knows nothing of contexts may mean.
func (st *state) anywhere(s subject) []subject {
	out := []subject{s}
	if s.context == defaultContext {
		for _, c := range st.contextNames()[1:] {
			out = append(out, subject{c, s.name})
		}
	}
	return out
}

// A guid is a schema's identity in all registries: the MD5 of its content.
type guid [md5.Size]byte

func (g guid) String() string {
	h := hex.EncodeToString(g[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// guid hashes the content in the order that Confluent's client has (client, rest/entities/Schema.java updateHash).
func (s *schema) guid() guid {
	h := md5.New()
	h.Write([]byte(s.text))
	for _, r := range s.references {
		h.Write([]byte(r.Name))
		h.Write([]byte(r.Subject))
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(r.Version)))
	}
	if s.metadata != nil {
		h.Write([]byte{1})
		s.metadata.hash(h)
	}
	if s.ruleSet != nil {
		h.Write([]byte{1})
		text, _ := json.Marshal(s.ruleSet) // of strings, lists and maps of strings
		h.Write(text)
	}
	return guid(h.Sum(nil))
}

// size is what a version counts for in the limit of all.
func (s *schema) size() int64 { return int64(len(s.text)) }

// A parseCache keeps parsed schemas, since a register call compares with many. It is emptied when their texts exceed its limit. Its
// methods may be called concurrently.
type parseCache struct {
	mu     sync.Mutex
	parsed map[*content]*avroschema.Schema
	bytes  int
}

const maxCachedBytes = 8 << 20 // of texts; parsed they take some ten times as much

func newParseCache() *parseCache { return &parseCache{parsed: map[*content]*avroschema.Schema{}} }

func (c *parseCache) get(k *content) *avroschema.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parsed[k]
}

func (c *parseCache) put(k *content, s *avroschema.Schema) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes += len(k.text); c.bytes > maxCachedBytes {
		clear(c.parsed)
		c.bytes = len(k.text)
	}
	c.parsed[k] = s
}
