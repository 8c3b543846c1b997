"""Run the named benchmarks, or all that train nothing; store the results.

`python -m benchmarks train` runs those that train networks, for an hour or so.
"""

import importlib
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch

from pixellab.weights import atomic

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
TRAIN = ["rate_distortion", "frame_curves"]  # these train networks first
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines() \
            if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def circumstances(name):
    return {"command": f"python -m benchmarks {name}",
            "date": time.strftime("%Y-%m-%d %H:%M"),
            "processor": processor(), "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2), "threads": 1,
            "versions": {package: version(package)
                         for package in ("torch", "numpy", "scikit-learn",
                                         "constriction", "pixellab")},
            "python": platform.python_version()}


def main(names):
    if not names or names == ["train"]:
        names = TRAIN if names else [n for n in NAMES if n not in TRAIN]
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are "
                 f"{', '.join(NAMES)}")
    torch.set_num_threads(1)
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        run, started = circumstances(name), time.monotonic()
        measured = module.measure()
        run["seconds"] = round(time.monotonic() - started, 1)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[name] = {"question": module.__doc__.strip(), "run": run,
                         "results": measured}
        with atomic(RESULTS) as part:
            part.write_text(json.dumps(results, indent=1) + "\n")
        print(json.dumps(measured, indent=1), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
