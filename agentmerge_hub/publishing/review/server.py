"""The local server of the review page. It listens on this machine alone and answers only who knows the token in the URL.

Rows are untrusted: they travel as JSON, and the page sets them as text. Nothing is loaded from elsewhere.
"""

import json
import re
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.review.session import ReviewSession

_ASSETS = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_MAX_BODY = 10_000
"""Bytes of a request."""
_ROW = re.compile(r"api/rows/(\d{1,6})")


class ReviewServer(ThreadingHTTPServer):
    """Serves one review session on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, session: ReviewSession) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.session = session
        self.token = secrets.token_urlsafe(32)
        self.finished = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, unless the browser only closed a connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Address of the page; whoever knows it can decide."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    timeout = 30
    server_version = "agentmerge"
    sys_version = ""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing: the path holds the token."""

    def do_GET(self) -> None:
        path = self._path()
        if path is None:
            return
        if path in _ASSETS:
            name, kind = _ASSETS[path]
            self._send((Path(__file__).parent / "page" / name).read_bytes(), kind)
        elif path == "api/sample":
            self._send_json(self.server.session.overview())
        elif (number := self._row_number(path)) is not None:
            self._answer(lambda: self.server.session.sections(number))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        path = self._path()
        if path is None:
            return
        if self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        body = self._body()
        if body is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif path == "api/finish":
            self._send_json({"finished": True})
            self.server.finished.set()
        elif (number := self._row_number(path)) is not None:
            status, reason = str(body.get("status", "")), str(body.get("reason", ""))
            self._answer(lambda: self.server.session.decide(number, status, reason))
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _path(self) -> str | None:
        """The path behind the token; None, and a refusal, without the right host and token."""
        hosts = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        if self.headers.get("Host") not in hosts:  # a foreign name that resolves to this machine
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        token, slash, path = self.path.removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        return path

    def _row_number(self, path: str) -> int | None:
        found = _ROW.fullmatch(path)
        return int(found[1]) if found and int(found[1]) < len(self.server.session.sample) else None

    def _body(self) -> dict[str, Any] | None:
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Type") != "application/json" or not length.isdecimal() or int(length) > _MAX_BODY:
            return None
        try:
            content = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def _answer(self, make: Any) -> None:
        try:
            content = make()
        except UserError as error:
            self._send_json({"error": str(error)}, HTTPStatus.CONFLICT)
        else:
            self._send_json(content)

    def _send_json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode(), "application/json", status)

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(f"{status.value} {status.phrase}\n".encode(), "text/plain; charset=utf-8", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
