"""Turn the values of a detector into counts, where they are counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    InputError,
    Masks,
    ParameterError,
    Signal,
    like,
    preparation,
    record,
    warn,
)
from clustem.core.masks import fitting_mask
from clustem.passes.chunks import lazily
from clustem.passes.rows import Rows
from clustem.prepare._photon_transfer import (
    Noise,
    Sample,
    noise_of,
    sample_pairs,
    without_wandering,
)
from clustem.prepare._signal import NET, require_numbers, require_scan

_UNITY = 0.05
"""A gain of integers that differs from 1 by less is 1, or by less than three standard errors."""

_LATTICE = 0.1
"""A gain that differs from the distance of the values by less, relative, is that distance."""

_MISFIT = 0.25
"""Largest relative deviation of the variance from the line."""

_COUNTED = 0.2
"""Least share of the variance that must come from counts."""

_ERROR = 0.2
"""Largest relative standard error of a gain that can be used."""

_DOUBT = 0.1
"""Relative deviation from which on a peak may wander."""

_UNSURE = 0.12
"""Least relative error of a gain where a peak wanders: it reaches farther than what is left out."""

_DEEP = 8.0
"""A value so many times the read noise below the offset is none of a detector's."""

_EQUAL = 1e-4
"""Totals that scatter less, relative, were made equal."""

_LARGEST = float(np.finfo(np.float32).max)
"""Squares of the products of larger values are infinite."""

_MOST = 2.0**53
"""More counts than this are not told apart by float64."""

_CURE = (
    "Leave out prepare.counts and take steps for any values (cluster.GaussianMixture), as the "
    "recipes eels-shape and eds-fuzzy do; or give the raw file."
)


@preparation(kind="geometry")
def counts(
    signal: Signal,
    *,
    gain: Annotated[float, Gt(0)] | Literal["auto"] = "auto",
    offset: float | Literal["auto"] = "auto",
    in_doubt: Literal["refuse", "take"] = "refuse",
    masks: Masks = NO_MASKS,
) -> Signal:
    """Turn values into counts: whole numbers whose variance is their mean.

    Parameters
    ----------
    signal
        Scan of spectra or patterns, lazy or not.
    gain
        Signal per count [units of the data]; ``"auto"`` finds it from the noise.
    offset
        Signal without counts [units of the data]; ``"auto"`` looks for it.
    in_doubt
        Integers of at least 0 that do not look like counts are refused, or taken as counts of gain
        1 with a warning: X-rays are counted one by one.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: not looked at. Of the signal:
        boolean, shape of one spectrum or pattern, True = channels that are not looked at.

    Returns
    -------
    :
        Signal with the same axes. Integers of gain 1 keep their data, others are divided by the
        gain and rounded to the smallest unsigned integers that hold them, lazy if the input is.

    Raises
    ------
    InputError
        If there are no 16 pairs of neighbouring positions, values are missing, none could be a
        count with this gain or offset, or they are no counts: they are constant, normalised, net
        of a background, more negative than read noise, or their variance does not rise in line
        with the mean.

    Notes
    -----
    Photon transfer: variance = gain x (mean - offset) + read noise². Both come from up to 20,000
    pairs of neighbouring positions, in bins of the mean; what all channels of a pair have in
    common, such as thickness and drift, cancels. With read noise, the offset comes from the lowest
    values, and is right only where some channels hold hardly any counts; the gain does not
    depend on that. A peak that wanders from position to position, as the zero-loss peak does, looks
    like noise; where the line does not fit, channels of more than twice the variance of most are
    left out, up to a third of them. If that does not help, give the gain.
    A pass over all positions looks for the largest value where values are converted.

    References
    ----------
    J. R. Janesick, Photon Transfer (SPIE Press, 2007), chapters 4 and 5.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> electrons = np.random.default_rng(0).poisson(7, (20, 30, 40))
    >>> found = counts(hs.signals.Signal1D(0.25 * electrons))
    >>> found.data.dtype, bool((found.data == electrons).all())
    (dtype('uint8'), True)
    """
    scan = require_scan(signal, "A conversion to counts", cure="Give a scan, not one spectrum.")
    require_numbers(signal, "A conversion to counts")
    if signal.metadata.get_item(NET, default=False):
        raise _no_counts("a signal without background: its noise is that of all counts")
    inner = signal.data.shape[len(scan) :]
    left_out = fitting_mask(masks.scan, scan, "scan")
    channels = np.flatnonzero(~fitting_mask(masks.signal, inner, "signal"))
    rows = Rows(signal.data, row_ndim=len(inner), mask=left_out if left_out.any() else None)
    try:
        noise = _noise(_pairs(rows, left_out, channels), gain, offset)
    except ParameterError:
        raise  # no matter of doubt
    except InputError as error:
        whole = rows.dtype.kind in "bui" and _extremes(rows, channels)[0] >= 0
        if in_doubt == "refuse" or not whole:
            raise
        warn(f"Whole numbers are taken as counts of gain 1, in doubt. {error}")
        record("taken as counts of gain 1, in doubt", gain=1.0, offset=0.0)
        return like(signal, signal.data)
    record(
        _in_words(noise),
        gain=noise.gain,
        gain_error=noise.error,
        read_noise=noise.read_noise,
        offset=noise.offset,
    )
    unit = noise.gain == 1 and noise.offset == 0
    if unit and rows.dtype.kind in "bu":
        return like(signal, signal.data)
    lowest, highest = _extremes(rows, channels)
    _require_noise(lowest, highest, noise)
    if unit and rows.dtype.kind == "i" and lowest >= 0:
        return like(signal, signal.data)
    return like(signal, _converted(signal.data, noise, (highest - noise.offset) / noise.gain))


def _pairs(rows: Rows, left_out: NDArray[np.bool_], channels: NDArray[np.intp]) -> Sample:
    """Load pairs of neighbours; refuse what says nothing of noise."""
    sample = sample_pairs(rows, left_out, channels)
    if sample is None:
        raise InputError(
            "A gain is found from at least 16 pairs of neighbouring positions",
            got=f"fewer in a scan of {left_out.shape}",
            cure="Give more of the scan.",
        )
    if not all(np.isfinite(values).all() for values in (sample.one, sample.two)):
        raise _missing()
    if not sample.one.shape[1]:
        raise _no_counts("values that are the same at all positions")
    highest = float(np.abs(sample.values.astype(np.float64)).max())
    if highest > _LARGEST:
        raise _no_counts(f"values up to {highest:.4g}")
    if rows.dtype.kind == "f":
        _refuse_normalized(sample)
    return sample


def _refuse_normalized(sample: Sample) -> None:
    lengths = [np.linalg.norm(x.astype(np.float64), axis=1) for x in (sample.one, sample.two)]
    measures = {
        "totals": sample.totals,
        "largest values": sample.maxima.astype(np.float64),
        "norms": np.concatenate(lengths),
    }
    for name, values in measures.items():
        if values.std() <= _EQUAL * abs(values.mean()) and sample.one.shape[1] > 1:
            raise _no_counts(f"normalised values: the {name} of all positions are equal")


def _noise(sample: Sample, gain: float | Literal["auto"], offset: float | Literal["auto"]) -> Noise:
    """Find gain, read noise and offset; refuse what is no noise of counts."""
    known = None if offset == "auto" else offset
    _require_of_this_detector(sample, None if gain == "auto" else gain, known)
    if gain != "auto":
        return noise_of(sample, gain=gain, offset=known)
    found = noise_of(sample, offset=known)
    if not found.gain > 0 or found.misfit > _DOUBT:
        rest = without_wandering(sample)
        other = noise_of(rest, offset=known)
        if other.gain > 0 and (not found.gain > 0 or other.misfit < found.misfit):
            sample, found = rest, replace(other, error=max(other.error, _UNSURE * other.gain))
    if not found.gain > 0:
        raise _no_counts("a variance that does not rise with the mean")
    if found.misfit > _MISFIT:
        raise _no_counts(
            f"a variance that is not linear in the mean: {100 * found.misfit:.0f} % off in parts "
            "of the channels",
            " A peak that wanders over the scan does that to counts, too: then give the gain.",
        )
    if found.counted < _COUNTED:
        raise _no_counts(f"{100 * (1 - found.counted):.0f} % of the variance not from counts")
    return _rounded(found, sample)


def _require_of_this_detector(sample: Sample, gain: float | None, offset: float | None) -> None:
    """Refuse a known gain or offset with which no value could be counts."""
    lowest, highest = float(sample.values[0]), float(sample.values[-1])
    zero = min(lowest, 0.0) if offset is None else offset
    if not 0 < highest - zero <= _MOST * (highest - lowest):
        raise ParameterError(
            "An offset must be the value where there are no counts",
            got=f"{zero:.4g} for values from {lowest:.4g} to {highest:.4g}",
            cure='Give what the detector gives without a beam, or offset="auto".',
        )
    if gain is not None and not gain <= highest - zero <= _MOST * gain:
        raise ParameterError(
            "A gain must be the signal of one count",
            got=f"{gain:.4g}, with which values up to {highest:.4g} are "
            f"{(highest - zero) / gain:.2g} counts",
            cure='Give it in the units of the data, or gain="auto".',
        )


def _rounded(found: Noise, sample: Sample) -> Noise:
    """Take the exact gain where the values show it."""
    first = float(sample.values[0])
    integers = sample.one.dtype.kind in "bui"
    near = max(3 * found.error, _UNITY)
    if integers and abs(found.gain - 1) <= near:
        return replace(found, gain=1.0, offset=float(np.round(found.offset)))
    if found.step and abs(found.gain - found.step) <= max(3 * found.error, _LATTICE * found.step):
        if integers and found.step == 1:
            return found
        offset = first + found.step * np.round((found.offset - first) / found.step)
        return replace(found, gain=found.step, offset=float(offset))
    if found.error > _ERROR * found.gain:
        raise _no_counts(f"a gain of {found.gain:.3g} ± {found.error:.2g}, too uncertain")
    return found


def _extremes(rows: Rows, channels: NDArray[np.intp]) -> tuple[float, float]:
    """Return the least and the largest value; refuse missing ones."""
    whole = len(channels) == rows.shape[1]

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> tuple[float, float]:
        values = block if whole else block[:, channels]
        return float(values.min()), float(values.max())

    found = np.array([part for _, part in rows.map(one)])
    if not np.isfinite(found).all():
        raise _missing()
    return float(found[:, 0].min()), float(found[:, 1].max())


def _require_noise(lowest: float, highest: float, noise: Noise) -> None:
    if highest - noise.offset > _MOST * noise.gain:
        raise _no_counts(f"values up to {highest:.4g}, with a gain of {noise.gain:.4g}")
    least = noise.offset - _DEEP * noise.read_noise - 0.5 * noise.gain
    if lowest < least:
        raise _no_counts(
            f"values down to {lowest:.4g}, where an offset of {noise.offset:.4g} with a read noise "
            f"of {noise.read_noise:.3g} goes down to {least:.4g}"
        )


def _converted(data: Any, noise: Noise, highest: float) -> Any:
    """Divide by the gain and round, block by block."""
    dtype = np.min_scalar_type(int(np.ceil(max(highest, 0.0))))
    limit = np.iinfo(dtype).max

    def one(block: NDArray[Any]) -> NDArray[Any]:
        found = np.rint((block.astype(np.float64) - noise.offset) / noise.gain)
        return np.nan_to_num(found, nan=0.0).clip(0, limit).astype(dtype)

    if isinstance(data, np.memmap):
        data = lazily(data, inner=1)  # what is made of it stays on disk, too
    if not isinstance(data, np.ndarray):
        return data.map_blocks(one, dtype=dtype)
    out = np.empty(data.shape, dtype=dtype)
    for i, part in enumerate(data):
        out[i] = one(part)
    return out


def _in_words(noise: Noise) -> str:
    if noise.gain == 1 and noise.offset == 0:
        return "counts of gain 1"
    return (
        f"converted to counts: gain {noise.gain:.4g} (± {noise.error:.2g}), "
        f"read noise {noise.read_noise:.3g}, offset {noise.offset:.4g}"
    )


def _no_counts(got: str, more: str = "") -> InputError:
    return InputError(
        "Values must be counts, their variance in line with their mean",
        got=got,
        cure=_CURE + more,
    )


def _missing() -> InputError:
    return InputError(
        "Counts must be finite",
        got="NaN or infinite values",
        cure="Exclude these positions or channels with a mask first.",
    )
