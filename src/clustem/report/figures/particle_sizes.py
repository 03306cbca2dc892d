"""Particles on their image, and how large they are."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, ParticleMap, Segmentation, checked
from clustem.judge.regions import Region, RegionStatistics, regions
from clustem.report.layout.extent import frame_of, scan_axes
from clustem.report.layout.maps import BAR, context_images, draw_map, grey_limits, scale_bar
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, INK, Sheet, fitted, styled
from clustem.report.layout.thinned import thinned
from clustem.report.layout.units import pretty, significant, with_units

_EDGE, _LEFT, _BELOW, _TEXT = 1.5, 13.0, 10.5, 14.0
_MAP, _TALLEST, _LEAST = 104.0, 100.0, 52.0
_SIDE = 600  # pixels of the shorter side at least, so that outlines are thin


@checked
@styled
def particle_sizes(segmentation: Segmentation) -> Figure:
    """Draw the outlines of particles on the image, and a histogram of their diameters.

    Parameters
    ----------
    segmentation
        Result of ``mapping.particles``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide.

    Raises
    ------
    InputError
        If the result knows no particles.

    Notes
    -----
    Diameters are those of circles of the same area. The histogram leaves out particles that the
    border of the image cuts; its bins follow Freedman and Diaconis.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> sample = samples.support(shape=(96, 128), n_particles=4, diameter=8.0)
    >>> figure = particle_sizes(segment(sample.signal, "texture"))
    >>> figure.axes[1].get_xlabel()
    'Equivalent diameter (nm)'
    """
    known = segmentation.find(ParticleMap)
    if known is None:
        raise InputError(
            "A result must know its particles", got="none", cure="Map it with mapping.particles."
        )
    found = regions(segmentation)
    inside = _particles(found, known.particles)
    cut = _on_border(found.region_map)
    listed = [found.regions[i] for i in inside]
    whole = [found.regions[i] for i in inside if i not in cut]
    frame = frame_of(scan_axes(segmentation))
    width = min(_MAP, _TALLEST * frame.aspect)
    height = width / frame.aspect
    sheet = Sheet(DOUBLE, max(_EDGE + height + BAR, _LEAST + _TEXT + _BELOW) + _EDGE)
    image = _outlined(thinned(segmentation))
    draw_map(sheet.axes(_EDGE, _EDGE, width, height), image, frame)
    scale_bar(sheet, _EDGE, _EDGE + height, width, frame)
    left = _EDGE + width + _LEFT + 2
    room = DOUBLE - left - 2 * _EDGE
    for i, line in enumerate(_in_words(listed, found, len(listed) - len(whole))):
        sheet.text(left, _EDGE + 2 + 4 * i, fitted(line, room))
    tall = max(min(height - _TEXT - _BELOW + BAR, 70.0), _LEAST)
    ax = sheet.axes(left, _EDGE + _TEXT, room, tall)
    clusters = sorted({region.cluster for region in listed})
    groups = [[r.diameter for r in whole if r.cluster == cluster] for cluster in clusters]
    everything = np.array([diameter for group in groups for diameter in group])
    if everything.size:
        shades = [tuple(palette(segmentation)[cluster]) for cluster in clusters]
        ax.hist(
            groups, bins=_bins(everything).tolist(), stacked=True, color=shades, ec="white", lw=0.4
        )
        ax.axvline(np.median(everything), color=INK, lw=0.7, ls=(0, (3, 2)))
        ax.set_xlim(left=0)
    units = pretty(found.units) or "px"
    ax.set(xlabel=with_units("Equivalent diameter", units), ylabel="Particles per bin")
    ax.locator_params(axis="y", integer=True)
    ax.locator_params(axis="x", nbins=5)
    ax.spines[["top", "right"]].set_visible(False)
    return sheet.figure


def _particles(found: RegionStatistics, particles: NDArray[np.int32]) -> list[int]:
    """Numbers of the regions that are particles; an edit may have made some background."""
    inside = (particles > 0) & (found.region_map >= 0)
    covered = np.bincount(found.region_map[inside], minlength=len(found.regions))
    return [i for i, region in enumerate(found.regions) if covered[i] == region.pixels]


def _on_border(region_map: NDArray[np.int32]) -> set[int]:
    """Regions that the border of the image cuts."""
    sides = (region_map[0], region_map[-1], region_map[:, 0], region_map[:, -1])
    return set(np.concatenate(sides).tolist())


def _outlined(segmentation: Segmentation) -> NDArray[np.float64]:
    """Grey image, enlarged, with the outline of each particle in the color of its cluster."""
    from skimage.segmentation import find_boundaries

    known = segmentation.find(ParticleMap)
    particles = np.zeros((1, 1), dtype=np.int32) if known is None else known.particles
    shape = particles.shape
    grey = [image for _, image, frame in context_images(segmentation) if frame.shape == shape]
    shown = np.asarray(grey[0] if grey else particles > 0, dtype=np.float64)
    low, high = grey_limits(shown)
    factor = max(1, -(-_SIDE // min(shape)))
    large = np.kron(shown, np.ones((factor, factor))) if factor > 1 else shown
    out = np.repeat(((large - low) / (high - low)).clip(0, 1)[..., None], 3, axis=-1)
    numbers = particles.repeat(factor, axis=0).repeat(factor, axis=1)
    labels = segmentation.labels.data.repeat(factor, axis=0).repeat(factor, axis=1)
    line = find_boundaries(numbers, mode="thick") & (numbers > 0) & (labels >= 0)
    out[line] = palette(segmentation)[labels[line], :3]
    return out


def _in_words(listed: list[Region], found: RegionStatistics, cut: int) -> tuple[str, ...]:
    if not listed:
        return ("no particles",)
    middle = significant(float(np.median([region.diameter for region in listed])))
    round_ = float(np.median([region.circularity for region in listed]))
    units = pretty(found.units) or "px"
    number = f"{len(listed)} particle{'s' * (len(listed) > 1)}, median {middle} {units}"
    lines = (number, f"median circularity {round_:.2f}")
    return (*lines, f"histogram without {cut} at the border") if cut else lines


def _bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    edges: NDArray[np.float64] = np.histogram_bin_edges(values, "fd")
    if not 5 <= len(edges) - 1 <= 40:
        edges = np.histogram_bin_edges(values, int(np.clip(len(edges) - 1, 5, 40)))
    return edges
