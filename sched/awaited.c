/* See awaited.h. A frame keeps what it awaits in itself (skua/future.h), a fiber in its body (spawn.h). */
#include "sched/awaited.h"

#include "sched/combine.h"
#include "sched/select.h"
#include "sched/spawn.h"

struct visitor {
    void (*visit)(void *context, skua_op *op);
    void *context;
};

static void visit_leaf(const struct visitor *visitor, skua_frame *leaf);

static void visit_child(const struct visitor *visitor, skua_child *child)
{
    if (child->ended || (child->flags & SKUAI_CHILD_ENDING))
        return;
    if (child->task == NULL)
        visit_leaf(visitor, child->leaf);
    else if (child->flags & SKUAI_CHILD_STARTED)
        visitor->visit(visitor->context, &child->join.op);
}

/* The innermost frame that waits. */
static void visit_leaf(const struct visitor *visitor, skua_frame *leaf)
{
    if (leaf->flags & SKUAI_FRAME_ENDED) /* `awaited` is its result now */
        return;
    if (leaf->poll == skuai_set_poll && leaf->resume != 0) {
        skua_set *set = (skua_set *)(void *)leaf;
        for (uint32_t i = 0; i < set->count; i++)
            visit_child(visitor, &set->children[i]);
    } else if (leaf->poll == skuai_select_poll) {
        skuai_select_each_arm((skua_selection *)(void *)leaf, visitor->visit, visitor->context);
    } else if (leaf->awaited != 0 && !(leaf->awaited & 1u)) {
        visitor->visit(visitor->context, (skua_op *)leaf->awaited);
    }
}

skua_frame *skuai_task_root(skua_task *task)
{
    if (task->run == skuai_fiber_run)
        return NULL;
    return task->run == skuai_frame_run_large ? ((struct skuai_large_frame *)SKUAI_TASK_BODY(task))->root
                                              : SKUAI_TASK_BODY(task);
}

uintptr_t skuai_task_awaits(skua_task *task)
{
    skua_frame *root = skuai_task_root(task);
    return root != NULL ? (uintptr_t)root->parent | 1u : ((struct skuai_fiber *)SKUAI_TASK_BODY(task))->awaits;
}

void skuai_task_each_awaited(skua_task *task, void (*visit)(void *context, skua_op *op), void *context)
{
    struct visitor visitor = { visit, context };
    /* Relaxed: no worker runs, and the caller has joined them. */
    if (skuai_load_64(&task->word, SKUAI_RELAXED) & SKUAI_TASK_ENDED)
        return;
    uintptr_t awaits = skuai_task_awaits(task);
    if (awaits & 1u)
        visit_leaf(&visitor, (skua_frame *)(awaits & ~(uintptr_t)1));
    else if (awaits != 0)
        visit(context, (skua_op *)awaits);
}

static void withdraw(void *context, skua_op *op)
{
    (void)context;
    if (skuai_op_is_done(op) || ((const struct skuai_op_kind *)op->kind)->withdraw(op))
        return;
    while (!skuai_op_is_done(op)) /* O5: claimed, and done in a few instructions */
        skuai_thread_yield();
}

void skuai_task_withdraw_awaited(skua_task *task) { skuai_task_each_awaited(task, withdraw, NULL); }
