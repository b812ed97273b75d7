"""Products with V, the recurrent weights, for the kernels of neurons: by groups of samples and by spikes."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from .threads import compile_kernel

GROUP = 4  # samples that go back in time side by side
PADDING = 8  # of V's rows and columns: whole vectors, rows taken by four


@compile_kernel
def add_columns(columns, amounts, chosen, count, out):
    """out += the sum of ``amounts[j] columns[j]`` over the first ``count`` of ``chosen``, in order."""
    width = len(out)
    whole = count - count % 4
    for k in range(0, whole, 4):
        j0, j1, j2, j3 = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
        column0, column1, column2, column3 = columns[j0], columns[j1], columns[j2], columns[j3]
        a0, a1, a2, a3 = amounts[j0], amounts[j1], amounts[j2], amounts[j3]
        for i in range(width):
            out[i] = out[i] + column0[i] * a0 + column1[i] * a1 + column2[i] * a2 + column3[i] * a3
    for k in range(whole, count):
        column, amount = columns[chosen[k]], amounts[chosen[k]]
        for i in range(width):
            out[i] += column[i] * amount


@partial(compile_kernel, inline=True)
def add_spikes(columns, z, zero, chosen, current):
    """current += V z, for the spikes z (H,); ``columns`` are those of V, ``chosen`` (H,) is room for their numbers."""
    count = 0
    for j in range(len(z)):
        chosen[count] = j
        count += z[j] != zero
    add_columns(columns, z, chosen, count, current)


@compile_kernel
def group_product(matrix, vectors, out):
    """out = matrix^T vector for each vector of a group; an element of the matrix is read once for all of them.

    Each sum runs over the rows in order, whatever the other vectors are.
    """
    height, width = matrix.shape
    out[:] = 0
    va, vb, vc, vd = vectors[0], vectors[1], vectors[2], vectors[3]
    a, b, c, d = out[0], out[1], out[2], out[3]
    for i in range(0, height, 4):
        row0, row1, row2, row3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        a0, a1, a2, a3 = va[i], va[i + 1], va[i + 2], va[i + 3]
        b0, b1, b2, b3 = vb[i], vb[i + 1], vb[i + 2], vb[i + 3]
        c0, c1, c2, c3 = vc[i], vc[i + 1], vc[i + 2], vc[i + 3]
        d0, d1, d2, d3 = vd[i], vd[i + 1], vd[i + 2], vd[i + 3]
        for j in range(width):
            r0, r1, r2, r3 = row0[j], row1[j], row2[j], row3[j]
            a[j] = a[j] + r0 * a0 + r1 * a1 + r2 * a2 + r3 * a3
            b[j] = b[j] + r0 * b0 + r1 * b1 + r2 * b2 + r3 * b3
            c[j] = c[j] + r0 * c0 + r1 * c1 + r2 * c2 + r3 * c3
            d[j] = d[j] + r0 * d0 + r1 * d1 + r2 * d2 + r3 * d3


def outer_products(grad_drive: Tensor, z0: Tensor, z: Tensor) -> Tensor:
    """The gradient of V: the sum over samples and steps of grad_drive_t z_{t-1}^T, without a shifted copy of z."""
    width = z.shape[2]
    if not z.shape[1]:
        return z.new_zeros(width, width)
    first = grad_drive[:, 0].clone()
    grad_drive[:, 0] = 0  # before it in memory is the last step of another sample
    rows, columns = grad_drive.view(-1, width), z.view(-1, width)
    total = torch.addmm(first.t() @ z0, rows[1:].t(), columns[:-1])
    grad_drive[:, 0] = first
    return total


def padded(matrix: Tensor) -> Tensor:
    """The square matrix with rows and columns of zeros up to a multiple of `PADDING`."""
    missing = -len(matrix) % PADDING
    return pad(matrix.detach(), (0, missing, 0, missing))
