package cloud

import (
	"slices"
	"strings"
)

// The names of Azure's options in this package: Hadoop's where Hadoop has one (ABFS's hadoop-azure/abfs.md and ConfigurationKeys, WASB's for
// the SAS of a container), else those of object_store, which delta-rs takes (its AzureConfigKey), and the variables of the Azure CLI.
const (
	azKey            = "fs.azure.account.key.ACCOUNT.dfs.core.windows.net"
	azSAS            = "fs.azure.sas.fixed.token"
	azAuthType       = "fs.azure.account.auth.type"
	azProvider       = "fs.azure.account.oauth.provider.type"
	azClientID       = "fs.azure.account.oauth2.client.id"
	azClientSecret   = "fs.azure.account.oauth2.client.secret"
	azClientEndpoint = "fs.azure.account.oauth2.client.endpoint"
	azTenant         = "fs.azure.account.oauth2.msi.tenant"
	azAuthority      = "fs.azure.account.oauth2.msi.authority"
	azTokenFile      = "fs.azure.account.oauth2.token.file"
	azMSIEndpoint    = "fs.azure.account.oauth2.msi.endpoint"
	azObjectID       = "azure_object_id"
	azMSIResource    = "azure_msi_resource_id"
	azBearer         = "azure_storage_token"
	azAccount        = "azure_storage_account_name"
	azContainer      = "azure_container_name"
	azEndpoint       = "azure_storage_endpoint"
	azEmulator       = "azure_storage_use_emulator"
	azAllowHTTP      = "allow_http"
)

// azureSpecs are the options of Azure, supported and known.
func azureSpecs() []spec {
	return slices.Concat(azureLogins(), azureServices(), azureRefused())
}

// azureAccountOption is one of Hadoop's that may name the account at its end: such a one is for that account only. others are the spellings
// of object_store.
func azureAccountOption(name, doc string, secret bool, others ...string) spec {
	others = append([]string{name + ".ACCOUNT.dfs.core.windows.net"}, others...)
	return spec{cloud: Azure, name: name, others: others, secret: secret, doc: doc}
}

func azureLogins() []spec {
	return []spec{
		{cloud: Azure, name: azKey, secret: true, doc: "A key of the storage account.", others: []string{
			"fs.azure.account.key", "azure_storage_account_key", "azure_storage_access_key", "azure_storage_master_key", "azure_storage_key",
			"account_key", "access_key", "master_key"}},
		azureAccountOption(azSAS, "A shared access signature for the container or the account, with the rights r, c, w, d and l.", true,
			"fs.azure.sas.BUCKET.ACCOUNT.dfs.core.windows.net",
			"azure_storage_sas_key", "azure_storage_sas_token", "sas_key", "sas_token"),
		azureAccountOption(azAuthType, "Which login is meant where several are given: SharedKey, SAS or OAuth.", false),
		azureAccountOption(azProvider, "With OAuth: ClientCredsTokenProvider, MsiTokenProvider or WorkloadIdentityTokenProvider, with or without "+
			"Hadoop's package before it.", false),
		azureAccountOption(azClientID, "The client id of a service principal or of a user-assigned managed identity.", false,
			"azure_storage_client_id", "azure_client_id", "client_id"),
		azureAccountOption(azClientSecret, "The secret of a service principal.", true,
			"azure_storage_client_secret", "azure_client_secret", "client_secret"),
		azureAccountOption(azClientEndpoint, "Where a service principal gets its tokens: https://login.microsoftonline.com/TENANT/oauth2/token.", false),
		azureAccountOption(azTenant, "The tenant of a service principal or a workload identity.", false,
			"azure_storage_tenant_id", "azure_storage_authority_id", "azure_tenant_id", "azure_authority_id", "tenant_id", "authority_id"),
		azureAccountOption(azAuthority, "The host that gives tokens; that of the account's Azure cloud if it is left out.", false,
			"azure_storage_authority_host", "azure_authority_host", "authority_host"),
		azureAccountOption(azTokenFile, "The file with a workload identity's token, which Kubernetes keeps fresh.", false,
			"azure_federated_token_file", "federated_token_file"),
		azureAccountOption(azMSIEndpoint, "Where a managed identity gets its tokens, if not where the machine says.", false,
			"azure_msi_endpoint", "azure_identity_endpoint", "msi_endpoint", "identity_endpoint"),
		{cloud: Azure, name: azObjectID, others: []string{"object_id"}, doc: "The object id of a user-assigned managed identity."},
		{cloud: Azure, name: azMSIResource, others: []string{"msi_resource_id"}, doc: "The resource id of a user-assigned managed identity."},
		{cloud: Azure, name: azBearer, secret: true, others: []string{"bearer_token", "token"},
			doc: "A token of Microsoft Entra ID for https://storage.azure.com. It ends within a day."},
	}
}

func azureServices() []spec {
	return []spec{
		{cloud: Azure, name: azAccount, others: []string{"azure_storage_account", "account_name"}, doc: "The storage account, where the path does not name it."},
		{cloud: Azure, name: azContainer, others: []string{"container_name"}, doc: "The container, which must be the path's."},
		{cloud: Azure, name: azEndpoint, others: []string{"azure_endpoint", "endpoint"},
			doc: "The URL of the Blob service, if it is not https://ACCOUNT.blob.core.windows.net."},
		{cloud: Azure, name: azEmulator, others: []string{"object_store_use_emulator", "use_emulator"},
			doc: "true: Azurite on http://127.0.0.1:10000, or at the endpoint, with its published account and key."},
		{cloud: Azure, name: azAllowHTTP, others: []string{"azure_allow_http"},
			doc: "true: an endpoint that is http on another machine. Who listens on the way reads the data and, with a SAS or a token, the login."},
	}
}

// azureRefused are options that users know and that silt does not take, with what to do instead. Those that would change nothing are
// refused too: an option that is ignored is a lie.
func azureRefused() []spec {
	var specs []spec
	refuse := func(instead string, names ...string) {
		specs = append(specs, spec{cloud: Azure, name: names[0], others: names[1:], unsupported: instead, secret: azureHoldsSecret(names[0])})
	}
	account := func(name string) []string { return []string{name, name + ".ACCOUNT.dfs.core.windows.net"} }
	const remove = "remove it: silt has no need of it"
	const credentials = "use a service principal (fs.azure.account.oauth2.client.id, .secret and .endpoint), or a SAS"
	refuse("silt runs no scripts: give the key as ${file:PATH}, ${env:NAME} or ${secret:SCOPE/KEY}", account("fs.azure.account.keyprovider")...)
	refuse("silt runs no scripts: give the key as ${file:PATH}, ${env:NAME} or ${secret:SCOPE/KEY}", "fs.azure.shellkeyprovider.script")
	refuse("silt loads no Java classes: give the SAS itself as fs.azure.sas.fixed.token", account("fs.azure.sas.token.provider.type")...)
	refuse(credentials, account("fs.azure.account.oauth2.user.name")...)
	refuse(credentials, account("fs.azure.account.oauth2.user.password")...)
	refuse(credentials, account("fs.azure.account.oauth2.refresh.token")...)
	refuse(credentials, account("fs.azure.account.oauth2.refresh.token.endpoint")...)
	refuse("silt does not run az: log in with a key, a SAS, a service principal or a managed identity", "azure_use_azure_cli", "use_azure_cli")
	refuse("silt writes, and Azure lets nobody write who has not logged in: give a key, a SAS or another login",
		"azure_skip_signature", "skip_signature")
	refuse("OneLake is not supported: use an account of Azure Storage", "azure_use_fabric_endpoint", "use_fabric_endpoint")
	for _, name := range []string{"fabric_token_service_url", "fabric_workload_host", "fabric_session_token", "fabric_cluster_identifier"} {
		refuse("OneLake is not supported: use an account of Azure Storage", "azure_"+name, name)
	}
	refuse("remove it: silt sets no tags", "azure_disable_tagging", "disable_tagging")
	refuse("create the container yourself: silt makes none", "fs.azure.createRemoteFileSystemDuringInitialization")
	refuse("remove it: silt looks for markers of directories by itself", account("fs.azure.account.hns.enabled")...)
	refuse("remove it: silt uses https", "fs.azure.always.use.https")
	refuse("encryption with keys of one's own is not supported: use the account's, or a customer-managed key in Key Vault",
		account("fs.azure.encryption.encoded.client-provided-key")...)
	refuse("encryption with keys of one's own is not supported: use the account's, or a customer-managed key in Key Vault",
		account("fs.azure.encryption.encoded.client-provided-key-sha")...)
	for _, name := range []string{"fs.azure.write.request.size", "fs.azure.read.request.size", "fs.azure.block.size", "fs.azure.list.max.results",
		"fs.azure.write.max.concurrent.requests", "fs.azure.readaheadqueue.depth", "fs.azure.io.retry.max.retries",
		"fs.azure.io.retry.min.backoff.interval", "fs.azure.io.retry.max.backoff.interval", "fs.azure.io.retry.backoff.interval",
		"fs.azure.enable.flush", "fs.azure.enable.autothrottling", "fs.azure.secure.mode", "fs.azure.ssl.channel.mode"} {
		refuse(remove, name)
	}
	return specs
}

// azureHoldsSecret says whether a refused option has a value that must not be printed all the same.
func azureHoldsSecret(name string) bool {
	for _, end := range []string{".password", ".refresh.token", "_session_token", ".client-provided-key"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
