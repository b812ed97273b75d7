"""What processors that this one need not be would run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
AVX512 = "+avx512f,+avx512bw,+avx512vl,+avx512dq"


def assembly(triple: str, features: str, arguments: Sequence[ir.Type], build: Callable[..., Any]) -> str:
    """The instructions of a function that ``build(builder, *arguments)`` fills."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple)
    machine = target.create_target_machine(cpu="", features=features, opt=3)
    module = ir.Module(name="asked")
    module.triple, module.data_layout = triple, str(machine.target_data)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), arguments), "asked")
    builder = ir.IRBuilder(function.append_basic_block())
    build(builder, *function.args)
    builder.ret_void()
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_assembly(parsed)


def loop_of(text: str) -> str:
    """The longest innermost loop: from its label to the jump back."""
    blocks = re.split(r"^(\.?LBB\S*):", text, flags=re.MULTILINE)
    labelled = list(zip(blocks[1::2], blocks[2::2], strict=True))
    loops = [body for label, body in labelled if re.search(rf"\bj?b?\S*\s+{re.escape(label)}\b", body)]
    return max(loops, key=len)
