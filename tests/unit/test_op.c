/* Ops on real threads: claiming alone, in pairs and in selects; finishing, losing, withdrawing. The primitives are this
 * file's own: a gate hands tokens to who waits, a channel lets senders and receivers meet.
 */
#include "sched/op.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sched/lock.h"
#include "sched/scheduler.h"
#include "sched/wait.h"
#include "support/with_runtime.h"

/* ---- one step at a time -------------------------------------------------------------------------------------- */

static const struct skuai_op_kind nothing_kind = { .name = "nothing" };

static void arm_lone(skua_op *op)
{
    skuai_op_arm(skuai_op_prepare(op, &nothing_kind, NULL), (uintptr_t)&op->state | SKUAI_SINK_THREAD);
}

static void arm_of(skua_op *op, struct skuai_select *select, uint32_t arm)
{
    arm_lone(op);
    op->select = select;
    op->arm = arm;
}

static uint32_t decided(const struct skuai_select *select) { return skuai_load_32(&select->decided, SKUAI_ACQUIRE); }

TEST(arming_sets_all_of_an_op)
{
    skua_op op;
    memset(&op, 0xa5, sizeof op);
    skuai_op_arm(skuai_op_prepare(&op, &nothing_kind, &op), 77 * 4 | SKUAI_SINK_CHILD);
    CHECK_EQ(skuai_op_state(&op), SKUAI_OP_ARMED);
    CHECK(op.result == 0 && op.arm == 0 && op.select == NULL && op.next == NULL && op.prev == NULL);
    CHECK(op.sink == (77 * 4 | SKUAI_SINK_CHILD) && op.kind == &nothing_kind && op.owner == &op);
    CHECK(!skua_op_is_done(&op));
    skuai_op_set_done(&op, -EBUSY);
    CHECK(skua_op_is_done(&op));
    CHECK_EQ(skua_await(&op), -EBUSY);
    CHECK(skua_op_cancel(&op) == &op); /* nothing is left to withdraw */
    CHECK_EQ(op.result, -EBUSY);
}

TEST(a_lone_op_is_always_claimed)
{
    skua_op op;
    arm_lone(&op);
    CHECK(skuai_op_claim(&op));
    CHECK_EQ(skuai_op_state(&op), SKUAI_OP_CLAIMED);
    skuai_op_finish(&op, 12);
    CHECK_EQ(skua_await(&op), 12);
    arm_lone(&op);
    skuai_op_lose(&op);
    CHECK_EQ(skuai_op_state(&op), SKUAI_OP_LOST);
    CHECK(!skuai_op_is_done(&op));
}

TEST(one_arm_of_a_select_is_claimed)
{
    struct skuai_select select = { .number = 1 };
    skua_op arms[3];
    for (uint32_t i = 0; i < 3; i++)
        arm_of(&arms[i], &select, i);
    CHECK(skuai_op_claim(&arms[1]));
    CHECK_EQ(decided(&select), SKUAI_SELECT_FIRST + 1);
    CHECK(!skuai_op_claim(&arms[0]));
    CHECK(!skuai_op_claim(&arms[2]));
    CHECK(!skuai_op_claim(&arms[1])); /* nor that one again */
    CHECK_EQ(skuai_op_state(&arms[0]), SKUAI_OP_ARMED);
    CHECK_EQ(skuai_op_state(&arms[2]), SKUAI_OP_ARMED);
    skuai_op_finish(&arms[1], 5);
    CHECK_EQ(skua_await(&arms[1]), 5);
}

/* Two arms of two selects and two lone ops, in all pairs, with either select decided before or not. */
struct quartet {
    struct skuai_select selects[2];
    skua_op ops[4]; /* arm 3 of each select, two lone ones */
};

static void arm_quartet(struct quartet *q, bool reverse, unsigned decided_before)
{
    for (uint32_t i = 0; i < 2; i++) {
        q->selects[i] = (struct skuai_select){ .number = reverse ? 9 - i : 4 + i };
        if (decided_before >> i & 1)
            skuai_store_32(&q->selects[i].decided, SKUAI_SELECT_FIRST, SKUAI_RELAXED);
        arm_of(&q->ops[i], &q->selects[i], 3);
        arm_lone(&q->ops[2 + i]);
    }
}

static void check_pair(bool reverse, unsigned before, int first, int second)
{
    struct quartet q;
    arm_quartet(&q, reverse, before);
    bool first_lost = first < 2 && (before >> first & 1), second_lost = second < 2 && (before >> second & 1);
    enum skuai_claim claim = skuai_op_claim_pair(&q.ops[first], &q.ops[second]);
    CHECK((claim == SKUAI_CLAIM_WON) == (!first_lost && !second_lost));
    CHECK(claim != SKUAI_CLAIM_LOST_FIRST || first_lost);
    CHECK(claim != SKUAI_CLAIM_LOST_SECOND || second_lost);
    for (int i = 0; i < 4; i++) {
        bool claimed = claim == SKUAI_CLAIM_WON && (i == first || i == second);
        CHECK_EQ(skuai_op_state(&q.ops[i]), claimed ? SKUAI_OP_CLAIMED : SKUAI_OP_ARMED);
        if (i < 2)
            CHECK_EQ(decided(&q.selects[i]),
                     before >> i & 1 ? SKUAI_SELECT_FIRST : claimed ? SKUAI_SELECT_FIRST + 3 : SKUAI_SELECT_OPEN);
    }
}

TEST(a_pair_is_claimed_both_or_neither)
{
    for (int reverse = 0; reverse < 2; reverse++)
        for (unsigned before = 0; before < 4; before++)
            for (int first = 0; first < 4; first++)
                for (int second = 0; second < 4; second++)
                    if (first != second)
                        check_pair(reverse, before, first, second);
}

TEST(arms_of_one_select_never_match)
{
    struct skuai_select select = { .number = 1 };
    skua_op arms[2];
    arm_of(&arms[0], &select, 0);
    arm_of(&arms[1], &select, 1);
    CHECK_EQ(skuai_op_claim_pair(&arms[0], &arms[1]), SKUAI_CLAIM_LOST_SECOND);
    CHECK_EQ(skuai_op_claim_pair(&arms[1], &arms[0]), SKUAI_CLAIM_LOST_SECOND);
    CHECK_EQ(decided(&select), SKUAI_SELECT_OPEN);
    CHECK(skuai_op_claim(&arms[0]));
}

/* Who meets a tentative claim waits for what becomes of it. */
struct tentative {
    struct skuai_select select;
    skua_op op;
    skua_word32 claiming;
    bool claimed;
};

static void *claims(void *arg)
{
    struct tentative *t = arg;
    skuai_store_32(&t->claiming, 1, SKUAI_RELEASE);
    t->claimed = skuai_op_claim(&t->op);
    return NULL;
}

static void check_tentative(uint32_t becomes)
{
    struct tentative t = { .select = { .decided = { SKUAI_SELECT_TENTATIVE }, .number = 1 } };
    pthread_t thread;
    arm_of(&t.op, &t.select, 4);
    CHECK_EQ(pthread_create(&thread, NULL, claims, &t), 0);
    while (skuai_load_32(&t.claiming, SKUAI_ACQUIRE) == 0)
        sched_yield();
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(decided(&t.select), SKUAI_SELECT_TENTATIVE);
        sched_yield();
    }
    skuai_store_32(&t.select.decided, becomes, SKUAI_RELEASE);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(t.claimed, becomes == SKUAI_SELECT_OPEN);
    CHECK_EQ(decided(&t.select), becomes == SKUAI_SELECT_OPEN ? SKUAI_SELECT_FIRST + 4 : becomes);
    CHECK_EQ(skuai_op_state(&t.op), t.claimed ? SKUAI_OP_CLAIMED : SKUAI_OP_ARMED);
}

TEST(a_tentative_claim_is_waited_for)
{
    check_tentative(SKUAI_SELECT_OPEN);
    check_tentative(SKUAI_SELECT_FIRST);
}

/* ---- queues -------------------------------------------------------------------------------------------------- */

struct queue {
    skua_op *first, *last;
};

static void append(struct queue *queue, skua_op *op)
{
    op->prev = queue->last;
    op->next = NULL;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = op;
    queue->last = op;
}

static void unlink_op(struct queue *queue, skua_op *op)
{
    *(op->prev != NULL ? &op->prev->next : &queue->first) = op->next;
    *(op->next != NULL ? &op->next->prev : &queue->last) = op->prev;
}

/* ---- a gate: completers against owners that cancel ----------------------------------------------------------- */

struct gate {
    struct skuai_lock lock;
    struct queue waiting;  /* guarded */
    uint64_t first_spare, posted; /* guarded: tokens first_spare … posted-1 went to nobody yet */
};

/* An op in the queue is ARMED, one that left it is CLAIMED, both under the lock. */
static bool gate_withdraw(skua_op *op)
{
    struct gate *gate = op->owner;
    skuai_lock_acquire(&gate->lock);
    bool linked = skuai_op_state(op) == SKUAI_OP_ARMED;
    if (linked)
        unlink_op(&gate->waiting, op);
    skuai_lock_release(&gate->lock);
    return linked;
}

static const struct skuai_op_kind gate_kind = { .name = "gate", .withdraw = gate_withdraw };

static skua_op *gate_start(struct gate *gate, skua_op *op)
{
    skuai_op_arm_here(skuai_worker_self(), skuai_op_prepare(op, &gate_kind, gate));
    skuai_lock_acquire(&gate->lock);
    bool waits = gate->first_spare == gate->posted;
    int64_t token = waits ? 0 : (int64_t)gate->first_spare++;
    if (waits)
        append(&gate->waiting, op);
    skuai_lock_release(&gate->lock);
    if (waits)
        return op;
    skuai_op_disarm_here(op);
    return skuai_op_set_done(op, token);
}

static void gate_post(struct gate *gate)
{
    skuai_lock_acquire(&gate->lock);
    skua_op *op = gate->waiting.first;
    int64_t token = (int64_t)gate->posted++;
    if (op != NULL) {
        CHECK_EQ(gate->first_spare, (uint64_t)token); /* nobody waits while tokens lie about */
        gate->first_spare++;
        unlink_op(&gate->waiting, op);
        CHECK(skuai_op_claim(op));
    }
    skuai_lock_release(&gate->lock);
    if (op != NULL)
        skuai_op_finish(op, token);
}

struct gate_run {
    struct gate gate;
    uint32_t *times; /* taken, per token: each by whoever got it */
    uint64_t share;  /* tokens that each owner takes and each completer posts */
    uint64_t random; /* a seed for each, by addition */
};

static struct gate_run gate_run(uint64_t share, uint64_t owners)
{
    struct gate_run run = { .share = share, .times = calloc(owners * share, sizeof *run.times) };
    CHECK(run.times != NULL);
    return run;
}

static void check_tokens(struct gate_run *run, uint64_t owners)
{
    CHECK_EQ(run->gate.posted, owners * run->share);
    CHECK_EQ(run->gate.first_spare, run->gate.posted);
    CHECK(run->gate.waiting.first == NULL && run->gate.waiting.last == NULL);
    for (uint64_t i = 0; i < run->gate.posted; i++)
        CHECK_EQ(run->times[i], 1);
    free(run->times);
}

/* As a thread or a fiber: takes its share, and gives up on every other wait, sooner or later. */
static void own(struct gate_run *run)
{
    uint64_t random = __atomic_add_fetch(&run->random, 1, __ATOMIC_RELAXED);
    for (uint64_t taken = 0; taken < run->share;) {
        skua_op op;
        skua_op *started = gate_start(&run->gate, &op);
        uint32_t choice = skuai_random_below(&random, 8);
        if (choice < 4) {
            for (uint32_t i = 0; i < choice; i++)
                skua_yield();
            skua_op_cancel(started);
        }
        int64_t token = skua_await(started);
        CHECK(token >= 0 || (token == -ECANCELED && choice < 4));
        memset(&op, 0xee, sizeof op); /* whatever touches it now is found */
        if (token < 0)
            continue;
        run->times[token]++;
        taken++;
    }
}

static void *owner_thread(void *arg)
{
    own(arg);
    return NULL;
}

static void *completer_thread(void *arg)
{
    struct gate_run *run = arg;
    uint64_t random = __atomic_add_fetch(&run->random, 1, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < run->share; i++) {
        gate_post(&run->gate);
        if (skuai_random_below(&random, 4) == 0)
            sched_yield();
    }
    return NULL;
}

TEST(completers_against_owners_that_cancel)
{
    struct gate_run run = gate_run(test_scaled(10000), 2);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i % 2 ? owner_thread : completer_thread, &run), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    check_tokens(&run, 2);
}

static int owner_fiber(void *arg)
{
    own(arg);
    return 0;
}

static int completer_fiber(void *arg)
{
    struct gate_run *run = arg;
    for (uint64_t i = 0; i < run->share; i++) {
        gate_post(&run->gate);
        if (i % 3 == 0)
            skua_yield();
    }
    return 0;
}

static int gate_of_fibers(void *arg)
{
    (void)arg;
    struct gate_run run = gate_run(100, 3);
    skua_task *tasks[6];
    for (int i = 0; i < 6; i++)
        CHECK_OK(skua_spawn(&tasks[i], i % 2 ? owner_fiber : completer_fiber, &run));
    for (int i = 0; i < 6; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    check_tokens(&run, 3);
    return 0;
}
TEST(completers_against_fibers_that_cancel) { run_everywhere(gate_of_fibers, NULL); }

/* A cancelled task's op is withdrawn, or has its token: never both, never neither. */
static int takes_or_is_cancelled(void *arg)
{
    skua_op op;
    return (int)skua_await(gate_start(arg, &op));
}

static int cancel_waiters(void *arg)
{
    (void)arg;
    struct gate gate = { .posted = 0 };
    uint32_t got = 0, given_up = 0;
    for (int round = 0; round < 20; round++) {
        skua_task *tasks[4];
        int64_t result;
        for (int i = 0; i < 4; i++)
            CHECK_OK(skua_spawn(&tasks[i], takes_or_is_cancelled, &gate));
        if (round % 2)
            skua_yield();
        for (int i = 0; i < 4; i++) {
            skua_cancel(tasks[(i + round) % 4]);
            if (i % 2)
                gate_post(&gate);
        }
        for (int i = 0; i < 4; i++) {
            CHECK_OK(skua_join(tasks[i], &result));
            CHECK(result >= 0 || result == -ECANCELED);
            ++*(result >= 0 ? &got : &given_up);
        }
    }
    CHECK_EQ(got + given_up, 80);
    CHECK_EQ(got, gate.first_spare);
    CHECK_EQ(gate.posted, 40);
    CHECK(gate.waiting.first == NULL);
    return 0;
}
TEST(cancelled_tasks_withdraw) { run_everywhere(cancel_waiters, NULL); }

/* Ops that are done are awaited without waiting, but not for ever: others of the worker get their turn. */
struct turns {
    SKUA_FRAME;
    struct {
        skua_word32 *ran;
    } in;
    skua_op op;
    uint32_t awaits;
};

SKUA_ASYNC(turns)
{
    SKUA_BEGIN(self);
    for (self->awaits = 0; skuai_load_32(self->in.ran, SKUAI_RELAXED) == 0; self->awaits++) {
        SKUA_AWAIT(skuai_op_set_done(skuai_op_prepare(&self->op, &nothing_kind, NULL), (int64_t)self->awaits));
        CHECK_EQ(self->op.result, (int64_t)self->awaits);
    }
    SKUA_END(self->awaits);
}

static int takes_its_turn(void *arg)
{
    skuai_store_32(arg, 1, SKUAI_RELAXED);
    return 0;
}

static int await_what_is_done(void *arg)
{
    (void)arg;
    skua_word32 ran = { 0 };
    skua_op op;
    int64_t awaits = 0;
    CHECK_OK(skua_go(takes_its_turn, &ran));
    for (; skuai_load_32(&ran, SKUAI_RELAXED) == 0; awaits++)
        CHECK_EQ(skua_await(skuai_op_set_done(skuai_op_prepare(&op, &nothing_kind, NULL), awaits)), awaits);
    CHECK(awaits < 1000);
    for (int inside = 0; inside < 2; inside++) { /* as a task, and inside a fiber */
        struct turns turns;
        skua_task *task;
        skuai_store_32(&ran, 0, SKUAI_RELAXED);
        if (!inside)
            CHECK_OK(SKUA_SPAWN(&task, turns, .ran = &ran));
        CHECK_OK(skua_go(takes_its_turn, &ran));
        if (inside)
            awaits = skua_await_future(SKUA_FUTURE(&turns, turns, .ran = &ran));
        else
            CHECK_OK(skua_join(task, &awaits));
        CHECK(awaits < 1000);
    }
    return 0;
}

TEST(awaits_that_need_not_wait_give_way_in_time)
{
    CHECK_EQ(run_on(1, await_what_is_done, NULL), 0); /* one worker: nobody else runs them */
    for (uint64_t seed = test_seed(); seed < test_seed() + 5; seed++)
        CHECK_EQ(run_seeded(seed, 1, await_what_is_done, NULL), 0);
}

/* A thread outside completes the ops of a fiber whose runtime is destroyed as soon as it has ended: the last fire may
 * still be under way and is waited for. */
static int takes_all(void *arg)
{
    struct gate_run *run = arg;
    skua_op op;
    for (uint64_t i = 0; i < run->share; i++)
        run->times[skua_await(gate_start(&run->gate, &op))]++;
    return 0;
}

static bool somebody_waits(struct gate *gate)
{
    skuai_lock_acquire(&gate->lock);
    bool waits = gate->waiting.first != NULL;
    skuai_lock_release(&gate->lock);
    return waits;
}

static void *posts_when_needed(void *arg)
{
    struct gate_run *run = arg;
    for (uint64_t i = 0; i < run->share; i++) {
        while (!somebody_waits(&run->gate))
            sched_yield();
        gate_post(&run->gate);
    }
    return NULL;
}

TEST(a_foreign_completer_holds_the_runtime)
{
    uint64_t rounds = test_scaled(60);
    for (uint64_t i = 0; i < rounds; i++) {
        struct gate_run run = gate_run(5, 1);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, posts_when_needed, &run), 0);
        CHECK_EQ(run_on(1 + (uint32_t)(i % 2), takes_all, &run), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        check_tokens(&run, 1);
    }
}

/* ---- channels: select against select ------------------------------------------------------------------------- */

enum { TRADERS = 4 };

struct channel {
    struct skuai_lock lock;
    struct queue senders, receivers; /* guarded */
};

struct offer { /* an arm */
    skua_op op;
    bool sends;
    uint64_t value;
};

/* Losers stay linked until their owner takes them out. */
static bool channel_withdraw(skua_op *op)
{
    struct channel *channel = op->owner;
    struct offer *offer = (struct offer *)(void *)op;
    skuai_lock_acquire(&channel->lock);
    bool linked = skuai_op_state(op) == SKUAI_OP_ARMED;
    if (linked)
        unlink_op(offer->sends ? &channel->senders : &channel->receivers, op);
    skuai_lock_release(&channel->lock);
    return linked;
}

static const struct skuai_op_kind channel_kind = { .name = "channel", .withdraw = channel_withdraw };

enum offered { WAITS, TRADED, DECIDED };

/* O1 and, if somebody is there to trade with, O2 and O3 for both. */
static enum offered offer_locked(struct channel *channel, struct offer *mine, bool mine_first, skua_op **partner)
{
    struct queue *others = mine->sends ? &channel->receivers : &channel->senders;
    for (skua_op *other = others->first; other != NULL; other = other->next) {
        enum skuai_claim claim =
            mine_first ? skuai_op_claim_pair(&mine->op, other) : skuai_op_claim_pair(other, &mine->op);
        if (claim == SKUAI_CLAIM_WON) {
            struct offer *theirs = (struct offer *)(void *)other;
            unlink_op(others, other);
            if (mine->sends)
                theirs->value = mine->value;
            else
                mine->value = theirs->value;
            *partner = other;
            return TRADED;
        }
        if (claim == (mine_first ? SKUAI_CLAIM_LOST_FIRST : SKUAI_CLAIM_LOST_SECOND))
            return DECIDED;
    }
    append(mine->sends ? &channel->senders : &channel->receivers, &mine->op);
    return WAITS;
}

static enum offered offer(struct channel *channel, struct offer *mine, struct skuai_select *select, uint32_t arm,
                          bool mine_first)
{
    skua_op *partner = NULL;
    skuai_op_arm_here(skuai_worker_self(), skuai_op_prepare(&mine->op, &channel_kind, channel));
    mine->op.select = select;
    mine->op.arm = arm;
    skuai_lock_acquire(&channel->lock);
    enum offered offered = offer_locked(channel, mine, mine_first, &partner);
    skuai_lock_release(&channel->lock);
    if (offered == TRADED) {
        skuai_op_finish(partner, (int64_t)arm);
        skuai_op_set_done(&mine->op, (int64_t)arm);
    }
    return offered;
}

struct market {
    struct channel channels[2];
    uint64_t rounds;
    skua_word32 *times; /* received, per value */
    skua_word64 sent[TRADERS], received[TRADERS], lost; /* lost: arms that another had decided */
};

struct trader {
    struct market *market;
    uint32_t index;
};

/* Offers both arms, waits for one, takes back the other. Which one it was. */
static uint32_t trade(struct market *market, struct offer offers[2], struct skuai_select *select, uint64_t *random)
{
    uint32_t first = (uint32_t)skuai_random_below(random, 2), linked = 0;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t arm = first ^ i;
        bool mine_first = skuai_random_below(random, 2) != 0;
        enum offered offered = offer(&market->channels[arm], &offers[arm], select, arm, mine_first);
        linked |= offered == WAITS ? 1u << arm : 0;
        if (offered != WAITS)
            break;
    }
    uint64_t word;
    while ((word = decided(select)) < SKUAI_SELECT_FIRST)
        sched_yield();
    uint32_t arm = (uint32_t)(word - SKUAI_SELECT_FIRST);
    if (linked >> (1 - arm) & 1) { /* a loser is left as it was armed */
        CHECK(channel_withdraw(&offers[1 - arm].op));
        CHECK(offers[1 - arm].op.result == 0 && offers[1 - arm].op.arm == 1 - arm);
        skuai_add_64(&market->lost, 1, SKUAI_RELAXED);
    }
    CHECK_EQ(skua_await(&offers[arm].op), arm);
    return arm;
}

/* Even ones send on channel 0 and receive on 1, odd ones the other way round; so all rounds come to an end. */
static void *trader(void *arg)
{
    const struct trader *self = arg;
    struct market *market = self->market;
    uint64_t random = test_seed() + self->index;
    for (uint64_t round = 0; round < market->rounds; round++) {
        uint64_t value = round * TRADERS + self->index;
        /* Either may be the older of two selects that meet. */
        struct skuai_select select = { .number = skuai_random_next(&random) << 8 | self->index };
        uint32_t sending = self->index % 2;
        struct offer offers[2] = { { .value = UINT64_MAX }, { .value = UINT64_MAX } };
        offers[sending].sends = true;
        offers[sending].value = value;
        uint32_t arm = trade(market, offers, &select, &random);
        if (arm == sending) {
            skuai_count(&market->sent[self->index], 1);
            CHECK_EQ(offers[arm].value, value);
        } else {
            skuai_count(&market->received[self->index], 1);
            CHECK((offers[arm].value ^ self->index) & 1); /* from the other side */
            CHECK_EQ(skuai_add_32(&market->times[offers[arm].value], 1, SKUAI_RELAXED), 0);
            CHECK_EQ(offers[sending].value, value);
        }
        memset(offers, 0xee, sizeof offers);
        memset(&select, 0xee, sizeof select);
    }
    return NULL;
}

TEST(selects_against_selects)
{
    struct market market = { .rounds = test_scaled(10000) };
    market.times = calloc(TRADERS * market.rounds, sizeof *market.times);
    CHECK(market.times != NULL);
    struct trader traders[TRADERS];
    pthread_t threads[TRADERS];
    for (uint32_t i = 0; i < TRADERS; i++) {
        traders[i] = (struct trader){ &market, i };
        CHECK_EQ(pthread_create(&threads[i], NULL, trader, &traders[i]), 0);
    }
    for (uint32_t i = 0; i < TRADERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    uint64_t sent = 0, received = 0, times = 0;
    for (uint32_t i = 0; i < TRADERS; i++) {
        sent += market.sent[i].raw;
        received += market.received[i].raw;
    }
    for (uint64_t i = 0; i < TRADERS * market.rounds; i++)
        times += market.times[i].raw;
    CHECK_EQ(sent, received);
    CHECK_EQ(sent + received, TRADERS * market.rounds);
    CHECK_EQ(times, received);
    for (int i = 0; i < 2; i++)
        CHECK(market.channels[i].senders.first == NULL && market.channels[i].receivers.first == NULL);
    free(market.times);
}
