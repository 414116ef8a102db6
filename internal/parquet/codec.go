package parquet

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A Codec compresses pages. The zero value is zstd at level 1, which costs what snappy costs once indices are packed (docs/adr/0002).
type Codec uint8

// The codecs.
const (
	Zstd Codec = iota
	Snappy
	Gzip
	LZ4 // LZ4_RAW: the framed LZ4 of old is deprecated (parquet-format Compression.md)
	Uncompressed
)

var codecNames = [...]string{"zstd", "snappy", "gzip", "lz4", "uncompressed"}

// codecNumbers are those of parquet.thrift, CompressionCodec.
var codecNumbers = [...]int32{Zstd: 6, Snappy: 1, Gzip: 2, LZ4: 7, Uncompressed: 0}

func (c Codec) String() string { return codecNames[c] }

// Codecs returns the names that ParseCodec reads, for messages.
func Codecs() []string {
	return []string{"zstd", "snappy", "gzip", "lz4", "lz4_raw", "uncompressed", "none"}
}

// ParseCodec reads a codec's name as Spark's option `compression` has it, in any case. "lz4" and "lz4_raw" are the same here.
func ParseCodec(name string) (Codec, error) {
	switch low := strings.ToLower(name); low {
	case "none":
		return Uncompressed, nil
	case "lz4_raw", "lz4raw":
		return LZ4, nil
	default:
		for c, n := range codecNames {
			if n == low {
				return Codec(c), nil
			}
		}
	}
	return 0, fmt.Errorf("compression %q is none of %s", name, strings.Join(Codecs(), ", "))
}

// Ending is what Spark puts before .parquet in a file's name: ".zstd", or "" without compression.
func (c Codec) Ending() string {
	switch c {
	case Uncompressed:
		return ""
	case Gzip:
		return ".gz"
	case LZ4:
		return ".lz4raw"
	}
	return "." + codecNames[c]
}

// A compressor holds a codec's state; it belongs to one goroutine.
type compressor struct {
	codec Codec
	zstd  *zstd.Encoder
	gzip  *gzip.Writer
	gzOut bytes.Buffer
	lz4   lz4.Compressor
	out   []byte
}

func newCompressor(c Codec) *compressor {
	k := &compressor{codec: c}
	if c == Zstd {
		// The options are constants: an error is impossible. Pages are small, and Parquet has its own checksum.
		k.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false))
	}
	return k
}

// compress returns src compressed; the result is valid until the next call, and src itself where there is no codec.
func (k *compressor) compress(src []byte) ([]byte, error) {
	if cap(k.out) > maxScratchBytes && len(src) < maxScratchBytes/4 {
		k.out = nil
	}
	switch k.codec {
	case Uncompressed:
		return src, nil
	case Zstd:
		k.out = k.zstd.EncodeAll(src, k.out[:0])
	case Snappy:
		k.out = snappy.Encode(k.out[:cap(k.out)], src)
	case Gzip:
		k.gzOut.Reset()
		if k.gzip == nil {
			k.gzip = gzip.NewWriter(&k.gzOut)
		}
		k.gzip.Reset(&k.gzOut)
		if _, err := k.gzip.Write(src); err != nil {
			return nil, fmt.Errorf("gzip %d bytes: %w", len(src), err)
		}
		if err := k.gzip.Close(); err != nil {
			return nil, fmt.Errorf("gzip %d bytes: %w", len(src), err)
		}
		return k.gzOut.Bytes(), nil
	case LZ4:
		if bound := lz4.CompressBlockBound(len(src)); cap(k.out) < bound {
			k.out = make([]byte, bound)
		}
		n, err := k.lz4.CompressBlock(src, k.out[:cap(k.out)])
		if err != nil || n == 0 {
			return nil, fmt.Errorf("lz4 %d bytes: %d, %w", len(src), n, err)
		}
		k.out = k.out[:n]
	}
	return k.out, nil
}
