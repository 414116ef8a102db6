"""Looks in a Delta table for the sequence of a Datagen connector: records whose field counts up from a first value by a step.

Arguments: the table, the field of parsedValue, its first value, the step. Prints one JSON object: rows, distinct (values of the field),
last (the place of the greatest in the sequence), strange (rows whose value is not of the sequence), differing (values that rows with
different records have: a record that is written again must be the same).
"""

import json
import sys

import deltalake
import duckdb


def main():
    path, field, first, step = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rows, distinct, greatest, strange, differing = duckdb.execute(
        f"""
        WITH records AS (
            SELECT parsedValue."{field}" AS place, count(*) AS n, min(hash(key, parsedValue)) AS low, max(hash(key, parsedValue)) AS high
            FROM read_parquet($files, union_by_name = true) GROUP BY ALL)
        SELECT coalesce(sum(n), 0), count(*), max(place), coalesce(sum(n) FILTER (place IS NULL OR place < $first OR (place - $first) % $step <> 0), 0),
               count(*) FILTER (low <> high)
        FROM records
        """,
        {"files": sorted(deltalake.DeltaTable(path).file_uris()), "first": first, "step": step},
    ).fetchone()
    json.dump(
        {
            "rows": int(rows),
            "distinct": distinct,
            "last": (greatest - first) // step,
            "strange": int(strange),
            "differing": differing,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
