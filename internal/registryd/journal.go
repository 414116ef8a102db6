package registryd

import (
	"context"
	"errors"
)

// A Record is one entry of a journal. A nil Value deletes what an earlier record of the key said; a journal may forget all but the last
// record of a key.
type Record struct {
	Key, Value []byte
	Time       int64 // ms since 1970
	Offset     int64 // where it is; set by Replay
}

// A Journal is an append-only log. A registry calls its methods one at a time.
type Journal interface {
	// Append makes records durable, in their order, and returns the offset after the last. It waits as long as the log is not there.
	// ErrRecordTooLarge: nothing was written. Any other error: some, all or none of it may be in the log, now or soon; a Replay that begins
	// later sees all of it that ever will be.
	Append(ctx context.Context, records []Record) (next int64, err error)
	// Replay calls apply for every record from an offset on to the end that the log has at the time of the call, and returns the offset
	// after it. It ends at the first error of apply and returns that.
	Replay(ctx context.Context, from int64, apply func(Record) error) (next int64, err error)
}

// ErrRecordTooLarge says that the log does not take a record for its size.
var ErrRecordTooLarge = errors.New("the record is larger than the log takes")
