"""Assignments: what is right gets its points, and what is wrong does not."""

import importlib
import os
import re
import sys
import time
import zipfile
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(path.stem for path in
               (ROOT / "chapters" / "assignments").glob("*.py"))
sys.path.append(str(ROOT / "book"))  # a grading process looks there, too
assignments = importlib.import_module("assignments")
test_check = importlib.import_module("test_check")

# What is replaced in the solution, and the points that are left.
WRONG = {
    "a1_masks": ("seen[rows // 2, :columns // 2] = 1",
                 "seen[rows // 2, :columns // 2 + 1] = 1",
                 {"q1_masks": 1}),
    "a2_teacher_forcing": (
        "inputs = torch.cat([start[:, None], tokens[:, :-1]], dim=1)",
        "inputs = tokens",
        {"q1_shift": 0}),
    "a3_sampling": ("before = ranked.cumsum(dim=1) - ranked",
                    "before = ranked.cumsum(dim=1)",
                    {"q3_top_p": 0}),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of all built assignments."""
    folder = tmp_path_factory.mktemp("assignments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assignments, "BUILT", folder)
        assignments.main(["build"])
        yield folder


def master_cells(name):
    """The code cells of a master, without its tests."""
    in_tests, sources = False, []
    for cell in jupytext.read(
            ROOT / "chapters" / "assignments" / f"{name}.py").cells:
        if cell.cell_type == "raw":
            in_tests = "# BEGIN TESTS" in cell.source or (
                in_tests and "# END TESTS" not in cell.source)
        elif cell.cell_type == "code" and not in_tests:
            sources.append(cell.source)
    return sources


def read_student(built, name):
    return nbformat.read(built / name / "student" / f"{name}.ipynb", 4)


def fill_in(notebook, sources, path):
    """A submission: the student's notebook with these code cells."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, source in zip(cells, sources, strict=True):
        cell.source = source
    nbformat.write(notebook, path)


def grades(folder, name):
    """{submission: {column: text}} of a graded folder."""
    header, *rows = assignments.grade(name, folder)
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


@pytest.mark.parametrize("name", NAMES)
def test_right_and_empty_and_wrong_answers(built, tmp_path, name):
    sources = master_cells(name)
    nbformat.write(read_student(built, name), tmp_path / "empty.ipynb")
    fill_in(read_student(built, name), sources, tmp_path / "right.ipynb")
    if name in WRONG:
        old, new, left = WRONG[name]
        assert old in "".join(sources)
        fill_in(read_student(built, name),
                [source.replace(old, new) for source in sources],
                tmp_path / "wrong.ipynb")
    found = grades(tmp_path, name)
    right = found["right"]
    assert (right["total"], right["max"], right["note"]) == ("10", "10", "")
    assert (found["empty"]["total"], found["empty"]["note"]) == ("0", "")
    if name in WRONG:
        lost = {question: points for question, points in
                found["wrong"].items() if points != right[question]
                and question.startswith("q")}
        assert lost == {key: str(value) for key, value in left.items()}


@pytest.fixture(scope="module")
def question_of(built, tmp_path_factory):
    """{check: the file of hidden tests of its question}."""
    questions = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp(name)
        with zipfile.ZipFile(built / name / "autograder.zip") as files:
            files.extractall(folder)
        source = (ROOT / "chapters" / "assignments" / f"{name}.py").read_text()
        for question, check in re.findall(
                r"# name: (q\w+)\n.*?_ = pixelcheck\.(\w+)\(", source, re.S):
            questions[check] = folder / "tests" / f"{question}.py"
    return questions


@pytest.mark.parametrize("number", range(len(test_check.WRONG)), ids=[
    f"{name}-{hint[:24]}" for name, _, hint in test_check.WRONG])
def test_what_a_check_names_loses_points(question_of, number):
    name, answers, _ = test_check.WRONG[number]
    answers = answers if isinstance(answers, tuple) else (answers,)
    found = test_check.RIGHT | dict(zip(test_check.CHECKS[name], answers,
                                        strict=True))
    path = question_of[name]
    assert (assignments.score(path, found, seconds=20)
            < assignments.read_test(path).possible)


def test_every_question_has_a_wrong_answer(question_of):
    assert question_of.keys() == {name for name, _, _ in test_check.WRONG}
    assert len(set(question_of.values())) == 25


@pytest.mark.parametrize("name", NAMES)
def test_what_a_student_gets(built, name):
    notebook = read_student(built, name)
    text = "\n".join(cell.source for cell in notebook.cells)
    for word in ("SOLUTION", "HIDDEN", "def test_", "assert ", "otter",
                 "grader", "ipywidgets", "BEGIN"):
        assert word not in text, word
    assert notebook.metadata.keys() == {"kernelspec"}
    assert all(cell.cell_type != "raw" and not cell.get("outputs")
               for cell in notebook.cells)
    assert "github.com/OWNER/pixel-by-pixel" in text
    for source in master_cells(name):
        for block in re.findall(r"# BEGIN SOLUTION\n(.*?)# END SOLUTION",
                                source, flags=re.S):
            for line in block.strip().splitlines():
                assert line not in text.splitlines(), line
    assert {path.name for path in (built / name / "student").iterdir()} == {
        f"{name}.ipynb"}


@pytest.mark.parametrize("name", NAMES)
def test_points_and_questions_agree(built, name):
    notebook = read_student(built, name)
    named = [test for cell in notebook.cells
             for test in cell.metadata.get("otter", {}).get("tests", [])]
    with zipfile.ZipFile(built / name / "autograder.zip") as files:
        tests = {Path(file).stem for file in files.namelist()
                 if file.startswith("tests/")}
    assert set(named) == tests and len(named) == len(tests)
    told = re.findall(r"^## .*\((\d+) points?\)", "\n".join(
        cell.source for cell in notebook.cells), flags=re.M)
    assert sum(map(int, told)) == 10 and len(told) == len(tests)
    assert all(test.startswith(f"q{number}_")
               for number, test in enumerate(named, start=1))


# Right for most cases; the points that are left.
NEARLY = [
    ("causal", test_check.changed(
        "is_causal", "range(height * width)",
        "(0, height * width // 2, height * width - 1)"), 1),
    ("top_p", test_check.count_of_row_0, 1),
    ("draw", test_check.changed("draw", "probs.cumsum(dim=1)",
                                "probs[:1].cumsum(dim=1)"), 0),
    ("codes", test_check.changed("to_integers", "u > 0", "u >= 0"), 1),
]


@pytest.mark.parametrize("name, answer, left", NEARLY)
def test_nearly_right_is_not_right(question_of, name, answer, left):
    found = test_check.RIGHT | {test_check.CHECKS[name][0]: answer}
    assert assignments.score(question_of[name], found, seconds=20) == left


def submission(path, *sources):
    nbformat.write(nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell(source) for source in sources]), path)
    return path


@pytest.fixture
def tests_of_one(tmp_path):
    """A folder with the test of one question: answer is 42, one point."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "q1.py").write_text(
        "from otter.test_files import test_case\nOK_FORMAT = False\n"
        "name, points = 'q1', 2\n"
        "@test_case(hidden=True)\ndef first(answer):\n"
        "    assert answer() == 42\n"
        "@test_case(hidden=True)\ndef second(answer):\n"
        "    assert answer() < 43\n")
    return folder


ANSWER = "def answer():\n    return 42"


@pytest.mark.parametrize("sources, points, note", [
    ([ANSWER], 2, ""),
    (["1 / 0", ANSWER], 2, "code cell 1: ZeroDivisionError: division by"),
    (["def broken(:", ANSWER], 2, "code cell 1: SyntaxError: "),
    (["while True:\n    pass", ANSWER], 2,
     "code cell 1: TimeoutError: stopped after 1 seconds"),
    ([ANSWER, "import os\nos._exit(3)"], 0, "the process ended with code 3"),
    ([ANSWER, "import sys\nsys.exit('enough')"], 2,
     "code cell 2: SystemExit: enough"),
    (["%matplotlib inline\nimport asyncio\nawait asyncio.sleep(0)\n"
      "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()\n"
      "display(1)\n!echo a\n" + ANSWER], 2, ""),
    (["input('?')", ANSWER], 2, "code cell 1: EOFError: "),
    (["def answer():\n    exit()"], 0, ""),
    (["def answer():\n    return 7"], 1, ""),
    (["import threading, time\n"
      "threading.Thread(target=time.sleep, args=[99]).start()", ANSWER], 2,
     ""),
    (["def answer():\n    while True:\n        pass"], 0, ""),
    (["try:\n    while True:\n        pass\nexcept BaseException:\n    pass",
      ANSWER], 2, ""),
    (["while True:\n    try:\n        while True:\n            pass\n"
      "    except BaseException:\n        pass", ANSWER], 0,
     "stopped after 10 seconds"),
])
def test_what_goes_wrong_is_noted(tests_of_one, tmp_path, sources, points,
                                  note):
    path = submission(tmp_path / "one.ipynb", *sources)
    found, notes = assignments.grade_one(path, tests_of_one, cell_seconds=1,
                                         seconds=10)  # a machine is busy
    assert found.get("q1", 0) == points
    assert len(notes) == bool(note)
    assert "; ".join(notes).startswith(note)


# To every pipe that is open, those of multiprocessing itself included.
GARBAGE = """import os
for number in range(3, 99):
    try:
        if os.readlink(f"/proc/self/fd/{number}").startswith("pipe"):
            os.write(number, BYTES)
    except OSError:
        pass
"""


@pytest.mark.parametrize("written", [
    b"abc", b'\0\0\0\x0c["points",1]'])
def test_garbage_in_the_channel_ends_one_submission(tests_of_one, tmp_path,
                                                    written):
    path = submission(tmp_path / "one.ipynb",
                      GARBAGE.replace("BYTES", repr(written)))
    points, notes = assignments.grade_one(path, tests_of_one, seconds=4)
    assert points == {} and notes
    path = submission(tmp_path / "next.ipynb", ANSWER)
    assert assignments.grade_one(path, tests_of_one) == ({"q1": 2}, [])


def test_a_note_is_short(tests_of_one, tmp_path):
    path = submission(tmp_path / "one.ipynb",
                      "raise ValueError('long' * 10 ** 6)", ANSWER)
    points, (note,) = assignments.grade_one(path, tests_of_one)
    assert points == {"q1": 2} and len(note) <= 200


def test_what_a_submission_starts_ends_with_it(tests_of_one, tmp_path):
    path = submission(
        tmp_path / "one.ipynb",
        "import subprocess\nchild = subprocess.Popen(['sleep', '100'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))", ANSWER)
    assert assignments.grade_one(path, tests_of_one) == ({"q1": 2}, [])
    state = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    end = time.monotonic() + 5
    while state.exists() and " Z " not in state.read_text():
        assert time.monotonic() < end, "it is still running"
        time.sleep(0.05)


def test_a_submission_may_have_processes(tests_of_one, tmp_path):
    path = submission(
        tmp_path / "one.ipynb", "from torch.utils.data import DataLoader\n"
        "assert len(list(DataLoader(range(4), num_workers=1))) == 4", ANSWER)
    assert assignments.grade_one(path, tests_of_one) == ({"q1": 2}, [])


def test_later_cells_do_not_change_what_was_scored(tests_of_one, tmp_path):
    path = submission(tmp_path / "one.ipynb", ANSWER, "answer = 'spoilt'")
    notebook = nbformat.read(path, 4)
    notebook.cells[0].metadata = {"otter": {"tests": ["q1"]}}
    nbformat.write(notebook, path)
    assert assignments.grade_one(path, tests_of_one)[0] == {"q1": 2}


def test_a_table_is_written(built, tmp_path, capsys):
    (tmp_path / "no.ipynb").write_text("{")
    assignments.main(["grade", "a1_masks", str(tmp_path)])
    header, row = (tmp_path / "grades.csv").read_text().splitlines()
    assert header.startswith("submission,q1_masks,") and header.endswith(
        ",total,max,note")
    assert row.startswith("no,0,0,0,0,0,0,10,this is no notebook")
    assert "[1/1] no: 0 of 10" in capsys.readouterr().out


def test_what_is_graded_stays(built, tmp_path, monkeypatch):
    """A kill at the second loses nothing of the first, whatever its name."""
    def grade_one(path, tests):
        if path.stem == "second":
            raise KeyboardInterrupt
        return {"q1_masks": 3}, []

    monkeypatch.setattr(assignments, "grade_one", grade_one)
    for name in (os.fsdecode(b"M\xfcller.ipynb"), "second.ipynb"):
        submission(tmp_path / name, ANSWER)
    with pytest.raises(SystemExit):
        assignments.main(["grade", "a1_masks", str(tmp_path)])
    assert (tmp_path / "grades.csv").read_text().splitlines()[1:] == [
        "M?ller,3,0,0,0,0,3,10,"]


@pytest.mark.parametrize("arguments, message", [
    (["grade", "a9_unknown", "."], "there is no assignment 'a9_unknown'"),
    (["grade", "a1_masks", "nowhere"], "there is no folder nowhere"),
    (["grade", "a1_masks", "."], ". holds no notebook (*.ipynb)"),
])
def test_bad_arguments(built, tmp_path, monkeypatch, capsys, arguments,
                       message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        assignments.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_not_built_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(assignments, "BUILT", tmp_path / "nothing")
    submission(tmp_path / "one.ipynb", ANSWER)
    with pytest.raises(SystemExit):
        assignments.main(["grade", "a1_masks", str(tmp_path)])
    assert "a1_masks is not built yet: run 'make assignments'" in \
        capsys.readouterr().err


def test_a_wrong_solution_is_not_built(tmp_path, monkeypatch):
    notebook = nbformat.read(
        ROOT / "chapters" / "assignments" / "a1_masks.ipynb", 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(*WRONG["a1_masks"][:2])
    nbformat.write(notebook, tmp_path / "a1_masks.ipynb")
    monkeypatch.setattr(assignments, "MASTERS", tmp_path)
    with pytest.raises(ValueError, match="q1_masks: 1 of 3"):
        assignments.build("a1_masks", tmp_path / "target")
    assert not (tmp_path / "target").exists()
