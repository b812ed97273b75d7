"""torch's containers of modules, which know the type of their members."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

Member = TypeVar("Member", bound=nn.Module)


class ModuleList(nn.ModuleList, Generic[Member]):
    """`torch.nn.ModuleList` of one type."""

    if TYPE_CHECKING:

        def __init__(self, modules: Iterable[Member] = ()) -> None: ...

        def __iter__(self) -> Iterator[Member]: ...

        def __getitem__(self, index: int) -> Member: ...  # type: ignore[override]


class ModuleDict(nn.ModuleDict, Generic[Member]):
    """`torch.nn.ModuleDict` of one type."""

    if TYPE_CHECKING:

        def __init__(self, modules: Mapping[str, Member] = ...) -> None: ...

        def __getitem__(self, key: str) -> Member: ...

        def items(self) -> ItemsView[str, Member]: ...

        def values(self) -> ValuesView[Member]: ...
