"""Tutorials: notebooks of docs/tutorials/, kept as Python files (jupytext's py:percent), and the pages made of them.

A code cell that draws has a title, ``# %% eigenvalues``: its picture is assets/tutorials/<file>-<title>.png. What cells
print is kept in assets/tutorials/<file>.json by a digest of the cell, so that no page shows what its code did not say.

    python docs/tools/tutorials.py [NAME ...]

runs tutorials (all, if none is named) and writes both.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import resource
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "docs" / "tutorials"
SHOWN = ROOT / "docs" / "assets" / "tutorials"
PICTURE = "image/png"
NO_WIDGETS = "ignore:IProgress not found"
"""Progress bars warn where they are drawn as text."""


@dataclass(frozen=True)
class Executed:
    """What a tutorial did.

    Attributes:
        pictures: PNG by the title of the cell that drew it, in order.
        printed: text by the digest of the cell that printed it.
        cpu_s: CPU time of the kernel, imports included.
    """

    pictures: dict[str, bytes]
    printed: dict[str, str]
    cpu_s: float


def names() -> list[str]:
    """The tutorials, by the names of their files."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def notebook(name: str) -> Any:
    """A tutorial as a notebook without outputs; the same file gives the same cells."""
    found = jupytext.read(SOURCES / f"{name}.py", fmt="py:percent")
    for number, cell in enumerate(found.cells):
        cell["id"] = f"{name}-{number}"
    found.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return found


def key(cell: Any) -> str:
    """What its printed text is kept under."""
    return hashlib.sha256(cell.source.encode()).hexdigest()[:16]


def page(name: str) -> str:
    """A tutorial as a page of Markdown, with what was kept of its last run."""
    path = SHOWN / f"{name}.json"
    printed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts = []
    for cell in notebook(name).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        if text := printed.get(key(cell)):
            parts.append(f"```text\n{text}\n```")
        if title := cell.metadata.get("title"):
            parts.append(f"![{title.replace('-', ' ')}](../assets/tutorials/{name}-{title}.png)")
    links = f"As a [notebook]({name}.ipynb) and as a [Python file]({name}.py); every cell of it is run by the tests."
    return "\n\n".join([parts[0], links, *parts[1:]]) + "\n"


def execute(name: str, folder: Path, timeout_s: float = 600) -> Executed:
    """Run a tutorial in a kernel of its own, in ``folder``, which also takes what the kernel keeps of its own.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
        ValueError: a cell draws without a title, has a title and draws nothing, or draws twice.
    """
    from nbclient import NotebookClient

    found = notebook(name)
    environment = {**os.environ, "IPYTHONDIR": str(folder / ".ipython"), "PUMICE_CACHE": str(folder / ".cache")}
    environment |= {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONWARNINGS": NO_WIDGETS}
    client = NotebookClient(
        found,
        timeout=timeout_s,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    client.execute(env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    pictures, printed = {}, {}
    for cell in found.cells:
        outputs = cell.get("outputs", [])
        drawn = [output["data"][PICTURE] for output in outputs if PICTURE in output.get("data", {})]
        title = cell.metadata.get("title")
        if len(drawn) != (title is not None) or title in pictures:
            raise ValueError(f"{name}: the cell {cell.source[:60]!r} draws {len(drawn)} pictures, its title is {title}")
        if title is not None:
            pictures[title] = base64.b64decode(drawn[0])
        said = "".join(output.get("text", "") for output in outputs if output.get("name") == "stdout")
        if said.strip():
            printed[key(cell)] = said.rstrip()
        wrong = "".join(output.get("text", "") for output in outputs if output.get("name") == "stderr")
        if wrong:
            raise ValueError(f"{name}: the cell {cell.source[:60]!r} warns: {textwrap.shorten(wrong, 300)}")
    return Executed(pictures, printed, sum(after[:2]) - sum(before[:2]))


def keep(name: str, executed: Executed) -> None:
    """Write what the page shows in place of what was kept before; pictures with 64 colours."""
    from PIL import Image

    SHOWN.mkdir(exist_ok=True)
    for old in SHOWN.glob(f"{name}-*.png"):
        old.unlink()
    for title, picture in executed.pictures.items():
        drawn = Image.open(io.BytesIO(picture)).convert("RGB")
        drawn.quantize(64, dither=Image.Dither.NONE).save(SHOWN / f"{name}-{title}.png", optimize=True)
    text = json.dumps(executed.printed, indent=1, ensure_ascii=False)
    (SHOWN / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main(chosen: list[str]) -> None:
    """See above."""
    for name in chosen or names():
        with tempfile.TemporaryDirectory() as folder:
            executed = execute(name, Path(folder))
        keep(name, executed)
        print(f"{name}: {executed.cpu_s:.1f} s of CPU time, {len(executed.pictures)} pictures")


if __name__ == "__main__":
    main(sys.argv[1:])
