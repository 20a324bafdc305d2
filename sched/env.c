/* The real environment, apart from parking: clock, entropy, threads. See env.h. */
#define _GNU_SOURCE
#include "sched/env.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "sched/rest.h"

uint64_t skuai_clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SKUA_S + (uint64_t)now.tv_nsec;
}

uint64_t skuai_entropy(void)
{
    uint64_t seed;
    /* At most 256 bytes never come short; without the call (old kernels, seccomp) the clock will do: this seeds
     * victim choice, not keys. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = skuai_clock_now() ^ (uintptr_t)&seed;
    return seed;
}

/* pthread_cancel() of such a thread has no effect: it would end amid somebody's task, or the scheduler's work. */
static void *thread_main(void *arg)
{
    struct skuai_thread *thread = arg;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
#if defined(__linux__)
    pthread_setname_np(pthread_self(), thread->name);
#endif
    clockid_t clock;
    if (pthread_getcpuclockid(pthread_self(), &clock) == 0)
        skuai_store_32(&thread->clock, (uint32_t)clock, SKUAI_RELAXED); /* a name; nothing comes with it */
    skuai_store_32(&thread->number, (uint32_t)skuai_thread_number(), SKUAI_RELAXED); /* likewise */
    skuai_store_64(&thread->self, (uint64_t)(uintptr_t)pthread_self(), SKUAI_RELAXED);
    thread->entry(thread->arg);
    skuai_store_64(&thread->self, 0, SKUAI_RELAXED);
    skuai_store_32(&thread->clock, 0, SKUAI_RELAXED); /* likewise */
    return NULL;
}

/* Asynchronous signals go to the threads that the application knows; those that report a fault of the thread itself
 * must stay open. */
static void fill_blocked_signals(sigset_t *set)
{
    static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF };
    sigfillset(set);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        sigdelset(set, open[i]);
}

int skuai_thread_start_real(struct skuai_thread *thread)
{
    sigset_t blocked;
    pthread_t handle;
    fill_blocked_signals(&blocked);
    /* Inherited by the new thread: no window in which it is open. */
    pthread_sigmask(SIG_BLOCK, &blocked, &thread->signals);
    int error = pthread_create(&handle, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &thread->signals, NULL);
    if (error != 0)
        return -error;
    thread->handle = (uintptr_t)handle;
    return 0;
}

int skuai_cancel_hold_off(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void skuai_cancel_allow(int before) { pthread_setcancelstate(before, NULL); }

void skuai_thread_restore_signals(const struct skuai_thread *thread)
{
    pthread_sigmask(SIG_SETMASK, &thread->signals, NULL);
}

uint64_t skuai_thread_cpu_ns(const struct skuai_thread *thread)
{
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid((pthread_t)thread->handle, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return SKUAI_CPU_UNKNOWN;
    return (uint64_t)used.tv_sec * SKUA_S + (uint64_t)used.tv_nsec;
}

/* A clock's name is good for nothing, but does no harm, once its thread has ended; it may be another's by then. */
uint64_t skuai_thread_clock_ns(const struct skuai_thread *thread)
{
    struct timespec used;
    uint32_t clock = skuai_load_32(&thread->clock, SKUAI_RELAXED); /* as above */
    if (clock == 0 || clock_gettime((clockid_t)clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * SKUA_S + (uint64_t)used.tv_nsec;
}

void skuai_thread_join_real(struct skuai_thread *thread) { pthread_join((pthread_t)thread->handle, NULL); }
