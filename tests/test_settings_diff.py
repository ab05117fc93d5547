"""Two runs' settings are compared key by key."""

from agentmerge_hub.settings_diff import differences

EARLIER = {"weight_decay": 0.0, "logging_steps": 10, "model": {"dtype": "float32", "lora_r": None}, "kwargs": {}}


def test_every_difference_is_named_with_both_values() -> None:
    now = {"weight_decay": 0.1, "logging_steps": 5, "model": {"dtype": "float32", "lora_r": 8}, "warmup": 3}
    assert differences(EARLIER, now, may_differ=("logging_steps",)) == [
        "kwargs is not set, was {}",
        "model.lora_r is 8, was None",
        "warmup is 3, was not set",
        "weight_decay is 0.1, was 0.0",
    ]


def test_equal_settings_and_allowed_ones_differ_in_nothing() -> None:
    assert differences(EARLIER, EARLIER) == []
    assert differences(EARLIER, {**EARLIER, "model": {"dtype": "bfloat16"}}, may_differ=("model",)) == []
