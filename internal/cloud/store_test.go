package cloud

import (
	"testing"

	"github.com/siltlake/silt/internal/store"
	"github.com/siltlake/silt/internal/store/storetest"
)

var testPlace = Place{Cloud: S3, Text: "s3://bucket/folder", Bucket: "bucket", Folder: "folder"}

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		b := newFake()
		b.pageSize = 3
		return newStore(b, testPlace, storeOptions{})
	})
}
