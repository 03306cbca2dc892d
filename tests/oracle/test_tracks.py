"""Numbers that stay through a movie, and turns between responses, against what was put in."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import FilterBank, InputError, Segmentation
from clustem.mapping import Tracks
from clustem.mapping._turns import turned_by

ANGLES = np.arange(0, 180, 5.0)


def response(*directions, width=9.0):
    """Two spacings: fringes along each direction, and weaker ones across it."""
    out = np.zeros((2, len(ANGLES)))
    for row, offset in ((0, 0.0), (1, 90.0)):
        for direction in directions:
            away = (ANGLES - direction - offset + 90) % 180 - 90
            out[row] += (1 - 0.4 * row) * np.exp(-0.5 * (away / width) ** 2)
    return out


def frame(clusters, shape=(20, 26)):
    """Clusters as (response, rows, columns), numbered as they come; the first fills the rest."""
    labels = np.zeros(shape, dtype=np.int16)
    for i, (_, rows, columns) in enumerate(clusters):
        if i:
            labels[rows, columns] = i
    centers = hs.signals.Signal2D(np.stack([shown for shown, _, _ in clusters]))
    return Segmentation(
        labels=hs.signals.Signal2D(labels),
        memberships=None,
        centers=centers,
        standard_error=centers,
        counts=np.bincount(labels.ravel(), minlength=len(clusters)),
        mask=np.zeros(shape, dtype=bool),
        points=np.zeros((labels.size, 0), dtype=np.float32),
        about=FilterBank(orientations=ANGLES, wavelengths=np.array([4.0, 3.0]), pixel_size=0.5),
    )


FILM = (np.full((2, 36), 0.02), slice(0), slice(0))
LEFT, RIGHT = (slice(3, 12), slice(2, 9)), (slice(4, 14), slice(14, 24))


@pytest.mark.parametrize("angle", [0.0, 3.3, -7.1, 62.4, 178.6])
def test_a_turn_is_found_to_a_fraction_of_the_step(angle):
    first, second = response(40.0), response(40.0 + angle)
    assert abs((turned_by(first, second) - angle + 90) % 180 - 90) < 0.15


def test_a_turn_is_where_a_slow_search_finds_it():
    rng = np.random.default_rng(4)
    first, second = response(12.0, 71.0), response(44.0, 103.0) + 0.02 * rng.random((2, 36))
    wave, k = np.fft.rfft(first), np.arange(19)

    def turned(angle):  # the band-limited curves through the points, moved
        return np.fft.irfft(wave * np.exp(-2j * np.pi * k * angle / 180), 36)

    turns = np.arange(0, 180, 0.1)
    score = [float((turned(turn) * second).sum()) for turn in turns]
    assert turned_by(first, second) == pytest.approx(turns[int(np.argmax(score))], abs=0.1)


def test_a_turn_is_looked_for_near_where_it_is_expected():
    hexagonal = response(10.0, 70.0, 130.0)
    assert turned_by(hexagonal, response(14.0, 74.0, 134.0), near=0.0) == pytest.approx(4, abs=0.1)
    near = turned_by(hexagonal, response(14.0, 74.0, 134.0), near=60.0)
    assert near == pytest.approx(64, abs=0.1)


def test_numbers_stay_when_sizes_change_their_order():
    tracks = Tracks()
    a, b = (response(170.0), *LEFT), (response(60.0), *RIGHT)
    np.testing.assert_array_equal(tracks.add(frame([FILM, a, b])), frame([FILM, a, b]).labels.data)
    swapped = frame([FILM, (response(64.0), *RIGHT), (response(175.0), *LEFT)])
    labels = tracks.add(swapped)
    assert set(np.unique(labels[LEFT])) == {1}
    assert set(np.unique(labels[RIGHT])) == {2}
    third = frame([(response(68.0), *RIGHT), FILM, (response(180.0), *LEFT)])
    third.labels.data[:] = np.array([1, 0, 2])[third.labels.data]  # background has another number
    third.labels.data[RIGHT] = 0
    labels = tracks.add(third)
    assert [set(np.unique(labels[where])) for where in (LEFT, RIGHT)] == [{1}, {2}]
    np.testing.assert_allclose(tracks.directions[:, 1], [170, 175, 0], atol=0.2)
    np.testing.assert_allclose(tracks.turns[:, 1:], [[0, 0], [5, 4], [10, 8]], atol=0.2)
    assert np.isnan(tracks.directions[:, 0]).all()
    assert tracks.pixels.tolist() == [[20 * 26 - 63 - 100, 63, 100]] * 3
    assert tracks.names == ("background", "lattice 1", "lattice 2")
    assert tracks.pixel_area == 0.25


def test_what_comes_gets_a_new_number_and_what_comes_back_its_own():
    tracks = Tracks()
    a, b = (response(20.0), *LEFT), (response(95.0), *RIGHT)
    tracks.add(frame([FILM, a]))
    assert set(np.unique(tracks.add(frame([FILM, b, a]))[RIGHT])) == {2}
    tracks.add(frame([FILM, a]))
    returned = tracks.add(frame([FILM, (response(97.0), *RIGHT), a]))
    assert set(np.unique(returned[RIGHT])) == {2}
    assert (tracks.pixels > 0)[:, 2].tolist() == [False, True, False, True]
    other = tracks.add(frame([FILM, (response(140.0), slice(16, 20), slice(0, 9)), a]))
    assert set(np.unique(other[16:20, :9])) == {3}
    assert tracks.names == ("background", "lattice 1", "lattice 2", "lattice 3")


def test_numbers_that_stay_are_measured_again():
    tracks = Tracks()
    a, b = (response(20.0), *LEFT), (response(95.0), *RIGHT)
    frames = [frame([FILM, a]), frame([FILM, (response(98.0), *RIGHT), a]), frame([FILM, b])]
    maps = []
    for one in frames:
        labels, number = tracks.add(one), tracks.numbers[-1]
        shown = np.zeros((3, *one.centers.data.shape[1:]))
        shown[number] = one.centers.data
        there = np.bincount(labels.ravel(), minlength=3)
        found = replace(one, labels=hs.signals.Signal2D(labels), counts=there, color_index=())
        maps.append(replace(found, centers=hs.signals.Signal2D(shown)))
    again = Tracks.of(maps)
    np.testing.assert_array_equal(again.pixels, tracks.pixels)
    np.testing.assert_allclose(again.directions, tracks.directions)
    np.testing.assert_allclose(again.turns, tracks.turns)
    np.testing.assert_array_equal(again.background, tracks.background)


def test_excluded_pixels_stay_excluded():
    tracks = Tracks()
    found = frame([FILM, (response(20.0), *LEFT)])
    found.labels.data[0] = -1
    for _ in range(2):
        assert set(np.unique(tracks.add(found)[0])) == {-1}


def test_frames_of_another_shape_are_refused():
    tracks = Tracks()
    tracks.add(frame([FILM, (response(20.0), *LEFT)]))
    with pytest.raises(InputError, match=r"same shape and filters; got \(22, 26, 2, 36\) after"):
        tracks.add(frame([FILM, (response(20.0), *LEFT)], shape=(22, 26)))
