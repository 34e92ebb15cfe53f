"""The temporal encoder: what may and what may not change an embedding."""

import dataclasses

import pytest
import torch

from lactoolkit.errors import ParameterError
from lactoolkit.models.temporal import POSITION_CODES, TemporalEncoder, TemporalEncoderConfig, context_rows

SMALL = TemporalEncoderConfig(context=0, width=32, heads=2, feed_forward=32, output_size=16)


def make_encoder(input_size=8, **changes):
    torch.manual_seed(0)
    return TemporalEncoder(dataclasses.replace(SMALL, **changes), input_size).eval()


def clips(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("position_code", POSITION_CODES)
def test_masked_frames_change_nothing(position_code, norm_first):
    encoder = make_encoder(position_code=position_code, norm_first=norm_first)
    features = clips(2, 12, 1, 8)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, 9:] = False
    garbage = torch.where(mask[:, :, None, None], features, torch.tensor(1e3))
    positions = torch.arange(12).expand(2, 12)
    kept = encoder(features[:1, :9], None, positions[:1, :9])
    torch.testing.assert_close(encoder(garbage, mask, positions)[0, :9], kept[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(kept.norm(dim=-1), torch.ones(1, 9))


def test_without_position_code_frames_are_a_set():
    features = clips(1, 10, 1, 8)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    encoder = make_encoder()
    torch.testing.assert_close(encoder(features[:, order]), encoder(features)[:, order], rtol=1e-4, atol=1e-5)
    counting = make_encoder(position_code="sinusoidal")
    assert (counting(features[:, order]) - counting(features)[:, order]).abs().max() > 1e-2


def test_random_offset_tells_differences_of_time_only():
    encoder = make_encoder(position_code="random_offset")
    features, positions = clips(1, 10, 1, 8), torch.arange(10)[None] * 3
    torch.testing.assert_close(encoder(features, None, positions + 50), encoder(features, None, positions))
    assert (encoder(features, None, positions * 2) - encoder(features, None, positions)).abs().max() > 1e-3
    encoder = make_encoder(position_code="random_offset", dropout=0.0).train()
    drawn = [encoder(features, None, positions, generator=torch.Generator().manual_seed(k)) for k in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert (drawn[0] - drawn[2]).abs().max() > 1e-3


@pytest.mark.parametrize("count", [5, 16, 17, 40, 101])
def test_windows_of_a_long_video_agree_where_frames_do_not_look_at_each_other(count):
    encoder = make_encoder(layers=0, window=16, context=1, context_stride=2)
    features = clips(count, 8)
    whole = encoder(features[context_rows(torch.arange(count), count, encoder.config)][None])[0]
    torch.testing.assert_close(encoder.embed_video(features), whole, rtol=1e-4, atol=1e-5)


def test_a_video_that_fits_into_a_window_is_embedded_at_once():
    encoder = make_encoder(window=16)
    features = clips(16, 8)
    torch.testing.assert_close(encoder.embed_video(features), encoder(features[None, :, None])[0], rtol=1e-4, atol=1e-5)


def test_neighbours_repeat_the_first_and_last_frame():
    config = TemporalEncoderConfig(context=2, context_stride=3)
    rows = context_rows(torch.tensor([[0, 4], [1, 9]]), torch.tensor([[5], [10]]), config)
    assert rows.tolist() == [[[0, 0, 0, 3, 4], [0, 1, 4, 4, 4]], [[0, 0, 1, 4, 7], [3, 6, 9, 9, 9]]]


def test_convolutions_take_maps_and_train():
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, stem="convolution", stem_width=8, context=1, norm_first=False)
    encoder = TemporalEncoder(config, 6).train()
    embedded = encoder(clips(2, 5, 3, 6, 4, 4))
    assert embedded.shape == (2, 5, 16)
    embedded[:, :, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert encoder.eval().embed_video(clips(7, 6, 4, 4)).shape == (7, 16)


def test_wrong_shapes_and_options_say_what_is_expected():
    with pytest.raises(ParameterError, match=r"expected \(B, T, 1, 8\)"):
        make_encoder()(clips(2, 5, 8))
    for change in ({"stem": "mlp"}, {"position_code": "sines"}, {"width": 30}, {"dropout": 1.0}, {"context": -1}):
        with pytest.raises(ParameterError, match=rf"model\.{next(iter(change))}"):
            dataclasses.replace(SMALL, **change)
