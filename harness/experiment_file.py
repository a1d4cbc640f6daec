"""From a YAML file to an Experiment: every problem at once, each with its line and path."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from harness.errors import InvalidExperiment, UsageError
from harness.model.expectation import Expectation, parse_expectation
from harness.model.experiment import Experiment, FaultSpec, Phase, Safeguard, Target
from harness.model.load import SHORTENER_OPERATIONS, Keys, Load, Operation, Stage
from harness.model.quantity import parse_duration, parse_rate, parse_share

SIZE_MAX, ALIASES_MAX, PHASES_MAX, FAULTS_MAX = 100_000, 50, 30, 50
DURATION_MAX_S, RATE_MAX_PER_S = 3600.0, 100_000.0
TOP_KEYS = (
    "title",
    "tags",
    "target",
    "load",
    "phases",
    "faults",
    "expect",
    "safeguards",
    "allow_total_loss",
)
LOAD_KEYS = (
    "entry",
    "rate",
    "stages",
    "arrivals",
    "mix",
    "keys",
    "operations",
    "canary_rate",
    "timeout",
    "locustfile",
)
_SAFEGUARD = r"error_rate > SHARE for DURATION"


class FaultKind(Protocol):
    """What a file needs to know of a kind of fault."""

    @property
    def parameters(self) -> type[BaseModel]: ...  # noqa: D102
    @property
    def selectors(self) -> frozenset[str]: ...  # noqa: D102


FaultKinds = Mapping[str, FaultKind]
Services = Mapping[str, Mapping[str, str]]


def load_experiment(path: Path, kinds: FaultKinds, services: Services | None = None) -> Experiment:
    """The experiment in `path`; InvalidExperiment lists all its problems.

    `services` (labels by Compose service) is checked against if given. UsageError if the file
    cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "harness list shows the experiments that are there"
        raise UsageError(f"{path}: {error.strerror}", hint) from error
    return parse_experiment(data, path, kinds, services)


def parse_experiment(
    data: bytes, path: Path, kinds: FaultKinds, services: Services | None = None
) -> Experiment:
    """The experiment in the bytes of a file; `path` is for its name and for messages."""
    root = _read_yaml(data, path)
    reader = _Reader(kinds, services)
    experiment = reader.experiment(path.stem, root)
    if reader.problems or experiment is None:
        raise InvalidExperiment(str(path), [text for _, text in sorted(reader.problems)])
    return experiment


def _read_yaml(data: bytes, path: Path) -> Any:
    if len(data) > SIZE_MAX:
        raise InvalidExperiment(str(path), [f"the file has more than {SIZE_MAX} bytes"])
    if data.count(b"*") > ALIASES_MAX:  # an alias may be repeated into billions of nodes
        raise InvalidExperiment(str(path), [f"more than {ALIASES_MAX} aliases or *"])
    try:
        root = YAML(typ="rt").load(data.decode("utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InvalidExperiment(str(path), [f"{where}not YAML: {error.problem}"]) from error
    except (YAMLError, UnicodeDecodeError, ValueError, RecursionError, TypeError) as error:
        raise InvalidExperiment(str(path), [f"not YAML: {error}"]) from error
    except Exception as error:  # the parser leaks KeyError and others on bad tags
        raise InvalidExperiment(str(path), [f"not YAML: {type(error).__name__}"]) from error
    return root


@dataclass
class _Reader:
    """Reads one tree; `problems` grows instead of the first one ending it."""

    kinds: FaultKinds
    services: Services | None
    problems: list[tuple[int, str]] = field(default_factory=list)

    def experiment(self, name: str, root: Any) -> Experiment | None:
        if not isinstance(root, Mapping):
            self._problem(1, "file", "not an experiment", "title, load, phases, faults, expect")
            return None
        self._known_keys(root, "", TOP_KEYS)
        title = self._text(root, "title")
        phases = self._phases(root)
        load, operations = self._load(root)
        faults = self._faults(root, phases)
        hypothesis = self._hypothesis(root, phases, set(operations))
        safeguards, max_duration_s = self._safeguards(root, set(operations))
        if phases and phases[-1].end_s > max_duration_s:
            text = f"the phases take {phases[-1].end_s:.0f} s, more than max_duration"
            self._problem(_line(root, "phases"), "phases", text, "shorten them, or raise it")
        if load is None or not phases or self.problems:
            return None
        return Experiment(
            name=name,
            title=title,
            tags=self._texts(root, "tags"),
            target=self._target(root),
            load=load,
            operations=operations,
            phases=tuple(phases),
            faults=tuple(faults),
            hypothesis=tuple(hypothesis),
            safeguards=tuple(safeguards),
            max_duration_s=max_duration_s,
            allow_total_loss=root.get("allow_total_loss") is True,
        )

    # -- small pieces

    def _problem(self, line: int, path: str, wrong: str, right: str = "") -> None:
        tail = f"; {right}" if right else ""
        self.problems.append((line, f"line {line}: {path}: {wrong}{tail}"))

    def _known_keys(self, node: Mapping[Any, Any], path: str, known: Iterable[str]) -> None:
        for key in node:
            if key not in known:
                where = f"{path}.{key}" if path else str(key)
                self._problem(_line(node, key), where, "unknown key", _suggest(str(key), known))

    def _text(self, node: Mapping[Any, Any], key: str) -> str:
        value = node.get(key)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())
        self._problem(_line(node, key), key, "missing or not text", "write a sentence: the claim")
        return ""

    def _texts(self, node: Mapping[Any, Any], key: str) -> tuple[str, ...]:
        value = node.get(key) or []
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._problem(_line(node, key), key, "not a list of texts", "write [a, b]")
        return ()

    def _mapping(self, node: Mapping[Any, Any], key: str, path: str) -> Mapping[Any, Any]:
        value = node.get(key)
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return value
        self._problem(_line(node, key), path, "not a mapping", "write key: value pairs")
        return {}

    def _quantity(
        self, node: Mapping[Any, Any], key: str, path: str, parse: Callable[[str], float]
    ) -> float | None:
        if key not in node:
            return None
        try:
            return parse(str(node[key]))
        except ValueError as error:
            self._problem(_line(node, key), path, str(error))
            return None

    # -- parts of the file

    def _target(self, root: Mapping[Any, Any]) -> Target:
        node = self._mapping(root, "target", "target")
        try:
            return Target.model_validate(dict(node))
        except ValidationError as error:
            self._pydantic(node, "target", error)
            return Target()

    def _phases(self, root: Mapping[Any, Any]) -> list[Phase]:
        node = self._mapping(root, "phases", "phases")
        if not node:
            text = "write {warmup: 10s, baseline: 20s, fault: 60s, recovery: 20s}"
            self._problem(_line(root, "phases"), "phases", "missing", text)
        if len(node) > PHASES_MAX:
            self._problem(_line(root, "phases"), "phases", f"more than {PHASES_MAX}")
            return []
        phases, at_s = [], 0.0
        for name in node:
            duration_s = self._quantity(node, name, f"phases.{name}", parse_duration)
            if duration_s is None:
                continue
            if not 0 < duration_s <= DURATION_MAX_S:
                text = f"{node[name]} is not possible"
                self._problem(_line(node, name), f"phases.{name}", text, "from 1ms to 60m")
                continue
            phases.append(Phase(name=str(name), start_s=at_s, end_s=at_s + duration_s))
            at_s += duration_s
        if any(phase.name == "run" for phase in phases):
            text = "`run` means the whole run in expectations"
            self._problem(_line(node, "run"), "phases.run", text, "choose another name")
        return phases

    def _load(self, root: Mapping[Any, Any]) -> tuple[Load | None, dict[str, Operation]]:
        node = self._mapping(root, "load", "load")
        if not node:
            text = "write {entry: lb, rate: 400/s, mix: {redirect: 0.96, create: 0.04}}"
            self._problem(_line(root, "load"), "load", "missing", text)
            return None, dict(SHORTENER_OPERATIONS)
        self._known_keys(node, "load", LOAD_KEYS)
        operations = {**SHORTENER_OPERATIONS, **self._operations(node)}
        values: dict[str, Any] = {
            key: node[key] for key in ("arrivals", "locustfile") if key in node
        }
        values["entry"] = str(node.get("entry", "lb"))
        self._entry_exists(node, values["entry"])
        values["rate_per_s"] = self._rate(node)
        values["mix"] = self._mix(node, operations)
        values["stages"] = self._stages(node)
        if (
            timeout_s := self._quantity(node, "timeout", "load.timeout", parse_duration)
        ) is not None:
            values["timeout_s"] = timeout_s
        canary = self._quantity(node, "canary_rate", "load.canary_rate", parse_rate)
        if canary is not None:
            values["canary_rate_per_s"] = canary
        values["keys"] = self._model(Keys, self._mapping(node, "keys", "load.keys"), "load.keys")
        if self.problems:
            return None, operations
        return self._model(Load, values, "load", node), operations

    def _rate(self, node: Mapping[Any, Any]) -> float:
        rate = self._quantity(node, "rate", "load.rate", parse_rate)
        if "rate" not in node:
            self._problem(_line(node, "rate"), "load.rate", "missing", "write it like 400/s")
        elif rate is not None and not 0 < rate <= RATE_MAX_PER_S:
            text = f"{node['rate']} is not possible"
            self._problem(_line(node, "rate"), "load.rate", text, "up to 100000/s")
        return rate or 1.0

    def _mix(
        self, node: Mapping[Any, Any], operations: Mapping[str, Operation]
    ) -> dict[str, float]:
        mix = self._mapping(node, "mix", "load.mix") or {"redirect": 0.96, "create": 0.04}
        for name, weight in mix.items():
            path = f"load.mix.{name}"
            if name not in operations:
                hint = _suggest(str(name), operations)
                self._problem(_line(mix, name), path, "unknown operation", hint)
            is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not is_number or not 0 < float(weight) < 1e9:
                self._problem(_line(mix, name), path, "not a weight", "a number over 0")
        is_right = all(isinstance(weight, int | float) for weight in mix.values())
        return {str(name): float(weight) for name, weight in mix.items()} if is_right else {}

    def _operations(self, node: Mapping[Any, Any]) -> dict[str, Operation]:
        found = {}
        operations = self._mapping(node, "operations", "load.operations")
        for name in operations:
            path = f"load.operations.{name}"
            value = self._mapping(operations, name, path)
            values = dict(value)
            if "limit" in values:
                values["limit_s"] = self._quantity(value, "limit", f"{path}.limit", parse_duration)
                del values["limit"]
            if operation := self._model(Operation, values, path, value):
                found[str(name)] = operation
        return found

    def _stages(self, node: Mapping[Any, Any]) -> tuple[Stage, ...]:
        stages, found = node.get("stages") or [], []
        if not isinstance(stages, list):
            self._problem(_line(node, "stages"), "load.stages", "not a list")
            return ()
        for index, stage in enumerate(stages):
            path = f"load.stages[{index}]"
            if not isinstance(stage, Mapping):
                self._problem(
                    _line(node, "stages"), path, "not a mapping", "{rate: 100/s, hold: 10s}"
                )
                continue
            self._known_keys(stage, path, ("rate", "ramp", "hold"))
            rate = self._quantity(stage, "rate", f"{path}.rate", parse_rate)
            ramp_s = self._quantity(stage, "ramp", f"{path}.ramp", parse_duration)
            hold_s = self._quantity(stage, "hold", f"{path}.hold", parse_duration)
            found.append(Stage(rate_per_s=rate or 0, ramp_s=ramp_s or 0, hold_s=hold_s or 0))
        return tuple(found)

    def _entry_exists(self, node: Mapping[Any, Any], entry: str) -> None:
        if self.services is None:
            return
        entries = {
            labels["harness.entry"].partition(":")[0]
            for labels in self.services.values()
            if "harness.entry" in labels
        }
        if entry not in entries:
            hint = _suggest(entry, entries)
            self._problem(_line(node, "entry"), "load.entry", f"no service is entry {entry}", hint)

    def _faults(self, root: Mapping[Any, Any], phases: list[Phase]) -> list[FaultSpec]:
        entries, found = root.get("faults") or [], []
        if not isinstance(entries, list) or len(entries) > FAULTS_MAX:
            self._problem(_line(root, "faults"), "faults", f"not a list of up to {FAULTS_MAX}")
            return []
        for index, entry in enumerate(entries):
            path = f"faults[{index}]"
            if not isinstance(entry, Mapping):
                right = "- kill: {service: app-2}"
                self._problem(_line(root, "faults"), path, "not a mapping", right)
                continue
            if spec := self._fault(entry, path, index, phases):
                found.append(spec)
        return found

    def _fault(
        self, entry: Mapping[Any, Any], path: str, index: int, phases: list[Phase]
    ) -> FaultSpec | None:
        names = [key for key in entry if key not in ("at", "for")]
        if len(names) != 1 or names[0] not in self.kinds:
            wrong = names[0] if names else "nothing"
            text = f"not one known kind of fault: {wrong}"
            self._problem(_line(entry, wrong), path, text, _suggest(str(wrong), self.kinds))
            return None
        kind = str(names[0])
        where = f"{path}.{kind}"
        body = self._mapping(entry, kind, where)
        selector = {
            str(k): str(v) for k, v in body.items() if k in ("service", "role", "container", "link")
        }
        self._selector(body, where, kind, selector)
        values = {str(k): v for k, v in body.items() if k not in selector}
        parameters = self._parameters(kind, values, where, body)
        times = self._fault_times(entry, path, phases)
        if parameters is None or times is None:
            return None
        phase, start_s, end_s = times
        return FaultSpec(
            id=f"{kind}-{index + 1}",
            kind=kind,
            selector=selector,
            parameters=parameters.model_dump(mode="json"),
            phase=phase,
            start_s=start_s,
            end_s=end_s,
        )

    def _parameters(
        self, kind: str, values: dict[str, Any], where: str, body: Mapping[Any, Any]
    ) -> BaseModel | None:
        """Durations may be written `250ms` where the parameter is `..._s`: latency: 250ms."""
        fields = self.kinds[kind].parameters.model_fields
        for name in list(values):
            if name not in fields and f"{name}_s" in fields:
                seconds = self._quantity(values, name, f"{where}.{name}", parse_duration)
                del values[name]
                values[f"{name}_s"] = seconds or 0.0
        found: BaseModel | None = self._model(self.kinds[kind].parameters, values, where, body)
        return found

    def _selector(
        self, body: Mapping[Any, Any], where: str, kind: str, selector: dict[str, str]
    ) -> None:
        line = _line(body, next(iter(selector), ""))
        accepted = sorted(self.kinds[kind].selectors)
        if len(selector) != 1 or next(iter(selector)) not in self.kinds[kind].selectors:
            self._problem(
                line, where, "names no target, or more than one", f"one of {', '.join(accepted)}"
            )
            return
        if self.services is None:
            return
        (how, name), roles = (
            next(iter(selector.items())),
            {labels.get("harness.role", "") for labels in self.services.values()},
        )
        if "db" in roles:
            roles |= {"db-primary", "db-standby", "db-replica"}
        known = self.services if how == "service" else roles - {""}
        if how in ("service", "role") and name not in known:
            self._problem(line, f"{where}.{how}", f"no {how} {name}", _suggest(name, known))
        links = [part for part in name.replace("*", "").split(".") if part]
        if how == "link" and not links:
            self._problem(line, f"{where}.link", "would be every link", "write app-2.redis")
        first = name.partition(".")[0]
        if how == "link" and not fnmatch.filter(self.services, first):
            self._problem(
                line, f"{where}.link", f"no service {first}", _suggest(first, self.services)
            )

    def _fault_times(
        self, entry: Mapping[Any, Any], path: str, phases: list[Phase]
    ) -> tuple[str, float, float] | None:
        name, _, offset = str(entry.get("at", "fault + 0s")).partition("+")
        phase = next((p for p in phases if p.name == name.strip()), None)
        line = _line(entry, "at")
        if phase is None:
            hint = _suggest(name.strip(), [p.name for p in phases])
            self._problem(line, f"{path}.at", f"no phase {name.strip()}", hint)
            return None
        try:
            start_s = phase.start_s + parse_duration(offset.strip() or "0s")
        except ValueError as error:
            self._problem(line, f"{path}.at", str(error), "write it like fault + 5s")
            return None
        hold_s = self._quantity(entry, "for", f"{path}.for", parse_duration)
        end_s = phase.end_s if hold_s is None else start_s + hold_s
        if not start_s < end_s <= phases[-1].end_s:
            text = f"from {start_s:.1f} s to {end_s:.1f} s is not inside the run"
            self._problem(line, path, text, f"the run ends at {phases[-1].end_s:.1f} s")
            return None
        return phase.name, start_s, end_s

    def _hypothesis(
        self, root: Mapping[Any, Any], phases: list[Phase], operations: set[str]
    ) -> list[Expectation]:
        expect = self._mapping(root, "expect", "expect")
        if not expect:
            right = "a run without expectations proves nothing"
            self._problem(_line(root, "expect"), "expect", "missing", right)
        names = [phase.name for phase in phases if phase.is_judged] + ["run"]
        found: list[Expectation] = []
        for phase in expect:
            if phase not in names:
                hint = _suggest(str(phase), names)
                self._problem(_line(expect, phase), f"expect.{phase}", "no judged phase", hint)
                continue
            subjects = self._mapping(expect, phase, f"expect.{phase}")
            for subject in subjects:
                found += self._clauses(str(phase), str(subject), subjects, operations)
        self._contradictions(found, expect)
        return found

    def _clauses(
        self, phase: str, subject: str, subjects: Mapping[Any, Any], operations: set[str]
    ) -> list[Expectation]:
        clauses, path = subjects[subject], f"expect.{phase}.{subject}"
        if not isinstance(clauses, list):
            self._problem(_line(subjects, subject), path, "not a list", "write [p95 < 200ms]")
            return []
        found = []
        for clause in clauses:
            try:
                found.append(parse_expectation(phase, subject, str(clause), operations))
            except ValueError as error:
                self._problem(_line(subjects, subject), path, str(error))
        return found

    def _contradictions(self, found: list[Expectation], expect: Mapping[Any, Any]) -> None:
        highest: dict[str, float] = {}
        lowest: dict[str, float] = {}
        for item in found:
            if item.comparison in ("<", "<=", "=="):
                highest[item.id] = min(highest.get(item.id, item.limit), item.limit)
            if item.comparison in (">", ">=", "=="):
                lowest[item.id] = max(lowest.get(item.id, item.limit), item.limit)
        for name in highest.keys() & lowest.keys():
            if lowest[name] > highest[name]:
                phase = name.partition(".")[0]
                text = (
                    f"contradictory limits: at least {lowest[name]:g} and at most {highest[name]:g}"
                )
                self._problem(_line(expect, phase), f"expect.{name}", text)

    def _safeguards(
        self, root: Mapping[Any, Any], operations: set[str]
    ) -> tuple[list[Safeguard], float]:
        node = self._mapping(root, "safeguards", "safeguards")
        self._known_keys(node, "safeguards", ("abort_if", "max_duration"))
        longest_s = self._quantity(node, "max_duration", "safeguards.max_duration", parse_duration)
        entries, found = node.get("abort_if") or [], []
        if not isinstance(entries, list):
            self._problem(_line(node, "abort_if"), "safeguards.abort_if", "not a list")
            entries = []
        for index, entry in enumerate(entries):
            path = f"safeguards.abort_if[{index}]"
            rule = self._safeguard(entry, operations)
            if rule is None:
                right = f"write - redirect: {_SAFEGUARD}, as in error_rate > 50% for 30s"
                self._problem(_line(node, "abort_if"), path, "not understood", right)
            else:
                found.append(rule)
        return found, min(longest_s or 600.0, DURATION_MAX_S)

    def _safeguard(self, entry: Any, operations: set[str]) -> Safeguard | None:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            return None
        operation, rule = next(iter(entry.items()))
        words = str(rule).split()
        if operation not in operations or words[:2] != ["error_rate", ">"] or len(words) != 5:
            return None
        try:
            share, for_s = parse_share(words[2]), parse_duration(words[4])
        except ValueError:
            return None
        return Safeguard(operation=str(operation), error_rate=share, for_s=for_s)

    def _model(
        self,
        model: type[Any],
        values: Mapping[Any, Any],
        path: str,
        node: Mapping[Any, Any] | None = None,
    ) -> Any:
        try:
            return model.model_validate({str(key): value for key, value in values.items()})
        except ValidationError as error:
            self._pydantic(values if node is None else node, path, error)
            return None

    def _pydantic(self, node: Mapping[Any, Any], path: str, error: ValidationError) -> None:
        for problem in error.errors():
            key = str(problem["loc"][0]) if problem["loc"] else ""
            where = ".".join([path, *(str(part) for part in problem["loc"])])
            self._problem(_line(node, key), where, problem["msg"].lower())


def _line(node: Any, key: Any) -> int:
    """The line, from 1, of `key` in a node of the tree, or of the node itself."""
    position = getattr(node, "lc", None)
    if position is None:
        return 1
    try:
        return int(position.key(key)[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return int(position.line or 0) + 1


def _suggest(word: str, known: Iterable[str]) -> str:
    names = sorted(str(name) for name in known)
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"


def experiment_schema(kinds: FaultKinds) -> dict[str, Any]:
    """A JSON Schema of experiment files, for completion in editors."""
    duration = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(us|ms|s|min|m|h)$"}
    rate = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*/\s*(s|min|m|h)$"}
    fault = {
        "type": "object",
        "properties": {
            "at": {"type": "string", "examples": ["fault + 0s"]},
            "for": duration,
            **{name: _fault_schema(kind) for name, kind in kinds.items()},
        },
        "additionalProperties": False,
    }
    clauses = {"type": "array", "items": {"type": "string"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "harness experiment",
        "type": "object",
        "additionalProperties": False,
        "required": ["title", "load", "phases", "expect"],
        "properties": {
            "title": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "target": Target.model_json_schema(),
            "allow_total_loss": {"type": "boolean"},
            "load": {
                "type": "object",
                "additionalProperties": False,
                "required": ["rate"],
                "properties": {**{key: {} for key in LOAD_KEYS}, "rate": rate, "timeout": duration},
            },
            "phases": {"type": "object", "additionalProperties": duration},
            "faults": {"type": "array", "items": fault},
            "expect": {
                "type": "object",
                "additionalProperties": {"type": "object", "additionalProperties": clauses},
            },
            "safeguards": {"type": "object"},
        },
    }


def _fault_schema(kind: FaultKind) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name in sorted(kind.selectors)}
    properties.update(kind.parameters.model_json_schema().get("properties", {}))
    return {"type": "object", "properties": properties}
