"""Kernels of spiking neurons and leaky integrators, as those of ``plain.py``: a step of one vector of neurons.

States are int32.
"""

from __future__ import annotations

import numpy as np

from ..compiled import kernel
from ..opcodes import RESET_LATE_SUBTRACT, RESET_LATE_ZERO, RESET_SUBTRACT, RESET_ZERO
from ..vectors import LANES, cast, choose, load, maximum, minimum, splat, squeeze, tally
from .plain import clear
from .rows import add_long_rows, add_rows, add_scaled_rows


@kernel
def find_nonzero(x, u, size, places, p):
    """Write the places of what is not 0 among ``size`` entries from u on to ``places`` from p on; returns how many.

    ``places`` has room for ``size`` and a vector more.
    """
    count = 0
    for i in range(0, size, LANES):
        row = load(x, u + i, places)
        count += squeeze(row != splat(0, places), size - i, i, places, p + count)
    return count


@kernel
def product(x, u, inputs, spikes, matrix, w, size, group, places, p, accs, a):
    """``accs = x W`` by the rows of W (F, S) where the inputs are not 0; spikes are added alone, ``group`` at a time,
    or in the type of the sums where that is 0.
    """
    count = find_nonzero(x, u, inputs, places, p)
    clear(accs, a, size)
    if spikes == 0:
        add_scaled_rows(matrix, w, size, places, p, count, x, u, accs, a)
    elif group > 0:
        add_rows(matrix, w, size, places, p, count, group, accs, a)
    else:
        add_long_rows(matrix, w, size, places, p, count, accs, a)


@kernel
def lif(drive, u, alpha, rise, threshold, half, right, least, most, clipped, reset, refractory, c, like, long):
    """One step of LIF neurons, in the type of ``like``: ``u`` and the spikes of this step, and what was clipped.

    ``half`` and ``right`` are the shift's of alpha u + rise I, which is summed in int64, the type of ``long``. Of
    ``refractory`` neurons those are held of which ``c`` is above 0.
    """
    nothing, bar = splat(0, like), threshold
    total = cast(alpha, long) * cast(u, long) + cast(rise, long) * cast(drive, long)
    v = cast((total + half) >> right, like)
    if reset == RESET_LATE_SUBTRACT:
        v = v - choose(u > threshold, threshold, nothing)
    elif reset == RESET_LATE_ZERO:
        v = choose(u > threshold, nothing, v)
    if refractory > 0:  # nothing exceeds the highest potential
        v, bar = choose(c > nothing, u, v), choose(c > nothing, most, threshold)
    s = minimum(maximum(v, least), most)
    clipped = clipped + tally(s != v, LANES, like)
    fired = s > bar
    rest = s
    if reset == RESET_ZERO:
        rest = choose(fired, nothing, s)
    elif reset == RESET_SUBTRACT:
        rest = choose(fired, s - threshold, s)
    return rest, choose(fired, splat(1, like), nothing), clipped


@kernel
def counted(c, fired, refractory, like):
    """The refractory steps that are left after one of which ``fired`` are the spikes."""
    nothing = splat(0, like)
    return choose(fired > nothing, splat(refractory, like), maximum(c - splat(1, like), nothing))


@kernel
def synapse(i, arriving, beta, left, half, right, least, most, clipped, like, long):
    """One step of synaptic currents ``i``, and what was clipped; types as ``lif``.

    ``half`` and ``right`` are the shift's of beta i + (I << left).
    """
    total = cast(beta, long) * cast(i, long) + (cast(arriving, long) << left)
    v = cast((total + half) >> right, like)
    s = minimum(maximum(v, least), most)
    return s, clipped + tally(s != v, LANES, like)


@kernel
def adapted(w, u, z, beta, coupling, jump, half, right, least, most, clipped, like, long):
    """One step of the adaptation, and what was clipped, with the ``u`` and spikes ``z`` that it sees; types as ``lif``.

    ``half`` and ``right`` are the shift's of beta w + coupling u + jump z.
    """
    nothing = splat(0, like)
    total = cast(beta, long) * cast(w, long) + cast(coupling, long) * cast(u, long)
    v = cast((total + cast(choose(z > nothing, jump, nothing), long) + half) >> right, like)
    s = minimum(maximum(v, least), most)
    return s, clipped + tally(s != v, LANES, like)


@kernel
def driven_lif(arriving, u, alpha, half, right, threshold, least, most, clipped, count, like):
    """One step of neurons that a current drives, in the type of ``like``: returns as ``lif``.

    ``half`` and ``right`` are the shift's of alpha u; ``count`` neurons are there.
    """
    v = ((alpha * u + half) >> right) + arriving
    s = minimum(maximum(v, least), most)
    clipped = clipped + tally(s != v, count, like)
    fired = s > threshold
    nothing = splat(0, like)
    return choose(fired, nothing, s), choose(fired, splat(1, like), nothing), clipped


@kernel
def loihi(arriving, u, v, bias, keep_u, keep_v, threshold, limit, decay_bits, alignment):
    """One step of a LoihiLIF neuron, see the node: ``u``, ``v``, the spike, and how often u wrapped or v clipped.

    ``bias`` and ``threshold`` are aligned; ``keep_u`` and ``keep_v`` what is left of ``2**decay_bits``.
    """
    whole = truncated(u * keep_u, decay_bits) + (arriving << alignment)
    wrapped = whole - 2 * limit if whole > limit else whole
    wrapped = wrapped + 2 * limit if wrapped <= -limit else wrapped
    free = truncated(v * keep_v, decay_bits) + wrapped + bias
    potential = min(max(free, 1 - limit), limit - 1)
    lost = int(wrapped != whole) + int(potential != free)  # two booleans of numpy add up to one
    fired = potential > threshold
    return wrapped, np.int64(0) if fired else potential, np.int64(fired), lost


@kernel
def truncated(product, bits):
    """``product / 2**bits`` towards zero."""
    return product >> bits if product >= 0 else -(-product >> bits)
