"""The 27 styles of WikiArt: names in sorted order, spellings seen elsewhere, a colour and a marker for each."""

from wikiart_data.console import printable

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

ALIASES: dict[str, str] = {
    "art_nouveau": "Art_Nouveau_Modern",
    "mannerism": "Mannerism_Late_Renaissance",
    "naive_art": "Naive_Art_Primitivism",
    "primitivism": "Naive_Art_Primitivism",
    "colour_field_painting": "Color_Field_Painting",
}


def canonical_name(name: str) -> str:
    """The WikiArt spelling of a style's name, or the name itself if it is none of the 27.

    Case, spaces and hyphens do not matter: `art nouveau`, `Ukiyo-e` and `UKIYO_E` are all found.
    """
    key = name.strip().replace("-", "_").replace(" ", "_").lower()
    known = {style.lower(): style for style in STYLES} | ALIASES
    return known.get(key, name)


def display_name(style: str) -> str:
    """`Naive_Art_Primitivism` as a person writes it: `Naive Art Primitivism`; always one printable line."""
    return printable(style.replace("_", " "))


# Eight hues that colour-blind readers can tell apart (Okabe & Ito 2008; grey for black, and violet for yellow, which is
# lost on white and, darkened, orange to them), each with four markers: no two styles share both. Neighbours in the
# sorted list differ in hue.
_HUES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7038C0", "#6B6B6B")
_MARKERS = ("o", "s", "^", "X")


def colour_and_marker(style: str, styles: tuple[str, ...] = STYLES) -> tuple[str, str]:
    """Colour (hex) and matplotlib marker of a style; unknown names take the place they have in `styles`."""
    order = STYLES if style in STYLES else styles
    place = order.index(style)
    return _HUES[place % len(_HUES)], _MARKERS[place // len(_HUES) % len(_MARKERS)]
