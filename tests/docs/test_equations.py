"""The notation of equations: what is drawn, in an independent reading of MathML, and what is refused."""

import re
import xml.etree.ElementTree as ET

import equations
import pytest


def spoken(element):
    """A drawn equation in words that leave no doubt about its structure."""
    parts = [spoken(child) for child in element]
    match element.tag:
        case "math" | "mrow":
            return "".join(parts)
        case "mi" | "mn" | "mo" | "mtext":
            return element.text
        case "mspace":
            return " "
        case "mfrac":
            return f"{{{parts[0]} over {parts[1]}}}"
        case "msub" | "munder":
            return f"{{{parts[0]} sub {parts[1]}}}"
        case "msup":
            return f"{{{parts[0]} sup {parts[1]}}}"
        case "mover":
            return f"{{{parts[0]} hat}}"
        case "msqrt":
            return f"{{root {''.join(parts)}}}"
    raise AssertionError(element.tag)


def draw(source):
    return spoken(ET.fromstring(equations.inline(source)))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a + 2 b", "a+2 b"),
        ("x_k", "{x sub k}"),
        ("x_(k-1)", "{x sub k−1}"),
        ("x_{k-1} y", "{x sub k−1} y"),
        ("decay_re[j]", "{decay sub re}[j]"),
        ("2^s", "{2 sup s}"),
        ("2**-frac", "{2 sup −frac}"),
        ("2^(s-1)", "{2 sup s−1}"),
        ("a**(2**j)", "{a sup {2 sup j}}"),
        ("2^-f_p", "{2 sup −{f sub p}}"),
        ("u^ = alpha u'", "{u hat}=α {u sup ′}"),
        ("[u^ > theta]", "[{u hat}>θ]"),
        ("x' <- sat(x)", "{x sup ′}←sat(x)"),
        ("(a + b) / (2 q)", "{a+b over 2 q}"),
        ("a b / c", "a {b over c}"),
        ("f(x) / 2^s", "{f(x) over {2 sup s}}"),
        ("(a) (b) / c", "(a) {b over c}"),
        ("((a) + (b)) / c", "{(a)+(b) over c}"),
        ("floor(x + 1/2)", "⌊x+{1 over 2}⌋"),
        ("sqrt(2)/2", "{{root 2} over 2}"),
        ("|a_n| |e| <= |x - y|", "|{a sub n}| |e|≤|x−y|"),
        ("(|d_re| + |d_im|)", "(|{d sub re}|+|{d sub im}|)"),
        ("max_{1 <= n < 2^J} (w(n) + m) / (1 - |A_n|)", "{max sub 1≤n<{2 sup J}} {w(n)+m over 1−|{A sub n}|}"),
        ("sum_i W_i x_i", "{∑ sub i} {W sub i} {x sub i}"),
        ("min(a, b)", "min(a,b)"),
        ("v << -s", "v<<−s"),
        ("-x", "−x"),
        ("x_0 + ... + x_n", "{x sub 0}+…+{x sub n}"),
        ("Lambda step", "Λ step"),
        ("y < 3", "y<3"),
    ],
)
def test_drawn(source, expected):
    assert draw(source) == expected


@pytest.mark.parametrize("source", ["(a + b", "a + b)", "[a)", "|a", "a & b", "/ b", "x_", "a ^^ b", "f(a"])
def test_what_is_not_in_the_notation_is_refused(source):
    with pytest.raises(equations.Unreadable, match=r"\S"):
        equations.inline(source)


def test_block_aligns_relations_and_parts_labels_equations_and_notes():
    drawn = equations.block(
        "SE: w = b w'      of the step before; 2^23 units of f_u\n    v  = 1      n_0 = 0    a `code` here\n\n|x| <= 1"
    )
    table = ET.fromstring(drawn)[0]
    rows = [[cell for cell in row] for row in table]
    assert [[cell.get("class") for cell in row] for row in rows] == [["label", "left", "right", "note"]] * 3
    first, second, third = rows
    assert first[0].text == "SE"
    assert spoken(first[1][0]) == "w"
    assert spoken(first[2][0]) == "=b {w sup ′}"
    assert re.sub(r"\s+", " ", "".join(first[3].itertext())) == "of the step before; 223 units of fu"
    assert [spoken(math) for math in first[3]] == ["{2 sup 23}", "{f sub u}"]
    assert [spoken(math) for math in second[2].iter("math")] == ["=1", "{n sub 0}=0"]
    assert second[3][0].tag == "code"
    assert spoken(third[1][0]) == "|x|"
