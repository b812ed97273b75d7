"""Programs made from others."""

from __future__ import annotations

import pytest
from pumice.program import ProgramError
from pumice.program.random.programs import random_program
from pumice.program.transform import replace_readout


def test_a_readout_by_time_needs_its_gaps():
    with pytest.raises(ProgramError, match="lower it anew"):
        replace_readout(random_program(8, readout="mean"), mode="time")
    timed = random_program(8, readout="time")
    assert replace_readout(timed, mode="last")["readout"].inputs == timed["readout"].inputs[:1]
