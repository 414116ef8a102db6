// Package cloud keeps objects in Azure Blob Storage (and ADLS Gen2, over its Blob endpoint), in S3 and in Google Cloud Storage.
//
// A Store is the contract of package store over a backend. A backend speaks one cloud's protocol, one attempt a call, and says what an error
// means; everything that is hard alike on all of them is in Store, once: retries and their budget, deadlines, the circuit, what is known of
// a write whose answer was lost, secrets that were rotated, uploads in parts.
package cloud
