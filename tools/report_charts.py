"""Charts for tools/report.py, as SVG whose colours are the page's variables."""
import html
import math

STYLE = """
svg text{font:12px system-ui,sans-serif;fill:var(--text)}svg .faint{fill:var(--faint)}
svg .axis{stroke:var(--faint);fill:none}svg .grid{stroke:var(--rule)}svg .ideal{stroke:var(--faint);stroke-dasharray:4 4}
svg polyline{fill:none;stroke-width:2}svg .bar-loss{fill:var(--loss)}svg .bar-win{fill:var(--win)}
"""
COLOURS = 6


def svg(width, height, title, parts):
    text = html.escape(title)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
            f'aria-label="{text}"><title>{text}</title>{"".join(parts)}</svg>')


def label(x, y, text, anchor="start", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(text)}</text>'


def bars(rows):
    """One bar for each (name, ratio), to the right of 1 where it is above. The scale is logarithmic."""
    names = max(120, 8 + int(7.2 * max(len(name) for name, _ in rows))) # a character of 12 px is not wider than that
    width, line = 460, 20
    most = max(1.0, *(abs(math.log2(ratio)) for _, ratio in rows))
    middle, unit = names + width / 2, (width / 2 - 50) / most
    height = line * len(rows) + 28
    parts = [f'<path class="axis" d="M{middle},18 V{height - 2}"/>', label(middle, 14, "1", "middle", "faint")]
    for i, (name, ratio) in enumerate(rows):
        y, length = 22 + i * line, unit * abs(math.log2(ratio))
        is_loss = ratio > 1
        x = middle if is_loss else middle - length
        parts.append(f'<rect class="{"bar-loss" if is_loss else "bar-win"}" x="{x:.1f}" y="{y}" '
                     f'width="{max(length, 1):.1f}" height="{line - 6}" rx="2"/>')
        parts.append(label(names - 8, y + 11, name, "end"))
        parts.append(label(x + length + 5, y + 11, f"{ratio:.2f}") if is_loss else
                     label(x - 5, y + 11, f"{ratio:.2f}", "end"))
    return svg(names + width, height, "Ratio of each benchmark to the best of the others", parts)


def lines(title, speedups):
    """One line for each {runtime: {workers: speed-up}}, and what would be ideal."""
    width, height, left, top, column = 300, 180, 34, 30, 110
    most = max(workers for points in speedups.values() for workers in points)
    highest = max(most, *(gain for points in speedups.values() for gain in points.values())) * 1.02

    def at(workers, gain):
        return f"{left + width * (workers - 1) / (most - 1):.1f},{top + height * (1 - gain / highest):.1f}"

    parts = [label(left, 16, title),
             f'<path class="axis" d="M{left},{top} v{height} h{width}"/>',
             f'<path class="ideal" d="M{at(1, 1)} L{at(most, most)}"/>']
    step = max(1, math.ceil(highest / 5))
    for gain in range(0, int(highest) + 1, step):
        y = float(at(1, gain).split(",")[1])
        parts.append(f'<path class="grid" d="M{left},{y} h{width}"/>' + label(left - 6, y + 4, str(gain), "end"))
    for workers in sorted({workers for points in speedups.values() for workers in points}):
        parts.append(label(float(at(workers, 0).split(",")[0]), top + height + 16, str(workers), "middle"))
    for i, (runtime, points) in enumerate(speedups.items()):
        colour = f"var(--c{i % COLOURS})"
        parts.append(f'<polyline stroke="{colour}" points="{" ".join(at(w, g) for w, g in sorted(points.items()))}"/>')
        for place in (at(workers, gain).split(",") for workers, gain in points.items()):
            parts.append(f'<circle fill="{colour}" cx="{place[0]}" cy="{place[1]}" r="3"/>')
        x, y = left - 30 + column * (i % 3), top + height + 38 + 18 * (i // 3)
        parts.append(f'<path stroke="{colour}" stroke-width="2" d="M{x},{y - 4} h18"/>' + label(x + 24, y, runtime))
    return svg(left + width + 24, top + height + 44 + 18 * ((len(speedups) - 1) // 3), title, parts)
