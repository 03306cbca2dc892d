"""Spectra in the EMSA/MAS format, with what quantification needs."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Signal, instrument, type_of
from clustem.report.layout.extent import axes_of
from clustem.report.layout.line_labels import elements_named

_TYPES = {"EDS": "EDS", "EELS": "ELS", "CL": "CLS"}
_FROM_INSTRUMENT = {
    "BEAMKV": "beam_energy",
    "PROBECUR": "beam_current",
    "CONVANGLE": "convergence_angle",
    "XTILTSTGE": "Stage.tilt_alpha",
    "INTEGTIME": "Detector.EELS.exposure",
    "DWELLTIME": "Detector.EELS.dwell_time",
    "COLLANGLE": "Detector.EELS.collection_angle",
    "ELEVANGLE": "Detector.EDS.elevation_angle",
    "AZIMANGLE": "Detector.EDS.azimuth_angle",
    "SOLIDANGLE": "Detector.EDS.solid_angle",
    "LIVETIME": "Detector.EDS.live_time",
    "REALTIME": "Detector.EDS.real_time",
    "FWHMMNKA": "Detector.EDS.energy_resolution_MnKa",
}
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905  # legible
_FORMAT = "EMSA/MAS Spectral Data File"
_UNITS = {"Å": "A", "µ": "u", "⁻¹": "^-1"}


def write_msa(path: Path, centers: Signal, spectrum: NDArray[Any], *, title: str) -> Path:
    """Write one spectrum with the metadata of the centers.

    RosettaSciIO's writer finds the beam energy only if the last spectrum that it saw was of the
    same kind of microscope, refuses dates that are not ISO, and drops the elements. So all
    keywords are made here and handed over as the original metadata of an msa file, which it writes
    as they are. The elements, for which the format has no keyword, go into one of the user's own:
    ``##ELEMENTS``, read back as ``original_metadata.ELEMENTS``.

    Parameters
    ----------
    path
        File to write.
    centers
        Signal with the metadata.
    spectrum
        Values, (channels,), on a uniform axis.
    title
        What it shows.
    """
    from rsciio.msa import file_writer

    kind = type_of(centers).split("_")[0]
    title = _plain(title)[:64].strip()  # a longer one would be joined without blanks
    axis = axes_of(centers)[-1]
    values = np.asarray(spectrum, dtype=np.float64)
    signal = {
        "data": values,
        "axes": [
            {
                "size": len(values),
                "name": _plain(axis.name) or "Energy",
                "scale": axis.step,
                "offset": float(axis.values[0]),
                "units": _plain(axis.units),
            }
        ],
        # a bare "EDS" keeps the writer from its TEM and SEM branches
        "metadata": {"Signal": {"signal_type": kind if kind in _TYPES else ""}, "General": {}},
        "original_metadata": {"FORMAT": _FORMAT, "TITLE": title, **_keywords(centers, kind)},
    }
    # "Y" keeps 6 decimals, "XY" 6 digits: the latter for values that are small throughout
    small = not np.nanmax(np.abs(values), initial=0.0) >= 1
    file_writer(str(path), signal, format="XY" if small else "Y")
    return path


def _keywords(centers: Signal, kind: str) -> dict[str, Any]:
    known = centers.metadata.get_item
    words: dict[str, Any] = {
        "VERSION": "1.0",
        "DATE": _date(known("General.date", "")),
        "TIME": str(known("General.time", ""))[:5],
        "OWNER": _plain(known("General.authors", "") or ""),
        "SIGNALTYPE": _TYPES.get(kind, ""),
        "COMMENT": "Mean spectrum of a cluster, written by Clustem",
    }
    for word, item in _FROM_INSTRUMENT.items():
        value = instrument(centers, item)
        if value is not None:
            words[word] = float(value)
    elements = elements_named(centers)
    if elements:
        words["#ELEMENTS"] = " ".join(elements)
    lines = known("Sample.xray_lines")
    if lines is not None and len(lines):
        words["#XRAYLINES"] = " ".join(str(line) for line in lines)
    return words


def _date(text: object) -> str:
    for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y"):
        try:
            date = datetime.strptime(str(text), pattern)
        except ValueError:
            continue
        return f"{date.day:02d}-{_MONTHS[date.month - 1]}-{date.year}"
    return ""


def _plain(text: object) -> str:
    """Make a text one ASCII line without ': ', at which the reader would cut it."""
    words = str(text)
    for mark, plain in _UNITS.items():
        words = words.replace(mark, plain)
    ascii_only = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return " ".join(ascii_only.split()).replace(": ", ", ")
