/* Completion callbacks: skua_on_done().
 *
 * One is a future of its own that joins the task, in the runtime where the callback is to run, and then calls. So what
 * holds of joins holds here: across runtimes, for cancelled tasks, and for those that a shutdown leaves over. It is
 * shielded: a cancellation of all tasks, by a shutdown, must not make it go before its task.
 *
 * And it is a member (member.h) of nobody in particular: so that if its own runtime leaves it over, somebody is told
 * (M3), and the callback is called all the same.
 */
#include <errno.h>

#include "sched/member.h"
#include "sched/scheduler.h"
#include "sched/spawn.h"
#include "skua/future.h"
#include "skua/scope.h"

struct on_done {
    SKUA_FRAME;
    struct {
        skua_task *task;
        skua_done_fn *fn;
        void *context;
    } in;
    skua_scope shield;
    skua_join_op join;
};

SKUA_ASYNC(on_done)
{
    SKUA_BEGIN(self);
    skua_shield_enter(&self->shield);
    SKUA_AWAIT(skua_join_start(&self->join, self->in.task));
    skua_scope_leave(&self->shield);
    if (self->join.result == -EBUSY)
        (void)skuai_misuse("skua_on_done", "was given a task that somebody else joins",
                           "a handle is used once: join the task, or be told of its end");
    self->in.fn(self->in.context, self->join.result == 0 ? self->join.value : self->join.result);
    SKUA_END(0);
}

static int admit(struct skuai_joining *joining, skua_task *task)
{
    (void)joining, (void)task;
    return 0;
}

static void ended(skua_task *task, int64_t result) { (void)task, (void)result; }

/* It still waits: what it calls it calls last. */
static void abandoned(skua_task *task, int64_t error)
{
    const struct on_done *frame = SKUAI_TASK_BODY(task);
    frame->in.fn(frame->in.context, error);
}

int skua_on_done(skua_task *task, skua_runtime *where, skua_done_fn *fn, void *context)
{
    static const struct skuai_member_kind kind = { .ended = ended, .abandoned = abandoned };
    static struct skuai_member_owner owner = { .kind = &kind }; /* never written */
    if (task == NULL)
        return skuai_task_refuse(task, "skua_on_done");
    struct skuai_scheduler *from = skuai_task_scheduler(task);
    struct skuai_scheduler *to = where != NULL ? (struct skuai_scheduler *)(void *)where : from;
    struct skuai_joining joining = { .owner = &owner, .admit = admit };
    const struct on_done call = { .in = { task, fn, context } };
    if (fn == NULL)
        return -EINVAL;
    if (skuai_load_32(from->alive_here, SKUAI_RELAXED) != 0 && skuai_task_check_handle(task, "skua_on_done") < 0)
        return -EPERM;
    if (from != to && (from->env.sim != NULL || to->env.sim != NULL)) /* as for a join */
        return -EPERM;
    return skuai_spawn_frame_member(&joining, &(skua_spawn_attr){ .runtime = (skua_runtime *)(void *)to }, on_done_poll,
                                    sizeof call, offsetof(struct on_done, in), &call.in, sizeof call.in);
}
