"""Name clusters."""

from __future__ import annotations

from dataclasses import replace

from clustem.core import ParameterError, Segmentation, edit


@edit
def relabel(segmentation: Segmentation, *, names: dict[str, str]) -> Segmentation:
    """Give clusters names.

    Parameters
    ----------
    segmentation
        A result.
    names
        Name by number of the cluster; an empty one gives the cluster its number back.

    Returns
    -------
    :
        The result with these names.

    Raises
    ------
    InputError
        If a key is no number, or there is no such cluster.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> relabel(found, names={"0": "rutile"}).name_of(0)
    'rutile'
    """
    wrong = [key for key in names if not key.lstrip("-").isdigit()]
    if wrong:
        raise ParameterError(
            "names must be given by the clusters' numbers",
            got=wrong[0],
            cure='Write {0: "rutile"}.',
        )
    given = {int(key): name for key, name in names.items()}
    segmentation.check_clusters(given)
    known = {**segmentation.names, **given}
    return replace(segmentation, names={key: name for key, name in known.items() if name.strip()})
