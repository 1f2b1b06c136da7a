"""What was measured, written into the model card beside the weights and into docs/demo.md.

scripts/evaluate-demo --output evaluation.jsonl && python -m training card evaluation.jsonl
"""

import argparse
import json
import re
from importlib import resources
from pathlib import Path

from safetensors import safe_open

from training import shipped
from training.evaluate import Results, page

PAGE = Path(__file__).parent.parent / "docs" / "demo.md"
MEASURED = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- end -->)", re.DOTALL)
"""The part of the page that is written anew."""


def card(results: Results, checkpoint: Path) -> str:
    """The model card of a checkpoint."""
    files = list(checkpoint.glob("*.safetensors"))
    generation = json.loads((checkpoint / "generation_config.json").read_text())
    return (
        resources.files("training")
        .joinpath("card.md")
        .read_text()
        .format(
            parameters=round(sum(map(_parameters, files)) / 1e6, 1),
            megabytes=round(sum(file.stat().st_size for file in files) / 1e6),
            results=page(results),
            line=results.line,
            **{name: generation[name] for name in generation if name.startswith("talker_")},
        )
    )


def measured(text: str, results: Results) -> str:
    """The page about the demo with its figures replaced."""
    return MEASURED.sub(lambda _: f"\n{page(results)}\n\n`{results.line}` (per cent)\n\n", text)


def _parameters(file: Path) -> int:
    with safe_open(file, "pt") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    total = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count
    return total


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m training card", description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path, help="what scripts/evaluate-demo --output has written")
    parser.add_argument(
        "--checkpoint", type=Path, default=shipped.WEIGHTS, metavar="DIR", help="(default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    results = Results.read(options.results)
    (options.checkpoint / "README.md").write_text(card(results, options.checkpoint))
    PAGE.write_text(measured(PAGE.read_text(), results))
