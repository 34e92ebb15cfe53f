"""Options of a run: from TOML and the command line to dataclasses and back."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from lactoolkit.errors import ParameterError
from lactoolkit.losses.tcc import TCCConfig
from lactoolkit.training.config import config_from_tables, make_config


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.step=5", r"training\.step is unknown; did you mean steps\?"),
        ("trainning.steps=5", r"\[trainning\] is unknown; did you mean training\?"),
        ("model.widht=64", r"model\.widht is unknown; did you mean width\?"),
        ("loss.name=lacc", r"loss\.name is 'lacc'; did you mean lac\?"),
        ("training.steps=many", r"training\.steps is 'many'; expected an integer"),
        ("training.steps=2.5", r"training\.steps is 2\.5; expected an integer"),
        ("training.steps=true", r"training\.steps is True; expected an integer"),
        ("training.steps=0", r"training\.steps is 0; the least is 1"),
        ("model.norm_first=1", r"model\.norm_first is 1; expected true or false"),
        ("clips.spacing=odd", r"clips\.spacing is 'odd'; choose one of 'random', 'even'"),
        ("steps=5", r"--set steps=5: write section\.key=value"),
        ("training.steps", r"--set training\.steps: write section\.key=value"),
        ("training.learning_rate=inf", r"training\.learning_rate is inf; it must be positive and finite"),
        ("training.weight_decay=-1", r"training\.weight_decay is -1"),
        ("training.seed=9999999999999999999", r"training\.seed is 9{19}; the largest is"),
        ("data.memory=nan", r"data\.memory is nan"),
        ("features.frame_rate=0", r"features\.frame_rate is 0"),
        ("loss.variance=-1", r"loss\.variance is -1"),
        ("loss.gaps=some", r"loss\.gaps is 'some'; choose one of scalar"),
        ("loss.embedding_size=5", r"loss\.embedding_size is 5, but .*model\.output_size = 128"),
        ("clips.frames=0", r"clips\.frames must be at least 1"),
        ("augmentation.flip=7", r"augmentation\.flip must be between 0 and 1"),
    ],
)
def test_a_mistake_is_named_with_the_remedy(assignment, message):
    with pytest.raises(ParameterError, match=message):
        make_config(assignments=[assignment])


def test_later_sources_win(tmp_path):
    file = tmp_path / "options.toml"
    file.write_text("[training]\nsteps = 7\nbatch = 4\nseed = 1\n[loss]\nname = 'scl'\n")
    config = make_config("small", file, ["training.batch=8", "training.seed=2"], {("training", "seed"): 3})
    assert (config.training.steps, config.training.batch, config.training.seed) == (7, 8, 3)
    assert config.loss_name == "scl"


def test_another_loss_begins_with_its_own_options(tmp_path):
    assert make_config("paper", assignments=["loss.name=tcc"]).loss == TCCConfig()
    assert make_config("paper", shortcuts={("loss", "name"): "scl"}).loss_name == "scl"
    assert make_config("paper", assignments=["loss.name=lac"]).loss.pairs == "within"
    (tmp_path / "run.toml").write_text(make_config(assignments=["loss.shuffles=2"]).to_toml())
    assert make_config(file=tmp_path / "run.toml", assignments=["loss.name=gta", "loss.gamma=0.5"]).loss.gamma == 0.5
    assert make_config(file=tmp_path / "run.toml").loss.shuffles == 2


def test_weights_are_found_from_other_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert make_config(assignments=["features.weights=mine.pth"]).features.weights == str(tmp_path / "mine.pth")
    assert make_config().features.weights is None


def test_steps_that_are_asked_for_replace_epochs_that_are_not(tmp_path):
    assert make_config("paper").training.epochs == 300
    assert make_config("paper", assignments=["training.steps=5"]).training.epochs == 0
    assert make_config("paper", shortcuts={("training", "steps"): 5}).training.epochs == 0
    assert make_config(assignments=["training.steps=5", "training.epochs=2"]).training.epochs == 2
    # What a run has written down holds both.
    (tmp_path / "config.toml").write_text(make_config("paper").to_toml())
    assert make_config(file=tmp_path / "config.toml") == make_config("paper")


def test_the_page_of_options_is_what_the_code_says():
    path = Path(__file__).parents[2] / "docs" / "training_options.py"
    spec = importlib.util.spec_from_file_location("training_options", path)
    options = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(options)
    written = options.split(options.PAGE.read_text(encoding="utf-8"))[1]
    assert written == options.tables(), "run python docs/training_options.py"
    for section, table in make_config().tables().items():
        assert all(f"`{name}`" in written for name in table if name != "name"), section


def test_what_is_written_reads_back_as_the_same_configuration():
    config = make_config(assignments=["features.frame_rate=10", "training.learning_rate=1", "loss.temperature=0.5"])
    assert config.features.frame_rate == 10.0
    assert config_from_tables(tomllib.loads(config.to_toml())) == config


def test_the_loss_follows_the_size_of_the_embeddings():
    assert make_config(assignments=["model.output_size=64"]).loss.embedding_size == 64


def test_files_that_are_no_toml_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="cannot be read"):
        make_config(file=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[training\n")
    with pytest.raises(ParameterError, match="not valid TOML"):
        make_config(file=tmp_path / "bad.toml")
    (tmp_path / "flat.toml").write_text("steps = 3\n")
    with pytest.raises(ParameterError, match="steps stands outside a section"):
        make_config(file=tmp_path / "flat.toml")
