"""Rows with screenshots are what TRL's trainers take for vision models: the picture before the user's text, loss on the answer."""

import io
from pathlib import Path

import pytest
from datasets import Dataset, Image
from PIL import Image as Pictures

pytest.importorskip("trl")


def test_trl_puts_the_picture_before_the_text_and_trains_the_answer_alone(tokenizer_folder: Path) -> None:
    from transformers import AutoTokenizer, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    template = (
        "{% for message in messages %}<|start|>{{ message['role'] }}\n{% for part in message['content'] %}"
        "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    )
    square = {"height": 28, "width": 28}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=square), tokenizer, patch_size=14, image_token="<image>",
        vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=template,
    )  # fmt: skip
    png = io.BytesIO()
    Pictures.new("RGB", (30, 20), (1, 2, 3)).save(png, "PNG")
    row = {
        "prompt": [{"role": "system", "content": "You act."}, {"role": "user", "content": "Press [a1]."}],
        "completion": [{"role": "assistant", "content": "<action>\nclick('a1')\n</action>"}],
        "image": {"bytes": png.getvalue(), "path": None},
    }
    rows = Dataset.from_list([row]).cast_column("image", Image())
    batch = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)([rows[0]])
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    assert batch["pixel_values"].shape == (1, 3, 28, 28)
    assert tokenizer.decode(ids[labels != -100]) == "<action>\nclick('a1')\n</action><|end|>\n"
    assert "<|start|>user\n<image><image><image><image>Press [a1].<|end|>" in tokenizer.decode(ids)
