"""A small Hub on this machine: the HTTP API that huggingface_hub, datasets and transformers speak, over hub_store.

It is here because publishing has to be tried against something that answers like the Hub: two host names (the
site and the store of large files), ETags and redirects, ranges, pages, errors with their X-Error-Code, and on demand a
cut connection or a failing server. Not spoken: Xet (set HF_HUB_DISABLE_XET=1), spaces, discussions; pull requests are only listed.
"""

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_routes import ROUTES
from hub_store import Account, Refused, Store


@dataclass
class Fault:
    """A failure to act out: answer `status`, or with status 0 cut the connection after half of the body."""

    method: str
    path: str
    status: int = 500
    times: int = 1
    after: Callable[[], None] | None = None
    hang: float = 0.0
    """Seconds without an answer, after which the connection is cut."""
    lost: bool = False
    """Whether the request is carried out before its answer is replaced by the failure."""
    answer: Any = None
    """A JSON value to answer with."""


class Hub:
    """A running server: its store, what was asked of it (method, path, status), and the faults it is to act out."""

    def __init__(self) -> None:
        self.store = Store()
        self.requests: list[tuple[str, str, int]] = []
        self.faults: list[Fault] = []
        self.stopping = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.objects_host = f"http://localhost:{self.port}"

    def asked(self, method: str, pattern: str) -> int:
        """How many requests matched."""
        return sum(1 for m, path, _ in self.requests if m == method and re.search(pattern, path))

    def fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None


@contextmanager
def running() -> Iterator[Hub]:
    """A Hub with the accounts alice (token hf_alice, of acme), bob (hf_bob) and alice's read token hf_read."""
    hub = Hub()
    alice = Account("alice", orgs=("acme",))
    hub.store.accounts |= {
        "hf_alice": alice,
        "hf_bob": Account("bob"),
        "hf_read": Account("alice", "read", ("acme",)),
    }
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.stopping.set()
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.status_sent = 0
        if fault := self.hub.fault(self.command, url.path):
            self.act_out(fault, url.path)
            return
        self.carry_out(url.path)
        self.hub.requests.append((self.command, url.path, self.status_sent))

    def carry_out(self, path: str) -> None:
        """Answer a request as the Hub does."""
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for earlier, today in self.hub.store.renamed.items():
            if re.search(rf"/{earlier}(?=[/.]|$)", path):
                self.send(b"", 307, {"Location": self.path.replace(earlier, today)})
                return
        try:
            account = self.account()
            for method, pattern, function in ROUTES:
                if method == self.command.replace("HEAD", "GET") and (match := pattern.fullmatch(path)):
                    with self.hub.store.lock:
                        function(self, account, **{k: unquote(v) for k, v in match.groupdict().items() if v})
                    break
            else:
                raise Refused(404, f"no route {self.command} {path}")
        except Refused as error:
            headers = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
            self.json({"error": error.message}, error.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def act_out(self, fault: Fault, path: str) -> None:
        if fault.hang:
            self.hub.stopping.wait(fault.hang)
            self.close_connection = True
            self.hub.requests.append((self.command, path, 0))
            return
        if fault.lost:
            answer, self.wfile = self.wfile, io.BytesIO()  # type: ignore[assignment] # only written to
            self.carry_out(path)
            self.wfile = answer
            if fault.status:
                self.json({"error": "Bad Gateway"}, fault.status)
            else:
                self.close_connection = True
                self.connection.close()
        elif fault.status:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.json({"error": "Internal Error"} if fault.answer is None else fault.answer, fault.status)
        else:
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self.close_connection = True
            self.connection.close()
        self.hub.requests.append((self.command, path, fault.status))
        if fault.after:
            fault.after()

    def account(self) -> Account | None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if given and given not in self.hub.store.accounts:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.store.accounts.get(given)

    def payload(self) -> dict:
        return json.loads(self.body)

    def json(self, value: object, status: int = 200, headers: dict | None = None) -> None:
        self.send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def send(self, content: bytes, status: int = 200, headers: dict | None = None) -> None:
        self.status_sent = status
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if status != 204 and "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_bytes(self, content: bytes, headers: dict) -> None:
        """The whole content, or the range that was asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
        if not asked:
            self.send(content, 200, headers)
            return
        begin, end = int(asked[1]), min(int(asked[2] or len(content) - 1), len(content) - 1)
        if begin >= len(content):
            raise Refused(416, "Range not satisfiable")
        part = {"Content-Range": f"bytes {begin}-{end}/{len(content)}"}
        self.send(content[begin : end + 1], 206, headers | part)
