/* Selects (sched/op.c, O2): of one select's arms exactly one is claimed, whoever else tries; two selects complete each
 * other together or not at all, in whatever order their claimers name them, and never in a circle of waiting.
 *
 * A channel here is a lock and the ops that wait in it. In the first tests owners wait, withdraw their other arms and
 * give all memory back; in those of pairs the ops are armed beforehand and claimers meet over them, which is where the
 * words of two selects are taken one after the other.
 */
/* model-sources: sched/op.c */
#include <string.h>

#include "model/mc.h"
#include "sched/lock.h"
#include "sched/op.h"

enum { SELECTS = 3, ARMS = 3, CHANNELS = 3 };

static struct channel {
    struct skuai_lock lock;
    skua_op *waiting[2]; /* guarded */
} channels[CHANNELS];
static struct whole {
    struct skuai_select word;
    skua_op arms[ARMS];
    int message; /* what the completer moves: plain */
} selects[SELECTS];
static skua_op lone;
static skua_word32 sinks[SELECTS]; /* who waits: type-stable */
static unsigned won, lost;
static int64_t got[SELECTS];

void skuai_sink_fire(uintptr_t sink)
{
    skuai_add_32((skua_word32 *)sink, 1, SKUAI_RELEASE);
    mc_futex_wake((skua_word32 *)sink, 1);
}
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }

/* ---- channels ---- */

/* Unlinked, or popped by a claimer that lost: in both cases the owner's alone again. */
static bool withdraw(skua_op *op)
{
    struct channel *channel = op->owner;
    skuai_lock_acquire(&channel->lock);
    for (int i = 0; i < 2; i++)
        if (SKUAI_READ(channel->waiting[i]) == op)
            SKUAI_WRITE(channel->waiting[i], NULL);
    bool withdrawn = skuai_load_32(&op->state, SKUAI_RELAXED) == SKUAI_OP_ARMED; /* changes under the lock */
    skuai_lock_release(&channel->lock);
    return withdrawn;
}

static const struct skuai_op_kind kind = {.name = "channel", .withdraw = withdraw};

static void arm(int which, uint32_t index, int place)
{
    struct whole *select = &selects[which];
    skua_op *op = &select->arms[index];
    struct channel *channel = &channels[index];
    skuai_op_arm(skuai_op_prepare(op, &kind, channel), (uintptr_t)&sinks[which]);
    op->select = &select->word;
    op->arm = index;
    skuai_lock_acquire(&channel->lock);
    SKUAI_WRITE(channel->waiting[place], op);
    skuai_lock_release(&channel->lock);
}

/* Completes the op that waits in the channel. */
static void completer(void *arg)
{
    struct channel *channel = arg;
    skuai_lock_acquire(&channel->lock);
    skua_op *op = SKUAI_READ(channel->waiting[0]);
    SKUAI_WRITE(channel->waiting[0], NULL);
    bool claimed = op != NULL && skuai_op_claim(op);
    skuai_lock_release(&channel->lock);
    if (!claimed) {
        lost++;
        return;
    }
    won++;
    SKUAI_WRITE(selects[0].message, (int)(channel - channels));
    skuai_op_finish(op, channel - channels);
}

/* Lets the two ops that wait in the channel complete each other. */
static void match(struct channel *channel, int first, int second)
{
    skuai_lock_acquire(&channel->lock);
    skua_op *a = SKUAI_READ(channel->waiting[first]), *b = SKUAI_READ(channel->waiting[second]);
    enum skuai_claim claim = SKUAI_CLAIM_LOST_FIRST;
    if (a != NULL && b != NULL)
        claim = skuai_op_claim_pair(a, b);
    if (claim == SKUAI_CLAIM_WON) {
        SKUAI_WRITE(channel->waiting[0], NULL);
        SKUAI_WRITE(channel->waiting[1], NULL);
    } else if (a != NULL && b != NULL) {
        SKUAI_WRITE(channel->waiting[claim == SKUAI_CLAIM_LOST_FIRST ? first : second], NULL);
        const struct skuai_select *decided = (claim == SKUAI_CLAIM_LOST_FIRST ? a : b)->select;
        mc_assert(decided != NULL && skuai_load_32(&decided->decided, SKUAI_RELAXED) >= SKUAI_SELECT_FIRST,
                  "blamed a select that is not decided");
    }
    skuai_lock_release(&channel->lock);
    if (claim != SKUAI_CLAIM_WON) {
        lost++;
        return;
    }
    won++;
    skuai_op_finish(a, channel - channels);
    skuai_op_finish(b, channel - channels);
}
static void matcher(void *arg) { match(arg, 0, 1); }
static void reverse_matcher(void *arg) { match(arg, 1, 0); }

/* ---- an owner ---- */

/* Waits for one of two arms, withdraws the other one and gives back all memory. */
static void owner(void *arg)
{
    int which = (int)(uintptr_t)arg;
    struct whole *select = &selects[which];
    uint32_t decided;
    for (;;) {
        uint32_t fires = skuai_load_32(&sinks[which], SKUAI_ACQUIRE);
        decided = skuai_load_32(&select->word.decided, SKUAI_ACQUIRE);
        if (decided >= SKUAI_SELECT_FIRST)
            break;
        mc_futex_wait(&sinks[which], fires);
    }
    uint32_t index = decided - SKUAI_SELECT_FIRST;
    mc_assert(withdraw(&select->arms[1 - index]), "both arms of a select were claimed");
    for (;;) { /* it is claimed, so its fire is on its way */
        uint32_t fires = skuai_load_32(&sinks[which], SKUAI_ACQUIRE);
        if (skuai_op_is_done(&select->arms[index]))
            break;
        mc_futex_wait(&sinks[which], fires);
    }
    got[which] = SKUAI_READ(select->arms[index].result);
    mc_assert(got[which] == (int64_t)index, "another arm's result");
    if (SKUAI_READ(select->message) >= 0)
        mc_assert(SKUAI_READ(select->message) == (int)index, "another arm's message");
    mc_free(select, sizeof *select);
}

/* ---- tests ---- */

static void reset(void)
{
    memset(channels, 0, sizeof channels);
    memset(selects, 0, sizeof selects);
    memset(sinks, 0, sizeof sinks);
    memset(&lone, 0, sizeof lone);
    won = lost = 0;
    for (int i = 0; i < SELECTS; i++) {
        got[i] = selects[i].message = -1;
        selects[i].word.number = (uint64_t)i + 1;
        mc_name(&selects[i].word.decided, "select %d", i);
        mc_name(&sinks[i], "sink %d", i);
        mc_name(&channels[i].lock.word, "lock %d", i);
        for (int k = 0; k < ARMS; k++)
            mc_name(&selects[i].arms[k].state, "select %d, arm %d", i, k);
    }
}

static uint32_t decision(int which) { return skuai_load_32(&selects[which].word.decided, SKUAI_RELAXED); }
static bool is_done(int which, int index) { return skuai_op_is_done(&selects[which].arms[index]); }

/* The word and the arms' states tell the same; returns the decided arm, or -1. */
static int decided_arm(int which)
{
    uint32_t decided = decision(which);
    mc_assert(decided != SKUAI_SELECT_TENTATIVE, "a select is tentative for ever");
    for (int k = 0; k < ARMS; k++)
        mc_assert(is_done(which, k) == (decided == (uint32_t)k + SKUAI_SELECT_FIRST),
                  "the select's word and its arms' states differ");
    return decided == SKUAI_SELECT_OPEN ? -1 : (int)(decided - SKUAI_SELECT_FIRST);
}

static void one_select_setup(void)
{
    reset();
    arm(0, 0, 0);
    arm(0, 1, 0);
    mc_thread(owner, (void *)0);
    mc_thread(completer, &channels[0]);
    mc_thread(completer, &channels[1]);
}
static void one_select_finish(void)
{
    mc_assert(won == 1 && lost == 1, "not exactly one completer has claimed");
    mc_assert(got[0] == 0 || got[0] == 1, "the owner does not know which");
}
MC_TEST(one_select, .setup = one_select_setup, .finish = one_select_finish, .stale = 3);

/* Two selects in two channels, matched in opposite orders. */
static void opposite_setup(void)
{
    reset();
    for (uint32_t channel = 0; channel < 2; channel++)
        for (int which = 0; which < 2; which++)
            arm(which, channel, which);
    mc_thread(matcher, &channels[0]);
    mc_thread(reverse_matcher, &channels[1]);
}
static void pair_finish(void)
{
    mc_assert(won == 1 && lost == 1, "not exactly one pair was claimed");
    int first = decided_arm(0);
    mc_assert(first >= 0 && first == decided_arm(1), "the halves of a pair differ");
}
MC_TEST(opposite_orders, .setup = opposite_setup, .finish = pair_finish, .bound = 4);

/* The same with their owners. */
static void pair_and_owners_setup(void)
{
    opposite_setup();
    mc_thread(owner, (void *)0);
    mc_thread(owner, (void *)1);
}
static void pair_and_owners_finish(void)
{
    mc_assert(won == 1 && lost == 1, "not exactly one pair was claimed");
    mc_assert(got[0] >= 0 && got[0] == got[1], "the halves of a pair differ");
}
MC_TEST(pair_and_owners, .setup = pair_and_owners_setup, .finish = pair_and_owners_finish, .stale = 1,
        .max_executions = 400000);

/* Both owners are cancelled while they are being matched: what is claimed cannot be withdrawn, what is withdrawn cannot
 * be claimed. */
static void cancelled_owner(void *arg)
{
    int which = (int)(uintptr_t)arg;
    skua_op *op = &selects[which].arms[0];
    if (!withdraw(op)) {
        while (!skuai_op_is_done(op))
            skuai_pause();
        got[which] = SKUAI_READ(op->result);
    }
    mc_free(&selects[which], sizeof selects[which]);
}
static void pair_and_cancel_setup(void)
{
    reset();
    for (int which = 0; which < 2; which++) {
        arm(which, 0, which);
        mc_thread(cancelled_owner, (void *)(uintptr_t)which);
    }
    mc_thread(matcher, &channels[0]);
}
static void pair_and_cancel_finish(void)
{
    int64_t both = won == 1 ? 0 : -1;
    mc_assert(got[0] == both && got[1] == both, "half a pair");
}
MC_TEST(pair_and_cancel, .setup = pair_and_cancel_setup, .finish = pair_and_cancel_finish, .stale = 3);

/* 0 with 1, 1 with 2, 2 with 0. */
static void circle_setup(void)
{
    reset();
    for (uint32_t channel = 0; channel < 3; channel++) {
        arm((int)channel, channel, 0);
        arm(((int)channel + 1) % 3, channel, 1);
        mc_thread(matcher, &channels[channel]);
    }
}
static void circle_finish(void)
{
    mc_assert(won == 1 && lost == 2, "not exactly one pair was claimed");
    int arms[3], open = 0;
    for (int i = 0; i < 3; i++)
        open += (arms[i] = decided_arm(i)) < 0;
    mc_assert(open == 1, "not exactly two selects are decided");
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            mc_assert(arms[i] < 0 || arms[k] < 0 || arms[i] == arms[k], "the halves of a pair differ");
}
MC_TEST(circle, .setup = circle_setup, .finish = circle_finish, .bound = 3, .stale = 2);

/* A pair against a claim of one of its halves: `victim` is in channel 1 too. */
static void pair_against_single(int victim)
{
    reset();
    arm(0, 0, 0);
    arm(1, 0, 1);
    arm(victim, 1, 0);
    mc_thread(matcher, &channels[0]);
    mc_thread(completer, &channels[1]);
}
static void low_victim_setup(void) { pair_against_single(0); }
static void high_victim_setup(void) { pair_against_single(1); }
static void pair_against_single_finish(void)
{
    mc_assert(won == 1 && lost == 1, "not exactly one claim");
    int low = decided_arm(0), high = decided_arm(1);
    bool pair = low == 0 && high == 0;
    bool single = (low == 1 && high == -1) || (low == -1 && high == 1);
    mc_assert(pair || single, "half a pair");
}
MC_TEST(pair_against_single_low, .setup = low_victim_setup, .finish = pair_against_single_finish, .bound = 4);
MC_TEST(pair_against_single_high, .setup = high_victim_setup, .finish = pair_against_single_finish,
        .bound = MC_UNBOUNDED);

/* A select's arm and a lone op, whichever comes first, against a claim of the select's other arm. */
static void pair_with_lone(int place)
{
    reset();
    skuai_op_arm(skuai_op_prepare(&lone, &kind, &channels[0]), (uintptr_t)&sinks[2]);
    channels[0].waiting[place] = &lone;
    arm(0, 0, 1 - place);
    arm(0, 1, 0);
    mc_thread(matcher, &channels[0]);
    mc_thread(completer, &channels[1]);
}
static void lone_first_setup(void) { pair_with_lone(0); }
static void lone_second_setup(void) { pair_with_lone(1); }
static void pair_with_lone_finish(void)
{
    mc_assert(won == 1 && lost == 1, "not exactly one claim");
    bool pair = decided_arm(0) == 0;
    mc_assert(pair || decided_arm(0) == 1, "nothing was claimed");
    mc_assert(skuai_op_state(&lone) == (pair ? SKUAI_OP_DONE : SKUAI_OP_ARMED), "half a pair");
}
MC_TEST(pair_with_lone_first, .setup = lone_first_setup, .finish = pair_with_lone_finish, .bound = MC_UNBOUNDED);
MC_TEST(pair_with_lone_second, .setup = lone_second_setup, .finish = pair_with_lone_finish, .bound = MC_UNBOUNDED);

/* Two arms of one select in the same channel, a send and a receive: they never match. */
static void same_matcher(void *arg)
{
    (void)arg;
    skua_op *a = &selects[0].arms[0], *b = &selects[0].arms[1];
    mc_assert(skuai_op_claim_pair(a, b) == SKUAI_CLAIM_LOST_SECOND, "a select has matched itself");
    mc_assert(skuai_op_claim_pair(b, a) == SKUAI_CLAIM_LOST_SECOND, "a select has matched itself");
    mc_assert(skuai_op_state(a) == SKUAI_OP_ARMED && skuai_op_state(b) == SKUAI_OP_ARMED, "half a pair");
}
static void same_setup(void)
{
    reset();
    arm(0, 0, 0);
    arm(0, 1, 0);
    mc_thread(same_matcher, NULL);
}
static void same_finish(void)
{
    completer(&channels[0]);
    mc_assert(won == 1 && decided_arm(0) == 0, "the select cannot be claimed any more");
}
MC_TEST(same_select, .setup = same_setup, .finish = same_finish, .bound = MC_UNBOUNDED);

/* Known wrong: each claimer takes its first op's word first. */
static void unordered_claim(struct skuai_select *first, struct skuai_select *second)
{
    uint32_t seen = SKUAI_SELECT_OPEN;
    if (!skuai_cas_32(&first->decided, &seen, SKUAI_SELECT_TENTATIVE, SKUAI_ACQ_REL))
        return;
    while (seen = SKUAI_SELECT_OPEN, !skuai_cas_32(&second->decided, &seen, SKUAI_SELECT_FIRST, SKUAI_ACQ_REL)) {
        if (seen >= SKUAI_SELECT_FIRST)
            return;
        skuai_pause();
    }
    skuai_store_32(&first->decided, SKUAI_SELECT_FIRST, SKUAI_RELEASE);
}
static void unordered(void *arg) { (void)arg; unordered_claim(&selects[0].word, &selects[1].word); }
static void unordered_reverse(void *arg) { (void)arg; unordered_claim(&selects[1].word, &selects[0].word); }
static void unordered_setup(void)
{
    reset();
    mc_thread(unordered, NULL);
    mc_thread(unordered_reverse, NULL);
}
MC_TEST_MUST_FAIL(claims_without_order, "livelock", .setup = unordered_setup);
