"""M8, M9 and the favourite tokens of positions for a setting: numbers, and lists of words beside them."""

from typing import Any

from torch import Tensor, nn

from locant.xray.detect import Tables
from locant.xray.favourites import Favoured, favourites, tied_logits
from locant.xray.metric import Metric, absent, prefixed
from locant.xray.moments import Moments
from locant.xray.ranking import StaticRanking, static_ranking
from locant.xray.readers import evenly
from locant.xray.setting import Setting
from locant.xray.words import PLACES, Finish, WordCard, population, word_card, word_metrics

Listing = dict[str, Any]
SHOWN = 12  # tokens of a ranking
FAVOURED = 3  # tokens that a position raises, and that it lowers


def listing(identifier: str, title: str, caption: str, heads: list[str], rows: list[list[str]], *,
            text: bool = False) -> Listing:  # fmt: skip
    """A table of words for the page; `text`: its cells are to be set as text and not as numbers."""
    return {"id": identifier, "title": title, "caption": caption, "heads": heads, "rows": rows, "text": text}


def card_ids(setting: Setting, rows: int) -> dict[str, int]:
    """The words that were asked for, by their token ids.

    Raises:
        ValueError: for an id that the table does not have, or two words that are one token.
    """
    words = setting.source.words
    ids = {} if words is None else {word: words.single(word) for word in setting.words}
    for word, token in ids.items():
        if token >= rows:
            raise ValueError(f"expected a token id below {rows} for {word!r}, was: {token}")
    if len(set(ids.values())) < len(ids):
        raise ValueError(f"expected words of different tokens, was: {', '.join(ids)}")
    return ids


def card(found: Tables, positions: Tensor, ids: dict[str, int]) -> tuple[dict[str, Metric], WordCard | None]:
    """`word_metrics` of the given words in sums with these positions, and for each word (`within.WORD`) and each two
    (`between.WORD.WORD`) the extreme cosine, the mean in the note; nothing if there are no words."""
    if not ids or found.tokens is None:
        return {}, None
    rows = found.tokens[list(ids.values())].double() * found.scale
    named = {word: index for index, word in enumerate(ids)}
    made = word_card(rows, positions, named, finish=whole_sum(found))
    metrics, places = word_metrics(made), len(positions)
    for word, (least, mean) in made.within.items():
        note = f"least cosine of the word with itself at two of n positions; mean {mean:.4g}"
        metrics[f"within.{word}"] = Metric(least, n=places, note=note)
    for (one, two), (most, mean) in made.between.items():
        note = f"greatest cosine of both at any two of n positions; mean {mean:.4g}"
        metrics[f"between.{one}.{two}"] = Metric(most, n=places, note=note)
    return metrics, made


def whole_sum(found: Tables) -> Finish:
    """Adds what the model adds to every sum, such as a token type: cosines depend on it."""
    constant = found.constant.double()
    return lambda sums: sums + constant


def card_listing(whole: WordCard, without: WordCard | None) -> Listing:
    """The card as a list: every word and every pair, with and without position 0."""

    def cells(key: Any, kind: str) -> list[str]:
        known = [getattr(made, kind) for made in (whole, without) if made is not None]
        return [cell for each in known for cell in (f"{each[key][0]:.4f}", f"{each[key][1]:.4f}")]

    rows = [[f"{word} with itself, least and mean", *cells(word, "within")] for word in whole.within]
    rows += [[f"{one} with {two}, greatest and mean", *cells((one, two), "between")] for one, two in whole.between]
    heads = ["cosine of", "extreme", "mean", *(["extreme, without 0", "mean, without 0"] if without else [])]
    strict = {True: "Every word stays closer to itself, wherever it stands, than to any other word.",
              False: "Some word somewhere is closer to another word than to itself.", None: ""}  # fmt: skip
    caption = f"Cosines of the sums of a word and a position, as they enter the model (M8). {strict[whole.strict]}"
    if without is not None and without.strict is not whole.strict:
        caption += f" Without position 0: {strict[without.strict].lower()}"
    return listing("words", "Your words in different places", caption.strip(), heads, rows)


def words_and_turns(setting: Setting, w: Tensor, p: Tensor, of_tokens: Moments, of_positions: Moments,
                    ids: Tensor | None, pairs: int, work: int) -> tuple[dict[str, Metric], StaticRanking]:  # fmt: skip
    """M8 for sampled words, M9 before the first layer, and what positions do to a tied head.

    The ranking takes at most 512 positions, evenly spread, and as many tokens as `work` multiply-adds allow.
    """
    found = prefixed("M8", population(w, p, of_tokens, of_positions, finish=whole_sum(setting.tables), pairs=pairs,
                                      neighbours=min(256, len(w)), seed=setting.seed))  # fmt: skip
    places = evenly(len(p), PLACES)
    some = evenly(len(w), max(1000, work // (len(places) * p.shape[1])))
    ranked = static_ranking(w[some] if len(some) < len(w) else w, p[places].double() + setting.tables.constant.double(),
                            ids=some if ids is None else ids[some],
                            centre=has_layer_norm(setting.source.model))  # fmt: skip
    found |= prefixed("M9", ranked.metrics)
    if setting.source.facts.get("tie_word_embeddings") is False:
        return found | {"T3.tied_logit": absent("the output head is not tied to the token table")}, ranked
    return found | prefixed("T3", tied_logits(of_tokens, of_positions)), ranked


def has_layer_norm(model: nn.Module) -> bool:
    """Whether the model's norms take off the mean over columns; not so with norms by the root mean square."""
    return any(isinstance(module, nn.LayerNorm) for module in model.modules())


def turning_listing(setting: Setting, ranked: StaticRanking) -> list[Listing]:
    """M9 before the first layer as a list; empty if there is no reliable ranking."""
    if not ranked.most:
        return []
    pairs = zip(ranked.most[:SHOWN], ranked.least[:SHOWN], strict=True)
    rows = [[name(setting, most[0]), f"{most[1]:.4f}", name(setting, least[0]), f"{least[1]:.4f}"]
            for most, least in pairs]  # fmt: skip
    caption = ("Tokens that position turns the most and the least as they enter the first layer, beyond what their "
               "length explains. 0: never turned; 1: all directions cancel out (M9).")  # fmt: skip
    heads = ["turned most", "by", "turned least", "by"]
    return [listing("turning", "Tokens that position turns", caption, heads, rows)]


def favourite_listing(setting: Setting, w: Tensor, p: Tensor, of_positions: Moments,
                      ids: Tensor | None) -> list[Listing]:  # fmt: skip
    """Favourite tokens of a few positions; empty if the head is known not to be tied."""
    if setting.source.facts.get("tie_word_embeddings") is False or of_positions.total == 0:
        return []
    last = len(p) - 1
    places = sorted({0, 1, 2, last // 4, last // 2, last} & set(range(len(p))))

    def told(rows: tuple[tuple[int, float], ...]) -> str:
        return " ".join(f"{name(setting, row if ids is None else int(ids[row]))} ({value:+.2g})" for row, value in rows)

    def line(each: Favoured) -> list[str]:
        return [str(each.position), told(each.most), told(each.least)]

    found = favourites(w, p, of_positions.mean, places, top=FAVOURED)
    caption = ("The logit that a position vector would add to a token, were it to reach a head tied to the token "
               "table unchanged, less the mean over positions (P W').")  # fmt: skip
    heads = ["position", "raises", "lowers"]
    return [listing("favourites", "Tokens that a position favours", caption, heads, [line(each) for each in found],
                    text=True)]  # fmt: skip


def name(setting: Setting, token: int) -> str:
    """What a token id stands for, or the id itself."""
    words = setting.source.words
    return str(token) if words is None else (words.piece(token).strip() or repr(words.piece(token)))
