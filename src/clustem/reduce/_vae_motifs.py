"""Motifs of patches that lie turned and shifted: templates that all of them are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.core.progress import tick
from clustem.reduce._vae_poses import Field, Poses, posed, refined, search, upright

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
_MOST = 8
"""Most templates."""
_SAMPLE, _TRIED, _CANDIDATES, _HELD = 1500, 300, 12, 600
"""Most patches that templates are made from, on which candidates are tried, that become
candidates, and that are held out."""
_RUNS, _BETWEEN = 6, 0.15
"""Runs of rows that are held out and learned from in turn, and the share between two of them that
is neither: neighbours can share pixels."""
_ROUNDS, _LAST = 3, 5
"""Rounds of assigning and averaging after each new template, and at the end."""
_GAIN = 0.02
"""Share of what is left over that a further template must explain."""
_SURROGATES, _SURE, _SHARE = 6, 6.0, 0.25
"""Templates of random phases, and by how many standard errors, and by which share of their own
power, real ones must explain more: of lattices and motifs some 0.6 to 1, of noise up to 0.12."""
_ALIKE, _ODDS = 0.97, 3.0
"""Correlation of a motif with itself, turned, from which on it is symmetric; or the mean
logarithm of the odds between both angles below which the noise does not tell [nats]."""
_ABOVE = 10.0
"""Standard errors by which the power at a spatial frequency must stand out of the noise."""
_SAME, _KIN = 0.985, 0.9
"""Correlation of two templates from which on they are one, or the same motif, strained."""
_FOLDS = (6, 4, 3, 2)
_SHOWN = 0.4
"""Weight from which on a pixel takes part where templates are compared."""
_DRIFT = 0.06
"""Largest change of the angle where a template is laid over itself, turned [rad]."""


@dataclass(frozen=True)
class Motifs:
    """Templates in one common orientation.

    Parameters
    ----------
    templates
        Upright, filtered, 0 outside of the field, (k, s, s).
    transfer
        Filter that patches pass before they are held against them, (s, s // 2 + 1).
    folds
        Number of turns in a circle after which each looks the same, (k,).
    """

    templates: F32
    transfer: F32
    folds: NDArray[np.int16]


def wiener(patches: F32) -> F32:
    """Return the filter that keeps what stands out of the noise, by spatial frequency.

    Notes
    -----
    The noise is the mean power of frequencies beyond 0.4 cycles/px in each direction. What is
    less than 10 standard errors above it, of patches that share no pixels, is left out.
    """
    side = patches.shape[-1]
    window = np.hanning(side + 2)[1:-1]
    power = np.zeros((side, side // 2 + 1))
    for first in range(0, len(patches), 512):
        spectrum = np.fft.rfft2(patches[first : first + 512] * window[:, None] * window)
        power += (np.abs(spectrum) ** 2).sum(axis=0)
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    ring = np.rint(np.hypot(down, across) * side).astype(np.intp)
    size = np.maximum(np.bincount(ring.ravel()), 1)
    mean = np.bincount(ring.ravel(), power.ravel()) / size
    corner = (abs(down) > 0.4) & (across > 0.4)
    noise = float(power[corner].mean()) if corner.any() else 0.0
    share = np.clip(1 - noise / np.maximum(mean, 1e-30), 0, 1)
    share[mean < noise * (1 + _ABOVE / np.sqrt(size * len(patches)))] = 0  # as by chance
    found: F32 = share[ring].astype(np.float32)
    return found


def filtered(patches: F32, transfer: F32) -> F32:
    """Pass patches through a filter, each less its mean."""
    out = np.empty_like(patches)
    for first in range(0, len(patches), 512):
        some = patches[first : first + 512]
        some = some - some.mean(axis=(1, 2), keepdims=True)
        out[first : first + 512] = np.fft.irfft2(np.fft.rfft2(some) * transfer, s=some.shape[1:])
    return out


def motifs_of(
    patches: F32, field: Field, *, seed: int, share: tuple[float, float]
) -> Motifs | None:
    """Find the motifs of patches.

    Parameters
    ----------
    patches
        Array (n, s, s), noise of variance 1.
    field
        Which poses there can be.
    seed
        Of the choice of patches.
    share
        Shares of the whole work before and after, for progress.

    Returns
    -------
    :
        None where templates explain patches no better than others of the same power spectrum, so
        that angles and shifts would be those of noise.

    Notes
    -----
    Each template starts as a single patch, that of some which explains most of what those before it
    leave over, in the pose that it has against them; so all keep one orientation. Then patches are
    assigned and averaged in turn, as in k-means, over all poses. At the end each template is turned
    to where it resembles a larger one most.

    References
    ----------
    P. A. Penczek et al., Ultramicroscopy 40 (1992) 33 (alignment to several references).
    """
    rng = np.random.default_rng(seed)
    transfer = wiener(patches)
    if not transfer[:, 1:].any():
        return None
    learned, held = (rng.permutation(part) for part in _apart(len(patches)))
    seen = filtered(patches[learned[:_SAMPLE]], transfer)
    templates = _first(seen, field, rng)
    left = np.inf
    for k in range(1, _MOST + 1):
        last = k == _MOST
        templates, poses, rest = _assigned(seen, templates, field, rounds=_ROUNDS, wide=k <= 2)
        tick(share[0] + (share[1] - share[0]) * k / (_MOST + 2))
        now = float(rest.sum())
        if now > (1 - _GAIN) * left:
            break
        left, kept = now, templates
        if not last:
            templates = _one_more(seen, templates, poses, rest, field=field, rng=rng)
    templates, poses, rest = _assigned(seen, kept, field, rounds=_LAST, wide=False)
    templates = _in_one_frame(templates, poses, rest, field)
    templates, poses, rest = _assigned(seen, templates, field, rounds=2, wide=False, center=False)
    if not _real(filtered(patches[held[:_HELD]], transfer), templates, field, rng):
        return None
    return Motifs(templates, transfer, _folds(templates, poses, rest, field))


def _apart(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows to learn from, and rows that share no pixels with them."""
    run, place = np.divmod(np.arange(n) * 2 * _RUNS / n, 1)
    inner = abs(place - 0.5) < 0.5 - _BETWEEN
    odd = run.astype(np.intp) % 2 == 1
    return np.flatnonzero(~odd), np.flatnonzero(odd & inner)


def _first(seen: F32, field: Field, rng: np.random.Generator) -> F32:
    """Return the patch of some that explains most of the others, (1, s, s)."""
    chosen = rng.choice(len(seen), min(_CANDIDATES, len(seen)), replace=False)
    tried = seen[rng.choice(len(seen), min(_TRIED, len(seen)), replace=False)]
    gains = []
    for one in chosen:
        template = seen[one : one + 1] * field.weight
        gains.append(search(tried, template, field, reach=2 * field.most_shift)[1][0])
    best = chosen[int(np.argmax([gain.mean() for gain in gains]))]
    found: F32 = seen[best : best + 1] * field.weight
    return found


def _assigned(
    seen: F32, templates: F32, field: Field, *, rounds: int, wide: bool, center: bool = True
) -> tuple[F32, Poses, F64]:
    """Assign patches and average them, in turn; return what is left over of each patch, too."""
    for i in range(rounds):
        far = 2.0 if wide and i == 0 else 1.3
        poses, up = posed(
            seen, templates, field, reach=far * field.most_shift, candidates=2, rounds=2
        )
        k = len(templates)
        counts = np.bincount(poses.template, minlength=k)
        templates = np.stack(
            [
                up[poses.template == j].mean(axis=0) if counts[j] > 1 else templates[j]
                for j in range(k)
            ]
        )
        if center:
            templates = _centered(templates, poses, field)
    rest = np.square(up - templates[poses.template]).sum(axis=(1, 2), dtype=np.float64)
    return templates, poses, rest


def _centered(templates: F32, poses: Poses, field: Field) -> F32:
    """Shift templates so that the shifts of their patches are about 0 in the middle."""
    if not field.most_shift:
        return templates
    c, s = np.cos(poses.turn), np.sin(poses.turn)
    row, column = poses.shift.T
    own = np.stack([c * row - s * column, s * row + c * column], -1)  # in the template's frame
    k = len(templates)
    counts = np.maximum(np.bincount(poses.template, minlength=k), 1)
    middle = np.stack([np.bincount(poses.template, own[:, i], k) / counts for i in (0, 1)], -1)
    none = np.zeros(k)
    found = upright(templates, Poses(none, -middle, np.arange(k)), field)
    return np.where(np.abs(middle).max(axis=1)[:, None, None] > 0.1, found, templates)


def _one_more(
    seen: F32,
    templates: F32,
    poses: Poses,
    rest: F64,
    *,
    field: Field,
    rng: np.random.Generator,
) -> F32:
    """Add the patch of some, drawn by what is left over of them, that explains most of it."""
    spare = np.maximum(rest - np.median(rest) * 0.5, 1e-9)
    size = min(_CANDIDATES, len(seen))
    chosen = rng.choice(len(seen), size, replace=False, p=spare / spare.sum())
    tried = rng.choice(len(seen), min(_TRIED, len(seen)), replace=False)
    _, (known,) = search(seen[tried], templates, field, reach=field.most_shift)
    candidates = upright(seen[chosen], poses.take(chosen), field)
    gains = []
    for one in candidates:
        _, (gain,) = search(seen[tried], one[None], field, reach=field.most_shift)
        gains.append(np.maximum(gain - known, 0).sum())
    return np.concatenate([templates, candidates[int(np.argmax(gains))][None]])


def _in_one_frame(templates: F32, poses: Poses, rest: F64, field: Field) -> F32:
    """Turn each template to where it is most like one that more patches have.

    Those that then are the same are left out.
    """
    counts = np.bincount(poses.template, minlength=len(templates))
    noise = float(rest.mean() / np.square(field.weight).sum())
    order = np.argsort(-counts, kind="stable")
    found = templates[order[:1]]
    for i in order[1:]:
        one = templates[i : i + 1]
        size = np.sqrt(np.square(one).sum())
        lengths = np.sqrt(np.square(found).sum(axis=(1, 2), keepdims=True)) + 1e-12
        unit = (found / lengths * size).astype(np.float32)
        pose, up = posed(one, unit, field, reach=field.most_shift, candidates=3, rounds=6)
        like = unit[pose.template[0]]
        alike = float((up[0] * like).sum()) / max(float(np.square(like).sum()), 1e-12)
        odds = float(np.square(up[0] - found[pose.template[0]]).sum()) / (2 * max(noise, 1e-12))
        if alike > _SAME or odds < _ODDS:
            continue
        if alike < _KIN:  # another motif, which has a middle of its own
            up = upright(one, Poses(pose.turn, np.zeros((1, 2)), pose.template), field)
        found = np.concatenate([found, up])
    return found


def _real(held: F32, templates: F32, field: Field, rng: np.random.Generator) -> bool:
    """Whether templates explain held-out patches better than others of the same power."""
    if len(held) < 20:
        return True
    _, (own,) = search(held, templates, field, reach=field.most_shift)
    others = []
    for _ in range(_SURROGATES):
        phases = np.fft.rfft2(rng.standard_normal(templates.shape))
        drawn = np.abs(np.fft.rfft2(templates)) * phases / np.maximum(np.abs(phases), 1e-12)
        other = np.fft.irfft2(drawn, s=templates.shape[1:]).astype(np.float32) * field.weight
        size = np.sqrt(np.square(templates).sum(axis=(1, 2), keepdims=True))
        other *= size / np.maximum(np.sqrt(np.square(other).sum(axis=(1, 2), keepdims=True)), 1e-12)
        others.append(search(held, other, field, reach=field.most_shift)[1][0])
    ahead = own - np.mean(others, axis=0)
    error = float(ahead.std()) / np.sqrt(len(ahead)) + 1e-12
    power = float(np.square(templates).sum(axis=(1, 2)).mean())
    return bool(ahead.mean() > max(_SURE * error, _SHARE * power))


def _laid_over(template: F32, turn: float, field: Field) -> Poses:
    """Return the pose in which a template, turned, lies over itself best."""
    none = np.zeros(1, dtype=np.intp)
    there = upright(template[None], Poses(np.array([turn]), np.zeros((1, 2)), none), field)[0]
    cross = np.fft.irfft2(np.fft.rfft2(there) * np.fft.rfft2(template).conj(), s=template.shape)
    side = len(template)
    far = np.minimum(np.arange(side), side - np.arange(side)) > side / 4
    cross[far] = cross[:, far] = -np.inf
    place = np.array(np.unravel_index(cross.argmax(), cross.shape))
    row, column = np.where(place > side / 2, place - side, place)
    c, s = np.cos(turn), np.sin(turn)
    shift = np.array([[c * row + s * column, -s * row + c * column]])
    return Poses(np.array([turn]), shift, none)


def _in_common(template: F32, other: F32, pose: Poses, field: Field) -> tuple[F32, F32]:
    """Return pixels that a template and itself in another pose both show, without their weight."""
    weight = field.weight
    cover = upright(weight[None], pose, field)[0]
    shown = (weight > _SHOWN) & (cover > _SHOWN * weight)
    return template[shown] / weight[shown], other[shown] / cover[shown]


def _folds(templates: F32, poses: Poses, rest: F64, field: Field) -> NDArray[np.int16]:
    """Count the turns in a circle after which templates look the same, as far as noise tells."""
    k = len(templates)
    found = np.ones(k, dtype=np.int16)
    if not field.turned:
        return found
    counts = np.maximum(np.bincount(poses.template, minlength=k), 1)
    pixels = max(float(np.square(field.weight).sum()), 1.0)
    noise = np.bincount(poses.template, rest, k) / counts / pixels
    for i, template in enumerate(templates):
        for fold in _FOLDS:
            turned = _laid_over(template, 2 * np.pi / fold, field)
            pose, (other,) = refined(template[None], turned, template[None], field, rounds=4)
            if abs(pose.turn[0] - turned.turn[0]) > _DRIFT:  # it looks the same at another angle
                continue
            one, two = _in_common(template, other, pose, field)
            lengths = np.sqrt(float(np.square(one).sum()) * float(np.square(two).sum()))
            alike = float((one * two).sum()) / max(lengths, 1e-12)
            odds = float(np.square(one - two).sum()) / (2 * max(noise[i], 1e-12))
            if alike > _ALIKE or odds - len(one) / counts[i] < _ODDS:
                found[i] = fold
                break
    return found
