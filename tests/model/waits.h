/* A stand-in for wait.c, sink.c and select.c, so that the files of sync/ run under the checker as they are: each thread
 * of the model is a plain thread outside of any task. Included by one file of a model test.
 *
 *     struct mine { skua_x_op op; … } mine[2];              // static, one for each wait that is under way
 *     waits_alloc(&mine[i], sizeof mine[i]);                // it is given back when the wait is over, and whatever
 *     rc = waits_for(skua_x_prepare(&mine[i].op, …), how);  // touches it later is found
 *     mc_free(&mine[i], sizeof mine[i]);
 *
 * A wait that may be cancelled is so at any moment after it has begun: that is the checker's choice.
 */
#ifndef SKUA_MODEL_WAITS_H
#define SKUA_MODEL_WAITS_H

#include <errno.h>
#include <string.h>

#include "model/mc_internal.h"
#include "sched/op.h"
#include "sched/wait.h"
#include "sched/waiters.h"

enum waits_how { WAITS_ON, WAITS_OR_IS_CANCELED };

static unsigned waits_misused; /* reports of misuse */

/* ---- what the library asks of the runtime ---- */

void skuai_sink_fire(uintptr_t sink) { mc_futex_wake((skua_word32 *)(sink - SKUAI_SINK_THREAD), 1); }
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }
struct skuai_worker *skuai_worker_self(void) { return NULL; }
int skuai_call_begin(struct skuai_worker *worker, const char *call) { (void)worker; (void)call; return 0; }
int64_t skuai_call_end(struct skuai_worker *worker, int64_t result) { (void)worker; return result; }

/* Whether a start may do without an op is the checker's choice, for whoever asked last. */
static bool waits_at_once[MC_THREADS];
bool skuai_start_may_be_done(const struct skuai_worker *worker)
{
    (void)worker;
    return waits_at_once[mc.current] = mc_choose(2) == 0;
}

int skuai_misuse(const char *call, const char *what, const char *instead);
int skuai_misuse(const char *call, const char *what, const char *instead)
{
    mc_note("%s %s: %s", call, what, instead);
    waits_misused++;
    return -EPERM;
}

void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    skua_word32 *word = op->select == NULL ? &op->state : &((struct skuai_select *)op->select)->decided;
    (void)worker;
    skuai_op_arm(op, (uintptr_t)word | SKUAI_SINK_THREAD);
}

static const struct skuai_op_kind *waits_kind_of(const skua_op *op) { return op->kind; }

skua_op *skuai_op_start(skua_op *op)
{
    waits_kind_of(op)->start(NULL, op, true);
    return op;
}

/* O5. True: withdrawn, with this result. */
static bool waits_interrupt(skua_op *op, int error)
{
    if (skuai_op_is_done(op))
        return true;
    if (!waits_kind_of(op)->withdraw(op))
        return false;
    skuai_op_set_done(op, error);
    return true;
}

static int64_t waits_await(skua_op *op, enum waits_how how)
{
    bool canceled = how == WAITS_OR_IS_CANCELED && !skuai_op_is_done(op) && mc_choose(2) == 1 &&
                    waits_interrupt(op, -ECANCELED);
    (void)canceled;
    for (;;) {
        uint32_t state = (uint32_t)skuai_op_state(op);
        if (state == SKUAI_OP_DONE)
            return SKUAI_READ(op->result);
        mc_futex_wait(&op->state, state);
    }
}

static inline int64_t waits_for(skua_op *prepared, enum waits_how how)
{
    return waits_await(skuai_op_start(prepared), how);
}

/* For what a public _start has returned. */
static inline int64_t waits_started(skua_op *op)
{
    mc_assert(!skuai_start_is_done(op) || waits_at_once[mc.current], "a start did without an op, and might not");
    return waits_await(op, WAITS_ON);
}

int64_t skuai_call(skua_op *prepared) { return waits_for(prepared, WAITS_ON); }
int64_t skuai_call_until(skua_op *prepared, uint64_t instant_ns)
{
    (void)instant_ns;
    return waits_for(prepared, WAITS_OR_IS_CANCELED);
}

/* As a plain thread's skua_select(): the arm, or -ECANCELED. */
static inline int64_t waits_select(struct skuai_select *word, skua_op **arms, uint32_t count, enum waits_how how)
{
    int64_t winner;
    uint32_t started = 0;
    while (started < count && skuai_select_decided(word) < 0) {
        skua_op *op = arms[started];
        op->select = word;
        op->arm = started++;
        waits_kind_of(op)->start(NULL, op, true);
    }
    bool canceled = how == WAITS_OR_IS_CANCELED && mc_choose(2) == 1 && skuai_select_close(word);
    while ((winner = skuai_select_decided(word)) < 0 && !canceled)
        if (skuai_load_32(&word->decided, SKUAI_RELAXED) == SKUAI_SELECT_TENTATIVE)
            skuai_pause();
        else
            mc_futex_wait(&word->decided, SKUAI_SELECT_OPEN);
    for (uint32_t i = 0; i < started; i++)
        if ((int64_t)i != winner && skuai_op_state(arms[i]) != SKUAI_OP_LOST)
            mc_assert(waits_kind_of(arms[i])->withdraw(arms[i]), "two arms of one select were claimed");
    while (winner >= 0 && !skuai_op_is_done(arms[winner]))
        skuai_pause();
    return winner >= 0 ? winner : -ECANCELED;
}

#endif
