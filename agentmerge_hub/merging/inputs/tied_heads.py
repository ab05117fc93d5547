"""Whether a stored output head is the same as the embeddings it is tied to, to the bit."""

from agentmerge_hub.merging.inputs.adapter import AdaptedTensor
from agentmerge_hub.merging.inputs.safetensors_header import Tensor
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader, chunks


def head_equals_embeddings(head: Tensor | AdaptedTensor, embeddings: Tensor | AdaptedTensor) -> bool:
    """Compare two tensors of one model, chunk by chunk."""
    if head.shape != embeddings.shape or head.dtype != embeddings.dtype:
        return False
    with TensorReader() as reader:
        return all(
            reader.values(head, begin, end).equal(reader.values(embeddings, begin, end))
            for begin, end in chunks(head.count)
        )
