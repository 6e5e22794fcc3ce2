"""Opcodes that build: containers, objects, calls, persistent ids."""

from typing import Any

from app.checkpoint.bombs import check_keys, check_value
from app.checkpoint.calls import build, call, mention, new
from app.checkpoint.opcodes import Machine, Operation, PersistentLoad, Walk
from app.checkpoint.pushes import PUSHES
from app.checkpoint.values import Array, Bag, Made, Name, Storage, Symbol, Table, Tensor
from app.errors import CaliperError


def walk(machine: Machine) -> Walk:
    """Run a machine to its end; a break or a limit gives what could be salvaged, and the error."""
    try:
        value = machine.run()
    except CaliperError as error:
        return Walk(machine.salvage(), machine.position, error, machine.protocol)
    check_value(machine, value)
    return Walk(value, machine.position, None, machine.protocol)


def refuse_persistent(m: Machine, _: Any) -> Any:
    """The persistent load of a pickle that should hold none."""
    m.findings.add(
        "persistent_id", "medium", m.here(), "a persistent id, which only a torch archive resolves"
    )
    return Symbol("persistent id", "")


def pop(m: Machine) -> None:
    """POP: drop the top value, or the mark where nothing lies above it."""
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def append(m: Machine) -> None:
    """APPEND: one value to the list below it."""
    value = m.pop()
    _extend(m, m.top(), [value])


def appends(m: Machine) -> None:
    """APPENDS: all values above the mark to the list below it."""
    items = m.pop_mark()
    _extend(m, m.top(), items)


def setitem(m: Machine) -> None:
    """SETITEM: one pair to the dict below it."""
    value, key = m.pop(), m.pop()
    _set(m, m.top(), [key, value])


def setitems(m: Machine) -> None:
    """SETITEMS: all pairs above the mark to the dict below it."""
    items = m.pop_mark()
    _set(m, m.top(), items)


def additems(m: Machine) -> None:
    """ADDITEMS: all values above the mark to the set below it."""
    items, target = m.pop_mark(), m.top()
    if isinstance(target, Bag):
        check_keys(m, items)
        target.items.extend(items)
    else:
        _extend(m, target, items)


def frozen_set(m: Machine) -> None:
    """FROZENSET: a set of the values above the mark."""
    items = m.pop_mark()
    check_keys(m, items)
    m.push(Bag(items))


def make_dict(m: Machine) -> None:
    """DICT: a dict of the pairs above the mark."""
    table = Table()
    _set(m, table, m.pop_mark())
    m.push(table)


def small_tuple(size: int) -> Operation:
    """TUPLE1 to TUPLE3."""

    def push(m: Machine) -> None:
        items = [m.pop() for _ in range(size)]
        m.push(tuple(reversed(items)))

    return push


def global_line(m: Machine) -> None:
    """GLOBAL: module and name as two lines."""
    m.push(_name(m, _line(m), _line(m)))


def stack_global(m: Machine) -> None:
    """STACK_GLOBAL: module and name from the stack."""
    name, module = m.pop(), m.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise m.broken("STACK_GLOBAL needs two strings")
    m.push(_name(m, module, name))


def inst(m: Machine) -> None:
    """INST: a class by two lines, called with the values above the mark."""
    function = _name(m, _line(m), _line(m))
    m.push(call(m, function, tuple(m.pop_mark())))


def obj(m: Machine) -> None:
    """OBJ: the first value above the mark, called with the others."""
    items = m.pop_mark()
    if not items:
        raise m.broken("OBJ without a class")
    m.push(call(m, items[0], tuple(items[1:])))


def reduce(m: Machine) -> None:
    """REDUCE: a callable called with a tuple."""
    args, function = m.pop(), m.pop()
    m.push(call(m, function, _args(m, args)))


def newobj(m: Machine) -> None:
    """NEWOBJ: `cls.__new__(cls, *args)`."""
    args, kind = m.pop(), m.pop()
    m.push(new(m, kind, _args(m, args), None))


def newobj_ex(m: Machine) -> None:
    """NEWOBJ_EX: the same with keyword arguments."""
    kwargs, args, kind = m.pop(), m.pop(), m.pop()
    m.push(new(m, kind, _args(m, args), kwargs))


def build_state(m: Machine) -> None:
    """BUILD: hand a state to the object below it."""
    state = m.pop()
    build(m, m.top(), state)


def extension(length: int) -> Operation:
    """EXT1, EXT2, EXT4: a name from the loading process's copyreg registry."""

    def push(m: Machine) -> None:
        code = m.take_uint(length)
        text = f"extension code {code}: would take whatever the loading process registered under it"
        m.findings.add("extension_code", "high", m.here(), text)
        m.push(Name("copyreg", f"extension {code}"))

    return push


def persistent_line(m: Machine) -> None:
    """PERSID: a persistent id as a line."""
    m.push(m.persistent_load(m, _line(m)))


def persistent_stack(m: Machine) -> None:
    """BINPERSID: a persistent id from the stack."""
    m.push(m.persistent_load(m, m.pop()))


def next_buffer(m: Machine) -> None:
    """NEXT_BUFFER: bytes from outside the pickle, which a file cannot have."""
    m.findings.add("out_of_band_buffer", "medium", m.here(), "a buffer from outside the file is asked for")
    m.push(b"")


def readonly_buffer(m: Machine) -> None:
    """READONLY_BUFFER: the top value, made read-only."""
    m.top()


def _line(m: Machine) -> str:
    return m.take_line().decode("utf-8", "backslashreplace")


def _name(m: Machine, module: str, name: str) -> Name:
    m.meter.check("max_shown_text", len(module) + len(name))
    value = Name(module, name)
    mention(m, value)
    return value


def _args(m: Machine, args: Any) -> tuple[Any, ...]:
    if isinstance(args, tuple):
        return args
    raise m.broken("the arguments of a call are no tuple")


def _extend(m: Machine, target: Any, items: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, Made):
        target.items.extend(items)
    else:
        raise m.broken("values are appended to what is no list")


def _set(m: Machine, target: Any, items: list[Any]) -> None:
    if len(items) % 2:
        raise m.broken("a key has no value")
    check_keys(m, items[::2])
    pairs = list(zip(items[::2], items[1::2], strict=True))
    if isinstance(target, (Table, Made)):
        target.pairs.extend(pairs)
    elif isinstance(target, (Array, Tensor, Storage)):
        if pairs:
            text = "values are set on a tensor, which writes to memory (CVE-2026-24747)"
            m.findings.add("set_on_tensor", "high", m.here(), text)
    else:
        raise m.broken("a key is set on what is no dict")


OPERATIONS: dict[int, Operation] = {
    **PUSHES,
    ord("("): Machine.mark,
    ord("0"): pop,
    ord("1"): lambda m: (m.pop_mark(), None)[1],
    ord("2"): lambda m: m.push(m.top()),
    ord("a"): append,
    ord("e"): appends,
    ord("s"): setitem,
    ord("u"): setitems,
    0x90: additems,
    ord("l"): lambda m: m.push(m.pop_mark()),
    ord("t"): lambda m: m.push(tuple(m.pop_mark())),
    ord("d"): make_dict,
    0x91: frozen_set,
    0x85: small_tuple(1),
    0x86: small_tuple(2),
    0x87: small_tuple(3),
    ord("c"): global_line,
    0x93: stack_global,
    ord("i"): inst,
    ord("o"): obj,
    ord("R"): reduce,
    0x81: newobj,
    0x92: newobj_ex,
    ord("b"): build_state,
    0x82: extension(1),
    0x83: extension(2),
    0x84: extension(4),
    ord("P"): persistent_line,
    ord("Q"): persistent_stack,
    0x97: next_buffer,
    0x98: readonly_buffer,
}
"""Every opcode of protocols 0 to 5 except STOP."""

__all__ = ["OPERATIONS", "PersistentLoad", "refuse_persistent", "walk"]
