/* What the parallel algorithms have in common: when to split, how long a chunk is, when to stop.
 *
 * Lazy binary splitting (Tzannes, Caragea, Barua, Vishkin, PPoPP 2010): a job has a range and goes through it from the
 * left, a chunk at a time. Between two chunks it asks whether somebody is hungry, and only then forks the upper half of
 * what is left, which is shared at once. At its end it joins what it has forked, from the left to the right; what
 * nobody has taken by then runs right there.
 */
#ifndef SKUAI_ALGORITHM_H
#define SKUAI_ALGORITHM_H

#include <errno.h>

#include "sched/scheduler.h"
#include "sched/ticks.h"
#include "skua/algorithm.h"

enum {
    SKUAI_LOOP_FORKS = 8,        /* that one stack frame holds; untuned, each is 16 bytes */
    SKUAI_LOOP_ALIGN = 64,       /* longer chunks begin at its multiples: whole vectors, whole cache lines of bytes */
    SKUAI_CHUNK_US = 4,          /* what a chunk is to take: as long does a hungry worker wait for the next look; and up
                                    to STRETCH times that where it is less than 1/PARTS of what is left */
    SKUAI_CHUNK_STRETCH = 4,
    SKUAI_CHUNK_PARTS = 64,
    SKUAI_SPLIT_US = 8,          /* what must be left for a split to pay; measured: with a thief that is awake 8 µs of
                                    work then take 0.69 of the time, and a thief's beginning costs 1 to 2 */
    SKUAI_CLOCK_PER_US = 32,     /* looks at the clock, and what else is done for a chunk, in a microsecond */
    SKUAI_FEW = 32,              /* indices that are split unseen */
    SKUAI_INDICES_PER_NS = 16,   /* no body is faster: whole vectors of bytes, from the first cache */
    SKUAI_SIM_CHUNK = 4          /* indices of a simulated chunk: there are to be many looks */
};

/* Who has called an algorithm, for jobs that may run elsewhere. Its scopes stay as they are until that ends. */
struct skuai_caller {
    skua_task *task;   /* whose cancellation stops it; NULL: it is in a shield */
    skua_scope *scope; /* likewise, deadlines; NULL: there are none */
};
SKUAI_INLINE bool skuai_caller_can_be(const struct skuai_caller *caller) /* interrupted */
{
    return caller->task != NULL || caller->scope != NULL;
}

/* One run of an algorithm. */
struct skuai_loop {
    struct skuai_scheduler *sched;
    struct skuai_caller caller;
    size_t min_chunk;    /* at least 1 */
    skua_word32 stopped; /* an error, negated: no chunk may begin any more, and some have not */
};

/* The caller of the algorithm `call`. Returns 0 or an error. */
int skuai_loop_begin(struct skuai_loop *loop, const char *call, const skua_parallel_attr *attr);

/* Whether the caller of an algorithm is to be interrupted, or the job that asks this: the error, or 0. */
int skuai_caller_interruption(const struct skuai_caller *caller);

/* Some chunks are left to begin. Whether they may. */
bool skuai_loop_asks_stop(struct skuai_loop *loop);
SKUAI_INLINE bool skuai_loop_is_stopped(struct skuai_loop *loop)
{
    /* Relaxed: no data behind it, and who sees it late has done a chunk more. */
    return skuai_load_32(&loop->stopped, SKUAI_RELAXED) != 0 ||
           (skuai_caller_can_be(&loop->caller) && skuai_loop_asks_stop(loop));
}
SKUAI_INLINE int skuai_loop_end(struct skuai_loop *loop)
{
    /* Relaxed: what others stored came before their jobs were joined. */
    return -(int)skuai_load_32(&loop->stopped, SKUAI_RELAXED);
}

SKUAI_INLINE size_t skuai_loop_middle(const struct skuai_loop *loop, size_t begin, size_t end)
{
    size_t half = (end - begin) / 2, middle = begin + half;
    bool align = half >= 8 * SKUAI_LOOP_ALIGN && half - SKUAI_LOOP_ALIGN >= loop->min_chunk;
    return align ? middle & ~(size_t)(SKUAI_LOOP_ALIGN - 1) : middle;
}

/* How long the next chunk is, by how long the one before took. */
struct skuai_pace {
    size_t chunk;
    uint64_t since;
    uint64_t took; /* the chunk before, without the reading of the clock */
    size_t count;  /* its indices; 0: there was none */
    bool is_settled; /* `chunk` takes about as long as it should */
};

SKUAI_INLINE struct skuai_pace skuai_pace_begin(struct skuai_loop *loop, size_t chunk)
{
    /* What its forker had come to, with caution: the indices may be of another kind here. */
    size_t first = chunk / 8 > loop->min_chunk ? chunk / 8 : loop->min_chunk;
    return (struct skuai_pace){ first, skuai_ticks(&loop->sched->env), 0, 0, false };
}

/* Asked by a job, on its strand, with this many indices left. Before it has seen a chunk it splits few indices, because
 * these may be long ones, but not many, because for them it loses little by looking at the first one; unless the runs
 * before were long. */
bool skuai_pace_is_worth(const struct skuai_pace *pace, const struct skuai_loop *loop, const skua_strand *strand,
                         size_t left);
SKUAI_INLINE bool skuai_loop_is_to_split(const struct skuai_loop *loop, skua_strand *strand,
                                         const struct skuai_pace *pace, size_t left)
{
    return SKUAI_UNLIKELY(skuai_parallel_wants(strand, pace->since)) && skuai_pace_is_worth(pace, loop, strand, left);
}

/* The end of the chunk that begins here. */
SKUAI_INLINE size_t skuai_pace_next(const struct skuai_pace *pace, const struct skuai_loop *loop, size_t begin,
                                    size_t end)
{
    size_t chunk = pace->chunk, part = (end - begin) / SKUAI_CHUNK_PARTS;
    if (pace->is_settled && part > chunk)
        chunk = part / SKUAI_CHUNK_STRETCH < chunk ? part : SKUAI_CHUNK_STRETCH * chunk;
    if (chunk >= 2 * SKUAI_LOOP_ALIGN)
        chunk += -(begin + chunk) & (SKUAI_LOOP_ALIGN - 1);
    return end - begin < chunk || end - begin - chunk < loop->min_chunk ? end : begin + chunk;
}

/* After a chunk of so many indices. */
void skuai_pace_seeded(struct skuai_pace *pace, struct skuai_loop *loop);
SKUAI_INLINE void skuai_pace_lap(struct skuai_pace *pace, struct skuai_loop *loop, size_t count)
{
    pace->count = count;
    if (SKUAI_UNLIKELY(loop->sched->env.is_seeded)) {
        skuai_pace_seeded(pace, loop);
        return;
    }
    const uint64_t goal = (uint64_t)SKUAI_CHUNK_US * SKUAI_TICKS_PER_US;
    uint64_t now = skuai_ticks(&loop->sched->env), took = now - pace->since;
    pace->since = now;
    pace->took = took;
    if (count > pace->chunk)
        took /= count / pace->chunk;
    pace->is_settled = took > goal / 2;
    /* Steps, not a quotient: a single odd measurement (the thread was interrupted, the task has slept) does little. */
    if (took <= goal / 64)
        pace->chunk *= pace->chunk < 4 ? 4 : pace->chunk < SIZE_MAX / 64 ? 16 : 1; /* the first index may be special */
    else if (took <= goal / 16)
        pace->chunk *= pace->chunk < SIZE_MAX / 64 ? 8 : 1;
    else if (took <= goal / 2)
        pace->chunk *= pace->chunk < SIZE_MAX / 64 ? 2 : 1;
    else if (took > 2 * goal) {
        pace->chunk /= took > 16 * goal ? 8 : 2;
        if (pace->chunk < loop->min_chunk)
            pace->chunk = loop->min_chunk;
    }
}

/* algorithm_for.c: a loop over [begin, end) inside a run that has begun. */
void skuai_loop_for(struct skuai_loop *loop, size_t begin, size_t end, skua_for_fn *body, void *context);

#endif
