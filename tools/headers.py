"""What the public headers declare and what their comments say of it: for doxygen_filter.py and man_pages.py.

The rules, which are those that a reader follows, too:
  - The first comment of a header is about the header.
  - A comment right before a declaration is about it, and about those that follow without a blank line or a comment of
    their own: a family.
  - A comment behind a declaration, on its line, is about that alone.
  - Of a structure whose comment says that fields belong to the runtime, only those are public that the comment names in
    backticks; of other structures all, but those called reserved.
  - Names with skuai_ or SKUAI_ are nobody's business, nor are macros in small letters, which wrap functions for debugging,
    but those that are no function's name.
"""
import re

RUNTIMES = re.compile(r"\bfields\b[^.]*\bbelong\s+to\s+the\s+runtime", re.I)
SECTION = re.compile(r"^/\*\s*-{3,}|-{6,}\s*\*/$")
ATTRIBUTES = re.compile(r"\b(SKUA_API|SKUA_NODISCARD|SKUA_BEGIN_DECLS|SKUA_END_DECLS|__extension__|static inline|static|"
                        r"SKUA_NO_THREAD_SAFETY)\b\s*")
ANALYSIS = re.compile(r"\s*\bSKUA_(ACQUIRES|RELEASES|REQUIRES|ASSERTS|EXCLUDES|CAPABILITY)\w*\(")
CONDITIONAL = re.compile(r"#\s*(if|ifdef|ifndef|elif|else|endif|include|error|undef|pragma)\b")


class Item:
    """A declaration: kind is function, macro, struct, enum, type; or member, value inside of one."""

    def __init__(self, kind, name, text, line):
        self.kind, self.name, self.text, self.line = kind, name, text, line
        self.comment = None  # its own or its family's, as text without the stars
        self.lead = None     # what stands before it, if it is about it
        self.head = self     # the first of its family
        self.members = []
        self.hides_fields = False

    def is_internal(self):
        return re.match(r"skuai_|SKUAI_", self.name) is not None


class Header:
    def __init__(self, path, name):
        self.path, self.name = path, name
        self.comment = ""
        self.items = []


def comment_text(raw):
    """Without /*, */ and the stars; indentation is kept relative to ` * `."""
    lines = raw[2:-2].split("\n")
    cleaned = [lines[0].removeprefix(" ")]
    for line in lines[1:]:
        starred = re.match(r"\s*\* ?(.*)", line)
        cleaned.append(starred.group(1) if starred else line.strip())
    return "\n".join(line.rstrip() for line in cleaned).strip("\n")


def balanced(text, position):
    """Behind the bracket that closes the one at `position`."""
    depth = 0
    while True:
        depth += {"(": 1, ")": -1, "{": 1, "}": -1}.get(text[position], 0)
        position += 1
        if depth == 0:
            return position


def clean(text):
    """A declaration as a reader wants it: without linkage, attributes and comments, on one line."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    for pattern in (re.compile(r"\s*__attribute__\s*\("), ANALYSIS):
        while found := pattern.search(text):
            text = text[:found.start()] + " " + text[balanced(text, found.end() - 1):]
    return re.sub(r"\s+", " ", ATTRIBUTES.sub("", text)).strip().replace(" ;", ";")


def tokens(text, line, ends=";"):
    """(kind, text, line, blank lines before, begins on the line of what was before)."""
    position, blank, same_line = 0, 1, False
    while position < len(text):
        if text[position].isspace():
            if text[position] == "\n":
                line += 1
                blank += 1
                same_line = False
            position += 1
            continue
        begin = position
        if text.startswith("/*", position):
            kind, position = "comment", text.index("*/", position) + 2
        elif text[position] == "#":
            kind = "directive"
            while position < len(text) and text[position] != "\n":
                if text.startswith("/*", position):
                    end = text.index("*/", position) + 2
                    if not re.match(r"[^\n]*\\\n", text[end:]):
                        break  # behind it
                    position = end
                position += 2 if text.startswith("\\\n", position) else 1
        elif found := re.compile(r"(SKUA_(BEGIN|END)_DECLS\b|SKUAI_GUARD_\w+\([^)]*\))").match(text, position):
            kind, position = "nothing", found.end()
        else:
            kind, position = "declaration", declaration_end(text, position, ends)
        yield kind, text[begin:position], line, blank > 1, same_line
        line += text.count("\n", begin, position)
        blank, same_line = 0, True


def declaration_end(text, position, ends):
    """Behind the semicolon or comma, or the body of a function."""
    depth, begin, last = 0, position, None
    while position < len(text):
        if text.startswith("/*", position):
            last = last or position
            position = text.index("*/", position) + 2
            continue
        last = last if text[position].isspace() else None
        character = text[position]
        if character == "{" and depth == 0 and clean(text[begin:position]).endswith(")"):
            return balanced(text, position)
        depth += {"(": 1, ")": -1, "{": 1, "}": -1}.get(character, 0)
        position += 1
        if depth == 0 and character in ends:
            return position
    return last or position


def macro(text, line):
    found = re.match(r"#\s*define\s+(\w+)(\([^)]*\))?[ \t]*(.*)", text, re.S)
    if not found:
        return None
    value = re.sub(r"/\*.*?\*/", "", found.group(3).replace("\\\n", " "), flags=re.S)
    item = Item("macro", found.group(1), f"#define {found.group(1)}{found.group(2) or ''}", line)
    item.value = re.sub(r"\s+", " ", value).strip()
    return item


def declaration(text, line):
    """The item that a declaration at file scope makes, or None."""
    body = re.match(r"\s*(?:typedef\s+)?(struct|union|enum)\b([^{;()]*?(?:\([^)]*\))?[^{;()]*)\{", text)
    if body:
        end = balanced(text, body.end() - 1)
        tags = re.findall(r"\w+", clean(body.group(2)))
        tail = re.sub(r"[;\s]", "", clean(text[end:]))
        name = tail or (tags[-1] if tags else "")
        item = Item("enum" if body.group(1) == "enum" else "struct", name,
                    f"{'typedef ' if tail else ''}{body.group(1)}{' ' + tags[-1] if tags else ''}", line)
        inside = text[body.end():end - 1]
        item.members = members(inside, line + text.count("\n", 0, body.end()), item.kind == "enum")
        return item
    text = clean(re.sub(r"\)\s*\{.*\}$", ");", re.sub(r"/\*.*?\*/", " ", text, flags=re.S), flags=re.S))
    if text.startswith(("_Static_assert", "extern")) or not text.strip(" ;"):
        return None
    if text.startswith("typedef"):
        name = re.search(r"\(\*(\w+)\)|(\w+)\s*\([^()]*\);$|(\w+)(?:\[\w*\])?;$", text)
        return Item("type", next(filter(None, name.groups())), text, line)
    if found := re.search(r"(\w+)\s*\(", text):
        return Item("function", found.group(1), text, line)
    found = re.match(r"(struct|union|enum) (\w+);$", text)
    return Item("type", found.group(2), text, line) if found and found.group(2).startswith("skua_") else None


def members(text, line, is_enum):
    found = []
    for item in documented(tokens(text, line, "," if is_enum else ";"), lambda raw, at: member(raw, at, is_enum)):
        found += item
    return found


def member(text, line, is_enum):
    """A list of items: declarators share a declaration, and what is unnamed shows its members."""
    if is_enum:
        name = re.match(r"\w+", clean(text))
        item = Item("value", name.group(0), clean(text).rstrip(",").strip(), line)
        return [item]
    if re.match(r"\s*SKUA_FRAME\s*;", text):
        return []
    if re.match(r"\s*SKUA_OP_HEADER\s*;", text):
        item = Item("member", "result", "int64_t result;", line)
        item.comment = "What the operation returned, when it is over: a count or 0, or a negative errno value."
        return [item]
    nested = re.match(r"\s*(struct|union)\s*\{", text)
    if nested:
        end = balanced(text, nested.end() - 1)
        inner = members(text[nested.end():end - 1], line, False)
        name = re.match(r"\s*(\w+)", text[end:])
        if name:
            item = Item("member", name.group(1), f"{nested.group(1)} {{ … }} {name.group(1)};", line)
            return [item]
        return inner
    text = clean(text).rstrip(";,").strip()
    if not text:
        return []
    pointer = re.search(r"\(\*(\w+)\)\(", text)
    if pointer:
        return [Item("member", pointer.group(1), text + ";", line)]
    first, *others = re.split(r",\s*", text)
    base = re.match(r"(.*?)([*\s]+)(\w+)(\[\w+\])?$", first)
    found = [Item("member", base.group(3), first + ";", line)]
    for other in others:
        stars, name, size = re.match(r"(\**)(\w+)(\[\w+\])?", other).groups()
        found.append(Item("member", name, f"{base.group(1)} {stars}{name}{size or ''};", line))
    return found


def documented(stream, make):
    """Gives what make() makes of each declaration or directive, lists of items, with comments attached by the rules."""
    pending, family, latest = None, None, []
    groups = []
    for kind, text, line, blank_before, same_line in stream:
        if kind == "comment":
            if same_line and latest:
                for item in latest:  # behind its declaration: about that alone
                    item.comment, item.head = joined(item.lead, comment_text(text)), item
                continue
            pending = None if SECTION.search(text) else comment_text(text)
            family = None
            continue
        if kind == "nothing" or (kind == "directive" and CONDITIONAL.match(text)):
            if kind == "directive" and blank_before:
                pending, family = None, None
            latest = []
            continue
        if blank_before:
            family = None
            pending = None
        made = make(text, line)
        items = made if isinstance(made, list) else [made] if made else []
        for item in items:
            if pending:
                item.comment = item.lead = pending
            elif family is not None and not item.comment:
                item.comment, item.head = family.lead, family
        if items and pending:
            family = items[0]
            for item in items[1:]:
                item.head = family
        pending = None
        latest = items
        groups.append(items)
    return groups


def joined(lead, text):
    """A heading over several members goes when each has its own words."""
    return text if not lead or lead.endswith(":") else f"{lead}\n\n{text}"


def top_level(text, line):
    return macro(text, line) if text.startswith("#") else declaration(text, line)


def show_fields(item):
    """Leaves the members that are public."""
    item.hides_fields = bool(item.comment and RUNTIMES.search(item.comment))
    named = set(re.findall(r"`(\w+)`", item.comment or ""))
    item.members = [member for member in item.members
                    if not re.match(r"reserved\d*$|skuai_|SKUAI_", member.name)
                    and (not item.hides_fields or member.name in named or member.name == "result")]


def read_header(path, name):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    header = Header(path, name)
    first = re.match(r"/\*.*?\*/", text, re.S)
    header.comment = comment_text(first.group(0))
    line = 1 + first.group(0).count("\n")
    known = set()
    for items in documented(tokens(text[first.end():], line), top_level):
        for item in items:
            wraps = item.kind == "macro" and item.name.islower() and \
                re.match(r"SKUAI_(PLACED|AT)", item.value)
            guard = item.kind == "macro" and item.name.endswith("_H")
            if item.is_internal() or wraps or guard or item.name in known or not re.match(r"skua_|SKUA_", item.name):
                if item.kind == "enum" and not item.is_internal():  # one without a name: its values count
                    show_fields(item)
                    if item.members and not item.name:
                        header.items.append(item)
                continue
            known.add(item.name)
            if item.kind in ("struct", "enum"):
                show_fields(item)
            header.items.append(item)
    adopt_forms(header)
    return header


def base_of(name):
    """skua_X of skua_X_start, skua_X_prepare and skua_X_until; else the empty string."""
    found = re.match(r"(\w+)_(start|prepare|until)$", name)
    return found.group(1) if found else ""


def adopt_forms(header):
    """Those without a comment that is about them are of skua_X()'s family."""
    named = {item.name: item for item in header.items}
    for item in header.items:
        base = named.get(base_of(item.name))
        if base and base.comment and (not item.comment or "_try_" in item.head.name):
            item.comment, item.head = base.comment, base.head


def undocumented(header):
    """What is public and has no comment, as lines for people."""
    if not header.comment:
        yield f"{header.path}:1: nothing says what the header is for"
    for item in header.items:
        if item.name and not item.comment:
            yield f"{header.path}:{item.line}: nothing is said of {item.name}"
        for member in item.members:
            if not member.comment:
                yield f"{header.path}:{member.line}: nothing is said of {item.name or 'an enum'}'s {member.name}"
