"""Names of nodes for people."""

from __future__ import annotations


def layer_of(node: str) -> str:
    """The part of the network that a node, or ``<node>:<state>``, belongs to.

    ``stages/0/layers/1/ssm`` -> ``layer 0.1``; ``cells/0``, ``blocks/0/ssm`` and ``layers/0/ssm`` -> ``layer 0``;
    ``cells/0:u`` -> ``layer 0, u``.
    """
    name, _, state = node.partition(":")
    parts = name.split("/")
    if parts[0] == "stages" and len(parts) > 4:
        name = f"layer {parts[1]}.{parts[3]}"
    else:
        name = f"layer {parts[1]}" if parts[0] in ("cells", "blocks", "layers") and len(parts) > 1 else parts[0]
    return f"{name}, {state}" if state else name
