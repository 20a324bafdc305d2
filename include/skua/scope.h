/* Scopes: shields against cancellation, and deadlines.
 *
 *     {
 *         SKUA_DEADLINE(250 * SKUA_MS);             // a declaration: to the end of this block
 *         n = skua_receive(channel, &request);      // -ETIMEDOUT when the time is over
 *     }
 *     {
 *         SKUA_SHIELD();                            // cancellation does not reach in here
 *         skua_send(log, &last_words);
 *     }
 *
 * Both are for fibers, jobs and plain threads; `break`, `return` and `goto` out of the block are fine. In a future,
 * where a block's variables do not survive an await, they are a compile error: make a skua_scope a member and call the
 * functions.
 *
 * Scopes nest. An await answers to all that it is inside of, from the inside out: a deadline that has passed makes it,
 * and every later await until that scope is left, return -ETIMEDOUT; a cancellation makes it return -ECANCELED, which
 * outranks deadlines; a shield masks what lies outside of it, and deadlines inside of it still work. What has happened
 * when an await returns -ETIMEDOUT is what its docstring says of -ECANCELED. A set (combine.h) passes a deadline on to
 * its futures, and cancels its tasks. Entering and leaving are no awaits.
 *
 * A job (parallel.h) that another worker takes sees the earliest of the deadlines, and the shield, that its forker was
 * in when the job was shared: at a fork or join, or where the forker waits.
 */
#ifndef SKUA_SCOPE_H
#define SKUA_SCOPE_H

#include "skua/base.h"
#include "skua/op.h"

SKUA_BEGIN_DECLS

/* In the caller's memory; set up by entering. The fields belong to the runtime. */
typedef struct skua_scope {
    struct skua_scope *outer;
    uint32_t kind;
    uint32_t flags;
    uint64_t instant_ns;
    void *timer[10]; /* a deadline's op, with its node in a timer wheel */
    void *reserved[1];
} skua_scope;

/* Enter and leave in strict nesting, in the same task (and the same child of a set) or the same thread. Outside of a
 * task nothing can be cancelled, and a shield masks deadlines only. Blocks: never. */
SKUA_API void skua_shield_enter(skua_scope *scope);
/* Awaits inside return -ETIMEDOUT from `instant_ns` on, a time of skua_now(); never earlier. SKUA_NEVER: no limit. An
 * instant that has passed: from the first await on. How late they are is up to the timers: some µs where the worker
 * sleeps, up to 2.5 ms while all workers compute. */
SKUA_API void skua_deadline_enter(skua_scope *scope, uint64_t instant_ns);
/* Ends it; it must be the innermost one (misuse otherwise). */
SKUA_API void skua_scope_leave(skua_scope *scope);

/* Whether this scope is a deadline that has passed, where several are nested; also right after it was left. If a
 * deadline around it passes first that one counts, and a later one inside it may never be told. By whoever entered it.
 */
SKUA_API bool skua_scope_expired(const skua_scope *scope);

/* Waits for a started op as skua_await() does, but not beyond an instant.
 * Threads: as skua_await(). Cancel: as skua_await().
 * Returns: op->result, which is -ETIMEDOUT if it had not taken effect by then: as after -ECANCELED. */
SKUA_API int64_t skua_await_until(skua_op *op, uint64_t instant_ns);

enum { skuai_block_scope_allowed = 1 }; /* -1 in futures */

#define SKUAI_JOIN2(a, b) a##b
#define SKUAI_JOIN(a, b) SKUAI_JOIN2(a, b)
#ifndef __cplusplus
#define SKUAI_SCOPE()                                                                         \
    __attribute__((cleanup(skua_scope_leave))) skua_scope SKUAI_JOIN(skuai_scope_, __LINE__); \
    (void)sizeof(char[skuai_block_scope_allowed]) /* negative here? in a future call skua_…_enter() */
/* Cancellation does not reach what follows in the block. */
#define SKUA_SHIELD() \
    SKUAI_SCOPE();    \
    skua_shield_enter(&SKUAI_JOIN(skuai_scope_, __LINE__))
/* For a duration from now, in nanoseconds. */
#define SKUA_DEADLINE(duration_ns) \
    SKUAI_SCOPE();                 \
    skua_deadline_enter(&SKUAI_JOIN(skuai_scope_, __LINE__), skua_after(duration_ns))
#endif

/* The instant this much later than now; SKUA_NEVER if that lies beyond the clock. Threads: any. */
SKUA_API uint64_t skua_after(uint64_t duration_ns);

SKUA_END_DECLS

#endif
