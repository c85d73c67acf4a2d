"""What the ``config.json`` of published models says of position; everything else is left out."""

from typing import Any

PHI4_LONG = [
    1, 1.118320672, 1.250641126, 1.398617824, 1.564103225, 1.74916897, 1.956131817, 2.187582649, 2.446418898,
    2.735880826, 3.059592084, 3.421605075, 3.826451687, 4.279200023, 4.785517845, 5.351743533, 5.984965424, 6.693110555,
    7.485043894, 8.370679318, 9.36110372, 10.4687158, 11.70738129, 13.09260651, 14.64173252, 16.37415215, 18.31155283,
    20.47818807, 22.90118105, 25.61086418, 28.64115884, 32.03, 32.1, 32.13, 32.23, 32.6, 32.61, 32.64, 32.66, 32.7,
    32.71, 32.93, 32.97, 33.28, 33.49, 33.5, 44.16, 47.77,
]  # fmt: skip
SLIDING3 = ["sliding_attention"] * 3 + ["full_attention"]


def shape(model_type: str, width: int, heads: int, layers: int, longest: int, **more: Any) -> dict[str, Any]:
    sizes = {"hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": layers}
    return {"model_type": model_type, **sizes, "max_position_embeddings": longest, **more}


CONFIGS: dict[str, dict[str, Any]] = {
    "Llama 3.1 8B": shape("llama", 4096, 32, 32, 131_072, rope_theta=500_000.0, rope_scaling={
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3"}),
    "Llama 3.2 1B": shape("llama", 2048, 32, 16, 131_072, rope_theta=500_000.0, head_dim=64, rope_scaling={
        "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3"}),
    "Llama 4 Scout": shape("llama4_text", 5120, 40, 48, 10_485_760, rope_theta=500_000.0, head_dim=128, rope_scaling={
        "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3"}, no_rope_layers=[], attn_temperature_tuning=True, attn_scale=0.1, floor_scale=8192),
    "Qwen3 8B": shape("qwen3", 4096, 32, 36, 40_960, rope_theta=1_000_000, head_dim=128, rope_scaling=None),
    "Qwen3 8B with YaRN": shape("qwen3", 4096, 32, 36, 131_072, rope_theta=1_000_000, head_dim=128, rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}),
    "Gemma 3 12B": shape("gemma3_text", 3840, 16, 48, 131_072, rope_theta=1_000_000, head_dim=256,
                         rope_local_base_freq=10_000, rope_scaling={"factor": 8.0, "rope_type": "linear"},
                         sliding_window_pattern=6, sliding_window=1024),
    "Gemma 4 26B": shape("gemma4_text", 2816, 16, 30, 262_144, head_dim=256, global_head_dim=512, rope_parameters={
        "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1_000_000.0, "rope_type": "proportional"},
        "sliding_attention": {"rope_theta": 10_000.0, "rope_type": "default"}},
        layer_types=(["sliding_attention"] * 5 + ["full_attention"]) * 5),
    "gpt-oss 20B": shape("gpt_oss", 2880, 64, 24, 131_072, head_dim=64, rope_theta=150_000, rope_scaling={
        "beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
        "rope_type": "yarn", "truncate": False}),
    "DeepSeek-V2": shape("deepseek_v2", 5120, 128, 60, 163_840, rope_theta=10_000, qk_rope_head_dim=64,
                         qk_nope_head_dim=128, rope_scaling={
        "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096, "type": "yarn"}),
    "DeepSeek-V2 Lite": shape("deepseek_v2", 2048, 16, 27, 163_840, rope_theta=10_000, qk_rope_head_dim=64,
                              qk_nope_head_dim=128, rope_scaling={
        "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 4096, "type": "yarn"}),
    "DeepSeek-V3": shape("deepseek_v3", 7168, 128, 61, 163_840, rope_theta=10_000, qk_rope_head_dim=64,
                         qk_nope_head_dim=128, rope_scaling={
        "beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096, "type": "yarn"}),
    "Phi-3 mini 4k": shape("phi3", 3072, 32, 32, 4096, rope_theta=10_000.0, original_max_position_embeddings=4096,
                           rope_scaling=None),
    "Phi-4 mini": shape("phi3", 3072, 24, 32, 131_072, rope_theta=10_000.0, original_max_position_embeddings=4096,
                        partial_rotary_factor=0.75, rope_scaling={
        "type": "longrope", "short_factor": [1.0] * 48, "long_factor": PHI4_LONG}),
    "OLMo 3 7B": shape("olmo3", 4096, 32, 32, 65_536, rope_theta=500_000, layer_types=SLIDING3 * 8, rope_scaling={
        "attention_factor": 1.2079441541679836, "beta_fast": 32, "beta_slow": 1, "factor": 8.0,
        "original_max_position_embeddings": 8192, "rope_type": "yarn"}),
    "Ministral 3 8B": shape("ministral3", 4096, 32, 34, 262_144, head_dim=128, rope_parameters={
        "type": "yarn", "rope_type": "yarn", "rope_theta": 1_000_000.0, "factor": 16.0,
        "original_max_position_embeddings": 16_384, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0,
        "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}),
    "Mistral 4": shape("mistral4", 4096, 32, 36, 1_048_576, qk_rope_head_dim=64, qk_nope_head_dim=64, rope_parameters={
        "type": "yarn", "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 128.0,
        "original_max_position_embeddings": 8192, "max_position_embeddings": 1_048_576, "beta_fast": 32.0,
        "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}),
    "SmolLM3 3B": shape("smollm3", 2048, 16, 36, 65_536, rope_theta=5_000_000.0, rope_scaling=None,
                        no_rope_layers=[1, 1, 1, 0] * 9, no_rope_layer_interval=4),
    "GLM-4 9B": shape("glm4", 4096, 32, 40, 32_768, head_dim=128, partial_rotary_factor=0.5, rope_theta=10_000.0),
    "Command R7B": shape("cohere2", 4096, 32, 32, 8192, rope_theta=50_000, layer_types=SLIDING3 * 8,
                         sliding_window=4096),
    "EXAONE 4 32B": shape("exaone4", 5120, 40, 64, 131_072, head_dim=128, rope_theta=1_000_000, rope_scaling={
        "factor": 16.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3"}, layer_types=SLIDING3 * 16, sliding_window=4096),
    "ModernBERT base": shape("modernbert", 768, 12, 22, 8192, global_rope_theta=160_000.0, local_rope_theta=10_000.0,
                             global_attn_every_n_layers=3),
    "Pythia 1.4B": shape("gpt_neox", 2048, 16, 24, 2048, rotary_pct=0.25, rotary_emb_base=10_000),
    "Qwen2-VL 7B": shape("qwen2_vl", 3584, 28, 28, 32_768, rope_theta=1_000_000.0, rope_scaling={
        "type": "mrope", "mrope_section": [16, 24, 24]}),
    "Qwen3-VL 8B": shape("qwen3_vl_text", 4096, 32, 36, 262_144, head_dim=128, rope_theta=5_000_000, rope_scaling={
        "mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"}),
}  # fmt: skip
