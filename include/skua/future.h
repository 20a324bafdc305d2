/* Futures: stackless coroutines, for a million concurrent things.
 *
 *     struct twice {                                  // the state: what lives across awaits
 *         SKUA_FRAME;
 *         struct { uint64_t pause_ns; } in;           // the arguments, given by name
 *         skua_sleep_op nap;
 *         int round;
 *     };
 *     SKUA_ASYNC(twice)
 *     {
 *         SKUA_BEGIN(self);
 *         for (self->round = 0; self->round < 2; self->round++)
 *             SKUA_AWAIT(skua_sleep_start(&self->nap, self->in.pause_ns));
 *         SKUA_END(self->round);                      // the result
 *     }
 *     …
 *     SKUA_SPAWN(&task, twice, .pause_ns = 5 * SKUA_MS);        // as a task of its own, or, inside another future:
 *     SKUA_AWAIT(SKUA_FUTURE(&self->child, twice, .pause_ns = 1));
 *     n = SKUA_RESULT(&self->child);
 *
 * `self` is the frame. Local variables do not survive an await: keep what must in the frame. gcc refuses an
 * initialised local between SKUA_BEGIN and an await of the same block and, when optimising, one that is set before an
 * await and read after it; clang warns of either, with -Wall, if it is read after the await. Both refuse an await
 * inside a `switch` of the user's own on an int; inside one on a 64-bit value it traps when it is reached. Nothing that
 * is given to an op may be a local or a compound literal. One await per line. Like locals, members other than `in`
 * start with indeterminate values.
 *
 * Frames nest by value: the child is a member of its parent, so one allocation serves a whole tree of awaits and
 * none happens per await. Awaiting a child runs it in the awaiting task; when it waits, the task resumes at the
 * innermost frame directly, however deep it lies. SKUA_FUTURE places a child, each time before it is awaited: one that
 * was not placed is garbage, and no compiler sees it. A frame that was started runs to its end: it must not be freed,
 * copied or moved before.
 *
 * Macros are for C. C++ can lay out frames by hand or, better, use fibers.
 */
#ifndef SKUA_FUTURE_H
#define SKUA_FUTURE_H

#include "skua/base.h"
#include "skua/op.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

/* What a future's poll function says. */
enum skua_poll {
    SKUA_PENDING = 0, /* it waits */
    SKUA_DONE = 1     /* it has ended, and its result is set */
};

/* A future's poll function: runs it on until it waits (SKUA_PENDING) or has ended (SKUA_DONE, result set). One written
 * by hand is polled again whenever its task is woken, by an op that it has started or by a waker, maybe in vain. It may
 * not free its frame; a wait that it has begun when the task is cancelled is its own to end (skua_interrupted(),
 * skua_op_cancel()). To await a frame inside another takes the macros. */
typedef enum skua_poll skua_poll_fn(skua_frame *frame);

/* What SKUA_FRAME puts into every future. 32 bytes; the fields belong to the runtime and the macros. */
struct skua_frame {
    union {
        skua_poll_fn *poll;
        char skuai_awaitable; /* what SKUA_AWAIT looks for at compile time */
    };
    skua_frame *parent; /* who awaits this one; in a root: the frame to resume */
    union {
        uintptr_t awaited; /* while it runs: the op or, low bit set, the child frame it waits for */
        int64_t result;    /* when it has ended */
    };
    uint32_t resume; /* where to continue: a line number; 0: the start */
    uint32_t flags;
};

/* The first member of every future. */
#define SKUA_FRAME            \
    union {                   \
        skua_frame frame;     \
        char skuai_awaitable; \
    }
/* The member for a future without arguments. */
#define SKUA_NO_ARGS     \
    struct {             \
        char unused;     \
    } in

/* Prepares a frame for a hand-written poll function, as SKUA_FUTURE does for a macro-written one. */
static inline skua_frame *skua_frame_init(skua_frame *frame, skua_poll_fn *poll)
{
    frame->poll = poll;
    frame->parent = 0;
    frame->awaited = 0;
    frame->resume = 0;
    frame->flags = 0;
    return frame;
}

/* Starts a future as a task of its own: allocates `size` bytes, a frame with this poll function and a copy of the
 * arguments at in_offset, behind the frame. The macros SKUA_SPAWN and SKUA_GO are the usual way. Errors as
 * skua_spawn(). */
SKUA_API SKUA_NODISCARD int skua_spawn_frame(skua_task **task, const skua_spawn_attr *attr, skua_poll_fn *poll,
                                             size_t size, size_t in_offset, const void *in, size_t in_size);

/* Runs a future inside the calling fiber, in the fiber's memory, and returns its result. A plain thread runs a fiber
 * that does so with skua_block_on(); inside another future it is misuse (use SKUA_AWAIT). */
SKUA_API int64_t skua_await_frame(skua_frame *frame);

/* The macros' engine. Not to be called directly. */
SKUA_API enum skua_poll skuai_await_op(skua_frame *frame, skua_op *op);
SKUA_API enum skua_poll skuai_await_child(skua_frame *frame, skua_frame *child);
SKUA_API void skuai_frame_yield(skua_frame *frame);
SKUA_API void skuai_frame_park(skua_frame *frame);

#define SKUAI_FRAME_ENDED 1u
#define SKUAI_FRAME_ROOT 2u

static inline void skuai_await_set_op(skua_frame *frame, void *op) { frame->awaited = (uintptr_t)op; }

/* An op that was done when it was started, and has paid for itself, leaves no trace in the frame. */
static inline enum skua_poll skuai_await_begin_op(skua_frame *frame, void *op, uint32_t line)
{
    if (((const skua_op *)op)->sink == SKUAI_OP_SINK_PAID)
        return SKUA_DONE;
    skuai_await_set_op(frame, op);
    frame->resume = line;
    return skuai_await_op(frame, (skua_op *)op);
}

static inline enum skua_poll skuai_await_begin_frame(skua_frame *frame, void *child, uint32_t line)
{
    frame->awaited = (uintptr_t)child | 1u;
    frame->resume = line;
    return skuai_await_child(frame, (skua_frame *)child);
}

static inline enum skua_poll skuai_await_poll(skua_frame *frame)
{
    if (frame->awaited & 1u)
        return skuai_await_child(frame, (skua_frame *)(frame->awaited & ~(uintptr_t)1));
    return skuai_await_op(frame, (skua_op *)frame->awaited);
}

/* In a run that has just begun, so that it has its budget: whether what the frame waited for is over. Acquire: pairs
 * with the op's end, its result. */
static inline bool skuai_await_is_over(const skua_frame *frame)
{
    return !(frame->awaited & 1u) &&
           skuai_word_read_32(&((const skua_op *)frame->awaited)->state) == SKUAI_OP_STATE_DONE;
}

/* Where a future is defined, for reports (place.h): a list that the linker puts together. */
struct skuai_future_info {
    skua_poll_fn *poll;
    const char *name, *file;
};

#ifndef __cplusplus

#if defined(SKUA_DEBUG) && defined(__ELF__)
#define SKUAI_FUTURE_INFO(name)                                                                              \
    static const struct skuai_future_info skuai_info_of_##name = { name##_poll, #name, __FILE__ };           \
    static const struct skuai_future_info *const skuai_info_at_##name                                        \
        __attribute__((used, section("skua_futures"))) = &skuai_info_of_##name;
#else
#define SKUAI_FUTURE_INFO(name)
#endif

struct skuai_verdict { /* not a number: so that `return 0;` in a future does not compile; use SKUA_RETURN */
    enum skua_poll poll;
};
/* Defines the body of the future `struct name`. The function is static; SKUA_ASYNC_EXTERN makes it visible to
 * other files, which declare it with SKUA_ASYNC_DECLARE (with `static` before it: for mutual recursion in one file).
 * SKUA_ASYNC_BODY is what both are made of. */
#define SKUA_ASYNC_DECLARE(name) enum skua_poll name##_poll(skua_frame *frame)
#define SKUA_ASYNC_BODY(name, linkage)                                                                             \
    _Static_assert(offsetof(struct name, frame) == 0, "SKUA_FRAME must be the first member of a future");          \
    static struct skuai_verdict skuai_run_##name(struct name *self);                                               \
    linkage enum skua_poll name##_poll(skua_frame *frame)                                                          \
    {                                                                                                              \
        return skuai_run_##name((struct name *)(void *)frame).poll;                                                \
    }                                                                                                              \
    SKUAI_FUTURE_INFO(name)                                                                                        \
    static struct skuai_verdict skuai_run_##name(struct name *self)
#define SKUA_ASYNC(name) SKUA_ASYNC_BODY(name, static)
#define SKUA_ASYNC_EXTERN(name) \
    SKUA_ASYNC_DECLARE(name);   \
    SKUA_ASYNC_BODY(name, )
#define SKUAI_VERDICT(poll) return (struct skuai_verdict){ poll }

/* Case labels lie above every int, so that an await inside a user's own `switch (int)` is diagnosed. */
#define SKUAI_LABEL(line) (UINT64_C(0x5ca0000000000) + (line))

#if defined(__GNUC__) && !defined(__clang__)
#define SKUAI_ASYNC_DIAGNOSTICS                                  \
    _Pragma("GCC diagnostic push")                               \
    _Pragma("GCC diagnostic error \"-Wjump-misses-init\"")       \
    _Pragma("GCC diagnostic error \"-Wswitch-outside-range\"")   \
    _Pragma("GCC diagnostic error \"-Woverflow\"")               \
    _Pragma("GCC diagnostic error \"-Wmaybe-uninitialized\"")    \
    _Pragma("GCC diagnostic ignored \"-Wshadow\"")
#else
#define SKUAI_ASYNC_DIAGNOSTICS                                  \
    _Pragma("GCC diagnostic push")                               \
    _Pragma("GCC diagnostic error \"-Wswitch\"")                 \
    _Pragma("GCC diagnostic ignored \"-Wshadow\"")
#endif

/* The first line of a future's body; SKUA_END is the last. */
#define SKUA_BEGIN(self_)                                                   \
    SKUAI_ASYNC_DIAGNOSTICS                                                 \
    enum { skuai_block_scope_allowed = -1 }; /* SKUA_SHIELD is for fibers */ \
    skua_frame *const skuai_frame = &(self_)->frame;                        \
    switch (SKUAI_LABEL((uint64_t)skuai_frame->resume)) {                   \
    default: __builtin_trap(); /* the frame was not set up, or overwritten */ \
    case SKUAI_LABEL(0):

/* Ends the future with this result; also anywhere in between. */
#define SKUA_RETURN(value)                       \
    do {                                         \
        skuai_frame->result = (int64_t)(value);  \
        skuai_frame->flags |= SKUAI_FRAME_ENDED; \
        SKUAI_VERDICT(SKUA_DONE);                \
    } while (0)

/* The last line of a future's body: ends it with this result. */
#define SKUA_END(value)     \
    SKUA_RETURN(value);     \
    }                       \
    _Pragma("GCC diagnostic pop") \
    _Static_assert((int)skuai_block_scope_allowed == -1, "SKUA_END without SKUA_BEGIN")

/* Waits for an op (what a skua_…_start() returned) or for a future (what SKUA_FUTURE or a combinator returned). */
#define SKUA_AWAIT(what)                                                             \
    do {                                                                             \
        (void)sizeof((what)->skuai_awaitable); /* an op or a future? &x.op for an op that is a member */ \
        if (_Generic((what), skua_op *: skuai_await_begin_op, default: skuai_await_begin_frame)(    \
                skuai_frame, (what), __LINE__) == SKUA_PENDING) {                    \
            SKUAI_VERDICT(SKUA_PENDING);                                             \
    case SKUAI_LABEL(__LINE__):                                                      \
            if (!skuai_await_is_over(skuai_frame) && skuai_await_poll(skuai_frame) == SKUA_PENDING) \
                SKUAI_VERDICT(SKUA_PENDING);                                         \
        }                                                                            \
    } while (0)

#define SKUAI_LEAVE_AND_RESUME(how)       \
    do {                                  \
        skuai_frame->resume = __LINE__;   \
        how(skuai_frame);                 \
        SKUAI_VERDICT(SKUA_PENDING);      \
    case SKUAI_LABEL(__LINE__):;          \
    } while (0)

/* Lets other ready tasks run. Ask skua_interrupted() afterwards if it matters. */
#define SKUA_YIELD() SKUAI_LEAVE_AND_RESUME(skuai_frame_yield)
/* Waits for the task's waker, like skua_park(): in a loop around your own condition. It also returns when the task
 * is cancelled, and does not wait at all once it is: the loop must ask skua_interrupted(). */
#define SKUA_PARK() SKUAI_LEAVE_AND_RESUME(skuai_frame_park)

/* Places the future `name` with these arguments in the frame at `where` (a struct name *) and gives that pointer. */
#define SKUA_FUTURE(where, ...) SKUAI_FUTURE(where, __COUNTER__, __VA_ARGS__, )
#define SKUAI_FUTURE(where, unique, name, ...) SKUAI_FUTURE_AT(where, SKUAI_JOIN(skuai_at_, unique), name, __VA_ARGS__)
#define SKUAI_FUTURE_AT(where, at, name, ...)                           \
    (__extension__({                                                    \
        struct name *const at = (where);                                \
        at->in = (__typeof__(at->in)){ __VA_ARGS__ };                   \
        (void)skua_frame_init(&at->frame, name##_poll);                 \
        at;                                                             \
    }))

/* The result of a future that has ended. */
#define SKUA_RESULT(future) ((future)->frame.result)

/* Starts the future `name` as a task: with a handle, as skua_spawn(), or detached, as skua_go(). Arguments are given by
 * name: SKUA_SPAWN(&task, echo, .peer = peer). */
#define SKUA_SPAWN(task, ...) SKUAI_SPAWN((task), NULL, __VA_ARGS__, )
#define SKUA_GO(...) SKUAI_SPAWN(NULL, NULL, __VA_ARGS__, )
#define SKUA_SPAWN_WITH(task, attr, ...) SKUAI_SPAWN((task), (attr), __VA_ARGS__, )
#define SKUAI_SPAWN(task, attr, name, ...)                                                          \
    skua_spawn_frame((task), (attr), name##_poll, sizeof(struct name), offsetof(struct name, in),   \
                     __extension__ &(__typeof__(((struct name *)0)->in)){ __VA_ARGS__ },            \
                     sizeof(((struct name *)0)->in))

/* In a fiber: runs a future in the fiber's memory and gives its result:
 *     struct twice t;
 *     n = skua_await_future(SKUA_FUTURE(&t, twice, .pause_ns = 1)); */
#define skua_await_future(future) skua_await_frame(&(future)->frame)

#endif /* __cplusplus */

SKUA_END_DECLS

#endif
