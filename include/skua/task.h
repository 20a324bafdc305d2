/* Tasks: what is scheduled, stolen, joined and cancelled; and fibers, the straight-line kind.
 *
 *     static int work(void *arg) { skua_sleep(10 * SKUA_MS); return 42; }
 *     …
 *     skua_task *task;
 *     int64_t result;
 *     if (skua_spawn(&task, work, NULL) == 0)
 *         skua_join(task, &result);                 // result == 42
 *
 * A fiber is a function on a small stack of its own. It may call anything; calls of Skua that wait suspend it and
 * leave its worker to others, and it may continue on another thread. So between waits nothing may be held that
 * belongs to a thread: a pthread mutex, the address of a thread-local, `errno` (skua_errno() reads it safely).
 *
 * A task ends when its function returns. Nothing ends it from outside: skua_cancel() asks, and the task's awaits
 * answer. Its memory is freed by the last of { its end, the release of its handle }.
 */
#ifndef SKUA_TASK_H
#define SKUA_TASK_H

#include "skua/base.h"
#include "skua/op.h"
#include "skua/scope.h"

SKUA_BEGIN_DECLS

/* A fiber's body. The return value is the task's result; by convention a count or 0, or a negative errno value. A
 * result that does not fit an int goes through memory, or is a future's. The stack is 64 KiB unless asked for
 * otherwise: no large arrays, no deep recursion. Running into its end is caught and reported, and ends the process; but
 * a large array may reach beyond the guard page, unless the program is compiled with -fstack-clash-protection. No C++
 * exception may leave the function. */
typedef int skua_fiber_fn(void *arg);

/* How to spawn, beyond the usual. Zero everything not needed: `(skua_spawn_attr){ .name = "acceptor" }`. */
typedef struct skua_spawn_attr {
    skua_runtime *runtime; /* NULL: that of the calling task (required outside of one) */
    const char *name;      /* copied, cut to 31 bytes; for dumps and reports. NULL: none */
    size_t stack_size;     /* fibers: bytes, at most 8 MiB; 0: the runtime's. Rounded up to a power of two */
    void *reserved[4];     /* zero */
} skua_spawn_attr;

/* Starts a fiber and gives a handle to it, which must be given to skua_join() or skua_detach() once: a handle
 * that is forgotten keeps the task's memory until the runtime's end, and nothing says so.
 * Threads: any task; a thread outside the runtime needs skua_spawn_with() and attr->runtime.
 * Blocks: never. Cancel: spawning is not an await: a cancelled task can spawn.
 * Returns: 0; -ENOMEM (nothing was started); -EINVAL (fn is NULL, no runtime to start it on, the stack too large);
 *   -ESHUTDOWN (the runtime is past its drain stage). */
SKUA_API SKUA_NODISCARD int skua_spawn(skua_task **task, skua_fiber_fn *fn, void *arg);

/* The same with attributes (NULL: none). `task` may be NULL: then the task is detached from the start. */
SKUA_API SKUA_NODISCARD int skua_spawn_with(skua_task **task, const skua_spawn_attr *attr, skua_fiber_fn *fn,
                                            void *arg);

/* Starts a detached fiber: nobody joins it, and its memory is freed when it ends. Nobody is told of its result;
 * negative ones are counted (skua_stats.failed). Otherwise as skua_spawn(). */
SKUA_API SKUA_NODISCARD int skua_go(skua_fiber_fn *fn, void *arg);

/* Waits until a task has ended, takes its result and releases the handle.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form. One joiner
 *   at a time.
 * Cancel: -ECANCELED or -ETIMEDOUT leaves the task running and the handle yours.
 * Returns: 0, *result (may be NULL) set and the handle released; -ECANCELED; -ETIMEDOUT (a deadline around it);
 *   -EDEADLK (a task joining itself); -EBUSY (somebody else is joining it); -ESHUTDOWN (its runtime was shut down and
 *   has left it over).
 *   On every error the handle is kept. */
SKUA_API SKUA_NODISCARD int skua_join(skua_task *task, int64_t *result);

/* The join as an op. `result` is 0 or the error as of skua_join(), and `value` the task's result. */
typedef struct skua_join_op {
    SKUA_OP_HEADER;
    int64_t value; /* the task's result */
} skua_join_op;

SKUA_API skua_op *skua_join_start(skua_join_op *op, skua_task *task);
/* For skua_select (select.h): only the arm that takes effect uses the handle up. */
SKUA_API skua_op *skua_join_prepare(skua_join_op *op, skua_task *task);

/* Asks for the end of a task without waiting for it. Threads: any. Blocks: never.
 * Returns: 0, *result (may be NULL) set and the handle released; -EAGAIN: it has not ended, the handle is kept. */
SKUA_API SKUA_NODISCARD int skua_try_join(skua_task *task, int64_t *result);

/* Releases a handle without waiting. The task goes on; its result is dropped.
 * Threads: any, but not while somebody joins the task. Blocks: never. */
SKUA_API void skua_detach(skua_task *task);

/* A callback of skua_on_done(): what the task returned; -ESHUTDOWN if a runtime was shut down and has left it over. */
typedef void skua_done_fn(void *context, int64_t result);

/* Has fn(context, result) called when a task has ended, whether by itself, cancelled or long ago: exactly once, and
 * never before this has returned on the thread that calls it. It uses the handle up, as a join does; who wants to
 * cancel the task still takes its waker before (skua_task_waker(), skua_waker_cancel()). It costs what spawning a
 * future costs.
 *
 * `where` is the runtime that calls it, NULL: the task's own. It is called there by a future of its own: on any worker,
 * at the same time as other tasks, and of an embedded runtime (embed.h) in skua_turn(), on the embedding thread. So a
 * loop of somebody else's is told of what other threads compute. The callback may spawn and wake, and may not wait, as
 * in a future's body. Shutting a runtime down waits for its callbacks as for its tasks; if its time is over before
 * their tasks have ended they are called with -ESHUTDOWN, by the thread that shuts it down.
 * Threads: any, with the handle. Blocks: never. Cancel: not an await; that its caller is cancelled does not matter.
 * Returns: 0; on errors the handle is kept: -EINVAL (fn is NULL); -ENOMEM; -ESHUTDOWN (`where` is past its drain
 *   stage); -EPERM (one of two runtimes is a simulation, or another thread's); -ENOTSUP (a fork's child). */
SKUA_API SKUA_NODISCARD int skua_on_done(skua_task *task, skua_runtime *where, skua_done_fn *fn, void *context);

/* Asks a task to end: from now on each of its awaits returns -ECANCELED at once, except inside a shield. A task
 * that waits is woken for it; one that has not begun still begins, and meets it at its first await (but a fiber for
 * whose stack there is no memory ends with -ECANCELED). What was done before the call is seen by the task that meets
 * it.
 * Threads: any, with the handle, so not in parallel with the join that uses it up (skua_waker_cancel() may be), or the
 *   task itself by skua_self(). Several times is the same as once. Blocks: never. */
SKUA_API void skua_cancel(skua_task *task);

/* What the calling task's next await would return at once: -ECANCELED if it is cancelled, -ETIMEDOUT if a deadline that
 * it is inside of has passed (scope.h), else 0. Outside of a task only deadlines count. For loops that compute for
 * long. Blocks: never. */
SKUA_API int skua_interrupted(void);

/* Lets other ready tasks run first. Returns what skua_interrupted() does; it has yielded all the same. Outside of a
 * task: sched_yield. In a future: SKUA_YIELD. */
SKUA_API int skua_yield(void);

/* The calling task, NULL outside of one. A borrowed pointer, not a handle: valid while that task runs. */
SKUA_API skua_task *skua_self(void);

/* Names the calling task (copied, cut to 31 bytes; NULL: no name). Returns 0, -ENOMEM, or -EPERM outside of a task. */
SKUA_API int skua_self_set_name(const char *name);
/* Copies the name of a task whose handle the caller has ("" if it has none), cut to size - 1 bytes and terminated;
 * 32 bytes hold every name. Returns its length. Threads: any. */
SKUA_API size_t skua_task_name(const skua_task *task, char *name, size_t size);

/* Task-local values: a key is a variable of static storage duration, one value per task and key.
 *     static skua_local request_id = SKUA_LOCAL_INIT(free);
 * A child does not inherit them; the futures of a set share their task's, and jobs read their forker's (parallel.h).
 * `destroy` (may be NULL) is called on each non-NULL value at the task's end, on its worker, where waiting is not
 * allowed. */
typedef struct skua_local {
    void (*destroy)(void *value); /* or NULL */
    void *reserved;
} skua_local;
/* A key's initialiser. */
#define SKUA_LOCAL_INIT(destroy_fn) { (destroy_fn), 0 }

/* The calling task's value, NULL if none was set or outside of a task. */
SKUA_API void *skua_local_get(const skua_local *key);
/* Sets it; the earlier value is not destroyed. Returns 0, -ENOMEM (nothing changed), -EPERM outside of a task. */
SKUA_API SKUA_NODISCARD int skua_local_set(const skua_local *key, void *value);

/* A waker lets anything wake a task: copy it freely, keep it as long as the runtime lives, fire it from any
 * thread, any number of times, before, during and after the wait and after the task's end. A stale one does
 * nothing. It costs nothing to copy or to forget. Fields belong to the runtime. */
typedef struct skua_waker {
    skua_task *task;
    uint64_t generation;
} skua_waker;

/* The calling task's waker; { NULL } outside of a task. */
SKUA_API skua_waker skua_waker_self(void);
/* The waker of a task whose handle the caller has. */
SKUA_API skua_waker skua_task_waker(const skua_task *task);
/* Wakes. Threads: any. Blocks: never. Not for signal handlers, and not after skua_runtime_destroy() has begun. */
SKUA_API void skua_wake(skua_waker waker);
/* As skua_cancel(), by whoever has a waker; a stale one does nothing. */
SKUA_API void skua_waker_cancel(skua_waker waker);
/* Waits until the calling task's waker fires. Like a condition variable's wait it belongs into a loop around a
 * condition of your own that the waking side sets before it wakes: test it before each park. A wake that comes while
 * the task runs makes its next wait return early, or is used up by another wait in between; and a park may return for
 * no reason. Returns: 0; -ECANCELED; -ETIMEDOUT (a deadline around it); -EPERM outside of a fiber. In a future:
 * SKUA_PARK. */
SKUA_API int skua_park(void);

SKUA_END_DECLS

#endif
