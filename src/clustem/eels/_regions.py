"""Where inelastic scattering sets in, and where the zero-loss peak has died away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from clustem.core import InputError

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Regions:
    """The energies that part a cluster's spectra [eV].

    Attributes
    ----------
    fwhm
        Full width of the zero-loss peak at half of its maximum.
    onset
        E_I: up to here there is only the zero-loss peak (region I).
    cutoff
        E_II: from here on there is less than one count of it (region III).
    """

    fwhm: float
    onset: float
    cutoff: float

    @property
    def blend_start(self) -> float:
        """E_0: up to here all intensity is the zero-loss peak's [eV]."""
        return (self.fwhm + self.onset) / 2


def find_regions(
    energy: F64,
    median: F64,
    *,
    width: float,
    onset: float | None,
    cutoff: float | None,
    one_count: float,
    name: str,
) -> Regions:
    """Find E_I and E_II in the median spectrum of a cluster.

    Parameters
    ----------
    energy
        Energy losses (D,), evenly spaced [eV].
    median
        Median spectrum (D,).
    width
        Full width of its zero-loss peak at half of the maximum [eV].
    onset, cutoff
        What the user says; None to find it.
    one_count
        Intensity of one count.
    name
        Of the cluster, for messages.

    Raises
    ------
    InputError
        If no such energies exist: the peak is not resolved, or its tail is too weak.

    Notes
    -----
    E_I is the knee (Kneedle: the point farthest below the chord) of ln I between the steepest
    descent of the peak and the first local minimum on the loss side, and lies beyond the full
    width of the peak. E_II is where the straight line through knee and minimum, in log10 I over E,
    falls below one count. Derivatives and extrema are those of a running parabola as long as the
    peak is wide; a minimum must be the lowest point within that length.

    References
    ----------
    Satopää et al., 31st Int. Conf. Distributed Computing Systems Workshops (2011) 166.
    """
    log = _Log(energy, median, width=width, one_count=one_count, name=name)
    first = float(energy[log.knee()]) if onset is None else float(onset)
    if not width < first < energy[-1]:
        raise _refusal(
            f"The onset of losses in {name} must lie beyond the zero-loss peak's full width "
            f"({width:.3g} eV) and on the energy axis",
            f"{first:.4g} eV",
            "onset",
        )
    last = log.crossing(first) if cutoff is None else float(cutoff)
    if not last >= first + (energy[1] - energy[0]):
        raise _refusal(
            f"In {name} the zero-loss peak must end beyond the onset of losses ({first:.4g} eV)",
            f"{last:.4g} eV",
            "cutoff",
        )
    return Regions(width, first, min(last, float(energy[-1])))


class _Log:
    """The logarithm of a spectrum on the loss side, smoothed."""

    def __init__(
        self, energy: F64, median: F64, *, width: float, one_count: float, name: str
    ) -> None:
        step = energy[1] - energy[0]
        self.energy, self.width, self.one_count, self.name = energy, width, one_count, name
        self.length = max(3, round(width / step))
        values = np.log(np.maximum(median, one_count))
        window = max(5, self.length | 1)
        self.smooth = savgol_filter(values, window, 2)
        slope = savgol_filter(values, window, 2, deriv=1, delta=step)
        loss = np.flatnonzero((energy > 0) & (energy <= 2 * width))
        self.steepest = int(loss[np.argmin(slope[loss])])

    def knee(self) -> int:
        """Channel where the curve lies farthest below the chord from the steepest descent."""
        low = self._minimum()
        x, y = self.energy[self.steepest : low + 1], self.smooth[self.steepest : low + 1]
        chord = np.interp(x, x[[0, -1]], y[[0, -1]])
        depth = np.where(x > self.width, chord - y, -np.inf)
        return self.steepest + int(np.argmax(depth))

    def crossing(self, onset: float) -> float:
        """Where the line through onset and minimum falls below one count [eV]."""
        knee, low = int(np.searchsorted(self.energy, onset)), self._minimum()
        above = self.smooth[[knee, low]] - np.log(self.one_count)
        at, last = self.energy[[knee, low]]
        fall = (above[0] - above[1]) / (last - at) if low > knee else 0.0
        if above[0] <= 0 or fall <= 0:
            counts = self.one_count * np.exp(above[0])
            raise self._weak(f"{counts:.3g} counts at {at:.4g} eV, a minimum at {last:.4g} eV")
        return float(at + above[0] / fall)

    def _minimum(self) -> int:
        """Channel of the first local minimum beyond the steepest descent."""
        y = self.smooth
        beyond = np.lib.stride_tricks.sliding_window_view(y, self.length)[1:].min(axis=1)
        here = np.arange(self.steepest + 1, len(beyond))
        found = here[y[here] <= beyond[here]]
        low = int(found[0]) if found.size else len(y) - 1
        if self.energy[low] <= self.width:
            raise self._weak(f"a minimum at {self.energy[low]:.4g} eV, within its full width")
        return low

    def _weak(self, got: str) -> InputError:
        return _refusal(
            f"In {self.name} the tail of the zero-loss peak must hold more than one count and fall "
            "on to a minimum",
            got,
            "onset and cutoff",
        )


def _refusal(what: str, got: str, names: str) -> InputError:
    return InputError(
        what, got=got, cure=f"Give {names} [eV], pool more spectra, or say what one_count is."
    )


def per_cluster(given: Any, k: int, name: str) -> list[float | None]:
    """Spread a parameter over the clusters: one value for all, or one for each.

    Raises
    ------
    InputError
        If there are as many as neither.
    """
    if given is None or isinstance(given, float | int):
        return [given] * k
    values = [None if value is None else float(value) for value in given]
    if len(values) != k:
        raise InputError(
            f"{name} must be one energy, or one for each of the {k} clusters",
            got=f"{len(values)} energies",
            cure="Give as many as there are clusters; None finds one from the data.",
        )
    return values
