"""Build the assignments, and grade what comes back.

    python book/assignments.py build [a1_masks ...]
    python book/assignments.py grade a1_masks FOLDER

A master in chapters/assignments holds text, solutions and hidden tests.
`build` makes of each, under _build/assignments/NAME, a notebook for students
(student/NAME.ipynb) and an autograder.zip for otter-grader, which holds the
hidden tests. `grade` runs every notebook of FOLDER, each in a process of its
own, runs the tests on what it defines, and writes FOLDER/grades.csv after
each.
Submissions are programs: grade those of strangers where programs of strangers
may run.
"""

import argparse
import contextlib
import csv
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MASTERS = ROOT / "chapters" / "assignments"
BUILT = ROOT / "_build" / "assignments"
LONGEST_REPORT = 10_000  # bytes


# Build


def build(name, target):
    """Make the student's notebook and the autograder of one master.

    ValueError, and nothing written, if its solution fails its own tests.
    """
    from otter import assign

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        master = folder / f"{name}.ipynb"
        shutil.copy(MASTERS / master.name, master)
        # its own run takes a kernel for each; grade_one is faster
        assign.main(str(master), str(folder / "dist"), no_run_tests=True)
        made = folder / "dist" / "autograder"
        points, notes = grade_one(made / master.name, made / "tests")
        lost = [f"{test}: {neat(points.get(test, 0))} of {neat(possible)}"
                for test, possible in possible_points(made / "tests").items()
                if points.get(test) != possible]
        if lost or notes:
            raise ValueError(f"the solution of {name} is not right: "
                             + "; ".join(lost + notes))
        (folder / "student").mkdir()
        write_student(folder / "dist" / "student" / master.name,
                      folder / "student" / master.name)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        shutil.move(folder / "student", target)
        shutil.move(next(made.glob("*.zip")), target / "autograder.zip")


def write_student(path, target):
    """Strip what needs otter-grader, which Colab lacks, or reveals tests.

    What stays of it is the name of the question, in the cell that ends it.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    kernel = notebook.metadata["kernelspec"]
    notebook.metadata = {"kernelspec": kernel}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata = {key: cell.metadata[key] for key in ("otter",)
                         if key in cell.metadata}
        if "grader." in cell.source or "import otter" in cell.source:
            raise ValueError(f"a cell needs otter-grader:\n{cell.source}")
    nbformat.validate(notebook)
    nbformat.write(notebook, target)


# Grade


@contextlib.contextmanager
def time_limit(seconds):
    """TimeoutError after so many seconds, and every second from then on."""
    def stop(number, frame):
        raise TimeoutError(f"stopped after {seconds} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_submission(path, tests, channel, cell_seconds):
    """In a process of its own: run the cells, and each test when it is due.

    A test is due after the cell that carries its name; what carries none, in
    the end. Tells ("note", text) and ("points", question, points) as it goes,
    and ("end",).
    """
    os.setsid()  # what it starts is of its group, and ends with it

    def tell(*news):
        channel.send_bytes(json.dumps(news).encode())

    shell = quiet_shell(tempfile.mkdtemp(dir=tests.parent))
    try:
        cells = read_cells(path)
    except Exception as error:
        tell("note", "this is no notebook: " + first_line(error))
        tell("end")
        return
    waiting = {test.stem: test for test in sorted(tests.glob("*.py"))}
    for number, (source, due) in enumerate(cells, start=1):
        problem = run_cell(shell, source, cell_seconds)
        if problem is not None:
            tell("note", f"code cell {number}: {type(problem).__name__}: "
                 + first_line(problem))
        for name in due:
            if name in waiting:
                tell("points", name, score(waiting.pop(name), shell.user_ns,
                                           cell_seconds))
    for name, test in waiting.items():
        tell("points", name, score(test, shell.user_ns, cell_seconds))
    tell("end")


def read_cells(path):
    """[(source, names of the tests that are due)] of the code cells."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    return [(cell.source, cell.metadata.get("otter", {}).get("tests", []))
            for cell in notebook.cells if cell.cell_type == "code"]


def quiet_shell(folder):
    """A shell in this folder that reads and shows nothing."""
    import matplotlib
    import torch
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(sink, stream)
    os.chdir(folder)
    os.environ["PIXELLAB_OFFLINE"] = "1"  # grades depend on no network
    matplotlib.use("agg")  # no windows
    torch.set_num_threads(1)
    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.enable_gui = lambda gui=None: None  # %matplotlib asks for it
    return shell


def run_cell(shell, source, seconds):
    """Run one cell; returns what stopped it, or None."""
    try:
        with time_limit(seconds):
            result = shell.run_cell(source)
        return result.error_before_exec or result.error_in_exec
    except BaseException as error:  # whatever a submission may raise
        return error


def score(path, names, seconds):
    """The points of one question for what the submission has defined."""
    test = read_test(path)
    with contextlib.suppress(BaseException), time_limit(seconds):
        test.run(dict(names))
    return test.score


def first_line(error):
    return readable((str(error).splitlines() or [""])[0])


def readable(text):
    """At most 200 characters, and none that a file cannot hold."""
    return text[:200].encode("utf-8", "replace").decode()


def grade_one(path, tests, cell_seconds=20, seconds=120):
    """({question: points}, notes) of one submission; never raises for it.

    cell_seconds is the limit of one cell, and of the tests of one question;
    seconds is that of all together.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([
        "pixellab", "nbformat", "otter.test_files",
        "matplotlib", "IPython.core.interactiveshell"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_submission,
                              args=(path, tests, sender, cell_seconds))
    start(process)
    sender.close()
    points, notes = {}, []
    try:
        with time_limit(seconds):
            listen(receiver, points, notes)
    except TimeoutError as error:
        notes.append(str(error))
    except EOFError:  # it died
        process.join()
        notes.append(f"the process ended with code {process.exitcode}")
    except Exception as error:  # it wrote to the channel itself
        notes.append(f"its reports cannot be read: {first_line(error)}")
    finally:
        kill_group(process)
        receiver.close()
    return points, notes


def start(process):
    """Start it, again if the last submission spoilt the server of forks."""
    for tries_left in reversed(range(5)):
        try:
            return process.start()
        except (EOFError, OSError):
            if not tries_left:
                raise
            time.sleep(1)  # until the server has ended; a new one follows


def listen(receiver, points, notes):
    """Gather what a submission tells, until its end."""
    while True:
        kind, *news = json.loads(receiver.recv_bytes(LONGEST_REPORT))
        if kind == "end":
            return
        if kind == "note":
            notes.append(readable(*news))
        else:
            question, number = news
            points.setdefault(question, float(number))


def kill_group(process):
    """End a submission, and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # it may not have come so far as to have a group
    process.join()


def possible_points(tests):
    """{question: points} of a folder of tests."""
    return {path.stem: read_test(path).possible
            for path in sorted(tests.glob("*.py"))}


def read_test(path):
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import create_test_file

    return create_test_file(str(path), NBMetadataConfig())


def grade(name, submissions):
    """Grade a folder of notebooks, with one line for each; returns a table.

    The table is written to grades.csv there after each of them. ValueError
    where there is nothing to grade, or nothing to grade it with.
    """
    if not submissions.is_dir():
        raise ValueError(f"there is no folder {submissions}")
    paths = sorted(submissions.glob("*.ipynb"))
    if not paths:
        raise ValueError(f"{submissions} holds no notebook (*.ipynb)")
    if not os.access(submissions, os.W_OK):
        raise ValueError(f"grades.csv cannot be written in {submissions}")
    archive = BUILT / name / "autograder.zip"
    if not archive.exists():
        raise ValueError(f"{name} is not built yet: run 'make assignments'")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with zipfile.ZipFile(archive) as files:
            files.extractall(folder)
        tests = Path(folder) / "tests"
        possible = possible_points(tests)
        maximum = neat(sum(possible.values()))
        table = [["submission", *possible, "total", "max", "note"]]
        for number, path in enumerate(paths, start=1):
            points, notes = grade_one(path.resolve(), tests)
            points = [points.get(question, 0) for question in possible]
            total, note = neat(sum(points)), "; ".join(notes)
            who = readable(path.stem)
            table.append([who, *map(neat, points), total, maximum, note])
            write_table(submissions / "grades.csv", table)
            print(f"[{number}/{len(paths)}] {who}: {total} of {maximum}"
                  + f" ({note})" * bool(note), flush=True)
    return table


def neat(points):
    return f"{points:.2f}".rstrip("0").rstrip(".")


def write_table(path, table):
    from pixellab.weights import atomic

    with atomic(path) as part, open(part, "w", newline="",
                                    encoding="utf-8") as file:
        csv.writer(file).writerows(table)


# The command line


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    known = sorted(path.stem for path in MASTERS.glob("*.ipynb"))
    part = commands.add_parser("build", help="make what students get")
    part.add_argument("names", nargs="*", metavar="NAME", default=known)
    part = commands.add_parser("grade", help="grade a folder of notebooks")
    part.add_argument("names", nargs=1, metavar="NAME")
    part.add_argument("folder", metavar="FOLDER", type=Path)
    options = parser.parse_args(arguments)
    # What a submission leaves behind when it is killed is no news to anybody.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    sys.stdout.reconfigure(errors="replace")  # whatever a note quotes
    for name in options.names:
        if name not in known:
            parser.error(f"there is no assignment {name!r}: use one of "
                         + ", ".join(known))
    try:
        if options.command == "build":
            for name in options.names:
                build(name, BUILT / name)
                print(BUILT / name, flush=True)
        else:
            grade(options.names[0], options.folder)
            print(f"The grades are in {options.folder / 'grades.csv'}")
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError) as error:
        print(f"assignments: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
