"""The verbs of the command line: stages of a run folder, ``run`` for all of them, and ``data``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import PumiceError
from ..stages.table import ALL, STAGES
from .known import did_you_mean
from .words import PREDICT_USAGE, SOURCES, STREAM_USAGE


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        name: as typed, such as ``train`` or ``data build``.
        summary: one line of help.
        help: what it reads and writes, shown by ``pumice <verb> --help``.
        target: ``module:function`` inside the package, imported when called; takes (config, *extra).
        extra: further arguments for the target.
        config_name: the primary configuration.
        files: ``module:function`` that takes plain arguments, names of files and flags, or "".
        folders: ``module:function`` that takes plain folders and settings in place of a configuration, or "".
        program: ``module:function`` that takes settings where one of them names a program file, or "".
        reads: whether its first argument is a file, which the target takes as its last argument.
        own: ``module:function`` that makes settings of the file itself, given those that were typed, or "".
        settings: ``module:function`` that makes settings of a second file, that of another program, or "".
        sections: of the configuration, that its results depend on; its help shows them.
        common: further settings in the primary configuration that concern it.
    """

    name: str
    summary: str
    help: str
    target: str
    extra: tuple[Any, ...] = ()
    config_name: str = "config"
    files: str = ""
    folders: str = ""
    program: str = ""
    reads: bool = False
    own: str = ""
    settings: str = ""
    sections: tuple[str, ...] = ()
    common: tuple[str, ...] = ("run_dir", "redo")

    @property
    def is_run(self) -> bool:
        """Whether it goes through all stages."""
        return self.name == "run"

    @property
    def stages(self) -> list[tuple[str, tuple[str, ...]]]:
        """The stages that ``run`` goes through, each with its sections."""
        return [(stage.name, stage.sections) for stage in STAGES]

    def reading(self, arguments: Sequence[str]) -> tuple[Verb, list[str]]:
        """The verb with the files that ``arguments`` begin with, and the settings, those of the second file first.

        Raises:
            PumiceError: no file, or a second one that it cannot read.
        """
        source, *rest = arguments or [""]
        if not source or source.startswith("-") or (rest and "=" in source and not Path(source).exists()):
            raise PumiceError(f"'{self.name}' needs a file; usage: {self.help.splitlines()[0].partition(': ')[2]}")
        found: list[str] = []
        if self.own:
            typed = dict(item.lstrip("+~").split("=", 1) for item in rest if "=" in item)
            found = [item for item in _imported(self.own)(Path(source), typed) if item.split("=", 1)[0] not in typed]
        if self.settings and rest and "=" not in rest[0] and not rest[0].startswith("-"):
            found = _imported(self.settings)(Path(rest[0]))
            rest = rest[1:]
            given = {item.lstrip("+~").split("=", 1)[0] for item in rest}
            found = [item for item in found if item.split("=", 1)[0] not in given]
        return replace(self, extra=(*self.extra, source)), [*found, *rest]

    def planned(self) -> Verb:
        """The verb that tells what this one would do.

        Raises:
            PumiceError: it is no verb of stages.
        """
        if self.target not in (RUN_STAGES, RUN_EXPORT):
            raise PumiceError(f"--dry-run tells which stages would run, and '{self.name}' has none; leave it out")
        return replace(self, target="run:planned", folders="", program="")

    def call(self, config: Any) -> Any:
        """Import the target and call it; returns what sweepers optimize, where it has that."""
        return _imported(self.target)(config, *self.extra)

    def takes_plain(self, arguments: Sequence[str]) -> bool:
        """Whether ``arguments`` are for `call_plain`: files or folders are among them, or it takes no others."""
        if self.program and any(argument.split("=", 1)[0] in SOURCES for argument in arguments):
            return True
        names = any("=" not in argument and not argument.startswith("-") for argument in arguments)
        return bool(self.files or self.folders) and (names or not self.config_name)

    def call_plain(self, arguments: Sequence[str]) -> None:
        """Import the target for plain arguments and call it."""
        if self.program:
            _imported(self.program)(arguments)
            return
        if self.files:
            _imported(self.files)(arguments)
            return
        settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
        _imported(self.folders)([Path(argument) for argument in arguments if "=" not in argument], settings)


def _imported(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    name = module if module.startswith(".") else f".{module}"
    return getattr(import_module(name, __package__), function)


RUN_STAGES, RUN_EXPORT = "run:stages", "run:export"
FEED = "[steps=N] [columns=[channel,time]] [input_bits=N] [signed=BOOL] [class_names=[...]] [step_us=N] [threads=N]"
PLAIN = {
    "simulate": "net=FILE input=FILE [backends=[...]] [out=FOLDER]",
    "count": "net=FILE input=FILE [hardware=NAME] [out=FILE.json]",
    "export": "target=lava|netx|onnx|c net=FILE [input=FILE] [c.name=NAME] [c.pack=BOOL] out=PATH",
}
"""Verbs that take a program file as well, and what they take with it."""


def _with_plain(verb: Verb) -> Verb:
    """The verb, which takes a program file where `PLAIN` says so."""
    name = verb.name
    if name not in PLAIN:
        return verb
    usage = f"pumice {name} {PLAIN[name]}"
    more = (
        f"Without a run folder: {usage}\n{FEED}\n"
        "net: a .net file of lava-dl (docs/loihi.md); program=FILE.npz: a program; input: a .npy or .npz file."
    )
    return replace(verb, help=f"{verb.help}\n\n{more}", program=f"plain:{name}")


def _stage_verbs() -> list[Verb]:
    """One verb a stage; the exports share one, which chooses by target."""
    verbs = []
    for stage in ALL:
        if not stage.target:
            plain = f"..stages.{stage.module}:{stage.compares}" if stage.compares else ""
            verb = Verb(stage.name, stage.summary, stage.help, RUN_STAGES, ((stage.name,),), folders=plain)
            verbs.append(_with_plain(replace(verb, sections=stage.sections, common=(*stage.once, *verb.common))))
    exports = [stage for stage in ALL if stage.target]
    listed = "\n\n".join(f"target={stage.target}: {stage.help}" for stage in exports)
    *first, last = [stage.target for stage in exports]
    summary = f"write the program for another runtime (target={', '.join(first)} or {last})"
    sections = tuple(dict.fromkeys(section for stage in exports for section in stage.sections))
    return [*verbs, _with_plain(Verb("export", summary, listed, RUN_EXPORT, sections=("target", *sections)))]


IMPORTED = (
    "Writes weights.safetensors to the run folder, as 'train' does; evaluate, quantize and all others go on from\n"
    "there. The settings choose the model and the task, as those of 'train'."
)
IMPORTS = (
    (
        "weights",
        "a run folder of weights that have Pumice's own names",
        "FILE",
        f"FILE: safetensors, a state dict that torch saved, or a .npz.\n{IMPORTED}",
        "",
    ),
    (
        "event-ssm",
        "a run folder of weights of the JAX code of event-SSM",
        "FILE.npz [CONFIG.yaml]",
        "FILE.npz: the tree of flax, its keys joined by '/' (docs/import.md); CONFIG.yaml: the configuration of\n"
        f"its training, which gives the settings of the model.\n{IMPORTED}",
        "..stages.foreign_settings:event_ssm",
    ),
    (
        "event-ssm-torch",
        "a run folder of weights of the PyTorch port of event-SSM, with real decays",
        "model.pt [CONFIG.yaml]",
        "model.pt: a state dict; CONFIG.yaml: the resolved configuration beside it. Where the data is there, the test\n"
        f"set is evaluated by the exact recurrence and by the one of the training.\n{IMPORTED}",
        "..stages.foreign_settings:event_ssm_torch",
    ),
    (
        "se-adlif",
        "a run folder of a checkpoint of the reference code of adaptive LIF networks",
        "CHECKPOINT",
        f"CHECKPOINT: as Lightning wrote it; the classes that it names are never loaded.\n{IMPORTED}",
        "",
    ),
)
"""Name, summary, usage, what it reads, and what makes settings of a second file."""

COMPLETION_HELP = """\
usage: pumice completion bash|zsh|fish

Prints a script. Let the shell read it when it starts:
  bash   echo 'eval "$(pumice completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(pumice completion zsh)"' >> ~/.zshrc, behind compinit
  fish   pumice completion fish | source, in ~/.config/fish/config.fish"""

SDN_VERBS = (
    Verb(
        "sdn generate",
        "training data of a spiking neuron for a surrogate dynamic network",
        "usage: pumice sdn generate FOLDER [name=training] [samples=50000] [steps=1024] [mean=0.0] [std=1.0]\n"
        "       [tau=0.2] [kind=normal|near|mixed] [seed=0] [device=cpu]\n\n"
        "The defaults, the file's name and its layout are the published ones (docs/sdn.md).",
        "",
        config_name="",
        files="sdn:generate",
    ),
    Verb(
        "sdn train",
        "train a surrogate dynamic network; the same command continues",
        "usage: pumice sdn train training=FILE [test=FILE] save=FOLDER [n_layers=1] [d_model=8] [kernel_size=8]\n"
        "       [lr=0.01] [weight_decay=0.01] [epochs=100] [batch_size=64] [beta=1.0] [near=0.0] [validation=0.1]\n"
        "       [seed=0] [device=cpu] [threads=N] [tau=...]",
        "",
        config_name="",
        files="sdn:train",
    ),
    Verb(
        "sdn reduce",
        "fold a trained surrogate network into its reduced form, and check that",
        "usage: pumice sdn reduce FOLDER [out=FILE.safetensors] [sweeps=0]",
        "",
        config_name="",
        files="sdn:reduce",
    ),
    Verb(
        "sdn evaluate",
        "agreement of a reduced network with its neuron, beside the baselines",
        "usage: pumice sdn evaluate FILE.safetensors [out=FILE.json] [sequences=200] [steps=1024] [seed=0] [sweeps=N]\n"
        "       pumice sdn evaluate tau=0.125: the network that comes with Pumice",
        "",
        config_name="",
        files="sdn:evaluate",
    ),
    Verb(
        "sdn import",
        "a published surrogate network, checkpoint or TorchScript archive, as a file of Pumice",
        "usage: pumice sdn import FILE tau=0.125 out=FILE.safetensors [sweeps=0]",
        "",
        config_name="",
        files="sdn:import_network",
    ),
)

VERBS: tuple[Verb, ...] = (
    Verb(
        "run",
        f"all stages in order: {', '.join(stage.name for stage in STAGES)}",
        "Runs every stage that the run folder has not finished yet; an interrupted one continues.",
        RUN_STAGES,
        (tuple(stage.name for stage in STAGES),),
        sections=tuple(dict.fromkeys(section for stage in STAGES for section in stage.sections)),
    ),
    *_stage_verbs(),
    Verb(
        "inspect",
        "what a program holds: graph, widths, memory, dead zones",
        "usage: pumice inspect program.npz [--json], or a .net file of lava-dl",
        "",
        config_name="",
        files="programs:inspect_file",
    ),
    Verb(
        "check",
        "whether a program fits a chip: widths, fans, neurons, memory, cores, nodes that the chip lacks",
        "usage: pumice check program=FILE.npz|net=FILE.net|run_dir=FOLDER [hardware=NAME|FILE.yaml] [flash=512k]\n"
        "       [ram=128k] [out=FILE.json] [--json]\n\n"
        "hardware: one of configs/chip (docs/chips.md); without it every chip in a line each. Ends with exit code 1\n"
        "where the program does not fit.",
        "",
        config_name="",
        files="check:run",
    ),
    Verb(
        "predict",
        "the class of recordings or sound files, by the float model, the program or onnxruntime",
        f"usage: {PREDICT_USAGE}\n\n"
        "FILE: a recording of any format that task=event-folder and task=audio-folder read, or many in one file of\n"
        "SHD's layout. It is read as the model's own test recordings are. format=json prints one line of JSON each.",
        "",
        config_name="",
        files="predict:run",
    ),
    Verb(
        "stream",
        "a running decision on events that keep coming: file, standard input, socket",
        f"usage: {STREAM_USAGE}\n\n"
        "input: a recording of any known format, lines t,x[,y,p] of a .csv or .txt (follow=true waits for more), of\n"
        "standard input (-, the default), or of datagrams at a UDP port of this machine. The state is carried over\n"
        "for ever; state=FILE goes on from an earlier sitting. docs/streaming.md tells more.",
        "",
        config_name="",
        files="stream:run",
    ),
    Verb(
        "import net",
        "a program of a .net file of lava-dl: dense layers of CUBA neurons",
        "usage: pumice import net FILE.net out=FILE.npz [input_bits=N] [signed=BOOL] [class_names=[...]] [step_us=N]",
        "",
        config_name="",
        files="plain:import_net",
    ),
    Verb(
        "import nir",
        "a run folder of a NIR file: chains of LIF neurons, feed-forward or recurrent",
        "usage: pumice import nir FILE.nir [nir.reset=zero] [nir.dt=1e-4] [settings]\n\n"
        "FILE.nir: as nir.write wrote it, by snnTorch or others (docs/nir.md); it gives the settings of the model.\n"
        f"{IMPORTED}",
        "run:imported",
        ("nir",),
        reads=True,
        own="..stages.foreign_settings:nir",
        sections=("task", "model", "nir"),
    ),
    *(
        Verb(
            f"import {name}",
            summary,
            f"usage: pumice import {name} {usage} [settings]\n\n{more}",
            "run:imported",
            (name,),
            reads=True,
            settings=settings,
            sections=("task", "model"),
        )
        for name, summary, usage, more, settings in IMPORTS
    ),
    Verb(
        "diff",
        "in what two programs differ",
        "usage: pumice diff a.npz b.npz [--json]\n\nEnds with exit code 1 where they differ.",
        "",
        config_name="",
        files="programs:diff_files",
    ),
    Verb(
        "data build",
        "synthesise the spoken-digits set anew, or a larger one",
        "Writes train.h5 and test.h5 in SHD's layout to the folder 'out'; needs the optional extra 'synthesis'.",
        "data:build",
        config_name="data-build",
        common=("out", "train", "test", "seed", "workers"),
    ),
    Verb(
        "data show",
        "draw rasters of a data set and print its statistics",
        "Reads the data set of the chosen task; writes PNG rasters to the folder 'out'.",
        "data:show",
        config_name="data-show",
        sections=("task",),
        common=("out", "samples", "seed"),
    ),
    *SDN_VERBS,
    Verb(
        "doctor",
        "what this machine has and lacks: versions, processor, compilers, Lava, extras, disk",
        "usage: pumice doctor [--json]\n\nNothing is built or changed. Ends with exit code 2 where Pumice cannot work.",
        "",
        config_name="",
        files="doctor:run",
    ),
    Verb(
        "completion",
        "what a shell needs to complete verbs, settings and options",
        COMPLETION_HELP,
        "",
        config_name="",
        files="completion:run",
    ),
)


def find_verb(arguments: list[str]) -> tuple[Verb, list[str]]:
    """The verb that ``arguments`` begin with (one or two words) and the arguments after it.

    Raises:
        PumiceError: no such verb.
    """
    for words in (2, 1):
        name = " ".join(arguments[:words])
        for verb in VERBS:
            if verb.name == name:
                return verb, arguments[words:]
    actions = [verb.name for verb in VERBS if verb.name.split()[0] == arguments[0]]
    if actions:
        raise PumiceError(f"'{arguments[0]}' needs an action; use one of: {', '.join(f'pumice {a}' for a in actions)}")
    names = [verb.name for verb in VERBS]
    meant = did_you_mean(arguments[0], names) or f"; use one of: {', '.join(names)}"
    raise PumiceError(f"unknown verb '{arguments[0]}'{meant} (pumice --help explains)")
