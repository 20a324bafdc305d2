/* A random tree of tasks with exact accounts: what the simulation runs under thousands of seeds and the stress tests on
 * many real workers.
 *
 * Each task draws from its own generator, seeded by its parent's: so what is done does not depend on the schedule, but
 * for whom cancellation reaches in time. Every task that was started is counted once when it begins and once when it
 * ends; every handle is joined, detached or given to a set; at the end the counts must agree.
 */
#ifndef TEST_RANDOM_TASKS_H
#define TEST_RANDOM_TASKS_H

#include <errno.h>

#include "support/with_runtime.h"

struct random_tasks {
    int64_t spawned, begun, ended; /* __atomic */
};

struct random_task {
    struct random_tasks *all;
    uint64_t random;
    int depth;
};

static inline int random_fiber(void *arg);

static inline uint32_t draw(struct random_task *self, uint32_t below)
{
    return (uint32_t)(test_rand(&self->random) % below);
}

static inline void random_begin(struct random_tasks *all) { __atomic_fetch_add(&all->begun, 1, __ATOMIC_RELAXED); }
static inline void random_end(struct random_tasks *all) { __atomic_fetch_add(&all->ended, 1, __ATOMIC_RELEASE); }

/* A future with a race inside, and a child frame. */
struct random_leaf {
    SKUA_FRAME;
    struct {
        struct random_tasks *all;
        uint64_t pause_ns;
        int yields;
    } in;
    skua_sleep_op sleep;
    int i;
};
SKUA_ASYNC_BODY(random_leaf, static inline)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.yields; self->i++)
        SKUA_YIELD();
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.pause_ns));
    SKUA_END(self->sleep.result);
}

struct random_future {
    SKUA_FRAME;
    struct {
        struct random_tasks *all;
        uint64_t pause_ns;
        int kind;
    } in;
    struct random_leaf leaves[3];
    skua_child kids[3];
    skua_set set;
};
SKUA_ASYNC_BODY(random_future, static inline)
{
    SKUA_BEGIN(self);
    random_begin(self->in.all);
    for (int i = 0; i < 3; i++)
        skua_child_future(&self->kids[i],
                          SKUA_FUTURE(&self->leaves[i], random_leaf, .all = self->in.all,
                                      .pause_ns = self->in.pause_ns * (unsigned)(i + 1), .yields = 3 - i));
    if (self->in.kind == 0) {
        SKUA_AWAIT(skua_race_start(&self->set, self->kids, 3));
    } else if (self->in.kind == 1) {
        SKUA_AWAIT(skua_join_all_start(&self->set, self->kids, 3));
    } else {
        SKUA_AWAIT(SKUA_FUTURE(&self->leaves[0], random_leaf, .all = self->in.all, .pause_ns = self->in.pause_ns));
    }
    random_end(self->in.all);
    SKUA_END(0);
}

static inline int random_spawn(struct random_task *self, skua_task **task)
{
    int rc;
    __atomic_fetch_add(&self->all->spawned, 1, __ATOMIC_RELAXED); /* first: the child may end before the call returns */
    if (self->depth > 0 && draw(self, 3) != 0) {
        struct random_task *child = malloc(sizeof *child);
        CHECK(child != NULL);
        *child = (struct random_task){ self->all, test_rand(&self->random), self->depth - 1 };
        rc = task != NULL ? skua_spawn(task, random_fiber, child) : skua_go(random_fiber, child);
    } else {
        rc = SKUA_SPAWN_WITH(task, NULL, random_future, .all = self->all, .pause_ns = draw(self, 20000),
                             .kind = (int)draw(self, 3));
    }
    __atomic_fetch_sub(&self->all->spawned, rc != 0, __ATOMIC_RELAXED);
    return rc;
}

/* Joins whatever comes: cancelled joins cancel the task and join it shielded. */
static inline void random_join(skua_task *task)
{
    if (skua_join(task, NULL) == 0)
        return;
    skua_cancel(task);
    SKUA_SHIELD();
    CHECK_OK(skua_join(task, NULL));
}

static inline void random_set(struct random_task *self)
{
    skua_child kids[4];
    uint32_t count = 1 + draw(self, 4);
    for (uint32_t i = 0; i < count; i++) {
        skua_task *task;
        CHECK_OK(random_spawn(self, &task));
        skua_child_task(&kids[i], task);
    }
    switch (draw(self, 4)) {
    case 0:
        CHECK(skua_race(kids, count) >= 0);
        break;
    case 1:
        skua_any(kids, count);
        break;
    case 2:
        skua_join_all(kids, count);
        break;
    default:
        CHECK(skua_all_settled(kids, count) <= (int64_t)count);
        break;
    }
}

static inline void random_step(struct random_task *self)
{
    skua_task *task;
    switch (draw(self, 8)) {
    case 0:
        skua_yield();
        break;
    case 1:
        skua_sleep(draw(self, 30000));
        break;
    case 2:
        CHECK_OK(random_spawn(self, NULL));
        break;
    case 3:
        CHECK_OK(random_spawn(self, &task));
        skua_yield();
        skua_detach(task);
        break;
    case 4:
        CHECK_OK(random_spawn(self, &task));
        skua_cancel(task);
        random_join(task);
        break;
    case 5:
        random_set(self);
        break;
    default:
        CHECK_OK(random_spawn(self, &task));
        for (uint32_t i = draw(self, 3); i > 0; i--)
            skua_yield();
        random_join(task);
        break;
    }
}

static inline int random_fiber(void *arg)
{
    struct random_task self = *(struct random_task *)arg;
    free(arg);
    random_begin(self.all);
    for (uint32_t steps = 1 + draw(&self, 4); steps > 0; steps--)
        random_step(&self);
    random_end(self.all);
    return 0;
}

/* The root: waits until all that was spawned, detached tasks included, has ended. */
static inline int random_root(void *arg)
{
    struct random_task *root = arg;
    for (int i = 0; i < 6 * root->depth; i++)
        random_step(root);
    SKUA_SHIELD(); /* or a root that is cancelled would look without ever waiting */
    while (__atomic_load_n(&root->all->ended, __ATOMIC_ACQUIRE) !=
           __atomic_load_n(&root->all->spawned, __ATOMIC_ACQUIRE))
        skua_sleep(10000);
    return 0;
}

static inline void check_random_tasks(const struct random_tasks *all)
{
    CHECK_EQ(all->begun, all->spawned);
    CHECK_EQ(all->ended, all->spawned);
}

#endif
