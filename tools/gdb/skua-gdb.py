"""Skua's tasks in gdb: of a live process that is stopped, and of a core file.

    (gdb) source skua-gdb.py
    (gdb) skua tasks             every task: id, name, kind, state, what it waits for and where
    (gdb) skua bt TASK           the stack of one, by its id or name: also of fibers that no thread is in
    (gdb) skua workers           each worker: its thread, what it runs, what is queued at it

Nothing of the process is called or written, so it works on core files: on those that the kernel writes. (gdb's own
generate-core-file, which gcore is, leaves out what lies around the guards of stacks, so fibers have none there.) It needs
the debug information of the library (-g), and Python in gdb.

Runtimes are found through their threads: a worker by its thread-local pointer, for which gdb wants libthread_db, or by
the frames of the threads that Skua starts.
"""

import struct

import gdb
import gdb.unwinder

# sched/task_word.h
ALIVE, RUNNING, ENDED, CANCEL = 1, 2, 8, 16
KIND_SHIFT, KIND_MASK = 9, 3
KINDS = {0: "future", 1: "fiber", 2: "job"}
# sched/slab.h
INDEX_BITS = 9
CHUNK_BYTES = 1 << 16
REGION_BYTES = 1 << 21
REGION_CHUNKS = REGION_BYTES // CHUNK_BYTES
# skua/future.h
FRAME_ENDED = 1

# What lies at a suspended flow's stack pointer on aarch64 (context_aarch64.S).
AARCH64_FRAME_BYTES = 176
AARCH64_SAVED = {f"x{19 + i}": 8 * i for i in range(12)}


def pointer_to(name):
    return gdb.lookup_type(name).pointer()


def symbol_at(address):
    """The name of the function there, or its address."""
    block = None
    try:
        block = gdb.block_for_pc(int(address))
    except RuntimeError:
        pass
    if block is not None and block.start == int(address) and block.function is not None:
        return block.function.name
    text = gdb.execute(f"info symbol {int(address):#x}", to_string=True)
    return text.split(" ")[0] if not text.startswith("No symbol") else f"{int(address):#x}"


# ---- where everything is ---------------------------------------------------------------------------------------------


class Runtime:
    def __init__(self, scheduler):
        self.scheduler = scheduler
        count = int(scheduler["nworkers"]) + int(scheduler["spares"]["made"]["raw"])
        self.workers = [scheduler["workers"][i] for i in range(count)]

    def runner_of(self, task):
        """The worker that runs it, or None."""
        for worker in self.workers:
            if int(worker["task"]) == task.address:
                return worker
        return None

    def slots(self):
        """(id, address, word) of each task."""
        slabs = self.scheduler["slabs"]
        region, count = slabs["regions"], int(slabs["region_chunks"])
        while int(region) != 0:
            for i in range(count):
                yield from self.slots_of(region["chunks"][i])
            region, count = region["older"], REGION_CHUNKS

    @staticmethod
    def slots_of(chunk):
        first, end, size = int(chunk["slots"]), int(chunk["end"]), int(chunk["slot_bytes"])
        # What was never handed out is not read: it may not be in a core.
        used = max(int(chunk["fresh"]), int(chunk["touched_end"]))
        for index, address in enumerate(range(first, min(end, used), size)):
            if address + size > end:
                break
            try:
                word = struct.unpack("=Q", bytes(gdb.selected_inferior().read_memory(address, 8)))[0]
            except gdb.MemoryError:
                continue
            if word & ALIVE:
                yield int(chunk["id"]) << INDEX_BITS | index, address, word

    def tasks(self):
        return [Task(self, *slot) for slot in self.slots()]


class Task:
    def __init__(self, runtime, number, address, word):
        self.runtime, self.number, self.address, self.word = runtime, number, address, word
        self.header = gdb.Value(address).cast(pointer_to("struct skua_task"))
        self.body = address + self.header.dereference().type.sizeof

    @property
    def kind(self):
        return KINDS.get(self.word >> KIND_SHIFT & KIND_MASK, "task")

    @property
    def name(self):
        more = int(self.header["more"]["raw"])
        if more == 0:
            return ""
        return gdb.Value(more).cast(pointer_to("struct skuai_task_extension"))["name"].string(errors="replace")

    @property
    def state(self):
        if self.word & ENDED:
            return "ended"
        runner = self.runtime.runner_of(self)
        if runner is not None:
            return f"runs on worker {int(runner['index'])}"
        return "ready" if self.word & RUNNING else "waits"

    @property
    def fiber(self):
        """The fiber's own, or None."""
        if self.kind == "future":
            return None
        return gdb.Value(self.body).cast(pointer_to("struct skuai_fiber"))

    @property
    def root(self):
        """A future's outermost frame."""
        if symbol_at(self.header["run"]) == "skuai_frame_run_large":
            return gdb.Value(self.body).cast(pointer_to("struct skuai_large_frame"))["root"]
        return gdb.Value(self.body).cast(pointer_to("struct skua_frame"))

    def awaits(self):
        """The op, or None; the innermost frame, or None."""
        if self.kind == "future":
            return None, self.root["parent"]
        awaits = int(self.fiber["awaits"])
        if awaits & 1:
            return None, gdb.Value(awaits & ~1).cast(pointer_to("struct skua_frame"))
        return (gdb.Value(awaits).cast(pointer_to("struct skua_op")) if awaits else None), None

    def frames(self):
        """Of futures, innermost first: the functions' names and the lines at which they wait."""
        _, frame = self.awaits()
        root = int(self.root) if self.kind == "future" else 0
        while frame is not None and int(frame) != 0:
            yield symbol_at(frame["poll"]), int(frame["resume"]), frame
            if int(frame) == root:
                break
            frame = frame["parent"]

    def waits_in(self):
        op, leaf = self.awaits()
        place = ""
        if leaf is not None:
            poll, awaited = symbol_at(leaf["poll"]), int(leaf["awaited"])
            if poll == "skuai_select_poll":
                text = f"skua_select of {int(leaf.cast(pointer_to('struct skua_selection'))['count'])}"
            elif poll == "skuai_set_poll":
                text = f"a set of {int(leaf.cast(pointer_to('struct skua_set'))['count'])} children"
            elif awaited != 0 and not awaited & 1 and not int(leaf["flags"]) & FRAME_ENDED:
                text = describe_op(gdb.Value(awaited).cast(pointer_to("struct skua_op")))
            else:
                text = "SKUA_PARK"
            place = f" in {poll} at line {int(leaf['resume'])}"
        elif op is not None:
            text = describe_op(op)
        else:
            text = "skua_park, or a job that another worker has taken"
        if self.fiber is not None and bool(self.fiber["started"]) and int(self.fiber["place"]) != 0:
            place = f" at {self.fiber['place'].string(errors='replace')}"
        return text + place

    def describe(self):
        name = f" ({self.name})" if self.name else ""
        text = f"task {self.number}{name}, a {self.kind}, {self.state}"
        if self.state == "waits":
            text += f" in {self.waits_in()}"
        if self.word & CANCEL:
            text += ", cancelled"
        return text


def describe_op(op):
    kind, owner = op["kind"], int(op["owner"])
    if int(kind) == 0:
        return "skua_await"
    kind = kind.cast(pointer_to("struct skuai_op_kind"))
    text = kind["name"].string()
    if text == "skua_join":
        return f"{text} of task {number_of(owner)}"
    return f"{text} of {owner:#x}" if owner != 0 and not bool(kind["has_no_owner"]) else text


def number_of(task):
    """As skuai_slab_slot_id()."""
    region = task & ~(REGION_BYTES - 1)
    header = gdb.lookup_type("struct skuai_slab_chunk").sizeof * ((task - region) // CHUNK_BYTES)
    chunk = gdb.Value(region + header).cast(pointer_to("struct skuai_slab_chunk"))
    return int(chunk["id"]) << INDEX_BITS | (task - int(chunk["slots"])) // int(chunk["slot_bytes"])


# ---- finding runtimes ------------------------------------------------------------------------------------------------


def worker_by_thread_local():
    try:
        return int(gdb.parse_and_eval("skuai_tls_worker"))
    except gdb.error:
        return 0


def scheduler_by_frames():
    """Of a thread that Skua has started."""
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.name() in ("guard_main", "skuai_worker_main", "sigquit_main"):
            try:
                arg = frame.read_var("arg")
                if frame.name() == "guard_main":
                    return int(arg)
                if frame.name() == "skuai_worker_main":
                    return int(arg.cast(pointer_to("struct skuai_worker"))["sched"])
                return int(arg.cast(pointer_to("struct skuai_sigquit"))["rt"])
            except (gdb.error, ValueError):
                pass
        frame = frame.older()
    return 0


def each_thread():
    before = gdb.selected_thread()
    if before is None:
        raise gdb.GdbError("There is no process, and no core file.")
    frame = gdb.selected_frame()
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
            thread.switch()
            yield thread
    finally:
        before.switch()
        frame.select()


def find_runtimes():
    """Runtimes, and the threads of workers by their addresses."""
    check_debug_information()
    schedulers, threads = {}, {}
    for thread in each_thread():
        worker = worker_by_thread_local()
        scheduler = 0
        if worker != 0:
            threads[worker] = thread
            scheduler = int(gdb.Value(worker).cast(pointer_to("struct skuai_worker"))["sched"])
        else:
            scheduler = scheduler_by_frames()
        if scheduler != 0:
            schedulers[scheduler] = True
    found = [Runtime(gdb.Value(at).cast(pointer_to("struct skuai_scheduler")).dereference()) for at in schedulers]
    if not found:
        raise gdb.GdbError("No thread here is one of a Skua runtime.")
    return found, threads


def check_debug_information():
    for name in ("struct skuai_scheduler", "struct skuai_worker", "struct skuai_fiber", "struct skuai_slab_set"):
        try:
            gdb.lookup_type(name)
        except gdb.error:
            raise gdb.GdbError(f"There is no {name}: is the library's debug information here (-g)?") from None


# ---- stacks ----------------------------------------------------------------------------------------------------------


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Under(gdb.unwinder.Unwinder):
    """Says of the innermost frame of the selected thread that it was called by a suspended flow. So gdb unwinds that by
    what it knows of its functions, and no register is written."""

    def __init__(self):
        super().__init__("skua-suspended-flow")
        self.enabled = False
        self.registers = None
        self.at = None

    def __call__(self, pending):
        if self.registers is None or int(pending.read_register("sp")) != self.at:
            return None
        word = gdb.lookup_type("unsigned long")
        flow = FrameId(gdb.Value(self.registers["sp"] - 16).cast(word), pending.read_register("pc"))
        info = pending.create_unwind_info(flow)
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info

    def backtrace(self, registers):
        frame = gdb.newest_frame()
        self.at = int(frame.read_register("sp"))
        self.registers = registers
        self.enabled = True
        gdb.invalidate_cached_frames()
        try:
            text = gdb.execute("bt", to_string=True)
        finally:
            self.registers = None
            self.enabled = False
            gdb.invalidate_cached_frames()
        lines = text.splitlines()
        first = next((i for i, line in enumerate(lines) if line.startswith("#1 ")), len(lines))
        return "\n".join(lines[first:])


UNDER = Under()
gdb.unwinder.register_unwinder(None, UNDER, replace=True)


def registers_of(context):
    """What a suspended flow's registers are."""
    registers = context["registers"]
    sp = int(registers["sp"])
    names = [field.name for field in registers.type.fields()]
    if "pc" in names:  # context_x86_64.h
        return {"rip": int(registers["pc"]), "sp": sp, "rbp": int(registers["bp"]), "rbx": int(registers["bx"])}
    if gdb.selected_frame().architecture().name().startswith("aarch64"):
        memory = bytes(gdb.selected_inferior().read_memory(sp, AARCH64_FRAME_BYTES))
        saved = {name: struct.unpack_from("=Q", memory, at)[0] for name, at in AARCH64_SAVED.items()}
        return {**saved, "pc": saved["x30"], "sp": sp + AARCH64_FRAME_BYTES}
    raise gdb.GdbError("Flows are switched by ucontext here: their stacks cannot be shown.")


def print_stack(task, threads):
    print(task.describe())
    runner = task.runtime.runner_of(task)
    if task.word & ENDED:
        print("It has ended: there is no stack.")
    elif runner is not None:
        thread = threads.get(int(runner))
        if thread is None:
            raise gdb.GdbError("Its worker's thread was not found: try `thread apply all bt`.")
        before = gdb.selected_thread()
        thread.switch()
        gdb.execute("bt")
        before.switch()
    elif task.kind == "future":
        for number, (poll, line, _) in enumerate(task.frames()):
            print(f"#{number}  {poll} at line {line}")
    elif not bool(task.fiber["started"]):
        print("It has not begun: there is no stack.")
    else:
        print(UNDER.backtrace(registers_of(task.fiber["context"])))
        for poll, line, _ in task.frames():
            print(f"in the future {poll} at line {line}")


# ---- commands --------------------------------------------------------------------------------------------------------


class Skua(gdb.Command):
    """Skua's tasks: skua tasks, skua bt TASK, skua workers."""

    def __init__(self):
        super().__init__("skua", gdb.COMMAND_STATUS, gdb.COMPLETE_NONE, True)


class SkuaTasks(gdb.Command):
    """Every task of every runtime: id, name, kind, state, and what it waits for."""

    def __init__(self):
        super().__init__("skua tasks", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        runtimes, _ = find_runtimes()
        for runtime in runtimes:
            tasks = runtime.tasks()
            print(f"runtime {int(runtime.scheduler.address):#x}: {len(tasks)} tasks")
            for task in tasks:
                print(f"  {task.describe()}")


class SkuaWorkers(gdb.Command):
    """Each worker: its thread, what it runs, and what is queued at it."""

    def __init__(self):
        super().__init__("skua workers", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        runtimes, threads = find_runtimes()
        for runtime in runtimes:
            tasks = {task.address: task for task in runtime.tasks()}
            print(f"runtime {int(runtime.scheduler.address):#x}: {len(runtime.workers)} workers")
            for worker in runtime.workers:
                self.print_worker(worker, tasks, threads.get(int(worker)))

    @staticmethod
    def queued(deque):
        return (int(deque["bottom"]["raw"]) - int(deque["top"]["raw"])) & (2**64 - 1)

    def print_worker(self, worker, tasks, thread):
        runs = tasks.get(int(worker["task"]))
        name = f" ({runs.name})" if runs is not None and runs.name else ""
        where = f"thread {thread.num} (LWP {thread.ptid[1] or thread.ptid[2]})" if thread is not None else "no thread"
        print(
            f"  worker {int(worker['index'])}{', a spare' if bool(worker['is_spare']) else ''}, {where}: "
            + (f"runs task {runs.number}{name}" if runs is not None else "runs no task")
            + f"; queued: {self.queued(worker['deque'])} in the deque, {self.queued(worker['inbox'])} in the inbox, "
            + f"{int(int(worker['next']['raw']) != 0)} in the next-slot"
            + f"; {int(worker['counters']['polls']['raw'])} runs"
        )


class SkuaBt(gdb.Command):
    """The stack of a task, by its id or its name: skua bt 12, skua bt acceptor."""

    def __init__(self):
        super().__init__("skua bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        wanted = argument.strip()
        if not wanted:
            raise gdb.GdbError("Which task? By its id or its name: skua tasks has them.")
        runtimes, threads = find_runtimes()
        found = [
            task for runtime in runtimes for task in runtime.tasks() if wanted in (str(task.number), task.name)
        ]
        if not found:
            raise gdb.GdbError(f"There is no task {wanted}.")
        for task in found:
            print_stack(task, threads)


Skua()
SkuaTasks()
SkuaWorkers()
SkuaBt()
