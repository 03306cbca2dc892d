"""A movie of a turning particle whose truth comes from the atoms."""

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import samples
from clustem.core import InputError
from clustem.recipes import segment_movie


@pytest.fixture(scope="module")
def movie():
    """Three frames of a decahedron that turns by 4° each, and the truth."""
    frames = [
        samples.particles(shape=(104, 120), diameter=5.6, angle=10 + 4.0 * t, random_state=t)
        for t in range(3)
    ]
    axes = [axis.get_axis_dictionary() for axis in frames[0].signal.axes_manager._axes]
    time = {"name": "time", "size": 3, "scale": 0.5, "units": "s", "navigate": True}
    stack = np.stack([frame.signal.data for frame in frames])
    signal = hs.signals.Signal2D(stack, axes=[time, *axes])
    return signal, np.stack([frame.labels for frame in frames])


@pytest.fixture(scope="module")
def found(movie):
    return segment_movie(movie[0].as_lazy())


def test_facets_keep_their_numbers_while_they_turn(movie, found):
    _, truth = movie
    assert found.labels.data.shape == truth.shape
    assert len(found.tracks.names) == 6
    matched = [
        clustem.compare(a, b).matching for a, b in zip(found.labels.data, truth, strict=True)
    ]
    assert matched[0] == matched[1] == matched[2]
    assert clustem.compare(found.labels.data, truth).accuracy > 0.94
    np.testing.assert_allclose(np.diff(found.tracks.turns[:, 1:], axis=0), -4, atol=0.5)
    areas = found.tracks.pixels[:, 1:] * found.tracks.pixel_area
    assert np.abs(areas / areas.mean() - 1).max() < 0.1


def test_all_frames_have_the_same_filters_and_the_recipe_names_them(movie, found):
    waves = found[0].recipe.steps["describe", "gabor"]["wavelengths"]
    assert 2 <= len(waves) <= 3
    assert waves[0] * 0.06 == pytest.approx(0.2354, rel=0.04)
    assert found.labels.axes_manager[0].units == "s"
    np.testing.assert_allclose(found[1].context[0].data, movie[0].data[1])


def test_a_movie_is_a_study(found, tmp_path):
    assert isinstance(found, clustem.Study)
    assert {one.n_clusters for one in found} == {6}
    for number in range(1, 6):  # clusters of all frames have the same mean, turned
        sizes = [one.counts[number] for one in found]
        assert max(sizes) < 1.2 * min(sizes)
    assert found.titles == ("time 0 s", "time 0.5 s", "time 1 s")
    part = found[1:]  # turns are counted from its first frame
    np.testing.assert_allclose(part.tracks.turns[1, 1:], -4, atol=0.5)
    again = clustem.load(part.save(tmp_path / "movie"))
    assert again.at == (0.5, 1.0)
    np.testing.assert_array_equal(again.labels.data, found.labels.data[1:])
    np.testing.assert_allclose(again.tracks.turns, part.tracks.turns, atol=1e-4)
    with pytest.raises(InputError, match=r"made by mapping\.facets"):
        again.apply(found[0].context[0])


def test_a_grain_that_comes_gets_a_number_of_its_own():
    grains = [
        samples.particles(kind="crystal", shape=(72, 76), diameter=3.8, angle=angle).signal.data
        for angle in (10.0, 62.0)
    ]
    film = np.random.default_rng(1).permutation(grains[0][:4].ravel().repeat(18)).reshape(72, 76)
    frames = [np.hstack([grains[0], film]), np.hstack(grains), np.hstack([grains[0], film])]
    found = segment_movie(hs.signals.Signal2D(np.stack(frames)))
    assert found[0].counts[2] == found[2].counts[2] == 0 < found[1].counts[2]
    assert found.tracks.names == ("background", "lattice 1", "lattice 2")
    assert (found.tracks.pixels > 0).tolist() == [[True, True, i == 1] for i in range(3)]


def test_what_is_no_movie_is_refused(movie):
    with pytest.raises(InputError, match="For one image use segment"):
        segment_movie(movie[0].inav[0])
    with pytest.raises(InputError, match=r"needs a recipe with describe\.gabor; got domains"):
        segment_movie(movie[0], "domains")
    axes = movie[0].axes_manager.signal_axes
    finer = movie[0].inav[1].deepcopy()
    finer.axes_manager[0].scale = finer.axes_manager[1].scale = axes[0].scale / 2
    with pytest.raises(InputError, match="must have the same pixel size"):
        clustem.segment([movie[0].inav[0], finer], "particles", n_clusters=4)
    with pytest.raises(InputError, match="takes one image; got a stack of 3"):
        clustem.segment(movie[0], "particles")
