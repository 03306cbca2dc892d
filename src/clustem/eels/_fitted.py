"""Which model, and which labels, for a signal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from clustem.core import InputError, Signal
from clustem.eels._spectra import Labels, energy_of, label_map
from clustem.eels.zero_loss_model import ZeroLossModel


def model_and_labels(
    signal: Signal, model: ZeroLossModel | Labels, segmentation: Labels | None
) -> tuple[ZeroLossModel, NDArray[np.intp]]:
    """Return a fitted model and the cluster of each scan position.

    Parameters
    ----------
    signal
        The spectra.
    model
        A fitted model; or a segmentation or label map, for which one is fitted.
    segmentation
        Segmentation or label map; None for that of the model.

    Raises
    ------
    InputError
        If labels do not fit the signal, or name a cluster that the model does not know, or the
        signal has other energies.
    """
    if not isinstance(model, ZeroLossModel):
        model, segmentation = ZeroLossModel().fit(signal, model), None
    check_is_fitted(model, "weights_")
    energy, known = energy_of(signal), model.energy_
    if energy.min() > known.max() or energy.max() < known.min():
        raise InputError(
            "The spectra must have energies that the model was fitted on",
            got=" and ".join(f"{e.min():.4g} to {e.max():.4g} eV" for e in (energy, known)),
            cure="Give the low-loss spectra.",
        )
    given = model.labels_ if segmentation is None else segmentation
    labels = label_map(given, signal.data.shape[:-1])
    used = np.unique(labels[labels >= 0])
    own = np.flatnonzero(model.source_ >= 0)
    if not np.isin(used, own).all():
        raise InputError(
            f"The model knows the clusters {', '.join(map(str, own))}",
            got=f"labels {', '.join(map(str, used))}",
            cure="Fit the model with this segmentation.",
        )
    return model, labels
