"""`index.html` of a folder of results: one file that shows everything in it, without network, script or other files.

The page is made from what is in the folder: run.json, metrics.jsonl, result.json with its tables, figures, and folders
of results inside. So whatever a later command adds (an evaluation, a map) is on it. It knows no part of the toolkit.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wikiart_data.console import counted
from wikiart_data.errors import InputError
from wikiart_data.results.curves import HEIGHT, WIDTH, curves
from wikiart_data.results.gallery import FigureFile, Gallery, link
from wikiart_data.results.metrics_log import read_metrics
from wikiart_data.results.tables import Table
from wikiart_data.results.templates import fill_template
from wikiart_data.styles import colour_and_marker, display_name

NAME = "index.html"
_FILES = {
    "model.safetensors": "trained weights",
    "last.safetensors": "checkpoint",
    "state.pt": "checkpoint: optimizer and progress",
    "run.json": "options, data, versions",
    "result.json": "final results",
    "metrics.jsonl": "metrics during training",
    "codes.npz": "codes of all images",
}


def write_page(folder: Path) -> Path:
    """Write index.html of a run's folder or a comparison's; of a folder inside a run's folder, the run's page.

    Returns:
        The page.

    Raises:
        InputError: it cannot be written.
    """
    from wikiart_data.files import write_bytes

    if not (folder / "run.json").exists() and (folder.parent / "run.json").exists():
        folder = folder.parent
    write_bytes(folder / NAME, page(folder).encode())
    return folder / NAME


def renew_page(folder: Path) -> None:
    """Write index.html anew if there is one, after something was added to the folder.

    Raises:
        InputError: it cannot be written.
    """
    if (folder / NAME).exists():
        write_page(folder)


def page(folder: Path) -> str:
    """The page as text. A file that cannot be read, or lacks a key, is named in a notice on the page."""
    notices: list[str] = []
    record = _read(folder / "run.json", ("part", "title", "config", "styles", "data"), notices)
    result = _read(folder / "result.json", ("tables",) if record else ("title", "tables"), notices)
    metrics = read_metrics(folder / "metrics.jsonl")
    gallery = Gallery(folder)
    first = _Section("", _tables(result, "result.json", notices), gallery.figures(folder))
    inner = list(_inner_sections(folder, gallery, notices))
    return fill_template(
        "wikiart_data.results",
        "page.html",
        title=(record or result).get("title", "Results"),
        name="/".join(folder.absolute().parts[-2:]),
        lead=" · ".join(_lead(record, result, metrics)),
        links=[(path.name, link(folder, path)) for path in sorted(folder.glob("*.html")) if path.name != NAME],
        notices=notices,
        first=first,
        inner=inner,
        curves=curves(metrics),
        curve_size=(WIDTH, HEIGHT),
        progress=_progress(metrics),
        runs=list(_runs(folder)),
        command=_command(record or result),
        next_commands=_next_commands(folder, record, result),
        options=[(_option(key), _text(value)) for key, value in _options(record, result).items()],
        styles=_styles(record),
        provenance=_provenance(record or result),
        log=_log_table(metrics),
        earlier=gallery.earlier(),
        files=list(_files(folder)),
    )


@dataclass(frozen=True)
class _Section:
    """What one result.json and the figures beside it show."""

    title: str
    tables: list[Table]
    figures: list[FigureFile]


def _read(path: Path, keys: Sequence[str], notices: list[str]) -> dict[str, Any]:
    """A JSON object; empty where there is no such file. What is wrong with it is added to `notices`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        notices.append(f"{path.name} cannot be read: {error}")
        return {}
    if not isinstance(content, dict):
        notices.append(f"{path.name} holds no JSON object.")
        return {}
    if missing := [key for key in keys if key not in content]:
        notices.append(f"{path.name} lacks {', '.join(missing)}: it was written by another version.")
    return content


def _tables(result: Mapping[str, Any], name: str, notices: list[str]) -> list[Table]:
    try:
        return [Table.from_json(table) for table in result.get("tables", [])]
    except (InputError, TypeError) as error:
        notices.append(f"The tables of {name} cannot be read: {error}")
        return []


def _inner_sections(folder: Path, gallery: Gallery, notices: list[str]) -> Iterator[_Section]:
    """A section for every folder of results inside this one."""
    for path in sorted(folder.glob("*/result.json")):
        if (path.parent / "run.json").exists():
            continue
        result = _read(path, ("title", "tables"), notices)
        name = f"{path.parent.name}/result.json"
        title = str(result.get("title", path.parent.name))
        yield _Section(title, _tables(result, name, notices), gallery.figures(path.parent))


def _lead(record: Mapping[str, Any], result: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The facts below the headline."""
    if started := str(record.get("started", "")):
        yield f"started {started[:10]} {started[11:16]}"
    if record and not result:
        yield f"not finished, {_progress(metrics)} so far" if metrics else "not finished"
    elif metrics:
        yield _progress(metrics)
    if device := record.get("device") or result.get("device"):
        yield str(device)
    data = record.get("data")
    if isinstance(data, dict) and data.get("test") == 0:
        yield "no test split: measured on valid"


def _progress(metrics: Sequence[Mapping[str, Any]]) -> str:
    """How far training has come: in steps where they are logged, else in epochs."""
    if not metrics:
        return ""
    step = metrics[-1].get("step")
    return counted(len(metrics), "epoch") if step is None else counted(step, "step")


def _log_table(metrics: Sequence[Mapping[str, Any]]) -> Table:
    """The lines of metrics.jsonl; epochs, which are counted from 0 there, are counted from 1 as in the curves."""
    keys = tuple(dict.fromkeys(key for line in metrics for key in line))
    rows = (tuple(_short(line.get(key)) if key != "epoch" else f"{line[key] + 1}" for key in keys) for line in metrics)
    return Table("All steps" if "step" in keys else "All epochs", keys, tuple(rows))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _text(value)


def _runs(folder: Path) -> Iterator[tuple[str, str | None, bool]]:
    """The runs below a comparison's folder: name, link to the page if there is one, whether it is finished."""
    for run in sorted(path.parent for path in folder.glob("*/*/run.json")):
        href = link(folder, run / NAME) if (run / NAME).exists() else None
        yield "/".join(run.parts[-2:]), href, (run / "result.json").exists()


def _command(record: Mapping[str, Any]) -> str:
    """The command line that made the results, as a shell reads it."""
    words = record.get("command") or ""
    return shlex.join(map(str, words)) if isinstance(words, list) else str(words)


def _next_commands(folder: Path, record: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """What can be done with a run: resume it, or use it."""
    run = shlex.quote(str(folder))
    if record and not result:
        program = record.get("program")
        return [f"{program} --resume {run}"] if program and (folder / "last.safetensors").exists() else []
    return [str(command).replace("RUN", run) for command in record.get("next_commands", [])]


def _options(record: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    options = record.get("config", result.get("options"))
    return options if isinstance(options, dict) else {}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _styles(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The name and the colour in figures of every style."""
    styles = tuple(map(str, record.get("styles", [])))
    return [(display_name(style), colour_and_marker(style, styles)[0]) for style in styles]


def _provenance(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Data, code and versions that the results came from."""
    facts: dict[str, Any] = {}
    data = record.get("data")
    if isinstance(data, dict):
        facts |= {"data": data.get("source") or data.get("root"), "fingerprint": data.get("fingerprint")}
        facts["images"] = ", ".join(f"{data[split]:,} {split}" for split in ("train", "valid", "test") if split in data)
        facts["valid"] = "taken from train, variants of one artwork together" if data.get("valid_was_cut") else None
        facts["notes"] = " ".join(map(str, data.get("notes", [])))
    facts["fingerprint"] = facts.get("fingerprint") or record.get("data_fingerprint")
    for key in ("seed", "git_commit", "device", "processes", "python", "started"):
        facts[key.replace("_", " ")] = record.get(key)
    versions = record.get("versions")
    facts |= versions if isinstance(versions, dict) else {}
    return [(name, _text(value)) for name, value in facts.items() if value not in (None, "")]


def _files(folder: Path) -> Iterator[tuple[str, str, str]]:
    """What is in the folder: name, link, and size with what it holds."""
    for path in sorted(folder.iterdir()):
        if path.name == NAME or path.suffix == ".part" or path.name.startswith("."):  # unfinished, or a lock
            continue
        if path.is_dir():
            yield f"{path.name}/", f"{link(folder, path)}/", ""
        else:
            about = f", {_FILES[path.name]}" if path.name in _FILES else ""
            yield path.name, link(folder, path), _size(path.stat().st_size) + about


def _size(size: int) -> str:
    if size >= 1_000_000:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.0f} kB" if size >= 1000 else f"{size} B"


def _text(value: Any) -> str:
    """A JSON value as a reader writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "–"
    return "–" if value is None else str(value)
