"""Numbers and words of a .net file: read as they are, or refused by file, layer, field and value."""

from __future__ import annotations

from collections.abc import Collection

import h5py
import numpy as np

from ...errors import PumiceError
from ...hdf5 import Group


class Fields:
    """One group of a file: a layer, or its neurons.

    Args:
        group: where they lie.
        name: of the layer, as messages say it.
        prefix: of the fields in messages.
    """

    def __init__(self, group: Group, name: str, prefix: str = "") -> None:
        self.group, self.name, self._prefix = group, name, prefix

    def __contains__(self, field: str) -> bool:
        return field in self.group

    def refusal(self, sentence: str) -> PumiceError:
        """The error that names file and layer."""
        return PumiceError(f"{self.group.filename}: {self.name}{printable(sentence)}")

    def inner(self, field: str) -> Fields:
        """The group ``field`` of this one."""
        group = self.group.get(field)
        if not isinstance(group, Group):
            raise self.refusal(f": {field} is no group; export it anew")
        return Fields(group, self.name, f"{field}/")

    def check_known(self, known: Collection[str], cure: str) -> None:
        """Refuse fields other than ``known``: what is passed over might change what the layer does."""
        for field in self.group:
            if field not in known:
                raise self.refusal(f" has {self._prefix}{field}, which a LoihiLIF node does not have; {cure}")

    def word(self, field: str) -> str:
        """A string, or the first of an array of strings."""
        data = self._data(field)
        value = data[()] if data.shape == () else data[0] if data.shape == (1,) else None
        if isinstance(value, bytes):
            value = value.decode("ascii", errors="backslashreplace")
        if not isinstance(value, str):
            raise self.refusal(f": {self._prefix}{field} is no word; export it anew")
        return value

    def integers(self, field: str, low: int, high: int, cure: str) -> np.ndarray:
        """Whole numbers in ``[low, high]`` of the file's shape, int64; floats that hold such are as good.

        Raises:
            PumiceError: another kind of data, or the first entry that is NaN, a fraction or outside; ``cure`` ends it.
        """
        data = self._data(field)
        if data.dtype.kind not in "iufb" or not data.size:
            what = "empty" if not data.size else f"{data.dtype}, no numbers"
            raise self.refusal(f": {self._prefix}{field} is {what}; export it anew")
        array = np.asarray(data[()])
        whole = np.isfinite(array) if array.dtype.kind == "f" else np.ones(array.shape, dtype=bool)
        if array.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                whole &= np.floor(array) == array
        inside = (array >= low) & (array <= high)
        wrong = ~(whole & inside)
        if wrong.any():
            place = int(np.argmax(wrong.ravel()))
            where = f" at entry {place}" if array.size > 1 else ""
            why = f"outside {low}..{high}" if whole.ravel()[place] else "no whole number"
            raise self.refusal(f": {self._prefix}{field} holds {array.ravel()[place].item()}{where}, {why}; {cure}")
        return array.astype(np.int64)

    def integer(self, field: str, low: int, high: int, cure: str) -> int:
        """One whole number."""
        found = self.integers(field, low, high, cure)
        if found.size != 1:
            raise self.refusal(f": {self._prefix}{field} has shape {found.shape}, one number is expected; {cure}")
        return int(found.ravel()[0])

    def _data(self, field: str) -> h5py.Dataset:
        data = self.group.get(field)
        if data is None:
            raise self.refusal(f" has no {self._prefix}{field}; export it anew")
        if not isinstance(data, h5py.Dataset):
            raise self.refusal(f": {self._prefix}{field} is no array; export it anew")
        return data


def printable(text: str) -> str:
    """What a file says, with control characters escaped: a sentence stays one line."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
