"""Give the energy axis other values."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt

from clustem.core import InputError, Signal, like, preparation


@preparation(kind="geometry")
def set_energy_axis(signal: Signal, *, scale: Annotated[float, Gt(0)], offset: float) -> Signal:
    """Give the channels of spectra other energies, known from elsewhere.

    Parameters
    ----------
    signal
        Spectra, lazy or not.
    scale
        Width of a channel [units of the axis].
    offset
        Energy of channel 0 [units of the axis].

    Returns
    -------
    :
        The signal with this axis; values are shared.

    Raises
    ------
    InputError
        If the signal has another number of signal axes than one.

    See Also
    --------
    energy_axis : Finds the axis from X-ray lines.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import numpy as np
    >>> scan = hs.signals.Signal1D(np.zeros((2, 3, 5)))
    >>> set_energy_axis(scan, scale=0.01, offset=-0.2).axes_manager[-1].offset
    -0.2
    """
    if signal.axes_manager.signal_dimension != 1:
        raise InputError(
            "An energy axis belongs to spectra",
            got=f"{signal.axes_manager.signal_dimension} signal axes",
            cure="Leave this step out.",
        )
    out = like(signal, signal.data, copy_variance=True)
    axis = out.axes_manager.signal_axes[0]
    axis.scale, axis.offset = scale, offset
    return out
