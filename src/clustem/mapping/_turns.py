"""By how much one response over directions is another one turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_FINE = 10  # steps between two filters where a turn is looked for


def turned_by(first: F64, second: F64, *, near: float | None = None, reach: float = 20.0) -> float:
    """Angle by which the second response is the first one turned.

    Parameters
    ----------
    first, second
        Responses (wavelengths, orientations), evenly spaced over 180°.
    near, reach
        Where the turn is expected, and how far it may be from there [°]; anywhere if None.

    Returns
    -------
    :
        Where the correlation over all directions is highest [°]: 0 ... 180, or within ``reach`` of
        ``near``, to about a hundredth of the step between filters.
    """
    size = first.shape[1]
    cross = (np.fft.rfft(first).conj() * np.fft.rfft(second)).sum(axis=0)
    if size % 2 == 0:
        cross[-1] /= 2  # Nyquist's wave counts once when there are more points
    curve = np.fft.irfft(cross, size * _FINE)
    step = 180 / len(curve)
    places = np.arange(len(curve))
    if near is not None:
        places = round(near / step) + np.arange(-round(reach / step), round(reach / step) + 1)
    top = int(places[curve[places % len(curve)].argmax()])
    before, here, after = curve[np.arange(top - 1, top + 2) % len(curve)]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    turn = (top + float(np.clip(shift, -0.5, 0.5))) * step
    return turn % 180 if near is None else turn
