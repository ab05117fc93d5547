"""Recognizes the text of a license: a text is a copy only if it holds every clause listed for that license.

The clauses are short quotes from different sections of each license text, as words in lower case without punctuation.
"""

import re

_LLAMA = (
    "means the terms and conditions for use reproduction distribution and modification of the llama materials set forth herein",
    "you are granted a non exclusive worldwide non transferable and royalty free limited license under meta s intellectual property",
    "provide a copy of this agreement with any such llama materials",
    "you must retain in all copies of the llama materials that you distribute the following attribution notice",
    "adhere to the acceptable use policy for the llama materials",
    "is greater than 700 million monthly active users in the preceding calendar month",
    "in no event will meta or its affiliates be liable under any theory of liability",
    "neither meta nor licensee may use any name or mark owned by or associated with the other",
    "upon termination of this agreement you shall delete and cease use of the llama materials",
    "the courts of california shall have exclusive jurisdiction of any dispute arising out of this agreement",
)
_LLAMA_NAMED = (
    *_LLAMA,
    "prominently display built with llama on a related website",
    "at the beginning of any such ai model name",
)
_QWEN = (
    "by clicking to agree or by using or distributing any portion or element of the qwen materials",
    "shall mean a natural person or legal entity exercising the rights granted by this agreement",
    "the terms and conditions for use reproduction distribution and modification of the materials as defined by this agreement",
    "built with qwen or improved using qwen",
)

CLAUSES: dict[str, tuple[str, ...]] = {
    "llama3": (
        *_LLAMA,
        "meta llama 3 version release date april 18 2024",
        "prominently display built with meta llama 3 on a related website",
        "to improve any other large language model excluding meta llama 3 or derivative works thereof",
    ),
    "llama3.1": (*_LLAMA_NAMED, "llama 3 1 version release date july 23 2024", "licensed under the llama 3 1 community license"),
    "llama3.2": (*_LLAMA_NAMED, "llama 3 2 version release date september 25 2024", "licensed under the llama 3 2 community license"),
    "llama3.3": (*_LLAMA_NAMED, "llama 3 3 version release date december 6 2024", "licensed under the llama 3 3 community license"),
    "llama4": (*_LLAMA_NAMED, "llama 4 version effective date april 5 2025", "licensed under the llama 4 community license"),
    "gemma": (
        "gemma terms of use",
        "any portion or element of gemma",
        "you must include the use restrictions referenced in section 3 2 as an enforceable provision in any agreement",
        "you must provide all third party recipients of gemma or model derivatives a copy of this agreement",
        "you must cause any modified files to carry prominent notices stating that you modified the files",
        "must be accompanied by a notice text file that contains the following notice",
        "for the restricted uses set forth in the gemma prohibited use policy",
        "google reserves the right to restrict remotely or otherwise usage of any of the gemma services",
    ),
    "qwen": (*_QWEN, "qwen license agreement release date september 19 2024", "100 million monthly active users"),
    "qwen-research": (
        *_QWEN,
        "qwen research license agreement release date september 19 2024",
        "non commercial shall mean for research or evaluation purposes only",
    ),
}  # fmt: skip
"""License id → clauses. Every license that requires a copy of its text has an entry."""


def missing_clauses(license: str, text: str) -> list[str]:
    """Clauses of a license that a text lacks; empty for a complete copy.

    Args:
        license: a key of `CLAUSES`.
    """
    words = " ".join(re.findall(r"[a-z0-9]+", text.casefold()))
    return [clause for clause in CLAUSES[license] if clause not in words]
