/* Fires for the children of sets.
 *
 * An op armed while a child is polled has the child as its sink:
 *   C1 arm      the runner counts it in child->armed
 *   C2 fire     any thread: one exchange of child->signal adds a fire and sets QUEUED. Who set it pushes the child on
 *               its *task's* list of fired children. After that, or if QUEUED was set already, the fire touches only
 *               the task, which is type-stable. One list per task, not per set: the fire need not walk sets that may be
 *               ending.
 *   C3 deliver  at its next run the task takes the list, then each child's signal, and takes its fires off `armed`.
 *               What it then does with the child (combine.c) is the runner's own, no atomics.
 *   C4 end      a child that has ended with fires still under way (armed > 0: an op was seen DONE before its fire came)
 *               stays until they are delivered. So no fire finds a child gone.
 * Model: tests/model/model_fired.c.
 */
#include "sched/combine.h"
#include "sched/task.h"

enum { QUEUED = 1, FIRE = 2 };

void skuai_child_fire(skua_child *child)
{
    skua_task *task = child->set->runner; /* alive: at least until this fire is delivered */
    uint32_t seen = skuai_load_32(&child->signal, SKUAI_RELAXED); /* the exchange decides */
    /* Release: pairs with deliver's acquire: the child is not reused before our accesses are over. Acquire: deliver is
     * done with `next` before we write it. */
    while (!skuai_cas_32(&child->signal, &seen, (seen + FIRE) | QUEUED, SKUAI_ACQ_REL))
        ;
    if (!(seen & QUEUED)) {
        void *first = skuai_load_ptr(&task->fired, SKUAI_RELAXED); /* the exchange decides */
        do
            SKUAI_WRITE(child->next, first);
        while (!skuai_cas_ptr(&task->fired, &first, child, SKUAI_RELEASE)); /* pairs with deliver's acquire */
    }
    skuai_task_wake(task);
}

skua_child *skuai_fired_take(skua_task *task)
{
    skua_child *child = skuai_exchange_ptr(&task->fired, NULL, SKUAI_ACQUIRE); /* pairs with fire's release */
    skua_child *oldest = NULL;
    while (child != NULL) { /* the list is last in, first out */
        skua_child *next = SKUAI_READ(child->next);
        SKUAI_WRITE(child->next, oldest);
        oldest = child;
        child = next;
    }
    return oldest;
}

void skuai_fired_settle(skua_child *child)
{
    /* Acquire: pairs with fire's release: those fires have touched the child for the last time. Release: from here on a
     * new fire pushes the child again and writes its `next`, which we have read: pairs with fire's acquire. */
    child->armed -= skuai_exchange_32(&child->signal, 0, SKUAI_ACQ_REL) / FIRE;
}
