/* Fork-join from futures: a future that runs a parallel function in a fiber, and waits for it even if it is
 * cancelled. */
#include "sched/parallel.h"
#include "skua/future.h"

#include <errno.h>

static int run_jobs(void *arg)
{
    struct skua_run_future *self = arg;
    skuai_parallel_run(self->in.run, self->in.room);
    return 0;
}

SKUA_ASYNC_EXTERN(skua_run_future)
{
    SKUA_BEGIN(self);
    self->frame.result = skua_spawn(&self->task, run_jobs, self);
    if (self->frame.result < 0)
        SKUA_RETURN(self->frame.result);
    SKUA_AWAIT(skua_join_start(&self->join, self->task));
    if (self->join.result == -ECANCELED) { /* and the handle is kept: the function runs, in our memory */
        skua_cancel(self->task);
        skua_shield_enter(&self->shield);
        SKUA_AWAIT(skua_join_start(&self->join, self->task));
        skua_scope_leave(&self->shield);
    }
    SKUA_END(self->join.result < 0 ? self->join.result : self->join.value);
}
