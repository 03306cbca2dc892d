"""Lists of single X-rays, as some detectors store them: sparse in memory, dense block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.passes.chunks import scan_chunks

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Events:
    """Counts of a scan as sparse rows; a piece of it is an ndarray.

    Parameters
    ----------
    counts
        Sparse rows (positions, channels), positions in C order.
    shape
        Shape of the scan and of a spectrum: rows, columns, channels.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> events = Events(csr_array(np.arange(12, dtype=np.uint8).reshape(4, 3)), (2, 2, 3))
    >>> events[1:, 0].tolist(), events[1].shape
    ([[6, 7, 8]], (2, 3))
    """

    def __init__(self, counts: csr_array, shape: tuple[int, ...]) -> None:
        self._counts = counts
        self.shape, self.dtype, self.ndim = shape, counts.dtype, len(shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Make the spectra of some lines of the scan dense, and take a piece of them."""
        first, *others = index if isinstance(index, tuple) else (index,)
        lines = np.arange(self.shape[0])[first]
        numbers = np.arange(len(self)).reshape(self.shape[:-1])[lines]
        dense = self._counts[numbers.ravel()].toarray().reshape(*numbers.shape, self.shape[-1])
        whole = (slice(None),) * lines.ndim
        return np.asarray(dense[(*whole, *others)])

    def __len__(self) -> int:
        """Return the number of positions."""
        return int(self._counts.shape[0])


def lazily(data: Any) -> Any:
    """Return a reader's lazy array of single events as one that is cut between spectra.

    Parameters
    ----------
    data
        A dask array (rows, columns, channels) over one ``sparse.COO``; any other is returned as it
        is.

    Returns
    -------
    :
        A dask array of the smallest unsigned integers that hold the counts.
    """
    import dask.array as da
    from dask.base import tokenize
    from scipy.sparse import csr_array
    from sparse import COO

    found = [part for part in dict(getattr(data, "dask", {})).values() if isinstance(part, COO)]
    if len(found) != 1 or found[0].shape != data.shape or data.ndim != 3:
        return data
    events = found[0]
    dtype = np.min_scalar_type(int(events.data.max(initial=0)))
    rows = np.ravel_multi_index(tuple(events.coords[:2]), data.shape[:2])
    size = data.shape[0] * data.shape[1]
    values = events.data.astype(dtype), (rows, events.coords[2])
    whole = Events(csr_array(values, shape=(size, data.shape[2])), data.shape)
    chunks = scan_chunks(data.shape, dtype, inner=1)
    return da.from_array(whole, chunks=chunks, name=f"events-{tokenize(values)}", asarray=False)
