"""The 27 styles of WikiArt in sorted order, other spellings of their names, a colour and a marker for each."""

import difflib
from collections.abc import Sequence

from wikiart_data.console import printable
from wikiart_data.errors import InputError

STYLES: tuple[str, ...] = (
    "Abstract_Expressionism",
    "Action_painting",
    "Analytical_Cubism",
    "Art_Nouveau_Modern",
    "Baroque",
    "Color_Field_Painting",
    "Contemporary_Realism",
    "Cubism",
    "Early_Renaissance",
    "Expressionism",
    "Fauvism",
    "High_Renaissance",
    "Impressionism",
    "Mannerism_Late_Renaissance",
    "Minimalism",
    "Naive_Art_Primitivism",
    "New_Realism",
    "Northern_Renaissance",
    "Pointillism",
    "Pop_Art",
    "Post_Impressionism",
    "Realism",
    "Rococo",
    "Romanticism",
    "Symbolism",
    "Synthetic_Cubism",
    "Ukiyo_e",
)

_BY_PERIOD = (
    "Early_Renaissance",
    "Northern_Renaissance",
    "High_Renaissance",
    "Mannerism_Late_Renaissance",
    "Baroque",
    "Ukiyo_e",
    "Rococo",
    "Romanticism",
    "Realism",
    "Impressionism",
    "Symbolism",
    "Pointillism",
    "Post_Impressionism",
    "Art_Nouveau_Modern",
    "Naive_Art_Primitivism",
    "Fauvism",
    "Expressionism",
    "Cubism",
    "Analytical_Cubism",
    "Synthetic_Cubism",
    "Abstract_Expressionism",
    "Action_painting",
    "Color_Field_Painting",
    "Pop_Art",
    "Minimalism",
    "New_Realism",
    "Contemporary_Realism",
)
"""By when each began, roughly."""

ALIASES: dict[str, str] = {
    "art_nouveau": "Art_Nouveau_Modern",
    "mannerism": "Mannerism_Late_Renaissance",
    "naive_art": "Naive_Art_Primitivism",
    "primitivism": "Naive_Art_Primitivism",
    "colour_field_painting": "Color_Field_Painting",
}

_DISPLAY_NAMES: dict[str, str] = {
    "Action_painting": "Action Painting",
    "Art_Nouveau_Modern": "Art Nouveau",
    "Mannerism_Late_Renaissance": "Mannerism",
    "Naive_Art_Primitivism": "Naive Art",
    "Post_Impressionism": "Post-Impressionism",
    "Ukiyo_e": "Ukiyo-e",
}
"""Names as the literature writes them, where WikiArt's folder names say them otherwise."""


def canonical_name(name: str) -> str:
    """WikiArt's spelling of a style's name, or the name itself if it is none of the 27.

    Case, spaces and hyphens do not matter: `art nouveau`, `Ukiyo-e` and `UKIYO_E` are all recognised.
    """
    key = name.strip().replace("-", "_").replace(" ", "_").lower()
    known = {style.lower(): style for style in STYLES} | ALIASES
    return known.get(key, name)


def find_style(name: str, styles: Sequence[str]) -> int | None:
    """Index of a style in a class list, by any spelling of its name; None if the list has no such style.

    As in the folders that `scan` reads, case, spaces, hyphens and Unicode forms do not matter, whether WikiArt has the
    style or not.

    Args:
        name: `Ukiyo_e`, `ukiyo-e`, `Art Brut`, ...
        styles: the class list.
    """
    from wikiart_data.images.names import style_key  # here, because it needs STYLES of this module

    if name in styles:
        return list(styles).index(name)
    keys = [style_key(style) for style in styles]
    return keys.index(key) if (key := style_key(name)) in keys else None


def style_index(name: str, styles: Sequence[str], *, field: str = "style") -> int:
    """Index of a style in a class list, by any spelling of its name.

    Args:
        name: as for `find_style`.
        styles: the class list.
        field: what the user named the style with, such as `--style`: the error starts with it.

    Raises:
        InputError: the list has no such style.
    """
    index = find_style(str(name), styles)
    if index is None:
        closest = difflib.get_close_matches(canonical_name(str(name)), styles, n=1)
        hint = f"Did you mean {closest[0]}?" if closest else f"Choose one of {', '.join(styles)}."
        raise InputError(printable(f"{field} {name}: there is no such style. {hint}"), field=field)
    return index


def display_name(style: str) -> str:
    """The name of a style for people, such as `Ukiyo-e`: one printable line."""
    return _DISPLAY_NAMES.get(style) or printable(style.replace("_", " "))


def period_order(styles: Sequence[str]) -> list[int]:
    """Indices of `styles` by the period in which each began; styles that WikiArt lacks come last, in their order."""
    rank = {style: index for index, style in enumerate(_BY_PERIOD)}
    return sorted(range(len(styles)), key=lambda index: rank.get(styles[index], len(rank)))


# Eight hues that colour-blind readers can distinguish (Okabe & Ito 2008, with grey instead of black and violet instead
# of yellow, which is invisible on white and looks orange to them when darkened), each with four markers: no two styles
# share both. Neighbours in the sorted list differ in hue.
_HUES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7038C0", "#6B6B6B")
_MARKERS = ("o", "s", "^", "X")


def colour_and_marker(style: str, styles: tuple[str, ...] = STYLES) -> tuple[str, str]:
    """Colour (hex) and matplotlib marker of a style; a style that WikiArt lacks gets those of its index in `styles`."""
    index = (STYLES if style in STYLES else styles).index(style)
    return _HUES[index % len(_HUES)], _MARKERS[index // len(_HUES) % len(_MARKERS)]
