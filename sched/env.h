/* The environment: the one source of everything that can differ from run to run.
 *
 * The time, random seeds, parking and its time-outs, the start of threads, and where one thread of the runtime gives
 * way to another: all go through here. There are two answers. The real one asks the machine; `sim` is NULL and the
 * question costs one predicted branch. The simulated one (sim.h) asks a seed, under virtual time, with every thread of
 * the runtime a virtual thread on one OS thread. Nothing else in Skua asks the machine for such a thing.
 */
#ifndef SKUAI_ENV_H
#define SKUAI_ENV_H

#include <signal.h>

#include "sched/atomic.h"
#include "skua/base.h"

struct skuai_sim;

struct skuai_env {
    struct skuai_sim *sim; /* NULL: the real environment */
    bool is_seeded;        /* a simulation in which seeds decide what clocks do otherwise */
};

/* Where a simulated thread may give way. The order is part of every simulation's trace. */
enum skuai_point {
    SKUAI_POINT_RUN,    /* before a worker runs a task */
    SKUAI_POINT_PUSH,   /* a task became visible to others */
    SKUAI_POINT_TAKE,   /* before a worker looks for a task */
    SKUAI_POINT_STEAL,  /* before a look at a victim */
    SKUAI_POINT_WAKE,   /* before a task is notified */
    SKUAI_POINT_SETTLE, /* between entering the sleepers' set and the second look */
    SKUAI_POINT_CLAIM,  /* between an op's claim and its being done */
    SKUAI_POINT_SHARE,  /* at a fork or join that looks around */
    SKUAI_POINT_SPIN,   /* in a wait for another thread */
    SKUAI_POINT_CHUNK,  /* between two stretches of computing, of a parallel algorithm */
    SKUAI_POINTS
};

/* A place for one thread to sleep. Type-stable while its runtime lives. Zero is valid. */
struct skuai_parker {
    skua_word32 token;            /* parker_futex.c */
    uint32_t sim_index;           /* the virtual thread */
    /* For who sleeps in a poller: set before its word first says so. `which`: the one that it says. */
    void (*kick)(void *kicked, uint32_t which);
    void *kicked;
};

struct skuai_context;
struct skuai_worker;

struct skuai_thread {
    uintptr_t handle;            /* the OS's, or the virtual thread's number */
    struct skuai_env *env;
    void (*entry)(void *arg);
    void *arg;
    char name[16];               /* as `top -H` shows it */
    skua_word32 clock;           /* the thread's own while it runs: its processor time's clockid_t; else 0 */
    skua_word32 number;          /* likewise: the kernel's number of it */
    skua_word64 self;            /* likewise: `handle`, for who does not start it */
    sigset_t signals;            /* blocked in who started it */
    struct skuai_worker *worker; /* what skuai_worker_self() is in it */
    struct skuai_context *base;  /* its own flow of control */
    struct skuai_context **flow; /* the flow that it is in at the moment, kept by whoever switches */
};

/* The real answers. */
uint64_t skuai_clock_now(void);
uint64_t skuai_entropy(void);
bool skuai_park_real(struct skuai_parker *parker, uint64_t deadline_ns);
bool skuai_unpark_real(struct skuai_parker *parker);
void skuai_word_wait_real(skua_word32 *word, uint32_t value, uint64_t deadline_ns);
void skuai_word_wake_real(skua_word32 *word);
int skuai_thread_start_real(struct skuai_thread *thread);
void skuai_thread_join_real(struct skuai_thread *thread);
/* Around system calls of Skua's own on threads of others: pthread_cancel() waits. */
int skuai_cancel_hold_off(void);
void skuai_cancel_allow(int before);
/* For a thread that is no longer Skua's: unblocks what its starter had open. */
void skuai_thread_restore_signals(const struct skuai_thread *thread);
/* Processor time that a real thread has had; UNKNOWN if it has exited and was not joined. 0: it has not run yet. */
#define SKUAI_CPU_UNKNOWN UINT64_MAX
uint64_t skuai_thread_cpu_ns(const struct skuai_thread *thread);
/* Likewise for who does not know whether it has been joined: 0 if it does not run, or is none of the OS's. */
uint64_t skuai_thread_clock_ns(const struct skuai_thread *thread);

/* The simulated ones. */
uint64_t skuai_sim_now(struct skuai_sim *sim);
uint64_t skuai_sim_entropy(struct skuai_sim *sim);
bool skuai_sim_park(struct skuai_sim *sim, struct skuai_parker *parker, uint64_t deadline_ns);
bool skuai_sim_unpark(struct skuai_sim *sim, struct skuai_parker *parker);
void skuai_sim_point(struct skuai_sim *sim, enum skuai_point point);
void skuai_sim_run_point(struct skuai_sim *sim, skua_word64 *task_word);
int skuai_sim_thread_start(struct skuai_sim *sim, struct skuai_thread *thread, struct skuai_parker *parker);
void skuai_sim_thread_join(struct skuai_sim *sim, struct skuai_thread *thread);

SKUAI_INLINE uint64_t skuai_env_now(struct skuai_env *env)
{
    return SKUAI_UNLIKELY(env->sim != NULL) ? skuai_sim_now(env->sim) : skuai_clock_now();
}

/* A seed for a pseudo-random generator. */
SKUAI_INLINE uint64_t skuai_env_entropy(struct skuai_env *env)
{
    return SKUAI_UNLIKELY(env->sim != NULL) ? skuai_sim_entropy(env->sim) : skuai_entropy();
}

/* Sleeps until the parker holds a token, which it takes, or the deadline has passed. True: a token. May also return
 * false early. */
SKUAI_INLINE bool skuai_env_park(struct skuai_env *env, struct skuai_parker *parker, uint64_t deadline_ns)
{
    return SKUAI_UNLIKELY(env->sim != NULL) ? skuai_sim_park(env->sim, parker, deadline_ns)
                                            : skuai_park_real(parker, deadline_ns);
}

/* Gives a token. True: it took a kernel wake-up. */
SKUAI_INLINE bool skuai_env_unpark(struct skuai_env *env, struct skuai_parker *parker)
{
    return SKUAI_UNLIKELY(env->sim != NULL) ? skuai_sim_unpark(env->sim, parker) : skuai_unpark_real(parker);
}

SKUAI_INLINE void skuai_env_point(struct skuai_env *env, enum skuai_point point)
{
    if (SKUAI_UNLIKELY(env->sim != NULL))
        skuai_sim_point(env->sim, point);
}

/* SKUAI_POINT_RUN, of the task whose word this is. */
SKUAI_INLINE void skuai_env_run_point(struct skuai_env *env, skua_word64 *task_word)
{
    if (SKUAI_UNLIKELY(env->sim != NULL))
        skuai_sim_run_point(env->sim, task_word);
}

/* A turn of a spin loop. */
SKUAI_INLINE void skuai_env_pause(struct skuai_env *env)
{
    if (SKUAI_UNLIKELY(env->sim != NULL))
        skuai_sim_point(env->sim, SKUAI_POINT_SPIN);
    else
        skuai_pause(); /* no model test runs this: the point comes in its place */
}

/* The thread runs thread->entry(thread->arg). `parker` is where it will sleep. Returns 0 or a negative errno value. */
SKUAI_INLINE int skuai_env_thread_start(struct skuai_env *env, struct skuai_thread *thread, struct skuai_parker *parker)
{
    thread->env = env;
    return SKUAI_UNLIKELY(env->sim != NULL) ? skuai_sim_thread_start(env->sim, thread, parker)
                                            : skuai_thread_start_real(thread);
}

SKUAI_INLINE void skuai_env_thread_join(struct skuai_env *env, struct skuai_thread *thread)
{
    if (SKUAI_UNLIKELY(env->sim != NULL))
        skuai_sim_thread_join(env->sim, thread); /* no model test runs this: no thread is shared in a simulation */
    else
        skuai_thread_join_real(thread);
}

/* A small fast generator for decisions that need no quality: splitmix64. Source: Steele, Lea, Flood, OOPSLA 2014. */
SKUAI_INLINE uint64_t skuai_random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 … n-1, n > 0; the bias of a multiply-shift is far below what a scheduler could notice. */
SKUAI_INLINE uint32_t skuai_random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(((skuai_random_next(state) >> 32) * n) >> 32);
}

#endif
