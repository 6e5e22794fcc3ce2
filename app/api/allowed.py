"""Which methods a path takes: all of them, where the framework names those of the first route that fits."""

import re
from collections.abc import Mapping
from typing import Any


def allowed_methods(document: Mapping[str, Any], path: str, first: str) -> str:
    """The value of Allow (RFC 9110 section 10.2.1) from the OpenAPI document and the framework's own `first`.

    A path that stands in the document as it is, such as /jobs/preview, is not taken for /jobs/{job_id}.
    """
    paths = document["paths"]
    fitting = [path] if path in paths else [each for each in paths if _fits(each, path)]
    documented = {method.upper() for each in fitting for method in paths[each]}
    own = {method.strip() for method in first.split(",") if method.strip()}
    return ", ".join(sorted(documented | own))


def _fits(template: str, path: str) -> bool:
    pattern = "[^/]+".join(map(re.escape, re.split(r"\{[^}]*\}", template)))
    return re.fullmatch(pattern, path) is not None
