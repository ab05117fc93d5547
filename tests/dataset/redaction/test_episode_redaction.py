"""Redaction of an episode: the same secret gets the same placeholder in every field."""

from dataclasses import replace
from pathlib import Path

import pytest
from planted_secrets import planted_secrets

from agentmerge_hub.dataset.redaction.episode import path_role, redact_episode
from agentmerge_hub.dataset.redaction.finding import parse_allow_options
from agentmerge_hub.dataset.redaction.scanner import LineScanner, find_secrets
from agentmerge_hub.records import Episode, Observation, Step


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
    assert kinds == {"email": 2, "account": 1, "person": 1, "host": 1}
    first, second = redacted.steps
    jane = first.action.split("'")[3]
    assert jane.endswith("@example.com") and jane != "jane.roe@corp.com"
    assert jane in first.observation.goal and f"textbox '{jane}'" in first.observation.axtree
    mary = first.observation.axtree.split("'")[1].removesuffix(": available")
    assert mary.startswith("User ") and mary in first.observation.goal and mary in second.observation.axtree
    assert "joe@corp.com" not in first.observation.goal and first.observation.goal.count("@example.com") == 2
    assert second.observation.axtree.endswith("'https://instance.example.com/x'")
    assert redact_episode(read, LineScanner())[0] == redacted


def test_a_person_in_a_field_or_below_a_sign_off_is_the_same_in_goal_page_and_answer() -> None:
    goal = "Report for Jane Roe what Max Doe writes, and assign it to the Service Desk"
    page = (
        "[1] textbox 'Caller' value='Jane Roe'\n[2] textbox 'Assigned to' value='Service Desk'\n"
        "[3] StaticText 'Kind regards,'\n[4] StaticText 'Max Doe'"
    )
    read = episode(page, goal=goal, action="fill('1', 'Jane Roe')")
    redacted, kinds = redact_episode(read, LineScanner())
    step = redacted.steps[0]
    jane = step.action.split("'")[3]
    assert kinds["person"] == 2 and jane.startswith("User ")
    assert f"for {jane} what User " in step.observation.goal and f"value='{jane}'" in step.observation.axtree
    assert "Service Desk" in step.observation.goal and "Max" not in str(redacted)
    allowed = LineScanner(parse_allow_options(("person=made up by the benchmark",)))
    assert redact_episode(read, allowed)[0].steps[0].observation.axtree == page
    allowed = LineScanner(parse_allow_options(("Max Doe=the benchmark's author",)))
    assert "StaticText 'Max Doe'" in redact_episode(read, allowed)[0].steps[0].observation.axtree


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


@pytest.mark.parametrize(
    "label", ["StaticText 'Password:'", "[3] rowheader 'Temporary password'", "LabelText 'API Key'"]
)
def test_a_password_in_the_line_below_its_label_is_replaced(label: str) -> None:
    read = episode(
        f"\t{label}\n\t[4] gridcell 'aPR71kQ7iaU'\n[12] textbox 'x'", goal="g", action="fill('12', 'aPR71kQ7iaU')"
    )
    redacted, kinds = redact_episode(read, LineScanner())
    assert "aPR71kQ7iaU" not in str(redacted) and kinds["credentials"] == 1
    plain = episode(
        f"\t{label}\n\t[4] gridcell 'required'\n\t[5] gridcell 'aPR71kQ7iaU'", goal="g", action="click('4')"
    )
    assert redact_episode(plain, LineScanner())[0].steps[0].observation == replace(
        plain.steps[0].observation, url="https://instance.example.com/home"
    )
    allowed = LineScanner(parse_allow_options(("credentials=made up",)))
    assert redact_episode(read, allowed)[0].steps[0].action == "fill('12', 'aPR71kQ7iaU')"


def test_the_name_of_an_instance_is_replaced_where_it_is_alone() -> None:
    read = episode("[1] StaticText 'Welcome to dev280094'", goal="g", action="fill('1', 'dev280094')")
    assert "dev280094" not in str(redact_episode(read, LineScanner())[0])


def test_an_agent_named_after_a_model_in_a_home_folder_tells_no_user() -> None:
    read = replace(
        episode("p", goal="g", action="click('1')"),
        agent="GenericAgent-_home_jroe77_models_Llama-3.1",
        teacher="/home/jroe77/models/Llama-3.1",
    )
    assert redact_episode(read, LineScanner())[0].agent == "GenericAgent-Llama-3.1"


@pytest.mark.parametrize(("kind", "text", "secret"), planted_secrets())
def test_a_planted_secret_is_in_no_field(kind: str, text: str, secret: str) -> None:
    read = episode(f"[1] button 'OK'\n{text}\n[2] link 'x'", goal=f"Press OK for {text}", action="click('1')", url="")
    redacted, kinds = redact_episode(read, LineScanner())
    assert sum(kinds.values()) >= 1
    assert all(
        secret not in value for step in redacted.steps for value in (step.observation.axtree, step.observation.goal)
    )


def test_an_episode_without_secrets_is_untouched() -> None:
    read = episode("[1] button 'OK'", goal="g", action="click('1')", url="miniwob/x.html")
    assert redact_episode(read, LineScanner())[0] is read


def test_real_traces_leave_nothing(real_traces: Path) -> None:
    from agentmerge_hub.traces.episode import read_episode
    from agentmerge_hub.traces.find import find_episodes

    scanner = LineScanner()
    for found in find_episodes([real_traces / "workarena"]):
        redacted, _ = redact_episode(read_episode(found), scanner)
        for step in redacted.steps:
            page = step.observation.axtree + step.observation.goal + (step.action or "")
            assert find_secrets(page) == [] and "service-now.com" not in page.replace("docs.service-now", "")


def test_every_field_of_an_episode_is_redacted() -> None:
    read = episode("[1] button 'OK'", goal="g", action="click('1')")
    read = replace(
        read,
        agent="Agent-of-jroe77@acme.org",
        teacher="/home/jroe77/models/Llama-3.1-70B-Instruct",
        flags={"note": ["/home/jroe77/x"], "/home/jroe77/key": 1},
        error="RuntimeError: /home/jroe77/x",
        final_urls=("https://dev280094.service-now.com/end",),
    )
    redacted, _ = redact_episode(read, LineScanner())
    assert "jroe77" not in str(redacted) and "dev280094" not in str(redacted)
    assert redacted.teacher == "Llama-3.1-70B-Instruct"


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("/home/jane/models/Llama", "Llama"), ("./models/Llama/", "Llama"), ("~/models/Llama", "Llama"), ("C:\\models\\Llama", "Llama"),
        ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"), ("gpt-4o", "gpt-4o"), ("", ""),
    ],
)  # fmt: skip
def test_a_local_path_is_published_as_its_last_name(name: str, role: str) -> None:
    assert path_role(name) == role
