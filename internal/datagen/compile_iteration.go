package datagen

import (
	"encoding/binary"
	"math"
	"strconv"
)

// iteration returns the step of a value that counts.
func (c *compiler) iteration(s *Schema, m map[string]any, where string) step {
	c.exclusive(m, where, "iteration", "length", "regex", "options", "range")
	t, ok := m["iteration"].(map[string]any)
	if !ok {
		c.fault(where, "iteration prop must be an object, was %s instead", typeOfJSON(m["iteration"]))
		return nothing
	}
	g := c.g
	switch s.kind {
	case kindBoolean:
		return c.booleanIteration(t, where)
	case kindInt:
		if i := c.integralIteration(t, math.MinInt32, math.MaxInt32, where); i != nil {
			return func(dst []byte) []byte { return binary.AppendVarint(dst, int64(int32(i.next()))) }
		}
	case kindLong:
		if i := c.integralIteration(t, math.MinInt64, math.MaxInt64, where); i != nil {
			return func(dst []byte) []byte { return binary.AppendVarint(dst, i.next()) }
		}
	case kindString:
		prefix, suffix := c.affixes(m, where)
		if i := c.integralIteration(t, math.MinInt32, math.MaxInt32, where); i != nil {
			return g.text(func(dst []byte) []byte { return strconv.AppendInt(dst, int64(int32(i.next())), 10) }, prefix, suffix)
		}
	case kindFloat:
		if i := c.decimalIteration(t, math.MaxFloat32, where); i != nil {
			return func(dst []byte) []byte { return appendFloat(dst, float32(i.next(32))) }
		}
	case kindDouble:
		if i := c.decimalIteration(t, math.MaxFloat64, where); i != nil {
			return func(dst []byte) []byte { return appendDouble(dst, i.next(64)) }
		}
	default:
		c.fault(where, "iteration property can only be specified on numeric, boolean or string schemas, not %s schema", s.kind)
	}
	return nothing
}

func (c *compiler) booleanIteration(t map[string]any, where string) step {
	start, ok := t["start"].(bool)
	switch {
	case t["start"] == nil:
		c.fault(where, "iteration property must contain start field")
	case !ok:
		c.fault(where, "start field of iteration property for a boolean schema must be a boolean, was %s instead", typeOfJSON(t["start"]))
	}
	for _, key := range []string{"restart", "step"} {
		if has(t, key) {
			c.fault(where, "iteration property cannot contain %s field for a boolean schema", key)
		}
	}
	next := start != (c.o.Iteration%2 == 1)
	return func(dst []byte) []byte {
		dst = appendBool(dst, next)
		next = !next
		return dst
	}
}

// An iterated is what an iteration property says, with the defaults of what it leaves out.
type iterated[T int64 | float64] struct{ start, restart, step, initial T }

// readIteration reads an iteration property by value, which reports what is no number of the type; end is the default of restart, by the
// step. It is false after a fault.
func readIteration[T int64 | float64](c *compiler, where string, value func(key string) (T, bool), end func(step T) T) (i iterated[T], ok bool) {
	before := len(c.faults)
	var hasStart, hasRestart, hasStep, hasInitial bool
	i.start, hasStart = value("start")
	i.restart, hasRestart = value("restart")
	i.step, hasStep = value("step")
	i.initial, hasInitial = value("initial")
	c.checkIteration(where, hasStart, hasRestart, hasStep, i.step == 0, signOf(i.start, i.restart), signOf(0, i.step))
	if len(c.faults) > before {
		return i, false
	}
	if !hasInitial {
		i.initial = i.start
	}
	if !hasStep {
		if i.step = 1; hasRestart && i.restart < i.start {
			i.step = -1
		}
	}
	if !hasRestart {
		i.restart = end(i.step)
	}
	if i.start == i.restart {
		c.fault(where, "start and restart fields of iteration property cannot be equal")
		return i, false
	}
	return i, true
}

// integralIteration returns the iteration of an integral type with these ends; nil after a fault.
func (c *compiler) integralIteration(t map[string]any, least, most int64, where string) *integralIteration {
	value := func(key string) (int64, bool) { return c.integer(t, "iteration", key, least, most, where) }
	i, ok := readIteration(c, where, value, func(step int64) int64 {
		if step < 0 {
			// Upstream takes minus the least value as the lower end. Of int that is one above its greatest value, of long the least itself.
			return -least
		}
		return most
	})
	if !ok {
		return nil
	}
	return newIntegral(i.start, i.restart, i.step, i.initial, c.o.Iteration)
}

func signOf[T int64 | float64](from, to T) int {
	switch {
	case from < to:
		return 1
	case from > to:
		return -1
	}
	return 0
}

// checkIteration reports what does not fit together; direction is the sign of restart - start, sign that of step.
func (c *compiler) checkIteration(where string, hasStart, hasRestart, hasStep, zero bool, direction, sign int) {
	if !hasStart {
		c.fault(where, "iteration property must contain start field")
		return
	}
	if hasStep && zero {
		c.fault(where, "step field of iteration property cannot be zero")
		return
	}
	if hasRestart && direction == 0 {
		c.fault(where, "start and restart fields of iteration property cannot be equal")
		return
	}
	if hasRestart && hasStep && direction != sign {
		want, than := "positive", "greater"
		if direction < 0 {
			want, than = "negative", "less"
		}
		c.fault(where, "step field of iteration property must be %s when restart field is %s than start field", want, than)
	}
}

// decimalIteration is the same of a floating-point type.
func (c *compiler) decimalIteration(t map[string]any, most float64, where string) *decimalIteration {
	value := func(key string) (float64, bool) { return c.number(t, "iteration", key, most, where) }
	i, ok := readIteration(c, where, value, func(float64) float64 { return most }) // in both directions: minus the least value
	if !ok {
		return nil
	}
	return newDecimal(i.start, i.restart, i.step, i.initial, c.o.Iteration)
}
