"""A load's results as a page of Markdown, as lines of JSON and as a plot."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sglang_omni.benchmark import machine
from sglang_omni.benchmark.figures import Spread
from sglang_omni.benchmark.results import OF_ANSWERS, OF_RUNS, Result

NOTHING = "-"
LEGEND = (
    "Median / p95 / p99 of all answers; in brackets the lowest and highest median of the repeats.\n"
    "Answers with an error are in no figure but their own."
)


def page(results: Sequence[Result], failed: Sequence[str], facts: dict[str, str]) -> str:
    """What it was measured with, the figures, and what failed."""
    rows = {name: [_cell(result.spread(name), True) for result in results] for name in OF_ANSWERS}
    rows |= {name: [_cell(result.spread(name), False) for result in results] for name in OF_RUNS}
    rows["answers whose player ran dry"] = [
        f"{len(result.ran_dry)} of {len(result.answered)}, {result.silence:.2f} s" for result in results
    ]
    rows["errors"] = [", ".join(f"{n} {kind}" for kind, n in result.errors.items()) or "none" for result in results]
    rows["equal to its solo run"] = [_share(result.equal) for result in results]
    rows["word error rate"] = [_percent(result.word_error_rate) for result in results]
    head = ["", *(str(result.point) for result in results)]
    return "\n".join(
        [
            machine.table(facts),
            "",
            f"| {' | '.join(head)} |",
            "|---" * len(head) + "|",
            *(f"| {' | '.join([name, *cells])} |" for name, cells in rows.items() if set(cells) != {NOTHING}),
            "",
            LEGEND,
            *(f"\nFailed: {sentence}." for sentence in failed),
        ]
    )


def _cell(spread: Spread | None, percentiles: bool) -> str:
    if spread is None:
        return NOTHING
    shown = (spread.median, spread.p95, spread.p99) if percentiles else (spread.median,)
    return " / ".join(map(_figure, shown)) + f" ({_figure(spread.least)}–{_figure(spread.greatest)})"


def _figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.001 or not value else f"{value:.4f}"


def _share(held: Sequence[bool]) -> str:
    return f"{sum(held)} of {len(held)}" if held else NOTHING


def _percent(rate: float | None) -> str:
    return NOTHING if rate is None else f"{100 * rate:.0f} %"


def lines(results: Sequence[Result], facts: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What it was measured with, then one for each request, then one for each point."""
    yield {"kind": "facts", **facts}
    for result in results:
        for repeat, run in enumerate(result.runs):
            for answer in run.answers:
                said = asdict(answer)
                del said["line"], said["pcm"], said["figures"]
                figures = {**asdict(answer.figures), "real_time_factor": answer.figures.real_time_factor}
                asked = {"workload": answer.line.workload, "line": answer.line.number}
                yield {"kind": "request", **asdict(result.point), "repeat": repeat, **asked, **figures, **said}
    for result in results:
        spreads = {name: result.spread(name) for name in (*OF_ANSWERS, *OF_RUNS)}
        yield {
            "kind": "summary",
            **asdict(result.point),
            "repeats": len(result.runs),
            "requests": len(result.answers),
            "seconds": [run.seconds for run in result.runs],
            **{name: asdict(spread) for name, spread in spreads.items() if spread},
            "ran dry": len(result.ran_dry),
            "silence (s)": result.silence,
            "errors": result.errors,
            "compared": len(result.equal),
            "equal to its solo run": sum(result.equal),
            "word error rate": result.word_error_rate,
        }


def write(folder: Path, title: str, told: str, results: Sequence[Result], facts: Mapping[str, str]) -> None:
    """requests.jsonl, summary.md, and plot.png and plot.svg where matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requests.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines(results, facts)))
    (folder / "summary.md").write_text(f"# {title}\n\n{told}\n")
    try:
        from sglang_omni.benchmark.plot import draw
    except ImportError as missing:
        print(f"no plot: {missing} (pip install '.[bench]' in a checkout)", file=sys.stderr)
        return
    draw(results, title, [folder / "plot.png", folder / "plot.svg"])
