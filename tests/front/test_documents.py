"""What README and CONTRIBUTING show runs as it stands there."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tifffile

from clustem import samples
from clustem.cli import app
from clustem.io.blockfile import write_blo

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "clustem"]
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(document):
    """Python examples of a document, in order."""
    return BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """The package of CONTRIBUTING, as pip would install it, and the environment that finds it."""
    site = tmp_path_factory.mktemp("site")
    files = dict(FILE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    (site / "scratch").mkdir()
    (site / "scratch" / "__init__.py").touch()
    for name, content in files.items():
        (site / name).write_text(content, encoding="utf-8")
    info = site / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    assert len(files) == 4
    return {**os.environ, "PYTHONPATH": str(site)}


def run(*arguments, env, cwd):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_strangers_package_is_found_by_the_command_line(scratch, tmp_path):
    samples.eds(shape=(9, 12)).signal.save(tmp_path / "map.hspy")
    listed = run("recipes", env=scratch, cwd=tmp_path)
    assert "halves" in listed.stdout
    command = ("run", "map.hspy", "-r", "halves", "-k", 3, "-s", "bins=8", "-o", "out")
    found = run(*command, env=scratch, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "8 bins" in found.stdout
    assert (tmp_path / "out" / "report.html").is_file()
    labels = hs.load(tmp_path / "out" / "labels.tif").data
    assert sorted(np.unique(labels)) == [0, 1, 2]
    refused = run(*command[:-2], "-s", "dimmed.factor=0", env=scratch, cwd=tmp_path)
    assert refused.returncode == 2


def test_a_strangers_package_is_found_by_the_explorer(scratch, tmp_path):
    code = (
        "from clustem.app.forms.steps import Steps\n"
        "from clustem.app.session.state import Explorer\n"
        "from clustem.recipes.recipe import Recipe\n"
        "from clustem.samples import eds\n"
        "assert 'halves' in Recipe.fitting(eds(shape=(9, 12)).signal)\n"
        "session = Explorer(None, lambda call: call())\n"
        "session.recipe = Recipe.named('halves')\n"
        "form = str(Steps(session).fields())\n"
        "for name in ('dimmed', 'factor', 'edges', 'bins', 'HalfCut'):\n"
        "    assert name in form, name\n"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, env=scratch, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_the_other_stages_of_contributing(tmp_path):
    space = {}
    exec(blocks("CONTRIBUTING.md")[-1], space)
    from clustem import segment
    from clustem.cluster import KMeans
    from clustem.core import Clustering
    from clustem.describe import spectra

    features = space["halved"](spectra(samples.eds(shape=(9, 12)).signal))
    clustering = Clustering.from_estimator(KMeans(2).fit(features.rows), features)
    named = space["brightest_named"](clustering)
    assert named.name_of(0) == "largest"
    assert space["forget_names"](named).names == {}
    assert 0 < space["with_evenness"](named).scores["evenness"] <= 1
    assert segment(samples.eds(shape=(9, 12)).signal, "eds", n_clusters=4).n_clusters == 4


NAMES = {
    "map.bcf": lambda: samples.eds(shape=(20, 16)).signal,
    "map2.bcf": lambda: samples.eds(shape=(18, 14), random_state=1).signal,
    "core.dm3": lambda: samples.eels(kind="core", shape=(12, 15)).signal,
    "lowloss.dm4": lambda: samples.eels(shape=(8, 30), jitter=0.0).signal,
    "image.dm3": lambda: samples.particles(kind="crystal", shape=(80, 88), diameter=4.0).signal,
    "film.dm3": lambda: samples.domains(shape=(160, 200)).signal,
    "grains.tif": lambda: samples.support(shape=(96, 128), n_particles=4, diameter=8.0).signal,
}
"""Samples in the place of the vendors' files that the README names."""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with all files of the README; vendors' files have another ending there."""
    monkeypatch.chdir(tmp_path)
    for name, make in NAMES.items():
        make().save(Path(name).with_suffix(".hspy"))
    regions = np.zeros((20, 16), dtype=np.uint8)
    regions[2:5, 2:5], regions[12:15, 12:15] = 1, 2
    tifffile.imwrite("regions.tif", regions)
    write_blo(samples.diffraction(shape=(12, 14), dtype="uint8").signal, Path("scan.blo"))
    given = {"kind": "crystal", "shape": (80, 88), "diameter": 4.0}
    stack = [samples.particles(angle=angle, **given).signal.data for angle in (10.0, 13.0)]
    tifffile.imwrite("growth.tif", np.stack(stack), metadata={"axes": "TYX"})
    return tmp_path


def with_samples(text):
    for name in NAMES:
        text = text.replace(name, str(Path(name).with_suffix(".hspy")))
    return text


@pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")
def test_the_python_examples_of_the_readme(files):
    space = {}
    for block in blocks("README.md"):
        exec(with_samples(block), space)
    assert (files / "edited" / "report.html").is_file()
    assert space["again"].n_clusters == 4
    plt.close("all")


def test_the_commands_of_the_readme(files, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.M) if "info" in b)
    commands = [line.partition(" #")[0].split() for line in block.splitlines()]
    assert len(commands) > 12
    for _, *arguments in commands:
        if arguments[0] == "serve":  # the tests of the explorer start it
            continue
        status = app([with_samples(word) for word in arguments], standalone_mode=False)
        assert not status, arguments
    assert "report: result" in capsys.readouterr().out


PAGES = sorted(
    page for page in (ROOT / "docs").glob("*.md") if BLOCK.search(page.read_text("utf-8"))
)
EXPLORER = ROOT / "docs" / "explorer.md"
OF_CLUSTERS = ("dask_jobqueue", "dask_kubernetes")
"""Packages of examples that need a cluster of machines: these are compiled, not run."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_examples_of_docs(page, tmp_path, monkeypatch):
    if page.stem == "learned-descriptors":
        pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    monkeypatch.chdir(tmp_path)
    space = {}
    for block in blocks(page):
        code = compile(block, page.name, "exec")
        if not any(name in block for name in OF_CLUSTERS):
            exec(code, space)
    plt.close("all")


def test_pictures_are_those_that_make_pictures_draws():
    spec = spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    pictures = module_from_spec(spec)
    spec.loader.exec_module(pictures)
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == set(pictures.NAMES)
    shown = "".join(path.read_text("utf-8") for path in (ROOT / "README.md", *PAGES, EXPLORER))
    assert set(re.findall(r"images/([\w.]+)", shown)) == set(pictures.NAMES)


def test_the_version_is_one_everywhere():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    printed = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == wanted
    for name in ("CITATION.cff", "codemeta.json", "packaging/recipe.yaml"):
        found = re.findall(r"^\W*version\W+(\d[\w.]*)", (ROOT / name).read_text(), re.M)
        assert found == [wanted], name


def test_the_recipe_for_conda_has_the_dependencies_of_the_wheel():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "packaging" / "recipe.yaml").read_text()
    there = dict(re.findall(r"^    - ([\w-]+) >=([\w.${} ]+)$", text, re.M))
    other = {"dask": "dask-core", "hyperspy": "hyperspy-base", "matplotlib": "matplotlib-base"}
    for line in project["dependencies"]:
        name, _, least = line.partition(">=")
        name = name.partition("[")[0]
        assert there[other.get(name, name)] == least, line


def test_what_the_page_sends_says_its_licence():
    files = sorted((ROOT / "src" / "clustem" / "app" / "assets").iterdir())
    lines = {path.name: path.read_text("utf-8").partition("\n")[0] for path in files}
    without = [name for name, line in lines.items() if "SPDX-License-Identifier: GPL" not in line]
    assert lines
    assert not without
