"""Pages to try a trained network in the browser, with gradio: on this machine only, without telemetry.

The extra `demo` installs gradio. Parts get its module from `import_gradio`, so that they work without it.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from wikiart_data.console import echo
from wikiart_data.errors import InputError, how_to_install
from wikiart_data.images.decode import BadPictureError, decode

HOST = "127.0.0.1"
PORT = 7860
"""The default port, gradio's own."""
KEPT_SECONDS = 3600
"""Pictures that were dropped on a page are deleted after this time, and when the program ends."""


def import_gradio() -> ModuleType:
    """The module gradio, with telemetry and the check for new versions off.

    Raises:
        InputError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise InputError(
            f"The demo needs gradio: {how_to_install('demo', 'gradio')}. ({error})", field="demo"
        ) from error
    return gradio


def check_port(port: int) -> None:
    """Reject numbers that are no port.

    Raises:
        InputError: it is not in 1..65535.
    """
    if not 1 <= port <= 65_535:
        raise InputError(f"--port {port} is not in 1..65535.", field="--port")


def blocks(gradio: ModuleType, title: str) -> Any:
    """An empty page: a `gradio.Blocks`, to be filled in a `with` statement."""
    return gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS))


def picture_input(gradio: ModuleType, height: int) -> Any:
    """Where a picture is dropped: a `gradio.Image` whose value is the path of the file as it was given.

    Args:
        gradio: the module.
        height: in CSS pixels.
    """
    return gradio.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label="Picture",
        height=height,
        min_width=300,
    )


def read_picture(path: Path, at_least: int | None = None) -> Image.Image:
    """Decode a dropped file: RGB, upright.

    Args:
        path: the file.
        at_least: as of `decode`.

    Raises:
        InputError: the file is no picture that can be read.
    """
    try:
        return decode(path, at_least=at_least)
    except BadPictureError as error:
        raise InputError(f"The picture cannot be used: {error}.", field=path) from error


def launch(gradio: ModuleType, page: Any, port: int) -> str:
    """Serve a page on this machine, in threads of their own.

    Args:
        gradio: the module.
        page: a `gradio.Blocks`.
        port: of 127.0.0.1.

    Returns:
        The page's address.

    Raises:
        InputError: the port is taken.
    """
    for name in ("no_proxy", "NO_PROXY"):  # gradio asks its own page for an answer, and takes a proxy's refusal for it
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), HOST]))
    # Fonts of the system: the themes' own would be fetched from Google.
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
    try:
        _, address, _ = page.launch(
            server_name=HOST,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            ssr_mode=False,
            theme=gradio.themes.Default(primary_hue="blue", **fonts),
        )
    except OSError as error:
        raise InputError(f"--port {port} is taken; choose another.", field="--port") from error
    return address


def serve(gradio: ModuleType, page: Any, port: int) -> None:
    """Serve a page until the program is interrupted.

    Raises:
        InputError: the port is taken.
    """
    address = launch(gradio, page, port)
    echo(f"Open {address} in a browser on this machine; Ctrl+C ends the demo.")
    page.block_thread()
