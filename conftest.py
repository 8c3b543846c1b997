"""Settings that every test shares, the notebooks' cells included."""

import os
from pathlib import Path

import pytest

# Before anything imports torch: two threads on two busy cores are many times
# slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PIXELLAB_SCALE", "quick")


@pytest.fixture(autouse=True)
def needs_data(request):
    """Skip a test marked data(folder) where that folder is absent."""
    mark = request.node.get_closest_marker("data")
    if mark:
        root = os.environ.get("PIXELLAB_DATA")
        if not root or not Path(root, *mark.args).is_dir():
            pytest.skip(f"needs {mark.args[0]} in the folder PIXELLAB_DATA")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Start a chapter's kernel as on a machine with no data, no network.

    The unit tests in the same process keep the data folder.
    """
    if item.path.suffix != ".ipynb":
        return (yield)
    empty = item.config.rootpath / "_build" / "no-data"
    empty.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELLAB_DATA", str(empty))
        patch.setenv("PIXELLAB_OFFLINE", "1")
        return (yield)
