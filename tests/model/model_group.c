/* A group's accounts between members that end, fail, wait and start others, waiters that are cancelled, and takers
 * (sync/group.c, N1 … N5).
 *
 * Whoever waits gives the group's memory back the moment the wait is over, and a member's record goes with its slot; so
 * whatever touches either later is found. Tasks are slots with the real word: a header stays one.
 */
/* model-sources: sync/group.c sched/op.c */
/* model-defines: SKUAI_GROUP_CANCEL_BATCH=2 */
#include <errno.h>
#include <string.h>

#include "model/mc.h"
#include "sched/scheduler.h"
#include "sync/group.h"

enum { BOUND = 2, STALE = 1 }; /* more is for a night: --bound 3 */
enum { MEMBERS = 3, GENERATION = 5, NOBODY = 99 };

static skua_group group;
static struct slot {
    skua_task task;
    skua_word32 queued; /* its only queue */
    struct {
        struct skuai_member record;
        uint64_t tag;
    } member;
    bool was_admitted, has_ended, is_freed, was_canceled;
} slots[MEMBERS];
static skua_group_op ops[2];
static skua_op event_op; /* the other arm of a select */
static struct skuai_select select_word;
static int64_t got, interrupted, taken_sum, taken_count;
static int place_rc;
static skua_word32 gate;
static int holds; /* of the members' runtime */

/* ---- what the library asks of the runtime ---- */

static struct slot *slot_of(skua_task *task) { return (struct slot *)(void *)task; }

void skuai_schedule_woken(skua_task *task)
{
    uint32_t before = skuai_exchange_32(&slot_of(task)->queued, 1, SKUAI_RELEASE);
    mc_assert(before == 0, "a task is in two queues");
    mc_futex_wake(&slot_of(task)->queued, 1);
}
void skuai_sink_fire(uintptr_t sink) { mc_futex_wake((skua_word32 *)(sink - SKUAI_SINK_THREAD), 1); }
void *skuai_sink_hold(uintptr_t sink)
{
    if ((sink & SKUAI_SINK_TAGS) == SKUAI_SINK_THREAD)
        return NULL;
    holds++;
    return &holds;
}
void skuai_sink_unhold(void *held) { --*(int *)held; }
void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    skua_word32 *word = op->select == NULL ? &op->state : &((struct skuai_select *)op->select)->decided;
    (void)worker;
    skuai_op_arm(op, (uintptr_t)word | SKUAI_SINK_THREAD);
}

static void free_slot(struct slot *slot)
{
    mc_assert(!slot->is_freed, "a slot is freed twice");
    slot->is_freed = true;
    mc_free(&slot->member, sizeof slot->member);
    skuai_task_word_bury(&slot->task.word);
}
void skuai_task_release(skua_task *task)
{
    if (skuai_task_word_release(&task->word) == SKUAI_TASK_FREE)
        free_slot(slot_of(task));
}

/* ---- members ---- */

/* As spawn.c's, up to the queue. */
static int spawn(int i, bool has_place)
{
    struct slot *slot = &slots[i];
    struct skuai_group_entry entry;
    skuai_group_entry_init(&entry, &group, NULL);
    entry.has_place = has_place;
    slot->task.member = &slot->member.record;
    SKUAI_WRITE(slot->member.record.owner, entry.joining.owner);
    skuai_task_word_begin_member(&slot->task.word, GENERATION, 0, entry.joining.keeps);
    int rc = entry.joining.admit(&entry.joining, &slot->task);
    slot->was_admitted = rc == 0;
    if (rc < 0)
        free_slot(slot);
    return rc;
}

static void end(int i, int64_t result)
{
    struct slot *slot = &slots[i];
    SKUAI_WRITE(slot->task.result, result);
    slot->has_ended = true;
    slot->was_canceled = (skuai_load_64(&slot->task.word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0;
    if (skuai_member_end(&slot->task))
        free_slot(slot);
}

static void ends(void *arg) { end((int)(uintptr_t)arg, (int)(uintptr_t)arg); }
static void fails(void *arg) { end((int)(uintptr_t)arg, -EIO); }

static bool is_canceled(const struct slot *slot)
{
    return (skuai_load_64(&slot->task.word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0;
}

/* Waits for what only a cancellation ends. */
static void run_until_canceled(int i)
{
    struct slot *slot = &slots[i];
    while (!is_canceled(slot)) {
        if (skuai_task_word_pause(&slot->task.word) == SKUAI_TASK_ENQUEUE)
            skuai_schedule_woken(&slot->task);
        while (skuai_exchange_32(&slot->queued, 0, SKUAI_ACQUIRE) == 0)
            mc_futex_wait(&slot->queued, 0);
        skuai_task_word_run(&slot->task.word);
    }
    end(i, -ECANCELED);
}
static void until_canceled(void *arg) { run_until_canceled((int)(uintptr_t)arg); }

/* A member that starts another one, runs it to its end, and then ends. */
static void starts_another(void *arg)
{
    (void)arg;
    if (spawn(2, false) == 0)
        end(2, 0);
    end(0, 0);
}
static void starts_a_waiting_one(void *arg)
{
    (void)arg;
    int rc = spawn(2, false);
    end(0, 0);
    if (rc == 0)
        run_until_canceled(2);
}

/* ---- waiters ---- */

static void wait_op(skua_op *op)
{
    for (;;) {
        uint32_t state = (uint32_t)skuai_op_state(op);
        if (state == SKUAI_OP_DONE)
            return;
        mc_futex_wait(&op->state, state);
    }
}

static skua_op *start_op(skua_op *op, struct skuai_select *select, uint32_t arm)
{
    op->select = select;
    op->arm = arm;
    skuai_op_kind_of(op)->start(NULL, op, true);
    return op;
}

/* Its memory is somebody else's from now on. */
static void leave_group(void)
{
    mc_assert(group.live == 0 && group.members == NULL && group.canceled_members == NULL, "a wait is over too early");
    mc_assert(group.state == SKUAI_GROUP_WAITED && group.ended_first == NULL, "the group is not as new");
    mc_assert(holds == 0, "a runtime is held for ever");
    mc_free(&group, sizeof group);
}

static void waits(void *arg)
{
    (void)arg;
    wait_op(start_op(skua_group_idle_prepare(&ops[0], &group), NULL, 0));
    mc_assert(SKUAI_READ(ops[0].result) == 0, "the wait is not over");
    got = SKUAI_READ(ops[0].value);
    leave_group();
}

/* As skua_group_wait() when its caller is cancelled while it waits, at whatever moment. */
static void waits_and_gives_up(void *arg)
{
    skua_op *op = start_op(skua_group_idle_prepare(&ops[0], &group), NULL, 0);
    if (!skuai_op_is_done(op) && skuai_op_kind_of(op)->withdraw(op)) {
        interrupted = -ECANCELED;
        skuai_group_cancel_living(&group);
        waits(arg);
        return;
    }
    wait_op(op);
    got = SKUAI_READ(ops[0].value);
    leave_group();
}

/* As skua_group_wait_start() in a future. */
static void waits_and_cancels(void *arg)
{
    (void)arg;
    skua_op *op = start_op(skua_group_idle_prepare(&ops[0], &group), NULL, 0);
    if (!skuai_op_is_done(op))
        skuai_group_cancel_living(&group);
    wait_op(op);
    got = SKUAI_READ(ops[0].value);
    leave_group();
}

/* ---- setups ---- */

static void reset(uint32_t flags, uint32_t limit, int nmembers)
{
    memset(slots, 0, sizeof slots);
    memset(ops, 0, sizeof ops);
    memset(&event_op, 0, sizeof event_op);
    memset(&select_word, 0, sizeof select_word);
    gate.raw = 0;
    holds = 0;
    got = interrupted = NOBODY;
    taken_sum = taken_count = 0;
    place_rc = NOBODY;
    skua_group_init_with(&group, &(skua_group_attr){ .flags = flags, .limit = limit });
    mc_name(&group.lock, "group.lock");
    for (int i = 0; i < MEMBERS; i++) {
        mc_name(&slots[i].task.word, "task%d.word", i);
        mc_name(&slots[i].queued, "task%d.queued", i);
    }
    for (int i = 0; i < nmembers; i++)
        mc_assert(spawn(i, false) == 0, "a first member is refused");
}

static void check_members(int nmembers)
{
    for (int i = 0; i < nmembers; i++)
        mc_assert(slots[i].was_admitted && slots[i].has_ended && slots[i].is_freed, "a member is lost");
}
static void *number(int i) { return (void *)(uintptr_t)i; }

/* ---- the wait is for all ---- */

static void all_end_setup(void)
{
    reset(0, 0, 2);
    mc_thread(ends, number(0));
    mc_thread(ends, number(1));
    mc_thread(waits, NULL);
}
static void all_end_finish(void)
{
    check_members(2);
    mc_assert(got == 0, "the outcome");
}
MC_TEST(all_end, .setup = all_end_setup, .finish = all_end_finish, .bound = BOUND, .stale = STALE);

static void further_setup(void)
{
    reset(0, 0, 1);
    mc_thread(starts_another, NULL);
    mc_thread(waits, NULL);
}
static void further_finish(void)
{
    check_members(1);
    mc_assert(slots[2].was_admitted && slots[2].is_freed && got == 0, "a further member is lost");
}
MC_TEST(a_further_member, .setup = further_setup, .finish = further_finish, .bound = 4, .stale = STALE);

/* After a wait the accounts begin anew, and nothing of what was is told again. */
static void uses_again(void *arg)
{
    int64_t outcome;
    skua_group_op *op = &ops[0];
    (void)arg;
    end(0, -EIO);
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == -EIO, "the outcome");
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == 0, "the outcome is told twice");
    mc_assert(spawn(1, false) == 0 && group.started == 1 && group.failed == 0, "a use does not begin anew");
    mc_assert(!skuai_group_try_finish(&group, &outcome), "a wait is over too early");
    skua_group_cancel(&group);
    mc_assert(spawn(2, false) == -ECANCELED, "a cancelled group admits somebody");
    end(1, -ECANCELED);
    mc_assert(group.canceled == 1 && group.failed == 0, "the accounts");
    skua_group_cancel(&group);
    mc_assert(skuai_op_is_done(start_op(skua_group_idle_prepare(op, &group), NULL, 0)), "nobody is there to wait for");
    mc_assert(op->value == -ECANCELED && group.state == SKUAI_GROUP_WAITED, "the outcome");
    skua_group_cancel(&group);
    mc_assert(group.canceled == 0, "a use does not begin anew");
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == -ECANCELED, "the outcome");
}
static void again_setup(void)
{
    reset(0, 0, 1);
    mc_thread(uses_again, NULL);
}
MC_TEST(used_again, .setup = again_setup, .bound = MC_UNBOUNDED);

/* All accounts are of the use at hand. */
static void uses_for_two(void *arg)
{
    int64_t outcome;
    (void)arg;
    end(0, -ECANCELED);
    mc_assert(group.failed == 1 && group.canceled == 0, "nobody was cancelled");
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == -ECANCELED, "the outcome");
    mc_assert(spawn(1, false) == 0 && spawn(2, false) == 0 && group.started == 2, "the accounts");
    end(1, -EIO);
    end(2, -ECANCELED);
    mc_assert(group.failed == 1 && group.canceled == 1, "the accounts");
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == -EIO, "the outcome");
}
static void for_two_setup(void)
{
    reset(0, 0, 1);
    mc_thread(uses_for_two, NULL);
}
MC_TEST(used_for_two, .setup = for_two_setup, .bound = MC_UNBOUNDED);

/* Who only looks, again and again, may find the last one just leaving. */
static void looks(void *arg)
{
    (void)arg;
    while (!skuai_group_try_finish(&group, &got))
        skuai_pause();
    leave_group();
}
static void looks_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 2);
    mc_thread(ends, number(0));
    mc_thread(ends, number(1));
    mc_thread(looks, NULL);
}
MC_TEST(who_looks_again, .setup = looks_setup, .finish = all_end_finish, .bound = BOUND, .stale = STALE);

/* ---- failures and cancellations ---- */

static void failure_setup(void)
{
    reset(0, 0, 2);
    mc_thread(fails, number(0));
    mc_thread(until_canceled, number(1));
    mc_thread(waits, NULL);
}
static void failure_finish(void)
{
    check_members(2);
    mc_assert(got == -EIO, "the outcome");
}
MC_TEST(a_failure_cancels_the_other, .setup = failure_setup, .finish = failure_finish, .bound = BOUND,
        .stale = STALE);

static void two_fail_setup(void)
{
    reset(0, 0, 2);
    mc_thread(fails, number(0));
    mc_thread(fails, number(1));
    mc_thread(waits, NULL);
}
MC_TEST(two_fail, .setup = two_fail_setup, .finish = failure_finish, .bound = BOUND, .stale = STALE);

/* A member is started while another one fails: it is refused, or cancelled. */
static void late_member_setup(void)
{
    reset(0, 0, 2);
    mc_thread(starts_a_waiting_one, NULL);
    mc_thread(fails, number(1));
    mc_thread(waits, NULL);
}
static void late_member_finish(void)
{
    check_members(2);
    mc_assert(slots[2].is_freed && slots[2].was_admitted == slots[2].has_ended, "a late member is lost");
    mc_assert(got == -EIO, "the outcome");
}
MC_TEST(a_member_that_comes_late, .setup = late_member_setup, .finish = late_member_finish, .bound = BOUND,
        .stale = STALE);

static void gives_up_setup(void)
{
    reset(0, 0, 2);
    mc_thread(until_canceled, number(0));
    mc_thread(ends, number(1));
    mc_thread(waits_and_gives_up, NULL);
}
static void gives_up_finish(void)
{
    check_members(2);
    mc_assert(interrupted == -ECANCELED && got == -ECANCELED, "the outcome");
    mc_assert(group.failed == 0 && group.canceled == 1, "the accounts");
}
MC_TEST(an_interrupted_wait, .setup = gives_up_setup, .finish = gives_up_finish, .bound = BOUND, .stale = STALE);

/* It may be too late to give up. */
static void too_late_setup(void)
{
    reset(0, 0, 2);
    mc_thread(ends, number(0));
    mc_thread(ends, number(1));
    mc_thread(waits_and_gives_up, NULL);
}
static void too_late_finish(void)
{
    check_members(2);
    mc_assert(got == 0 || (interrupted == -ECANCELED && got == -ECANCELED), "the outcome");
}
MC_TEST(an_interruption_that_is_too_late, .setup = too_late_setup, .finish = too_late_finish, .bound = BOUND,
        .stale = STALE);

static void future_setup(void)
{
    reset(0, 0, 1);
    mc_thread(until_canceled, number(0));
    mc_thread(waits_and_cancels, NULL);
}
static void future_finish(void)
{
    check_members(1);
    mc_assert(got == -ECANCELED, "the outcome");
}
MC_TEST(a_wait_that_cancels, .setup = future_setup, .finish = future_finish, .bound = 4, .stale = STALE);

static void future_late_setup(void)
{
    reset(0, 0, 1);
    mc_thread(ends, number(0));
    mc_thread(waits_and_cancels, NULL);
}
static void future_late_finish(void)
{
    check_members(1);
    mc_assert(got == 0 || got == -ECANCELED, "the outcome");
}
MC_TEST(a_wait_that_cancels_too_late, .setup = future_late_setup, .finish = future_late_finish, .bound = 4,
        .stale = STALE);

/* ---- results ---- */

static int take_one(void)
{
    mc_alloc(&ops[1], sizeof ops[1]);
    skua_op *op = start_op(skua_group_next_prepare(&ops[1], &group), NULL, 0);
    wait_op(op);
    int rc = (int)SKUAI_READ(op->result);
    if (rc == 1) {
        taken_sum += SKUAI_READ(ops[1].value) + 10 * (int64_t)SKUAI_READ(ops[1].tag);
        taken_count++;
    }
    mc_free(&ops[1], sizeof ops[1]);
    return rc;
}

static void takes_all(void *arg)
{
    (void)arg;
    while (take_one() == 1)
        ;
    int64_t outcome;
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == 0, "the last result, and somebody lives");
    leave_group();
}

static void collect_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 2);
    mc_thread(ends, number(0));
    mc_thread(ends, number(1));
    mc_thread(takes_all, NULL);
}
static void collect_finish(void)
{
    check_members(2);
    mc_assert(taken_count == 2 && taken_sum == 11, "a result was lost, or taken twice");
}
MC_TEST(results_are_taken, .setup = collect_setup, .finish = collect_finish, .bound = BOUND, .stale = STALE);

/* What nobody takes is dropped by the wait. */
static void dropped_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 2);
    mc_thread(ends, number(0));
    mc_thread(ends, number(1));
    mc_thread(waits, NULL);
}
MC_TEST(results_are_dropped, .setup = dropped_setup, .finish = all_end_finish, .bound = BOUND, .stale = STALE);

/* A taker is cancelled at whatever moment: if so, it has taken nothing. */
static void takes_or_not(void *arg)
{
    mc_alloc(&ops[1], sizeof ops[1]);
    skua_op *op = start_op(skua_group_next_prepare(&ops[1], &group), NULL, 0);
    if (skuai_op_is_done(op) || !skuai_op_kind_of(op)->withdraw(op)) {
        wait_op(op);
        mc_assert(SKUAI_READ(op->result) == 1, "the member's result");
        taken_sum += SKUAI_READ(ops[1].value) + 10 * (int64_t)SKUAI_READ(ops[1].tag);
        taken_count++;
    }
    mc_free(&ops[1], sizeof ops[1]);
    takes_all(arg);
}
static void withdrawn_taker_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 2);
    end(0, 0);
    mc_thread(ends, number(1));
    mc_thread(takes_or_not, NULL);
}
MC_TEST(a_taker_that_is_cancelled, .setup = withdrawn_taker_setup, .finish = collect_finish, .bound = 4,
        .stale = STALE);

static void withdrawn_early_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 1);
    mc_thread(ends, number(0));
    mc_thread(takes_or_not, NULL);
}
static void withdrawn_early_finish(void)
{
    check_members(1);
    mc_assert(taken_count == 1 && taken_sum == 0, "the result was lost, or taken twice");
}
MC_TEST(a_taker_that_waits_is_cancelled, .setup = withdrawn_early_setup, .finish = withdrawn_early_finish,
        .bound = 4, .stale = STALE);

/* The take as an arm of a select, whose other arm happens meanwhile. */
static const struct skuai_op_kind event_kind = {.name = "event"};
static void event_happens(void *arg)
{
    (void)arg;
    if (skuai_op_claim(&event_op))
        skuai_op_finish(&event_op, 0);
}
static void selects(void *arg)
{
    skua_op *op = start_op(skua_group_next_prepare(&ops[0], &group), &select_word, 1);
    enum skuai_op_state state = skuai_op_state(op);
    int64_t decided;
    while ((decided = skuai_select_decided(&select_word)) < 0)
        mc_futex_wait(&select_word.decided, SKUAI_SELECT_OPEN);
    if (decided == 1) {
        while (!skuai_op_is_done(op))
            skuai_pause();
        taken_sum += SKUAI_READ(ops[0].value) + 10 * (int64_t)SKUAI_READ(ops[0].tag);
        taken_count++;
    } else {
        mc_assert(state == SKUAI_OP_LOST || skuai_op_kind_of(op)->withdraw(op), "a losing arm cannot be withdrawn");
    }
    mc_free(&ops[0], sizeof ops[0]);
    takes_all(arg);
}
static void select_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 1);
    skuai_op_arm(skuai_op_prepare(&event_op, &event_kind, NULL), (uintptr_t)&select_word.decided | SKUAI_SINK_THREAD);
    event_op.select = &select_word;
    select_word.number = 1;
    mc_thread(ends, number(0));
    mc_thread(event_happens, NULL);
    mc_thread(selects, NULL);
}
MC_TEST(a_take_that_loses, .setup = select_setup, .finish = withdrawn_early_finish, .bound = BOUND, .stale = STALE);

/* ---- places ---- */

/* Waits for a place in a full group, and starts a member in it. */
static void takes_place(void *arg)
{
    skua_op *op = start_op(skua_group_reserve_prepare(&ops[1], &group), NULL, 0);
    wait_op(op);
    place_rc = (int)SKUAI_READ(op->result);
    if (place_rc == 0) {
        if (spawn(2, true) == 0)
            end(2, 0);
        else
            skuai_group_give_place(&group);
    }
    skuai_store_32(&gate, 1, SKUAI_RELEASE);
    mc_futex_wake(&gate, 1);
    (void)arg;
}
/* Only when nobody can come any more. */
static void waits_at_gate(void *arg)
{
    while (skuai_load_32(&gate, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&gate, 0);
    waits(arg);
}
static void place_setup(void)
{
    reset(0, 1, 1);
    mc_thread(ends, number(0));
    mc_thread(takes_place, NULL);
    mc_thread(waits_at_gate, NULL);
}
static void place_finish(void)
{
    check_members(1);
    mc_assert(place_rc == 0 && slots[2].is_freed && got == 0, "the place was lost");
}
MC_TEST(a_place_goes_on, .setup = place_setup, .finish = place_finish, .bound = BOUND, .stale = STALE);

static void canceled_place_setup(void)
{
    reset(0, 1, 1);
    mc_thread(fails, number(0));
    mc_thread(takes_place, NULL);
    mc_thread(waits_at_gate, NULL);
}
static void canceled_place_finish(void)
{
    check_members(1);
    mc_assert(place_rc == -ECANCELED, "a place in a group that has failed");
    mc_assert(got == -EIO, "the outcome");
}
MC_TEST(a_place_that_never_comes, .setup = canceled_place_setup, .finish = canceled_place_finish,
        .bound = BOUND, .stale = STALE);

/* ---- what one thread can see -------------------------------------------------------------------------------- */

static void pause_all(int n)
{
    for (int i = 0; i < n; i++) {
        skuai_store_ptr(&slots[i].task.next, &slots[i].task, SKUAI_RELAXED); /* as a queue may leave it */
        mc_assert(skuai_task_word_pause(&slots[i].task.word) == SKUAI_TASK_NOTHING, "woken for nothing");
    }
}
static void all_were_woken(int first, int n)
{
    for (int i = first; i < n; i++) {
        mc_assert(skuai_exchange_32(&slots[i].queued, 0, SKUAI_ACQUIRE) == 1, "a member that waits was not queued");
        mc_assert(is_canceled(&slots[i]), "a member was not cancelled");
        end(i, -ECANCELED);
    }
}

/* More than a batch, and of a batch more than one. One waits for a place besides. */
static void cancels_many(void *arg)
{
    (void)arg;
    pause_all(3);
    skua_op *place = start_op(skua_group_reserve_prepare(&ops[1], &group), NULL, 0);
    mc_assert(!skuai_op_is_done(place), "a place in a full group");
    skua_group_cancel(&group);
    mc_assert(skuai_op_is_done(place) && place->result == -ECANCELED, "a place in a cancelled group");
    mc_assert(skuai_group_try_place(&group) == -ECANCELED, "a place in a cancelled group");
    all_were_woken(0, 3);
    waits(NULL);
    mc_assert(got == -ECANCELED, "the outcome");
}
static void cancels_many_setup(void)
{
    reset(0, 3, 0);
    for (int i = 0; i < 3; i++)
        mc_assert(skuai_group_try_place(&group) == 0 && spawn(i, true) == 0, "a place is refused");
    mc_assert(skuai_group_try_place(&group) == -EAGAIN, "a place in a full group");
    mc_thread(cancels_many, NULL);
}
MC_TEST(many_are_cancelled, .setup = cancels_many_setup, .bound = MC_UNBOUNDED);

/* Who waits for what cannot come any more is told. */
static void tells_all(void *arg)
{
    (void)arg;
    skua_op *place = start_op(skua_group_reserve_prepare(&ops[1], &group), NULL, 0);
    mc_assert(!skuai_op_is_done(place), "a place in a full group");
    mc_assert(skuai_op_kind_of(place)->withdraw(place) && group.spawners.first == NULL, "he may go away");
    place = start_op(skua_group_reserve_prepare(&ops[1], &group), NULL, 0);
    skuai_group_cancel_living(&group);
    mc_assert(skuai_op_is_done(place) && place->result == -ECANCELED, "a place in a cancelled group");
    end(0, -ECANCELED);
    int64_t outcome;
    mc_assert(skuai_group_try_finish(&group, &outcome) && outcome == -ECANCELED, "the outcome");
    mc_assert(group.canceled == 1 && skuai_group_try_place(&group) == 0, "a place is refused");
    mc_assert(group.canceled == 0 && group.started == 0, "a use does not begin anew");
    skua_op *taker = start_op(skua_group_next_prepare(&ops[0], &group), NULL, 0);
    mc_assert(!skuai_op_is_done(taker), "a member may come");
    skuai_group_give_place(&group);
    mc_assert(skuai_op_is_done(taker) && taker->result == 0, "none comes");
}
static void tells_all_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 1, 0);
    mc_assert(skuai_group_try_place(&group) == 0 && spawn(0, true) == 0, "a place is refused");
    mc_thread(tells_all, NULL);
}
MC_TEST(who_waits_in_vain, .setup = tells_all_setup, .bound = MC_UNBOUNDED);

/* A runtime gives a member up; the other is of another runtime. */
static void abandons(void *arg)
{
    (void)arg;
    pause_all(2);
    skua_op *end_of_all = start_op(skua_group_idle_prepare(&ops[0], &group), NULL, 0);
    skuai_member_abandon(&slots[0].task, -ESHUTDOWN);
    mc_assert(!skuai_op_is_done(end_of_all), "one lives");
    all_were_woken(1, 2);
    mc_assert(skuai_op_is_done(end_of_all) && ops[0].value == -ESHUTDOWN, "who waits is not told");
    leave_group();
}
static void abandons_setup(void)
{
    reset(0, 0, 2);
    mc_thread(abandons, NULL);
}
MC_TEST(a_member_that_is_given_up, .setup = abandons_setup, .bound = MC_UNBOUNDED);

/* The last one is given up, or is a place that is given back: who waits is told, and what was kept is dropped. */
static void last_goes(void *arg)
{
    end(0, 0);
    skua_op *end_of_all = start_op(skua_group_idle_prepare(&ops[0], &group), NULL, 0);
    mc_assert(!skuai_op_is_done(end_of_all) && !slots[0].is_freed, "one lives, and a result is kept");
    if (arg != NULL)
        skuai_member_abandon(&slots[1].task, -ESHUTDOWN);
    else
        skuai_group_give_place(&group);
    mc_assert(skuai_op_is_done(end_of_all) && ops[0].value == (arg != NULL ? -ESHUTDOWN : 0), "who waits is not told");
    mc_assert(slots[0].is_freed, "a result is kept for ever");
    leave_group();
}
static void last_given_up_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 0, 2);
    mc_thread(last_goes, &group);
}
static void last_place_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 2, 0);
    mc_assert(skuai_group_try_place(&group) == 0 && skuai_group_try_place(&group) == 0, "a place is refused");
    mc_assert(spawn(0, true) == 0, "a member is refused");
    mc_thread(last_goes, NULL);
}
MC_TEST(the_last_is_given_up, .setup = last_given_up_setup, .bound = MC_UNBOUNDED);
MC_TEST(the_last_is_a_place, .setup = last_place_setup, .bound = MC_UNBOUNDED);

/* A member does not wait for its own group; of another group, or of none, it may. What the group is not made for is
 * refused. */
static struct skuai_worker worker;
static bool is_refused(skua_group_op *op, int error)
{
    skuai_op_kind_of(&op->op)->start(&worker, &op->op, true);
    if (!skuai_op_is_done(&op->op)) {
        mc_assert(skuai_op_kind_of(&op->op)->withdraw(&op->op), "it waits");
        return false;
    }
    mc_assert(op->op.result == error, "refused for another reason");
    return true;
}
static void sees_member(void *context, skua_task *task)
{
    mc_assert(skuai_load_32(&group.lock, SKUAI_RELAXED) != 0, "members come and go");
    mc_assert(!slot_of(task)->has_ended, "it has gone");
    ++*(int *)context;
}
static void asks_for_wrong(void *arg)
{
    static skua_group other;
    skua_op *op = &ops[0].op;
    int members = 0;
    (void)arg;
    worker.task = &slots[0].task;
    skua_group_idle_prepare(&ops[0], &group);
    mc_assert(is_refused(&ops[0], -EDEADLK), "it waits for itself");
    slots[2].task.member = &slots[2].member.record;
    slots[2].member.record.owner = (struct skuai_member_owner *)(void *)&group; /* whose it was once */
    worker.task = &slots[2].task;
    skua_group_idle_prepare(&ops[0], &group);
    mc_assert(!is_refused(&ops[0], 0), "it is nobody's member");
    skuai_task_word_begin_member(&slots[2].task.word, GENERATION, 0, false);
    SKUAI_WRITE(slots[2].member.record.owner, (struct skuai_member_owner *)(void *)&other);
    skua_group_idle_prepare(&ops[0], &group);
    mc_assert(!is_refused(&ops[0], 0), "it is another's member");
    skua_group_next_prepare(&ops[0], &group);
    mc_assert(is_refused(&ops[0], -EINVAL), "it does not collect");
    skua_group_reserve_prepare(&ops[0], &group);
    mc_assert(is_refused(&ops[0], -EINVAL), "it has no places");
    worker.task = NULL;
    skuai_group_each_member(&group, sees_member, &members);
    mc_assert(members == 2, "not all were visited");
    end(0, 0);
    end(1, 0);
    skuai_op_kind_of(skua_group_idle_prepare(&ops[0], &group))->start(&worker, op, true);
    mc_assert(skuai_op_is_done(op) && op->result == 0 && ops[0].value == 0, "the outcome");
    mc_assert(skuai_select_close(&select_word), "nothing has happened");
    op = start_op(skua_group_idle_prepare(&ops[0], &group), &select_word, 0);
    mc_assert(skuai_op_state(op) == SKUAI_OP_LOST && group.waiters.first == NULL, "what is over does not wait");
}
static void wrong_setup(void)
{
    reset(0, 0, 2);
    mc_thread(asks_for_wrong, NULL);
}
MC_TEST(what_is_refused, .setup = wrong_setup, .bound = MC_UNBOUNDED);

/* A place goes from hand to hand, and back. Results are kept, some taken, the others dropped. */
static void gives_places(void *arg)
{
    (void)arg;
    mc_assert(skuai_group_try_place(&group) == 0, "a place is refused");
    skua_op *place = start_op(skua_group_reserve_prepare(&ops[1], &group), NULL, 0);
    skuai_group_give_place(&group);
    mc_assert(skuai_op_is_done(place) && place->result == 0, "a place is lost");
    skua_op *end_of_all = start_op(skua_group_idle_prepare(&ops[0], &group), NULL, 0);
    skuai_group_give_place(&group);
    mc_assert(skuai_op_is_done(end_of_all), "a place that was given back counts");
    mc_assert(skuai_group_try_place(&group) == 0 && group.started == 0, "a use does not begin anew");
    for (int i = 0; i < 3; i++) {
        if (i > 0)
            mc_assert(skuai_group_try_place(&group) == 0, "a place is refused");
        mc_assert(spawn(i, true) == 0, "a member is refused");
        end(i, 20 + i);
    }
    mc_assert(take_one() == 1 && taken_sum == 20, "not the first result");
    waits(NULL);
    mc_assert(got == 0, "the outcome");
    check_members(3);
}
static void gives_places_setup(void)
{
    reset(SKUA_GROUP_COLLECT, 1, 0);
    mc_thread(gives_places, NULL);
}
MC_TEST(places_and_results, .setup = gives_places_setup, .bound = MC_UNBOUNDED);

/* ---- known wrong ---- */

/* A waiter that looks without the lock finds nobody alive while the last member still has it. */
static void looks_without_lock(void *arg)
{
    (void)arg;
    while (SKUAI_READ(group.live) != 0)
        skuai_pause();
    leave_group();
}
static void without_lock_setup(void)
{
    reset(0, 0, 1);
    mc_thread(ends, number(0));
    mc_thread(looks_without_lock, NULL);
}
MC_TEST_MUST_FAIL(a_wait_without_the_lock, "race", .setup = without_lock_setup);

/* A member that has failed, and is no longer counted while it cancels the others. */
static void leaves_too_early(void *arg)
{
    (void)arg;
    end(0, 0);
    skuai_group_cancel_living(&group);
}
static void too_early_setup(void)
{
    reset(0, 0, 1);
    mc_thread(leaves_too_early, NULL);
    mc_thread(waits, NULL);
}
MC_TEST_MUST_FAIL(a_cancellation_by_who_has_left, "free", .setup = too_early_setup);
