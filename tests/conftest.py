"""Real parts for the tests: a tokenizer trained here, the real traces where they are."""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# No test judges the clock, and a run can be repeated; `pytest --hypothesis-profile explore` looks for new counterexamples.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=3000)
settings.load_profile("repeatable")
os.environ.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="0", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true")

REAL_TRACES = Path(os.environ.get("AGENTMERGE_REAL_TRACES", Path(__file__).parents[2] / "shared" / "real-traces"))


@pytest.fixture(scope="session")
def real_traces() -> Path:
    """The folder of real traces; tests that need it are skipped without it."""
    if not REAL_TRACES.is_dir():
        pytest.skip(f"no real traces at {REAL_TRACES}: set AGENTMERGE_REAL_TRACES")
    return REAL_TRACES


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with a chat template, trained on the project's own prompts."""
    from made_tokenizers import CHAT_TEMPLATE
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|bos|>", "<|end|>", "<|pad|>", "<|start|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(path) for path in Path(__file__).parent.rglob("*.py")], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    fast.chat_template = CHAT_TEMPLATE
    folder = tmp_path_factory.mktemp("tokenizer")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def wild_traces() -> Path:
    """The folder of public trajectories in other formats; tests that need it are skipped without it."""
    folder = Path(os.environ.get("AGENTMERGE_WILD_TRACES", Path(__file__).parents[2] / "shared" / "wild-traces"))
    if not folder.is_dir():
        pytest.skip(f"no trajectories at {folder}: set AGENTMERGE_WILD_TRACES")
    return folder


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """A function that mounts a real file system of so many bytes, and files and folders."""
    place = tmp_path_factory.mktemp("disk")

    def mount(size: int, files: int = 1000) -> Path:
        options = f"size={size},nr_inodes={files}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip("mounting a small file system takes root")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True)


@pytest.fixture
def permissions_obeyed() -> Iterator[None]:
    """Root without the two capabilities that let it open what a file's permissions forbid; nothing changes for another user."""
    libc, header, data = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if os.geteuid() == 0:
        libc.capget(header, data)  # effective, permitted and inheritable capabilities, 32 bits each, then 32 more
        given = data[0]
        data[0] = given & ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of Linux's capability.h
        libc.capset(header, data)
    yield
    if os.geteuid() == 0:
        data[0] = given
        libc.capset(header, data)
