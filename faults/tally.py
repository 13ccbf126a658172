"""Counts of trials by fault and outcome, printed as a Markdown table."""

import sys
from collections import Counter
from dataclasses import dataclass, field

OUTCOMES = ("refused", "recovered", "no effect", "lost")
"""`refused`: an error message names the problem. `recovered`: after resuming or repairing, the result equals the
uninterrupted one. `no effect`: the command did not notice the fault and its result is right. `lost`: data is gone or
wrong, or there was a traceback.
"""


@dataclass
class Tally:
    """All trials so far."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """Fault → number of trials by outcome."""
    losses: list[str] = field(default_factory=list)
    """A description of each loss."""
    notes: list[str] = field(default_factory=list)
    """Sentences printed below the table."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Faults that cannot be injected on this machine → reason."""

    def add(self, fault: str, outcome: str, trials: int = 1) -> None:
        """Count trials of one outcome."""
        assert outcome in OUTCOMES
        self.outcomes.setdefault(fault, Counter())[outcome] += trials

    def lose(self, fault: str, reason: str) -> None:
        """Count a trial in which something was lost, and print it at once."""
        self.add(fault, "lost")
        self.losses.append(f"{fault}: {reason}")
        print(f"LOST  {fault}: {reason}", file=sys.stderr, flush=True)

    def merge(self, other: "Tally") -> None:
        """Add the trials of another tally."""
        for fault, outcomes in other.outcomes.items():
            self.outcomes.setdefault(fault, Counter()).update(outcomes)
        self.losses += other.losses
        self.notes += other.notes
        self.skipped |= other.skipped

    def table(self) -> str:
        """Everything as a Markdown table."""
        lines = ["| fault | trials | refused with a message | recovered | no effect | lost |"]
        lines.append("|---|--:|--:|--:|--:|--:|")
        for fault, outcomes in self.outcomes.items():
            counts = " | ".join(f"{outcomes[outcome]:,}" for outcome in OUTCOMES)
            lines.append(f"| {fault} | {outcomes.total():,} | {counts} |")
        total = sum(self.outcomes.values(), Counter())
        counts = " | ".join(f"**{total[outcome]:,}**" for outcome in OUTCOMES)
        lines.append(f"| **all** | **{total.total():,}** | {counts} |")
        lines += [f"\nSkipped: {fault} ({reason})." for fault, reason in self.skipped.items()]
        lines += [f"\n{text}" for text in self.notes]
        return "\n".join(lines)
