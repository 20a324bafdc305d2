/* Embedded runtimes: run in the loop of somebody else, libuv's or GLib's or one of your own.
 *
 *     skua_runtime *rt;
 *     int rc = skua_runtime_create(&rt, &(skua_config){ .embed = true });
 *     …  watch skua_embed_fd(rt) for reading; whenever it is readable:
 *     rc = skua_turn(rt, SKUA_MS);
 *
 * An embedded runtime has no thread. Its tasks run on the thread that calls skua_turn(), inside of that call, one at a
 * time: so they and the loop's callbacks share data without locks. All of Skua works in it, sleeping, sockets, channels
 * and files too, and what wakes its tasks may come from any thread: it makes the descriptor readable, as do timers. A
 * descriptor that is not readable has nothing to say, so there is no call to be made in each round of the loop, and an
 * idle runtime uses no processor time. Work for several processors belongs into a second runtime, an ordinary one: a
 * task of the embedded one waits for it by skua_block_on(), or the loop is told by skua_on_done().
 *
 * The thread that calls skua_turn() is the *embedding thread*, from its first turn until another thread's; before the
 * first it is the one that made the runtime. Between two turns it is outside of the runtime, as any other thread is.
 * There skua_block_on() and skua_join() run the runtime's tasks while they wait; all other waits for what its tasks are
 * to do would never end, as they keep the loop from turning.
 *
 * docs/embedding.md says more, of signals, fork and plugins too; examples/libraries/libuv_loop.c is a service in
 * libuv's loop, glib_loop.c one in GLib's.
 */
#ifndef SKUA_EMBED_H
#define SKUA_EMBED_H

#include "skua/base.h"
#include "skua/runtime.h"

SKUA_BEGIN_DECLS

/* The descriptor to watch for reading (level-triggered; on Linux an epoll descriptor, elsewhere a kqueue). It stays the
 * same until skua_runtime_destroy(), which closes it: take it out of the loop before. Do nothing else with it.
 * Threads: any. Blocks: never. Returns: the descriptor; -EINVAL (not an embedded runtime); -ENOTSUP (a child
 * of fork). */
SKUA_API int skua_embed_fd(skua_runtime *runtime);

/* One turn: looks at timers and descriptors, without waiting, and runs the tasks that are ready, those too that become
 * so meanwhile, until none is or `budget_ns` nanoseconds are over. A task is not interrupted, and
 * the clock is looked at every four runs or so: 0 runs a few. SKUA_NEVER: until none is ready, and for ever if two
 * tasks keep each other busy. To call it when the descriptor is not readable does no harm.
 * Threads: a plain one, outside of any task, one at a time; usually always the same (see above). Not in a signal
 *   handler. It is no cancellation point, and cancellation (pthread_cancel) is held off inside of it.
 * Blocks: never, but for what the tasks themselves block. Cancel: not an await.
 * Returns: 0: nothing is ready; 1: there is more to do, and the descriptor is readable; -EINVAL (not an embedded
 *   runtime); -ENOTSUP (a fork's child). And for misuse, if its handler (skua_config.on_misuse) returns: -EPERM (from
 *   inside a turn or a task), -EBUSY (another thread is turning it), -ESHUTDOWN (the runtime has been shut down). */
SKUA_API int skua_turn(skua_runtime *runtime, uint64_t budget_ns);

SKUA_END_DECLS

#endif
