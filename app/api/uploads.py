"""Request bodies under a limit: files go to the spool as they arrive, memory stays flat."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NoReturn

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.plain_values import require_plain
from app.api.strict_json import read_json
from app.errors import InvalidInput, LimitExceeded
from app.settings import MIB, Settings
from app.storage import INCOMING, Spool

MAX_FILES = 2
"""Most files of one upload."""

FIELDS_BYTES = MIB
"""Room for the form's other fields and its boundaries."""


class LimitedRequest(Request):
    """A request whose body is counted while it is read.

    Raises LimitExceeded as soon as a JSON body or a file passes its limit, without reading the rest, and
    InvalidInput for a form field that the operation does not know. With `is_file` a body that is no form is a
    file itself, or a part of one, and has a file's limit.
    """

    def __init__(
        self,
        request: Request,
        settings: Settings,
        *,
        file_limit: int,
        fields: Sequence[str],
        is_file: bool = False,
    ) -> None:
        super().__init__(request.scope, request.receive)
        self._settings = settings
        self._file_limit = file_limit
        self._fields = fields
        multipart = self.headers.get("content-type", "").startswith("multipart/form-data")
        plain = file_limit if is_file else settings.max_body_bytes
        self._limit = MAX_FILES * file_limit + FIELDS_BYTES if multipart else plain

    async def json(self) -> Any:
        """The body's JSON, read strictly."""
        value = read_json(await self.body())
        body = getattr(self.scope.get("route"), "body_field", None)
        if body is not None:
            require_plain(value, body.field_info.annotation)
        return value

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body, as long as it is within the limit."""
        self._refuse_encodings()
        declared = self.headers.get("content-length", "")
        seen = int(declared) if declared.isdecimal() else 0
        if seen > self._limit:
            self._refuse(seen)
        seen = 0
        async for chunk in super().stream():
            seen += len(chunk)
            if seen > self._limit:
                self._refuse(seen)
            yield chunk

    async def _get_form(self, **_limits: Any) -> FormData:
        """Read the form once; FastAPI awaits this by way of `form()`."""
        if self._form is None:
            if not self.headers.get("content-type", "").startswith("multipart/form-data"):
                raise InvalidInput("the body is no form", hint="send multipart/form-data, the file in a part")
            parser = _SpoolingParser(self, self._settings, self._file_limit, self._fields)
            try:
                self._form = await parser.parse()
            except MultiPartException as error:
                raise HTTPException(400, error.message) from error
        return self._form

    def _refuse_encodings(self) -> None:
        """What is packed would be counted packed and kept packed."""
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            hint = "send the bytes as they are"
            raise InvalidInput("the body is packed", hint=hint, pointer="Content-Encoding")

    def _refuse(self, seen: int) -> NoReturn:
        raise LimitExceeded(
            "request body bytes", limit=self._limit, actual=seen, hint="the rest was not read"
        )


class _SpoolingParser(MultiPartParser):
    """Starlette's parser, but files go to the spool's disk, under a limit, and unknown fields are refused."""

    def __init__(
        self, request: LimitedRequest, settings: Settings, file_limit: int, fields: Sequence[str]
    ) -> None:
        super().__init__(request.headers, request.stream(), max_files=MAX_FILES, max_fields=50)
        self._spool = settings.artifacts_dir / INCOMING
        self._file_limit = file_limit
        self._fields = fields
        self._files_named: set[str] = set()

    async def parse(self) -> FormData:
        try:
            form = await super().parse()
        except BaseException:
            for file in self._files_to_close_on_error:
                file.close()
            raise
        whole = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(whole) < self._current_files:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("the form ends within a file")
        return form

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        part = self._current_part
        if part.field_name not in self._fields:
            known = ", ".join(self._fields)
            shown = part.field_name[:80]
            raise InvalidInput(f"unknown form field {shown!r}", hint=f"known: {known}", pointer=shown)
        if isinstance(part.file, UploadFile):
            if part.field_name in self._files_named:
                hint = "send one file in it"
                raise InvalidInput("the field holds a second file", hint=hint, pointer=part.field_name)
            self._files_named.add(part.field_name)
            # /tmp may lie in memory; this lies on the artifacts' disk, hashed as it is written.
            part.file.file.close()
            part.file.file = Spool(self._spool)  # type: ignore[assignment]  # closed with the form
            self._files_to_close_on_error.append(part.file.file)  # type: ignore[arg-type]

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        super().on_part_data(data, start, end)
        part = self._current_part
        if part.file is not None:
            size = (part.file.size or 0) + sum(
                len(waiting) for owner, waiting in self._file_parts_to_write if owner is part
            )
            if size > self._file_limit:
                raise LimitExceeded(
                    f"bytes of the upload in the field {part.field_name}",
                    limit=self._file_limit,
                    actual=size,
                    hint="the rest was not read",
                    pointer=part.field_name,
                )
