"""Colors that all readers can tell apart."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from clustem.core import InputError
from clustem.report import colors

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
