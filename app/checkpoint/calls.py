"""What a pickle would import, call and make: judged, and where it is only data, rebuilt by our own code."""

from typing import Any

from app.checkpoint.names import standing
from app.checkpoint.opcodes import Machine
from app.checkpoint.rebuild import DATA_CALLS, MALFORMED
from app.checkpoint.values import Array, ByteRange, Made, Name, Storage, Symbol, Table, Tensor

_FROM_TYPE = frozenset({"torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"})
_NEW_CALLS = frozenset({"copyreg.__newobj__", "copyreg.__newobj_ex__"})
_RECONSTRUCTORS = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor"})
_FUNCTION_MAKERS = frozenset(
    {
        f"{module}.{name}"
        for module in ("cloudpickle.cloudpickle", "cloudpickle")
        for name in ("_make_function", "_make_skel_func", "_fill_function")
    }
)
_CALLS = _FROM_TYPE | _NEW_CALLS | _RECONSTRUCTORS


def mention(m: Machine, name: Name) -> None:
    """Judge a name that loading would import."""
    if str(name) in DATA_CALLS or str(name) in _CALLS:
        return
    trust = standing(name)
    if trust == "dangerous":
        text = f"would import {name}, which no checkpoint needs"
        m.findings.add("would_import", "high", m.location, text)
    elif trust == "unknown":
        m.findings.add(
            "unknown_name", "low", m.location, f"would import {name}, which this reader does not know"
        )


def call(m: Machine, function: Any, args: tuple[Any, ...]) -> Any:
    """The value of a call that loading would make."""
    name = str(function) if isinstance(function, Name) else ""
    if name in _FROM_TYPE and len(args) > 2 and isinstance(args[2], tuple):
        function, args = args[0], args[2]  # one level only: what it wraps is judged as any other call
        name = str(function) if isinstance(function, Name) else ""
    if name in _NEW_CALLS and args:
        kwargs = args[2] if name.endswith("_ex__") and len(args) > 2 else None
        return new(m, args[0], args[1:], kwargs)
    if name in _RECONSTRUCTORS and args:
        return new(m, args[0], args[1:], None)
    rebuild = DATA_CALLS.get(name)
    if rebuild is None:
        return _made_by_call(m, function, args)
    value = rebuild(m, args)
    if value is MALFORMED:
        m.findings.add(
            "malformed_call", "medium", m.here(), f"{name} is called with arguments that it cannot have"
        )
        return Made(function, args)
    return value


def new(m: Machine, kind: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    """The object that `kind.__new__` would make, its fields readable."""
    made = Made(kind, args, kwargs, is_new=True)
    if not isinstance(kind, Name):
        m.findings.add("would_call", "high", m.here(), "would make an object of a computed class")
        return made
    if str(kind) == "collections.OrderedDict":
        return Table()
    if str(kind) == "torch.torch_version.TorchVersion" and args and isinstance(args[0], str):
        return args[0]  # torch.__version__ is a str of this class
    trust = standing(kind)
    if trust == "dangerous":
        m.findings.add("would_call", "high", m.here(), f"would make a {kind}, which no checkpoint needs")
    elif trust == "unknown":
        text = (
            f"would make an object of the unknown class {kind}; its fields are shown, nothing of it was run"
        )
        m.findings.add("unknown_class", "low", m.location, text)
    return made


def build(m: Machine, target: Any, state: Any) -> None:
    """Hand a state to an object, as BUILD would."""
    if isinstance(target, Made):
        target.state = state
    elif isinstance(target, Table):
        target.attributes = state
    elif isinstance(target, Array):
        _build_array(m, target, state)
    elif isinstance(target, Name):
        text = f"would set attributes of {target} itself, which replaces what other code calls"
        m.findings.add("would_set_state", "high", m.here(), text)
    elif not isinstance(target, (Symbol, Tensor, Storage, list, str)):
        raise m.broken("a state is handed to what is no object")


def short(value: Any) -> str:
    """A value as it would stand in a call, one line, never deep."""
    if isinstance(value, (str, bytes)):
        return repr(value[:80]) + ("…" if len(value) > 80 else "")
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, ByteRange):
        return f"<{len(value):,} bytes>"
    return str(value) if isinstance(value, Name) else f"<{type(value).__name__.lower()}>"


def _made_by_call(m: Machine, function: Any, args: tuple[Any, ...]) -> Made:
    shown = ", ".join(short(arg) for arg in args[:4]) + (", …" if len(args) > 4 else "")
    called = str(function) if isinstance(function, Name) else "what an earlier call returned"
    m.findings.add("would_call", "high", m.here(), f"would call {called}({shown})")
    if called in _FUNCTION_MAKERS:
        m.findings.add("pickled_function", "high", m.location, _told_of_function(m.location))
    return Made(function, args)


def _told_of_function(location: str) -> str:
    """What a pickled function is, and how its file is loaded without it; the entry of an SB3 zip by its key."""
    member, _, key = location.partition("#")
    text = (
        "holds a pickled function, such as a lambda: its bytecode is in the file, becomes a function as it is loaded and "
        "runs later; what it does cannot be judged"
    )
    if member.rpartition("!")[2] != "data" or not key.isidentifier():
        return f"{text}. Save what made it instead, such as a number or a class's name"
    return (
        f"{key} {text}. Load without it: custom_objects={{{key!r}: …}}, a float or a schedule of your own. Save without "
        "it: give a float or the library's LinearSchedule in place of the function"
    )


def _build_array(m: Machine, target: Array, state: Any) -> None:
    """The state of a numpy array: (version, shape, dtype, is_fortran, bytes)."""
    well_formed = isinstance(state, tuple) and len(state) == 5 and isinstance(state[1], tuple)
    if not well_formed or not all(type(size) is int and size >= 0 for size in state[1]):
        m.findings.add("malformed_call", "medium", m.here(), "an array's state is malformed")
        return
    target.shape = state[1]
    target.dtype = state[2].text if isinstance(state[2], Symbol) else ""
    is_data = isinstance(state[4], (bytes, ByteRange))
    target.data = state[4] if is_data else None
    target.objects = None if is_data else state[4]
