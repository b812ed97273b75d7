"""Programs for other runtimes: ONNX, QONNX, Lava, lava-dl, and C."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from ..errors import ParityError, PumiceError
from ..export.c import Generated, made_samples, write_c
from ..export.lava import write_bundle
from ..export.netx import read_net, write_net
from ..export.onnx import build_sequence, build_step
from ..export.onnx.dialect import Dialect
from ..export.onnx.doubles import DOUBLES
from ..export.onnx.float import writer_of
from ..export.onnx.integer import INTEGER
from ..export.onnx.qdq import QDQ
from ..export.qonnx import Written, write_parts
from ..files import atomic_path
from ..hw_sim.simulator import run
from ..program import Program
from ..program.nodes import LoihiLIF
from ..program.nodes.loihi import LIMITS
from .presets import kind_of
from .samples import as_samples, told

FORMS: dict[str, Callable[[Program, int | None, Dialect], onnx.ModelProto]] = {
    "sequence": lambda program, opset, dialect: build_sequence(program, opset=opset, dialect=dialect),
    "step": lambda program, opset, dialect: build_step(program, opset=opset, dialect=dialect),
    "qdq": lambda program, opset, _: build_step(program, dialect=QDQ, branches=False, opset=opset),
}
"""How the ONNX form of each name is built, for an operator set and the exact forms' dialect."""
EXACT = ("sequence", "step")
"""The forms that are bit for bit the program."""
_ARRAYS = ("weight", "recurrent", "bias")


def export_onnx(
    program: Program | nn.Module,
    path: str | Path,
    *,
    form: str = "sequence",
    opset: int | None = None,
    integers: bool = False,
    class_names: Sequence[str] | None = None,
) -> Path:
    """Write a program, or a float model, as an ONNX model.

    Args:
        program: a program, or the float model that it was made of.
        path: the file; its folder is made where it does not exist.
        form: of a program: ``"sequence"`` takes whole samples and ``"step"`` one event with the states in and out, both
            bit for bit the program's; ``"qdq"`` is the step in QuantizeLinear and floats, near it. A float model has
            the form of whole samples alone.
        opset: operator set of a program's model, 16 to 21; the lowest that it needs if not given.
        integers: whether the exact forms hold integer tensors alone, for runtimes without float64; slower.
        class_names: of a float model, one a logit, kept in the file; numbers if not given.

    Raises:
        PumiceError: an unknown form, a program or model without one, an operator set that lacks what it needs, or a
            folder that cannot be written to.
    """
    if isinstance(program, nn.Module):
        config: Any = program.config
        names = class_names or [str(number) for number in range(config.num_classes)]
        model = writer_of(program).build(program.eval(), names)
    elif not isinstance(program, Program):
        raise PumiceError(
            f"{kind_of(program)} cannot be written as ONNX; give a program (pumice.load) or a float model"
        )
    elif form not in FORMS:
        raise PumiceError(f"form={form} is unknown; use one of: {', '.join(FORMS)}")
    else:
        with told():
            model = FORMS[form](program, opset, INTEGER if integers else DOUBLES)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return Path(path)


def export_lava(
    program: Program, folder: str | Path, samples: Iterable[Any], *, replace: bool = False, threads: int | None = None
) -> Path:
    """Write a program as a Lava network that runs on its own: on Python 3.10 with lava-nc and numpy alone.

    Args:
        program: any that splits into layers.
        folder: must not exist, but for ``replace``. It gets the program, the process models, ``run.py``, a README, the
            samples, and what the simulator says of them, which ``run.py`` compares with.
        samples: what it runs, see `simulate`; it takes about a millisecond an event.
        replace: remove the folder first, where it exists.
        threads: of the simulator; all cores if not given.

    Raises:
        PumiceError: a program that does not split into layers, a sample that it cannot take, or a folder that exists
            or cannot be written to.
    """
    folder, given = Path(folder), as_samples(program, samples)
    with told():
        logits = np.stack([trace.logits for trace in run(program, given, threads=threads)])
        if replace and folder.exists():
            shutil.rmtree(folder)
        return write_bundle(program, given, folder, logits)


def export_c(
    program: Program,
    folder: str | Path,
    samples: Iterable[Any] | None = None,
    *,
    name: str = "pumice",
    pack: bool = False,
    sparse: bool = True,
    replace: bool = False,
    threads: int | None = None,
) -> Path:
    """Write a program as C99 for microcontrollers: one ``.c`` and one ``.h``, static memory, no dependencies.

    Args:
        program: any.
        folder: must not exist, but for ``replace``. It gets ``<name>.c``, ``<name>.h``, a main, known answers, a
            Makefile and a README with flash and RAM by node.
        samples: of the known answers, see `simulate`; made inputs if not given.
        name: what files, functions and types begin with, so that several programs fit one firmware.
        pack: whether weights of up to 4 bits share bytes.
        sparse: whether matrices are kept without their zeros where that is smaller and faster.
        replace: remove the folder first, where it exists.
        threads: of the simulator; all cores if not given.

    Raises:
        PumiceError: a name that C cannot have, a sample that the program cannot take, or a folder that exists or
            cannot be written to.
    """
    folder = Path(folder)
    given = made_samples(program) if samples is None else as_samples(program, samples)
    with told():
        generated = Generated(program, name, pack, sparse)
        logits = np.stack([trace.logits for trace in run(program, given, threads=threads)])
        if replace and folder.exists():
            shutil.rmtree(folder)
        return write_c(generated, folder, given, logits)


def export_qonnx(
    program: Program,
    folder: str | Path,
    samples: Iterable[Any] | None = None,
    *,
    dialect: str = "qonnx",
    leave_out: Collection[str] = (),
    wide: bool = False,
    replace: bool = False,
) -> Written:
    """Write the parts of a program that keep no state in operators of quantized networks, bit for bit the program's.

    Args:
        program: any that has such a part.
        folder: must not exist, but for ``replace``. It gets ``part_0.onnx`` and its test vectors ``part_0_io.npz``, and
            so on, and ``parts.json``, which says what is in which part, and why other nodes are in none.
        samples: of the vectors, see `simulate`; made inputs if not given.
        dialect: ``"qonnx"``, QONNX's Quant operators; ``"hls4ml"``, the same as hls4ml reads them, without tables and
            with one scale a tensor; ``"qcdq"``, standard operators alone, for runtimes.
        leave_out: types of nodes that are not to be written, such as ``["Lookup"]`` where a tool has no tables.
        wide: write sums of more than float32's 24 bits as well, for tools that compute in fixed point, as hls4ml does.
        replace: remove the folder first, where it exists.

    Returns:
        the content of ``parts.json``, and how many values were compared.

    Raises:
        PumiceError: a program without such a part, an unknown dialect or type, a sample that the program cannot take,
            or a folder that exists or cannot be written to.
        ParityError: onnxruntime gives other values than the program.
    """
    folder = Path(folder)
    given = made_samples(program) if samples is None else as_samples(program, samples)
    with told():
        if replace and folder.exists():
            shutil.rmtree(folder)
        return write_parts(program, folder, given, dialect, leave_out, wide)


def export_netx(program: Program, path: str | Path) -> list[LoihiLIF]:
    """Write a network of Loihi's own neurons as lava-dl's netx reads it (HDF5, ``.net``), and read it back.

    Args:
        program: of a model that was quantized with ``config="loihi"``.
        path: the file.

    Returns:
        the layers as they are in the file.

    Raises:
        PumiceError: other programs, weights that netx would not load as they are, or a folder that cannot be written
            to.
        ParityError: what is read back is not what the program holds.
    """
    with told():
        nodes = write_net(program, Path(path))
    for mine, found in zip(nodes, read_net(Path(path)), strict=True):
        same = mine.format == found.format and all(np.array_equal(mine.each(name), found.each(name)) for name in LIMITS)
        if not same or not all(np.array_equal(_values(mine, name), _values(found, name)) for name in _ARRAYS):
            raise ParityError(f"node {mine.name} is not read back as it was written; report this with program.npz")
    return nodes


def _values(node: LoihiLIF, name: str) -> np.ndarray:
    scale = 1.0 if name == "bias" else 2.0**node.weight_exponent
    return getattr(node, name) * scale
