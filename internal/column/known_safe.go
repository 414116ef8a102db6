//go:build purego || !(amd64 || arm64)

package column

// known writes the entries of the first spans' values into out, up to the first value that is not in the slot that its hash names, and
// returns how many. Slack bytes past each value must be readable.
func (d *Dict) known(buf []byte, spans []Span, out []uint32) int {
	slots, mask, key := d.slots, d.mask, d.key
	for r, s := range spans {
		lo, hi, h := key.place(buf, s)
		t := &slots[h&mask]
		if t.lo != lo || t.len1 != s.Len+1 || s.Len <= 16 && t.hi != hi || s.Len > 16 && !d.is(t, buf[s.Off:s.Off+s.Len]) {
			return r
		}
		out[r] = t.entry
	}
	return len(spans)
}
