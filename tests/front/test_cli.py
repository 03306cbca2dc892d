"""The command line as a subprocess, the way a user runs it."""

import os
import signal
import subprocess
import sys
import time
import warnings

import distributed
import hyperspy.api as hs
import numpy as np
import pytest

from clustem import samples
from clustem.cli import main
from clustem.cli._main import _warned

COMMAND = [sys.executable, "-c", "from clustem.cli import main; main()"]


def clustem(*args, cwd, **kwargs):
    return subprocess.run(
        [*COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False, **kwargs
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    sample = samples.eds(shape=(24, 30))
    sample.signal.save(folder / "map.hspy")
    np.save(folder / "truth.npy", sample.labels)
    hs.signals.Signal2D(np.ones((20, 30))).save(folder / "image.hspy")
    (folder / "broken.hspy").write_bytes((folder / "map.hspy").read_bytes()[:5000])
    (folder / "empty.hspy").write_bytes(b"")
    bad = sample.signal.deepcopy()
    bad.change_dtype("float32")
    for name, value in (("nan", np.nan), ("negative", -3)):
        bad.data[3, 4, 5] = value
        bad.save(folder / f"{name}.hspy")
    save_images(folder)
    return folder


def save_images(folder):
    rng = np.random.default_rng(0)
    image = samples.particles(kind="crystal", shape=(64, 72), diameter=3.4).signal
    image.save(folder / "crystal.hspy")
    grey = image.data.astype(np.float32)
    broken = np.where(np.indices(grey.shape).sum(axis=0) == 7, np.nan, grey)
    arrays = {
        "noise": rng.normal(size=(64, 72)),
        "nan_image": broken,
        "stack": np.stack([grey, grey]),
        "nan_stack": np.stack([grey, broken]),
        "cube": rng.normal(size=(2, 3, 20, 24)),
    }
    for name, array in arrays.items():
        hs.signals.Signal2D(array).save(folder / f"{name}.hspy")
    colors = np.clip(grey / grey.max() * np.array([255, 200, 150])[:, None, None], 0, 255)
    np.save(folder / "rgb.npy", np.moveaxis(colors, 0, -1).astype(np.uint8))


def test_run_then_compare_with_the_truth(files, tmp_path, monkeypatch, capsys):
    done = clustem("run", files / "map.hspy", "-r", "eds", "-k", 4, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names >= {
        "labels.tif",
        "memberships.tif",
        "centers.hspy",
        "centers/cluster_0.msa",
        "points.csv",
        "scores.csv",
        "recipe.toml",
        "provenance.json",
        "figures/phase_map.png",
        "report.html",
    }
    assert in_process(["compare", "out", files / "truth.npy"], tmp_path, monkeypatch) == 0
    assert "ARI" in capsys.readouterr().out
    again = ["run", files / "map.hspy", "-r", "out/recipe.toml", "-o", "two"]
    assert in_process(again, tmp_path, monkeypatch) == 0
    assert (out / "labels.tif").read_bytes() == (tmp_path / "two/labels.tif").read_bytes()


BAD = {
    "missing": (["run", "nothing.hspy", "-r", "eds"], "must exist"),
    "truncated": (["run", "broken.hspy", "-r", "eds"], "whole file"),
    "empty": (["run", "empty.hspy", "-r", "eds"], "an empty file"),
    "directory": (["run", ".", "-r", "eds"], "a directory"),
    "no EDS": (["run", "image.hspy", "-r", "eds"], "a signal of type EDS"),
    "NaN": (["run", "nan.hspy", "-r", "eds"], "NaN"),
    "negative": (["run", "negative.hspy", "-r", "eds"], "must be counts"),
    "all masked": (
        ["run", "map.hspy", "-r", "eds", "-s", "prepare.vacuum.threshold=1e9"],
        "left in",
    ),
    "k > n": (["run", "map.hspy", "-r", "eds", "-k", "721"], "number of rows (720); got 721"),
    "k = ato": (["run", "map.hspy", "-r", "eds", "-k", "ato"], "got 'ato'"),
    "k = 0": (["run", "map.hspy", "-r", "eds", "-k", "0"], "at least 1; got 0"),
    "recipe": (["run", "map.hspy", "-r", "edx"], "Did you mean 'eds'"),
    "step": (["run", "map.hspy", "-r", "eds", "-s", "cluster=KMean"], "Did you mean 'KMeans'"),
    "parameter": (
        ["run", "map.hspy", "-r", "eds", "-s", "cluster.n_cluster=3"],
        "Did you mean 'n_clusters'",
    ),
    "setting": (["run", "map.hspy", "-r", "eds", "-s", "k4"], "NAME=VALUE"),
    "option": (["run", "map.hspy", "-r", "eds", "--bogus"], "No such option: --bogus"),
    "command": (["rum"], "No such command 'rum'"),
    "no recipe": (["run", "map.hspy"], "Missing option"),
    "no fringes": (
        ["run", "noise.hspy", "-r", "particles"],
        "shows lattice fringes; got no lattice, for nothing in the image repeats. Use texture",
    ),
    "no fringes anyway": (
        ["run", "noise.hspy", "-r", "particles", "--anyway"],
        "must show lattice fringes; got no spot",
    ),
    "constant": (["run", "image.hspy", "-r", "particles"], "needs contrast; got 1 in all 600"),
    "constant patches": (
        ["run", "image.hspy", "-r", "domains"],
        "needs contrast; got 1 in all 600",
    ),
    "NaN in an image": (["run", "nan_image.hspy", "-r", "particles"], "finite numbers; got 8"),
    "NaN in patches": (["run", "nan_image.hspy", "-r", "domains"], "finite numbers; got 8"),
    "NaN in a frame": (["run", "nan_stack.hspy", "-r", "particles"], "map 2: An image must hold"),
    "stack in a sweep": (
        ["sweep", "stack.hspy", "-r", "particles", "-k", "2:3"],
        "takes one image; got a stack of 2. Segment all of them: clustem run",
    ),
    "four axes": (["run", "cube.hspy", "-r", "particles"], "One image is needed"),
    "patch": (
        ["run", "crystal.hspy", "-r", "domains", "-s", "describe.size=65"],
        "must fit in the image of 64 × 72 pixels; got size=65",
    ),
    "wavelength": (
        ["run", "crystal.hspy", "-r", "particles", "-s", "describe.wavelengths=[1.9]"],
        "wavelengths must be 2 px to half the image, 32 px; got 1.9",
    ),
    "shapes": (["compare", "truth.npy", "other.npy"], "must have the same shape"),
    "no map": (["compare", "truth.npy", "none.tif"], "none.tif"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(files, case, monkeypatch, capsys):
    np.save(files / "other.npy", np.zeros((40, 7), int))
    before = sorted(files.iterdir())
    args, message = BAD[case]
    monkeypatch.chdir(files)
    monkeypatch.setattr(sys, "argv", ["clustem", *args])
    with pytest.raises(SystemExit) as stop:
        main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2, errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert message in errors
    assert sorted(files.iterdir()) == before, "nothing is written"


def in_process(args, folder, monkeypatch):
    """Run the command line here: no second start of the interpreter."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["clustem", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code or 0


def test_colors_are_joined_with_a_note_that_is_seen(files, tmp_path, monkeypatch, capsys):
    args = ["run", files / "rgb.npy", "-r", "particles", "-k", 2, "-o", "out"]
    assert in_process(args, tmp_path, monkeypatch) == 0
    assert "describe.gabor: colors turned to their luminance; fringes of" in capsys.readouterr().out
    args = ["run", files / "rgb.npy", "-r", "domains", "-k", 2, "-o", "patches"]
    args += ["-s", "describe.at=grid", "-s", "describe.size=6"]
    assert in_process(args, tmp_path, monkeypatch) == 0
    assert "describe.patches: colors turned to their luminance" in capsys.readouterr().out


def test_a_stack_is_segmented_as_a_movie(files, tmp_path, monkeypatch, capsys):
    args = ["run", files / "stack.hspy", "-r", "particles", "-k", 2, "-o", "out"]
    assert in_process(args, tmp_path, monkeypatch) == 0
    told = capsys.readouterr().out
    assert told.startswith("a stack of 2 images: segmented as a movie, frame by frame\n")
    assert "lattice 1: in 2 of 2 frames" in told
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").glob("*")}
    assert names == {
        "1_map_1",
        "2_map_2",
        "centers.hspy",
        "figures",
        "labels.tif",
        "manifest.json",
        "recipe.toml",
        "provenance.json",
        "report.html",
        "table.csv",
    }
    assert {p.name for p in (tmp_path / "out" / "figures").iterdir()} == {
        "movie_strip.png",
        "movie_curves.png",
    }
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'href="2_map_2/report.html"' in page
    assert in_process(args, tmp_path, monkeypatch) == 2
    assert "must not exist yet" in capsys.readouterr().err


def test_compare_draws(files, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "found.npy", np.roll(np.load(files / "truth.npy"), 1, axis=0))
    args = ["compare", "found.npy", files / "truth.npy", "-o"]
    assert in_process([*args, "drawn"], tmp_path, monkeypatch) == 0
    assert "accuracy" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert names == {"confusion.png", "disagreement.png"}
    assert in_process([*args, "one.png"], tmp_path, monkeypatch) == 0
    assert (tmp_path / "one_map.png").stat().st_size > 5000
    assert in_process([*args, "one.png"], tmp_path, monkeypatch) == 2
    assert "Figures must not exist yet; got one.png" in capsys.readouterr().err
    assert in_process([*args, "one.png", "--force"], tmp_path, monkeypatch) == 0


def test_an_existing_folder_is_refused_before_any_work(files, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    for extra in ([], ["--force"]):
        done = clustem(
            "run", files / "map.hspy", "-r", "eds", "-o", "out", *extra, cwd=tmp_path, timeout=60
        )
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(files, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    done = clustem("run", files / "map.hspy", "-r", "eds", "-o", "locked/out", cwd=tmp_path)
    assert done.returncode == 2
    assert "no permission" in done.stderr


def test_a_file_where_the_folder_should_be(files, tmp_path):
    (tmp_path / "file").write_text("")
    done = clustem("run", files / "map.hspy", "-r", "eds", "-o", "file/out", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_full_disk_leaves_nothing(files, tmp_path):
    """A limit on the size of files stops the writing half way, as a full disk does."""
    limit = "ulimit -f 40; trap '' XFSZ; exec \"$@\""  # blocks of 512 or 1024 bytes
    run = [*COMMAND, "run", files / "map.hspy", "-r", "eds", "-o", "out"]
    done = subprocess.run(
        ["sh", "-c", limit, "sh", *map(str, run)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Free some space" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_nothing_and_exits_130(tmp_path):
    code = (  # a runner in the background has SIGINT ignored, and children inherit that
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "import clustem.report, clustem.recipes, clustem.samples; from clustem.cli import main; "
        "print('ready', flush=True); main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "demo", "eds", "-o", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "clustem: stopped; nothing was written."
    assert not list(tmp_path.iterdir())


def in_a_destructor(**_):
    class Interrupted:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    Interrupted()  # Python prints and drops what it raises
    for _ in range(200):
        time.sleep(0.1)


def behind_another_error(**_):
    raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()


@pytest.mark.parametrize("app", [in_a_destructor, behind_another_error])
def test_ctrl_c_is_not_lost(app, monkeypatch, capsys):
    monkeypatch.setattr("clustem.cli._main.app", app)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # "ignored" in jobs of nohup
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    started = time.monotonic()
    with pytest.raises(SystemExit, match="130"):
        main()
    assert time.monotonic() - started < 10
    assert capsys.readouterr().err.strip() == "clustem: stopped; nothing was written."
    signal.signal(signal.SIGINT, before)


def test_info_and_recipes(files, monkeypatch, capsys):
    def told(*args):
        assert in_process(args, files, monkeypatch) == 0
        return capsys.readouterr().out

    about = told("info", files / "map.hspy")
    assert "24 × 30 × 1024 uint16" in about
    assert "keV" in about
    assert "recipe: eds" in about
    assert "eds" in told("recipes")
    assert "[cluster.MultinomialMixture]" in told("recipes", "eds")
    assert "default 4" in told("recipes", "eds", "--parameters")


def test_sweep(files, tmp_path, monkeypatch, capsys):
    given = ["sweep", files / "map.hspy", "-r", "eds", "-k"]
    assert in_process([*given, "2:3", "-o", "out"], tmp_path, monkeypatch) == 0
    assert "recommended: k = " in capsys.readouterr().out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {
        "k02",
        "k03",
        "k_choice.csv",
        "k_choice.png",
        "lineage.png",
        "manifest.json",
        "maps.png",
        "sweep.csv",
    }
    assert (tmp_path / "out/k03/report.html").is_file()
    assert in_process([*given, "2-3"], tmp_path, monkeypatch) == 2
    assert "Write -k 2:10" in capsys.readouterr().err


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom clustem.cli import main\nsys.argv = ['clustem', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'hyperspy', 'sklearn', 'numba', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout


def test_only_notes_for_users_are_shown(capsys):
    class VisibleDeprecationWarning(UserWarning):
        """Like those of HyperSpy and NumPy."""

    _warned("import it from elsewhere", VisibleDeprecationWarning)
    assert not capsys.readouterr().err
    _warned("a color\nimage", UserWarning)
    assert capsys.readouterr().err == "clustem: note: a color image\n"


@pytest.mark.parametrize("suffix", ["hdf5", "h5"])
def test_a_file_that_several_readers_know_is_opened_by_the_one_that_can(
    suffix, tmp_path, monkeypatch, capsys
):
    samples.eds(shape=(5, 6)).signal.save(tmp_path / "map.hspy")
    name = f"map.{suffix}"
    (tmp_path / "map.hspy").rename(tmp_path / name)
    command = ["info", name]
    if suffix == "h5":  # not an ending of HyperSpy's own files: the reader must be named
        assert in_process(command, tmp_path, monkeypatch) == 2
        command += ["--reader", "HSPY"]
    assert in_process(command, tmp_path, monkeypatch) == 0
    assert "5 × 6 × 1024" in capsys.readouterr().out


def test_an_unknown_reader_is_refused(tmp_path, monkeypatch, capsys):
    samples.eds(shape=(5, 6)).signal.save(tmp_path / "map.hspy")
    assert in_process(["info", "map.hspy", "--reader", "HSPI"], tmp_path, monkeypatch) == 2
    assert "Did you mean 'HSPY'" in capsys.readouterr().err


def test_compare_says_that_a_path_does_not_exist(tmp_path, monkeypatch, capsys):
    assert in_process(["compare", "no", "none"], tmp_path, monkeypatch) == 2
    assert "must exist; got no." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "Leave one out"),
        (["--scheduler", "nowhere"], "The scheduler must answer"),
    ],
)
def test_workers_that_cannot_be_had_are_said_so(given, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples.eds(shape=(8, 9)).signal.save("map.hspy")
    monkeypatch.setattr(sys, "argv", ["clustem", "run", "map.hspy", "-r", "eds", *given])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["map.hspy"]
    with pytest.raises(ValueError, match="No client"):  # what comes later would wait for it
        distributed.default_client()
