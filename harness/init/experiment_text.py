"""The text of one experiment: what is done, what is claimed, and why the limits are these."""

from __future__ import annotations

from harness.init.proposal import Proposal
from harness.init.trials import RATE_PER_S, Trial, seconds_for
from harness.init.yaml_text import aligned, comment, scalar, sequence

STEADY_PERCENT = 99
STEADY_S = seconds_for(STEADY_PERCENT, 20)
DONE = {
    "kill": "SIGKILL, as if the machine had lost it; its data stay",
    "pause": "its processes are frozen: connections stay open, nothing answers",
}


def experiment_text(trial: Trial, proposal: Proposal) -> str:
    """The file `NAME.yaml` of a trial."""
    parts = [
        comment(f"Written by `harness init`, and yours now. Why this: {trial.why}."),
        [f"title: {scalar(trial.title)}"],
        _load(proposal),
        _phases(trial),
        _faults(trial),
        _expect(trial, proposal),
        [*comment("A run that lasts longer is ended, and healed."),
         "safeguards: {max_duration: 5m}"],
    ]  # fmt: skip
    return "\n".join("\n".join(lines) for lines in parts) + "\n"


def _load(proposal: Proposal) -> list[str]:
    names = list(proposal.paths)
    mix = ", ".join(f"{name}: 1" for name in names)
    rows = [
        (f"  entry: {scalar(proposal.entry.service)}", "the service with `entry` in target.yaml"),
        (f"  rate: {RATE_PER_S * len(names)}/s", "sent at this rate, however slow the answers are"),
        (f"  mix: {{{mix}}}", "operations of target.yaml, and their shares"),
    ]  # fmt: skip
    if proposal.entry.is_tls:
        rows.append(("  tls: {}", "HTTPS; the certificate is checked if you give ca_file: PEM"))
    return ["load:", *aligned(rows)]


def _phases(trial: Trial) -> list[str]:
    rows = [
        ("  warmup: 5s", "not judged"),
        (f"  baseline: {STEADY_S}s", "nothing is broken: what fails here fails without a fault"),
        (f"  fault: {trial.fault_s}s", "the fault, and the time to recover from it"),
        (f"  after: {STEADY_S}s", "all must be as it was before"),
    ]
    return ["phases:", *aligned(rows)]


def _faults(trial: Trial) -> list[str]:
    names = trial.services
    chosen = scalar(names[0]) if len(names) == 1 else sequence(names)
    back = "started again" if trial.kind == "kill" else "let go on"
    rows = [
        (f"  - {trial.kind}: {{service: {chosen}}}", DONE[trial.kind]),
        ("    at: fault + 0s", "when the phase begins"),
        (f"    for: {trial.hold_s}s", f"then it is {back}, also if the run is interrupted"),
    ]
    lines = ["faults:", *aligned(rows)]
    if trial.is_last:
        why = "there is no other of its role: its loss is the point"
        lines += aligned([("allow_total_loss: true", why)])
    return lines


def _expect(trial: Trial, proposal: Proposal) -> list[str]:
    steady = f"[success_rate >= {STEADY_PERCENT}%, p95 < 1s]"
    lines = ["expect:"]
    for phase, limits, why in (
        ("baseline", steady, "95 of 100 answers within 1 s, and at most 1 of 100 wrong or late"),
        ("fault", f"[{', '.join(_limits(trial))}]", _why(trial)),
        ("after", steady, "the same as before the fault: nothing is left of it"),
    ):
        lines += [f"  {phase}:", *comment(why, 4)]
        lines += [f"    {name}: {limits}" for name in proposal.paths]
    more = (
        "Everything that has a role runs at the end. A container that exits although no fault hit"
        " it fails the run, too; if that is right, add this at the end of the file:"
    )
    allow = "    # surprises: {allow: [container_died]}"
    return [*lines, "  run:", *comment(more, 4), allow, "    target: [healthy]"]


def _limits(trial: Trial) -> list[str]:
    found = [f"success_rate >= {trial.success_min}%"] if trial.success_min else []
    found += [f"p95 < {trial.p95_s}s"] if trial.p95_s else []
    return [*found, f"recovery_time < {trial.recovery_s}s"]


def _why(trial: Trial) -> str:
    recovery = (
        f"recovery_time: from the fault until requests succeed again for good; {trial.hold_s} s of"
        " it are the fault itself"
    )
    if not trial.success_min:
        return f"{recovery}. To claim that it works all the while, add success_rate >= 95%"
    slow = f" p95: and 95 of 100 are answered within {trial.p95_s} s." if trial.p95_s else ""
    what = f"success_rate: at least {trial.success_min} of 100 requests succeed in this phase."
    return f"{what}{slow} recovery_time: from the fault until they succeed again for good"
