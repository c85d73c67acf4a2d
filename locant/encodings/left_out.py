"""Methods of the field that the catalogue does not have, and why."""

LEFT_OUT: tuple[tuple[str, str, str], ...] = (
    # What the catalogue says in other words.
    ("CABLE", "arXiv:2503.08067", "as its code has it, it is `forgetting` with the sign of the gate's weights turned"),
    ("segment or token-type embeddings", "arXiv:1810.04805", "a number per token on an axis of its own: "
     "`on_axis(add(learned(limit=2)), axis=1)`"),
    ("position coupling", "arXiv:2405.20671", "a numbering that the task knows, with any encoding of the catalogue"),
    ("learned frequencies (LeRoPE, commuting GRAPE)", "arXiv:2607.10134; arXiv:2512.07805",
     "`cayley_string` with its basis at the start, `rotary_mixed` on several axes"),
    ("LM-Infinite, StreamingLLM", "arXiv:2308.16137; arXiv:2309.17453",
     "who is seen and what is kept in the cache, which is attention's to decide; `rerope` has the clipped distance"),
    ("Dual Chunk Attention", "arXiv:2402.17463", "chunks of the text set the distance; of that kind is `self_extend`"),
    # What no function of one token and its position can be.
    ("FLOATER", "arXiv:2003.09229", "a differential equation solved from position to position, which needs a solver"),
    ("TAPE", "arXiv:2501.00712", "positions are tensors that attention of every layer rewrites, not inputs"),
    ("CPVT, wav2vec 2.0 convolutions", "arXiv:2102.10882; arXiv:2006.11477",
     "neighbours in the stream are mixed before attention: a layer of the model, and decoding needs its state"),
    ("Gate-CNN fusion", "arXiv:2601.05807", "its gate reads the position vectors of neighbouring tokens"),
    ("complex word embeddings", "arXiv:1912.12333", "needs the ids of tokens, and complex layers throughout"),
    ("three-stream encoder", "arXiv:2605.30022", "an architecture; `beside` is its read-only stream"),
    ("TUPE's and DIET's segments in the scores", "arXiv:2104.08698", "documents never see each other here"),
    # What would need a trained model or a search.
    ("LongRoPE's search", "arXiv:2402.13753", "`longrope` takes the factors; finding them takes a trained model"),
    ("CLEX", "arXiv:2310.16450", "frequencies by a differential equation in the length, which no encoding is told"),
    ("DoPE", "arXiv:2511.09146", "chooses heads of a trained model by the entropy of their scores"),
    # What could not be confirmed by the paper's text or the authors' code.
    ("GRAPE-AP", "arXiv:2512.07805", "the released code multiplies plain queries with rotated keys, so that it depends "
     "on where a text starts, while the paper claims a relative law; which of them is meant could not be confirmed"),
    ("HoPE, hyperbolic", "arXiv:2509.05218", "only its abstract was at hand"),
    ("HoPE, hybrid for video", "arXiv:2505.20444", "only its abstract was at hand"),
    ("TAPA", "arXiv:2509.12635", "only its abstract was at hand"),
    ("ComRoPE", "arXiv:2506.03737", "formula not confirmed; `cayley_string` learns commuting rotations"),
    ("Circulant-STRING", "arXiv:2502.02562 eq. 11", "the paper finds it behind `cayley_string`, which is here"),
    ("Periodic RoPE", "arXiv:2605.27980", "only its abstract was at hand"),
    ("Jordan-RoPE", "arXiv:2605.04217", "only its abstract was at hand"),
)  # fmt: skip
"""``(name, source, reason)`` of each."""
