"""The zero-loss peak of each spectrum, and what is left without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.special import expit

from clustem.core import Signal, checked, like
from clustem.eels._fitted import model_and_labels
from clustem.eels._spectra import Labels, energy_of
from clustem.eels.zero_loss_model import ZeroLossModel

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_PARTS = 6
_SMOOTH = 5
"""The noise of an intensity is that of its mean over so many channels."""

_AT_ONCE = 2**25
"""Spectra are split in blocks of this size [bytes]."""


class Subtraction(NamedTuple):
    """EELS signals of the source's shape, axes and metadata, float32.

    Attributes
    ----------
    zero_loss, zero_loss_low, zero_loss_high
        Median and 68 % band of the zero-loss peak.
    inelastic, inelastic_low, inelastic_high
        What is left of the spectrum, and its 68 % band.
    """

    zero_loss: Signal
    zero_loss_low: Signal
    zero_loss_high: Signal
    inelastic: Signal
    inelastic_low: Signal
    inelastic_high: Signal


@checked
def subtract(
    signal: Signal,
    model: ZeroLossModel | Labels,
    segmentation: Labels | None = None,
    *,
    counting_noise: bool = True,
    memory: Annotated[float, Gt(0)] = 2.0,
) -> Subtraction:
    """Split each spectrum into its zero-loss peak and what was scattered inelastically.

    Parameters
    ----------
    signal
        Low-loss spectrum image with aligned zero-loss peaks, lazy or not.
    model
        A fitted :class:`ZeroLossModel`; or a segmentation or label map, for which one is
        fitted with its defaults (which needs PyTorch).
    segmentation
        Segmentation or label map of this signal, where it is not the one that the model was fitted
        with.
    counting_noise
        Whether the band of the inelastic intensity holds the counting noise of the spectrum, too.
    memory
        Results that take more than this stay lazy [GiB].

    Returns
    -------
    :
        Signals, lazy if the input is or they are large. At positions of no cluster all are zero.

    Raises
    ------
    InputError
        If the signal is not one of spectra along energy, or labels do not fit or name a cluster
        that the model does not know.

    Notes
    -----
    With ``E_0 = (FWHM + E_I)/2``: up to E_0 all intensity is the zero-loss peak's; from E_0 to E_I
    a logistic function of width (E_I - E_0)/10 around their middle leads over to the model, which
    ends at E_II. The model of the cluster is scaled to the core of the spectrum's own peak. The
    zero-loss peak is never above the signal, so the inelastic intensity is never below zero except
    where noise makes the signal itself so.

    **Bands.** Those of the zero-loss peak are the spread of the model (see its notes). Those of
    the inelastic intensity add, in squares, the counting noise that was measured in the spectra
    (``model.noise_``), and may reach below zero: over many positions and energies between
    E_I and E_II, 68 % of them hold the true intensity as far as the extrapolation of the tail is
    unbiased. Without counting noise the band is that of the mean over many positions of a cluster.

    Examples
    --------
    >>> from clustem.samples import eels
    >>> wedge = eels(shape=(8, 30), jitter=0.0)
    >>> model = ZeroLossModel(n_replicas=8, n_epochs=50).fit(wedge.signal, wedge.labels)
    >>> parts = subtract(wedge.signal, model)
    >>> parts.inelastic
    <EELSSpectrum, title: Simulated low losses, dimensions: (30, 8|1200)>
    """
    energy = energy_of(signal)
    model, labels = model_and_labels(signal, model, segmentation)
    tables = _Tables.of(model, energy, noise=counting_noise)
    size = _PARTS * 4 * signal.data.size / 2**30
    lazy = hasattr(signal.data, "dask")
    parts = (
        _lazily(signal.data, labels, tables)
        if lazy or size > memory
        else _at_once(signal.data, labels, tables)
    )
    return Subtraction(*(like(signal, part) for part in parts))


@dataclass(frozen=True)
class _Tables:
    """What the split needs of each cluster (k, D), a row of zeros for no cluster at the end.

    Attributes
    ----------
    core
        Channels of the core of the peak (D,).
    height
        Sum over the core of a typical spectrum (k + 1,).
    share
        Weight of the model, 0 where all is the zero-loss peak's.
    model
        Median and band of the zero-loss peak (3, k + 1, D).
    noise
        Variance of an intensity: over its mean, and where there is none.
    """

    core: NDArray[np.bool_]
    height: F64
    share: F64
    model: F64
    noise: F64

    @classmethod
    def of(cls, model: ZeroLossModel, energy: F64, *, noise: bool) -> _Tables:
        start, end = (edges[:, np.newaxis] for edges in (model.blend_start_, model.onset_))
        share = expit((energy - (start + end) / 2) / ((end - start) / 10))
        share = np.where(energy < start, 0.0, np.where(energy < end, share, 1.0))
        band = np.stack(model.predict(energy))
        none = np.zeros((1, len(energy)))
        return cls(
            np.abs(energy) <= model.reach_,
            np.append(model.height_, 1.0),
            np.nan_to_num(np.concatenate([share, none])),
            np.nan_to_num(np.concatenate([band, np.stack([none] * 3)], axis=1)),
            model.noise_ if noise else np.zeros(2),
        )

    def split(self, spectra: F64, labels: NDArray[np.intp]) -> F32:
        """Split spectra (n, D) with labels (n,) into parts (6, n, D)."""
        height = np.maximum(spectra[:, self.core].sum(axis=1), 0) / self.height[labels]
        share = self.share[labels]
        kept = (1 - share) * spectra
        middle, low, high = (
            kept + share * height[:, np.newaxis] * model[labels] for model in self.model
        )
        mean = np.maximum(uniform_filter1d(spectra, _SMOOTH, axis=1, mode="nearest"), 0)
        variance = share * (self.noise[0] * mean + self.noise[1])
        out = np.empty((_PARTS, *spectra.shape), dtype=np.float32)
        for part, peak in zip(out, (middle, low, high), strict=False):
            part[:] = np.where(share > 0, np.clip(peak, 0, np.maximum(spectra, 0)), spectra)
        out[3] = spectra - out[0]
        out[4] = spectra - middle - np.sqrt((high - middle) ** 2 + variance)
        out[5] = spectra - middle + np.sqrt((middle - low) ** 2 + variance)
        out[:, labels < 0] = 0
        return out


def _at_once(data: Any, labels: NDArray[np.intp], tables: _Tables) -> F32:
    out = np.empty((_PARTS, *data.shape), dtype=np.float32)
    rows, flat = out.reshape(_PARTS, -1, data.shape[-1]), labels.ravel()
    spectra = data.reshape(-1, data.shape[-1])
    step = max(1, _AT_ONCE // (8 * data.shape[-1]))
    for first in range(0, len(flat), step):
        part = slice(first, first + step)
        rows[:, part] = tables.split(spectra[part].astype(np.float64), flat[part])
    return out


def _lazily(data: Any, labels: NDArray[np.intp], tables: _Tables) -> Any:
    import dask.array as da

    def one(block: NDArray[Any], labels: NDArray[np.intp]) -> F32:
        return _at_once(block, labels[..., 0], tables)

    spectra = da.asarray(data).rechunk({-1: -1})
    beside = da.from_array(labels[..., np.newaxis], chunks=(*spectra.chunks[:-1], (1,)))
    return da.map_blocks(
        one,
        spectra,
        beside,
        new_axis=0,
        chunks=((_PARTS,), *spectra.chunks),
        dtype=np.float32,
        meta=np.empty((0,) * (spectra.ndim + 1), np.float32),
    )
