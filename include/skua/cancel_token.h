/* Cancellation tokens: one word that many things answer to.
 *
 *     skua_cancel_token stop;
 *     skua_cancel_token_init(&stop, NULL);
 *     …                                             // in a fiber, a job:
 *     {
 *         SKUA_CANCEL_SCOPE(&stop);                 // a declaration: to the end of this block
 *         n = skua_receive(channel, &request);      // -ECANCELED once the token is cancelled
 *     }
 *     …                                             // from any thread:
 *     skua_cancel_token_cancel(&stop);
 *
 * skua_cancel() and skua_group_cancel() ask one task or one group to end; a token is for what belongs together
 * otherwise: all that works for one connection, one request, one shutdown, wherever it runs. What answers to a token:
 *   scopes     awaits inside return -ECANCELED, as if the task were cancelled, but only up to the scope's end. Shields
 *              mask it, and it outranks deadlines (scope.h)
 *   tokens     a child is cancelled with its parent, and may be cancelled alone
 *   groups     skua_group_bind(): the members are cancelled
 *   tasks      skua_cancel_token_bind() with skua_cancel_waker as the callback
 *   selects    skua_cancel_token_wait_prepare() as an arm; the wait also by itself
 *   anything   skua_cancel_token_bind(): a function that is called once
 * A token that was cancelled stays so.
 */
#ifndef SKUA_CANCEL_TOKEN_H
#define SKUA_CANCEL_TOKEN_H

#include "skua/base.h"
#include "skua/group.h"
#include "skua/op.h"
#include "skua/scope.h"

SKUA_BEGIN_DECLS

/* In the caller's memory: below. */
typedef struct skua_cancel_token skua_cancel_token;

/* What a token calls. In the caller's memory, which must stay until it is unbound. Fields belong to the runtime. */
typedef struct skua_cancel_binding {
    struct skua_cancel_binding *next, **link;
    skua_cancel_token *token;
    void (*fn)(void *arg);
    void *arg;
    skua_word32 state;
    uint32_t reserved32;
    void *reserved[1];
} skua_cancel_binding;

/* In the caller's memory, which must stay until all that answers to it is over. Fields belong to the runtime. */
struct skua_cancel_token {
    skua_word32 lock;
    skua_word32 canceled;
    skua_waiters waiters;
    skua_cancel_binding *bindings;
    skua_cancel_binding up; /* to its parent */
    void *reserved[2];
};

/* Not cancelled, unless the parent (may be NULL) is. The parent must stay until the child's fini.
 * Threads: by whoever has the memory. Blocks: never. */
SKUA_API void skua_cancel_token_init(skua_cancel_token *token, skua_cancel_token *parent);
/* The end of a token that nothing answers to any more: no scope, no binding, no child, no waiter. That something still
 * does is misuse, which is reported. As skua_cancel_token_unbind() of its parent. */
SKUA_API void skua_cancel_token_fini(skua_cancel_token *token);

/* Cancels it, and all that answers to it. If another thread is just doing so it may return before that is through.
 * Threads: any, as long as the token is there; also inside of what it cancels. Blocks: never. What was done before is
 *   seen by who finds it cancelled. */
SKUA_API void skua_cancel_token_cancel(skua_cancel_token *token);
/* Threads: any. Blocks: never. */
SKUA_API bool skua_cancel_token_is_canceled(const skua_cancel_token *token);

/* Waits until it is cancelled.
 * Threads: fibers and jobs (suspended), threads outside the runtime (blocked); in futures the _start form.
 * Cancel: at -ECANCELED or -ETIMEDOUT nothing has happened.
 * Returns: 0; -ECANCELED (the waiter was cancelled, by other means); -ETIMEDOUT. */
SKUA_API int skua_cancel_token_wait(skua_cancel_token *token);
SKUA_API int skua_cancel_token_wait_until(skua_cancel_token *token, uint64_t instant_ns);
SKUA_API skua_op *skua_cancel_token_wait_start(skua_op *op, skua_cancel_token *token);
SKUA_API skua_op *skua_cancel_token_wait_prepare(skua_op *op, skua_cancel_token *token);

/* Has fn(arg) called when the token is cancelled, once, on the thread that cancels; or at once, if it is cancelled
 * already. It may not wait, and not unbind itself.
 * Threads: any. Blocks: never. Returns: 0; -ECANCELED (fn has been called; nothing is bound, but unbinding is fine). */
SKUA_API int skua_cancel_token_bind(skua_cancel_binding *binding, skua_cancel_token *token, void (*fn)(void *arg),
                                    void *arg);
/* Takes that back. When it returns the call has not begun, and will not, or is over: what it was about may go. Several
 * times is fine. Threads: any. Blocks: only while another thread is inside of fn, by spinning. */
SKUA_API void skua_cancel_token_unbind(skua_cancel_binding *binding);

/* A callback: cancels the task of a waker, a skua_waker *, which must stay as long as the binding. */
SKUA_API void skua_cancel_waker(void *waker);

/* Cancels a group with the token, until it is unbound, which must be before the group goes. As the other bind. */
SKUA_API int skua_group_bind(skua_group *group, skua_cancel_binding *binding, skua_cancel_token *token);

/* Enters a scope that the token cancels; the end is skua_scope_leave(). As the others of scope.h: in strict nesting, by
 * the same task (and the same child of a set) or the same thread. In a plain thread awaits look at the token when they
 * begin, but one that has begun is not ended by it: there the token belongs into a select. Jobs (parallel.h) that other
 * workers have taken are cancelled as soon as their forker looks: where it forks, joins or waits. The token must stay
 * until the scope is left.
 * Blocks: never. */
SKUA_API void skua_cancel_scope_enter(skua_scope *scope, skua_cancel_token *token);

#ifndef __cplusplus
/* A scope of the token to the end of the block. In a future a compile error. */
#define SKUA_CANCEL_SCOPE(token) \
    SKUAI_SCOPE();               \
    skua_cancel_scope_enter(&SKUAI_JOIN(skuai_scope_, __LINE__), (token))
#endif

SKUA_END_DECLS

#endif
