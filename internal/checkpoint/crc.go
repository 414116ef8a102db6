package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// Hadoop's checksum files (org.apache.hadoop.fs.ChecksumFileSystem): "crc\0", the chunk size as int32, then the CRC-32 of each chunk,
// all big-endian. Hadoop uses them on local disk only, where it verifies a file that has one and refuses it with ChecksumException.
const (
	sumMagic     = "crc\x00"
	sumHeader    = len(sumMagic) + 4
	sumChunkSize = 512
	maxSumChunk  = 1 << 20
)

// sumKey is the name of a file's checksum file: offsets/.7.crc for offsets/7.
func sumKey(key string) string {
	dir, name := "", key
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		dir, name = key[:i+1], key[i+1:]
	}
	return dir + "." + name + ".crc"
}

// sumOf is the checksum file of data.
func sumOf(data []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(sumMagic), sumChunkSize)
	for ; len(data) > 0; data = data[min(sumChunkSize, len(data)):] {
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(data[:min(sumChunkSize, len(data))]))
	}
	return b
}

// checkSum compares data with its checksum file. A file that is no checksum file is ignored, as Hadoop does.
func checkSum(data, sums []byte) error {
	if len(sums) < sumHeader || !bytes.HasPrefix(sums, []byte(sumMagic)) {
		return nil
	}
	size := int(binary.BigEndian.Uint32(sums[len(sumMagic):]))
	if size < 1 || size > maxSumChunk {
		return nil
	}
	sums = sums[sumHeader:]
	for at := 0; at < len(data); at += size {
		if len(sums) < 4 {
			return fmt.Errorf("its checksum file ends before byte %d", at)
		}
		if binary.BigEndian.Uint32(sums) != crc32.ChecksumIEEE(data[at:min(at+size, len(data))]) {
			return fmt.Errorf("its checksum differs from byte %d on", at)
		}
		sums = sums[4:]
	}
	if len(sums) > 0 {
		return fmt.Errorf("it ends after %d bytes, before its checksum file does", len(data))
	}
	return nil
}
