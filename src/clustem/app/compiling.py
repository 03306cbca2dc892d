"""Compile what a first run needs: ``python -m clustem.app.compiling``.

Numba keeps what it compiled, so what this process compiled the server only loads. In a thread of
the server itself it would hold up both the page and the first run.
"""

import os

from clustem import samples, segment

FIRST = [
    ("diffraction", "uint8"),
    ("eds", "uint16"),
    ("diffraction", "uint16"),
    ("diffraction", "float32"),
]
"""Samples and types of data, what takes longest first."""


def main() -> None:
    """Run recipes on small samples, large enough for the ways of large ones."""
    if hasattr(os, "nice"):
        os.nice(10)
    for name, dtype in FIRST:
        signal = samples.catalogue[name].step(shape=(36, 40)).signal
        signal.data = signal.data.astype(dtype)
        segment(signal, name)


if __name__ == "__main__":
    main()
