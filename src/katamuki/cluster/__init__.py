"""Rows on a cluster: a Dask DataFrame, or Parquet files that all workers see, as a source for fits.

Nothing is read or computed here: ``source`` says what the partitions are, ``reading`` is what a worker does to get one,
``running`` sends work to the workers and waits for it. What is summed over a partition stands in
``katamuki.problem.partitions``, how its curves are fitted in ``katamuki.api.many_partitions``.
"""

from katamuki.cluster.source import ClusterTable, table

__all__ = ["ClusterTable", "table"]
