"""The pages by HTTP, on this machine alone, to look at a grid while it is running.

It only answers GET, only from the results folder, and only with kinds of file that a report links
to; a link that leads out of the folder is not followed. Pages are made when they are asked for,
and lie in the folder too, where it may be written.
"""

import errno
import re
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from cardinality.analysis.planning import Runs
from cardinality.common.errors import UserError, of_system
from cardinality.common.text import line
from cardinality.common.workspace import names
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.report.judged import folders_of, lent
from cardinality.report.pages.content import page_of
from cardinality.report.pages.gathered import Gathered, gather
from cardinality.report.pages.html import live_page, policy, progress_part
from cardinality.report.pages.progress import progress_of
from cardinality.report.pages.write import pages_of, put

HOST = "127.0.0.1"
# What a Host header says of it; there is no port where that is HTTP's own.
OURS = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", re.IGNORECASE)
# What a report links to. Checkpoints and weights are nobody's business.
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
}
TEXT = "text/plain; charset=utf-8"
# A status, the kind of what is sent, and that.
Answer = tuple[HTTPStatus, str, bytes]


class Site:
    """What is served: the results folder, and pages of it that are as new as its records.

    Args:
        results: the folder of all results.
        protocol: one that is a file and not among the known ones, or nothing.
    """

    def __init__(self, results: Path, protocol: str | None) -> None:
        self.root = results.resolve()
        self.given = {} if protocol is None else {find(protocol, PROTOCOLS).stem: protocol}
        self.lock = Lock()
        self.read: dict[str, tuple[Gathered, str]] = {}
        self.lent: dict[str, tuple[Runs | None, str]] = {}
        self.written = ""
        self.unwritten: dict[Path, str] = {}

    def records(self, folder: Path) -> str:
        """What changes whenever a record below a folder does: how many, and the newest's time."""
        below = "*/*/" if folder == self.root else "*/"
        times = [path.stat().st_mtime_ns for path in folder.glob(f"{below}*/run.json")]
        return f"{len(times)}-{max(times, default=0)}"

    def bring_up_to_date(self) -> None:
        """Make the pages again if a record has changed since the last time.

        Whoever may only read the results has them from memory.
        """
        with self.lock:
            now = self.records(self.root)
            if now != self.written:
                self.unwritten = {}
                given = next(iter(self.given.values()), None)
                for path, text in pages_of(self.root, given, self.runs()):
                    try:
                        put(path, text)
                    except OSError as error:
                        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                            raise
                        self.unwritten[path] = text
                self.written = now

    def runs(self, apart_from: str = "") -> list[Runs]:
        """What protocols lend, each one's records read again only where one has changed."""
        folders = [each for each in folders_of(self.root) if each.folder.name != apart_from]
        for results in folders:
            name, now = results.folder.name, self.records(results.folder)
            if name not in self.lent or self.lent[name][1] != now:
                self.lent[name] = lent(results), now
        found = (self.lent[results.folder.name][0] for results in folders)
        return [runs for runs in found if runs is not None]

    def knows(self, protocol: str) -> bool:
        """Whether there is such a protocol, and a folder of it."""
        known = protocol in self.given or protocol in names(PROTOCOLS, ".yaml")
        return known and (self.root / protocol).is_dir()

    def gathered(self, protocol: str) -> tuple[Gathered, str]:
        """A protocol's records and their mark, read again only where one has changed.

        Whoever watches a grid must not slow it down.
        """
        now = self.records(self.root / protocol)
        with self.lock:
            if protocol not in self.read or self.read[protocol][1] != now:
                given, others = self.given.get(protocol, protocol), self.runs(protocol)
                self.read[protocol] = gather(given, self.root, others=others), now
            return self.read[protocol]

    def live(self, protocol: str) -> str:
        """A protocol's page with its progress."""
        gathered, records = self.gathered(protocol)
        return live_page(page_of(gathered), progress_of(gathered), records)

    def progress(self, protocol: str) -> str:
        """The part of it that is brought up to date."""
        gathered, records = self.gathered(protocol)
        return progress_part(progress_of(gathered), records)

    def file(self, path: str) -> Path | None:
        """The file that a path of an address stands for, if it is one of the report's."""
        if "\0" in path or "\\" in path:
            return None
        named = self.root.joinpath(*path.strip("/").split("/"))
        try:
            found = named.resolve(strict=True)
        except OSError:
            return None
        # By where it really lies, links included; nothing hidden.
        if not found.is_relative_to(self.root) or not found.is_file():
            return None
        hidden = any(part.startswith(".") for part in found.relative_to(self.root).parts)
        return None if hidden or found.suffix not in KINDS else found


class Handler(BaseHTTPRequestHandler):
    """Answers GET; whatever else is asked for is not allowed."""

    server_version, sys_version = "cardinality", ""
    # A reader that opens a connection and says nothing does not hold a thread for ever.
    timeout = 30

    def __init__(self, site: Site, *given: object) -> None:
        self.site = site
        super().__init__(*given)  # type: ignore[arg-type] # as the server gives them

    def do_GET(self) -> None:
        """Answer with a page, a part of one, or a file."""
        # Another site's page that has its own name lead here would be of another origin.
        if not OURS.fullmatch(self.headers.get("Host") or ""):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return
        try:
            path = unquote(urlsplit(self.path).path)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        try:
            answer = self._answer(path)
        except UserError as error:
            answer = HTTPStatus.NOT_FOUND, TEXT, f"{error}\n".encode()
        except OSError as error:  # a full disk, a folder that may not be read
            told = f"{line(of_system(error))}\n".encode()
            answer = HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, told
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):  # the reader has gone
            self._send(*answer)

    def _answer(self, path: str) -> Answer:
        """What a path stands for; nothing has been sent before it is made."""
        if path.endswith("/"):
            path += "index.html"
        parts = path.strip("/").split("/")
        known = len(parts) == 2 and self.site.knows(parts[0])
        if known and parts[1] == "progress":
            return HTTPStatus.OK, KINDS[".html"], self.site.progress(parts[0]).encode()
        if known and parts[1] == "index.html":
            return HTTPStatus.OK, KINDS[".html"], self.site.live(parts[0]).encode()
        self.site.bring_up_to_date()
        made = self.site.unwritten.get(self.site.root.joinpath(*parts))
        if made is not None:
            return HTTPStatus.OK, KINDS[Path(path).suffix], made.encode()
        file = self.site.file(path)
        if file is None:
            status = HTTPStatus.NOT_FOUND
            return status, TEXT, f"{status.phrase}\n".encode()
        return HTTPStatus.OK, KINDS[file.suffix], file.read_bytes()

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, TEXT, f"{status.phrase}\n".encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", f"{policy(live=True)}; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say plainly what is not allowed; http.server asks for this with other methods."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else code
        self._refuse(HTTPStatus(status))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line every few seconds would hide what the user types."""


def make_server(results: Path, protocol: str | None, port: int) -> ThreadingHTTPServer:
    """A server that is bound to its port and does not answer yet.

    Raises:
        UserError: the port is taken or not allowed, or there is no such protocol.
    """
    site = Site(results, protocol)
    try:
        return ThreadingHTTPServer((HOST, port), partial(Handler, site))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is taken" if error.errno == errno.EADDRINUSE else "is not for everybody"
        raise UserError(f"--port {port}: {why}; allowed: another one, or 0 for any") from None


def serve_report(results: Path, protocol: str | None, port: int, open_page: bool) -> None:
    """Serve until interrupted."""
    results.mkdir(parents=True, exist_ok=True)
    with make_server(results, protocol, port) as server:
        address = f"http://{HOST}:{server.server_address[1]}/"
        if protocol is not None:
            address += f"{find(protocol, PROTOCOLS).stem}/index.html"
        print(f"{address}  (for reading, on this machine alone; Ctrl-C ends it)", flush=True)
        if open_page:
            import webbrowser

            webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
