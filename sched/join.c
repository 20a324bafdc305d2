/* A task's end and its joiner.
 *
 * There is no lock: the one transition to E (task_word.h) decides everything.
 *   J1 attach   the joiner writes task->joiner, then sets J. If E was set already nobody looks at joiner any more, and
 *               the result can be read.
 *   J2 end      the runner writes the result, then turns R into E. If J was set it alone reads joiner and completes
 *               the op (op.h: claim, move, finish). If the op is an arm of a decided select the claim fails, and LOST
 *               is its last access.
 *   J3 detach   the joiner takes J away. If E was not set, nobody will touch the op. If it was, the op is in the hands
 *               of J2 until it is DONE or LOST, a few instructions later.
 *   J4 free     E without H frees (J2); else who gives up H does. A joiner that sees E or DONE owns H and frees with
 *               no further exchange: J2 does not touch the task after it has finished the op.
 * Model: tests/model/model_join.c.
 */
#include "sched/task.h"

enum skuai_join skuai_join_attach(skua_task *task, skua_op *op)
{
    /* Relaxed: only catches a second joiner in most cases; a handle has one user at a time. */
    if (skuai_load_64(&task->word, SKUAI_RELAXED) & SKUAI_TASK_JOINER)
        return SKUAI_JOIN_BUSY;
    SKUAI_WRITE(task->joiner, op);
    return skuai_task_word_join(&task->word) ? SKUAI_JOIN_WAITS : SKUAI_JOIN_READY;
}

bool skuai_join_detach(skua_task *task, skua_op *op)
{
    if (skuai_task_word_unjoin(&task->word))
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

bool skuai_join_end(skua_task *task)
{
    switch (skuai_task_word_end(&task->word)) {
    case SKUAI_TASK_FREE:
        return true;
    case SKUAI_TASK_COMPLETE_JOINER: {
        skua_op *op = SKUAI_READ(task->joiner);
        if (skuai_op_claim(op))
            skuai_op_finish(op, 0);
        else
            skuai_op_lose(op);
        return false;
    }
    default:
        return false;
    }
}
