"""The two real models that `make models` fetches; without it these tests fail and say so."""

import pytest

from locant.xray import xray
from locant.xray.sources import load

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def minilm():
    return xray("minilm", quick=True, words=("cat", "dog", "house")).to_dict()


@pytest.fixture(scope="module")
def four_bits():
    return load("smollm2")


@pytest.fixture(scope="module")
def smollm2(four_bits):
    return xray(four_bits, quick=True, windows=(24, 32), layers=(0, 15, 29)).to_dict()


def test_weights_of_four_bits_still_predict_text(four_bits):
    """Were rows permuted or scales wrong while dequantising, the next token would be a guess among 49 152."""
    import torch

    text = "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain is"
    ids = torch.tensor([four_bits.words.encode(text)])
    with torch.no_grad():
        states = four_bits.model(ids).last_hidden_state
    best = int((states[0, -1] @ four_bits.model.get_input_embeddings().weight.T).argmax())
    assert four_bits.words.piece(best).strip() == "Madrid"


def test_minilm_adds_its_learned_positions(minilm):
    value = {name: metric["value"] for name, metric in minilm["metrics"].items()}
    assert minilm["facts"]["Input and attention"]["position rows"] == 512
    assert minilm["facts"]["Input and attention"]["attention reached by"] == "transformers' attention interface"
    assert value["M2.overlap_ratio"] < 0.5
    assert value["M4.layer.0.additive_r2"] > 0.99
    assert value["M1.layer.0.q.gain.without_0"] > 3
    assert value["M1.layer.0.v.gain.without_0"] < 1
    assert value["M5.layer.0.bias"] > 0.99
    assert value["M5.layer.5.bias"] < 0.5
    assert value["M6.layer.0.position"] > 0.8
    assert value["M12.layer.0.accuracy"] > 0.99
    assert {claim["id"]: claim["verdict"] for claim in minilm["claims"]}["C4"] == "holds"


def test_smollm2_has_no_position_at_its_input(smollm2):
    """The three traps of a naive x-ray, in one real model."""
    value = {name: metric["value"] for name, metric in smollm2["metrics"].items()}
    assert smollm2["facts"]["Input and attention"]["position rows"] is None
    assert value["M2.overlap"] is None
    assert value["M4.layer.0.position_share.without_0"] < 0.002
    assert value["M4.layer.0.position_share_naive.without_0"] > 0.01  # finite samples look like position
    assert value["M4.raw.layer.15.position_share"] > 0.9  # massive activations look like position
    assert value["M4.raw.layer.15.position_share.without_0"] < 0.1  # position 0 is unlike all others
    assert value["M7.layer.15.largest_norm"] > 20
    assert value["M5.layer.29.size"] < 1e-8
    assert value["M6.layer.0.relative"] > value["M6.layer.0.absolute"]
    assert value["M6.layer.29.absolute"] > 0.1  # the sink at slot 0 looks like position
    assert value["M6.layer.29.absolute.without_0"] < 0.05
    assert {claim["id"]: claim["verdict"] for claim in smollm2["claims"]}["C1"] == "does not apply"
