/* Deadlocks of a whole program: every task waits, and nothing can wake one. It is reported, not ended: each task, what
 * it waits for and where (waits.c).
 *
 * A simulation knows when that is so: no virtual thread is ready and no timer is armed. In real runs debug builds look:
 * the guard, when its runtime has been idle for so long that it would sleep without a time-out, asks whether
 *   - tasks live, and all of them wait
 *   - no timer is armed
 *   - all other threads of the process are at rest (rest.h): workers of whatever runtime, guards, and threads that wait
 *     in a call of Skua's. One that sleeps elsewhere, in read() or pthread_join(), may still wake somebody
 * and if so it asks again a moment later. If nothing has stirred in between it is a deadlock. As long as the answer is
 * no and tasks live it looks again, less and less often.
 *
 * A thread of a library's own (ThreadSanitizer's, io_uring's) is never at rest, so that with one nothing is ever
 * reported; a signal handler is not seen, but it may not wake anybody either. A report once per state: not again before
 * some task has run. Guards of several runtimes do not report at the same time: one that looks is not at rest.
 */
#include "sched/deadlock.h"

#include <stdio.h>
#include <string.h>

#include "sched/scheduler.h"
#include "sched/spawn.h"

/* What is to be said, in lines that end with a zero. It is put together first and logged then: whom the log function
 * wakes goes on, and what belongs to him must not be read any more. */
struct page {
    struct page *next;
    size_t used;
    char text[4000];
};

struct report {
    struct skuai_waits waits; /* first */
    struct page *first, *last;
};

static void add_line(struct skuai_waits *waits, const char *text)
{
    struct report *report = (struct report *)(void *)waits;
    struct page *page = report->last;
    size_t size = strlen(text) + 1;
    if (page == NULL || page->used + size > sizeof page->text) {
        page = skuai_memory_get(waits->sched, sizeof *page);
        if (page == NULL)
            return; /* a report with less in it */
        page->next = NULL;
        page->used = 0;
        if (report->last != NULL)
            report->last->next = page;
        else
            report->first = page;
        report->last = page;
    }
    memcpy(page->text + page->used, text, size);
    page->used += size;
}

static void log_report(struct report *report)
{
    struct skuai_scheduler *sched = report->waits.sched;
    for (struct page *page = report->first, *next; page != NULL; page = next) {
        next = page->next;
        for (size_t at = 0; at < page->used; at += strlen(page->text + at) + 1)
            skuai_log(sched, SKUA_LOG_ERROR, "deadlock: %s", page->text + at);
        skuai_memory_put(sched, page, sizeof *page);
    }
}

static void say_task(void *waits, skua_task *task) { skuai_waits_of_task(waits, task); }

/* Changes whenever a task begins to run. Not 0. */
static uint64_t state_of(struct skuai_scheduler *sched)
{
    uint64_t runs = 1;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        runs += skuai_load_64(&sched->workers[i]->counters.polls, SKUAI_RELAXED); /* nothing runs */
    return runs;
}

static bool was_reported(struct skuai_scheduler *sched)
{
    uint64_t state = state_of(sched);
    bool was = sched->reported_state == state;
    sched->reported_state = state;
    return was;
}

static void begin_report(struct report *report, struct skuai_scheduler *sched, uint32_t threads)
{
    char head[100];
    *report = (struct report){ .waits = { .sched = sched, .say = add_line } };
    snprintf(head, sizeof head, "nothing can wake any of %llu tasks and %u threads that wait",
             (unsigned long long)skuai_scheduler_live(sched), threads);
    add_line(&report->waits, head);
    skuai_scheduler_each_task(sched, say_task, &report->waits);
}

void skuai_deadlock_report(struct skuai_scheduler *sched)
{
    struct report report;
    if (was_reported(sched))
        return;
    begin_report(&report, sched, 0);
    log_report(&report);
}

#if defined(SKUAI_DEBUG)

enum {
    AGAIN_MIN_NS = 1000000000, /* untuned: a few system calls for each thread of the process */
    AGAIN_MAX_DOUBLINGS = 6,
    CONFIRM_NS = 20000000
};
#define AGAIN_MAX_NS ((uint64_t)AGAIN_MIN_NS << AGAIN_MAX_DOUBLINGS)

static void say_thread(void *waits, const struct skuai_rest *rest) { skuai_waits_of_thread(waits, rest); }

static void find_ready(void *found, skua_task *task)
{
    uint64_t word = skuai_load_64(&task->word, SKUAI_RELAXED); /* nothing runs, or it is not asked for */
    if ((word & SKUAI_TASK_RUNNING) && !(word & SKUAI_TASK_ENDED))
        *(bool *)found = true;
}

static bool all_wait(struct skuai_scheduler *sched)
{
    bool found = false;
    skuai_scheduler_each_task(sched, find_ready, &found);
    return !found && skuai_load_64(&sched->timer_next, SKUAI_RELAXED) == SKUA_NEVER;
}

static void report_real(struct skuai_scheduler *sched)
{
    struct report report;
    if (was_reported(sched))
        return;
    begin_report(&report, sched, skuai_rest_each_thread(NULL, NULL));
    skuai_rest_each_thread(say_thread, &report.waits);
    log_report(&report);
}

/* When to look again if it is none yet. Guards of several runtimes look at different times, or each would find the
 * other awake each time: a machine that was suspended meanwhile had brought them to look at the same one, for ever. */
static uint64_t later(struct skuai_guard_thread *guard, uint64_t now)
{
    uint64_t wait_ns = guard->look_again_ns, seed = (uintptr_t)guard ^ now;
    guard->look_again_ns = wait_ns < AGAIN_MAX_NS / 2 ? 2 * wait_ns : AGAIN_MAX_NS;
    return now + wait_ns + skuai_random_below(&seed, (uint32_t)(wait_ns / 16)) * UINT64_C(2);
}

uint64_t skuai_deadlock_look(struct skuai_scheduler *sched, uint64_t until_ns, bool *looks)
{
    struct skuai_guard_thread *guard = &sched->guard;
    uint64_t era, now = skuai_env_now(&sched->env);
    *looks = false;
    if (until_ns != SKUA_NEVER || sched->env.sim != NULL || skuai_scheduler_live(sched) == 0)
        return until_ns;
    if (guard->looked_runs != state_of(sched)) {
        guard->looked_runs = state_of(sched);
        guard->look_again_ns = AGAIN_MIN_NS;
        guard->total_era = 0;
    }
    *looks = true;
    if (!skuai_rest_is_total(&era) || !all_wait(sched)) {
        guard->total_era = 0;
        return later(guard, now);
    }
    if (guard->total_era != era) {
        guard->total_era = era;
        return now + CONFIRM_NS;
    }
    report_real(sched);
    return later(guard, now);
}

#endif
