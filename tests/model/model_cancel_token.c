/* A token that is cancelled while others bind, unbind and wait (sync/cancel_token.c, X1 … X4). A binding's memory,
 * and what its callback is about, are given back as soon as it is unbound; the waiter's op when the wait is over. */
/* model-sources: sync/cancel_token.c sched/op.c */
#include <errno.h>
#include <string.h>

#include "model/waits.h"
#include "sched/scheduler.h"
#include "sched/scope.h"
#include "skua/cancel_token.h"

static skua_cancel_token token, child;
static skua_cancel_binding bindings[2];
static struct subject {
    int is_there, calls;
} subjects[2];
static skua_op op;
static int64_t result;
static bool was_bound[2];
static int data; /* what the canceller has done before */

/* ---- what the library asks of the runtime ---- */

static unsigned groups_canceled, wakers_canceled;
static const void *scope_of; /* the token that a scope was entered for */
void skua_group_cancel(skua_group *group) { (void)group; groups_canceled++; }
void skua_waker_cancel(skua_waker waker) { (void)waker; wakers_canceled++; }
void skuai_sim_point(struct skuai_sim *sim, enum skuai_point point)
{
    (void)sim;
    (void)point;
    mc_fail("no simulation here");
}
void skuai_scope_enter_until(skua_scope *scope, const struct skuai_op_kind *kind, void *owner)
{
    mc_assert(scope == NULL && kind->start != NULL && kind->withdraw != NULL, "a scope's op is a wait");
    scope_of = owner;
}

/* ---- parties ---- */

static void is_called(void *arg)
{
    struct subject *subject = arg;
    mc_assert(SKUAI_READ(subject->is_there) == 1, "called when its subject is gone");
    SKUAI_WRITE(subject->calls, SKUAI_READ(subject->calls) + 1);
}

static void cancels(void *arg)
{
    SKUAI_WRITE(data, 7);
    skua_cancel_token_cancel(arg);
}

static void gives_back(int i)
{
    skua_cancel_token_unbind(&bindings[i]);
    int calls = SKUAI_READ(subjects[i].calls);
    mc_assert(calls <= 1, "called twice");
    if (calls == 1)
        mc_assert(SKUAI_READ(data) == 7, "the callback has not seen what the canceller did");
    SKUAI_WRITE(subjects[i].is_there, 0);
    mc_free(&bindings[i], sizeof bindings[i]);
    mc_free(&subjects[i], sizeof subjects[i]);
}
static void binds(void *arg)
{
    int i = (int)(uintptr_t)arg;
    mc_alloc(&bindings[i], sizeof bindings[i]);
    was_bound[i] = skua_cancel_token_bind(&bindings[i], &token, is_called, &subjects[i]) == 0;
    if (!was_bound[i])
        mc_assert(SKUAI_READ(subjects[i].calls) == 1, "bound too late, and not called");
    gives_back(i);
}
static void unbinds(void *arg) { gives_back((int)(uintptr_t)arg); }

static void waits(void *arg)
{
    bool withdraws = arg != NULL;
    const struct skuai_op_kind *kind = skua_cancel_token_wait_prepare(&op, &token)->kind;
    kind->start(NULL, &op, true);
    if (withdraws && !skuai_op_is_done(&op) && kind->withdraw(&op)) {
        result = -ECANCELED;
        mc_free(&op, sizeof op);
        return;
    }
    for (;;) {
        uint32_t state = (uint32_t)skuai_op_state(&op);
        if (state == SKUAI_OP_DONE)
            break;
        mc_futex_wait(&op.state, state);
    }
    result = SKUAI_READ(op.result);
    mc_assert(SKUAI_READ(data) == 7, "the waiter has not seen what the canceller did");
    mc_free(&op, sizeof op);
}

/* By the calls; one of them may end early. */
static void waits_by_call(void *arg)
{
    (void)arg;
    result = skua_cancel_token_wait_until(&token, 1);
    mc_assert(result == 0 || result == -ECANCELED, "another result");
    if (result == -ECANCELED) {
        mc_alloc(&op, sizeof op);
        result = waits_started(skua_cancel_token_wait_start(&op, &token));
        mc_free(&op, sizeof op);
    }
    mc_assert(result == 0 && SKUAI_READ(data) == 7, "the waiter has not seen what the canceller did");
}
static void waits_straight(void *arg)
{
    (void)arg;
    result = skua_cancel_token_wait(&token);
    mc_assert(SKUAI_READ(data) == 7, "the waiter has not seen what the canceller did");
}

static void looks(void *arg)
{
    (void)arg;
    if (skua_cancel_token_is_canceled(&token))
        mc_assert(SKUAI_READ(data) == 7, "cancelled, and what came before is not seen");
}

static void ends_child(void *arg)
{
    (void)arg;
    skua_cancel_token_fini(&child);
    mc_free(&child, sizeof child);
}

/* ---- tests ---- */

static void reset(void)
{
    memset(bindings, 0, sizeof bindings);
    memset(&op, 0, sizeof op);
    memset(was_bound, 0, sizeof was_bound);
    for (int i = 0; i < 2; i++)
        subjects[i] = (struct subject){ .is_there = 1 };
    result = 99;
    data = 0;
    groups_canceled = wakers_canceled = waits_misused = 0;
    scope_of = NULL;
    skua_cancel_token_init(&token, NULL);
    mc_name(&token.lock, "token.lock");
    mc_name(&token.canceled, "canceled");
    mc_name(&bindings[0].state, "b0.state");
    mc_name(&bindings[1].state, "b1.state");
}

static void bind_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(binds, (void *)(uintptr_t)0);
}
MC_TEST(bind_and_unbind, .setup = bind_setup, .bound = 4);

static void two_setup(void)
{
    reset();
    for (int i = 0; i < 2; i++)
        (void)skua_cancel_token_bind(&bindings[i], &token, is_called, &subjects[i]);
    mc_thread(cancels, &token);
    mc_thread(unbinds, (void *)(uintptr_t)0);
    mc_thread(unbinds, (void *)(uintptr_t)1);
}
MC_TEST(two_unbind, .setup = two_setup, .bound = 2, .stale = 1, .max_executions = 300000);

static void wait_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(waits, NULL);
}
static void wait_finish(void)
{
    mc_assert(result == 0 && token.waiters.first == NULL, "the wait");
}
MC_TEST(wait, .setup = wait_setup, .finish = wait_finish, .bound = 4);

static void withdrawn_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(waits, &token);
}
static void withdrawn_finish(void)
{
    mc_assert((result == 0 || result == -ECANCELED) && token.waiters.first == NULL, "the wait");
}
MC_TEST(withdrawn, .setup = withdrawn_setup, .finish = withdrawn_finish, .bound = 4);

static void look_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(looks, NULL);
}
MC_TEST(look, .setup = look_setup, .bound = MC_UNBOUNDED);

static void child_setup(void)
{
    reset();
    skua_cancel_token_init(&child, &token);
    mc_thread(cancels, &token);
    mc_thread(ends_child, NULL);
}
MC_TEST(a_child_ends, .setup = child_setup, .bound = 3);

static void wait_by_call_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(waits_by_call, NULL);
}
MC_TEST(wait_by_call, .setup = wait_by_call_setup, .finish = wait_finish, .bound = 4, .max_executions = 300000);
static void straight_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(waits_straight, NULL);
}
MC_TEST(wait_straight, .setup = straight_setup, .finish = wait_finish, .bound = 4, .max_executions = 300000);

/* A callback may unbind another one, while its own is waited for. */
static void unbinds_other(void *arg)
{
    is_called(arg);
    skua_cancel_token_unbind(&bindings[1]);
}
static void other_setup(void)
{
    reset();
    (void)skua_cancel_token_bind(&bindings[1], &token, is_called, &subjects[1]);
    (void)skua_cancel_token_bind(&bindings[0], &token, unbinds_other, &subjects[0]);
    mc_thread(cancels, &token);
    mc_thread(unbinds, (void *)(uintptr_t)0);
}
MC_TEST(a_callback_unbinds, .setup = other_setup, .bound = 3);

/* What one thread can see: what is bound is called once, and misuse is told. */
static void binds_all(void *arg)
{
    static skua_cancel_binding others[2];
    static skua_waker waker;
    (void)arg;
    skua_cancel_token_init(&child, &token);
    mc_assert(skua_group_bind(NULL, &bindings[0], &token) == 0, "not cancelled");
    mc_assert(skua_cancel_token_bind(&bindings[1], &token, skua_cancel_waker, &waker) == 0, "not cancelled");
    mc_assert(skua_cancel_token_bind(&others[0], &token, is_called, &subjects[0]) == 0, "not cancelled");
    mc_assert(skua_cancel_token_bind(&others[1], &token, is_called, &subjects[1]) == 0, "not cancelled");
    skua_cancel_token_unbind(&others[0]);
    skua_cancel_token_unbind(&others[1]);
    skua_cancel_token_unbind(&others[0]); /* again, when what was beside it has gone */
    skua_cancel_token_fini(&token);
    mc_assert(waits_misused == 1, "something is bound");
    skua_cancel_scope_enter(NULL, &token);
    mc_assert(scope_of == &token, "the scope is not the token's");
    mc_assert(!skua_cancel_token_is_canceled(&token) && !skua_cancel_token_is_canceled(&child), "not yet");
    skua_cancel_token_cancel(&token);
    skua_cancel_token_cancel(&token);
    mc_assert(skua_cancel_token_is_canceled(&token) && skua_cancel_token_is_canceled(&child), "cancelled");
    mc_assert(groups_canceled == 1 && wakers_canceled == 1, "not all were called once");
    mc_assert(subjects[0].calls == 0 && subjects[1].calls == 0, "called when it was not bound any more");
    mc_alloc(&bindings[0], sizeof bindings[0]);
    mc_assert(skua_group_bind(NULL, &bindings[0], &token) == -ECANCELED, "too late");
    mc_assert(groups_canceled == 2, "the binder has not called it");
    skua_cancel_token_unbind(&bindings[0]);
    skua_cancel_token_fini(&token);
    mc_assert(waits_misused == 1, "nothing is bound");
}
static void all_setup(void)
{
    reset();
    mc_thread(binds_all, NULL);
}
MC_TEST(all_that_can_be_bound, .setup = all_setup);

/* Somebody waits. */
static void ends_too_early(void *arg)
{
    (void)arg;
    skua_cancel_token_init(&child, &token);
    skua_op *waiting = skuai_op_start(skua_cancel_token_wait_prepare(&op, &child));
    skua_cancel_token_fini(&child);
    mc_assert(waits_misused == 1, "somebody waits");
    mc_assert(!skuai_op_is_done(waiting), "nobody has cancelled it");
}
static void too_early_setup(void)
{
    reset();
    mc_thread(ends_too_early, NULL);
}
MC_TEST(ended_too_early, .setup = too_early_setup);

/* Known wrong: an unbind that does not wait for who is inside of the callback. */
static void unbinds_blindly(void *arg)
{
    (void)arg;
    skuai_lock_acquire((struct skuai_lock *)(void *)&token.lock);
    bool is_bound = SKUAI_READ(token.bindings) == &bindings[0];
    if (is_bound)
        SKUAI_WRITE(token.bindings, NULL);
    skuai_lock_release((struct skuai_lock *)(void *)&token.lock);
    SKUAI_WRITE(subjects[0].is_there, 0);
    mc_free(&bindings[0], sizeof bindings[0]);
}
static void blind_setup(void)
{
    reset();
    (void)skua_cancel_token_bind(&bindings[0], &token, is_called, &subjects[0]);
    mc_thread(cancels, &token);
    mc_thread(unbinds_blindly, NULL);
}
MC_TEST_MUST_FAIL(a_blind_unbind, "race", .setup = blind_setup);
