"""`harness annotate`: run folders and experiment files in, lines for GitHub out."""

from __future__ import annotations

from fake_shop import EXPERIMENT, Cli, Shop

from harness.errors import EngineError


def test_a_green_run_says_nothing(shop: Shop, cli: Cli) -> None:
    assert cli("run", "x.yaml").code == 0
    done = cli("annotate", *shop.runs())
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_red_run_says_why_and_names_its_report(shop: Shop, cli: Cli) -> None:
    experiment = EXPERIMENT.replace("failed_requests == 0", "requests < 1")
    (shop.root / "x.yaml").write_text(experiment)
    assert cli("run", "x.yaml").code == 1
    [folder] = shop.runs()
    lines = cli("annotate", folder).out.splitlines()
    assert lines
    assert all(line.startswith("::error title=FAIL x::") for line in lines)
    assert all(line.endswith(f"(report: {folder}/index.html)") for line in lines)


def test_a_run_that_was_refused_says_why(shop: Shop, cli: Cli) -> None:
    shop.fail_at("health", EngineError("[no] engine :smile:", "start it"))
    assert cli("run", "x.yaml").code == 4
    done = cli("annotate", *shop.refused())
    assert done.out == "::error title=ERROR x::[no] engine :smile:%0Atry: start it\n"


def test_the_problems_of_a_file_stand_at_their_lines(shop: Shop, cli: Cli) -> None:
    (shop.root / "x.yaml").write_text(EXPERIMENT.replace("{kill:", "{killl:"))
    done = cli("annotate", "x.yaml")
    assert done.code == 0
    assert done.out.startswith("::error file=x.yaml,line=6,title=invalid experiment::faults[0]")
    assert "did you mean kill?" in done.out


def test_a_run_without_a_result_is_one_clear_error(shop: Shop, cli: Cli) -> None:
    cli("run", "x.yaml")
    [folder] = shop.runs()
    for name in ("result.json", "junit.xml"):
        (folder / name).unlink()
    cli("annotate", folder).is_one_clear_error(2, "it has no result", "harness judge")
