"""The commands of REPORT.md as `tools/reproduce.py` runs them, and which results make which table."""

from dataclasses import dataclass

PARTS = ("A", "1", "2", "3", "B")
"""The parts of the report."""


@dataclass(frozen=True)
class Step:
    """One command: as REPORT.md prints it, what it writes, and how it is changed here.

    In `printed`, DIR stands for the data, RUN for the run `run`, and `runs/` for the folder of runs. Judges are written
    to that folder too.
    """

    parts: str
    """The parts of the report that need it, one letter each."""
    printed: str
    output: str
    """The file or folder, below the folder of runs, that exists when the step is finished."""
    options: str = ""
    """Options to add to the printed ones, or to replace them."""
    quick: str | None = ""
    """Further options in quick mode; None leaves the step out of it."""
    run: str = ""
    """The run that RUN stands for, below the folder of runs; where a run is printed, the one to use instead."""
    hub: bool = False
    """Whether it needs the Hugging Face hub and a GPU; such a step is run with --hub only."""


_SEED_0 = "wikiart-classify --data DIR --seed 0"
_ENCODE = "wikiart-autoencode encode runs/autoencode/vector"
_SMALL, _CODE, _REPAINT = "--size 64 --epochs 3", "--size 64 --width 0.5 --epochs 2", "--size 48 --width 0.5"
_SEED_2 = "compare-models/classify/small-2"
_HALVES = ("half", "half-1", "half-2")
_LONG = ("long", "long-1", "long-2")
SYNTHESISED = "synthesised"
"""The folder of data folders that steps write, below the folder of runs."""

STEPS = (
    Step("A1", _SEED_0, "classify/seed-0/result.json", "--name seed-0", _SMALL),
    Step("A1", _SEED_0, "classify/seed-1/result.json", "--name seed-1 --seed 1", None),
    Step(
        "A1",
        "wikiart-classify compare models --data DIR --seeds 1 --first-seed 2",
        "compare-models/result.json",
        quick="--quick",
    ),
    Step("1", "wikiart-classify compare imbalance --data DIR", "compare-imbalance/result.json", quick="--quick"),
    Step(
        "1",
        "wikiart-classify compare imbalance --data DIR --size 160 --epochs 50 "
        "--only sampler-half balanced-softmax drw post-hoc --runs runs/full",
        "full/compare-imbalance/result.json",
        quick="--quick --size 48 --epochs 4",
    ),
    Step("1", "wikiart-classify compare artists --data DIR", "compare-artists/result.json", quick="--quick"),
    Step("2", "wikiart-autoencode --data DIR --name spatial", "autoencode/spatial/result.json", quick=_CODE),
    Step(
        "2",
        "wikiart-autoencode --data DIR --name vector --code 256 --epochs 20",
        "autoencode/vector/result.json",
        quick=_CODE,
    ),
    Step(
        "2",
        "wikiart-autoencode evaluate runs/autoencode/spatial runs/autoencode/vector --split test",
        "rates/result.json",
        "--to runs/rates",
    ),
    Step(
        "2",
        "wikiart-autoencode --data DIR --name style --code 256 --objective vicreg+texture --objective-weight 3 "
        "--lr 0.02 --ema 0.99 --epochs 10",
        "autoencode/style/result.json",
        quick=_CODE,
    ),
    Step("2", _ENCODE, "autoencode/vector/codes.npz", run="autoencode/vector"),
    Step("2", _ENCODE, "autoencode/spatial/codes.npz", run="autoencode/spatial"),
    Step("2", _ENCODE, "autoencode/style/codes.npz", run="autoencode/style"),
    Step(
        "23",
        "wikiart-classify --data DIR --seed 7 --width 0.75 --export judge",
        "judge/judge.json",
        "--name judge",
        _SMALL,
    ),
    Step(
        "2",
        "wikiart-cluster compare runs/autoencode/vector runs/autoencode/spatial runs/autoencode/style --judge judge",
        "compare-codes/result.json",
        quick="--seeds 1",
    ),
    Step(
        "2",
        "wikiart-cluster compare runs/autoencode/vector runs/autoencode/spatial runs/autoencode/style --judge judge "
        "--methods kmeans agglomerative gmm birch spectral dbscan optics hdbscan",
        "methods/compare-codes/result.json",
        "--runs runs/methods",
        "--seeds 1",
    ),
    Step(
        "2",
        "wikiart-cluster --method kmeans --codes runs/autoencode/spatial/codes.npz --name map",
        "cluster/map/result.json",
    ),
    Step(
        "3",
        "wikiart-stylegen --data DIR --name film --epochs 14",
        "stylegen/film/result.json",
        quick=f"{_REPAINT} --epochs 4 --warmup-epochs 1",
    ),
    Step(
        "3",
        "wikiart-stylegen --data DIR --name concat --conditioning concat --epochs 8",
        "stylegen/concat/result.json",
        quick=f"{_REPAINT} --epochs 2",
    ),
    Step(
        "3",
        "wikiart-stylegen evaluate runs/stylegen/film --judge judge --baseline runs/stylegen/concat --strength 1.25",
        "stylegen/film/evaluation/result.json",
        quick="--max-images 120",
    ),
    Step(
        "3",
        "wikiart-classify --data DIR --artist-half first --seed 7 --width 0.75 --export half-judge",
        "half-judge/judge.json",
        "--name half-judge",
        None,
    ),
    Step(
        "3",
        "wikiart-classify --data DIR --artist-half first --seed 8 --width 0.75 --stem convolutions "
        "--export half-judge-2",
        "half-judge-2/judge.json",
        "--name half-judge-2",
        None,
    ),
    *(
        Step(
            "3",
            "wikiart-stylegen --data DIR --artist-half second --size 128 --epochs 24 --name half",
            f"stylegen/{name}/result.json",
            f"--name {name} --seed {seed}",
            None,
        )
        for seed, name in enumerate(_HALVES)
    ),
    *(
        Step(
            "3",
            "wikiart-stylegen evaluate runs/stylegen/half --judge half-judge --second-judge half-judge-2",
            f"stylegen/{name}/evaluation/result.json",
            quick=None,
            run=f"stylegen/{name}",
        )
        for name in _HALVES
    ),
    Step(
        "3",
        "wikiart-stylegen embeddings runs/stylegen/half",
        "stylegen/half/figures/embeddings.png",
        "--to runs/stylegen/half/figures/embeddings.png",
        None,
    ),
    *(
        Step(
            "3",
            f"wikiart-stylegen synthesise runs/stylegen/half --kind {kind} --to runs/{SYNTHESISED}/{kind}",
            f"{SYNTHESISED}/{kind}/train",
            quick=None,
        )
        for kind in ("paintings", "repaints", "colour-transfer")
    ),
    Step(
        "3",
        f"wikiart-classify compare data --data runs/{SYNTHESISED}/paintings --other runs/{SYNTHESISED}/repaints "
        f"runs/{SYNTHESISED}/colour-transfer --size 64 --epochs 12 --seeds 1",
        "compare-data/result.json",
        quick=None,
    ),
    Step(
        "3",
        "wikiart-classify --size 96 --seed 7 --width 0.75 --epochs 30 --balance sampler-half --export judge-sample-96",
        "judge-sample-96/judge.json",
        "--name judge-sample-96",
        None,
    ),
    Step("3", "wikiart-stylegen --name sample", "stylegen/sample/result.json", quick=None),
    Step(
        "3",
        "wikiart-stylegen --name sample-concat --conditioning concat --epochs 12",
        "stylegen/sample-concat/result.json",
        quick=None,
    ),
    Step(
        "3",
        "wikiart-stylegen evaluate runs/stylegen/sample --judge judge-sample-96 --baseline runs/stylegen/sample-concat",
        "stylegen/sample/evaluation/result.json",
        quick=None,
    ),
    Step(
        "B",
        "wikiart-classify --size 64 --seed 7 --width 0.75 --epochs 40 --balance sampler-half --export judge-sample-64",
        "judge-sample-64/judge.json",
        "--name judge-sample-64",
        "--epochs 3",
    ),
    Step(
        "B",
        "wikiart-lora --name plain --judge judge-sample-64",
        "lora/plain/score/result.json",
        quick="--steps 40 --score 1 --num-inference-steps 8",
    ),
    *(
        Step(
            "B",
            "wikiart-lora --name plain --judge judge-sample-64",
            f"lora/plain-{seed}/score/result.json",
            f"--name plain-{seed} --seed {seed}",
            None,
        )
        for seed in (1, 2)
    ),
    *(
        Step(
            "B",
            "wikiart-lora --name long --steps 2000 --judge judge-sample-64",
            f"lora/{name}/score/result.json",
            f"--name {name} --seed {seed}",
            None,
        )
        for seed, name in enumerate(_LONG)
    ),
    *(
        Step(
            "B",
            "wikiart-lora evaluate runs/lora/long --judge judge-sample-64 --strength 0.85",
            f"lora/{name}/score-0.85/result.json",
            quick=None,
            run=f"lora/{name}",
        )
        for name in _LONG
    ),
    Step(
        "B",
        "wikiart-lora --base sd15 --data DIR --rank 4 --steps 4000 --batch-size 4 --gradient-checkpointing "
        "--score 8 --judge judge",
        "lora/sd15/score/result.json",
        "--name sd15",
        hub=True,
    ),
)
"""In the order in which they are run: a step comes after the steps whose results it reads."""

GPU_STEPS = tuple(
    Step("A1", f"wikiart-classify --data DIR {options} --seed {seed}", f"classify/{name}-{seed}/result.json",
         f"--name {name}-{seed}", None)
    for name, options in (("base", "--model base"), ("gpu", "--model base --size 192 --epochs 120"))
    for seed in (0, 1, 2)
)  # fmt: skip
"""Steps that are run with `--device cuda` only: the larger network by the recipe of the small one, and a longer one."""

KEPT = {
    "classify": (_SEED_2, "classify/seed-0", "classify/seed-1"),
    "classify-base": tuple(f"classify/base-{seed}" for seed in (0, 1, 2)),
    "classify-gpu": tuple(f"classify/gpu-{seed}" for seed in (0, 1, 2)),
    "models": ("compare-models",),
    "imbalance": ("compare-imbalance",),
    "imbalance-full": ("full/compare-imbalance",),
    "artists": ("compare-artists",),
    "vector": ("autoencode/vector",),
    "rates": ("rates",),
    "codes": ("compare-codes",),
    "codes-methods": ("methods/compare-codes",),
    "map": ("cluster/map",),
    "stylegen": ("stylegen/film/evaluation",),
    "stylegen-artists": tuple(f"stylegen/{name}/evaluation" for name in _HALVES),
    "cas": ("compare-data",),
    "stylegen-sample": ("stylegen/sample/evaluation",),
    "lora-sample": ("lora/plain/score", "lora/plain-1/score", "lora/plain-2/score"),
    "lora-long-sample": tuple(f"lora/{name}/score" for name in _LONG),
    "lora-long-085-sample": tuple(f"lora/{name}/score-0.85" for name in _LONG),
}
"""The report's tables, and the folders of results that each is made from, one per seed. Those whose name ends in
`-sample` are of the sample set, whatever the data."""
MORE_FIGURES = {"stylegen": "stylegen/film/figures", "stylegen-sample": "stylegen/sample/figures"}
"""Figures that are in other folders."""
