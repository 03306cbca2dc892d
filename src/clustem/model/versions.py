"""What a result was made with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "clustem",
    "hyperspy",
    "exspy",
    "rosettasciio",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "numba",
    "dask",
    "torch",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """List the versions of the packages that results depend on, of those that are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an extra
            continue
    return found
