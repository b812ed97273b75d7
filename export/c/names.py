"""Names and texts that go into C: what others chose is escaped, what users choose is checked."""

from __future__ import annotations

import re

from ...errors import PumiceError

_KEYWORDS = {
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
    "for", "goto", "if", "inline", "int", "long", "main", "register", "restrict", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
}  # fmt: skip


def check_name(name: str) -> str:
    """The name that functions, types and files begin with.

    Raises:
        PumiceError: it is no short identifier in small letters.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name) or name in {*_KEYWORDS, "known"}:
        raise PumiceError(
            f"c.name={name!r:.60} is no name for C; use up to 31 small letters, digits and '_', with a letter first"
        )
    return name


def comment(text: str) -> str:
    """A text inside a comment: plain ASCII without its end."""
    return ascii(text)[1:-1].replace("*/", "* /").replace("??", "? ?")


def string(text: str) -> str:
    """A text as a C string: everything but plain letters, digits and marks as octal bytes."""
    plain = re.compile(r"[A-Za-z0-9 .,:;+/()\[\]_-]")
    return '"' + "".join(chr(b) if plain.fullmatch(chr(b)) else f"\\{b:03o}" for b in text.encode()) + '"'
