/* Spawning: a slot from the slab, a header, a body, a queue. And the end of a task's memory. */
#include "sched/spawn.h"
#include "sched/sim.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

struct skuai_scheduler *skuai_task_scheduler(const skua_task *task) { return skuai_slab_owner(task); }

uint64_t skuai_task_id(const skua_task *task) { return skuai_slab_slot_id(task); }

int skuai_thread_yield(void)
{
    sched_yield();
    return 0;
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

static void *slot_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, size_t bytes)
{
    return SKUAI_LIKELY(worker != NULL) ? skuai_slab_alloc(&worker->slab, bytes)
                                        : skuai_slab_alloc_shared(&sched->slabs, bytes);
}

static void slot_free(struct skuai_scheduler *sched, void *slot)
{
    struct skuai_worker *worker = skuai_worker_self();
    skuai_slab_free(worker != NULL && worker->sched == sched ? &worker->slab : NULL, slot);
}

/* A header with word, run and the rest set; NULL if there is no memory. */
static skua_task *task_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, size_t body, skuai_run_fn *run,
                             bool with_handle)
{
    skua_task *task = slot_alloc(sched, worker, sizeof *task + body);
    if (task == NULL)
        return NULL;
    uint32_t generation = skuai_task_generation(skuai_load_64(&task->word, SKUAI_RELAXED)); /* the slot is ours */
    if (generation == 0)
        generation = skuai_slab_fresh_generation(task);
    task->run = run;
    task->scope = NULL;
    task->joiner = NULL;
    task->result = 0;
    skuai_store_ptr(&task->more, NULL, SKUAI_RELAXED); /* published by the queue, as all of this */
    skuai_store_ptr(&task->fired, NULL, SKUAI_RELAXED);
    skuai_task_word_begin(&task->word, generation, with_handle);
    return task;
}

void skuai_task_free(skua_task *task)
{
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    if (SKUAI_UNLIKELY(skuai_load_ptr(&task->more, SKUAI_RELAXED) != NULL)) /* nobody else knows the task */
        skuai_task_more_free(task);
    if (task->run == skuai_frame_run_large) {
        struct skuai_large_frame *large = SKUAI_TASK_BODY(task);
        if (large->root != NULL)
            skuai_memory_put(sched, large->root, large->size);
    }
    skuai_task_word_bury(&task->word);
    slot_free(sched, task);
}

void skua_detach(skua_task *task)
{
    if (SKUAI_UNLIKELY(skuai_load_32(skuai_task_scheduler(task)->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child */
        return;
    if (skuai_task_word_release(&task->word) == SKUAI_TASK_FREE)
        skuai_task_free(task);
}

/* ---- spawning ------------------------------------------------------------------------------------------------ */

/* A spawn by a thread that is none of the scheduler's workers. */
static __attribute__((noinline)) int enter_from_outside(struct skuai_scheduler *sched, const struct skuai_worker *self)
{
    /* A simulation is one thread's, and what its tasks do must not depend on others. */
    if (sched->env.sim != NULL ? !skuai_sim_is_owner(sched->env.sim) : self != NULL && self->sched->env.sim != NULL)
        return -EPERM;
    skuai_rundown_enter(&sched->spawning);
    /* R1 (rundown.h). No model test runs this: model_rundown.c has its like. */
    if (SKUAI_LIKELY(skuai_load_32(&sched->stage, SKUAI_SEQ_CST) == SKUAI_STAGE_OPEN))
        return 0;
    skuai_rundown_leave(&sched->spawning);
    return -ESHUTDOWN;
}

/* A spawn begins: the scheduler to spawn on and, if the caller is one of its workers, that. If it returns 0 the end is
 * leave(): a spawn from outside must not find the runtime gone in between. */
SKUAI_INLINE int enter(const skua_spawn_attr *attr, struct skuai_scheduler **sched, struct skuai_worker **worker)
{
    struct skuai_worker *self = skuai_worker_self();
    *sched = attr != NULL && attr->runtime != NULL ? (struct skuai_scheduler *)(void *)attr->runtime
             : self != NULL                       ? self->sched
                                                  : NULL;
    if (*sched == NULL)
        return -EINVAL;
    *worker = self != NULL && self->sched == *sched ? self : NULL;
    if (SKUAI_UNLIKELY(skuai_load_32((*sched)->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child */
        return -ENOTSUP;
    if (SKUAI_UNLIKELY(*worker == NULL))
        return enter_from_outside(*sched, self);
    /* Relaxed: a spawn that slips in is cancelled at the next round. */
    return skuai_load_32(&(*sched)->stage, SKUAI_RELAXED) >= SKUAI_STAGE_CANCEL ? -ESHUTDOWN : 0;
}

static void leave(struct skuai_scheduler *sched, struct skuai_worker *worker)
{
    if (SKUAI_UNLIKELY(worker == NULL))
        skuai_rundown_leave(&sched->spawning);
}

/* Names it if asked, counts it and queues it. On error the task is freed. */
static int launch(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task *task, skua_task **handle,
                  const skua_spawn_attr *attr)
{
    if (attr != NULL && attr->name != NULL) {
        int rc = skuai_task_rename(task, attr->name);
        if (rc < 0) {
            skuai_task_free(task);
            return rc;
        }
    }
    if (worker != NULL)
        skuai_count(&worker->counters.spawned, 1);
    else
        skuai_add_64(&sched->spawned_outside, 1, SKUAI_RELAXED); /* before the push, which orders it for the drain */
    if (handle != NULL)
        *handle = task; /* before it is queued: the task may read the variable that its handle goes to */
    skuai_schedule_spawned(sched, worker, task);
    return 0;
}

static skua_task *fiber_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, bool with_handle,
                              size_t stack_size, skua_fiber_fn *fn, void *arg)
{
    skua_task *task = task_alloc(sched, worker, sizeof(struct skuai_fiber), skuai_fiber_run, with_handle);
    if (task == NULL)
        return NULL;
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->awaits = 0;
    fiber->started = false;
    fiber->stack_size = stack_size;
    return task;
}

static int spawn_fiber(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task **handle,
                       const skua_spawn_attr *attr, skua_fiber_fn *fn, void *arg)
{
    size_t stack_size = attr != NULL && attr->stack_size != 0 ? attr->stack_size : sched->stack_size;
    skua_task *task = fiber_alloc(sched, worker, handle != NULL, stack_size, fn, arg);
    return task != NULL ? launch(sched, worker, task, handle, attr) : -ENOMEM;
}

skua_task *skuai_spawn_begin(struct skuai_worker *worker, skua_fiber_fn *fn)
{
    return fiber_alloc(worker->sched, worker, false, worker->sched->stack_size, fn, NULL);
}

void skuai_spawn_end(struct skuai_worker *worker, skua_task *task, void *arg)
{
    if (arg == NULL) {
        skuai_task_free(task);
        return;
    }
    ((struct skuai_fiber *)SKUAI_TASK_BODY(task))->arg = arg;
    skuai_count(&worker->counters.spawned, 1);
    worker->handover = task;
}

int skua_spawn_with(skua_task **handle, const skua_spawn_attr *attr, skua_fiber_fn *fn, void *arg)
{
    struct skuai_scheduler *sched;
    struct skuai_worker *worker;
    bool wrong = fn == NULL || (attr != NULL && attr->stack_size > SKUAI_STACK_SIZE_MAX);
    int rc = wrong ? -EINVAL : enter(attr, &sched, &worker);
    if (rc < 0)
        return rc;
    rc = spawn_fiber(sched, worker, handle, attr, fn, arg);
    leave(sched, worker);
    return rc;
}

int skua_spawn(skua_task **handle, skua_fiber_fn *fn, void *arg) { return skua_spawn_with(handle, NULL, fn, arg); }

int skua_go(skua_fiber_fn *fn, void *arg) { return skua_spawn_with(NULL, NULL, fn, arg); }

static skua_frame *place_frame(skua_task *task, size_t size)
{
    if (task->run != skuai_frame_run_large)
        return SKUAI_TASK_BODY(task);
    struct skuai_large_frame *large = SKUAI_TASK_BODY(task);
    large->size = size;
    large->root = skuai_memory_get(skuai_task_scheduler(task), size);
    return large->root;
}

/* A spawn that has entered. The frame comes back with all but its arguments. */
static skua_task *frame_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, bool with_handle,
                              skua_poll_fn *poll, size_t size, skua_frame **root)
{
    bool large = size > SKUAI_SLAB_MAX_BYTES - sizeof(skua_task);
    skua_task *task = task_alloc(sched, worker, large ? sizeof(struct skuai_large_frame) : size,
                                 large ? skuai_frame_run_large : skuai_frame_run, with_handle);
    if (task == NULL)
        return NULL;
    *root = place_frame(task, size);
    if (*root == NULL) {
        skuai_task_free(task);
        return NULL;
    }
    skua_frame_init(*root, poll);
    (*root)->parent = *root; /* the leaf to resume first: itself */
    return task;
}

int skua_spawn_frame(skua_task **handle, const skua_spawn_attr *attr, skua_poll_fn *poll, size_t size, size_t in_offset,
                     const void *in, size_t in_size)
{
    struct skuai_scheduler *sched;
    struct skuai_worker *worker;
    skua_frame *root;
    bool wrong = poll == NULL || size < sizeof(skua_frame) || in_offset < sizeof(skua_frame) || in_offset > size ||
                 in_size > size - in_offset;
    int rc = wrong ? -EINVAL : enter(attr, &sched, &worker);
    if (rc < 0)
        return rc;
    skua_task *task = frame_alloc(sched, worker, handle != NULL, poll, size, &root);
    rc = -ENOMEM;
    if (task != NULL) {
        memcpy((char *)root + in_offset, in, in_size);
        rc = launch(sched, worker, task, handle, attr);
    }
    leave(sched, worker);
    return rc;
}

/* ---- joining ------------------------------------------------------------------------------------------------- */

static bool withdraw_join(skua_op *op)
{
    return skuai_join_detach(op->owner, op);
}

static const struct skuai_op_kind join_kind = { .name = "skua_join", .withdraw = withdraw_join };

/* A simulation is one thread's: a join of one of its tasks from outside is skua_join()'s, which drives it. */
static int may_join(const struct skuai_worker *worker, const struct skuai_scheduler *sched)
{
    if (SKUAI_UNLIKELY(skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child */
        return -ENOTSUP;
    bool foreign = worker == NULL || worker->sched != sched;
    if (SKUAI_UNLIKELY(foreign && (sched->env.sim != NULL || (worker != NULL && worker->sched->env.sim != NULL))))
        return -EPERM;
    return 0;
}

static void attach(struct skuai_worker *worker, struct skuai_scheduler *sched, skua_join_op *op, skua_task *task)
{
    op->value = 0;
    if (worker != NULL && worker->task == task) {
        skuai_op_set_done(&op->op, -EDEADLK);
        return;
    }
    skuai_op_arm_here(worker, &op->op, &join_kind, task);
    switch (skuai_join_attach(task, &op->op, worker == NULL || worker->sched != sched)) {
    case SKUAI_JOIN_WAITS:
        /* J5. Relaxed: the attach came after the abort's exchange and acquired it, or the abort finds the op. */
        if (SKUAI_UNLIKELY(skuai_load_32(&sched->stage, SKUAI_RELAXED) == SKUAI_STAGE_LEFT) &&
            withdraw_join(&op->op)) {
            skuai_op_disarm_here(&op->op);
            skuai_op_set_done(&op->op, -ESHUTDOWN);
        }
        break;
    case SKUAI_JOIN_BUSY:
        skuai_op_disarm_here(&op->op);
        skuai_op_set_done(&op->op, -EBUSY);
        break;
    case SKUAI_JOIN_READY:
        skuai_op_disarm_here(&op->op);
        op->value = task->result;
        skuai_op_set_done(&op->op, 0);
        skuai_task_free(task);
        break;
    }
}

/* J6: when the task has ended somebody may destroy its runtime, while we are still looking at it. */
static __attribute__((noinline)) void attach_from_outside(struct skuai_worker *worker, struct skuai_scheduler *sched,
                                                          skua_join_op *op, skua_task *task)
{
    skuai_rundown_enter_ahead(&sched->holds); /* of the attach, whose release carries it to the end */
    attach(worker, sched, op, task);
    skuai_rundown_leave(&sched->holds);
}

void skuai_join_start_here(struct skuai_worker *worker, skua_join_op *op, skua_task *task)
{
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    int rc = may_join(worker, sched);
    if (SKUAI_UNLIKELY(rc < 0))
        skuai_op_set_done(&op->op, rc);
    else if (SKUAI_LIKELY(worker != NULL && worker->sched == sched))
        attach(worker, sched, op, task);
    else
        attach_from_outside(worker, sched, op, task);
}

static skua_op *join_start(struct skuai_worker *worker, skua_join_op *op, skua_task *task)
{
    if (SKUAI_UNLIKELY(worker != NULL && worker->task == NULL))
        return skuai_op_set_done(&op->op,
                                 skuai_misuse("skua_join", "was called in a callback on a worker, outside of any task",
                                              "spawn a task that joins"));
    if (worker != NULL && skuai_cancel_pending(worker))
        return skuai_op_set_done(&op->op, -ECANCELED);
    skuai_join_start_here(worker, op, task);
    return &op->op;
}

skua_op *skua_join_start(skua_join_op *op, skua_task *task) { return join_start(skuai_worker_self(), op, task); }

/* From outside of a simulation, whose workers run on this thread meanwhile. */
static int join_simulated(struct skuai_worker *worker, struct skuai_scheduler *sched, skua_join_op *op, skua_task *task)
{
    if (skuai_load_32(sched->alive_here, SKUAI_RELAXED) == 0)
        return -ENOTSUP;
    if (!skuai_sim_is_owner(sched->env.sim))
        return -EPERM;
    if (worker != NULL && skuai_cancel_pending(worker))
        return -ECANCELED;
    attach_from_outside(worker, sched, op, task);
    int rc = skuai_sim_run(sched->env.sim, &op->op.state, SKUAI_OP_DONE);
    return rc < 0 && withdraw_join(&op->op) ? rc : (int)skua_await(&op->op);
}

int skua_join(skua_task *task, int64_t *result)
{
    skua_join_op op;
    struct skuai_worker *worker = skuai_worker_self();
    if (worker != NULL && worker->polling != 0)
        return skuai_misuse("skua_join", "was called inside a future's body", "use SKUA_AWAIT with skua_join_start()");
    struct skuai_scheduler *sched = skuai_task_scheduler(task);
    bool in_task = worker != NULL && worker->task != NULL, outside = worker == NULL || worker->sched != sched;
    int rc;
    if (SKUAI_UNLIKELY(sched->env.sim != NULL && outside && (in_task || worker == NULL))) {
        rc = join_simulated(worker, sched, &op, task);
    } else {
        join_start(worker, &op, task);
        if (SKUAI_UNLIKELY(worker != NULL && worker->task == NULL))
            return (int)op.op.result; /* refused */
        rc = (int)skua_await(&op.op);
    }
    if (rc == 0 && result != NULL)
        *result = op.value;
    return rc;
}

int skua_try_join(skua_task *task, int64_t *result)
{
    if (SKUAI_UNLIKELY(skuai_load_32(skuai_task_scheduler(task)->alive_here, SKUAI_RELAXED) == 0)) /* as in detach */
        return -ENOTSUP;
    /* Acquire: pairs with the end's release: the result. No model test runs this: J1 (join.c) reads it likewise. */
    if (!(skuai_load_64(&task->word, SKUAI_ACQUIRE) & SKUAI_TASK_ENDED))
        return -EAGAIN;
    if (result != NULL)
        *result = task->result;
    skua_detach(task);
    return 0;
}

/* ---- the scheduler's tasks ----------------------------------------------------------------------------------- */

/* The tasks that have not ended. The ends are added up first: if the two sums are equal, then at the moment between
 * the two passes nothing lived. No model test runs this: model/world.h has its like. */
uint64_t skuai_scheduler_live(struct skuai_scheduler *sched)
{
    uint64_t ended = 0, spawned = 0;
    for (uint32_t i = 0; i < sched->nworkers; i++)
        ended += skuai_load_64(&sched->workers[i]->counters.ended, SKUAI_ACQUIRE); /* pairs with the end's release */
    for (uint32_t i = 0; i < sched->nworkers; i++)
        spawned += skuai_load_64(&sched->workers[i]->counters.spawned, SKUAI_RELAXED);
    spawned += skuai_load_64(&sched->spawned_outside, SKUAI_RELAXED);
    return spawned > ended ? spawned - ended : 0;
}

struct each_task {
    void (*visit)(void *context, skua_task *task);
    void *context;
};

static void visit_slot(void *slot, void *arg)
{
    struct each_task *each = arg;
    skua_task *task = slot;
    /* Relaxed: who touches more than the word takes it by changing the word, or comes after the workers' end. */
    if (skuai_load_64(&task->word, SKUAI_RELAXED) & SKUAI_TASK_ALIVE)
        each->visit(each->context, task);
}

void skuai_scheduler_each_task(struct skuai_scheduler *sched, void (*visit)(void *context, skua_task *task),
                               void *context)
{
    struct each_task each = { .visit = visit, .context = context };
    skuai_slab_each_slot(&sched->slabs, visit_slot, &each);
}

static void cancel_slot(void *slot, void *arg)
{
    enum skuai_task_verdict verdict;
    skua_task *task = slot;
    if (!skuai_task_word_cancel_any(&task->word, &verdict))
        return;
    ++*(uint64_t *)arg;
    if (verdict == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(task);
}

uint64_t skuai_scheduler_cancel_all(struct skuai_scheduler *sched)
{
    uint64_t count = 0;
    skuai_slab_each_slot(&sched->slabs, cancel_slot, &count);
    return count;
}

skua_task *skua_self(void)
{
    struct skuai_worker *worker = skuai_worker_self();
    return worker != NULL ? worker->task : NULL;
}
