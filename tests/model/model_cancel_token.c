/* A token that is cancelled while others bind, unbind and wait (sync/cancel_token.c, X1 … X4). A binding's memory,
 * and what its callback is about, are given back as soon as it is unbound; the waiter's op when the wait is over. */
/* model-sources: sync/cancel_token.c sched/op.c */
#include <errno.h>
#include <string.h>

#include "model/mc.h"
#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/wait.h"
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

struct skuai_worker *skuai_worker_self(void) { return NULL; }
void skuai_sink_fire(uintptr_t sink) { mc_futex_wake((skua_word32 *)(sink - SKUAI_SINK_THREAD), 1); }
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }
void skuai_op_arm_here(struct skuai_worker *worker, skua_op *armed)
{
    (void)worker;
    skuai_op_arm(armed, (uintptr_t)&armed->state | SKUAI_SINK_THREAD);
}
int skuai_misuse(const char *call, const char *what, const char *instead)
{
    (void)call;
    (void)instead;
    mc_fail(what);
}
#define UNUSED(declaration) \
    declaration { mc_fail("not asked for here"); }
UNUSED(skua_op *skuai_op_start(skua_op *prepared __attribute__((unused))))
UNUSED(int64_t skuai_call(skua_op *prepared __attribute__((unused))))
UNUSED(int64_t skuai_call_until(skua_op *prepared __attribute__((unused)), uint64_t at __attribute__((unused))))
UNUSED(void skua_group_cancel(skua_group *group __attribute__((unused))))
UNUSED(void skua_waker_cancel(skua_waker waker __attribute__((unused))))
void skuai_sim_point(struct skuai_sim *sim, enum skuai_point point)
{
    (void)sim;
    (void)point;
    mc_fail("no simulation here");
}
void skuai_scope_enter_until(skua_scope *scope, const struct skuai_op_kind *kind, void *owner)
{
    (void)scope;
    (void)kind;
    (void)owner;
    mc_fail("not asked for here");
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
static void wait_finish(void) { mc_assert(result == 0, "the wait"); }
MC_TEST(wait, .setup = wait_setup, .finish = wait_finish, .bound = 4);

static void withdrawn_setup(void)
{
    reset();
    mc_thread(cancels, &token);
    mc_thread(waits, &token);
}
static void withdrawn_finish(void) { mc_assert(result == 0 || result == -ECANCELED, "the wait"); }
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
