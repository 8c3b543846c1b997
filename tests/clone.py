"""The working tree as a repository of its own, to be changed or cloned."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def git(folder, *words):
    """What git prints."""
    return subprocess.run(["git", *words], cwd=folder, check=True, text=True,
                          capture_output=True).stdout


def clone(folder, without=()):
    """Copy all files but the ignored and those with these endings."""
    names = git(ROOT, "ls-files", "-z", "--cached", "--others",
                "--exclude-standard").split("\0")
    for source in (ROOT / name for name in names if name):
        if source.is_file() and source.suffix not in without:
            target = folder / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.org",
        "commit", "--quiet", "--message", "as it is")
    return folder
