"""Which files are pictures: by the ending where it is a known one, else by the first bytes.

Nothing here opens a picture with Pillow, so that scanning a folder stays light.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".avif", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Files with one of these endings are taken for pictures unopened."""

PLUGINS: dict[str, str] = {"HEIC": "pillow_heif", "JPEG XL": "pillow_jxl"}
"""Formats that Pillow reads through a package of the extra `formats`, and the module to import for each."""

PLUGIN_REQUIREMENTS = ("pillow-heif", "pillow-jxl-plugin")
"""What the extra `formats` installs."""

_PLUGIN_ENDINGS = {".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".jxl": "JPEG XL"}
_RAW = ("3fr", "arw", "cr2", "cr3", "crw", "dng", "erf", "iiq", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "srw")
# A camera raw file begins like a TIFF and holds a thumbnail that Pillow would take for the picture.
_UNREAD_ENDINGS = {f".{ending}": "camera raw" for ending in _RAW} | {
    ".ai": "PDF",
    ".djvu": "DjVu",
    ".eps": "PostScript",
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".pdf": "PDF",
    ".psb": "Photoshop",
    ".psd": "Photoshop",
    ".svg": "SVG",
    ".svgz": "SVG",
    ".tga": "TGA",
    ".xcf": "GIMP",
}
_COPIES = (".part", ".partial", ".crdownload", ".download", ".tmp", ".bak", ".orig", "_original", "~")
"""Unfinished downloads and the backups that editors leave: not pictures of their own, whatever they hold."""
_HEAD = 64


def kind_of_file(path: Path | str, name: str) -> tuple[bool, str]:
    """Whether a file is a picture that can be read.

    Args:
        path: the file; opened only if its ending is not a known one.
        name: its name.

    Returns:
        (True, "") for a picture that can be read; (False, kind) for a picture that cannot, such as "HEIC" without the
        extra `formats`; (False, "") for anything else.
    """
    lowered = name.lower()
    if name.startswith(".") or lowered.endswith(_COPIES):
        return False, ""
    if lowered.endswith(PICTURE_ENDINGS):
        return True, ""
    ending = lowered[lowered.rfind(".") :] if "." in lowered else ""
    kind = _PLUGIN_ENDINGS.get(ending) or _UNREAD_ENDINGS.get(ending)
    if kind is None:
        try:
            with Path(path).open("rb") as file:
                kind = kind_of_content(file.read(_HEAD))
        except OSError:
            return False, ""
    if kind in _PILLOW_KINDS or (kind in PLUGINS and has_plugin(kind)):
        return True, ""
    return False, kind


_PILLOW_KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG 2000")


def kind_of_content(head: bytes) -> str:
    """The format that a file's first 64 bytes announce: a name such as "JPEG", or "" if they announce no picture."""
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[14:18] in _BMP_HEADERS:  # two letters alone may begin a text
        return "BMP"
    if head[4:8] == b"ftyp":
        brands = {head[start : start + 4] for start in range(8, len(head) - 3, 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
            return "HEIC"
    if b"<svg" in head:
        return "SVG"
    return ""


_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
)
_BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)}


_SYSTEM_FOLDERS = {"__macosx", "@eadir", "lost+found", "$recycle.bin", "system volume information", "__pycache__"}


def is_folder_name(name: str) -> bool:
    """False for hidden folders and for those that systems and network disks leave behind (`@eaDir`: thumbnails)."""
    return not name.startswith(".") and name.lower() not in _SYSTEM_FOLDERS


@cache
def has_plugin(kind: str) -> bool:
    """Whether the package that reads this format is installed."""
    return find_spec(PLUGINS[kind]) is not None


def is_picture_name(name: str) -> bool:
    """Whether a name alone says that the file is a picture of some kind (in an archive, where nothing is opened)."""
    lowered = name.lower()
    return not name.startswith(".") and lowered.endswith((*PICTURE_ENDINGS, *_PLUGIN_ENDINGS))
