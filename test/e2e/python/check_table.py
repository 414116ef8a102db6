"""Counts the rows of a Delta table with two independent readers, for a Kafka topic's offsets.

The table's live files are those that delta-rs finds in the log; DuckDB reads them as plain Parquet, and delta-rs counts them its own way.
Prints one JSON object: version, rows (delta-rs), files, and for each "topic/partition" count, distinct, min, max and the sums of the
offsets and of their squares, as text, since they exceed 64 bits.
"""

import json
import sys

import deltalake
import duckdb


def main():
    path = sys.argv[1]
    table = deltalake.DeltaTable(path)
    files = sorted(table.file_uris())
    query = deltalake.QueryBuilder().register("t", table).execute("SELECT count(*) AS n FROM t")
    rows = query.read_all().column("n")[0].as_py()
    partitions = {}
    if files:
        # A list of files whose parsedValue differs is read by name; only three columns are asked for.
        result = duckdb.execute(
            """
            SELECT topic || '/' || partition, count(*), count(DISTINCT "offset"), min("offset"), max("offset"),
                   CAST(sum("offset"::HUGEINT) AS VARCHAR), CAST(sum("offset"::HUGEINT * "offset"::HUGEINT) AS VARCHAR)
            FROM read_parquet($files, union_by_name = true)
            GROUP BY topic, partition
            """,
            {"files": files},
        ).fetchall()
        names = ("count", "distinct", "min", "max", "sum", "squares")
        partitions = {row[0]: dict(zip(names, row[1:])) for row in result}
    json.dump({"version": table.version(), "rows": rows, "files": len(files), "partitions": partitions}, sys.stdout)


if __name__ == "__main__":
    main()
