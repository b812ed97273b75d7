"""Plain settings of verbs, as they are typed."""

import pytest
from pumice.cli.verbs import VERBS
from pumice.cli.words import Words
from pumice.errors import PumiceError

KNOWN = ("signed", "steps", "names", "out")


def words(*given):
    return Words(given, KNOWN, "verb")


@pytest.mark.parametrize(("typed", "meant"), [("true", True), ("TRUE", True), ("false", False), ("False", False)])
def test_flags_mean_what_they_say(typed, meant):
    assert words(f"signed={typed}").flag("signed") is meant


@pytest.mark.parametrize("typed", ["1", "yes", "", "truefalse"])
def test_other_flags_are_refused(typed):
    with pytest.raises(PumiceError, match=f"signed={typed} has to be true or false"):
        words(f"signed={typed}").flag("signed")


def test_numbers_lists_and_paths():
    assert [words(*given).number("steps") for given in (["steps=12"], ["steps=null"], [])] == [12, None, None]
    for typed in ("-1", "1.0", "²", "one"):
        with pytest.raises(PumiceError, match="has to be a whole number"):
            words(f"steps={typed}").number("steps")
    for typed in ("[a, 'b c']", "a,'b c'"):
        assert words(f"names={typed}").listed("names") == ["a", "b c"]
    assert words().listed("names") == words("names=[]").listed("names") == []
    assert words("out=a=b").text("out", "c") == "a=b"
    assert words().text("out", "c") == "c"
    assert words("out=").path("out") is None
    with pytest.raises(PumiceError, match=r"out is missing; name a file by out=\.\.\."):
        words().needed_path("out")


def test_a_setting_that_is_deleted_is_no_folder():
    """Of verbs that take a run's settings or plain folders."""
    report = next(verb for verb in VERBS if verb.name == "report")
    assert not report.takes_plain(["run_dir=a", "~training.sparsity"])
    assert report.takes_plain(["a", "b", "out=c"])
    assert not report.takes_plain(["run_dir=a", "-v"])
