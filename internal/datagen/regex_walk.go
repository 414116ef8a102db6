package datagen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// A regexState is a state of a minimal deterministic automaton. All of its moves lead to where the string can still end.
type regexState struct {
	accept bool
	moves  []regexMove // by character; what leads to one state by adjacent ranges is one move
}

type regexMove struct {
	charRange
	to int32
}

// A regex makes random strings that match, as Generex 1.0.2 does. The walk's draws depend on the automaton: the minimal one, which is
// unique.
type regex struct {
	states []regexState // the first one is where a string begins
	steps  int          // draws left for this string
	path   []uint16
}

// compileRegex returns the regex of a text. Its errors say what is wrong with the text.
func compileRegex(text string) (*regex, error) {
	x := newExprs()
	start, err := parseRegex(x, text)
	if err != nil {
		return nil, err
	}
	table, accepts, cuts, err := x.automaton(start)
	if err != nil {
		return nil, err
	}
	states := minimize(table, accepts, cuts)
	if len(states) == 0 {
		return nil, errors.New("no string matches it")
	}
	return &regex{states: states}, nil
}

// automaton follows the derivatives of start: table[s][c] is the state after class c, whose first character is cuts[c].
func (x *exprs) automaton(start int32) (table [][]int32, accepts []bool, cuts []uint16, err error) {
	cuts = x.cuts()
	number := map[int32]int32{start: 0}
	order := []int32{start}
	for s := 0; s < len(order); s++ {
		row := make([]int32, len(cuts))
		for c, first := range cuts {
			d := x.derive(order[s], int32(c), first)
			if x.work > maxRegexWork {
				return nil, nil, nil, errors.New("it is too complex")
			}
			n, ok := number[d]
			if !ok {
				n = int32(len(order))
				number[d] = n
				order = append(order, d)
			}
			row[c] = n
		}
		table = append(table, row)
		accepts = append(accepts, x.nodes[order[s]].nullable)
		if len(order) > maxRegexStates {
			return nil, nil, nil, fmt.Errorf("its automaton has more than %d states", maxRegexStates)
		}
	}
	return table, accepts, cuts, nil
}

// minimize merges states that no string tells apart (Moore), and leaves out those from which no string ends. The first state stays the
// first; there is no state if nothing matches.
func minimize(table [][]int32, accepts []bool, cuts []uint16) []regexState {
	block := make([]int32, len(table))
	for s, accept := range accepts {
		if accept {
			block[s] = 1
		}
	}
	for blocks := 0; ; {
		numbers := map[string]int32{}
		next := make([]int32, len(table))
		var key []byte
		for s, row := range table {
			key = binary.BigEndian.AppendUint32(key[:0], uint32(block[s]))
			for _, to := range row {
				key = binary.BigEndian.AppendUint32(key, uint32(block[to]))
			}
			n, ok := numbers[string(key)]
			if !ok {
				n = int32(len(numbers))
				numbers[string(key)] = n
			}
			next[s] = n
		}
		block = next
		if len(numbers) == blocks {
			break
		}
		blocks = len(numbers)
	}
	merged := make([]int32, 0, len(table)) // a member of each block
	for s, b := range block {
		if int(b) == len(merged) {
			merged = append(merged, int32(s))
		}
	}
	live := liveBlocks(table, accepts, block, len(merged))
	if !live[0] {
		return nil
	}
	states := make([]regexState, len(merged))
	for b, s := range merged {
		states[b] = regexState{accept: accepts[s], moves: movesOf(table[s], block, live, cuts)}
	}
	return states
}

// liveBlocks says from which blocks a string can end.
func liveBlocks(table [][]int32, accepts []bool, block []int32, n int) []bool {
	live := make([]bool, n)
	from := make([][]int32, n) // the blocks before each
	var queue []int32
	for s, row := range table {
		for _, to := range row {
			from[block[to]] = append(from[block[to]], block[s])
		}
		if accepts[s] && !live[block[s]] {
			live[block[s]] = true
			queue = append(queue, block[s])
		}
	}
	for len(queue) > 0 {
		b := queue[0]
		queue = queue[1:]
		for _, f := range from[b] {
			if !live[f] {
				live[f] = true
				queue = append(queue, f)
			}
		}
	}
	return live
}

func movesOf(row, block []int32, live []bool, cuts []uint16) []regexMove {
	var moves []regexMove
	for c, to := range row {
		b := block[to]
		if !live[b] {
			continue
		}
		last := uint16(math.MaxUint16)
		if c+1 < len(cuts) {
			last = cuts[c+1] - 1
		}
		if n := len(moves); n > 0 && moves[n-1].to == b && moves[n-1].max+1 == cuts[c] {
			moves[n-1].max = last
			continue
		}
		moves = append(moves, regexMove{charRange{cuts[c], last}, b})
	}
	return slices.Clip(moves)
}

// errRegexLength says that no string of the wanted length was found. Generex would search for ever, or give a string of another length.
var errRegexLength = fmt.Errorf("no string of the wanted length after %d draws", maxRegexDraws)

// appendString appends a random string to dst, in UTF-8. Its length is in [least, most] if the walk finds such a string; else it is what
// the walk ended with, as in Generex.
func (x *regex) appendString(dst []byte, r *random, least, most int32) ([]byte, error) {
	x.steps = maxRegexDraws
	x.path = x.path[:0]
	if !x.walk(r, 0, int(least), int(most)) {
		return dst, errRegexLength
	}
	// A lone surrogate becomes a question mark, as in Java's encoder.
	for i := 0; i < len(x.path); i++ {
		c := rune(x.path[i])
		if utf16.IsSurrogate(c) {
			pair := utf8.RuneError
			if i+1 < len(x.path) {
				pair = utf16.DecodeRune(c, rune(x.path[i+1]))
			}
			if pair == utf8.RuneError {
				c = '?'
			} else {
				c = pair
				i++
			}
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst, nil
}

// walk goes on from a state, x.path being the string so far. In an accepting state the string may end: always at its greatest length, else,
// if it is long enough, unless the draw is at most 0.3 of the largest int (it is made in any case). Otherwise it takes a move that it has
// not tried yet and a character of it; if the whole string is then out of bounds, it tries another. It reports false when the draws are
// used up.
func (x *regex) walk(r *random, state int32, least, most int) bool {
	s := &x.states[state]
	here := len(x.path)
	var tried []bool
	for left, result := len(s.moves), -1; left > 0 && (result < least || result > most); result = len(x.path) {
		if x.steps--; x.steps < 0 {
			return false
		}
		if s.accept && (here == most || float64(r.nextInt()) > 0.3*math.MaxInt32 && here >= least) {
			x.path = x.path[:here]
			return true
		}
		i := r.intn(int32(len(s.moves)))
		if len(s.moves) > 1 {
			if tried == nil {
				tried = make([]bool, len(s.moves))
			}
			if tried[i] {
				continue
			}
			tried[i] = true
		}
		left--
		m := s.moves[i]
		c := m.min + uint16(r.intn(int32(m.max)-int32(m.min)+1))
		x.path = append(x.path[:here], c)
		if !x.walk(r, m.to, least, most) {
			return false
		}
	}
	return true
}
