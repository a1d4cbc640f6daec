"""Which project is meant: by flags, by the experiment, by where it lies, by where one stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_shop import EXPERIMENT
from stack_copy import ROOT

from harness.bundled.shortener import stack_target
from harness.errors import InvalidExperiment, UsageError
from harness.model.target import Target
from harness.session.experiment_files import read_experiment
from harness.session.project import Project, checkout
from harness.session.targets import FILES, Choice, find_target, traffic_of

COMPOSE = "services: {app-1: {image: web}}\n"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project with a folder for experiments; beside it, another one."""
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    for name in ("shop", "other"):
        (tmp_path / name / "chaos").mkdir(parents=True)
        (tmp_path / name / "compose.yaml").write_text(COMPOSE)
    monkeypatch.chdir(tmp_path / "shop")
    return tmp_path / "shop"


def _experiment(path: Path, target: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(EXPERIMENT + (f"target: {target}\n" if target else ""))
    return path


def test_a_command_without_an_experiment_is_about_the_working_directory(root: Path) -> None:
    assert find_target() == Target(compose=(root / "compose.yaml",))


@pytest.mark.parametrize("name", FILES)
def test_a_target_file_comes_before_the_compose_file_beside_it(root: Path, name: str) -> None:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("profiles: [a]\n")
    expected = Target(compose=(root / "compose.yaml",), profiles=("a",))
    assert find_target() == expected
    assert find_target(experiment=_experiment(root / "chaos" / "deep" / "x.yaml")) == expected


def test_an_experiment_is_about_the_project_that_it_lies_in(root: Path) -> None:
    other = root.parent / "other"
    inside = _experiment(other / "chaos" / "x.yaml")
    assert find_target(experiment=inside).compose == (other / "compose.yaml",)
    (other / "chaos" / "target.yaml").write_text("compose: mine.yaml\n")
    (other / "chaos" / "mine.yaml").write_text(COMPOSE)
    assert find_target(experiment=inside).compose == (other / "chaos" / "mine.yaml",)
    assert read_experiment(inside).target.compose == (other / "chaos" / "mine.yaml",)


def test_an_experiment_apart_from_every_project_is_about_the_working_directory(
    root: Path, tmp_path: Path
) -> None:
    apart = _experiment(tmp_path / "apart" / "x.yaml")
    assert find_target(experiment=apart).compose == (root / "compose.yaml",)


def test_paths_in_an_experiment_are_as_seen_from_it(root: Path) -> None:
    other = root.parent / "other"
    mapping = _experiment(other / "chaos" / "x.yaml", "{compose: ../compose.yaml, profiles: [a]}")
    expected = Target(compose=(other / "compose.yaml",), profiles=("a",))
    assert find_target(experiment=mapping) == read_experiment(mapping).target == expected
    (other / "settings.yaml").write_text("profiles: [a]\n")
    named = _experiment(other / "chaos" / "y.yaml", "../settings.yaml")
    assert find_target(experiment=named) == read_experiment(named).target == expected


def test_a_path_as_seen_from_the_working_directory_holds_in_its_own_project_only(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions took it. Whoever stands elsewhere must not hit what is there."""
    path = _experiment(root / "chaos" / "x.yaml", "{compose: compose.yaml}")
    assert read_experiment(path).target.compose == (root / "compose.yaml",)
    monkeypatch.chdir(root.parent)
    below = _experiment(root / "chaos" / "x.yaml", "{compose: shop/compose.yaml}")
    assert read_experiment(below).target.compose == (root / "compose.yaml",)
    monkeypatch.chdir(root.parent / "other")
    with pytest.raises(InvalidExperiment) as caught:
        read_experiment(_experiment(path, "{compose: compose.yaml}"))
    assert caught.value.problems == [
        f"line 8: target.compose: {root}/chaos/compose.yaml is not there; paths are as seen from "
        "the file that names them: write ../../other/compose.yaml"
    ]


def test_flags_come_before_what_is_found_and_before_what_an_experiment_says(root: Path) -> None:
    (root / "a.yaml").write_text(COMPOSE)
    (root / "t.yaml").write_text("compose: a.yaml\nname: t\n")
    (root / "target.yaml").write_text("profiles: [core]\n")
    path = _experiment(root / "chaos" / "x.yaml", "{compose: ../compose.yaml}")
    files = Choice(compose=(Path("a.yaml"), Path("chaos/../compose.yaml")))
    expected = Target(compose=(root / "a.yaml", root / "compose.yaml"))
    for experiment in (None, path):
        assert find_target(files, experiment) == expected
        named = find_target(Choice(file=Path("t.yaml")), experiment)
        assert named == Target(compose=(root / "a.yaml",), name="t")
    assert find_target(Choice(name="n", profiles=("b",)), path) == Target(
        compose=(root / "compose.yaml",), name="n", profiles=("b",)
    )
    assert find_target(Choice(profiles=("b", "core"))).profiles == ("core", "b")


def test_an_experiment_adds_profiles_to_those_of_its_target_and_of_flags(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMPOSE_PROFILES", raising=False)
    path = _experiment(root / "chaos" / "x.yaml")
    path.write_text(f"profiles: [monitoring, core]\n{path.read_text()}")
    assert find_target(experiment=path).profiles == ("monitoring", "core")
    assert find_target().profiles == ()
    (root / ".env").write_text("COMPOSE_PROFILES=web, db\n")
    assert find_target(experiment=path).profiles == ("web", "db", "monitoring", "core")
    monkeypatch.setenv("COMPOSE_PROFILES", "web")
    assert find_target(experiment=path).profiles == ("web", "monitoring", "core")
    assert find_target().profiles == ()  # Compose takes them by itself
    (root / "target.yaml").write_text("profiles: [core]\n")
    assert find_target(experiment=path).profiles == ("core", "monitoring")
    assert find_target(Choice(profiles=("logs",)), path).profiles == ("core", "logs", "monitoring")
    assert read_experiment(path).profiles == ("monitoring", "core")
    assert read_experiment(path).target.profiles == ("core", "monitoring")


def test_profiles_that_are_no_list_are_one_problem_of_the_file(root: Path) -> None:
    path = _experiment(root / "chaos" / "x.yaml")
    path.write_text(f"profiles: monitoring\n{path.read_text()}")
    with pytest.raises(InvalidExperiment) as caught:
        read_experiment(path)
    assert caught.value.problems == ["line 1: profiles: not a list of texts; write [a, b]"]


def test_a_profile_that_the_compose_files_lack_is_refused_with_those_they_have(root: Path) -> None:
    path = _experiment(root / "chaos" / "x.yaml")
    path.write_text(f"profiles: [monitoring, logs]\n{path.read_text()}")

    def asked(known: list[str]) -> list[str]:
        with pytest.raises(InvalidExperiment) as caught:
            read_experiment(path, profiles=lambda: known)
        return caught.value.problems

    assert read_experiment(path, profiles=lambda: ["logs", "monitoring", "x"]).profiles
    wrong = "line 1: profiles: the Compose files have no profile logs; "
    assert asked(["core", "monitoring"]) == [f"{wrong}known: core, monitoring"]
    assert asked(["log", "monitoring"]) == [f"{wrong}did you mean log?"]
    assert asked([])[-1] == f"{wrong.replace('logs', 'monitoring')}they have none"
    path.write_text(path.read_text().replace("profiles: [monitoring, logs]", "tags: [a]"))
    assert read_experiment(path, profiles=lambda: 1 / 0).profiles == ()  # type: ignore[arg-type,return-value]


def test_a_project_directory_is_looked_into_as_compose_does(root: Path) -> None:
    other = root.parent / "other"
    found = find_target(Choice(project_directory=Path("../other")))
    assert (found.compose, found.folder) == ((other / "compose.yaml",), other)
    with_file = Choice(compose=(Path("compose.yaml"),), project_directory=other)
    found = find_target(with_file)
    assert (found.compose, found.folder) == ((root / "compose.yaml",), other)


def test_the_shells_variable_comes_before_the_files_but_not_before_a_target(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.yaml").write_text(COMPOSE)
    monkeypatch.setenv("COMPOSE_FILE", "a.yaml")
    assert find_target().compose == (root / "a.yaml",)
    (root / "target.yaml").write_text("compose: compose.yaml\n")
    assert find_target().compose == (root / "compose.yaml",)


def test_where_there_is_no_project_nothing_else_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.chdir(nowhere)
    assert find_target() == find_target(experiment=_experiment(nowhere / "x.yaml")) == Target()
    with pytest.raises(UsageError, match=f"no Compose project here: {nowhere} and") as caught:
        Project()
    assert "--file compose.yaml" in caught.value.hint


@pytest.mark.parametrize(
    "choice", [Choice(file=Path("no.yaml")), Choice(compose=(Path("no.yaml"),))]
)
def test_a_file_that_a_flag_names_must_be_there(choice: Choice) -> None:
    with pytest.raises(UsageError, match=r"no\.yaml: (no such file|No such file)"):
        find_target(choice)


def test_the_bundled_stack_is_found_from_its_own_folders_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = ROOT / "experiments" / "cache" / "redis-outage.yaml"
    assert find_target(experiment=shipped) == stack_target(ROOT)
    monkeypatch.chdir(ROOT)
    assert find_target() == stack_target(ROOT)
    monkeypatch.chdir(ROOT / "docs")
    assert find_target() == stack_target(ROOT)


def test_operations_of_the_target_are_known_to_its_experiments(root: Path) -> None:
    (root / "target.yaml").write_text("operations: {redirect: {path: /from-target}}\n")
    assert traffic_of(find_target()).operations["redirect"].path == "/from-target"
    path = _experiment(root / "x.yaml")
    own = "operations: {redirect: {path"
    assert read_experiment(path).operations["redirect"].path == "/{key}"
    without = EXPERIMENT.replace('operations: {redirect: {path: "/{key}", status: [302]}}', "")
    assert own not in without
    path.write_text(without)
    assert read_experiment(path).operations["redirect"].path == "/from-target"


def test_a_journal_is_never_looked_for_among_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "harness" / "__init__.py"
    monkeypatch.setattr("harness.__file__", str(package))
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    monkeypatch.chdir(nowhere)
    assert checkout() == nowhere
