"""Types reach the user: mypy knows what a script gets, and refuses what cannot be."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
from clustem import Recipe, Segmentation, judge, segment, sweep
from clustem.cluster import KMeans
from clustem.core import Features
from clustem.describe import spectra
from clustem.reduce import pca
import numpy as np

result = segment("map.bcf", "eds", n_clusters=4, settings={"cluster.m": 2})
reveal_type(result)
reveal_type(result.labels)
reveal_type(result.merge([0, 1]).unassigned_fraction)
reveal_type(result.recipe)
reveal_type(sweep("map.bcf", "eds", [2, 3])[2])
reveal_type(KMeans(3).fit(np.eye(4)))
features = pca(np.eye(9), n_components=2)
reveal_type(features)
reveal_type(features.names)
reveal_type(judge.choose_k(features, KMeans).k)
reveal_type(result.plot())
reveal_type(segment)
"""
EXPECTED = [
    "clustem.core.segmentation.Segmentation",
    "clustem.core.signal.Signal",
    "float",
    "clustem.recipes.recipe.Recipe | None",
    "clustem.core.segmentation.Segmentation",
    "clustem.cluster.kmeans.k_means.KMeans",
    "clustem.core.features.Features",
    "tuple[str, ...]",
    "int",
    "matplotlib.figure.Figure",
]
WRONG = """
import clustem
import numpy as np
from clustem.reduce import pca
clustem.segment("map.bcf", "eds", clusters=4)
clustem.segmnt("map.bcf", "eds")
pca(np.eye(9), weights="gauss")
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Output of mypy, strict, on two scripts of a user, by their names."""
    folder = tmp_path_factory.mktemp("scripts")
    scripts = {"right.py": SCRIPT, "wrong.py": WRONG}
    for name, source in scripts.items():
        (folder / name).write_text(source)
    # with our own settings, so that what ``make types`` has found is not found again
    settings = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache"]
    command = [sys.executable, "-m", "mypy", *settings, *scripts]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = found.stdout.splitlines()
    return {name: "\n".join(line for line in lines if line.startswith(name)) for name in scripts}


def test_a_script_gets_exact_types(checked):
    found = checked["right.py"]
    revealed = [line.split('"')[1] for line in found.splitlines() if "Revealed type" in line]
    assert revealed[: len(EXPECTED)] == EXPECTED, found
    signature = revealed[-1]
    for part in ("n_clusters", "settings", "lazy", "client", "progress", "Segmentation"):
        assert part in signature
    assert "error" not in found


def test_wrong_calls_are_seen(checked):
    found = checked["wrong.py"]
    assert found.count("error:") == 4, found  # two of the first call: it has two forms
    assert 'Unexpected keyword argument "clusters"' in found
