/* The op protocol's shared steps. See op.h. Model: tests/model/model_op.c. */
#include "sched/op.h"

/* Tries to take a select's word from OPEN to `value`; waits out a tentative claim, which is a few instructions of
 * another claimer that holds a lower-numbered word, so waits never form a circle. */
static bool select_take(struct skuai_select *select, uint32_t value)
{
    uint32_t seen = SKUAI_SELECT_OPEN;
    /* That one claimer decides needs no order. No model test needs the acquire and release: ops are published by their
     * primitives' locks and come back by DONE or LOST. They stay for a select whose owner reads the word itself and
     * then what the claimer did before; on x86 it is the same instruction. */
    while (!skuai_cas_32(&select->decided, &seen, value, SKUAI_ACQ_REL)) {
        if (seen >= SKUAI_SELECT_FIRST)
            return false;
        seen = SKUAI_SELECT_OPEN;
        skuai_pause();
    }
    return true;
}

static uint32_t arm_value(const skua_op *op) { return op->arm + SKUAI_SELECT_FIRST; }

bool skuai_op_claim(skua_op *op)
{
    struct skuai_select *select = op->select;
    if (select != NULL && !select_take(select, arm_value(op)))
        return false;
    /* Relaxed: read by the owner under the same lock (O5), or not at all. */
    skuai_store_32(&op->state, SKUAI_OP_CLAIMED, SKUAI_RELAXED);
    return true;
}

static enum skuai_claim claim_two_selects(skua_op *first, skua_op *second)
{
    struct skuai_select *a = first->select, *b = second->select;
    if (a == b)
        return SKUAI_CLAIM_LOST_SECOND;
    bool in_order = skuai_op_is_before(first, second);
    skua_op *low_op = in_order ? first : second, *high_op = in_order ? second : first;
    struct skuai_select *low = low_op->select, *high = high_op->select;

    if (!select_take(low, SKUAI_SELECT_TENTATIVE))
        return in_order ? SKUAI_CLAIM_LOST_FIRST : SKUAI_CLAIM_LOST_SECOND;
    if (!select_take(high, arm_value(high_op))) {
        /* Nobody saw more than TENTATIVE. Release for the next taker's acquire; no model test needs the release: as in
         * select_take. */
        skuai_store_32(&low->decided, SKUAI_SELECT_OPEN, SKUAI_RELEASE);
        return in_order ? SKUAI_CLAIM_LOST_SECOND : SKUAI_CLAIM_LOST_FIRST;
    }
    /* For an owner who reads the word; no model test needs the release: as in select_take. */
    skuai_store_32(&low->decided, arm_value(low_op), SKUAI_RELEASE);
    return SKUAI_CLAIM_WON;
}

bool skuai_select_close(struct skuai_select *select) { return select_take(select, SKUAI_SELECT_CLOSED); }

int64_t skuai_select_decided(const struct skuai_select *select)
{
    /* Relaxed: which arm it is needs no order; what the claimer did comes by that arm's DONE. */
    uint32_t decided = skuai_load_32(&select->decided, SKUAI_RELAXED);
    return decided >= SKUAI_SELECT_FIRST && decided != SKUAI_SELECT_CLOSED ? (int64_t)(decided - SKUAI_SELECT_FIRST)
                                                                           : -1;
}

enum skuai_claim skuai_op_claim_pair(skua_op *first, skua_op *second)
{
    if (first->select != NULL && second->select != NULL) {
        enum skuai_claim claim = claim_two_selects(first, second);
        if (claim != SKUAI_CLAIM_WON)
            return claim;
    } else {
        if (first->select != NULL && !select_take(first->select, arm_value(first)))
            return SKUAI_CLAIM_LOST_FIRST;
        if (second->select != NULL && !select_take(second->select, arm_value(second)))
            return SKUAI_CLAIM_LOST_SECOND;
    }
    skuai_store_32(&first->state, SKUAI_OP_CLAIMED, SKUAI_RELAXED); /* as in skuai_op_claim */
    skuai_store_32(&second->state, SKUAI_OP_CLAIMED, SKUAI_RELAXED);
    return SKUAI_CLAIM_WON;
}

skua_op *skuai_op_claim_all(skua_op *first)
{
    const void *last = NULL;
    skua_op *lost = first;
    for (; lost != NULL; lost = SKUAI_READ(lost->next)) {
        struct skuai_select *select = lost->select;
        if (select == NULL)
            continue;
        if (select == last || !select_take(select, SKUAI_SELECT_TENTATIVE))
            break;
        last = select;
    }
    for (skua_op *op = first; op != lost; op = SKUAI_READ(op->next)) {
        struct skuai_select *select = op->select;
        /* Release, both: as in claim_two_selects(); no model test needs the release: as there. */
        if (select != NULL)
            skuai_store_32(&select->decided, lost == NULL ? arm_value(op) : SKUAI_SELECT_OPEN, SKUAI_RELEASE);
        if (lost == NULL)
            skuai_store_32(&op->state, SKUAI_OP_CLAIMED, SKUAI_RELAXED); /* as in skuai_op_claim */
    }
    return lost;
}

SKUAI_HOT static void tell(skua_op *op, enum skuai_op_state state)
{
    uintptr_t sink = SKUAI_READ(op->sink);
    struct skuai_worker *here = skuai_sink_here(sink);
    if (SKUAI_LIKELY(here != NULL)) {
        skuai_store_32(&op->state, state, SKUAI_RELEASE); /* as below */
        skuai_sink_fire_here(here, sink);
        return;
    }
    void *held = skuai_sink_hold(sink);
    /* Release: pairs with the owner's acquire in skuai_op_state(); without it the owner reads a stale result. From
     * here the op may be gone. */
    skuai_store_32(&op->state, state, SKUAI_RELEASE);
    skuai_sink_fire(sink);
    if (held != NULL)
        skuai_sink_unhold(held);
}

SKUAI_HOT void skuai_op_finish(skua_op *op, int64_t result)
{
    SKUAI_WRITE(op->result, result);
    tell(op, SKUAI_OP_DONE);
}

void skuai_op_again(skua_op *op) { tell(op, SKUAI_OP_AGAIN); }

void skuai_op_lose(skua_op *op)
{
    /* Release: the completer's reads of the op come before the owner's reuse of its memory. */
    skuai_store_32(&op->state, SKUAI_OP_LOST, SKUAI_RELEASE);
}
