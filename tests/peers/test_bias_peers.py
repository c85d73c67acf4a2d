"""Biases against the packages that have them. Where a package is wrong, its value stands beside ours."""

import pytest
import torch
from oracle import loops
from support import VOCABULARY, decode, named, noise, same, some_tokens
from torch import Tensor

from locant import encodings as e
from locant.model.attend import Visibility, dense, grids

pytest.importorskip("transformers")
pytest.importorskip("x_transformers")

CPU = torch.device("cpu")
TIME = 40


def bias(encoding: e.PositionalEncoding, heads: int, time: int = TIME, q: Tensor | None = None, x: Tensor | None = None,
         start: int = 0) -> Tensor:  # fmt: skip
    """What an encoding adds to the scores of all pairs, the future included in what is returned only."""
    q = torch.zeros(1, heads, time, 8) if q is None else q
    where = torch.arange(start, start + time)[None]
    notes = None if x is None else encoding.notes(x, where)
    pairs = e.Pairs(q, q, where, where, lambda b, h, i, j: j <= i, notes, notes, q.shape[-1] ** -0.5)
    mod = encoding.score_mod(pairs)
    assert mod is not None
    return mod(torch.zeros(()), *grids(q.shape[0], heads, time, time, CPU)).expand(q.shape[0], heads, time, time)


def drawn(encoding: e.PositionalEncoding) -> e.PositionalEncoding:
    with torch.no_grad():
        for seed, parameter in enumerate(encoding.parameters()):
            parameter.copy_(noise(*parameter.shape, seed=seed))
    return encoding


@pytest.mark.parametrize(("buckets", "furthest"), [(32, 128), (8, 20), (4, 9)])
@pytest.mark.parametrize("decoder", [True, False])
@torch.no_grad()
def test_t5(decoder: bool, buckets: int, furthest: int) -> None:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention
    from x_transformers.x_transformers import RelativePositionBias

    ours = drawn(e.T5(3, buckets=buckets, max_distance=furthest, bidirectional=not decoder))
    config = T5Config(num_heads=3, d_kv=8, d_model=24, relative_attention_num_buckets=buckets,
                      relative_attention_max_distance=furthest, is_decoder=decoder)  # fmt: skip
    peer = T5Attention(config, has_relative_attention_bias=True)
    other = RelativePositionBias(1.0, causal=decoder, num_buckets=buckets, max_distance=furthest, heads=3)
    for theirs in (peer, other):
        theirs.relative_attention_bias.weight.copy_(ours.weight)
    found = bias(ours, 3, 300)
    assert torch.equal(found, peer.compute_bias(300, 300))
    assert torch.equal(found[0], other(300, 300))
    assert torch.equal(found[:, :, -1:], peer.compute_bias(1, 300, past_seen_tokens=299))


@pytest.mark.parametrize("heads", [1, 3, 6, 8, 12, 40])
@torch.no_grad()
def test_alibi(heads: int) -> None:
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from x_transformers.x_transformers import AlibiPositionalBias

    ours = bias(e.Alibi(heads), heads)
    same(ours[0], AlibiPositionalBias(heads)(TIME, TIME))
    # BLOOM adds slope x position of the key, the same for every query: equal after a causal softmax, and only then.
    theirs = build_alibi_tensor(torch.ones(1, TIME), heads, torch.float32).view(1, heads, 1, TIME)
    hidden = torch.ones(TIME, TIME).triu(1).bool()
    rows = [x.expand_as(ours).masked_fill(hidden, -torch.inf).softmax(-1) for x in (ours, theirs)]
    torch.testing.assert_close(*rows, rtol=1e-4, atol=1e-6)
    both_ways = [x.expand_as(ours).softmax(-1) for x in (ours, theirs)]
    assert float((both_ways[0] - both_ways[1])[:, 0].abs().max()) > 0.003


@torch.no_grad()
def test_alibi_far_out_in_bfloat16() -> None:
    """BLOOM's table is cast whole: from 8000 on 256 neighbours of slope 1/2 are 8 values. Ours are 256."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    theirs = build_alibi_tensor(torch.ones(1, 8256), 8, torch.bfloat16).view(8, -1)
    assert len(theirs[0, 8000:].unique()) == 8
    q = torch.zeros(1, 8, 256, 8, dtype=torch.bfloat16)
    assert len(bias(e.Alibi(8).bfloat16(), 8, 256, q, start=8000)[0, 0, -1].unique()) == 256


@pytest.mark.parametrize("buckets", [False, True])
@torch.no_grad()
def test_deberta(buckets: bool) -> None:
    """The released third term reads the distance from query to key where the paper's equation 4 has key to query."""
    from transformers import DebertaV2Config
    from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention, build_relative_position

    heads, width, span, furthest = 2, 16, 8 if buckets else 12, 32 if buckets else 12
    config = DebertaV2Config(
        hidden_size=width, num_attention_heads=heads, relative_attention=True, pos_att_type=["c2p", "p2c"],
        max_relative_positions=furthest, position_buckets=span if buckets else -1, share_att_key=False,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    peer = DisentangledSelfAttention(config).eval()
    for seed, parameter in enumerate(peer.parameters()):
        parameter.copy_(noise(*parameter.shape, seed=seed) * (0.3 if parameter.ndim > 1 else 0.0))
    table, x = noise(2 * span, width, seed=20), noise(1, TIME, width, seed=21)
    relative = build_relative_position(x, x, bucket_size=span if buckets else -1, max_position=furthest)
    mask = torch.ones(1, 1, TIME, TIME)
    theirs = peer(x, mask, output_attentions=True, relative_pos=relative, rel_embeddings=table)[1]

    def ours(released: bool) -> Tensor:
        made = e.Deberta(heads, 8, width, span=span, max_distance=furthest if buckets else None, released=released)
        made.table.copy_(table)
        for target, source in ((made.key, peer.pos_key_proj), (made.query, peer.pos_query_proj)):
            target.copy_(source.weight.view(heads, 8, width).transpose(1, 2))
        q, k = (p(x).view(1, TIME, heads, 8).transpose(1, 2) for p in (peer.query_proj, peer.key_proj))
        where = torch.arange(TIME)[None]
        turned = made.qk(q, k, where, where)
        pairs = e.Pairs(*turned, where, where, lambda b, h, i, j: j >= 0, scale=8**-0.5, content=q)
        see = Visibility(pairs.visible, None, causal=False)
        return dense(pairs, torch.eye(TIME).expand(1, heads, -1, -1), see, made.score_mod(pairs))

    torch.testing.assert_close(ours(released=True), theirs, rtol=1e-4, atol=1e-6)
    assert float((ours(released=False) - theirs).abs().max()) > 0.05


@torch.no_grad()
def test_transformer_xl() -> None:
    """XLNet's attention over a memory: 7 queries, the last of 12 keys."""
    from transformers import XLNetConfig, XLNetModel

    heads, width, queries, keys = 2, 4, 7, 12
    config = XLNetConfig(d_model=8, n_head=heads, d_inner=8, n_layer=1, vocab_size=5, dropout=0.0, attn_type="uni")
    model = XLNetModel(config).eval()
    peer = model.layer[0].rel_attn
    ours = drawn(e.TransformerXL(heads, width, 8))
    peer.r_w_bias.copy_(ours.content)
    peer.r_r_bias.copy_(ours.position)
    peer.r.copy_(ours.weight.permute(2, 0, 1))
    q, k, v = noise(queries, 1, heads, width, seed=1), *(noise(keys, 1, heads, width, seed=s) for s in (2, 3))
    code = model.relative_positional_encoding(queries, keys)
    far = torch.einsum("ibh,hnd->ibnd", code, peer.r)
    hidden = torch.ones(queries, keys).triu(keys - queries + 1)[:, :, None, None]
    theirs = peer.rel_attn_core(q, k, v, far, attn_mask=hidden)
    where = torch.arange(keys)[None]
    turned = ours.qk(q.permute(1, 2, 0, 3), k.permute(1, 2, 0, 3), where[:, -queries:], where)
    pairs = e.Pairs(*turned, where[:, -queries:], where, lambda b, h, i, j: j <= i + 5, scale=width**-0.5)
    see = Visibility(pairs.visible, (hidden == 0)[None, None, ..., 0, 0], causal=False)
    same(dense(pairs, v.permute(1, 2, 0, 3), see, None).permute(2, 0, 1, 3), theirs)


@torch.no_grad()
def test_shaw() -> None:
    """Wav2Vec2-BERT counts from query to key, so its rows run the other way."""
    from transformers import Wav2Vec2BertConfig
    from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import (
        Wav2Vec2BertSelfAttention,
        _apply_relative_key_position_encoding,
    )

    config = Wav2Vec2BertConfig(hidden_size=16, num_attention_heads=2, position_embeddings_type="relative_key",
                                left_max_position_embeddings=6, right_max_position_embeddings=6)  # fmt: skip
    peer, ours = Wav2Vec2BertSelfAttention(config), drawn(e.Shaw(8, furthest=6, bidirectional=True))
    peer.distance_embedding.weight.copy_(ours.weight.flip(0))
    q = noise(2, 2, TIME, 8, seed=1)
    same(bias(ours, 2, q=q), _apply_relative_key_position_encoding(peer, q, q)[1])


@torch.no_grad()
def test_cope() -> None:
    from x_transformers.x_transformers import CoPE

    ours, peer = drawn(e.Cope(8, furthest=5)), CoPE(8, 2, 6)
    peer.pos_emb.copy_(ours.weight.T)
    q = noise(2, 2, TIME, 8, seed=1)
    scores = (q @ q.mT * 8**-0.5).masked_fill(torch.ones(TIME, TIME).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(bias(ours, 2, q=q).tril(), peer(q, scores).tril(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_distance_bank() -> None:
    from transformers.models.inkling.modeling_inkling import InklingRelativeLogits
    from x_transformers.x_transformers import RelativeProjPositionalBias

    ours = drawn(e.DistanceBank(12, 2, profiles=3, extent=9))
    peer, other, x = InklingRelativeLogits(3, 9), RelativeProjPositionalBias(12, 2, 3, 9), noise(2, TIME, 12, seed=1)
    peer.proj.copy_(ours.bank)
    other.distance_bank.copy_(ours.bank)
    other.to_distance_weights[0].weight.copy_(ours.weight)
    other.to_distance_weights[0].bias.zero_()
    q = torch.zeros(2, 2, TIME, 8)
    found, where = bias(ours, 2, q=q, x=x), torch.arange(TIME)
    same(found, peer((x @ ours.weight.T).unflatten(-1, (2, 3)), where, where))
    same(found, other(x))


@torch.no_grad()
def test_forgetting() -> None:
    from x_transformers.x_transformers import DataDependentAlibi

    ours, peer, x = drawn(e.Forgetting(12, 2)), DataDependentAlibi(12, 2), noise(2, TIME, 12, seed=1)
    peer.to_forget_gates[0].weight.copy_(ours.weight)
    peer.to_forget_gates[0].bias.copy_(ours.offset)
    torch.testing.assert_close(
        bias(ours, 2, q=torch.zeros(2, 2, TIME, 8), x=x).tril(), peer(x).tril(), rtol=1e-4, atol=1e-4
    )


@torch.no_grad()
def test_forgetting_with_a_cache() -> None:
    """x-transformers makes the gates of the new tokens only, as if all before had none: off by 0.01. Ours is exact."""
    from x_transformers import Decoder, TransformerWrapper

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = Decoder(dim=32, depth=2, heads=4, attn_dim_head=8, attn_data_dependent_alibi=True)
        peer = TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=64, use_abs_pos_emb=False, attn_layers=layers)
    tokens, logits = some_tokens(1, 12), []
    whole = peer.eval()(tokens)
    _, cache = peer(tokens[:, :7], return_intermediates=True)
    for end in range(8, 13):
        last, cache = peer(tokens[:, :end], cache=cache, return_intermediates=True)
        logits.append(last[:, -1])
    assert float((torch.stack(logits, 1) - whole[:, 7:]).abs().max()) > 0.003
    ours = named("forgetting").model()
    same(decode(ours, tokens, None, [7, 1, 1, 1, 1, 1]), ours(tokens))


@torch.no_grad()
def test_length_temperature() -> None:
    from transformers import Llama4TextConfig
    from transformers.models.llama4.modeling_llama4 import Llama4TextAttention

    config = Llama4TextConfig(
        hidden_size=16, num_attention_heads=2, num_key_value_heads=2, head_dim=8, num_hidden_layers=1, floor_scale=3,
        attn_scale=0.7, no_rope_layers=[0], attn_temperature_tuning=True, use_qk_norm=False,
    )  # fmt: skip
    config._attn_implementation = "eager"
    peer = Llama4TextAttention(config, layer_idx=0).eval()
    x, where = noise(1, TIME, 16, seed=1), torch.arange(TIME)[None]
    hidden = torch.zeros(1, 1, TIME, TIME).masked_fill(torch.ones(TIME, TIME).triu(1).bool(), -1e9)
    theirs = peer(x, position_embeddings=None, attention_mask=hidden)[0]
    q, k, v = (p(x).view(1, TIME, 2, 8).transpose(1, 2) for p in (peer.q_proj, peer.k_proj, peer.v_proj))
    turned = e.LengthTemperature(rate=0.7, every=3.0).qk(q, k, where, where)
    pairs = e.Pairs(*turned, where, where, lambda b, h, i, j: j <= i, scale=8**-0.5)
    out = dense(pairs, v, Visibility(pairs.visible, None, causal=True), None)
    same(peer.o_proj(out.transpose(1, 2).flatten(-2)), theirs)


def test_slopes_of_any_number_of_heads() -> None:
    from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

    for heads in (1, 2, 3, 5, 8, 12, 40, 112):
        expected = torch.tensor(loops.alibi_slopes(heads))
        same(e.alibi_slopes(heads).float(), expected)
        same(_get_alibi_slopes(heads, CPU).sort().values, expected.sort().values)
