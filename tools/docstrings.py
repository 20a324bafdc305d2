"""How the comments of the headers are laid out: paragraphs, code, lists, and labels (Threads, Blocks, Cancel, Returns)."""
import re

LABEL = re.compile(r"(?:^|(?<=[.:;)] )|(?<=\n))((?:Threads|Blocks|Cancel|Result|Memory|Times)(?:(?:,| and) "
                   r"(?:[Tt]hreads|[Bb]locks|[Cc]ancel|Returns))*(?=: )|Returns(?: also)?(?=:? ))(?::? )", re.M)
EMPHASIS = re.compile(r"(?<![\w*])\*([A-Za-z][a-z]*(?: [a-z]+)*)\*(?![\w*])")


def lines_of(paragraph, in_list):
    """(kind, text) of each line: text, code, item, or more (of the item above)."""
    is_labelled = False
    for line in paragraph.split("\n"):
        indent = len(line) - len(line.lstrip())
        if re.match(r"\s+- ", line):
            in_list = True
            yield "item", line.strip()[2:]
        elif in_list and indent >= 2:
            yield "more", line.strip()
        elif indent >= 4 or (indent >= 2 and not is_labelled):
            yield "code", line
        else:
            in_list = False
            is_labelled = is_labelled or LABEL.search(line.strip() + " ") is not None
            yield "text", line.strip()


def blocks(comment):
    """(kind, text): text (a paragraph), code (as it is, without the common indentation) or item (of a list)."""
    found = []
    for paragraph in re.split(r"\n\s*\n", comment):
        is_new = True
        for kind, text in lines_of(paragraph, bool(found) and found[-1][0] == "item"):
            if kind == "more":
                found[-1][1] += " " + text
            elif not is_new and found[-1][0] == kind != "item":
                found[-1][1] += "\n" + text
            elif kind == "code" and found and found[-1][0] == "code":
                found[-1][1] += "\n\n" + text
            else:
                found.append([kind, text])
            is_new = False
    for block in found:
        if block[0] == "code":
            lines = block[1].split("\n")
            common = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            block[1] = "\n".join(line[common:] for line in lines)
    return found


def labelled(text):
    """[(label or "", text), …] of a paragraph."""
    pieces = LABEL.split(text)
    return [("", pieces[0].strip())] * bool(pieces[0].strip()) + \
        [(label, said.strip()) for label, said in zip(pieces[1::2], pieces[2::2])]


def is_c(code):
    """Rather than a table, or what is printed."""
    return any(line.rstrip().endswith((";", "{", "}")) or "//" in line or re.search(r"\w\(.*\)$", line)
               for line in code.split("\n"))


def names_of_code(text):
    """[(is code, text), …]: what stands in backticks is code."""
    parts = text.split("`")
    return [(i % 2 == 1 and i < len(parts) - 1, part) for i, part in enumerate(parts)]


def first_sentence(paragraph):
    """(It, the rest). A label ends it, too."""
    label = LABEL.search(paragraph)
    end = label.start() if label and label.start() > 0 else len(paragraph)
    found = re.match(r".*?[.!?)](?=\s+[A-Z(*`])", paragraph[:end], re.S)
    end = found.end() if found else end
    return paragraph[:end].strip(), paragraph[end:].strip()


def summary(comment):
    """For a list: the first sentence on one line, without its full stop."""
    return re.sub(r"\s+", " ", first_sentence(comment.split("\n\n")[0])[0]).rstrip(".:")
