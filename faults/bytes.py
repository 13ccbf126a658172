"""Mutated and unusual image files: decoding gives an image or a reason, never a crash, a hang or runaway memory."""

import faulthandler
import io
import mmap
import os
import random
import resource
import signal
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from faults.tally import Tally
from wikiart_data.images.decode import BadPictureError, decode

SECONDS = 20
"""CPU time allowed per file; small images need a thousandth of it. Waiting on a busy machine does not count."""
MEMORY = 2 << 30
"""Bytes that decoding may allocate: a few times an image of the largest size allowed."""


def base_pictures() -> dict[str, bytes]:
    """Small images in every format and mode that is decoded; names begin with the format: `jpeg-grey`."""
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
    return {
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


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """An image encoded as a file's bytes."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def mutation(pictures: Sequence[bytes], number: int, seed: int) -> bytes:
    """Mutation `number`, always the same for the same seed: one picture, mutated once or a few times."""
    rng = random.Random(f"{seed} {number}")
    content = bytearray(pictures[number % len(pictures)])
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = bytearray(rng.choice(MUTATIONS)(bytes(content), rng, pictures))
    return bytes(content)


def _flip(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_early(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Set a byte of the header, where sizes and lengths are."""
    changed = bytearray(content)
    if changed:
        changed[rng.randrange(min(64, len(changed)))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def _cut(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _splice(content: bytes, rng: random.Random, pictures: Sequence[bytes]) -> bytes:
    """Insert a piece of this or another picture, or overwrite with it."""
    other = rng.choice([content, rng.choice(pictures)])
    start = rng.randrange(len(other) + 1)
    piece = other[start : start + rng.choice((1, 4, 16, 100, 1000))]
    at = rng.randrange(len(content) + 1)
    return content[:at] + piece + content[at + (len(piece) if rng.random() < 0.5 else 0) :]


def _drop(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 4, 13, 100)) :]


def _fill(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.choice((2, 4, 8, 64))
    return content[:at] + bytes([rng.choice((0, 255))]) * length + content[at + length :]


def _size(content: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    """Write another width and height into the header, with a matching checksum."""
    sides = [rng.choice((0, 1, 47, 49, 1000, 12_000, 16_383, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
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
            changed[21:25] = struct.pack("<I", width | height << 14 | rng.randrange(2) << 28)
        else:
            changed[24:30] = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
    elif content[:3] == b"GIF" and len(content) > 10:
        changed[6:10] = struct.pack("<HH", *(side & 0xFFFF for side in sides))
    elif content[:2] == b"BM" and len(content) > 26:
        changed[18:26] = struct.pack("<II", *sides)
    return bytes(changed)


MUTATIONS = (_flip, _flip_early, _cut, _splice, _drop, _fill, _size)


def decode_mutations(number: int, seed: int, work: Path, tally: Tally) -> None:
    """Decode `number` mutations, alternately at full and at reduced size."""
    pictures = base_pictures()
    for content in pictures.values():
        decode(content)  # each is an image before it is mutated
    kinds, files = list(pictures), list(pictures.values())

    def trial(index: int) -> tuple[str, bytes]:
        return f"mutated {kinds[index % len(files)].partition('-')[0].upper()}", mutation(files, index, seed)

    peak = decode_trials(trial, number, work, tally)
    tally.notes.append(
        f"Decoding a mutation took at most {peak / 1e6:.0f} MB; {SECONDS} s of CPU time were allowed per file."
    )


def decode_folder(folder: Path, work: Path, tally: Tally) -> None:
    """Decode every file of a folder, at full and at reduced size."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".csv"]
    decode_trials(lambda index: ("unusual files", files[index // 2].read_bytes()), 2 * len(files), work, tally)


def decode_trials(trial: Callable[[int], tuple[str, bytes]], number: int, work: Path, tally: Tally) -> int:
    """Decode trials 0 … number − 1 in a child with limits on memory and time; continue in a new one if it dies.

    Args:
        trial: index → name of the fault and the file's bytes.
        number: of trials.
        work: a folder for temporary files.
        tally: counts the outcomes.

    Returns:
        The most memory that decoding one file took, in bytes.
    """
    shared, index = mmap.mmap(-1, 16), 0
    while index < number:
        report = work / "decoded.txt"
        pid = os.fork()
        if not pid:
            _decode_from(trial, index, number, shared, report)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        lines = report.read_text().splitlines()
        for line in lines:
            fault, _, outcome = line.partition("\t")
            if outcome in ("refused", "no effect"):
                tally.add(fault, outcome)
            else:
                tally.lose(fault, outcome)
        index += len(lines)
        if status != 0:
            reason = "hangs" if status == -signal.SIGPROF else f"ends the process with {status}"
            (work / "killer.bin").write_bytes(trial(index)[1])
            tally.lose(trial(index)[0], f"number {index} {reason}")
            index += 1
    return struct.unpack("q", shared[:8])[0]


def _decode_from(
    trial: Callable[[int], tuple[str, bytes]], first: int, number: int, shared: mmap.mmap, report: Path
) -> None:
    """In the child: decode from trial `first` on and write one line per trial to `report`."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff prints every fault
    faulthandler.disable()  # an abort is counted; its stack would be printed into the parent's output
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    before = _peak_memory()
    with report.open("w", buffering=1) as lines:
        for index in range(first, number):
            fault, content = trial(index)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            lines.write(f"{fault}\t{_outcome(content, index)}\n")
            signal.setitimer(signal.ITIMER_PROF, 0)
            peak = max(struct.unpack("q", shared[:8])[0], _peak_memory() - before)
            shared[:8] = struct.pack("q", peak)
    os._exit(0)


def _outcome(content: bytes, index: int) -> str:
    try:
        picture = decode(content, at_least=32 if index % 2 else None)
    except BadPictureError as error:
        return "refused" if str(error) and "\n" not in str(error) else f"not one sentence: {str(error)!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}".replace("\n", " ")
    if picture.mode != "RGB" or min(picture.size) < 1 or len(picture.getextrema()) != 3:
        return f"a picture of mode {picture.mode}, {picture.size}"
    return "no effect"


def _peak_memory() -> int:
    """Peak resident memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def mutations(number: int, seed: int) -> Iterator[bytes]:
    """The first `number` mutations."""
    pictures = list(base_pictures().values())
    return (mutation(pictures, index, seed) for index in range(number))
