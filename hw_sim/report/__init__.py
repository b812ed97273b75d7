"""The report of a run: a self-contained HTML page, the same as JSON and CSV; and comparisons of runs."""

TABLES = ("accuracy", "parity", "layers", "nodes", "time-constants", "confusion")
FILES = ("report.html", "report.json", *(f"report/{name}.csv" for name in TABLES))
"""What a report consists of, in the run folder."""
