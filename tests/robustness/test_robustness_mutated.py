"""Files with changed bytes: refused with a sentence, or read as if nothing had happened."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pumice.archives import load_arrays
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.program import ProgramError, digest, load
from pumice.program.storage import pack_node
from pumice.quantize.weights import load_frozen
from pumice.stages.build import build_data, build_model
from pumice.stages.folder import RunFolder
from pumice.stages.table import STAGES
from pumice.train.checkpoint import AtomicCheckpointIO
from pumice.train.settings import SystemSettings, TrainingSettings, read_section
from pumice.train.weights import load_weights

FEW, MANY = 50, 1000


def mutated(content, rng):
    """Bytes turned, blanked, lost, doubled, swapped or added at random places."""
    data = bytearray(content)
    kind = rng.choice(("turn", "turn", "turn", "blank", "cut", "lose", "double", "swap", "add"))
    place, size = rng.randrange(len(data)), rng.choice([1, 4, 64, 1000])
    if kind == "turn":
        for _ in range(rng.choice([1, 1, 3, 20])):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    elif kind == "blank":
        data[place : place + size] = bytes(len(data[place : place + size]))
    elif kind == "cut":
        del data[place:]
    elif kind == "lose":
        del data[place : place + size]
    elif kind == "double":
        data[place:place] = data[place : place + size]
    elif kind == "swap":
        other = rng.randrange(len(data))
        data[place], data[other] = data[other], data[place]
    else:
        data += rng.randbytes(size)
    return bytes(data)


def plain(value):
    """Tensors and arrays as (kind, shape, bytes), within whatever holds them."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def read_program(path, config):
    program = load(path)
    return digest(program), program.provenance


def read_weights(path, config):
    data = build_data(config, read_section(TrainingSettings, config, "training"), SystemSettings())
    model = build_model(config, data)
    info = load_weights(path, model)
    return plain(model.state_dict()), info


def read_frozen(path, config):
    frozen, info = load_frozen(path)
    return plain(frozen.state_dict()), [pack_node(node, {}) for node in frozen.nodes()], info


READERS = {
    "program.npz": read_program,
    "weights.safetensors": read_weights,
    "checkpoints/best.safetensors": read_weights,
    "quantized.safetensors": read_frozen,
    "checkpoints/last.ckpt": lambda path, config: plain(AtomicCheckpointIO().load_checkpoint(path)),
    "predictions.npz": lambda path, config: plain(load_arrays(path, "evaluate")),
    "simulate.npz": lambda path, config: plain(load_arrays(path, "simulate")),
}


def check_mutations(folder, name, count, seed):
    """Refused, or the same; at least some are refused."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    path, read, rng = folder / name, READERS[name], random.Random(seed)
    content, sentences = path.read_bytes(), []
    right = read(path, config)
    for trial in range(count):
        path.write_bytes(mutated(content, rng))
        try:
            found = read(path, config)
        except (PumiceError, ProgramError) as error:
            sentences.append(str(error))
        else:
            assert found == right, trial
    assert len(sentences) > count / 2
    assert all(str(path) in sentence and "\n" not in sentence for sentence in sentences)


@pytest.mark.parametrize("name", READERS)
def test_readers(copy, name):
    check_mutations(copy, name, FEW, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_readers_often(copy, name):
    check_mutations(copy, name, MANY, 1)


def test_a_finished_stage_notices_every_change_of_its_files(copy):
    """The rule for ONNX files: onnxruntime would run changed weights, the record of the stage knows their digest."""
    folder, rng = RunFolder(copy, yaml.safe_load((copy / "config.yaml").read_text())), random.Random(0)
    for stage in STAGES:
        for name in stage.writes if folder.record(stage) else ():
            content = (copy / name).read_bytes()
            for _ in range(FEW if name.endswith(".onnx") else 3):
                (copy / name).write_bytes(other := mutated(content, rng))
                if other != content:
                    with pytest.raises(PumiceError, match=f"is not what '{stage.name}' wrote"):
                        folder.check_outputs()
            (copy / name).write_bytes(content)
            assert folder.is_finished(stage)


OPEN_MODELS = """
import random, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_robustness_mutated import mutated
from pumice.errors import PumiceError
from pumice.export.onnx.session import Session, run_step
from pumice.program.random.programs import random_sample
from pumice.program import load
from pathlib import Path
folder, count = Path(sys.argv[2]), int(sys.argv[3])
program = load(folder / "program.npz")
sample = random_sample(program, 0, 8)
content, rng, refused = (folder / "onnx/step.onnx").read_bytes(), random.Random(2), 0
for trial in range(count):
    (folder / "onnx/step.onnx").write_bytes(mutated(content, rng))
    try:
        run_step(Session(folder / "onnx/step.onnx"), program, [sample])
    except PumiceError as error:
        assert "\\n" not in str(error), error
        refused += 1
print(refused)
"""


def open_models(start, folder, count):
    """Open and run changed step models in a process of its own, since native code reads them: how many are refused."""
    opening = start(str(Path(__file__).parent), str(folder), str(count), code=OPEN_MODELS)
    code, told = opening.ended()
    assert code == 0, told
    return int(opening.printed.split()[-1])  # onnxruntime prints there, too


def test_changed_models_do_not_crash(start, copy):
    assert open_models(start, copy, FEW) > 0


@pytest.mark.slow
def test_many_changed_models_do_not_crash(start, copy):
    assert open_models(start, copy, MANY) > 0


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("run", "weights.safetensors"),
        ("evaluate", "weights.safetensors"),
        ("simulate", "program.npz"),
        ("simulate", "quantized.safetensors"),
        ("export", "onnx/sequence.onnx"),
        ("count", "program.npz"),
        ("report redo=[report]", "simulate.json"),
        ("report redo=[report]", "predictions.npz"),
        ("run", "stages/quantize.json"),
    ],
)
def test_the_command_says_which_file(copy, capsys, verb, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 255
    (copy / name).write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main([*verb.split(), f"run_dir={copy}"])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("pumice: ")
    assert error.count("\n") == 1
    assert name in error
    assert "redo=[" in error or "write it anew" in error
