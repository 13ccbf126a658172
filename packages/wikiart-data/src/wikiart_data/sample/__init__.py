"""The sample set: pictures by our own painters, so that everything runs before any data is at hand.

It takes apart what a painting joins: `scene` is what is depicted, a style is how. `paint` gives the same scene in any
of the 27 styles, which is the ground truth that style transfer can be measured against.
"""

from wikiart_data.sample.build import build, sample_root, scene_of
from wikiart_data.sample.painters import PHOTOGRAPH, RENDERINGS, contact_sheet, paint
from wikiart_data.sample.scenes import SCENES, Layers, Scene, caption, scene

__all__ = [
    "PHOTOGRAPH", "RENDERINGS", "SCENES", "Layers", "Scene",
    "build", "caption", "contact_sheet", "paint", "sample_root", "scene", "scene_of",
]  # fmt: skip
