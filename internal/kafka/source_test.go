package kafka

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/siltlake/silt/internal/kafka/sourcetest"
	"github.com/siltlake/silt/internal/stream"
)

// The fake's goroutines end after its Close, on a busy machine later than goleak waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read"),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).read.func1"),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).write"),
		goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*clientConn).write.func1"))
}

// testOptions are options for a fake cluster without TLS.
func testOptions(brokers []string, topics ...string) Options {
	return Options{Brokers: brokers, Topics: topics, ClientID: "silt-test", GroupIDPrefix: defaultGroupPrefix, FailOnDataLoss: true,
		ReadCommitted: true, FetchMaxBytes: defaultFetchMaxBytes, PartitionMaxBytes: defaultPartitionMaxBytes}
}

// openSource connects and returns a source whose back-off is short.
func openSource(t *testing.T, o Options, config SourceConfig, log *slog.Logger) *Source {
	t.Helper()
	c, err := Connect(t.Context(), o, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := NewSource(c, config)
	s.backoffMin, s.backoffMax, s.fetchWait, s.doubtPause = time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, time.Millisecond
	return s
}

func TestSourcePassesTheSuite(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, c sourcetest.Config) stream.Source {
		o := testOptions(c.Brokers, c.Topics...)
		o.ReadCommitted = c.ReadCommitted
		return openSource(t, o, SourceConfig{}, nil)
	})
}

func TestSourceWithTinyFetchesPassesTheSuite(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, c sourcetest.Config) stream.Source {
		o := testOptions(c.Brokers, c.Topics...)
		o.ReadCommitted = c.ReadCommitted
		o.FetchMaxBytes, o.PartitionMaxBytes = 100_000, 1000
		return openSource(t, o, SourceConfig{Budget: stream.NewBudget(0, 0, 1)}, nil)
	})
}
