"""The pages as HTML: one file each, with its style and its script inside.

Templates escape everything that they are given. A page says in its policy which style and which
script may take effect, by their hashes, so that nothing that came in with a record ever does.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cardinality.experiment.run import net_of
from cardinality.report.pages import wording
from cardinality.report.pages.content import tally
from cardinality.report.pages.figures import (
    Drawing,
    draw,
    draw_interval,
    reach_of,
    sample_of,
)
from cardinality.report.pages.runs import anchor_of
from cardinality.report.pages.shapes import (
    ClaimLine,
    Forest,
    Numbers,
    Overview,
    Page,
    Plot,
    Progress,
)

SIGNS = {"supported": "✓", "contradicted": "✕", "undecided": "?", "not run": "–"}


def protocol_page(page: Page) -> str:
    """A protocol's page."""
    return _render("protocol.html.j2", reaches=_reaches(page.claims), page=page, live=False)


def live_page(page: Page, progress: Progress, records: str) -> str:
    """The same with the progress of a running grid, which it may fetch from where it came."""
    return _render(
        "protocol.html.j2", reaches=_reaches(page.claims), page=page, live=True,
        progress=progress, live_records=records,
    )  # fmt: skip


def progress_part(progress: Progress, records: str) -> str:
    """The part of a live page that is brought up to date."""
    template = _environment().get_template("progress.html.j2")
    return template.render(progress=progress, live_records=records)


def index_page(over: Overview) -> str:
    """The first page."""
    return _render("index.html.j2", over=over)


def comparison_page(over: Overview) -> str:
    """Every scale beside the paper."""
    return _render("comparison.html.j2", over=over)


def _render(template: str, live: bool = False, reaches: object = None, **given: object) -> str:
    environment = _environment()
    style, script = _inlined("style.css"), _inlined("script.js")
    made = environment.get_template(template).render(
        style=Markup(style), script=Markup(script), policy=policy(live), live=live,  # noqa: S704 -- our own files
        reaches=reaches, **given,
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in made.splitlines() if line.strip()) + "\n"


def policy(live: bool) -> str:
    """What a page may do: its own style and script, and if it is live, ask its own server."""
    parts = [
        "default-src 'none'",
        f"style-src '{_hash(_inlined('style.css'))}'",
        f"script-src '{_hash(_inlined('script.js'))}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*parts, "connect-src 'self'"] if live else parts)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@lru_cache(maxsize=2)
def _inlined(name: str) -> str:
    """The text of our style or script, as it stands in a page."""
    loader = PackageLoader("cardinality.report.pages")
    text = loader.get_source(Environment(autoescape=True), name)[0]
    lines = (line.strip() for line in text.splitlines())
    kept = (line for line in lines if line and not line.startswith("//"))
    return "\n".join(kept)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cardinality.report.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    names = (
        "number", "signed", "spread", "interval", "measured", "counted", "millions", "plural",
        "probability", "settled", "state", "left_out", "cell", "memory", "energy", "seeds",
        "seconds", "moment",
    )  # fmt: skip
    environment.filters |= {name: getattr(wording, name) for name in names}
    environment.filters |= {
        "anchor": lambda line: anchor_of(net_of(line.entry.architecture)),
        "absences": lambda absent: sum(max(1, len(each.seeds)) for each in absent),
        "draw": draw,
        "mini": _mini,
        "sample": sample_of,
        "sign": SIGNS.__getitem__,
        "net_of": _net_of,
        "stem": lambda file: PurePosixPath(file).stem,
        "tally": tally,
        "texts": _texts,
        "places": lambda pages: [(page.protocol, place) for place, page in enumerate(pages)],
    }
    return environment


def _net_of(panel: Plot | Forest) -> str:
    """The one net that a whole panel is of, if it is of one."""
    if isinstance(panel, Plot) or panel.keyed:
        return ""
    nets = {bar.key for bar in panel.bars}
    return nets.pop() if len(nets) == 1 else ""


def _texts(numbers: Numbers, column: int) -> bool:
    """Whether a column is of words, which are set flush left."""
    return any(isinstance(line[column], str) for line in numbers.lines)


def _reaches(claims: Sequence[ClaimLine]) -> dict[str, float]:
    """How far the small intervals go, the same for all of a unit, so that they compare."""
    units = {claim.unit for claim in claims}
    return {
        unit: reach_of([(claim.effect, claim.paper) for claim in claims if claim.unit == unit])
        for unit in units
    }


def _mini(claim: ClaimLine, reaches: dict[str, float]) -> Drawing:
    return draw_interval(claim.effect, claim.paper, reaches[claim.unit])
