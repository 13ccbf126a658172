import itertools

import pytest

from wikiart_data.errors import InputError
from wikiart_data.styles import (
    ALIASES,
    STYLES,
    canonical_name,
    colour_and_marker,
    display_name,
    find_style,
    period_order,
    style_index,
)


def test_the_27_styles_in_sorted_order():
    assert len(STYLES) == len(set(STYLES)) == 27
    assert list(STYLES) == sorted(STYLES)


@pytest.mark.parametrize(
    ("spelling", "style"),
    [
        ("Art_Nouveau", "Art_Nouveau_Modern"),
        ("art nouveau", "Art_Nouveau_Modern"),
        ("Art_Nouveau_Modern", "Art_Nouveau_Modern"),
        ("Ukiyo-e", "Ukiyo_e"),
        ("UKIYO_E", "Ukiyo_e"),
        (" baroque ", "Baroque"),
        ("Colour-Field Painting", "Color_Field_Painting"),
        ("naive art", "Naive_Art_Primitivism"),
        ("Mannerism", "Mannerism_Late_Renaissance"),
        ("Art_Deco", "Art_Deco"),
        ("", ""),
    ],
)
def test_canonical_spellings(spelling: str, style: str):
    assert canonical_name(spelling) == style


def test_every_canonical_name_is_a_style_and_maps_to_itself():
    assert set(ALIASES.values()) <= set(STYLES)
    assert [canonical_name(style) for style in STYLES] == list(STYLES)


def test_no_two_styles_look_alike():
    looks = [colour_and_marker(style) for style in STYLES]
    assert len(set(looks)) == 27
    colours = [colour for colour, _ in looks]
    assert all(colour != following for colour, following in itertools.pairwise(colours)), "neighbours share a colour"


def test_unknown_styles_get_colour_and_marker_by_their_index():
    mine = ("dogs", "cats")
    assert colour_and_marker("cats", mine) == colour_and_marker(STYLES[1])
    assert colour_and_marker("Baroque", mine) == colour_and_marker("Baroque")


def test_display_names_are_one_printable_line():
    assert display_name("Post_Impressionism") == "Post-Impressionism"
    assert display_name("Pop_Art") == "Pop Art"
    assert all(canonical_name(display_name(style)) == style for style in STYLES), "the names shown can be typed"
    assert display_name("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\udcff"
    assert display_name("Café_<b>") == "Café <b>"


def test_the_index_of_a_style_by_any_spelling():
    styles = ("Baroque", "My style", "Ukiyo_e", "ukiyo-e")
    assert [style_index(name, styles) for name in ("baroque", "My style", "Ukiyo-E", "ukiyo-e")] == [0, 1, 2, 3]
    assert style_index("art nouveau", list(STYLES)) == 3


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("Art Brut", "Art_Brut"),
        ("ART-BRUT", "Art_Brut"),
        ("cafe\u0301 scenes", "Café_scenes"),
        ("art nouveau", "Art_Nouveau"),
        ("Art_Nouveau", "Art_Nouveau"),
        ("mannerism", "Mannerism_Late_Renaissance"),
    ],
)
def test_styles_that_wikiart_lacks_or_names_otherwise_have_any_spelling_too(name: str, style: str):
    styles = ("Art_Brut", "Art_Nouveau", "Café_scenes", "Mannerism_Late_Renaissance")
    assert styles[style_index(name, styles)] == style
    assert find_style(name, styles) == styles.index(style)
    assert find_style(f"{name} 2", styles) is None


@pytest.mark.parametrize(
    ("name", "shown"), [("Cubizm", "Cubism"), ("Zzz", "Baroque, Cubism, Rococo"), ("a\nb", "a\\nb")]
)
def test_an_unknown_style_is_named_with_the_nearest_or_all(name: str, shown: str):
    with pytest.raises(InputError) as error:
        style_index(name, ("Baroque", "Cubism", "Rococo"), field="--style")
    assert error.value.field == "--style"
    assert shown in str(error.value)
    assert "\n" not in str(error.value)


def test_styles_are_ordered_by_period_and_others_follow():
    assert sorted(period_order(STYLES)) == list(range(len(STYLES)))
    styles = ("Zebra", "Cubism", "Apple", "Impressionism", "Baroque")
    assert [styles[index] for index in period_order(styles)] == ["Baroque", "Impressionism", "Cubism", "Zebra", "Apple"]
