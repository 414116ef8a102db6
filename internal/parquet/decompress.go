package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxPageBytes bounds a page that is read: writers end pages at about 1 MiB.
const maxPageBytes = 1 << 30

// codecHadoopLZ4 is LZ4 in Hadoop's frames, which parquet-mr wrote before LZ4_RAW.
const codecHadoopLZ4 = 5

// A decompressor opens pages. It belongs to one goroutine.
type decompressor struct {
	zstd *zstd.Decoder
	gzip *gzip.Reader
	buf  []byte
}

// open returns the page, which has so many bytes when open. The result is valid until the next call, if keep is set for ever, and src
// itself where there is no codec.
func (d *decompressor) open(codec int32, src []byte, size int64, keep bool) ([]byte, error) {
	if codec == codecNumbers[Uncompressed] {
		if int64(len(src)) != size {
			return nil, corrupt("a page has %d bytes instead of %d", len(src), size)
		}
		return src, nil
	}
	if size > maxPageBytes {
		return nil, fmt.Errorf("%w: a page of %d bytes", ErrUnsupported, size)
	}
	if size == 0 {
		return nil, nil // data page v2 of nulls only: not even a frame
	}
	buf := d.buf[:0]
	if keep {
		buf = nil
	}
	out, err := d.decompress(codec, buf, src, int(size))
	if err != nil {
		return nil, err
	}
	if int64(len(out)) != size {
		return nil, corrupt("a page has %d bytes instead of %d", len(out), size)
	}
	if !keep {
		d.buf = out
	}
	return out, nil
}

func (d *decompressor) decompress(codec int32, buf, src []byte, size int) ([]byte, error) {
	switch codec {
	case codecNumbers[Zstd]:
		if d.zstd == nil {
			var err error
			if d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPageBytes)); err != nil {
				return nil, err
			}
		}
		out, err := d.zstd.DecodeAll(src, buf)
		if err != nil {
			return nil, corrupt("zstd: %v", err)
		}
		return out, nil
	case codecNumbers[Snappy]:
		if n, err := snappy.DecodedLen(src); err != nil || n != size {
			return nil, corrupt("snappy: %d bytes, not %d: %v", n, size, err)
		}
		if size > maxSnappyRatio*len(src) {
			return nil, corrupt("snappy: %d bytes out of %d", size, len(src))
		}
		out, err := snappy.Decode(resize(buf, size), src)
		if err != nil {
			return nil, corrupt("snappy: %v", err)
		}
		return out, nil
	case codecNumbers[Gzip]:
		return d.gunzip(buf, src, size)
	case codecNumbers[LZ4]:
		return unlz4(buf, src, size)
	case codecHadoopLZ4:
		return hadoopLZ4(buf, src, size)
	}
	return nil, fmt.Errorf("%w: compression codec %d", ErrUnsupported, codec)
}

const (
	maxSnappyRatio = 64  // a copy makes 64 bytes out of 2 or more
	maxLZ4Ratio    = 256 // a length grows by 255 a byte
)

func (d *decompressor) gunzip(buf, src []byte, size int) ([]byte, error) {
	var err error
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(bytes.NewReader(src))
	} else {
		err = d.gzip.Reset(bytes.NewReader(src))
	}
	if err != nil {
		return nil, corrupt("gzip: %v", err)
	}
	w := bytes.NewBuffer(buf)
	if _, err := io.Copy(w, io.LimitReader(d.gzip, int64(size)+1)); err != nil {
		return nil, corrupt("gzip: %v", err)
	}
	return w.Bytes(), nil
}

func unlz4(buf, src []byte, size int) ([]byte, error) {
	if size > maxLZ4Ratio*len(src) {
		return nil, corrupt("lz4: %d bytes out of %d", size, len(src))
	}
	out := resize(buf[:0], size)
	n, err := lz4.UncompressBlock(src, out)
	if err != nil {
		return nil, corrupt("lz4: %v", err)
	}
	return out[:n], nil
}

// hadoopLZ4 opens frames of big-endian sizes, open and compressed, and a block.
func hadoopLZ4(buf, src []byte, size int) ([]byte, error) {
	if size > maxLZ4Ratio*len(src) {
		return nil, corrupt("lz4: %d bytes out of %d", size, len(src))
	}
	out, at := resize(buf[:0], size), 0
	for len(src) > 0 {
		if len(src) < 8 {
			return nil, corrupt("lz4: a frame of %d bytes", len(src))
		}
		open, n := int64(binary.BigEndian.Uint32(src)), int64(binary.BigEndian.Uint32(src[4:]))
		if src = src[8:]; n > int64(len(src)) || open > int64(size-at) {
			return nil, corrupt("lz4: a frame of %d bytes, %d compressed", open, n)
		}
		k, err := lz4.UncompressBlock(src[:n], out[at:at+int(open)])
		if err != nil || int64(k) != open {
			return nil, corrupt("lz4: %d bytes instead of %d: %v", k, open, err)
		}
		at += k
		src = src[n:]
	}
	return out[:at], nil
}
