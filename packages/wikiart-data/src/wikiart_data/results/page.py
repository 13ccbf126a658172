"""`index.html` of a folder of results: one file that shows all of it, without network, script or a file beside it.

The page is made anew from what lies in the folder, so whatever a later command adds (a proof, a score, a map) is on it.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from wikiart_data.console import escape_html
from wikiart_data.errors import InputError
from wikiart_data.results.curves import curves
from wikiart_data.results.gallery import Gallery, link
from wikiart_data.results.guessed_tables import plain
from wikiart_data.results.metrics_log import read_metrics
from wikiart_data.results.tables import Table, html_table
from wikiart_data.styles import colour_and_marker, display_name

NAME = "index.html"


@dataclass(frozen=True)
class Part:
    """How a part's runs are called, and what can be done with one."""

    about: str
    program: str
    next: tuple[str, ...] = ()
    """Commands for a finished run; RUN is its folder."""


PARTS = {
    "classify": Part(
        "A network that names styles",
        "wikiart-classify",
        ("wikiart-classify predict PICTURE --model RUN", "wikiart-classify rebalance RUN"),
    ),
    "autoencode": Part(
        "An autoencoder",
        "wikiart-autoencode",
        ("wikiart-autoencode encode RUN", "wikiart-cluster --codes RUN"),
    ),
    "cluster": Part("Clusters of codes, and a map", "wikiart-cluster"),
    "stylegen": Part(
        "An autoencoder that repaints in styles",
        "wikiart-stylegen",
        (
            "wikiart-stylegen evaluate RUN --judge JUDGE",
            "wikiart-stylegen transfer PICTURE --model RUN --style Ukiyo_e",
        ),
    ),
    "lora": Part(
        "An adapter for a diffusion model",
        "wikiart-lora",
        ("wikiart-lora evaluate RUN --judge JUDGE", "wikiart-lora generate RUN --style Ukiyo_e --prompt 'a lake'"),
    ),
    "lora-pretrain": Part("A small diffusion model", "wikiart-lora pretrain"),
}
_KINDS = {
    "models": "Networks beside one another",
    "imbalance": "Methods against class imbalance",
    "artists": "Splits with and without artists in common",
    "codes": "Codes beside pixels, colours and chance",
    "rates": "Autoencoders beside PCA, JPEG and WebP",
    "proof": "Is it the style, and is it still the picture?",
    "lora score": "Did it learn the styles?",
}
_PAGES = {"map.html": "Open the map of the paintings"}
_ABOUT_FILES = {
    "model.safetensors": "the weights to use",
    "last.safetensors": "where training stands",
    "state.pt": "with it, for --resume",
    "run.json": "options, data, versions",
    "result.json": "every figure",
    "metrics.jsonl": "a line an epoch",
    "predictions.npz": "what it answered",
    "codes.npz": "codes of all pictures",
}


def write_page(folder: Path) -> Path:
    """Write index.html of a run's folder, or of a comparison's; of a folder inside a run's, the run's page.

    Returns:
        The page.

    Raises:
        InputError: it cannot be written.
    """
    from wikiart_data.files import write_bytes  # imports torch

    if not (folder / "run.json").exists() and (folder.parent / "run.json").exists():
        folder = folder.parent
    write_bytes(folder / NAME, page(folder).encode())
    return folder / NAME


def renew_page(folder: Path) -> None:
    """Write index.html anew where there is one: something was added to the folder.

    Raises:
        InputError: it cannot be written.
    """
    if (folder / NAME).exists():
        write_page(folder)


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its `%%NAME%%` replaced; what is filled in is not looked at again."""
    pieces = template.split("%%")  # text, name, text, name, …
    return "".join(piece if place % 2 == 0 else parts[piece] for place, piece in enumerate(pieces))


def page(folder: Path) -> str:
    """The page as text, of what is in the folder now. What is missing or cannot be read is left out."""
    record, result = _read(folder / "run.json"), _read(folder / "result.json")
    metrics = read_metrics(folder / "metrics.jsonl")
    part = PARTS.get(str(record.get("part")))
    kind = part.about if part else _KINDS.get(str(result.get("kind")), "Results")
    name = "/".join(folder.absolute().parts[-2:])
    inner = [one.parent for one in sorted(folder.glob("*/result.json"))]
    pictures = Gallery(folder)
    main = [
        _section("", _beside(_numbers(result), _progress(metrics))),
        _section("Figures", pictures.gallery(folder)),
        *(_section(_title_of(one), _numbers(_read(one / "result.json")) + pictures.gallery(one)) for one in inner),
        _section("Runs", _runs(folder)),
        _section("How it was made", _commands(folder, record, result, part)),
        _details("Options", _settings(record.get("config") or result.get("options") or {})),
        _details("Styles", _styles(record, result)),
        _details("Data and versions", _provenance(record or result)),
        _details("All steps" if "step" in (metrics or [{}])[-1] else "All epochs", _epochs(metrics)),
        _details("On the way", pictures.earlier()),
        _details("Files", _files(folder)),
    ]
    parts = {
        "TITLE": escape_html(f"{name}: {kind}"),
        "CSS": _own("page.css").rstrip(),
        "HEADER": _header(folder, kind, name, record, result, metrics),
        "MAIN": "\n".join(filter(None, main)),
    }
    return filled(_own("page.html"), parts)


def _header(
    folder: Path,
    kind: str,
    name: str,
    record: Mapping[str, Any],
    result: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
) -> str:
    told = []
    if started := str(record.get("started", "")):
        told.append(f"started {started[:10]} {started[11:16]}")
    if record and not result:
        told.append(f"not finished, {_went(metrics)} so far" if metrics else "not finished")
    if device := record.get("device") or result.get("device"):
        told.append(str(device))
    doors = [
        f'<li><a href="{link(folder, path)}">{escape_html(_PAGES.get(path.name, path.name))}</a></li>'
        for path in sorted(folder.glob("*.html"))
        if path.name != NAME
    ]
    lines = [f'<p class="kind">{escape_html(kind)}</p>', f"<h1>{escape_html(name)}</h1>"]
    lines.append(f'<p class="lead">{escape_html(" · ".join(told))}</p>')
    return "\n".join(lines + (['<ul class="doors">', *doors, "</ul>"] if doors else []))


def _numbers(result: Mapping[str, Any]) -> str:
    """All tables of a result; those that are folded can be opened."""
    try:
        tables = [Table.from_json(table) for table in result["tables"]] if result else []
    except (InputError, KeyError, TypeError) as error:
        return f'<p class="note">The tables of result.json cannot be read: {escape_html(error)}</p>'
    parts = []
    for table in tables:
        if table.folded:
            parts.append(_details(table.title, html_table(table)))
        else:
            parts.append((f"<h3>{escape_html(table.title)}</h3>\n" if table.title else "") + html_table(table))
    return "\n".join(parts)


def _progress(metrics: Sequence[Mapping[str, Any]]) -> str:
    drawn = curves(metrics)
    return f"<h3>While it learned, {_went(metrics)}</h3>\n{drawn}" if drawn else ""


def _went(metrics: Sequence[Mapping[str, Any]]) -> str:
    """How far it got: in steps where a part counts these, else in epochs, a line each."""
    last = metrics[-1].get("step")
    return f"{len(metrics)} epoch{'s' * (len(metrics) != 1)}" if last is None else f"{last:,} steps"


def _epochs(metrics: Sequence[Mapping[str, Any]]) -> str:
    keys = tuple(dict.fromkeys(key for line in metrics for key in line))
    rows = tuple(tuple(_short(line.get(key)) for key in keys) for line in metrics)
    return html_table(Table("", keys, rows)) if rows else ""


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def _runs(folder: Path) -> str:
    """The runs below a comparison's folder."""
    found = sorted(folder.glob("*/*/run.json"))
    items = []
    for one in (path.parent for path in found):
        page_of = one / NAME
        state = "" if (one / "result.json").exists() else " <span>not finished</span>"
        label = escape_html("/".join(one.parts[-2:]))
        items.append(
            f'<li><a href="{link(folder, page_of)}">{label}</a>{state}</li>'
            if page_of.exists()
            else f"<li>{label}{state}</li>"
        )
    return "\n".join(['<ul class="files">', *items, "</ul>"]) if items else ""


def _commands(folder: Path, record: Mapping[str, Any], result: Mapping[str, Any], part: Part | None) -> str:
    made = record.get("command") or result.get("command")
    text = shlex.join(map(str, made)) if isinstance(made, list) else str(made or "")
    lines = [f"<h3>The command</h3>\n<pre>{escape_html(text)}</pre>"] if text else []
    then: list[str] = []
    if part and record and not result:
        if (folder / "last.safetensors").exists():
            then = [f"{part.program} --resume {shlex.quote(str(folder))}"]
    elif part:
        then = [command.replace("RUN", shlex.quote(str(folder))) for command in part.next]
    if then:
        lines.append("<h3>Go on</h3>\n<pre>" + "\n".join(map(escape_html, then)) + "</pre>")
    return "\n".join(lines)


def _settings(options: Mapping[str, Any]) -> str:
    return _pairs({"--" + name.replace("_", "-"): plain(value) for name, value in options.items()}, "settings")


def _styles(record: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """The class list, with each style's colour in figures and, where told, its training pictures."""
    styles = [str(style) for style in record.get("styles", [])]
    scored = next((result[split] for split in ("test", "valid") if isinstance(result.get(split), dict)), {})
    train = {row.get("style"): row.get("train") for row in scored.get("per_style", [])}
    items = []
    for style in styles:
        count = f" <span>{train[style]:,}</span>" if isinstance(train.get(style), int) else ""
        colour = colour_and_marker(style, tuple(styles))[0]
        items.append(f'<li><i style="background:{colour}"></i>{escape_html(display_name(style))}{count}</li>')
    return "\n".join(['<ul class="names">', *items, "</ul>"]) if items else ""


def _provenance(record: Mapping[str, Any]) -> str:
    data = record.get("data") if isinstance(record.get("data"), dict) else {}
    told = {"data": data.get("root"), "fingerprint": data.get("fingerprint") or record.get("data_fingerprint")}
    told["pictures"] = ", ".join(f"{data[split]:,} {split}" for split in ("train", "valid", "test") if split in data)
    if data.get("valid_was_cut"):
        told["valid"] = "cut out of train, variants of one artwork together"
    for key in ("seed", "git_commit", "device", "processes", "python", "started"):
        told[key.replace("_", " ")] = record.get(key)
    versions = record.get("versions")
    if isinstance(versions, dict):
        told |= versions
    return _pairs({name: plain(value) for name, value in told.items() if value not in (None, "")})


def _files(folder: Path) -> str:
    """What lies in the folder, each a link, with its size."""
    items = []
    for path in sorted(folder.iterdir()):
        if path.name == NAME or path.name.endswith(".part"):
            continue
        about = "" if path.is_dir() else f" <span>{_size(path.stat().st_size)}</span>"
        if path.name in _ABOUT_FILES:
            about += f" <span>{_ABOUT_FILES[path.name]}</span>"
        slash = "/" if path.is_dir() else ""
        items.append(f'<li><a href="{link(folder, path)}{slash}">{escape_html(path.name)}{slash}</a>{about}</li>')
    return "\n".join(['<ul class="files">', *items, "</ul>"]) if items else ""


def _size(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1e6:.1f} MB"
    return f"{number / 1e3:.0f} kB" if number >= 1000 else f"{number} B"


def _pairs(told: Mapping[str, str], kind: str = "") -> str:
    if not told:
        return ""
    lines = [f"<div><dt>{escape_html(name)}</dt><dd>{escape_html(text)}</dd></div>" for name, text in told.items()]
    return "\n".join([f'<dl class="{kind}">' if kind else "<dl>", *lines, "</dl>"])


def _section(title: str, inner: str) -> str:
    if not inner:
        return ""
    heading = f"<h2>{escape_html(title)}</h2>\n" if title else ""
    return f"<section>\n{heading}{inner}\n</section>"


def _details(title: str, inner: str) -> str:
    return f"<details>\n<summary>{escape_html(title)}</summary>\n{inner}\n</details>" if inner else ""


def _beside(left: str, right: str) -> str:
    sides = [f"<div>\n{side}\n</div>" for side in (left, right) if side]
    return f'<div class="beside{" two" * (len(sides) > 1)}">\n' + "\n".join(sides) + "\n</div>" if sides else ""


def _title_of(inner: Path) -> str:
    return _KINDS.get(str(_read(inner / "result.json").get("kind")), inner.name)


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _own(name: str) -> str:
    return package_files("wikiart_data.results").joinpath(name).read_text(encoding="utf-8")
