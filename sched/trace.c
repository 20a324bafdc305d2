/* See trace.h. Model: tests/model/model_trace.c. */
#include "sched/trace.h"

#include <errno.h>
#include <string.h>

#include "sched/scheduler.h"
#include "sched/spawn.h"

/* ---- V1 ---------------------------------------------------------------------------------------------------------- */

static void write_record(struct skuai_trace_ring *ring, const uint64_t record[SKUAI_TRACE_WORDS])
{
    uint64_t written = skuai_load_64(&ring->written, SKUAI_RELAXED); /* the owner's own */
    skua_word64 *words = ring->words + (written & (ring->capacity - 1)) * SKUAI_TRACE_WORDS;
    /* Release: who sees a word of this record sees, behind his fence, that the one before it has been counted. */
    skuai_fence(SKUAI_RELEASE);
    for (int i = 0; i < SKUAI_TRACE_WORDS; i++)
        skuai_store_64(&words[i], record[i], SKUAI_RELAXED);
    skuai_store_64(&ring->written, written + 1, SKUAI_RELEASE); /* pairs with the first load in skuai_trace_copy() */
}

#if defined(SKUAI_MODEL)
void skuai_trace_test_write(struct skuai_trace_ring *ring, const uint64_t record[SKUAI_TRACE_WORDS]);
void skuai_trace_test_write(struct skuai_trace_ring *ring, const uint64_t record[SKUAI_TRACE_WORDS])
{
    write_record(ring, record);
}
#else
/* No model test runs this, or the next: what they write is write_record()'s. */
void skuai_trace_note(struct skuai_scheduler *sched, struct skuai_trace_ring *ring, enum skuai_trace_kind kind,
                      uint64_t what, uint64_t more)
{
    write_record(ring, (uint64_t[SKUAI_TRACE_WORDS]){ skuai_env_now(&sched->env),
                                                      (uint64_t)kind << SKUAI_TRACE_KIND_SHIFT | what, more, 0 });
}

static uint64_t code_of(const skua_task *task)
{
    if (task->run == skuai_fiber_run)
        return (uintptr_t)((const struct skuai_fiber *)SKUAI_TASK_BODY(task))->fn;
    const skua_frame *root = task->run == skuai_frame_run
                                 ? SKUAI_TASK_BODY(task)
                                 : ((const struct skuai_large_frame *)SKUAI_TASK_BODY(task))->root;
    return (uintptr_t)root->poll;
}

/* No model test runs this: as above. */
void skuai_trace_note_run(struct skuai_worker *worker, struct skuai_trace_ring *ring, skua_task *task)
{
    uint64_t record[SKUAI_TRACE_WORDS] = { skuai_env_now(&worker->sched->env) };
    enum skuai_trace_kind kind = SKUAI_TRACE_JOBS;
    if (task->run == skuai_fiber_run || task->run == skuai_frame_run || task->run == skuai_frame_run_large) {
        const char *name = skuai_task_name(task); /* nobody else runs it */
        kind = task->run == skuai_fiber_run ? SKUAI_TRACE_FIBER : SKUAI_TRACE_FUTURE;
        record[1] = skuai_task_id(task) & ((UINT64_C(1) << SKUAI_TRACE_KIND_SHIFT) - 1);
        if (name[0] != '\0') {
            kind = SKUAI_TRACE_NAMED;
            size_t length = strlen(name);
            memcpy(&record[2], name, length < SKUAI_TRACE_NAME_BYTES ? length : SKUAI_TRACE_NAME_BYTES);
        } else {
            record[2] = code_of(task);
        }
    }
    record[1] |= (uint64_t)kind << SKUAI_TRACE_KIND_SHIFT;
    write_record(ring, record);
}
#endif

/* ---- V2 ---------------------------------------------------------------------------------------------------------- */

uint64_t skuai_trace_copy(struct skuai_trace_ring *ring, uint64_t (*records)[SKUAI_TRACE_WORDS])
{
    /* Acquire: pairs with the release behind each record: all of those before it are there. */
    uint64_t end = skuai_load_64(&ring->written, SKUAI_ACQUIRE);
    uint64_t begin = end > ring->capacity ? end - ring->capacity : 0;
    for (uint64_t i = begin; i < end; i++)
        for (uint32_t k = 0; k < SKUAI_TRACE_WORDS; k++)
            records[i - begin][k] =
                skuai_load_64(&ring->words[(i & (ring->capacity - 1)) * SKUAI_TRACE_WORDS + k], SKUAI_RELAXED);
    skuai_fence(SKUAI_ACQUIRE); /* pairs with the fence before a record */
    uint64_t now = skuai_load_64(&ring->written, SKUAI_RELAXED);
    uint64_t whole = now + 1 > ring->capacity ? now + 1 - ring->capacity : 0; /* one more may be being written */
    uint64_t lost = whole <= begin ? 0 : whole < end ? whole - begin : end - begin;
    if (lost != 0)
        memmove(records, records + lost, (size_t)(end - begin - lost) * sizeof *records);
    return end - begin - lost;
}

/* ---- on and off -------------------------------------------------------------------------------------------------- */

#if !defined(SKUAI_MODEL)
static size_t size_of(uint64_t records)
{
    return sizeof(struct skuai_trace_ring) + (size_t)records * SKUAI_TRACE_WORDS * sizeof(skua_word64);
}

/* One that has been is kept: a ring's owner may be about to write. No model test runs this: as below. */
static int turn_on(struct skuai_scheduler *sched, skua_wordptr *at, skua_wordptr *kept)
{
    struct skuai_trace_ring *ring = skuai_load_ptr(kept, SKUAI_RELAXED); /* under the lock */
    if (ring == NULL) {
        ring = skuai_memory_get_lines(&sched->memory, size_of(sched->trace.records));
        if (ring == NULL)
            return -ENOMEM;
        ring->capacity = sched->trace.records;
        skuai_store_ptr(kept, ring, SKUAI_RELAXED);
    }
    skuai_store_ptr(at, ring, SKUAI_RELEASE); /* pairs with skuai_trace_ring_of() */
    return 0;
}

/* No model test runs this, nor what follows: tests/unit/test_trace.c does. */
static void turn_off_locked(struct skuai_scheduler *sched)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        skuai_store_ptr(&sched->workers[i]->trace, NULL, SKUAI_RELAXED); /* no more than that */
    skuai_store_ptr(&sched->trace.guard, NULL, SKUAI_RELAXED);
    sched->trace.is_on = false;
}

/* No model test runs this: as above. */
int skuai_trace_begin(struct skuai_scheduler *sched, uint64_t records)
{
    struct skuai_trace *trace = &sched->trace;
    int rc = 0;
    skuai_lock_acquire(&trace->lock);
    if (trace->records == 0)
        trace->records = records;
    for (uint32_t i = 0; rc == 0 && i < skuai_workers_all(sched); i++)
        rc = turn_on(sched, &sched->workers[i]->trace, &sched->workers[i]->trace_kept);
    if (rc == 0)
        rc = turn_on(sched, &trace->guard, &trace->guard_kept);
    trace->is_on = rc == 0;
    if (rc < 0)
        turn_off_locked(sched);
    skuai_lock_release(&trace->lock);
    return rc;
}

/* No model test runs this: as above. */
void skuai_trace_end(struct skuai_scheduler *sched)
{
    skuai_lock_acquire(&sched->trace.lock);
    turn_off_locked(sched);
    skuai_lock_release(&sched->trace.lock);
}

/* No model test runs this: as above. */
void skuai_trace_join(struct skuai_scheduler *sched, struct skuai_worker *worker)
{
    skuai_lock_acquire(&sched->trace.lock);
    if (sched->trace.is_on)
        (void)turn_on(sched, &worker->trace, &worker->trace_kept); /* else it is not in the file */
    skuai_lock_release(&sched->trace.lock);
}

/* No model test runs this: as above. */
void skuai_trace_free(struct skuai_scheduler *sched, skua_wordptr *kept)
{
    struct skuai_trace_ring *ring = skuai_load_ptr(kept, SKUAI_RELAXED); /* nothing runs any more */
    if (ring != NULL)
        skuai_memory_put_lines(&sched->memory, ring, size_of(ring->capacity));
}
#endif
