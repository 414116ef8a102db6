package table

import (
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/parquet"
	"github.com/siltlake/silt/internal/problem"
)

// Options are those of sink.delta that concern how files are written and what may happen to the schema.
type Options struct {
	MergeSchema    bool // Spark's mergeSchema: false by default
	Compression    parquet.Codec
	TargetFileSize int64 // a file ends at about this size, in bytes
}

const (
	defaultFileSize = 128 << 20
	leastFileSize   = 64 << 10
	mostFileSize    = 4 << 30
)

// ParseOptions reads section sink.delta. The path is the wiring's: it is marked as known here.
func ParseOptions(vs option.Values) (Options, []*problem.Problem) {
	p := option.NewParser(vs)
	p.Value("path")
	o := Options{
		MergeSchema:    p.Bool("mergeSchema", false),
		TargetFileSize: p.Size("targetFileSize", defaultFileSize, leastFileSize, mostFileSize),
	}
	if v, ok := p.Value("compression"); ok {
		c, err := parquet.ParseCodec(v.Reveal())
		if err != nil {
			pr := p.Report(v, problem.InvalidValue, "compression is %q; want one of %v", v.Shown(), parquet.Codecs())
			if n := problem.Nearest(v.Reveal(), parquet.Codecs()); n != "" && !v.IsSecret {
				pr.Fix("did you mean %q?", n)
			}
		}
		o.Compression = c
	}
	if v, ok := p.Value("partitionBy"); ok && (!v.IsList || len(v.List) > 0) {
		p.Report(v, problem.Unsupported, "partitionBy is not supported yet").
			Fix("leave it out or write partitionBy: []; readers prune files by their statistics of partition, offset and timestamp")
	}
	p.Unsupported("records that cannot be decoded stop the query (FAILFAST), become null (PERMISSIVE) or are dropped and counted (DROP); see decode.mode", "deadLetterPath")
	p.Unsupported("silt writes its own txn with every commit: the query id and the batch id", "txnAppId", "txnVersion")
	p.Unsupported("leave it out", "userMetadata")
	p.Unsupported("use targetFileSize", "maxRecordsPerFile")
	return o, p.Finish()
}
