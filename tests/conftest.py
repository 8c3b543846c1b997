import os
from pathlib import Path

# one thread a process: two threads on two busy cores are far slower
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)

FULL_DATA = Path(os.environ.get("PIXELLAB_DATA", "/nowhere")).resolve()


@pytest.fixture
def full_data(monkeypatch):
    """The folder with the full data sets; skips where there is none."""
    if not (FULL_DATA / "MNIST" / "raw").is_dir():
        pytest.skip("PIXELLAB_DATA holds no MNIST/raw")
    monkeypatch.setenv("PIXELLAB_DATA", str(FULL_DATA))
    monkeypatch.delenv("PIXELLAB_OFFLINE", raising=False)
    return FULL_DATA


@pytest.fixture
def sample_data(monkeypatch, tmp_path):
    """No data folder and no network: the offline sample serves."""
    monkeypatch.setenv("PIXELLAB_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("PIXELLAB_OFFLINE", "1")
