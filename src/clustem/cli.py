"""The command line."""

from __future__ import annotations

import _thread
import errno
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIG_IGN, Signals, getsignal
from signal import signal as set_signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clustem.app.command import serve

if TYPE_CHECKING:
    from clustem.core import Scan, Segmentation, Step
    from clustem.judge.verdict import Verdict
    from clustem.recipes.joint import Joint
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.segment import Source as AnySource
    from clustem.recipes.study import Study

_SAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "eels-shape": ("eels", {"kind": "core"}),
    "domains-vae": ("domains", {}),
    "particles-vae": ("particles", {}),
}
"""Sample of each recipe that does not have its name."""
_SPACES = {"full": "all dimensions", "plane": "two principal components"}
"""Titles of the spaces that ``spaces_of`` names."""

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

app = typer.Typer(
    name="clustem",
    help="Find where things are alike in electron-microscopy data.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[Path, typer.Argument(help="A file that HyperSpy reads.", metavar="INPUT")]
Sources = Annotated[
    list[Path],
    typer.Argument(
        help="A file that HyperSpy reads; several, or a pattern such as 'tilt_*.bcf', get one set "
        "of clusters; eds=map.bcf haadf=image.tif are signals of one scan (-r joint).",
        metavar="INPUT...",
    ),
]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")
]
RecipeName = Annotated[
    str, typer.Option("-r", "--recipe", help="Recipe: a name (clustem recipes) or a .toml file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        help="Change the recipe: param=value if only one step has it, stage.param=value, "
        "stage.step.param=value, stage.step=true or false, stage=Step. May be repeated.",
        metavar="NAME=VALUE",
    ),
]
Clusters = Annotated[
    str | None,
    typer.Option(
        "-k", help="Number of clusters or auto, short for -s cluster.n_clusters=K.", metavar="K"
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Result folder; it must not exist.", metavar="DIR"),
]
Reader = Annotated[
    str | None,
    typer.Option(
        "--reader",
        help="Reader of HyperSpy for a type of file that several can open, or LiberTEM's: "
        "lt, lt:seq, lt:raw,dtype=uint16,nav_shape=256x256,sig_shape=128x128.",
        metavar="NAME",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier result folder.")]
Lazy = Annotated[
    bool | None,
    typer.Option("--lazy/--no-lazy", help="Leave the data on disk (default: beyond 2 GB)."),
]

Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Read and compute in so many processes of this machine.", min=1),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Read and compute on the workers of a dask scheduler; they must see the file.",
        metavar="ADDRESS",
    ),
]

Anyway = Annotated[
    bool, typer.Option("--anyway", help="Run a recipe for lattices on an image that shows none.")
]


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
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.runner import n_frames, open_scan
    from clustem.recipes.segment_study import is_series

    chosen, files = Recipe.named(recipe).with_settings(_parsed(settings, k)), _files(source)
    signals = _signals(source)
    first = files[0].stem if len(files) == 1 else "study"
    first = "scan" if signals else first
    folder = output or Path(f"{first}_{chosen.name}")
    check_output(folder, force=force, inputs=[*signals.values()] if signals else files)
    with _client(workers, scheduler) as client:
        lazy = True if client is not None and lazy is None else lazy
        more = {"lazy": lazy, "reader": reader, "anyway": anyway, "client": client}
        if signals or chosen.data == "several":
            if skip_broken or (len(files) > 1 and not signals):
                raise ParameterError(
                    "Several signals of one scan need names, and take no --skip-broken",
                    got=" ".join(map(str, source)),
                    cure="clustem run eds=map.bcf haadf=image.tif -r joint",
                )
            with _unfinished(folder, resume=resume) as kept:
                given = {**more, "resume": kept}
                _save_joint(signals or files[0], chosen, folder, force=force, **given)
            return
        if len(files) > 1:
            with _unfinished(folder, resume=resume) as kept:
                given = {**more, "resume": kept, "skip_broken": skip_broken}
                _save_study(files, chosen, folder, force=force, **given)
            return
        scan = open_scan(chosen, files[0], lazy=lazy, stack=True, reader=reader, plain=True)
        n = n_frames(scan.signal)
        if n > 1 and ("describe", "gabor") in chosen.steps:
            typer.echo(f"a stack of {n} images: segmented as a movie, frame by frame")
        if is_series(scan, chosen):
            with _unfinished(folder, resume=resume) as kept:
                _save_study(scan, chosen, folder, force=force, **more, resume=kept)
            return
        _check_axes(scan)
        with _unfinished(folder, resume=resume) as kept:
            given = {"lazy": lazy, "anyway": anyway, "client": client, "resume": kept}
            _save(_segmented(scan, chosen, **given), folder, force=force)


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

    files, signals = _files(source), _signals(source)
    inputs = [*signals.values()] or files
    folder = output or Path(f"{inputs[0].stem}_as_{result.name}")
    check_output(folder, force=force, inputs=[*inputs, result])
    known, found, skipped = load(result), [], {}
    if isinstance(known, Joint):
        with _progress() as progress:
            joint = apply_to(
                known,
                signals or files[0],
                novelty=novelty,
                lazy=lazy,
                reader=reader,
                progress=progress,
            )
        _write_joint(joint, folder, force=force)
        return
    with _progress() as progress:
        for i, file in enumerate(files):
            progress(file.name, i / len(files))
            try:
                found.append(apply_to(known, file, novelty=novelty, lazy=lazy, reader=reader))
            except ClustemError as error:
                if not skip_broken:
                    raise
                skipped[file.stem] = str(error)
    if len(files) == 1 and found:
        _save(found[0], folder, force=force)
        return
    titles = tuple(file.stem for file in files if file.stem not in skipped)
    _write_study(Study(tuple(found), titles, skipped=skipped), folder, force=force)


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

    chosen = Recipe.named(recipe).with_settings(_parsed(settings, None))
    folder = output or Path(f"demo_{chosen.name}")
    check_output(folder, force=force)
    name, given = _SAMPLES.get(chosen.name, (chosen.name, {}))
    sample = registry("samples")[name].step(**given)
    beside: dict[str, Any] = {}
    if chosen.data == "several":
        joint = _save_joint(sample.signals, chosen, folder, force=force)
        typer.echo(f"{chosen.name}, against the truth: {compare(joint, sample.labels)}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        source = sample.signal
        if chosen.data == "patterns":  # start from a real file format
            source = write_blo(source, Path(temporary) / f"{chosen.name}.blo")
        result = _segmented(source, chosen)
        if ("prepare", "beam_mask") in chosen.steps:
            plain = chosen.with_settings({"prepare.beam_mask": False})
            beside["without the beam mask"] = _segmented(source, plain)
        if chosen.name in ("domains", "domains-vae"):
            spaces = spaces_of(chosen)
            beside |= {title: _segmented(source, spaces[name]) for name, title in _SPACES.items()}
        truth = {"truth": sample.truth_for(result), "truth_names": sample.names}
        _save(result, folder, force=force, beside=beside, **truth)
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
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.runner import open_scan
    from clustem.recipes.sweep import sweep as run_sweep
    from clustem.report.page.save_result import save_sweep

    chosen = Recipe.named(recipe).with_settings(_parsed(settings, None))
    folder = output or Path(f"{source.stem}_{chosen.name}_sweep")
    check_output(folder, force=force, inputs=[source])
    with _client(workers, scheduler) as client, _progress() as progress:
        lazy = True if client is not None and lazy is None else lazy
        scan = open_scan(chosen, source, lazy=lazy, reader=reader, plain=True)
        _check_axes(scan)
        results = run_sweep(
            scan, chosen, _range(k), client=client, progress=progress, anyway=anyway
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
    from clustem.core.signal import title_of, type_of
    from clustem.io.reading import read
    from clustem.recipes.recipe import Recipe

    scan = read(source, reader=reader, plain=True)
    for signal in (scan.signal, *scan.context):
        kind, title = type_of(signal) or "untyped", title_of(signal)
        shape = " × ".join(str(size) for size in signal.data.shape)
        typer.echo(f"{kind} {title!r}: {shape} {signal.data.dtype}, {_size(signal.data.nbytes)}")
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
    from clustem.io.convert import convert as write

    with _progress() as progress:
        path, scan = write(source, output, reader=reader, progress=progress)
    shape = " × ".join(str(size) for size in scan.signal.data.shape)
    typer.echo(f"{path}: {shape} {scan.signal.data.dtype}, {_size(scan.signal.data.nbytes)}")
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


def main() -> None:
    """Run the command line: exit 0 if fine, 2 for wrong use or bad input, 130 for Ctrl-C."""
    status, interruption = 130, _Interruption()
    warnings.showwarning = _warned
    sys.unraisablehook = _not_shown
    for stream in (sys.stdout, sys.stderr):  # what the locale has no letters for
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if threading.current_thread() is threading.main_thread():
        for number in Signals:
            if number.name in {"SIGINT", "SIGTERM", "SIGHUP"} and getsignal(number) is not SIG_IGN:
                set_signal(number, interruption)
    try:
        status = app(standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        pass
    except Exception as error:
        if not _interrupt_behind(error):
            message = _explained(error)
            if message is None:
                raise
            _stop(message, 2)
    finally:
        interruption.over.set()
    if status == 130:
        _stop("stopped; nothing was written.", 130)
    sys.exit(status)


def _explained(error: Exception) -> str | None:
    """Say in one line what a user did wrong or a disk refused; None for a defect of ours."""
    from clustem.core import ClustemError

    if hasattr(error, "format_message"):  # click's, whichever copy of it typer brings
        return f"{error.format_message().rstrip('.')}. See clustem --help."
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"There must be room to write; got {error.strerror}. Free some space."
    if isinstance(error, OSError):
        return f"Files must stay readable and writable during a run; got {error}."
    return str(error) if isinstance(error, ClustemError) else None


class _Interruption:
    """Stops a run, by Ctrl-C, SIGTERM or SIGHUP, and again if that was lost on the way."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._main, self._watch = threading.get_ident(), threading.Thread(target=self._insist)
        self._watch.daemon = True

    def __call__(self, *_: Any) -> None:
        """Raise what ends the run."""
        if not self._watch.ident:
            self._watch.start()
        raise KeyboardInterrupt

    def _insist(self) -> None:
        """Interrupt a run that goes on: imports and callbacks can lose what was raised in them."""
        while not self.over.wait(1):
            known: Any = sys._current_exceptions().get(self._main)
            error = known[1] if isinstance(known, tuple) else known  # as Python 3.11 gives it
            if not _interrupt_behind(error):
                _thread.interrupt_main()


def _not_shown(ignored: Any) -> None:
    """Keep quiet about Ctrl-C in code that lets no exception out: it is raised again."""
    if not isinstance(ignored.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)


def _interrupt_behind(error: BaseException | None) -> bool:
    """Say whether Ctrl-C caused this error: while a class is made, Python raises another for it."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _warned(message: Any, category: Any, *_: Any, **__: Any) -> None:
    """Show our warnings as one line; those about code are for developers."""
    if issubclass(category, UserWarning) and "Deprecation" not in category.__name__:
        typer.echo(f"clustem: note: {' '.join(str(message).split())}", err=True)


def _stop(message: str, status: int) -> None:
    typer.echo(f"clustem: {' '.join(message.split())}", err=True)
    sys.exit(status)


def _parsed(settings: list[str] | None, k: str | None) -> dict[str, Any]:
    """Split ``name=value``; values are TOML where they can be, else text."""
    from clustem.core import ParameterError
    from clustem.io.toml import from_text

    found: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise ParameterError(
                "A setting must read NAME=VALUE",
                got=setting,
                cure="For example cluster.n_clusters=4.",
            )
        found[name.strip()] = from_text(text)
    if k is not None:
        found["cluster.n_clusters"] = from_text(k)
    return found


def _files(given: Iterable[Path]) -> list[Path]:
    """Resolve patterns that the shell has left, such as tilt_*.bcf."""
    found: list[Path] = []
    for path in given:
        pattern = any(letter in path.name for letter in "*?[") and not path.exists()
        found += sorted(path.parent.glob(path.name)) if pattern else [path]
    return found or list(given)


def _signals(given: Iterable[Path]) -> dict[str, Path]:
    """Read NAME=FILE; nothing if these are plain files."""
    from clustem.core import ParameterError

    pairs = [str(path).partition("=") for path in given]
    named = [bool(sign) and re.fullmatch(r"[A-Za-z0-9_-]+", name) for name, sign, _ in pairs]
    if not all(named) or any(path.exists() for path in given):
        return {}
    found = {name: Path(path) for name, _, path in pairs}
    if len(found) < len(pairs):
        raise ParameterError(
            "Each signal needs a name of its own",
            got=" ".join(name for name, _, _ in pairs),
            cure="clustem run eds=map.bcf eds_2=other.bcf -r joint",
        )
    return found


def _range(text: str) -> list[int]:
    """Read ``2:10`` (both ends count) or ``4,6,8``."""
    from clustem.core import ParameterError

    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            return list(range(first, last + 1))
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            "k must be a range or a list", got=text, cure="Write -k 2:10 or -k 4,6,8."
        ) from None


def _check_axes(scan: Scan) -> None:
    """Refuse now what the report would refuse after all is computed."""
    from clustem.core import InputError

    n = scan.signal.axes_manager.navigation_dimension
    if n > 2:
        raise InputError(
            "A report needs a scan with one or two axes",
            got=f"{n} axes",
            cure="Take one scan of the series (signal.inav) and run again.",
        )


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda step, share: None  # noqa: ARG005  # as the bar is called
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda step, share: bar.update(task, description=step, completed=share)


def _segmented(source: AnySource, recipe: Recipe, **more: Any) -> Segmentation:
    from clustem.recipes.segment import segment

    with _progress() as progress:
        return segment(source, recipe, progress=progress, **more)


@contextmanager
def _unfinished(folder: Path, *, resume: bool) -> Iterator[Path]:
    """Give the folder beside the output for what long steps have made; it goes with the last."""
    import shutil

    kept = folder.with_name(f".{folder.name}.clustem-resume")
    if not resume:
        shutil.rmtree(kept, ignore_errors=True)
    whole = False
    try:
        yield kept
        whole = True
    finally:
        if whole:
            shutil.rmtree(kept, ignore_errors=True)
        elif any(kept.glob("*.json")) or any(kept.glob("*.npy")):
            typer.echo("clustem: what is finished is kept: --resume goes on from there.", err=True)


@contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """Connect to a scheduler, or start one with workers here; None without either."""
    if workers is None and scheduler is None:
        yield None
        return
    from clustem.core import ClustemError, ParameterError

    if workers is not None and scheduler is not None:
        raise ParameterError(
            "Workers are those of a scheduler or new ones",
            got="--workers and --scheduler",
            cure="Leave one out.",
        )
    from distributed import Client

    where: dict[str, Any] = {"address": scheduler, "timeout": "10s"}
    if workers is not None:
        where = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    try:
        client = Client(**where, set_as_default=False)  # one that fails would stay it
    except (OSError, ValueError, TimeoutError) as error:
        raise ClustemError(
            f"The scheduler must answer; got {str(error).partition(chr(10))[0]}. "
            "Check its address, for example tcp://127.0.0.1:8786."
        ) from None
    with client:
        yield client


def _save(result: Segmentation, folder: Path, *, force: bool, **more: Any) -> None:
    from clustem.judge.verdict import verdict

    result.save(folder, force=force, **more)
    _print_verdict(verdict(result))
    _print_notes(result.history)
    _print_clusters(result)
    typer.echo(f"unassigned: {100 * result.unassigned_fraction:.2f} %")
    typer.echo(f"report: {folder / 'report.html'}")


def _save_joint(source: Any, recipe: Recipe, folder: Path, *, force: bool, **more: Any) -> Joint:
    from clustem.recipes.segment_joint import segment_joint

    with _progress() as progress:
        joint = segment_joint(source, recipe, progress=progress, **more)
    _write_joint(joint, folder, force=force)
    return joint


def _write_joint(joint: Joint, folder: Path, *, force: bool) -> None:
    from clustem.judge.common_verdict import common_verdict
    from clustem.judge.verdict import verdict

    joint.save(folder, force=force)
    _print_verdict(common_verdict([verdict(one) for one in joint.values()]))
    for name, one in joint.items():
        for step in one.history:
            if step.note and step.stage in {"prepare", "describe", "reduce"}:
                typer.echo(f"{name}: {step.stage}.{step.name}: {step.note}")
    if joint.sentence:
        typer.echo(joint.sentence)
    _print_clusters(joint.first)
    typer.echo(f"report: {folder / 'report.html'}")


def _save_study(source: Any, recipe: Recipe, folder: Path, *, force: bool, **more: Any) -> None:
    from clustem.recipes.segment_study import segment_study

    with _progress() as progress:
        study = segment_study(source, recipe, progress=progress, **more)
    _write_study(study, folder, force=force)


def _write_study(study: Study, folder: Path, *, force: bool) -> None:
    from clustem.judge.common_verdict import common_verdict
    from clustem.judge.verdict import verdict

    study.save(folder, force=force)
    verdicts = [verdict(one) for one in study]
    common = common_verdict(verdicts)
    _print_verdict(common)
    tracks = study.tracks
    if tracks is None:
        _print_shares(study, verdicts, common)
    else:
        _print_notes(study[0].history)
        for name, pixels in zip(tracks.names, tracks.pixels.T, strict=True):
            there = int((pixels > 0).sum())
            typer.echo(f"{name}: in {there} of {len(pixels)} frames, {pixels.mean():.0f} pixels")
    for title, why in study.skipped.items():
        typer.secho(f"{title} was left out: {why}", fg="red")
    typer.echo(f"report: {folder / 'report.html'}")


def _print_shares(study: Study, verdicts: Iterable[Verdict], common: Verdict) -> None:
    """Print area shares of each map, and what is doubtful in it alone."""
    for title, one, found in zip(study.titles, study, verdicts, strict=True):
        shares = ", ".join(
            f"{study.name_of(i)} {100 * count / max((~one.mask).sum(), 1):.1f} %"
            for i, count in enumerate(one.counts)
        )
        typer.echo(f"{title}: {shares}")
        for doubt in found.doubts:
            if doubt not in common.doubts:
                typer.secho(f"{title}: {doubt}", fg="red")


def _print_verdict(found: Verdict) -> None:
    """Print doubts first, then whether the number of clusters is warranted."""
    for doubt in found.doubts:
        typer.secho(doubt, fg="red", bold=True)
    if found.warranted and found.warranted not in found.doubts:
        typer.echo(found.warranted)


def _print_clusters(result: Segmentation) -> None:
    for i, count in enumerate(result.counts):
        share = 100 * count / max((~result.mask).sum(), 1)
        typer.echo(f"{result.name_of(i)}: {count} positions, {share:.2f} %")


def _print_notes(history: Iterable[Step]) -> None:
    """Print the notes of the steps."""
    for step in history:
        if step.note:
            typer.echo(f"{step.stage}.{step.name}: {step.note}")


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
