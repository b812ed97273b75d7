"""A griffe extension: the equations in the docstrings of pumice.program are drawn as those of the pages."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

from griffe import Extension, Object

BLOCK = re.compile(r"(?m)(?P<before>^.*?)(?P<colons>:{1,2})\n\n(?P<lines>(?:^ {4,}\S.*\n?)+)")
PLAIN = re.compile(r"(?m)^\n(?P<lines>(?:^ {4,}\S.*\n?)+)")
INLINE = re.compile(r"``(?P<equation>[^`\n]* (?:=|<-) [^`\n]*)``")


def marked(docstring: str) -> str:
    """The docstring of a node with its equations marked: indented blocks, and code that has a relation sign."""

    def fenced(match: re.Match[str]) -> str:
        return f"\n```equations\n{dedent(match['lines']).rstrip()}\n```\n"

    text = re.sub(r"(?m)::$", ":", docstring)
    return PLAIN.sub(fenced, INLINE.sub(r"`#!equation \g<equation>`", text))


class NodeEquations(Extension):
    """Marks the equations of every class in pumice.program.nodes."""

    def on_class_instance(self, *, cls: Object, **_: Any) -> None:
        """Called by griffe for each class it has read."""
        if cls.path.startswith("pumice.program.nodes.") and cls.docstring:
            cls.docstring.value = marked(cls.docstring.value)
