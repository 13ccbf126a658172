"""What `tools/reproduce.py` keeps of its runs: JSON files and figures, and a report of them."""

import re
import shutil
from pathlib import Path

import report as report_tool
from reproduce_steps import KEPT, MORE_FIGURES

_REPORT_BLOCKS = re.compile(
    r"^##+ .*$|^```\n(?:.*\n)*?```$|^<!-- table (?P<table>\S+)(?: .*)? -->$"
    r"|^!\[(?P<alt>[^\]]*)\]\(report/figures/(?P<figure>[^)]+)\)$",
    re.MULTILINE,
)
"""What a report of other runs takes from REPORT.md: headings, commands, tables and figures."""


def keep_results(runs: Path, target: Path, data_name: str | None) -> list[str]:
    """Keep the results of finished steps as JSON and figures of the report.

    Args:
        runs: the folder of runs.
        target: the folder to write.
        data_name: of the data, appended to the names of what is kept, except results on the sample set.

    Returns:
        The names of the tables they make.
    """
    kept = []
    for name, outputs in KEPT.items():
        folders = [runs / output for output in outputs if (runs / output / "result.json").exists()]
        if not folders:
            continue
        file_name = f"{name}-{data_name}" if data_name and not name.endswith("-sample") else name
        report_tool.keep(file_name, folders, target)
        if name in MORE_FIGURES:
            for figure in sorted((runs / MORE_FIGURES[name]).glob("[!0-9]*.png")):
                if not re.search(r"\d", figure.stem):  # figures drawn during training have a number
                    shutil.copy(figure, target / "figures" / f"{file_name}-{figure.name}")
        kept.append(name)
    return kept


def new_report(text: str, folder: Path, data: str | None, quick: bool) -> str:
    """A report of other runs: the headings, commands, tables and figures of REPORT.md, without its prose.

    Args:
        text: REPORT.md.
        folder: what `keep_results` has written.
        data: the folder of paintings; None means the sample set.
        quick: whether the runs were made in quick mode.
    """
    lines = [f"# Report on {data or 'the sample set'}", ""]
    if quick:
        lines += ["**Quick mode: small networks and few epochs. No number here says how good a method is.**", ""]
    lines += ["The tables and figures of REPORT.md, which explains them for another data set.", ""]
    included = set()
    for block in re.finditer(_REPORT_BLOCKS, text):
        if block["table"]:
            name = block["table"].removesuffix("-realart")
            if name not in included:
                path = folder / f"{name}.json"
                lines += [report_tool.table(path) if path.exists() else f"*No results: {name}.*\n", ""]
        elif block["figure"]:
            name = block["figure"].replace("-realart-", "-")
            if name not in included and (folder / "figures" / name).exists():
                lines += [f"![{block['alt']}](figures/{name})", ""]
        else:
            lines += [block[0].strip(), ""]
            continue
        included.add(name)
    return "\n".join(lines)
