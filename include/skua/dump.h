/* Seeing inside: every task of a runtime, what it does and what it waits for, at any time, while everything runs.
 *
 *     skua_dump(NULL, 2);                              // in a task: its runtime, to stderr
 *
 *     skua dump: 3 tasks live, 0 in the injection queue, 2 workers
 *     worker 0 runs task 8 (api); queued: 0 in the deque, 0 in the inbox, 0 in the next-slot
 *       since the start: 4 spawned, 2 ended, 31 runs, 9 sleeps, 4 wakes, 2 timers
 *       and: 2 tasks by 2 steals of 50 tried, 0 overflows, 1 injected, 0 events looked for, 0 slept for
 *     …
 *     task 8 (api), a fiber, runs on worker 0
 *       age 25 s, joined
 *     task 12 (acceptor), a fiber, waits in skua_event_wait of object 1 at server.c:41
 *       age 25 s, joined by task 8
 *       has 504 of 65088 bytes of stack in use, and is in
 *          0: (/usr/bin/server+0x1c2f0)
 *          1: serve+0x4f (/usr/bin/server+0x8a0f)
 *     …
 *     task 13 (fetcher), the future fetch, waits in skua_select of 2 at fetch.c:88
 *       arm 0: skua_event_wait of object 1
 *       arm 1: skua_join of task 12
 *       age 2 s, a member of object 2
 *       in the future fetch at fetch.c:88
 *     skua dump: end, 3 tasks shown
 *
 * With skua_config.dump_on_sigquit, or SKUA_DUMP_ON_SIGQUIT=1 in the environment, a process prints this to stderr when
 * it gets SIGQUIT (Ctrl-\ on a terminal, kill -QUIT), and goes on.
 *
 * What each line has:
 *   id           names the task as long as it lives; later tasks have it again
 *   kind         a fiber, a future, a job that another worker has taken
 *   state        runs on worker N; is ready, that is in some queue; waits in a call; has ended and was not joined
 *   waits in     the call; what it waits for: a task by its id, other things as "object N", the same number for the
 *                same thing, for the first 256 of a dump; arms of selects, children of sets; in programs that are
 *                compiled with -DSKUA_DEBUG the place by file and line, and the names of futures (skua/place.h)
 *   in           the futures that it is in, innermost first, and their lines; by their poll functions if no name is
 *                known
 *   age          since it was spawned, to one or two seconds. After 26 days it begins anew: in a runtime that is older
 *                it is "at least" so much. Spawning reads no clock, so it counts from a look at one shortly before
 *   parents      which task joins it, or that somebody does (a thread; a task that has come to it since); whose job it
 *                is; in whose set of children it is, at that one. Who has spawned a task is not kept, as it would cost
 *                each task memory
 *   group        the group that it is a member of, by the number of objects; of members that do not wait only that
 *                they are some, as their record goes with their end
 *   stack        of fibers and jobs that wait: the functions that it is in, innermost first, as the compiler's unwinder
 *                finds them (no frame pointers are needed). Of programs names need the linker's -rdynamic; those of
 *                static functions stand in no table that is loaded, and what is in brackets is for addr2line
 * What it does not have:
 *   the stack of a task that runs: it changes while it is read (a debugger stops it first; see share/skua/skua-gdb.py;
 *     and of one that runs for long there is a report, skua_config.watchdog_ns)
 *   the stack of one that is ready: it may run at any moment
 *   any stack where fibers are switched by ucontext (processors other than x86-64 and aarch64)
 *   frames beyond one without call frame information, for instance of hand-written assembly
 *   one moment: each task is shown as it was when its turn came. Tasks that are spawned or end meanwhile may be missing
 */
#ifndef SKUA_DUMP_H
#define SKUA_DUMP_H

#include "skua/base.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

/* A line of a dump, without a newline, terminated; it is gone when the function returns. Called on the calling thread
 * or task, while nothing is held: it may call anything but what ends the runtime. */
typedef void skua_dump_fn(void *context, const char *line, size_t length);

/* Prints every live task and every worker of a runtime to a descriptor; NULL: the calling task's runtime.
 * Takes no worker's time: tasks that wait are held still one at a time, for some microseconds each, in which they may
 * be woken but do not run; nothing else is stopped. Takes about 20 KiB, and more if many tasks are joined: without
 * memory for that it does not say who joins. Needs about 8 KiB of stack.
 * Threads: any: tasks, of this runtime or another; threads outside; any number at a time. Not in a signal handler. In a
 *   simulation: its tasks, and the thread that created it.
 * Blocks: the calling thread, by writing, as long as the descriptor does; one that is non-blocking is waited for. Never
 *   suspends the task. Cancel: no.
 * Returns: 0; -EINVAL (NULL, and no task calls); -ENOMEM, with nothing written; -ENOTSUP (in a fork's child); -EPERM (a
 *   simulation of another thread's, or the caller is a task of one and the runtime another); what write(2) fails with:
 *   then the rest is left out. */
SKUA_API int skua_dump(skua_runtime *runtime, int fd);

/* The same, line by line. Threads, Blocks, Returns: as skua_dump(), but for errors of writing. */
SKUA_API int skua_dump_lines(skua_runtime *runtime, skua_dump_fn *line, void *context);

SKUA_END_DECLS

#endif
