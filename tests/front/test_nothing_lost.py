"""Nothing is lost: of other files in a folder, of earlier results, of two runs at once."""

import errno
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import samples
from clustem.cli import main
from clustem.core import InputError, OutputError
from clustem.io import output_folder
from clustem.io.blockfile import write_blo
from clustem.io.output_folder import MANIFEST, check_output, check_room, whole_folder
from clustem.io.reading import read
from clustem.recipes.recipe import Recipe
from clustem.report.figures.scatter import limits_of

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and locks")
COMMAND = [sys.executable, "-c", "from clustem.cli import main; main()"]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "map.hspy"
    samples.eds(shape=(12, 14)).signal.save(path)
    return path


def told(args, monkeypatch, capsys):
    """Run the command line here; return the exit status and the last line that it prints."""
    monkeypatch.setattr(sys, "argv", ["clustem", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        main()
    out, errors = capsys.readouterr()
    assert len(errors.strip().splitlines()) <= 1, errors
    return stop.value.code or 0, errors.strip() or out.strip().splitlines()[-1]


def written(folder, *names, force=False):
    """Write a folder as a result is written."""
    target = check_output(folder, force=force)
    with whole_folder(target, force=force) as sibling:
        for name in names:
            (sibling / name).parent.mkdir(exist_ok=True)
            (sibling / name).write_text("new")
    return target


def names(folder):
    return sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.is_symlink() or not p.is_dir()
    )


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_force_removes_only_what_the_manifest_lists(tmp_path):
    out = written(tmp_path / "out", "a", "sub/b", "gone/c")
    for name in ("mine.txt", "sub/mine.txt", "gone/mine.txt", ".hidden"):
        (out / name).write_text("mine")
    (out / "link").symlink_to(tmp_path)
    (out / "a").write_text("old")
    written(out, "a", "sub/b", force=True)
    mine = [".hidden", "gone/mine.txt", "link", "mine.txt", "sub/mine.txt"]
    assert names(out) == sorted([*mine, MANIFEST, "a", "sub/b"])
    assert (out / "a").read_text() == "new"
    assert all((out / name).read_text() == "mine" for name in mine if name != "link")
    assert entries(tmp_path) == ["out"]


def test_a_folder_without_a_manifest_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    for content in ("", "{}", "[]", '{"files": ["a"]}', "[" * 99999):
        for name in ("provenance.json", "sweep.csv", "a", MANIFEST):
            (tmp_path / "out" / name).write_text(content)
        with pytest.raises(OutputError, match="Only a result folder"):
            written(tmp_path / "out", "a", force=True)
    assert len(names(tmp_path / "out")) == 4


def test_a_manifest_that_lies_reaches_nothing_outside(tmp_path):
    (tmp_path / "thesis").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis").write_text("mine")
    out = written(tmp_path / "out", "a")
    (out / "link").symlink_to(tmp_path / "other")
    files = ["a", MANIFEST, "../thesis", str(tmp_path / "thesis"), "link/thesis", "..", 3]
    (out / MANIFEST).write_text(json.dumps({"made_by": "clustem", "files": files}))
    written(out, "a", force=True)
    assert (tmp_path / "thesis").exists()
    assert (tmp_path / "other" / "thesis").exists()
    assert (out / "link").is_symlink()


def test_a_file_in_the_way_of_the_new_result_stays(tmp_path):
    out = written(tmp_path / "out", "a")
    (out / "b").write_text("mine")
    with pytest.raises(OutputError, match=r"b, which Clustem did not write.*is in .*out-2"):
        written(out, "a", "b", force=True)
    assert (out / "b").read_text() == "mine"
    assert names(tmp_path / "out-2") == ["a", "b", MANIFEST]


def test_the_input_is_not_taken_away(scan, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        told(["run", scan, "-r", "eds-fuzzy", "-k", "4", "-o", "res"], monkeypatch, capsys)[0] == 0
    )
    shutil.copy(scan, "res/map.hspy")
    shutil.copytree(samples_store(tmp_path), "res/map.zspy")
    for name in ("map.hspy", "map.zspy"):
        args = ["run", f"res/{name}", "-r", "eds-fuzzy", "-k", "4", "-o", "res", "--force"]
        assert told(args, monkeypatch, capsys)[0] == 0
        assert read(f"res/{name}").signal.data.any()
        assert clustem.load("res").n_clusters == 4
    args = ["run", "res/centers.hspy", "-r", "eds-fuzzy", "-k", "4", "-o", "res", "--force"]
    status, line = told(args, monkeypatch, capsys)
    assert status == 2
    assert "must not lie in the result that is replaced" in line


def samples_store(folder):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        samples.eds(shape=(12, 14)).signal.save(folder / "store.zspy")
    return folder / "store.zspy"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "big").mkdir()
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to(tmp_path / "big" / "out")
    written(link, "a")
    assert link.is_symlink()
    assert names(tmp_path / "big" / "out") == ["a", MANIFEST]
    written(link, "b", force=True)
    assert link.is_symlink()
    assert names(link) == ["b", MANIFEST]
    dangling.symlink_to(tmp_path / "big" / "new" / "out")
    written(dangling, "a")
    assert dangling.is_symlink()
    assert entries(tmp_path / "big" / "new") == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_the_second_of_two_runs_is_kept_under_another_name(force, tmp_path):
    first, second = (check_output(tmp_path / "out", force=force) for _ in range(2))
    (tmp_path / "out-2").mkdir()
    with pytest.raises(OutputError, match=r"another run made meanwhile.*is in .*out-3"):  # noqa: PT012, SIM117
        with whole_folder(second, force=False) as b:
            (b / "which").write_text("second")
            with whole_folder(first, force=force) as a:
                (a / "which").write_text("first")
    assert (tmp_path / "out" / "which").read_text() == "first"
    assert (tmp_path / "out-3" / "which").read_text() == "second"
    assert entries(tmp_path) == ["out", "out-2", "out-3"]


CHILD = """
import os, sys, signal
from pathlib import Path
from clustem.io import output_folder
from clustem.io.blockfile import write_blo
from clustem.io.output_folder import check_output, whole_folder
target, at = check_output(sys.argv[1], force=True), int(sys.argv[2])
seen = 0
def counted(name, real):
    def call(*args, **kwargs):
        global seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return call
for name in ("rename", "unlink", "rmdir", "mkdir", "chmod", "write_text"):
    setattr(Path, name, counted(name, getattr(Path, name)))
with whole_folder(target, force=True) as sibling:
    for name in ("a", "b", "c"):
        (sibling / name).write_text("new")
print(seen)
"""


@POSIX
def test_killed_at_each_operation_of_a_save_nothing_is_lost(tmp_path):
    def run(at):
        command = [sys.executable, "-c", CHILD, str(tmp_path / "out"), str(at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    written(tmp_path / "out", "a", "b", "old")
    (tmp_path / "out" / "mine").write_text("mine")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    at = 0
    while True:
        at += 1
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(tmp_path / "before", tmp_path / "out")
        done = run(at)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        with pytest.raises(OutputError, match="must not exist yet"):
            check_output(tmp_path / "out", force=False)  # clears what was left
        assert entries(tmp_path) == ["before", "out"], at
        found = names(tmp_path / "out")
        assert found in (["a", "b", "c", MANIFEST, "mine"], ["a", "b", MANIFEST, "mine", "old"])
        assert (tmp_path / "out" / "mine").read_text() == "mine"
        if done.returncode == 0:
            break
    assert at > 10


@POSIX
def test_others_may_read_a_result(tmp_path):
    assert written(tmp_path / "out", "a").stat().st_mode & 0o777 == 0o755


OPERATIONS = ("rename", "unlink", "rmdir", "mkdir", "chmod", "write_text")


class _FullAt:
    """Raises "no space left" at one of the file operations, and counts them."""

    def __init__(self, at):
        self.at, self.seen = at, 0

    def around(self, real):
        def call(*args, **kwargs):
            self.seen += 1
            if self.seen == self.at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        return call


def _refusal(call):
    try:
        call()
    except OutputError as error:
        return str(error)
    return ""


def test_on_a_disk_that_is_full_at_each_operation_nothing_is_lost(tmp_path):
    out = written(tmp_path / "out", "a", "b", "old")
    (out / "mine").write_text("mine")
    shutil.copytree(out, tmp_path / "before")
    outcomes = set()
    for at in itertools.count(1):
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "before", out)
        full = _FullAt(at)
        with pytest.MonkeyPatch.context() as patch:
            for name in OPERATIONS:
                patch.setattr(type(out), name, full.around(getattr(type(out), name)))
            said = _refusal(lambda: written(out, "a", "b", "c", force=True))
        assert re.search(r"^$|a full disk|No space left", said)
        with pytest.raises(OutputError, match="must not exist yet"):
            check_output(out, force=False)
        assert entries(tmp_path) == ["before", "out"], at
        found = names(out)
        assert found in (["a", "b", "c", MANIFEST, "mine"], ["a", "b", MANIFEST, "mine", "old"])
        outcomes.add((bool(said), "c" in found))
        assert (out / "mine").read_text() == "mine"
        if full.seen < at:
            break
    assert not said
    assert at > 10
    assert (True, False) in outcomes


@POSIX
def test_only_what_dead_processes_left_is_cleared(tmp_path):
    target = check_output(tmp_path / "out", force=False)
    others = [".out.clustem-notes", ".out-12345678", ".other.clustem-12345678"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / ".out.clustem-deadbeef").mkdir()
    (tmp_path / ".out.clustem-deadbeef" / "half").write_text("")
    with whole_folder(target) as sibling:
        (sibling / "a").write_text("")
        check_output(tmp_path / "out", force=False)
        assert (sibling / "a").exists()
    assert entries(tmp_path) == sorted([*others, "out"])


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_is_like_ctrl_c(number, scan, tmp_path):
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "import clustem.report, clustem.recipes; from clustem.cli import main; "
        "import clustem.report.page.write_report as page, time; "
        "from clustem.report.page import save_result; "
        "save_result.write_report = lambda *_, **__: (print('ready', flush=True), time.sleep(60)); "
        "main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", scan, "-r", "eds-fuzzy", "-o", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    assert len(entries(tmp_path)) == 1
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "clustem: stopped; nothing was written."
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 300, "at most"),
        ("x" * 250, "at most"),
        ("new/" + "x" * 300 + "/out", "at most"),
        ("a\0b", "null byte"),
        ("a\udcffb", "UTF-8"),
        ("", "UTF-8"),
    ],
)
def test_names_are_refused_before_computing(name, words, scan, monkeypatch, capsys, tmp_path):  # noqa: PLR0917
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("clustem.recipes.open_scan.open_scan", None)
    status, line = told(["run", scan, "-r", "eds-fuzzy", "-o", name], monkeypatch, capsys)
    if name:  # an empty one is that of the current folder
        assert words in line
    assert status == 2
    assert not list(tmp_path.iterdir())


def test_the_longest_name_works(tmp_path):
    assert names(written(tmp_path / ("ü" * 116), "a")) == ["a", MANIFEST]


def test_a_disk_without_room_is_refused_before_computing(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10**6})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"room for the result.*got 1\.0 MB"):
        check_output(tmp_path / "out", force=False)


def test_room_that_just_suffices_is_enough(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": output_folder._LEAST})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert check_output(tmp_path / "out", force=False) == tmp_path / "out"


@pytest.mark.parametrize("n_bytes", [10, 3 * 2**20])
def test_room_is_tried_with_little_more_than_is_wanted(n_bytes, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr("pathlib.Path.unlink", lambda p: sizes.append(p.stat().st_size))
    check_room(tmp_path, n_bytes)
    assert n_bytes <= sizes[0] <= n_bytes + 2**21


def test_a_folder_that_keeps_what_is_yours_stays_known(tmp_path):
    """What could not be moved to the new result is tried again by the next run."""
    out = written(tmp_path / "out", "a")
    old = written(tmp_path / "old", "a", "b")
    (old / "mine").write_text("mine")
    (out / "mine").write_text("newer")
    output_folder._retire(old, out)
    assert names(old) == [MANIFEST, "mine"]
    assert (out / "mine").read_text() == "newer"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "no permission in"), (errno.EROFS, "Read-only file sys")]
)
def test_a_folder_that_cannot_be_written_is_refused(number, words, tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match=words):
        check_output(tmp_path / "out", force=False)


@POSIX
def test_places_that_no_folder_can_have_are_refused_before_computing(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for place in ("/", tmp_path / "loop"):
        with pytest.raises(OutputError, match="must not exist yet"):
            check_output(place, force=False)
        with pytest.raises(OutputError, match="Only a result folder can be replaced"):
            check_output(place, force=True)


def test_an_empty_folder_is_replaced_only_with_force(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="must not exist yet"):
        written(tmp_path / "out", "a")
    assert names(written(tmp_path / "out", "a", force=True)) == ["a", MANIFEST]


def test_texts_that_no_file_holds_are_cleaned_before_computing(tmp_path):
    signal = samples.eds(shape=(12, 14)).signal
    signal.metadata.General.title = "a\0b \udcff"
    signal.metadata.set_item("General.notes", "c\0")
    signal.axes_manager[0].name = "x\0"
    found = clustem.segment(signal, "eds-fuzzy", n_clusters=2)
    assert clustem.load(found.save(tmp_path / "out")).labels.metadata.General.title == "ab ?"
    assert signal.metadata.General.title == "a\0b \udcff", "the input is not changed"


@POSIX
def test_an_input_whose_name_is_not_utf8_is_refused(scan, tmp_path, monkeypatch, capsys):
    path = os.fsdecode(bytes(tmp_path) + b"/\xff.hspy")
    shutil.copy(scan, path)
    for args in (["info", path], ["run", path, "-r", "eds", "-o", tmp_path / "out"]):
        status, line = told(args, monkeypatch, capsys)
        assert status == 2
        assert "name in UTF-8" in line
    assert len(entries(tmp_path)) == 1


@POSIX
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_letters(encoding, tmp_path):
    signal = hs.signals.Signal1D(np.ones((3, 4, 5)))
    signal.axes_manager[-1].convert_to_non_uniform_axis()  # "…"
    signal.save(tmp_path / "map.hspy")
    env = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    env["PYTHONIOENCODING"] = encoding
    command = [*COMMAND, "info", "map.hspy"]
    done = subprocess.run(command, capture_output=True, check=False, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"uneven, 0 " in done.stdout


def test_what_the_report_refuses_is_refused_before(tmp_path, monkeypatch, capsys):
    signal = hs.signals.Signal1D(np.random.default_rng(0).poisson(5, (2, 2, 3, 4, 50)))
    signal.set_signal_type("EDS_SEM")
    signal.save(tmp_path / "series.hspy")
    monkeypatch.setattr(clustem.core.Segmentation, "save", None)
    args = ["run", tmp_path / "series.hspy", "-r", "eds-fuzzy", "-o", tmp_path / "out"]
    status, line = told(args, monkeypatch, capsys)
    assert status == 2
    assert "one or two axes; got 4 axes" in line


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)


def save_scan(path):
    """Write a scan that no cache holds whole; return the recipe for it."""
    if path.suffix == ".blo":
        write_blo(samples.diffraction(shape=(20, 21), detector=(64, 64)).signal, path)
        return Recipe.named("diffraction")
    signal = samples.eds(shape=(40, 42)).signal
    signal.change_dtype("float32")
    signal.data += np.random.default_rng(0).random(signal.data.shape, dtype="f4") / 64
    if path.suffix == ".npy":
        np.save(path, signal.data)
    else:
        signal.save(path)
    return replace(Recipe.named("eds-fuzzy"), signal="")


@pytest.mark.parametrize("lazy", [True, None])
@pytest.mark.parametrize("harm", ["cut", "removed"])
@pytest.mark.parametrize("kind", ["hspy", "npy", "blo"])
def test_a_file_that_is_harmed_during_a_run_is_one_line(kind, harm, lazy, tmp_path):
    path = tmp_path / f"scan.{kind}"
    recipe = save_scan(path)
    opened = read(path, lazy=lazy, signal_axes=1 if kind == "npy" else None)
    (cut if harm == "cut" else type(path).unlink)(path)
    mapped = kind != "hspy"
    if (harm == "cut" and (mapped or lazy)) or (mapped and lazy):
        with pytest.raises(InputError, match="must all be readable") as error:
            clustem.segment(opened, recipe, n_clusters=2)
        assert len(str(error.value).splitlines()) == 1
    else:  # it is in memory, or still there for who has it open
        assert clustem.segment(opened, recipe, n_clusters=2).n_clusters == 2


def test_a_lazily_read_file_that_is_cut_ends_the_command_in_one_line(tmp_path):
    path = tmp_path / "map.hspy"
    save_scan(path)
    code = (
        "import sys; from pathlib import Path; import clustem.recipes._run as run; "
        "from clustem.cli import main; step = run.Run.step; path = Path(sys.argv[2]); "
        "run.Run.step = lambda *a: (path.open('r+b').truncate(90000), step(*a)); main()"
    )
    command = [sys.executable, "-c", code, "run", path, "-r", "eds-fuzzy", "--lazy", "-o", "out"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, text=True)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert entries(tmp_path) == ["map.hspy"]


def test_a_map_of_zeros_is_refused(tmp_path, monkeypatch, capsys):
    hs.signals.Signal1D(np.zeros((3, 4, 5), dtype=np.uint8)).save(tmp_path / "zeros.hspy")
    hs.signals.Signal1D(np.diag(np.arange(5.0))[:, None]).save(tmp_path / "first.hspy")
    status, line = told(["info", tmp_path / "zeros.hspy"], monkeypatch, capsys)
    assert status == 2
    assert "zeros only" in line
    for lazy in (True, False):
        with pytest.raises(InputError, match="zeros only"):
            read(tmp_path / "zeros.hspy", lazy=lazy)
        assert read(tmp_path / "first.hspy", lazy=lazy).signal.data.shape == (5, 1, 5)
    monkeypatch.setattr("clustem.io.reading._LOOKED", 40)
    assert not read(tmp_path / "zeros.hspy").signal.data.any(), "the search has an end"


def test_info_shows_uneven_axes(tmp_path, monkeypatch, capsys):
    signal = hs.signals.Signal1D(np.ones((3, 4, 5)))
    signal.axes_manager[-1].convert_to_non_uniform_axis()
    signal.axes_manager[-1].axis = np.array([1.0, 2, 4, 8, 16])
    signal.save(tmp_path / "uneven.hspy")
    monkeypatch.setattr(sys, "argv", ["clustem", "info", str(tmp_path / "uneven.hspy")])
    with pytest.raises(SystemExit):
        main()
    assert "uneven, 1 … 16 px" in capsys.readouterr().out


def test_uneven_energy_axes_are_pooled_by_channels(tmp_path):
    signal = samples.eds(shape=(12, 14)).signal
    signal.axes_manager[-1].convert_to_non_uniform_axis()
    assert clustem.segment(signal, "eds", n_clusters=2).n_clusters == 2


def test_features_that_hardly_differ_are_drawn():
    values = np.float32(1) + np.arange(-2, 3, dtype=np.float32) * np.float32(6e-8)
    low, high = limits_of(values)
    assert np.histogram(values, bins=80, range=(low, high))[0].sum() == 5
