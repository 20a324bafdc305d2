/* See linearize.h. */
#include "support/linearize.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* Sequentially consistent: the moments lie between what the object does before and after, for all threads alike. */
static uint64_t moment(struct lin_history *history) { return __atomic_add_fetch(&history->clock, 1, __ATOMIC_SEQ_CST); }

struct lin_op *lin_begin(struct lin_history *history, uint32_t who, uint32_t what, int64_t arg)
{
    uint32_t at = __atomic_fetch_add(&history->count, 1, __ATOMIC_RELAXED);
    if (at >= LIN_OPS_MAX)
        test_fail(__FILE__, __LINE__, "a history of more than %d operations", LIN_OPS_MAX);
    struct lin_op *op = &history->ops[at];
    *op = (struct lin_op){ .who = who, .what = what, .arg = arg };
    op->begin = moment(history);
    return op;
}

void lin_end(struct lin_history *history, struct lin_op *op, int64_t result)
{
    op->result = result;
    op->end = moment(history);
}

void lin_forget(struct lin_op *op) { op->forgotten = true; }

void lin_clear(struct lin_history *history) { history->count = 0; }

/* ---- searching --------------------------------------------------------------------------------------------------- */

enum { WORDS = LIN_OPS_MAX / 64, TRIED_MAX = 1 << 20 };

/* Which operations have been done, and what has become of the object. */
struct config {
    uint64_t done[WORDS];
    unsigned char state[LIN_STATE_MAX];
};

struct search {
    const struct lin_spec *spec;
    const void *params;
    const struct lin_op *ops[LIN_OPS_MAX]; /* by the moment they began */
    uint32_t count;
    size_t config_bytes;
    struct config *tried; /* a hash table with open addressing; never half full */
    bool *is_tried;
    uint32_t size, used;
};

static bool is_done(const struct config *config, uint32_t i) { return config->done[i / 64] >> (i % 64) & 1; }

static uint64_t hash_of(const struct search *search, const struct config *config)
{
    const unsigned char *bytes = (const unsigned char *)config;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < search->config_bytes; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

/* True: it is new, and has been added. */
static bool insert(struct search *search, const struct config *config)
{
    uint32_t at = (uint32_t)hash_of(search, config) & (search->size - 1);
    for (; search->is_tried[at]; at = (at + 1) & (search->size - 1))
        if (memcmp(&search->tried[at], config, search->config_bytes) == 0)
            return false;
    memcpy(&search->tried[at], config, search->config_bytes);
    search->is_tried[at] = true;
    search->used++;
    return true;
}

static void set_size(struct search *search, uint32_t size)
{
    search->size = size;
    search->used = 0;
    search->tried = malloc(size * sizeof *search->tried);
    search->is_tried = calloc(size, sizeof *search->is_tried);
    CHECK(search->tried != NULL && search->is_tried != NULL);
}

static bool try_new(struct search *search, const struct config *config)
{
    if (2 * search->used >= search->size) {
        struct search old = *search;
        set_size(search, 4 * old.size);
        for (uint32_t i = 0; i < old.size; i++)
            if (old.is_tried[i])
                insert(search, &old.tried[i]);
        free(old.tried);
        free(old.is_tried);
    }
    return insert(search, config);
}

/* The next operation can only be one that began before the first of those not done has ended. */
static uint64_t first_end(const struct search *search, const struct config *config)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < search->count && search->ops[i]->begin < first; i++)
        if (!is_done(config, i) && search->ops[i]->end != 0 && search->ops[i]->end < first)
            first = search->ops[i]->end;
    return first;
}

static bool is_complete(const struct search *search, const struct config *config)
{
    for (uint32_t i = 0; i < search->count; i++)
        if (!is_done(config, i) && search->ops[i]->end != 0)
            return false;
    return search->spec->may_end == NULL || search->spec->may_end(config->state, search->params);
}

/* From a configuration with one more operation done, from `*next` on; false: there is none that was not tried. */
static bool advance(struct search *search, const struct config *from, uint32_t *next, struct config *to)
{
    uint64_t limit = first_end(search, from);
    for (uint32_t i = *next; i < search->count && search->ops[i]->begin < limit; i++) {
        if (is_done(from, i))
            continue;
        *to = *from;
        if (!search->spec->step(to->state, search->params, search->ops[i]))
            continue;
        to->done[i / 64] |= UINT64_C(1) << (i % 64);
        if (!try_new(search, to))
            continue;
        *next = i + 1;
        return true;
    }
    return false;
}

static enum lin_verdict depth_first(struct search *search, struct config *path, uint32_t *next)
{
    uint32_t depth = 0;
    next[0] = 0;
    while (!is_complete(search, &path[depth])) {
        if (search->used > TRIED_MAX)
            return LIN_UNDECIDED;
        if (advance(search, &path[depth], &next[depth], &path[depth + 1]))
            next[++depth] = 0;
        else if (depth == 0)
            return LIN_BROKEN;
        else
            depth--;
    }
    return LIN_HOLDS;
}

static int by_begin(const void *a, const void *b)
{
    const struct lin_op *first = *(const struct lin_op *const *)a, *second = *(const struct lin_op *const *)b;
    return first->begin < second->begin ? -1 : first->begin > second->begin;
}

enum lin_verdict lin_check(const struct lin_spec *spec, const void *params, const struct lin_op *ops, uint32_t count)
{
    struct search search = { .spec = spec, .params = params };
    struct config *path = calloc(LIN_OPS_MAX + 1, sizeof *path);
    uint32_t next[LIN_OPS_MAX + 1];
    CHECK(path != NULL && spec->state_bytes <= LIN_STATE_MAX && count <= LIN_OPS_MAX);
    search.config_bytes = offsetof(struct config, state) + spec->state_bytes;
    for (uint32_t i = 0; i < count; i++)
        if (!ops[i].forgotten)
            search.ops[search.count++] = &ops[i];
    qsort(search.ops, search.count, sizeof search.ops[0], by_begin);
    set_size(&search, 256);
    spec->init(path[0].state, params);
    enum lin_verdict verdict = depth_first(&search, path, next);
    free(search.tried);
    free(search.is_tried);
    free(path);
    return verdict;
}

static void show(const struct lin_spec *spec, const struct lin_history *history)
{
    for (uint32_t i = 0; i < history->count; i++) {
        const struct lin_op *op = &history->ops[i];
        fprintf(stderr, "  %4llu-%-4llu %2u %s %lld: ", (unsigned long long)op->begin, (unsigned long long)op->end,
                op->who, spec->names[op->what], (long long)op->arg);
        if (op->forgotten)
            fprintf(stderr, "no effect\n");
        else if (op->end == 0)
            fprintf(stderr, "not ended\n");
        else
            fprintf(stderr, "%lld\n", (long long)op->result);
    }
}

void lin_must_hold(const struct lin_spec *spec, const void *params, const struct lin_history *history)
{
    enum lin_verdict verdict = lin_check(spec, params, history->ops, history->count);
    if (verdict == LIN_HOLDS)
        return;
    show(spec, history);
    test_fail(__FILE__, __LINE__, verdict == LIN_BROKEN ? "this history of a %s is not linearizable"
                                                        : "this history of a %s is too much to look through",
              spec->name);
}

/* ---- channels ---------------------------------------------------------------------------------------------------- */

struct channel {
    uint32_t count, is_closed;
    uint64_t hand_until; /* capacity 0: a value is in hand that must be received by who began before this */
    int32_t values[LIN_CAPACITY_MAX + 2];
};
_Static_assert(sizeof(struct channel) <= LIN_STATE_MAX, "a state has room for it");

static void channel_init(void *state, const void *params)
{
    (void)params;
    memset(state, 0, sizeof(struct channel));
}

static bool channel_send(struct channel *channel, const struct lin_channel *params, const struct lin_op *op)
{
    uint32_t room = params->capacity != 0 ? params->capacity : 1; /* in hand, for the receive that must follow */
    bool is_known = op->end != 0;
    if (is_known && op->result == -EPIPE)
        return channel->is_closed != 0;
    if (is_known && op->result == -EAGAIN)
        return !channel->is_closed && (params->capacity == 0 || channel->count == room);
    if (channel->is_closed || channel->count == room || (is_known && op->result < 0))
        return false;
    channel->values[channel->count++] = (int32_t)op->arg;
    if (params->capacity == 0)
        channel->hand_until = is_known ? op->end : UINT64_MAX;
    return true;
}

static bool channel_receive(struct channel *channel, const struct lin_channel *params, const struct lin_op *op)
{
    bool is_known = op->end != 0;
    if (is_known && op->result == -EPIPE)
        return channel->is_closed && channel->count == 0;
    if (is_known && op->result == -EAGAIN)
        return channel->count == 0 && (params->capacity == 0 || !channel->is_closed);
    if (channel->count == 0 || (is_known && channel->values[0] != op->result))
        return false;
    if (params->capacity == 0 && op->begin > channel->hand_until)
        return false;
    channel->hand_until = 0;
    channel->count--;
    memmove(channel->values, channel->values + 1, channel->count * sizeof channel->values[0]);
    channel->values[channel->count] = 0; /* equal states are equal bytes */
    return true;
}

static bool channel_may_end(const void *state, const void *params)
{
    return ((const struct lin_channel *)params)->capacity != 0 || ((const struct channel *)state)->count == 0;
}

static bool channel_step(void *state, const void *params, const struct lin_op *op)
{
    struct channel *channel = state;
    if (op->what == LIN_RECEIVE)
        return channel_receive(channel, params, op);
    if (!channel_may_end(state, params))
        return false; /* a value is in hand */
    if (op->what == LIN_SEND)
        return channel_send(channel, params, op);
    channel->is_closed = 1;
    return true;
}

static const char *const channel_names[] = { "send", "receive", "close" };
const struct lin_spec lin_channel = { "channel",       sizeof(struct channel), channel_init,
                                      channel_step, channel_may_end,       channel_names };

/* ---- mutexes ----------------------------------------------------------------------------------------------------- */

struct mutex {
    uint32_t holder; /* + 1; 0: nobody */
};

static void mutex_init(void *state, const void *params)
{
    (void)params;
    ((struct mutex *)state)->holder = 0;
}

static bool mutex_step(void *state, const void *params, const struct lin_op *op)
{
    struct mutex *mutex = state;
    (void)params;
    if (op->what == LIN_UNLOCK) {
        bool is_holder = mutex->holder == op->who + 1;
        mutex->holder = 0;
        return is_holder;
    }
    if (op->end != 0 && op->result == -EAGAIN)
        return mutex->holder != 0;
    if (mutex->holder != 0)
        return false;
    mutex->holder = op->who + 1;
    return true;
}

static const char *const mutex_names[] = { "lock", "unlock" };
const struct lin_spec lin_mutex = { "mutex", sizeof(struct mutex), mutex_init, mutex_step, NULL, mutex_names };

/* ---- semaphores -------------------------------------------------------------------------------------------------- */

static void semaphore_init(void *state, const void *params)
{
    memcpy(state, &((const struct lin_semaphore *)params)->permits, sizeof(uint64_t));
}

static bool semaphore_step(void *state, const void *params, const struct lin_op *op)
{
    uint64_t permits, arg = (uint64_t)op->arg;
    memcpy(&permits, state, sizeof permits);
    if (op->what == LIN_RELEASE)
        permits += arg;
    else if (op->end != 0 && op->result == -EAGAIN)
        return ((const struct lin_semaphore *)params)->is_fair || permits < arg;
    else if (permits < arg)
        return false;
    else
        permits -= arg;
    memcpy(state, &permits, sizeof permits);
    return true;
}

static const char *const semaphore_names[] = { "acquire", "release" };
const struct lin_spec lin_semaphore = { "semaphore", sizeof(uint64_t), semaphore_init, semaphore_step, NULL,
                                        semaphore_names };

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void event_init(void *state, const void *params)
{
    (void)params;
    *(unsigned char *)state = 0;
}

static bool event_step(void *state, const void *params, const struct lin_op *op)
{
    unsigned char *is_set = state, was_set = *is_set;
    (void)params;
    *is_set = op->what == LIN_SET;
    switch (op->what) {
    case LIN_RESET:
        return op->end == 0 || op->result == was_set;
    case LIN_WAIT:
        return op->end != 0 && op->result == -EAGAIN ? !was_set : was_set;
    default:
        return true;
    }
}

static const char *const event_names[] = { "set", "wait", "reset" };
const struct lin_spec lin_auto_event = { "self-resetting event", 1, event_init, event_step, NULL, event_names };
