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
 * Model: tests/model/model_join.c.
 */
#include "sched/task.h"

enum skuai_join skuai_join_attach(skua_task *task, skua_op *op)
{
    /* Relaxed: only catches a second joiner in most cases; a handle has one user at a time. J stays set when the joiner
     * was an arm that LOST: E tells that nobody waits any more. */
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED);
    if ((word & (SKUAI_TASK_JOINER | SKUAI_TASK_ENDED)) == SKUAI_TASK_JOINER)
        return SKUAI_JOIN_BUSY;
    op->number = skuai_task_generation(word); /* fixed: we hold H */
    SKUAI_WRITE(task->joiner, op);
    return skuai_task_word_join(&task->word) ? SKUAI_JOIN_WAITS : SKUAI_JOIN_READY;
}

bool skuai_join_detach(skua_task *task, skua_op *op)
{
    if (skuai_task_word_unjoin(&task->word, (uint32_t)op->number))
        return true;
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
    if (skuai_op_claim(op))
        skuai_op_finish(op, error);
    else
        skuai_op_lose(op);
}

bool skuai_join_end(skua_task *task)
{
    switch (skuai_task_word_end(&task->word)) {
    case SKUAI_TASK_FREE:
        return true;
    case SKUAI_TASK_COMPLETE_JOINER: {
        skua_op *op = SKUAI_READ(task->joiner);
        if (!skuai_op_claim(op)) {
            skuai_op_lose(op);
            return false;
        }
        SKUAI_WRITE(((skua_join_op *)op)->value, SKUAI_READ(task->result));
        skuai_op_finish(op, 0);
        return true;
    }
    default:
        return false;
    }
}
