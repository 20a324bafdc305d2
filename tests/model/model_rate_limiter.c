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
static skua_op *armed[TIMERS]; /* guarded by it */

uint64_t skua_now(void) { return now; }

static struct skuai_timer *timer_in(skua_op *op)
{
    return (struct skuai_timer *)(void *)((skua_rate_limiter_op *)(void *)op)->timer;
}

void skuai_sleep_arm(struct skuai_worker *worker, skua_op *op, struct skuai_timer *timer)
{
    (void)timer;
    skuai_op_arm_here(worker, op);
    skuai_lock_acquire(&wheel_lock);
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] == NULL) {
            armed[i] = op;
            break;
        }
    skuai_lock_release(&wheel_lock);
}

static bool take_out(const skua_op *op)
{
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] == op) {
            armed[i] = NULL;
            return true;
        }
    return false;
}

bool skuai_sleep_disarm(skua_op *op, struct skuai_timer *timer)
{
    (void)timer;
    skuai_lock_acquire(&wheel_lock);
    bool withdrawn = take_out(op) || skuai_op_state(op) == SKUAI_OP_ARMED;
    skuai_lock_release(&wheel_lock);
    return withdrawn;
}

/* As the real one, it says what its thread sleeps on. */
static const skua_word32 *hastened;
void skuai_sleep_hasten(skua_op *op, struct skuai_timer *timer, uint64_t instant_ns, struct skuai_hastened *after)
{
    after->word = (skua_word32 *)(op->sink - SKUAI_SINK_THREAD);
    skuai_lock_acquire(&wheel_lock);
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] == op) {
            mc_assert(instant_ns < timer->deadline_ns, "hastened, and not earlier");
            timer->deadline_ns = instant_ns;
        }
    skuai_lock_release(&wheel_lock);
}
void skuai_sleep_hastened(const struct skuai_hastened *after) { hastened = after->word; }

static skua_op *earliest(void)
{
    skua_op *next = NULL;
    for (int i = 0; i < TIMERS; i++)
        if (armed[i] != NULL && timer_in(armed[i])->deadline_ns < NEVER &&
            (next == NULL || timer_in(armed[i])->deadline_ns < timer_in(next)->deadline_ns))
            next = armed[i];
    return next;
}

/* Time passes up to what is armed next: when nobody is about to make that earlier, as it leaps. */
static void let_time_pass(void)
{
    skuai_lock_acquire(skuai_lock_at(&limiter.lock));
    skuai_lock_acquire(&wheel_lock);
    skua_op *next = earliest();
    if (next != NULL && timer_in(next)->deadline_ns > now)
        now = timer_in(next)->deadline_ns;
    skuai_lock_release(&wheel_lock);
    skuai_lock_release(skuai_lock_at(&limiter.lock));
}

static void expire_next(void)
{
    let_time_pass();
    skuai_lock_acquire(&wheel_lock);
    skua_op *next = earliest();
    bool claimed = next != NULL && timer_in(next)->deadline_ns <= now && take_out(next) && skuai_op_claim(next);
    skuai_lock_release(&wheel_lock);
    if (claimed) {
        for (unsigned i = 0; i < 3; i++)
            if (next == &mine[i].op.op)
                at[i] = (timer_in(next)->deadline_ns - 1000) / PERIOD;
        waits_kind_of(next)->expired(next);
        skuai_op_finish(next, 0);
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
    hastened = NULL;
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

/* ---- what one thread can see ---- */

/* Tokens as they come, and how many there never are. */
static void takes_at_once(void *arg)
{
    (void)arg;
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == -EAGAIN, "it is empty");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 2) == -EINVAL, "it never holds so many");
    mc_assert(skua_rate_limiter_acquire(&limiter, 2) == -EINVAL, "it never holds so many");
    now += PERIOD;
    mc_assert(skua_rate_limiter_acquire(&limiter, 1) == 0, "one has come");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == -EAGAIN, "and has been taken");
    now += 3 * PERIOD;
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == 0, "it has been full");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == -EAGAIN, "of one, however long it was");
    now += PERIOD;
    mc_assert(waits_started(skua_rate_limiter_acquire_start(&mine[0].op, &limiter, 1)) == 0, "one has come");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == -EAGAIN, "and has been taken");
    now += PERIOD;
    mc_assert(skua_rate_limiter_acquire_until(&limiter, 1, 1) == 0, "one has come");
}
static void at_once_setup(void)
{
    reset();
    mc_thread(takes_at_once, NULL);
}
MC_TEST(at_once, .setup = at_once_setup);

/* Who gives up makes the next one's turn come earlier; its thread is told, on the word that it sleeps on. */
static void gives_up_first(void *arg)
{
    bool is_arm = arg != NULL;
    skua_op *first = skuai_op_start(skua_rate_limiter_acquire_prepare(&mine[0].op, &limiter, 1));
    skua_op *next = skua_rate_limiter_acquire_prepare(&mine[1].op, &limiter, 1);
    const struct skuai_op_kind *of = skuai_op_kind_of(next);
    mc_assert(of->due_ns(next) == SKUA_NEVER, "he has no turn yet");
    next->select = is_arm ? &mine[1].word : NULL;
    of->start(NULL, next, true);
    skua_op *last = skuai_op_start(skua_rate_limiter_acquire_prepare(&mine[2].op, &limiter, 1));
    skua_word32 *moved = of->moved(next);
    mc_assert(of->due_ns(first) == 1000 + PERIOD && of->due_ns(next) == 1000 + 2 * PERIOD, "each has his turn");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == -EAGAIN, "and nobody else");
    mc_assert(of->withdraw(last) && hastened == NULL, "nobody is behind him");
    mc_assert(of->withdraw(first), "nobody has it");
    mc_assert(of->due_ns(next) == 1000 + PERIOD, "his turn has come earlier");
    mc_assert(skuai_load_32(moved, SKUAI_RELAXED) == 1 && moved != of->moved(first), "and he is told");
    mc_assert(hastened == (is_arm ? &mine[1].word.decided : moved), "on the word that he sleeps on");
    now += PERIOD;
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == -EAGAIN, "it is his");
    mc_assert(of->withdraw(next) && limiter.waiters.first == NULL && limiter.pending == 0, "nobody is left");
    mc_assert(skua_rate_limiter_try_acquire(&limiter, 1) == 0, "and whoever comes may have it");
}
static void reset_dirty(void)
{
    reset();
    for (unsigned i = 0; i < 3; i++)
        memset(&mine[i].op, 0xa5, sizeof mine[i].op);
}
static void gives_up_setup(void)
{
    reset_dirty();
    mc_thread(gives_up_first, NULL);
}
static void gives_up_arm_setup(void)
{
    reset_dirty();
    mc_thread(gives_up_first, &limiter);
}
MC_TEST(given_up, .setup = gives_up_setup);
MC_TEST(given_up_before_an_arm, .setup = gives_up_arm_setup);

/* Behind one who has gone away, who is not first yet is told when he is. */
static void gives_up_second(void *arg)
{
    skua_op *ops[3];
    (void)arg;
    for (int i = 0; i < 3; i++)
        ops[i] = skuai_op_start(skua_rate_limiter_acquire_prepare(&mine[i].op, &limiter, 1));
    const struct skuai_op_kind *of = skuai_op_kind_of(ops[0]);
    mc_assert(of->withdraw(ops[1]) && hastened == NULL, "nobody's timer need be right but the first's");
    now += PERIOD;
    mc_assert(take_out(ops[0]) && skuai_op_claim(ops[0]), "his turn has come");
    of->expired(ops[0]);
    skuai_op_finish(ops[0], 0);
    mc_assert(of->due_ns(ops[2]) == 1000 + 2 * PERIOD && hastened == of->moved(ops[2]), "his turn has come earlier");
}
static void gives_up_second_setup(void)
{
    reset();
    mc_thread(gives_up_second, NULL);
}
MC_TEST(given_up_in_between, .setup = gives_up_second_setup);

/* A thread that sleeps until its turn looks at `moved` before that, as sched/wait.c does. */
static const struct skuai_op_kind *line_start(void)
{
    for (int i = 0; i < 2; i++)
        (void)skuai_op_start(skua_rate_limiter_acquire_prepare(&mine[i].op, &limiter, 1));
    return skuai_op_kind_of(&mine[0].op.op);
}
static void leaves_line(void *arg)
{
    const struct skuai_op_kind *of = arg;
    mc_assert(of->withdraw(&mine[0].op.op), "nobody has it");
}
static void looks_at_turn(void *arg)
{
    const struct skuai_op_kind *of = arg;
    skua_op *op = &mine[1].op.op;
    bool is_moved = skuai_load_32(of->moved(op), SKUAI_ACQUIRE) == 1;
    mc_assert(!is_moved || of->due_ns(op) == 1000 + PERIOD, "it was told, and sees the old turn");
}
static void looked_at_setup(void)
{
    reset();
    void *of = (void *)(uintptr_t)line_start();
    mc_thread(leaves_line, of);
    mc_thread(looks_at_turn, of);
}
MC_TEST(looked_at, .setup = looked_at_setup, .bound = MC_UNBOUNDED);

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
