"""`wikiart-stylegen study-results`: what the saved answers of a study say, as rates with intervals."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wikiart_data.console import echo, printable
from wikiart_data.errors import InputError
from wikiart_data.results.folder import write_results
from wikiart_data.results.serialization import from_plain
from wikiart_data.results.statistics import Estimate, proportion
from wikiart_data.results.tables import Cell, Number, Table
from wikiart_data.styles import display_name
from wikiart_stylegen.results import print_tables
from wikiart_stylegen.study.options import StudyResultsOptions
from wikiart_stylegen.study.page import FORMAT, StudyInfo
from wikiart_stylegen.study.trials import SOURCES, Kind, Source


@dataclass(frozen=True)
class Answer:
    """A trial with the answer of one participant."""

    kind: Kind
    source: Source
    target: str
    choices: tuple[str, ...]
    answer: str
    correct: bool
    ms: float
    """Milliseconds from the picture to the answer."""

    def is_consistent(self) -> bool:
        """Whether the answer is one of the choices, and marked right or wrong as it is."""
        truth = self.target if self.kind == "style" else self.source
        possible = self.choices == SOURCES if self.kind == "source" else self.target in self.choices
        return possible and self.answer in self.choices and self.correct == (self.answer == truth) and self.ms >= 0


@dataclass(frozen=True)
class AnswerSheet:
    """The file that one participant saved."""

    format: Literal["wikiart-stylegen study 1"]
    study: str
    """Digest of the study's trials and pictures."""
    info: StudyInfo
    session: str
    """Different each time the page is opened."""
    participant: str
    comment: str
    trials: tuple[Answer, ...]


@dataclass(frozen=True)
class Rate:
    """How often participants gave one kind of answer."""

    label: str
    answers: Estimate
    """Over all answers, with a Wilson interval: as if they were independent of one another."""
    participants: Estimate | None
    """The mean of the participants' rates, see `rate_over_participants`; None with fewer than two of them."""
    chance: float
    """The rate of guessing."""


@dataclass(frozen=True)
class StyleRates:
    """The rates for one style; None where there was no such trial."""

    style: str
    recognised_repaints: Estimate | None
    recognised_paintings: Estimate | None
    by_hand_repaints: Estimate | None
    by_hand_paintings: Estimate | None


@dataclass(frozen=True)
class Participant:
    """One participant."""

    name: str
    comment: str
    answers: int
    recognised: float | None
    """Fraction of styles recognised, of repaints and paintings together."""
    source_recognised: float | None
    """Fraction of pictures whose source was recognised: by hand, or by the network."""
    median_seconds: float


@dataclass(frozen=True)
class StudyResult:
    """What a study found."""

    study: str
    info: StudyInfo
    rates: tuple[Rate, ...]
    per_style: tuple[StyleRates, ...]
    participants: tuple[Participant, ...]
    title: str = "Repaints and paintings, judged by people"
    command: str = "wikiart-stylegen study-results"

    def tables(self) -> list[Table]:
        """The rates, and, folded, those of each style and of each participant."""
        return [self._rates_table(), self._styles_table(), self._participants_table()]

    def _rates_table(self) -> Table:
        several = len(self.participants) > 1
        rows: list[tuple[Cell, ...]] = []
        for rate in self.rates:
            over = () if not several else (None if rate.participants is None else rate.participants.number("%"),)
            rows.append((rate.label, Number(rate.answers.n), rate.answers.number("%"), *over, Number(rate.chance, "%")))
        answers = sum(participant.answers for participant in self.participants)
        note = "In brackets: 95 % intervals (Wilson), as if all answers were independent."
        if several:
            note = (
                "In brackets: 95 % intervals (Wilson), as if all answers were independent, and, over participants, for "
                "answers of one person that are alike (Korn & Graubard 1998)."
            )
        return Table(
            f"{answers:,} answers of {len(self.participants)} participant{'s' if several else ''}",
            ("", "answers", "rate", *(["over participants"] if several else []), "chance"),
            tuple(rows),
            note=f"{note} Repaints that cannot be told from paintings are taken for painted by hand as often as "
            "paintings are.",
        )

    def _styles_table(self) -> Table:
        rows = tuple(
            (
                display_name(row.style),
                *(
                    None if rate is None else rate.number("%", 0)
                    for rate in (
                        row.recognised_repaints,
                        row.recognised_paintings,
                        row.by_hand_repaints,
                        row.by_hand_paintings,
                    )
                ),
            )
            for row in self.per_style
        )
        columns = ("recognised: repaints", "recognised: paintings", "by hand: repaints", "by hand: paintings")
        return Table("By style", ("style", *columns), rows, folded=True)

    def _participants_table(self) -> Table:
        rows = tuple(
            (
                printable(row.name),
                Number(row.answers),
                None if row.recognised is None else Number(row.recognised, "%", 0),
                None if row.source_recognised is None else Number(row.source_recognised, "%", 0),
                Number(row.median_seconds, "s"),
                row.comment,
            )
            for row in self.participants
        )
        columns = ("participant", "answers", "styles recognised", "sources recognised", "median time", "comment")
        return Table("By participant", columns, rows, folded=True)


def study_results(options: StudyResultsOptions) -> StudyResult:
    """Print the rates of a study, and write result.json and index.html.

    Raises:
        InputError: there is no file, one holds no answers of a study or those of another study, or the folder cannot be
            written.
    """
    result = summarise(read_answers(options.files))
    tables = result.tables()
    write_results(options.to, result, tables, {})
    print_tables(tables)
    echo(f"\nEverything is in {options.to}/, also by style and by participant.")
    return result


def read_answers(paths: Sequence[Path]) -> list[AnswerSheet]:
    """The answers in files, and in all .json files of folders; a session that was saved twice is read once.

    Raises:
        InputError: there is no file, one holds no answers of a study, or the files are of different studies; the
            error's field is the file.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise InputError("Name the JSON files that participants saved, or a folder of them.", field="files")
    sheets: dict[str, AnswerSheet] = {}
    for file in files:
        sheet = _read_sheet(file)
        first = next(iter(sheets.values()), sheet)
        if sheet.study != first.study:
            raise InputError(f"{printable(str(file))} is of another study than {printable(str(files[0]))}.", field=file)
        if sheet.session in sheets:
            echo(f"{printable(str(file))} holds the same answers as another file: skipped.")
        sheets.setdefault(sheet.session, sheet)
    return list(sheets.values())


def _read_sheet(file: Path) -> AnswerSheet:
    shown = printable(str(file))
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}.", field=file) from error
    except ValueError as error:
        raise InputError(f"{shown} holds no JSON: {error}.", field=file) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{shown} was not saved by a page of wikiart-stylegen study.", field=file)
    try:
        sheet = from_plain(AnswerSheet, content)
    except InputError as error:
        raise InputError(f"{shown} is damaged: {error}", field=file) from error
    if not sheet.trials or not all(answer.is_consistent() for answer in sheet.trials):
        raise InputError(f"{shown} is damaged: an answer is missing, or does not fit its trial.", field=file)
    return sheet


def summarise(sheets: Sequence[AnswerSheet]) -> StudyResult:
    """The rates over all answers, over participants, and by style.

    Args:
        sheets: the answers of one study, at least one sheet.
    """
    all_answers = [answer for sheet in sheets for answer in sheet.trials]
    groups: list[tuple[str, Callable[[Answer], bool], Callable[[Answer], bool]]] = [
        ("style of repaints recognised", _is("style", "repaint"), _is_correct),
        ("style of paintings recognised", _is("style", "painting"), _is_correct),
        ("repaints taken for painted by hand", _is("source", "repaint"), _says_by_hand),
        ("paintings taken for painted by hand", _is("source", "painting"), _says_by_hand),
        ("source recognised", _is("source"), _is_correct),
    ]
    rates = []
    for label, belongs, counts in groups:
        if chosen := [answer for answer in all_answers if belongs(answer)]:
            own = [[counts(answer) for answer in sheet.trials if belongs(answer)] for sheet in sheets]
            chance = float(np.mean([1 / len(answer.choices) for answer in chosen]))
            hits = np.array([counts(answer) for answer in chosen])
            rates.append(Rate(label, proportion(hits), rate_over_participants(own), chance))
    styles = sorted({answer.target for answer in all_answers})
    per_style = []
    for style in styles:
        of_style = [answer for answer in all_answers if answer.target == style]
        values = [
            proportion(np.array(hits)) if (hits := [counts(answer) for answer in of_style if belongs(answer)]) else None
            for _, belongs, counts in groups[:4]
        ]
        per_style.append(StyleRates(style, *values))
    people = tuple(_participant(sheet, number) for number, sheet in enumerate(sheets, 1))
    return StudyResult(sheets[0].study, sheets[0].info, tuple(rates), tuple(per_style), people)


def rate_over_participants(hits: Sequence[Sequence[bool]]) -> Estimate | None:
    """The mean of the participants' rates, with a 95 % interval for answers of one person that are alike.

    The interval is Wilson's with an effective number of answers: their number over the design effect, corrected for the
    few degrees of freedom of few participants (Korn & Graubard 1998, Survey Methodology 24).

    Args:
        hits: for each participant the answers; those without any are left out.

    Returns:
        None with fewer than two participants.
    """
    from scipy.stats import norm, t

    rates = np.array([np.mean(values) for values in hits if len(values)])
    people, answers = len(rates), sum(map(len, hits))
    if people < 2:
        return None
    mean = float(rates.mean())
    binomial = mean * (1 - mean) / answers
    design_effect = max(1.0, rates.var(ddof=1) / people / binomial) if binomial else 1.0
    n = answers / design_effect * (t.ppf(0.975, answers - 1) / t.ppf(0.975, people - 1)) ** 2
    z = norm.ppf(0.975)
    centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Estimate(mean, (float(max(0.0, centre - half)), float(min(1.0, centre + half))), people)


def _participant(sheet: AnswerSheet, number: int) -> Participant:
    def fraction_correct(kind: Kind) -> float | None:
        correct = [answer.correct for answer in sheet.trials if answer.kind == kind]
        return float(np.mean(correct)) if correct else None

    seconds = float(np.median([answer.ms for answer in sheet.trials])) / 1000
    name = sheet.participant or f"participant {number}"
    style, source = fraction_correct("style"), fraction_correct("source")
    return Participant(name, sheet.comment, len(sheet.trials), style, source, seconds)


def _is(kind: Kind, source: Source | None = None) -> Callable[[Answer], bool]:
    return lambda answer: answer.kind == kind and source in (None, answer.source)


def _is_correct(answer: Answer) -> bool:
    return answer.correct


def _says_by_hand(answer: Answer) -> bool:
    return answer.answer == "painting"
