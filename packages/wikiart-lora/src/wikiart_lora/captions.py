"""Captions from what a data folder tells: style, artist and title, in a few turns of phrase."""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wikiart_data.images.artists import known_artist
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.names import artwork_of
from wikiart_data.sample import is_sample_set, scene_of
from wikiart_data.sample.scenes import caption as scene_caption
from wikiart_data.styles import display_name

TEMPLATES = (
    "{trigger}a {style} painting of {title}, by {artist}",
    "{trigger}{title}, in the style of {style}, by {artist}",
    "{trigger}{style}, {title}",
    "{trigger}a painting by {artist} in the {style} style, {title}",
)
"""Style stands early: what a text encoder cuts off is the end. Parts that are not known are left out."""
PLAIN = "{title}"
"""A caption without any style: for prior preservation, and for what the base is asked in the score."""
PROMPT = TEMPLATES[0]
"""How `--style` is put into words."""
NO_TITLE = "a picture"


def style_words(style: str) -> str:
    """`Naive_Art_Primitivism` as captions say it: `naive art primitivism`."""
    return display_name(style).lower()


def caption_for(style: str, title: str, artist: str = "", trigger: str = "", template: str = PROMPT) -> str:
    """One caption.

    Args:
        style: as in the class list; '' for none.
        title: what is shown; '' if it is not known.
        artist: '' if not known.
        trigger: a rare word that stands in front, or ''.
        template: one of TEMPLATES.
    """
    if not artist:
        template = re.sub(r",? by \{artist\}", "", template)
    if not title:
        template = re.sub(r" of \{title\}|, \{title\}|\{title\}, (?=in)", "", template)
    text = template.format(
        style=style_words(style), title=title, artist=artist, trigger=f"{trigger} " if trigger else ""
    )
    return re.sub(r"\ba (?=[aeio])", "an ", text)  # "u" is spoken as "you" in the one style that begins with it


def titles(catalog: Catalog) -> list[str]:
    """(N,) what each picture shows: of the sample set its scene in words, else the title in the file's name."""
    if is_sample_set(catalog.root):
        return [scene_caption(scene_of(file)) for file in catalog.files]
    return [title_of(file) for file in catalog.files]


def title_of(file: str) -> str:
    """`claude-monet_water-lilies-1906(2).jpg` → `water lilies`; '' for a name without `<artist>_<title>`."""
    name = artwork_of(file)
    _, underscore, title = name.partition("_")
    words = re.sub(r"[^\w']+|_", " ", title)
    return " ".join(word for word in words.split() if not re.search(r"\d", word))[:120] if underscore else ""


def captions_of(catalog: Catalog, variants: int, trigger: str, seed: int, artists: float = 1.0) -> list[list[str]]:
    """`variants` captions of each picture, in different turns of phrase; the same for the same arguments.

    Args:
        catalog: all pictures.
        variants: 1 to len(TEMPLATES).
        trigger: a rare word in front of every caption, or ''.
        seed: which templates a picture gets, and which captions name its artist.
        artists: share of the captions that may name the artist, if it is known: a name explains the look as well as a
            style does, and what it explains, the style's words are not taught.
    """
    found = []
    for file, label, artist, title in zip(
        catalog.files, catalog.labels.tolist(), catalog.artists, titles(catalog), strict=True
    ):
        start = zlib.crc32(f"{seed} {Path(file).name}".encode("utf-8", "surrogateescape"))
        known = re.sub(r"[-_]+", " ", artist) if known_artist(artist) else ""
        draws = np.random.default_rng(start).random(variants)
        found.append(
            [
                caption_for(
                    catalog.styles[label],
                    title,
                    known if draw < artists else "",
                    trigger,
                    TEMPLATES[(start + turn) % len(TEMPLATES)],
                )
                for turn, draw in enumerate(draws)
            ]
        )
    return found


def drawn(choices: Sequence[Sequence[str]], rows: np.ndarray, dropout: float, seed: int) -> list[str]:
    """The captions of one step: one of each picture's, or '' in a share of `dropout` (Ho & Salimans 2022).

    Args:
        choices: as `captions_of` gives them.
        rows: (B,) of the catalog.
        dropout: in 0..1.
        seed: of this step.
    """
    random = np.random.default_rng(seed)
    turns, dropped = random.random(len(rows)), random.random(len(rows)) < dropout
    return [
        "" if drop else choices[row][int(turn * len(choices[row]))]
        for row, turn, drop in zip(rows.tolist(), turns, dropped, strict=True)
    ]
