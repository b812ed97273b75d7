"""HiPPO-LegS initialisation of the modes (Smith et al. 2022, arXiv 2208.04933, section 3.3 and appendix B)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hippo_block(size: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Eigenvalues and eigenvectors of the normal part of the HiPPO-LegS matrix.

    With q_n = sqrt(2n + 1), p_n = sqrt(n + 1/2) and A = -(tril(q q^T) - diag(n)), the matrix S = A + p p^T is
    normal: -1/2 I plus a skew-symmetric part.

    Args:
        size: rows of the block.

    Returns:
        Lambda (size,), by ascending imaginary part, and the unitary V (size, size) whose columns belong to it.
    """
    n = np.arange(size)
    q = np.sqrt(2 * n + 1)
    p = np.sqrt(n + 0.5)
    normal = -(np.tril(np.outer(q, q)) - np.diag(n)) + np.outer(p, p)
    imaginary, vectors = np.linalg.eigh(-1j * normal)
    real = np.full(size, np.diag(normal).mean())
    return real + 1j * imaginary, vectors


def hippo_modes(modes: int, block_size: int, conj_sym: bool) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Lambda and V of ``modes // block_size`` equal blocks.

    With ``conj_sym`` only the half with negative imaginary part of each block is kept.

    Returns:
        Lambda (local,) and the block-diagonal V (modes, local), where local is modes or half of it.
    """
    block_lambda, block_vectors = hippo_block(block_size)
    kept = block_size // 2 if conj_sym else block_size
    blocks = modes // block_size
    vectors = np.kron(np.eye(blocks), block_vectors[:, :kept]).astype(np.complex128, copy=False)
    return np.tile(block_lambda[:kept], blocks), vectors


def no_modes(modes: int, block_size: int, conj_sym: bool) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Zeros in the shapes of `hippo_modes`, in no time."""
    local = modes // 2 if conj_sym else modes
    return np.zeros(local, np.complex128), np.zeros((modes, local), np.complex128)
