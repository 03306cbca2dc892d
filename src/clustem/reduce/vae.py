"""Latent coordinates of a variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from clustem.core import (
    Features,
    InputError,
    ParameterError,
    PatchGrid,
    VAEInfo,
    learned_reduction,
    record,
    warn,
)
from clustem.core.memory import check_memory
from clustem.core.progress import tick
from clustem.core.random_state import RandomState, seed_of
from clustem.passes.rows import Rows
from clustem.reduce import _vae_training as training
from clustem.reduce._vae_machine import AT_ONCE, Machine, upright_of, with_drawings
from clustem.reduce._vae_motifs import Motifs, motifs_of
from clustem.reduce._vae_network import Sizes, device_of, flat, one_thread, require_torch
from clustem.reduce._vae_poses import Field
from clustem.reduce._vae_rows import Layout, layout_of, normal_and_basis, read

F32 = NDArray[np.float32]
_FEWEST = 100
"""Fewest rows that a network can learn from."""
_NARROWEST = 2
_MOST = 16
"""Most latent coordinates."""
_LEARNED = 6000
"""Most rows that it learns from: a choice of them."""
_SHIFT = 3.0, 0.1
"""Largest shift of ``"auto"`` [px], or as a share of a patch's edge if that is more."""


def _encoded(features: Features, about: VAEInfo) -> Features:
    """Return latent coordinates by a network that is trained, of the same rows or of others."""
    machine = Machine.of(about)
    rows = Rows.of(features.rows)
    layout = layout_of(features, square=machine.field is not None)
    if layout.shape != machine.layout.shape:
        raise InputError(
            "Rows must be of the shape that the autoencoder was trained on, "
            + " × ".join(map(str, machine.layout.full)),
            got=" × ".join(map(str, layout.full)),
            cure="Describe the signal as the other one was.",
        )
    n, q = len(rows), about.n_components
    latent, width = np.empty((n, q), np.float32), np.empty((n, q), np.float32)
    turn, shift = np.zeros(n), np.zeros((n, 2))
    template = np.zeros(n, dtype=np.intp)
    for first in range(0, n, AT_ONCE):
        some = np.arange(first, min(first + AT_ONCE, n))
        with one_thread():
            x, poses = machine.upright(read(rows, layout, some))
            latent[some], width[some] = machine.encode(x)
        if poses is not None:
            turn[some], shift[some], template[some] = poses.turn, poses.shift, poses.template
        tick(0.75 + 0.25 * (some[-1] + 1) / n)
    said = replace(about, width=_placed(features, width), before=None)
    if about.folds is not None and about.turned:
        angle = np.degrees(turn).astype(np.float32) % 360
        fold = about.folds[template]
        said = replace(said, angle=_placed(features, angle), fold=_placed(features, fold, fill=0))
    if about.templates is not None and about.most_shift:
        said = replace(said, shift=_placed(features, shift.astype(np.float32)))
    names = tuple(f"VAE {i + 1}" for i in range(q))
    return features.with_rows(latent, names=names, about=said)


@learned_reduction(_encoded)
def vae(
    features: Features | NDArray[Any],
    *,
    n_components: Annotated[int, Ge(1), Le(16)] | Literal["auto"] = 2,
    rotation: Literal["auto", "any", "none"] = "auto",
    max_shift: Annotated[float, Ge(0)] | Literal["auto"] = "auto",
    likelihood: Literal["auto", "multinomial", "gaussian"] = "auto",
    max_steps: Annotated[int, Ge(1)] = 1000,
    random_state: RandomState = 0,
) -> Features:
    """Reduce rows to latent coordinates of a variational autoencoder.

    Parameters
    ----------
    features
        Features of patches, patterns or spectra, or an array (n, D) or (n, rows, columns).
    n_components
        Number of latent coordinates q; ``"auto"``: as many as principal components stand out of
        the noise, at most 16.
    rotation
        ``"any"``: the same motif turned by any angle is the same point, and the angle is found;
        ``"none"``: it is another one; ``"auto"``: the first for patches of an image, the second
        for others.
    max_shift
        Largest shift of a motif along rows or columns [px]: within it, an off-center one is the
        same point. ``"auto"``: 3 px or a tenth of a patch where motifs are turned, else 0.
    likelihood
        ``"multinomial"`` for counts, of which only the shape matters; ``"gaussian"`` with
        estimated noise; ``"auto"``: the first for integer rows that are no patches of an image.
    max_steps
        Most steps of training; it ends earlier where held-out rows gain nothing.
    random_state
        Seed; None or a generator as in scikit-learn.

    Returns
    -------
    :
        Features with means of the posterior, float32 (n, q). Their :class:`VAEInfo` knows its
        widths, angle and shift of each row, what the decoder draws, and the network.

    Raises
    ------
    InputError
        If PyTorch is not installed; rows are fewer than 100, all alike, or not finite; motifs of
        rows that are no images are to be turned.
    ParameterError
        If there are as many latent coordinates as columns.

    Warns
    -----
    UserWarning
        If no latent coordinate is used: rows are alike but for noise.

    Notes
    -----
    Encoder and decoder start as probabilistic principal components, the best linear ones, and a
    small network learns what these leave over, as long as held-out rows gain: its bound is never
    below theirs. It learns from at most 6000 rows. Noise of each component is estimated with it;
    counts that scatter more than counting lets them have a wider likelihood.

    Angle and shift are not guessed by the encoder, which then ends in wrong angles, but searched:
    each patch is held against up to 8 templates in 36 angles and shifts, then improved by
    least squares, turned back, and encoded. Where templates explain patches no better than noise of
    the same power spectrum does, patches are left as they are, and the history says so.

    With the same versions and number of threads on the same machine, reruns are identical to the
    bit; elsewhere sums differ by rounding. On a graphics card nothing is promised.

    References
    ----------
    D. P. Kingma and M. Welling, ICLR (2014).
    T. Bepler et al., NeurIPS 32 (2019) (rotation and shift).
    S. V. Kalinin et al., npj Comput. Mater. 7 (2021) 181 (in microscopy).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(0, 1, (200, 1)) * np.linspace(-1, 1, 30) + rng.normal(0, 0.1, (200, 30))
    >>> found = vae(rows, n_components=1)
    >>> found.rows.shape
    (200, 1)
    """
    require_torch()
    if not isinstance(features, Features) and np.ndim(features) == 3:
        features = Features(Rows(features, row_ndim=2))
    features = Features.of(features)
    rows, seed = Rows.of(features.rows), seed_of(random_state)
    _check_size(rows, n_components)
    patches = features.find(PatchGrid) is not None
    turned = rotation == "any" or (rotation == "auto" and patches)
    moves = turned or max_shift not in ("auto", 0)
    layout = layout_of(features, square=moves)
    if moves and not layout.is_image:
        raise InputError(
            "Rows must be images where these are turned or shifted",
            got=f"rows of {layout.shape[0]} values",
            cure="Describe patches or patterns, or leave out rotation and max_shift.",
        )
    counts = likelihood == "multinomial" or (
        likelihood == "auto" and rows.dtype.kind in "bui" and not patches and not moves
    )
    rng = np.random.default_rng(seed)
    check_memory(
        float(prod(layout.shape)) * (40 * min(len(rows), _LEARNED) + 64 * AT_ONCE),
        "An autoencoder",
        cure="Bin the scan, or use reduce.pca.",
    )
    which = None
    if len(rows) > _LEARNED:
        which = np.sort(rng.choice(len(rows), _LEARNED, replace=False))
    x = read(rows, layout, which)
    field = None
    if moves:
        side = min(layout.shape)
        if layout.shape != (side, side):
            raise InputError(
                "Images must be square where they are turned or shifted",
                got=" × ".join(map(str, layout.full)),
                cure="Crop them, or leave out rotation and max_shift.",
            )
        step = layout.full[0] / side
        far = max(_SHIFT[0], _SHIFT[1] * layout.full[0]) if max_shift == "auto" else max_shift
        field = Field(side, turned, min(far / step, side / 3))
    plan = _Plan(n_components, counts, max_steps, seed)
    with one_thread():
        about = _learned(x, layout, field, plan)
    return _encoded(features, about)


def _check_size(rows: Rows, n_components: int | Literal["auto"]) -> None:
    n, width = rows.shape
    if n < _FEWEST:
        raise InputError(
            f"An autoencoder needs at least {_FEWEST} rows",
            got=n,
            cure="Take reduce.pca, or a larger region.",
        )
    if width < _NARROWEST:
        raise InputError(
            f"An autoencoder needs at least {_NARROWEST} columns", got=width, cure="Leave it out."
        )
    if n_components != "auto" and n_components >= width:
        raise ParameterError(
            f"n_components must be less than the number of columns ({width})",
            got=n_components,
            cure="Ask for fewer, or cluster the rows as they are.",
        )


@dataclass(frozen=True)
class _Plan:
    n_components: int | Literal["auto"]
    counts: bool
    most_steps: int
    seed: int


def _learned(x: F32, layout: Layout, field: Field | None, plan: _Plan) -> VAEInfo:
    """Train on rows (n, D), and keep what is needed for others."""
    unit = max(float(x.std()), 1e-30)
    motifs = None
    if field is not None:
        x = x.reshape(-1, *layout.shape) / unit
        motifs = motifs_of(x, field, seed=plan.seed, share=(0.0, 0.2))
        if motifs is None:
            record("Nothing in the patches has an angle: they are left as they are.")
            x *= unit
            field = None
        else:
            _, x = upright_of(x, motifs, field)
        x = x.reshape(len(x), -1)
    seen = None if field is None else field.weight.ravel() > 0.5
    learned, _ = training.split(len(x), np.random.default_rng(plan.seed))  # as train does
    normal, basis = normal_and_basis(
        x[learned], counts=plan.counts, image=layout.is_image, seen=seen, seed=plan.seed
    )
    if plan.n_components == "auto":
        q = int(np.clip(basis.above_noise(len(learned)), 1, _MOST))
    else:
        q = plan.n_components
    if q > len(basis.variances):
        raise ParameterError(
            f"n_components must be at most {len(basis.variances)} for so few rows",
            got=q,
            cure="Ask for fewer.",
        )
    sizes = Sizes(layout.shape, q, len(basis.variances))
    scatter = training.scatter_of(x, normal, basis, q)
    device = device_of()
    given = training.Rows(x, normal, basis, scatter)
    found = training.train(
        given, sizes, most_steps=plan.most_steps, seed=plan.seed, device=device, share=(0.2, 0.75)
    )
    _say(found, motifs)
    about = VAEInfo(
        width=np.empty((0, q), np.float32),
        shape=np.array(layout.shape),
        full=np.array(layout.full),
        mean=normal.mean,
        scale=normal.scale,
        level=normal.level,
        factors=basis.factors,
        variances=basis.variances,
        weights=flat(found.weights),
        n_components=q,
        templates=None if motifs is None else motifs.templates,
        transfer=None if motifs is None else motifs.transfer,
        folds=None if motifs is None else motifs.folds,
        unit=1.0 if motifs is None else unit,
        turned=field is not None and field.turned,
        most_shift=0.0 if field is None else field.most_shift,
    )
    return with_drawings(about, x)


def _say(found: training.Trained, motifs: Motifs | None) -> None:
    """Write down how the training went."""
    unused = [i + 1 for i, one in enumerate(found.information) if one < training.UNUSED]
    gain = found.bound - found.linear
    text = (
        f"{gain:.3g} nats per row beyond principal components"
        if gain > 0
        else "no gain over principal components"
    )
    record(
        f"{text}, after {found.steps} steps",
        n_components=len(found.information),
        n_steps=found.steps,
        gain=round(gain, 4),
        information=[round(float(one), 4) for one in found.information],
    )
    if unused:
        record(f"latent coordinate {', '.join(map(str, unused))} is not used")
    if len(unused) == len(found.information):
        warn("The rows are alike but for noise: no latent coordinate of the autoencoder is used.")
    if motifs is not None:
        record(
            f"{len(motifs.templates)} templates",
            n_templates=len(motifs.templates),
            folds=motifs.folds.tolist(),
        )


def _placed(features: Features, values: NDArray[Any], *, fill: float = np.nan) -> NDArray[Any]:
    """Lay values of rows out on the scan, if they are of one."""
    return features.on_scan(values, fill=fill) if len(features.scans) == 1 else values
