/* The tasks of the soak (tests/stress/stress_soak.c): random trees of fibers and futures that spawn, join, detach,
 * cancel, race, shield, sleep, park for a foreign thread and wake each other out of turn, in a world that keeps their
 * accounts.
 *
 * A task's result is its seed's, whatever happens to it, and whoever joins it checks that. It is counted when it is
 * spawned, when it begins and when it ends. One that is cancelled goes on; what it waits for ends early, and what it
 * joins it cancels.
 */
#ifndef TEST_SOAK_TASKS_H
#define TEST_SOAK_TASKS_H

#include <errno.h>
#include <pthread.h>

#include "support/with_runtime.h"

enum { WAKERS = 16, ROOM_BYTES = 5000 };

struct bell {
    struct bell *next, **link; /* guarded by the world's lock; link is NULL while it hangs nowhere */
    skua_waker waker;
    int32_t rung; /* __atomic */
};

struct world {
    skua_runtime *rt;
    struct world *elder; /* NULL: this is one, or a task's */
    struct counted_memory memory;
    /* __atomic */
    int64_t spawned, begun, ended, locals_set, locals_destroyed;
    int32_t is_closing, ringer_may_go;
    pthread_mutex_t lock; /* guards what follows; never held while anything waits */
    struct bell *bells;
    skua_waker wakers[WAKERS]; /* of tasks that may have ended long since */
    uint32_t nwakers;
};

struct actor {
    struct world *world;
    uint64_t seed, random;
    int depth;
};

static inline void count(int64_t *counter, int64_t n) { __atomic_fetch_add(counter, n, __ATOMIC_RELAXED); }

static inline uint32_t draw(uint64_t *random, uint32_t below) { return (uint32_t)(test_rand(random) % below); }

static inline int result_of(uint64_t seed) { return (int)(seed >> 40); }

/* ---- bells: a task waits for a foreign thread ----------------------------------------------------------------- */

static inline void hang_bell(struct world *world, struct bell *bell)
{
    *bell = (struct bell){ .waker = skua_waker_self() };
    pthread_mutex_lock(&world->lock);
    bell->next = world->bells;
    bell->link = &world->bells;
    if (bell->next != NULL)
        bell->next->link = &bell->next;
    world->bells = bell;
    world->wakers[world->nwakers++ % WAKERS] = bell->waker;
    pthread_mutex_unlock(&world->lock);
}

static inline void take_bell_locked(struct bell *bell)
{
    if (bell->link == NULL)
        return;
    *bell->link = bell->next;
    if (bell->next != NULL)
        bell->next->link = bell->link;
    bell->link = NULL;
}

static inline void take_bell(struct world *world, struct bell *bell)
{
    pthread_mutex_lock(&world->lock);
    take_bell_locked(bell);
    pthread_mutex_unlock(&world->lock);
}

static inline bool is_rung(const struct bell *bell) { return __atomic_load_n(&bell->rung, __ATOMIC_ACQUIRE) != 0; }

/* Rings a bell, if one hangs, and wakes somebody who may not expect it or is no more. Returns how many that
 * were. */
static inline int ring(struct world *world, uint64_t *random)
{
    skua_waker waker = { NULL, 0 }, stray = { NULL, 0 };
    pthread_mutex_lock(&world->lock);
    struct bell *bell = world->bells;
    if (bell != NULL) {
        waker = bell->waker;
        take_bell_locked(bell);
        __atomic_store_n(&bell->rung, 1, __ATOMIC_RELEASE); /* the last touch: its task may end now */
    }
    if (world->nwakers != 0)
        stray = world->wakers[draw(random, world->nwakers < WAKERS ? world->nwakers : WAKERS)];
    pthread_mutex_unlock(&world->lock);
    if (waker.task != NULL)
        skua_wake(waker);
    if (stray.task != NULL)
        skua_wake(stray);
    return (waker.task != NULL) + (stray.task != NULL);
}

/* ---- futures -------------------------------------------------------------------------------------------------- */

static inline void begin(struct world *world) { count(&world->begun, 1); }

static inline int64_t end(struct world *world, uint64_t seed)
{
    __atomic_fetch_add(&world->ended, 1, __ATOMIC_RELEASE);
    return result_of(seed);
}

struct nap {
    SKUA_FRAME;
    struct {
        struct world *world; /* NULL: not a task of its own */
        uint64_t seed;
    } in;
    skua_sleep_op sleep;
    uint32_t i;
};
SKUA_ASYNC_BODY(nap, static inline)
{
    SKUA_BEGIN(self);
    if (self->in.world != NULL)
        begin(self->in.world);
    for (self->i = 0; self->i < self->in.seed % 4; self->i++)
        SKUA_YIELD();
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.seed % 50000));
    CHECK(self->sleep.result == 0 || self->sleep.result == -ECANCELED);
    SKUA_END(self->in.world != NULL ? end(self->in.world, self->in.seed) : self->sleep.result);
}

/* Too large for a slot. */
struct roomy_nap {
    SKUA_FRAME;
    struct {
        struct world *world;
        uint64_t seed;
    } in;
    struct nap nap;
    unsigned char room[ROOM_BYTES];
};
SKUA_ASYNC_BODY(roomy_nap, static inline)
{
    SKUA_BEGIN(self);
    begin(self->in.world);
    self->room[self->in.seed % ROOM_BYTES] = (unsigned char)self->in.seed;
    SKUA_AWAIT(SKUA_FUTURE(&self->nap, nap, .world = NULL, .seed = self->in.seed));
    CHECK_EQ(self->room[self->in.seed % ROOM_BYTES], (unsigned char)self->in.seed);
    SKUA_END(end(self->in.world, self->in.seed));
}

/* A set of futures, and one of two sets. */
struct family {
    SKUA_FRAME;
    struct {
        struct world *world;
        uint64_t seed;
    } in;
    struct nap naps[4];
    skua_child kids[4], pair[2];
    skua_set sets[3];
};
SKUA_ASYNC_BODY(family, static inline)
{
    SKUA_BEGIN(self);
    begin(self->in.world);
    for (unsigned i = 0; i < 4; i++)
        skua_child_future(&self->kids[i], SKUA_FUTURE(&self->naps[i], nap, .world = NULL,
                                                      .seed = self->in.seed >> (8 * i)));
    if (self->in.seed % 3 == 0) {
        skua_child_frame(&self->pair[0], skua_race_start(&self->sets[0], &self->kids[0], 2));
        skua_child_frame(&self->pair[1], skua_all_settled_start(&self->sets[1], &self->kids[2], 2));
        SKUA_AWAIT(skua_join_all_start(&self->sets[2], self->pair, 2));
        CHECK(self->pair[0].ended && self->pair[1].ended);
    } else if (self->in.seed % 3 == 1) {
        SKUA_AWAIT(skua_any_start(&self->sets[0], self->kids, 4));
    } else {
        SKUA_AWAIT(skua_race_start(&self->sets[0], self->kids, 4));
        CHECK(SKUA_RESULT(&self->sets[0]) >= 0);
    }
    CHECK(self->kids[0].ended && self->kids[1].ended && self->kids[2].ended && self->kids[3].ended);
    SKUA_END(end(self->in.world, self->in.seed));
}

struct listener {
    SKUA_FRAME;
    struct {
        struct world *world;
        uint64_t seed;
    } in;
    struct bell bell;
};
SKUA_ASYNC_BODY(listener, static inline)
{
    SKUA_BEGIN(self);
    begin(self->in.world);
    hang_bell(self->in.world, &self->bell);
    while (!is_rung(&self->bell) && skua_interrupted() == 0)
        SKUA_PARK();
    take_bell(self->in.world, &self->bell);
    SKUA_END(end(self->in.world, self->in.seed));
}

/* Starts a task and joins it, in a shield if it has to. */
struct parent {
    SKUA_FRAME;
    struct {
        struct world *world;
        uint64_t seed;
    } in;
    skua_task *task;
    skua_join_op join;
    skua_scope shield;
};
static inline bool spawned_in(struct world *world, int rc);
SKUA_ASYNC_BODY(parent, static inline)
{
    SKUA_BEGIN(self);
    begin(self->in.world);
    count(&self->in.world->spawned, 1);
    if (spawned_in(self->in.world, SKUA_SPAWN(&self->task, nap, .world = self->in.world, .seed = self->in.seed))) {
        SKUA_AWAIT(skua_join_start(&self->join, self->task));
        if (self->join.result == -ECANCELED) {
            skua_cancel(self->task);
            skua_shield_enter(&self->shield);
            SKUA_AWAIT(skua_join_start(&self->join, self->task));
            skua_scope_leave(&self->shield);
        }
        CHECK_EQ(self->join.result, 0);
        CHECK_EQ(self->join.value, result_of(self->in.seed));
    }
    SKUA_END(end(self->in.world, self->in.seed));
}

/* ---- spawning and joining ------------------------------------------------------------------------------------- */

static inline int actor_main(void *arg);

/* Whether a spawn that was counted before has started a task; a world that is ending may refuse. */
static inline bool spawned_in(struct world *world, int rc)
{
    if (rc == 0)
        return true;
    CHECK_EQ(rc, -ESHUTDOWN);
    CHECK(__atomic_load_n(&world->is_closing, __ATOMIC_ACQUIRE) != 0);
    count(&world->spawned, -1);
    return false;
}

static inline int spawn_actor(struct world *world, skua_task **task, const skua_spawn_attr *attr, uint64_t seed,
                              int depth)
{
    struct actor *actor = malloc(sizeof *actor);
    CHECK(actor != NULL);
    *actor = (struct actor){ world, seed, seed, depth };
    int rc = skua_spawn_with(task, attr, actor_main, actor);
    if (rc != 0)
        free(actor);
    return rc;
}

/* A task of any kind. False: refused. */
static inline bool spawn(struct world *world, skua_task **task, uint64_t seed, int depth)
{
    uint64_t random = seed;
    skua_spawn_attr attr = { .runtime = world->rt, .name = draw(&random, 4) == 0 ? "soaked" : NULL };
    int rc;
    count(&world->spawned, 1); /* first: the child may have ended before the call returns */
    switch (depth > 0 ? draw(&random, 12) : 6 + draw(&random, 6)) {
    case 7:
        rc = SKUA_SPAWN_WITH(task, &attr, nap, .world = world, .seed = seed);
        break;
    case 8:
        rc = SKUA_SPAWN_WITH(task, &attr, roomy_nap, .world = world, .seed = seed);
        break;
    case 9:
        rc = SKUA_SPAWN_WITH(task, &attr, family, .world = world, .seed = seed);
        break;
    case 10:
        rc = SKUA_SPAWN_WITH(task, &attr, listener, .world = world, .seed = seed);
        break;
    case 11:
        rc = SKUA_SPAWN_WITH(task, &attr, parent, .world = world, .seed = seed);
        break;
    default:
        attr.stack_size = draw(&random, 8) == 0 ? (size_t)1 << 18 : 0;
        rc = spawn_actor(world, task, &attr, seed, depth > 0 ? depth - 1 : 0);
        break;
    }
    return spawned_in(world, rc);
}

/* A cancelled joiner takes what it joins with it. */
static inline void join(skua_task *task, uint64_t seed)
{
    int64_t result = -1;
    int rc = skua_join(task, &result);
    if (rc == -ECANCELED) {
        skua_cancel(task);
        SKUA_SHIELD();
        rc = skua_join(task, &result);
    }
    CHECK_EQ(rc, 0);
    CHECK_EQ(result, result_of(seed));
}

/* ---- what a fiber does ---------------------------------------------------------------------------------------- */

static inline void try_to_join(skua_task *task, uint64_t seed)
{
    int64_t result;
    for (int i = 0; i < 20; i++) {
        int rc = skua_try_join(task, &result);
        if (rc == 0) {
            CHECK_EQ(result, result_of(seed));
            return;
        }
        CHECK_EQ(rc, -EAGAIN);
        skua_yield();
    }
    join(task, seed);
}

static inline void wait_as_set(struct actor *self)
{
    skua_child kids[6];
    uint64_t seeds[6];
    struct nap naps[2];
    uint32_t ntasks = 0, nnaps = draw(&self->random, 3);
    for (uint32_t wanted = 1 + draw(&self->random, 4); ntasks < wanted; ntasks++) {
        skua_task *task;
        seeds[ntasks] = test_rand(&self->random);
        if (!spawn(self->world, &task, seeds[ntasks], self->depth - 1))
            break;
        skua_child_task(&kids[ntasks], task);
    }
    for (uint32_t i = 0; i < nnaps; i++)
        skua_child_future(&kids[ntasks + i], SKUA_FUTURE(&naps[i], nap, .world = NULL,
                                                         .seed = test_rand(&self->random)));
    uint32_t n = ntasks + nnaps;
    switch (draw(&self->random, 4)) {
    case 0:
        CHECK(skua_race(kids, n) >= (n == 0 ? -EINVAL : 0));
        break;
    case 1:
        skua_any(kids, n);
        break;
    case 2:
        skua_join_all(kids, n);
        break;
    default:
        CHECK(skua_all_settled(kids, n) <= (int64_t)n);
        break;
    }
    for (uint32_t i = 0; i < ntasks; i++) {
        CHECK(kids[i].ended);
        CHECK_EQ(kids[i].result, result_of(seeds[i]));
    }
}

static inline void wait_for_bell(struct world *world)
{
    struct bell bell;
    hang_bell(world, &bell);
    while (!is_rung(&bell) && skua_park() == 0)
        ;
    take_bell(world, &bell);
}

static inline void destroy_local(void *value) { count(&((struct world *)value)->locals_destroyed, 1); }

static inline void decorate(struct world *world)
{
    static skua_local keys[] = { SKUA_LOCAL_INIT(destroy_local), SKUA_LOCAL_INIT(destroy_local) };
    CHECK_OK(skua_self_set_name("decorated"));
    for (int i = 0; i < 2; i++)
        if (skua_local_get(&keys[i]) == NULL) {
            CHECK_OK(skua_local_set(&keys[i], world));
            count(&world->locals_set, 1);
        }
    skua_yield();
    CHECK(skua_local_get(&keys[0]) == world);
}

/* A task of the elder world's, joined from this one. */
static inline void ask_elder(struct actor *self)
{
    struct world *elder = self->world->elder;
    uint64_t seed = test_rand(&self->random);
    skua_task *task;
    if (elder == NULL)
        return;
    CHECK(spawn(elder, &task, seed, 1));
    if (draw(&self->random, 4) == 0)
        skua_cancel(task);
    join(task, seed);
}

static inline int elder_errand(void *arg)
{
    struct actor *actor = arg;
    begin(actor->world);
    skua_sleep(draw(&actor->random, 20000));
    return (int)end(actor->world, actor->seed);
}

static inline void block_on_elder(struct actor *self)
{
    struct actor errand = { self->world->elder, test_rand(&self->random), 0, 0 };
    if (errand.world == NULL)
        return;
    count(&errand.world->spawned, 1);
    CHECK_EQ(skua_block_on(errand.world->rt, elder_errand, &errand), result_of(errand.seed));
}

/* soak_jobs.h's: runs a tree of jobs. */
static inline void run_jobs(struct actor *self);

/* The program's: makes a world with an elder one, or none, and sees it through. */
static void live_world(struct world *elder, uint64_t seed, int depth);

static inline void step(struct actor *self)
{
    struct world *world = self->world;
    uint64_t seed = test_rand(&self->random);
    int depth = self->depth - 1;
    skua_task *task;
    switch (draw(&self->random, 18)) {
    case 0:
        skua_yield();
        return;
    case 1:
        skua_sleep(draw(&self->random, 50000));
        return;
    case 2:
        spawn(world, NULL, seed, depth);
        return;
    case 3:
        wait_as_set(self);
        return;
    case 4:
        wait_for_bell(world);
        return;
    case 5:
        decorate(world);
        return;
    case 6:
        ask_elder(self);
        return;
    case 7:
        block_on_elder(self);
        return;
    case 8:
        if (world->elder != NULL && draw(&self->random, 24) == 0)
            live_world(NULL, seed, 1); /* its worker waits for a whole world */
        return;
    case 9:
    case 10:
        run_jobs(self);
        return;
    default:
        break;
    }
    if (!spawn(world, &task, seed, depth))
        return;
    switch (draw(&self->random, 6)) {
    case 0:
        skua_cancel(task);
        join(task, seed);
        break;
    case 1: {
        skua_waker waker = skua_task_waker(task);
        skua_yield();
        skua_detach(task);
        skua_waker_cancel(waker); /* it may have ended */
        break;
    }
    case 2: {
        SKUA_SHIELD();
        CHECK_OK(skua_join(task, NULL));
        break;
    }
    case 3:
        try_to_join(task, seed);
        break;
    default:
        for (uint32_t i = draw(&self->random, 3); i > 0; i--)
            skua_yield();
        join(task, seed);
        break;
    }
}

static inline int actor_main(void *arg)
{
    struct actor self = *(struct actor *)arg;
    free(arg);
    begin(self.world);
    if (draw(&self.random, 8) == 0) {
        pthread_mutex_lock(&self.world->lock);
        self.world->wakers[self.world->nwakers++ % WAKERS] = skua_waker_self();
        pthread_mutex_unlock(&self.world->lock);
    }
    for (uint32_t steps = self.depth > 0 ? 2 + draw(&self.random, 6) : 1; steps > 0; steps--)
        if (self.depth > 0)
            step(&self);
        else
            skua_yield();
    return (int)end(self.world, self.seed);
}

#endif
