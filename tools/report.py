#!/usr/bin/env python3
"""Writes a page about what scripts/run and scripts/bench have measured: one file that needs nothing else.

    tools/report.py OUT.html [--bench RESULTS.json] [--run RUN.jsonl]

RESULTS.json is what skua-bench writes, RUN.jsonl what scripts/run notes: a line for each part that ran.
"""
import argparse
import datetime
import html
import json
import math
import os
import pathlib
import platform
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report_charts as charts  # noqa: E402 (beside this file, wherever that is)

BARE = ("floor", "serial", "twin")  # nobody's runtime: compared with, but not lost to
BESIDE = (".cpu", ".wakes_per_op")  # figures that stand beside others
STYLE = """
:root{--back:#fff;--text:#1d2229;--faint:#5b6470;--rule:#d9dde3;--loss:#b3261e;--win:#0b6e4f;
--c0:#0b6e99;--c1:#b8541a;--c2:#4f7a10;--c3:#8145a8;--c4:#a3195b;--c5:#6b6f00}
@media(prefers-color-scheme:dark){:root{--back:#15181c;--text:#e4e7eb;--faint:#a2abb6;--rule:#39414b;--loss:#ff8a80;
--win:#6fd6b0;--c0:#5cbbe6;--c1:#f09a5f;--c2:#a3cf62;--c3:#c79bea;--c4:#f07fb0;--c5:#d6d64a}}
*{box-sizing:border-box}
body{background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;
padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.2rem;margin:2.2rem 0 .4rem}
p{margin:.4rem 0}.faint,caption,figcaption{color:var(--faint);font-size:.9rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:.4rem}
th,td{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600}
.loss{color:var(--loss);font-weight:600}.win{color:var(--win)}
figure{margin:1rem 0}svg{max-width:100%;height:auto;display:block}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1rem}
"""


def escape(text):
    return html.escape(str(text))


def number(value):
    size = abs(value)
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:,.0f}"


def cell(text, kind=""):
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def table(caption, heads, rows):
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>")


# ---- where ------------------------------------------------------------------------------------------------------------

def first_behind(path, key, separator):
    """What stands behind the separator in the first line that begins with `key`; nothing if there is none."""
    try:
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith(key):
                return line.partition(separator)[2].strip()
    except OSError:
        pass
    return ""


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine():
    processor = first_behind("/proc/cpuinfo", "model name", ":") or platform.machine()
    parts = [f"{len(os.sched_getaffinity(0))} processors ({processor})", f"Linux {platform.release()}",
             first_behind("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
             output_of("gcc", "--version").partition("\n")[0]]
    return ", ".join(part for part in parts if part), output_of("git", "describe", "--always", "--dirty")


# ---- benchmarks -------------------------------------------------------------------------------------------------------

class Bench:
    """What skua-bench has written."""

    def __init__(self, rows):
        self.rows = {(row["bench"], row["runtime"]): row for row in rows}
        self.names = list(dict.fromkeys(row["bench"] for row in rows if not row["bench"].endswith(BESIDE)))

    def find(self, name, runtime):
        return self.rows.get((name, runtime))

    def runtimes(self, name):
        return [runtime for bench, runtime in self.rows if bench == name]

    def best_other(self, name, workers):
        others = [self.rows[name, runtime] for runtime in self.runtimes(name)
                  if not runtime.startswith("skua") and runtime not in BARE and runtime.partition("@")[2] == workers]
        return min(others, key=lambda row: row["value"], default=None)

    def comparisons(self):
        """(ratio, ours, best of the others), the worst for us first. Above 1 we take longer."""
        found = []
        for name in self.names:
            for runtime in self.runtimes(name):
                ours, best = self.rows[name, runtime], self.best_other(name, runtime.partition("@")[2])
                if runtime.startswith("skua") and best and best["value"] > 0:
                    found.append((ours["value"] / best["value"], ours, best))
        return sorted(found, key=lambda row: -row[0])

    def by_workers(self, name):
        """{runtime without workers: {workers: row}}, of those that were measured on more than one number of them."""
        found = {}
        for runtime in self.runtimes(name):
            kind, _, workers = runtime.partition("@")
            if workers.isdigit() and kind != "sim":
                found.setdefault(kind, {})[int(workers)] = self.rows[name, runtime]
        return {kind: rows for kind, rows in found.items() if len(rows) > 1 and 1 in rows}


def spread(row):
    return f"{number(row['min'])} … {number(row['max'])}"


def comparison_section(bench):
    found = bench.comparisons()
    if not found:
        return ("<h2>Beside others</h2><p>No other runtime was measured: <code>scripts/bench --peers</code> installs "
                "some; <code>scripts/run</code> takes those that are there.</p>")
    lost = sum(ratio > 1 for ratio, _, _ in found)
    rows = [[cell(f"{ours['bench']}, {ours['runtime']}"), cell(f"{ratio:.2f}", "loss" if ratio > 1 else "win"),
             cell(f"{number(ours['value'])} {ours['unit']}"), cell(spread(ours)), cell(best["runtime"]),
             cell(number(best["value"])), cell(spread(best))] for ratio, ours, best in found]
    bars = charts.bars([(f"{ours['bench']}, {ours['runtime']}", ratio) for ratio, ours, _ in found])
    return (f"<h2>Beside others, losses first</h2><p>{lost} of {len(found)} lost. The ratio is our median to that of the "
            "best of the others with as many workers: above 1, Skua takes longer.</p>"
            f"<figure>{bars}<figcaption>Ratio to the best of the others, on a logarithmic scale; the line is 1."
            "</figcaption></figure>"
            + table("Medians over rounds, and the least and the greatest", ["", "ratio", "Skua", "spread", "best of the "
                    "others", "median", "spread"], rows))


def scaling_section(bench):
    figures, rows = [], []
    for name in bench.names:
        lines = bench.by_workers(name)
        if "." in name or not any(kind.startswith("skua") for kind in lines):
            continue
        serial, twin = bench.find(name, "serial"), bench.find(name, "twin")
        machine_gain = serial["value"] / twin["value"] if serial and twin else None
        speedups = {kind: {w: points[1]["value"] / row["value"] for w, row in sorted(points.items())}
                    for kind, points in lines.items()}
        figures.append(f"<figure>{charts.lines(name, speedups)}</figure>")
        for kind, points in speedups.items():
            for workers, gain in points.items():
                row = lines[kind][workers]
                to_serial = f"{serial['value'] / row['value']:.2f}" if serial else ""
                twins = f"{gain / machine_gain:.2f}" if machine_gain and workers == 2 else ""
                rows.append([cell(f"{name}, {kind}@{workers}"), cell(f"{number(row['value'])} {row['unit']}"),
                             cell(spread(row)), cell(f"{gain:.2f}"), cell(f"{gain / workers:.2f}"), cell(twins),
                             cell(to_serial)])
    if not figures:
        return ""
    return ("<h2>Scaling</h2><p>Speed-up, drawn over numbers of workers, is the median with one worker to the median with more; efficiency is that for "
            "each worker. <em>To the machine</em>: our gain by a second worker to what two serial processes gain "
            "together, as processors may share something. For a server, its clients need a processor too.</p>"
            f'<div class="charts">{"".join(figures)}</div>'
            + table("By numbers of workers", ["", "median", "spread", "speed-up", "efficiency", "to the machine",
                                              "to serial code"], rows))


# ---- parts of scripts/run ---------------------------------------------------------------------------------------------

def httpd_section(notes):
    if not notes:
        return ""
    rows = [[cell(note["what"]), cell(f"{note['requests_per_s']:,.0f}"), cell(note["p50"]), cell(note["p99"]),
             cell(note["max"]), cell(f"{note['cpu_us']:.1f}")] for note in notes]
    scheduler = "".join(f"<p class=\"faint\">{escape(note['what'])}: {escape(note['scheduler'])}</p>" for note in notes)
    return ("<h2>A web server under load</h2><p><code>examples/httpd</code>, all processors, and on the same ones wrk with "
            "50 connections.</p>"
            + table("Requests for /", ["", "requests/s", "p50", "p99", "max", "µs of processor time each"], rows)
            + scheduler)


def wordcount_section(notes):
    if not notes:
        return ""
    first = notes[0]["seconds"]
    rows = [[cell(f"{note['workers']} worker(s)"), cell(f"{note['seconds']:.3f} s"), cell(spread_of(note)),
             cell(f"{note['mb_per_s']:,.0f}"), cell(f"{first / note['seconds']:.2f}")] for note in notes]
    return ("<h2>Reading and counting</h2><p><code>examples/wordcount</code> over this machine's documentation and headers, "
            f"from the page cache: {escape(notes[0]['found'])}. {escape(notes[0]['truth'])}</p>"
            + table("Medians", ["", "time", "spread", "MB/s", "speed-up"], rows))


def spread_of(note):
    return f"{note['least']:.3f} … {note['most']:.3f} s"


# ---- the page ---------------------------------------------------------------------------------------------------------

def read_notes(path):
    found = {}
    if path:
        for line in pathlib.Path(path).read_text().splitlines():
            note = json.loads(line)
            found.setdefault(note.pop("part"), []).append(note)
    return found


def page(bench, notes):
    where, commit = machine()
    when = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    sections = [httpd_section(notes.get("httpd")), wordcount_section(notes.get("wordcount"))]
    if bench:
        sections = [comparison_section(bench), scaling_section(bench), *sections]
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Skua: what was measured</title>'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f"<style>{STYLE}{charts.STYLE}</style></head><body><main><h1>Skua: what was measured</h1>"
            f'<p class="faint">{escape(when)}; {escape(where)}; commit {escape(commit or "unknown")}</p>'
            f"{''.join(sections)}</main></body></html>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--bench")
    parser.add_argument("--run")
    arguments = parser.parse_args()
    bench = Bench(json.loads(pathlib.Path(arguments.bench).read_text())) if arguments.bench else None
    out = pathlib.Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(bench, read_notes(arguments.run)))


if __name__ == "__main__":
    main()
