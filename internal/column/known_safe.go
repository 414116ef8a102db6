//go:build purego || !(amd64 || arm64)

package column

// known writes the entries of the first spans' values into out, up to the first value that is not in the slot that its hash names, and
// returns how many. Slack bytes past each value must be readable.
func (d *Dict) known(buf []byte, spans []Span, out []uint32) int {
	slots, mask, key := d.slots, d.mask, d.key
	for r, s := range spans {
		off, n := int(s.Off), int(s.Len)
		var lo, hi, h uint64
		if n <= 16 {
			lo, hi, h = key.short((*[16]byte)(buf[off:]), n)
		} else {
			lo, hi, h = key.long(buf[off : off+n])
		}
		t := &slots[h&mask]
		if t.lo != lo || t.hi != hi || t.len1 != uint32(n+1) || n > 16 && !d.is(t.entry, buf[off:off+n]) {
			return r
		}
		out[r] = t.entry
	}
	return len(spans)
}
