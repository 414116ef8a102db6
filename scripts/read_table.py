#!/usr/bin/env python3
"""Prints what delta-rs sees of a Delta table: version, schema, rows by schema id and partition, and a few rows."""

import sys

import deltalake
import pyarrow as pa
import pyarrow.compute as pc


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: read_table.py TABLE")
    table = deltalake.DeltaTable(sys.argv[1])
    print("delta-rs %s: %s, version %d" % (deltalake.__version__, sys.argv[1], table.version()))
    for field in table.schema().fields:
        print("  %-14s %s" % (field.name, describe(field.type)))
    rows = pa.table(deltalake.QueryBuilder().register("t", table).execute("SELECT * FROM t ORDER BY partition, \"offset\"").read_all())
    print("%d rows" % rows.num_rows)
    for by in ("partition", "valueSchemaId"):
        if by in rows.column_names:
            counts = pc.value_counts(rows[by])
            print("  by %s: %s" % (by, ", ".join("%s: %s" % (c["values"], c["counts"]) for c in counts)))
    for row in rows.slice(0, 3).to_pylist():
        print(row)


def describe(kind):
    fields = getattr(kind, "fields", None)
    if fields is None:
        return getattr(kind, "type", str(kind))
    return "struct<%s>" % ", ".join("%s: %s" % (f.name, describe(f.type)) for f in fields)


if __name__ == "__main__":
    main()
