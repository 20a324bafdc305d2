/* A sketch, not an interface: how sync/ will look on the core as it is. It compiles (tests/house/sketches), to show
 * that all fits: the ops, scopes and sets that it needs are those of include/skua. Nothing here is implemented.
 */
#ifndef SKUA_SKETCH_SYNC_H
#define SKUA_SKETCH_SYNC_H

#include <skua.h>

/* ---- channels: values copied in and out by size, closed from both ends ---- */
typedef struct skua_channel skua_channel;
/* 0: rendezvous; SIZE_MAX: unbounded */
int skua_channel_create(skua_channel **channel, size_t value_size, size_t capacity);
void skua_channel_close(skua_channel *channel);
/* 0, -EPIPE, -ECANCELED: not sent, the value is still yours */
int skua_send(skua_channel *channel, const void *value);
int skua_receive(skua_channel *channel, void *value);       /* 1, 0 at the end, -ECANCELED: nothing was taken */
int skua_try_send(skua_channel *channel, const void *value);
int skua_try_receive(skua_channel *channel, void *value);

typedef struct skua_channel_op {
    SKUA_OP_HEADER;
    void *value;
    skua_channel *channel;
} skua_channel_op;
skua_op *skua_send_start(skua_channel_op *op, skua_channel *channel, const void *value);
skua_op *skua_receive_start(skua_channel_op *op, skua_channel *channel, void *value);

/* ---- select: arms are ops that share one word (sched/op.h, claim and claim_pair) ----
 * An arm must know its select before it starts, so starting splits in two: `prepare` sets the arguments and the kind
 * (which gains a start function), `start` is prepare and that. The select is a future, because any arm may end it. */
skua_op *skua_send_prepare(skua_channel_op *op, skua_channel *channel, const void *value);
skua_op *skua_receive_prepare(skua_channel_op *op, skua_channel *channel, void *value);
typedef struct skua_select {
    SKUA_FRAME;
    uint64_t word, number;
    skua_op **arms;
    size_t count;
    void *reserved[4];
} skua_select;
/* the arm that took effect */
int64_t skua_select_arms(skua_op **arms, size_t count);
skua_frame *skua_select_start(skua_select *select, skua_op **arms, size_t count);
void skua_child_op(skua_child *child, skua_op *prepared);                                   /* an op in a race */

/* ---- locks: usable from fibers, futures, jobs and plain threads ---- */
typedef struct skua_mutex {
    skua_word64 state;
    skua_op *first, *last;
    void *reserved[2];
} skua_mutex;
int skua_mutex_lock(skua_mutex *mutex); /* 0 or -ECANCELED: not locked */
void skua_mutex_unlock(skua_mutex *mutex);
skua_op *skua_mutex_lock_start(skua_op *op, skua_mutex *mutex);

/* ---- scopes: on the chain that shields are on ---- */
void skua_deadline_enter(skua_scope *scope, uint64_t instant_ns); /* awaits inside return -ETIMEDOUT from then on */
bool skua_scope_expired(const skua_scope *scope);
#define SKUA_DEADLINE(duration_ns)                                                                            \
    __attribute__((cleanup(skua_scope_leave))) skua_scope SKUAI_JOIN(skuai_deadline_, __LINE__);              \
    (void)sizeof(char[skuai_block_scope_allowed]);                                                            \
    skua_deadline_enter(&SKUAI_JOIN(skuai_deadline_, __LINE__), skua_after(duration_ns))

/* ---- groups ---- */
typedef struct skua_group {
    skua_mutex mutex;
    uint64_t live;
    int64_t first_error;
    void *reserved[8];
} skua_group;
void skua_group_init(skua_group *group);
int skua_group_go(skua_group *group, skua_fiber_fn *fn, void *arg); /* the first failure cancels the others */
int64_t skua_group_wait(skua_group *group);                        /* nothing outlives this line */

#endif
