"""Run parts of the scoreboard and store what they find in results.json.

python -m benchmarks             all parts that train nothing: two hours
python -m benchmarks train       the parts that train networks first: hours
python -m benchmarks NAME ...    these parts

A run of all parts that was killed goes on where it was: with the parts that
are missing, and inside a part with the pieces under runs/bench. Once it has
finished, or where the weights have changed, the next one begins anew.
"""

import importlib
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks import _tools
from pixellab import weights

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
TRAIN = ["binarisations", "frame_curves", "rate_distortion"]
GROUPS = {"all": [name for name in NAMES if name not in TRAIN],
          "train": TRAIN}


def circumstances(name):
    """What a number depends on beside the code: where, when, with what."""
    return {"command": f"python -m benchmarks {name}",
            "date": time.strftime("%Y-%m-%d %H:%M"),
            "processor": _tools.processor(), "cores": os.cpu_count(),
            "threads": 1, "python": platform.python_version(),
            "versions": {package: version(package)
                         for package in ("torch", "numpy", "scikit-learn",
                                         "constriction", "pillow",
                                         "pixellab")},
            "weights": {name: _tools.digest(weights.find(name))
                        for name in weights.names()},
            "seed": _tools.SEED}


def load_average():
    return round(os.getloadavg()[0], 2)


def run(name):
    """Measure one part and store it; its pieces are not needed any more."""
    module = importlib.import_module(f"benchmarks.{name}")
    pieces = _tools.STORE / name
    entry = {"question": module.__doc__.strip(), "run": {
        **circumstances(name), "load_before": load_average(),
        "resumed": pieces.exists()}}
    seconds, entry["results"] = _tools.seconds(module.measure)
    entry["run"] |= {"load_after": load_average(),
                     "seconds": round(seconds, 1)}
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = entry
    known = {part: results[part] for part in NAMES if part in results}
    _tools.write(RESULTS, known, indent=1)
    shutil.rmtree(pieces, ignore_errors=True)


def finished_before(group, names):
    """The parts that a killed run of this group has behind it, with these
    weights. Where there was none, nothing that was kept stays."""
    path = _tools.STORE / f"{group}.json"
    if path.exists():
        state = json.loads(path.read_text())
        if state["weights"] == circumstances(group)["weights"]:
            return state["finished"]
    for pieces in [*names, *([_tools.SHARED] if group == "all" else [])]:
        shutil.rmtree(_tools.STORE / pieces, ignore_errors=True)
    return []


def main(arguments):
    group = "".join(arguments) or "all"
    names = GROUPS.get(group, arguments)
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are "
              f"{', '.join(NAMES)}, and train", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    finished = finished_before(group, names) if group in GROUPS else []
    state = _tools.STORE / f"{group}.json"
    for k, name in enumerate(names, 1):
        if name in finished:
            print(f"part {k} of {len(names)}, {name}: measured before")
            continue
        print(f"part {k} of {len(names)}, {name}", flush=True)
        run(name)
        finished.append(name)
        if group in GROUPS:
            _tools.write(state, {"finished": finished, "weights":
                                 circumstances(name)["weights"]})
    state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
