/* A task's end and its joiner.
 *
 * There is no lock: the one transition to E (task_word.h) decides everything.
 *   J1 attach   the joiner writes task->joiner, then sets J. If E was set already nobody looks at joiner any more, and
 *               the result can be read.
 *   J2 end      the runner writes the result, then turns R into E. If J was set it alone reads joiner and completes
 *               the op (op.h: claim, move the result over, finish). If the op is an arm of a decided select the claim
 *               fails, and LOST is its last access.
 *   J3 detach   the joiner takes J away if the task, of the generation that it attached to, has not ended. Then nobody
 *               will touch the op. Else the op is in the hands of J2 until it is DONE or LOST, a few instructions
 *               later.
 *   J4 free     a join uses the handle up. E without H frees (J2); E with a joiner whose op was claimed frees (J2,
 *               after DONE); else who holds H frees: by joining after E (J1), or by releasing it (task_word.h).
 *   J5 abort    a runtime that stops with the task left over takes J away in one exchange and completes the op with an
 *               error; the handle is kept. A joiner that attaches after that sees the stage LEFT and detaches.
 *   J6 pin      a joiner that is not of the task's runtime may outlive it: after the end nothing but the op tells if a
 *               task's memory is still there. So it turns its op from ARMED to PINNED before it touches the task to
 *               withdraw or to cancel it, and back; and J2 and J5 take such an op from ARMED to CLAIMED by an exchange
 *               and wait out a pin, which is a few instructions: they run on the runtime's threads, or on its
 *               destroyer's, so meanwhile it stays. For the attach, where there is no op yet, the joiner counts itself
 *               into the runtime's `holds` (spawn.c).
 * Model: tests/model/model_join.c.
 */
#include "sched/task.h"

enum { FOREIGN_SHIFT = 32 }; /* in op->number, above the generation */

static bool is_foreign(const skua_op *op) { return op->number >> FOREIGN_SHIFT != 0; }
uint32_t skuai_join_generation(const skua_op *op) { return (uint32_t)op->number; }

enum skuai_join skuai_join_attach(skua_task *task, skua_op *op, bool foreign)
{
    /* Relaxed: only catches a second joiner in most cases; a handle has one user at a time. J stays set when the joiner
     * was an arm that LOST: E tells that nobody waits any more. */
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED);
    if ((word & (SKUAI_TASK_JOINER | SKUAI_TASK_ENDED)) == SKUAI_TASK_JOINER)
        return SKUAI_JOIN_BUSY;
    op->number = (uint64_t)foreign << FOREIGN_SHIFT | skuai_task_generation(word); /* fixed: we hold H */
    SKUAI_WRITE(task->joiner, op);
    return skuai_task_word_join(&task->word) ? SKUAI_JOIN_WAITS : SKUAI_JOIN_READY;
}

bool skuai_join_pin(skua_op *op)
{
    uint32_t armed = SKUAI_OP_ARMED;
    /* Relaxed: if it succeeds no claim has come before, and those that come find unpin's release. */
    return !is_foreign(op) || skuai_cas_32(&op->state, &armed, SKUAI_OP_PINNED, SKUAI_RELAXED);
}

void skuai_join_unpin(skua_op *op)
{
    if (is_foreign(op))
        skuai_store_32(&op->state, SKUAI_OP_ARMED, SKUAI_RELEASE); /* pairs with claim()'s acquire: the task may go */
}

/* O2 by J2 or J5: an op whose joiner was attached. */
static bool claim(skua_op *op)
{
    uint32_t armed = SKUAI_OP_ARMED;
    while (is_foreign(op) && !skuai_cas_32(&op->state, &armed, SKUAI_OP_CLAIMED, SKUAI_ACQUIRE)) {
        armed = SKUAI_OP_ARMED;
        skuai_pause();
    }
    return skuai_op_claim(op);
}

bool skuai_join_detach(skua_task *task, skua_op *op)
{
    if (skuai_join_pin(op)) {
        bool detached = skuai_task_word_unjoin(&task->word, skuai_join_generation(op));
        skuai_join_unpin(op);
        if (detached)
            return true;
    }
    if (op->select == NULL)
        return false; /* it will be DONE, and its sink fired */
    for (;;) {
        enum skuai_op_state state = skuai_op_state(op); /* acquire: pairs with DONE's and LOST's release */
        if (state == SKUAI_OP_DONE)
            return false;
        if (state == SKUAI_OP_LOST)
            return true;
        skuai_pause();
    }
}

void skuai_join_abort(skua_task *task, int64_t error)
{
    if (!skuai_task_word_abort(&task->word))
        return;
    skua_op *op = SKUAI_READ(task->joiner);
    if (claim(op))
        skuai_op_finish(op, error);
    else
        skuai_op_lose(op);
}

enum skuai_end skuai_join_end(skua_task *task)
{
    switch (skuai_task_word_end(&task->word)) {
    case SKUAI_TASK_FREE:
        return SKUAI_END_UNSEEN;
    case SKUAI_TASK_COMPLETE_JOINER: {
        skua_op *op = SKUAI_READ(task->joiner);
        if (!claim(op)) {
            skuai_op_lose(op);
            return SKUAI_END_KEPT;
        }
        skuai_task_word_use_up(&task->word);
        SKUAI_WRITE(((skua_join_op *)op)->value, SKUAI_READ(task->result));
        skuai_op_finish(op, 0);
        return SKUAI_END_TOLD;
    }
    default:
        return SKUAI_END_KEPT;
    }
}
