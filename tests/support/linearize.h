/* Linearizability: whether what several threads saw of an object could have come from doing its operations one after
 * the other, each at some moment between its call and its return (Herlihy and Wing, 1990).
 *
 *     struct lin_op *op = lin_begin(&history, who, LIN_SEND, value);
 *     lin_end(&history, op, skua_send(channel, &value));
 *     …
 *     lin_must_hold(&lin_channel, &(struct lin_channel){ .capacity = 2 }, &history);
 *
 * The search is Wing and Gong's (1993), with Lowe's memory of what was tried (2017): depth first over which operation
 * comes next, where a set of operations done and a state that have been met before are not gone on from again. It is
 * exponential at worst; histories of up to 256 operations of a few threads take milliseconds.
 *
 * An operation that has had no effect by its contract (cancelled, timed out) is taken back by lin_forget(). One that is
 * begun and not ended when the history is looked at may have had its effect or not.
 */
#ifndef TEST_LINEARIZE_H
#define TEST_LINEARIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIN_OPS_MAX = 256, LIN_STATE_MAX = 128 };

struct lin_op {
    uint64_t begin, end; /* moments; end 0: it has not ended */
    uint32_t who, what;
    int64_t arg, result;
    bool forgotten;
};

/* The calls of one object by any number of threads. Zero it; lin_clear() to use it again. */
struct lin_history {
    uint64_t clock; /* __atomic, as is count */
    uint32_t count;
    struct lin_op ops[LIN_OPS_MAX];
};

/* Any thread. The clock gives a moment to each call and return: what is between two moments is between them in
 * truth. */
struct lin_op *lin_begin(struct lin_history *history, uint32_t who, uint32_t what, int64_t arg);
void lin_end(struct lin_history *history, struct lin_op *op, int64_t result);
void lin_forget(struct lin_op *op);
void lin_clear(struct lin_history *history);

/* What an object does when it is used by one at a time. */
struct lin_spec {
    const char *name;
    size_t state_bytes; /* at most LIN_STATE_MAX; states are compared as bytes, so they have no holes */
    void (*init)(void *state, const void *params);
    /* Does it. False: with this result it cannot come in this state, and the state may be spoilt. If op->end is 0 the
     * result is not known, and any will do. */
    bool (*step)(void *state, const void *params, const struct lin_op *op);
    bool (*may_end)(const void *state, const void *params); /* NULL: always */
    const char *const *names;                               /* of `what` */
};

enum lin_verdict { LIN_HOLDS, LIN_BROKEN, LIN_UNDECIDED /* the search became too large */ };

enum lin_verdict lin_check(const struct lin_spec *spec, const void *params, const struct lin_op *ops, uint32_t count);

/* Fails the test, and shows the history, unless it holds. By one thread, when no operation is under way. */
void lin_must_hold(const struct lin_spec *spec, const void *params, const struct lin_history *history);

/* ---- some objects ------------------------------------------------------------------------------------------------ */

/* A channel: values come out in the order in which they went in, at most `capacity` are under way (0: each send meets
 * its receive, with nothing in between). Results: a send's 0; a receive's the value, not negative. -EPIPE: it is closed
 * (and for a receive, empty). -EAGAIN, of those that do not wait: it is full, or empty; with capacity 0, any time. */
enum { LIN_SEND, LIN_RECEIVE, LIN_CLOSE };
enum { LIN_CAPACITY_MAX = 24 };
struct lin_channel {
    uint32_t capacity; /* at most LIN_CAPACITY_MAX */
};
extern const struct lin_spec lin_channel;

/* A mutex, known by who locks it. Results: 0; -EAGAIN: somebody has it. */
enum { LIN_LOCK, LIN_UNLOCK };
extern const struct lin_spec lin_mutex;

/* A semaphore: arg is how many permits. Results: 0; -EAGAIN: there are not so many (or, if it is fair, others wait). */
enum { LIN_ACQUIRE, LIN_RELEASE };
struct lin_semaphore {
    uint64_t permits;
    bool is_fair;
};
extern const struct lin_spec lin_semaphore;

/* An event that resets itself. Results: a wait's 0, or -EAGAIN: not set; a reset's whether it was set. */
enum { LIN_SET, LIN_WAIT, LIN_RESET };
extern const struct lin_spec lin_auto_event;

#endif
