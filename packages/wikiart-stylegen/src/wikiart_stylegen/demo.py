"""`wikiart-stylegen demo`: a page on which a dropped picture is repainted, around `StyleTransfer`."""

from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from wikiart_data.demo import blocks, import_gradio, picture_input, read_picture, serve
from wikiart_data.errors import InputError
from wikiart_data.styles import display_name
from wikiart_stylegen.command_options import DemoOptions
from wikiart_stylegen.transfer import StyleTransfer

_HEIGHT = 420
"""Of the pictures on the page, in CSS pixels."""


def demo(options: DemoOptions) -> None:
    """Serve the page until the program is interrupted.

    Raises:
        InputError: gradio is not installed, there is no such run, or the port is taken.
    """
    gradio = import_gradio()
    transfer = StyleTransfer.load(options.model, runs=options.runs, device=options.device)
    serve(gradio, make_page(gradio, transfer, options.side), options.port)


def make_page(gradio: ModuleType, transfer: StyleTransfer, side: int) -> Any:
    """The page.

    Args:
        gradio: the module.
        transfer: the network.
        side: larger pictures are scaled down to this longer side.

    Returns:
        A `gradio.Blocks`.
    """
    styles = [(display_name(style), style) for style in transfer.styles]

    def update(path: str | None, style: str, blend: str, strength: float) -> Image.Image | None:
        if path is None:
            return None
        try:
            return repaint_file(transfer, Path(path), style, blend or None, strength, side)
        except InputError as error:
            raise gradio.Error(str(error)) from error

    with blocks(gradio, "Repaint a picture") as page:
        gradio.Markdown("# Repaint a picture\nDrop a photograph or painting, and choose a style.")
        with gradio.Row():
            picture = picture_input(gradio, _HEIGHT)
            repaint = gradio.Image(
                type="pil",
                format="png",
                interactive=False,
                buttons=["download", "fullscreen"],
                label="Repaint",
                height=_HEIGHT,
                min_width=300,
            )
        with gradio.Row():
            style = gradio.Dropdown(styles, value=styles[0][1], label="Style", min_width=240)
            blend = gradio.Dropdown([("none", ""), *styles], value="", label="Blend with a second style", min_width=240)
            strength = gradio.Slider(
                0,
                1.5,
                value=1.0,
                step=0.05,
                label="Strength",
                info="0: no style, 1: as trained, beyond: exaggerated",
                min_width=240,
            )
        gradio.on(
            [picture.change, style.change, blend.change, strength.release],
            update,
            [picture, style, blend, strength],
            repaint,
            trigger_mode="always_last",
            api_name="repaint",
        )
    return page


def repaint_file(
    transfer: StyleTransfer, path: Path, style: str, blend: str | None, strength: float, side: int
) -> Image.Image:
    """Repaint a file, scaled down to a longer side of `side` pixels if it is larger.

    Raises:
        InputError: the file is no picture that can be read.
    """
    image = read_picture(path)
    return transfer.repaint(image, style, strength, blend, side if max(image.size) > side else None)
