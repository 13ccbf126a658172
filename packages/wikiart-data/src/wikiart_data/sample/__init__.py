"""The sample set: procedurally painted pictures in 27 styles, so that everything runs before any data is available.

A painting joins a subject and a style; the sample set keeps them apart. `scene` is what is depicted, `paint` renders
the same scene in any of the 27 styles, which gives style transfer a ground truth to be measured against.

Importing the package is instant: each name below is loaded at its first use.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

if TYPE_CHECKING:
    from wikiart_data.sample.build import build_sample_set, sample_root, scene_of
    from wikiart_data.sample.painters import PHOTOGRAPH, RENDERINGS, contact_sheet, paint
    from wikiart_data.sample.scenes import SCENES, Layers, Scene, caption, scene

__all__ = [
    "MARK", "PHOTOGRAPH", "RENDERINGS", "SCENES", "Layers", "Scene",
    "build_sample_set", "caption", "contact_sheet", "is_sample_set", "paint", "sample_root", "scene", "scene_of",
]  # fmt: skip

MARK = ".wikiart-sample"
"""An empty file in a sample set's folder, which tells it from a user's data."""


def is_sample_set(root: Path | str) -> bool:
    """Whether a data folder is a sample set built by this package."""
    return (Path(root) / MARK).exists()


__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "build_sample_set": "build",
        "sample_root": "build",
        "scene_of": "build",
        "PHOTOGRAPH": "painters",
        "RENDERINGS": "painters",
        "contact_sheet": "painters",
        "paint": "painters",
        "SCENES": "scenes",
        "Layers": "scenes",
        "Scene": "scenes",
        "caption": "scenes",
        "scene": "scenes",
    },
)
