"""What a file is by its first bytes, so that a refusal can say what it refuses."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip file"),
    (0, b"Rar!", "a RAR file"),
    (257, b"ustar", "a tar file (torch's format before 0.1.10, and some exports)"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)"),
    (0, b"\x93NUMPY", "a numpy array file"),
    (0, b"GGUF", "a GGUF file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"\x7fELF", "an executable (ELF)"),
    (0, b"MZ", "an executable (Windows)"),
    (0, b"#!", "a script"),
    (0, b"%PDF", "a PDF"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"PK\x05\x06", "an empty zip"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (0, b"<", "a text file (HTML or XML)"),
)


def describe(head: bytes, size: int) -> str:
    """A phrase such as `a gzip file`."""
    if size == 0:
        return "an empty file"
    for at, signature, phrase in _SIGNATURES:
        if head[at : at + len(signature)] == signature:
            return phrase
    if not any(head):
        return "a file of zeros"
    if head[:1] == b"\x08" and b"\x12" in head[:8]:
        return "a protobuf, perhaps an ONNX model"
    if _is_text(head):
        return "a text file" + (" (JSON)" if head.lstrip()[:1] in (b"{", b"[") else "")
    return "a file of unknown kind"


def looks_like_pickle(head: bytes) -> bool:
    """Whether the first bytes are those of a pickle of protocol 2 or later, or of an older one's usual starts.

    A safetensors file begins with its header's length, whose lowest bytes may be any of these; then zeros follow, and
    no pickle goes on with a byte below 0x20.
    """
    if head[2:3] < b"\x20" and head[8:9] == b"{":
        return False
    return (
        (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05")
        or head[:2] in (b"(d", b"(l", b"(i", b"(c", b"]p")
        or (head[:1] == b"c" and head[1:2].isalpha() and head[:256].count(b"\n") >= 2)
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c.isspace() for c in text)
