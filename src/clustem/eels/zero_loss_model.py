"""The zero-loss peak of each cluster, with its uncertainty, from an ensemble of small networks."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from clustem.core import InputError, Signal, check_parameters, warn
from clustem.eels._clusters import ClusterSpectra, read_clusters, stand_ins
from clustem.eels._network import forward, initial, require_torch, train
from clustem.eels._noise import counting_noise
from clustem.eels._replicas import Scale, draw, scale_of
from clustem.eels._spectra import Labels, energy_of, label_map, sample

F64 = NDArray[np.float64]
_QUANTILES = (0.5, 0.16, 0.84)
_DRAWING = ("n_replicas", "max_channels", "validation", "one_count")
_TRAINING = ("n_epochs", "learning_rate", "monotony", "patience", "threads", "progress")
_ARRAYS = (
    "energy_", "labels_", "counts_", "source_", "fwhm_", "onset_", "cutoff_", "height_", "reach_",
    "spectra_", "noise_", "loss_", "n_epochs_", "weights_", "scale_",
)  # fmt: skip


class Band(NamedTuple):
    """Median and 68 % band; arrays of one shape."""

    median: F64
    low: F64
    high: F64


class ZeroLossModel(BaseEstimator):
    """Model of the zero-loss peak of each cluster of a low-loss spectrum image.

    Parameters
    ----------
    n_replicas
        Number of networks in the ensemble.
    n_epochs
        Steps of training, each with all points of a replica.
    onset
        E_I: up to here the spectra are taken for the zero-loss peak alone [eV]. One value, or one
        for each cluster (None among them is found); None finds all from the data.
    cutoff
        E_II: beyond it there is no zero-loss peak [eV]; given like ``onset``.
    learning_rate
        First step of Adam; steps fall to 0 along a cosine.
    monotony
        Weight of the penalty on a zero-loss peak that rises in region II.
    patience
        A replica stops after as many epochs without a lower validation loss.
    validation
        Share of the points that a replica does not learn from.
    max_loss
        Replicas whose loss is more than this many times the median loss are dropped.
    max_channels
        Channels of each cluster's spectrum that a replica sees, at most; a random choice.
    min_members
        A cluster of fewer spectra is too small to draw from: the one with the most similar
        zero-loss peak stands for it.
    one_count
        Intensity of one count, for spectra that are not in counts.
    random_state
        Seed of all draws and of the networks.
    threads
        Number of threads; one per usable core if None. Results do not depend on it.
    progress
        Called with the share of the work done, 0 ... 1.

    Attributes
    ----------
    onset_, cutoff_, fwhm_
        E_I, E_II and the peak's full width at half maximum of each cluster (k,) [eV]; NaN for a
        cluster without spectra.
    counts_, source_
        Spectra in each cluster, and the cluster whose spectra stand for it (k,): itself, a
        neighbour if it is too small, -1 if it is empty.
    energy_
        Energy losses of the channels (D,) [eV].
    spectra_
        Median spectrum of each cluster (k, D).
    labels_
        Cluster of each scan position, as given.
    loss_, n_epochs_, n_dropped_
        Lowest validation loss of each replica (R,), how long it was trained (R,), and how many
        were dropped.
    gain_
        Measured variance of an intensity over its mean: 1 for counts, less for pooled spectra.
    weights_
        Of the networks that were kept (R', P).

    Notes
    -----
    Each replica draws one random spectrum of each cluster and fits one network of 10, 15 and 5 tanh
    units to all of them. Inputs are asinh(E/FWHM) and ln of the cluster's peak intensity, both
    scaled; the output is ln of the zero-loss intensity. In region I (E < E_I) it is compared with
    ln I in units of the cluster's 68 % spread of ln I, but at least 0.05, or 0.2 up to E_0 =
    (FWHM + E_I)/2, where :func:`clustem.eels.subtract` does not need it; in region III (from the
    largest E_II of all clusters on) it may not exceed one count, in units of 0.8; in between it may
    not rise. Spectra are first scaled to the cluster's typical height of the peak, and region I
    begins at -E_I: what lies farther on the gain side is not modelled.

    **What the band is.** The spread over replicas: of the spectra within a cluster, their noise,
    and how differently networks go on beyond E_I. It is the uncertainty of the zero-loss peak of
    a *single* spectrum of the cluster. The median of the replicas is more certain than that, so the
    true peak of a whole cluster lies within the band more often than 68 % of the time, except where
    the extrapolation is biased as a whole: the tail is not known beyond the largest E_I. Counting
    noise of a spectrum is not in this band; :func:`clustem.eels.subtract` adds it to the band
    of the inelastic intensity, which then covers the true one as often as it says.

    Cost: about 2000 operations per replica, epoch and point.

    References
    ----------
    Roest et al., Ultramicroscopy 222 (2021) 113202. Brokkelkamp et al., J. Phys. Chem. A 126 (2022)
    1255.

    Examples
    --------
    >>> from clustem.samples import eels
    >>> wedge = eels(shape=(8, 30), jitter=0.0)
    >>> model = ZeroLossModel(n_replicas=8, n_epochs=50).fit(wedge.signal, wedge.labels)
    >>> model.onset_.shape, model.predict().median.shape
    ((5,), (5, 1200))
    """

    def __init__(
        self,
        *,
        n_replicas: Annotated[int, Ge(2)] = 500,
        n_epochs: Annotated[int, Ge(1)] = 1000,
        onset: float | list[float | None] | None = None,
        cutoff: float | list[float | None] | None = None,
        learning_rate: Annotated[float, Gt(0)] = 0.03,
        monotony: Annotated[float, Ge(0)] = 10.0,
        patience: Annotated[int, Ge(1)] = 200,
        validation: Annotated[float, Gt(0), Lt(1)] = 0.2,
        max_loss: Annotated[float, Gt(1)] = 3.0,
        max_channels: Annotated[int, Ge(8)] = 100,
        min_members: Annotated[int, Ge(2)] = 10,
        one_count: Annotated[float, Gt(0)] = 1.0,
        random_state: Annotated[int, Ge(0)] = 0,
        threads: Annotated[int, Ge(1)] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.n_replicas = n_replicas
        self.n_epochs = n_epochs
        self.onset = onset
        self.cutoff = cutoff
        self.learning_rate = learning_rate
        self.monotony = monotony
        self.patience = patience
        self.validation = validation
        self.max_loss = max_loss
        self.max_channels = max_channels
        self.min_members = min_members
        self.one_count = one_count
        self.random_state = random_state
        self.threads = threads
        self.progress = progress

    def fit(self, signal: Signal, segmentation: Labels) -> Self:
        """Find the regions of each cluster and train the ensemble.

        Parameters
        ----------
        signal
            Low-loss spectrum image with aligned zero-loss peaks, pooled or not, lazy or not; its
            energy axis is in eV or keV.
        segmentation
            Segmentation, or labels of the scan's shape (array or signal); negative: left out.

        Returns
        -------
        :
            The fitted model.

        Raises
        ------
        InputError
            If PyTorch is missing, there is no zero-loss peak at 0 eV, labels do not fit or leave
            nothing in, no cluster is large enough, or E_I and E_II cannot be found.
        """
        params = check_parameters(type(self), self.get_params(deep=False))
        require_torch()
        energy = energy_of(signal)
        labels = label_map(segmentation, signal.data.shape[:-1])
        rng = np.random.default_rng(params["random_state"])
        counts = np.bincount(labels[labels >= 0])
        large = _large_enough(counts, params["min_members"])
        spectra = {int(k): sample(signal, labels, rng, cluster=int(k)) for k in large}
        clusters, reach = read_clusters(signal, spectra, len(counts), params)
        self.energy_, self.labels_, self.counts_, self.reach_ = energy, labels, counts, reach
        self.source_ = stand_ins(signal, labels, counts, large=large, rng=rng)
        self._warn_of_small()
        self._describe(clusters)
        first = int(np.searchsorted(energy, max(found.regions.onset for found in clusters)))
        self.noise_ = np.array(counting_noise(list(spectra.values()), first))
        self._train(clusters, rng, params)
        return self

    @property
    def gain_(self) -> float:
        """Variance of an intensity over its mean."""
        return float(self.noise_[0])

    @property
    def n_dropped_(self) -> int:
        """Number of replicas that were dropped."""
        return len(self.loss_) - len(self.weights_)

    @property
    def blend_start_(self) -> F64:
        """E_0 of each cluster (k,) [eV]: up to here all intensity is the zero-loss peak's."""
        start: F64 = (self.fwhm_ + self.onset_) / 2
        return start

    def predict(self, energy: ArrayLike | None = None) -> Band:
        """Return the zero-loss peak of each cluster, as the networks see it.

        Parameters
        ----------
        energy
            Energy losses (n,) [eV]; those of the fitted spectra if None.

        Returns
        -------
        :
            Median and 68 % band, each (k, n), of a spectrum with the cluster's typical height of
            the peak. 0 beyond E_II; NaN for a cluster without spectra.
        """
        check_is_fitted(self, "weights_")
        at = self.energy_ if energy is None else np.asarray(energy, dtype=np.float64)
        out = np.full((len(_QUANTILES), len(self.counts_), len(at)), np.nan)
        width, low, high, *peaks = self.scale_
        scale = Scale(width, low, high, np.array(peaks))
        own = np.flatnonzero(self.source_ == np.arange(len(self.source_)))
        for i, k in enumerate(own):
            inside = at <= self.cutoff_[k]
            logs = forward(self.weights_, scale.inputs(at[inside], i)) + scale.peaks[i]
            out[:, k] = 0
            out[:, k, inside] = np.exp(np.quantile(logs, _QUANTILES, axis=0))
        for k in np.flatnonzero(self.source_ >= 0):
            out[:, k] = out[:, self.source_[k]]
        return Band(*out)

    def save(self, path: str | Path) -> Path:
        """Write the fitted model to a file that :meth:`load` reads, without pickle.

        Parameters
        ----------
        path
            Where to; ``.npz`` is added where it is missing.

        Returns
        -------
        :
            The file.
        """
        check_is_fitted(self, "weights_")
        target = Path(path).with_suffix(".npz")
        params = {key: value for key, value in self.get_params().items() if key != "progress"}
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(target, parameters=np.array(json.dumps(params)), **arrays)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model; predictions need no PyTorch.

        Parameters
        ----------
        path
            A file written by :meth:`save`.

        Raises
        ------
        InputError
            If it is no such file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                model = cls(**json.loads(str(file["parameters"])))
                for name in _ARRAYS:
                    setattr(model, name, file[name])
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(
                "A zero-loss model must be a file that ZeroLossModel.save wrote",
                got=f"{path} ({type(error).__name__})",
                cure="Fit the model again and save it.",
            ) from error
        return model

    def _warn_of_small(self) -> None:
        small = np.flatnonzero((self.source_ >= 0) & (self.source_ != np.arange(len(self.source_))))
        if small.size:
            names = ", ".join(
                f"cluster {k} ({self.counts_[k]} spectra) by cluster {self.source_[k]}"
                for k in small
            )
            warn(
                f"Clusters of fewer than {self.min_members} spectra are too small to draw from "
                f"and are represented by the one with the most similar peak: {names}."
            )

    def _describe(self, clusters: list[ClusterSpectra]) -> None:
        """Set what is known of each cluster; what stands for another gives it all but its size."""
        k = len(self.source_)
        self.fwhm_, self.onset_, self.cutoff_, self.height_ = (np.full(k, np.nan) for _ in range(4))
        self.spectra_ = np.full((k, len(self.energy_)), np.nan)
        core = np.abs(self.energy_) <= self.reach_
        own = np.unique(self.source_[self.source_ >= 0])
        for i, found in zip(own, clusters, strict=True):
            like = self.source_ == i
            self.fwhm_[like], self.onset_[like] = found.regions.fwhm, found.regions.onset
            self.cutoff_[like], self.spectra_[like] = found.regions.cutoff, found.median
            self.height_[like] = found.median[core].sum()

    def _train(
        self, clusters: list[ClusterSpectra], rng: np.random.Generator, params: dict[str, Any]
    ) -> None:
        scale = scale_of(self.energy_, clusters)
        points = draw(
            self.energy_,
            clusters,
            scale,
            rng,
            gain=self.gain_,
            **{name: params[name] for name in _DRAWING},
        )
        weights, self.loss_, self.n_epochs_ = train(
            initial(params["n_replicas"], rng),
            points,
            **{name: params[name] for name in _TRAINING},
        )
        good = self.loss_ <= params["max_loss"] * np.median(self.loss_)
        self.weights_ = weights[good]
        self.scale_ = np.array([scale.width, scale.low, scale.high, *scale.peaks])


def _large_enough(counts: NDArray[np.int64], members: int) -> NDArray[np.intp]:
    large = np.flatnonzero(counts >= members)
    if large.size == 0:
        raise InputError(
            f"At least one cluster must have {members} spectra to draw from",
            got=f"{int(counts.max())} in the largest",
            cure="Use fewer clusters, or lower min_members.",
        )
    return large
