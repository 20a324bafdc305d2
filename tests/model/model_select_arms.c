/* Selects as a whole (sched/select.c on op.c) by plain threads, over events (sync/event.c) that others set: each set
 * of an automatic event is taken by exactly one arm or stays; a select that has ended is known to nobody; whoever
 * sleeps while an arm of its could take effect has been forgotten; a deadline that closes the select races with all.
 * Arms in steps (sched/steps.h) take several sets, one after another: an arm that is mistaken keeps no other from what
 * has come meanwhile, and one that has lost is undone and known to nobody.
 */
/* model-sources: sched/select.c sched/op.c sync/event.c */
/* model-defines: NDEBUG=1 */
#include <errno.h>
#include <string.h>

#include "model/mc.h"
#include "sched/scheduler.h"
#include "sched/scope.h"
#include "sched/select.h"
#include "sched/steps.h"
#include "sched/wait.h"
#include "skua/event.h"

enum { EVENTS = 2, OWNERS = 2 };

static skua_event events[EVENTS];
static struct selecter {
    skua_op ops[EVENTS];
    skua_op *arms[EVENTS];
} selecters[OWNERS];
static unsigned took[EVENTS], sets[EVENTS], ended;
static bool can_time_out;
static uint64_t now;

/* ---- what the sources ask of others ---- */

struct skuai_worker *skuai_worker_self(void) { return NULL; }
uint64_t skuai_clock_now(void) { return now; }
uint64_t skua_random(void) { return mc_choose(EVENTS); }
int skuai_thread_interruption(void) { return 0; }
uint64_t skuai_thread_deadline_ns(void) { return can_time_out ? 1 : SKUA_NEVER; }
void skuai_thread_wait(skua_word32 *word, uint32_t value, uint64_t until_ns)
{
    if (until_ns == SKUA_NEVER)
        mc_futex_wait(word, value);
    else if (!mc_futex_wait_timed(word, value))
        now = 1;
}
void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    (void)worker;
    skua_word32 *word = op->select == NULL ? &op->state : &((struct skuai_select *)op->select)->decided;
    skuai_op_arm(op, (uintptr_t)word);
}
void skuai_op_disarm_here(skua_op *op) { op->sink = 0; }
void skuai_sink_fire(uintptr_t sink) { mc_futex_wake((skua_word32 *)sink, 1); }
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }

/* Only tasks come to these. */
int skuai_interruption(struct skuai_worker *worker) { (void)worker; mc_fail("no task runs"); }
int skuai_call_begin(struct skuai_worker *worker, const char *call) { (void)worker; mc_fail(call); }
int64_t skuai_call_end(struct skuai_worker *worker, int64_t result) { (void)worker; (void)result; mc_fail("no task"); }
int64_t skuai_call(skua_op *op) { (void)op; mc_fail("no straight-line call"); }
int64_t skuai_call_until(skua_op *op, uint64_t until) { (void)op; (void)until; mc_fail("no straight-line call"); }
skua_op *skuai_op_start(skua_op *op) { (void)op; mc_fail("no lone op"); }
bool skuai_start_may_be_done(const struct skuai_worker *worker) { (void)worker; mc_fail("no lone op"); }
bool skuai_frame_may_go_on(skua_frame *frame) { (void)frame; mc_fail("no task runs"); }
int64_t skua_await_frame(skua_frame *frame) { (void)frame; mc_fail("no task runs"); }
void skua_deadline_enter(skua_scope *scope, uint64_t instant) { (void)scope; (void)instant; mc_fail("no scope"); }
void skua_scope_leave(skua_scope *scope) { (void)scope; mc_fail("no scope"); }
void skuai_frame_requeue(struct skuai_worker *w, skua_frame *frame) { (void)w; (void)frame; mc_fail("no task runs"); }
void skuai_sim_point(struct skuai_sim *sim, enum skuai_point at) { (void)sim; (void)at; mc_fail("no simulation"); }

/* ---- threads ---- */

static void selects(void *arg)
{
    struct selecter *self = &selecters[(uintptr_t)arg];
    int64_t arm = skua_select(self->arms, EVENTS);
    if (arm >= 0)
        took[arm]++;
    else
        mc_assert(can_time_out && arm == -ETIMEDOUT, "no arm, and nothing has ended the wait");
    ended++;
    mc_free(self, sizeof *self);
}
static void set(void *arg)
{
    skua_event *event = arg;
    sets[event - events]++;
    skua_event_set(event);
}

static void reset(void)
{
    memset(selecters, 0, sizeof selecters);
    memset(took, 0, sizeof took);
    memset(sets, 0, sizeof sets);
    ended = 0;
    now = 0;
    can_time_out = false;
    for (int i = 0; i < EVENTS; i++) {
        skua_event_init(&events[i], SKUA_EVENT_AUTO);
        mc_name(&events[i].lock, "lock %d", i);
        mc_name(&events[i].is_set, "event %d", i);
        for (int k = 0; k < OWNERS; k++) {
            selecters[k].arms[i] = skua_event_wait_prepare(&selecters[k].ops[i], &events[i]);
            mc_name(&selecters[k].ops[i].state, "select %d, arm %d", k, i);
        }
    }
}

/* Sets of an automatic event that come before one is taken are one. */
static void accounts(void)
{
    for (int i = 0; i < EVENTS; i++) {
        mc_assert(took[i] <= sets[i], "taken and never set");
        mc_assert(sets[i] == 0 || took[i] + skua_event_is_set(&events[i]) >= 1, "a set was lost");
        mc_assert(sets[i] != 1 || took[i] + skua_event_is_set(&events[i]) == 1, "a set was taken, and is there");
        mc_assert(events[i].waiters.first == NULL, "an ended select still waits");
    }
}

static void one_of_two_setup(void)
{
    reset();
    mc_thread(selects, (void *)0);
    mc_thread(set, &events[0]);
    mc_thread(set, &events[1]);
}
static void one_of_two_finish(void)
{
    accounts();
    mc_assert(took[0] + took[1] == 1, "not exactly one arm");
}
MC_TEST(one_of_two, .setup = one_of_two_setup, .finish = one_of_two_finish, .stale = 2);

/* Two selects, two sets: each gets one. */
static void two_selects_setup(void)
{
    reset();
    mc_thread(selects, (void *)0);
    mc_thread(selects, (void *)1);
    mc_thread(set, &events[0]);
    mc_thread(set, &events[1]);
}
static void two_selects_finish(void)
{
    accounts();
    mc_assert(took[0] == 1 && took[1] == 1 && ended == 2, "a set went to nobody");
}
MC_TEST(two_selects, .setup = two_selects_setup, .finish = two_selects_finish, .stale = 1, .max_executions = 300000);

/* A deadline that may pass at any time: what was set is taken or is still there. */
static void timeout_setup(void)
{
    reset();
    can_time_out = true;
    mc_thread(selects, (void *)0);
    mc_thread(set, &events[0]);
    mc_thread(set, &events[1]);
}
static void timeout_finish(void)
{
    accounts();
    mc_assert(took[0] + took[1] <= 1 && ended == 1, "more than one arm");
}
MC_TEST(timeout, .setup = timeout_setup, .finish = timeout_finish, .stale = 2);

/* ---- arms in steps ---------------------------------------------------------------------------------------------- */

/* Waits for whichever of its events is set, and has taken effect after so many. */
static struct stepper {
    skua_op op, waits[EVENTS], other;
    skua_op *arms[2];
    unsigned events, needed, stepped, arms_in_use;
    bool has_begun;
} stepper;
static unsigned undone;

static void start_steps(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    if (!may_wait)
        return;
    stepper.has_begun = true;
    for (unsigned i = 0; i < stepper.events; i++)
        skuai_step_start(worker, op, skua_event_wait_prepare(&stepper.waits[i], &events[i]));
}
static bool withdraw_steps(skua_op *op)
{
    (void)op;
    for (unsigned i = 0; stepper.has_begun && i < stepper.events; i++)
        skuai_step_withdraw(&stepper.waits[i]);
    return true;
}
static enum skuai_settled settle_steps(struct skuai_worker *worker, skua_op *op)
{
    unsigned over = 0;
    (void)worker;
    while (over < stepper.events && !skuai_op_is_done(&stepper.waits[over]))
        over++;
    if (over == stepper.events)
        return SKUAI_SETTLING;
    took[over]++;
    (void)withdraw_steps(op);
    if (++stepper.stepped < stepper.needed)
        return SKUAI_UNSETTLED;
    skuai_op_set_done(op, 0);
    return SKUAI_SETTLED;
}
static void undo_steps(skua_op *op)
{
    (void)op;
    undone++;
}
static const struct skuai_op_kind steps_kind = {
    .name = "steps", .start = start_steps, .withdraw = withdraw_steps, .settle = settle_steps, .undo = undo_steps
};

static void selects_steps(void *arg)
{
    (void)arg;
    int64_t arm = skua_select(stepper.arms, stepper.arms_in_use);
    if (arm == 0)
        mc_assert(stepper.stepped == stepper.needed && undone == 0, "an arm in steps has ended too early");
    else
        mc_assert(undone == 1 || !stepper.has_begun, "an arm in steps has lost and was not undone");
    if (arm == 1)
        took[1]++;
    mc_assert(arm >= 0 || (can_time_out && arm == -ETIMEDOUT), "no arm, and nothing has ended the wait");
    ended++;
    mc_free(&stepper, sizeof stepper);
}

static void steps_setup(unsigned of_events, unsigned needed, unsigned arms)
{
    reset();
    undone = 0;
    memset(&stepper, 0, sizeof stepper);
    stepper.events = of_events;
    stepper.needed = needed;
    stepper.arms_in_use = arms;
    stepper.arms[0] = skuai_op_prepare(&stepper.op, &steps_kind, NULL);
    stepper.arms[1] = skua_event_wait_prepare(&stepper.other, &events[1]);
    mc_thread(selects_steps, NULL);
    mc_thread(set, &events[0]);
    mc_thread(set, &events[1]);
}

/* A step that leads to nothing, while the other arm's set comes: it must be found. */
static void mistaken_setup(void) { steps_setup(1, 2, 2); }
static void mistaken_finish(void)
{
    accounts();
    mc_assert(took[1] == 1 && ended == 1, "what came while the select was decided was lost");
}
MC_TEST(a_mistaken_step, .setup = mistaken_setup, .finish = mistaken_finish, .stale = 1, .max_executions = 300000);

/* Two waits at a time, of which both must come. */
static void both_setup(void) { steps_setup(2, 2, 1); }
static void both_finish(void)
{
    accounts();
    mc_assert(took[0] == 1 && took[1] == 1 && ended == 1, "a step was lost");
}
MC_TEST(two_steps, .setup = both_setup, .finish = both_finish, .stale = 1, .max_executions = 300000);

/* With a deadline. */
static void late_steps_setup(void)
{
    steps_setup(2, 2, 1);
    can_time_out = true;
}
static void late_steps_finish(void)
{
    accounts();
    mc_assert(ended == 1, "it has not ended");
}
MC_TEST(steps_and_deadline, .setup = late_steps_setup, .finish = late_steps_finish, .stale = 1,
        .max_executions = 300000);
