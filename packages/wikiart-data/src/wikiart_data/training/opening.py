"""Before a run's folder is made: the options that a resumed run goes on with, its data, and the checks on both."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from wikiart_data.cli.commands import options_from
from wikiart_data.cli.options import LabelOptions
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.layout import DataSource
from wikiart_data.images.packed import PackedImages
from wikiart_data.training.run import config_to_json

AUTO = "auto"
"""The value of --resume that finds the unfinished run by itself."""

CHANGEABLE_ON_RESUME = frozenset({"resume", "config", "data", "labels", "cache_dir", "device", "export", "report_to"})
"""Options that may differ from the run's own when it is resumed."""


class Options(Protocol):
    """What `TrainingRun.open` reads of a part's TrainOptions, a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def data(self) -> str | None: ...  # noqa: D102
    @property
    def runs(self) -> Path: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def resume(self) -> Path | None: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def cache_dir(self) -> Path | None: ...  # noqa: D102


class Config(Protocol):
    """What `TrainingRun.open` reads of a part's TrainConfig, a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def runs(self) -> Path: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def overwrite(self) -> bool: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def batch_size(self) -> int: ...  # noqa: D102


class HasCatalog(Protocol):
    """Loaded data that knows its catalog, such as `PackedImages`."""

    @property
    def catalog(self) -> Catalog: ...  # noqa: D102


OptionsT = TypeVar("OptionsT", bound=Options)
ConfigT = TypeVar("ConfigT", bound=Config)


def resolve_data(options: OptionsT) -> tuple[Path, OptionsT]:
    """The data to use, as `scan` takes it, and the options with it.

    The path is absolute: run.json must find the data again on its own, from any working directory.
    """
    if not isinstance(options, LabelOptions):
        source = DataSource.parse(find_data(options.data, options.cache_dir))
        return Path(str(source)), replace(options, data=str(source))
    root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
    source = DataSource.parse(root)
    return Path(str(source)), replace(options, data=str(source), labels=source.labels, label_column=source.column)


def unfinished_run(folder: Path, name: str | None) -> Path | None:
    """The run of that name, or without a name the newest run, that has no result.json yet; None if there is none."""
    records = [folder / name / "run.json"] if name else sorted(folder.glob("*/run.json"), key=_modified, reverse=True)
    unfinished = (path.parent for path in records if path.exists() and not (path.parent / "result.json").exists())
    return next(unfinished, None)


def _modified(path: Path) -> float:
    return path.stat().st_mtime


def options_for_resume(options: OptionsT, record: Mapping[str, Any], *, same_options_allowed: bool = False) -> OptionsT:
    """The options that a run was started with; only where things are and the device may differ now.

    Args:
        options: as the user gave them, with `resume` set.
        record: the run's run.json.
        same_options_allowed: whether options may be repeated as they were when the run was started.

    Raises:
        InputError: other options were given, which would be ignored; `field` is the first.
    """
    kind = type(options)
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    given = {name: value for name, value in values.items() if value != getattr(kind, name)}
    others = sorted(given.keys() - CHANGEABLE_ON_RESUME)
    if same_options_allowed:
        repeated = config_to_json(options)
        others = [name for name in others if not _same(values[name], repeated[name], record["config"].get(name))]
    if others:
        flags = ["--" + name.replace("_", "-") for name in others]
        raise InputError(
            f"--resume continues with the options that the run was started with: leave out {', '.join(flags)}.",
            field=flags[0],
        )
    return options_from(kind, {**record["config"], **given})


def _same(value: object, repeated: object, recorded: object) -> bool:
    """Whether an option is as run.json has it, where a path may be absolute that was relative when it was given."""
    if isinstance(value, Path) and isinstance(recorded, str):
        return value.expanduser().resolve() == Path(recorded).expanduser().resolve()
    return repeated == recorded


def check_unchanged(
    folder: Path | None, record: Mapping[str, Any], catalog: Catalog, facts: Mapping[str, object]
) -> None:
    """Refuse to resume on other data, or where another fact of run.json has changed.

    Raises:
        InputError: something has changed; `field` is `--data` or the name of the fact.
    """
    if record["data"]["fingerprint"] != catalog.fingerprint:
        raise InputError(f"{catalog.root} has changed since {folder} was started; start a new run.", field="--data")
    for name, value in facts.items():
        if record.get(name, value) != value:  # a run of an earlier version may lack it
            changed = name.replace("_", " ")
            raise InputError(f"The {changed} has changed since {folder} was started; start a new run.", field=name)


def data_digests(packed: PackedImages) -> dict[str, str]:
    """Digests of splits and artists, which may change while the files, and so the fingerprint, stay the same.

    For `facts` of `TrainingRun.open`, where a part splits by artists or trains on them.
    """
    catalog = packed.catalog
    return {"split": _digest(catalog.splits.tolist()), "artist_list": _digest(catalog.artists)}


def _digest(words: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def check_training_data(packed: PackedImages, batch_size: int, processes: int) -> None:
    """Check that the data can be trained on.

    Raises:
        InputError: the batch is larger than the training split or not a multiple of `processes`, or the validation
            split is empty.
    """
    number = len(packed.rows("train"))
    if batch_size > number:
        raise InputError(f"--batch-size {batch_size} is more than the {number} training images.", field="--batch-size")
    if batch_size % processes:
        raise InputError(
            f"--batch-size {batch_size} is not a multiple of the {processes} processes.", field="--batch-size"
        )
    if not len(packed.rows("valid")):
        raise InputError(
            f"{packed.catalog.root} has no readable image in its validation split, on which progress is measured: add "
            "some (a style needs four artworks before one of them is taken out of train).",
            field=packed.catalog.root,
        )


def limit_batch_size(config: ConfigT, packed: PackedImages, processes: int) -> ConfigT:
    """A default batch size that is no larger than the training split, and a multiple of the processes."""
    number = len(packed.rows("train"))
    if config.batch_size <= number:
        return config
    return replace(config, batch_size=number - number % processes)
