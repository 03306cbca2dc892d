"""What the command line can do, a function for each command; imports nothing that is slow."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from clustem.app.command import serve
from clustem.cli._arguments import check_axes, files_of, numbers_of, parsed, signals_of
from clustem.cli._options import (
    Anyway,
    Clusters,
    Force,
    Lazy,
    Output,
    Reader,
    RecipeName,
    Scheduler,
    Settings,
    SkipBroken,
    Source,
    Sources,
    Workers,
)
from clustem.cli._running import (
    connected,
    progress_bar,
    save,
    save_joint,
    save_study,
    segmented,
    unfinished,
    write_joint,
    write_study,
)

_SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "eels-shape": ("eels", {"kind": "core"}),
    "domains-vae": ("domains", {}),
    "particles-vae": ("particles", {}),
}
"""Sample of each recipe that does not have its name."""
_SPACES = {"full": "all dimensions", "plane": "two principal components"}
"""Titles of the spaces that ``spaces_of`` names."""

app = typer.Typer(
    name="clustem",
    help="Find where things are alike in electron-microscopy data.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer's callback
    if wanted:
        from importlib.metadata import version

        typer.echo(version("clustem"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[  # its callback prints it
        bool, typer.Option("--version", callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    source: Sources,
    recipe: RecipeName,
    settings: Settings = None,
    k: Clusters = None,
    output: Output = None,
    *,
    lazy: Lazy = None,
    reader: Reader = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    force: Force = False,
    anyway: Anyway = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run to this output was stopped.")
    ] = False,
    skip_broken: SkipBroken = False,
) -> None:
    """Run a recipe on a file, or on several in one fit, and write the result folder."""
    from clustem.core import ParameterError
    from clustem.io.output_folder import check_output
    from clustem.recipes.open_scan import n_frames, open_scan
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.segment_study import is_series

    chosen, files = Recipe.named(recipe).with_settings(parsed(settings, k)), files_of(source)
    signals = signals_of(source)
    first = files[0].stem if len(files) == 1 else "study"
    first = "scan" if signals else first
    folder = output or Path(f"{first}_{chosen.name}")
    check_output(folder, force=force, inputs=[*signals.values()] if signals else files)
    with connected(workers, scheduler) as client:
        lazy = True if client is not None and lazy is None else lazy
        more = {"lazy": lazy, "reader": reader, "anyway": anyway, "client": client}
        if signals or chosen.data == "several":
            if skip_broken or (len(files) > 1 and not signals):
                raise ParameterError(
                    "Several signals of one scan need names, and take no --skip-broken",
                    got=" ".join(map(str, source)),
                    cure="clustem run eds=map.bcf haadf=image.tif -r joint",
                )
            with unfinished(folder, resume=resume) as kept:
                given = {**more, "resume": kept}
                save_joint(signals or files[0], chosen, folder, force=force, **given)
            return
        if len(files) > 1:
            with unfinished(folder, resume=resume) as kept:
                given = {**more, "resume": kept, "skip_broken": skip_broken}
                save_study(files, chosen, folder, force=force, **given)
            return
        scan = open_scan(chosen, files[0], lazy=lazy, stack=True, reader=reader, plain=True)
        n = n_frames(scan.signal)
        if n > 1 and ("describe", "gabor") in chosen.steps:
            typer.echo(f"a stack of {n} images: segmented as a movie, frame by frame")
        if is_series(scan, chosen):
            with unfinished(folder, resume=resume) as kept:
                save_study(scan, chosen, folder, force=force, **more, resume=kept)
            return
        check_axes(scan)
        with unfinished(folder, resume=resume) as kept:
            given = {"lazy": lazy, "anyway": anyway, "client": client, "resume": kept}
            save(segmented(scan, chosen, **given), folder, force=force)


@app.command()
def apply(
    result: Annotated[Path, typer.Argument(help="Result folder of a run or a study.")],
    source: Sources,
    output: Output = None,
    *,
    novelty: Annotated[
        float, typer.Option("--novelty", help="False-alarm rate of what no cluster explains.")
    ] = 0.01,
    lazy: Lazy = None,
    reader: Reader = None,
    force: Force = False,
    skip_broken: SkipBroken = False,
) -> None:
    """Find the clusters of a result on other files, without fitting."""
    from clustem.core import ClustemError
    from clustem.io.output_folder import check_output
    from clustem.recipes.apply import apply as apply_to
    from clustem.recipes.joint import Joint
    from clustem.recipes.load import load
    from clustem.recipes.study import Study

    files, signals = files_of(source), signals_of(source)
    inputs = [*signals.values()] or files
    folder = output or Path(f"{inputs[0].stem}_as_{result.name}")
    check_output(folder, force=force, inputs=[*inputs, result])
    known, found, skipped = load(result), [], {}
    if isinstance(known, Joint):
        with progress_bar() as progress:
            joint = apply_to(
                known,
                signals or files[0],
                novelty=novelty,
                lazy=lazy,
                reader=reader,
                progress=progress,
            )
        write_joint(joint, folder, force=force)
        return
    with progress_bar() as progress:
        for i, file in enumerate(files):
            progress(file.name, i / len(files))
            try:
                found.append(apply_to(known, file, novelty=novelty, lazy=lazy, reader=reader))
            except ClustemError as error:
                if not skip_broken:
                    raise
                skipped[file.stem] = str(error)
    if len(files) == 1 and found:
        save(found[0], folder, force=force)
        return
    titles = tuple(file.stem for file in files if file.stem not in skipped)
    write_study(Study(tuple(found), titles, skipped=skipped), folder, force=force)


@app.command()
def demo(
    recipe: Annotated[str, typer.Argument(help="Which recipe.")] = "eds",
    settings: Settings = None,
    output: Output = None,
    *,
    force: Force = False,
) -> None:
    """Run a recipe on a simulated scan and score the map against the truth."""
    from clustem.core.registry import registry
    from clustem.io.blockfile import write_blo
    from clustem.io.output_folder import check_output
    from clustem.recipes.compare import compare
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.views import spaces_of

    chosen = Recipe.named(recipe).with_settings(parsed(settings, None))
    folder = output or Path(f"demo_{chosen.name}")
    check_output(folder, force=force)
    name, given = _SAMPLES.get(chosen.name, (chosen.name, {}))
    sample = registry("samples")[name].step(**given)
    beside: dict[str, Any] = {}
    if chosen.data == "several":
        joint = save_joint(sample.signals, chosen, folder, force=force)
        typer.echo(f"{chosen.name}, against the truth: {compare(joint, sample.labels)}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        source = sample.signal
        if chosen.data == "patterns":  # start from a real file format
            source = write_blo(source, Path(temporary) / f"{chosen.name}.blo")
        result = segmented(source, chosen)
        if ("prepare", "beam_mask") in chosen.steps:
            plain = chosen.with_settings({"prepare.beam_mask": False})
            beside["without the beam mask"] = segmented(source, plain)
        if chosen.name in ("domains", "domains-vae"):
            spaces = spaces_of(chosen)
            beside |= {title: segmented(source, spaces[name]) for name, title in _SPACES.items()}
        truth = {"truth": sample.truth_for(result), "truth_names": sample.names}
        save(result, folder, force=force, beside=beside, **truth)
    for title, found in {chosen.name: result, **beside}.items():
        typer.echo(f"{title}, against the truth: {compare(found, sample.truth_for(found))}")


@app.command()
def sweep(
    source: Source,
    recipe: RecipeName,
    k: Annotated[str, typer.Option("-k", help="Numbers of clusters: 2:10 or 4,6,8.")],
    settings: Settings = None,
    output: Output = None,
    *,
    lazy: Lazy = None,
    reader: Reader = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    force: Force = False,
    anyway: Anyway = False,
) -> None:
    """Run a recipe at several numbers of clusters; what comes before clustering runs once."""
    from clustem.io.output_folder import check_output
    from clustem.recipes.open_scan import open_scan
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.sweep import sweep as run_sweep
    from clustem.report.page.save_result import save_sweep

    chosen = Recipe.named(recipe).with_settings(parsed(settings, None))
    folder = output or Path(f"{source.stem}_{chosen.name}_sweep")
    check_output(folder, force=force, inputs=[source])
    with connected(workers, scheduler) as client, progress_bar() as progress:
        lazy = True if client is not None and lazy is None else lazy
        scan = open_scan(chosen, source, lazy=lazy, reader=reader, plain=True)
        check_axes(scan)
        results = run_sweep(
            scan, chosen, numbers_of(k), client=client, progress=progress, anyway=anyway
        )
    save_sweep(results, folder, force=force)
    for number, result in results.items():
        scores = ", ".join(f"{name} {value:.6g}" for name, value in result.scores.items())
        sizes = " ".join(str(count) for count in result.counts)
        typer.echo(f"k = {number}: sizes {sizes}; {scores}")
    if results.choice is not None:
        typer.echo(f"recommended: {results.choice.summary}")
        typer.echo(f"evidence: {folder / 'k_choice.png'}")
    for name, agreed in results.agreement().items():
        title = _SPACES[name]
        found = ", ".join(f"k = {number}: {each.ari:.3f}" for number, each in agreed.items())
        typer.echo(f"{title}: ARI with these maps {found}")
        if (choice := results.others[name].choice) is not None:
            typer.echo(f"{title}, recommended: {choice.summary}")
    typer.echo(f"maps: {folder / 'maps.png'}, {folder / 'lineage.png'}")


@app.command(name="compare")
def compare_command(
    first: Annotated[Path, typer.Argument(help="Result folder, .tif or .npy label map.")],
    second: Annotated[Path, typer.Argument(help="The same; scores are of its clusters.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Draw the confusion matrix and a map of the differences into this folder, or "
            "into FILE.png and FILE_map.png.",
            metavar="DIR|FILE.png",
        ),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace earlier figures.")] = False,
) -> None:
    """Compare two label maps of the same scan after the best matching of their numbers."""
    from clustem.core import ParameterError
    from clustem.recipes.compare import compare, opened
    from clustem.recipes.study import Study

    one, other = opened(first), opened(second)
    found = compare(one, other)
    if output is not None and isinstance(one, Study):
        raise ParameterError(
            "Differences are drawn of single maps", got="studies", cure="Name a map's folder in it."
        )
    typer.echo(str(found))
    typer.echo("confusion [% of each column]: rows are A, columns are B")
    typer.echo("      " + "".join(f"{label:>8d}" for label in found.columns))
    for label, shares in zip(found.rows, found.confusion, strict=True):
        match = found.matching.get(int(label), "none")
        cells = "".join(f"{share:8.2f}" for share in shares)
        typer.echo(f"{label:>6d}{cells}   matches {match}")
    for label in found.columns.tolist():
        typer.echo(
            f"B {label}: precision {found.precision[label]:.4f}, "
            f"recall {found.recall[label]:.4f}, F1 {found.f1[label]:.4f}"
        )
    if output is not None:
        from clustem.labelmaps.label_maps import as_labels
        from clustem.report.page.write_comparison import write_comparison

        a, b = (as_labels(each) if isinstance(each, Path) else each for each in (one, other))
        for file in write_comparison(a, b, output, force=force):
            typer.echo(f"figure: {file}")


@app.command()
def info(source: Source, *, reader: Reader = None) -> None:
    """Show shape, axes, units and memory of a file, and the recipe that would fit."""
    from clustem.core.memory import size_text
    from clustem.core.signal import title_of, type_of
    from clustem.io.reading import read
    from clustem.recipes.recipe import Recipe

    scan = read(source, reader=reader, plain=True)
    for signal in (scan.signal, *scan.context):
        kind, title = type_of(signal) or "untyped", title_of(signal)
        shape = " × ".join(str(size) for size in signal.data.shape)
        typer.echo(
            f"{kind} {title!r}: {shape} {signal.data.dtype}, {size_text(signal.data.nbytes)}"
        )
        for axis in signal.axes_manager._axes:
            role = "scan" if axis.navigate else "signal"
            units = axis.units if isinstance(axis.units, str) and axis.units else "px"
            steps = (
                f"scale {axis.scale:.6g} {units}, offset {axis.offset:.6g} {units}"
                if axis.is_uniform
                else f"uneven, {axis.axis[0]:.6g} … {axis.axis[-1]:.6g} {units}"
            )
            typer.echo(f"  {role:6} {axis.name!s:10} {axis.size:6d}  {steps}")
    fits = Recipe.fitting(scan.signal)
    if "texture" in fits:  # an image: with a lattice, or without
        from clustem.core import InputError
        from clustem.judge.lattice import RECIPES, lattice

        try:
            seen = lattice(scan.signal)
            typer.echo(f"image: {seen.summary}")
            fits = [name for name in fits if name not in RECIPES.difference(seen.recipes)]
        except InputError as error:  # no contrast, or no numbers
            typer.echo(f"image: {error}")
    typer.echo(f"recipe: {', '.join(fits) if fits else 'none fits yet'}")


@app.command()
def convert(
    source: Source,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File to write, .zspy, .hspy or .npy; it must not exist.",
            metavar="FILE",
        ),
    ] = None,
    *,
    reader: Reader = None,
) -> None:
    """Write a scan into a format that is fast to read by blocks: once, before several runs."""
    from clustem.core.memory import size_text
    from clustem.io.convert import convert as write

    with progress_bar() as progress:
        path, scan = write(source, output, reader=reader, progress=progress)
    shape = " × ".join(str(size) for size in scan.signal.data.shape)
    typer.echo(f"{path}: {shape} {scan.signal.data.dtype}, {size_text(scan.signal.data.nbytes)}")
    if scan.context:
        typer.echo(f"left out: {len(scan.context)} more signals of the file")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Recipe to print as TOML.")] = None,
    *,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Print every parameter of every step instead.")
    ] = False,
) -> None:
    """List the recipes, or print one as TOML to start from."""
    from clustem.recipes.recipe import Recipe

    if name is None:
        for known in Recipe.heads():
            typer.echo(f"{known.name:14} {known.title}")
        return
    recipe = Recipe.named(name)
    if not parameters:
        typer.echo(recipe.to_toml())
        return
    for entry in recipe.entries():
        typer.echo(f"{entry.label}: {entry.summary}")
        for parameter in entry.parameters.values():
            default = "required" if parameter.required else f"default {parameter.default!r}"
            typer.echo(f"  {parameter.name:18} {parameter.description}; {default}")


app.command()(serve)
