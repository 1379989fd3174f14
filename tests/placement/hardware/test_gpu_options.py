from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.placement.hardware.gpu_options import choose, hypothetical
from orchestrator.placement.model import Device

GIB = 1 << 30
PRESENT = [Device(str(i), f"Card {i}", GIB, GIB, uuid=f"GPU-{'aab'[i]}{i}") for i in range(3)]


def test_hypothetical_cards_are_empty_and_numbered() -> None:
    cards = hypothetical(["16GB", "24GB:RTX 3090", '8GiB:"A2000"'])
    assert [(card.id, card.name, card.total_bytes // GIB) for card in cards] == [
        ("0", "", 16),
        ("1", "RTX 3090", 24),
        ("2", "A2000", 8),
    ]
    assert all(card.free_bytes == card.total_bytes for card in cards)
    assert [str(card) for card in cards[:2]] == ["GPU 0", "GPU 1 (RTX 3090)"]


def test_cards_may_name_their_host() -> None:
    cards = hypothetical(["a:24GB", "b:16GB:RTX 4080", "a:24GB"])
    assert [(card.node, card.id, card.name) for card in cards] == [
        ("a", "0", ""),
        ("b", "0", "RTX 4080"),
        ("a", "1", ""),
    ]
    assert len({card.key for card in cards}) == 3
    with pytest.raises(UsageError, match="some GPUs name a host and others do not"):
        hypothetical(["a:24GB", "16GB"])


@pytest.mark.parametrize("text", ["16", "RTX 3090", "", "0GB", ":name"])
def test_a_card_without_a_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--gpu .*expected a size"):
        hypothetical([text])


def test_cards_are_chosen_by_index_or_uuid() -> None:
    assert [device.id for device in choose(PRESENT, "2, 0")] == ["2", "0"]
    assert [device.id for device in choose(PRESENT, "GPU-b2,GPU-a1")] == ["2", "1"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("0,7", "no GPU '7' (found: GPU 0 (Card 0), GPU 1 (Card 1), GPU 2 (Card 2))."),
        ("GPU-a", "several GPUs share 'GPU-a'"),
        ("GPU-x", "no GPU 'GPU-x'"),
        ("", "no GPU ''"),
        ("0,0", "'0' is named twice. Name each GPU once."),
    ],
)
def test_a_wrong_choice_names_those_present(wanted: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(PRESENT, wanted)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_instances_are_chosen_one_by_one_or_by_their_gpu() -> None:
    parts = [Device(f"1:{i}", "", GIB, GIB, uuid=f"MIG-{i}") for i in range(2)]
    whole = Device("10", "", GIB, GIB, uuid="GPU-1")
    devices = [*parts, whole]
    assert choose(devices, "1:1,10") == [parts[1], whole]
    assert choose(devices, "MIG-0") == [parts[0]]
    assert choose(devices, "1") == parts
    with pytest.raises(UsageError, match="several GPUs share 'MIG-'"):
        choose(devices, "MIG-")
    with pytest.raises(UsageError, match="'1' is named twice"):
        choose(devices, "1:0,1")
    with pytest.raises(UsageError, match="no GPU '1:'"):
        choose(devices, "1:")


def test_choosing_from_no_gpus() -> None:
    with pytest.raises(UsageError, match="there is no GPU to use here"):
        choose([], "0")
