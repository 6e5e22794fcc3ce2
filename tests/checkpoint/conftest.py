"""Checkpoints that libraries made which cannot be installed beside ours."""

import pytest

from tests.checkpoint.producers.made import Made, Maker, make
from tests.checkpoint.producers.network_facts import LIBRARIES


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """A library's checkpoint by its case; every library's are made once, for all test processes together."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if base.name.startswith("popen-") else base) / "producers"
    home.mkdir(exist_ok=True)
    known: dict[str, dict[str, Made]] = {}

    def checkpoint(library: str, case: str) -> Made:
        if not (LIBRARIES / {"rllib": "ray"}.get(library, library)).is_dir():
            pytest.skip(f"{library} is not in {LIBRARIES}: `make install` puts it there where it has a wheel")
        if library not in known:
            known[library] = make(library, home)
        return known[library][case]

    return checkpoint
