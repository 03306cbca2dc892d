"""The report's folder and page, as a reader and a browser see them."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem.core import OutputError, PatchGrid, Segmentation, Step
from clustem.recipes import Study
from clustem.report import center_plot, write_report
from clustem.report.figures.example import example_frames


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "data", "action") and v]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def written(segmentation, folder, **given):
    files = write_report(segmentation, folder, **given)
    page = (folder / "report.html").read_text(encoding="utf-8")
    return files, page, Page(page)


PLATES = ["phase_map", "centers", "memberships", "scatter", "scree", "unassigned"]


def test_the_report_has_every_file(eds, tmp_path):
    files, _, _ = written(eds, tmp_path)
    assert sorted(str(f.relative_to(tmp_path)) for f in files) == sorted(
        [
            "labels.tif",
            "memberships.tif",
            "centers.hspy",
            *(f"centers/cluster_{i}.msa" for i in range(3)),
            "points.csv",
            "scores.csv",
            "regions.csv",
            *(f"figures/{name}.png" for name in PLATES),
            "report.html",
        ]
    )
    there = {f for f in tmp_path.rglob("*") if f.is_file()}
    assert there == set(files)


def test_the_page_needs_nothing_from_outside(eds, tmp_path):
    files, text, page = written(eds, tmp_path)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    images = {base64.b64decode(address.partition(",")[2]) for address in page.addresses}
    assert images == {f.read_bytes() for f in files if f.suffix == ".png"}
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?:", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_page_says_what_was_found_and_done(eds, tmp_path):
    steps = (
        Step(
            "reduce",
            "pca",
            {"n_components": "auto"},
            masks={"scan": "3 of 308 excluded, 1f2e"},
            found={"n_components": 3, "noise_floor": 0.012345678, "kept": [0.5, 2]},
            version="0.1.0",
            seed=0,
            seconds=0.52,
            note="3 lie above the noise.",
        ),
        Step(
            "cluster", "GustafsonKessel", {"n_clusters": 3}, version="0.1.0", seed=7, seconds=1.25
        ),
    )
    given = replace(
        eds, history=steps, names={0: "quartz"}, scores={"converged": 1.0, "objective": 12.5}
    )
    _, _, page = written(
        given, tmp_path, title="Rock 7", provenance={"Input": "rock.bcf", "scipy": "9.8.7"}
    )
    share = 100 * np.mean(eds.labels.data[~eds.mask] == 0)
    for words in (
        "Rock 7",
        "3 clusters on a map of 14 × 22 positions (305.2 × 378.4 nm)",
        f"the largest, quartz, takes {share:.1f} %",
        "1.3 % are unassigned",
        "reduce.pca(n_components='auto')",
        "3 lie above the noise.",
        "scan mask: 3 of 308 excluded, 1f2e",
        "found: n_components = 3, noise_floor = 0.0123457, kept = [0.5, 2]",
        "seed 7",
        "1.25",
        "converged yes",
        "objective 12.5",
        "rock.bcf",
        "15 keV",
        f"numpy {np.__version__}",
        "scipy 9.8.7",
    ):
        assert words in page.text, words
    assert "Not certain" not in page.text


def test_the_page_warns_of_what_is_not_certain(eds, tmp_path):
    labels = eds.labels.deepcopy()
    labels.data[labels.data == 2] = -1
    labels.data[3, 3] = 2
    doubtful = replace(eds, labels=labels, scores={"converged": 0.0, "certified": 0.0})
    _, _, page = written(doubtful, tmp_path)
    assert "did not converge" in page.text
    assert "not certified" in page.text
    assert "cluster 2 rests on 1 position only" in page.text
    assert "% of the positions are unassigned" in page.text


def test_what_users_write_is_text_not_markup(eds, tmp_path):
    evil = '<script>alert("1")</script>'
    mask, found = {"scan": evil}, {"axis": evil}
    steps = (Step("prepare", "crop", {"name": evil}, masks=mask, found=found, note=evil),)
    given = replace(eds, names={1: evil}, history=steps, scores={evil: 1.0})
    files, text, page = written(given, tmp_path, title=evil, provenance={evil: evil})
    assert "<script" not in text
    assert page.text.count(evil) >= 8
    assert all(re.fullmatch(r"[\w.-]+", f.name) for f in files)


@pytest.mark.parametrize(
    "case", ["patterns", "hard", "line", "one", "values", "context", "flat patterns"]
)
def test_every_kind_of_result_has_a_report(case, cases, tmp_path):
    segmentation = cases[case]()
    files, _, page = written(segmentation, tmp_path, dpi=60)
    names = {f.name for f in files}
    assert ("memberships.tif" in names) == (segmentation.memberships is not None)
    assert ("centers.tif" in names) == (segmentation.centers.data.ndim == 3)
    assert page.tags.count("img") == sum(f.suffix == ".png" for f in files) >= 2


def plates_of(files):
    return [f.stem for f in files if f.suffix == ".png"]


def test_particles_have_directions_and_no_filters_in_the_table(cases, tmp_path):
    found = cases["fringes"]()
    responses = np.ones((found.mask.size, 72), dtype=np.float32)
    files, _, page = written(replace(found, points=responses), tmp_path, dpi=60)
    assert plates_of(files) == ["phase_map", "orientation_map", "centers", "scree"]
    assert "direction of the normal" in page.text
    assert (tmp_path / "points.csv").read_text().splitlines()[0] == "y,x,label"


def test_a_known_truth_is_compared_with(eds, tmp_path):
    truth = np.roll(eds.labels.data, 1, axis=1)
    names = ("oxide", "iron", "calcium")
    files, _, page = written(eds, tmp_path, truth=truth, truth_names=names, dpi=60)
    assert plates_of(files)[-3:] == ["confusion", "reliability", "disagreement"]
    assert "Against the truth" in page.text


def test_a_line_scan_has_no_map_of_what_is_wrong(cases, tmp_path):
    found = cases["line"]()
    files, _, _ = written(found, tmp_path, truth=found.labels.data, dpi=60)
    assert "confusion" in plates_of(files)
    assert "disagreement" not in plates_of(files)


def test_patches_are_shown_beside_other_clusterings(cases, tmp_path):
    line = cases["line"]()
    where = np.stack([np.full(37, 5.0), np.arange(37) + 3.0], axis=1)
    image = np.random.default_rng(0).normal(size=(12, 44))
    patches = PatchGrid(positions=where, image=image, image_scale=np.array([0.1, 0.1]))
    found = replace(line, about=replace(line.about, before=patches))
    files, _, page = written(found, tmp_path, beside={"all dimensions": found}, dpi=60)
    assert plates_of(files)[0] == "image_map"
    assert plates_of(files)[-1] == "split_1"
    assert "This result, all dimensions" in page.text


def test_a_movie_is_a_study_of_its_frames(tmp_path):
    maps = example_frames()
    study = Study(maps, ("time 0 s", "time 0.5 s"), (0.0, 0.5), ("time", "s"))
    study.save(tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    for words in (
        "Movie of 2 frames",
        "1 lattice followed through 2 frames (0 … 0.5 s) of 4 × 6 pixels",
        "lattice 1",
    ):
        assert words in page.text, words
    read = hs.load(tmp_path / "out" / "labels.tif")
    np.testing.assert_array_equal(read.data, study.labels.data)
    assert (read.axes_manager[0].scale, read.axes_manager[0].units) == (0.5, "s")
    table = study.table()
    lattice = table[table["name"] == "lattice 1"]
    np.testing.assert_allclose(lattice["turn"], [0, 10], atol=0.1)
    assert table[table["name"] == "background"]["turn"].isna().all()
    again = clustem.load(tmp_path / "out")
    assert again.tracks.names == study.tracks.names
    np.testing.assert_allclose(again.tracks.turns, study.tracks.turns)
    named = again.relabel({0: "twin"})
    assert named.tracks.names == ("twin", "background")


def test_a_rerun_writes_the_same_report(eds, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write_report(eds, tmp_path / name, dpi=80)
    for file in (tmp_path / "a").rglob("*"):
        if file.is_file() and file.suffix != ".hspy":  # HyperSpy notes the time in its own files
            twin = tmp_path / "b" / file.relative_to(tmp_path / "a")
            assert file.read_bytes() == twin.read_bytes(), file.name


def test_a_result_loaded_without_its_source_has_a_report(eds, tmp_path):
    assert eds.source is None
    _, _, page = written(replace(eds, context=()), tmp_path, dpi=60)
    assert "EDS_SEM" in page.text


def test_folders_that_cannot_be_used_are_refused(eds, tmp_path):
    with pytest.raises(OutputError, match="existing folder"):
        write_report(eds, tmp_path / "missing")
    (tmp_path / "old.txt").write_text("mine")
    with pytest.raises(OutputError, match="empty folder"):
        write_report(eds, tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["old.txt"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["core_shell.hspy", "P45_8bit_compressed_80keV_range.bcf"])
def test_real_maps_have_a_report(data_dir, tmp_path, name):
    loaded = hs.load(data_dir / "real" / name)
    source, images = (loaded[-1], loaded[:2]) if isinstance(loaded, list) else (loaded, [])
    total = source.data.sum(axis=-1, dtype=np.int64)
    labels = np.digitize(total, np.quantile(total, [0.4, 0.9])).astype(np.int16)
    k = 3
    groups = [source.data[labels == i].astype(float) for i in range(k)]
    manager = source.axes_manager
    stack = {"name": "cluster", "size": k, "navigate": True}
    axes = [stack, manager[-1].get_axis_dictionary()]
    metadata = source.metadata.as_dictionary()
    means, errors = (
        type(source)(np.array(values), axes=axes, metadata=metadata)
        for values in (
            [group.mean(axis=0) for group in groups],
            [group.std(axis=0) / np.sqrt(len(group)) for group in groups],
        )
    )
    scan = [{**a.get_axis_dictionary(), "navigate": False} for a in manager.navigation_axes[::-1]]
    segmentation = Segmentation(
        labels=hs.signals.Signal2D(labels, axes=scan),
        memberships=None,
        centers=means,
        standard_error=errors,
        counts=np.array([len(group) for group in groups]),
        mask=np.zeros(labels.shape, dtype=bool),
        points=np.zeros((labels.size, 0), dtype=np.float32),
        source=source,
        context=tuple(images),
    )
    files, _, page = written(segmentation, tmp_path)
    assert source.metadata.General.title in page.text
    expected = {"Fe Kα", "Pt Lα"} if name.startswith("core") else {"Si Kα", "Fe Kα", "Ca Kα"}
    assert expected <= {text.get_text() for text in center_plot(segmentation).texts}
    assert sum(f.suffix == ".msa" for f in files) == k
