"""The reduced surrogate network as one compiled kernel: hidden layers never leave the cache."""

from __future__ import annotations

import numpy as np

from ..scan.kernels.threads import compile_kernel

BLOCK = 512
"""Steps worked on at once."""


@compile_kernel
def membranes(rows, spatial, spatial_bias, feature, feature_bias, decoder, bias, tau, sweeps, out, start, stop):
    """``out`` (N, L) of ``rows`` (N, L): weights are (layers, d, K), (layers, d), (layers, d, d), (layers, d), (d,).

    A block begins as many steps early as its further layers look back; what these give there is thrown away.
    """
    layers, width, kernel = spatial.shape
    length, zero, one = rows.shape[1], rows.dtype.type(0), rows.dtype.type(1)
    early = (layers - 1) * (kernel - 1)
    x = np.zeros(kernel + length, rows.dtype)
    h = np.zeros((width, kernel - 1 + BLOCK + early), rows.dtype)
    g = np.empty((width, BLOCK + early), rows.dtype)
    for n in range(start, stop):
        x[kernel:] = rows[n]
        for first in range(0, length, BLOCK):
            begin = max(0, first - early)
            steps = min(first + BLOCK, length) - begin
            for layer in range(layers):
                for c in range(width):
                    total = g[c, :steps]
                    total[:] = spatial_bias[layer, c]
                    for j in range(kernel):
                        weight = spatial[layer, c, j]
                        source = x[begin + j : begin + j + steps] if layer == 0 else h[c, j : j + steps]
                        for t in range(steps):
                            total[t] += weight * source[t]
                    for t in range(steps):
                        total[t] = max(total[t], zero)
                for c in range(width):
                    total = h[c, kernel - 1 : kernel - 1 + steps]
                    own = g[c, :steps]
                    for t in range(steps):
                        total[t] = feature_bias[layer, c] + own[t]
                    for e in range(width):
                        weight = feature[layer, c, e]
                        source = g[e, :steps]
                        for t in range(steps):
                            total[t] += weight * source[t]
                    for t in range(steps):
                        total[t] = max(total[t], zero)
            kept = out[n, first : begin + steps]
            kept[:] = bias
            for c in range(width):
                weight = decoder[c]
                source = h[c, kernel - 1 + first - begin : kernel - 1 + steps]
                for t in range(len(kept)):
                    kept[t] += weight * source[t]
        membrane, drive = out[n], rows[n]
        for _ in range(sweeps):
            for t in range(length - 1, 0, -1):
                reached = membrane[t - 1] + drive[t - 1]
                membrane[t] = tau * reached if reached < one else zero
            membrane[0] = zero
