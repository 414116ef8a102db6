package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// readAzure reads options, written as key=value, and variables of the environment, written as $NAME=value, for a path.
func readAzure(t *testing.T, path, settings string) (azureConfig, []*problem.Problem) {
	t.Helper()
	p, q := ParsePlace(path)
	if q != nil {
		t.Fatal(q)
	}
	environment := map[string]string{}
	var values []option.Value
	for i, line := range strings.Fields(settings) {
		key, value, _ := strings.Cut(line, "=")
		if name, ok := strings.CutPrefix(key, "$"); ok {
			environment[name] = value
			continue
		}
		values = append(values, option.Value{Key: key, Text: value, Pos: problem.Location{File: "silt.yaml", Line: i + 1, Col: 1}})
	}
	env := Env{
		Getenv: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
		Now:    func() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) },
	}
	o, problems := readOptions(specs(), option.NewValues("sink.storageOptions", problem.Location{}, values...), []Place{p})
	if len(problems) > 0 {
		return azureConfig{}, problems
	}
	return azureSettings(p, o.given(p), env)
}

// shown is a configuration as a line; secrets are shown, since they are what the test wrote.
func shown(c azureConfig) string {
	l := c.login
	kind := [...]string{"none", "SharedKey", "SAS", "token", "principal", "workload", "managed"}[l.kind]
	s := fmt.Sprintf("%s %s", c.service, kind)
	for _, part := range []struct{ name, value string }{
		{"secret", l.secret.Reveal()}, {"tenant", l.tenant}, {"client", l.clientID}, {"authority", strings.TrimPrefix(l.authority, "https://")},
		{"file", l.tokenFile}, {"object", l.objectID}, {"resource", l.resourceID}, {"endpoint", l.endpoint},
	} {
		if part.value != "" {
			s += " " + part.name + "=" + part.value
		}
	}
	if l.guessed {
		s += " guessed"
	}
	return s
}

func TestAzureOptionsAreHadoopsAndDeltaRsOwn(t *testing.T) {
	const (
		path  = "abfss://data@acct.dfs.core.windows.net/delta/t"
		blob  = "https://acct.blob.core.windows.net "
		token = "org.apache.hadoop.fs.azurebfs.oauth2."
		login = "login.microsoftonline.com"
		sas   = "sv=2026&sig=a%2Bb%3D"
	)
	for _, test := range []struct{ name, path, settings, want string }{
		{"the tutorial's key", path, "fs.azure.account.key.acct.dfs.core.windows.net=S2V5", blob + "SharedKey secret=S2V5"},
		{"the key as Spark has it", path, "spark.hadoop.fs.azure.account.key.acct.blob.core.windows.net=S2V5", blob + "SharedKey secret=S2V5"},
		{"the key for all accounts", path, "fs.azure.account.key=S2V5", blob + "SharedKey secret=S2V5"},
		{"the variables of the Azure CLI as options", "az://data/t", "AZURE_STORAGE_KEY=S2V5 AZURE_STORAGE_ACCOUNT=acct", blob + "SharedKey secret=S2V5"},
		{"delta-rs", path, "AZURE_STORAGE_ACCOUNT_KEY=S2V5", blob + "SharedKey secret=S2V5"},
		{"delta-rs, short", "az://data/t", "account_name=acct access_key=S2V5", blob + "SharedKey secret=S2V5"},
		{"the key of the account before that of all", path, "fs.azure.account.key=QQ== fs.azure.account.key.acct.dfs.core.windows.net=S2V5",
			blob + "SharedKey secret=S2V5"},
		{"WASB", "wasbs://data@acct.blob.core.windows.net/t", "fs.azure.sas.data.acct.blob.core.windows.net=" + sas, blob + "SAS secret=" + sas},
		{"ABFS's SAS", path, "fs.azure.account.auth.type.acct.dfs.core.windows.net=SAS fs.azure.sas.fixed.token.acct.dfs.core.windows.net=" + sas,
			blob + "SAS secret=" + sas},
		{"the type says which", path, "fs.azure.account.auth.type=sharedkey fs.azure.sas.fixed.token=" + sas + " account_key=S2V5", blob + "SharedKey secret=S2V5"},
		{"a token", path, "bearer_token=eyJ0", blob + "token secret=eyJ0"},
		{"a service principal of Hadoop", path, "fs.azure.account.auth.type=OAuth fs.azure.account.oauth.provider.type=" + token +
			"ClientCredsTokenProvider fs.azure.account.oauth2.client.id=id fs.azure.account.oauth2.client.secret=s " +
			"fs.azure.account.oauth2.client.endpoint=https://login.microsoftonline.com/ten/oauth2/token",
			blob + "principal secret=s tenant=ten client=id authority=" + login},
		{"a service principal of delta-rs", path, "azure_client_id=id azure_client_secret=s azure_tenant_id=ten",
			blob + "principal secret=s tenant=ten client=id authority=" + login},
		{"a workload identity of Hadoop", path, "fs.azure.account.oauth.provider.type=WorkloadIdentityTokenProvider " +
			"fs.azure.account.oauth2.msi.tenant=ten fs.azure.account.oauth2.client.id=id fs.azure.account.oauth2.token.file=/t",
			blob + "workload tenant=ten client=id authority=" + login + " file=/t"},
		{"a workload identity of the pod", path, "$AZURE_CLIENT_ID=id $AZURE_TENANT_ID=ten $AZURE_FEDERATED_TOKEN_FILE=/t",
			blob + "workload tenant=ten client=id authority=" + login + " file=/t"},
		{"another identity of the pod", path, "client_id=other $AZURE_CLIENT_ID=id $AZURE_TENANT_ID=ten $AZURE_FEDERATED_TOKEN_FILE=/t",
			blob + "workload tenant=ten client=other authority=" + login + " file=/t"},
		{"a managed identity", path, "fs.azure.account.oauth.provider.type=" + token + "MsiTokenProvider fs.azure.account.oauth2.client.id=id",
			blob + "managed client=id"},
		{"its endpoint", path, "azure_msi_endpoint=http://127.0.0.1:40342/token object_id=o", blob + "managed object=o endpoint=http://127.0.0.1:40342/token"},
		{"its endpoint as it is anyway", path, "fs.azure.account.oauth2.msi.endpoint=http://169.254.169.254/metadata/identity/oauth2/token", blob + "managed"},
		{"nothing", path, "", blob + "managed guessed"},
		// the environment
		{"a key of the environment", path, "$AZURE_STORAGE_ACCOUNT_KEY=S2V5", blob + "SharedKey secret=S2V5"},
		{"a key of another account is not for this one", path, "$AZURE_STORAGE_KEY=S2V5 $AZURE_STORAGE_ACCOUNT=other", blob + "managed guessed"},
		{"a SAS of the environment", "az://data/t", "$AZURE_STORAGE_ACCOUNT=acct $AZURE_STORAGE_SAS_TOKEN=" + sas, blob + "SAS secret=" + sas},
		{"a service principal of the environment", path, "$AZURE_CLIENT_ID=id $AZURE_CLIENT_SECRET=s $AZURE_TENANT_ID=ten $AZURE_AUTHORITY_HOST=https://login.example/",
			blob + "principal secret=s tenant=ten client=id authority=login.example"},
		{"options before the environment", path, "account_key=S2V5 $AZURE_STORAGE_ACCOUNT_KEY=QQ== $AZURE_CLIENT_ID=id", blob + "SharedKey secret=S2V5"},
		// endpoints
		{"another Azure cloud", "abfss://data@acct.dfs.core.chinacloudapi.cn/t", "client_id=id client_secret=s tenant_id=ten",
			"https://acct.blob.core.chinacloudapi.cn principal secret=s tenant=ten client=id authority=login.chinacloudapi.cn"},
		{"its key", "abfss://data@acct.dfs.core.usgovcloudapi.net/t", "fs.azure.account.key.acct.dfs.core.usgovcloudapi.net=S2V5",
			"https://acct.blob.core.usgovcloudapi.net SharedKey secret=S2V5"},
		{"an endpoint", path, "azure_storage_endpoint=https://acct.privatelink.blob.example/ account_key=S2V5",
			"https://acct.privatelink.blob.example SharedKey secret=S2V5"},
		{"the endpoint of ADLS Gen2", path, "endpoint=https://acct.dfs.core.windows.net account_key=S2V5", blob + "SharedKey secret=S2V5"},
		{"http on another machine", path, "endpoint=http://10.0.0.7:10000 allow_http=true account_key=S2V5", "http://10.0.0.7:10000/acct SharedKey secret=S2V5"},
		{"the emulator", "az://data/t", "azure_storage_use_emulator=true", "http://127.0.0.1:10000/devstoreaccount1 SharedKey secret=" + emulatorKey},
		{"the emulator elsewhere", "az://data/t", "use_emulator=true $AZURITE_BLOB_STORAGE_URL=http://localhost:18000",
			"http://localhost:18000/devstoreaccount1 SharedKey secret=" + emulatorKey},
		{"the emulator's endpoint", "az://data/t", "use_emulator=true endpoint=http://127.0.0.1:1/devstoreaccount1 $AZURE_STORAGE_ACCOUNT_KEY=QQ==",
			"http://127.0.0.1:1/devstoreaccount1 SharedKey secret=" + emulatorKey},
		{"the emulator with a SAS", "az://data/t", "use_emulator=true sas_token=" + sas, "http://127.0.0.1:10000/devstoreaccount1 SAS secret=" + sas},
	} {
		c, problems := readAzure(t, test.path, test.settings)
		if len(problems) > 0 {
			t.Errorf("%s: %v", test.name, problem.List(problems))
			continue
		}
		if diff := cmp.Diff(test.want, shown(c)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestAzureOptionsThatAreWrongSayWhatToDo(t *testing.T) {
	const path = "abfss://data@acct.dfs.core.windows.net/t"
	for _, test := range []struct{ path, settings, want string }{
		{path, "fs.azure.account.key.acct.dfs.core.windows.net=canary:",
			"E1204 fs.azure.account.key.acct.dfs.core.windows.net is no key of a storage account: it is not base64"},
		{path, "fs.azure.account.key.other.dfs.core.windows.net=S2V5", `E1207 fs.azure.account.key.other.dfs.core.windows.net is for the storage account "other", and no path is in it`},
		{path, "fs.azure.sas.other.acct.blob.core.windows.net=canary", `E1207 fs.azure.sas.other.acct.blob.core.windows.net is for the container "other", and no path is in it`},
		{path, "sas_token=canary", "E1204 sas_token is no shared access signature: sig is missing"},
		{path, "sas_token=sv=1&sig=canary&se=2026-11-26T11:59:00Z", "E1204 the shared access signature in sas_token ended on 2026-11-26T11:59:00Z"},
		{path, "account_key=S2V5 sas_token=sig=canary", "E1207 account_key and sas_token are two ways to log in"},
		{path, "fs.azure.account.auth.type=SharedKey", "E1205 fs.azure.account.key.acct.dfs.core.windows.net is missing"},
		{path, "fs.azure.account.auth.type=SAS", "E1205 fs.azure.sas.fixed.token is missing"},
		{path, "fs.azure.account.auth.type=OAuth", "E1205 fs.azure.account.auth.type is OAuth, and fs.azure.account.oauth.provider.type is missing"},
		{path, "fs.azure.account.auth.type=Custom", "E1206 fs.azure.account.auth.type is Custom, and silt loads no Java classes"},
		{path, "fs.azure.account.auth.type=Shared", `E1204 fs.azure.account.auth.type is "Shared"; want SharedKey, SAS, OAuth`},
		{path, "fs.azure.account.oauth.provider.type=UserPasswordTokenProvider",
			`E1206 fs.azure.account.oauth.provider.type is "UserPasswordTokenProvider", which silt does not have`},
		{path, "client_secret=canary client_id=id", "E1205 fs.azure.account.oauth2.msi.tenant is missing for a service principal -> " +
			"give fs.azure.account.oauth2.client.endpoint: https://login.microsoftonline.com/TENANT/oauth2/token, or azure_tenant_id: TENANT"},
		{path, "client_secret=canary $AZURE_TENANT_ID=ten", "E1205 fs.azure.account.oauth2.client.id is missing for a service principal"},
		{path, "client_secret=canary client_id=id fs.azure.account.oauth2.client.endpoint=login.microsoftonline.com",
			`E1204 fs.azure.account.oauth2.client.endpoint is "login.microsoftonline.com"`},
		{path, "federated_token_file=/t client_id=id", "E1205 fs.azure.account.oauth2.msi.tenant is missing for a workload identity"},
		{path, "authority_host=http://login.example client_secret=canary client_id=id tenant_id=ten",
			"E1204 authority_host is no URL of a host that gives tokens"},
		{path, "msi_endpoint=http://10.0.0.7/token", "E1209 msi_endpoint is http, and 10.0.0.7 is another machine"},
		{path, "endpoint=http://10.0.0.7:10000 account_key=S2V5", "E1209 endpoint is http, and 10.0.0.7 is another machine"},
		{path, "endpoint=ftp://x account_key=S2V5", "E1204 endpoint is no URL of a Blob service"},
		{path, "endpoint=https://u:canary@x account_key=S2V5", "E1204 endpoint is no URL of a Blob service"},
		{path, "endpoint=https://x/?sig=canary account_key=S2V5", "E1204 endpoint is no URL of a Blob service"},
		{path, "account_name=other account_key=S2V5", `E1207 account_name is "other", and ` + path + ` is in "acct"`},
		{path, "container_name=other account_key=S2V5", `E1207 container_name is "other", and ` + path + ` is in "data"`},
		{path, "allow_http=yes account_key=S2V5", `E1204 allow_http is "yes"; want true or false`},
		{"az://data/t", "account_key=S2V5", "E1205 az://data/t names no storage account"},
		{"az://data/t", "account_name=a.b account_key=S2V5", `E1204 account_name is "a.b", which is no name of a storage account`},
		{path, "azure_use_azure_cli=true", "E1206 azure_use_azure_cli is not supported"},
		{path, "azure_disable_tagging=true", "E1206 azure_disable_tagging is not supported"},
		{path, "use_fabric_endpoint=true", "E1206 use_fabric_endpoint is not supported"},
		{path, "fs.azure.sas.token.provider.type.acct.dfs.core.windows.net=x", "E1206 fs.azure.sas.token.provider.type.acct.dfs.core.windows.net is not supported"},
		{path, "azure_storage_acount_key=canary", `E1203 unknown option "azure_storage_acount_key" in sink.storageOptions; did you mean "azure_storage_account_key"?`},
	} {
		_, problems := readAzure(t, test.path, test.settings)
		if len(problems) != 1 {
			t.Errorf("%s: got %v, want one problem: %s", test.settings, problem.List(problems), test.want)
			continue
		}
		p := problems[0]
		got := string(p.Code) + " " + p.Message
		if strings.Contains(test.want, " -> ") {
			got += " -> " + p.Hint
		}
		if got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.settings, got, test.want)
		}
		if text := fmt.Sprintf("%v %v %v", p, p.Why, p.Hint); strings.Contains(text, "canary") {
			t.Errorf("%s: %s holds the secret", test.settings, text)
		}
		if p.Hint == "" && p.Code != problem.InvalidValue {
			t.Errorf("%s: no hint", test.settings)
		}
	}
}

func TestSecretsOfTheEnvironmentAreScrubbed(t *testing.T) {
	var known secret.Scrubber
	env := Env{Secrets: &known, Getenv: func(name string) (string, bool) {
		return map[string]string{"AZURE_STORAGE_ACCOUNT_KEY": "Y2FuYXJ5"}[name], true
	}}
	if _, problems := azureSettings(Place{Cloud: Azure, Account: "acct", Suffix: azurePublic, Bucket: "data"}, nil, env); len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := known.String("Y2FuYXJ5"); got != secret.Redacted {
		t.Errorf("got %q", got)
	}
}

func TestASignatureIsReadAsItIsCopied(t *testing.T) {
	for _, text := range []string{
		"sv=2026&sig=a%2Bb%3D",           // of the portal
		"?sv=2026&sig=a%2Bb%3D",          // with its question mark
		" sv=2026&sig=a+b=\n",            // not encoded
		"sv%3D2026%26sig%3Da%252Bb%253D", // encoded once more
	} {
		q, err := parseSAS(text)
		if err != nil || q.Encode() != "sig=a%2Bb%3D&sv=2026" {
			t.Errorf("%q: got %q, %v", text, q.Encode(), err)
		}
	}
}

func FuzzParseSAS(f *testing.F) {
	for _, text := range []string{"sv=2026&sig=a%2Bb%3D", "?sig=x", "sig%3Dx", "a;b", "%", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseSAS(text)
		if err != nil {
			return
		}
		again, err := parseSAS(q.Encode())
		if err != nil || again.Encode() != q.Encode() {
			t.Errorf("%q gives %q, and that %q, %v", text, q.Encode(), again.Encode(), err)
		}
	})
}

// Every option is spelled as other tools spell it, once.
func TestAzureOptionsAreToldApart(t *testing.T) {
	seen := map[string]string{}
	for _, s := range azureSpecs() {
		if s.cloud != Azure || s.unsupported == "" && s.doc == "" {
			t.Errorf("%s: cloud %v, doc %q", s.name, s.cloud, s.doc)
		}
		for _, name := range append([]string{s.name}, s.others...) {
			if seen[strings.ToLower(name)] != "" {
				t.Errorf("%s is a spelling of %s and of %s", name, seen[strings.ToLower(name)], s.name)
			}
			seen[strings.ToLower(name)] = s.name
		}
	}
}
