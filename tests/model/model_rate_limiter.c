/* Rate limiters (sync/rate_limiter.c, L1 … L6): turns come as they should and to all, and one that is given up while it
 * comes makes the next one come earlier. Timers are a list here, and time is what the timer thread says.
 */
/* model-sources: sched/op.c sync/rate_limiter.c */
#include "model/waits.h"
#include "sched/timers.h"
#include "skua/rate_limiter.h"
#include "skua/time.h"

enum { PERIOD = 10, LONG = 1000000, NEVER = 100000, TIMERS = 4 };

static skua_rate_limiter limiter;
static struct { skua_rate_limiter_op op, other; struct skuai_select word; } mine[3];
static skua_rate_limiter quiet;
static int64_t got[3];
static uint64_t at[3]; /* the turn that was granted; time itself leaps here */
static uint64_t now;
static skua_word32 over; /* waits that have ended */

/* ---- timers ---- */

static struct skuai_lock wheel_lock;
static struct skuai_sleep_op *armed[TIMERS]; /* guarded by it */

uint64_t skua_now(void) { return now; }

void skuai_sleep_arm(struct skuai_worker *worker, struct skuai_sleep_op *sleep)
{
    skuai_op_arm_here(worker, &sleep->op);
    skuai_lock_acquire(&wheel_lock);
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] == NULL) {
            armed[i] = sleep;
            break;
        }
    skuai_lock_release(&wheel_lock);
}

static bool take_out(const struct skuai_sleep_op *sleep)
{
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] == sleep) {
            armed[i] = NULL;
            return true;
        }
    return false;
}

bool skuai_sleep_disarm(struct skuai_sleep_op *sleep)
{
    skuai_lock_acquire(&wheel_lock);
    bool withdrawn = take_out(sleep) || skuai_op_state(&sleep->op) == SKUAI_OP_ARMED;
    skuai_lock_release(&wheel_lock);
    return withdrawn;
}

void skuai_sleep_hasten(struct skuai_sleep_op *sleep, uint64_t instant_ns, struct skuai_hastened *after)
{
    (void)after;
    skuai_lock_acquire(&wheel_lock);
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] == sleep) {
            mc_assert(instant_ns < sleep->timer.deadline_ns, "hastened, and not earlier");
            sleep->timer.deadline_ns = instant_ns;
        }
    skuai_lock_release(&wheel_lock);
}
void skuai_sleep_hastened(const struct skuai_hastened *after) { (void)after; }

static struct skuai_sleep_op *earliest(void)
{
    struct skuai_sleep_op *next = NULL;
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] != NULL && armed[i]->timer.deadline_ns < NEVER &&
            (next == NULL || armed[i]->timer.deadline_ns < next->timer.deadline_ns))
            next = armed[i];
    return next;
}

/* Time passes up to what is armed next: when nobody is about to make that earlier, as it leaps. */
static void let_time_pass(void)
{
    skuai_lock_acquire(skuai_lock_at(&limiter.lock));
    skuai_lock_acquire(&wheel_lock);
    const struct skuai_sleep_op *next = earliest();
    if (next != NULL && next->timer.deadline_ns > now)
        now = next->timer.deadline_ns;
    skuai_lock_release(&wheel_lock);
    skuai_lock_release(skuai_lock_at(&limiter.lock));
}

static void expire_next(void)
{
    let_time_pass();
    skuai_lock_acquire(&wheel_lock);
    struct skuai_sleep_op *next = earliest();
    bool claimed = next != NULL && next->timer.deadline_ns <= now && take_out(next) && skuai_op_claim(&next->op);
    skuai_lock_release(&wheel_lock);
    if (claimed) {
        for (unsigned i = 0; i < 3; i++)
            if (&next->op == &mine[i].op.op)
                at[i] = (next->timer.deadline_ns - 1000) / PERIOD;
        waits_kind_of(&next->op)->expired(&next->op);
        skuai_op_finish(&next->op, 0);
    } else {
        skuai_pause();
    }
}

static void timers(void *arg)
{
    while (skuai_load_32(&over, SKUAI_RELAXED) < (uint32_t)(uintptr_t)arg)
        expire_next();
}

/* ---- waiters ---- */

static void reset(void)
{
    memset(mine, 0, sizeof mine);
    memset(armed, 0, sizeof armed);
    wheel_lock.word.raw = 0;
    over.raw = 0;
    now = 1000;
    mc_assert(skua_rate_limiter_init(&limiter, 1, PERIOD, 1) == 0, "it is valid");
    mc_assert(skua_rate_limiter_init(&quiet, 1, LONG, 1) == 0, "it is valid");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == 0, "it is full at first");
    mc_assert(skua_rate_limiter_try_acquire(&quiet, 1) == 0, "it is full at first");
    for (unsigned i = 0; i < 3; i++) {
        got[i] = 1;
        at[i] = 0;
        mine[i].word.number = i + 1;
        mc_name(&mine[i].op.op.state, "op%u.state", i);
        mc_name(&mine[i].op.due, "op%u.due", i);
        mc_name(&mine[i].op.moved, "op%u.moved", i);
    }
    mc_name(&limiter.lock, "lock");
    mc_name(&wheel_lock, "wheel");
}

static void end(unsigned i, int64_t result)
{
    got[i] = result;
    mc_free(&mine[i], sizeof mine[i]);
    skuai_add_32(&over, 1, SKUAI_RELAXED);
}
static void acquire(unsigned i, enum waits_how how)
{
    mc_alloc(&mine[i], sizeof mine[i]);
    end(i, waits_for(skua_rate_limiter_acquire_prepare(&mine[i].op, &limiter, 1), how));
}
static void waits(void *arg) { acquire((unsigned)(uintptr_t)arg, WAITS_ON); }
static void impatient(void *arg) { acquire((unsigned)(uintptr_t)arg, WAITS_OR_IS_CANCELED); }
static void selects(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    mc_alloc(&mine[i], sizeof mine[i]);
    skua_op *arms[] = { skua_rate_limiter_acquire_prepare(&mine[i].op, &limiter, 1),
                        skua_rate_limiter_acquire_prepare(&mine[i].other, &quiet, 1) };
    end(i, waits_select(&mine[i].word, arms, 2, WAITS_OR_IS_CANCELED));
}

/* So many turns were taken, one for each period, and nobody is left. */
static void turns(unsigned count, bool late)
{
    unsigned taken = 0;
    uint64_t last = 0;
    for (unsigned i = 0; i < count; i++) {
        mc_assert(got[i] == 0 || got[i] == -ECANCELED, "neither granted nor cancelled");
        taken += got[i] == 0;
        last = got[i] == 0 && at[i] > last ? at[i] : last;
        for (unsigned k = 0; k < i; k++)
            mc_assert(got[i] != 0 || got[k] != 0 || at[i] != at[k], "two turns at once");
    }
    mc_assert(limiter.base_ns == (UINT64_C(1) << 62) + 1000 + taken * PERIOD, "a turn was lost, or made");
    mc_assert(limiter.pending == 0 && limiter.waiters.first == NULL, "somebody is linked for ever");
    mc_assert(late || last <= taken, "a turn that was given up has not made the next come earlier");
}

static void line_finish(void) { turns(2, false); }
static void line_setup(void)
{
    reset();
    mc_thread(timers, (void *)2);
    mc_thread(waits, (void *)0);
    mc_thread(waits, (void *)1);
}
MC_TEST(line, .setup = line_setup, .finish = line_finish, .stale = 1, .max_executions = 200000);

static void canceled_setup(void)
{
    reset();
    mc_thread(timers, (void *)2);
    mc_thread(impatient, (void *)0);
    mc_thread(waits, (void *)1);
}
MC_TEST(canceled, .setup = canceled_setup, .finish = line_finish, .stale = 1, .max_executions = 200000);

static void arms_setup(void)
{
    reset();
    mc_thread(timers, (void *)2);
    mc_thread(selects, (void *)0);
    mc_thread(waits, (void *)1);
}
/* An arm of a select that was decided, and not yet withdrawn, may hold the next one up. */
static void arms_finish(void) { turns(2, true); }
MC_TEST(arms, .setup = arms_setup, .finish = arms_finish, .stale = 1, .max_executions = 200000);

static void three_finish(void) { turns(3, false); }
static void three_setup(void)
{
    reset();
    mc_thread(timers, (void *)3);
    mc_thread(impatient, (void *)0);
    mc_thread(impatient, (void *)1);
    mc_thread(waits, (void *)2);
}
MC_TEST(three, .setup = three_setup, .finish = three_finish, .stale = 1, .max_executions = 200000);
