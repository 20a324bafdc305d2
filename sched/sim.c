/* The simulation. See sim.h, and docs in sched/DESIGN.md, "Simulation".
 *
 * Virtual threads are flows of control (context.h) of the OS thread that drives them. A virtual thread runs until it
 * reaches a switch point, parks or ends; then the driver chooses the next. All choices come from the seed: which
 * thread, how long each step took, and the seeds of the workers' own generators. No choice, and no line of the trace,
 * depends on an address, the real clock or another thread.
 *
 * Seeds differ in temper as well as in numbers: a seed's stickiness (how often the running thread simply goes on)
 * ranges from never to 15 times in 16, so that some seeds interleave finely and others let one thread run far ahead.
 *
 * When nobody is ready, time jumps to the earliest time-out. When there is none either, nothing can ever happen again:
 * a deadlock, and the driver says so.
 *
 * A machine is a simulation of another kind, for what cannot be seen on few processors. Each virtual thread has a
 * clock of its own, which runs while the thread computes and at switch points, by what these cost on real machines; the
 * driver always lets the one go on that is furthest behind. So a thread sees what others had done by its own time, and
 * the virtual time is that of a machine with as many processors as there are threads. Not in it: memory bandwidth, and
 * contention for cache lines, but for the turns that waiting for a lock takes.
 */
#define _GNU_SOURCE
#include "sched/sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/context.h"
#include "sched/overflow.h"
#include "sched/parker.h"
#include "sched/scheduler.h"
#include "skua/runtime.h"

enum { SIM_STACK_BYTES = 512 * 1024, STEP_MIN_NS = 20, STEP_RANGE_NS = 2000, TICK_NS = 20 };
/* What a machine's steps cost, of the order measured: a miss in a line that another processor has written is 100 ns; a
 * futex's wake 5 µs for who wakes, and 20 µs until the other runs. */
static const uint32_t point_ns[SKUAI_POINTS] = {
    [SKUAI_POINT_RUN] = 50,     [SKUAI_POINT_PUSH] = 20,  [SKUAI_POINT_TAKE] = 20,  [SKUAI_POINT_STEAL] = 100,
    [SKUAI_POINT_WAKE] = 20,    [SKUAI_POINT_CLAIM] = 20, [SKUAI_POINT_SHARE] = 50, [SKUAI_POINT_SPIN] = 40,
    [SKUAI_POINT_SETTLE] = 200, [SKUAI_POINT_CHUNK] = 20,
};
enum { LATE_STEPS = 60 }; /* a cancellation that is late: by less than this */
enum { WAKER_NS = 5000, WAKE_NS = 20000, JITTER_OF_256 = 64 };

/* What lies so far ahead never comes: the time does not wrap. */
static const uint64_t far_ns = UINT64_C(1) << 63;
/* not 0, so that arithmetic on "now minus a little" is tested as usual */
static const uint64_t first_instant_ns = SKUA_S;

enum vthread_state { ABSENT, READY, PARKED, ENDED };

struct vthread {
    enum vthread_state state;
    struct skuai_thread *thread;
    struct skuai_parker *parker;
    uint64_t deadline_ns; /* while PARKED */
    void *stack;
};

struct machine {
    uint64_t *due_ns; /* of each virtual thread: when it goes on, as far as is known; NEVER: when another makes it */
    uint64_t next_ns; /* at least: when another than the running one goes on */
};

/* Cancel everywhere (sim.h). */
struct cancelling {
    uint64_t number; /* of the question; 0: off */
    bool late;
    uint64_t asked;
    skua_waker victim; /* who is to be cancelled late, or none */
    uint64_t due_step;
};

struct skuai_sim {
    uint64_t random;
    uint64_t now_ns; /* the running thread's */
    uint64_t steps;
    uint32_t stay_of_16; /* the chance that the running thread goes on at a switch point */
    uint32_t count, running;
    bool inside; /* a virtual thread is running */
    pthread_t owner;
    struct skuai_context driver;
    struct skuai_sim_config config;
    struct machine machine;
    struct cancelling cancelling;
    struct vthread threads[];
};

static const char *const point_names[SKUAI_POINTS] = {"run",  "push",   "take",  "steal",
                                                      "wake", "settle", "claim", "share", "spin", "chunk"};

static void trace(struct skuai_sim *sim, const char *what, uint64_t number)
{
    char line[96];
    if (sim->config.trace == NULL)
        return;
    int length = snprintf(line, sizeof line, "%llu %llu t%u %s %llu\n", (unsigned long long)sim->steps,
                          (unsigned long long)sim->now_ns, sim->running, what, (unsigned long long)number);
    sim->config.trace(sim->config.trace_context, line, (size_t)length);
}

int skuai_sim_create(struct skuai_sim **out, const struct skuai_sim_config *config)
{
    struct skuai_sim *sim = calloc(1, sizeof *sim + config->threads_max * sizeof sim->threads[0]);
    *out = sim;
    if (sim == NULL)
        return -ENOMEM;
    sim->config = *config;
    if (config->is_machine && (sim->machine.due_ns = calloc(config->threads_max, sizeof(uint64_t))) == NULL) {
        free(sim);
        *out = NULL;
        return -ENOMEM;
    }
    sim->random = config->seed;
    sim->now_ns = first_instant_ns;
    sim->stay_of_16 = skuai_random_below(&sim->random, 16);
    sim->owner = pthread_self();
    return 0;
}

/* Above a page that nobody may touch. */
static void *map_stack(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *base = mmap(NULL, guard + SIM_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    (void)mprotect(base, guard, PROT_NONE); /* refused: as good a stack as any, without a guard */
    return base + guard;
}

static void unmap_stack(void *stack)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    if (stack != NULL)
        (void)munmap((char *)stack - guard, guard + SIM_STACK_BYTES);
}

void skuai_sim_destroy(struct skuai_sim *sim)
{
    for (uint32_t i = 0; i < sim->count; i++)
        unmap_stack(sim->threads[i].stack);
    free(sim->machine.due_ns);
    free(sim);
}

bool skuai_sim_is_owner(const struct skuai_sim *sim) { return pthread_equal(sim->owner, pthread_self()) != 0; }
bool skuai_sim_is_inside(const struct skuai_sim *sim) { return sim->inside; }
uint64_t skuai_sim_now(struct skuai_sim *sim) { return sim->now_ns; }
void skuai_sim_tick(struct skuai_sim *sim) { sim->now_ns += sim->inside ? TICK_NS : 0; }
uint64_t skuai_sim_entropy(struct skuai_sim *sim) { return skuai_random_next(&sim->random); }
uint64_t skuai_sim_steps(const struct skuai_sim *sim) { return sim->steps; }

static struct vthread *running(struct skuai_sim *sim) { return &sim->threads[sim->running]; }

/* ---- a machine's clocks -------------------------------------------------------------------------------------- */

static void set_due(struct skuai_sim *sim, const struct vthread *vthread, uint64_t due_ns)
{
    if (sim->machine.due_ns == NULL)
        return;
    sim->machine.due_ns[vthread - sim->threads] = due_ns;
    if (due_ns < sim->machine.next_ns)
        sim->machine.next_ns = due_ns;
}

/* Whoever is furthest behind, and how far others are. */
static bool choose_earliest(struct skuai_sim *sim, uint64_t until_ns)
{
    const uint64_t *due_ns = sim->machine.due_ns;
    uint64_t first = SKUA_NEVER, second = SKUA_NEVER;
    for (uint32_t i = 0; i < sim->count; i++) {
        if (due_ns[i] < first) {
            second = first;
            first = due_ns[i];
            sim->running = i;
        } else if (due_ns[i] < second) {
            second = due_ns[i];
        }
    }
    if (first == SKUA_NEVER || first > until_ns)
        return false;
    running(sim)->state = READY;
    sim->now_ns = first;
    sim->machine.next_ns = second;
    return true;
}

/* ---- inside a virtual thread --------------------------------------------------------------------------------- */

static void to_driver(struct skuai_sim *sim)
{
    skuai_context_switch(*running(sim)->thread->flow, &sim->driver);
}

/* Time passes on the running thread's processor. Others go on first if their time comes before. */
static void pass(struct skuai_sim *sim, uint64_t ns, const char *what)
{
    sim->now_ns += ns;
    if (sim->now_ns <= sim->machine.next_ns)
        return;
    trace(sim, what, ns);
    sim->machine.due_ns[sim->running] = sim->now_ns;
    to_driver(sim);
}

/* Nothing takes exactly as long as the last time. */
static uint64_t jitter(struct skuai_sim *sim, uint64_t ns)
{
    return ns + ((ns * skuai_random_below(&sim->random, JITTER_OF_256)) >> 8);
}

void skua_sim_compute(uint64_t ns)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_sim *sim = worker != NULL ? worker->sched->env.sim : NULL;
    if (sim == NULL || !sim->inside)
        return;
    if (sim->config.is_machine) {
        pass(sim, ns, "compute");
        return;
    }
    sim->now_ns += ns;
    trace(sim, "compute", ns);
    to_driver(sim);
}

static void vthread_main(void *arg)
{
    struct vthread *self = arg;
    struct skuai_sim *sim = self->thread->env->sim;
    self->thread->entry(self->thread->arg);
    self->state = ENDED;
    set_due(sim, self, SKUA_NEVER);
    skuai_context_exit(self->thread->base, &sim->driver);
}

int skuai_sim_thread_start(struct skuai_sim *sim, struct skuai_thread *thread, struct skuai_parker *parker)
{
    if (sim->count == sim->config.threads_max)
        return -EAGAIN;
    void *stack = map_stack();
    if (stack == NULL)
        return -EAGAIN;
    struct vthread *vthread = &sim->threads[sim->count];
    *vthread = (struct vthread){ .state = READY, .thread = thread, .parker = parker, .stack = stack };
    thread->handle = sim->count;
    parker->sim_index = sim->count++;
    set_due(sim, vthread, sim->now_ns);
    skuai_context_make(thread->base, stack, SIM_STACK_BYTES, vthread_main, vthread);
    return 0;
}

void skuai_sim_thread_join(struct skuai_sim *sim, struct skuai_thread *thread)
{
    struct vthread *vthread = &sim->threads[thread->handle];
    const skua_word32 never = { 0 };
    if (vthread->state != ENDED)
        /* runs until all have ended or sleep for ever: whoever is joined was told to stop */
        skuai_sim_run(sim, &never, 1);
    skuai_context_fini(thread->base);
    unmap_stack(vthread->stack);
    vthread->stack = NULL;
}

void skuai_sim_point(struct skuai_sim *sim, enum skuai_point point)
{
    if (!sim->inside) /* a call from the driver's own thread, e.g. a spawn before the start */
        return;
    if (sim->config.is_machine) {
        pass(sim, jitter(sim, point_ns[point]), point_names[point]);
        return;
    }
    if (point != SKUAI_POINT_SPIN && skuai_random_below(&sim->random, 16) < sim->stay_of_16)
        return;
    trace(sim, point_names[point], 0);
    to_driver(sim);
}

void skuai_sim_run_point(struct skuai_sim *sim, skua_word64 *task_word)
{
    if (SKUAI_UNLIKELY(sim->cancelling.number != 0))
        skuai_or_64(task_word, SKUAI_TASK_WATCHED, SKUAI_RELAXED); /* all is one thread's */
    skuai_sim_point(sim, SKUAI_POINT_RUN);
}

bool skuai_sim_park(struct skuai_sim *sim, struct skuai_parker *parker, uint64_t deadline_ns)
{
    struct vthread *self = running(sim);
    if (skuai_parker_begin(parker, SKUAI_PARKER_PARKED))
        return true;
    self->state = PARKED;
    self->deadline_ns = deadline_ns < far_ns ? deadline_ns : SKUA_NEVER;
    set_due(sim, self, self->deadline_ns > sim->now_ns ? self->deadline_ns : sim->now_ns);
    trace(sim, "park", deadline_ns);
    to_driver(sim);
    return skuai_parker_end(parker);
}

bool skuai_sim_unpark(struct skuai_sim *sim, struct skuai_parker *parker)
{
    if (skuai_parker_give(parker) != SKUAI_PARKER_PARKED) /* nobody polls in a simulation */
        return false;
    struct vthread *sleeper = &sim->threads[parker->sim_index];
    if (sleeper->state == PARKED) {
        sleeper->state = READY;
        set_due(sim, sleeper, sim->now_ns + (sim->inside ? jitter(sim, WAKE_NS) : 0));
        if (sim->config.is_machine && sim->inside)
            pass(sim, jitter(sim, WAKER_NS), "unpark");
    }
    return true;
}

/* ---- cancel everywhere --------------------------------------------------------------------------------------- */

void skuai_sim_cancel_at(struct skuai_sim *sim, uint64_t number, bool late)
{
    sim->cancelling = (struct cancelling){ .number = number, .late = late };
}

uint64_t skuai_sim_questions(const struct skuai_sim *sim) { return sim->cancelling.asked; }

void skuai_sim_asked(struct skuai_sim *sim, skua_task *task)
{
    struct cancelling *cancelling = &sim->cancelling;
    if (++cancelling->asked != cancelling->number)
        return;
    trace(sim, "cancel", skuai_task_id(task));
    if (cancelling->late) {
        cancelling->victim = skua_task_waker(task);
        cancelling->due_step = sim->steps + 1 + skuai_random_below(&sim->random, LATE_STEPS);
    } else {
        (void)skuai_task_word_cancel(&task->word); /* it runs, so nobody has to queue it */
    }
}

/* True: somebody has been cancelled. */
static bool cancel_late(struct skuai_sim *sim, bool nobody_is_ready)
{
    struct cancelling *cancelling = &sim->cancelling;
    skua_waker victim = cancelling->victim;
    if (victim.task == NULL || (!nobody_is_ready && sim->steps < cancelling->due_step))
        return false;
    cancelling->victim.task = NULL;
    skua_waker_cancel(victim);
    return true;
}

/* ---- the driver ---------------------------------------------------------------------------------------------- */

static bool choose_ready(struct skuai_sim *sim)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < sim->count; i++)
        ready += sim->threads[i].state == READY;
    if (ready == 0)
        return false;
    uint32_t chosen = skuai_random_below(&sim->random, ready);
    for (uint32_t i = 0; i < sim->count; i++)
        if (sim->threads[i].state == READY && chosen-- == 0)
            sim->running = i;
    return true;
}

static uint64_t earliest_deadline(const struct skuai_sim *sim)
{
    uint64_t earliest = SKUA_NEVER;
    for (uint32_t i = 0; i < sim->count; i++)
        if (sim->threads[i].state == PARKED && sim->threads[i].deadline_ns < earliest)
            earliest = sim->threads[i].deadline_ns;
    return earliest;
}

static void wake_expired(struct skuai_sim *sim)
{
    for (uint32_t i = 0; i < sim->count; i++)
        if (sim->threads[i].state == PARKED && sim->threads[i].deadline_ns <= sim->now_ns)
            sim->threads[i].state = READY;
}

/* One step of one virtual thread. */
static void step(struct skuai_sim *sim)
{
    struct skuai_thread *thread = running(sim)->thread;
    sim->steps++;
    if (!sim->config.is_machine)
        sim->now_ns += STEP_MIN_NS + skuai_random_below(&sim->random, STEP_RANGE_NS);
    trace(sim, "step", 0);
    sim->inside = true;
    struct skuai_worker *outer = skuai_worker_self(); /* a simulation may run inside a task of another runtime */
    skuai_worker_set_self(thread->worker);
    skuai_context_switch(&sim->driver, *thread->flow);
    skuai_worker_set_self(outer);
    sim->inside = false;
}

static bool choose(struct skuai_sim *sim, uint64_t until_ns)
{
    if (sim->config.is_machine)
        return choose_earliest(sim, until_ns);
    wake_expired(sim);
    return choose_ready(sim);
}

int skuai_sim_run_until(struct skuai_sim *sim, const skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    if (!skuai_sim_is_owner(sim) || sim->inside)
        return -EPERM;
    int rc = 0;
    struct skuai_overflow_thread signal_stack;
    int no_signal_stack = skuai_overflow_thread_init(&signal_stack);
    (void)no_signal_stack; /* as for a worker: without one an overflow ends in a bare fault */
    skuai_context_init_thread(&sim->driver);
    while (skuai_load_32(word, SKUAI_RELAXED) != value) { /* all that sets it is this thread */
        cancel_late(sim, false);
        if (choose(sim, until_ns)) {
            step(sim);
            continue;
        }
        if (cancel_late(sim, true))
            continue;
        uint64_t next = earliest_deadline(sim);
        if (next == SKUA_NEVER || next > until_ns) {
            rc = next == SKUA_NEVER && until_ns == SKUA_NEVER ? -EDEADLK : -ETIMEDOUT;
            if (until_ns != SKUA_NEVER && sim->now_ns < until_ns)
                sim->now_ns = until_ns;
            break;
        }
        sim->now_ns = next;
    }
    skuai_context_fini(&sim->driver);
    skuai_overflow_thread_fini(&signal_stack);
    return rc;
}

int skuai_sim_run(struct skuai_sim *sim, const skua_word32 *word, uint32_t value)
{
    return skuai_sim_run_until(sim, word, value, SKUA_NEVER);
}
