/* Which threads of the process are at rest: asleep in a wait of Skua's without a time-out, so that nothing wakes them
 * but another thread. If all are, nothing will happen any more (deadlock.h). In debug builds only.
 *
 *   Z1 rest    a thread enters itself, under the lock, before it goes to sleep, and leaves when it is awake; each time
 *              but for guards, which wake nobody after a look, the era changes
 *   Z2 look    who wants to know reads the era, sees that all other threads of the process are entered and, by the
 *              kernel, asleep; and that the era still is the same
 * Why that is enough: a thread that was entered in this era and found asleep is in its futex. It could have been woken
 * after it was looked at, but only by a thread that was awake then, which either was not entered, and so was missed in
 * the count, or has left or entered since, and so has changed the era.
 */
#ifndef SKUAI_REST_H
#define SKUAI_REST_H

#include <stdbool.h>
#include <stdint.h>

#include "skua/op.h"
#include "skua/select.h"

struct skuai_rest {
    struct skuai_rest *next, *prev;
    long thread; /* the kernel's number; 0: a worker or a guard, of which reports say nothing */
    const char *place;
    const skua_op *op;
    const skua_selection *selection;
};

enum skuai_rester { SKUAI_REST_WORKER, SKUAI_REST_GUARD, SKUAI_REST_THREAD };

#if defined(SKUAI_DEBUG) && !defined(SKUAI_MODEL)

/* Z1. Nothing if `is_endless` is false. */
void skuai_rest_begin(struct skuai_rest *rest, enum skuai_rester who, bool is_endless);
void skuai_rest_end(struct skuai_rest *rest, enum skuai_rester who, bool is_endless);
/* A thread outside of any task is about to wait for one of these; NULL, NULL: it is past it. */
void skuai_rest_note(const skua_op *op, const skua_selection *selection);

/* Around a fork: nobody else is in the list's lock meanwhile, and a child begins with an empty one. */
void skuai_rest_fork_begins(void);
void skuai_rest_fork_ends(bool in_child);

/* Z2. True, and the era: all threads of this process but the caller are at rest. */
bool skuai_rest_is_total(uint64_t *era);
/* How many resting threads are none of Skua's. Calls back for each. Only while all are at rest. */
uint32_t skuai_rest_each_thread(void (*visit)(void *context, const struct skuai_rest *rest), void *context);

#else

static inline void skuai_rest_begin(struct skuai_rest *rest, enum skuai_rester who, bool is_endless)
{
    (void)rest;
    (void)who;
    (void)is_endless;
}
static inline void skuai_rest_end(struct skuai_rest *rest, enum skuai_rester who, bool is_endless)
{
    (void)rest;
    (void)who;
    (void)is_endless;
}
static inline void skuai_rest_fork_begins(void) {}
static inline void skuai_rest_fork_ends(bool in_child) { (void)in_child; }
static inline void skuai_rest_note(const skua_op *op, const skua_selection *selection)
{
    (void)op;
    (void)selection;
}

#endif

/* rest_linux.c: how many threads the process has besides the caller, if the kernel says of all of them that they sleep;
 * else -1. */
int skuai_threads_asleep(void);
/* The calling thread's number. */
long skuai_thread_number(void);
/* The kernel's letter for what a thread of the process does, as proc(5) has them: R: it runs, or would if it had a
 * processor. '\0': that is not known. */
char skuai_thread_state(long number);

#endif
