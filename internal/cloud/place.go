package cloud

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A Cloud is one of the kinds of object stores.
type Cloud uint8

// The clouds.
const (
	Azure Cloud = iota + 1
	S3
	GCS
)

// String is the cloud's name in messages.
func (c Cloud) String() string {
	switch c {
	case Azure:
		return "Azure"
	case S3:
		return "S3"
	case GCS:
		return "Google Cloud Storage"
	}
	return "no cloud"
}

// bucket is what the cloud calls its buckets.
func (c Cloud) bucket() string {
	if c == Azure {
		return "container"
	}
	return "bucket"
}

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

// Inside says whether p is root or lies in it, and returns its path relative to root, "." for root itself. An account that one of them
// lacks is taken to be the other's: an option names it for both.
func (p Place) Inside(root Place) (rel string, ok bool) {
	alike := func(a, b string) bool { return a == b || a == "" || b == "" }
	switch {
	case p.Cloud != root.Cloud || p.Bucket != root.Bucket || !alike(p.Account, root.Account) || !alike(p.Suffix, root.Suffix):
		return "", false
	case p.Folder == root.Folder:
		return ".", true
	case root.Folder == "":
		return p.Folder, true
	}
	if rel, ok = strings.CutPrefix(p.Folder, root.Folder+"/"); !ok {
		return "", false
	}
	return rel, true
}

// maxFolder bounds a folder's length in bytes: names of objects have at most 1,024 (of S3 and GCS; characters of Azure), and the files of a
// table come below.
const maxFolder = 768

var (
	// azureSuffixes are the hosts of the Azure clouds after ACCOUNT.blob. or ACCOUNT.dfs.
	azureSuffixes = []string{"core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"}
	// otherSchemes are those of stores that silt does not write to, and what to do instead.
	otherSchemes = map[string]string{
		"s3n":  "s3n was removed from Hadoop: write s3a://BUCKET/PATH",
		"gcs":  "write gs://BUCKET/PATH",
		"adl":  "Azure Data Lake Storage Gen1 was retired: move the data to Gen2 and write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH",
		"r2":   "R2 speaks S3's protocol: write s3://BUCKET/PATH and give its endpoint as aws_endpoint_url in sink.storageOptions",
		"oss":  "use Azure, S3 or Google Cloud Storage, or a local path",
		"hdfs": "use Azure, S3 or Google Cloud Storage, or a local path",
	}
	placeURL = regexp.MustCompile(`^(?s)([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)$`)
	// learn.microsoft.com, "Storage account overview".
	accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	// learn.microsoft.com, "Naming and referencing containers, blobs, and metadata".
	containerName = regexp.MustCompile(`^[a-z0-9]+(?:-[a-z0-9]+)*$`)
	// docs.aws.amazon.com, "General purpose bucket naming rules".
	s3Bucket = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]|\.[a-z0-9]){1,61}[a-z0-9]$`)
	// cloud.google.com/storage, "Bucket names".
	gcsBucket = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9_.-]{1,220})[a-z0-9]$`)
)

// ParsePlace reads the URL of a folder in an object store:
//
//	abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH    also abfs, and wasbs and wasb with the host ACCOUNT.blob.core.windows.net
//	https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH   also ACCOUNT.dfs.core.windows.net, and az and azure in place of https
//	az://CONTAINER/PATH, azure://CONTAINER/PATH            an option names the account
//	s3://BUCKET/PATH, s3a://BUCKET/PATH
//	gs://BUCKET/PATH
//
// A path is taken as it is written, and so must be one that every reader takes so: percent-encoding, queries and fragments are refused, and
// whatever could be a secret (a login, a shared access signature) is neither printed nor kept: the Text of the Place, which is set with a
// problem too, holds [REDACTED] instead. The problem has no location.
func ParsePlace(text string) (Place, *problem.Problem) {
	p := Place{Text: printable(text)}
	m := placeURL.FindStringSubmatch(text)
	if m == nil {
		return p, problem.New(problem.InvalidValue, "%q is no URL of an object store", p.Text).
			Fix("write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH, s3://BUCKET/PATH or gs://BUCKET/PATH")
	}
	scheme, host, path := strings.ToLower(m[1]), m[2], m[3]
	if instead, known := otherSchemes[scheme]; known {
		return p, problem.New(problem.Unsupported, "silt does not write to %s:// (%s)", scheme, p.Text).Fix("%s", instead)
	}
	if q := p.plain(text); q != nil {
		return p, q
	}
	var q *problem.Problem
	switch scheme {
	case "abfs", "abfss", "wasb", "wasbs":
		q = p.hadoop(scheme, host)
	case "az", "azure", "https":
		path, q = p.azure(scheme, host, path)
	case "s3", "s3a":
		p.Cloud, p.Bucket = S3, host
		q = p.login(host)
	case "gs":
		p.Cloud, p.Bucket = GCS, host
		q = p.login(host)
	case "http":
		q = p.refuse("%s is not encrypted", p.Text).Fix("write abfss://, s3:// or gs://, and an http endpoint for tests into sink.storageOptions")
	default:
		q = p.refuse("unknown scheme %q in %s", scheme, p.Text).Fix("silt writes to abfss://, az://, s3:// and gs://")
	}
	if q == nil {
		q = p.named()
	}
	if q == nil {
		q = p.folder(path)
	}
	if q != nil {
		return Place{Text: p.Text}, q
	}
	return p, nil
}

func (p *Place) refuse(format string, args ...any) *problem.Problem {
	return problem.New(problem.InvalidValue, format, args...)
}

// printable is text as a message may quote it. What stands before an @ or with a colon where the host is may be a login, whose password may
// hold slashes; what follows a ? is mostly a shared access signature.
func printable(text string) string {
	m := placeURL.FindStringSubmatch(text)
	if m == nil {
		m = []string{text, "", "", text}
	}
	scheme, host, path := m[1], m[2], m[3]
	if scheme != "" {
		scheme += "://"
	}
	container, server, at := strings.Cut(host, "@")
	hadoop := at && slices.Contains([]string{"abfs://", "abfss://", "wasb://", "wasbs://"}, strings.ToLower(scheme))
	switch {
	case hadoop && !strings.ContainsAny(container+server, ":@"):
	case at && !strings.Contains(server, "@"):
		host = secret.Redacted + "@" + server
	case strings.ContainsAny(host, "@:"):
		host = secret.Redacted
		if i := strings.LastIndexByte(path, '@'); i >= 0 {
			path = path[i:]
		}
	}
	if i := strings.IndexAny(host, "?#"); i >= 0 {
		return scheme + host[:i+1] + secret.Redacted
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i+1] + secret.Redacted
	}
	return scheme + host + path
}

// plain refuses what readers of URLs take differently.
func (p *Place) plain(text string) *problem.Problem {
	switch {
	case strings.ContainsAny(text, "?#"):
		return p.refuse("%s holds a ? or a #", p.Text).
			Fix("a shared access signature is an option: azure_storage_sas_token in sink.storageOptions; names of folders cannot hold these characters")
	case strings.Contains(text, "%"):
		return p.refuse("%s holds a %%, which some readers decode and others do not", p.Text).Fix("write the character itself, or name the folder otherwise")
	case !utf8.ValidString(text):
		return p.refuse("%q is not UTF-8", p.Text)
	case strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, `\`):
		return p.refuse("%q holds a backslash or a control character", p.Text)
	}
	return nil
}

// login refuses what is no bucket's name but a login or an address.
func (p *Place) login(host string) *problem.Problem {
	switch {
	case strings.HasPrefix(host, "arn:"):
		return p.refuse("a bucket or an access point is named by its ARN, which is no part of a URL").
			Fix("write s3://BUCKET/PATH; an access point is named by its alias, which ends with -s3alias")
	case strings.Contains(host, "@"):
		return p.refuse("%s holds a login", p.Text).Fix("give the keys in sink.storageOptions, as references: ${env:NAME}")
	case strings.Contains(host, ":"):
		return p.refuse("%s holds a login or a port where the %s is", p.Text, p.Cloud.bucket()).
			Fix("write SCHEME://%s/PATH; keys and the endpoint are options of sink.storageOptions", strings.ToUpper(p.Cloud.bucket()))
	}
	return nil
}

// hadoop reads CONTAINER@ACCOUNT.dfs.SUFFIX.
func (p *Place) hadoop(scheme, host string) *problem.Problem {
	p.Cloud = Azure
	container, server, at := strings.Cut(host, "@")
	if q := p.login(container + server); q != nil {
		return q
	}
	service := "dfs"
	if strings.HasPrefix(scheme, "wasb") {
		service = "blob"
	}
	if !at {
		if account, suffix, ok := azureHost(host); ok {
			return p.refuse("%s names no container", p.Text).Fix("write %s://CONTAINER@%s.%s.%s/PATH", scheme, account, service, suffix)
		}
		return p.refuse("%s names no storage account", p.Text).
			Fix("write %s://CONTAINER@ACCOUNT.%s.core.windows.net/PATH, or az://CONTAINER/PATH with the account in sink.storageOptions", scheme, service)
	}
	if q := p.oneLake(server); q != nil {
		return q
	}
	var ok bool
	if p.Account, p.Suffix, ok = azureHost(server); !ok {
		return p.refuse("%q in %s is no storage account's host", server, p.Text).
			Fix("write ACCOUNT.%s. followed by one of %s; another endpoint is an option, azure_storage_endpoint", service, strings.Join(azureSuffixes, ", "))
	}
	p.Bucket = container
	return nil
}

// azure reads ACCOUNT.blob.SUFFIX/CONTAINER or CONTAINER, and returns the rest of the path.
func (p *Place) azure(scheme, host, path string) (string, *problem.Problem) {
	p.Cloud = Azure
	if q := p.login(host); q != nil {
		return "", q
	}
	if q := p.oneLake(host); q != nil {
		return "", q
	}
	account, suffix, ok := azureHost(host)
	if ok {
		p.Account, p.Suffix = account, suffix
		p.Bucket, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		return "/" + path, nil
	}
	if scheme == "https" {
		return "", p.refuse("%q in %s is no storage account's host", host, p.Text).
			Fix("silt takes https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH; other stores as s3://BUCKET/PATH or gs://BUCKET/PATH, their endpoint as an option")
	}
	p.Bucket = host
	return path, nil
}

// oneLake refuses the hosts of Microsoft Fabric.
func (p *Place) oneLake(host string) *problem.Problem {
	if !strings.HasSuffix(strings.ToLower(host), ".fabric.microsoft.com") {
		return nil
	}
	return problem.New(problem.Unsupported, "%s is in OneLake, which is not supported", p.Text).Fix("use an account of Azure Storage")
}

// azureHost splits ACCOUNT.dfs.SUFFIX. Names of hosts are compared ignoring case.
func azureHost(host string) (account, suffix string, ok bool) {
	account, rest, _ := strings.Cut(strings.ToLower(host), ".")
	service, suffix, _ := strings.Cut(rest, ".")
	return account, suffix, (service == "dfs" || service == "blob") && slices.Contains(azureSuffixes, suffix)
}

// named checks the names of account and bucket.
func (p *Place) named() *problem.Problem {
	what := p.Cloud.bucket()
	if p.Bucket == "" {
		write := map[Cloud]string{Azure: "az://CONTAINER/PATH", S3: "s3://BUCKET/PATH", GCS: "gs://BUCKET/PATH"}[p.Cloud]
		if p.Account != "" {
			write = "abfss://CONTAINER@" + p.Account + ".dfs." + p.Suffix + "/PATH"
		}
		return p.refuse("%s names no %s", p.Text, what).Fix("write %s", write)
	}
	_, err := netip.ParseAddr(p.Bucket)
	ip := err == nil
	switch {
	case p.Suffix != "" && !accountName.MatchString(p.Account):
		return p.refuse("%q in %s is no name of a storage account", p.Account, p.Text).Fix("it has 3 to 24 letters and digits")
	case p.Cloud == Azure && (len(p.Bucket) < 3 || len(p.Bucket) > 63 || !containerName.MatchString(p.Bucket)):
		return p.refuse("%q in %s is no name of a container", p.Bucket, p.Text).
			Fix("it has 3 to 63 lower-case letters, digits and single hyphens between them")
	case p.Cloud == S3 && (!s3Bucket.MatchString(p.Bucket) || ip):
		return p.refuse("%q in %s is no name of a bucket", p.Bucket, p.Text).
			Fix("it has 3 to 63 lower-case letters, digits, hyphens and dots; an access point is named by its alias")
	case p.Cloud == S3 && strings.HasSuffix(p.Bucket, "--x-s3"):
		return problem.New(problem.Unsupported, "%s is a directory bucket, which lists its objects in no order", p.Bucket).
			Fix("use a general purpose bucket")
	case p.Cloud == GCS && (!gcsBucket.MatchString(p.Bucket) || ip || strings.Contains(p.Bucket, "..") || longPart(p.Bucket)):
		return p.refuse("%q in %s is no name of a bucket", p.Bucket, p.Text).
			Fix("it has 3 to 63 lower-case letters, digits, hyphens, underscores and dots")
	}
	return nil
}

// longPart says whether a part between dots is longer than 63 characters; the whole may be longer.
func longPart(bucket string) bool {
	return slices.ContainsFunc(strings.Split(bucket, "."), func(part string) bool { return len(part) > 63 })
}

// folder reads the path.
func (p *Place) folder(path string) *problem.Problem {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "":
			return p.refuse("%s holds two slashes in a row", p.Text).Fix("names of objects are compared as they are: write one")
		case part == "." || part == "..":
			return p.refuse("%s holds the part %q", p.Text, part).Fix("an object store has no such folder: write the path that is meant")
		case p.Cloud == Azure && strings.HasSuffix(part, "."):
			return p.refuse("%q in %s ends with a dot", part, p.Text).Fix("Azure takes such dots away: name the folder otherwise")
		}
	}
	if len(path) > maxFolder {
		return p.refuse("the path is longer than %d bytes", maxFolder)
	}
	p.Folder = path
	return nil
}
