/* Traces: what each worker did, and when, as a file for Perfetto (ui.perfetto.dev) or chrome://tracing.
 *
 *     skua_trace_start(rt, 0);
 *     …
 *     skua_trace_write(rt, "service.json");       // what has happened lately; as often as you like
 *     skua_trace_stop(rt);
 *
 * or SKUA_TRACE=service.json in the environment: from the runtime's beginning, written when it is destroyed.
 *
 * In the file each worker, spare worker, and the guard is a thread: each run of a task is a slice, by the task's name
 * or else its function (link with -rdynamic, or give the address to addr2line), with its number; so are sleeps. Steals,
 * timers that ended, events that came and spare workers that began are marks with their counts. While it is on, a run
 * costs some 40 ns more; while it is off, a load and a branch.
 */
#ifndef SKUA_TRACE_H
#define SKUA_TRACE_H

#include "skua/base.h"
#include "skua/runtime.h"

SKUA_BEGIN_DECLS

/* Begins to record, for each worker and the guard its last `records` (32 bytes each, rounded up to a power of two, at
 * most 2^24; 0: 65,536, that is 2 MiB). What is recorded already stays; so do the rings' sizes until the runtime's end.
 * Threads: any. Returns: 0; -ENOMEM (it is off then); -EINVAL (too many); -ENOTSUP (built without). */
SKUA_API SKUA_NODISCARD int skua_trace_start(skua_runtime *runtime, size_t records);

/* Ends it. What has been recorded stays. Threads: any. */
SKUA_API void skua_trace_stop(skua_runtime *runtime);

/* Writes what the rings hold, in JSON, over what the file had, whether it is on or off; also while everything runs:
 * what is written over meanwhile is left out.
 * Threads: any; blocks on the file, so that tasks call it by skua_blocking().
 * Returns: 0; -ENOMEM; an error of the file's, e.g. -ENOENT, -ENOSPC. */
SKUA_API SKUA_NODISCARD int skua_trace_write(skua_runtime *runtime, const char *path);

SKUA_END_DECLS

#endif
