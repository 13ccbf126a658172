"""Captions of a data folder's images: from files, or from templates over style, artist and title."""

import csv
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.artists import known_artist
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.names import artwork_of
from wikiart_data.sample import caption as scene_caption
from wikiart_data.sample import is_sample_set, scene_of
from wikiart_data.styles import display_name
from wikiart_lora.config import TrainConfig

TEMPLATES = (
    "{trigger}a {style} painting of {title}, by {artist}",
    "{trigger}{title}, in the style of {style}, by {artist}",
    "{trigger}{style}, {title}",
    "{trigger}a painting by {artist} in the {style} style, {title}",
)
"""The style comes early, since text encoders cut off the end. Unknown parts are left out."""
PROMPT = TEMPLATES[0]
"""The template of prompts."""


def style_phrase(style: str) -> str:
    """`Naive_Art_Primitivism` as it appears in captions: `naive art primitivism`."""
    return display_name(style).lower()


def caption_for(style: str, title: str, artist: str = "", trigger: str = "", template: str = PROMPT) -> str:
    """One caption.

    Args:
        style: as in the class list.
        title: what is shown; '' if unknown.
        artist: '' if unknown.
        trigger: a rare word to put in front, or ''.
        template: one of TEMPLATES.
    """
    if not artist:
        template = re.sub(r",? by \{artist\}", "", template)
    if not title:
        template = re.sub(r" of \{title\}|, \{title\}|\{title\}, (?=in)", "", template)
    text = template.format(
        style=style_phrase(style), title=title, artist=artist, trigger=f"{trigger} " if trigger else ""
    )
    return re.sub(r"\ba (?=[aeio])", "an ", text)  # the one style that begins with "u" is pronounced "you"


def image_titles(catalog: Catalog) -> list[str]:
    """(N,) what each image shows: the scene in words for the sample set, else the title in the file name."""
    if is_sample_set(catalog.root):
        return [scene_caption(scene_of(file)) for file in catalog.files]
    return [title_of(file) for file in catalog.files]


def title_of(file: str) -> str:
    """`claude-monet_water-lilies-1906(2).jpg` → `water lilies`; '' for a name without `<artist>_<title>`."""
    name = artwork_of(file)
    _, underscore, title = name.partition("_")
    words = re.sub(r"[^\w']+|_", " ", title)
    return " ".join(word for word in words.split() if not re.search(r"\d", word))[:120] if underscore else ""


def read_caption_files(catalog: Catalog) -> list[str]:
    """(N,) captions that the data folder provides; '' for images without one.

    Read are a text file next to the image (`x.txt` for `x.jpg`), and in any folder above it `metadata.jsonl` (with
    `file_name` and `text` or `caption`, as in Hugging Face's image folders) and `captions.csv` (with the same columns).

    Raises:
        InputError: a file cannot be read.
    """
    by_file: dict[str, str] = {}
    folders = {parent for file in catalog.files for parent in Path(file).parents}
    for folder in sorted(folders):
        for name, read in (("metadata.jsonl", _read_jsonl), ("captions.csv", _read_csv)):
            path = catalog.root / folder / name
            if path.is_file():
                try:
                    entries = [(entry["file_name"], entry.get("text") or entry.get("caption")) for entry in read(path)]
                except (OSError, ValueError, KeyError, AttributeError) as error:
                    raise InputError(f"{path} cannot be read as captions: {error!r}.", field=path) from error
                by_file |= {(folder / file).as_posix(): text for file, text in entries if text}
    return [_read_sidecar(catalog.root / file) or by_file.get(file, "") for file in catalog.files]


def _read_jsonl(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _read_sidecar(image: Path) -> str:
    try:
        return " ".join(image.with_suffix(".txt").read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise InputError(f"{image.with_suffix('.txt')} cannot be read: {error}.", field=image.name) from error


def make_captions(catalog: Catalog, config: TrainConfig, captions_per_image: int | None = None) -> list[list[str]]:
    """The captions of each image; the same for the same arguments.

    Captions of files are taken as they are, with the trigger in front; others come from different templates.

    Args:
        catalog: all images.
        config: with trigger, seed, artist_prob, caption_from. The seed chooses which templates an image gets and which
            captions name its artist. An artist's name explains the look of an image as well as its style does, and the
            style's tokens do not learn what the name explains: hence artist_prob.
        captions_per_image: 1 to len(TEMPLATES) (default: that of the config).

    Raises:
        InputError: a file of captions cannot be read, or with `caption_from="files"` an image has no caption.
    """
    number = captions_per_image or config.captions_per_image
    texts = [""] * len(catalog) if config.caption_from == "templates" else read_caption_files(catalog)
    missing = [file for file, text in zip(catalog.files, texts, strict=True) if not text]
    if config.caption_from == "files" and missing:
        raise InputError(
            f"{len(missing):,} of {len(catalog):,} images have no caption file, such as {printable(missing[0])}: add "
            "them, or use --caption-from auto.",
            field="--caption-from",
        )
    captions = []
    for file, label, artist, title, text in zip(
        catalog.files, catalog.labels.tolist(), catalog.artists, image_titles(catalog), texts, strict=True
    ):
        if text:
            captions.append([f"{config.trigger} {text}".strip()])
            continue
        first = zlib.crc32(f"{config.seed} {Path(file).name}".encode("utf-8", "surrogateescape"))
        artist_name = re.sub(r"[-_]+", " ", artist) if known_artist(artist) else ""
        captions.append(
            [
                caption_for(
                    catalog.styles[label],
                    title,
                    artist_name if draw < config.artist_prob else "",
                    config.trigger,
                    TEMPLATES[(first + index) % len(TEMPLATES)],
                )
                for index, draw in enumerate(np.random.default_rng(first).random(number))
            ]
        )
    return captions


def sample_captions(choices: Sequence[list[str]], rows: np.ndarray, dropout: float, seed: int) -> list[str]:
    """The captions of one step: one per image, or '' with probability `dropout` (Ho & Salimans 2022).

    Args:
        choices: as returned by `make_captions`.
        rows: (B,) of the catalog.
        dropout: in [0, 1].
        seed: of this step.
    """
    random = np.random.default_rng(seed)
    positions, dropped = random.random(len(rows)), random.random(len(rows)) < dropout
    return [
        "" if drop else choices[row][int(position * len(choices[row]))]
        for row, position, drop in zip(rows.tolist(), positions, dropped, strict=True)
    ]
