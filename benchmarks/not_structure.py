"""How often the recipes, as they come, find clusters where there are none.

Run: ``python benchmarks/not_structure.py [--seeds 20] [--recipe eds ...] [--scene waves ...]``.
One phase under 35 % thickness waves; a scan whose upper quarter has 1.5 times the dose; nothing but
noise; a smooth ramp of composition; a drift of the zero loss; a distorted scan of one crystal. Size
and dose differ from seed to seed. An answer is wrong that draws two or more clusters without a
verdict against them; what a ramp must be called is a trend.
"""

import argparse
import collections
import time
import warnings

import hyperspy.api as hs
import numpy as np
from scipy.ndimage import gaussian_filter

import clustem
from clustem import samples
from clustem.judge.verdict import verdict


def shape_of(rng):
    return int(rng.integers(36, 60)), int(rng.integers(40, 72))


def waves(rng, shape):
    """Thickness that rises and falls by 35 % across the scan, in two directions."""
    row, column = np.indices(shape) / max(shape)
    turn, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    along = row * np.sin(turn) + column * np.cos(turn)
    return 1 + 0.35 * np.sin(2 * np.pi * rng.uniform(1.5, 4) * along + phase)


def dose_step(rng, shape):
    """Give the upper quarter 1.5 times the dose."""
    rows = round(shape[0] * rng.uniform(0.2, 0.3))
    return np.where(np.arange(shape[0])[:, None] < rows, 1.5, 1.0) * np.ones(shape)


def even(_, shape):
    return np.ones(shape)


DOSES = {"waves": waves, "dose step": dose_step, "noise": even, "ramp": even}


def ramp(rng, shape):
    """Share of a second phase, rising over the scan, (rows, columns)."""
    row, column = np.indices(shape)
    turn = rng.uniform(0, np.pi / 2)
    along = row * np.sin(turn) + column * np.cos(turn)
    share = rng.uniform(0, 0.2) + rng.uniform(0.5, 0.8) * along / along.max()
    return share if rng.random() < 0.5 else share[::-1]


def eds(rng, scene):
    """EDS map of one mineral, 20 to 300 counts a position, or of a solid solution of two."""
    shape, counts = shape_of(rng), np.exp(rng.uniform(np.log(20), np.log(300)))
    phases = samples.eds(shape=(8, 8)).spectra
    one, two = phases[rng.permutation(len(phases))[:2]]
    share = ramp(rng, shape) if scene == "ramp" else np.zeros(shape)
    mean = (1 - share[..., None]) * one / one.sum() + share[..., None] * two / two.sum()
    signal = samples.eds(shape=(8, 8)).signal
    mean *= counts * DOSES[scene](rng, shape)[..., None]
    found = hs.signals.Signal1D(rng.poisson(mean).astype(np.uint16))
    found.set_signal_type("EDS_SEM")
    found.metadata.add_dictionary(signal.metadata.as_dictionary())
    axis, known = found.axes_manager[-1], signal.axes_manager[-1]
    axis.name, axis.units, axis.scale, axis.offset = "Energy", "keV", known.scale, known.offset
    return found


def patterns(rng, share):
    """Two diffraction patterns, mixed, (rows, columns, 32, 32); each sums to 1."""
    out = []
    y, x = np.indices((32, 32)) - 15.5
    for _ in range(2):
        turn, spacing = rng.uniform(0, np.pi), rng.uniform(5, 8)
        image = 2 * np.exp(-np.hypot(y, x) / 5) + 0.05
        for i in range(-2, 3):
            for j in range(-2, 3):
                v = spacing * (i * np.cos(turn) - j * np.sin(turn))
                w = spacing * (i * np.sin(turn) + j * np.cos(turn))
                disk = np.hypot(y - v, x - w) < 1.6
                image = image + disk * (60.0 if i == j == 0 else rng.uniform(0.5, 3))
        out.append(image / image.sum())
    return (1 - share)[..., None, None] * out[0] + share[..., None, None] * out[1]


def diffraction(rng, scene):
    """4D-STEM scan of one grain, 300 to 10,000 electrons a pattern."""
    shape = tuple(n // 2 + 8 for n in shape_of(rng))
    share = ramp(rng, shape) if scene == "ramp" else np.zeros(shape)
    electrons = np.exp(rng.uniform(np.log(300), np.log(10_000)))
    mean = patterns(rng, share) * (electrons * DOSES[scene](rng, shape))[..., None, None]
    return hs.signals.Signal2D(rng.poisson(mean).astype(np.uint16))


def losses(rng, scene):
    """Low-loss EELS map of one film, plural scattering included, 3,000 to 30,000 counts."""
    shape, energy = shape_of(rng), np.arange(-8.0, 72.0, 0.4)
    counts = np.exp(rng.uniform(np.log(3e3), np.log(3e4)))
    thickness = rng.uniform(0.3, 0.7) * (waves(rng, shape) if scene == "waves" else np.ones(shape))
    drift = np.zeros(shape)
    if scene == "zero-loss drift":
        drift = np.cumsum(rng.normal(0, 0.05, np.prod(shape))).reshape(shape)
        drift = np.clip(drift + 2 * np.linspace(0, 1, shape[0])[:, None], -3, 3)

    def peak(at, width):
        return np.exp(-0.5 * ((energy - at - drift[..., None]) / width) ** 2) / width

    plasmon, width = rng.uniform(14, 24), rng.uniform(1.6, 3)
    share = ramp(rng, shape) if scene == "ramp" else np.zeros(shape)
    at = (plasmon + 4 * share)[..., None]
    order = [peak(0.0, 0.5), *(peak(n * at, width * np.sqrt(n)) for n in (1, 2, 3))]
    weight, mean = np.ones(shape), np.zeros((*shape, len(energy)))
    for n, part in enumerate(order):
        weight = weight * (thickness / n if n else 1)
        mean = mean + weight[..., None] * part
    mean /= mean.sum(axis=-1).mean()
    dose = dose_step(rng, shape) if scene == "dose step" else np.ones(shape)
    data = rng.poisson(counts * dose[..., None] * mean)
    found = hs.signals.Signal1D(data.astype(np.float32 if rng.random() < 0.5 else np.uint16))
    found.set_signal_type("EELS")
    axis = found.axes_manager[-1]
    axis.name, axis.units, axis.scale, axis.offset = "Energy loss", "eV", 0.4, -8.0
    return found


def image(rng, scene):
    """Image of noise, of smooth shading, or of one crystal that the scan distorts."""
    size = int(rng.integers(200, 300)), int(rng.integers(200, 300))
    row, column = np.indices(size)
    noise = rng.normal(size=size) if rng.random() < 0.5 else rng.poisson(5, size) - 5.0
    if rng.random() < 0.5:
        noise = gaussian_filter(noise, rng.uniform(0.5, 1.2))
    if scene == "noise":
        return hs.signals.Signal2D((100 + 10 * noise / noise.std()).astype(np.float32))
    if scene == "ramp":
        smooth = row / size[0] * rng.uniform(-5, 5) + column / size[1] * rng.uniform(2, 6)
        return hs.signals.Signal2D((100 + 4 * smooth + 4 * noise / noise.std()).astype(np.float32))
    if scene == "scan distortion":
        shift = gaussian_filter(np.cumsum(rng.normal(0, 0.05, size[0])), 2)[:, None]
        column = column + shift + rng.uniform(0.5, 1.5) * np.sin(2 * np.pi * row / size[0])
    spacing, turn = rng.uniform(9, 12), rng.uniform(0, np.pi / 2)
    u = 2 * np.pi * (row * np.cos(turn) + column * np.sin(turn)) / spacing
    v = 2 * np.pi * (column * np.cos(turn) - row * np.sin(turn)) / spacing
    columns = (np.clip((2 + np.cos(u) + np.cos(v)) / 4, 0, None)) ** 4
    light = waves(rng, size) if scene == "waves" else dose_step(rng, size)
    light = light if scene in ("waves", "dose step") else np.ones(size)
    return hs.signals.Signal2D(rng.poisson(20 + 200 * columns * light).astype(np.float32))


CASES = {
    "eds": (eds, ("waves", "dose step", "noise", "ramp")),
    "eds-fuzzy": (eds, ("waves", "dose step", "noise")),
    "diffraction": (diffraction, ("waves", "dose step", "noise", "ramp")),
    "eels-shape": (losses, ("waves", "dose step", "noise", "ramp", "zero-loss drift")),
    "eels": (losses, ("noise", "zero-loss drift")),
    "texture": (image, ("noise", "ramp")),
    "domains": (image, ("waves", "dose step", "noise", "scan distortion")),
    "particles": (image, ("noise",)),
}


def answer(recipe, scene, seed):
    """Run a recipe as it comes; return whether it finds structure, and what it says."""
    simulate, scenes = CASES[recipe]
    rng = np.random.default_rng([seed, sorted(CASES).index(recipe), scenes.index(scene)])
    try:
        found = clustem.segment(simulate(rng, scene), recipe)
    except clustem.core.ClustemError as error:
        return False, f"refused: {error}"
    said = verdict(found)
    return (
        found.n_clusters > 1 and said.structure,
        f"k = {found.n_clusters}: {said.text or said.warranted}",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--recipe", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--scene", nargs="*")
    parser.add_argument(
        "--all", action="store_true", help="print every answer, not only wrong ones"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = collections.defaultdict(list)
    for recipe in options.recipe:
        for scene in CASES[recipe][1]:
            if options.scene and scene not in options.scene:
                continue
            for seed in range(options.first, options.first + options.seeds):
                start = time.perf_counter()
                found, said = answer(recipe, scene, seed)
                wrong[recipe, scene].append(found)
                if found or options.all:
                    mark = "wrong" if found else "right"
                    seconds = time.perf_counter() - start
                    print(
                        f"  {mark}: {recipe}, {scene}, seed {seed} ({seconds:.1f} s): {said}",
                        flush=True,
                    )
    print(f"{'recipe':14} {'scene':18} structure where there is none")
    for (recipe, scene), found in wrong.items():
        print(f"{recipe:14} {scene:18} {sum(found)} of {len(found)}")


if __name__ == "__main__":
    main()
