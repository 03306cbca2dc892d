"""What a reader sees: colors, figures, and the report's page."""

import base64
import functools
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import hyperspy.api as hs
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.patches import Rectangle

from clustem.model import InputError, OutputError, Projection, Step
from clustem.report import (
    center_plot,
    colors,
    membership_maps,
    phase_map,
    scatter,
    scree,
    unassigned_map,
    write_report,
)

LINES = {"O": [0.5249], "Fe": [6.4039, 7.058, 0.7045], "Si": [1.7397], "Ca": [3.6917, 4.0127]}


def axis(name, size, scale=1.0, units="", offset=0.0, *, navigate=False):
    given = {"name": name, "size": size, "scale": scale, "units": units}
    return {**given, "offset": offset, "navigate": navigate}


def assembled(centers, shape=(14, 22), k=3, *, soft=True, **given):
    """Cluster 0 fills the upper rows, 1 the lower left, the last the lower right corner."""
    labels = np.zeros(shape, dtype=np.int16)
    position = np.indices(shape) / np.reshape(shape, (-1, *[1] * len(shape)))
    for i in range(1, k):
        labels[(position[0] > 0.4) & (position[-1] >= (i - 1) / (k - 1))] = i
    memberships = np.full((k, *shape), 0.3 / max(k - 1, 1), dtype=np.float32)
    np.put_along_axis(memberships, labels[None].astype(int), 0.7, axis=0)
    mask = np.zeros(shape, dtype=bool)
    if soft:
        labels.flat[2:6] = -1
        mask.flat[-3:] = True
        labels[mask] = -1
    scan = [
        axis(n, s, step, "nm")
        for n, s, step in zip("yx"[-len(shape) :], shape, (21.8, 17.2), strict=False)
    ]
    stack = axis("cluster", k, navigate=True)
    kind = hs.signals.Signal2D if len(shape) == 2 else hs.signals.Signal1D
    points = (
        np.random.default_rng(5).normal(size=(int((~mask).sum()), 3)) + 4 * labels[~mask][:, None]
    )
    given = {
        "labels": kind(labels, axes=scan),
        "memberships": kind(memberships, axes=[stack, *scan]) if soft else None,
        "centers": centers,
        "spread": centers._deepcopy_with_new_data(np.full(centers.data.shape, 0.02)),
        "counts": np.bincount(labels[labels >= 0], minlength=k),
        "mask": mask,
        "points": points.astype(np.float32),
        "features": ("PC 1", "PC 2", "PC 3"),
        "details": {
            "explained_variance_ratio": np.geomspace(0.4, 0.001, 12),
            "noise_floor": 0.01,
            "n_components": 3,
        },
        **given,
    }
    return Projection(**given)


def eds_centers(elements=(("O", "Si"), ("O", "Fe"), ("O", "Ca")), *, beam=15.0, listed=None):
    energy = np.arange(500) * 0.02 - 0.1
    spectra = np.full((len(elements), 500), 0.3)
    for spectrum, here in zip(spectra, elements, strict=True):
        for line in itertools.chain.from_iterable(LINES[element] for element in here):
            if line < beam:
                width = np.sqrt(0.130**2 + 0.0025 * (line - 5.8987)) / 2.355
                spectrum[:] += 5 * np.exp(-(((energy - line) / width) ** 2) / 2)
    axes = [axis("cluster", len(elements), navigate=True), axis("Energy", 500, 0.02, "keV", -0.1)]
    signal = hs.signals.Signal1D(spectra, axes=axes)
    signal.set_signal_type("EDS_SEM")
    signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", beam)
    listed = listed or sorted(set(itertools.chain.from_iterable(elements)))
    signal.metadata.set_item("Sample.elements", list(listed))
    signal.metadata.set_item("Signal.quantity", "X-rays (Counts)")
    return signal


def eels_centers(k=3, start=-10.0):
    loss = start + 0.25 * np.arange(300)
    spectra = [
        1e4 * np.exp(-((loss / 0.4) ** 2)) + 50 * np.exp(-(((loss - 20 - 4 * i) / 4) ** 2)) + 1
        for i in range(k)
    ]
    axes = [axis("cluster", k, navigate=True), axis("Energy loss", 300, 0.25, "eV", start)]
    signal = hs.signals.Signal1D(np.array(spectra), axes=axes)
    signal.set_signal_type("EELS")
    return signal


def pattern_centers(k=3):
    y, x = np.mgrid[-10:10, -14:14]
    patterns = [
        1e3 * np.exp(-(x**2 + y**2) / 3) + 40 * np.exp(-((x - 6 - i) ** 2 + (y - 4) ** 2) / 3) + 0.1
        for i in range(k)
    ]
    axes = [
        axis("cluster", k, navigate=True),
        axis("ky", 20, 0.1, "1/Å", -1.0),
        axis("kx", 28, 0.1, "1/Å", -1.4),
    ]
    return hs.signals.Signal2D(np.array(patterns), axes=axes)


def many():
    k = 20
    centers = eds_centers((("O", "Si"), ("O", "Fe")) * (k // 2))
    names = {
        0: "a name that is much longer than any key has room for, by far",
        1: "$x^2$ & <b>",
        2: "石英",
    }
    return assembled(centers, shape=(40, 60), k=k, names=names)


def with_context():
    image = hs.signals.Signal2D(
        np.arange(28 * 44, dtype=np.uint8).reshape(28, 44),
        axes=[axis("y", 28, 10.9, "nm"), axis("x", 44, 8.6, "nm")],
    )
    image.metadata.General.title = "BSE"
    return assembled(eds_centers(), context=(image, image.deepcopy()))


CASES = {
    "eds": lambda: assembled(eds_centers()),
    "eels": lambda: assembled(eels_centers(), shape=(9, 31)),
    "core loss": lambda: assembled(eels_centers(start=100.0), shape=(40, 5)),
    "patterns": lambda: assembled(pattern_centers()),
    "line": lambda: assembled(eds_centers(), shape=(37,)),
    "hard": lambda: assembled(pattern_centers(7), k=7, soft=False, points=np.zeros((308, 0))),
    "one": lambda: assembled(eds_centers((("O", "Si"),)), k=1),
    "many": many,
    "context": with_context,
    "values": lambda: assembled(hs.signals.BaseSignal([5.0, 2.0, 3.0]).T, soft=False),
}  # fmt: skip


@pytest.fixture(scope="module")
def eds():
    return CASES["eds"]()


# colors -------------------------------------------------------------------------------------------

DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
"""Machado, Oliveira, Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291, severity 1."""


def cielab(rgb, seen_by=None):
    """CIELAB (D65) of sRGB colors, as somebody with a dichromacy sees them."""
    rgb = np.asarray(rgb, dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if seen_by is not None:
        linear = np.clip(linear @ np.transpose(seen_by), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = linear @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def least_difference(rgb, seen_by=None):
    lab = cielab(rgb, seen_by)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    return apart[~np.eye(len(lab), dtype=bool)].min()


@pytest.mark.parametrize("seen_by", [None, DEUTERANOPIA, PROTANOPIA])
@pytest.mark.parametrize(("k", "least"), [(5, 24), (10, 20), (20, 12), (24, 12)])
def test_colors_can_be_told_apart_by_all_readers(seen_by, k, least):
    assert least_difference(colors(k)[:, :3], seen_by) > least


def test_the_difference_test_would_notice_a_red_green_pair():
    pair = [to_rgb("#d62728"), to_rgb("#8c7a00")]
    assert least_difference(pair) > 40
    assert least_difference(pair, DEUTERANOPIA) < 12


@pytest.mark.parametrize("seen_by", [None, DEUTERANOPIA, PROTANOPIA])
def test_no_cluster_looks_like_paper_ink_or_unassigned(seen_by):
    others = [to_rgb(code) for code in ("white", "#141414", "#e4e4e4", "#9a9a9a")]
    lab, rest = cielab(colors(24)[:, :3], seen_by), cielab(others, seen_by)
    assert np.linalg.norm(lab[:, None] - rest[None], axis=-1).min() > 8


def test_a_cluster_keeps_its_color_for_every_k():
    longest = colors(60)
    assert longest.shape == (60, 4)
    assert len(np.unique(longest.round(3), axis=0)) == 60
    for k in range(60):
        np.testing.assert_array_equal(colors(k), longest[:k])
    with pytest.raises(InputError, match="at least 0; got -1"):
        colors(-1)


# figures ------------------------------------------------------------------------------------------


def pixels(figure, dpi=150):
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def texts_on(figure):
    """Texts that are really drawn (ticks outside the axes are not), and where [pixels]."""
    renderer, found = figure.canvas.get_renderer(), []
    draw = renderer.draw_text

    def recorded(gc, x, y, text, *rest, mtext=None, **more):
        if text.strip() and mtext is not None:
            found.append((mtext, mtext.get_window_extent(renderer)))
        return draw(gc, x, y, text, *rest, mtext=mtext, **more)

    renderer.draw_text = recorded
    try:
        figure.draw(renderer)
    finally:
        del renderer.draw_text
    return found


@functools.cache
def drawn(case):
    """All figures that a case can fill, each with the texts on it."""
    projection = CASES[case]()
    draws = [phase_map, center_plot, scree, unassigned_map]
    if projection.memberships is not None:
        draws.append(membership_maps)
    if projection.points.shape[1]:
        draws.append(scatter)
    figures = [draw(projection) for draw in draws]
    assert {figure.dpi for figure in figures} == {300}
    for figure in figures:
        figure.set_dpi(100)  # enough to see whether texts collide
    return [(figure, texts_on(figure)) for figure in figures]


@pytest.mark.parametrize("case", CASES)
def test_no_text_overlaps_or_leaves_the_paper(case):
    for figure, artists in drawn(case):
        texts = [(artist.get_text(), box) for artist, box in artists]
        assert len(texts) >= 2
        for text, box in texts:
            assert box.x0 > -1, text
            assert box.y0 > -1, text
            assert box.x1 < figure.bbox.x1 + 1, text
            assert box.y1 < figure.bbox.y1 + 1, text
        for (text, box), (other, its) in itertools.combinations(texts, 2):
            wide = min(box.x1, its.x1) - max(box.x0, its.x0)
            high = min(box.y1, its.y1) - max(box.y0, its.y0)
            assert min(wide, high) < 2, f"{text!r} on {other!r} in {case}"


@pytest.mark.parametrize("case", CASES)
def test_text_is_legible_and_paper_fits_a_journal(case):
    for figure, artists in drawn(case):
        assert figure.get_figwidth() * 25.4 < 183.5
        assert min(artist.get_fontsize() for artist, _ in artists) >= 7


UNITS = re.compile(r"\((keV|eV|nm|%|a\.u\..*|Å⁻¹|px|number|counts per pixel)\)|[Mm]embership")


@pytest.mark.parametrize("case", ["eds", "eels", "core loss", "patterns", "line", "context"])
def test_every_axis_has_units(case):
    for figure, _ in drawn(case):
        labels = {t for ax in figure.axes for t in (ax.get_xlabel(), ax.get_ylabel()) if t}
        for label in labels - {"linear", "logarithmic"}:  # color bars, whose units stand beside
            assert UNITS.search(label), label
        for ax in figure.axes:  # those that share a label lie in one row or column with it
            for ticks, label in ((ax.get_xticklabels(), "x"), (ax.get_yticklabels(), "y")):
                if any(tick.get_text() for tick in ticks if tick.get_visible()):
                    others = [getattr(other, f"get_{label}label")() for other in figure.axes]
                    assert any(others) or any(UNITS.search(t.get_text()) for t in figure.texts)


def test_the_map_shows_each_cluster_where_it_is(eds):
    figure = phase_map(eds)
    image = pixels(figure) / 255
    box = figure.axes[0].get_window_extent()
    rows, columns = eds.labels.data.shape
    palette = colors(3)[:, :3]
    for row, column in itertools.product(range(rows), range(columns)):
        y = int(image.shape[0] - box.y1 + (row + 0.5) / rows * box.height)
        x = int(box.x0 + (column + 0.5) / columns * box.width)
        label, seen = eds.labels.data[row, column], image[y, x]
        if label >= 0:
            np.testing.assert_allclose(seen, palette[label], atol=0.01)
        elif eds.mask[row, column]:
            np.testing.assert_allclose(seen, 1, atol=0.01)
        else:
            assert np.ptp(seen) < 0.02  # a grey
            assert 0.5 < seen[0] < 0.95


def test_the_map_keeps_the_samples_proportions(eds):
    box = phase_map(eds).axes[0].get_window_extent()
    assert box.width / box.height == pytest.approx(22 * 17.2 / (14 * 21.8), rel=1e-3)


@pytest.mark.parametrize(
    ("units", "scales", "text"),
    [
        ("nm", (21.8, 17.2), "100 nm"),
        ("um", (0.5, 0.7), "5 µm"),
        ("nm", (300.0, 400.0), "2 µm"),
        ("Å", (0.3, 0.2), "1 Å"),
        ("", (1.0, 1.0), "5 px"),
        ("<undefined>", (3.0, 3.0), "5 px"),
    ],
)
def test_the_scale_bar_is_as_long_as_it_says(eds, units, scales, text):
    labels = eds.labels.deepcopy()
    for ax, scale in zip(labels.axes_manager.signal_axes[::-1], scales, strict=True):
        ax.scale, ax.units = scale, units
    figure = phase_map(replace(eds, labels=labels))
    (label,) = [t for t in figure.texts if re.fullmatch(r"[\d.]+ (pm|Å|nm|µm|mm|px)", t.get_text())]
    assert label.get_text() == text
    (bar,) = [
        artist
        for artist in figure.artists
        if isinstance(artist, Rectangle) and artist.get_height() * figure.get_figheight() * 25.4 < 1
    ]
    length, unit = text.split()
    in_units = {"nm": 1, "µm": 1000, "Å": 1, "px": 1}[unit]
    width = 22 * (1.0 if unit == "px" else scales[1]) * (1000 if units == "um" else 1)
    drawn_share = bar.get_width() / figure.axes[0].get_position().width
    assert drawn_share == pytest.approx(float(length) * in_units / width, rel=1e-6)


def test_the_key_names_shares_and_the_rest(eds):
    texts = [text.get_text() for text in phase_map(replace(eds, names={1: "quartz $a$"})).texts]
    flat = eds.labels.data[~eds.mask]
    for i, name in enumerate(["cluster 0", "quartz $a$", "cluster 2"]):
        assert name in texts
        assert f"{100 * np.mean(flat == i):.1f} %" in texts
    assert {"unassigned", "excluded"} <= set(texts)


def line_names(figure):
    return {
        t.get_text() for t in figure.texts if re.fullmatch(r"[A-Z][a-z]? [KLM]\S+", t.get_text())
    }


def test_x_ray_lines_are_those_that_the_spectra_show(eds):
    assert line_names(center_plot(eds)) == {
        "O Kα",
        "Fe Lα",
        "Si Kα",
        "Ca Kα",
        "Ca Kβ",
        "Fe Kα",
        "Fe Kβ",
    }


def test_no_line_without_a_peak_or_above_the_beam_energy():
    silent = assembled(eds_centers(listed=["O", "Si", "Au", "Ti"]))
    assert line_names(center_plot(silent)) == {"O Kα", "Si Kα"}
    slow = assembled(eds_centers(beam=5.0))
    assert line_names(center_plot(slow)) == {"O Kα", "Fe Lα", "Si Kα", "Ca Kα", "Ca Kβ"}
    assert center_plot(slow).axes[0].get_xlim()[1] <= 5.0


def test_lines_stand_at_their_energies(eds):
    figure = center_plot(eds)
    ax = figure.axes[0]
    for text, energy in (("Si Kα", 1.7397), ("Fe Kα", 6.4039)):
        (label,) = [t for t in figure.texts if t.get_text() == text]
        left, right = ax.get_xlim()
        box = ax.get_position()
        at = box.x0 + (energy - left) / (right - left) * box.width
        assert label.get_position()[0] == pytest.approx(at, abs=0.01)


def test_the_cascade_draws_the_spectra(eds):
    figure = center_plot(eds)
    energy = eds.centers.axes_manager[-1].axis
    for ax, spectrum, color in zip(figure.axes, eds.centers.data, colors(3), strict=True):
        (line,) = ax.lines
        x, y = line.get_data()
        np.testing.assert_allclose(y, np.interp(x, energy, spectrum), rtol=1e-6)
        np.testing.assert_allclose(ax.collections[0].get_facecolor()[0, :3], color[:3], atol=1e-6)
    assert figure.axes[-1].get_xlabel() == "Energy (keV)"


@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
def test_every_scale_of_the_cascade_can_be_drawn(eds, scale):
    assert pixels(center_plot(eds, scale=scale)).std() > 0


def test_losses_have_a_logarithmic_view_and_a_cut_zero_loss_peak():
    projection = CASES["eels"]()
    figure = center_plot(projection)
    assert [ax.get_yscale() for ax in figure.axes] == ["linear"] * 3 + ["log"]
    assert len(figure.axes[-1].lines) == 3
    assert figure.axes[0].get_ylim()[1] < 100
    assert figure.axes[-1].get_ylim()[1] > 1e4


def test_patterns_are_linear_and_logarithmic_calibrated_and_framed():
    projection = CASES["patterns"]()
    figure = center_plot(projection)
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == 6
    for i, ax in enumerate(panels):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), projection.centers.data[i // 2])
        assert isinstance(image.norm, LogNorm) == bool(i % 2)
        np.testing.assert_allclose(image.get_extent(), (-1.45, 1.35, 0.95, -1.05))
    assert panels[0].get_ylabel() == "ky (Å⁻¹)"
    assert panels[1].get_xlabel() == "kx (Å⁻¹)"


def test_scree_shows_shares_floor_and_what_was_kept(eds):
    ax = scree(eds).axes[0]
    shares = 100 * np.asarray(eds.details["explained_variance_ratio"])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), shares)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), shares[:3])
    assert ax.lines[3].get_ydata()[0] == 1.0
    assert ax.get_legend().texts[0].get_text() == "kept: 3"


def test_scatter_has_a_dot_for_every_point_in_its_clusters_color(eds):
    figure = scatter(eds)
    assert [(ax.get_xlabel()[:4], ax.get_ylabel()[:4]) for ax in figure.axes] == [
        ("PC 1", "PC 2"),
        ("PC 1", "PC 3"),
        ("PC 2", "PC 3"),
    ]
    labels = eds.labels.data[~eds.mask]
    image = figure.axes[0].images[0].get_array()
    left, right, low, high = figure.axes[0].images[0].get_extent()
    side = len(image)
    for i, color in enumerate(colors(3)[:, :3]):
        x, y = np.median(eds.points[labels == i], axis=0)[:2]  # clusters lie far apart
        near = eds.points[labels == i][np.hypot(*(eds.points[labels == i, :2] - (x, y)).T).argmin()]
        row = int((near[1] - low) / (high - low) * side)
        column = int((near[0] - left) / (right - left) * side)
        np.testing.assert_allclose(image[row, column, :3] / 255, color, atol=0.02)
        assert image[row, column, 3] > 150
    assert image[0, 0, 3] == 0


@pytest.mark.parametrize("draw", [membership_maps, scree, scatter])
def test_what_is_missing_is_refused_with_a_cure(draw):
    bare = replace(CASES["hard"](), details={})
    with pytest.raises(InputError, match=r"got .+\. (Use|Put)"):
        draw(bare)


def test_figures_ignore_and_keep_the_users_settings(eds):
    before = pixels(center_plot(eds))
    with mpl.rc_context(
        {"font.size": 30, "lines.linewidth": 9, "text.color": "red", "image.cmap": "jet"}
    ):
        settings = dict(mpl.rcParams)
        np.testing.assert_array_equal(pixels(center_plot(eds)), before)
        assert dict(mpl.rcParams) == settings


def test_a_drawing_leaves_no_state_behind():
    code = (
        "import sys, matplotlib;"
        "from clustem.report._example import example; from clustem.report import phase_map;"
        "before = dict(matplotlib.rcParams); figure = phase_map(example());"
        "figure.savefig(sys.argv[1]); assert dict(matplotlib.rcParams) == before;"
        "assert 'matplotlib.pyplot' not in sys.modules or not __import__('matplotlib.pyplot')"
        ".pyplot.get_fignums(); print(type(figure).__name__)"
    )
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.strip() == "Figure", told.stderr


# the report ---------------------------------------------------------------------------------------


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


def written(projection, folder, **given):
    files = write_report(projection, folder, **given)
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
        Step("reduce", "pca", {"n_components": "auto"}, "0.1.0", 0, 0.52, "3 lie above the noise."),
        Step("cluster", "GustafsonKessel", {"n_clusters": 3}, "0.1.0", 7, 1.25),
    )
    given = replace(
        eds, history=steps, names={0: "quartz"}, scores={"converged": 1.0, "objective": 12.5}
    )
    _, _, page = written(given, tmp_path, title="Rock 7", provenance={"Input": "rock.bcf"})
    share = 100 * np.mean(eds.labels.data[~eds.mask] == 0)
    for words in (
        "Rock 7",
        "3 clusters on a map of 14 × 22 positions (305.2 × 378.4 nm)",
        f"the largest, quartz, takes {share:.1f} %",
        "1.3 % are unassigned",
        "reduce.pca(n_components='auto')",
        "3 lie above the noise.",
        "seed 7",
        "1.25",
        "converged yes",
        "objective 12.5",
        "rock.bcf",
        "15 keV",
        f"numpy {np.__version__}",
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
    steps = (Step("prepare", "crop", {"name": evil}, note=evil),)
    given = replace(eds, names={1: evil}, history=steps, scores={evil: 1.0})
    files, text, page = written(given, tmp_path, title=evil, provenance={evil: evil})
    assert "<script" not in text
    assert page.text.count(evil) >= 6
    assert all(re.fullmatch(r"[\w.-]+", f.name) for f in files)


@pytest.mark.parametrize("case", ["patterns", "hard", "line", "one", "values", "context"])
def test_every_kind_of_result_has_a_report(case, tmp_path):
    projection = CASES[case]()
    files, _, page = written(projection, tmp_path, dpi=60)
    names = {f.name for f in files}
    assert ("memberships.tif" in names) == (projection.memberships is not None)
    assert ("centers.tif" in names) == (projection.centers.data.ndim == 3)
    assert page.tags.count("img") == sum(f.suffix == ".png" for f in files) >= 2


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
    axes = [axis("cluster", k, navigate=True), manager[-1].get_axis_dictionary()]
    metadata = source.metadata.as_dictionary()
    means, errors = (
        type(source)(np.array(values), axes=axes, metadata=metadata)
        for values in (
            [group.mean(axis=0) for group in groups],
            [group.std(axis=0) / np.sqrt(len(group)) for group in groups],
        )
    )
    scan = [{**a.get_axis_dictionary(), "navigate": False} for a in manager.navigation_axes[::-1]]
    projection = Projection(
        labels=hs.signals.Signal2D(labels, axes=scan),
        memberships=None,
        centers=means,
        spread=errors,
        counts=np.array([len(group) for group in groups]),
        mask=np.zeros(labels.shape, dtype=bool),
        points=np.zeros((labels.size, 0), dtype=np.float32),
        source=source,
        context=tuple(images),
    )
    files, _, page = written(projection, tmp_path)
    assert source.metadata.General.title in page.text
    expected = {"Fe Kα", "Pt Lα"} if name.startswith("core") else {"Si Kα", "Fe Kα", "Ca Kα"}
    assert expected <= line_names(center_plot(projection))
    assert sum(f.suffix == ".msa" for f in files) == k
