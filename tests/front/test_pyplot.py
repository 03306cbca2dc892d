"""Plots and cards of a result, as a script and a notebook show them."""

import base64
import io
import os
import re
import subprocess
import sys
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from clustem import samples, segment
from clustem.core import InputError
from clustem.report import colors, image_map, phase_map
from clustem.report.page.card import card


@pytest.fixture(autouse=True)
def _closed():
    plt.close("all")
    yield
    plt.close("all")


def test_a_plot_is_the_figure_that_pyplot_shows(eds):
    figure = eds.plot()
    assert plt.get_fignums() == [figure.number]
    assert plt.gcf() is figure
    assert figure.canvas.manager is plt.get_current_fig_manager()
    plt.close(figure)
    assert plt.get_fignums() == []


def test_a_script_shows_the_plot():
    code = (
        "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as plt;"
        "from clustem.report.figures.example import example; example().plot();"
        "shown = []; plt.show = lambda: shown.extend(map(plt.figure, plt.get_fignums()));"
        "plt.show(); print(len(shown), len(shown[0].axes), matplotlib.rcParams['figure.dpi'])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stdout.split() == ["1", "1", "100.0"], answer.stderr


def test_a_backend_may_set_itself_up_with_the_first_plot(tmp_path):
    """A notebook's does, and shows no figure any more if what it set is put back."""
    lines = ["from matplotlib import interactive", "from matplotlib.backends.backend_agg import *"]
    (tmp_path / "once.py").write_text("\n".join([*lines, "interactive(True)"]))
    code = (
        "from clustem.report.figures.example import example; example().plot();"
        "import matplotlib; print(matplotlib.is_interactive())"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    env = {**os.environ, "MPLBACKEND": "module://once", "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert answer.stdout.split() == ["True"], answer.stderr


@pytest.mark.parametrize("case", ["eds", "context", "line", "many"])
def test_the_plot_is_that_of_the_report(case, cases):
    result = cases[case]()
    shown, printed = result.plot(), phase_map(result)
    np.testing.assert_allclose(shown.get_size_inches(), printed.get_size_inches())
    for figure in (shown, printed):
        figure.set_dpi(100)
        figure.canvas.draw()
    pixels = [np.asarray(f.canvas.buffer_rgba()) for f in (shown, printed)]
    assert np.mean(np.any(pixels[0] != pixels[1], axis=-1)) < 0.02  # scaled in another order


def test_patches_are_plotted_on_their_image():
    result = segment(samples.domains(shape=(160, 200)).signal, "domains", n_clusters=2)
    shown, printed = result.plot(), image_map(result)
    np.testing.assert_allclose(shown.get_size_inches(), printed.get_size_inches())
    pixels = []
    for figure in (shown, printed):
        figure.set_dpi(100)
        figure.canvas.draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()))
    assert np.mean(np.any(pixels[0] != pixels[1], axis=-1)) < 0.02
    _, ax = plt.subplots()
    result.plot(ax)
    assert ax.images[0].get_array().shape == (160, 200)
    assert sum(len(marks.get_offsets()) for marks in ax.collections) == len(result.labels.data)


def test_plots_leave_the_users_settings(eds):
    before = dict(plt.rcParams)
    eds.plot()
    assert dict(plt.rcParams) == before


def test_a_plot_goes_into_given_axes_in_the_samples_proportions(eds):
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    named = replace(eds, names={1: "quartz $a$"})
    assert named.plot(ax=right) is figure
    assert plt.get_fignums() == [figure.number]
    assert not left.images
    image = np.asarray(right.images[0].get_array())
    rows, columns = eds.labels.data.shape
    step = image.shape[0] // rows
    assert image.shape[:2] == (rows * step, columns * step)
    for i, color in enumerate(colors(3)[:, :3]):
        row, column = np.argwhere(eds.labels.data == i)[0] * step
        np.testing.assert_allclose(image[row, column] / 255, color, atol=0.003)
    figure.canvas.draw()
    box = right.get_window_extent()
    assert box.width / box.height == pytest.approx(22 * 17.2 / (14 * 21.8), rel=1e-3)
    texts = [text.get_text() for text in right.get_legend().texts]
    assert [text.split("  ")[0] for text in texts] == [
        "cluster 0",
        r"quartz \$a\$",
        "cluster 2",
        "unassigned",
        "excluded",
    ]
    (bar,) = [artist for artist in right.artists if hasattr(artist, "size_bar")]
    length = bar.size_bar.get_children()[0].get_width()
    assert bar.txt_label.get_text() == f"{length:g} nm" == "100 nm"


def test_a_line_scan_goes_into_given_axes(cases):
    figure, ax = plt.subplots()
    assert cases["line"]().plot(ax) is figure
    assert ax.get_xlabel() == "x (nm)"
    assert len(ax.get_legend().texts) >= 3


def test_a_plot_goes_into_a_subfigure(eds):
    figure = plt.figure()
    part, _ = figure.subfigures(1, 2)
    assert eds.plot(part.subplots()) is figure


def test_a_refused_plot_leaves_no_empty_window(eds):
    stack = type(eds.labels)(np.zeros((2, 3, 4), dtype=np.int16))
    with pytest.raises(InputError, match="one or two axes"):
        replace(eds, labels=stack, mask=np.zeros((2, 3, 4), dtype=bool)).plot()
    assert plt.get_fignums() == []


def image_on(html):
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@pytest.mark.parametrize("case", ["eds", "line", "hard", "one", "many", "values"])
def test_a_card_shows_map_and_sizes(case, cases):
    result = cases[case]()
    html = card(result)
    assert html == result._repr_html_()
    shades = [f"#{bytes(np.rint(255 * c[:3]).astype(np.uint8)).hex()}" for c in colors(2)]
    for i, shade in enumerate(shades[: result.n_clusters]):
        assert shade in html
        assert (image_on(html) == tuple(bytes.fromhex(shade[1:]))).all(axis=-1).mean() > 0.02
        assert f'<td style="text-align: left">{result.name_of(i).split("$")[0][:9]}' in html
    counts = np.bincount(result.labels.data[result.labels.data >= 0])
    assert f'<td style="text-align: right">{counts[0]}</td>' in html.replace("\N{THIN SPACE}", "")
    assert html.count("<tr>") == 1 + result.n_clusters + result.unassigned.any() + (
        result.mask.any()
    )


def test_a_card_says_k_shape_and_share_in_one_line(eds):
    assert "3 clusters on 14 × 22 positions, 1.3 % unassigned" in card(eds)


def test_a_card_escapes_what_users_wrote(eds):
    html = card(replace(eds, names={0: '<script>alert("1")</script>'}))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_card_opens_no_window_and_shows_no_map_of_three_axes(eds):
    shape = (2, 14, 22)
    stack = type(eds.labels)(np.stack([eds.labels.data] * 2))
    masks = np.broadcast_to(eds.mask, shape)
    html = card(replace(eds, labels=stack, mask=masks, memberships=None))
    assert "3 clusters on 2 × 14 × 22 positions" in html
    assert "<img" not in html
    assert plt.get_fignums() == []
