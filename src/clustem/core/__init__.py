"""What all stages share: errors, parameters, registries, history, and the types that travel.

This package imports no other one of ours.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
