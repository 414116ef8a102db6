package cloud

import (
	"cmp"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// The names of S3's options, by which their values are asked for.
const (
	s3AccessKey     = "fs.s3a.access.key"
	s3SecretKey     = "fs.s3a.secret.key"
	s3SessionToken  = "fs.s3a.session.token"
	s3Providers     = "fs.s3a.aws.credentials.provider"
	s3Profile       = "fs.s3a.auth.profile.name"
	s3ProfileFile   = "fs.s3a.auth.profile.file"
	s3TokenFile     = "aws_web_identity_token_file"
	s3RoleARN       = "aws_role_arn"
	s3RoleSession   = "aws_role_session_name"
	s3SkipSignature = "aws_skip_signature"
	s3Endpoint      = "fs.s3a.endpoint"
	s3Region        = "fs.s3a.endpoint.region"
	s3PathStyle     = "fs.s3a.path.style.access"
	s3VirtualHosted = "aws_virtual_hosted_style_request"
	s3SSL           = "fs.s3a.connection.ssl.enabled"
	s3AllowHTTP     = "allow_http"
	s3Conditional   = "aws_conditional_put"
	s3SSE           = "fs.s3a.encryption.algorithm"
	s3SSEKey        = "fs.s3a.encryption.key"
	s3SSEBucketKey  = "aws_sse_bucket_key_enabled"
	s3RequesterPays = "fs.s3a.requester.pays.enabled"
)

// s3Specs are the options of S3: Hadoop's (hadoop.apache.org, "Hadoop-AWS module"), each also for one bucket, and object_store's, which are
// delta-rs's (docs.rs/object_store, AmazonS3ConfigKey).
func s3Specs() []spec {
	specs := []spec{
		{name: s3AccessKey, others: []string{"aws_access_key_id", "access_key_id"}, secret: true, doc: "The id of the access key."},
		{name: s3SecretKey, others: []string{"aws_secret_access_key", "secret_access_key"}, secret: true, doc: "The secret access key."},
		{name: s3SessionToken, others: []string{"aws_session_token", "aws_token", "session_token", "token"}, secret: true,
			doc: "The session token of temporary credentials."},
		{name: s3Providers, doc: "Where credentials come from: class names of Hadoop's and AWS's providers, with commas between them; the first " +
			"that has some is taken. Without it: the keys above, else `aws_profile`, else `aws_web_identity_token_file`, else what the AWS SDK " +
			"finds in the environment, the files in ~/.aws, the container and the machine."},
		{name: s3Profile, others: []string{"aws_profile"}, doc: "The profile of ~/.aws/config and ~/.aws/credentials."},
		{name: s3ProfileFile, doc: "The file of the profile in place of ~/.aws/credentials."},
		{name: s3TokenFile, others: []string{"web_identity_token_file"}, doc: "The file of the token of a web identity (IRSA, GitHub Actions)."},
		{name: s3RoleARN, others: []string{"role_arn"}, doc: "The role that the web identity takes."},
		{name: s3RoleSession, others: []string{"role_session_name"}, doc: "The name of its session (silt)."},
		{name: s3SkipSignature, others: []string{"skip_signature"}, doc: "true: requests are not signed; for public buckets, which are read only."},
		{name: s3Endpoint, others: []string{"aws_endpoint_url", "aws_endpoint", "endpoint_url", "endpoint"},
			doc: "The URL of a store other than AWS's, or a host, which is then asked by https."},
		{name: s3Region, others: []string{"aws_region", "region", "aws_default_region", "default_region"},
			doc: "The region of the bucket. Else `AWS_REGION`, the profile's, the endpoint's; for other stores us-east-1."},
		{name: s3PathStyle, doc: "true: the bucket is in the path, not in the name of the host. The default is true for an endpoint that is not AWS's."},
		{name: s3VirtualHosted, others: []string{"virtual_hosted_style_request"}, doc: "The opposite of `fs.s3a.path.style.access`."},
		{name: s3SSL, doc: "false: an endpoint without a scheme is asked by http."},
		{name: s3AllowHTTP, others: []string{"aws_allow_http"}, doc: "true: http is allowed beyond loopback, where everyone on the way can read and change data."},
		{name: s3Conditional, others: []string{"conditional_put"}, doc: "Only etag, which is what silt does: If-None-Match."},
		{name: s3SSE, others: []string{"fs.s3a.server-side-encryption-algorithm", "aws_server_side_encryption", "server_side_encryption"},
			doc: "How the store encrypts new objects: AES256, aws:kms (SSE-KMS) or aws:kms:dsse (DSSE-KMS). The default is the bucket's."},
		{name: s3SSEKey, others: []string{"fs.s3a.server-side-encryption.key", "aws_sse_kms_key_id", "sse_kms_key_id"}, doc: "The ARN of the KMS key."},
		{name: s3SSEBucketKey, others: []string{"sse_bucket_key_enabled"}, doc: "true: objects are encrypted by a key of the bucket, which asks KMS less."},
		{name: s3RequesterPays, others: []string{"aws_request_payer", "request_payer"}, doc: "true: the requester pays for requests and data."},
	}
	for i, s := range specs {
		if rest, ok := strings.CutPrefix(s.name, "fs.s3a."); ok {
			specs[i].others = append([]string{"fs.s3a.bucket.BUCKET." + rest}, s.others...)
		}
	}
	specs = append(specs, s3Refused()...)
	for i := range specs {
		specs[i].cloud = S3
	}
	return specs
}

// s3Refused are the options that files of Spark and delta-rs have and silt does without.
func s3Refused() []spec {
	var specs []spec
	for _, group := range []struct {
		instead string
		names   []string
	}{
		{"remove it: silt commits by a conditional write (If-None-Match), which needs no lock", []string{
			"aws_s3_locking_provider", "delta_dynamo_table_name", "delta_dynamo_billing_mode", "delta_dynamo_max_elapsed_request_time",
			"aws_endpoint_url_dynamodb", "aws_region_dynamodb", "aws_access_key_id_dynamodb", "aws_secret_access_key_dynamodb",
			"aws_session_token_dynamodb", "spark.io.delta.storage.S3DynamoDBLogStore.ddb.tableName",
			"spark.io.delta.storage.S3DynamoDBLogStore.ddb.region"}},
		{"remove it: silt never renames, and commits by a conditional write (If-None-Match), which is safe", []string{
			"aws_s3_allow_unsafe_rename", "aws_copy_if_not_exists", "copy_if_not_exists"}},
		{"remove it: silt has its own client and commits by a conditional write", []string{
			"fs.s3a.impl", "fs.s3.impl", "fs.AbstractFileSystem.s3a.impl", "fs.s3a.committer.name", "fs.s3a.committer.magic.enabled",
			"fs.s3a.fast.upload", "fs.s3a.fast.upload.buffer", "fs.s3a.buffer.dir", "fs.s3a.s3guard.ddb.table", "fs.s3a.metadatastore.impl"}},
		{"remove it: silt sizes its requests and connections by itself", []string{
			"fs.s3a.connection.maximum", "fs.s3a.connection.timeout", "fs.s3a.connection.establish.timeout", "fs.s3a.connection.request.timeout",
			"fs.s3a.threads.max", "fs.s3a.attempts.maximum", "fs.s3a.retry.limit", "fs.s3a.retry.interval", "fs.s3a.multipart.size",
			"fs.s3a.multipart.threshold", "fs.s3a.block.size", "timeout", "connect_timeout", "pool_idle_timeout", "pool_max_idle_per_host",
			"aws_s3_pool_idle_timeout_seconds"}},
		{"name the role in a profile (role_arn and source_profile in ~/.aws/config) and the profile by aws_profile", []string{
			"fs.s3a.assumed.role.arn", "fs.s3a.assumed.role.credentials.provider", "fs.s3a.assumed.role.session.name", "aws_iam_role_arn",
			"aws_iam_role_session_name", "aws_s3_assume_role_arn", "aws_s3_role_session_name"}},
		{"set it in the environment, as AWS_ENDPOINT_URL_STS, AWS_EC2_METADATA_SERVICE_ENDPOINT or AWS_CONTAINER_...", []string{
			"aws_endpoint_url_sts", "endpoint_url_sts", "aws_metadata_endpoint", "metadata_endpoint", "aws_container_credentials_relative_uri",
			"container_credentials_relative_uri", "aws_container_credentials_full_uri", "container_credentials_full_uri",
			"aws_container_authorization_token_file", "container_authorization_token_file", "aws_ec2_metadata_disabled"}},
		{"set HTTPS_PROXY and NO_PROXY in the environment", []string{
			"proxy_url", "fs.s3a.proxy.host", "fs.s3a.proxy.port", "fs.s3a.proxy.username", "fs.s3a.proxy.password"}},
		{"the bucket is that of the path: s3://BUCKET/PATH", []string{"aws_bucket", "aws_bucket_name", "bucket", "bucket_name"}},
		{"remove it: the signature of each request holds the SHA-256 of what is written", []string{
			"aws_checksum_algorithm", "checksum_algorithm", "aws_unsigned_payload", "unsigned_payload", "fs.s3a.checksum.algorithm"}},
		{"remove it: silt writes no tags", []string{"aws_disable_tagging", "disable_tagging"}},
		{"use a general purpose bucket: a directory bucket lists its objects in no order", []string{"aws_s3_express", "s3_express"}},
		{"machines with version 1 of the metadata service only are not supported: use version 2", []string{"aws_imdsv1_fallback", "imdsv1_fallback"}},
		{"use aws:kms with a key of your own: a key that every request carries is not supported", []string{
			"aws_sse_customer_key_base64", "sse_customer_key_base64"}},
		{"set SSL_CERT_FILE in the environment to the file of your own authority's certificate", []string{
			"allow_invalid_certificates", "aws_allow_invalid_certificates"}},
		{"write fs.s3a.path.style.access: true or false", []string{"aws_s3_addressing_style"}},
		{"put the key into a secret scope or the environment, and refer to it", []string{
			"fs.s3a.security.credential.provider.path", "hadoop.security.credential.provider.path"}},
	} {
		for _, name := range group.names {
			specs = append(specs, spec{name: name, unsupported: group.instead, secret: s3HoldsSecret(name)})
		}
	}
	return specs
}

// s3HoldsSecret says whether a refused option has a value that must not be printed all the same.
func s3HoldsSecret(name string) bool {
	for _, part := range []string{"secret", "token_dynamodb", "password", "customer_key", "access_key", "proxy_url"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// An s3Config is what the options of a place and the environment's variables say, checked.
type s3Config struct {
	place Place
	auth  s3Auth
	// region is "" if only a profile can say it.
	region string
	// endpoint is the URL of the store, "" for AWS's.
	endpoint      string
	pathStyle     bool
	insecure      bool // AWS is asked by http
	allowHTTP     bool
	requesterPays bool
	sse           s3Encryption
}

// serviceURL is that of the bucket; of AWS's where the region is known, since each region has hosts of its own.
func (c s3Config) serviceURL() string {
	switch {
	case c.endpoint != "":
		return c.endpoint
	case c.region == "":
		return ""
	}
	scheme, domain := "https", "amazonaws.com"
	if c.insecure {
		scheme = "http"
	}
	if strings.HasPrefix(c.region, "cn-") {
		domain += ".cn"
	}
	return scheme + "://s3." + c.region + "." + domain
}

// s3Settings combines the options that the file gives for a place with the environment's standard variables.
func s3Settings(p Place, g given, env Env) (s3Config, []*problem.Problem) {
	r := &s3Reader{newReader(g, env)}
	c := s3Config{place: p, allowHTTP: r.Bool(s3AllowHTTP, r.env.variable("AWS_ALLOW_HTTP") == "true")}
	r.endpoint(&c)
	c.region = cmp.Or(r.text(s3Region), env.variable("AWS_REGION", "AWS_DEFAULT_REGION"))
	r.addressing(&c)
	r.encryption(&c)
	c.requesterPays = r.Bool(s3RequesterPays, false)
	if v, ok := r.value(s3Conditional); ok && !strings.EqualFold(strings.TrimSpace(v.Reveal()), "etag") {
		r.Report(v, problem.Unsupported, "%s: %q is not supported; want etag", v.Key, v.Shown()).
			Fix("silt commits by If-None-Match; a store without it cannot hold a table that is written exactly once")
	}
	c.auth = r.login()
	return c, r.Reported()
}

type s3Reader struct{ reader }

// awsHost matches the hosts of AWS's own endpoints, and takes the region out of those that have one: s3.REGION.amazonaws.com,
// s3-REGION..., s3.dualstack.REGION..., s3-fips.REGION..., bucket.vpce-ID.s3.REGION.vpce.amazonaws.com.
var awsHost = regexp.MustCompile(`(?i)(?:^|\.)s3(?:-fips)?(?:\.dualstack)?(?:[.-]([a-z]{2,}(?:-[a-z]+)+-\d+))?(?:\.vpce)?\.amazonaws\.com(?:\.cn)?$`)

func (r *s3Reader) endpoint(c *s3Config) {
	v, given := r.value(s3Endpoint)
	text := strings.TrimSpace(v.Reveal())
	if !given && r.env.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != "true" {
		for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
			if text = r.env.variable(name); text != "" {
				v = option.Value{Key: name, Text: text}
				break
			}
		}
	}
	tls := r.Bool(s3SSL, true)
	if text == "" {
		if ssl, ok := r.value(s3SSL); ok && !tls {
			if c.insecure = c.allowHTTP; !c.allowHTTP {
				r.insecure(ssl, "S3")
			}
		}
		return
	}
	if !strings.Contains(text, "://") {
		text = map[bool]string{true: "https://", false: "http://"}[tls] + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		shown := v.Shown()
		if strings.Contains(shown, "@") {
			shown = "a URL with a login"
		}
		r.Report(v, problem.InvalidValue, "%s is %s; want https://HOST or HOST", v.Key, shown)
		return
	}
	if u.Scheme == "http" && !option.Loopback(u.Hostname()) && !c.allowHTTP {
		r.insecure(v, u.Host)
		return
	}
	c.endpoint = strings.TrimSuffix(u.String(), "/")
	if m := awsHost.FindStringSubmatch(u.Hostname()); m != nil && m[1] == "" {
		// The endpoint of no region, which Hadoop's documents give, serves buckets of us-east-1 only: the region's own is asked.
		c.endpoint, c.insecure = "", u.Scheme == "http"
	}
}

// insecure reports that requests to host would not be encrypted.
func (r *s3Reader) insecure(v option.Value, host string) {
	r.Report(v, problem.Insecure, "%s asks %s by plain http", v.Key, host).
		Fix("use https, or set allow_http: true if everyone on the network may read and change the table")
}

// addressing decides where the bucket stands in a URL, and the region of an endpoint that tells it or of a store that has none.
func (r *s3Reader) addressing(c *s3Config) {
	host := ""
	if u, err := url.Parse(c.endpoint); err == nil {
		host = u.Hostname()
	}
	m := awsHost.FindStringSubmatch(host)
	other := host != "" && m == nil
	if c.region == "" && m != nil {
		c.region = m[1]
	}
	if c.region == "" && other {
		c.region = "us-east-1"
	}
	virtualHosted := r.Bool(s3VirtualHosted, !other)
	c.pathStyle = r.Bool(s3PathStyle, !virtualHosted)
	path, hasPath := r.value(s3PathStyle)
	virtual, hasVirtual := r.value(s3VirtualHosted)
	if hasPath && hasVirtual && c.pathStyle == virtualHosted {
		r.Report(virtual, problem.Conflict, "%s and %s say the opposite", path.Key, virtual.Key).Fix("leave one of them out")
	}
}

func (r *s3Reader) encryption(c *s3Config) {
	v, ok := r.value(s3SSE)
	algorithm := strings.ToLower(strings.TrimSpace(v.Reveal()))
	switch algorithm {
	case "":
	case "aes256", "sse-s3":
		c.sse.algorithm = types.ServerSideEncryptionAes256
	case "aws:kms", "sse-kms":
		c.sse.algorithm = types.ServerSideEncryptionAwsKms
	case "aws:kms:dsse", "dsse-kms":
		c.sse.algorithm = types.ServerSideEncryptionAwsKmsDsse
	case "sse-c", "cse-kms", "cse-custom":
		r.Report(v, problem.Unsupported, "%s: %s is not supported", v.Key, v.Shown()).
			Fix("use aws:kms: the store encrypts, and readers need no key of their own")
	default:
		r.Report(v, problem.InvalidValue, "%s is %q; want AES256, aws:kms or aws:kms:dsse", v.Key, v.Shown())
	}
	kms := c.sse.algorithm == types.ServerSideEncryptionAwsKms || c.sse.algorithm == types.ServerSideEncryptionAwsKmsDsse
	for _, name := range []string{s3SSEKey, s3SSEBucketKey} {
		if key, given := r.value(name); given && !kms && (!ok || c.sse.algorithm != "") {
			r.Report(key, problem.Conflict, "%s is given, and %s is not aws:kms", key.Key, s3SSE).Fix("set %s: aws:kms, or remove it", s3SSE)
		}
	}
	if key := r.text(s3SSEKey); key != "" && kms {
		c.sse.kmsKey = aws.String(key)
	}
	if _, given := r.value(s3SSEBucketKey); given && kms {
		c.sse.bucketKey = aws.Bool(r.Bool(s3SSEBucketKey, false))
	}
}

// noRegion is the problem of a place whose region nobody tells.
func (c s3Config) noRegion() *problem.Problem {
	return problem.New(problem.MissingOption, "the region of %s is not known", c.place.Text).
		Fix("set fs.s3a.endpoint.region (or aws_region) in sink.storageOptions, or AWS_REGION")
}
