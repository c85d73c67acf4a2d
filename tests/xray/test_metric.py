"""A metric is five plain fields, and never a number that means nothing."""

import json

import numpy as np
import pytest
import torch

from locant.xray.metric import Metric, absent, prefixed


def test_to_dict_has_the_five_fields_in_plain_types() -> None:
    metric = Metric(torch.tensor(0.5), np.float32(0.25), 7, (torch.tensor(0.0), np.float64(1.0)), "rows")
    assert json.loads(json.dumps(metric.to_dict())) == {
        "value": 0.5,
        "baseline": 0.25,
        "n": 7,
        "interval": [0.0, 1.0],
        "note": "rows",
    }


def test_absent_says_why() -> None:
    assert absent("no position table", n=3).to_dict() == {
        "value": None,
        "baseline": None,
        "n": 3,
        "interval": None,
        "note": "no position table",
    }


def test_prefixed_puts_the_identifier_in_front() -> None:
    metric = Metric(1.0)
    assert prefixed("M2", {"overlap": metric}) == {"M2.overlap": metric}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"value": float("nan")}, "expected a finite value, was: nan"),
        ({"value": 1.0, "baseline": float("inf")}, "expected a finite baseline, was: inf"),
        ({"value": 1.0, "interval": (0.0, float("nan"))}, "expected a finite interval, was: nan"),
        ({"value": 1.0, "interval": (2.0, 1.0)}, r"expected an interval \(low, high\), was: \(2.0, 1.0\)"),
        ({"value": 1.0, "n": -1}, "expected n of at least 0, was: -1"),
        ({"value": None}, "expected a note that says why there is no value, was: none"),
    ],
)
def test_refusals(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Metric(**fields)
