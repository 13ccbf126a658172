"""Bytes that are no pictures any more, and odd files: a picture, or a reason why not; no crash, hang or blow-up."""

import io
import mmap
import os
import random
import resource
import signal
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from faults.tally import Tally
from wikiart_data.images.decode import BadPictureError, decode

SECONDS = 20
"""Of a core that one file may take; small pictures take a thousandth. Waiting for a busy machine counts not."""
MEMORY = 2 << 30
"""What decoding may ask for beyond what was there before: a picture of the largest size allowed, a few times over."""


def base_pictures() -> dict[str, bytes]:
    """Small pictures in every format and mode that is decoded, by a name that says its kind first: `jpeg-grey`."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (48, 36), Image.Resampling.BICUBIC
    )
    alpha = coarse.convert("RGBA")
    alpha.putalpha(Image.fromarray(random.integers(0, 256, (36, 48), dtype=np.uint8)))
    deep = Image.fromarray(random.integers(0, 65_536, (36, 48), dtype=np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    turned[0x010E] = "a painting"
    found = {
        "jpeg": saved(coarse, "JPEG"),
        "jpeg-progressive": saved(coarse, "JPEG", progressive=True),
        "jpeg-grey": saved(coarse.convert("L"), "JPEG"),
        "jpeg-cmyk": saved(coarse.convert("CMYK"), "JPEG"),
        "jpeg-turned": saved(coarse, "JPEG", exif=turned, comment=b"x" * 40, icc_profile=b"\0" * 128),
        "png": saved(coarse, "PNG"),
        "png-alpha": saved(alpha, "PNG"),
        "png-palette": saved(coarse.quantize(16), "PNG", transparency=3),
        "png-deep": saved(deep, "PNG"),
        "png-bits": saved(coarse.convert("1"), "PNG"),
        "png-turned": saved(coarse, "PNG", exif=turned),
        "webp": saved(coarse, "WEBP", quality=60),
        "webp-lossless": saved(alpha, "WEBP", lossless=True),
        "webp-turned": saved(alpha, "WEBP", exif=turned),
        "webp-moving": saved(coarse, "WEBP", save_all=True, append_images=[alpha.convert("RGB")]),
        "gif": saved(coarse, "GIF"),
        "bmp": saved(coarse, "BMP"),
        "tiff": saved(coarse, "TIFF", compression="tiff_lzw"),
        "tiff-deep": saved(deep, "TIFF"),
    }
    return found


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as a file's bytes."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def mutation(pictures: Sequence[bytes], number: int, seed: int) -> bytes:
    """Mutation `number` of some picture: always the same for the same seed."""
    dice = random.Random(f"{seed} {number}")
    content = bytearray(pictures[number % len(pictures)])
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        content = bytearray(dice.choice(WAYS)(bytes(content), dice, pictures))
    return bytes(content)


def _flip(content: bytes, dice: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 40))):
        if changed:
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _flip_early(content: bytes, dice: random.Random, _: Sequence[bytes]) -> bytes:
    """In the header, where sizes and lengths are."""
    changed = bytearray(content)
    if changed:
        changed[dice.randrange(min(64, len(changed)))] = dice.choice((0, 1, 127, 128, 255, dice.randrange(256)))
    return bytes(changed)


def _cut(content: bytes, dice: random.Random, _: Sequence[bytes]) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _splice(content: bytes, dice: random.Random, pictures: Sequence[bytes]) -> bytes:
    """A piece of this or another picture, over or between what is there."""
    other = dice.choice([content, dice.choice(pictures)])
    start = dice.randrange(len(other) + 1)
    piece = other[start : start + dice.choice((1, 4, 16, 100, 1000))]
    at = dice.randrange(len(content) + 1)
    return content[:at] + piece + content[at + (len(piece) if dice.random() < 0.5 else 0) :]


def _drop(content: bytes, dice: random.Random, _: Sequence[bytes]) -> bytes:
    at = dice.randrange(len(content) + 1)
    return content[:at] + content[at + dice.choice((1, 2, 4, 13, 100)) :]


def _fill(content: bytes, dice: random.Random, _: Sequence[bytes]) -> bytes:
    at, length = dice.randrange(len(content) + 1), dice.choice((2, 4, 8, 64))
    return content[:at] + bytes([dice.choice((0, 255))]) * length + content[at + length :]


def _size(content: bytes, dice: random.Random, _: Sequence[bytes]) -> bytes:
    """Another width and height in the header, with the checksum that belongs to it."""
    sides = [dice.choice((0, 1, 47, 49, 1000, 12_000, 16_383, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
    changed = bytearray(content)
    if content[:4] == b"\x89PNG" and len(content) > 33:
        changed[16:24] = struct.pack(">II", *sides)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif content[:2] == b"\xff\xd8":
        for mark in (b"\xff\xc0\x00", b"\xff\xc2\x00"):
            if 0 < (at := content.find(mark)) < len(content) - 9:
                changed[at + 5 : at + 9] = struct.pack(">HH", *(side & 0xFFFF for side in sides))
    elif content[:4] == b"RIFF" and len(content) > 30:
        width, height = (side & 0x3FFF for side in sides)
        if content[12:16] == b"VP8 ":
            changed[26:30] = struct.pack("<HH", width, height)
        elif content[12:16] == b"VP8L":
            changed[21:25] = struct.pack("<I", width | height << 14 | dice.randrange(2) << 28)
        else:
            changed[24:30] = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
    elif content[:3] == b"GIF" and len(content) > 10:
        changed[6:10] = struct.pack("<HH", *(side & 0xFFFF for side in sides))
    elif content[:2] == b"BM" and len(content) > 26:
        changed[18:26] = struct.pack("<II", *sides)
    return bytes(changed)


WAYS = (_flip, _flip_early, _cut, _splice, _drop, _fill, _size)


def mutated(number: int, seed: int, place: Path, tally: Tally) -> None:
    """Decode so many mutations, whole and reduced in turn."""
    pictures = base_pictures()
    for content in pictures.values():
        decode(content)  # unharmed, each is a picture
    kinds, files = list(pictures), list(pictures.values())

    def trial(at: int) -> tuple[str, bytes]:
        return f"mutated {kinds[at % len(files)].partition('-')[0].upper()}", mutation(files, at, seed)

    peak = decoded_all(trial, number, place, tally)
    tally.notes.append(
        f"Decoding mutations took at most {peak / 1e6:.0f} MB; {SECONDS} s of a core were allowed a file."
    )


def odd(folder: Path, place: Path, tally: Tally) -> None:
    """Decode every file of a folder, whole and reduced."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".csv"]
    decoded_all(lambda at: ("odd files", files[at // 2].read_bytes()), 2 * len(files), place, tally)


def decoded_all(trial, number: int, place: Path, tally: Tally) -> int:
    """Decode the trials 0 … number − 1 in a child with a limit on memory and on time; go on after what kills it.

    Returns:
        The most memory that decoding took, in bytes.
    """
    shared, at = mmap.mmap(-1, 16), 0
    while at < number:
        report = place / "decoded.txt"
        pid = os.fork()
        if not pid:
            _decode_from(trial, at, number, shared, report)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        lines = report.read_text().splitlines()
        for line in lines:
            what, _, ending = line.partition("\t")
            if ending in ("refused", "no effect"):
                tally.add(what, ending)
            else:
                tally.lose(what, ending)
        at += len(lines)
        if status != 0:
            why = "hangs" if status == -signal.SIGPROF else f"ends the process with {status}"
            (place / "killer.bin").write_bytes(trial(at)[1])
            tally.lose(trial(at)[0], f"number {at} {why}")
            at += 1
    return struct.unpack("q", shared[:8])[0]


def _decode_from(trial, at: int, number: int, shared: mmap.mmap, report: Path) -> None:
    """The child: decode from trial `at` on, a line for each in `report`."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff speaks of every fault
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    began = _highest()
    with report.open("w", buffering=1) as lines:
        for place in range(at, number):
            what, content = trial(place)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            lines.write(f"{what}\t{_outcome(content, place)}\n")
            signal.setitimer(signal.ITIMER_PROF, 0)
            peak = max(struct.unpack("q", shared[:8])[0], _highest() - began)
            shared[:8] = struct.pack("q", peak)
    os._exit(0)


def _outcome(content: bytes, place: int) -> str:
    try:
        picture = decode(content, at_least=32 if place % 2 else None)
    except BadPictureError as error:
        return "refused" if str(error) and "\n" not in str(error) else f"no sentence: {str(error)!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    if picture.mode != "RGB" or min(picture.size) < 1 or len(picture.getextrema()) != 3:
        return f"a picture of mode {picture.mode}, {picture.size}"
    return "no effect"


def _highest() -> int:
    """The most memory that this process had at once, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def mutations(number: int, seed: int) -> Iterator[bytes]:
    """The first so many mutations."""
    pictures = list(base_pictures().values())
    return (mutation(pictures, at, seed) for at in range(number))
