"""Which settings the stages of a whole run read: each is in the record of the stage, or of one that it builds on."""

from __future__ import annotations

import pytest
from pumice.stages.table import STAGES

OF_NO_RESULT = {"system", "logging", "redo", "run_dir", "target"}
"""Sections that say how a run is made and where: threads, workers, what is told."""


def upstream(stage):
    """The stages whose files ``stage`` reads, and theirs; the report reads what every stage has left."""
    if stage.needs == ("metrics.json",):
        return list(STAGES)
    writers = [other for other in STAGES if set(other.writes) & {*stage.needs, *stage.uses}]
    return [stage, *(further for writer in writers for further in upstream(writer))]


@pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
def test_what_a_stage_reads_is_in_its_record_or_in_one_of_those_that_it_builds_on(small_finished, stage):
    """Sections as a whole run read them: a change of any makes the stage, or what it was made from, another one's."""
    if stage.name not in small_finished.read:
        assert stage.arithmetic == "loihi"
        return
    read = small_finished.read[stage.name] - OF_NO_RESULT
    kept = {section.split(".")[0] for each in upstream(stage) for section in each.sections}
    assert read <= kept
    assert {section.split(".")[0] for section in stage.sections} <= read
