"""Untrusted pickles: data comes out, nothing is ever run, and what cannot be read says why."""

import collections
import contextlib
import datetime
import gzip
import os
import pathlib
import pickle
import pickletools
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.traces import unpickle
from agentmerge_hub.traces.standins import Array, Refused, Standin
from agentmerge_hub.traces.unpickle import load, loads

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
    monkeypatch.setattr(unpickle, "MAX_BYTES", 2**20)
    bomb = tmp_path / "step_0.pkl.gz"
    bomb.write_bytes(gzip.compress(bytes(2**24)))
    assert bomb.stat().st_size < 2**16
    with pytest.raises(Refused, match="larger than 1 MB unpacked"):
        load(bomb)


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


def test_browsergyms_own_classes_are_read_without_it() -> None:
    loop = pytest.importorskip("browsergym.experiments.loop")
    data = pickle.dumps(loop.StepInfo(step=3, obs={"goal": "g", "active_page_index": np.array([0])}, action="noop()"))
    assert b"StepInfo" in data and pickletools.optimize(data)
    read = loads(data)
    assert read.kind == "browsergym.experiments.loop.StepInfo"
    assert read["step"] == 3 and read["obs"]["goal"] == "g" and read["profiling"].kind.endswith("StepTimestamps")
