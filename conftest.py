"""What all tests share, the chapters' cells included."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

# Before anything imports torch: two threads on two busy cores are many times
# slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PIXELLAB_SCALE", "quick")
os.environ.setdefault("PIXELLAB_PROGRESS", "0")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Start a chapter's kernel as on a machine with no data, no network.

    The unit tests in the same process keep the data folder.
    """
    if item.path.suffix != ".ipynb":
        return (yield)
    empty = ROOT / "_build" / "no-data"
    empty.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELLAB_DATA", str(empty))
        patch.setenv("PIXELLAB_OFFLINE", "1")
        return (yield)


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """The folder of the built pages; built once, whoever asks first."""
    folder = tmp_path_factory.getbasetemp()
    if folder.name.startswith("popen-"):  # a worker of pytest-xdist
        folder = folder.parent
    log, html = folder / "book.log", folder / "book" / "_build" / "html"
    with open(folder / "book.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not log.exists():
            result = subprocess.run(
                [Path(sys.executable).with_name("jupyter-book"), "build",
                 ROOT, "--path-output", folder / "book",
                 "--all", "-n", "-W", "--keep-going"],
                capture_output=True, text=True)
            output = result.stdout + result.stderr
            log.write_text("" if result.returncode == 0 else output)
    if failure := log.read_text():
        warnings = [line for line in failure.splitlines()
                    if "WARNING" in line or "ERROR" in line]
        pytest.fail("the book does not build without warnings:\n"
                    + ("\n".join(warnings) or failure), pytrace=False)
    return html
