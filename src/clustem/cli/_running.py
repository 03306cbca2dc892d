"""Running recipes with progress, saving and printing what they found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from clustem.core import Segmentation, Step
    from clustem.judge.verdict import Verdict
    from clustem.recipes.joint import Joint
    from clustem.recipes.recipe import Recipe
    from clustem.recipes.segment import Source as AnySource
    from clustem.recipes.study import Study


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
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


def segmented(source: AnySource, recipe: Recipe, **more: Any) -> Segmentation:
    from clustem.recipes.segment import segment

    with progress_bar() as progress:
        return segment(source, recipe, progress=progress, **more)


@contextmanager
def unfinished(folder: Path, *, resume: bool) -> Iterator[Path]:
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
def connected(workers: int | None, scheduler: str | None) -> Iterator[Any]:
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


def save(result: Segmentation, folder: Path, *, force: bool, **more: Any) -> None:
    from clustem.judge.verdict import verdict

    result.save(folder, force=force, **more)
    _print_verdict(verdict(result))
    _print_notes(result.history)
    _print_clusters(result)
    typer.echo(f"unassigned: {100 * result.unassigned_fraction:.2f} %")
    typer.echo(f"report: {folder / 'report.html'}")


def save_joint(source: Any, recipe: Recipe, folder: Path, *, force: bool, **more: Any) -> Joint:
    from clustem.recipes.segment_joint import segment_joint

    with progress_bar() as progress:
        joint = segment_joint(source, recipe, progress=progress, **more)
    write_joint(joint, folder, force=force)
    return joint


def write_joint(joint: Joint, folder: Path, *, force: bool) -> None:
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


def save_study(source: Any, recipe: Recipe, folder: Path, *, force: bool, **more: Any) -> None:
    from clustem.recipes.segment_study import segment_study

    with progress_bar() as progress:
        study = segment_study(source, recipe, progress=progress, **more)
    write_study(study, folder, force=force)


def write_study(study: Study, folder: Path, *, force: bool) -> None:
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
