"""The review page's server answers only its own page, and rows reach the page as data."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.review.server import ReviewServer
from agentmerge_hub.publishing.review.session import ReviewSession


@pytest.fixture
def server(clicks: Path) -> Iterator[ReviewServer]:
    with ReviewServer(ReviewSession(clicks, 5, seed=0)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def request(
    server: ReviewServer, method: str, path: str, body: object = None, **changed: str | None
) -> tuple[int, dict, bytes]:
    own = f"127.0.0.1:{server.server_port}"
    headers = {"Host": own, "Origin": f"http://{own}", "Content-Type": "application/json"} | changed
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, {key: value for key, value in headers.items() if value is not None})
    reply = connection.getresponse()
    return reply.status, dict(reply.headers), reply.read()


def test_only_the_page_can_decide(server: ReviewServer, clicks: Path) -> None:
    row, strike = f"/{server.token}/api/rows/0", {"status": "struck", "reason": "x"}
    refused = {
        "no token": ("/api/rows/0", strike, {}),
        "another token": (f"/{server.token[:-1]}_/api/rows/0", strike, {}),
        "another site": (row, strike, {"Origin": "https://evil.example"}),
        "no origin": (row, strike, {"Origin": None}),
        "a name that resolves to this machine": (row, strike, {"Host": f"evil.example:{server.server_port}"}),
        "another port": (row, strike, {"Host": "127.0.0.1:1"}),
        "a form": (row, b"status=struck", {"Content-Type": "text/plain"}),
        "no JSON": (row, b"{", {}),
        "a list": (row, [], {}),
        "too long": (row, {"status": "struck", "reason": "x" * 20_000}, {}),
        "no such row": (f"/{server.token}/api/rows/99", strike, {}),
        "no such status": (row, {"status": "burnt"}, {}),
        "no such path": (f"/{server.token}/../etc/passwd", strike, {}),
    }
    statuses = {
        name: request(server, "POST", path, body, **headers)[0] for name, (path, body, headers) in refused.items()
    }
    assert all(400 <= status < 500 for status in statuses.values()), statuses
    assert not (clicks.parent / "clicks.review.json").exists() and not server.finished.is_set()
    assert request(server, "POST", row, strike)[0] == 200
    assert "struck" in (clicks.parent / "clicks.review.json").read_text()


def test_the_page_loads_nothing_from_elsewhere(server: ReviewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    for path, kind in (("", "text/html"), ("page.js", "text/javascript"), ("page.css", "text/css")):
        status, headers, content = request(server, "GET", f"/{server.token}/{path}")
        assert status == 200 and headers["Content-Type"].startswith(kind)
        assert (
            "default-src 'none'" in headers["Content-Security-Policy"] and headers["Referrer-Policy"] == "no-referrer"
        )
        assert b"://" not in content and b"innerHTML" not in content
    assert request(server, "GET", "/")[0] == 404


def test_a_row_that_was_replaced_meanwhile_is_not_shown(server: ReviewServer, clicks: Path) -> None:
    path = server.session.sample[0].row.place.path
    path.write_bytes(next(other for other in clicks.rglob("*.parquet") if other.name == "ledger.parquet").read_bytes())
    status, _, content = request(server, "GET", f"/{server.token}/api/rows/0")
    assert status == 409 and "was changed during the review" in json.loads(content)["error"]


def test_decisions_that_cannot_be_read_stop_the_review(clicks: Path) -> None:
    for content in ("{", "[1]", '{"key": {"status": "maybe"}}', '{"key": 3}'):
        (clicks.parent / "clicks.review.json").write_text(content)
        with pytest.raises(UserError, match=r"clicks\.review\.json"):
            ReviewSession(clicks, 5, seed=0)
