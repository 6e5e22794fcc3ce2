"""Values that are small in the file and exhaust whoever loads or walks them: deep, doubling, colliding.

This reader neither hashes, compares nor recurses; pickle, torch and json do, and files are made to hang or
crash them. Everything here loops, and sizes are capped, so that judging a bomb costs no more than its opcodes.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from app.checkpoint.opcodes import Machine
from app.checkpoint.values import Bag, Made, Table

Measured = tuple[int, int, Any]

_CONTAINERS = (tuple, list, Table, Bag, Made)
_CAP = 1 << 62
_MOST_HASHED = 1_000_000
_MOST_DEPTH = 1_000
"""Python's own recursion limit; a hash, a repr or a copy of deeper values fails or kills the process."""
_MOST_EXPANDED = 10_000_000
_MOST_COLLISIONS = 1_000
_HASH_MODULUS = (1 << 61) - 1
_MOST_MEMO_GAP = 1 << 16


def check_keys(m: Machine, keys: Iterable[Any]) -> None:
    """Judge what would be hashed on loading: a dict's keys, a set's items."""
    residues: Counter[int] = Counter()
    for key in keys:
        if isinstance(key, tuple):
            _check_tuple(m, key)
        elif isinstance(key, (list, Table, Bag)):
            text = "a key that has no hash: no reader of pickles can load this"
            m.findings.add("unhashable_key", "medium", m.here(), text)
        elif type(key) is int and abs(key) >= _HASH_MODULUS:
            residues[key % _HASH_MODULUS] += 1
    if residues and max(residues.values()) > _MOST_COLLISIONS:
        text = f"{max(residues.values()):,} keys with one and the same hash: loading takes quadratic time"
        m.findings.add("hash_collisions", "high", m.here(), text)


def check_memo_index(m: Machine, index: int) -> None:
    """Judge a memo index: honest writers count up, and C readers allocate up to the highest."""
    if index > len(m.memo) + _MOST_MEMO_GAP:
        text = (
            f"memo index {index:,} after {len(m.memo):,} entries: readers that keep an array allocate it all"
        )
        m.findings.add("huge_memo_index", "high", m.here(), text)


def check_value(m: Machine, root: Any) -> None:
    """Judge the whole value: how deep it nests, and how large it is once all that is shared is copied."""
    size, depth = _measure(root, {})
    if depth > _MOST_DEPTH:
        text = f"values nest {depth:,} deep or more: readers that recurse crash"
        m.findings.add("deep_nesting", "high", m.location, text)
    if size > _MOST_EXPANDED:
        text = (
            "shared values stand for more than ten million: whoever prints or copies them runs out of memory"
        )
        m.findings.add("expanding_values", "high", m.location, text)


def _check_tuple(m: Machine, key: tuple[Any, ...]) -> None:
    size, depth = _measure(key, m.measured)
    if size > _MOST_HASHED or depth > _MOST_DEPTH:
        text = f"a key of {size:,} values or more, {depth:,} deep: hashing it hangs or crashes the reader"
        m.findings.add("hash_bomb", "high", m.here(), text)


def _measure(root: Any, measured: dict[int, Measured]) -> tuple[int, int]:
    """(values once nothing is shared, depth); it ends as soon as the depth is too much.

    What holds itself is entered once. The entries keep their values alive, so that no id is used again.
    """
    waiting, entered, open_values = [root], set[int](), 0
    while waiting and open_values <= _MOST_DEPTH:
        value = waiting[-1]
        if id(value) in measured:
            waiting.pop()
            continue
        parts = [part for part in _parts(value) if isinstance(part, _CONTAINERS)]
        if id(value) not in entered:
            entered.add(id(value))
            open_values += 1
            waiting.extend(p for p in parts if id(p) not in measured and id(p) not in entered)
            continue
        waiting.pop()
        open_values -= 1
        known = [measured[id(part)] for part in parts if id(part) in measured]
        size = min(_CAP, 1 + sum(entry[0] for entry in known))
        measured[id(value)] = (size, 1 + max((entry[1] for entry in known), default=0), value)
    size, depth, _ = measured.get(id(root), (len(measured), open_values, None))
    return size, depth


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, (tuple, list)):
        return value
    if isinstance(value, Bag):
        return value.items
    if isinstance(value, Table):
        return [*(part for pair in value.pairs for part in pair), value.attributes]
    if isinstance(value, Made):
        pairs = (part for pair in value.pairs for part in pair)
        return [value.args, value.kwargs, value.state, *value.items, *pairs]
    return ()
