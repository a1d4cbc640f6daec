"""The report: whole, offline, the same bytes each time, and safe against names of the target."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from made_up_run import findings, machine, make_run, result, write

from harness.aspects import clicks
from harness.aspects.findings_json import findings_from_json
from harness.errors import RunFolderError
from harness.model.findings import FaultFound, RemedyFound, Run
from harness.record.folder import RunFolder
from harness.report.charts import make_charts
from harness.report.embed import bokeh_script
from harness.report.formats import GAP
from harness.report.index import render_index
from harness.report.render import render
from harness.session.stages import render_folder

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


class Page(HTMLParser):
    """The elements of a page with their attributes, and its readable text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self._open = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


WORDS_ONLY = {"series": {}}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run with everything in it, rendered once, for tests that only read."""
    folder = make_run(tmp_path_factory.mktemp("reports"))
    return folder, page_of(folder)


def rendered(folder):
    """The path of its report, whatever findings and result lack."""
    result = folder.read_json("result.json")
    return render(folder, findings_from_json(folder.read_json("findings.json")), result)


def page_of(folder):
    text = rendered(folder).read_text(encoding="utf-8")
    assert bokeh_script() in text or "chart-data" not in text
    return Page(text.replace(bokeh_script(), ""))  # a megabyte that is not the subject here


def chart_data_of(text):
    found = re.search(
        r'<script type="application/json" id="chart-data">(.*?)</script>', text, re.DOTALL
    )
    return json.loads(found[1])


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
@pytest.mark.parametrize("status", ["completed", "aborted", "interrupted", "error"])
def test_each_verdict_and_status_is_said_in_words(tmp_path, verdict, status):
    text = page_of(make_run(tmp_path, verdict=verdict, status=status, **WORDS_ONLY)).text
    assert text.index(verdict.upper()) < text.index("Timeline")
    assert ("The run was" in text or "The run ended in an error" in text) == (status != "completed")


def test_the_verdict_and_its_reasons_come_before_everything_else(tmp_path):
    text = page_of(make_run(tmp_path, verdict="fail", **WORDS_ONLY)).text
    reason = text.index("create recovered after 41.3 s; expected <= 30s")
    assert text.index("FAIL") < reason < text.index("create recovery time") < text.index("Timeline")


SURPRISES = [
    {"code": "container_died", "at_s": 41.2, "who": "app-1", "phase": "fault", "outcome": "fail",
     "text": "app-1 died with exit code 137 and did not run again"},
    {"code": "breaker_opened", "at_s": 0.4, "who": "app-2", "phase": "warmup", "outcome": "note",
     "text": "breaker redis of app-2 opened for 60.5 s, before any fault"},
]  # fmt: skip


def test_surprises_stand_between_the_verdict_and_the_figures(tmp_path):
    folder = make_run(tmp_path, verdict="fail", surprises=SURPRISES, **WORDS_ONLY)
    text = page_of(folder).text.replace(GAP, " ")
    died = text.index("fault app-1 died with exit code 137 and did not run again container_died")
    opened = text.index("breaker redis of app-2 opened for 60.5 s, before any fault")
    assert (
        text.index("Not explained by a fault") < died < opened < text.index("create recovery time")
    )
    assert text.index("FAIL") < died


def test_a_run_without_surprises_says_nothing_of_them(tmp_path):
    assert (
        "Not explained by a fault"
        not in page_of(make_run(tmp_path, surprises=[], **WORDS_ONLY)).text
    )
    assert "Not explained by a fault" not in page_of(make_run(tmp_path / "old", **WORDS_ONLY)).text


def test_what_contradicts_a_server_and_whose_clicks_are_missing_is_in_the_evidence(tmp_path):
    found = findings("x", "completed")
    found["breakers"]["contradictions"] = [
        {"server": "app-2", "breaker": "redis", "at_s": 70.0, "evidence": "67 answers",
         "what": "it sent answers from redis while it reported OPEN"},
    ]  # fmt: skip
    found["breakers"]["by_breaker"]["redis"]["missing_servers"] = ["app-3"]
    clicks = {
        "checked": True, "double_by_retries": 3,
        "explanations": ["app-2 died at 25.1 s with up to 62 clicks in memory"],
    }  # fmt: skip
    folder = make_run(tmp_path, breakers=found["breakers"], clicks=clicks, **WORDS_ONLY)
    text = page_of(folder).text.replace(GAP, " ")
    assert "it sent answers from redis while it reported OPEN (67 answers)" in text
    assert "app-3 did not report on breaker redis" in text
    assert "app-2 died at 25.1 s with up to 62 clicks in memory" in text
    assert "without 3 explained by load balancer retries" in text


def test_nothing_is_loaded_from_anywhere(whole_run):
    _, page = whole_run
    for tag, attrs in page.elements:
        assert "src" not in attrs, tag
        assert tag not in ("link", "iframe", "object", "img", "base"), tag
        if "href" in attrs:
            assert tag == "a"
            assert not re.match(r"[a-z]+:|//", attrs["href"])
    policies = [attrs.get("content", "") for tag, attrs in page.elements if tag == "meta"]
    assert any(policy.startswith("default-src 'none'") for policy in policies)


def test_a_report_is_one_file_below_3_mb(whole_run):
    folder, _ = whole_run
    assert (folder.path / "index.html").stat().st_size < 3_000_000


def test_rendering_twice_gives_the_same_bytes(whole_run):
    folder, _ = whole_run
    first = (folder.path / "index.html").read_bytes()
    assert rendered(folder).read_bytes() == first


def test_every_chart_has_its_place_in_the_page(whole_run):
    folder, page = whole_run
    places = {attrs.get("id") for _, attrs in page.elements}
    roots = chart_data_of((folder.path / "index.html").read_text())["roots"]
    assert len(roots) == 9
    assert set(roots.values()) <= places


def test_what_never_changed_is_said_in_words_instead_of_drawn(whole_run):
    folder, page = whole_run
    title = "Load balancers nothing changed during the run"
    unchecked = "not checked throughout: lb-1 · last_resort · any-1"
    assert f"{title} {unchecked} UP throughout: lb-1 · read" in page.text
    assert "DOWN throughout: lb-1 · read · app-4, lb-1 · write · app-4" in page.text
    assert "CLOSED throughout: app-1 · redis" in page.text
    roots = chart_data_of((folder.path / "index.html").read_text())["roots"].values()
    assert "chart-breakers" in roots
    assert "chart-lb" not in roots


def test_a_run_without_failures_says_so_instead_of_drawing_nothing(tmp_path):
    none = {op: [0.0] * 110 for op in ("redirect", "create")}
    series = {"t_s": [float(second) for second in range(110)], "failed_per_s": none}
    assert "Failed requests none in" in page_of(make_run(tmp_path, series=series)).text


def test_a_number_and_its_unit_stay_on_one_line(whole_run):
    folder, _ = whole_run
    text = (folder.path / "index.html").read_text().replace(GAP, "_")
    assert "stops writes for at most 30_s and loses" in text
    assert "21.4_s" in text
    assert "±_5_ms" in text


def test_a_long_claim_is_set_smaller(whole_run):
    _, page = whole_run
    assert ("h1", {"class": "long"}) in page.elements


def test_reasons_of_one_kind_are_told_once_and_the_rest_unfolds(tmp_path):
    folder = make_run(tmp_path, verdict="fail", **WORDS_ONLY)
    judged = result("x", "fail", "completed")
    judged["reasons"] = [
        {"code": code, "text": f"{code} in app-{n}"} for n in (1, 2, 3) for code in ("open", "slow")
    ]
    write(folder, findings("x", "completed") | WORDS_ONLY, judged)
    text = page_of(folder).text
    assert "open in app-1 open 2 more of this kind open in app-2 open in app-3" in text
    assert text.count("2 more of this kind") == 2


def _with_hostile_names(value):
    """Every text in `value`, and every key that the target chose, made hostile."""
    if isinstance(value, str):
        return value if value in ("canary", "main") else HOSTILE  # there is no other stream
    if isinstance(value, list):
        return [_with_hostile_names(item) for item in value]
    if isinstance(value, dict):
        return {_hostile_key(key): _with_hostile_names(item) for key, item in value.items()}
    return value


def _hostile_key(key):
    chosen = ("app-", "db-", "lb-", "redirect", "create", "redis", "baseline")
    return key + HOSTILE if key.startswith(chosen) else key


def test_names_of_the_target_cannot_become_markup(whole_run, tmp_path):
    folder = make_run(tmp_path)
    plain = [tag for tag, _ in whole_run[1].elements]
    found = _with_hostile_names(findings("x", "completed"))
    write(folder, found, _with_hostile_names(result("x", "pass", "completed")))
    page = page_of(folder)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == plain.count("script")
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert HOSTILE.split("&")[0] in page.text
    assert chart_data_of((folder.path / "index.html").read_text())["roots"]


def test_only_listed_facts_of_the_environment_are_shown(whole_run):
    text = whole_run[1].text
    assert "6.1" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "part",
    ["phases", "faults", "load", "operations", "recovery", "writes", "breakers", "rotation",
     "series", "target", "traffic_share", "notes", "end_s"],
)  # fmt: skip
def test_a_missing_part_is_left_out(tmp_path, part):
    folder = make_run(tmp_path)
    found = findings("x", "completed")
    found["series"] = {key: found["series"][key] for key in ("bucket_s", "t_s", "breakers")}
    del found[part]
    write(folder, found, result("x", "pass", "completed"))
    assert "PASS" in page_of(folder).text


def test_a_run_that_left_next_to_nothing_still_has_a_report(tmp_path):
    folder = make_run(tmp_path)
    write(
        folder, {"schema_version": 1}, {"verdict": "inconclusive", "status": "error", "reasons": []}
    )
    text = page_of(folder).text
    assert "INCONCLUSIVE" in text
    assert "The run ended before anything was recorded to draw." in text
    assert "were not read back" not in text


FOREIGN_ONLY = ("writes", "breakers", "traffic_share", "replica_share", "cache_share", "rotation")
OF_THE_SHORTENER = (
    "Acknowledged writes", "read back", "ircuit breaker", "Clicks", "cache", "database",
    "app server", "load balancer", "Load balancer", "rotation",
)  # fmt: skip


def foreign():
    """What analysis finds of a target with nothing of the shortener's."""
    found = findings("x", "completed")
    found |= {name: [] if name == "rotation" else {} for name in FOREIGN_ONLY}
    found["writes"] = {"acknowledged": 0, "failed": 0, "unknown": 0, "checked": False}
    found["clicks"] = {"acknowledged": 9, "unknown": 0, "why_not": clicks.NOT_READ}
    kept = ("bucket_s", "t_s", "offered_per_s", "achieved_per_s", "failed_per_s", "canary",
            "response_time_s")  # fmt: skip
    found["series"] = {name: found["series"][name] for name in kept}
    found["target"] = {"healthy": True}
    return found


def test_a_target_without_what_the_shortener_has_reads_nothing_of_it(tmp_path):
    folder = make_run(tmp_path)
    judged = result("x", "pass", "completed")
    judged["judgements"] = [j for j in judged["judgements"] if "create" in j["expectation_id"]]
    judged["title"] = "The shop survives"
    write(folder, foreign(), judged)
    text = page_of(folder).text
    assert [words for words in OF_THE_SHORTENER if words in text] == []
    for heading in ("Recovery", "Requests by phase", "The target after the run", "Canary"):
        assert heading in text


def test_the_bundled_stack_reads_all_of_it(tmp_path):
    found = findings("x", "completed")
    found["recovery"]["redirect"]["cold_share"] = 1.0
    text = page_of(make_run(tmp_path, **found)).text
    for heading in ("Acknowledged writes", "Circuit breakers", "Load balancer rotation"):
        assert heading in text
    assert "with keys that no cache holds" in text


def test_writes_that_nothing_reads_back_are_still_mentioned(tmp_path):
    found = foreign() | WORDS_ONLY
    found["writes"] = {"acknowledged": 3, "failed": 0, "unknown": 0, "checked": False}
    folder = make_run(tmp_path)
    write(folder, found, result("x", "pass", "completed"))
    assert "were not read back" in page_of(folder).text


@pytest.mark.parametrize("status", ["completed", "aborted", "interrupted", "error"])
def test_no_figure_is_good_news_where_the_run_did_not_finish(tmp_path, status):
    folder = make_run(tmp_path, verdict="fail", status=status, **WORDS_ONLY)
    page = page_of(folder)
    tones = [attrs.get("class") for tag, attrs in page.elements if tag == "div"]
    assert ("good" in tones) == (status == "completed")
    assert "redirect recovery never failed" in page.text


def test_the_recovery_of_a_fault_that_was_held_leads_with_the_time_after_healing(tmp_path):
    found = findings("x", "completed") | WORDS_ONLY
    create = found["recovery"]["create"]
    create |= {"after_healing_s": 1.43}
    create["degradation"] = {
        "metric": "p95", "limit_s": 0.2, "recovered": True, "recovery_time_s": 22.0,
        "after_healing_s": 2.0, "slow": 3, "stretches": [{"start_s": 30.0, "end_s": 52.0}],
    }  # fmt: skip
    create["by_fault"] = {
        "kill-1": {"recovery_time_s": 21.43, "after_healing_s": 1.43, "recovered": True},
        "crash-2": {"recovery_time_s": 3.0, "recovered": True},
    }
    folder = make_run(tmp_path)
    write(folder, found, {**result("x", "pass", "completed"), "recovery": found["recovery"]})
    text = page_of(folder).text.replace(GAP, " ")
    assert "create recovery after healing 1.43 s ± 5 ms 21.4 s after the fault, which" in text
    assert "create: 1.43 s ± 5 ms after healing 21.4 s after the fault, which the harness" in text
    assert "regained 2.00 s after healing, 22.0 s after the fault; 3 successes" in text
    assert "crash-2 3.00 s, kill-1 1.43 s after healing, 21.4 s after the fault." in text
    listed = Page(render_index(tmp_path).read_text(encoding="utf-8")).text.replace(GAP, " ")
    assert "create: 1.43 s ± 5 ms after healing" in listed


def test_examples_of_wrong_answers_are_text_and_cannot_become_markup(tmp_path):
    found = findings("x", "completed") | WORDS_ONLY
    of_fault = found["operations"]["create"]["fault"]
    of_fault |= {"errors": {"wrong_status": 348}, "statuses": {"500": 340, "503": 8}}
    of_fault["examples"] = [
        {"operation": "create", "error": "wrong_status", "stream": "canary", "at_s": 31.5,
         "status": 500, "expected": "status 201", "came": f"status 500, {HOSTILE}"},
    ]  # fmt: skip
    folder = make_run(tmp_path)
    write(folder, found, result("x", "fail", "completed"))
    page = page_of(folder)
    text = page.text.replace(GAP, " ")
    assert "348 wrong_status: 340 with 500, 8 with 503" in text
    assert "Examples of wrong answers" in text
    assert f"wrong_status 31.50 s canary status 201 status 500, {HOSTILE}" in text
    assert "img" not in [tag for tag, _ in page.elements]


def test_what_a_read_back_could_not_look_up_is_said(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    found["writes"] |= {"read_back": 77, "not_read": {"'<b>' is not a token": 5}}
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "77 acknowledged writes were looked up as readback of the target says" in text
    assert "Not looked up: 5, because '<b>' is not a token." in text
    assert "in the primary and in each replica" not in text


def test_writes_that_were_not_read_back_are_not_called_kept(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    found["writes"]["checked"] = False
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "of 8,123 acknowledged" not in text
    assert "were not read back" in text


def test_stale_reads_are_shown_with_examples(tmp_path):
    folder = make_run(tmp_path)
    reads = {"answered": 4321, "stale": 2, "stale_for_s": 0.25, "examples": ["<b>write 7"]}
    found = findings("x", "completed") | WORDS_ONLY | {"reads": reads}
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "4,321 reads asked for a write" in text
    assert "up to 250 ms after its acknowledgement" in text
    assert "Examples: <b>write 7" in text


def test_clicks_are_shown_with_their_examples_or_with_why_they_are_not(tmp_path):
    folder = make_run(tmp_path)
    clicks = {
        "acknowledged": 58158, "counted": 58044, "missing": 114, "dropped": 5, "lost": 109,
        "lost_beyond_memory": 0, "double": 0, "in_memory": 625, "unknown": 7, "checked": True,
        "why_not": "", "examples": {"lost": ["c047497: 1 acknowledged, 0 counted"], "double": []},
    }  # fmt: skip
    found = findings("x", "completed") | WORDS_ONLY | {"clicks": clicks}
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert all(shown in text for shown in ("58,158", "58,044", "109", "625"))
    assert "Examples of lost: c047497: 1 acknowledged, 0 counted" in text
    clicks |= {"checked": False, "why_not": "after the run clicks still waited for app-1"}
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "after the run clicks still waited for app-1" in text
    assert "58,158" not in text


def test_phases_stand_in_the_order_of_the_run(whole_run):
    _, page = whole_run
    starts = [attrs["data-start"] for tag, attrs in page.elements if tag == "button"]
    assert starts == ["0", "0.0", "10.0", "30.0", "90.0"]


def test_two_faults_have_a_row_and_a_recovery_each(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    second = {**found["faults"][0], "fault": "crash-2", "kind": "crash", "start_s": 92.0}
    found["faults"].append({**second, "healed_s": None, "healed": False})
    by_fault = {"kill-1": {"recovery_time_s": 21.43}, "crash-2": {"recovery_time_s": 0}}
    found["recovery"]["create"]["by_fault"] = by_fault
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "By fault: crash-2 no outage, kill-1 21.4 s" in text
    assert "not healed" in text


def test_partial_outages_scattered_failures_and_slow_successes_are_told(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    stretch = {"start_s": 30.0, "end_s": 53.9, "uncertainty_s": 0.006, "slow": 240, "failed": 348,
               "probes": 2390}  # fmt: skip
    found["recovery"]["create"] |= {
        "outages": [
            {"kind": "partial", "start_s": 30.0, "end_s": None, "uncertainty_s": 0.04,
             "failed": 348, "probes": 1044, "error_rate": 1 / 3}
        ],
        "scattered": {"failed": 7, "error_rate": 0.002, "first_s": 60.5, "last_s": 88.25},
        "degradation": {
            "metric": "p95", "limit_s": 0.2, "slow": 251, "stretches": [stretch],
            "recovered": True, "recovery_time_s": 23.9, "uncertainty_s": 0.006,
            "after_outage": {"slow": 240, "duration_s": 2.5},
        },
        "marks": [{"part": "promoted_s", "at_s": 49.9, "uncertainty_s": 0.002,
                   "evidence": "Patroni's history"}],
    }  # fmt: skip
    found["clocks"] = {
        "containers": {"app-1": {"offset_s": 0.0003, "uncertainty_s": 0.0007, "is_shared": True}},
        "wall": {"pairs": 110, "uncertainty_s": 0.00002},
    }
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "partial 30.00 s still failing ± 40 ms 348 33.3 %" in text
    assert "7 (0.2 % of the requests outside outages), between 60.50 s and 88.25 s" in text
    assert "p95 within 200 ms: regained 23.9 s ± 6 ms after the fault; 251 successes" in text
    assert "240 successes were still too slow, for 2.50 s" in text
    assert "promoted 49.90 s ± 2 ms Patroni's history" in text
    assert "clock is the host's, within the measurement: app-1 0.3 ms ± 0.7 ms." in text
    assert "accurate to 0.02 ms" in text


def test_failures_that_make_no_outage_are_not_called_a_recovery(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    found["recovery"]["create"] |= {
        "recovery_time_s": 0.0, "uncertainty_s": 0.0, "outages": [], "parts": {},
        "failed_requests": 2,
    }  # fmt: skip
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "create: no outage" in text
    assert "no outage 2 scattered failures" in text
    assert "did not tell the parts" not in text


def test_every_instance_of_a_breaker_has_every_figure(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    rows = found["breakers"]["by_breaker"]["redis"]["servers"]
    rows["app-2"] |= {
        "reopened": 1, "failures_to_reopen": 1, "probes_per_cooldown": 1,
        "shortest_cooldown_s": 60.004, "fast_fails": 11_191,
    }  # fmt: skip
    write(folder, found, result("x", "pass", "completed"))
    assert "app-2 1.20 s 5 1 1 1 60.0 s 2.20 s CLOSED 0 11,191 0.2 ms" in page_of(folder).text


def test_failures_without_a_fault_are_not_called_a_lost_recovery(tmp_path):
    folder = make_run(tmp_path)
    found = findings("x", "completed") | WORDS_ONLY
    found["recovery"]["create"] |= {"recovery_time_s": None, "recovered": None, "parts": {}}
    write(folder, found, result("x", "pass", "completed"))
    text = page_of(folder).text
    assert "failures, but no fault" in text
    assert "not recovered" not in text


def test_why_a_run_ended_early_stands_beside_the_verdict(tmp_path):
    folder = make_run(tmp_path, verdict="inconclusive", status="interrupted", **WORDS_ONLY)
    text = page_of(folder).text
    assert text.index("Ctrl-C in phase fault") < text.index("Timeline")


def test_the_command_to_run_it_again_holds_the_seed(whole_run):
    text = whole_run[1].text
    assert ".venv/bin/harness run db-primary-failover --seed 7" in text


def test_a_folder_that_was_not_judged_says_what_to_do(tmp_path):
    folder = make_run(tmp_path)
    (folder.path / "result.json").unlink()
    with pytest.raises(RunFolderError) as caught:
        render_folder(folder)
    assert caught.value.hint == f"harness judge {folder.path}"


def test_each_file_is_read_once(tmp_path, monkeypatch):
    """findings.json of an hour's run has megabytes of series."""
    folder, read, names = make_run(tmp_path), RunFolder.read_text, Counter()

    def note(self, name):
        names[name] += 1
        return read(self, name)

    monkeypatch.setattr(RunFolder, "read_text", note)
    render_folder(folder)
    assert names == dict.fromkeys(
        ("findings.json", "result.json", "plan.json", "environment.json"), 1
    )


def test_the_index_lists_all_runs_newest_first(tmp_path):
    for verdict in ("pass", "fail"):
        rendered(make_run(tmp_path, verdict=verdict, **WORDS_ONLY))
    unjudged = make_run(tmp_path, verdict="inconclusive")
    (unjudged.path / "result.json").unlink()
    text = render_index(tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert links == [
        "20260102-030405-pass-completed/index.html",
        "20260102-030405-fail-completed/index.html",
    ]
    assert "NOT JUDGED" in page.text
    assert "create: 21.4 s ± 5 ms" in page.text
    assert render_index(tmp_path).read_text(encoding="utf-8") == text


def test_an_index_without_runs_says_how_to_make_one(tmp_path):
    assert "No runs yet" in Page(render_index(tmp_path).read_text(encoding="utf-8")).text


def test_who_had_the_processor_is_drawn_and_disturbances_are_shaded(tmp_path):
    folder = make_run(tmp_path, machine=machine())
    text = rendered(folder).read_text(encoding="utf-8")
    drawn = json.dumps(chart_data_of(text))
    assert '"disturbed: clang 30%, bld/b 3%"' in drawn
    keys = re.findall(r"</svg>(\w+)</li>", text[text.index("CPU time by program") :])
    assert keys[:5] == ["project", "harness", "engine", "kernel", "others"]
    assert '"hatch_color": "#d98200"' in drawn or "#d98200" in drawn
    page = Page(text.replace(bokeh_script(), ""))
    assert ("div", "chart-machine") in [(t, a.get("id")) for t, a in page.elements]
    assert "CPU time by program" in page.text
    assert "hatching marks when other programs used the CPU" in page.text


def test_what_the_machine_says_against_the_run_stands_with_the_verdict(tmp_path):
    text = page_of(make_run(tmp_path, machine=machine(), **WORDS_ONLY)).text.replace(GAP, " ")
    said = text.index("before any fault, this load left 29% of the CPU time idle")
    more = text.index(
        "other programs used 33% of the CPU time from 40 s to 60 s (clang 30%, <b>ld</b> 3%)"
    )
    assert said < more < text.index("Timeline")


def test_a_run_without_a_record_of_its_machine_is_rendered_as_before(tmp_path):
    page = page_of(make_run(tmp_path, machine=None, **WORDS_ONLY))
    assert "processor" not in page.text
    assert ("div", "chart-machine") not in [(t, a.get("id")) for t, a in page.elements]


def test_a_description_stands_below_the_title(tmp_path):
    folder = make_run(tmp_path, **WORDS_ONLY)
    judged = {**result(folder.run_id, "pass", "completed"), "description": "Also <this>."}
    folder.write_json("result.json", judged)
    text = page_of(folder).text
    assert text.index(judged["title"]) < text.index("Also <this>.") < text.index("Timeline")


def test_a_scale_is_said_above_the_title(tmp_path):
    assert (
        "all rates \N{MULTIPLICATION SIGN} 0.5"
        in page_of(make_run(tmp_path, scale=0.5, **WORDS_ONLY)).text
    )


REMEDIES = [
    {
        "remedy": "runbook-1", "kind": "runbook", "target": "backup", "when": "after wipe-1 + 10s",
        "command": ["restore", "--to", "<now>"], "state": "done", "asked_s": 40.0, "start_s": 40.2,
        "done_s": 52.7, "detail": "the command exited with 0", "output": ["a <b>", "c"],
    },
    {
        "remedy": "start-2", "kind": "start", "target": "db-1", "when": "after runbook-1",
        "state": "skipped", "detail": "runbook-1 failed",
    },
]  # fmt: skip


def test_remedies_are_in_a_table_beside_the_faults(tmp_path):
    text = page_of(make_run(tmp_path, remedies=REMEDIES, **WORDS_ONLY)).text.replace(GAP, " ")
    table = text[text.index("What the operator did") :]
    for words in (
        "runbook backup after wipe-1 + 10s 40.00 s 40.20 s 52.70 s 12.5 s",
        "restore --to <now>", "the last 2 lines that it printed", "a <b>",
        "start db-1 after runbook-1", "✗ skipped", "runbook-1 failed",
    ):  # fmt: skip
        assert words in table
    assert "What the operator did" not in page_of(make_run(tmp_path / "old", **WORDS_ONLY)).text


def test_remedies_have_rows_on_the_time_axis():
    faults = [FaultFound(kind="kill", target="db", start_s=30.0, healed_s=60.0, proven=True)]
    remedies = [
        RemedyFound(remedy="start-1", kind="start", target="db", start_s=40.0, done_s=41.0),
        RemedyFound(
            remedy="start-2", kind="start", target="app-4", start_s=50, for_s=9, undone_s=59.0
        ),
        RemedyFound(remedy="start-3", kind="start", target="never"),
    ]
    strip = make_charts(Run(end_s=90.0, faults=faults, remedies=remedies))[0].figure
    bars = strip.renderers[0].data_source.data
    rows = list(zip(bars["text"], bars["left"], bars["right"], bars["y"], strict=True))
    assert rows == [
        ("kill db", 30.0, 60.0, 1), ("start db", 40.0, 41.0, 2), ("start app-4", 50, 59.0, 3),
    ]  # fmt: skip
    assert len(set(bars["color"])) == 2
