/* See watchdog.h. */
#include "sched/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sched/backtrace.h"
#include "sched/deadlock.h"
#include "sched/dump.h"
#include "sched/handoff.h"
#include "sched/rest.h"
#include "sched/scheduler.h"

enum {
    LINE_BYTES = 480, /* less than a line of the log */
    /* So many reports at once, and then one a second: enough to find what is wrong, and no flood if every request holds
     * its worker. Untuned. */
    SHOWN_AT_ONCE = 8,
    SHOWN_EVERY_NS = 1000000000,
    RAN_PARTS = 4 /* of the time: who had a processor for less than one of these, and is not blocked, waits for one */
};

struct skuai_watchdog {
    struct skuai_scheduler *sched;
    uint64_t after_ns;
    int signal;
    bool started;
    skua_word32 stops;
    struct skuai_thread thread;
    struct skuai_parker parker;
    /* the reporter's */
    uint32_t may_show;
    uint64_t earned_ns;  /* when it last may have got more */
    uint64_t suppressed; /* since the last one that was shown */
    size_t size;
    struct skuai_watch of[];
};

/* ---- the guard's side -------------------------------------------------------------------------------------------- */

static struct skuai_watch_turn turn_of(struct skuai_worker *worker)
{
    /* As they are; what does not belong together is not so again at the next look. */
    return (struct skuai_watch_turn){ .polls = skuai_load_64(&worker->counters.polls, SKUAI_RELAXED),
                                      .looks = skuai_load_64(&worker->counters.looks, SKUAI_RELAXED),
                                      .task = skuai_load_ptr(&worker->shown_task, SKUAI_RELAXED) };
}

static bool is_same(const struct skuai_watch_turn *a, const struct skuai_watch_turn *b)
{
    return a->polls == b->polls && a->looks == b->looks && a->task == b->task;
}

static void pass_on(struct skuai_watchdog *dog, struct skuai_watch *watch, enum skuai_watch_phase phase)
{
    skuai_handoff_give(&watch->phase, (uint32_t)phase);
    skuai_env_unpark(&dog->sched->env, &dog->parker);
}

/* E3. On a busy machine a thread may wait for its processor for long, which is not the task's doing; nor can it have
 * come to a fork or join since it was asked to look around. */
static bool is_own_doing(const struct skuai_watchdog *dog, const struct skuai_watch *watch,
                         const struct skuai_worker *worker)
{
    uint64_t used_ns = skuai_thread_clock_ns(&worker->thread);
    if (watch->asked_cpu_ns == 0 || used_ns == 0 || used_ns - watch->asked_cpu_ns >= dog->after_ns / RAN_PARTS)
        return true;
    return skuai_thread_state(skuai_load_32(&worker->thread.number, SKUAI_RELAXED)) != 'R'; /* a name, no more */
}

/* If it still is the same turn: the guard may have lost its processor since it looked. */
static void put_down(struct skuai_watchdog *dog, struct skuai_watch *watch, struct skuai_worker *worker)
{
    struct skuai_watch_turn turn = turn_of(worker);
    if (!is_same(&turn, &watch->turn))
        return;
    watch->held = watch->turn;
    watch->held_since_ns = watch->since_ns;
    watch->held_cpu_ns = watch->cpu_ns;
    pass_on(dog, watch, SKUAI_WATCH_HELD);
}

static void look_at(struct skuai_watchdog *dog, struct skuai_watch *watch, struct skuai_worker *worker, uint64_t now_ns)
{
    struct skuai_watch_turn turn = turn_of(worker);
    /* A look. Who has no thread yet, or none any more, sleeps, too. */
    bool sleeps = skuai_load_32(&worker->asleep, SKUAI_RELAXED) != 0 ||
                  skuai_load_64(&worker->thread.self, SKUAI_RELAXED) == 0;
    enum skuai_watch_phase phase = skuai_handoff_look(&watch->phase);
    if (phase == SKUAI_WATCH_SAID && (sleeps || !is_same(&turn, &watch->held))) { /* E5 */
        watch->over_ns = now_ns;
        pass_on(dog, watch, phase = SKUAI_WATCH_OVER);
    }
    if (sleeps || !is_same(&turn, &watch->turn)) {
        watch->turn = turn;
        watch->since_ns = now_ns;
        watch->cpu_ns = 0;
        watch->was_asked = false;
        return;
    }
    if (watch->cpu_ns == 0)
        watch->cpu_ns = skuai_thread_clock_ns(&worker->thread);
    uint64_t held_ns = now_ns - watch->since_ns;
    if (held_ns < dog->after_ns / 2)
        return;
    skuai_parallel_ask(worker); /* E2 */
    if (!watch->was_asked) {
        watch->was_asked = true;
        watch->asked_cpu_ns = skuai_thread_clock_ns(&worker->thread);
    } else if (phase == SKUAI_WATCH_QUIET && held_ns >= dog->after_ns && is_own_doing(dog, watch, worker)) {
        put_down(dog, watch, worker);
    }
}

void skuai_watchdog_look(struct skuai_scheduler *sched, uint64_t now_ns)
{
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        look_at(sched->watchdog, sched->workers[i]->watch, sched->workers[i], now_ns);
}

/* ---- the reporter ------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void say(struct skuai_watchdog *dog, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    skuai_log(dog->sched, SKUA_LOG_WARN, "watchdog: %s", line);
}

static bool is_on(const struct skuai_watch *watch, struct skuai_worker *worker)
{
    struct skuai_watch_turn turn = turn_of(worker);
    return is_same(&turn, &watch->held);
}

static bool may_show(struct skuai_watchdog *dog, uint64_t now_ns)
{
    uint64_t earned = (now_ns - dog->earned_ns) / SHOWN_EVERY_NS;
    dog->earned_ns += earned * SHOWN_EVERY_NS;
    dog->may_show = earned < SHOWN_AT_ONCE - dog->may_show ? dog->may_show + (uint32_t)earned : SHOWN_AT_ONCE;
    if (dog->may_show == 0) {
        dog->suppressed++;
        return false;
    }
    dog->may_show--;
    return true;
}

/* The task may end meanwhile, and its slot be another's: then the turn is not on any more, by this worker's count.
 * False: that is so. */
static bool name(struct skuai_watch *watch, struct skuai_worker *worker)
{
    const skua_task *task = watch->held.task;
    char of[32];
    if (task == NULL) { /* callbacks, destructors of task-locals */
        snprintf(watch->who, sizeof watch->who, "what runs outside of any task");
        return is_on(watch, worker);
    }
    skuai_slab_set_catch_up(&worker->sched->slabs);
    uint64_t word = skuai_load_64(&task->word, SKUAI_ACQUIRE); /* dump.c, L3. No model test runs this: as there */
    skuai_task_name_from_outside(worker->sched, task, of, sizeof of);
    snprintf(watch->who, sizeof watch->who, "task %" PRIu64 "%s%s%s, %s,", skuai_task_id(task),
             of[0] != '\0' ? " (" : "", of, of[0] != '\0' ? ")" : "", skuai_dump_kind(word));
    return is_on(watch, worker);
}

static const char *why_no_stack(enum skuai_interrupt_end end)
{
    switch (end) {
    case SKUAI_INTERRUPT_OVER:
        return "it has ended since, so there is no stack";
    case SKUAI_INTERRUPT_COVERED:
        return "the program handles the signal itself, so there is no stack: choose another watchdog_signal";
    case SKUAI_INTERRUPT_SILENT:
        return "its thread does not answer, so there is no stack";
    default:
        return "there is no stack to be had";
    }
}

static void say_future(struct skuai_watchdog *dog, skua_poll_fn *root)
{
    const struct skuai_future_info *info = root != NULL ? skuai_waits_info(root) : NULL;
    if (info != NULL)
        say(dog, "  which is the future %s of %s", info->name, info->file);
}

static void say_stack(struct skuai_watchdog *dog, const struct skuai_interrupt *interrupt)
{
    char symbol[LINE_BYTES - 32];
    for (size_t i = 0; i < interrupt->count; i++) {
        skuai_symbol(symbol, sizeof symbol, interrupt->addresses[i], i != 0);
        say(dog, "    %2zu: %s", i, symbol);
    }
}

static void show(struct skuai_watchdog *dog, struct skuai_watch *watch, struct skuai_worker *worker)
{
    struct skuai_interrupt *interrupt = &watch->interrupt;
    uint64_t now_ns = skuai_clock_now(), used_ns = skuai_thread_clock_ns(&worker->thread);
    char state = skuai_thread_state(skuai_load_32(&worker->thread.number, SKUAI_RELAXED)); /* a name, no more */
    char computes[64] = "";
    interrupt->polls = watch->held.polls;
    interrupt->task = watch->held.task;
    enum skuai_interrupt_end end = skuai_interrupt_ask(interrupt, &worker->thread, dog->signal, &dog->stops);
    bool has_stack = end == SKUAI_INTERRUPT_ANSWERED && interrupt->count != 0;
    if (watch->held_cpu_ns != 0 && used_ns != 0)
        snprintf(computes, sizeof computes, ", %" PRIu64 " ms of them computing",
                 (used_ns - watch->held_cpu_ns) / SKUA_MS);
    say(dog, "%s has held worker %u for %" PRIu64 " ms%s%s; %s", watch->who, worker->index,
        (now_ns - watch->held_since_ns) / SKUA_MS, computes,
        state == 'S' || state == 'D' ? ", and is blocked in a system call" : "",
        has_stack ? "it is in" : why_no_stack(end));
    if (has_stack) {
        say_future(dog, interrupt->root);
        say_stack(dog, interrupt);
    }
    if (dog->suppressed != 0)
        say(dog, "%" PRIu64 " more were held since the last report, and are not shown", dog->suppressed);
    dog->suppressed = 0;
}

/* E4. */
static void report(struct skuai_watchdog *dog, struct skuai_watch *watch, struct skuai_worker *worker)
{
    watch->is_shown = name(watch, worker) && may_show(dog, skuai_clock_now());
    if (watch->is_shown)
        show(dog, watch, worker);
    skuai_handoff_give(&watch->phase, SKUAI_WATCH_SAID); /* the guard's again */
}

/* E5. */
static void report_end(struct skuai_watchdog *dog, struct skuai_watch *watch, const struct skuai_worker *worker,
                       uint64_t over_ns)
{
    if (watch->is_shown)
        say(dog, "%s has given worker %u back after %" PRIu64 " ms", watch->who, worker->index,
            (over_ns - watch->held_since_ns) / SKUA_MS);
    skuai_handoff_give(&watch->phase, SKUAI_WATCH_QUIET); /* the guard's again */
}

static void report_all(struct skuai_watchdog *dog)
{
    struct skuai_scheduler *sched = dog->sched;
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++) {
        struct skuai_watch *watch = sched->workers[i]->watch;
        uint32_t phase = skuai_handoff_look(&watch->phase);
        if (phase == SKUAI_WATCH_HELD)
            report(dog, watch, sched->workers[i]);
        else if (phase == SKUAI_WATCH_OVER)
            report_end(dog, watch, sched->workers[i], watch->over_ns);
    }
}

/* E6. There is no guard any more: all records are the reporter's. */
static void report_rest(struct skuai_watchdog *dog)
{
    struct skuai_scheduler *sched = dog->sched;
    report_all(dog);
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        if (skuai_handoff_look(&sched->workers[i]->watch->phase) == SKUAI_WATCH_SAID)
            report_end(dog, sched->workers[i]->watch, sched->workers[i], skuai_clock_now());
    if (dog->suppressed != 0)
        say(dog, "%" PRIu64 " more were held since the last report, and are not shown", dog->suppressed);
}

static void watchdog_main(void *arg)
{
    struct skuai_watchdog *dog = arg;
    /* Relaxed: a token follows. */
    while (skuai_load_32(&dog->stops, SKUAI_RELAXED) == 0) {
        struct skuai_rest rest; /* it wakes nobody, so it does not keep deadlocks from being seen */
        report_all(dog);
        skuai_rest_begin(&rest, SKUAI_REST_GUARD, true);
        (void)skuai_env_park(&dog->sched->env, &dog->parker, SKUA_NEVER);
        skuai_rest_end(&rest, SKUAI_REST_GUARD, true);
    }
    report_rest(dog);
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

int skuai_watchdog_create(struct skuai_scheduler *sched, uint64_t after_ns, int signal)
{
    size_t workers = (size_t)sched->nworkers + sched->spares.max;
    size_t size = sizeof(struct skuai_watchdog) + workers * sizeof(struct skuai_watch);
    struct skuai_watchdog *dog = skuai_memory_get(sched, size);
    if (dog == NULL)
        return -ENOMEM;
    memset(dog, 0, size);
    dog->sched = sched;
    dog->after_ns = after_ns;
    dog->signal = signal;
    dog->size = size;
    dog->may_show = SHOWN_AT_ONCE;
    dog->earned_ns = skuai_clock_now();
    int rc = skuai_interrupt_install(signal);
    if (rc < 0)
        skuai_memory_put(sched, dog, size);
    else
        sched->watchdog = dog;
    return rc;
}

void skuai_watchdog_destroy(struct skuai_scheduler *sched)
{
    struct skuai_watchdog *dog = sched->watchdog;
    if (dog == NULL)
        return;
    skuai_interrupt_uninstall(dog->signal);
    skuai_memory_put(sched, dog, dog->size);
    sched->watchdog = NULL;
}

struct skuai_watch *skuai_watchdog_watch(struct skuai_scheduler *sched, uint32_t index)
{
    return sched->watchdog != NULL ? &sched->watchdog->of[index] : NULL;
}

int skuai_watchdog_start(struct skuai_scheduler *sched)
{
    struct skuai_watchdog *dog = sched->watchdog;
    if (dog == NULL)
        return 0;
    dog->thread = (struct skuai_thread){ .entry = watchdog_main, .arg = dog, .name = "skua-watchdog" };
    int rc = skuai_env_thread_start(&sched->env, &dog->thread, &dog->parker);
    dog->started = rc == 0;
    return rc;
}

void skuai_watchdog_stop(struct skuai_scheduler *sched)
{
    struct skuai_watchdog *dog = sched->watchdog;
    if (dog == NULL || !dog->started)
        return;
    skuai_store_32(&dog->stops, 1, SKUAI_RELAXED); /* the token orders it */
    skuai_env_unpark(&sched->env, &dog->parker);
    skuai_env_thread_join(&sched->env, &dog->thread);
    dog->started = false;
}

void skuai_watchdog_enter(struct skuai_worker *worker)
{
    if (worker->watch != NULL)
        skuai_interrupt_open(worker->sched->watchdog->signal);
}
