/* Locks and permits: mutex_100, mutex_uncontended, rwlock_read, semaphore; by futures and, as "/fiber", by fibers. */
#include <stdlib.h>

#include "bench/cases/work.h"
#include "skua/mutex.h"
#include "skua/rwlock.h"
#include "skua/semaphore.h"

/* What all tasks of a benchmark share. */
struct shared {
    skua_mutex mutex;
    skua_rwlock rwlock;
    skua_semaphore semaphore;
    int64_t number;     /* guarded by the mutex, or atomic */
    int64_t one;        /* for readers */
    int64_t turns;      /* of each task */
    struct count *left; /* tasks */
};

static struct shared *share(int tasks, int turns)
{
    struct shared *shared = work_memory(sizeof *shared);
    *shared = (struct shared){ .mutex = SKUA_MUTEX_INIT,
                               .rwlock = SKUA_RWLOCK_INIT,
                               .semaphore = SKUA_SEMAPHORE_INIT(PERMITS),
                               .one = 1,
                               .turns = turns,
                               .left = work_count(tasks) };
    return shared;
}

/* Tasks have ended that have taken all their turns, and `number` says so. Returns how many turns that were. */
static int64_t end_shared(struct shared *shared, int64_t turns)
{
    wait_for_zero(shared->left);
    work_check("number", shared->number, turns);
    work_check("permits", (int64_t)skua_semaphore_available(&shared->semaphore), PERMITS);
    skua_mutex_fini(&shared->mutex);
    skua_rwlock_fini(&shared->rwlock);
    free(shared);
    return turns;
}

static int64_t run_fibers(skua_fiber_fn *fn, int tasks, int turns)
{
    struct shared *shared = share(tasks, turns);
    for (int i = 0; i < tasks; i++)
        work_must(skua_go(fn, shared));
    return end_shared(shared, (int64_t)tasks * turns);
}

/* The same with a future of that name. */
#define RUN_FUTURES(name, tasks, turns)                                   \
    do {                                                                  \
        struct shared *shared = share((tasks), (turns));                  \
        for (int i = 0; i < (tasks); i++)                                 \
            work_must(SKUA_GO(name, .shared = shared));                   \
        return end_shared(shared, (int64_t)(tasks) * (turns));            \
    } while (0)

/* ---- mutex ------------------------------------------------------------------------------------------------------- */

static int locker(void *arg)
{
    struct shared *shared = arg;
    int64_t turns = shared->turns;
    for (int64_t i = 0; i < turns; i++) {
        work_must(skua_mutex_lock(&shared->mutex));
        shared->number++;
        skua_mutex_unlock(&shared->mutex);
    }
    count_down(shared->left);
    return 0;
}

struct locking {
    SKUA_FRAME;
    struct {
        struct shared *shared;
    } in;
    int64_t i;
    skua_op op;
};
SKUA_ASYNC(locking)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.shared->turns; self->i++) {
        SKUA_AWAIT(skua_mutex_lock_start(&self->op, &self->in.shared->mutex));
        work_must((int)self->op.result);
        self->in.shared->number++;
        skua_mutex_unlock(&self->in.shared->mutex);
    }
    count_down(self->in.shared->left);
    SKUA_END(0);
}

static int64_t mutex_100(void) { RUN_FUTURES(locking, LOCKERS, LOCKS); }
static int64_t mutex_100_fiber(void) { return run_fibers(locker, LOCKERS, LOCKS); }
static int64_t mutex_uncontended(void) { RUN_FUTURES(locking, 1, UNCONTENDED); }
static int64_t mutex_uncontended_fiber(void) { return run_fibers(locker, 1, UNCONTENDED); }

/* ---- read-write lock --------------------------------------------------------------------------------------------- */

static void end_reading(struct shared *shared, int64_t sum)
{
    __atomic_add_fetch(&shared->number, sum, __ATOMIC_RELAXED); /* readers do not look at it */
    count_down(shared->left);
}

static int reader(void *arg)
{
    struct shared *shared = arg;
    int64_t turns = shared->turns, sum = 0;
    for (int64_t i = 0; i < turns; i++) {
        work_must(skua_rwlock_read_lock(&shared->rwlock));
        sum += shared->one;
        skua_rwlock_read_unlock(&shared->rwlock);
    }
    end_reading(shared, sum);
    return 0;
}

struct reading {
    SKUA_FRAME;
    struct {
        struct shared *shared;
    } in;
    int64_t i, sum;
    skua_op op;
};
SKUA_ASYNC(reading)
{
    SKUA_BEGIN(self);
    self->sum = 0;
    for (self->i = 0; self->i < self->in.shared->turns; self->i++) {
        SKUA_AWAIT(skua_rwlock_read_lock_start(&self->op, &self->in.shared->rwlock));
        work_must((int)self->op.result);
        self->sum += self->in.shared->one;
        skua_rwlock_read_unlock(&self->in.shared->rwlock);
    }
    end_reading(self->in.shared, self->sum);
    SKUA_END(0);
}

static int64_t rwlock_read(void) { RUN_FUTURES(reading, LOCKERS, LOCKS); }
static int64_t rwlock_read_fiber(void) { return run_fibers(reader, LOCKERS, LOCKS); }

/* ---- semaphore --------------------------------------------------------------------------------------------------- */

static void end_taking(struct shared *shared)
{
    __atomic_add_fetch(&shared->number, shared->turns, __ATOMIC_RELAXED);
    count_down(shared->left);
}

static int taker(void *arg)
{
    struct shared *shared = arg;
    int64_t turns = shared->turns;
    for (int64_t i = 0; i < turns; i++) {
        work_must(skua_semaphore_acquire(&shared->semaphore, 1));
        work_must(skua_yield());
        skua_semaphore_release(&shared->semaphore, 1);
    }
    end_taking(shared);
    return 0;
}

struct taking {
    SKUA_FRAME;
    struct {
        struct shared *shared;
    } in;
    int64_t i;
    skua_semaphore_op op;
};
SKUA_ASYNC(taking)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < self->in.shared->turns; self->i++) {
        SKUA_AWAIT(skua_semaphore_acquire_start(&self->op, &self->in.shared->semaphore, 1));
        work_must((int)self->op.result);
        SKUA_YIELD();
        skua_semaphore_release(&self->in.shared->semaphore, 1);
    }
    end_taking(self->in.shared);
    SKUA_END(0);
}

static int64_t semaphore(void) { RUN_FUTURES(taking, LOCKERS, ACQUIRES); }
static int64_t semaphore_fiber(void) { return run_fibers(taker, LOCKERS, ACQUIRES); }

const struct work work_of_lock[] = {
    { "mutex_100", mutex_100 },
    { "mutex_100/fiber", mutex_100_fiber },
    { "mutex_uncontended", mutex_uncontended },
    { "mutex_uncontended/fiber", mutex_uncontended_fiber },
    { "rwlock_read", rwlock_read },
    { "rwlock_read/fiber", rwlock_read_fiber },
    { "semaphore", semaphore },
    { "semaphore/fiber", semaphore_fiber },
    { NULL, NULL },
};
