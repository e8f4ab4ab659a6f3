"""The commands and their options."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from planish import __version__, get_num_threads
from planish.cli import apply as streams
from planish.cli import report
from planish.cli.sources import NotReadableError, find, kind
from planish.cli.survey import Survey
from planish.files.whole import write_whole

_FILE = click.Path(path_type=Path, dir_okay=False)


@contextmanager
def _progress(description: str, total: int | None, done: int = 0) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on a terminal; what is given is to be told how much of how much is done."""
    if not sys.stderr.isatty():
        # A bar that nobody sees is not worth loading the library.
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total, completed=done)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@click.group()
@click.version_option(__version__)
def planish() -> None:
    """Statistics of data sets, and arrays normalised with them."""


@planish.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--mode", type=click.Choice(["RGB", "L", "RGBA"]), default="RGB", show_default=True, help="Read pictures so."
)
@click.option("--channel-axis", default=-1, show_default=True, help="The axis of the channels of arrays.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--save", type=_FILE, help="Write the statistics to this file, for `planish apply`.")
@click.option("--checkpoint", type=_FILE, help="Save what is known every few seconds, and go on from there.")
@click.option("--strict", is_flag=True, help="Exit with an error if a file cannot be read.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to read with; the CPUs by default.")
def stats(
    paths: tuple[Path, ...],
    mode: str,
    channel_axis: int,
    as_json: bool,
    save: Path | None,
    checkpoint: Path | None,
    strict: bool,
    threads: int | None,
) -> None:
    """Mean and standard deviation of every channel of a data set.

    PATHS are pictures of every format that Pillow reads, .npy and .npz arrays, parquet and CSV tables, or folders of
    them. Unsigned pixels are divided by their maximum, so that the statistics are those torchvision takes. Pictures are
    read as RGB unless --mode says otherwise: palettes and CMYK are converted, alpha is dropped, greys stand for all
    three colours, 16 bits keep their depth. Ctrl-C ends early with the statistics so far.
    """
    for file in (save, checkpoint):
        if file is not None and not file.absolute().parent.is_dir():
            raise click.ClickException(f"{file} cannot be written: there is no folder {file.absolute().parent}")
    files = find(list(paths))
    if not files:
        raise click.ClickException("there is no file to read in these folders")
    kinds = {kind(file) for file in files}
    if "table" in kinds and len(kinds) > 1:
        raise click.ClickException("tables and pixels have no statistics in common: give one kind at a time")
    if save is not None and save.resolve() in {file.resolve() for file in files}:
        raise click.ClickException(f"{save} is one of the files to read; the statistics go into another")
    survey = Survey(files, mode, channel_axis)
    if checkpoint is not None and checkpoint.exists():
        try:
            survey.resume(checkpoint)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    try:
        with _progress("reading", len(files), survey.done) as show:
            survey.run(threads or get_num_threads(), lambda: show(survey.done, len(files)), checkpoint)
    except OSError as error:
        raise click.ClickException(f"{checkpoint} cannot be written: {error.strerror or error}") from None
    for name, reason in survey.failed:
        click.echo(f"not read: {name}: {reason}", err=True)
    if survey.interrupted:
        click.echo(f"interrupted after {survey.done} of {len(files)} file(s)", err=True)
    if survey.unsaved:
        click.echo(f"the last checkpoint was not written: {survey.unsaved}", err=True)
    if not survey.statistics:
        if survey.interrupted:
            sys.exit(130)
        raise click.ClickException("no file could be read")
    result = report.summary(survey, kinds)
    if as_json:
        click.echo(report.to_json(result))
    else:
        report.show(result)
    if save is not None:
        try:
            write_whole(save, report.to_json(result))
        except OSError as error:
            raise click.ClickException(f"{save} cannot be written: {error.strerror or error}") from None
    if survey.interrupted:
        sys.exit(130)
    if strict and survey.failed:
        sys.exit(1)


@planish.command()
@click.argument("statistics", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("target", type=_FILE)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "float64"]),
    default="float32",
    show_default=True,
    help="Of the result.",
)
def apply(statistics: Path, source: Path, target: Path, dtype: str) -> None:
    """Normalise an array that may be larger than memory.

    STATISTICS is what `planish stats --save` wrote; SOURCE and TARGET are .npy files. TARGET appears when it is whole.
    """
    try:
        saved = streams.load(statistics)
        with _progress("writing", None) as show:
            streams.apply(saved, source, target, dtype, show)
    except (NotReadableError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
