/* Timers (sched/timers.c, T1 and T2; timer_wheel.c): sleepers arm in their workers' wheels while two scanners expire.
 * No timer is forgotten: when all is over each has fired, or timer_next is no later than its deadline; none fires early
 * or twice; a scanner that sees a sleep's op sees what its sleeper wrote; a sleep that was withdrawn never fires (op.h,
 * O5).
 */
/* model-sources: sched/timers.c sched/timer_wheel.c */
/* model-defines: NDEBUG=1 */
#include <string.h>

#include "model/mc_internal.h"
#include "sched/scheduler.h"
#include "sched/sim.h"
#include "sched/wait.h"
#include "skua/time.h"

enum { WORKERS = 2, SLEEPS = 3, DUE = 10, NOW = 15, SOON = 17, LATER = 20 };

static struct skuai_scheduler sched;
static struct skuai_worker workers[WORKERS];
static struct skuai_worker *pointers[WORKERS], *self[MC_THREADS];
static skua_sleep_op sleeps[SLEEPS];
static uint64_t deadlines[SLEEPS];
static unsigned fired[SLEEPS];
static bool withdrawn[SLEEPS];
static int plain[SLEEPS]; /* what the sleeper wrote before it slept */
static uint64_t now; /* it does not go back for anybody */

/* ---- what timers.c asks of others ---- */

struct skuai_worker *skuai_worker_self(void) { return self[mc.current]; }
uint64_t skuai_sim_now(struct skuai_sim *sim) { (void)sim; return now; }
void skuai_sim_tick(struct skuai_sim *sim) { (void)sim; }
uint64_t skuai_clock_now(void) { return now; }
uint64_t skuai_entropy(void) { return 1; }
void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    (void)worker;
    skuai_store_32(&op->state, SKUAI_OP_ARMED, SKUAI_RELAXED);
}
skua_op *skuai_op_start(skua_op *op)
{
    ((const struct skuai_op_kind *)op->kind)->start(skuai_worker_self(), op, true);
    return op;
}
bool skuai_op_claim(skua_op *op)
{
    skuai_store_32(&op->state, SKUAI_OP_CLAIMED, SKUAI_RELAXED);
    return true;
}
int64_t skuai_call(skua_op *op) { (void)op; mc_fail("nobody waits here"); }
/* Nobody hastens anything: model_rate_limiter.c does. */
void skuai_schedule_wake_one(struct skuai_scheduler *of) { (void)of; mc_fail("nobody is hastened"); }
void skuai_sink_unhold(void *held) { (void)held; mc_fail("nobody is hastened"); }
void skuai_word_wake_real(skua_word32 *word) { (void)word; mc_fail("nobody is hastened"); }
void skuai_op_finish(skua_op *op, int64_t result)
{
    unsigned i = (unsigned)((skua_sleep_op *)(void *)op - sleeps);
    (void)result;
    mc_assert(i < SLEEPS && fired[i]++ == 0, "a sleep ended twice");
    mc_assert(deadlines[i] <= now, "a sleep ended early");
    mc_assert(SKUAI_READ(plain[i]) == 1, "the sleeper's doings are not seen");
}

/* ---- threads ---- */

static void arm(unsigned worker, unsigned i, uint64_t deadline)
{
    self[mc.current] = &workers[worker];
    if (deadline <= now)
        return; /* done at once */
    deadlines[i] = deadline;
    SKUAI_WRITE(plain[i], 1);
    skua_sleep_until_start(&sleeps[i], deadline);
}
static void armer_of_soon(void *arg) { arm(0, (unsigned)(uintptr_t)arg, SOON); }
static void armer_of_later(void *arg) { arm(1, (unsigned)(uintptr_t)arg, LATER); }
static void withdrawer(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    const struct skuai_op_kind *kind = sleeps[i].op.kind;
    if (!kind->withdraw(&sleeps[i].op))
        return; /* it will fire */
    withdrawn[i] = true;
    mc_free(&sleeps[i], sizeof sleeps[i]);
}
static void scanner(void *arg)
{
    (void)arg;
    now = NOW;
    /* As look_around(): a look at the bound, and only then. */
    if (now >= skuai_load_64(&sched.timer_next, SKUAI_RELAXED))
        skuai_timers_run(&sched, now);
}

static void reset(void)
{
    memset(&sched, 0, sizeof sched);
    memset(workers, 0, sizeof workers);
    memset(sleeps, 0, sizeof sleeps);
    memset(deadlines, 0, sizeof deadlines);
    memset(fired, 0, sizeof fired);
    memset(plain, 0, sizeof plain);
    memset(withdrawn, 0, sizeof withdrawn);
    memset(self, 0, sizeof self);
    now = 0;
    sched.nworkers = WORKERS;
    sched.workers = pointers;
    for (unsigned i = 0; i < WORKERS; i++) {
        pointers[i] = &workers[i];
        workers[i].sched = &sched;
        workers[i].task = (skua_task *)(void *)&workers[i]; /* inside of a task, which nobody looks at */
        skuai_wheel_init(&workers[i].wheel, 0);
        mc_name(&workers[i].wheel.lock, "w%u.lock", i);
        mc_name(&workers[i].wheel.next_ns, "w%u.next", i);
    }
    skuai_timers_init(&sched);
    mc_name(&sched.timer_next, "timer_next");
}

static void finish(void)
{
    uint64_t next = skuai_load_64(&sched.timer_next, SKUAI_RELAXED);
    for (unsigned i = 0; i < SLEEPS; i++)
        if (deadlines[i] != 0 && fired[i] == 0 && !withdrawn[i])
            mc_assert(next <= deadlines[i], "a timer is armed, and nobody will look when it has come");
    /* Whoever goes by timer_next finds them all. */
    now = LATER;
    while (skuai_load_64(&sched.timer_next, SKUAI_RELAXED) <= now)
        skuai_timers_run(&sched, now);
    for (unsigned i = 0; i < SLEEPS; i++)
        mc_assert(deadlines[i] == 0 || fired[i] == !withdrawn[i], "a timer was forgotten, or fired when withdrawn");
}

static void scanners_setup(void)
{
    reset();
    arm(0, 0, DUE);
    mc_thread(scanner, NULL);
    mc_thread(scanner, NULL);
    mc_thread(armer_of_later, (void *)1);
}
MC_TEST(scanners, .setup = scanners_setup, .finish = finish, .bound = 3, .stale = 3);

/* What is armed is earlier than what a scanner leaves. */
static void earlier_setup(void)
{
    reset();
    arm(1, 0, LATER);
    arm(0, 1, DUE);
    mc_thread(scanner, NULL);
    mc_thread(armer_of_soon, (void *)2);
}
MC_TEST(earlier, .setup = earlier_setup, .finish = finish, .bound = 4);

static void armers_setup(void)
{
    reset();
    arm(0, 0, DUE);
    mc_thread(scanner, NULL);
    mc_thread(armer_of_soon, (void *)1);
    mc_thread(armer_of_later, (void *)2);
}
MC_TEST(armers, .setup = armers_setup, .finish = finish, .bound = 3, .stale = 3);

static void withdrawn_setup(void)
{
    reset();
    arm(0, 0, DUE);
    mc_thread(scanner, NULL);
    mc_thread(withdrawer, (void *)0);
    mc_thread(armer_of_soon, (void *)1);
}
MC_TEST(withdrawn, .setup = withdrawn_setup, .finish = finish, .stale = 3);
