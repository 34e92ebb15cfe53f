"""What `comparison.py` compares: losses, the same with a larger encoder, and what is left out or exchanged in LAC."""

from __future__ import annotations

LAC = "LAC"
UNTRAINED = "untrained"
BASELINES = ("SCL", "TCN", "TCC", "LAV", "GTA")
# As the papers have it: without the frame encoder's own features beside what was learnt.
ALONE = "features.untrained_weight=0"

# The encoder of the preset small.
SMALL: dict[str, list[str]] = {
    LAC: [],
    **{name: [f"loss.name={name.lower()}", ALONE] for name in BASELINES},
}
# Twice the width, the layers and the principal components, and a feed-forward part of four widths: 13.5 million weights
# in place of 1.3. (The paper's transformer has .5 million more than the preset's; its other 22 million convolve maps.)
# A learning rate of 3e-4 was worse for LAC on training episodes of one task.
LARGE_ENCODER = ["features.components=512", "model.width=512", "model.layers=4", "model.feed_forward=2048"]
LARGE = {f"{name}, large": [*LARGE_ENCODER, *options] for name, options in SMALL.items()}
# What is left out or exchanged in LAC, and the other losses with what the preset sets beside the learnt part. SCL with
# that is LAC without its alignment term.
ABLATIONS: dict[str, list[str]] = {
    "LAC, learnt part alone": [ALONE],
    **{f"{name}, untrained features beside": [f"loss.name={name.lower()}"] for name in BASELINES},
    "LAC, alignment term alone": ["loss.contrastive_weight=0"],
    "LAC, score within videos": ["loss.pairs=within"],
    "LAC, Fenchel-Young within videos": ["loss.pairs=within", "loss.objective=fenchel_young"],
    "LAC, posterior within videos": ["loss.pairs=within", "loss.objective=posterior"],
    "LAC, gaps by position": ["loss.gaps=position"],
    "LAC, gaps by context": ["loss.gaps=context"],
    "LAC, temperature 0.2": ["loss.temperature=0.2"],
    "LAC, temperature 2": ["loss.temperature=2.0"],
    "LAC, no augmented copies": ["features.views=0"],
    "LAC, coarse features, no copies": ["features.encoder=lite0", "features.views=0"],
    "LAC, positions from a random offset": ["model.position_code=random_offset"],
    "SCL, positions from a random offset": ["loss.name=scl", "model.position_code=random_offset"],
}
METHODS = {**SMALL, **LARGE, **ABLATIONS}
# Names that stand for several methods, with the heading of their part of the report; the first of a group is compared
# with the others.
GROUPS: dict[str, tuple[str, list[str]]] = {
    "small": ("Losses", list(SMALL)),
    "large": (f"Losses with a larger encoder: {' '.join(LARGE_ENCODER)}", [*LARGE, LAC]),
    "ablations": ("Ablations", [LAC, *ABLATIONS]),
}
