"""What a step knows about the features that it made: typed, for later steps and figures."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

K = TypeVar("K", bound="Info")


@dataclass(frozen=True, eq=False, kw_only=True)
class Info:
    """What one step knows, and what the steps before it knew.

    Parameters
    ----------
    before
        What was known of the features that this step started from.

    Examples
    --------
    >>> grid = PatternInfo(signal_mask=np.array([True, False]))
    >>> NMFInfo(factors=np.ones((1, 2)), before=grid).find(PatternInfo).signal_mask
    array([ True, False])
    """

    before: Info | None = None
    kinds: ClassVar[dict[str, type[Info]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kinds[cls.__name__] = cls

    def __iter__(self) -> Iterator[Info]:
        """Go through what the steps knew, the last step first."""
        known: Info | None = self
        while known is not None:
            yield known
            known = known.before

    def find(self, kind: type[K]) -> K | None:
        """Return what the last step of a kind knew; None if there was no such step."""
        return next((known for known in self if isinstance(known, kind)), None)

    @property
    def reach(self) -> float:
        """Side of the square that a row depends on [px]; 0 where rows share nothing."""
        return 0.0

    def after(self, before: Info | None) -> Self:
        """Return this with what was known before it."""
        return replace(self, before=before)

    def parts(self) -> dict[str, Any]:
        """Return the fields of this step by name, without those of the steps before it."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "before"}


@dataclass(frozen=True, eq=False, kw_only=True)
class PCAInfo(Info):
    """Principal components.

    Parameters
    ----------
    explained_variance_ratio
        Share of the variance of each component that was looked at, falling, (m,).
    noise_floor
        Share up to which a component holds more noise than signal.
    n_components
        Number of components kept, r.
    factors
        Components, float32 (r, D), each with a positive largest value.
    scale
        Weight of each channel, √(h/N), float64 (D,); None without weights.
    mean
        What was subtracted of each row, float64 (D,); None with weights.
    in_counts
        Whether scores are loadings.
    """

    explained_variance_ratio: NDArray[np.float64]
    noise_floor: float
    n_components: int
    factors: NDArray[np.float32]
    scale: NDArray[np.float64] | None = None
    mean: NDArray[np.float64] | None = None
    in_counts: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class NMFInfo(Info):
    """Non-negative factors.

    Parameters
    ----------
    factors
        Factors, float32 (r, D), each with sum 1.
    """

    factors: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class VAEInfo(Info):
    """A variational autoencoder, and what it says of each row beside its latent coordinates.

    Parameters
    ----------
    width
        Standard deviation of the posterior of each latent coordinate, float32, shape of the scan,
        then (q,); NaN where excluded. (n, q) for rows of no scan, or of several.
    angle
        Angle by which the motif of each row is turned, from the columns' axis toward the rows'
        [°], 0 ... 360, float32, shape of the scan; None where motifs are not turned.
    shift
        Row and column by which it is shifted [px], shape of the scan, then (2,); None if it is not.
    fold
        Number of turns in a circle after which the motif of each row looks the same, int16, shape
        of the scan: angles repeat after 360°/fold.
    manifold
        What the decoder draws on a grid over the first two latent coordinates, in the unit of the
        rows (of counts: shares), (g, g, pixels or channels).
    manifold_at
        Latent coordinates of the lines and columns of the grid, (2, g).
    examples
        Some rows, upright, and what the decoder makes of them, (2, m, pixels or channels).
    shape
        Rows and columns of an image, or (channels,).
    full
        The same before binning.
    mean, scale, level
        Center and unit of each column, (D,); counts of a typical row, 0 where rows are no counts.
    factors, variances
        Principal components that encoder and decoder start from, (r, D), and variances along them.
    weights
        Weights of the network, one after the other.
    n_components
        Number of latent coordinates, q.
    templates
        Motifs that rows are held against, (t, rows, columns); None where they are not turned.
    transfer
        Filter that rows pass before.
    folds
        Symmetry of each template, (t,).
    unit
        What rows are divided by before.
    turned, most_shift
        Which poses there can be.
    """

    width: NDArray[np.float32]
    shape: NDArray[np.int64]
    full: NDArray[np.int64]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    factors: NDArray[np.float32]
    variances: NDArray[np.float32]
    weights: NDArray[np.float32]
    n_components: int
    level: float = 0.0
    angle: NDArray[np.float32] | None = None
    shift: NDArray[np.float32] | None = None
    fold: NDArray[np.int16] | None = None
    manifold: NDArray[np.float32] | None = None
    manifold_at: NDArray[np.float32] | None = None
    examples: NDArray[np.float32] | None = None
    templates: NDArray[np.float32] | None = None
    transfer: NDArray[np.float32] | None = None
    folds: NDArray[np.int16] | None = None
    unit: float = 1.0
    turned: bool = False
    most_shift: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class PatternInfo(Info):
    """Diffraction patterns.

    Parameters
    ----------
    signal_mask
        Pixels that are no features, boolean, shape of a pattern.
    """

    signal_mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True)
class IntensityInfo(Info):
    """A total intensity.

    Parameters
    ----------
    ranked_by
        Name of the feature by whose falling median clusters are numbered.
    """

    ranked_by: str


@dataclass(frozen=True, eq=False, kw_only=True)
class FilterBank(Info):
    """Gabor filters and the image that they were applied to.

    Parameters
    ----------
    wavelengths
        Wavelengths [px], (w,).
    orientations
        Directions [°], (o,).
    pixel_size
        Size of a pixel in ``pixel_units``; 1 where it is unknown.
    pixel_units
        Units of ``pixel_size``; empty where they are unknown.
    envelope
        Width of the widest filter [px].
    normalized
        Whether each position was brought to one norm.
    image
        The image, float32 (rows, columns).
    step
        Distance of the pixels that are described [px].
    mask
        Pixels of the image that are left out, boolean (rows, columns), where the step is not 1.
    """

    wavelengths: NDArray[np.float64]
    orientations: NDArray[np.float64]
    pixel_size: float = 1.0
    pixel_units: str = ""
    envelope: float = 0.0
    normalized: bool = False
    image: NDArray[np.float32] | None = None
    step: int = 1
    mask: NDArray[np.bool_] | None = None

    @property
    def reach(self) -> float:
        """Side of the square that the widest filter averages noise over [described pixels]."""
        return float(np.sqrt(4 * np.pi)) * self.envelope / self.step


@dataclass(frozen=True, eq=False, kw_only=True)
class TextureInfo(Info):
    """Texture around pixels.

    Parameters
    ----------
    envelope
        Standard deviation of the filters, geometric mean over the scales [px]; 0 for brightness
        alone.
    """

    envelope: float = 0.0

    @property
    def reach(self) -> float:
        """Side of the square that a filter averages noise over [px]."""
        return float(np.sqrt(4 * np.pi)) * self.envelope


@dataclass(frozen=True, eq=False, kw_only=True)
class PatchGrid(Info):
    """Patches and the image that they were cut from.

    Parameters
    ----------
    positions
        Row and column of each patch's middle [px], (n, 2).
    image
        The image (rows, columns).
    image_scale
        Size of its pixels along rows and columns in ``image_units``, (2,).
    image_units
        Units of ``image_scale``; empty where they are unknown.
    patch_size
        Edge of a patch [px].
    """

    positions: NDArray[np.float64]
    image: NDArray[Any]
    image_scale: NDArray[np.float64]
    image_units: str = ""
    patch_size: int = 1

    @property
    def reach(self) -> float:
        """Edge of a patch [px]."""
        return float(self.patch_size)


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticleMap(Info):
    """Particles of an image, those that touch cut apart.

    Parameters
    ----------
    particles
        Number of the particle at each position, 1 ... n, 0 where there is none, int32, shape of
        the scan.
    """

    particles: NDArray[np.int32]
