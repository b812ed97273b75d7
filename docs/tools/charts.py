"""Pictures of the documentation, as the report of a run has them: ``python docs/tools/charts.py RUN_DIR``.

A chart of a report takes its colours from the page; here each becomes a file with both schemes of its own.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"
CHARTS = {
    "Accuracy and signal to noise of widths against parameters, bytes": "search-bytes.svg",
    "Values of the float model in the program's codes, by node": "ranges.svg",
}
"""Labels of charts, and their files."""


def main(folder: Path) -> None:
    """Write the charts of the report in ``folder`` to docs/assets."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    schemes = re.findall(r":root \{[^}]*\}", page)
    light, dark = schemes[:2]
    style = (
        f"<style>{light} @media (prefers-color-scheme: dark) {{ {dark} }} text {{ font-family: sans-serif }}</style>"
    )
    for label, name in CHARTS.items():
        found = re.search(rf'<svg role="img" aria-label="{re.escape(label)}"([^>]*)>(.*?)</svg>', page, re.DOTALL)
        if found is None:
            print(f"the report has no chart '{label}'")
            continue
        (ASSETS / name).write_text(f"<svg{found[1]}>{style}{found[2]}</svg>\n", encoding="utf-8")
        print(f"docs/assets/{name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
