"""Untrusted pickles: data comes out, nothing is ever run, and what cannot be read says why."""

import collections
import contextlib
import datetime
import decimal
import gzip
import http
import os
import pathlib
import pickle
import pickletools
import re
import subprocess
import types
import uuid
import zoneinfo
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.traces import files
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.pickles import unpickle
from agentmerge_hub.traces.pickles.standins import Array, Standin
from agentmerge_hub.traces.pickles.unpickle import load, loads

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_out_as_it_went_in(value: object, protocol: int) -> None:
    assert loads(pickle.dumps(value, protocol=protocol)) == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_half_a_surrogate_pair_becomes_a_mark(protocol: int) -> None:
    read = loads(pickle.dumps(["a \ud83d b", "\ud83d\ude00", "é"], protocol=protocol))
    assert "\ufffd" in read[0] and read[0].startswith("a ") and read[0].endswith(" b")
    assert read[1:] == ["😀", "é"] or protocol > 0
    assert all(text.encode() for text in read)


def run_here(command: str) -> None:
    Path(command).write_text("ran")


class Attack:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "args", "says"),
    [
        (os.system, ("touch {}",), "allow-list"),
        (subprocess.Popen, (["touch", "{}"],), "allow-list"),
        (eval, ("open('{}', 'w')",), "allow-list"),
        (exec, ("open('{}', 'w')",), "allow-list"),
        (open, ("{}", "w"), "allow-list"),
        (getattr, (Path, "touch"), "allow-list"),
        (run_here, ("{}",), "allow-list"),
        (np.save, ("{}", 1), "allow-list"),
        (__import__, ("antigravity",), "allow-list"),
    ],
)
def test_a_pickle_that_tries_to_run_code_is_refused(
    tmp_path: Path, protocol: int, function, args: tuple, says: str
) -> None:
    target = tmp_path / "ran"
    args = tuple(
        a.format(target) if isinstance(a, str) else [p.format(target) for p in a] if isinstance(a, list) else a
        for a in args
    )
    with pytest.raises(Refused, match=says):
        loads(pickle.dumps({"obs": Attack(function, *args)}, protocol=protocol))
    assert not target.exists()


def test_build_cannot_reach_outside(tmp_path: Path) -> None:
    # setattr on a module: c os\nenviron, then BUILD with a state.
    with pytest.raises(Refused, match="allow-list"):
        loads(b"cos\nenviron\n}(S'HOME'\nS'x'\nub.")


def test_classes_become_standins_without_being_imported() -> None:
    data = b"\x80\x04\x8c\x10no_such_module.a\x8c\x05Agent\x93)\x81}\x8c\x04name\x8c\x01x\x94sb."
    read = loads(data)
    assert isinstance(read, Standin) and read.kind == "no_such_module.a.Agent" and read == {"name": "x"}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_values_of_known_types(protocol: int) -> None:
    read = loads(
        pickle.dumps(
            {
                "index": np.array([3]),
                "number": np.float64(0.5),
                "date": datetime.datetime(2025, 1, 22, 11, 3),
                "path": pathlib.PurePosixPath("/a/b"),
                "set": {1},
                "ordered": collections.OrderedDict(a=1),
            },
            protocol=protocol,
        )
    )
    assert isinstance(read["index"], Array) and read["index"].values_read() == [3]
    assert read["number"] == 0.5
    assert read["date"] == datetime.datetime(2025, 1, 22, 11, 3)
    assert str(read["path"]) == "/a/b"
    assert read["set"] == [1]
    assert read["ordered"] == {"a": 1}


def hand_written(kind: str, *rest: bytes) -> bytes:
    """A pickle that names a class and goes on with the instructions given."""
    module, name = kind.split(":")
    parts = [bytes([0x8C, len(part)]) + part.encode() for part in (module, name)]
    return b"\x80\x04" + b"".join(parts) + b"\x93" + b"".join(rest) + b"."


@pytest.mark.parametrize(
    "kind",
    ["agentlab.llm.no_such_version:Mode", "browsergym.core.later:Outer.Inner", "bgym:Benchmark"],
)
def test_classes_of_other_versions_are_read_however_they_are_made(kind: str) -> None:
    called, made, named = b"K\x01\x85R", b")\x81}\x8c\x01xK\x07sb", b""
    assert loads(hand_written(kind, called)).args == (1,)
    read = loads(hand_written(kind, made))
    assert read == {"x": 7} and read.kind == kind.replace(":", ".")
    assert issubclass(loads(hand_written(kind, named)), Standin)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        http.HTTPStatus.OK, re.IGNORECASE, uuid.UUID(int=1), decimal.Decimal("1.5"), types.SimpleNamespace(a=1),
        datetime.time(1), range(3), np.float32, np.dtype("datetime64[s]"), np.str_("a"), TimeoutError("gone"), OSError(2, "gone"),
        re.compile("a"), zoneinfo.ZoneInfo("UTC"), ..., int,
    ],
    ids=str,
)  # fmt: skip
def test_values_that_nobody_asks_for_do_not_set_an_episode_aside(value: object, protocol: int) -> None:
    read = loads(pickle.dumps({"odd": value, "action": "noop()"}, protocol=protocol))
    odd = read["odd"]
    assert read["action"] == "noop()" and (isinstance(odd, Standin) or issubclass(odd, Standin))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_sets_are_lists_and_dates_lose_a_named_zone(protocol: int) -> None:
    sets, date = (
        [{1}, frozenset(), frozenset({2}), set()],
        datetime.datetime(2025, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")),
    )
    read = loads(pickle.dumps({"sets": sets, "date": date, "action": "noop()"}, protocol=protocol))
    assert read == {"sets": [[1], [], [2], []], "date": datetime.datetime(2025, 1, 2), "action": "noop()"}


def test_a_member_is_a_standin_and_never_looked_up() -> None:
    read = loads(pickle.dumps({"mode": Attack(getattr, collections.UserDict, "fromkeys")}))
    assert isinstance(read["mode"], Standin) and read["mode"].args == ("fromkeys",)


CALL = b"\x8c\x04true\x85R"
"""Call what lies on the stack with the text 'true'."""


@pytest.mark.parametrize(
    "data",
    [
        hand_written("os:system", CALL),
        hand_written("posix:system", CALL),
        hand_written("nt:system", CALL),
        hand_written("agentlab:os.system", b")\x81)R"),  # a stand-in is not called, whatever its class is named
        hand_written("os.path:os.system", CALL),
        hand_written("builtins:eval", CALL),
        hand_written("builtins:__import__", CALL),
        hand_written("copyreg:__newobj__", CALL),
        hand_written("copyreg:add_extension", CALL),
        hand_written("copyreg:_slotnames", CALL),
        hand_written("functools:partial", CALL),
        hand_written("operator:attrgetter", CALL),
        hand_written("numpy:load", CALL),
        hand_written("numpy.testing._private.utils:runstring", CALL),
        hand_written("my_agent.modes:Mode", CALL),  # another package's: filled with data, not called
        hand_written("importlib:import_module", CALL),
        b"\x80\x04\x8c\x02os\x8c\x06system\x93" + b"\x81.",
        b"\x80\x04\x82\x01.",  # an extension code
        b"\x80\x04(\x8c\x04trueios\nsystem\n.",  # INST
        b"\x80\x04(cos\nsystem\n\x8c\x04trueo.",  # OBJ
        b"\x80\x04\x8c\x02idQ.",  # a persistent id
    ],
)
def test_hostile_programs_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        loads(data)


def test_a_state_never_reaches_methods_or_attributes() -> None:
    filled = b")\x81}(\x8c\x0c__setstate__\x8c\x01x\x8c\x09__class__\x8c\x01y\x8c\x04argsNub"
    read = loads(hand_written("agentlab.a:B", filled))
    assert dict(read) == {"__setstate__": "x", "__class__": "y", "args": None}
    assert read.args == () and type(read).__setstate__ is Standin.__setstate__
    slots = loads(hand_written("agentlab.a:B", b")\x81N}\x8c\x04kind\x8c\x01xs\x86b"))
    assert slots.kind == "agentlab.a.B" and slots == {"kind": "x"}
    for target in ("agentlab.a:B", "datetime:datetime", "copyreg:_reconstructor", "pathlib:PurePosixPath"):
        before = dict(vars(Standin)), dict(vars(datetime.datetime)), dict(vars(pathlib.PurePosixPath))
        with contextlib.suppress(Refused):  # BUILD on the class itself, as if to set its attributes
            loads(hand_written(target, b"N}\x8c\x01zK\x01s\x86b"))
        assert before == (dict(vars(Standin)), dict(vars(datetime.datetime)), dict(vars(pathlib.PurePosixPath)))


def test_a_call_within_a_state_is_refused(tmp_path: Path) -> None:
    inner = Attack(os.system, f"touch {tmp_path / 'ran'}")
    state = pickle.dumps({"x": inner}, 4)[2:-1]
    state = state[9:] if state[:1] == b"\x95" else state
    for made in (b")\x81", b"K\x01\x85R"):
        with pytest.raises(Refused, match="allow-list"):
            loads(hand_written("agentlab.a:B", made, state, b"b"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("n", [3, 31, 32, 33, 5000])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_long_lists_of_numbers_are_skipped_and_nothing_else(n: int, protocol: int) -> None:
    numbers = [(place * 7919) % 70000 for place in range(n)]
    value = {"dom": [numbers, [0.5] * n, numbers], "after": ["x", numbers, "x"], "pair": (1, numbers[:2]), "n": n}
    read = loads(pickle.dumps(value, protocol=protocol))
    assert read["after"][0] == read["after"][2] == "x" and read["n"] == n and read["pair"] == (1, numbers[:2])
    assert len(read["dom"]) == 3 and (read["dom"][0] == numbers if n < 32 else len(read["dom"][0]) in (0, n, n % 1000))


def test_a_large_array_is_never_unrolled() -> None:
    read = loads(pickle.dumps(np.zeros(10**6, dtype=np.uint8)))
    assert len(read.values_read()) < 100


def nested_key(depth: int) -> bytes:
    """A dictionary whose key is a tuple of itself, `depth` times over: hashing it takes 2 ** depth steps."""
    return b"\x80\x04}(K\x01" + b"2\x86" * depth + b"Nu."


def test_no_key_takes_exponential_time() -> None:
    assert loads(nested_key(200)) == {}


def test_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(unpickle, "MAX_INSTRUCTIONS", 1000)
    with pytest.raises(Refused, match="more than 1,000 pickle instructions"):
        loads(b"\x80\x04" + b"]" * 2000 + b".")
    bomb = tmp_path / "step_0.pkl.gz"
    bomb.write_bytes(gzip.compress(bytes(2**24)))
    assert bomb.stat().st_size < 2**16
    with pytest.raises(Refused, match="larger than 7 MB unpacked"):
        load(bomb)
    monkeypatch.setattr(files, "MAX_BYTES", 2**20)
    with pytest.raises(Refused, match="larger than 1 MB unpacked"):
        load(bomb)
    bomb.write_bytes(gzip.compress(b"\x80\x04(" + b"]" * 2**19 + b"l."))
    monkeypatch.setattr(unpickle, "MAX_INSTRUCTIONS", 3_000_000)
    with pytest.raises(Refused, match="pickle instructions"):  # a small file cannot make half a million lists
        load(bomb)


@pytest.mark.parametrize(
    "copy",
    [
        hand_written("builtins:list", b"h\x01\x85R")[2:-1],
        hand_written("builtins:set", b"h\x01\x85R")[2:-1],
        hand_written("_codecs:encode", b"h\x00\x8c\x06latin1\x86R")[2:-1],
        hand_written("pathlib:PurePosixPath", b"h\x00\x85R")[2:-1],
        hand_written("agentlab:A", b")\x81h\x02b")[2:-1],
    ],
    ids=["list", "set", "bytes", "path", "state"],
)
def test_memory_is_in_proportion_to_the_file(copy: bytes) -> None:
    text = b"X" + (100_000).to_bytes(4, "little") + b"a" * 100_000 + b"\x94"
    shared = b"(" + b"N" * 100_000 + b"t\x94"
    state = b"}\x94(" + b"".join(b"J" + n.to_bytes(4, "little") + b"N" for n in range(50_000)) + b"u"
    with pytest.raises(Refused, match="again and again"):
        loads(b"\x80\x04" + text + shared + state + b"(" + copy * 300 + b"t.")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",  # a terabyte of BYTEARRAY8
        b"\x80\x04N" + b"r" + (2**31 - 1).to_bytes(4, "little") + b".",  # a memo of two billion places
        b"\x80\x04\x8d" + (2**50).to_bytes(8, "little") + b"x.",  # a text of a petabyte
    ],
)
def test_nothing_large_is_allocated_for_a_small_file(data: bytes) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(Refused):
        loads(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        loads(data)
    except Refused as refused:
        assert str(refused)


@given(cut=st.integers(0, 400), flip=st.integers(0, 10**6))
def test_damaged_pickles_are_read_or_refused(cut: int, flip: int) -> None:
    data = bytearray(pickle.dumps({"obs": {"axtree_txt": "x" * 50, "n": [1, 2.5, None]}, "action": "click('1')"}))
    data[flip % len(data)] ^= 1 << (flip // len(data)) % 8
    try:
        loads(bytes(data[: len(data) - cut % len(data)]))
    except Refused as refused:
        assert str(refused)


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "step_0.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps(list(range(1000))))[:-20])
    with pytest.raises(Refused, match="cannot be decompressed"):
        load(path)


def test_a_gzip_file_of_very_many_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl.gz"
    path.write_bytes(gzip.compress(b"") * 200_000)  # each of which copies the rest of the file
    with pytest.raises(Refused, match="more than 100 gzip members"):
        load(path)


def test_a_gzip_file_of_several_members_is_read(tmp_path: Path) -> None:
    data = pickle.dumps([str(n) for n in range(1000)])
    path = tmp_path / "step_0.pkl.gz"
    path.write_bytes(gzip.compress(data[:900]) + gzip.compress(data[900:]) + bytes(64))
    assert load(path)[0] == pickle.loads(data)


def test_browsergyms_own_classes_are_read_without_it() -> None:
    loop = pytest.importorskip("browsergym.experiments.loop")
    data = pickle.dumps(loop.StepInfo(step=3, obs={"goal": "g", "active_page_index": np.array([0])}, action="noop()"))
    assert b"StepInfo" in data and pickletools.optimize(data)
    read = loads(data)
    assert read.kind == "browsergym.experiments.loop.StepInfo"
    assert read["step"] == 3 and read["obs"]["goal"] == "g" and read["profiling"].kind.endswith("StepTimestamps")
