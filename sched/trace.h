/* The tracing ring: what each worker does, and when, for whoever asks afterwards (runtime/trace.c writes it as a file).
 *
 *   V1 note   a worker, or the guard, writes a record into its own ring, over the oldest, and then counts it (release)
 *   V2 read   whoever writes the file reads the count (acquire) and copies the records before it; then, behind a fence,
 *             the count again: what may have been written over meanwhile is left out, the record that is being written
 *             as well
 * A ring stays until the runtime's end, so that one who has just seen it may still write when tracing is over. Off,
 * this is a load of the worker's own line and a branch per run of a task.
 */
#ifndef SKUAI_TRACE_H
#define SKUAI_TRACE_H

#include <stdbool.h>

#include "sched/atomic.h"
#include "sched/lock.h"

struct skuai_scheduler;
struct skuai_worker;
struct skua_task;

enum skuai_trace_kind {
    SKUAI_TRACE_FIBER,  /* a run begins: the task's number, its function */
    SKUAI_TRACE_FUTURE, /* likewise: its poll function */
    SKUAI_TRACE_NAMED,  /* likewise, with a name: its first bytes */
    SKUAI_TRACE_JOBS,   /* a strand's token: fork-join work that goes on here */
    SKUAI_TRACE_SEEK,   /* it has nothing to run */
    SKUAI_TRACE_SLEEP,
    SKUAI_TRACE_AWAKE,
    SKUAI_TRACE_STEAL,  /* so many tasks, from that worker */
    SKUAI_TRACE_TIMERS, /* so many have ended */
    SKUAI_TRACE_EVENTS, /* of descriptors, so many delivered */
    SKUAI_TRACE_SPARE   /* the guard has begun that spare worker */
};

enum { SKUAI_TRACE_WORDS = 4, SKUAI_TRACE_NAME_BYTES = 16, SKUAI_TRACE_KIND_SHIFT = 56 };

struct skuai_trace_ring {
    uint64_t capacity;   /* records, a power of two; fixed */
    skua_word64 written; /* ever */
    skua_word64 words[]; /* of each record: when; its kind, above SKUAI_TRACE_KIND_SHIFT, and what; two more */
};

/* A scheduler's. */
struct skuai_trace {
    struct skuai_lock lock; /* guards turning on and off */
    /* guarded by it */
    bool is_on;
    uint64_t records;       /* of each ring; 0 until it is first on, then fixed */
    skua_wordptr guard_kept;
    /* not guarded */
    skua_wordptr guard;     /* the guard's ring while it is on, else NULL */
};

/* 0 or -ENOMEM: then it is off. Rings once made keep their size. Any thread. */
int skuai_trace_begin(struct skuai_scheduler *sched, uint64_t records);
void skuai_trace_end(struct skuai_scheduler *sched);
/* A worker that is new. */
void skuai_trace_join(struct skuai_scheduler *sched, struct skuai_worker *worker);
/* At the runtime's end: a ring that was kept. */
void skuai_trace_free(struct skuai_scheduler *sched, skua_wordptr *kept);

/* V1, out of line; `ring` is the caller's own. */
void skuai_trace_note(struct skuai_scheduler *sched, struct skuai_trace_ring *ring, enum skuai_trace_kind kind,
                      uint64_t what, uint64_t more);
void skuai_trace_note_run(struct skuai_worker *worker, struct skuai_trace_ring *ring, struct skua_task *task);

/* V2. Copies up to ring->capacity records of four numbers, oldest first. How many. */
uint64_t skuai_trace_copy(struct skuai_trace_ring *ring, uint64_t (*records)[SKUAI_TRACE_WORDS]);

#endif
