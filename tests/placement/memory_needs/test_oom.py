from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from orchestrator.placement.admission.ordering import Want
from orchestrator.placement.memory_needs.oom import (
    MOST_RETRIES,
    RAISES,
    Kind,
    classify,
    figures,
    retry,
)
from orchestrator.placement.model import Need

GIB = 1 << 30
MIB = 1 << 20

TORCH_1 = (
    "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity; "
    "5.20 GiB already allocated; 1.05 GiB free; 5.41 GiB reserved in total by PyTorch)"
)
TORCH_2 = (
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a "
    "total capacty of 23.69 GiB of which 12.56 MiB is free. Process 71 has 1.20 GiB memory in use. "
    "Including non-PyTorch memory, this process has 22.47 GiB memory in use. Of the allocated "
    "memory 21.90 GiB is allocated by PyTorch, and 100.00 MiB is reserved but unallocated."
)
TORCH_3 = TORCH_2.replace("torch.cuda.OutOfMemoryError", "torch.OutOfMemoryError")
JAX = (
    "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to "
    "allocate 8589934592 bytes."
)
TRACEBACK = "Traceback (most recent call last):\n  File 'train.py', line 3, in <module>\n    f()\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (TORCH_1, "gpu"),
        (TORCH_2, "gpu"),
        (TORCH_3, "gpu"),
        ("RuntimeError: CUDA error: out of memory\nCUDA kernel errors might be reported", "gpu"),
        ("cuda runtime error (2) : out of memory at /tmp/THCCachingHostAllocator.cpp:278", "gpu"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "gpu"),
        (
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`",
            "gpu",
        ),
        ("torch.AcceleratorError: CUDA error: out of memory", "gpu"),
        ("HIP out of memory. Tried to allocate 1.00 GiB", "gpu"),
        ("RuntimeError: MPS backend out of memory (MPS allocated: 17.98 GB)", "gpu"),
        ("cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 80,000,000 bytes", "gpu"),
        ("numba.cuda.cudadrv.driver.CudaAPIError: [2] ... CUDA_ERROR_OUT_OF_MEMORY", "gpu"),
        ("GPUassert: cudaMalloc failed: out of memory", "gpu"),
        (
            "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating "
            "tensor with shape[64,512] on /job:localhost/replica:0/task:0/device:GPU:0 by "
            "allocator GPU_0_bfc [Op:Mul]",
            "gpu",
        ),
        (
            "ResourceExhaustedError: OOM when allocating tensor with shape[64] on /device:CPU:0",
            "host",
        ),
        (JAX, "gpu"),
        ("2026-01-01 W RESOURCE_EXHAUSTED: Failed to allocate request for 2.0GiB", "gpu"),
        ("grpc: RESOURCE_EXHAUSTED: Received message larger than max (5 vs. 4)", None),
        ("MemoryError", "host"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.4 GiB", "host"),
        ("OSError: [Errno 12] Cannot allocate memory", "host"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "host"),
        ("RuntimeError: [enforce fail] . DefaultCPUAllocator: can't allocate memory: you", "host"),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low", "host"),
        ("Workers (tasks / actors) killed due to memory pressure (OOM)", "host"),
        ("Memory cgroup out of memory: Killed process 12 (python)", "host"),
        ("ValueError: shapes do not match", None),
        ("the process was killed by SIGKILL (the system may have run out of memory)", None),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", None),
        ("epoch 3: gpu memory 12 GiB, out of 24", None),
        ("", None),
    ],
)
def test_texts(text: str, kind: Kind | None) -> None:
    assert classify(text) == kind
    assert classify(f"epoch 1\n{TRACEBACK}{text}\n") == kind
    assert classify(f"[rank0]: {text}") == kind


def test_a_kill_by_the_memory_guard_is_told_by_its_counter() -> None:
    assert classify("", sigkill=True, oom_kills=1) == "host"
    assert classify("", sigkill=True) is None
    assert classify("ValueError: x", oom_kills=1) is None


def test_one_that_was_survived_is_no_cause() -> None:
    caught = f"{TORCH_3}\nhalving the batch\nepoch 1: 0.3\n"
    assert classify(caught + TRACEBACK + "KeyError: 'x'") is None
    assert classify(caught + TRACEBACK + "KeyError: 'x'\n" + TRACEBACK + TORCH_3) == "gpu"


def test_one_that_led_to_another_failure_is_the_cause() -> None:
    during = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert classify(TORCH_3 + during + TRACEBACK + "RuntimeError: cannot clean up") == "gpu"
    wrapper = "\nsubprocess.CalledProcessError: Command '['python']' returned 1"
    assert classify(TORCH_3 + wrapper) == "gpu"


def test_figures() -> None:
    assert figures(TORCH_1).asked_bytes == 2 * GIB
    assert figures(TORCH_1).held_bytes == int(5.41 * GIB)
    assert figures(TORCH_2).peak_bytes == 20 * MIB + int(22.47 * GIB)
    assert figures(JAX).peak_bytes == 8 * GIB
    assert figures("ValueError: 3 GiB").peak_bytes == 0


@given(st.none() | st.integers(1, 1 << 45), st.integers(0, 1 << 45))
def test_a_raised_need_is_half_more_and_no_less_than_what_was_seen(
    given_bytes: int | None, peak: int
) -> None:
    found = again(given_bytes, peak, greatest_bytes=1 << 60)
    assert found is not None
    raised = found.need.memory_bytes
    assert raised is not None
    assert raised >= max(1, 1.5 * (given_bytes or 0), peak)
    assert raised <= max(1, 1.5 * (given_bytes or 0) + 1, peak)


def again(given_bytes: int | None, peak: int = 0, **options: object) -> Want | None:
    details = {"greatest_bytes": 24 * GIB, "was_alone": False, "retries": 0, **options}
    return retry(given_bytes, peak, **details)  # type: ignore[arg-type]


def test_how_a_trial_is_tried_again() -> None:
    assert again(8 * GIB) == Want(Need(12 * GIB, "measured"), alone=False)
    assert again(8 * GIB, 13 * GIB) == Want(Need(13 * GIB, "measured"), alone=False)
    nearly_all = Want(Need(int(0.95 * 24 * GIB), "measured"), alone=True)
    assert again(20 * GIB) == again(8 * GIB, retries=RAISES) == nearly_all
    assert again(23.5 * GIB) == Want(Need(23.5 * GIB, "measured"), alone=True)  # type: ignore[arg-type]
    assert again(8 * GIB, retries=MOST_RETRIES) is None
    # It had a card to itself, but its slot was small.
    assert again(8 * GIB, was_alone=True) == Want(Need(12 * GIB, "measured"), alone=False)
    assert again(23.5 * GIB, was_alone=True) is None  # type: ignore[arg-type]
    assert again(None, was_alone=True) is None


@given(st.integers(1, 40 * GIB), st.integers(0, 40 * GIB), st.integers(1, 40 * GIB), st.booleans())
def test_trying_again_ends(given_bytes: int, peak: int, greatest: int, was_alone: bool) -> None:
    retries = 0
    while True:
        found = again(
            given_bytes, peak, greatest_bytes=greatest, was_alone=was_alone, retries=retries
        )
        if found is None:
            break
        assert found.need.memory_bytes is not None
        assert found.need.memory_bytes <= greatest
        given_bytes = greatest if found.alone else found.need.memory_bytes
        retries += 1
    assert retries <= MOST_RETRIES
