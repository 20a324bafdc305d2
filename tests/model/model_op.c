/* The op protocol between its three parties (sched/op.h, O1 … O5): a completer, the owner, and the owner as canceller.
 *
 * The primitive is an event with the short lock and a queue; the waiter is a task with the real task word. The owner
 * gives the op's memory back the moment it sees DONE or has withdrawn, so whatever touches the op later is found. What
 * fires is a copy of the sink, and the task that it names stays a task.
 */
/* model-sources: sched/op.c */
#include <errno.h>
#include <string.h>

#include "model/mc.h"
#include "sched/lock.h"
#include "sched/op.h"
#include "sched/rundown.h"
#include "sched/task_word.h"

enum { VALUE = 7 };

static struct event {
    struct skuai_lock lock;
    skua_op *first;    /* guarded, as the count */
    unsigned happened; /* with nobody waiting */
} events[2];

static struct {
    skua_word64 word;
    skua_word32 queued; /* the only queue: 1 while the task is in it */
} task;
static struct skuai_rundown holds;
static bool holding; /* the completer belongs to another runtime */
static skua_op ops[2];
static int64_t got[2];
static unsigned fires;

/* ---- the waiter ---- */

static void enqueue(void)
{
    uint32_t before = skuai_exchange_32(&task.queued, 1, SKUAI_RELEASE); /* a queue's push */
    mc_assert(before == 0, "the task is in two queues");
    mc_futex_wake(&task.queued, 1);
}

static void wake_task(void)
{
    if (skuai_task_word_wake(&task.word) == SKUAI_TASK_ENQUEUE)
        enqueue();
}

static void suspend(void)
{
    if (skuai_task_word_pause(&task.word) == SKUAI_TASK_ENQUEUE)
        enqueue();
    while (skuai_exchange_32(&task.queued, 0, SKUAI_ACQUIRE) == 0) /* a queue's take */
        mc_futex_wait(&task.queued, 0);
    skuai_task_word_run(&task.word);
}

/* ---- what the library asks of the runtime ---- */

void skuai_sink_fire(uintptr_t sink)
{
    fires++;
    if ((sink & SKUAI_SINK_TAGS) == SKUAI_SINK_THREAD) {
        mc_futex_wake((skua_word32 *)(sink - SKUAI_SINK_THREAD), 1);
        return;
    }
    mc_assert(sink == (uintptr_t)&task, "the copy of the sink");
    wake_task();
}

/* As sched/sink.c's. */
void *skuai_sink_hold(uintptr_t sink)
{
    if (!holding || (sink & SKUAI_SINK_TAGS) != SKUAI_SINK_TASK)
        return NULL;
    skuai_rundown_enter_ahead(&holds); /* of DONE */
    return &holds;
}
void skuai_sink_unhold(void *held) { skuai_rundown_leave(held); }

/* ---- the event ---- */

static bool event_withdraw(skua_op *op)
{
    struct event *event = op->owner;
    skuai_lock_acquire(&event->lock);
    skua_op *before = NULL, *each = SKUAI_READ(event->first);
    while (each != NULL && each != op) {
        before = each;
        each = SKUAI_READ(each->next);
    }
    bool linked = each == op;
    if (linked && before == NULL)
        SKUAI_WRITE(event->first, SKUAI_READ(op->next));
    else if (linked)
        SKUAI_WRITE(before->next, SKUAI_READ(op->next));
    bool armed = skuai_load_32(&op->state, SKUAI_RELAXED) == SKUAI_OP_ARMED; /* changes under the lock */
    mc_assert(linked == armed, "linked and not claimed are the same for a lone op");
    skuai_lock_release(&event->lock);
    return linked;
}

static const struct skuai_op_kind event_kind = {.name = "event", .withdraw = event_withdraw};

static skua_op *event_start(skua_op *op, struct event *event, uintptr_t sink)
{
    mc_alloc(op, sizeof *op);
    skuai_op_arm(skuai_op_prepare(op, &event_kind, event), sink);
    skuai_lock_acquire(&event->lock);
    unsigned happened = SKUAI_READ(event->happened);
    if (happened != 0) {
        SKUAI_WRITE(event->happened, happened - 1);
    } else {
        SKUAI_WRITE(op->next, SKUAI_READ(event->first));
        SKUAI_WRITE(event->first, op);
    }
    skuai_lock_release(&event->lock);
    return happened != 0 ? skuai_op_set_done(op, VALUE) : op;
}

static skua_op *event_claim(struct event *event)
{
    skuai_lock_acquire(&event->lock);
    skua_op *op = SKUAI_READ(event->first);
    if (op == NULL) {
        SKUAI_WRITE(event->happened, SKUAI_READ(event->happened) + 1);
    } else {
        SKUAI_WRITE(event->first, SKUAI_READ(op->next));
        mc_assert(skuai_op_claim(op), "a lone op in a queue can always be claimed");
    }
    skuai_lock_release(&event->lock);
    return op;
}

static void completer(void *arg)
{
    skua_op *op = event_claim(arg);
    if (op != NULL)
        skuai_op_finish(op, VALUE);
}

/* ---- owners ---- */

/* As skua_await() in a fiber. */
static int64_t await_op(skua_op *op)
{
    while (!skuai_op_is_done(op)) {
        bool canceled = (skuai_load_64(&task.word, SKUAI_RELAXED) & SKUAI_TASK_CANCEL) != 0;
        if (canceled && ((const struct skuai_op_kind *)op->kind)->withdraw(op)) {
            skuai_op_set_done(op, -ECANCELED);
            break;
        }
        suspend();
    }
    int64_t result = SKUAI_READ(op->result);
    mc_free(op, sizeof *op);
    return result;
}

static void waits_once(void *arg)
{
    (void)arg;
    got[0] = await_op(event_start(&ops[0], &events[0], (uintptr_t)&task));
}

/* The second op has the first one's memory, and the first one's fire may arrive while it is armed. */
static void waits_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        got[i] = await_op(event_start(&ops[0], &events[i], (uintptr_t)&task));
}

/* Two ops at once, of one event: a queue of two. */
static void waits_for_two(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        event_start(&ops[i], &events[0], (uintptr_t)&task);
    for (int i = 0; i < 2; i++)
        got[i] = await_op(&ops[i]);
}

/* As skua_await() in a thread outside the runtime: the op's own word is the futex. */
static void waits_as_thread(void *arg)
{
    (void)arg;
    skua_op *op = event_start(&ops[0], &events[0], (uintptr_t)&ops[0].state | SKUAI_SINK_THREAD);
    for (;;) {
        uint32_t state = (uint32_t)skuai_op_state(op);
        if (state == SKUAI_OP_DONE)
            break;
        mc_futex_wait(&op->state, state);
    }
    got[0] = SKUAI_READ(op->result);
    mc_free(op, sizeof *op);
}

/* Its runtime goes once the wait is over: only a hold keeps it until a foreign completer's fire has arrived. */
static void destroys_runtime(void *arg)
{
    waits_once(arg);
    while (!skuai_rundown_is_over(&holds))
        skuai_pause();
    mc_free(&task, sizeof task);
}

static void canceller(void *arg)
{
    (void)arg;
    if (skuai_task_word_cancel(&task.word) == SKUAI_TASK_ENQUEUE)
        enqueue();
}

/* ---- tests ---- */

static void reset(void)
{
    memset(events, 0, sizeof events);
    memset(ops, 0, sizeof ops);
    memset(&task, 0, sizeof task);
    holds.users.raw = 0;
    holding = false;
    got[0] = got[1] = fires = 0;
    task.word.raw = SKUAI_TASK_ALIVE | SKUAI_TASK_RUNNING;
    mc_name(&task.word, "task.word");
    mc_name(&task.queued, "queue");
    mc_name(&holds.users, "holds");
    for (int i = 0; i < 2; i++) {
        mc_name(&events[i].lock.word, "lock %d", i);
        mc_name(&ops[i].state, "op%d.state", i);
        mc_name(&ops[i].result, "op%d.result", i);
        mc_name(&ops[i].sink, "op%d.sink", i);
    }
}

static void one_wait_setup(void)
{
    reset();
    mc_thread(waits_once, NULL);
    mc_thread(completer, &events[0]);
}
static void one_wait_finish(void) { mc_assert(got[0] == VALUE, "the result is not the completer's"); }
MC_TEST(one_wait, .setup = one_wait_setup, .finish = one_wait_finish, .bound = MC_UNBOUNDED);

static void withdrawn_setup(void)
{
    reset();
    mc_thread(waits_once, NULL);
    mc_thread(completer, &events[0]);
    mc_thread(canceller, NULL);
}
static void withdrawn_finish(void)
{
    bool canceled = got[0] == -ECANCELED;
    mc_assert(canceled || got[0] == VALUE, "neither done nor cancelled");
    mc_assert(events[0].happened == (canceled ? 1 : 0), "the event was lost, or happened twice");
    mc_assert(!canceled || fires == 0, "a withdrawn op has fired");
    mc_assert(events[0].first == NULL, "an op is linked for ever");
}
MC_TEST(withdrawn, .setup = withdrawn_setup, .finish = withdrawn_finish, .bound = 3, .max_executions = 400000);

static void late_fire_setup(void)
{
    reset();
    mc_thread(waits_twice, NULL);
    mc_thread(completer, &events[0]);
    mc_thread(completer, &events[1]);
}
static void both_finish(void) { mc_assert(got[0] == VALUE && got[1] == VALUE, "a result is not the completer's"); }
MC_TEST(late_fire, .setup = late_fire_setup, .finish = both_finish, .bound = 3, .max_executions = 400000);

static void queue_of_two_setup(void)
{
    reset();
    mc_thread(waits_for_two, NULL);
    mc_thread(completer, &events[0]);
    mc_thread(completer, &events[0]);
}
MC_TEST(queue_of_two, .setup = queue_of_two_setup, .finish = both_finish, .stale = 2, .max_executions = 200000);

static void plain_thread_setup(void)
{
    reset();
    mc_thread(waits_as_thread, NULL);
    mc_thread(completer, &events[0]);
}
MC_TEST(plain_thread, .setup = plain_thread_setup, .finish = one_wait_finish, .bound = MC_UNBOUNDED);

static void foreign_completer_setup(void)
{
    reset();
    holding = true;
    mc_thread(destroys_runtime, NULL);
    mc_thread(completer, &events[0]);
}
MC_TEST(foreign_completer, .setup = foreign_completer_setup, .finish = one_wait_finish, .bound = 4);

static void no_hold_setup(void)
{
    foreign_completer_setup();
    holding = false;
}
MC_TEST_MUST_FAIL(no_hold, "use after free", .setup = no_hold_setup);

/* Known wrong: the sink is read when DONE has let the op go. */
static void late_reader(void *arg)
{
    skua_op *op = event_claim(arg);
    if (op == NULL)
        return;
    SKUAI_WRITE(op->result, VALUE);
    skuai_store_32(&op->state, SKUAI_OP_DONE, SKUAI_RELEASE);
    skuai_sink_fire(SKUAI_READ(op->sink));
}
static void late_reader_setup(void)
{
    reset();
    mc_thread(waits_once, NULL);
    mc_thread(late_reader, &events[0]);
}
MC_TEST_MUST_FAIL(sink_read_after_done, "a free by thread 1 and by thread 2's read", .setup = late_reader_setup);

/* Known wrong: claimed outside the lock, so that a withdrawal can come between. */
static void late_claimer(void *arg)
{
    struct event *event = arg;
    skuai_lock_acquire(&event->lock);
    skua_op *op = SKUAI_READ(event->first);
    skuai_lock_release(&event->lock);
    if (op == NULL || !skuai_op_claim(op))
        return;
    skuai_op_finish(op, VALUE);
}
static void late_claimer_setup(void)
{
    reset();
    mc_thread(waits_once, NULL);
    mc_thread(late_claimer, &events[0]);
    mc_thread(canceller, NULL);
}
MC_TEST_MUST_FAIL(claim_outside_the_lock, "linked and not claimed", .setup = late_claimer_setup);
