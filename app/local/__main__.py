"""`python -m app.local`: the stack of the CALIPER_* environment in the foreground, until Ctrl-C."""

import sys

from pydantic import ValidationError

from app.errors import CaliperError
from app.local.stack import LocalStack
from app.settings import describe_mistakes, get_settings


def main() -> int:
    """Serve; returns 1 where the stack does not start."""
    try:
        LocalStack(get_settings(), progress=lambda line: print(line, flush=True)).serve()  # noqa: T201
    except ValidationError as error:
        sys.stderr.write(describe_mistakes(error) + "\n")
        return 1
    except CaliperError as error:
        sys.stderr.write("\n".join(filter(None, (error.detail, error.hint))) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
