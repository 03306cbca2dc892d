"""Label maps and masks: read from anywhere, written as text, binned, matched."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Clustering, InputError, Segmentation, Signal, quiet
from clustem.core.contents import check_size, load_signals
from clustem.core.parameters import check_unmasked

LabelMap = Segmentation | Clustering | Signal | NDArray[Any] | str | Path
"""What :func:`as_labels` reads."""
_MARK = "labels"
_KINDS = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}
_MOST = 2**26
"""Positions of the largest label map in a recipe: 8192 × 8192."""
_LARGEST = 2**27
"""Positions of the largest label map in a file: 11585 × 11585."""
_HYPERSPY = {".hspy", ".zspy"}
_IMAGES = {".tif", ".tiff"}


def as_labels(source: Any, *, what: str = "A label map") -> NDArray[np.int64]:
    """Read a label map or a mask.

    Parameters
    ----------
    source
        Integer or boolean array, HyperSpy signal, anything with ``labels`` (a segmentation, a
        clustering), text from :func:`packed`, or the path of a ``.tif``, ``.npy``
        or ``.hspy`` file.
    what
        What it is, for messages.

    Returns
    -------
    :
        Integers, int64, of the map's shape.

    Raises
    ------
    InputError
        If it cannot be read, does not hold integers, or some are masked.

    Examples
    --------
    >>> as_labels(np.array([[True, False]]))
    array([[1, 0]])
    """
    if isinstance(source, str) and source.startswith(f"{_MARK}:"):
        return unpacked(source)
    if isinstance(source, str | Path):
        source = _of_file(Path(source).expanduser(), what)
    found = getattr(source, "labels", source)
    check_unmasked(what, found)
    found = np.asarray(found.data if hasattr(found, "axes_manager") else found)
    if found.dtype.kind not in "bui" or not found.size:
        raise InputError(
            f"{what} must hold integers",
            got=f"{found.dtype} of shape {found.shape}",
            cure="Give label maps or masks, not intensities.",
        )
    return found.astype(np.int64)


def packed(labels: NDArray[Any]) -> str:
    """Write a label map as one line of text, so that a recipe can hold it.

    Parameters
    ----------
    labels
        Integers or booleans, any shape.

    Returns
    -------
    :
        ``labels:ROWSxCOLUMNS:TYPE:DATA``, the data compressed (zlib) and in base64.

    Examples
    --------
    >>> text = packed(np.array([[0, 1, 1]]))
    >>> text.split(":")[:3], unpacked(text)
    (['labels', '1x3', 'int8'], array([[0, 1, 1]]))
    """
    values = np.asarray(labels)
    low, high = int(values.min()), int(values.max())
    fits = (n for n in (8, 16, 32, 64) if -(2 ** (n - 1)) <= low and high < 2 ** (n - 1))
    kind = np.dtype(f"int{next(fits)}")
    data = np.ascontiguousarray(values.astype(kind.newbyteorder("<")))
    shape = "x".join(map(str, values.shape))
    body = base64.b64encode(zlib.compress(data.tobytes(), 9)).decode()
    return f"{_MARK}:{shape}:{kind.name}:{body}"


def packed_mask(mask: Any) -> str:
    """Read a mask from anywhere and write it as one line of text, so that a recipe can hold it.

    Raises
    ------
    InputError
        If it cannot be read or does not hold integers.
    """
    return packed(as_labels(mask, what="A mask") != 0)


def unpacked(text: str) -> NDArray[np.int64]:
    """Read what :func:`packed` wrote.

    Raises
    ------
    InputError
        If the text was changed, or has more positions than fit in memory with ease.
    """
    try:
        _, written, kind, body = text.split(":")
        shape = [int(size) for size in written.split("x")]
        n, item = math.prod(shape), _KINDS[kind]
        _check_positions(shape)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(body, validate=True), n * item + 1)
        values = np.frombuffer(data, dtype=f"<i{item}")
        return values.reshape(shape).astype(np.int64)
    except InputError:
        raise
    except (ValueError, KeyError, zlib.error, binascii.Error):
        raise InputError(
            "A label map in a recipe must be as it was written",
            got=f"{text[:40]}...",
            cure="Give the mask again, as a file.",
        ) from None


def _check_positions(shape: Sequence[int]) -> None:
    if min(shape) < 1 or math.prod(shape) > _MOST:
        raise InputError(
            f"A label map in a recipe must have at most {_MOST} positions",
            got=" × ".join(map(str, shape))[:60],
            cure="Give it as a file.",
        )


def binning_between(fine: Sequence[int], coarse: Sequence[int]) -> tuple[int, ...] | None:
    """Find the whole factors by which one shape is binned to the other; None if there are none.

    What fills no last block counts as left out, as ``prepare.rebin`` does.

    Examples
    --------
    >>> binning_between((7, 12), (3, 4)), binning_between((7, 12), (5, 12))
    ((2, 3), None)
    """
    if len(fine) != len(coarse) or any(f < c for f, c in zip(fine, coarse, strict=True)):
        return None
    factors = tuple(f // c for f, c in zip(fine, coarse, strict=True))
    blocks = tuple(f // factor for f, factor in zip(fine, factors, strict=True))
    return factors if blocks == tuple(coarse) else None


def binned(labels: NDArray[np.integer[Any]], factors: Sequence[int]) -> NDArray[np.int64]:
    """Bin a label map by majority vote.

    Parameters
    ----------
    labels
        Integers; all negative ones count as one, unassigned.
    factors
        Block length along each axis.

    Returns
    -------
    :
        The most frequent label of each block, -1 if that is unassigned; of equally frequent
        ones the smallest label of 0 or more. What fills no last block is left out.

    Examples
    --------
    >>> binned(np.array([[0, 2, 1, -1], [2, 2, -1, 1]]), (2, 2))
    array([[2, 1]])
    """
    sizes = [size // factor for size, factor in zip(labels.shape, factors, strict=True)]
    cut = labels[tuple(slice(n * factor) for n, factor in zip(sizes, factors, strict=True))]
    split = cut.reshape([x for pair in zip(sizes, factors, strict=True) for x in pair])
    ndim = labels.ndim
    blocks = split.transpose([*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2)])
    blocks = blocks.reshape(*sizes, -1)
    best, out = np.zeros(sizes, dtype=np.int64), np.full(sizes, -1, dtype=np.int64)
    for label in [*np.unique(cut[cut >= 0]).tolist(), -1]:
        votes = np.count_nonzero(blocks < 0 if label < 0 else blocks == label, axis=-1)
        ahead = votes > best
        out[ahead], best[ahead] = label, votes[ahead]
    return out


def on_shape(
    labels: NDArray[np.int64], shape: Sequence[int], *, what: str, cure: str
) -> tuple[NDArray[np.int64], str]:
    """Bring a label map to the shape of a scan that is the same or binned.

    Parameters
    ----------
    labels
        Integers.
    shape
        Wanted shape.
    what, cure
        What must hold and what to do, for the message.

    Returns
    -------
    :
        The map of that shape, and what was done to it ("" if nothing).

    Raises
    ------
    InputError
        If the shape is no whole multiple of the wanted one.
    """
    if labels.shape == tuple(shape):
        return labels, ""
    factors = binning_between(labels.shape, shape)
    if factors is None:
        raise InputError(what, got=f"shape {labels.shape} for {tuple(shape)}", cure=cure)
    note = f"binned {' × '.join(map(str, factors))} by majority vote"
    return binned(labels, factors), note


def overlaps(
    first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Count positions by both labels.

    Parameters
    ----------
    first, second
        Integers of one shape.
    shape
        Numbers of labels p and q.

    Returns
    -------
    :
        Positions (p + 1, q + 1); the last row and column count negative labels.

    Examples
    --------
    >>> overlaps(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 1]), (2, 2))
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 1, 0]])
    """
    p, q = shape
    a = np.where(first < 0, p, first).ravel().astype(np.int64)
    b = np.where(second < 0, q, second).ravel().astype(np.int64)
    counts: NDArray[np.int64] = np.bincount(a * (q + 1) + b, minlength=(p + 1) * (q + 1))
    return counts.reshape(p + 1, q + 1)


def matched(counts: NDArray[Any]) -> dict[int, int]:
    """Pair rows with columns so that the total overlap is largest (Hungarian algorithm).

    Parameters
    ----------
    counts
        Overlaps (p, q).

    Returns
    -------
    :
        Column by row; pairs that share nothing are left out.

    Examples
    --------
    >>> matched(np.array([[5, 6], [0, 9], [1, 0]]))
    {0: 0, 1: 1}
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(counts, maximize=True)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if counts[i, j] > 0}


def read_tiff(path: Path, *, most: int = _LARGEST) -> NDArray[Any]:
    """Read an image or a stack, after a look at its size.

    Parameters
    ----------
    path
        A file.
    most
        Values that it may have.

    Raises
    ------
    InputError
        If it has more, or is declared far larger than what is stored could hold. Broken files raise
        errors of any kind.
    """
    import tifffile

    with quiet(), tifffile.TiffFile(path) as file:
        series = file.series[0]
        _check_count(path, math.prod(series.shape), most)
        check_size(path.name, series.nbytes, path.stat().st_size)
        found: NDArray[Any] = series.asarray()
    return found


def _check_count(path: Path, count: int, most: int = _LARGEST) -> None:
    if count > most:
        raise InputError(
            f"{path.name} must have at most {most} values", got=count, cure="Bin it, or crop it."
        )


def _of_file(path: Path, what: str) -> Any:
    known = ", ".join(sorted({*_HYPERSPY, *_IMAGES, ".npy"}))
    try:
        if path.suffix == ".npy":  # mapped, so that its size is checked
            mapped = np.load(path, allow_pickle=False, mmap_mode="r")
            _check_count(path, mapped.size)
            return mapped
        if path.suffix in _HYPERSPY:
            (signal,) = load_signals(path, lazy=True)
            _check_count(path, signal.data.size)
            signal.compute(show_progressbar=False)
            return signal
        if path.suffix in _IMAGES:
            found = read_tiff(path)
            whole = found.dtype.kind == "f" and np.array_equal(found, np.rint(found))
            return found.astype(np.int64) if whole else found  # Fiji writes them as floats
        reason = f"the type {path.suffix or 'of a file without an ending'}"
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  # readers raise anything on a broken file
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0]
    raise InputError(
        f"{what} must be a file that can be read: {known}", got=f"{path}: {reason}",
        cure="Check the path.",
    ) from None  # fmt: skip
