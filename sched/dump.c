/* A look at every task while all of them run.
 *
 * Task memory is type-stable (slab.h), so the state word of any slot may be read at any time. What more may be read
 * depends on it:
 *   L1 hold    of a task that waits R is taken, as by a wake (task_word.h), under the lookers' lock. From then on
 *              nobody runs it, so it neither changes nor ends nor is freed, and all that is its own lies still: its
 *              frames or its stack, its registers, the op that it awaits. Who completes that op may write the op's
 *              state and result meanwhile, and who wakes the task sets N; neither waits for the look. Of what is not
 *              the task's own nothing is touched: a task that it joins may end, and so may its runtime, so that is
 *              asked for with the op pinned (join.c, J6).
 *   L2 release R is given back; if N was set meanwhile the look queues the task, which no other thread did.
 *   L3 glance  a task that is running, queued or ended is not held, since it may be freed at any moment: state, kind
 *              and age come from the one word, its name from where it waits for readers (task_more.c). Then the word is
 *              read once more: if the generation is the same all of it was one task's. If the task has come to wait in
 *              between it is held after all, a few times.
 *   L4 relate  who joins whom is known to joiners alone, so all who wait are held once before, and what they join is
 *              noted. It is as old as that when it is said.
 * What is read under a hold is put together in memory that was got before, and given out after it: so a hold takes a
 * few microseconds, for which the task, if it is woken, and that one alone, comes later. (As for any short lock: if who
 * looks loses its processor meanwhile it takes longer.) The lock is for lookers only, so that none takes the other's
 * hold for a run.
 *
 * What a worker runs is a word of the worker's (scheduler.h); that the task which it names still runs nobody knows by
 * the time it is said. Tasks that are spawned meanwhile may be missed, tasks that end may be; none is shown twice in
 * one slot.
 * Model: tests/model/model_task_word.c (looked_at, two_lookers, looked_at_to_the_end).
 */
#include "sched/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sched/awaited.h"
#include "sched/backtrace.h"
#include "sched/deadlock.h"
#include "sched/member.h"
#include "sched/parker.h"
#include "sched/spawn.h"

enum {
    TEXT_BYTES = 16384,  /* of one task; the rest is left out */
    LINE_BYTES = 512,
    FRAMES_MAX = 64,
    FUTURES_MAX = 32,
    GLANCES = 4,         /* until a task that comes to wait is let be */
    RELATIONS_FIRST = 64 /* a power of two */
};

struct relation {
    uint64_t child, parent; /* ids, the child's plus one: zero is free */
    uint32_t generation;    /* the child's */
};

/* A hash table. If there is no memory for more it keeps what it has. */
struct relations {
    struct relation *table;
    uint32_t size, count;
};

struct look {
    struct skuai_waits waits; /* first: say_line() */
    struct skuai_scheduler *sched;
    skua_dump_fn *line;
    void *context;
    uint64_t shown;
    struct relations relations;
    /* what one task is, in lines that end with a zero each */
    size_t used;
    char text[TEXT_BYTES];
    /* where it is, if it waits: in which futures, and of fibers in which functions */
    size_t futures, frames;
    struct skuai_in_future in[FUTURES_MAX];
    void *addresses[FRAMES_MAX];
    size_t stack_used, stack_size;
};

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void say_line(struct skuai_waits *waits, const char *text)
{
    struct look *look = (struct look *)(void *)waits;
    size_t size = strlen(text) + 1;
    if (size > TEXT_BYTES - look->used)
        return;
    memcpy(look->text + look->used, text, size);
    look->used += size;
}

__attribute__((format(printf, 2, 3))) static void say(struct look *look, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say_line(&look->waits, line);
}

/* After the hold: for a name the loader is asked, which has a lock. */
static void say_futures(struct look *look)
{
    char symbol[LINE_BYTES - 64];
    for (size_t i = 0; i < look->futures; i++) {
        const struct skuai_in_future *in = &look->in[i];
        if (in->name != NULL) {
            say(look, "  in the future %s at %s:%u", in->name, in->file, in->line);
        } else {
            skuai_symbol(symbol, sizeof symbol, (void *)(uintptr_t)in->poll, false);
            say(look, "  in a future, at line %u, polled by %s", in->line, symbol);
        }
    }
    look->futures = 0;
}

static void say_frames(struct look *look)
{
    char symbol[LINE_BYTES - 64];
    if (look->stack_size != 0)
        say(look, "  has %zu of %zu bytes of stack in use%s", look->stack_used, look->stack_size,
            look->frames != 0 ? ", and is in" : "");
    look->stack_size = 0;
    for (size_t i = 0; i < look->frames; i++) {
        skuai_symbol(symbol, sizeof symbol, look->addresses[i], i != 0);
        say(look, "    %2zu: %s", i, symbol);
    }
    look->frames = 0;
}

static void give_out(struct look *look)
{
    for (size_t at = 0, length; at < look->used; at += length + 1) {
        length = strlen(look->text + at);
        look->line(look->context, look->text + at, length);
    }
    look->used = 0;
}

/* ---- L4: who joins whom ------------------------------------------------------------------------------------------ */

/* Where the child is, or would be: there is a free place. */
static struct relation *find_relation(const struct relations *of, uint64_t child)
{
    uint32_t at = (uint32_t)(child * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (of->size - 1);
    while (of->table[at].child != 0 && of->table[at].child != child + 1)
        at = (at + 1) & (of->size - 1);
    return &of->table[at];
}

/* False: there is no memory. */
static bool make_room(struct look *look)
{
    struct relations *of = &look->relations, old = *of;
    if (2 * (uint64_t)of->count < of->size)
        return true;
    of->size = old.size != 0 ? 2 * old.size : RELATIONS_FIRST;
    of->table = of->size != 0 ? skuai_memory_get(look->sched, of->size * sizeof *of->table) : NULL;
    if (of->table == NULL) {
        *of = old;
        return false;
    }
    memset(of->table, 0, of->size * sizeof *of->table);
    for (uint32_t i = 0; i < old.size; i++)
        if (old.table[i].child != 0)
            *find_relation(of, old.table[i].child - 1) = old.table[i];
    if (old.table != NULL)
        skuai_memory_put(look->sched, old.table, old.size * sizeof *old.table);
    return true;
}

struct joins {
    uint64_t joiner;
    struct relation found[16]; /* by one task; others are not said */
    uint32_t count;
};

static void note_join(void *context, skua_op *op)
{
    struct joins *joins = context;
    uint64_t child;
    uint32_t generation;
    if (joins->count < sizeof joins->found / sizeof joins->found[0] && skuai_waits_joined(op, &child, &generation))
        joins->found[joins->count++] = (struct relation){ child + 1, joins->joiner, generation };
}

static const struct relation *relation_of(const struct look *look, uint64_t child, uint64_t word)
{
    if (look->relations.count == 0)
        return NULL;
    const struct relation *found = find_relation(&look->relations, child);
    return found->child != 0 && found->generation == skuai_task_generation(word) ? found : NULL;
}

/* ---- L1, L2 ------------------------------------------------------------------------------------------------------ */

static bool hold(struct look *look, skua_task *task, uint64_t *word)
{
    skuai_lock_acquire(&look->sched->looking);
    if (skuai_task_word_hold(&task->word, word))
        return true;
    skuai_lock_release(&look->sched->looking);
    return false;
}

static void release(struct look *look, skua_task *task)
{
    enum skuai_task_verdict verdict = skuai_task_word_pause(&task->word);
    skuai_lock_release(&look->sched->looking);
    if (verdict == SKUAI_TASK_ENQUEUE)
        skuai_schedule_woken(task);
}

static void relate_task(void *context, skua_task *task)
{
    struct look *look = context;
    struct joins joins = { .joiner = skuai_task_id(task) };
    uint64_t word;
    if (!hold(look, task, &word))
        return;
    skuai_task_each_awaited(task, note_join, &joins);
    release(look, task);
    for (uint32_t i = 0; i < joins.count && make_room(look); i++) {
        struct relation *place = find_relation(&look->relations, joins.found[i].child - 1);
        look->relations.count += place->child == 0;
        *place = joins.found[i];
    }
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

/* In a runtime that is older than ages can be they are known modulo that. */
static size_t add_age(const struct look *look, char *line, size_t size, uint64_t word)
{
    const uint64_t wrap_ns = UINT64_C(1) << (SKUAI_TASK_BORN_NS_SHIFT + SKUAI_TASK_BORN_BITS);
    uint64_t now = skuai_env_now(&look->sched->env), age_ns = skuai_task_age_ns(word, now);
    bool is_certain = now - look->sched->started_ns < wrap_ns;
    return (size_t)snprintf(line, size, "  age %s%" PRIu64 " s", is_certain ? "" : "at least ", age_ns / SKUA_S);
}

/* `owner`: the group's number; 0: not known. */
static void say_details(struct look *look, const skua_task *task, uint64_t word, uint32_t owner)
{
    char line[LINE_BYTES];
    size_t at = add_age(look, line, sizeof line, word);
    const struct relation *relation = relation_of(look, skuai_task_id(task), word);
    if (owner != 0)
        at += (size_t)snprintf(line + at, sizeof line - at, ", a member of object %u", owner);
    else if (word & SKUAI_TASK_MEMBER)
        at += (size_t)snprintf(line + at, sizeof line - at, ", a member");
    if (relation != NULL)
        at += (size_t)snprintf(line + at, sizeof line - at, ", joined by task %" PRIu64, relation->parent);
    else if (word & SKUAI_TASK_JOINER)
        at += (size_t)snprintf(line + at, sizeof line - at, ", joined");
    else if (!(word & (SKUAI_TASK_HANDLE | SKUAI_TASK_MEMBER | SKUAI_TASK_JOB)))
        at += (size_t)snprintf(line + at, sizeof line - at, ", detached");
    if (word & SKUAI_TASK_CANCEL)
        snprintf(line + at, sizeof line - at, ", cancelled");
    say_line(&look->waits, line);
}

static void note_stack(struct look *look, skua_task *task)
{
    const struct skuai_fiber *fiber = SKUAI_TASK_BODY(task);
    if (!fiber->started)
        return;
    const char *top = (const char *)fiber->stack.low + fiber->stack.size;
    look->stack_used = (size_t)(top - (const char *)skuai_context_stack_pointer(&fiber->context));
    look->stack_size = fiber->stack.size;
    look->frames = skuai_backtrace(&fiber->context, look->addresses, FRAMES_MAX);
}

/* Under a hold. */
static void say_waiting(struct look *look, skua_task *task, uint64_t word)
{
    uint32_t owner = 0;
    if ((word & SKUAI_TASK_MEMBER) && task->member->owner->kind->is_group)
        owner = skuai_waits_number(&look->waits, task->member->owner);
    else
        word &= ~(uint64_t)SKUAI_TASK_MEMBER;
    skuai_waits_of_waiting(&look->waits, task);
    say_details(look, task, word, owner);
    look->futures = skuai_waits_futures(task, look->in, FUTURES_MAX);
    if (task->run == skuai_fiber_run)
        note_stack(look, task);
}

const char *skuai_dump_kind(uint64_t word)
{
    switch (word & SKUAI_TASK_KIND) {
    case SKUAI_TASK_FIBER:
        return "a fiber";
    case SKUAI_TASK_JOB:
        return "a job";
    default:
        return "a future";
    }
}

static bool find_runner(const struct skuai_scheduler *sched, const skua_task *task, uint32_t *worker)
{
    uint32_t all = skuai_workers_all(sched);
    for (*worker = 0; *worker < all; ++*worker)
        if (skuai_load_ptr(&sched->workers[*worker]->shown_task, SKUAI_RELAXED) == task) /* as it is now */
            return true;
    return false;
}

static void say_name(struct look *look, char *line, size_t size, const char *before, const skua_task *task)
{
    char name[32];
    skuai_task_name_from_outside(look->sched, task, name, sizeof name);
    snprintf(line, size, "%stask %" PRIu64 "%s%s%s", before, skuai_task_id(task), name[0] != '\0' ? " (" : "", name,
             name[0] != '\0' ? ")" : "");
}

static void say_glance(struct look *look, const skua_task *task, uint64_t word)
{
    char who[64];
    uint32_t worker;
    say_name(look, who, sizeof who, "", task);
    if (word & SKUAI_TASK_ENDED)
        say(look, "%s, %s, has ended and was not joined", who, skuai_dump_kind(word));
    else if (find_runner(look->sched, task, &worker))
        say(look, "%s, %s, runs on worker %u", who, skuai_dump_kind(word), worker);
    else
        say(look, "%s, %s, is ready", who, skuai_dump_kind(word));
    say_details(look, task, word, 0);
}

/* L3. True: it is said, or the task is gone. False: it waits by now. */
static bool glance(struct look *look, const skua_task *task, uint64_t word, bool is_last)
{
    say_glance(look, task, word);
    /* Acquire, of the word before and of the name: what is read after them is not older. Relaxed is enough here. */
    uint64_t after = skuai_load_64(&task->word, SKUAI_RELAXED);
    bool is_same = (after & SKUAI_TASK_ALIVE) && skuai_task_generation(after) == skuai_task_generation(word);
    bool waits = is_same && !(after & (SKUAI_TASK_RUNNING | SKUAI_TASK_ENDED));
    if (!is_same || (waits && !is_last))
        look->used = 0;
    return !waits || is_last;
}

static void show_task(void *context, skua_task *task)
{
    struct look *look = context;
    uint64_t word;
    bool is_said = false;
    for (int tries = 0; !is_said && tries < GLANCES; tries++) {
        if (hold(look, task, &word)) {
            say_waiting(look, task, word);
            release(look, task);
            say_futures(look);
            say_frames(look);
            is_said = true;
        } else {
            is_said = !(word & SKUAI_TASK_ALIVE) || glance(look, task, word, tries == GLANCES - 1);
        }
    }
    look->shown += look->used != 0;
    give_out(look);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void say_counters(struct look *look, const struct skuai_counters *of)
{
    /* Relaxed: counters. */
    uint64_t spawned = skuai_load_64(&of->spawned, SKUAI_RELAXED), ended = skuai_load_64(&of->ended, SKUAI_RELAXED);
    uint64_t polls = skuai_load_64(&of->polls, SKUAI_RELAXED), parks = skuai_load_64(&of->parks, SKUAI_RELAXED);
    uint64_t wakes = skuai_load_64(&of->wakes, SKUAI_RELAXED), stolen = skuai_load_64(&of->stolen, SKUAI_RELAXED);
    uint64_t timers = skuai_count_sum(of->timers.counts, SKUA_LATES);
    uint64_t steals = skuai_count_sum(of->steals_at, SKUA_DISTANCES);
    uint64_t attempts = skuai_load_64(&of->steal_attempts, SKUAI_RELAXED);
    uint64_t overflows = skuai_load_64(&of->overflows, SKUAI_RELAXED);
    uint64_t injected = skuai_load_64(&of->injected, SKUAI_RELAXED);
    uint64_t looked = skuai_load_64(&of->events_looked, SKUAI_RELAXED);
    uint64_t slept = skuai_load_64(&of->events_slept, SKUAI_RELAXED);
    say(look,
        "  since the start: %" PRIu64 " spawned, %" PRIu64 " ended, %" PRIu64 " runs, %" PRIu64 " sleeps, %" PRIu64
        " wakes, %" PRIu64 " timers",
        spawned, ended, polls, parks, wakes, timers);
    say(look,
        "  and: %" PRIu64 " tasks by %" PRIu64 " steals of %" PRIu64 " tried, %" PRIu64 " overflows, %" PRIu64
        " injected, %" PRIu64 " events looked for, %" PRIu64 " slept for",
        stolen, steals, attempts, overflows, injected, looked, slept);
}

static void say_worker(struct look *look, const struct skuai_worker *worker)
{
    char what[64];
    /* As they are now: what it says of one moment no other thread can know. */
    const skua_task *task = skuai_load_ptr(&worker->shown_task, SKUAI_RELAXED);
    uint32_t parker = skuai_load_32(&worker->parker.token, SKUAI_RELAXED);
    if (task != NULL)
        skuai_slab_set_catch_up(&look->sched->slabs);
    if (task != NULL)
        say_name(look, what, sizeof what, "runs ", task);
    else
        snprintf(what, sizeof what, "%s", parker >= SKUAI_PARKER_POLLING  ? "sleeps in the poller"
                                          : parker == SKUAI_PARKER_PARKED ? "sleeps"
                                                                          : "looks for work");
    say(look, "worker %u%s %s; queued: %" PRIu64 " in the deque, %" PRIu64 " in the inbox, %d in the next-slot",
        worker->index, worker->is_spare ? ", a spare," : "", what, skuai_deque_count(&worker->deque),
        skuai_deque_count(&worker->inbox), skuai_load_ptr(&worker->next, SKUAI_RELAXED) != NULL);
    say_counters(look, &worker->counters);
    give_out(look);
}

static void say_runtime(struct look *look)
{
    static const char *const stages[] = { "", ", refuses spawns from outside", ", cancels its tasks", ", stops",
                                          ", has stopped with tasks left" };
    struct skuai_scheduler *sched = look->sched;
    uint32_t spares = skuai_workers_all(sched) - sched->nworkers;
    char extra[64] = "";
    if (spares != 0)
        snprintf(extra, sizeof extra, ", %u spare ones, %u of them at work", spares,
                 skuai_load_32(&sched->spares.active, SKUAI_RELAXED)); /* about */
    say(look, "skua dump: %" PRIu64 " tasks live, %" PRIu64 " in the injection queue, %u workers%s%s",
        skuai_scheduler_live(sched), skuai_inject_count(&sched->inject), sched->nworkers, extra,
        stages[skuai_load_32(&sched->stage, SKUAI_RELAXED)]);
    give_out(look);
    for (uint32_t i = 0; i < skuai_workers_all(sched); i++)
        say_worker(look, sched->workers[i]);
}

int skuai_dump(struct skuai_scheduler *sched, skua_dump_fn *line, void *context)
{
    struct look *look = skuai_memory_get(sched, sizeof *look);
    if (look == NULL)
        return -ENOMEM;
    look->waits = (struct skuai_waits){ .sched = sched, .say = say_line };
    look->sched = sched;
    look->line = line;
    look->context = context;
    look->shown = look->used = look->futures = look->frames = look->stack_size = 0;
    look->relations = (struct relations){ .table = NULL };
    skuai_scheduler_each_task(sched, relate_task, look);
    say_runtime(look);
    skuai_scheduler_each_task(sched, show_task, look);
    say(look, "skua dump: end, %" PRIu64 " tasks shown", look->shown);
    give_out(look);
    if (look->relations.table != NULL)
        skuai_memory_put(sched, look->relations.table, look->relations.size * sizeof *look->relations.table);
    skuai_memory_put(sched, look, sizeof *look);
    return 0;
}
