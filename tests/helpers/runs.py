"""What a run folder that went through all stages says of its backends."""

import json


def check_same_integers(folder):
    """No value differs between the backends that were run, nor in the exact ONNX models; the float one is near."""
    found = json.loads((folder / "simulate.json").read_text())
    assert found["differing"] == 0
    told = {*found["backends"], *found["skipped"]}
    assert told == {"reference", "twin", "run", "step", "onnx", "c"}
    assert set(found["skipped"]) <= {"c"}  # where there is no compiler
    exported = json.loads((folder / "onnx" / "export.json").read_text())
    for form in ("sequence", "step"):
        assert exported[form]["differing"] == 0
        assert exported[form]["values"] > 0
    assert exported["float"]["largest_difference"] < 1e-3
