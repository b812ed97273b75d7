"""The report of a run: a self-contained HTML page, the same as JSON and CSV; and comparisons of runs."""

from .tables import TABLES

STAGE = "report"
"""The stage that writes it, of which a report does not speak."""

FILES = ("report.html", "report.json", *(f"report/{name}.csv" for name in TABLES))
"""What a report consists of, in the run folder."""
