"""Redaction: the same secret gets the same placeholder everywhere, nothing else changes, and the gate finds what is left."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_traces import write_episode

from agentmerge_hub.dataset.build import build
from agentmerge_hub.dataset.redaction.episode import redact_episode
from agentmerge_hub.dataset.redaction.files import scan_file
from agentmerge_hub.dataset.redaction.finding import Allowlist, parse_allow_options
from agentmerge_hub.dataset.redaction.scanner import LineScanner, find_secrets, redact_text
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.dataset.verify_output import scan_other_files
from agentmerge_hub.dataset.workers import WorkerConfig
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Episode, Observation, Step

KEY = "48e8d7acc30a1210a20cfacc050131ec58cccd6439c0e3f35ea7ecc19ed7bfe378deb5fa"
# Put together here so that no scanner takes this file for a leak.
SECRETS = {
    "email": ["jane.roe@corp.com", "jane.roe%40corp.com"],
    "host": ["https://dev280094.service-now.com/x", "uri=https%3A%2F%2Fdev280094.service-now.com%2Fx", "http://10.3.4.5:8080/"],
    "credentials": ["https://admin:hunter22@shop.org/", "login.do?user_name=admin.7&user_password=aStrong!Password"],
    "session": [f"x.do?sysparm_ck={KEY}", f"var g_ck = '{KEY}'", "JSESSIONID=AB12CD34EF56AB12CD34", f"/key/{KEY[:64]}/", "Set-Cookie: glide=abc; a=b"],
    "token": [
        "ghp_" + "a1B2" * 9, "AKIA" + "ABCD1234" * 2, "hf_" + "aB3" * 11, "sk-ant-" + "x1" * 20, "Bearer " + "abcD1234" * 4,
        "eyJ" + "hbGciOiJI" + ".eyJzdWIiOiIx" + ".abc", "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEow\nabcd\n-----END RSA PRIVATE " + "KEY-----",
        "xoxb-" + "123456789012-abcdefghij",
    ],
    "account": ["[178] button 'Jessica Garner: available', expanded=False", "Jessica.Garner.8312"],
    "home": [
        "file:///home/jane/miniwob/", "/Users/jane/.pyenv", "C:\\Users\\jane\\x", "C:/Users/jane", "path=%2Fhome%2Fjane%2Fx",
        "file%3A%2F%2F%2Fhome%2Fjane", "/mnt/c/Users/jane", "/mnt/nfs/home/jane", "/Volumes/Macintosh HD/Users/jane",
        "a@box:/home/jane/x", "sftp://box/home/jane", "-I/home/jane", "../home/jane", "'/home/jane'", "\\n/home/jane/x",
    ],
}  # fmt: skip
CASES = [(kind, text) for kind, texts in SECRETS.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), CASES)
def test_each_kind_is_found_and_gone_after_redaction(kind: str, text: str) -> None:
    assert kind in {finding.kind for finding in find_secrets(f"before {text} after")}
    redacted = redact_text(f"before {text} after")
    assert find_secrets(redacted) == []
    assert redacted.startswith("before ") and (redacted.endswith(" after") or "Cookie" in text)
    for word in ("jane", "Garner", "hunter22", "aStrong", KEY[:30], "dev280094", "MIIEow", "10.3.4.5"):
        assert word not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "[a251] link 'Hardware', url='https://docs.servicenow.com/x?sys_id=e0d08b13c3330100c8b837659bba8fb4'",
        "icon@2x.png",
        "click('a324')",
        "https://www.service-now.com/",
        'Enter the password "Ww3" and press Login',
        "someone@example.com",
        "http://127.0.0.1:8000/ and http://localhost/",
        "version 1.236.159.414",
        "a sentence. And 2024 another.",
        "/home/user/miniwob",
        "[a1] link 'Home', url='/now/app-manager/home/tab'",
        "https://shop.example.org/home/tab?next=%2Fnow%2Fapp-manager%2Fhome%2Ftab",
        "https://api.example.org/scim/v2/Users/1234",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_a_placeholder_is_none_wherever_the_search_for_another_ends() -> None:
    for gap in range(500, 640):
        assert (
            find_secrets(
                f"x.do?sysparm_ck=redacted-session-1e1&y={'ab ' * 200}"[:gap] + "&sysparm_ck=redacted-session-44c&z"
            )
            == []
        )
        long = find_secrets(f"sysparm_ck={KEY[:20]}&{('ab ' * 220)[:gap]}sysparm_ck={KEY[:40]}&z")
        assert [finding.value for finding in long] == [KEY[:20], KEY[:40]]


def test_lines_that_do_not_belong_together_are_not_read_together() -> None:
    scanner = LineScanner()
    for number in range(50):
        assert scanner.scan([f"label {number} api_key:", f"{number}aaaaaaaaaaaaaaaaaaaaaaaa"]) == []


@given(
    st.lists(st.sampled_from([text for _, text in CASES]) | st.text(max_size=20), max_size=6), st.sampled_from("\n ,")
)
def test_redacting_twice_changes_nothing_more(parts: list[str], between: str) -> None:
    once = redact_text(between.join(parts))
    assert redact_text(once) == once


def episode(*pages: str, goal: str, action: str, url: str = "https://dev280094.service-now.com/home") -> Episode:
    steps = tuple(
        Step(number, Observation(goal, page, url=url), "", action, thought=goal) for number, page in enumerate(pages)
    )
    return Episode("id", "s", "workarena", "t", 0, "a", "m", 1.0, True, False, "", True, steps=steps)


def test_goal_page_and_answer_still_match() -> None:
    goal = "Give jane.roe@corp.com and joe@corp.com a laptop on behalf of Mary Hart"
    read = episode(
        "[1] button 'Mary Hart: available'\n[2] textbox 'jane.roe@corp.com'",
        "[3] StaticText 'Requested for Mary Hart'\n[4] link 'x', url='https://dev280094.service-now.com/x'",
        goal=goal,
        action="fill('2', 'jane.roe@corp.com')",
    )
    redacted, kinds = redact_episode(read, LineScanner())
    assert kinds == {"email": 2, "account": 1, "host": 1}
    first, second = redacted.steps
    jane = first.action.split("'")[3]
    assert jane.endswith("@example.com") and jane != "jane.roe@corp.com"
    assert jane in first.observation.goal and f"textbox '{jane}'" in first.observation.axtree
    mary = first.observation.axtree.split("'")[1].removesuffix(": available")
    assert mary.startswith("User ") and mary in first.observation.goal and mary in second.observation.axtree
    assert "joe@corp.com" not in first.observation.goal and first.observation.goal.count("@example.com") == 2
    assert second.observation.axtree.endswith("'https://instance.example.com/x'")
    assert redact_episode(read, LineScanner())[0] == redacted


def test_a_password_known_from_an_address_is_replaced_on_the_page_too() -> None:
    read = episode(
        "[1] textbox 'pw-of-1234'",
        goal="g",
        action="fill('1', 'pw-of-1234')",
        url="https://h.org/l?password=pw-of-1234",
    )
    redacted, _ = redact_episode(read, LineScanner())
    assert "pw-of-1234" not in str(redacted)
    assert redacted.steps[0].action.split("'")[3] in redacted.steps[0].observation.axtree


def test_an_episode_without_secrets_is_untouched() -> None:
    read = episode("[1] button 'OK'", goal="g", action="click('1')", url="miniwob/x.html")
    assert redact_episode(read, LineScanner())[0] is read


def test_what_is_allowed_passes_and_needs_a_reason() -> None:
    allowed = parse_allow_options(("email=addresses are made up", "dev1.service-now.com=a public demo"))
    text = "a@b.com on https://dev1.service-now.com/ and https://dev2.service-now.com/"
    assert redact_text(text, allowed) == text.replace("dev2.service-now.com", "instance.example.com")
    for pair in ("email", "email=", "=because"):
        with pytest.raises(UserError, match="WHAT=REASON"):
            parse_allow_options((pair,))


def test_files_are_scanned_column_by_column(tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": "fine"}]}, {"prompt": [{"role": "user", "content": "x a@b.com"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (hit,) = scan_file(tmp_path / "a.parquet")
    assert (hit.kind, hit.location) == ("email", "a.parquet, column prompt") and "a@b.com" not in str(hit)
    (tmp_path / "README.md").write_text("made on https://dev1.service-now.com/")
    assert [hit.kind for hit in scan_file(tmp_path / "README.md")] == ["host"]
    with pytest.raises(UserError, match=r"still hold secrets .*host 1"):
        scan_other_files(tmp_path, LineScanner(Allowlist(email="made up")))


def test_a_built_dataset_holds_no_secret_and_says_what_was_replaced(tmp_path: Path, tokenizer_folder: Path) -> None:
    page = f"[11] button 'Mary Hart: available'\n[2] link 'x', url='https://dev7.service-now.com/x?sysparm_ck={KEY}'"
    obs = {
        "axtree_txt": page,
        "url": "https://dev7.service-now.com/a",
        "open_pages_urls": ["https://dev7.service-now.com/a"],
    }
    for seed in range(3):
        write_episode(
            tmp_path / "t", "workarena.servicenow.order-ipad-pro", seed, flags=None, obs=obs, action="click('11')"
        )
    built = build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(), str(tokenizer_folder)))
    assert built.counts["redacted"] == {"account": 3, "host": 3, "session": 3}
    assert not [hit for path in (tmp_path / "out").rglob("*.parquet") for hit in scan_file(path)]
    written = json.dumps([pq.read_table(path).to_pylist() for path in (tmp_path / "out").rglob("*.parquet")])
    assert "Mary" not in written and "dev7" not in written and KEY not in written and "instance.example.com" in written


def test_a_secret_that_redaction_cannot_see_fails_the_build(tmp_path: Path, tokenizer_folder: Path) -> None:
    folder = write_episode(tmp_path / "t", "miniwob.click-dialog", 0)
    folder.rename(tmp_path / "t/run of a@b.com")  # the folder's name goes into the ledger
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0, name="zz", summary={"note": "again"})
    with pytest.raises(UserError, match="still hold secrets"):
        build([tmp_path / "t"], tmp_path / "out", WorkerConfig(Settings(), str(tokenizer_folder)))
    assert not (tmp_path / "out").exists()


def test_real_traces_leave_nothing(real_traces: Path) -> None:
    from agentmerge_hub.traces.episode import read_episode
    from agentmerge_hub.traces.find import find_episodes

    scanner = LineScanner()
    for found in find_episodes([real_traces / "workarena"]):
        redacted, _ = redact_episode(read_episode(found), scanner)
        for step in redacted.steps:
            page = step.observation.axtree + step.observation.goal + (step.action or "")
            assert find_secrets(page) == [] and "service-now.com" not in page.replace("docs.service-now", "")
