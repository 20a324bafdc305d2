/* A stand-in for the runtime around the locks of sync/: each of the checker's threads is a plain thread that waits on
 * its op's own word, and may be interrupted whenever it looks. Included by one file of a model test, which defines
 * SKUAI_MODEL_FRESH.
 */
#ifndef SKUA_MODEL_LOCK_WORLD_H
#define SKUA_MODEL_LOCK_WORLD_H

#include <errno.h>
#include <string.h>

#include "model/mc.h"
#include "model/mc_internal.h"
#include "sched/op.h"
#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/wait.h"

/* By number: from some moment on it is cancelled. */
enum { WORLD_NEVER, WORLD_MAY_BE, WORLD_IS };
static int world_canceled[MC_THREADS];
static unsigned world_shields[MC_THREADS];
static unsigned world_misuses, world_misuses_wanted; /* reports of misuse; more than are wanted fail */

void skuai_sink_fire(uintptr_t sink) { mc_futex_wake((skua_word32 *)(sink - SKUAI_SINK_THREAD), 1); }
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }
struct skuai_worker *skuai_worker_self(void) { return NULL; }
int64_t skuai_call_end(struct skuai_worker *worker, int64_t result) { (void)worker; return result; }
/* As in waits.h. */
static bool world_at_once[MC_THREADS];
bool skuai_start_may_be_done(const struct skuai_worker *worker)
{
    (void)worker;
    return world_at_once[mc.current] = mc_choose(2) == 0;
}
int skuai_misuse(const char *call, const char *what, const char *instead)
{
    (void)call;
    (void)instead;
    if (world_misuses++ == world_misuses_wanted)
        mc_fail(what);
    return -EPERM;
}
void skua_shield_enter(skua_scope *scope) { (void)scope; world_shields[mc.current]++; }
void skua_scope_leave(skua_scope *scope) { (void)scope; world_shields[mc.current]--; }

static const struct skuai_op_kind *world_kind(const skua_op *op) { return op->kind; }
static skua_word32 *world_word(skua_op *op)
{
    return op->select == NULL ? &op->state : &((struct skuai_select *)op->select)->decided;
}

void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    (void)worker;
    skuai_op_arm(op, (uintptr_t)world_word(op) | SKUAI_SINK_THREAD);
}

static bool world_interrupted(void)
{
    int *canceled = &world_canceled[mc.current];
    if (world_shields[mc.current] != 0)
        return false;
    if (*canceled == WORLD_MAY_BE && mc_choose(2) == 1)
        *canceled = WORLD_IS;
    return *canceled == WORLD_IS;
}

static __attribute__((unused)) bool world_has_shields(void)
{
    for (int i = 0; i < MC_THREADS; i++)
        if (world_shields[i] != 0)
            return true;
    return false;
}

/* Until the word changes, or it is cancelled in its sleep. */
static void world_sleep(skua_word32 *word, uint32_t value)
{
    if (world_canceled[mc.current] != WORLD_MAY_BE || world_shields[mc.current] != 0)
        mc_futex_wait(word, value);
    else if (!mc_futex_wait_timed(word, value))
        world_canceled[mc.current] = WORLD_IS;
}

int skuai_call_begin(struct skuai_worker *worker, const char *call)
{
    (void)worker;
    (void)call;
    return world_interrupted() ? -ECANCELED : 0;
}

skua_op *skuai_op_start(skua_op *op)
{
    if (world_interrupted())
        return skuai_op_set_done(op, -ECANCELED);
    world_kind(op)->start(NULL, op, true);
    return op;
}

/* As wait_as_thread() in sched/wait.c. */
int64_t skua_await(skua_op *op)
{
    enum skuai_op_state state;
    while ((state = skuai_op_state(op)) != SKUAI_OP_DONE) {
        bool interrupted = world_interrupted();
        if (interrupted && world_kind(op)->withdraw(op))
            skuai_op_set_done(op, -ECANCELED);
        else if (interrupted || state != SKUAI_OP_AGAIN)
            world_sleep(&op->state, (uint32_t)state);
        else
            world_kind(op)->start(NULL, op, true);
    }
    return SKUAI_READ(op->result);
}

static __attribute__((unused)) int64_t world_started(skua_op *op)
{
    mc_assert(!skuai_start_is_done(op) || world_at_once[mc.current], "a start did without an op, and might not");
    int64_t result = skua_await(op);
    mc_free(op, sizeof *op);
    return result;
}

int64_t skuai_call(skua_op *op)
{
    int64_t result = skua_await(skuai_op_start(op));
    mc_free(op, sizeof *op); /* whoever touches it now has come too late */
    return result;
}

int64_t skuai_call_until(skua_op *op, uint64_t instant_ns)
{
    (void)instant_ns;
    return skuai_call(op);
}

/* A select of one arm, whose owner may close it. True: the arm took effect. */
static __attribute__((unused)) bool world_select(skua_op *op, struct skuai_select *word)
{
    mc_alloc(word, sizeof *word);
    skuai_store_32(&word->decided, SKUAI_SELECT_OPEN, SKUAI_RELAXED);
    op->select = word;
    if (mc_choose(2) == 1) /* another arm is decided before this one is looked at */
        (void)skuai_select_close(word);
    world_kind(op)->start(NULL, op, true);
    bool closed = false;
    while (skuai_select_decided(word) < 0 && !closed) {
        if (skuai_load_32(&word->decided, SKUAI_RELAXED) == SKUAI_SELECT_CLOSED ||
            (world_interrupted() && skuai_select_close(word)))
            closed = true;
        else if (skuai_select_decided(word) < 0)
            world_sleep(&word->decided, SKUAI_SELECT_OPEN);
    }
    if (closed && skuai_op_state(op) != SKUAI_OP_LOST)
        mc_assert(world_kind(op)->withdraw(op), "an arm of a closed select was claimed");
    while (!closed && !skuai_op_is_done(op))
        skuai_pause();
    mc_free(op, sizeof *op);
    mc_free(word, sizeof *word);
    return !closed;
}

static __attribute__((unused)) void world_reset(void)
{
    memset(world_canceled, 0, sizeof world_canceled);
    memset(world_shields, 0, sizeof world_shields);
    memset(world_at_once, 0, sizeof world_at_once);
    world_misuses = world_misuses_wanted = 0;
}

#endif
