"""Who used the CPU: one sample of the machine, and messages about its effect on a run."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from harness.model.quantity import format_duration

DISTURBED_SHARE = 0.08
"""Of the usable processor time, taken by others and by steal. A program that keeps one core of
eight busy takes 12.5 %; what a Debian machine does by itself is about 1 % (measured)."""
DISTURBED_WINDOW_S = 3.0
"""The share is a mean over this long: ticks of 10 ms are too coarse to believe a single second."""
DISTURBANCE_MARGIN_S = 10.0
"""What happens within this time after a disturbance belongs to it: the stack is back in 10 s."""
HEADROOM_MIN = 0.30
"""The share that must be idle before any fault. At 20 to 25 % healthy runs failed (measured): waits
grow as busy / idle, and a fault brings retries, failed calls and cold caches on top."""
WHO_MAX, WHO_SHARE_MIN = 3, 0.01


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the usable processor time, 0 to 1, together 1. `kernel`: its threads and interrupts."""

    project: float
    harness: float
    engine: float
    kernel: float
    others: float
    steal: float
    idle: float

    @property
    def own(self) -> float:
        """What the run itself needs: target, harness, engine, and the kernel's work for them."""
        return self.project + self.harness + self.engine + self.kernel

    @property
    def taken(self) -> float:
        """What was taken from the run."""
        return self.others + self.steal


@dataclass(frozen=True, slots=True)
class Look:
    """Processor time between two looks, in CPU seconds, on the `cpus` that the run may use.

    `foreign_s` is what processes of others were seen to use, `who` the busiest of them by name.
    `pressure_s` is how long some task waited for a processor, None where the kernel does not say.
    """

    duration_s: float
    cpus: float
    project_s: float
    harness_s: float
    engine_s: float
    kernel_s: float
    foreign_s: float
    steal_s: float
    idle_s: float
    pressure_s: float | None = None
    who: tuple[tuple[str, float], ...] = ()

    @property
    def shares(self) -> Shares:
        """Others have what is left, and at least what their processes were seen to use.

        Processes that begin and end between two looks are only in what is left. Where the kernel
        counts soft interrupts twice, as theirs and as those of the task they interrupted, what is
        left is too little, and what was seen counts; then all parts are scaled to make 1.
        """
        capacity_s = max(1e-9, self.cpus * self.duration_s)
        idle_s = min(self.idle_s, capacity_s)
        known = (self.project_s, self.harness_s, self.engine_s, self.kernel_s)
        left_s = capacity_s - idle_s - self.steal_s - sum(known)
        parts = (*known, max(left_s, self.foreign_s, 0.0), self.steal_s, idle_s)
        whole_s = sum(parts)
        return Shares(*(part / whole_s for part in parts))

    @property
    def who_shares(self) -> tuple[tuple[str, float], ...]:
        """The busiest processes of others, each with its share of the usable time."""
        capacity_s = max(1e-9, self.cpus * self.duration_s)
        found = [(name, used_s / capacity_s) for name, used_s in self.who[:WHO_MAX]]
        return tuple((name, share) for name, share in found if share >= WHO_SHARE_MIN)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A stretch of a run in which others, or steal, took `share` of the usable processor time.

    `why`: others, steal, or `gap` where the recorder itself did not get to run.
    """

    start_s: float
    end_s: float
    share: float
    who: tuple[tuple[str, float], ...]
    why: str

    @property
    def text(self) -> str:
        """Which programs disturbed the run, when, and what to do."""
        when = f"from {max(0.0, self.start_s):.0f} s to {self.end_s:.0f} s"
        if self.why == "gap":
            return f"nothing was recorded {when}: the harness was stopped, or got no CPU time"
        if self.why == "steal":
            taken = f"the hypervisor gave {self.share:.0%} of the CPU time to other machines {when}"
            return f"{taken}: use a quieter host, or run with --when-quiet"
        if not self.who:
            taken = f"other programs used {self.share:.0%} of the CPU time {when}"
            return f"{taken}; which ones is unknown: run with --when-quiet"
        names = ", ".join(f"{name} {share:.0%}" for name, share in self.who)
        total = f"{self.share:.0%} of the CPU time {when}"
        whose = "it" if len(self.who) == 1 else "them"
        return f"other programs used {total} ({names}): stop {whose}, or run with --when-quiet"


@dataclass(frozen=True, slots=True)
class NoHeadroom:
    """The run's own work left only `idle_share` idle before any fault, at `rate_per_s` in all.

    `rate_that_fits_per_s` would leave enough; None where no rate would, or it is not known.
    """

    idle_share: float
    rate_per_s: float
    rate_that_fits_per_s: float | None

    @property
    def text(self) -> str:
        """What was left, and what to do."""
        left = f"before any fault, this load left {self.idle_share:.0%} of the CPU time idle"
        needed = f"{HEADROOM_MIN:.0%} is needed"
        if not self.rate_that_fits_per_s:
            return f"{left}, {needed}: the machine is too small for this stack"
        scale = floor(100 * self.rate_that_fits_per_s / self.rate_per_s) / 100
        rates = f"{self.rate_that_fits_per_s:.0f}/s instead of {self.rate_per_s:.0f}/s would fit"
        return f"{left}, {needed}; {rates}: run with --scale {scale:.2f}, or --scale auto"


def busy_words(look: Look) -> str:
    """Which programs use the CPU before a run starts, "" on a quiet machine."""
    shares = look.shares
    if shares.taken < DISTURBED_SHARE:
        return ""
    names = [f"{name} {share:.0%}" for name, share in look.who_shares]
    if shares.steal >= WHO_SHARE_MIN:
        names.append(f"steal {shares.steal:.0%}")
    listed = f" ({', '.join(names)})" if names else ""
    over = format_duration(look.duration_s)
    return f"other programs used {shares.taken:.0%} of the CPU time in {over}{listed}"
