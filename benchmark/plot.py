"""A load's results at a glance: four figures over the points."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sglang_omni.benchmark.results import Result

PANELS = {
    "first audio (s)": "lower is better",
    "real-time factor": "lower is better, below 1 keeps up",
    "sound a second (s)": "higher is better",
}
COLOURS = {"median": "#1f4e8c", "p95": "#5b8fc9", "p99": "#a9c6e6"}


def draw(results: Sequence[Result], title: str, files: Sequence[Path]) -> None:
    """A panel each, and one of the answers whose player ran dry."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    figure.suptitle(title, fontsize=13)
    panels = figure.subplots(2, 2)
    places = range(len(results))
    for axes, (name, hint) in zip(panels.flat, PANELS.items(), strict=False):
        spreads = [result.spread(name) for result in results]
        for which in COLOURS if name != "sound a second (s)" else ("median",):
            heights = [getattr(spread, which) if spread else float("nan") for spread in spreads]
            axes.plot(places, heights, marker="o", color=COLOURS[which], label=which)
        least, greatest = ([getattr(s, end) if s else float("nan") for s in spreads] for end in ("least", "greatest"))
        axes.fill_between(places, least, greatest, color="#1f4e8c", alpha=0.15, lw=0, label="medians of the repeats")
        axes.set_title(f"{name}: {hint}", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    dry = [100 * len(result.ran_dry) / max(1, len(result.answered)) for result in results]
    lost = [100 * result.errors.total() / max(1, len(result.answers)) for result in results]
    axes = panels[1, 1]
    axes.bar([place - 0.15 for place in places], dry, 0.3, color="#c98a2b", label="player ran dry (% of answers)")
    axes.bar([place + 0.15 for place in places], lost, 0.3, color="#b03a3a", label="errors (% of requests)")
    axes.set_title("what went wrong (%)", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.set_ylim(0, 100)
    for axes in panels.flat:
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.set_xlim(-0.6, len(results) - 0.4)
        axes.set_xticks(places, [f"{result.point.value:g}" for result in results])
        axes.set_xlabel("clients" if results[0].point.clients else "requests a second")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    for file in files:
        figure.savefig(file, dpi=150)
