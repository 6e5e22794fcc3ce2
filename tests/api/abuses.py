"""Requests that nobody sends in good faith, each by the name of what is wrong with it.

Every one is to be refused with a problem document of 4xx, or by closing the connection; the few that HTTP allows are
named in HARMLESS with the status of their answer.
"""

import gzip
import json

from running_service import safetensors_file

from tests.api.raw_http import chunked, form, form_request, head, json_request, part, request

FILE = safetensors_file()
DEEP = 100_000
SPEC = {"dataset": "x", "total_timesteps": 512, "environment": {"costs": {"fee_bps": 1}}}


def _spec(**values: object) -> bytes:
    return json.dumps({**SPEC, **values}).encode()


LINES = {
    "no HTTP": b"hello\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 400,
    "HTTP/2 by preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": head("GET", "/healthz", version="HTTP/9.9"),
    "an unknown method": head("BREW", "/healthz"),
    "a method in lower case": head("get", "/healthz"),
    "TRACE": head("TRACE", "/healthz"),
    "CONNECT": head("CONNECT", "example.org:443"),
    "OPTIONS *": head("OPTIONS", "*"),
    "a line break in the path": b"GET /heal\nthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"GET /heal\x00thz HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes of no character in the path": b"GET /jobs/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes of no character in the query": b"GET /jobs?name=\xff\xfe&limit=\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "1 MB of path": head("GET", "/" + "a" * 1_000_000),
    "1 MB of query": head("GET", "/jobs?name=" + "a" * 1_000_000),
    "60 kB of path": head("GET", "/" + "a" * 60_000),
    "4,000 parameters": head("GET", "/jobs?" + "&".join(f"a{n}=1" for n in range(4_000))),
}
HEADERS = {
    "10,000 headers": head("GET", "/healthz", *(f"X-{n}: 1" for n in range(10_000))),
    "101 headers": head("GET", "/healthz", *(f"X-{n}: 1" for n in range(100))),
    "a header of 1 MB": head("GET", "/healthz", "X-Long: " + "a" * 1_000_000),
    "a header's name of 1 MB": head("GET", "/healthz", "X" * 1_000_000 + ": 1"),
    "a header without end": b"GET /healthz HTTP/1.1\r\nX-Long: " + b"a" * 1_000_000,
    "line breaks without end": b"\r\n" * 500_000,
    "NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
    "NUL in a header's name": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-\x00A: b\r\n\r\n",
    "a carriage return in a header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n",
    "a header without colon": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "a header without name": b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
    "no character in Idempotency-Key": json_request("POST", "/jobs", _spec(), "Idempotency-Key: \xff\xfe"),
    "no character in Last-Event-ID": head("GET", "/jobs/x/events", "Last-Event-ID: \xff"),
    "no character in Upload-Offset": request("PATCH", "/uploads/x", b"x", "Upload-Offset: \xb2"),
    "no character in Content-Type": request("POST", "/jobs", b"{}", "Content-Type: \xff/\xfe"),
    "an upload offset of 30 digits": request("PATCH", "/uploads/x", b"x", "Upload-Offset: " + "9" * 30),
}
FRAMES = {
    "two lengths": head("POST", "/uploads", "Content-Length: 2", "Content-Length: 3") + b"{}x",
    "two lengths in one": head("POST", "/uploads", "Content-Length: 2, 2") + b"{}",
    "a negative length": head("POST", "/uploads", "Content-Length: -1") + b"{}",
    "a signed length": head("POST", "/uploads", "Content-Length: +2") + b"{}",
    "a length of words": head("POST", "/uploads", "Content-Length: two") + b"{}",
    "a length of 30 digits": head("POST", "/uploads", "Content-Length: " + "9" * 30) + b"{}",
    "a length of 1 PB": head("POST", "/uploads", "Content-Length: 1000000000000000") + b"{}",
    "length and chunks": head("POST", "/uploads", "Content-Length: 2", "Transfer-Encoding: chunked")
    + chunked([b"{}"]),
    "chunks and length": head("POST", "/uploads", "Transfer-Encoding: chunked", "Content-Length: 2")
    + chunked([b"{}"]),
    "chunks twice": head("POST", "/uploads", "Transfer-Encoding: chunked, chunked") + chunked([b"{}"]),
    "chunks, then something else": head("POST", "/uploads", "Transfer-Encoding: chunked, identity")
    + chunked([b"{}"]),
    "almost chunked": head("POST", "/uploads", "Transfer-Encoding: xchunked") + chunked([b"{}"]),
    "chunked by tab": head("POST", "/uploads", "Transfer-Encoding:\tchunked\x0b") + chunked([b"{}"]),
    "a chunk of no size": head("POST", "/uploads", "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk of negative size": head("POST", "/uploads", "Transfer-Encoding: chunked")
    + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk of 20 digits": head("POST", "/uploads", "Transfer-Encoding: chunked")
    + b"fffffffffffffffffffff\r\n{}\r\n",
    "a chunk that is longer than it says": head("POST", "/uploads", "Transfer-Encoding: chunked")
    + b"1\r\n{}\r\n0\r\n\r\n",
    "a chunk's line without end": head("POST", "/uploads", "Transfer-Encoding: chunked")
    + b"2;a="
    + b"a" * 1_000_000,
    "10,000 trailers": head("POST", "/uploads", "Transfer-Encoding: chunked")
    + b"2\r\n{}\r\n0\r\n"
    + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000))
    + b"\r\n",
    "a trailer without end": head("POST", "/uploads", "Transfer-Encoding: chunked")
    + b"2\r\n{}\r\n0\r\nX-A: "
    + b"a" * 1_000_000,
}
PATHS = {
    f"traversal by {path}": head("GET", path)
    for path in (
        "/jobs/../../../etc/passwd",
        "/static/../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/%252e%252e/%252e%252e/etc/passwd",
        "/static/..%5c..%5cetc%5cpasswd",
        "/static/....//....//etc/passwd",
        "/static/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
        "/static/%00/etc/passwd",
        "/static//etc/passwd",
        "/checkpoints/..%2f..%2f..%2fetc%2fpasswd/file",
        "/checkpoints/%2e%2e%2f%2e%2e/export?format=onnx",
        "/uploads/..%2f..%2fetc%2fpasswd",
        "/datasets/..%2fcaliper.db/chart.svg",
        "/jobs/%00/log",
        "/jobs/%0d%0aX-Injected:%20yes/log",
        "/jobs/%ff%fe",
        "//etc/passwd",
        "http://evil.example/etc/passwd",
        "/checkpoints/diff?left=%00&right=%ff",
        "/checkpoints/diff?left=../../etc/passwd&right=file:///etc/passwd",
    )
}
BODIES = {
    "100,000 arrays in each other": b"[" * DEEP + b"]" * DEEP,
    "100,000 objects in each other": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "900 arrays in each other, in a field": _spec(overrides={"gamma": 1}).replace(
        b"1}", b"[" * 900 + b"]" * 900 + b"}"
    ),
    "900 objects in each other, in a field": _spec(overrides=1).replace(
        b'"overrides": 1', b'"overrides": ' + b'{"a":' * 900 + b"1" + b"}" * 900
    ),
    "a number of 5,000 digits": _spec().replace(b"512", b"9" * 5_000),
    "a number of 4,000 digits": _spec().replace(b"512", b"9" * 4_000),
    "a number of 400 digits in a price": _spec().replace(b'"fee_bps": 1', b'"fee_bps": ' + b"9" * 400),
    "1e999": _spec().replace(b"512", b"1e999"),
    "-1e999 in a price": _spec().replace(b'"fee_bps": 1', b'"fee_bps": -1e999'),
    "NaN": _spec().replace(b"512", b"NaN"),
    "NaN in a price": _spec().replace(b'"fee_bps": 1', b'"fee_bps": NaN'),
    "infinity in overrides": _spec(overrides={"gamma": 1}).replace(b'"gamma": 1', b'"gamma": Infinity'),
    "a key twice": _spec().replace(b'{"dataset"', b'{"dataset": "y", "dataset"', 1),
    "half a character": _spec(name="x").replace(b'"name": "x"', b'"name": "\\ud800"'),
    "half a character in overrides": _spec(overrides={"a": "x"}).replace(
        b'"a": "x"', b'"\\ud800": "\\udfff"'
    ),
    "NUL": _spec(name="a\x00b"),
    "NUL in overrides": _spec(overrides={"a\x00": "\x00"}),
    "UTF-16": json.dumps(SPEC).encode("utf-16"),
    "no UTF-8": b'{"dataset": "\xff\xfe"}',
    "nothing": b"",
    "null": b"null",
    "an array": b"[]",
    "a string": b'"x"',
    "half": _spec()[:-10],
    "two documents": _spec() + _spec(),
    "a comment": b"// x\n{}",
    "100,000 keys": json.dumps({f"k{n}": n for n in range(60_000)}).encode(),
    "a key of 500 kB": json.dumps({"k" * 500_000: 1}).encode(),
    "a value of 900 kB": _spec(name="n" * 900_000),
    "100,000 items": _spec(hidden_dims=[8] * 100_000),
    "more than 1 MiB": _spec(name="n" * (1 << 20)),
    "a path for a dataset": _spec(dataset="../../../etc/passwd"),
    "a URL for a dataset": _spec(dataset="file:///etc/passwd"),
}
JSON = {f"{name} to POST /jobs": json_request("POST", "/jobs", body) for name, body in BODIES.items()}
MORE_JSON = {
    f"{name} to {method} {path}": json_request(method, path, body)
    for name, body in BODIES.items()
    for method, path in (
        ("POST", "/jobs/preview"),
        ("POST", "/uploads"),
        ("POST", "/calibrations"),
        ("PATCH", "/checkpoints/live"),
    )
}
KINDS = {
    "JSON without a type": request("POST", "/jobs", _spec()),
    "JSON as text": request("POST", "/jobs", _spec(), "Content-Type: text/plain"),
    "JSON as XML": request("POST", "/jobs", _spec(), "Content-Type: application/xml"),
    "JSON as a form": form_request("/jobs", _spec()),
    "a form as JSON": json_request("POST", "/checkpoints", form(part("file", FILE, "a.pt"))),
    "a form as fields": request(
        "POST", "/checkpoints", b"upload=x", "Content-Type: application/x-www-form-urlencoded"
    ),
    "a form without a type": request("POST", "/checkpoints", form(part("file", FILE, "a.pt"))),
    "an unknown set of characters": request(
        "POST", "/jobs", _spec(), "Content-Type: application/json; charset=x-no"
    ),
    "two types": json_request("POST", "/jobs", b"{}", "Content-Type: text/plain"),
    "JSON packed": json_request("POST", "/jobs", gzip.compress(_spec()), "Content-Encoding: gzip"),
    "a form packed": form_request(
        "/checkpoints", gzip.compress(form(part("file", FILE, "a.pt"))), "B", "Content-Encoding: gzip"
    ),
    "a form said to be packed": form_request(
        "/checkpoints", form(part("file", FILE, "a.pt")), "B", "Content-Encoding: gzip"
    ),
    "JSON said to be packed": json_request(
        "POST", "/uploads", b'{"name":"a","bytes":1}', "Content-Encoding: br"
    ),
    "a packed bomb": json_request(
        "POST", "/jobs", gzip.compress(b" " * 100_000_000), "Content-Encoding: gzip"
    ),
}
FORM_BODIES = {
    "an empty form": b"",
    "only an end": b"--B--\r\n",
    "no part at all": b"hello",
    "no last boundary": form(part("file", FILE, "a.pt"))[:-7],
    "half a last boundary": form(part("file", FILE, "a.pt"))[:-4],
    "an end within a file": part("file", FILE, "a.pt")[:-20],
    "an end within a part's headers": part("file", FILE, "a.pt")[:30],
    "a part without a name": form(b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
    "a part without headers": form(b"--B\r\n\r\nx\r\n"),
    "a part of another disposition": form(b"--B\r\nContent-Disposition: attachment\r\n\r\nx\r\n"),
    "line feeds alone": form(part("file", FILE, "a.pt")).replace(b"\r\n", b"\n"),
    "an unknown field": form(part("file", FILE, "a.pt"), part("path", b"/etc/passwd")),
    "a file twice": form(part("file", FILE, "a.pt"), part("file", FILE, "b.pt")),
    "a file for a text": form(part("file", FILE, "a.pt"), part("name", b"x" * 10, "name.txt")),
    "a text for a file": form(part("file", b"x")),
    "10,000 parts": form(*(part(f"f{n}", b"") for n in range(10_000))),
    "10,000 times the same field": form(
        *(part("name", b"x") for n in range(10_000)), part("file", FILE, "a")
    ),
    "10,000 files": form(*(part("file", b"", f"{n}") for n in range(10_000))),
    "a form in a form": form(
        part("file", form(part("file", FILE, "b.pt")), "a.pt", "Content-Type: multipart/mixed; boundary=B")
    ),
    "a part's header of 1 MB": form(part("file", FILE, "a.pt", "X-Long: " + "a" * 1_000_000)),
    "a part's header without end": b'--B\r\nContent-Disposition: form-data; name="file"\r\nX: '
    + b"a" * 1_000_000,
    "10,000 headers of a part": form(part("file", FILE, "a.pt", *(f"X-{n}: 1" for n in range(10_000)))),
    "a field's name of 3 kB": form(part("n" * 3_000, b"x")),
    "a field of 2 MB": form(part("name", b"n" * 2_000_000), part("file", FILE, "a.pt")),
    "no character in a field": form(part("file", b"", "a"), part("name", b"\xff\xfe\x00")),
    "a set of characters that is none": form(part("_charset_", b"no-such"), part("file", FILE, "a.pt")),
    "no file but its name": form(part("file", b"", "../../../etc/passwd")),
    "a path for an upload": form(part("upload", b"../../../etc/passwd")),
}
FORMS = {f"{name} to /checkpoints": form_request("/checkpoints", body) for name, body in FORM_BODIES.items()}
MORE_FORMS = {
    f"{name} to {path}": form_request(path, body)
    for name, body in FORM_BODIES.items()
    for path in ("/checkpoints/inspect", "/checkpoints/diff", "/datasets", "/datasets/check")
}
BOUNDARIES = {
    f"a form whose boundary is {name}": request(
        "POST", "/checkpoints", form(part("file", FILE, "a.pt")), f"Content-Type: multipart/form-data{given}"
    )
    for name, given in {
        "missing": "",
        "empty": "; boundary=",
        "quoted and empty": '; boundary=""',
        "another one": "; boundary=C",
        "300 long": "; boundary=" + "B" * 300,
        "no ASCII": "; boundary=\xff\xfe",
        "not closed": '; boundary="B',
        "given twice": "; boundary=C; boundary=D",
        "with a strange set of characters": "; charset=undefined; boundary=B",
    }.items()
}
ABUSES = {**LINES, **HEADERS, **FRAMES, **PATHS, **JSON, **KINDS, **FORMS, **BOUNDARIES}
MORE = {**MORE_JSON, **MORE_FORMS}
"""The same to other operations."""

HARMLESS = {
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", 200),
    "HTTP/1.0": (head("GET", "/healthz", version="HTTP/1.0"), 200),
    "an unknown Expect": (head("GET", "/healthz", "Expect: the-moon"), 200),
    "an upgrade to a web socket": (
        head("GET", "/healthz", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        200,
    ),
    "an upgrade to HTTP/2": (head("GET", "/healthz", "Connection: Upgrade", "Upgrade: h2c"), 200),
    "100 headers": (head("GET", "/healthz", *(f"X-{n}: 1" for n in range(99))), 200),
    "a header of 60 kB": (head("GET", "/healthz", "X-Long: " + "a" * 60_000), 200),
    "a header of any bytes": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: \xff\xfe\xfd\r\n\r\n", 200),
    "line breaks before the request": (b"\r\n\r\n" + head("GET", "/healthz"), 200),
    "a body with GET": (request("GET", "/healthz", b"x" * 1_000), 200),
    "traversal on the pages": (head("GET", "/ui/static/..%2f..%2f..%2fetc/passwd"), 404),
    "NUL in a part's header": (
        form_request("/checkpoints/inspect", form(part("file", FILE, "a\x00.pt", "X: \x00"))),
        200,
    ),
    "no character in If-None-Match": (head("GET", "/checkpoints/x/file", "If-None-Match: \xff\xfe"), 404),
}
