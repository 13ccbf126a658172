"""What was tried, how often, and how it ended: one line of the table for each kind of fault."""

import sys
from collections import Counter
from dataclasses import dataclass, field

ENDINGS = ("refused", "made good", "no effect", "lost")
"""A sentence said what is wrong; the result is the unbroken one after all (resumed, mended, made again); as if nothing
had happened; something is gone, wrong, or ended in a traceback."""


@dataclass
class Tally:
    """All trials so far."""

    seen: dict[str, Counter[str]] = field(default_factory=dict)
    """What was tried → how it ended, counted."""
    losses: list[str] = field(default_factory=list)
    """What was lost, in words."""
    notes: list[str] = field(default_factory=list)
    """What is to be said below the table."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What could not be tried here → why."""

    def add(self, what: str, ending: str, times: int = 1) -> None:
        """Count a trial."""
        assert ending in ENDINGS
        self.seen.setdefault(what, Counter())[ending] += times

    def lose(self, what: str, why: str) -> None:
        """Count a trial in which something was lost, and say so at once."""
        self.add(what, "lost")
        self.losses.append(f"{what}: {why}")
        print(f"LOST  {what}: {why}", file=sys.stderr, flush=True)

    def take(self, other: "Tally") -> None:
        """Count the trials of another tally too."""
        for what, ended in other.seen.items():
            self.seen.setdefault(what, Counter()).update(ended)
        self.losses += other.losses
        self.notes += other.notes
        self.left_out |= other.left_out

    def table(self) -> str:
        """Everything as a Markdown table."""
        lines = ["| what was tried | times | refused by a sentence | made good | no effect | lost |"]
        lines.append("|---|--:|--:|--:|--:|--:|")
        for what, ended in self.seen.items():
            counts = " | ".join(f"{ended[ending]:,}" for ending in ENDINGS)
            lines.append(f"| {what} | {ended.total():,} | {counts} |")
        whole = sum((ended for ended in self.seen.values()), Counter())
        counts = " | ".join(f"**{whole[ending]:,}**" for ending in ENDINGS)
        lines.append(f"| **all** | **{whole.total():,}** | {counts} |")
        lines += [f"\nNot tried: {what} ({why})." for what, why in self.left_out.items()]
        lines += [f"\n{text}" for text in self.notes]
        return "\n".join(lines)
