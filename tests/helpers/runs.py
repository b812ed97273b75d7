"""What tests of runs share: settings, and what a run folder says of its backends."""

import json

LOOKED_AT = ["sensitivity.weights=[4]", "sensitivity.states=[8]", "sensitivity.constants=[]"]
LOOKED_AT += ["sensitivity.activations=[]", "sensitivity.samples=20", "sensitivity.counted=1", "system.jobs=1"]
"""Settings of a short look at how sensitive a run is."""


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
