"""What figures of images show: directions, differences, movies."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError
from clustem.judge import compare
from clustem.report import (
    agreement,
    center_plot,
    colors,
    confusion,
    disagreement,
    ellipses,
    movie_curves,
    orientation_map,
    scatter,
)
from clustem.report.figures.example import example_tracks
from clustem.report.figures.orientation_map import direction_color


def test_fringe_curves_are_the_responses_and_name_the_lattice(cases):
    segmentation = cases["fringes"]()
    figure = center_plot(segmentation)
    assert len(figure.axes) == 4
    for i, ax in enumerate(figure.axes):
        for line, response in zip(ax.lines[:2], segmentation.centers.data[i], strict=True):
            x, y = line.get_data()
            np.testing.assert_array_equal(x, np.arange(0, 181, 5))
            np.testing.assert_allclose(y, np.append(response, response[0]))
        marks = [text.get_text() for text in ax.texts]
        directions = [(13 + 37 * i) % 180] if i else []
        assert marks == [f"{d}°, 0.240 nm" for d in directions]
        assert len(ax.lines) == (2 if i == 0 else 5)  # two curves, two maxima, the direction
        at = [line.get_xdata()[0] for line in ax.lines[4:]]
        np.testing.assert_allclose(at, directions, atol=0.5)
    legend = {text.get_text() for text in figure.texts}
    assert {"0.240 nm", "0.204 nm"} <= legend


def test_facets_have_the_color_of_their_direction_and_a_line_in_the_table(cases):
    segmentation = cases["fringes"]()
    figure = orientation_map(segmentation)
    image = np.asarray(figure.axes[0].images[0].get_array())
    labels = segmentation.labels.data
    for i in range(4):
        expected = direction_color((13 + 37 * i) % 180) if i else (0.93,) * 3
        row, column = np.argwhere(labels == i)[0]
        np.testing.assert_allclose(image[row, column], expected, atol=0.03)
    texts = [text.get_text() for text in figure.texts]
    for words in ("50.0°", "87.0°", "124.0°", "0.240, 0.204", "100 %"):
        assert words in texts, words
    turns = [text for text in texts if text in ("37.0°", "74.0°")]
    assert turns == ["37.0°", "37.0°"]  # 1 beside 2 beside 3
    area = labels[labels == 1].size * 0.06**2
    assert f"{area:.3g}" in texts


def test_confusion_is_in_percent_of_the_truth_under_accuracy_and_f1():
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    found = np.concatenate([np.full(48, 7), [2, 2], np.full(27, 2), [7] * 3, np.full(20, 4)])
    figure = confusion(compare(found, truth), names=("film", "a", "b"))
    cells = np.reshape([float(text.get_text()) for text in figure.axes[0].texts], (3, 3))
    np.testing.assert_allclose(cells, [[96, 4, 0], [10, 90, 0], [0, 0, 100]])
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "Accuracy 95.00 %, macro F1 95.52 %"
    assert [t for t in texts if t in {"7", "2", "4"}] == ["7", "2", "4"]
    figure = confusion(compare(1 - truth.clip(0, 1), truth.clip(0, 1)), color_index=(5, 3))
    keys = [patch.get_facecolor() for patch in figure.artists][-2:]
    np.testing.assert_allclose(keys, colors(6)[[3, 5]])  # matched: found 1, then found 0
    with pytest.raises(InputError, match="room for 24"):
        confusion(compare(np.arange(30), np.zeros(30, dtype=int)))


def test_two_results_without_a_truth_are_a_and_b_as_on_the_command_line():
    a = np.repeat([0, 1, 1, 2], [30, 20, 10, 40])
    b = np.repeat([7, 7, 5, 3], [30, 20, 10, 40])
    comparison = compare(a, b)
    figure = agreement(comparison, color_index=(4, 2, 9))
    cells = np.reshape([float(text.get_text()) for text in figure.axes[0].texts], (3, 3))
    order = [comparison.columns.tolist().index(label) for label in (7, 5, 3)]
    np.testing.assert_allclose(cells, comparison.confusion[:, order], atol=0.05)
    np.testing.assert_allclose(cells.sum(axis=0), 100, atol=0.11)
    texts = [text.get_text() for text in figure.texts]
    assert texts[2:] == ["A 0", "A 1", "A 2", "B 7", "B 5", "B 3"]
    assert not any("truth" in text or "found" in text for text in texts)
    keys = [patch.get_facecolor() for patch in figure.artists]
    np.testing.assert_allclose(keys, [*colors(10)[[4, 2, 9]]] * 2)
    b[a == 1] = np.where(np.arange(len(b))[a == 1] % 3, b[a == 1], 9)  # a cluster without a match
    figure = agreement(compare(a, b), color_index=(4, 2, 9))
    keys = [patch.get_facecolor() for patch in figure.artists]
    np.testing.assert_allclose(keys, colors(10)[[4, 2, 9, 4, 2, 9, 0]])  # as on the map
    with pytest.raises(InputError, match="room for 24"):
        agreement(compare(np.arange(30), np.zeros(30, dtype=int)))


def test_disagreement_shows_the_labels_that_differ():
    truth = np.zeros((6, 9), dtype=int)
    truth[:, 5:] = 3
    found = np.where(truth == 3, 1, 0)
    found[2, 7], truth[0, 0] = 0, -1
    figure = disagreement(found, truth)
    first, second, differ = (np.asarray(ax.images[0].get_array()) for ax in figure.axes)
    palette = colors(2)[:, :3]
    np.testing.assert_allclose(first, palette[found])
    np.testing.assert_allclose(second[1:], palette[(truth == 3).astype(int)][1:])
    np.testing.assert_allclose(differ[2, 7], palette[0])
    np.testing.assert_allclose(differ[0, 0], 1)
    assert len(np.unique(differ.reshape(-1, 3), axis=0)) == 3
    assert "Different: 1.89 %" in [text.get_text() for text in figure.texts]
    with pytest.raises(InputError, match="two-dimensional"):
        disagreement(found[0], found[0])


def test_large_values_stand_with_their_power_of_ten(cases):
    segmentation = cases["flat patterns"]()
    for figure in (scatter(segmentation), ellipses(segmentation)):
        for ax in figure.axes:
            assert "(10\N{SUPERSCRIPT SEVEN} a.u." in ax.get_xlabel()
            assert all(len(text.get_text()) < 6 for text in ax.get_xticklabels())


def test_movie_curves_follow_the_tracks():
    labels = hs.signals.Signal2D(np.zeros((2, 4, 6), dtype=np.int16))
    labels.axes_manager[0].scale, labels.axes_manager[0].units = 0.25, "s"
    tracks = example_tracks()  # one lattice that turns by 10° beside background
    area, direction, turn = (ax.lines for ax in movie_curves(labels, tracks).axes)
    assert len(area) == len(direction) == len(turn) == 1
    np.testing.assert_allclose(area[0].get_data(), [[0, 0.25], tracks.pixels[:, 0]])
    np.testing.assert_allclose(direction[0].get_ydata(), [60, 70], atol=0.1)
    np.testing.assert_allclose(turn[0].get_ydata(), [0, 10], atol=0.1)
