"""Files as slayer's export_hdf5 writes them."""

import h5py
import numpy as np
import pytest

CUBA = {"type": "CUBA", "iDecay": 4096, "vDecay": 128, "vThMant": 60, "refDelay": 1, "gradedSpike": False}


def write_group(group, fields):
    for key, value in fields.items():
        if isinstance(value, dict):
            write_group(group.create_group(key), value)
        elif key == "type" and "weight" not in fields and isinstance(value, str) and "iDecay" in fields:
            group.create_dataset(key, data=value)
        elif key == "type":
            group.create_dataset(key, (1,), "S10", [value.encode("ascii")])
        else:
            group.create_dataset(key, data=value)


@pytest.fixture
def net_file(tmp_path):
    """``net_file(layers, **attributes)``: the path of a file of these layers, dicts of their fields."""

    def write(layers, **attributes):
        path = tmp_path / "some.net"
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)
            for index, fields in enumerate(layers):
                write_group(file.create_group(f"layer/{index}"), fields)
        return path

    return write


@pytest.fixture
def dense():
    """``dense(weight, neuron={...}, **fields)``: a layer of CUBA neurons with other values where given."""

    def make(weight, neuron=None, **fields):
        weight = np.asarray(weight, dtype=np.float32)
        sizes = {"shape": np.array([len(weight)]), "inFeatures": weight.shape[-1], "outFeatures": len(weight)}
        return {"type": "dense", **sizes, "weight": weight, "neuron": CUBA | (neuron or {}), **fields}

    return make
