"""What stands under each figure: the axes in words, and what to read from them."""


def _text(text: str) -> str:
    return " ".join(text.split())


CAPTIONS = {
    "depth_profile": _text("""
        Across: layer. Up: the share of the variance of hidden states that depends on position alone, with the
        number of texts corrected for, so that noise has share 0 (M4). Position 0 is left out unless said
        otherwise. The raw stream has one point more, after the last layer. Bars: 95 % intervals by leaving out
        texts.
    """),
    "baselines": _text("""
        As above, against baselines (M7). The untrained twin has the same configuration and fresh weights: what
        the architecture does by itself. The shuffled text has the same tokens in a random order: what is left
        of position there hangs on no meaning.
    """),
    "gains": _text("""
        Across: layer. Up: the share of position in what a projection returns over that in what it is given
        (M1). 1 is what a projection without regard to position has: above it position is read, below it left
        out. Where the input has too little of it for a ratio there is no point.
    """),
    "logit_bars": _text("""
        Down: layer. Across: shares of the variance of attention logits over all heads (M6). Position is what
        all texts have in common in a cell of the attention matrix: relative if it is a function of the distance
        between query and key, absolute if not. Content is the rest.
    """),
    "shift_lines": _text("""
        Across: layer. Up: the share of the change that is the same for all texts when the positions of a text
        are moved by a few (M5). 1: position is one fixed push. 0: what a move does hangs on the text.
    """),
    "probe_lines": _text("""
        Across: layer. How well linear probes, fitted on three quarters of the texts, find the slot of a token
        in the others (M12). Chance is that of the exact slot.
    """),
}
