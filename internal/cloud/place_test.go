package cloud

import (
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

func TestURLsNameFoldersOfObjectStores(t *testing.T) {
	azure := Place{Cloud: Azure, Account: "account", Suffix: "core.windows.net", Bucket: "data", Folder: "delta/clicks"}
	for _, tt := range []struct {
		text string
		want Place
	}{
		{"abfss://data@account.dfs.core.windows.net/delta/clicks", azure},
		{"abfs://data@account.dfs.core.windows.net/delta/clicks/", azure}, // a slash at the end is none of the name
		{"ABFSS://data@Account.DFS.core.windows.net/delta/clicks", azure}, // hosts and schemes have no case
		{"wasbs://data@account.blob.core.windows.net/delta/clicks", azure},
		{"wasb://data@account.blob.core.windows.net/delta/clicks", azure},
		{"https://account.blob.core.windows.net/data/delta/clicks", azure},
		{"https://account.dfs.core.windows.net/data/delta/clicks", azure},
		{"az://account.blob.core.windows.net/data/delta/clicks", azure}, // as DuckDB writes it
		{"az://data/delta/clicks", Place{Cloud: Azure, Bucket: "data", Folder: "delta/clicks"}},
		{"azure://data", Place{Cloud: Azure, Bucket: "data"}},
		{"abfss://a-b@account.dfs.core.chinacloudapi.cn", Place{Cloud: Azure, Account: "account", Suffix: "core.chinacloudapi.cn", Bucket: "a-b"}},
		{"abfss://data@account.dfs.core.usgovcloudapi.net/x", Place{Cloud: Azure, Account: "account", Suffix: "core.usgovcloudapi.net", Bucket: "data", Folder: "x"}},
		{"s3://my.bucket-1/a b/ü/x@y:z+1", Place{Cloud: S3, Bucket: "my.bucket-1", Folder: "a b/ü/x@y:z+1"}}, // as it is written
		{"s3a://bucket/", Place{Cloud: S3, Bucket: "bucket"}},
		{"gs://my_bucket/x", Place{Cloud: GCS, Bucket: "my_bucket", Folder: "x"}},
		{"gs://" + strings.Repeat("a.", 100) + "com/x", Place{Cloud: GCS, Bucket: strings.Repeat("a.", 100) + "com", Folder: "x"}}, // a domain
	} {
		tt.want.Text = tt.text
		if got, q := ParsePlace(tt.text); q != nil || got != tt.want {
			t.Errorf("%s: got %+v %v", tt.text, got, q)
		}
	}
}

func TestURLsThatAreRefusedSayWhatToDo(t *testing.T) {
	for _, tt := range []struct{ text, message, hint string }{
		// other stores
		{"s3n://bucket/x", "silt does not write to s3n://", "s3a://"},
		{"adl://account.azuredatalakestore.net/x", "silt does not write to adl://", "abfss://"},
		{"r2://bucket/x", "silt does not write to r2://", "aws_endpoint_url"},
		{"oss://bucket/x", "silt does not write to oss://", "local path"},
		{"hdfs://namenode:8020/x", "silt does not write to hdfs://", "local path"},
		{"gcs://bucket/x", "silt does not write to gcs://", "gs://"},
		{"http://127.0.0.1:10000/data/x", "is not encrypted", "endpoint"},
		{"https://bucket.s3.amazonaws.com/x", `"bucket.s3.amazonaws.com"`, "s3://BUCKET/PATH"},
		{"ftp://host/x", `unknown scheme "ftp"`, "abfss://"},
		{"s3:bucket", "is no URL", "s3://"},
		// accounts, containers, buckets
		{"abfss://account.dfs.core.windows.net/data/x", "names no container", "abfss://CONTAINER@account.dfs.core.windows.net/PATH"},
		{"wasbs://data/x", "names no storage account", "CONTAINER@ACCOUNT.blob.core.windows.net"},
		{"abfss://data@account/x", `"account" in abfss://data@account/x is no storage account's host`, "core.usgovcloudapi.net"},
		{"abfss://ws@onelake.dfs.fabric.microsoft.com/x", "is in OneLake, which is not supported", "an account of Azure Storage"},
		{"https://onelake.blob.fabric.microsoft.com/ws/x", "is in OneLake", ""},
		{"abfss://data@account.dfs.core.windows.net:443/x", "a port", ""},
		{"abfss://data@my-account.dfs.core.windows.net/x", `"my-account"`, "3 to 24"},
		{"abfss://@account.dfs.core.windows.net/x", "names no container", "write abfss://CONTAINER@account.dfs.core.windows.net/PATH"},
		{"https://account.blob.core.chinacloudapi.cn/", "names no container", "write abfss://CONTAINER@account.dfs.core.chinacloudapi.cn/PATH"},
		{"abfss://Data@account.dfs.core.windows.net/x", `"Data"`, "lower-case"},
		{"az://a--b/x", `"a--b"`, "single hyphens"},
		{"az:///x", "names no container", "write az://CONTAINER/PATH"},
		{"az://ab/x", `"ab"`, "3 to 63"},
		{"s3:///x", "names no bucket", "write s3://BUCKET/PATH"},
		{"gs:///x", "names no bucket", "write gs://BUCKET/PATH"},
		{"s3://arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap/x", "named by its ARN", "its alias"},
		{"s3://Bucket/x", `"Bucket"`, "lower-case"},
		{"s3://under_score/x", `"under_score"`, ""},
		{"s3://192.168.5.4/x", `"192.168.5.4"`, ""},
		{"s3://a..b/x", `"a..b"`, ""},
		{"s3://base--usw2-az1--x-s3/x", "lists its objects in no order", "general purpose"},
		{"gs://" + strings.Repeat("a", 64) + "/x", "no name of a bucket", ""},
		// paths
		{"s3://bucket/a/../b", `the part ".."`, ""},
		{"s3://bucket/./b", `the part "."`, ""},
		{"s3://bucket//b", "two slashes", ""},
		{"s3://bucket/b//", "two slashes", ""},
		{"s3://bucket/a%20b", "holds a %", "the character itself"},
		{"s3://bucket/a\\b", "a backslash", ""},
		{"s3://bucket/a\nb", "control character", ""},
		{"s3://bucket/a\xff", "not UTF-8", ""},
		{"az://data/a./b", `"a." in`, "name the folder otherwise"},
		{"s3://bucket/" + strings.Repeat("x", maxFolder+1), "longer than 768 bytes", ""},
	} {
		p, q := ParsePlace(tt.text)
		if q == nil || !strings.Contains(q.Message, tt.message) || !strings.Contains(q.Hint, tt.hint) || q.Exit() != problem.ExitUsage {
			t.Errorf("%q: got %+v %v", tt.text, p, q)
		}
	}
}

func TestSecretsInURLsAreNeitherPrintedNorKept(t *testing.T) {
	const pw = "canary/se+cret="
	for _, tt := range []struct{ text, shown string }{
		{"s3://AKIA:" + pw + "@bucket/x", "s3://[REDACTED]@bucket/x"}, // the secret key holds a slash
		{"s3a://AKIA:canary@bucket/x", "s3a://[REDACTED]@bucket/x"},
		{"s3://canary@bucket/x", "s3://[REDACTED]@bucket/x"},
		{"gs://canary:canary/x", "gs://[REDACTED]/x"},
		{"abfss://data:canary@account.dfs.core.windows.net/x", "abfss://[REDACTED]@account.dfs.core.windows.net/x"},
		{"abfss://data@account.dfs.core.windows.net:canary@x/x", "abfss://[REDACTED]/x"},
		{"abfss://data@account.dfs.core.windows.net/x?sv=1&sig=canary", "abfss://data@account.dfs.core.windows.net/x?[REDACTED]"},
		{"https://account.blob.core.windows.net/data?sv=1&sig=canary%3D", "https://account.blob.core.windows.net/data?[REDACTED]"},
		{"https://account.blob.core.windows.net?sig=canary/x", "https://account.blob.core.windows.net?[REDACTED]"},
		{"az://data/x#canary", "az://data/x#[REDACTED]"},
		{"hdfs://user:canary@namenode/x", "hdfs://[REDACTED]@namenode/x"},
		{"ftp://user:canary@host/x", "ftp://[REDACTED]@host/x"},
		{"s3:bucket?sig=canary", "s3:bucket?[REDACTED]"},
	} {
		p, q := ParsePlace(tt.text)
		if q == nil {
			t.Errorf("%s is accepted", tt.text)
			continue
		}
		if p.Text != tt.shown || strings.Contains(q.Error()+q.Why+q.Hint, "canary") || strings.Contains(p.Bucket+p.Folder+p.Account, "canary") {
			t.Errorf("%s: got %s; %v\n%+v", tt.text, p.Text, q, p)
		}
	}
}

func TestPlacesKnowWhatIsInsideThem(t *testing.T) {
	for _, tt := range []struct{ root, p, rel string }{
		{"s3://bucket/a", "s3a://bucket/a/b/c", "b/c"},
		{"s3://bucket/a", "s3://bucket/a/", "."},
		{"s3://bucket", "s3://bucket/a", "a"},
		{"s3://bucket/a", "s3://bucket/ab", ""}, // beside it
		{"s3://bucket/a", "s3://other/a", ""},
		{"s3://bucket/a", "gs://bucket/a", ""},
		{"abfss://data@account.dfs.core.windows.net/a", "wasbs://data@account.blob.core.windows.net/a/b", "b"},
		{"abfss://data@account.dfs.core.windows.net/a", "az://data/a/b", "b"}, // the account may be the same
		{"abfss://data@account.dfs.core.windows.net/a", "abfss://data@another.dfs.core.windows.net/a/b", ""},
	} {
		root, q1 := ParsePlace(tt.root)
		p, q2 := ParsePlace(tt.p)
		if q1 != nil || q2 != nil {
			t.Fatal(q1, q2)
		}
		if rel, ok := p.Inside(root); rel != tt.rel || ok != (tt.rel != "") {
			t.Errorf("%s in %s: got %q %v", tt.p, tt.root, rel, ok)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, text := range []string{"abfss://data@account.dfs.core.windows.net/delta/clicks", "az://data/x", "https://account.blob.core.windows.net/data/x",
		"s3://bucket/a/b", "s3a://my.bucket/", "gs://my_bucket/x", "hdfs://h:1/x", "s3://a:b@c/d?e#f", "abfss://a:b@c@d/e", "", "s3:", "://", "s3://"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, q := ParsePlace(text)
		if q != nil {
			if q.Message == "" || q.Exit() != problem.ExitUsage {
				t.Errorf("%q: got %+v", text, q)
			}
			return
		}
		if p.Text != text || p.Bucket == "" || p.Cloud == 0 || (p.Account == "") != (p.Suffix == "") {
			t.Errorf("%q: got %+v", text, p)
		}
		if err := store.CheckKey(p.key("x")); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		// The part after a sign that is none of a path is never shown.
		for _, sign := range []string{"?sig=", "#"} {
			with := text + sign + "canary-1"
			if p, q := ParsePlace(with); q == nil || strings.Contains(p.Text+q.Error()+q.Why+q.Hint, "canary-1") {
				t.Errorf("%q: got %s %v", with, p.Text, q)
			}
		}
	})
}
