import os
from pathlib import Path

import pytest

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
