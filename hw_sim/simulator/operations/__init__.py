"""Operations of the compiled machine, one file a kind of node: a record's fields to kernel calls, row by row.

``values`` hold edges and weights, ``accs`` accumulators and what meets them: (a16, a32) for narrow operations, (a64,
a64) for wide ones. Counts, gaps, weights in time and sums over events are always in a64. The docstring of an operation
lists its own fields, those from BODY on, in order; places are offsets in the arena that the operation reads them in.
"""
