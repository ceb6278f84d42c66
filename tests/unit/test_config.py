"""Settings are read from TOML, refuse what they do not know, and fit each other."""

import pytest
from pydantic import ValidationError

from chainsec.config import Config, Limits, data_directory, load_config
from chainsec.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_everything_has_its_default():
    assert load_config() == Config()


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path):
    config = load_config(write(tmp_path, "seed = 11\n[costs]\nescalation = 1\n"))
    assert (config.seed, config.costs.escalation) == (11, 1.0)
    assert config == Config(seed=11, costs={"escalation": 1})


def test_keyword_arguments_win_over_the_file_key_by_key(tmp_path):
    path = write(tmp_path, "seed = 11\n[chain]\nchain_id = 5\nbatch_size = 9\n")
    config = load_config(path, seed=12, chain={"batch_size": 3}, run={"tick_s": 60})
    assert (config.seed, config.chain.chain_id, config.chain.batch_size, config.run.tick_s) == (12, 5, 3, 60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "unknown key 'sed'"),
        ("[chain]\ngas = 1", "unknown key 'chain.gas'"),
        ("seed = -1", "seed: Input should be greater than or equal to 0 (got -1)"),
        ("[limits]\nsensitivity_ceiling = 4", "limits.sensitivity_ceiling"),
        ("[costs]\nwrong_grant = [1, 2, 3]", "costs.wrong_grant.3"),
        ("[costs]\nescalation = nan", "costs.escalation"),
        ("[costs]\nescalation = inf", "costs.escalation"),
        ("[chain]\nblock_interval_s = 0", "chain.block_interval_s"),
        ("[chain]\nchain_id = 9223372036854775808", "chain.chain_id"),
        ("[run]\ntick_s = 'long'", "run.tick_s"),
        ("seed = '7'", "seed: Input should be a valid integer (got '7')"),
        ("seed = true", "seed: Input should be a valid integer (got True)"),
        ("seed = 7.0", "seed: Input should be a valid integer (got 7.0)"),
        ("[costs]\nwrong_grant = [1, 2, true, 4]", "costs.wrong_grant.2: Input should be a valid number (got True)"),
        ("seed = ", "settings.toml"),
        ("[agent]\nquarantine_s = 259201", "agent.quarantine_s is 259201, over limits.max_quarantine_s"),
        ("[agent]\ncontext_time_tolerance_s = 3599", "agent.context_time_tolerance_s is 3599, under run.tick_s, 3600"),
    ],
)
def test_a_bad_setting_is_named_in_one_line_with_its_file(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.path == str(path)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"seed = \xff")
    for name in ("missing.toml", "latin.toml", "."):
        with pytest.raises(ConfigError, match=name):
            load_config(tmp_path / name)


def test_settings_cannot_be_changed_after_they_were_made():
    with pytest.raises(ValidationError):
        Config().seed = 8


def test_settings_survive_json_so_that_a_run_can_be_compared_with_them():
    config = Config(seed=3, limits=Limits(window_s=60))
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_the_folder_of_data_sets_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINSEC_DATA", str(tmp_path))
    assert data_directory() == tmp_path
    monkeypatch.setenv("CHAINSEC_DATA", "")
    assert data_directory() is None
