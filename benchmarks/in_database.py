"""``a*exp(-b*x) + c`` on 1e7 rows of a DuckDB table: summed there, against reading rows out and fitting in memory."""

from __future__ import annotations

import duckdb
from timing import agree, pairs, size, within_row

import katamuki as km

N = size(10_000_000)
FORMULA = "y ~ a*exp(-b*x) + c"
QUERY = "SELECT x, y FROM runs"
CONNECTION = duckdb.connect()
CONNECTION.execute(
    f"CREATE TABLE runs AS SELECT x, 2.5*exp(-1.3*x) + 0.5 + 0.05*sqrt(-2*ln(u))*cos(6.283185307179586*v) AS y FROM ("
    f"SELECT 5.0*i/{N} AS x, (hash(i) % 1000000007 + 1)/1000000008.0 AS u, hash(i, 1) % 1000000007/1000000007.0 AS v"
    f" FROM range({N}) AS t(i)) AS q"
)


def ours() -> float:
    """The rate; starting values are searched for."""
    return km.fit(FORMULA, km.sql(QUERY, CONNECTION)).params["b"]


def peer() -> float:
    """The same by rows in memory, searched for too."""
    return km.fit(FORMULA, CONNECTION.sql(QUERY).to_arrow_table()).params["b"]


if __name__ == "__main__":
    agree(ours(), peer(), 10)
    found = pairs(peer, ours, 5)
    work = f"a*exp(-b*x)+c in DuckDB, {N:.0e} rows".replace("e+0", "e")
    within_row(work, "reading the rows out and fitting in memory", found, 2.0)
