"""Which packages have an encoding, and where they go wrong, for docs/encodings.md.

Versions: transformers 5.23.0, x-transformers 2.31.10, rotary-embedding-torch 0.9.1, positional-encodings 6.0.3,
torchtune 0.6.1. Only what tests/peers runs against is listed; every defect names the test that shows the
peer's value beside the exact one and ours.
"""

PEERS = {
    "rotary": "transformers, x-transformers, rotary-embedding-torch, torchtune",
    "interpolation": "transformers `linear`, x-transformers, rotary-embedding-torch",
    "ntk": "x-transformers, rotary-embedding-torch",
    "dynamic_ntk": "transformers `dynamic`",
    "yarn": "transformers `yarn`",
    "longrope": "transformers `longrope`",
    "llama3": "transformers `llama3`, torchtune",
    "proportional": "transformers `proportional`",
    "xpos": "x-transformers, rotary-embedding-torch",
    "rotary_axial": "rotary-embedding-torch, torchtune",
    "mrope": "transformers (Qwen2-VL, Qwen3-VL)",
    "pope": "x-transformers `PolarEmbedding`",
    "alibi": "transformers (BLOOM), x-transformers",
    "t5": "transformers (T5), x-transformers",
    "shaw": "transformers (Wav2Vec2-BERT)",
    "transformer_xl": "transformers (XLNet)",
    "deberta": "transformers (DeBERTa-v2)",
    "cope": "x-transformers `CoPE`",
    "distance_bank": "transformers (Inkling), x-transformers",
    "forgetting": "x-transformers `DataDependentAlibi`",
    "length_temperature": "transformers (Llama 4)",
    "sinusoidal": "positional-encodings, x-transformers",
    "sinusoidal_nd": "positional-encodings",
}

DEFECTS = {
    "rotary": (
        (
            "rotary-embedding-torch counts positions in bfloat16: 512 is turned like 513, errors above 2",
            "test_rotary_embedding_torch_loses_positions_in_bfloat16",
        ),
        (
            "x-transformers keeps `inv_freq` as a persistent buffer that `.bfloat16()` rounds: cosines off by 1.6",
            "test_x_transformers_casts_its_frequencies",
        ),
        (
            "torchtune keeps cosines that `.bfloat16()` rounds, 0.01 off for content in any type",
            "test_a_table_in_bfloat16",
        ),
        (
            "torchtune turns position -1 like the last of its table, and fails beyond it without saying why",
            "test_places_beyond_and_before_the_table",
        ),
    ),
    "dynamic_ntk": (
        (
            "transformers keeps the frequencies of the longest text so far: a result depends on earlier calls",
            "test_dynamic_ntk_of_the_peer_depends_on_earlier_calls",
        ),
    ),
    "yarn": (
        (
            "transformers ignores `truncate: false` inside of a layer type: 2.279e-4 where 1.293e-4 is exact",
            "test_the_peer_ignores_truncate_inside_of_a_layer_type",
        ),
    ),
    "xpos": (
        (
            "x-transformers centres on half of the current length, so cached keys do not fit: 2.843 for 2.588",
            "test_xpos_of_x_transformers_moves_its_centre_with_the_length",
        ),
    ),
    "pope": (
        (
            "x-transformers takes rows of positions for heads when there are as many of both",
            "test_pope_of_x_transformers_takes_rows_for_heads",
        ),
    ),
    "alibi": (
        (
            "transformers' BLOOM casts the whole table: 8 values for 256 neighbours from 8000 on in bfloat16; its form "
            "by key alone is equal after a causal softmax only",
            "test_alibi_far_out_in_bfloat16",
        ),
    ),
    "deberta": (
        (
            "transformers' DeBERTa-v2, as released, reads the distance from query to key in the third term, where the "
            "paper's equation 4 has key to query",
            "test_deberta",
        ),
    ),
    "forgetting": (
        (
            "x-transformers forgets the gates of cached tokens: decoding is off by 0.01",
            "test_forgetting_with_a_cache",
        ),
    ),
    "sinusoidal": (
        (
            "positional-encodings keeps its table by shape: a call in float32 after one in bfloat16 gets its values",
            "test_positional_encodings_remembers_the_type_of_an_earlier_call",
        ),
        (
            "positional-encodings moved to bfloat16 codes 512 like 513",
            "test_positional_encodings_loses_positions_in_bfloat16",
        ),
        (
            "x-transformers fails where every row has its own positions, as left padding needs",
            "test_scaled_sinusoids_of_x_transformers",
        ),
    ),
}
