"""The oracle of decoding: random Avro schemas and records, encoded by fastavro, and the values that a table must hold.

It reads requests from stdin, one JSON object a line, and answers each with one on stdout:

  {"do": "generate", "seed": S, "out": FILE}
      makes the schemas and records of seed S. FILE gets one line a record: {"schema": index or -1 (null value), "key": text or null,
      "value": base64}. The answer holds the schemas' texts.
  {"do": "compare", "seed": S, "table": PATH, "ids": [...], "partitions": P, "plant": false}
      makes the same values again and compares them with what delta-rs and DuckDB read from the table, and the table's statistics with
      the values. Record i lies in partition i % P at offset i // P; ids are the schemas' ids. The answer holds the first differences.
      With plant, one expected value is changed before, which must be found.

Nothing here is shared with what silt does: the values are Python's own, made before they are encoded.
"""

import base64
import copy
import datetime
import decimal
import io
import json
import math
import random
import struct
import sys

import deltalake
import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DAY0 = datetime.date(1970, 1, 1)
# the years 1 to 9999, which every reader can show
MIN_DAYS, MAX_DAYS = -719162, 2932896


class Leaf:
    """A type without parts: its Avro form, and how to make a value of it."""

    def __init__(self, avro, make):
        self.form, self.make = avro, make

    def avro(self):
        return self.form

    def records(self):
        return []

    def records_in_maps(self):
        return []


class Nullable:
    def __init__(self, inner, null_first, share):
        self.inner, self.null_first, self.share = inner, null_first, share

    def avro(self):
        return ["null", self.inner.avro()] if self.null_first else [self.inner.avro(), "null"]

    def make(self, rng):
        return None if rng.random() < self.share else self.inner.make(rng)

    def records(self):
        return self.inner.records()

    def records_in_maps(self):
        return self.inner.records_in_maps()


class Array:
    def __init__(self, item, longest):
        self.item, self.longest = item, longest

    def avro(self):
        return {"type": "array", "items": self.item.avro()}

    def make(self, rng):
        return [self.item.make(rng) for _ in range(rng.randint(0, self.longest))]

    def records(self):
        return self.item.records()

    def records_in_maps(self):
        return self.item.records_in_maps()


class Map:
    def __init__(self, value):
        self.value = value

    def avro(self):
        return {"type": "map", "values": self.value.avro()}

    def make(self, rng):
        return {"k%d %s" % (i, text(rng)): self.value.make(rng) for i in range(rng.randint(0, 4))}

    def records(self):
        return self.value.records()

    def records_in_maps(self):
        return self.value.records()


class Record:
    def __init__(self, name, fields):
        self.name, self.fields = name, fields

    def avro(self):
        return {"type": "record", "name": self.name, "fields": [{"name": n, "type": kind.avro()} for n, kind in self.fields]}

    def make(self, rng):
        return {n: kind.make(rng) for n, kind in self.fields}

    def records(self):
        """This record and all below it."""
        return [self] + [r for _, kind in self.fields for r in kind.records()]

    def records_in_maps(self):
        return [r for _, kind in self.fields for r in kind.records_in_maps()]


class Schemas:
    """Makes types of all supported kinds."""

    def __init__(self, rng):
        self.rng, self.names = rng, 0
        self.evolved_in_map = False  # a record below a map changed from one version to the next

    def name(self, prefix):
        self.names += 1
        return "%s%d" % (prefix, self.names)

    def any(self, depth):
        rng = self.rng
        kinds = ["boolean", "int", "long", "float", "double", "string", "bytes", "enum", "fixed", "date", "millis", "micros", "decimal",
                 "fixed_decimal"]
        if depth > 0:
            kinds += ["record", "array", "map"] * 3
        kind = getattr(self, rng.choice(kinds))(depth)
        if rng.random() < 0.4:
            return Nullable(kind, rng.random() < 0.7, rng.choice([0.0, 0.1, 0.5, 1.0]))
        return kind

    def boolean(self, _):
        return Leaf("boolean", lambda rng: rng.random() < 0.5)

    def int(self, _):
        return Leaf("int", integers(32))

    def long(self, _):
        return Leaf("long", integers(64))

    def float(self, _):
        return Leaf("float", lambda rng: struct.unpack("<f", struct.pack("<f", floats(rng, 1e30)))[0])

    def double(self, _):
        return Leaf("double", lambda rng: floats(rng, 1e300))

    def string(self, _):
        return Leaf("string", (lambda rng: "v%d" % rng.randrange(5)) if self.rng.random() < 0.5 else text)

    def bytes(self, _):
        return Leaf("bytes", lambda rng: rng.randbytes(rng.choice([0, 1, 7, 40])))

    def enum(self, _):
        symbols = ["S%d" % i for i in range(self.rng.randint(1, 300))]
        return Leaf({"type": "enum", "name": self.name("E"), "symbols": symbols}, lambda rng: rng.choice(symbols))

    def fixed(self, _):
        size = self.rng.choice([1, 4, 12, 16, 33])
        return Leaf({"type": "fixed", "name": self.name("F"), "size": size}, lambda rng: rng.randbytes(size))

    def date(self, _):
        def make(rng):
            return DAY0 + datetime.timedelta(days=rng.choice([0, -1, MIN_DAYS, MAX_DAYS, rng.randint(MIN_DAYS, MAX_DAYS)]))

        return Leaf({"type": "int", "logicalType": "date"}, make)

    def millis(self, _):
        return Leaf({"type": "long", "logicalType": "timestamp-millis"}, timestamps(1000))

    def micros(self, _):
        return Leaf({"type": "long", "logicalType": "timestamp-micros"}, timestamps(1))

    def decimal(self, _):
        precision = self.rng.choice([1, 9, 10, 18, 19, 38])
        scale = self.rng.randint(0, precision)
        avro = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        return Leaf(avro, decimals(precision, scale))

    def fixed_decimal(self, _):
        precision = self.rng.choice([4, 9, 18, 28, 38])
        scale = self.rng.randint(0, precision)
        # at least what the precision needs, and sometimes more than Parquet would take
        size = self.rng.choice([0, 1, 5]) + math.ceil((precision * math.log2(10) + 1) / 8)
        avro = {"type": "fixed", "name": self.name("D"), "size": size, "logicalType": "decimal", "precision": precision, "scale": scale}
        return Leaf(avro, decimals(precision, scale))

    def array(self, depth):
        return Array(self.any(depth - 1), self.rng.choice([1, 3, 20]))

    def map(self, depth):
        return Map(self.any(depth - 1))

    def record(self, depth):
        return Record(self.name("R"), [(self.name("f"), self.any(depth - 1)) for _ in range(self.rng.randint(1, 4))])

    def evolve(self, row):
        """Changes row as the next version of a schema: a record somewhere in it loses a field, perhaps, and gets a new one."""
        rng = self.rng
        record = rng.choice([row] + row.records())
        self.evolved_in_map |= record in row.records_in_maps()
        fields = record.fields
        if len(fields) > 1 and rng.random() < 0.3:
            fields.pop(rng.randrange(len(fields)))
        fields.insert(rng.randint(0, len(fields)), (self.name("c"), self.any(2)))


def integers(bits):
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return lambda rng: rng.choice([0, 1, -1, low, high, rng.randint(low, high), rng.randint(-100, 100)])


def floats(rng, scale):
    special = [0.0, -0.0, 1.5, math.inf, -math.inf, math.nan]
    return rng.choice(special + [rng.uniform(-1, 1) * scale, rng.uniform(-1, 1)])


def text(rng):
    alphabet = "abc \u00e9\u00df\u4e2d\U0001f600\u0000'\"\\\n"
    return "".join(rng.choice(alphabet) for _ in range(rng.choice([0, 1, 5, 31, 32, 33, 70])))


def timestamps(unit):
    """Datetimes whose microseconds are a multiple of unit."""

    def make(rng):
        days = rng.choice([0, -1, MIN_DAYS, MAX_DAYS, 20000, rng.randint(MIN_DAYS, MAX_DAYS)])
        micros = rng.choice([0, 999_999, rng.randrange(86_400_000_000)]) // unit * unit
        return EPOCH + datetime.timedelta(days=days, microseconds=micros)

    return make


def decimals(precision, scale):
    largest = 10**precision - 1

    def make(rng):
        unscaled = rng.choice([0, 1, -1, largest, -largest, rng.randint(-largest, largest), rng.randint(-9, 9)])
        return decimal.Decimal((int(unscaled < 0), tuple(int(d) for d in str(abs(unscaled))), -scale))

    return make


class Case:
    """The schemas and records of a seed."""

    def __init__(self, seed):
        rng = random.Random(seed)
        schemas = Schemas(rng)
        # no id at all (only null values), one, or several that add and lose fields
        count = 0 if seed % 10 == 0 else rng.choice([1, 1, 2, 3, 4])
        row = Record("Row", [(schemas.name("c"), schemas.any(4)) for _ in range(rng.randint(1, 12))])
        self.versions = []
        for _ in range(count):
            self.versions.append(copy.deepcopy(row))
            schemas.evolve(row)
        self.evolved_in_map = schemas.evolved_in_map
        self.records = []
        for _ in range(rng.choice([1, 50, 300, 700])):
            index = rng.randrange(count) if count and rng.random() < 0.97 else -1
            key = None if rng.random() < 0.1 else text(rng)
            self.records.append((index, key, self.versions[index].make(rng) if index >= 0 else None))

    def texts(self):
        return [json.dumps(v.avro()) for v in self.versions]

    def write(self, out):
        parsed = [fastavro.parse_schema(v.avro()) for v in self.versions]
        with open(out, "w", encoding="utf-8") as f:
            for index, key, value in self.records:
                encoded = ""
                if index >= 0:
                    buffer = io.BytesIO()
                    fastavro.schemaless_writer(buffer, parsed[index], value)
                    encoded = base64.b64encode(buffer.getvalue()).decode()
                f.write(json.dumps({"schema": index, "key": key, "value": encoded}) + "\n")


class Differences:
    def __init__(self):
        self.found, self.count = [], 0

    def add(self, where, want, got):
        self.count += 1
        if len(self.found) < 5:
            self.found.append("%s: want %r, got %r" % (where, want, got))


def same(where, want, got, diff):
    """Compares a value with what a reader gave: exact types' values, maps without order, floats by their bits."""
    if isinstance(want, dict) and isinstance(got, list):  # a map
        pairs = sorted(got, key=lambda pair: pair[0])
        if [k for k, _ in pairs] != sorted(want):
            diff.add(where + " keys", sorted(want), [k for k, _ in pairs])
            return
        for k, v in pairs:
            same("%s[%r]" % (where, k), want[k], v, diff)
    elif isinstance(want, dict) and isinstance(got, dict):
        for k in want.keys() | got.keys():
            same(where + "." + k, want.get(k), got.get(k), diff)
    elif isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            diff.add(where + " length", len(want), len(got))
            return
        for i, (w, g) in enumerate(zip(want, got)):
            same("%s[%d]" % (where, i), w, g, diff)
    elif isinstance(want, float) and isinstance(got, float):
        if not (math.isnan(want) and math.isnan(got)) and struct.pack("<d", want) != struct.pack("<d", got):
            diff.add(where, want, got)
    elif type(want) is not type(got) or want != got:
        diff.add(where, want, got)


def expected_rows(case, ids, partitions):
    rows = {}
    for i, (index, key, value) in enumerate(case.records):
        at = (i % partitions, i // partitions)
        rows[at] = {"key": key, "valueSchemaId": ids[index] if index >= 0 else None, "parsedValue": value}
    return rows


def plant(rng, rows):
    """Changes one value somewhere in rows."""
    at = rows[rng.choice(sorted(rows))]
    name = rng.choice(sorted(at))
    while isinstance(at[name], (dict, list)) and at[name]:
        at = at[name]
        name = rng.choice(sorted(at) if isinstance(at, dict) else range(len(at)))
    at[name] = "planted"


def compare_rows(reader, table, want, diff, whole):
    """Compares the rows of an Arrow table. whole: every expected row must be in it. Returns the places that were in it."""
    seen = set()
    for row in table.to_pylist():
        at = (row["partition"], row["offset"])
        where = "%s %d/%d" % ((reader,) + at)
        if at not in want:
            diff.add(where, "no such row", row)
            continue
        if at in seen:
            diff.add(where, "one row", "another one")
        seen.add(at)
        for name, value in want[at].items():
            # a file without a column reads as null: the column came with a later schema
            same(where + " " + name, value, row.get(name), diff)
    if whole and seen != want.keys():
        diff.add(reader + " rows", len(want), len(seen))
    return seen


def compare_duckdb(table, want, diff):
    seen = set()
    for uri in table.file_uris():
        arrow = duckdb.execute("SELECT * FROM read_parquet(?)", [uri]).to_arrow_table()
        here = compare_rows("DuckDB", arrow, want, diff, False)
        if seen & here:
            diff.add("DuckDB " + uri, "no row of another file", sorted(seen & here)[:3])
        seen |= here
    if seen != want.keys():
        diff.add("DuckDB rows", len(want), len(seen))


def compare_types(table, case, diff):
    """The table's schema holds every field of every version, and nothing else."""
    fields = {f.name: f.type for f in table.schema().fields}
    if not case.versions or all(index < 0 for index, _, _ in case.records):
        return
    have = {f.name for f in fields["parsedValue"].fields}
    used = {index for index, _, _ in case.records if index >= 0}
    want = {name for index in used for name, _ in case.versions[index].fields}
    if have != want:
        diff.add("columns of parsedValue", sorted(want), sorted(have))


def compare_stats(path, table, diff):
    """Every file's statistics against what is in it: null counts exact, bounds no tighter than the values."""
    adds = {}
    for entry in pa.table(table.get_add_actions(flatten=False)).to_pylist():
        adds[entry["path"]] = entry
    for name, add in adds.items():
        rows = pq.read_table(path + "/" + name).to_pylist()
        if add["num_records"] != len(rows):
            diff.add(name + " numRecords", len(rows), add["num_records"])
        walk_stats(name, rows, add.get("null_count"), add.get("min"), add.get("max"), diff)


def walk_stats(where, values, nulls, low, high, diff):
    """values are dicts or None; nulls, low and high are dicts by field name."""
    for field in nulls or {}:
        column = [v.get(field) if v is not None else None for v in values]
        at = "%s %s" % (where, field)
        if isinstance(nulls[field], dict):
            walk_stats(at, column, nulls[field], (low or {}).get(field), (high or {}).get(field), diff)
            continue
        missing = sum(v is None for v in column)
        if nulls[field] is not None and nulls[field] != missing:
            diff.add(at + " nullCount", missing, nulls[field])
        present = [v for v in column if v is not None]
        check_bounds(at, present, (low or {}).get(field), (high or {}).get(field), diff)


def check_bounds(where, present, low, high, diff):
    if not present:
        if low is not None or high is not None:
            diff.add(where + " bounds", None, (low, high))
        return
    if isinstance(present[0], float):
        present = [v for v in present if not math.isnan(v)]
    # JSON has milliseconds only: Delta lets a bound of a timestamp be off by less than one
    slack = datetime.timedelta(milliseconds=1) if isinstance(present[0] if present else None, datetime.datetime) else None
    for bound, is_low in ((low, True), (high, False)):
        if bound is None or not present:
            continue
        extreme = min(present) if is_low else max(present)
        if slack:
            wrong = bound > extreme if is_low else bound + slack <= extreme
        else:
            wrong = bound > extreme if is_low else bound < extreme
        if wrong:
            diff.add(where + (" min" if is_low else " max"), extreme, bound)


def generate(request):
    case = Case(request["seed"])
    case.write(request["out"])
    return {"schemas": case.texts(), "records": len(case.records)}


def compare(request):
    case, diff = Case(request["seed"]), Differences()
    table = deltalake.DeltaTable(request["table"])
    want = expected_rows(case, request["ids"], request["partitions"])
    if request.get("plant"):
        plant(random.Random(0), want)
    compare_types(table, case, diff)
    try:
        query = deltalake.QueryBuilder().register("t", table).execute("SELECT * FROM t")
        rows = pa.table(query.read_all())
    except Exception as e:
        # delta-rs cannot read files whose records within a map have fewer fields than the table's; DuckDB compares them all the same
        if not (case.evolved_in_map and "Cannot cast struct field" in str(e)):
            raise
    else:
        compare_rows("delta-rs", rows, want, diff, True)
    compare_duckdb(table, want, diff)
    compare_stats(request["table"], table, diff)
    return {"rows": len(want), "differences": diff.count, "first": diff.found}


def main():
    duckdb.execute("SET TimeZone = 'UTC'")
    actions = {"generate": generate, "compare": compare}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request["do"]](request)
        except Exception as e:  # one seed's failure is that seed's answer
            answer = {"error": "%s: %s" % (type(e).__name__, e)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
