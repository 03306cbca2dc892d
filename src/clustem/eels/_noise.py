"""How much a recorded intensity scatters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.signal import savgol_coeffs

F64 = NDArray[np.float64]
_SPAN = 11
_BIN = 10


def counting_noise(spectra: list[F64], first: int) -> tuple[float, float]:
    """Measure the variance of intensities: ``gain · mean + floor``.

    Parameters
    ----------
    spectra
        Of each cluster (n, D).
    first
        Channel from which on the spectra are smooth over some channels: beyond the zero-loss peak.

    Returns
    -------
    gain, floor
        1 and 0 for plain counts, the gain 1/N for means of N pixels. 1 and 0 also where there are
        too few channels or spectra to measure.

    Notes
    -----
    Two random spectra of a cluster, brought to the same total, differ by noise and by something
    smooth, which a running cubic over 11 channels takes away. Pairs that were chosen at random
    share no pixels of a pooling window, so pooled spectra are measured right; interpolated ones
    nearly.
    """
    kernel = -savgol_coeffs(_SPAN, 3)
    kernel[_SPAN // 2] += 1
    means, variances = [], []
    for rows in spectra:
        total = rows.sum(axis=1)
        some = rows[total > 0]
        pairs = len(some) // 2
        if pairs < 3 or rows.shape[1] - first < _SPAN + 2 * _BIN:
            continue
        scaled = some[:, first:] * (np.median(total[total > 0]) / total[total > 0])[:, None]
        # neighbours on the scan would share pixels of a pooling window
        apart = (scaled[:pairs] - scaled[pairs : 2 * pairs]) / np.sqrt(2)
        rough = np.apply_along_axis(np.convolve, 1, apart, kernel, "valid")
        middle = scaled[:, _SPAN // 2 : -(_SPAN // 2)].mean(axis=0)
        means.append(_binned(middle))
        variances.append(_binned((rough**2).mean(axis=0) / (kernel**2).sum()))
    if not means:
        return 1.0, 0.0
    mean, variance = np.concatenate(means), np.concatenate(variances)
    good = (variance > 0) & (mean > 0)
    if good.sum() < 2:
        return 1.0, 0.0
    design = np.stack([mean[good], np.ones(good.sum())], axis=1) / variance[good, None]
    (gain, floor), _ = nnls(design, np.ones(good.sum()))
    return float(gain), float(floor)


def _binned(values: F64) -> F64:
    whole = len(values) // _BIN * _BIN
    out: F64 = values[:whole].reshape(-1, _BIN).mean(axis=1)
    return out
