"""Buttons to the repository and to Colab, once there is a public address.

`make address` writes it into pyproject.toml. Before, the buttons would lead
nowhere, so that there are none.
"""

import subprocess
import tomllib
from pathlib import Path


def commit(folder):
    """The commit that the pages are built from; "main" outside of git."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, text=True,
                           capture_output=True)
    return found.stdout.strip() if found.returncode == 0 else "main"


def add_buttons(app, config):
    project = tomllib.loads(
        (Path(app.srcdir) / "pyproject.toml").read_text())["project"]
    address = project["urls"]["Repository"]
    if "/OWNER/" in address:
        return
    config.html_theme_options |= {
        "repository_url": address,
        # Whoever opens a page in Colab gets the chapter of that page.
        "repository_branch": commit(app.srcdir),
        "path_to_docs": "",
        "use_repository_button": True,
        "launch_buttons": {"colab_url": "https://colab.research.google.com"}}


def setup(app):
    # Before the theme reads its options.
    app.connect("config-inited", add_buttons, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
