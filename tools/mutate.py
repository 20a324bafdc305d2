"""Finds the mutants of a lock-free file: memory orders one step weaker, protocol steps left out or swapped, checks
turned around. For scripts/mutants, which builds and runs them; what counts as an argument for a mutant that no model
test kills is found here too (tests/model/README.md, "Mutants").

The C that it reads is this project's: a tokenizer, and statements by recursive descent. There are no types; a
declaration is told from an expression by its first words. A mutant that comes out as nonsense does not compile, and is
counted as that.
"""
import re

TOKEN = re.compile(r"""
    (?P<directive>^[ \t]*\#(?:\\\n|[^\n])*)
  | (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\d[\w.]*)
  | (?P<punct><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|[<>=!]=|&&|\|\||[-+*/%&|^]=|[^\s\w])
""", re.X | re.S | re.M)

ACCESS = re.compile(r"skuai_(load|store|exchange|cas|add|sub|or|and)_(32|64|ptr)$")
OTHER_ATOMS = {"skuai_fence", "skuai_pause", "SKUAI_READ", "SKUAI_WRITE"}
SLEEP = re.compile(r"skuai_\w*(park|wake|wait)\w*$|futex_\w+$")
# Calls that are no steps of any protocol, or that reach atomics only in the simulation. Those of sync/lock_debug.h are
# nothing in the model tests.
NO_STEPS = {"skuai_env_point", "skuai_env_now", "skuai_count", "skuai_count_max", "count_steal",
            "skuai_late_note", "skuai_late_add", "skuai_log", "skuai_misuse", "skuai_worker_self",
            "skuai_worker_set_self", "skuai_random_below", "assert", "abort"}
KEYWORDS = {"if", "while", "for", "do", "switch", "return", "sizeof", "case", "default", "else", "break", "continue",
            "goto"}
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
# What an order becomes, and which of its halves that loses.
WEAKER = {
    "load": {"SEQ_CST": [("ACQUIRE", "seq_cst")], "ACQUIRE": [("RELAXED", "acquire")]},
    "store": {"SEQ_CST": [("RELEASE", "seq_cst")], "RELEASE": [("RELAXED", "release")]},
    "rmw": {"SEQ_CST": [("ACQ_REL", "seq_cst")], "ACQ_REL": [("ACQUIRE", "release"), ("RELEASE", "acquire")],
            "ACQUIRE": [("RELAXED", "acquire")], "RELEASE": [("RELAXED", "release")]},
    "fence": {"SEQ_CST": [("ACQ_REL", "seq_cst")], "ACQ_REL": [("ACQUIRE", "release"), ("RELEASE", "acquire")]},
    "handed": {"SEQ_CST": [("RELEASE", "seq_cst")]},  # to a function, which stores with it
}
ARGUMENT = re.compile(r"no model test (needs|runs) ([^:.;]*):", re.I)
LABEL = re.compile(r"\b[A-Z]\d\b|\b(?:before|after|first|then|behind|follow\w*|again|once more|last|order\w*)\b", re.I)


class Token:
    __slots__ = ("kind", "text", "start", "end")

    def __init__(self, kind, text, start):
        self.kind, self.text, self.start, self.end = kind, text, start, start + len(text)


class Statement:
    """kind: a keyword, "block", "expression", "declaration", "empty" or "jump". first and end number its tokens."""

    def __init__(self, kind, first, parent):
        self.kind, self.first, self.end, self.parent = kind, first, first, parent
        self.condition = None  # the tokens of its condition, or of what it returns
        self.children = []


class Function:
    def __init__(self, name, head, body, is_bool):
        self.name, self.head, self.body, self.is_bool = name, head, body, is_bool
        self.root = None


class Mutant:
    """edits: (start, end, text) in the file. loses: what an argument must name."""

    def __init__(self, source, function, statement, at, what, loses, edits):
        self.source, self.function, self.statement = source, function, statement
        self.what, self.loses, self.edits = what, loses, edits
        self.line = source.line_of(at)

    def text(self):
        text = self.source.text
        for start, end, new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def is_argued(self, is_run):
        return any(self.loses in words if verb == "needs" else not is_run
                   for verb, words in self.source.arguments(self.function, self.statement))


class Source:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.tokens, self.comments = [], []
        for match in TOKEN.finditer(text):
            token = Token(match.lastgroup, match.group(), match.start())
            if token.kind == "comment":
                self.comments.append(token)
            elif token.kind != "directive":
                self.tokens.append(token)
        self.functions = []
        for function in self._functions():
            try:
                function.root, _ = self._statement(function.body, None)
                self.functions.append(function)
            except IndexError:  # statements made by macros: no mutants there
                pass

    # ---- places ----

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def slice(self, first, end):
        return self.text[self.tokens[first].start:self.tokens[end - 1].end]

    def matching(self, at):
        """The token that closes the bracket at `at`."""
        depth = 0
        for i in range(at, len(self.tokens)):
            depth += self.tokens[i].text in OPENING
            depth -= self.tokens[i].text in CLOSING
            if depth == 0:
                return i
        raise SyntaxError(f"{self.path}:{self.line_of(self.tokens[at].start)}: an open bracket")

    # ---- functions and statements ----

    def _functions(self):
        at = head = 0
        while at < len(self.tokens):
            text = self.tokens[at].text
            if text == "{" and at > 0 and self.tokens[at - 1].text == ")":
                depth, i = 0, at - 1
                while True:
                    depth += self.tokens[i].text == ")"
                    depth -= self.tokens[i].text == "("
                    if depth == 0:
                        break
                    i -= 1
                words = {token.text for token in self.tokens[head:i]}
                yield Function(self.tokens[i - 1].text, head, at, "bool" in words)
            if text in OPENING:
                at = self.matching(at)
            if self.tokens[at].text in ("}", ";"):
                head = at + 1
            at += 1

    def _until(self, at, stop):
        while self.tokens[at].text != stop:
            at = self.matching(at) + 1 if self.tokens[at].text in OPENING else at + 1
        return at

    def _statement(self, at, parent):
        """Reads one from token `at` on. Returns it and what comes after."""
        text = self.tokens[at].text
        node = Statement(text, at, parent)
        if text == "{":
            node.kind, node.end = "block", self.matching(at) + 1
            at += 1
            while at < node.end - 1:
                child, at = self._statement(at, node)
                node.children.append(child)
            return node, node.end
        if text in ("if", "while", "for", "switch"):
            close = self.matching(at + 1)
            node.condition = (at + 2, close)
            if text == "for":
                first = self._until(at + 2, ";")
                node.condition = (first + 1, self._until(first + 1, ";"))
            child, at = self._statement(close + 1, node)
            node.children.append(child)
            if text == "if" and self.tokens[at].text == "else":
                child, at = self._statement(at + 1, node)
                node.children.append(child)
        elif text == "do":
            child, at = self._statement(at + 1, node)
            node.children.append(child)
            close = self.matching(at + 1)
            node.condition = (at + 2, close)
            at = close + 2
        elif text in ("case", "default") or (self.tokens[at].kind == "word" and self.tokens[at + 1].text == ":"):
            node.kind, at = "empty", self._until(at, ":") + 1
        else:
            end = self._until(at, ";")
            if text == "return":
                node.condition = (at + 1, end)
            elif text in ("break", "continue", "goto", ";"):
                node.kind = "jump"
            else:
                node.kind = "declaration" if self._is_declaration(at) else "expression"
            at = end + 1
        node.end = at
        return node, at

    def _is_declaration(self, at):
        words = 0
        while self.tokens[at].kind == "word" or (words > 0 and self.tokens[at].text == "*"):
            words += self.tokens[at].kind == "word"
            at += 1
        return words >= 2

    # ---- arguments ----

    def arguments(self, function, statement):
        """Of each "no model test needs ...:" that speaks of the statement, the verb and the words after it: in its
        lines, right above it or above what it is the body of, or above the function."""
        places = []
        node = statement
        while node is not None and node.kind != "block":
            places.append(self.tokens[node.first].start)
            node = node.parent
        places.append(self.tokens[function.head].start)
        first = self.line_of(self.tokens[statement.first].start)
        last = self.line_of(self.tokens[statement.end - 1].end)
        if statement.children:
            last = self.line_of(self.tokens[statement.children[0].first].start)
        for comment in self.comments:
            following = self.text[comment.end:].lstrip()
            above = any(len(self.text) - len(following) == place for place in places)
            if above or (self.line_of(comment.start) <= last and self.line_of(comment.end) >= first):
                for match in ARGUMENT.finditer(self._plain(comment)):
                    yield match.group(1).lower(), re.findall(r"\w+", match.group(2))

    @staticmethod
    def _plain(comment):
        return " ".join(re.sub(r"\n\s*\*", "\n", comment.text).split())

    def comment_of(self, statement):
        """What is said in the statement's lines and right above it."""
        start, end = self.tokens[statement.first].start, self.tokens[statement.end - 1].end
        first, last = self.line_of(start), self.line_of(end)
        said = [self._plain(c) for c in self.comments
                if first <= self.line_of(c.start) <= last or not self.text[c.end:start].strip() and c.end <= start]
        return " ".join(said)


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


class Calls:
    """Which functions of the tree come to an atomic access, by name."""

    def __init__(self, sources):
        self.called = {}
        for source in sources:
            for function in source.functions:
                end = source.matching(function.body)
                self.called.setdefault(function.name, set()).update(self.names(source, function.body, end))
        self.known = {}

    @staticmethod
    def names(source, first, end):
        tokens = source.tokens
        return [tokens[i].text for i in range(first, end - 1)
                if tokens[i].kind == "word" and tokens[i + 1].text == "(" and tokens[i].text not in KEYWORDS]

    def is_step(self, name):
        if name in NO_STEPS or name.startswith("skuai_lock_debug_"):
            return False
        if ACCESS.match(name) or name in OTHER_ATOMS or SLEEP.match(name):
            return True
        if name not in self.known:
            self.known[name] = False  # while we are at it: recursion ends
            self.known[name] = any(self.is_step(callee) for callee in sorted(self.called.get(name, ())))
        return self.known[name]

    def has_step(self, source, first, end):
        return any(self.is_step(name) for name in self.names(source, first, end))


def tainted(source, function):
    """The function's variables that hold what an atomic access has read."""
    found = set()
    tokens, end = source.tokens, source.matching(function.body)
    for i in range(function.body, end):
        if not ACCESS.match(tokens[i].text):
            continue
        if "_cas_" in tokens[i].text:
            close = source.matching(i + 1)
            found.update(tokens[k + 1].text for k in range(i, close)
                         if tokens[k].text == "&" and tokens[k - 1].text == "," and tokens[k + 2].text == ",")
        k = i - 1
        while tokens[k].text == "(":
            k -= 1
        if tokens[k].text == "=" and tokens[k - 1].kind == "word":
            found.add(tokens[k - 1].text)
    return found


class Finder:
    def __init__(self, source, calls):
        self.source, self.calls = source, calls

    def all(self):
        for function in self.source.functions:
            found = list(self._of(function))
            found.sort(key=lambda mutant: mutant.line)
            yield from found

    def _of(self, function):
        self.function = function
        self.taint = tainted(self.source, function)
        self.statements = [node for node in walk(function.root)]
        yield from self._orders()
        for node in self.statements:
            if node.kind == "expression":
                yield from self._dropped(node)
            if node.condition is not None and node.kind != "switch":
                yield from self._checks(node)
            yield from self._swapped(node)

    def _mutant(self, node, at, what, loses, edits):
        return Mutant(self.source, self.function, node, self.source.tokens[at].start, what, loses, edits)

    def _span(self, first, end):
        return self.source.tokens[first].start, self.source.tokens[end - 1].end

    def _owner(self, at):
        inside = [node for node in self.statements if node.first <= at < node.end and node.kind != "block"]
        return inside[-1] if inside else self.function.root

    def _orders(self):
        tokens = self.source.tokens
        for at in range(self.function.body, self.source.matching(self.function.body)):
            order = tokens[at].text.removeprefix("SKUAI_")
            if order not in ("SEQ_CST", "ACQ_REL", "ACQUIRE", "RELEASE"):
                continue
            if tokens[at - 1].text not in ("(", ",") or tokens[at + 1].text not in (")", ","):
                continue  # compared, not used
            depth, call = 1, at
            while depth > 0:
                call -= 1
                depth += tokens[call].text in CLOSING
                depth -= tokens[call].text in OPENING
            name = tokens[call - 1].text
            access = ACCESS.match(name)
            kind = "fence" if name == "skuai_fence" else "handed" if access is None else access.group(1)
            kind = kind if kind in WEAKER else "rmw"
            for weaker, loses in WEAKER[kind].get(order, ()):
                edit = (tokens[at].start, tokens[at].end, "SKUAI_" + weaker)
                yield self._mutant(self._owner(at), at, f"{name}: {order} -> {weaker}", loses, [edit])

    def _short(self, first, end):
        text = " ".join(re.sub(r"/\*.*?\*/", "", self.source.slice(first, end), flags=re.S).split())
        return text if len(text) <= 60 else text[:57] + "..."

    def _blank(self, first, end, new):
        """Replaces tokens by `new` and keeps the lines where they are."""
        start, stop = self._span(first, end)
        return (start, stop, new + "\n" * self.source.text.count("\n", start, stop))

    def _dropped(self, node):
        if not self.calls.has_step(self.source, node.first, node.end):
            return
        if "a counter" in self.source.comment_of(node):
            return
        yield self._mutant(node, node.first, "dropped: " + self._short(node.first, node.end), "step",
                           [self._blank(node.first, node.end, "(void)0;")])

    # ---- checks ----

    def _reads(self, first, end):
        words = {self.source.tokens[i].text for i in range(first, end)}
        return bool(words & self.taint) or self.calls.has_step(self.source, first, end)

    def _split(self, first, end, operator):
        """The ranges between the operators at the top."""
        parts, at, begin = [], first, first
        while at < end:
            if self.source.tokens[at].text in OPENING:
                at = self.source.matching(at)
            elif self.source.tokens[at].text == operator:
                parts.append((begin, at))
                begin = at + 1
            at += 1
        return parts + [(begin, end)]

    def _unwrapped(self, first, end):
        while (self.source.tokens[first].text in ("SKUAI_LIKELY", "SKUAI_UNLIKELY") and
               self.source.matching(first + 1) == end - 1):
            first, end = first + 2, end - 1
        return first, end

    def _checks(self, node):
        first, end = node.condition
        if node.kind == "return":
            question = self._split(first, end, "?")
            if len(question) > 1:
                first, end = question[0]
            elif not self.function.is_bool:
                return
        if first >= end or end - first == 1 and node.kind == "return" or not self._reads(first, end):
            return
        first, end = self._unwrapped(first, end)
        start, stop = self._span(first, end)
        yield self._mutant(node, first, "turned around: " + self._short(first, end), "check",
                           [(start, start, "!("), (stop, stop, ")")])
        for operator, neutral in (("||", "0"), ("&&", "1")):
            parts = self._split(first, end, operator)
            if len(parts) == 1:
                continue
            for part in parts:
                if self._reads(*part):
                    yield self._mutant(node, part[0], "not asked: " + self._short(*part), "check",
                                       [self._blank(*part, neutral)])
            return

    # ---- swaps ----

    def _swapped(self, node):
        """The statement and the one before it in its block, if both are accesses, or steps that a comment orders."""
        block = node.parent
        if block is None or block.kind != "block":
            return
        at = block.children.index(node)
        if at == 0 or node.kind in ("return", "jump", "empty", "block"):
            return
        before = block.children[at - 1]
        if before.kind in ("return", "jump", "empty", "block"):
            return
        if not all(self.calls.has_step(self.source, n.first, n.end) for n in (before, node)):
            return
        accesses = all(any(ACCESS.match(name) for name in self.calls.names(self.source, n.first, n.end))
                       and "SKUAI_RELAXED" not in self.source.slice(n.first, n.end) for n in (before, node))
        if not accesses and not LABEL.search(self.source.comment_of(before) + " " + self.source.comment_of(node)):
            return
        one, two = self._span(before.first, before.end), self._span(node.first, node.end)
        text = self.source.text
        what = f"swapped: {self._short(before.first, before.end)} <> {self._short(node.first, node.end)}"
        yield self._mutant(before, before.first, what, "sequence",
                           [(*one, text[slice(*two)]), (*two, text[slice(*one)])])


def probe(function, source, statement=None):
    """The file with an abort at the beginning of the function or of the statement: does a test ever come here?"""
    text = source.text
    if statement is None:
        at = source.tokens[function.body].end
        return text[:at] + " __builtin_abort();" + text[at:]
    start, end = source.tokens[statement.first].start, source.tokens[statement.end - 1].end
    if statement.parent is None or statement.parent.kind == "block":
        return text[:start] + "__builtin_abort(); " + text[start:]
    return text[:start] + "{ __builtin_abort(); " + text[start:end] + " }" + text[end:]
