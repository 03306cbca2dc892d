"""Colors that all readers can tell apart, on white and on the dark page."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from clustem.app import ASSETS
from clustem.core import InputError
from clustem.report import colors

SEEN_BY = {
    "all": None,
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Machado, Oliveira, Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291, severity 1."""
GREYS = ("white", "#141414", "#e4e4e4", "#9a9a9a")


def linear(rgb):
    rgb = np.asarray(rgb, dtype=float)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def cielab(rgb, seen_by):
    if SEEN_BY[seen_by] is None:
        return rgb2lab(np.asarray(rgb, dtype=float))
    seen = np.clip(linear(rgb) @ np.transpose(SEEN_BY[seen_by]), 0, 1)
    return rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))


def differences(first, second, seen_by):
    return deltaE_ciede2000(cielab(first, seen_by)[:, None], cielab(second, seen_by)[None])


def least_difference(rgb, seen_by):
    return differences(rgb, rgb, seen_by)[~np.eye(len(rgb), dtype=bool)].min()


def contrast(rgb, other):
    light = [linear(color) @ [0.2126, 0.7152, 0.0722] + 0.05 for color in (rgb, other)]
    return np.maximum(*light) / np.minimum(*light)


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize(("k", "least"), [(3, 12.5), (8, 12), (16, 5), (24, 4.5)])
def test_colors_can_be_told_apart_by_all_readers(seen_by, k, least):
    assert least_difference(colors(k)[:, :3], seen_by) > least


def test_the_difference_test_would_notice_a_red_green_pair():
    pair = [to_rgb("#d62728"), to_rgb("#8c7a00")]
    assert least_difference(pair, "all") > 25
    assert least_difference(pair, "deuteranopia") < 12


@pytest.mark.parametrize("seen_by", SEEN_BY)
def test_no_cluster_looks_like_paper_ink_or_unassigned(seen_by):
    greys = [to_rgb(code) for code in GREYS]
    assert differences(colors(8)[:, :3], greys, seen_by).min() > 9
    assert differences(colors(24)[:, :3], greys, seen_by).min() > 8


def test_colors_are_seen_on_white_and_on_the_dark_page():
    dark = (ASSETS / "page.css").read_text(encoding="utf-8").partition("dark")[2]
    pages = re.findall(r"--(?:page|plate): (#\w+)", dark)
    assert len(pages) == 2
    for page in ("white", *pages):
        assert contrast(colors(24)[:, :3], to_rgb(page)).min() >= 3
    assert contrast(np.array([to_rgb("#8c2f45")]), to_rgb(pages[1])).min() < 3  # would notice


def test_a_cluster_keeps_its_color_for_every_k():
    longest = colors(60)
    assert longest.shape == (60, 4)
    assert len(np.unique(longest.round(3), axis=0)) == 60
    for k in range(60):
        np.testing.assert_array_equal(colors(k), longest[:k])
    with pytest.raises(InputError, match="at least 0; got -1"):
        colors(-1)
