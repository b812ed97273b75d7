"""The package ``nir``, which is an extra."""

from __future__ import annotations

from types import ModuleType

from ...errors import PumiceError

MISSING = "NIR files need the package nir, which is not installed; pip install 'pumice[nir]'"


def require_nir() -> ModuleType:
    """The package.

    Raises:
        PumiceError: it is not installed; names the extra.
    """
    try:
        import nir
    except ModuleNotFoundError as error:
        raise PumiceError(MISSING) from error
    return nir
