"""Typesets the plain notation of equations (``x_k = a x_(k-1) + 2^-s b``) as MathML, which browsers draw by themselves.

The notation is that of the docstrings, so that an equation reads the same in an editor and on the site:

- ``x_k``, ``x_(k-1)``, ``max_{n < N}``: below; ``2^s``, ``2**-frac``, ``4^(k+1)``: above; ``u^`` before a space: a hat.
- ``/`` between two terms is a fraction; ``floor``, ``sqrt``, ``sum``, ``|x|`` and names of Greek letters are drawn so.
- A block has an equation a line, aligned at its first relation sign. Three spaces or more part an equation from the
  next one, or from a note; a few words and a colon before it are its label.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from itertools import accumulate

LETTERS = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "theta",
    "kappa",
    "lambda",
    "mu",
    "rho",
    "sigma",
    "tau",
    "omega",
]
GREEK = dict(zip(LETTERS, "αβγδεθκλμρστω", strict=True))
GREEK |= {"Lambda": "Λ", "Sigma": "Σ", "Delta": "Δ", "Gamma": "Γ", "Omega": "Ω"}
RELATIONS = {"=": "=", "<-": "←", "<=": "≤", ">=": "≥", "!=": "≠", "<": "<", ">": ">", "~": "≈", "+=": "+="}
OPERATORS = {"+": "+", "-": "−", "*": "⋅", "·": "⋅", "+-": "±", "<<": "<<", ">>": ">>", ",": ",", ";": ";", ":": ":"}
OPERATORS |= {"...": "…"}
LIMITS = {"sum": "∑", "max": "max", "min": "min"}
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<number>\d+(?:,\d{3})*(?:\.\d+)?)|(?P<quote>"[^"]*")
    |(?P<name>[^\W\d](?:\w|\.(?=[^\W\d]))*)|(?P<operator>\.\.\.|\*\*|<-|<=|>=|!=|<<|>>|\+-|\+=|[-+*·/=<>~,;:^'|.])
    |(?P<bracket>[()\[\]{}])""",
    re.VERBOSE,
)
SPACE = '<mspace width="0.22em"/>'
LABEL = re.compile(r"(?P<label>[A-Za-z][\w-]*(?:[ ,]+[\w-]+)*):\s+(?=\S)")
WORD = re.compile(r"(?P<before>\(?)(?P<word>\S+?)(?P<after>[,;:.)]*)")
DRAWN = re.compile(rf"(?:{'|'.join(GREEK)}|[b-zB-Z]|\w+_\w+|\w+\^-?\w+)'?")


class Unreadable(ValueError):
    """A line that is not in the notation."""


@dataclass(frozen=True)
class Token:
    """A token: whether white space or an end stands before and after it, and whether a bar opens an absolute value."""

    kind: str
    text: str
    before: bool
    after: bool
    opens: bool


def tokens_of(line: str) -> list[Token]:
    """The tokens of a line.

    Raises:
        Unreadable: it holds a character that no token has.
    """
    found, place = [], 0
    while place < len(line):
        match = TOKEN.match(line, place)
        if match is None:
            raise Unreadable(f"{line[place]!r} in {line!r} is not part of the notation of equations")
        last, following = line[place - 1 : place] or " ", line[match.end() : match.end() + 1] or " "
        before, after = last.isspace(), following.isspace()
        opens = match[0] in OPENING or (match[0] == "|" and not after and (before or last in "([{|"))
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0], before, after, opens))
        place = match.end()
    return found


def block(source: str) -> str:
    """HTML of a block of equations."""
    rows = "".join(_row(line) for line in source.splitlines() if line.strip())
    return f'<div class="equations"><table role="presentation">{rows}</table></div>'


def inline(source: str) -> str:
    """MathML of one equation in running text."""
    return _math(source)


def _row(line: str) -> str:
    label, parts = cells(line)
    left, right = _at_relation(parts[0])
    notes = []
    while len(parts) > 1 and not is_equation(parts[-1]):
        notes.insert(0, parts.pop())
    others = "".join(f'<span class="next">{_math(part)}</span>' for part in parts[1:])
    return (
        f'<tr><td class="label">{escape(label)}</td><td class="left">{_math(left) if left else ""}</td>'
        f'<td class="right">{_math(right)}{others}</td><td class="note">{" ".join(map(_note, notes))}</td></tr>'
    )


def cells(line: str) -> tuple[str, list[str]]:
    """The label, and what is parted by three spaces or more."""
    line = re.sub(r"\s+(?=(?:=|<-|<=|>=|\+=)\s)", " ", line.strip())
    match = LABEL.match(line)
    label = match["label"] if match else ""
    return label, re.split(r"\s{3,}|\s{2,}(?=`)", line[match.end() :] if match else line)


def is_equation(cell: str) -> bool:
    """Whether a cell is an equation and no note: it begins with a short side and a relation sign."""
    return re.match(r"[^\s:]+(?: [^\s:]+)?\s+(?:=|<-|<=|>=|<|>)\s", cell + " ") is not None


def _at_relation(cell: str) -> tuple[str, str]:
    """Split before the first relation sign that no bracket encloses."""
    depth = 0
    for match in TOKEN.finditer(cell):
        text = match[0]
        depth += (text in OPENING) - (text in CLOSING)
        if depth == 0 and match["operator"] and text in RELATIONS:
            return cell[: match.start()].strip(), cell[match.start() :]
    return "", cell


def _note(text: str) -> str:
    """Words, in which names of the equations are drawn as there."""
    return " ".join(map(_word, re.findall(r"`+[^`]*`+\S*|\S+", text)))


def _word(text: str) -> str:
    code = re.fullmatch(r"`+([^`]*)`+(.*)", text)
    if code:
        return f"<code>{escape(code[1])}</code>{escape(code[2])}"
    match = WORD.fullmatch(text)
    if match and DRAWN.fullmatch(match["word"]):
        return f"{match['before']}{_math(match['word'])}{match['after']}"
    return escape(text)


def _math(source: str) -> str:
    parser = _Parser(source)
    content = "".join(parser.sequence(None))
    return f"<math>{content}</math>"


class _Parser:
    def __init__(self, source: str) -> None:
        self.source, self.tokens, self.place = source, tokens_of(source), 0

    def peek(self) -> Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise Unreadable(f"{self.source!r} ends too early")
        self.place += 1
        return token

    def sequence(self, closing: str | None) -> list[str]:
        """Elements up to the closing bracket, which is taken."""
        found: list[str] = []
        after_term = False
        while (token := self.peek()) is not None:
            if token.text == closing and not token.opens:
                self.take()
                return found
            if token.kind == "bracket" and token.text in CLOSING:
                raise Unreadable(f"{token.text!r} in {self.source!r} closes nothing")
            if token.text == "/":
                self.take()
                if not after_term:
                    raise Unreadable(f"nothing stands before '/' in {self.source!r}")
                found[-1] = f"<mfrac>{_bare(found[-1])}{_bare(self.term())}</mfrac>"
            elif token.kind == "operator" and not token.opens:
                found.append(self.operator(after_term))
                after_term = False
            else:
                if after_term:
                    found.append(SPACE)
                found.append(self.term())
                after_term = True
        if closing is not None:
            raise Unreadable(f"{closing!r} is missing in {self.source!r}")
        return found

    def operator(self, after_term: bool) -> str:
        text = self.take().text
        shown = (RELATIONS | OPERATORS).get(text)
        if shown is None:
            raise Unreadable(f"{text!r} in {self.source!r} stands where no operator can")
        prefix = ' form="prefix"' if text in "+-" and not after_term else ""
        return f"<mo{prefix}>{escape(shown)}</mo>"

    def term(self) -> str:
        """A number, a name, a call or a group, with what stands above and below it."""
        token = self.take()
        if token.text == "-":  # of an exponent or a denominator
            return f'<mrow><mo form="prefix">−</mo>{self.term()}</mrow>'
        if token.kind == "name":
            base = self.name(token)
        elif token.kind == "number":
            base = f"<mn>{token.text}</mn>"
        elif token.kind == "quote":
            base = f"<mtext>{escape(token.text)}</mtext>"
        elif token.text in OPENING:
            base = _fenced(token.text, self.sequence(OPENING[token.text]), OPENING[token.text])
        elif token.opens:
            base = _fenced("|", self.sequence("|"), "|")
        else:
            raise Unreadable(f"{token.text!r} in {self.source!r} stands where a term should")
        return self.above(base)

    def above(self, base: str) -> str:
        """Powers of a term."""
        token = self.peek()
        if token is not None and not token.before and token.text in ("^", "**") and not token.after:
            self.take()
            return f"<msup>{base}{_bare(self.term())}</msup>"
        return base

    def name(self, token: Token) -> str:
        base, _, below = token.text.partition("_")
        shown = f"<mi>{escape(GREEK.get(base, base))}</mi>"
        if base in LIMITS and (base == "sum" or "_" in token.text):
            shown = f"<mo>{LIMITS[base]}</mo>"
        if below:
            shown = self.below(base, shown, _words(below))
        elif token.text.endswith("_"):
            opening = self.take()
            if opening.text not in OPENING:
                raise Unreadable(f"nothing stands below {token.text!r} in {self.source!r}")
            inner = f"<mrow>{''.join(self.sequence(OPENING[opening.text]))}</mrow>"
            shown = self.below(base, shown, inner)
        shown = self.marks(shown)
        following = self.peek()
        if following is None or following.before or following.text not in ("(", "["):
            return shown
        opening = self.take().text
        inside = self.sequence(OPENING[opening])
        if base == "floor":
            return _fenced("⌊", inside, "⌋")
        if base == "sqrt":
            return f"<msqrt>{''.join(inside)}</msqrt>"
        return f"<mrow>{shown}{_fenced(opening, inside, OPENING[opening])}</mrow>"

    def below(self, base: str, shown: str, what: str) -> str:
        kind = "munder" if base in ("max", "min") else "msub"
        return f"<{kind}>{shown}{what}</{kind}>"

    def marks(self, shown: str) -> str:
        """Primes and a hat."""
        primes = 0
        while (token := self.peek()) is not None and not token.before:
            closes = self.place + 1 == len(self.tokens) or self.tokens[self.place + 1].text in CLOSING
            if token.text == "^" and (token.after or closes):
                self.take()
                shown = f'<mover accent="true">{shown}<mo>^</mo></mover>'
            elif token.text == "'":
                self.take()
                primes += 1
            else:
                break
        return f"<msup>{shown}<mo>{'′' * primes}</mo></msup>" if primes else shown


def _fenced(opening: str, inside: list[str], closing: str) -> str:
    content = "".join(inside)
    grows = "" if "<mfrac>" in content or "<munder>" in content else ' stretchy="false"'
    return f"<mrow><mo{grows}>{opening}</mo>{content}<mo{grows}>{closing}</mo></mrow>"


def _bare(term: str) -> str:
    """A term that has its own place needs no parentheses."""
    match = re.fullmatch(r"<mrow><mo[^>]*>\(</mo>(.*)<mo[^>]*>\)</mo></mrow>", term)
    if match is None:
        return term
    depths = accumulate(1 if bracket == "(" else -1 for bracket in re.findall(r"<mo[^>]*>([()])</mo>", match[1]))
    return f"<mrow>{match[1]}</mrow>" if min(depths, default=0) >= 0 else term


def _words(below: str) -> str:
    kinds = {part: "mn" if part.isdigit() else "mi" for part in below.split("_")}
    parts = [f"<{kind}>{escape(GREEK.get(part, part))}</{kind}>" for part, kind in kinds.items()]
    return parts[0] if len(parts) == 1 else f"<mrow>{SPACE.join(parts)}</mrow>"
