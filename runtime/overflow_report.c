/* Which fiber has overflowed its stack: what the fault handler asks (sched/overflow.h). Async-signal-safe: it reads the
 * faulting thread's own worker and task, which do not change under it. A fault amid a walk up a stack is none
 * (interrupt.h, Q4). */
#include "runtime/runtime.h"
#include "sched/interrupt.h"
#include "sched/overflow.h"
#include "sched/spawn.h"

int skuai_overflow_describe(const void *fault_address, char *text, size_t size)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL)
        skuai_interrupt_escape(worker);
    if (worker == NULL || worker->task == NULL || worker->task->run != skuai_fiber_run)
        return 0;
    const struct skuai_fiber *fiber = SKUAI_TASK_BODY(worker->task);
    if (!fiber->started)
        return 0;
    int length = skuai_strand_describe(fiber->strand, fault_address, text, size);
    if (length > 0)
        return length;
    if (!skuai_stack_guards(&worker->sched->stack_pool, &fiber->stack, fault_address))
        return 0;
    return skuai_overflow_message(text, size, skuai_task_name(worker->task), skuai_stack_nominal(&fiber->stack));
}
