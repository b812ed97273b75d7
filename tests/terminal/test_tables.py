"""Tables at any width: no figure broken or cut, names told apart, nothing but ASCII where there is no more."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.terminal import Table
from pumice.terminal.tables import shortened
from rich.text import Text
from shown_tables import WIDTHS, check, printed

NAMES = st.text("abcdefgh/_0123456789", min_size=1, max_size=70)
FIGURES = st.one_of(
    st.integers(-(10**12), 10**12).map(lambda number: f"{number:,}"),
    st.floats(0, 1).map(lambda share: f"{share:.2%} ({share / 2:.1%} to {share:.1%})"),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:.3g}"),
    st.just(""),
)
HEADINGS = st.sampled_from(
    ["values compared", "differing", "accuracy (95 %)", "s", "share of the range", "95 % interval"]
)


@st.composite
def tables(draw):
    columns = draw(st.lists(HEADINGS, min_size=1, max_size=9))
    table = Table("node", *columns, title="a table of random figures", caption="what it tells")
    for row in range(draw(st.integers(1, 5))):
        table.add_row(draw(NAMES), *(draw(FIGURES) for _ in columns), end_section=row == 1)
    if draw(st.booleans()):
        words = st.lists(st.one_of(st.text("abcde", max_size=12), FIGURES), max_size=30)
        table.add_column("prose", overflow="fold")
        for cell in range(len(table.rows)):
            table.columns[-1]._cells.append(" ".join(draw(words)))
            assert len(table.columns[-1]._cells) == cell + 1
    return table


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=40, deadline=None)
@given(table=tables(), terminal=st.booleans())
def test_every_figure_is_there_whole(table, width, terminal):
    check(table, width, terminal)


def wide():
    table = Table("node", *(f"column {number}" for number in range(6)), title="wide")
    for number in range(3):
        table.add_row(f"stages/{number}/layers/1/a_long_name_of_a_node/ssm", *["10,778,128"] * 6)
    return table


def test_what_does_not_fit_goes_below_with_its_names():
    lines = check(wide(), 60)
    heads = [line for line in lines if line.startswith("node")]
    assert len(heads) > 1
    assert sum(line.startswith("wide") for line in lines) == 1
    names = [line.split()[0] for line in lines if line.startswith("stages")]
    assert len(set(names)) == 3 * len({len(name) for name in names})  # shortened, and told apart


def test_there_is_one_piece_where_there_is_room():
    assert sum(line.startswith("node") for line in check(wide(), 200)) == 1


def test_a_pipe_gets_no_frames_and_a_terminal_does():
    assert all(line.isascii() for line in printed(wide(), 80))
    assert any("┃" in line for line in printed(wide(), 80, terminal=True))


def test_ascii_terminals_get_ascii():
    lines = printed(wide(), 80, terminal=True, encoding="ascii")  # strict: anything else would raise
    assert any("|" in line for line in lines)


def test_sections_are_kept_apart():
    table = Table("node", "n")
    table.add_row("a", "1", end_section=True)
    table.add_row("total", "2")
    assert [line.strip("- ") == "" for line in printed(table, 80)] == [False, True, False, True, False]


def test_names_lose_their_middle():
    assert shortened(Text("stages/0/layers/1/ssm"), 12).plain == "stage..1/ssm"
    assert shortened(Text("short"), 12).plain == "short"


def test_square_brackets_are_no_markup():
    table = Table("node", "n")
    table.add_row("x[bold]y", "[red]")
    assert "x[bold]y   [red]" in printed(table, 80)


def test_names_that_differ_in_their_middle_are_not_shortened_until_they_are_alike():
    table = Table("node", *(f"column {number}" for number in range(6)), title="alike")
    for number in range(3):
        table.add_row(f"stages/0/layers/{number}/a_very_long_name_of_the_same_node/ssm", *["10,778,128"] * 6)
    names = {line.split()[0] for line in check(table, 60) if line.startswith("stages")}
    assert len(names) == 3
