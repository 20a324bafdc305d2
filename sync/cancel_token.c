/* Cancellation tokens.
 *
 *   X1 cancel    under the lock `canceled` is set, once, and all waiters are claimed. Then each binding is taken out
 *                under the lock, RUNNING, and called without it. DONE (release) is the last access to a binding
 *   X2 bind      under the lock: linked, or, if it is cancelled, called at once by the binder
 *   X3 unbind    under the lock: unlinked if it is linked. Else it is RUNNING, and waited for, or DONE
 *   X4 wait      as an event's
 * Scopes are ops whose memory is a scope's (sched/scope.h). A child's binding to its parent cancels the child.
 * Model: tests/model/model_cancel_token.c.
 */
#include "skua/cancel_token.h"

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum binding_state { FREE, BOUND, RUNNING, DONE };

static struct skuai_lock *token_lock(skua_cancel_token *token) { return skuai_lock_at(&token->lock); }

bool skua_cancel_token_is_canceled(const skua_cancel_token *token)
{
    return skuai_load_32(&token->canceled, SKUAI_ACQUIRE) != 0; /* pairs with X1's release */
}

/* ---- bindings -------------------------------------------------------------------------------------------------- */

static void link_locked(skua_cancel_token *token, skua_cancel_binding *binding)
{
    skua_cancel_binding *next = SKUAI_READ(token->bindings);
    SKUAI_WRITE(binding->next, next);
    SKUAI_WRITE(binding->link, &token->bindings);
    if (next != NULL)
        SKUAI_WRITE(next->link, &binding->next);
    SKUAI_WRITE(token->bindings, binding);
}

static void unlink_locked(skua_cancel_binding *binding)
{
    skua_cancel_binding *next = SKUAI_READ(binding->next), **link = SKUAI_READ(binding->link);
    if (next != NULL)
        SKUAI_WRITE(next->link, link);
    SKUAI_WRITE(*link, next);
}

/* X1, the second part: the next one, RUNNING. */
static skua_cancel_binding *take_binding(skua_cancel_token *token)
{
    skuai_lock_acquire(token_lock(token));
    skua_cancel_binding *binding = SKUAI_READ(token->bindings);
    if (binding != NULL) {
        unlink_locked(binding); /* no model test needs the sequence: the lock is held */
        skuai_store_32(&binding->state, RUNNING, SKUAI_RELAXED); /* X3 reads it under the lock, or waits for DONE */
    }
    skuai_lock_release(token_lock(token));
    return binding;
}

void skua_cancel_token_cancel(skua_cancel_token *token)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skua_cancel_binding *binding;
    /* No model test needs the sequence: two who both are the first would share the bindings. */
    skuai_lock_acquire(token_lock(token));
    bool is_first = skuai_load_32(&token->canceled, SKUAI_RELAXED) == 0; /* the lock orders it */
    /* Pairs with the acquire of who looks without the lock; no model test needs the sequence: who waits is told
     * after the lock. */
    skuai_store_32(&token->canceled, 1, SKUAI_RELEASE);
    while ((op = skuai_waiters_claim(&token->waiters)) != NULL)
        skuai_fires_add(&fires, op, 0);
    /* No model test needs the sequence: who is told does not free the token, which is needed for the bindings. */
    skuai_lock_release(token_lock(token));
    /* No model test needs the sequence: nothing says who is told first. */
    skuai_fires_finish(&fires);
    /* No model test needs the check: it spares the lock. */
    while (is_first && (binding = take_binding(token)) != NULL) {
        binding->fn(binding->arg);
        skuai_store_32(&binding->state, DONE, SKUAI_RELEASE); /* pairs with X3's acquire: it may be gone */
    }
}

int skua_cancel_token_bind(skua_cancel_binding *binding, skua_cancel_token *token, void (*fn)(void *arg), void *arg)
{
    *binding = (skua_cancel_binding){ .token = token, .fn = fn, .arg = arg };
    skuai_lock_acquire(token_lock(token));
    bool is_canceled = skuai_load_32(&token->canceled, SKUAI_RELAXED) != 0; /* as above */
    if (!is_canceled) {
        skuai_store_32(&binding->state, BOUND, SKUAI_RELAXED);
        link_locked(token, binding);
    }
    skuai_lock_release(token_lock(token));
    if (!is_canceled)
        return 0;
    fn(arg);
    return -ECANCELED;
}

/* Somebody is inside the callback. In a simulation he may be waiting for a turn. */
static void wait_a_turn(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL)
        skuai_env_pause(&worker->sched->env); /* no model test runs this: no task runs there */
    else
        skuai_lock_wait_hint();
}

void skua_cancel_token_unbind(skua_cancel_binding *binding)
{
    if (skuai_load_32(&binding->state, SKUAI_RELAXED) == FREE) /* the binder's own store */
        return;
    skuai_lock_acquire(token_lock(binding->token));
    bool is_bound = skuai_load_32(&binding->state, SKUAI_RELAXED) == BOUND;
    if (is_bound) {
        unlink_locked(binding);
        skuai_store_32(&binding->state, FREE, SKUAI_RELAXED);
    }
    skuai_lock_release(token_lock(binding->token));
    /* Acquire: X1's release. No model test needs the check: it is FREE then. */
    while (!is_bound && skuai_load_32(&binding->state, SKUAI_ACQUIRE) == RUNNING)
        wait_a_turn();
}

void skua_cancel_waker(void *waker) { skua_waker_cancel(*(skua_waker *)waker); }

static void cancel_group(void *group) { skua_group_cancel(group); }

int skua_group_bind(skua_group *group, skua_cancel_binding *binding, skua_cancel_token *token)
{
    return skua_cancel_token_bind(binding, token, cancel_group, group);
}

/* ---- a token's life -------------------------------------------------------------------------------------------- */

static void cancel_child(void *token) { skua_cancel_token_cancel(token); }

void skua_cancel_token_init(skua_cancel_token *token, skua_cancel_token *parent)
{
    *token = (skua_cancel_token){ .bindings = NULL };
    if (parent != NULL)
        (void)skua_cancel_token_bind(&token->up, parent, cancel_child, token);
}

void skua_cancel_token_fini(skua_cancel_token *token)
{
    skua_cancel_token_unbind(&token->up);
    skuai_lock_acquire(token_lock(token)); /* whoever has cancelled it is out, if this is to be the end */
    bool is_used = SKUAI_READ(token->bindings) != NULL || SKUAI_READ(token->waiters.first) != NULL;
    skuai_lock_release(token_lock(token));
    if (is_used)
        skuai_misuse("skua_cancel_token_fini", "was given a token that something still answers to",
                     "unbind, end children, and leave scopes and waits before");
}

/* ---- waits ----------------------------------------------------------------------------------------------------- */

static bool withdraw_token_wait(skua_op *op)
{
    skua_cancel_token *token = op->owner;
    return skuai_waiters_withdraw(token_lock(token), &token->waiters, op);
}

static void start_token_wait(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_cancel_token *token = op->owner;
    skuai_lock_acquire(token_lock(token));
    bool is_canceled = skuai_load_32(&token->canceled, SKUAI_RELAXED) != 0; /* the lock orders it */
    /* No model test needs the sequence: it is the one or the other. */
    bool is_done = is_canceled && skuai_op_claim_own(op);
    if (!is_canceled && may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&token->waiters, op);
    }
    skuai_lock_release(token_lock(token));
    if (is_done)
        skuai_op_set_done(op, 0);
}

static const struct skuai_op_kind token_kind = { .name = "skua_cancel_token_wait", .start = start_token_wait,
                                                 .withdraw = withdraw_token_wait };

skua_op *skua_cancel_token_wait_prepare(skua_op *op, skua_cancel_token *token)
{
    return skuai_op_prepare(op, &token_kind, token);
}

skua_op *skua_cancel_token_wait_start(skua_op *op, skua_cancel_token *token)
{
    return skuai_op_start(skua_cancel_token_wait_prepare(op, token));
}

int skua_cancel_token_wait(skua_cancel_token *token)
{
    skua_op op;
    return (int)skuai_call(skua_cancel_token_wait_prepare(&op, token));
}

int skua_cancel_token_wait_until(skua_cancel_token *token, uint64_t instant_ns)
{
    skua_op op;
    return (int)skuai_call_until(skua_cancel_token_wait_prepare(&op, token), instant_ns);
}

void skua_cancel_scope_enter(skua_scope *scope, skua_cancel_token *token)
{
    skuai_scope_enter_until(scope, &token_kind, token);
}
