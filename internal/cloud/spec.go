package cloud

// A spec is one option of sink.storageOptions. The page of options is generated from all of them.
type spec struct {
	cloud Cloud
	// name is the option's name in this package's code and the first in the page; others are spelled as other tools do. Compared ignoring
	// case. ACCOUNT in a name stands for the storage account and BUCKET for the bucket, and what is there must be the place's.
	name   string
	others []string
	// secret: its value never appears, wherever it came from.
	secret bool
	// unsupported says what to do instead; such an option is an error. "": it is supported.
	unsupported string
	// doc is one sentence for the page.
	doc string
}
