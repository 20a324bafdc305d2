/* The same function by several at once: fibers, and plain threads next to them.
 *
 *     static void member(void *arg, unsigned who);
 *     crowd_of_fibers(8, member, &shared);            // in a fiber, so also in a simulation
 *     crowd_of_all(2, 8, 3, member, &shared);         // in a plain thread: 2 workers, 8 fibers, 3 plain threads
 */
#ifndef TEST_CROWD_H
#define TEST_CROWD_H

#include <pthread.h>

#include "support/with_runtime.h"

enum { CROWD_MAX = 64 };

typedef void crowd_member(void *arg, unsigned who);

struct crowd_place {
    crowd_member *member;
    void *arg;
    unsigned who, fibers;
};

static inline int crowd_fiber(void *arg)
{
    struct crowd_place *place = arg;
    place->member(place->arg, place->who);
    return 0;
}

static inline void *crowd_thread(void *arg)
{
    (void)crowd_fiber(arg);
    return NULL;
}

/* Numbered from `first` on. */
static inline void crowd_spawn(skua_task **tasks, struct crowd_place *places, unsigned count, crowd_member *member,
                               void *arg)
{
    for (unsigned i = 0; i < count; i++) {
        places[i] = (struct crowd_place){ member, arg, i, 0 };
        CHECK_OK(skua_spawn(&tasks[i], crowd_fiber, &places[i]));
    }
}

static inline void crowd_join(skua_task **tasks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
}

static inline void crowd_of_fibers(unsigned count, crowd_member *member, void *arg)
{
    skua_task *tasks[CROWD_MAX];
    struct crowd_place places[CROWD_MAX];
    crowd_spawn(tasks, places, count, member, arg);
    crowd_join(tasks, count);
}

/* Waits until so many ops wait in a primitive. */
static inline void crowd_until(skua_word32 *lock, const skua_waiters *waiters, unsigned count)
{
    for (unsigned waiting = count + 1; waiting != count; skua_yield()) {
        waiting = 0;
        while (__atomic_exchange_n(&lock->raw, 1, __ATOMIC_ACQUIRE) != 0)
            skua_yield();
        for (const skua_op *op = waiters->first; op != NULL; op = op->next)
            waiting++;
        __atomic_store_n(&lock->raw, 0, __ATOMIC_RELEASE);
    }
}

static inline int crowd_body(void *arg)
{
    struct crowd_place *place = arg;
    crowd_of_fibers(place->fibers, place->member, place->arg);
    return 0;
}

static inline void crowd_of_all(uint32_t workers, unsigned fibers, unsigned threads, crowd_member *member, void *arg)
{
    pthread_t ids[CROWD_MAX];
    struct crowd_place places[CROWD_MAX], body = { member, arg, 0, fibers };
    for (unsigned i = 0; i < threads; i++) {
        places[i] = (struct crowd_place){ member, arg, fibers + i, 0 };
        CHECK_EQ(pthread_create(&ids[i], NULL, crowd_thread, &places[i]), 0);
    }
    CHECK_EQ(run_on(workers, crowd_body, &body), 0);
    for (unsigned i = 0; i < threads; i++)
        CHECK_EQ(pthread_join(ids[i], NULL), 0);
}

#endif
