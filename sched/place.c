/* See skua/place.h. */
#include "skua/place.h"

#include "sched/scope.h"
#include "sched/spawn.h"

void skuai_place(const char *place)
{
    struct skuai_worker *worker = skuai_worker_self();
    if (worker == NULL)
        skuai_thread_notes()->place = place;
    else if (worker->task != NULL && worker->task->run == skuai_fiber_run && worker->polling == 0)
        ((struct skuai_fiber *)SKUAI_TASK_BODY(worker->task))->place = place;
}
