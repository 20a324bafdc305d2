#!/usr/bin/env python3
"""Man pages of section 3 from the public headers: a page for each header, and for each name in it one that leads there.
headers.py says what is public and which comment is whose.
  man_pages.py <version> <folder of the headers> <folder for the pages>
"""
import pathlib
import re
import sys

import docstrings
import headers

WIDTH = 76
FORMS = """Of a call skua_X() there may be other forms. skua_X_until() does not wait beyond an instant of skua_now().
skua_X_start() starts it as an op or a future, for SKUA_AWAIT in futures or skua_await(). skua_X_prepare() sets an op up
for skua_select(). What is said of the call holds for them, too."""


def escaped(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def line(text):
    """A line of text that is no request."""
    return "\\&" + text if text[:1] in (".", "'") else text


def inline(text):
    def words(part):
        part = re.sub(r"(?<=[a-z])\\-(?=[a-z ])", "-", escaped(part))  # hyphens within words
        part = docstrings.EMPHASIS.sub(r"\\fI\1\\fR", part)
        return re.sub(r"\b(skua_\w+|SKUA_\w+)(\(\))", r"\\fB\1\\fR\2", part)
    return "".join(f"\\fB{escaped(part)}\\fR" if is_code else words(part)
                   for is_code, part in docstrings.names_of_code(text))


def filled(text):
    return [line(inline(one)) for one in text.split("\n") if one.strip()]


def verbatim(text):
    return [".PP", ".RS 4", ".nf", *(line(escaped(one)) for one in text.split("\n")), ".fi", ".RE"]


def described(comment):
    lines = []
    for kind, text in docstrings.blocks(comment):
        if kind == "code":
            lines += verbatim(text)
        elif kind == "item":
            lines += [".IP \\(bu 2", *filled(text)]
        else:
            for label, said in docstrings.labelled(text):
                lines += [".TP", f".B {label}:", *filled(said)] if label else [".PP", *filled(said)]
    return lines


def wrapped(declaration):
    """A declaration on lines of at most WIDTH, broken behind commas."""
    if len(declaration) <= WIDTH or "(" not in declaration:
        return [declaration]
    head, rest = declaration.split("(", 1)
    indent = 4 if len(head) > WIDTH // 2 else len(head) + 1
    lines, now = [], head + "("
    for part in re.split(r"(?<=,) ", rest):
        if len(now) + len(part) + 1 > WIDTH and not now.endswith("("):
            lines.append(now)
            now = " " * indent + part
        else:
            now += ("" if now.endswith("(") else " ") + part
    return [*lines, now]


def declared(item):
    if item.kind == "macro":
        is_constant = item.value and "(" not in item.text and len(item.value) < 40 and \
            "{" not in item.value and "SKUAI_" not in item.value
        return wrapped(item.text + (" " + item.value if is_constant else ""))
    if item.kind not in ("struct", "enum"):
        return wrapped(item.text)
    end = "," if item.kind == "enum" else ""
    lines = [item.text + " {"]
    for member in item.members:
        text = f"    {member.text}{end}"
        about = re.sub(r"\s+", " ", member.comment) if member.comment and member.head is member else ""
        if len(text) + len(about) + 7 <= WIDTH:
            lines.append(text + (f" /* {about} */" if about else ""))
        else:
            lines += comment_lines(about) + [text]
    if item.hides_fields or not item.members:
        lines.append("    /* fields of the runtime's */")
    return lines + ["} " + item.name + ";" if item.text.startswith("typedef") else "};"]


def comment_lines(text):
    lines, now = [], "    /*"
    for word in text.split():
        if len(now) + len(word) + 1 > WIDTH:
            lines.append(now)
            now = "      "
        now += " " + word
    return [*lines, now + " */"]


def families(header):
    """The items by what their comment is, in order."""
    found = {}
    for item in header.items:
        found.setdefault(id(item.head), []).append(item)
    return found.values()


def title(items):
    names = [item.name for item in items if item.name]
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def page_of(header):
    return pathlib.Path(header.name).with_suffix("").as_posix().replace("/", "_")


def is_form(item):
    return bool(headers.base_of(item.name)) and item.head is not item


def others(header, owner):
    """The pages of what its comments name."""
    text = "\n".join([header.comment, *(item.comment or "" for item in header.items)])
    named = {owner[name] for name in re.findall(r"\b(?:skua|SKUA)_\w+", text) if name in owner}
    named |= {f"skua_{name}" for name in re.findall(r"\b([a-z_]+)\.h\b", text) if f"skua_{name}" in owner.values()}
    return sorted(named - {page_of(header)})


def page(header, version, owner):
    name = page_of(header)
    lines = [f'.TH {name} 3 "" "Skua {version}" "Skua\'s reference"', ".SH NAME",
             f"{name} \\- {inline(docstrings.summary(header.comment))}", ".SH SYNOPSIS", ".nf",
             f".B #include <{header.name}>"]
    calls = [item for item in header.items if item.kind in ("function", "macro") and not is_form(item)]
    if calls:
        lines.append("")
    for item in calls:
        lines += ["\\fB" + line(escaped(text)) + "\\fR" for text in declared(item)]
    lines += [".fi", ".SH DESCRIPTION", *described(header.comment)]
    for items in families(header):
        lines += [f'.SS "{escaped(title(items))}"', ".nf"]
        for item in items:
            lines += ["\\fB" + line(escaped(text)) + "\\fR" for text in declared(item)]
        lines.append(".fi")
        if items[0].comment:
            lines += described(items[0].comment)
    if any(is_form(item) for item in header.items):
        lines += [".SH FORMS", *filled(FORMS)]
    see = [f"\\fB{other}\\fR(3)" for other in others(header, owner)]
    lines += [".SH SEE ALSO", ", ".join(["\\fBskua\\fR(3)", *see])]
    return "\n".join(lines) + "\n"


def overview(found, umbrella, version):
    lines = [f'.TH skua 3 "" "Skua {version}" "Skua\'s reference"', ".SH NAME",
             f"skua \\- {inline(docstrings.summary(umbrella.comment).removeprefix('Skua: '))}", ".SH SYNOPSIS", ".nf",
             ".B #include <skua.h>", ".fi", ".SH DESCRIPTION", *filled(umbrella.comment)]
    for header in found:
        lines += [".TP", f"\\fB{page_of(header)}\\fR(3)", inline(docstrings.summary(header.comment)) + "."]
    return "\n".join(lines) + "\n"


def main():
    version, source, target = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.3"):
        old.unlink()
    failures = 0
    found = [headers.read_header(path, path.relative_to(source).as_posix())
             for path in sorted((source / "skua").glob("*.h"))]
    found = [header for header in found if header.items]
    owner = {}
    for header in found:
        for text in headers.undocumented(header):
            failures += 1
            print(text, file=sys.stderr)
        for item in header.items:
            values = [member.name for member in item.members] if item.kind == "enum" else []
            for name in filter(None, [item.name, *values]):
                owner.setdefault(name, page_of(header))
    pages = {page_of(header) for header in found}
    for header in found:
        (target / f"{page_of(header)}.3").write_text(page(header, version, owner), encoding="utf-8")
    for name, its_page in owner.items():
        if name not in pages:
            (target / f"{name}.3").write_text(f".so man3/{its_page}.3\n", encoding="utf-8")
    umbrella = headers.read_header(source / "skua.h", "skua.h")
    (target / "skua.3").write_text(overview(found, umbrella, version), encoding="utf-8")
    print(f"{len(found) + 1} man pages about {len(owner)} names, {failures} of them without a word")
    return failures > 0


sys.exit(main())
