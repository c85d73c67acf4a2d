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
        between query and key, absolute if not. Content is the rest. Slot 0, where many heads park their attention, is
        left out.
    """),
    "shift_lines": _text("""
        Across: layer. Up: the share of the change that is the same for all texts when the positions of a text
        are moved by a few (M5). 1: position is one fixed push. 0: what a move does hangs on the text.
    """),
    "probe_lines": _text("""
        Across: layer. How well linear probes, fitted on three quarters of the texts, find the slot of a token
        in the others (M12). Chance is that of the exact slot.
    """),
    "movie_depth": _text("""
        Up: the share of position in the variance of what each layer's attention reads, noise corrected for, with
        position 0.
    """),
    "movie_tables": _text("""
        Up: the overlap of token and position space over that of random rotations, which is 1 by chance; and the share
        of the variance of tokens and of positions that a linear reader gets back from their sum.
    """),
    "movie_gain": _text("""
        Up: the share of position in what a projection of the first layer returns over that in what it is given; 1
        is what a projection without regard to position has.
    """),
    "noise": _text("""
        Across: the size of Gaussian noise on the sum of a token and a position, in multiples of the least step between
        two positions, spread over all columns. Up: the share that is decoded rightly by the nearest rows (M3). Where
        the pair falls below both of the others, summing has cost something that could have been read had the two been
        kept apart. Bars: Wilson's 95 % intervals.
    """),
    "spectrum": _text("""
        Across: the strongest directions of a table, so many of them. Up: the share of its variance that they hold
        (M11). The sooner a line rises, the fewer directions the table needs; the straight share is that of a table
        without a preferred direction.
    """),
    "cosines": _text("""
        Across: how far apart two positions are. Up: the mean cosine of their vectors, less the mean of all (M11). A
        line that falls slowly is a table that changes slowly; one that swings below zero and back has waves.
    """),
    "waves": _text("""
        Across: cycles over the whole table. Up: the share of its variance that waves of so many cycles or fewer hold
        (M11). Smooth tables are at the top at once; rows without any order are not.
    """),
    "lengths": _text("""
        Across: position. Up: the length of its vector, at 64 positions at most (M11). The first is often unlike the
        others; rows that were hardly trained are short.
    """),
}
