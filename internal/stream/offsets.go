package stream

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
)

// Offsets are positions in topics: for each partition the offset of the next record to read, as in Spark's offset log (the last record
// has offset 5: 6). The nil map has no partition.
type Offsets map[string]map[int32]int64

// Set sets the offset of a partition; o must not be nil.
func (o Offsets) Set(topic string, partition int32, offset int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = offset
}

// Get returns the offset of a partition.
func (o Offsets) Get(topic string, partition int32) (int64, bool) {
	v, ok := o[topic][partition]
	return v, ok
}

// Clone returns a copy.
func (o Offsets) Clone() Offsets {
	c := make(Offsets, len(o))
	for t, p := range o {
		c[t] = maps.Clone(p)
	}
	return c
}

// Equal says whether both hold the same partitions at the same offsets.
func (o Offsets) Equal(p Offsets) bool { return maps.EqualFunc(o, p, maps.Equal) }

// All yields the partitions in order of topic and number.
func (o Offsets) All() iter.Seq2[TopicPartition, int64] {
	return func(yield func(TopicPartition, int64) bool) {
		for _, t := range slices.Sorted(maps.Keys(o)) {
			for _, p := range slices.Sorted(maps.Keys(o[t])) {
				if !yield(TopicPartition{t, p}, o[t][p]) {
					return
				}
			}
		}
	}
}

// A TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (tp TopicPartition) String() string { return tp.Topic + "-" + strconv.Itoa(int(tp.Partition)) }

// An Order is the order in which Spark prints the keys of offset JSON. Spark compares offsets as text, so a checkpoint keeps the order
// that it has (scala.collection.mutable.HashMap).
type Order uint8

const (
	// Scala213 is the order of Spark 4's mutable.HashMap: what silt writes to a new checkpoint.
	Scala213 Order = iota
	// Scala212 is the order of Spark 3's.
	Scala212
)

// JSON returns the offsets as Spark prints them: compact, partitions as strings, keys in the order.
func (o Offsets) JSON(order Order) string {
	b := []byte{'{'}
	topics := slices.Collect(maps.Keys(o))
	slices.Sort(topics)
	for i, k := range order.arrange(len(topics), func(i int) uint32 { return javaHash(topics[i]) }) {
		if i > 0 {
			b = append(b, ',')
		}
		t := topics[k]
		name, _ := json.Marshal(t) // topic names are [a-zA-Z0-9._-]
		b = append(append(b, name...), ':', '{')
		parts := slices.Sorted(maps.Keys(o[t]))
		for j, k := range order.arrange(len(parts), func(i int) uint32 { return uint32(parts[i]) }) {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = strconv.AppendInt(b, int64(parts[k]), 10)
			b = append(b, '"', ':')
			b = strconv.AppendInt(b, o[t][parts[k]], 10)
		}
		b = append(b, '}')
	}
	return string(append(b, '}'))
}

// MarshalJSON gives Spark 4's text.
func (o Offsets) MarshalJSON() ([]byte, error) { return []byte(o.JSON(Scala213)), nil }

// OrderOf returns the order in which text, the JSON of o, was printed; Scala213 if it fits both or neither.
func OrderOf(text string, o Offsets) Order {
	if text != o.JSON(Scala213) && text == o.JSON(Scala212) {
		return Scala212
	}
	return Scala213
}

// ParseOffsets reads offset JSON in any order. Duplicate keys, trailing data, negative partitions and offsets below Earliest are errors.
func ParseOffsets(text []byte) (Offsets, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	o := Offsets{}
	err := object(d, func(topic string) error {
		if _, ok := o[topic]; ok {
			return fmt.Errorf("topic %s occurs twice", topic)
		}
		o[topic] = map[int32]int64{}
		return object(d, func(key string) error {
			p, err := strconv.ParseInt(key, 10, 32)
			if err != nil || p < 0 {
				return fmt.Errorf("topic %s: partition %q is not a number", topic, key)
			}
			if _, ok := o[topic][int32(p)]; ok {
				return fmt.Errorf("topic %s: partition %d occurs twice", topic, p)
			}
			t, err := d.Token()
			if err != nil {
				return err
			}
			n, ok := t.(json.Number)
			if !ok {
				return fmt.Errorf("topic %s: offset of partition %d is %v", topic, p, t)
			}
			v, err := strconv.ParseInt(n.String(), 10, 64)
			if err != nil || v < Earliest {
				return fmt.Errorf("topic %s: offset of partition %d is %s", topic, p, n)
			}
			o[topic][int32(p)] = v
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("offsets: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("offsets: data after the closing brace")
	}
	return o, nil
}

// Offsets that stand for a position (startingOffsets).
const (
	Latest   int64 = -1
	Earliest int64 = -2
)

// object reads a JSON object; value is called with each key and reads its value.
func object(d *json.Decoder, value func(key string) error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%v is not an object", t)
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return err
		}
		if err := value(k.(string)); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// javaHash is java.lang.String.hashCode of an ASCII string.
func javaHash(s string) uint32 {
	var h uint32
	for _, c := range []byte(s) {
		h = 31*h + uint32(c)
	}
	return h
}

// arrange returns the indices 0..n-1 in the order of iteration of the Scala hash map that holds keys of these hashes.
func (order Order) arrange(n int, hash func(int) uint32) []int {
	type entry struct {
		bucket, hash uint32
		index        int
	}
	capacity := 16
	if order == Scala213 {
		for size := 0; size < n; size++ { // mutable.HashMap grows before it adds, at 3/4
			if 4*(size+1) >= 3*capacity {
				capacity *= 2
			}
		}
	} else {
		for size := 1; size <= n; size++ { // HashTable grows after it added, beyond 3/4
			if size > capacity*3/4 {
				capacity *= 2
			}
		}
	}
	es := make([]entry, n)
	for i := range es {
		h := hash(i)
		if order == Scala213 {
			h ^= h >> 16
			es[i] = entry{h & uint32(capacity-1), h, i}
		} else {
			es[i] = entry{bucket212(h, capacity), h, i}
		}
	}
	slices.SortStableFunc(es, func(a, b entry) int {
		if order == Scala212 {
			return cmp.Compare(b.bucket, a.bucket)
		}
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.hash, b.hash))
	})
	out := make([]int, n)
	for i, e := range es {
		out[i] = e.index
	}
	return out
}

// bucket212 is scala.collection.mutable.HashTable.index of Scala 2.12.
func bucket212(h uint32, capacity int) uint32 {
	const prime = 0x9e3775cd
	v := h * prime
	v = (v>>24 | v>>8&0xff00 | v<<8&0xff0000 | v<<24) * prime
	ones, zeros := 0, 32 // of capacity-1
	for c := capacity - 1; c > 0; c >>= 1 {
		ones++
		zeros--
	}
	rotated := v>>ones | v<<(32-ones)
	return rotated >> zeros & uint32(capacity-1)
}
