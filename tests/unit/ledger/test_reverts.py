import pytest
from eth_abi import encode

from chainsec.ledger.reverts import decode_revert, error_codecs


def decode(inputs, *values):
    codecs = error_codecs([{"type": "error", "name": "Refused", "inputs": inputs}])
    [selector] = codecs
    return decode_revert(codecs, selector + encode([entry["type"] for entry in inputs], values))


@pytest.mark.parametrize("name", ["self", "message", "data", "name", "facts", "args", "with_traceback", "__class__"])
def test_an_argument_that_is_called_like_a_part_of_an_exception_gets_an_underscore(name):
    error = decode([{"name": name, "type": "uint256"}], 3)
    assert getattr(error, f"{name}_") == 3
    assert error.name == "Refused"
    assert str(error) == f"Refused({name}=3)"


def test_no_argument_without_a_name_hides_one_that_has_its_name():
    error = decode([{"name": "arg1", "type": "uint256"}, {"name": "", "type": "uint256"}], 3, 4)
    assert (error.arg1, error.arg1_) == (3, 4)
