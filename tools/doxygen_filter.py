#!/usr/bin/env python3
"""What Doxygen reads in the place of a public header: its public declarations, with their comments as Doxygen wants them.
headers.py says what is public and which comment is whose; skua.h becomes the first page.
  doxygen_filter.py <header>
"""
import pathlib
import re
import sys

import docstrings
import headers

FORMS = {"start": "{} as an op or a future that is started, to be awaited.",
         "prepare": "{} as an op that is prepared for skua_select().",
         "until": "{}, but not beyond an instant of skua_now()."}
VALUE_MAX = 60  # longer ones of macros say nothing to who reads


def escaped(text):
    for character, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, instead)
    return re.sub(r"([\\@#%$])", r"\\\1", text)


def inline(text):
    """Names in backticks are code; all else is just text."""
    return "".join(f"<code>{escaped(part)}</code>" if is_code else
                   docstrings.EMPHASIS.sub(r"<em>\1</em>", escaped(part))
                   for is_code, part in docstrings.names_of_code(text))


def described(comment, is_brief=True):
    """The lines of the comment; the first sentence is its brief form."""
    lines = []
    blocks = docstrings.blocks(comment)
    if is_brief and blocks[0][0] == "text":
        brief, blocks[0][1] = docstrings.first_sentence(blocks[0][1])
        lines += ["@brief " + inline(brief.replace("\n", " ")), ""]
    for kind, text in blocks:
        if kind == "code":
            begin, end = ("@code{.c}", "@endcode") if docstrings.is_c(text) else ("@verbatim", "@endverbatim")
            lines += ["", begin, *text.split("\n"), end, ""]
        elif kind == "item":
            lines.append("- " + inline(text))
        else:
            for label, said in docstrings.labelled(text):
                lines += ["", *([f"@par {label}"] if label else []), *inline(said).split("\n")]
            lines.append("")
    return lines


def about(item):
    form = re.match(r"(\w+)_(start|prepare|until)$", item.name)
    if form and item.head is not item and item.head.kind == "function":
        return ["@brief " + FORMS[form.group(2)].format(form.group(1) + "()"), "",
                *described(item.comment, is_brief=False)]
    return described(item.comment)


def comment(lines):
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip("\n"))
    return "/** " + re.sub(r"\n(?=.)", "\n * ", text).replace("\n\n", "\n *\n").replace("*/", "* /") + " */\n"


def with_comment(item, text):
    return (comment(about(item)) if item.comment else "") + text + "\n"


def declared(item):
    if item.kind == "macro":
        return f"{item.text} {item.value if len(item.value) <= VALUE_MAX and 'SKUAI_' not in item.value else '...'}"
    if item.kind not in ("struct", "enum"):
        return item.text
    end = "," if item.kind == "enum" else ""
    inner = "".join(with_comment(member, member.text.replace("{ … }", "{ int hidden; }") + end)
                    for member in item.members)
    return f"{item.text.removeprefix('typedef ')} {{\n{inner}}};"


def first_page(path, header):
    """Of skua.h: all the others."""
    lines = ["@mainpage Reference", "", *described(header.comment, is_brief=False), ""]
    for other in sorted(pathlib.Path(path).with_suffix("").glob("*.h")):
        found = headers.read_header(other, f"skua/{other.name}")
        if found.items:
            lines.append(f"- {found.name}: {inline(docstrings.summary(found.comment))}")
    return comment(lines)


def main():
    path = sys.argv[1]
    name = "skua" + path.rsplit("/skua", 1)[1]
    header = headers.read_header(path, name)
    output = comment([f"@file {name}", "", *described(header.comment)])
    if name == "skua.h":
        output += first_page(path, header)
    for item in header.items:
        text = with_comment(item, declared(item))
        # About where it is in the header, so that what is said of it is said of about that line.
        output += "\n" * max(1, item.line - output.count("\n") - text.count("\n")) + text
    sys.stdout.write(output)


main()
