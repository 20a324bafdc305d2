/* What a task waits for. For reports, and for the end of a runtime that gives up on tasks. */
#ifndef SKUAI_AWAITED_H
#define SKUAI_AWAITED_H

#include "sched/task.h"
#include "skua/future.h"

/* What it awaits, if it is not being run: an op; with the low bit set, the innermost frame that waits; or 0. */
uintptr_t skuai_task_awaits(skua_task *task);
/* Its outermost frame, or NULL if it is a fiber. */
skua_frame *skuai_task_root(skua_task *task);

/* Calls back for each op that the task, which is not being run, awaits: none, one, or those of a set's children; some
 * may be DONE already. Ops that it has started and not yet come to await are not known. */
void skuai_task_each_awaited(skua_task *task, void (*visit)(void *context, skua_op *op), void *context);

/* Makes sure that nobody knows the task's awaited ops any more: withdraws them, and waits for those that are being
 * completed. By who alone knows the task: no worker runs. */
void skuai_task_withdraw_awaited(skua_task *task);

#endif
