package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/siltlake/silt/internal/store"
)

// list asks for a page of all names below a prefix.
//
// Accounts with a hierarchical namespace list their directories too, and each with all that is in it: a, a/x, a-b, though a-b is less than
// a/x (Azure/azure-sdk-for-go issue 24210). So what comes from a directory on is held back, and sorted, until a name comes that does not
// begin with the directory's. It is in the next page's token meanwhile, so that nothing has to be remembered for a listing that nobody ends.
func (a *azure) list(ctx context.Context, prefix, after, page string) ([]store.Info, string, error) {
	const op = "List Blobs"
	c, err := a.container()
	if err != nil {
		return nil, "", a.failed(op, false, err)
	}
	root := a.config.place.key("")
	under := root + prefix
	o := container.ListBlobsFlatOptions{Prefix: &under, Include: container.ListBlobsInclude{Metadata: true}}
	if a.config.pageSize > 0 {
		o.MaxResults = &a.config.pageSize
	}
	l := azureListing{root: root}
	if page != "" {
		if err := json.Unmarshal([]byte(page), &l); err != nil {
			return nil, "", fmt.Errorf("read the token of a page: %w", err)
		}
		o.Marker = &l.Marker
	} else if from := azureStart(under, root+after); from != "" {
		o.StartFrom = &from
	}
	r, err := c.NewListBlobsFlatPager(&o).NextPage(ctx)
	if err != nil {
		return nil, "", a.failed(op, false, err)
	}
	if r.Segment != nil {
		for _, item := range r.Segment.BlobItems {
			l.add(item)
		}
	}
	if r.NextMarker == nil || *r.NextMarker == "" {
		l.release()
		return l.ready, "", nil
	}
	l.Marker = *r.NextMarker
	next, err := json.Marshal(l)
	return l.ready, string(next), err
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

// An azureListing puts the names of a listing into the order of bytes. What is exported is the state between pages.
type azureListing struct {
	root  string
	ready []store.Info

	Marker string
	Folder string       `json:",omitempty"` // the directory from which on objects are held
	Held   []store.Info `json:",omitempty"`
}

func (l *azureListing) add(item *container.BlobItem) {
	if item.Name == nil {
		return
	}
	key, ok := strings.CutPrefix(*item.Name, l.root)
	if !ok || key == "" || item.Deleted != nil && *item.Deleted {
		return
	}
	if l.Folder != "" && !strings.HasPrefix(key, l.Folder) {
		l.release()
	}
	p := item.Properties
	if isFolder(item.Metadata) || strings.HasSuffix(key, "/") || p != nil && p.ResourceType != nil && *p.ResourceType == "directory" {
		l.Folder = cmp.Or(l.Folder, strings.TrimSuffix(key, "/"))
		return
	}
	if p == nil || p.ContentLength == nil || p.LastModified == nil {
		return
	}
	i := store.Info{Key: key, Size: *p.ContentLength, Modified: *p.LastModified}
	if l.Folder != "" {
		l.Held = append(l.Held, i)
	} else {
		l.ready = append(l.ready, i)
	}
}

// release gives away what is held.
func (l *azureListing) release() {
	slices.SortFunc(l.Held, func(a, b store.Info) int { return cmp.Compare(a.Key, b.Key) })
	l.ready = append(l.ready, l.Held...)
	l.Folder, l.Held = "", nil
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
