#!/usr/bin/env python3
"""Draws what scripts/bench found on simulated machines.

    tools/plot_scaling.py RESULTS.json OUT.svg

Exit status: 0; 1 if the results have none of sim_scaling.
"""
import json
import math
import pathlib
import sys

PANELS = [  # figure, title, the least the axis goes up to
    ("", "makespan, in (work / processors + longest path)", 2.0),
    (".idle", "processors idle while work waits, of all", 0.5),
    (".attempts", "looks at other workers for each steal", 20.0),
    (".wakes", "kernel wake-ups for each worker", 2.0),
]
KINDS = ["tree", "lopsided", "loop"]
COLOURS = ["#0b6e99", "#c2571a", "#4f8a10"]
WIDTH, HEIGHT, LEFT, TOP, GAP = 360, 200, 50, 40, 60
STYLE = """text{font:12px sans-serif;fill:#222}.axis{stroke:#888;fill:none}.grid{stroke:#8884}
polyline{fill:none;stroke-width:2}.back{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#ddd}.back{fill:#181818}}"""


def read(path):
    """{(kind, figure): [(processors, median, least, greatest)]}"""
    found = {}
    for row in json.loads(pathlib.Path(path).read_text()):
        name, _, figure = row["bench"].partition(".")
        runtime, _, processors = row["runtime"].partition("@")
        if runtime == "sim" and name.removeprefix("sim_scaling_") in KINDS:
            key = (name.removeprefix("sim_scaling_"), "." + figure if figure else "")
            found.setdefault(key, []).append((int(processors), row["value"], row["min"], row["max"]))
    return {key: sorted(points) for key, points in found.items()}


def draw_panel(found, figure, title, least_top, x0, y0):
    series = {kind: found[kind, figure] for kind in KINDS if (kind, figure) in found}
    points = [point for line in series.values() for point in line]
    most = max(point[0] for point in points)
    top = max(least_top, *(point[3] for point in points)) * 1.05

    def at(processors, value):
        x = x0 + WIDTH * math.log2(processors) / max(1, math.log2(most))
        return f"{x:.1f},{y0 + HEIGHT * (1 - value / top):.1f}"

    out = [f'<text x="{x0}" y="{y0 - 10}">{title}</text>',
           f'<path class="axis" d="M{x0},{y0} v{HEIGHT} h{WIDTH}"/>']
    for i in range(5):
        value = top * i / 4
        x, y = at(1, value).split(",")
        out.append(f'<path class="grid" d="M{x},{y} h{WIDTH}"/>'
                   f'<text x="{x0 - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for processors in sorted({point[0] for point in points}):
        x = at(processors, 0).split(",")[0]
        out.append(f'<text x="{x}" y="{y0 + HEIGHT + 16}" text-anchor="middle">{processors}</text>')
    for kind, line in series.items():
        colour = COLOURS[KINDS.index(kind)]
        out.append(f'<polyline stroke="{colour}" points="{" ".join(at(p, v) for p, v, _, _ in line)}"/>')
        for processors, _, low, high in line:
            out.append(f'<path stroke="{colour}" d="M{at(processors, low)} L{at(processors, high)}"/>')
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found = read(sys.argv[1])
    if not found:
        sys.exit("plot_scaling: the results have no sim_scaling_tree, _lopsided or _loop")
    out = []
    for i, panel in enumerate(PANELS):
        out += draw_panel(found, *panel, LEFT + i % 2 * (WIDTH + GAP), TOP + i // 2 * (HEIGHT + GAP))
    width, height = 2 * (WIDTH + GAP) + LEFT - GAP + 20, TOP + 2 * (HEIGHT + GAP) + 20
    for i, kind in enumerate(KINDS):
        x = LEFT + 140 * i
        out.append(f'<path stroke="{COLOURS[i]}" stroke-width="2" d="M{x},{height - 19} h24"/>'
                   f'<text x="{x + 30}" y="{height - 15}">{kind}</text>')
    out.append(f'<text x="{LEFT + 420}" y="{height - 15}">by simulated processors; medians, least to greatest</text>')
    pathlib.Path(sys.argv[2]).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><style>{STYLE}</style>'
        f'<rect class="back" width="{width}" height="{height}"/>{"".join(out)}</svg>\n')


if __name__ == "__main__":
    main()
