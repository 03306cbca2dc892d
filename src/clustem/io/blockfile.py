"""Write a simulated scan as a blockfile, as a diffraction camera would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clustem.core import InputError, like
from clustem.physics.detector import pixel_pitch

_CAMERA_LENGTH = 0.2  # [m]


def write_blo(signal: Any, path: str | Path) -> Path:
    """Write a 4D-STEM scan through RosettaSciIO.

    Parameters
    ----------
    signal
        Scan (rows, columns | pattern) of square uint8 patterns, with calibrated axes and beam
        energy.
    path
        File to write, ``.blo``; an existing one is replaced.

    Returns
    -------
    :
        The path.

    Raises
    ------
    InputError
        If the patterns are not uint8 or not square: the format has no others.

    Notes
    -----
    The format keeps sizes on the camera [cm], camera length and beam energy instead of scattering
    vectors, and no origin. Units of radii (``"1/Å"``, ``"mrad"``) are found from these.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.samples import diffraction
    >>> signal = diffraction(shape=(8, 9), detector=(32, 32)).signal
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_blo(signal, f"{folder}/scan.blo").stat().st_size > 72 * 32 * 32
    True
    """
    shape = signal.data.shape
    if signal.data.dtype.name != "uint8" or shape[-1] != shape[-2]:
        raise InputError(
            "A blockfile holds square uint8 patterns",
            got=f"{signal.data.dtype} patterns of {shape[-2]} × {shape[-1]}",
            cure="Simulate with dtype='uint8' and a square detector, or save as .hspy.",
        )
    out = like(signal, signal.data)
    energy = float(signal.metadata.Acquisition_instrument.TEM.beam_energy)
    pitch = pixel_pitch(signal, "mrad")
    for axis, size in zip(out.axes_manager.signal_axes[::-1], pitch, strict=True):
        axis.units, axis.scale, axis.offset = "cm", size * 1e-3 * _CAMERA_LENGTH * 100, 0.0
    out.original_metadata.add_dictionary(
        {
            "blockfile_header": {
                "Beam_energy": round(energy * 1e3),
                "Camera_length": round(_CAMERA_LENGTH * 1e4),
                "Note": "",
            }
        }
    )
    out.save(Path(path), overwrite=True)
    return Path(path)
