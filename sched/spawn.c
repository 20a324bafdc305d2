/* Spawning: a slot from the slab, a header, a body, a queue. And the end of a task's memory. */
#include "sched/spawn.h"
#include "sched/member.h"
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

static size_t record_bytes(const struct skuai_joining *joining)
{
    return joining == NULL ? 0 : sizeof(struct skuai_member) + (joining->keeps ? sizeof(uint64_t) : 0);
}

/* So that a record can lie behind it. */
static size_t in_words(size_t body) { return (body + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1); }

static void make_member(skua_task *task, size_t body, uint32_t generation, uint32_t traits,
                        const struct skuai_joining *joining)
{
    task->member = (struct skuai_member *)(void *)((char *)SKUAI_TASK_BODY(task) + in_words(body));
    task->member->owner = joining->owner;
    if (joining->keeps)
        task->member->tag[0] = joining->tag;
    skuai_task_word_begin_member(&task->word, generation, traits, joining->keeps);
}

/* From outside a clock is read: it is a twentieth of what such a spawn costs, and nobody else may have looked at one
 * for long. */
static __attribute__((noinline, cold)) uint32_t born_outside(struct skuai_scheduler *sched)
{
    return skuai_task_born_at(skuai_env_now(&sched->env));
}

/* About when it is, without asking a clock. A worker's last look at one is less than a millisecond ago, unless a task
 * has been computing since: then the guard has told it. */
SKUAI_INLINE uint32_t born_now(struct skuai_scheduler *sched, const struct skuai_worker *worker)
{
    return SKUAI_LIKELY(worker != NULL) ? skuai_load_32(&worker->born, SKUAI_RELAXED) /* no data behind it */
                                        : born_outside(sched);
}

/* A header with word, run and the rest set; NULL if there is no memory. */
SKUAI_INLINE skua_task *task_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, size_t body,
                                   skuai_run_fn *run, uint32_t kind, bool with_handle,
                                   const struct skuai_joining *joining)
{
    size_t bytes = joining == NULL ? body : in_words(body) + record_bytes(joining);
    skua_task *task = slot_alloc(sched, worker, sizeof *task + bytes);
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
    if (joining != NULL)
        make_member(task, body, generation, kind | born_now(sched, worker), joining);
    else
        skuai_task_word_begin(&task->word, generation, kind | born_now(sched, worker), with_handle);
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

void skuai_task_release(skua_task *task)
{
    if (SKUAI_UNLIKELY(skuai_load_32(skuai_task_scheduler(task)->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child */
        return;
    if (skuai_task_word_release(&task->word) == SKUAI_TASK_FREE)
        skuai_task_free(task);
}

__attribute__((noinline, cold)) void skuai_count_failed(const skua_task *task)
{
    if (SKUAI_READ(task->result) != -ECANCELED)
        skuai_add_64(&skuai_task_scheduler(task)->failed_unseen, 1, SKUAI_RELAXED); /* for reports */
}

/* By its joiner, whom its end would not find any more. It is no joiner any more if the task has ended: an arm that LOST
 * (join.c). */
static bool somebody_joins(const skua_task *task)
{
    return (skuai_load_64(&task->word, SKUAI_RELAXED) & (SKUAI_TASK_JOINER | SKUAI_TASK_ENDED)) == SKUAI_TASK_JOINER;
}

void skua_detach(skua_task *task)
{
    if (SKUAI_UNLIKELY(task == NULL)) {
        skuai_task_refuse(task, "skua_detach");
        return;
    }
    if (SKUAI_UNLIKELY(skuai_load_32(skuai_task_scheduler(task)->alive_here, SKUAI_RELAXED) == 0)) /* a fork's child */
        return;
    if (SKUAI_UNLIKELY(skuai_task_check_handle(task, "skua_detach") < 0))
        return;
    if (SKUAI_UNLIKELY(somebody_joins(task))) {
        skuai_misuse_of(skuai_task_scheduler(task), "skua_detach", "was given a task that somebody joins",
                        "let the join return first: it uses the handle up, or leaves it to you with an error");
        return;
    }
    if (skuai_task_word_release(&task->word) != SKUAI_TASK_FREE)
        return;
    if (SKUAI_READ(task->result) < 0)
        skuai_count_failed(task);
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

/* Names it if asked, has it admitted if it is to be a member, counts it and queues it. On error the task is freed. */
SKUAI_INLINE int launch(struct skuai_scheduler *sched, struct skuai_worker *worker, skua_task *task, skua_task **handle,
                        const skua_spawn_attr *attr, struct skuai_joining *joining)
{
    int rc = 0;
    if (attr != NULL && attr->name != NULL)
        rc = skuai_task_rename(task, attr->name);
    if (joining != NULL && rc == 0)
        rc = joining->admit(joining, task);
    if (rc < 0) {
        skuai_task_free(task);
        return rc;
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

SKUAI_INLINE skua_task *fiber_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, uint32_t kind,
                                    bool with_handle, size_t stack_size, skua_fiber_fn *fn, void *arg,
                                    struct skuai_joining *joining)
{
    skua_task *task = task_alloc(sched, worker, sizeof(struct skuai_fiber), skuai_fiber_run, kind, with_handle,
                                 joining);
    if (task == NULL)
        return NULL;
    struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->awaits = 0;
    fiber->timed_scopes = 0;
    fiber->started = false;
    fiber->stack_size = stack_size;
    return task;
}

SKUAI_INLINE int spawn_fiber(skua_task **handle, struct skuai_joining *joining, const skua_spawn_attr *attr,
                             skua_fiber_fn *fn, void *arg)
{
    struct skuai_scheduler *sched;
    struct skuai_worker *worker;
    bool wrong = fn == NULL || (attr != NULL && attr->stack_size > SKUAI_STACK_SIZE_MAX);
    int rc = wrong ? -EINVAL : enter(attr, &sched, &worker);
    if (rc < 0)
        return rc;
    size_t stack_size = attr != NULL && attr->stack_size != 0 ? attr->stack_size : sched->stack_size;
    skua_task *task = fiber_alloc(sched, worker, SKUAI_TASK_FIBER, handle != NULL, stack_size, fn, arg, joining);
    rc = task != NULL ? launch(sched, worker, task, handle, attr, joining) : -ENOMEM;
    leave(sched, worker);
    return rc;
}

skua_task *skuai_spawn_begin(struct skuai_worker *worker, skua_fiber_fn *fn)
{
    return fiber_alloc(worker->sched, worker, SKUAI_TASK_JOB, false, worker->sched->stack_size, fn, NULL, NULL);
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
    return spawn_fiber(handle, NULL, attr, fn, arg);
}

int skuai_spawn_member(struct skuai_joining *joining, const skua_spawn_attr *attr, skua_fiber_fn *fn, void *arg)
{
    return spawn_fiber(NULL, joining, attr, fn, arg);
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
SKUAI_INLINE skua_task *frame_alloc(struct skuai_scheduler *sched, struct skuai_worker *worker, bool with_handle,
                                    skua_poll_fn *poll, size_t size, skua_frame **root, struct skuai_joining *joining)
{
    bool large = size > SKUAI_SLAB_MAX_BYTES - sizeof(skua_task) - record_bytes(joining);
    skua_task *task = task_alloc(sched, worker, large ? sizeof(struct skuai_large_frame) : size,
                                 large ? skuai_frame_run_large : skuai_frame_run, SKUAI_TASK_FUTURE, with_handle,
                                 joining);
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

SKUAI_INLINE int spawn_frame(skua_task **handle, struct skuai_joining *joining, const skua_spawn_attr *attr,
                             skua_poll_fn *poll, size_t size, size_t in_offset, const void *in, size_t in_size)
{
    struct skuai_scheduler *sched;
    struct skuai_worker *worker;
    skua_frame *root;
    bool wrong = poll == NULL || size < sizeof(skua_frame) || in_offset < sizeof(skua_frame) || in_offset > size ||
                 in_size > size - in_offset;
    int rc = wrong ? -EINVAL : enter(attr, &sched, &worker);
    if (rc < 0)
        return rc;
    skua_task *task = frame_alloc(sched, worker, handle != NULL, poll, size, &root, joining);
    rc = -ENOMEM;
    if (task != NULL) {
#if defined(SKUAI_DEBUG)
        memset(root + 1, SKUAI_FRAME_UNPLACED, size - sizeof *root); /* frame.c */
#endif
        memcpy((char *)root + in_offset, in, in_size);
        rc = launch(sched, worker, task, handle, attr, joining);
    }
    leave(sched, worker);
    return rc;
}

int skua_spawn_frame(skua_task **handle, const skua_spawn_attr *attr, skua_poll_fn *poll, size_t size, size_t in_offset,
                     const void *in, size_t in_size)
{
    return spawn_frame(handle, NULL, attr, poll, size, in_offset, in, in_size);
}

int skuai_spawn_frame_member(struct skuai_joining *joining, const skua_spawn_attr *attr, skua_poll_fn *poll,
                             size_t size, size_t in_offset, const void *in, size_t in_size)
{
    return spawn_frame(NULL, joining, attr, poll, size, in_offset, in, in_size);
}

/* ---- the scheduler's tasks ----------------------------------------------------------------------------------- */

/* The tasks that have not ended. The ends are added up first: if the two sums are equal, then at the moment between
 * the two passes nothing lived. No model test runs this: model/world.h has its like. */
uint64_t skuai_scheduler_live(struct skuai_scheduler *sched)
{
    uint64_t ended = 0, spawned = 0;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        ended += skuai_load_64(&sched->workers[i]->counters.ended, SKUAI_ACQUIRE); /* pairs with the end's release */
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
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
