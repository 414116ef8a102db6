package table

import (
	"fmt"
	"sync"

	"github.com/siltlake/silt/internal/column"
	"github.com/siltlake/silt/internal/parquet"
)

// filePool keeps the buffers of files that were ended: a stream of small batches writes thousands of files of one schema, and a fresh set
// of dictionaries, pages and compressors each time would cost more than the rows. It keeps files of one schema, the newest.
type filePool struct {
	options parquet.Options
	most    int

	mu     sync.Mutex
	layout *column.Layout
	free   []*parquet.File
}

// take returns a layout and a file of the schema; the file has to be Reset.
func (p *filePool) take(s column.Schema) (*column.Layout, *parquet.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.layout == nil || !p.layout.Schema.Equal(s) {
		l, err := column.NewLayout(s)
		if err != nil {
			return nil, nil, fmt.Errorf("table schema: %w", err)
		}
		p.layout, p.free = l, nil
	}
	if n := len(p.free); n > 0 {
		f := p.free[n-1]
		p.free = p.free[:n-1]
		return p.layout, f, nil
	}
	o := p.options
	o.Metadata = append(o.Metadata[:len(o.Metadata):len(o.Metadata)], parquet.KeyValue{Key: parquet.RowMetadataKey, Value: s.JSON()})
	return p.layout, parquet.NewFile(nil, p.layout, o), nil
}

// put takes a file back.
func (p *filePool) put(l *column.Layout, f *parquet.File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l == p.layout && len(p.free) < p.most {
		p.free = append(p.free, f)
	}
}
