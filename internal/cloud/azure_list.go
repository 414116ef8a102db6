package cloud

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/siltlake/silt/internal/store"
)

// list asks for a page of all names below a prefix. Accounts with a hierarchical namespace list their directories too, and each with all that
// is in it: a, a/x, a-b, though a-b is less than a/x (Azure/azure-sdk-for-go issue 24210).
func (a *azure) list(ctx context.Context, prefix, after, page string) ([]store.Info, string, error) {
	const op = "List Blobs"
	c, err := a.container()
	if err != nil {
		return nil, "", a.failed(op, false, err)
	}
	root := a.config.place.key("")
	under := root + prefix
	o := container.ListBlobsFlatOptions{Prefix: &under, Include: container.ListBlobsInclude{Metadata: true}}
	if page != "" {
		o.Marker = &page
	} else if from := azureStart(under, root+after); from != "" {
		o.StartFrom = &from
	}
	r, err := c.NewListBlobsFlatPager(&o).NextPage(ctx)
	if err != nil {
		return nil, "", a.failed(op, false, err)
	}
	var objects []store.Info
	if r.Segment != nil {
		for _, item := range r.Segment.BlobItems {
			if i, ok := azureInfo(root, item); ok {
				objects = append(objects, i)
			}
		}
	}
	if r.NextMarker == nil {
		return objects, "", nil
	}
	return objects, *r.NextMarker, nil
}

// azureStart returns the name from which on a listing has everything that is greater than after, "" for all. A server is told it by startFrom
// (since service version 2026-02-06: "the full path (inclusive) to list paths from" in the SDKs' reference); an older one does not know that
// and gives all. Names are not in the order of bytes where a character is less than the slash (in a hierarchical namespace) or beyond U+E000
// (they are compared in UTF-16), so it ends before the first of those.
func azureStart(under, after string) string {
	if !strings.HasPrefix(after, under) {
		return ""
	}
	rest := after[len(under):]
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '/' || r >= 0xe000 }); i >= 0 {
		rest = rest[:i]
	}
	if rest == "" {
		return ""
	}
	return under + rest
}

// azureInfo is a listed blob below root; ok is false for what is no object.
func azureInfo(root string, item *container.BlobItem) (i store.Info, ok bool) {
	if item.Name == nil || item.Deleted != nil && *item.Deleted {
		return i, false
	}
	key, ok := strings.CutPrefix(*item.Name, root)
	p := item.Properties
	if !ok || key == "" || strings.HasSuffix(key, "/") || isFolder(item.Metadata) ||
		p == nil || p.ContentLength == nil || p.LastModified == nil || p.ResourceType != nil && *p.ResourceType == "directory" {
		return i, false
	}
	return store.Info{Key: key, Size: *p.ContentLength, Modified: *p.LastModified}, true
}

// isFolder says whether a blob is the marker of a directory: accounts with a hierarchical namespace show their directories so, and WASB and
// ABFS put such markers into others. Names of metadata come back in any case.
func isFolder(metadata map[string]*string) bool {
	for name, value := range metadata {
		if strings.EqualFold(name, "hdi_isfolder") && value != nil && strings.EqualFold(*value, "true") {
			return true
		}
	}
	return false
}
