"""The operations by number."""

from __future__ import annotations

from collections.abc import Callable

from ..opcodes import (
    ADD,
    BATCH_NORM,
    CHANNELS,
    CONVERT,
    COUNT,
    DRIVEN,
    INTEGRATE,
    LAYER_NORM,
    LINEAR,
    LOIHI,
    LOOKUP,
    MULTIPLY,
    NEURONS,
    POOL,
    READ_OUT,
    SSM,
    TABLE,
    TAKE,
)
from .linear import linear
from .loihi import loihi
from .neurons import driven, integrate, neurons
from .ssm import channels, ssm
from .stateless import add, batch_norm, convert, count, layer_norm, lookup, multiply, table
from .windows import pool, read, take

FUNCTIONS: dict[int, Callable[..., None]] = {
    ADD: add,
    BATCH_NORM: batch_norm,
    CHANNELS: channels,
    CONVERT: convert,
    COUNT: count,
    DRIVEN: driven,
    INTEGRATE: integrate,
    LAYER_NORM: layer_norm,
    LINEAR: linear,
    LOIHI: loihi,
    LOOKUP: lookup,
    MULTIPLY: multiply,
    NEURONS: neurons,
    POOL: pool,
    READ_OUT: read,
    SSM: ssm,
    TABLE: table,
    TAKE: take,
}
