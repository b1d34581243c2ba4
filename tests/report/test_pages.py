"""The pages: from the same records the same bytes, one content in two forms, and text as text."""

import base64
import csv
import errno
import hashlib
import http.client
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.execution.holds import Hold, Holds
from cardinality.experiment.grid import make_plan
from cardinality.experiment.places import PROTOCOLS, command
from cardinality.report.judged import judge_protocol
from cardinality.report.lines import Interval
from cardinality.report.pages.content import overview_of, page_of
from cardinality.report.pages.figures import ticks
from cardinality.report.pages.gathered import gather
from cardinality.report.pages.serve import make_server
from cardinality.report.pages.shapes import ClaimLine
from cardinality.report.pages.wording import interval, seeds, state
from cardinality.report.pages.write import write_report
from cardinality.results.epochs import Epoch, write_epochs
from cardinality.results.folder import Results
from cardinality.results.records import Record
from tests.made_pages import MACHINE, NASTY, plan_of, put, write_protocol
from tests.places import ROOT

LARGEST = 1_500_000


@pytest.fixture
def protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A protocol among the workspace's own."""
    folder = tmp_path / PROTOCOLS
    folder.mkdir(parents=True)
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    return write_protocol(folder)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def bytes_of(folder: Path) -> dict[Path, bytes]:
    kinds = (".html", ".md", ".csv")
    made = (path for path in folder.rglob("*") if path.suffix in kinds and "runs" not in path.parts)
    return {path: path.read_bytes() for path in made}


class Tags(HTMLParser):
    """Which elements a page really has, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_same_records_give_the_same_bytes_and_nothing_is_written_twice(
    protocol: Path, results: Path
) -> None:
    put(plan_of("table3", protocol), Results(results / "made"), keep=lambda n: n < 20)
    first, changed = write_report(results)
    assert first == results / "index.html"
    before = bytes_of(results)
    assert set(changed) == set(before)
    times = {path: path.stat().st_mtime_ns for path in before}
    assert write_report(results)[1] == []
    assert {path: path.stat().st_mtime_ns for path in before} == times
    for path in before:
        path.unlink()
    write_report(results)
    assert bytes_of(results) == before


def test_a_page_is_one_file_that_asks_for_nothing(protocol: Path, results: Path) -> None:
    put(plan_of("table3", protocol), Results(results / "made"))
    write_report(results)
    for path in (results / "index.html", results / "comparison.html", results / "made/index.html"):
        text = path.read_text()
        assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]  # a name
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
        assert policy is not None
        for kind in ("style", "script"):
            inside = re.findall(rf"^<{kind}>(.*?)</{kind}>", text, re.DOTALL | re.MULTILINE)
            assert len(inside) == 1
            digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
            assert f"{kind}-src &#39;sha256-{digest}&#39;" in policy[1]
        tags = Tags(text).tags
        assert not any(
            "style" in given or any(k.startswith("on") for k in given) for _, given in tags
        )
        assert [given.get("href") for tag, given in tags if tag == "link"] == ["data:,"]
        ids = [given["id"] for _, given in tags if "id" in given]
        assert len(ids) == len(set(ids))


def test_links_and_anchors_resolve(protocol: Path, results: Path) -> None:
    put(plan_of("table3", protocol), Results(results / "made"), keep=lambda n: n < 20)
    write_report(results)
    for path in results.glob("**/*.html"):
        tags = Tags(path.read_text()).tags
        ids = {given["id"] for _, given in tags if "id" in given}
        for tag, given in tags:
            href = given.get("href") or ""
            if tag == "a" and href:
                file, _, anchor = href.partition("#")
                assert not file or (path.parent / file).is_file(), href
                assert file or anchor in ids, href


def test_what_strangers_write_is_text(tmp_path: Path, protocol: Path, results: Path) -> None:
    write_protocol(protocol.parent, nasty=True)
    put(
        plan_of("table3", protocol),
        Results(results / "made"),
        failure=lambda n: NASTY if n == 3 else None,
    )
    write_report(results)
    plain_tags = {"script": 1, "img": 0, "b": 0}
    for path in results.glob("**/*.html"):
        text = path.read_text()
        tags = [tag for tag, _ in Tags(text).tags]
        assert {tag: tags.count(tag) for tag in plain_tags} == plain_tags, path
    page = (results / "made/index.html").read_text()
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "&lt;b&gt;zero&lt;/b&gt;" in page
    for path in results.glob("**/*.md"):
        text = path.read_text()
        assert "<script" not in text
        assert "<img" not in text
        assert "<b>" not in text
        assert re.search(r"(?<!\\)\]\(javascript", text) is None
        tables = [line for line in text.splitlines() if line.startswith("|")]
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
        rules = [n for n, line in enumerate(tables) if re.fullmatch(r"[|: -]+", line)]
        for rule in rules:  # each line of a table has as many cells as its rule
            assert cells[rule - 1] == cells[rule] == cells[rule + 1]


def test_both_forms_say_the_same(protocol: Path, results: Path) -> None:
    put(plan_of("table3", protocol), Results(results / "made"), keep=lambda n: n < 25)
    write_report(results)
    html, markdown = ((results / "made" / name).read_text() for name in ("index.html", "report.md"))
    page = page_of(gather("made", results))
    assert page.done == 25
    for claim in page.claims:
        if claim.effect.mean is not None:
            assert interval(claim.effect, 2) in html
            assert interval(claim.effect, 2) in markdown
    for line in page.tables[0].lines:
        assert line.top1.mean is not None
        assert f"{line.top1.mean:.1f} ±" in html
        assert f"{line.top1.mean:.1f} ±" in markdown
    with (results / "made/numbers/table3.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    means = [line.top1.mean for line in page.tables[0].lines]
    assert [float(row["top1_error"]) for row in rows] == pytest.approx(means, rel=1e-5)


def test_numbers_are_those_of_the_records(protocol: Path, results: Path) -> None:
    plan, folder = plan_of("table3", protocol), Results(results / "made")
    put(plan, folder)
    table = page_of(gather("made", results)).tables[0]
    for line, entry in zip(table.lines, plan.entries, strict=True):
        errors = {}
        for run in entry.runs:
            record = folder.read(run.name)
            assert record is not None
            assert record.final is not None
            errors[run.seed] = record.final.top1_error
        assert dict(line.seeds) == errors
        assert line.top1.mean == pytest.approx(sum(errors.values()) / 3)
    assert {figure.name for figure in table.figures} == {
        *("differences", "cardinality", "curves", "costs", "classes")
    }
    classes = next(figure for figure in table.figures if figure.name == "classes")
    shown = [line for line in classes.numbers.lines if line[:2] == (11, "32x4d")]
    sizes = [int(str(line[3])) for line in shown]
    whole = sum(size * float(str(line[4])) for size, line in zip(sizes, shown, strict=True))
    ours = next(line for line in table.lines if (line.depth, line.setting) == (11, "32x4d"))
    assert ours.top1.difference is not None
    assert whole / sum(sizes) == pytest.approx(ours.top1.difference.mean)


def test_a_hundred_runs_fit(protocol: Path, results: Path) -> None:
    write_protocol(protocol.parent, seeds=10, epochs=100)
    put(plan_of("table3", protocol), Results(results / "made"))
    write_report(results)
    assert page_of(gather("made", results)).done == 100
    assert (results / "made/index.html").stat().st_size < LARGEST


def test_missing_and_failed_runs_are_listed_with_their_reason(
    protocol: Path, results: Path
) -> None:
    put(
        plan_of("table3", protocol),
        Results(results / "made"),
        failure=lambda n: "OSError: no space left" if n == 0 else None,
        keep=lambda n: n < 20,
    )
    absent = page_of(gather("made", results)).absent
    assert (absent[0].status, absent[0].reason) == ("failed", "OSError: no space left")
    assert absent[0].command.endswith("--seed 0 --retry-failed")
    (failed,) = [r for g in page_of(gather("made", results)).groups for r in g.runs if r.failure]
    assert failed.command == absent[0].command
    ours = [each for each in absent if each.command.startswith("cardinality run table3 ")]
    assert sum(len(each.seeds) for each in ours) == 11
    assert all(each.reason == "not computed yet" for each in ours[1:])


def test_an_unsound_record_is_listed_without_where_it_lies(protocol: Path, results: Path) -> None:
    plan, folder = plan_of("table3", protocol), Results(results / "made")
    put(plan, folder)
    (folder.folder / "runs" / plan.runs()[0].name / "epochs.csv").write_text("epoch\n1\n")
    absent = page_of(gather("made", results)).absent
    assert absent[0].status == "unsound"
    # Nothing else of the table is absent, and it is not told a second time, as missing.
    assert not [each for each in absent if each.command.startswith("cardinality run table3 ")]
    assert str(results) not in absent[0].reason
    assert "epochs.csv" in absent[0].reason


def test_where_nothing_has_run_the_page_says_what_to_type(protocol: Path, results: Path) -> None:
    first, changed = write_report(results, "made")
    assert first == results / "made/index.html"
    assert first in changed
    assert "make table3 PROTOCOL=made" in first.read_text()
    assert "make table3" in (results / "index.html").read_text()
    assert "make table3 PROTOCOL=made" in (results / "made/report.md").read_text()
    assert not overview_of(results).pages


def test_make_is_said_where_there_is_its_makefile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("table3", "my scale.yaml").endswith("run table3 --protocol 'my scale.yaml'")
    monkeypatch.chdir(ROOT)
    assert command("table3", "quick") == "make table3 PROTOCOL=quick"
    assert command("elsewhere/own.yaml", "quick").startswith("cardinality run elsewhere/own.yaml ")
    asked = ["make", "--dry-run", "table3", "resnet-table6", "PROTOCOL=quick"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert told.count("cardinality run ") == 2


def test_make_is_not_said_of_a_table_that_is_called_as_a_task_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ablations").mkdir()
    for name in ("clean", "test-slurm", "mine"):
        (tmp_path / "ablations" / f"{name}.yaml").touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    monkeypatch.setattr(workspace, "shipped", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    assert command("mine", "quick") == "make mine PROTOCOL=quick"
    for name in ("clean", "test-slurm"):
        assert command(name, "quick") == f"cardinality run {name} --protocol quick"


def test_each_verdict_stands_under_its_scale(
    protocol: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two scales that ask for other claims."""
    put(plan_of("table3", protocol), Results(results / "made"))
    few = protocol.with_name("few.yaml")
    few.write_text("based_on: quick\ntitle: Few\nseeds: 3\ntraining: {epochs: 2}\n")
    put(plan_of("table3", few), Results(results / "few"))
    write_report(results)
    over = overview_of(results)
    assert [page.protocol for page in over.pages] == ["few", "made"]
    asked = {page.protocol: {claim.name for claim in page.claims} for page in over.pages}
    assert asked["few"] < asked["made"]
    rows = [
        line.split("|")[-3:-1]
        for line in (results / "comparison.md").read_text().splitlines()
        if line.count("|") == 5
    ][2:]
    assert [row[0].strip() for row in rows].count("–") == len(asked["made"] - asked["few"])
    for name in ("index.html", "comparison.html"):
        matrix = (
            (results / name).read_text().partition('class="matrix"')[2].partition("</table>")[0]
        )
        for row in matrix.partition("<tbody>")[2].split("</tr>")[:-1]:
            assert row.count("<td") == 3
            assert "made/index.html" not in row.split("<td")[2]


def test_a_protocol_that_is_not_there_is_one_line(protocol: Path, results: Path) -> None:
    with pytest.raises(UserError, match="no such protocol"):
        write_report(results, "mad")


def claim(decision: str, settled: str, unfinished: int) -> ClaimLine:
    effect = Interval(-1.0, -2.0, -0.5, 3)
    return ClaimLine(
        "a", "A.", "Table 3", "table3", "primary", "trend", decision, settled, unfinished, False,
        effect, "points", None, 0.01, 0.9, 4, "", (), (),
    )  # fmt: skip


def test_interim_and_final_differ_in_words() -> None:
    assert state(claim("supported", "final", 0)) == "final"
    assert state(claim("supported", "interim", 2)) == "interim, 2 runs to go"


def test_seeds_and_intervals_in_words() -> None:
    assert seeds((0, 1, 2, 3)) == "0 to 3"
    assert seeds((1, 3)) == "1, 3"
    assert interval(Interval(-0.04, -0.26, 0.3, 5)) == "0.0 [−0.3, +0.3]"
    assert interval(Interval(1.25, None, None, 1), 2) == "+1.25"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-0.4, 0.3, [-0.4, -0.2, 0, 0.2]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


# --- serving ---------------------------------------------------------------------------------


@pytest.fixture
def served(protocol: Path, results: Path) -> Iterator[tuple[str, int]]:
    """A server on the made results, with a run that is going on."""
    plan, folder = plan_of("table3", protocol), Results(results / "made")
    put(plan, folder, keep=lambda n: n < 20)
    epochs = [Epoch(n, 0.1, 1, 50 / n, 1, 40 / n, 9, 1500, 2.0, 0.1) for n in (1, 2, 3)]
    going, stopped, begun = (run.name for run in plan.runs()[-3:])
    write_epochs(folder.progress(going), epochs)
    folder.checkpoint(stopped).write_bytes(b"")
    holds = [Holds(folder).take(name) for name in (going, begun)]
    assert all(isinstance(hold, Hold) for hold in holds)
    with make_server(results, None, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield "127.0.0.1", int(server.server_address[1])
        server.shutdown()
        thread.join()


def ask(
    served: tuple[str, int], path: str, method: str = "GET", host: str | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*served, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{served[1]}")
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_a_running_grid_is_served(served: tuple[str, int], results: Path) -> None:
    status, page = ask(served, "/")
    assert status == 200
    assert 'href="made/index.html"' in page
    status, page = ask(served, "/made/index.html")
    assert status == 200
    assert "epoch 3 of 7" in page
    assert "epoch 0 of 7" in page  # a run is seen from its first epoch on
    assert "2 runs under way; 1 run stopped" in page
    assert "13.33 % so far" in page
    status, part = ask(served, "/made/progress")
    assert status == 200
    assert "table3: 20 of 30 runs are there" in part
    assert "<html" not in part
    assert "epoch 3 of 7" in ask(served, "/made/")[1]
    assert ask(served, "/made/numbers/table3.csv")[0] == 200
    assert ask(served, "/comparison.html")[0] == 200


def test_nothing_but_get_and_nothing_outside(served: tuple[str, int], results: Path) -> None:
    outside = results.parent / "secret.md"
    outside.write_text("secret")
    (results / "made" / "link.md").symlink_to(outside)
    (results / "away").symlink_to(results.parent, target_is_directory=True)
    (results / ".hidden.md").write_text("secret")
    (results / "made" / "checkpoints" / "x.pt").write_text("secret")
    for path in (
        "/../secret.md", "/%2e%2e/secret.md", "/made/..%2f..%2fsecret.md", "//secret.md",
        "/made/link.md", "/away/secret.md", "/.hidden.md", "/made/checkpoints/x.pt", "/made/runs/",
        "/nope/progress", "/../results/progress", "/made/%00.md", f"/{outside}",
    ):  # fmt: skip
        status, text = ask(served, path)
        assert status == 404, path
        assert "secret" not in text, path
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
        assert ask(served, "/", method)[0] == 405, method
    assert ask(served, "http://[")[0] == 400
    for host in ("example.org", "127.0.0.1.example.org:80", "[::1", "localhost@a", "localhost:a"):
        assert ask(served, "/", host=host)[0] == 421, host
    for host in ("localhost", "127.0.0.1", "LOCALHOST:8765"):  # at HTTP's own port without one
        assert ask(served, "/", host=host)[0] == 200, host


def test_a_page_that_cannot_be_written_is_told(
    served: tuple[str, int], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(results / "index.html"))

    monkeypatch.setattr("cardinality.report.pages.serve.put", full)
    status, told = ask(served, "/")
    assert status == 500
    assert told.startswith(f"{results}/index.html: the disk is full; allowed: make room there")


def test_who_may_only_read_the_results_is_served_too(
    served: tuple[str, int], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("cardinality.report.pages.serve.put", refused)
    status, page = ask(served, "/")
    assert status == 200
    assert 'href="made/index.html"' in page
    assert ask(served, "/made/numbers/table3.csv")[0] == 200
    assert ask(served, "/made/nothing.csv")[0] == 404
    assert not (results / "index.html").exists()


def test_a_port_that_is_taken_is_one_line(served: tuple[str, int], results: Path) -> None:
    with pytest.raises(UserError, match=rf"--port {served[1]}: is taken; allowed: another"):
        make_server(results, None, served[1])


def test_watching_reads_records_again_only_when_one_has_changed(
    served: tuple[str, int], protocol: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(make_plan("table3", "quick", MACHINE), Results(results / "quick"))
    _, before = ask(served, "/made/progress")
    put(plan_of("table3", protocol), Results(results / "made"), keep=lambda n: n == 20)
    read = Counter[str]()
    read_all = Results.read_all

    def counted(results: Results) -> tuple[list[Record], dict[str, str]]:
        read[results.folder.name] += 1
        return read_all(results)

    monkeypatch.setattr(Results, "read_all", counted)
    _, after = ask(served, "/made/progress")
    ask(served, "/made/progress")
    assert "20 of 30 runs" in before
    assert "21 of 30 runs" in after
    assert read == {"made": 1}


def test_page_and_ledger_judge_the_same_runs(protocol: Path, results: Path) -> None:
    """One table in one precision and another in another: neither mixes them, and both say so."""
    folder = Results(results / "made")
    put(plan_of("table3", protocol), folder)
    residual = plan_of("residual", protocol)
    other = replace(residual.runs()[0].numerics, precision="bfloat16")
    put(residual.with_numerics(other), folder)
    gathered, judged = gather("made", results), judge_protocol("made", folder)
    assert gathered.judged.verdicts == judged.verdicts
    page = page_of(gathered)
    assert page.unjudged == judged.found.others == len(residual.runs())
    told = f"In no verdict, because .* are others than those of most: {page.unjudged} runs"
    write_report(results)
    for name in ("index.html", "report.md"):
        assert re.search(told, (results / "made" / name).read_text())


def test_a_table_whose_rows_name_what_they_are_compared_with(protocol: Path, results: Path) -> None:
    (protocol.parents[1] / "wide.yaml").write_text(
        "title: Wide\nquestion: Wider?\nreference: 32x4d\ntolerance: null\ndepths: [base]\nrows:\n"
        "  - {setting: 32x4d, label: narrow}\n  - {setting: 32x8d, against: narrow}\n"
    )
    protocol.write_text(protocol.read_text() + "ablations: [table3, wide]\n")
    put(plan_of("wide", protocol), Results(results / "made"))
    table = next(each for each in page_of(gather("made", results)).tables if each.name == "wide")
    assert [line.against for line in table.lines] == ["", "narrow"]
    assert "Δ is to the row that is named before it" in table.notes[0]
    differences, classes = (
        next(figure for figure in table.figures if figure.name == name)
        for name in ("differences", "classes")
    )
    assert [line[2] for line in differences.numbers.lines] == ["to narrow"]
    assert classes.panels[0].title == "32x8d, 11 layers, to narrow"
    write_report(results)
    assert '<td class="name">narrow</td>' in (results / "made/index.html").read_text()
    assert "| narrow |" in (results / "made/report.md").read_text()


def test_a_run_that_diverged_has_ended(protocol: Path, results: Path) -> None:
    made = Results(results / "made")
    put(plan_of("table3", protocol), made, lambda n: "loss nan" if n == 0 else None, diverged=True)
    page = page_of(gather("made", results))
    table = next(each for each in page.tables if each.name == "table3")
    assert table.whole
    assert table.state == "Complete: 30 runs; of 1 the loss diverged"
    assert page.done == 30
    assert [(line.n, line.failed, line.diverged) for line in table.lines].count((2, 0, 1)) == 1
    # It would diverge again, so that only another place computes it again.
    told = next(each.command for each in page.absent if each.status == "diverged")
    (run,) = [run for group in page.groups for run in group.runs if run.status == "diverged"]
    assert run.command == told
    assert told.endswith("--seed 0 --device cpu --results again")


def test_each_printed_command_computes_its_row_alone(protocol: Path, results: Path) -> None:
    for table in page_of(gather("made", results)).absent:
        words = table.command.split()
        plan = plan_of(words[2], protocol)
        only, depth = words[words.index("--only") + 1], words[words.index("--depth") + 1]
        assert len({run.net for run in plan.select(only, depth)}) == 1


def test_a_label_that_reads_like_another_rows_setting_is_that_row(
    protocol: Path, results: Path
) -> None:
    (protocol.parents[1] / "odd.yaml").write_text(
        "title: Odd\nquestion: Which?\nreference: 1x64d\ndepths: [base]\nrows:\n"
        "  - {setting: 1x64d, label: 2x40d}\n  - {setting: 2x40d}\n"
    )
    protocol.write_text(protocol.read_text() + "ablations: [odd]\n")
    for absent in page_of(gather("made", results)).absent:
        words = absent.command.split()
        only = words[words.index("--only") + 1]
        (net,) = {run.net for run in plan_of("odd", protocol).select(only)}
        assert absent.what.startswith(net.partition("-")[0])


def test_a_strangers_label_ends_no_quote_of_a_printed_command(
    protocol: Path, results: Path
) -> None:
    label = '"a`; touch PWNED; echo `b"'
    (protocol.parents[1] / "dup.yaml").write_text(
        "title: T\nquestion: Q?\nreference: 1x64d\ndepths: [base]\nrows:\n  - {setting: 1x64d}\n"
        f"  - {{setting: 1x64d, label: '{label}', squeeze: true}}\n"
    )
    protocol.write_text(protocol.read_text() + "ablations: [dup]\n")
    write_report(results, "made")
    report = (results / "made/report.md").read_text()
    assert "--only 1x64d-depth11-squeeze --depth base" in report
    assert "touch PWNED" not in re.sub(r"^\|.*", "", report, flags=re.MULTILINE)


def test_a_wrong_file_of_the_asked_scale_is_said_once_and_stops_no_page(
    protocol: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(plan_of("table3", protocol), Results(results / "made"))
    put(plan_of("table3", protocol), Results(results / "quick"))
    protocol.write_text(protocol.read_text() + "seeds: none\n")
    with pytest.raises(UserError, match=r"made\.yaml: .*seeds"):
        write_report(results, "made")
    assert capsys.readouterr().err == ""
    assert "Without a page" in (results / "index.html").read_text()
    assert "made/index.html" not in (results / "index.html").read_text()
    write_report(results)
    assert capsys.readouterr().err.startswith("note: made has no page: ")


def test_seeds_beyond_the_stated_ones_are_called_so(protocol: Path, results: Path) -> None:
    put(plan_of("table3", protocol), Results(results / "made"))
    more = make_plan("table3", str(protocol), MACHINE, first_seed=10)
    put(more, Results(results / "made"))
    assert page_of(gather("made", results)).left_out == (
        f"{len(more.runs())} records of seeds beyond those that the protocol states",
    )


def test_what_has_not_begun_shares_its_runs_with_what_has(protocol: Path, results: Path) -> None:
    """Table 4's 1x64d is Table 3's, in whatever precision that was computed."""
    plan = plan_of("table3", protocol)
    plan = plan.with_numerics(replace(plan.runs()[0].numerics, device="cuda", threads=8))
    put(plan, Results(results / "made"))
    page = page_of(gather("made", results))
    table4 = next(table for table in page.tables if table.name == "table4")
    assert sum(line.n for line in table4.lines) == 2 * 3


def test_a_scale_at_which_nothing_trains_has_a_page(protocol: Path, results: Path) -> None:
    protocol.write_text(protocol.read_text() + "ablations: [table2]\n")
    first, _ = write_report(results, "made")
    assert "Table 2" in first.read_text()
    assert "make table2 PROTOCOL=made" in first.read_text()
    # Also where there are records, of what it trained once.
    put(make_plan("table3", "cifar10-small", MACHINE, 1), Results(results / "made"))
    write_report(results, "made")
    for name in ("index.html", "report.md"):
        assert "Nothing is trained at this scale." in (results / "made" / name).read_text()
