"""The 27 styles as a table: each row lists operations of `colour`, `marks` and `designs` with their settings."""

from dataclasses import dataclass

import numpy as np

from wikiart_data.sample import colour, designs, marks

# Styles share palettes on purpose: colour alone must not identify a style.
PALETTES: dict[str, str] = {
    "earth": "2b2018 5b412a 8a6a45 b89b6e d9c7a0 6d6f5a 44505a",
    "umber": "17110d 3a2718 6b4526 a06b3a d0a268 e9d7b0 4a2a20",
    "ochre": "2a2620 574c3a 857351 b09a6d d3c29a e8dfc8 6f7370",
    "bone": "35322e 6c675f 9d978b c4beb0 e2ddd0 f2efe6 8a7f70",
    "jewel": "14151f 7d1a22 1d3f73 1f5a3c c79a3a e7d9b8 5a2344",
    "forest": "12190f 2c3d22 4f6337 7f8b55 b3b07a dcd6b0 6b4a2c",
    "sea": "10202f 1f4668 3f7a99 7fb0bd bfd8d2 eee9d3 c08a55",
    "spring": "3a5a40 7aa35c b9d18a f0e6a8 a9c6e3 6f8fc4 e7a6a0",
    "garden": "2f4f3a 5f8d4e a7c957 f2d388 d98f8f 8e9fd0 f4efe2",
    "snow": "56617a 8fa0bb bccbdc e3e8ec f7f2ea d9b9a8 7c6f78",
    "dusk": "2a2338 59436b 98607a d9806a f2b07a f6dca0 4a5a86",
    "fire": "1f1216 6a1b1b b5331e e4702a f3b23c f8e3a0 2c3f6b",
    "acid": "1f3a3a 4f8a6a a9c74a e9d94f e88ab0 8a5aa8 f3ead0",
    "powder": "7a8fae a9bdd6 d8dfe8 f2d3d3 eeb7b4 f6ead2 9aae92",
    "rose": "5a2a34 97505a c98a88 e8bdb0 f6e2d3 a8a88a 6f8392",
    "prussian": "10203f 1f3f70 5a80a6 a9bcc0 e6dcc0 c8553d 6f7a52",
    "primary": "14120f c8281e f0c419 1f4fa3 f2eee2 2f7a43 e0782a",
    "neon": "101014 e5317f f7d51d 22a6c9 f5f2ea 7ac143 f26b21",
    "slate": "1c2126 3c474f 66747b 98a4a6 c7cdc9 e9e7de 7a5f4a",
    "teal": "12282c 27525a 4f8a86 8fb7a8 d3d9bc 6a4f78 a98aa8",
    "violet": "1e1630 45316b 7a5aa0 b297c4 e3d3df 3f7a80 d8a860",
    "wheat": "4a3517 8a6420 c5963a e8c667 f6e7b0 4a6f8f 27405f",
}


def palette(name: str) -> np.ndarray:
    """The colours of a palette: (7, 3) float32 in 0..1."""
    return np.stack([colour.hexed(code) for code in PALETTES[name].split()])


@dataclass(frozen=True)
class Row:
    """The row of a style. Settings given as (low, high) vary between pictures and between artists.

    Attributes:
        palettes: names in `PALETTES`; an artist uses a few of them.
        grade: settings of `colour.grade`.
        steps: operations, in order of painting.
        bend: settings of `designs.bend`, which distorts forms.
    """

    palettes: str
    grade: dict
    steps: tuple
    bend: dict


Setting = float | tuple[float, float]


def _row(
    palettes: str,
    *steps: tuple,
    pull: Setting = (0.25, 0.6),
    contrast: Setting = 1.0,
    key: Setting = (0.85, 1.2),
    saturation: Setting = 1.0,
    hue: Setting = 0.0,
    **bend: Setting,
) -> Row:
    grade = {"pull": pull, "contrast": contrast, "key": key, "saturation": saturation, "hue": hue}
    return Row(palettes, grade, steps, bend)


def _op(operation, **settings):
    return operation, settings


def _brush(**settings):
    return marks.strokes, settings


TABLE: dict[str, Row] = {
    "Abstract_Expressionism": _row(
        "earth primary bone fire slate sea umber",
        _op(designs.simplified, radius=0.03),
        _brush(length=(0.22, 0.3), width=(0.10, 0.15), spread=0.7, cover=2.4, bristle=0.05, dry=0.12,
            stray=0.05, swirl=0.4, relief=0.04),
        _brush(length=(0.4, 0.6), width=(0.05, 0.08), spread=0.8, cover=(0.5, 0.7), bristle=0.08, dry=0.3,
            stray=0.26, curve=0.3, relief=0.03),
        _op(marks.drips, count=(3, 8), width=0.010, colours=("14120f", "f2efe6"), splatter=(10, 40)),
        contrast=1.2,
    ),
    "Action_painting": _row(
        "bone earth slate ochre primary prussian",
        _op(designs.simplified, radius=0.06),
        _op(marks.drips, count=(70, 95), width=(0.005, 0.009),
            colours=("14120f", "f2efe6", "1a1917", "b8b0a0", "c8a13a"), splatter=(120, 220)),
        _op(marks.drips, count=(14, 24), width=(0.010, 0.016), colours=("14120f", "efeae0", "8e2a20"),
            splatter=60, source=0.2),
    ),
    "Analytical_Cubism": _row(
        "ochre bone earth slate",
        _brush(length=0.045, width=0.02, angle=0.0, spread=0.15, cover=1.0, stray=0.07, bristle=0.05,
            relief=0.03, stay=0.7),
        _op(marks.facets, lines=(13, 16), shift=0.022, shade=(0.6, 0.8), edge=0.55, tilt=0.25),
        _op(marks.outline, width=0.008, amount=0.6, broken=0.6),
        pull=(0.8, 0.95), saturation=0.35, contrast=1.25, key=(0.7, 1.0),
    ),
    "Art_Nouveau_Modern": _row(
        "wheat forest rose teal ochre earth",
        _op(colour.flatten, amount=0.88, tones=2),
        _op(marks.outline, width=(0.010, 0.015), colour="2b2019"),
        _op(designs.ornament, border=(0.07, 0.10), disc=(0.6, 1.0)),
        _op(marks.fibres, amount=0.05),
        saturation=0.85, sway=(0.01, 0.02), wobble=0.012,
    ),
    "Baroque": _row(
        "umber earth jewel fire",
        _brush(length=0.055, width=0.022, cover=1.1, stray=0.02, bristle=0.05, relief=0.03, spread=0.25, stay=0.9),
        _op(colour.soften, radius=0.005, amount=0.8),
        _op(colour.chiaroscuro, reach=(0.26, 0.36), floor=0.05),
        contrast=1.3, key=(0.65, 0.9),
    ),
    "Color_Field_Painting": _row(
        "fire violet sea primary dusk umber wheat slate",
        _op(designs.bands, softness=(0.03, 0.06)),
        _op(colour.soften, radius=0.012),
        _op(marks.weave, amount=0.03),
        saturation=1.25,
    ),
    "Contemporary_Realism": _row(
        "slate snow garden sea earth",
        _brush(length=0.05, width=0.035, spread=0.2, cover=1.3, stray=0.022, bristle=0.03, relief=0.03, stay=1.0),
        _op(colour.crisp, amount=(0.7, 1.1)),
        contrast=1.2, saturation=1.15, pull=(0.1, 0.35), key=(0.8, 1.0),
    ),
    "Cubism": _row(
        "earth forest primary prussian ochre rose slate",
        _brush(length=0.06, width=0.022, spread=0.2, cover=0.9, stray=0.04, relief=0.04, stay=0.8),
        _op(marks.outline, width=0.012, amount=0.7, broken=0.4),
        _op(marks.facets, lines=(7, 9), shift=0.03, shade=(0.4, 0.55), edge=0.5),
        contrast=1.15,
    ),
    "Early_Renaissance": _row(
        "jewel rose wheat ochre earth",
        _op(colour.flatten, amount=(0.35, 0.55)),
        _op(marks.hatch, spacing=(0.024, 0.03), angle=0.9, amount=0.45),
        _op(marks.outline, width=0.008, colour="3a2416", amount=0.8),
        _op(designs.gold, halo=(0.6, 1.0), tooling=(18, 26)),
    ),
    "Expressionism": _row(
        "fire acid violet prussian primary forest",
        _brush(length=(0.12, 0.16), width=(0.032, 0.042), swirl=(0.3, 0.6), spread=0.35, cover=2.0, stray=0.07,
            divide=0.06, bristle=0.14, relief=0.12, stay=0.6),
        _op(marks.outline, width=(0.024, 0.032), colour="12121c", amount=0.9, broken=0.3),
        _brush(length=0.09, width=0.026, spread=0.8, cover=0.2, stray=0.1, bristle=0.15),
        contrast=1.35, saturation=1.4, hue=(-0.5, 0.5), wobble=(0.05, 0.09), waves=4,
    ),
    "Fauvism": _row(
        "primary acid fire neon garden",
        _op(colour.flatten, amount=0.9, hue=0.9, lift=0.4),
        _brush(length=(0.11, 0.14), width=(0.045, 0.06), spread=0.35, cover=2.4, stray=0.035, bristle=0.08,
            relief=0.03, ground="efe6d2", stay=0.75),
        _op(marks.outline, width=0.016, colour="23408a", amount=0.8, broken=0.4),
        saturation=1.4, pull=(0.3, 0.6), wobble=0.02,
    ),
    "High_Renaissance": _row(
        "umber earth forest jewel wheat rose",
        _op(colour.haze, colour="8fa6b4", amount=(0.25, 0.45)),
        _op(colour.soften, radius=(0.008, 0.011), amount=1.2),
        _op(colour.bloom, amount=0.3),
        _op(colour.vignette, amount=(0.4, 0.6), colour="21160d"),
        _op(marks.craquelure, amount=0.12, cells=7),
        contrast=1.15, saturation=0.9, key=(0.9, 1.15),
    ),
    "Impressionism": _row(
        "spring garden snow dusk sea rose wheat earth",
        _brush(length=(0.05, 0.062), width=(0.017, 0.022), angle=(-0.5, 0.5), spread=(0.3, 0.5), cover=2.0,
            stray=0.055, divide=0.05, bristle=0.08, relief=0.05, stay=0.6),
        _brush(length=0.035, width=0.016, spread=0.9, cover=0.25, stray=0.09, divide=0.08),
        _op(colour.soften, radius=0.003),
        key=(0.7, 1.0), saturation=1.15, wobble=0.012,
    ),
    "Mannerism_Late_Renaissance": _row(
        "acid jewel rose slate dusk powder",
        _op(colour.flatten, amount=0.3, lift=0.3),
        _op(colour.cangiante, angle=(0.5, 0.8)),
        _op(colour.soften, radius=0.005),
        _op(marks.outline, width=0.008, colour="", amount=0.5),
        _op(colour.vignette, amount=0.5, colour="0d1216"),
        contrast=1.3, hue=(-0.25, 0.25), saturation=1.1, stretch=(1.45, 1.75), sway=(0.03, 0.045),
    ),
    "Minimalism": _row(
        "bone slate primary ochre snow sea umber",
        _op(designs.masses, count=(1, 3.99), quiet=(0.3, 0.75)),
        saturation=0.8,
    ),
    "Naive_Art_Primitivism": _row(
        "garden primary forest spring wheat rose",
        _op(colour.flatten, amount=0.95, lift=0.25),
        _op(designs.leaves, length=(0.055, 0.07), width=0.026),
        _op(marks.outline, width=0.008, colour="2c2a1c", amount=0.7),
        saturation=1.2, wobble=0.01,
    ),
    "New_Realism": _row(
        "primary neon slate bone earth",
        _op(colour.posterise, levels=5),
        _op(designs.torn, sheets=(2, 4)),
        _op(marks.fibres, amount=0.12),
        contrast=1.15,
    ),
    "Northern_Renaissance": _row(
        "jewel forest umber sea earth rose",
        _op(designs.brocade, amount=(0.3, 0.45)),
        _op(colour.crisp, amount=(0.9, 1.3), radius=0.01),
        _op(marks.outline, width=0.007, colour="1a120c", amount=0.55),
        _op(marks.craquelure, amount=(0.3, 0.45), cells=(9, 12)),
        contrast=1.2, saturation=1.1, key=(0.9, 1.3),
    ),
    "Pointillism": _row(
        "spring sea wheat garden dusk",
        _brush(length=(0.024, 0.03), width=(0.024, 0.03), cover=2.4, stray=0.06, divide=0.35, bristle=0.0,
            relief=0.04, ground="efe7d4", stay=0.6),
        key=(0.65, 0.9), saturation=1.4,
    ),
    "Pop_Art": _row(
        "neon primary snow acid",
        _op(colour.flatten, amount=0.95, tones=2, lift=0.5, hue=0.3),
        _op(marks.halftone, spacing=(0.034, 0.042)),
        _op(marks.outline, width=(0.012, 0.018), colour="0c0b0b", amount=1.0),
        contrast=1.25, saturation=1.4, pull=(0.4, 0.8),
    ),
    "Post_Impressionism": _row(
        "wheat sea prussian forest fire garden teal",
        _brush(length=(0.12, 0.16), width=(0.017, 0.022), swirl=(0.3, 0.8), spread=0.12, curve=0.15, cover=2.2,
            stray=0.085, bristle=0.08, relief=0.16, stay=0.7),
        _op(marks.outline, width=0.016, colour="1c2b4a", amount=0.7, broken=0.4),
        contrast=1.15, saturation=1.2, wobble=0.03,
    ),
    "Realism": _row(
        "earth forest slate umber ochre sea snow",
        _brush(length=0.045, width=0.022, spread=0.4, cover=1.3, stray=0.022, bristle=0.05, relief=0.04, stay=0.85),
        _op(colour.soften, radius=0.006),
        _op(colour.vignette, amount=(0.15, 0.3)),
        saturation=0.8, key=(0.95, 1.35),
    ),
    "Rococo": _row(
        "powder rose snow spring garden",
        _op(colour.soften, radius=0.007),
        _op(designs.curls, amount=(0.4, 0.6)),
        _op(colour.bloom, amount=0.35),
        _op(designs.veil, colours=("f6e6dc", "dfe6f0"), amount=0.15),
        key=(0.65, 0.85), saturation=0.9, contrast=0.95, pull=(0.4, 0.7),
    ),
    "Romanticism": _row(
        "umber dusk fire forest sea earth",
        _op(colour.storm, amount=(0.6, 0.9)),
        _op(colour.glow, colours=("f6d08a", "f2b070", "efe0b8"), amount=(0.5, 0.75), reach=0.3),
        _brush(length=0.06, width=0.025, spread=0.5, cover=1.2, stray=0.025, bristle=0.06, relief=0.03, stay=0.6),
        _op(colour.soften, radius=0.005),
        _op(colour.vignette, amount=(0.6, 0.9), colour="150e0a"),
        contrast=1.2, key=(0.9, 1.2),
    ),
    "Symbolism": _row(
        "teal violet dusk prussian rose slate",
        _op(colour.soften, radius=0.012, amount=0.9),
        _op(designs.veil, colours=("4a6a78", "6a5a86", "7a8a8a", "8a6a70"), amount=(0.5, 0.7)),
        _op(colour.glow, colours=("e8d8a8", "d8c8e0", "bfe0d8"), amount=0.5, reach=0.22),
        _op(marks.outline, width=0.008, colour="1c1a2c", amount=0.5),
        _op(designs.motes, count=(0.03, 0.06)),
        contrast=0.95, saturation=0.8,
    ),
    "Synthetic_Cubism": _row(
        "primary earth ochre prussian garden umber",
        _op(colour.flatten, amount=0.9),
        _op(marks.facets, lines=(7, 9), shift=0.04, shade=0.14, edge=0.7, paper=(0.4, 0.55)),
        _op(marks.outline, width=0.013, amount=0.7, broken=0.5),
        contrast=1.1,
    ),
    "Ukiyo_e": _row(
        "prussian wheat sea snow rose ochre",
        _op(colour.flatten, amount=0.97),
        _op(marks.ripples, spacing=(0.026, 0.034), amount=0.5),
        _op(designs.bokashi, amount=(0.75, 1.0)),
        _op(marks.outline, width=0.009, colour="1b1a1f", amount=0.95),
        _op(designs.seal, chance=0.85),
        _op(marks.fibres, amount=(0.08, 0.14)),
        contrast=1.1, pull=(0.5, 0.8), key=(0.65, 0.95), wobble=0.008,
    ),
}  # fmt: skip
