"""What mkdocs does besides its own: equations, files, the table of nodes, a package that mkdocstrings finds."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

TOOLS = Path(__file__).parent
ROOT = TOOLS.parents[1]
_package: list[tempfile.TemporaryDirectory[str]] = []


def package_folder() -> Path:
    """A folder in which the package is called pumice, whatever the folder of the repository is called."""
    if not _package:
        _package.append(tempfile.TemporaryDirectory(prefix="pumice-docs-"))
        inside = Path(_package[0].name) / "pumice"
        inside.mkdir()
        for source in [*ROOT.glob("*.py"), *(init.parent for init in ROOT.glob("*/__init__.py"))]:
            (inside / source.name).symlink_to(source)
    return Path(_package[0].name)


@event_priority(100)
def on_config(config: Any) -> Any:
    """Tell mkdocstrings where the package lies, and superfences how equations are drawn."""
    sys.path.insert(0, str(TOOLS))  # here, as mkdocs restores the path after it has loaded this file
    import equations

    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(package_folder())]

    def fence(source: str, *_: Any, **__: Any) -> str:
        return equations.block(source)

    def inline(source: str, *_: Any, **__: Any) -> str:
        return equations.inline(source)

    fences = config.mdx_configs.setdefault("pymdownx.superfences", {})
    fences["custom_fences"] = [{"name": "equations", "class": "equations", "format": fence}]
    inlines = config.mdx_configs.setdefault("pymdownx.inlinehilite", {})
    inlines["custom_inline"] = [{"name": "equation", "class": "equation", "format": inline}]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Make a page of every tutorial, and a notebook to be fetched."""
    import jupytext
    import tutorials

    for name in tutorials.names():
        notebook = jupytext.writes(tutorials.notebook(name), fmt="ipynb")
        for kind, content in (("md", tutorials.page(name)), ("ipynb", notebook)):
            files.append(File.generated(config, f"tutorials/{name}.{kind}", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put in files from beside the folder of pages, and what is read from the node classes."""

    def file(match: re.Match[str]) -> str:
        return (ROOT / match[1]).read_text(encoding="utf-8").replace("](docs/", "](")

    markdown = re.sub(r"<!-- file: (\S+) -->", file, markdown)
    if "<!-- nodes: " not in markdown:
        return markdown
    import nodes

    return markdown.replace("<!-- nodes: table -->", nodes.table()).replace("<!-- nodes: all -->", nodes.sections())
