/* Looking into a live process: a runtime's counters and what its workers do, over a unix socket that only the process's
 * user can open. `skua-top` shows them; so does anything that can write a line:
 *
 *     SKUA_MONITOR=1 ./server &                   # or skua_config.monitor, or skua_monitor_start()
 *     skua-top $!                                 # once a second, until q
 *     echo stats | nc -N -U $XDG_RUNTIME_DIR/skua/$!.sock
 *
 * Nobody listens unless asked to. A thread of its own answers (`skua-monitor`), so it does even if tasks hold all
 * workers, and while the runtime shuts down; it sleeps as long as nobody asks, is no task that the runtime would wait
 * for, and writes nothing that workers read. Also of an embedded runtime, which has no other thread.
 *
 * Who may look: the user whom the process belongs to, by its effective number, and root. The socket's file has mode
 * 0600. By itself a runtime takes PID.sock (PID-1.sock and so on for the second and later ones of a process) in a
 * directory of mode 0700: $XDG_RUNTIME_DIR/skua if that can be had, else /tmp/skua-UID. A path of your own lies in a
 * directory that belongs to the user, or to root, and into which others may not write, unless it has the sticky bit, as
 * /tmp. The file of a process that has died is replaced. At the runtime's end the file is removed. In a fork's child
 * nobody listens; but as long as it has neither called exec nor destroyed the runtime, nor ended, the socket seems to
 * live.
 *
 * Protocol, version 1. All is lines of ASCII that end in a newline. The server begins:
 *     skua-monitor 1 version=0.1.0 pid=4711
 * The client sends requests, each a line of at most 63 bytes, and gets an answer to each, in that order. There is one:
 *     stats
 * The answer is lines of a word and `name=value` pairs, separated by single blanks, up to a line `end`:
 *     runtime now_ns=… workers=2 pollers=1 tasks_live=7 tasks_spawned=1204 …
 *     pools injected=0 spares_max=2 spares_made=1 spares_active=0
 *     worker index=0 kind=regular state=asleep cpu_ns=… queued=0 tasks_spawned=900 task_runs=14003 …
 *     worker index=2 kind=spare state=asleep …
 *     end
 * `runtime` has the counters of skua_stats, under the names that skua_stats_prometheus() gives them without `skua_` and
 * `_total`, but with times in nanoseconds (`…_ns`), and the time of skua_now(); `worker` those of skua_worker_stats,
 * likewise, a line for each. `steals` are all of them, `steals_l2` and so on those at that distance; `timers_late_1ms`
 * the timers that were later than those before and not later than that, `timer_lateness_ns` the sum. To anything else
 * the answer is one line, `error` and why, and after a line that is too long the end. A client that does not read
 * is not waited for: it gets no further answer until it has read the last. There may be 16 clients at a time; one more
 * is told so, by an `error`, instead of the greeting.
 * Within a version lines and pairs may be added: who reads skips what it does not know.
 */
#ifndef SKUA_MONITOR_H
#define SKUA_MONITOR_H

#include "skua/base.h"
#include "skua/runtime.h"

SKUA_BEGIN_DECLS

/* Lets a runtime be looked into from now on, until skua_monitor_stop() or its end. `path`: an absolute one of at most
 * 107 bytes; NULL: one that skua-top finds by the process's number.
 * Threads: any, one at a time for a runtime. Blocks: never.
 * Returns: 0; else what is wrong, and it is logged with the path: -EINVAL (not absolute); -ENAMETOOLONG; -EADDRINUSE
 * (somebody listens there, or it is no socket's file); -EPERM (somebody else's directory, or others may write into it);
 * -ENOENT, -ENOTDIR, -EACCES and what else stat(2), mkdir(2), bind(2) say; -EBUSY (it can be looked into already);
 * -ENOTSUP (a simulation; a fork's child); -EAGAIN (no thread could be started); -ENOMEM; -EMFILE, -ENFILE. */
SKUA_API SKUA_NODISCARD int skua_monitor_start(skua_runtime *runtime, const char *path);

/* Ends that: clients find their connections closed, the file is removed. Nothing if it was not started.
 * Threads: as of skua_monitor_start(). Blocks: the calling thread, until an answer under way is made. */
SKUA_API void skua_monitor_stop(skua_runtime *runtime);

/* Where it listens, cut to size - 1 bytes and terminated.
 * Threads: as of skua_monitor_start(). Returns: the whole length; -ENOENT: nowhere. */
SKUA_API int skua_monitor_path(skua_runtime *runtime, char *path, size_t size);

SKUA_END_DECLS

#endif
