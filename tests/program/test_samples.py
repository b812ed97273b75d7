"""What may be given as a sample: one answer for every kind of array."""

import numpy as np
import pytest
from pumice.program import ProgramError, reference
from pumice.program.clock import gaps
from pumice.program.random.programs import random_program
from pumice.program.samples import check, codes

TIMES = np.array([0, 1000, 2000])


@pytest.fixture(scope="module")
def programs():
    fixed = {"pairing": "causal", "readout": "mean"}
    return {value: random_program(2, value=value, **fixed) for value in ("token", "dense")}


def rows(program):
    return np.random.default_rng(0).random((3, program.value_input.size)) > 0.5


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint64, np.float16, np.float32, np.longdouble, list])
def test_values_of_every_real_kind_give_the_same_logits(programs, kind):
    spikes = rows(programs["dense"])
    given = spikes.astype(float).tolist() if kind is list else spikes.astype(kind)
    expected, found = reference.run(programs["dense"], [(spikes.astype(np.float64), TIMES), (given, TIMES)])
    assert np.array_equal(expected.logits, found.logits)


@pytest.mark.parametrize(
    ("what", "given", "reason"),
    [
        ("times", np.array([0, 1, 2**63 + 5], dtype=np.uint64), "times reach 9223372036854775813 at entry 2"),
        ("times", np.array([-(2**63), 0, 2**63 - 1]), "3 events in 18446744073709551615 us exceed"),
        ("times", np.array([0, 1, -(2**63)]), "event 2 lies 9223372036854775809 us before event 1"),
        ("times", np.array([False, True, True]), "times are bool; give integers"),
        ("times", TIMES.astype(object), "times are object; give integers"),
        ("times", TIMES.astype("datetime64[us]"), "times are datetime64"),
        ("times", np.ma.array(TIMES, mask=[0, 0, 1]), "times are masked at entry 2"),
        ("token", np.array([2**64 - 1, 0, 0], dtype=np.uint64), "tokens reach 18446744073709551615 at entry 0"),
        ("token", np.array([True, False, True]), "tokens are bool; give integers"),
        ("token", np.array([0, 1, 2], dtype=object), "tokens are object; give integers"),
        ("token", np.ma.array([0, 1, 2], mask=[0, 1, 0]), "tokens are masked at entry 1"),
        ("dense", "object", "values are object; give real numbers"),
        ("dense", "masked", "values are masked at entry"),
        ("dense", "ragged", "values are no array of numbers"),
    ],
)
def test_what_is_refused_and_why(programs, what, given, reason):
    program = programs["dense" if what == "dense" else "token"]
    sample = np.array([0, 1, 2]), given
    if what == "token":
        sample = given, TIMES
    if what == "dense":
        spikes = rows(program)
        kinds = {
            "object": lambda: spikes.astype(object),
            "masked": lambda: np.ma.array(spikes * 1.0, mask=~spikes),
            "ragged": lambda: [[1.0], [1.0, 2.0], [1.0]],
        }
        sample = kinds[given](), TIMES
    for function in (check, codes):
        with pytest.raises(ProgramError, match=f"^sample 4: {reason}"):
            function(program, sample, 4)


def test_a_mask_that_hides_nothing_is_none(programs):
    tokens = np.ma.array([0, 1, 2], mask=[0, 0, 0])
    assert check(programs["token"], (tokens, TIMES), 0)[0].tolist() == [0, 1, 2]


def test_gaps_of_extreme_times_are_compared_not_subtracted():
    with pytest.raises(ProgramError, match="more than 2305843009213693952 us apart"):
        gaps(np.array([-(2**63), 2**63 - 1]), 1)
    far = gaps(np.array([-(2**60), 2**60]), 1000)
    assert far.tolist() == [0, (2 * 2**61 + 1000) // 2000]
