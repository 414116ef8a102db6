"""Reads Delta tables with readers that are not silt, for tests.

A process that answers JSON lines: {"do": "count" or "rows", "table": path or URL, "options": delta-rs's storage_options, ...}.

count: the live files are those that delta-rs finds in the log, and delta-rs counts the rows. For each "topic/partition" come count,
distinct, min, max and the sums of the offsets and of their squares, as text, since they exceed 64 bits: of a local table by DuckDB, which
reads the files as plain Parquet, of another by delta-rs's own engine (DuckDB's extensions for object stores are not part of it).
batches are the ids of silt's batches that the log's commits name, in the order of versions.

rows: every row as a line of the file "out", columns by name, timestamps in microseconds, bytes as base64.
"""

import base64
import datetime
import json
import sys

import deltalake
import duckdb
import pyarrow

NAMES = ("count", "distinct", "min", "max", "sum", "squares")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def select(table, query):
    found = deltalake.QueryBuilder().register("t", table).execute(query)
    return pyarrow.table(found.read_all()).to_pylist()


def by_duckdb(files):
    # A list of files whose parsedValue differs is read by name; only three columns are asked for.
    rows = duckdb.execute(
        """
        SELECT topic || '/' || partition, count(*), count(DISTINCT "offset"), min("offset"), max("offset"),
               CAST(sum("offset"::HUGEINT) AS VARCHAR), CAST(sum("offset"::HUGEINT * "offset"::HUGEINT) AS VARCHAR)
        FROM read_parquet($files, union_by_name = true)
        GROUP BY topic, partition
        """,
        {"files": files},
    ).fetchall()
    return {row[0]: dict(zip(NAMES, row[1:])) for row in rows}


def by_delta_rs(table):
    rows = select(
        table,
        """
        SELECT topic || '/' || CAST(partition AS VARCHAR) AS name, count(*) AS count, count(DISTINCT "offset") AS "distinct",
               min("offset") AS min, max("offset") AS max, CAST(sum(CAST("offset" AS DECIMAL(19, 0))) AS VARCHAR) AS sum,
               CAST(sum(CAST("offset" AS DECIMAL(19, 0)) * CAST("offset" AS DECIMAL(19, 0))) AS VARCHAR) AS squares
        FROM t GROUP BY topic, partition
        """,
    )
    return {row["name"]: {name: row[name] for name in NAMES} for row in rows}


def batches(table):
    found = []
    for commit in table.history():  # the newest first
        of_silt = commit.get("silt")
        if isinstance(of_silt, str):
            of_silt = json.loads(of_silt)
        if of_silt is not None:
            found.insert(0, of_silt["batchId"])
    return found


def count(request):
    table = deltalake.DeltaTable(request["table"], storage_options=request.get("options"))
    files = sorted(table.file_uris())
    partitions = {}
    if files:
        partitions = by_delta_rs(table) if request.get("options") else by_duckdb(files)
    return {
        "version": table.version(),
        "rows": select(table, "SELECT count(*) AS n FROM t")[0]["n"],
        "files": len(files),
        "partitions": partitions,
        "batches": batches(table),
    }


def plain(value):
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value)} in a row")


def rows(request):
    table = deltalake.DeltaTable(request["table"], storage_options=request.get("options"))
    found = select(table, "SELECT * FROM t")
    with open(request["out"], "w", encoding="utf-8") as out:
        for row in found:
            out.write(json.dumps(row, default=plain) + "\n")
    return {"rows": len(found)}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"count": count, "rows": rows}[request["do"]](request)
        except Exception as error:  # the test says which table it was
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
