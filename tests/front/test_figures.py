"""What figures show: every mark in its place, legible, with units."""

import functools
import itertools
import re
import subprocess
import sys
from dataclasses import replace

import hyperspy.api as hs
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from PIL import Image

from clustem.core import InputError, ParameterError, PCAInfo
from clustem.judge import compare
from clustem.report import (
    Print,
    agreement,
    center_plot,
    colors,
    confusion,
    disagreement,
    ellipses,
    membership_maps,
    movie_curves,
    movie_strip,
    orientation_map,
    phase_map,
    scatter,
    scree,
    split_views,
    unassigned_map,
    write_figures,
)
from clustem.report.figures.example import example_tracks
from clustem.report.layout.sheet import SIZE
from clustem.report.page.plan import plan

CASES = ("eds", "eels", "core loss", "patterns", "line", "hard", "one", "many", "context", "values")
IMAGES = ("fringes", "fringes on an image", "many fringes", "flat patterns")


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


def case_has_planes(segmentation):
    return segmentation.points.shape[1] > 1


@functools.cache
def drawn(make):
    """All figures that a case can fill, each with the texts on it."""
    segmentation = make()
    draws = [phase_map, center_plot, scree, unassigned_map]
    if segmentation.memberships is not None:
        draws.append(membership_maps)
    if segmentation.points.shape[1]:
        draws += [scatter, ellipses] if case_has_planes(segmentation) else [scatter]
    if segmentation.lattice is not None:
        draws.append(orientation_map)
    figures = [draw(segmentation) for draw in draws]
    assert {figure.dpi for figure in figures} == {300}
    for figure in figures:
        figure.set_dpi(100)  # enough to see whether texts collide
    return [(figure, texts_on(figure)) for figure in figures]


def check_texts(figure, artists, case):
    """Texts stay on the paper, apart from each other and legible; the paper fits a journal."""
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
    assert figure.get_figwidth() * 25.4 < 183.5
    assert {artist.get_fontsize() for artist, _ in artists} == {SIZE}


@pytest.mark.parametrize("case", CASES + IMAGES)
def test_texts_are_legible_and_apart_on_paper_that_fits_a_journal(case, cases):
    for figure, artists in drawn(cases[case]):
        check_texts(figure, artists, case)


def comparison(k):
    truth = np.repeat(np.arange(k), 40).reshape(k, 40)
    return compare(np.where(np.arange(40) % 7 == 1, (truth + 1) % k, truth), truth)


def movie_labels(frames, shape=(4, 6)):
    signal = hs.signals.Signal2D(np.zeros((frames, *shape), dtype=np.int16))
    for axis, name, scale in zip(signal.axes_manager._axes, "tyx", (0.25, 2.0, 2.0), strict=True):
        axis.name, axis.scale, axis.units = name, scale, "s" if name == "t" else "nm"
    return signal


OTHERS = {
    "confusion": lambda _: confusion(comparison(6), names=["film", "a rather long name of it"]),
    "small confusion": lambda _: confusion(comparison(2)),
    "large confusion": lambda _: confusion(comparison(24)),
    "agreement": lambda _: agreement(comparison(6), titles=("A", "B")),
    "small agreement": lambda _: agreement(comparison(2)),
    "large agreement": lambda _: agreement(comparison(24)),
    "disagreement": lambda cases: disagreement(cases["eds"](), cases["eds"]().labels.data[::-1]),
    "movie strip": lambda _: movie_strip(
        movie_labels(9), example_tracks(), images={i: np.eye(4, 6) for i in range(9)}
    ),
    "movie curves": lambda _: movie_curves(movie_labels(2), example_tracks()),
    "split views": lambda cases: split_views(cases["patterns"](), cases["patterns"]()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_figures_are_legible(name, cases):
    figure = OTHERS[name](cases)
    figure.set_dpi(100)
    check_texts(figure, texts_on(figure), name)


UNITS = re.compile(
    r"\((keV|eV|nm|%|(10\S+ )?a\.u\..*|°|Å⁻¹|px|number|counts per pixel)\)|[Mm]embership"
)


@pytest.mark.parametrize(
    "case", ["eds", "eels", "core loss", "patterns", "line", "context", *IMAGES]
)
def test_every_axis_has_units(case, cases):
    for figure, _ in drawn(cases[case]):
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


@pytest.mark.parametrize("side", [37, 1000])
def test_a_map_of_any_size_has_the_colors_of_its_clusters_and_no_others(side, eds, tmp_path):
    """Smaller or larger than a dot of the figure, pixels of two colors are not mixed."""
    labels = (np.indices((side, side)).sum(axis=0) % 2).astype(np.int16)
    bare = {"memberships": None, "mask": np.zeros((side, side), dtype=bool)}
    points = np.zeros((side**2, 0))
    figure = phase_map(replace(eds, labels=hs.signals.Signal2D(labels), points=points, **bare))
    figure.savefig(tmp_path / "map.png", dpi=200)
    image = np.asarray(Image.open(tmp_path / "map.png").convert("RGB"))
    left, bottom, width, height = figure.axes[0].get_position().bounds
    high, wide = image.shape[:2]
    top, bottom = round((1 - bottom - height) * high), round((1 - bottom) * high)
    inside = image[top + 3 : bottom - 3, round(left * wide) + 3 : round((left + width) * wide) - 3]
    seen = {tuple(color) for color in inside.reshape(-1, 3).tolist()}
    assert seen == {tuple(color) for color in np.rint(255 * colors(2)[:, :3]).astype(int).tolist()}


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


def test_no_line_without_a_peak_or_above_the_beam_energy(cases):
    silent = cases["eds"](listed=["O", "Si", "Au", "Ti"])
    assert line_names(center_plot(silent)) == {"O Kα", "Si Kα"}
    slow = cases["eds"](beam=5.0)
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


def test_losses_have_a_logarithmic_view_and_a_cut_zero_loss_peak(cases):
    segmentation = cases["eels"]()
    figure = center_plot(segmentation)
    assert [ax.get_yscale() for ax in figure.axes] == ["linear"] * 3 + ["log"]
    assert len(figure.axes[-1].lines) == 3
    assert figure.axes[0].get_ylim()[1] < 100
    assert figure.axes[-1].get_ylim()[1] > 1e4


def test_patterns_are_linear_and_logarithmic_calibrated_and_framed(cases):
    segmentation = cases["patterns"]()
    figure = center_plot(segmentation)
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == 6
    for i, ax in enumerate(panels):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), segmentation.centers.data[i // 2])
        assert isinstance(image.norm, LogNorm) == bool(i % 2)
        np.testing.assert_allclose(image.get_extent(), (-1.45, 1.35, 0.95, -1.05))
    assert panels[0].get_ylabel() == "ky (Å⁻¹)"
    assert panels[1].get_xlabel() == "kx (Å⁻¹)"


def test_scree_shows_shares_floor_and_what_was_kept(eds):
    ax = scree(eds).axes[0]
    shares = 100 * eds.find(PCAInfo).explained_variance_ratio
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
def test_what_is_missing_is_refused_with_a_cure(draw, cases):
    bare = replace(cases["hard"](), about=None)
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
        "from clustem.report.figures.example import example; from clustem.report import phase_map;"
        "before = dict(matplotlib.rcParams); figure = phase_map(example());"
        "figure.savefig(sys.argv[1]); assert dict(matplotlib.rcParams) == before;"
        "assert 'matplotlib.pyplot' not in sys.modules or not __import__('matplotlib.pyplot')"
        ".pyplot.get_fignums(); print(type(figure).__name__)"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout.strip() == "Figure", answer.stderr


@pytest.mark.parametrize(("form", "width"), [("png", 120.0), ("svg", 120.0), ("pdf", None)])
def test_figures_are_printed_as_a_journal_wants_them(form, width, cases, tmp_path, monkeypatch):
    one = cases["one"]()
    first_two = list(plan(one))[:2]
    monkeypatch.setattr(sys.modules[write_figures.__module__], "plan", lambda _: first_two)
    font = "Arial" if form == "svg" else "DejaVu Serif"
    files = write_figures(one, tmp_path, Print(form, width, 200, font, letters=True))
    assert [path.suffix for path in files] == [f".{form}"] * len(files)
    first = files[0].read_bytes()
    if form == "png":
        with Image.open(files[0]) as image:
            image.load()
        assert image.size[0] == pytest.approx(120 / 25.4 * 200, abs=2)
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    elif form == "svg":
        points = float(re.search(rb'width="([\d.]+)pt"', first).group(1))
        assert points == pytest.approx(120 / 25.4 * 72, abs=0.5)
        text = first.decode()
        assert ">a</text>" in text
        assert "Arial" in text
        native = phase_map(one).get_figwidth() * 25.4
        sizes = {float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)}
        assert max(sizes) == pytest.approx(
            (SIZE + 2) * 120 / native, rel=0.01
        )  # the letter grows along
    else:
        assert first.startswith(b"%PDF")
    with pytest.raises(InputError, match="must be installed"):
        write_figures(one, tmp_path, Print("pdf", font="No Such Font"))


@pytest.mark.parametrize("given", [{"width": float("nan")}, {"width": 1e4}, {"dpi": 1e9}])
def test_figures_of_no_size_are_refused(given):
    with pytest.raises(ParameterError, match=r"must be an? (number|integer)"):
        Print(**given)
