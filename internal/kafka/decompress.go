package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/siltlake/silt/internal/column"
)

// Compression codecs of a record batch (attributes, bits 0-2).
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// keptArena is the largest arena that an idle decompressor keeps: one huge batch shall not hold its memory for good.
const keptArena = 8 << 20

// errTooLarge says that a batch decompresses to more than the limit.
var errTooLarge = errors.New("it decompresses to more than the limit")

// A decompressor decompresses record batches into its arena, which it uses again and again: a fresh buffer a batch costs 30 % of the whole
// path (docs/adr/0002). It belongs to one goroutine at a time.
//
// The checksums inside lz4 and zstd frames are not compared: the batch's CRC-32C covers them.
type decompressor struct {
	arena []byte // column.Slack bytes of capacity past its length
	limit int    // most bytes of one batch
	zstd  *zstd.Decoder
	gzip  *gzip.Reader
	src   bytes.Reader
}

// add appends the decompressed payload to the arena and returns where it begins; it ends with the arena. After an error the arena is as
// before.
func (d *decompressor) add(codec int, payload []byte) (from int, err error) {
	from = len(d.arena)
	switch codec {
	case codecNone:
		d.grow(len(payload))
		d.arena = append(d.arena, payload...)
	case codecGzip:
		err = d.addGzip(payload)
	case codecSnappy:
		err = d.addSnappy(payload)
	case codecLZ4:
		err = d.addLZ4(payload)
	case codecZstd:
		err = d.addZstd(payload)
	default:
		err = fmt.Errorf("codec %d is not known", codec)
	}
	if err != nil {
		d.arena = d.arena[:from]
		return from, err
	}
	return from, nil
}

// reset empties the arena.
func (d *decompressor) reset() { d.arena = d.arena[:0] }

// shrink gives an arena back that grew beyond what is usual.
func (d *decompressor) shrink() {
	if cap(d.arena) > keptArena {
		d.arena = nil
	}
}

// grow makes room for n bytes and the slack past the arena's end.
func (d *decompressor) grow(n int) {
	need := len(d.arena) + n + column.Slack
	if cap(d.arena) >= need {
		return
	}
	a := make([]byte, len(d.arena), max(need, min(2*cap(d.arena), need+keptArena), 128<<10))
	copy(a, d.arena)
	d.arena = a
}

// room is the free part of the arena, without the slack.
func (d *decompressor) room() []byte {
	n := len(d.arena)
	return d.arena[n:max(n, cap(d.arena)-column.Slack)]
}

func (d *decompressor) addGzip(payload []byte) error {
	d.src.Reset(payload)
	var err error
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(&d.src)
	} else {
		err = d.gzip.Reset(&d.src)
	}
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	from := len(d.arena)
	for {
		d.grow(4 << 10)
		n, err := d.gzip.Read(d.room())
		d.arena = d.arena[:len(d.arena)+n]
		if len(d.arena)-from > d.limit {
			return errTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
	}
}

// zstdWindow is the largest window that every decoder must take (RFC 8878, 3.1.1.1.2).
const zstdWindow = 8 << 20

func (d *decompressor) addZstd(payload []byte) error {
	if d.zstd == nil {
		// The library limits a frame's window too, which says nothing of its size: streams declare 8 MiB.
		most := uint64(max(d.limit, zstdWindow))
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.IgnoreChecksum(true), zstd.WithDecoderMaxMemory(most))
		if err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
		d.zstd = z
	}
	d.grow(0)
	out, err := d.zstd.DecodeAll(payload, d.arena)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), err == nil && len(out)-len(d.arena) > d.limit:
		return errTooLarge
	case err != nil:
		return fmt.Errorf("zstd: %w", err)
	}
	d.arena = out
	d.grow(0)
	return nil
}

// xerialMagic begins what Java's snappy-java writes: 16 bytes of header, then blocks, each with its length before it.
var xerialMagic = []byte("\x82SNAPPY\x00")

const xerialHeaderLen = 16

func (d *decompressor) addSnappy(payload []byte) error {
	if !bytes.HasPrefix(payload, xerialMagic) {
		return d.addSnappyBlock(payload, d.limit)
	}
	if len(payload) < xerialHeaderLen {
		return errors.New("snappy: the header is cut off")
	}
	from := len(d.arena)
	for rest := payload[xerialHeaderLen:]; len(rest) > 0; {
		if len(rest) < 4 {
			return errors.New("snappy: a block's length is cut off")
		}
		n := int64(binary.BigEndian.Uint32(rest))
		if rest = rest[4:]; n > int64(len(rest)) {
			return fmt.Errorf("snappy: a block of %d bytes in %d", n, len(rest))
		}
		if err := d.addSnappyBlock(rest[:n], d.limit-(len(d.arena)-from)); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func (d *decompressor) addSnappyBlock(block []byte, limit int) error {
	n, err := s2.DecodedLen(block)
	if err != nil {
		return fmt.Errorf("snappy: %w", err)
	}
	if n > limit {
		return errTooLarge
	}
	d.grow(n)
	out, err := s2.Decode(d.room()[:n], block)
	if err != nil {
		return fmt.Errorf("snappy: %w", err)
	}
	d.arena = d.arena[:len(d.arena)+len(out)]
	return nil
}

// The lz4 frame format (lz4_Frame_format.md): magic, descriptor (flags, block size, [content size], [dictionary id], its checksum), blocks
// (size, data, [checksum]), a zero size, [content checksum].
const (
	lz4Magic          = 0x184D2204
	lz4VersionMask    = 0xC0
	lz4Version        = 0x40
	lz4Independent    = 0x20
	lz4BlockChecksum  = 0x10
	lz4ContentSize    = 0x08
	lz4DictionaryID   = 0x01
	lz4Raw            = 1 << 31 // in a block's size: stored as it is
	lz4Window         = 64 << 10
	lz4MostRatio      = 255 // of a block: a length byte of 255 stands for 255 bytes
	lz4SmallestLength = 7   // of a frame's header
)

// addLZ4 walks the frame itself and decodes its blocks straight into the arena.
func (d *decompressor) addLZ4(b []byte) error {
	if len(b) < lz4SmallestLength || binary.LittleEndian.Uint32(b) != lz4Magic {
		return errors.New("lz4: no frame begins here")
	}
	flags, code := b[4], int(b[5]>>4&7)
	if flags&lz4VersionMask != lz4Version || code < 4 || flags&lz4DictionaryID != 0 {
		return fmt.Errorf("lz4: flags %02x and block size %d are not supported", flags, code)
	}
	blockMax, pos := 1<<(8+2*code), lz4SmallestLength
	if flags&lz4ContentSize != 0 {
		pos += 8
	}
	from := len(d.arena)
	for {
		if len(b) < pos+4 {
			return errors.New("lz4: the frame is cut off")
		}
		size := binary.LittleEndian.Uint32(b[pos:])
		if pos += 4; size == 0 {
			return nil
		}
		n := int64(size &^ lz4Raw)
		if n > int64(len(b)-pos) || n > int64(blockMax) {
			return fmt.Errorf("lz4: a block of %d bytes in %d, at most %d", n, len(b)-pos, blockMax)
		}
		block := b[pos : pos+int(n)]
		pos += int(n)
		if flags&lz4BlockChecksum != 0 {
			pos += 4
		}
		if size&lz4Raw != 0 {
			d.grow(len(block))
			d.arena = append(d.arena, block...)
		} else if err := d.addLZ4Block(block, from, blockMax, flags&lz4Independent == 0); err != nil {
			return err
		}
		if len(d.arena)-from > d.limit {
			return errTooLarge
		}
	}
}

// addLZ4Block decodes one block. Its size is not known before: the arena grows until it fits, which happens for the first batches only,
// since the arena stays as large as it is.
func (d *decompressor) addLZ4Block(block []byte, from, blockMax int, linked bool) error {
	most := min(blockMax, lz4MostRatio*len(block)+lz4SmallestLength)
	d.grow(min(most, 4*len(block)))
	for {
		room := d.room()
		if len(room) > most {
			room = room[:most]
		}
		var n int
		var err error
		if at := len(d.arena); linked && at > from {
			n, err = lz4.UncompressBlockWithDict(block, room, d.arena[max(from, at-lz4Window):at])
		} else {
			n, err = lz4.UncompressBlock(block, room)
		}
		if err == nil {
			d.arena = d.arena[:len(d.arena)+n]
			return nil
		}
		if len(room) >= most {
			return fmt.Errorf("lz4: %w", err)
		}
		if len(d.arena)-from+len(room) > d.limit {
			return errTooLarge
		}
		d.grow(min(most, 2*len(room)+lz4Window))
	}
}
