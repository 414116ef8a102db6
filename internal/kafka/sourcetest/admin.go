package sourcetest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// growTo gives the topic so many partitions.
func growTo(t *testing.T, p *Topic, partitions int) {
	t.Helper()
	if _, err := kadm.NewClient(p.Client(t)).UpdatePartitions(t.Context(), partitions, p.Name); err != nil {
		t.Fatal(err)
	}
}
