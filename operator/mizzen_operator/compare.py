"""Does a live object still have what was applied?

The live object has more than the desired one: defaults, and what others added. So desired is looked for in live; what
must not be there is desired as an empty value. The answer must be stable under the API server's own rewriting, or the
operator would write for ever: quantities are rewritten (`0.5` to `500m`), empty values are dropped, lists with a merge
key may hold others' entries.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists that the API server merges entry by entry, and what identifies an entry. Every other list is one value."""

_ATOMIC_MAPS = frozenset({"matchLabels", "nodeSelector", "selector"})
"""Mappings that are one value, for the API server as for us: one more key in a selector selects something else."""

_FALSE_WHEN_ABSENT = frozenset({"paused"})
"""Flags that the API server drops when they are false. Other flags keep a false that was sent."""

_QUANTITY_MAPS = frozenset({"requests", "limits"})
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def first_difference(desired: Any, live: Any, path: str = "") -> str | None:
    """Give the path of the first thing in `desired` that `live` does not have, or has more of than it may; or None.

    Paths read like `spec.template.spec.containers[agent].image`.
    """
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        return _in_mapping(desired, live, path)
    if isinstance(desired, Sequence) and isinstance(live, Sequence) and not isinstance(desired, str):
        return _in_list(desired, live, path)
    return None if desired == live else path


def _in_mapping(desired: Mapping[str, Any], live: Mapping[str, Any], path: str) -> str | None:
    name = path.rpartition(".")[2]
    for key, value in desired.items():
        below = f"{path}.{key}" if path else key
        if key not in live:
            if _is_empty(value) or (value is False and key in _FALSE_WHEN_ABSENT):
                continue
            return below
        if name in _QUANTITY_MAPS:
            if _quantity(value) != _quantity(live[key]):
                return below
        elif difference := first_difference(value, live[key], below):
            return difference
    added = sorted(live.keys() - desired.keys()) if name in _ATOMIC_MAPS else []
    return f"{path}.{added[0]}" if added else None


def _in_list(desired: Sequence[Any], live: Sequence[Any], path: str) -> str | None:
    merge_key = _MERGE_KEYS.get(path.rpartition(".")[2])
    if merge_key is None:
        if len(desired) != len(live):
            return path
        pairs = [
            (f"{path}[{index}]", item, other) for index, (item, other) in enumerate(zip(desired, live, strict=True))
        ]
    else:
        others = {_identity(item, merge_key): item for item in live}
        pairs = [
            (f"{path}[{identity}]", item, others.get(identity, {}))
            for item in desired
            for identity in [_identity(item, merge_key)]
        ]
    return next((found for below, item, other in pairs if (found := first_difference(item, other, below))), None)


def _identity(item: Mapping[str, Any], merge_key: tuple[str, ...]) -> str:
    return "/".join(str(item.get(part)) for part in merge_key)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {}, ())


def _quantity(value: Any) -> Decimal | str:
    """Give what a quantity amounts to: `500m` and `0.5` are equal. What is none stays as it is."""
    text = str(value)
    number = text.rstrip("numkMGTPEi")
    suffix = text[len(number) :]
    try:
        return Decimal(number) * _SUFFIXES[suffix]
    except (InvalidOperation, KeyError):
        return text
