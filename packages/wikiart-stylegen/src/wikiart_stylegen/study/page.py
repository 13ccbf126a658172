"""`wikiart-stylegen study`: one HTML file that asks the questions and saves the answers, without any network.

The order of the trials is shuffled anew for each participant. What is right is in the file, for the page has to say so
at the end; the document shows none of it before: pictures have neutral names, the same size and the same encoding.
"""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from PIL import Image

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes
from wikiart_data.results.serialization import to_plain
from wikiart_data.results.templates import fill_template
from wikiart_data.sample import is_sample_set
from wikiart_data.styles import display_name
from wikiart_stylegen.study.options import StudyOptions
from wikiart_stylegen.study.trials import Trial, make_trials
from wikiart_stylegen.targets import load_with_data

FORMAT = "wikiart-stylegen study 1"
"""What saved answers begin with; a later form gets another number."""
SECONDS_PER_TRIAL = 8
"""For the estimate on the first screen."""
_SOURCE_NAMES = {"painting": "By hand", "repaint": "By the network"}


@dataclass(frozen=True)
class StudyInfo:
    """Where the pictures of a study come from."""

    run: str
    """Folder and name of the run."""
    strength: float
    size: int
    """Side of the pictures in pixels."""
    split: str
    seed: int
    data_fingerprint: str


def study(options: StudyOptions) -> Path:
    """Write the page of a study.

    Returns:
        The HTML file.

    Raises:
        InputError: there is no such run, it is of other styles than the data, the split has too few images, or the
            file cannot be written.
    """
    if options.to.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--to {options.to}: the file's name must end in .html.", field="--to")
    file, transfer, packed, _ = load_with_data(options)
    trials = make_trials(transfer, packed, options)
    info = StudyInfo(
        run="/".join(file.absolute().parent.parts[-2:]),
        strength=options.strength,
        size=packed.size,
        split=options.split,
        seed=options.seed,
        data_fingerprint=packed.catalog.fingerprint,
    )
    write_bytes(options.to, study_page(trials, info).encode())
    echo(f"{len(trials)} trials, half with repaints by {info.run}, half with paintings: {options.to}.")
    if is_sample_set(packed.catalog.root):
        echo("The paintings of the sample set were drawn by a program; for a study with people choose --data.")
    return options.to


def study_page(trials: Sequence[Trial], info: StudyInfo) -> str:
    """The page as text."""
    content = [
        {
            "kind": trial.kind,
            "source": trial.source,
            "target": trial.target,
            "name": display_name(trial.target),
            "choices": [[choice, _SOURCE_NAMES.get(choice, display_name(choice))] for choice in trial.choices],
            "image": _png(trial),
        }
        for trial in trials
    ]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    data = {"format": FORMAT, "study": digest, "info": to_plain(info), "trials": content}
    script = _asset("study.js")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return fill_template(
        "wikiart_stylegen.study",
        "study.html",
        policy=f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'unsafe-inline'; img-src data:",
        number=len(trials),
        minutes=max(1, round(len(trials) * SECONDS_PER_TRIAL / 60)),
        css=_asset("study.css"),
        # No name can close the script element: `<` is written as an escape.
        data=json.dumps(data).replace("<", "\\u003c"),
        script=script,
    )


def _png(trial: Trial) -> str:
    """The picture as a PNG file in base64: lossless, so that nothing but its pixels tells where it comes from."""
    content = io.BytesIO()
    Image.fromarray(trial.pixels).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def _asset(name: str) -> str:
    return package_files("wikiart_stylegen.study").joinpath("templates", name).read_text(encoding="utf-8")
