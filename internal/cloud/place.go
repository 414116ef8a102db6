package cloud

// A Cloud is one of the kinds of object stores.
type Cloud uint8

// The clouds.
const (
	Azure Cloud = iota + 1
	S3
	GCS
)

// A Place is a folder of an object store.
type Place struct {
	Cloud Cloud
	// Text is the URL as the user wrote it, for messages: abfss://data@account.dfs.core.windows.net/delta/clicks.
	Text string
	// Account is Azure's storage account; "" if the URL lacks it (az://container/path) and an option must name it.
	Account string
	// Suffix is the host after the account: core.windows.net, or that of another Azure cloud; "" if the URL lacks it.
	Suffix string
	// Bucket is the bucket, or the container of Azure.
	Bucket string
	// Folder is the path in it, without slashes at its ends; "" is the root.
	Folder string
}

// key returns the name of a key in the bucket.
func (p Place) key(key string) string {
	if p.Folder == "" {
		return key
	}
	return p.Folder + "/" + key
}
