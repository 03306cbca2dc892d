import itertools
from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

from clustem import segment
from clustem.core import Segmentation
from clustem.judge.residuals import Candidate, Excess, Residuals
from clustem.report.figures.example import example
from clustem.report.figures.residual_map import residual_map


def candidate(mask, *, lines=2):
    channels = tuple(Excess((9 + i,), (9.0 + i,), 12.0, 7.0 - i) for i in range(lines))
    center = tuple(np.argwhere(mask).mean(axis=0))
    return Candidate(mask, int(mask.sum()), center, 0, 60, np.zeros(32), 0.3, channels, 40.0, 1e-9)


def on_a_map(n):
    masks = np.zeros((n, 4, 6), dtype=bool)
    for i in range(n):
        masks[i, i % 3 : i % 3 + 2, i % 5 : i % 5 + 2] = True
    found = tuple(candidate(mask, lines=i % 3) for i, mask in enumerate(masks))
    deviance = np.linspace(-2, 9, 24).reshape(4, 6)
    deviance[0, 0] = np.nan
    return Residuals(deviance, found, 0.01, "")


def texts(figure):
    figure.set_dpi(100)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    return [(one.get_text(), one.get_window_extent(renderer)) for one in figure.texts]


@pytest.mark.parametrize("n", [0, 1, 5, 20])
def test_texts_stay_on_the_paper_and_apart(n):
    figure = residual_map(example(), on_a_map(n))
    assert figure.get_figwidth() * 25.4 < 183.5
    found = texts(figure)
    for text, box in found:
        assert box.x0 > -1, text
        assert box.x1 < figure.bbox.x1 + 1, text
        assert box.y0 > -1, text
        assert box.y1 < figure.bbox.y1 + 1, text
    for (text, one), (other, two) in itertools.combinations(found, 2):
        wide = min(one.x1, two.x1) - max(one.x0, two.x0)
        high = min(one.y1, two.y1) - max(one.y0, two.y0)
        assert min(wide, high) < 2, f"{text!r} on {other!r}"


def test_regions_are_numbered_listed_and_outlined():
    figure = residual_map(example(), on_a_map(2))
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert len(ax.collections) == 4  # horizontal and vertical edges of each
    first = ax.collections[0].get_segments() + ax.collections[1].get_segments()
    assert len(first) == 8  # edges around 2 × 2 pixels
    corners = np.concatenate(first)
    assert corners[:, 0].min() == 0
    assert corners[:, 0].max() == 10  # two pixels of 5 nm
    listed = " ".join(text for text, _ in texts(figure))
    assert "2 regions" in listed
    assert "30 % of counts, at 9.00 keV" in listed


def test_a_line_scan_is_drawn_as_a_curve():
    whole = example()
    labels = hs.signals.Signal1D(np.zeros(9, dtype=np.int16))
    line = replace(whole, labels=labels, memberships=None, mask=np.zeros(9, dtype=bool))
    assert isinstance(line, Segmentation)
    mask = np.arange(9) > 6
    figure = residual_map(line, Residuals(np.arange(9.0), (candidate(mask),), 0.01, ""))
    assert len(figure.axes) == 1
    assert len(figure.axes[0].patches) == 2
    for text, box in texts(figure):
        assert box.y0 > -1, text


@pytest.mark.parametrize("rare", [False, True])
def test_a_report_of_counts_says_what_the_map_misses(rare, tmp_path):
    shapes = np.random.default_rng(3).dirichlet(np.ones(60), 3)
    rates = np.where(np.arange(24)[:, None] < 12, 150 * shapes[0], 150 * shapes[1])
    rates = np.repeat(rates[:, np.newaxis], 30, axis=1)
    if rare:
        rates[3:6, 4:7] = 150 * shapes[2]
    signal = hs.signals.Signal1D(np.random.default_rng(4).poisson(rates))
    signal.set_signal_type("EDS_TEM")
    segment(signal, recipe="eds", n_clusters=2).save(tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "residuals.png").stat().st_size > 5000
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What the map misses" in page
    assert ("1 region that no cluster explains: 9 px at (4, 5)" in page) is rare
