#!/usr/bin/env python3
"""The tables of REPORT.md, rendered from committed JSON.

    tools/report.py keep NAME RUN [RUN ...]    keep the results of runs (one a seed) as report/NAME.json, and the
                                               first run's figures as report/figures/NAME-*.png
    tools/report.py                            render every table of REPORT.md anew
    tools/report.py --check                    fail if a table is not what rendering gives

A table stands between `<!-- table NAME -->` and `<!-- end -->`. No number in one is written by hand.
"""

import json
import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ROWS = (
    ("top-1", "top1"),
    ("always the most frequent style", "majority"),
    ("top-3", "top3"),
    ("balanced accuracy", "balanced"),
    ("macro-F1", "macro_f1"),
    ("recall, many (≥ 200 training pictures)", "many"),
    ("recall, medium (50–199)", "medium"),
    ("recall, few (< 50)", "few"),
)


def keep(name: str, runs: Sequence[Path]) -> None:
    """Write report/NAME.json from the runs' result.json and run.json, without any path of this machine."""
    kept = []
    for run in runs:
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        about = {key: record[key] for key in ("seed", "git_commit", "versions", "device", "processes")}
        options = {key: value for key, value in record["config"].items() if key not in _PLACES}
        kept.append({**about, "options": options, "data_fingerprint": record["data"]["fingerprint"], **result})
    folder = ROOT / "report"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for figure in sorted((runs[0] / "figures").glob("*.png")):
        shutil.copy(figure, folder / "figures" / f"{name}-{figure.name}")


_PLACES = ("data", "runs", "name", "config", "cache_dir", "resume", "overwrite")


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Mean ± standard deviation over seeds, the first seed's 95 % interval, and the cost."""
    seeds = ", ".join(str(run["seed"]) for run in runs)
    first = runs[0]["test"]
    lines = [
        f"| {first['n']:,} test pictures, % | mean ± std over {len(runs)} seeds ({seeds}) | 95 % interval, seed "
        f"{runs[0]['seed']} |",
        "|---|---|---|",
    ]
    for label, key in _ROWS:
        values = [100 * run["test"][key] for run in runs if run["test"][key] is not None]
        if not values:
            continue
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 and key != "majority" else ""
        interval = first.get(f"{key}_interval")
        shown = f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}" if interval else ""
        styles = f", {first[f'{key}_styles']} styles" if f"{key}_styles" in first else ""
        lines.append(f"| {label}{styles} | {statistics.mean(values):.1f}{spread} | {shown} |")
    seconds = [run["train_seconds"] for run in runs]
    to_40 = [run["seconds_to_40_percent"] for run in runs if run["seconds_to_40_percent"] is not None]
    lines.append(f"| seconds of training | {statistics.mean(seconds):.0f} ({runs[0]['device']}) | |")
    if len(to_40) == len(runs):
        lines.append(f"| seconds to 40 % top-1 on valid | {statistics.mean(to_40):.0f} | |")
    lines.append(f"| parameters | {runs[0]['parameters'] / 1e6:.2f} M | |")
    return "\n".join(lines) + "\n"


def rendered(text: str) -> str:
    """REPORT.md with every table made anew.

    Raises:
        SystemExit: a table names a JSON that is not there.
    """

    def one(found: re.Match[str]) -> str:
        path = ROOT / "report" / f"{found[2]}.json"
        if not path.is_file():
            raise SystemExit(f"REPORT.md wants a table {found[2]!r}, and there is no {path.relative_to(ROOT)}.")
        return found[1] + table(json.loads(path.read_text(encoding="utf-8"))) + found[3]

    return _TABLE.sub(one, text)


def main(arguments: list[str]) -> int:
    """Keep, render or check."""
    if arguments[:1] == ["keep"] and len(arguments) >= 3:
        keep(arguments[1], [Path(run) for run in arguments[2:]])
    elif arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    report = ROOT / "REPORT.md"
    text = report.read_text(encoding="utf-8")
    new = rendered(text)
    if arguments == ["--check"]:
        print("REPORT.md is what its JSON says." if new == text else "REPORT.md is stale: run tools/report.py.")
        return int(new != text)
    report.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
