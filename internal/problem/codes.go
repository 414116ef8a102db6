package problem

// Exit statuses of the process. {0,1,2} mean what they mean to every tool; the higher ones are for supervisors.
const (
	ExitOK           = 0  // also after SIGINT or SIGTERM and a clean stop
	ExitFailed       = 1  // a handled failure
	ExitUsage        = 2  // usage or configuration
	ExitDataLoss     = 3  // data loss detected
	ExitFenced       = 4  // another run owns the query, or checkpoint and table diverged
	ExitBadRecord    = 5  // a bad record under FAILFAST
	ExitSchemaChange = 6  // a schema change or a type was refused
	ExitUnavailable  = 69 // at start: broker, registry or store unreachable, or the login refused
)

// A Code names a kind of problem for ever: documentation, scripts and `silt explain` refer to it.
type Code string

// The codes. The first digit is the area: 1 configuration and usage, 2 Kafka, 3 Schema Registry, 4 records and schemas, 5 table and
// store, 6 checkpoint, 7 verification and diagnosis, 8 the
// embedded broker and registry, 9 silt itself.
const (
	Usage            Code = "E1100" // the command line
	FileUnreadable   Code = "E1101" // a file that the user named cannot be read
	Syntax           Code = "E1102" // YAML or JSON that does not parse
	TooLarge         Code = "E1103" // a file over its size limit
	UnknownOption    Code = "E1203"
	InvalidValue     Code = "E1204"
	MissingOption    Code = "E1205"
	Unsupported      Code = "E1206" // an option or value that silt knows and does not support yet
	Conflict         Code = "E1207" // two options that exclude each other
	DuplicateOption  Code = "E1208"
	Insecure         Code = "E1209" // needs allowInsecure: true
	SecretUnresolved Code = "E1210" // a ${provider:...} that gives no value

	BrokerUnreachable Code = "E2001"
	BrokerTLS         Code = "E2002"
	BrokerLogin       Code = "E2003"
	UnknownTopic      Code = "E2004"
	BrokerDenied      Code = "E2005" // authenticated, but not authorized
	DataLoss          Code = "E2006" // offsets that Kafka no longer has, or a topic that was recreated
	CorruptBatch      Code = "E2007" // a record batch that cannot be read
	BrokerError       Code = "E2008" // any other answer that does not heal

	RegistryUnreachable Code = "E3001"
	RegistryLogin       Code = "E3002"
	RegistryAnswer      Code = "E3003" // an answer that a registry does not give
	UnknownSubject      Code = "E3004" // or a version of one
	RegistryRefused     Code = "E3005" // any other error of the registry that does not heal

	BadRecord          Code = "E4001"
	UnknownSchemaID    Code = "E4002"
	UnsupportedType    Code = "E4003"
	InvalidSchema      Code = "E4004" // schema text that does not compile
	TooManySchemas     Code = "E4005"
	SchemaMismatch     Code = "E4006" // mergeSchema is false and the schema differs
	IncompatibleTypes  Code = "E4007" // types that Delta cannot merge
	IncompatibleSchema Code = "E4008" // the registry's compatibility level forbids the schema

	PathNotWritable     Code = "E5001"
	StoreFailed         Code = "E5002" // the store answers with an error
	UnsupportedProtocol Code = "E5003" // a table feature that silt does not know
	CorruptLog          Code = "E5004"
	NoTable             Code = "E5005"
	UnsafeStore         Code = "E5006" // no put-if-absent
	CountMismatch       Code = "E5007" // files and report disagree: a fault of silt's own, nothing was committed
	StoreLogin          Code = "E5008" // the store does not take the credentials
	StoreDenied         Code = "E5009" // it takes them, and they lack a right
	NoBucket            Code = "E5010" // there is no such bucket or container
	StoreTLS            Code = "E5011" // the store's certificate does not verify

	CorruptCheckpoint Code = "E6001"
	Fenced            Code = "E6002" // another run of the same query
	Diverged          Code = "E6003" // checkpoint and table do not fit together
	TableInUse        Code = "E6004" // a new checkpoint on a table that holds the topic's rows already
	OtherSource       Code = "E6005" // the checkpoint of another source

	VerifyMissing   Code = "E7001"
	VerifyDuplicate Code = "E7002"
	VerifyBroken    Code = "E7003" // a wrong count, disorder, a broken range
	Unwell          Code = "E7004" // silt doctor found something wrong

	FolderInUse  Code = "E8001" // another process runs an embedded service in the directory
	PortTaken    Code = "E8002"
	CorruptState Code = "E8003" // what an embedded service kept cannot be read

	ConnectorUnreachable Code = "E8004" // nothing answers where a connector was
	ConnectorRefused     Code = "E8005" // a running connector does not do what it is asked for

	Internal    Code = "E9001" // a fault of silt's own
	Interrupted Code = "E9002" // the user stopped a command before its answer was known
)

var exits = map[Code]int{
	Usage: ExitUsage, FileUnreadable: ExitUsage, Syntax: ExitUsage, TooLarge: ExitUsage, UnknownOption: ExitUsage, InvalidValue: ExitUsage,
	MissingOption: ExitUsage, Unsupported: ExitUsage, Conflict: ExitUsage, DuplicateOption: ExitUsage, Insecure: ExitUsage,
	SecretUnresolved: ExitUsage,

	BrokerUnreachable: ExitUnavailable, BrokerTLS: ExitUnavailable, BrokerLogin: ExitUnavailable, UnknownTopic: ExitUsage,
	BrokerDenied: ExitUnavailable, DataLoss: ExitDataLoss, CorruptBatch: ExitFailed, BrokerError: ExitFailed,

	RegistryUnreachable: ExitUnavailable, RegistryLogin: ExitUnavailable, RegistryAnswer: ExitUnavailable,
	UnknownSubject: ExitUsage, RegistryRefused: ExitFailed,

	BadRecord: ExitBadRecord, UnknownSchemaID: ExitBadRecord, UnsupportedType: ExitSchemaChange, InvalidSchema: ExitSchemaChange,
	TooManySchemas: ExitSchemaChange, SchemaMismatch: ExitSchemaChange, IncompatibleTypes: ExitSchemaChange,
	IncompatibleSchema: ExitSchemaChange,

	PathNotWritable: ExitUsage, StoreFailed: ExitUnavailable, UnsupportedProtocol: ExitUsage, CorruptLog: ExitFailed, NoTable: ExitUsage,
	UnsafeStore: ExitUsage, CountMismatch: ExitFailed, StoreLogin: ExitUnavailable, StoreDenied: ExitUnavailable, NoBucket: ExitUsage,
	StoreTLS: ExitUnavailable,

	CorruptCheckpoint: ExitFailed, Fenced: ExitFenced, Diverged: ExitFenced, TableInUse: ExitFenced, OtherSource: ExitUsage,

	VerifyMissing: ExitDataLoss, VerifyDuplicate: ExitFailed, VerifyBroken: ExitFailed, Unwell: ExitFailed,

	FolderInUse: ExitFenced, PortTaken: ExitUnavailable, CorruptState: ExitFailed,
	ConnectorUnreachable: ExitUnavailable, ConnectorRefused: ExitFailed,

	Internal: ExitFailed, Interrupted: ExitFailed,
}

// Exit is the exit status that the code stands for.
func (c Code) Exit() int {
	if n, ok := exits[c]; ok {
		return n
	}
	return ExitFailed
}

// Codes lists every code, in order.
func Codes() []Code { return sortedCodes }
