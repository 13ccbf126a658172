"""`wikiart-classify demo`: a page that classifies a dropped picture and shows what the network looked at."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from wikiart_classify.classifier import Classifier
from wikiart_classify.command_options import DemoOptions
from wikiart_classify.grad_cam import grad_cam
from wikiart_classify.network import StyleNet
from wikiart_data.demo import blocks, import_gradio, picture_input, read_picture, serve
from wikiart_data.errors import InputError
from wikiart_data.images.load import load_images
from wikiart_data.styles import display_name

TOP = 5
"""Styles that are listed."""
_SHOWN_SIZE = 768
"""Longest side of the heatmap in pixels."""
_HEIGHT = 380
"""Of the pictures on the page, in CSS pixels."""
_OPACITY = 0.6
"""Of the heatmap over the picture, as on the sheets of `predict --grad-cam`."""


def demo(options: DemoOptions) -> None:
    """Serve the page until the program is interrupted.

    Raises:
        InputError: gradio is not installed, there is no such run, or the port is taken.
    """
    gradio = import_gradio()
    classifier = Classifier.load(options.model, options.device, runs=options.runs)
    serve(gradio, make_page(gradio, classifier), options.port)


def make_page(gradio: ModuleType, classifier: Classifier) -> Any:
    """The page: a `gradio.Blocks`.

    Args:
        gradio: the module.
        classifier: of any network; the heatmap is shown for a StyleNet only.
    """
    has_heatmap = isinstance(classifier.network, StyleNet)

    def update(path: str | None) -> tuple[dict[str, float] | None, Image.Image | None]:
        if path is None:
            return None, None
        try:
            return classify_file(classifier, Path(path))
        except InputError as error:
            raise gradio.Error(str(error)) from error

    with blocks(gradio, "Classify a painting") as page:
        about = "Drop a picture to see its most probable styles"
        about += ", and which regions raise the first one: the bright ones." if has_heatmap else "."
        gradio.Markdown(f"# Classify a painting\n{about}")
        with gradio.Row():
            picture = picture_input(gradio, _HEIGHT)
            styles = gradio.Label(num_top_classes=TOP, label="Style", min_width=300)
            heatmap = gradio.Image(
                type="pil",
                interactive=False,
                buttons=["download", "fullscreen"],
                visible=has_heatmap,
                label="Grad-CAM",
                height=_HEIGHT,
                min_width=300,
            )
        picture.change(update, picture, [styles, heatmap], trigger_mode="always_last", api_name="classify")
    return page


def classify_file(classifier: Classifier, path: Path) -> tuple[dict[str, float], Image.Image | None]:
    """Classify a file, and draw the Grad-CAM heatmap of the most probable style over it.

    Returns:
        The probabilities of the TOP most probable styles by name, and the heatmap; None for a baseline, which has none.

    Raises:
        InputError: the file is no picture that can be read.
    """
    image = read_picture(path, at_least=_SHOWN_SIZE)
    # From the file, and not from the image above: these are the pixels that `predict` and a pack have.
    images = load_images(path, classifier.config.size, classifier.device, packed_size=classifier.config.packed_size)
    probabilities, labels = classifier.predict_proba(images)[0].sort(descending=True, stable=True)
    top = zip(labels[:TOP].tolist(), probabilities[:TOP].tolist(), strict=True)
    named = {display_name(classifier.styles[label]): probability for label, probability in top}
    if not isinstance(classifier.network, StyleNet):
        return named, None
    heatmap = grad_cam(classifier.network, images, labels[:1])[0].cpu().numpy()
    return named, heatmap_over(image, heatmap)


def heatmap_over(image: Image.Image, heatmap: np.ndarray) -> Image.Image:
    """A heatmap drawn over a grey version of an image.

    Args:
        image: RGB; reduced to a longer side of 768 pixels if it is larger.
        heatmap: (S, S) float in [0, 1], stretched over the image.

    Returns:
        An RGB image.
    """
    from matplotlib import colormaps

    shown = image.copy()
    shown.thumbnail((_SHOWN_SIZE, _SHOWN_SIZE), reducing_gap=2.0)
    stretched = Image.fromarray(heatmap.astype(np.float32)).resize(shown.size, Image.Resampling.BILINEAR)
    colours = colormaps["inferno"](np.asarray(stretched).clip(0, 1))[..., :3]
    coloured = Image.fromarray((255 * colours).round().astype(np.uint8))
    return Image.blend(shown.convert("L").convert("RGB"), coloured, _OPACITY)
