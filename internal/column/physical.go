package column

// A Physical is how values of a type lie in a Block, which is also Parquet's physical type (parquet.thrift, Type).
type Physical uint8

// The physical types; their numbers are Parquet's.
const (
	PhysBoolean   Physical = 0
	PhysInt32     Physical = 1
	PhysInt64     Physical = 2
	PhysFloat     Physical = 4
	PhysDouble    Physical = 5
	PhysByteArray Physical = 6
	PhysFixed     Physical = 7 // FIXED_LEN_BYTE_ARRAY of FixedLen bytes
)

// Physical returns the physical type of a type that has values (Spark's ParquetWriteSupport: decimals up to 9 digits are INT32, up to 18
// INT64).
func (t Type) Physical() Physical {
	switch t.Kind {
	case Boolean:
		return PhysBoolean
	case Integer, Date, Byte, Short:
		return PhysInt32
	case Long, Timestamp, TimestampNTZ:
		return PhysInt64
	case Float:
		return PhysFloat
	case Double:
		return PhysDouble
	case Decimal:
		switch {
		case t.Precision <= 9:
			return PhysInt32
		case t.Precision <= 18:
			return PhysInt64
		}
		return PhysFixed
	default:
		return PhysByteArray
	}
}

// fixedLens are the bytes that an unscaled decimal of 19 to 38 digits needs, as Spark counts them.
var fixedLens = [...]int{9, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15, 15, 16, 16, 16}

// FixedLen is the length of a PhysFixed value in bytes.
func (t Type) FixedLen() int { return fixedLens[t.Precision-19] }
