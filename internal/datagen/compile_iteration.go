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

// integralIteration returns the iteration of an integral type with these ends; nil after a fault.
func (c *compiler) integralIteration(t map[string]any, least, most int64, where string) *integralIteration {
	before := len(c.faults)
	value := func(key string) (int64, bool) { return c.integer(t, "iteration", key, least, most, where) }
	start, hasStart := value("start")
	restart, hasRestart := value("restart")
	step, hasStep := value("step")
	initial, hasInitial := value("initial")
	c.checkIteration(where, hasStart, hasRestart, hasStep, step == 0, signOf(start, restart), signOf(0, step))
	if len(c.faults) > before {
		return nil
	}
	if !hasInitial {
		initial = start
	}
	if !hasStep {
		if step = 1; hasRestart && restart < start {
			step = -1
		}
	}
	if !hasRestart {
		// Upstream takes minus the least value as the lower end. Of int that is one above its greatest value, of long the least itself.
		if restart = most; step < 0 {
			restart = -least
		}
	}
	if start == restart {
		c.fault(where, "start and restart fields of iteration property cannot be equal")
		return nil
	}
	return newIntegral(start, restart, step, initial, c.o.Iteration)
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

func (c *compiler) decimalIteration(t map[string]any, most float64, where string) *decimalIteration {
	before := len(c.faults)
	value := func(key string) (float64, bool) { return c.number(t, "iteration", key, most, where) }
	start, hasStart := value("start")
	restart, hasRestart := value("restart")
	step, hasStep := value("step")
	initial, hasInitial := value("initial")
	c.checkIteration(where, hasStart, hasRestart, hasStep, step == 0, signOf(start, restart), signOf(0, step))
	if len(c.faults) > before {
		return nil
	}
	if !hasInitial {
		initial = start
	}
	if !hasStep {
		if step = 1; hasRestart && restart < start {
			step = -1
		}
	}
	if !hasRestart {
		restart = most // in both directions: minus the least value
	}
	if start == restart {
		c.fault(where, "start and restart fields of iteration property cannot be equal")
		return nil
	}
	return newDecimal(start, restart, step, initial, c.o.Iteration)
}
