"""Figures of merit, the number of clusters, stability, and differences between results."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
