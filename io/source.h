/* Sources: descriptors whose readiness tasks wait for.
 *
 * A source's memory is a source for as long as its runtime lives; a generation tells one life from the next. What is
 * known of a descriptor's readiness is one word:
 *
 *     63         32 31       8 7      0
 *     [ generation ][ events  ][ ready ]        ready: enum skuai_ready, events: counts what the kernel has told
 *
 *   Q1 event    under the lock, if the token's generation is the word's: the driver ORs what it was told into `ready`,
 *               counts the event, and claims all waiters whose direction is ready
 *   Q2 try      who wants to read or write reads the word, then tries. If the kernel has no more (EAGAIN) it takes that
 *               bit away, but only from the word as it was read before the try: an event in between has counted
 *   Q3 wait     under the lock: if the bit is set there is nothing to wait for, else the op is linked. So an event is
 *               seen in the word or finds the op
 *   Q4 short    a short count of a socket that is a stream of bytes is as good as EAGAIN, until there was a HANGUP,
 *               ERROR or PRIORITY, which stay in the word: then there may be an end, an error, or urgent data to be
 *               found behind the bytes. EAGAIN is believed always: half of a connection may be over and the other half
 *               full, an error may have been taken away by who was told of it, and a fifo's next writer is another edge
 *   Q5 arm      the kernel is told of the descriptor when somebody first has to wait for it. If the runtime has several
 *               pollers it belongs to the home of that worker until it is closed, or to one by the source's number if
 *               who waits is none of the runtime's workers
 *   Q6 use      who calls the kernel with the descriptor counts itself into `users`; closing sets CLOSED there, and the
 *               last one out, or the closer if there is none, takes the descriptor out of the poller and closes it. So
 *               nobody calls the kernel with a descriptor that may be another file's by now
 *   Q7 close    raises the generation, so that events that are under way find nobody, and ends all waits with
 *               -ECANCELED. The end of a watch, whose descriptor its owner will close next, waits for others to be out.
 *               Who finds it closed does nothing
 *   Q8 lives    a call that has waited may find its source closed and opened again for others. So it takes down which
 *               life it means when it begins, by the generation, and enters and waits in that life only. To wait for
 *               what is armed it need not enter: under the lock it finds the life over, or the closer finds the op
 *   Q9 fork     a fork's child shares the kernel's poller with its parent, so it asks and tells it nothing: it neither
 *               waits nor takes descriptors out
 * Model: tests/model/model_source.c.
 */
#ifndef SKUAI_SOURCE_H
#define SKUAI_SOURCE_H

#include "io/kernel_poller.h"
#include "sched/lock.h"
#include "sched/op.h"

struct skuai_driver;

enum skuai_direction { SKUAI_READING, SKUAI_WRITING, SKUAI_DIRECTIONS };

struct skuai_source {
    skua_word64 readiness;               /* any thread */
    skua_word32 users;                   /* any thread: how many, and SKUAI_SOURCE_CLOSED (bit 30: stream.h) */
    struct skuai_lock lock;
    skua_waiters waiters[SKUAI_DIRECTIONS]; /* guarded by lock */
    bool armed;                          /* likewise: the kernel knows the descriptor */
    bool always_ready;                   /* likewise: it cannot be polled (a regular file) */
    bool keeps_fd;                       /* fixed while open: closing the source does not close the descriptor */
    uint8_t stream;                      /* likewise: enum skuai_stream_kind (stream.h) */
    int fd;                              /* likewise */
    uint32_t index;                      /* fixed */
    uint32_t shard;                      /* once armed: which of the driver's pollers watches it */
    struct skuai_driver *driver;         /* fixed */
    struct skuai_source *next_free;      /* guarded by the driver's lock */
} __attribute__((aligned(SKUAI_CACHE_LINE)));

#define SKUAI_SOURCE_CLOSED UINT32_C(0x80000000)

/* ---- a source that is open ---- */

SKUAI_INLINE uint32_t skuai_life_of(uint64_t readiness) { return (uint32_t)(readiness >> 32); }

void skuai_source_last_left(struct skuai_source *source);
SKUAI_INLINE void skuai_source_leave(struct skuai_source *source)
{
    /* Release: what was done with the descriptor comes before its closing. Acquire: for who closes it. */
    if (SKUAI_UNLIKELY(skuai_sub_32(&source->users, 1, SKUAI_ACQ_REL) == (SKUAI_SOURCE_CLOSED | 1)))
        skuai_source_last_left(source);
}

/* Q8. A call begins. False: it is closed. */
SKUAI_INLINE bool skuai_source_begin(const struct skuai_source *source, uint32_t *life)
{
    *life = skuai_life_of(skuai_load_64(&source->readiness, SKUAI_RELAXED)); /* entering asks again */
    return SKUAI_LIKELY((skuai_load_32(&source->users, SKUAI_RELAXED) & SKUAI_SOURCE_CLOSED) == 0); /* likewise */
}

/* Q6. True: until skuai_source_leave() the descriptor is the source's, in this life. False: it is closed. */
SKUAI_INLINE bool skuai_source_enter(struct skuai_source *source, uint32_t life)
{
    uint32_t seen = skuai_load_32(&source->users, SKUAI_RELAXED); /* the exchange decides */
    do {
        if (SKUAI_UNLIKELY(seen & SKUAI_SOURCE_CLOSED))
            return false;
    } while (!skuai_cas_32(&source->users, &seen, seen + 1, SKUAI_ACQUIRE)); /* pairs with the release of opening */
    /* Q8. Relaxed: by the acquire it is the generation of the life that was entered, or of its end. */
    if (SKUAI_LIKELY(skuai_life_of(skuai_load_64(&source->readiness, SKUAI_RELAXED)) == life))
        return true;
    skuai_source_leave(source);
    return false;
}
/* By a user, under the lock: whether it is being closed. Relaxed: the closer sets it before it takes the lock. */
SKUAI_INLINE bool skuai_source_is_closing_locked(const struct skuai_source *source)
{
    return (skuai_load_32(&source->users, SKUAI_RELAXED) & SKUAI_SOURCE_CLOSED) != 0;
}
/* Q2. What is known: to be read before a try. */
SKUAI_INLINE uint64_t skuai_source_readiness(const struct skuai_source *source)
{
    return skuai_load_64(&source->readiness, SKUAI_ACQUIRE); /* pairs with Q1's release: a try sees what was told of */
}
SKUAI_INLINE bool skuai_readiness_has(uint64_t readiness, enum skuai_direction direction)
{
    return (readiness & (direction == SKUAI_READING ? SKUAI_READY_READ : SKUAI_READY_WRITE)) != 0;
}
/* Q4. Whether a short count says that there is no more. */
SKUAI_INLINE bool skuai_readiness_ends_short(uint64_t readiness)
{
    return (readiness & (SKUAI_READY_HANGUP | SKUAI_READY_ERROR | SKUAI_READY_PRIORITY)) == 0;
}
/* Q2: the try that came after reading `seen` has found no more. */
void skuai_source_drained(struct skuai_source *source, uint64_t seen, enum skuai_direction direction);

/* Q1. */
void skuai_source_event(struct skuai_source *source, uint32_t generation, uint32_t ready);

/* Q3: an op that waits until the source is ready for the direction. Result: 0; -ECANCELED, also if the source is closed
 * meanwhile; -EBADF (it is closed); -ENOTSUP (a fork's child); the error of the kernel that would not watch it. For an
 * arm of a select, which may be started again and again. */
skua_op *skuai_source_wait_prepare(skua_op *op, struct skuai_source *source, enum skuai_direction direction);

/* Q8: a wait of a call that has begun, to be started once. -ECANCELED if that life is over. */
skua_op *skuai_source_wait_in_prepare(skua_op *op, struct skuai_source *source, enum skuai_direction direction,
                                      uint32_t life);

/* Q7. False: it was closed before, and nothing is done. */
bool skuai_source_close(struct skuai_source *source);
/* The same for a call of this name, which reports it. */
bool skuai_source_close_once(struct skuai_source *source, const char *call);

/* ---- given by driver.c ---- */

/* Q9. */
bool skuai_driver_is_childs(const struct skuai_driver *driver);
/* Q5. Which of the driver's pollers is to watch the source of this number, that the calling thread waits for. `worker`:
 * the thread's, of whatever runtime, or NULL. */
uint32_t skuai_driver_shard(const struct skuai_driver *driver, const struct skuai_worker *worker, uint32_t index);
/* Tells the kernel of the descriptor. */
int skuai_driver_watch(struct skuai_driver *driver, uint32_t shard, int fd, uint64_t token);
/* False: the kernel knows it no more, so somebody else has closed it: the number is not the source's, or nobody's. */
bool skuai_driver_unwatch(struct skuai_driver *driver, uint32_t shard, int fd);
/* The source has done with the descriptor, which is closed if asked. */
void skuai_driver_let_go(struct skuai_driver *driver, int fd, bool closes);
/* Reports that somebody else has closed it. */
void skuai_driver_lost(struct skuai_driver *driver, int fd);
void skuai_driver_closed_twice(struct skuai_driver *driver, const char *call);
/* The source can be another's. */
void skuai_driver_recycle(struct skuai_driver *driver, struct skuai_source *source);

#endif
