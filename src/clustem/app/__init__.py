"""The explorer: the whole journey in a browser.

State and logic (``state``, ``runs``, ``jobs``, ``opened``, ``pictures``, ...) know no widgets and
are tested without a browser; ``page`` and the ``*_view`` modules only bind them. Nothing here is
imported before ``clustem serve`` asks for it.
"""
