/* Jobs: recursive parallelism at the cost of a call, in the workers that run the tasks.
 *
 *     SKUA_PARALLEL(long, fib, int, n)                  // result, name, then type and name of each argument, 0 to 8
 *     {
 *         if (n < 2)
 *             return n;
 *         SKUA_FORK(left, fib, n - 1);                  // may run elsewhere, until it is joined
 *         long right = SKUA_CALL(fib, n - 2);           // a plain call
 *         return SKUA_JOIN(fib, left) + right;          // runs it here if nobody has taken it
 *     }
 *     …
 *     long f = SKUA_RUN(fib, 39);                       // in a fiber
 *     int rc = SKUA_RUN_ON(runtime, &f, fib, 39);       // in any other thread
 *     SKUA_AWAIT(SKUA_RUN_FUTURE(&self->run, fib, 39)); // in a future
 *
 * A fork is a few stores into the fiber's job stack; only if a worker is out of work are the oldest of the forked jobs
 * offered to it, at the next fork or join, so that it takes the largest part. Sleeping workers are woken for what has
 * taken 40 µs, or at the first fork if the two runs before took 160. Under a function that computes for long without
 * either, jobs are offered after some 3 ms (on Linux, where membarrier is allowed).
 *
 * Jobs are joined in the reverse order of forking, each of them, before their function returns: debug builds check it.
 * A loop forks into an array of handles:
 *
 *     SKUA_FORKED(fib) half[2];
 *     for (int i = 0; i < 2; i++)
 *         SKUA_FORK_INTO(half[i], fib, n - 1 - i);
 *     for (int i = 2; i-- > 0;)
 *         sum += SKUA_JOIN(fib, half[i]);
 *
 * A job may do what a fiber may: sleep, join tasks, wait for anything. Its fiber is suspended then, and others may take
 * the jobs that it has forked. So a job may begin and end on different threads. A job that nobody has taken runs in the
 * forking fiber, on its stack; one that was taken, in a fiber of its own, which is cancelled with it and reads its
 * task-local values. What a job sets there is either's, so it better sets none.
 *
 * Cancellation makes waits fail, and does not end what computes: a job that takes long asks skua_interrupted() now and
 * then, before it forks for instance. A job is told once its forker has been seen to be cancelled, at one of its joins
 * or waits; one that was shared while its forker was in a shield is not.
 *
 * The macros are for C; a C++ function can be what a job calls.
 */
#ifndef SKUA_PARALLEL_H
#define SKUA_PARALLEL_H

#include "skua/future.h"
#include "skua/task.h"

SKUA_BEGIN_DECLS

typedef struct skua_job skua_job;       /* the macros' own */
typedef struct skua_strand skua_strand; /* the macros' own */

/* The rest is the runtime's and the macros' own. ---------------------------------------------------------------- */

typedef void skuai_job_fn(skua_strand *strand, void *room);

enum { SKUAI_JOB_ROOM_BYTES = 40 };

/* In a job stack: a cache line. Fields belong to the runtime and the macros. */
struct skua_job {
    skuai_job_fn *run;
    skua_word32 state;
    uint32_t shielded; /* when it was shared */
    char room[SKUAI_JOB_ROOM_BYTES]; /* the arguments, then the result; if they are larger, where they are */
    uint64_t deadline_ns; /* when it was shared */
};

/* What forking and joining touch of a fiber's job stack. Fields belong to the runtime and the macros. */
struct skua_strand {
    skua_wordptr limit; /* jobs below this address are no longer private, or somebody is hungry */
    skua_wordptr top;   /* the first free one */
    skua_job *small;    /* at this depth and below jobs are not worth making */
};

SKUA_API void skuai_parallel_run(skuai_job_fn *run, void *room);
SKUA_API int skuai_parallel_run_on(skua_runtime *runtime, skuai_job_fn *run, void *room);
SKUA_API void skuai_parallel_forked(skua_strand *strand);
/* True: nobody has taken it, and the caller runs it. Else it has been run, here or elsewhere. */
SKUA_API bool skuai_parallel_join(skua_strand *strand, skua_job *job);

/* What is common to all that SKUA_RUNNING names. Fields belong to the runtime and the macros. */
struct skua_run_future {
    SKUA_FRAME;
    struct {
        skuai_job_fn *run;
        void *room;
    } in;
    skua_task *task;
    skua_join_op join;
    skua_scope shield;
};
/* The body of all of them. For the macros. */
SKUA_API enum skua_poll skua_run_future_poll(skua_frame *frame);

SKUA_API void skuai_parallel_misuse(const char *function, const char *what);

SKUA_END_DECLS

#ifndef __cplusplus

static inline __attribute__((always_inline, unused)) bool skuai_job_is_below_limit(const skua_strand *strand,
                                                                                   const skua_job *job)
{
#ifdef SKUAI_WORD_IN_PLACE
    __asm__ goto("cmpq %1, %0\n\tjb %l2" : : "r"(job), "m"(strand->limit.raw) : "cc" : below);
    return false;
below:
    return true;
#else
    return __builtin_expect((uintptr_t)job < (uintptr_t)skuai_word_peek_ptr(&strand->limit), 0);
#endif
}

/* Whether somebody is hungry: a hint. The answer is a flag of the processor, where the compiler can be told so: a clone
 * asks before each call, and a register and an instruction more are a twentieth of fib. */
static inline __attribute__((always_inline, unused)) bool skuai_job_is_wanted(const skua_strand *strand)
{
#ifdef __x86_64__
    __asm__ goto("cmpq $-1, %0\n\tje %l1" : : "m"(strand->limit.raw) : "cc" : wanted);
    return false;
wanted:
    return true;
#else
    return __builtin_expect(skuai_word_peek_ptr(&strand->limit) == (void *)UINTPTR_MAX, 0);
#endif
}

/* The forms in which a parallel function is compiled; those of SKUA_COMPUTE in all of them. Of two clones only one
 * looks, as a look before every call of a small function is a sixth of its time: SKUA_FORK in the one calls the other.
 * What forks in a loop looks, in either: its next fork may be the millionth. Clones are `inline` for gcc, which at -O2
 * inlines no recursion otherwise. */
enum skuai_how {
    SKUAI_FORKS,  /* makes jobs */
    SKUAI_LOOKS,  /* the clone that looks before each fork whether somebody is hungry */
    SKUAI_PASSES, /* the other one, before its first fork, */
    SKUAI_PASSED, /* and then */
};

#ifdef NDEBUG
#define SKUAI_JOB_CHECK(condition, function, what) ((void)0)
#else
#define SKUAI_JOB_CHECK(condition, function, what) ((condition) ? (void)0 : skuai_parallel_misuse(function, what))
#endif

/* Defines a parallel function, a `static` one, for SKUA_CALL, SKUA_FORK, SKUA_JOIN and SKUA_RUN; the second one without
 * a result: SKUA_PARALLEL_VOID(name, type, argument, …). Arguments and result may be structures. */
#define SKUA_PARALLEL(...)              \
    SKUA_PARALLEL_DECLARE(__VA_ARGS__); \
    SKUA_PARALLEL_DEFINE(__VA_ARGS__)
#define SKUA_PARALLEL_VOID(...)              \
    SKUA_PARALLEL_VOID_DECLARE(__VA_ARGS__); \
    SKUA_PARALLEL_VOID_DEFINE(__VA_ARGS__)
/* As SKUA_PARALLEL, for a function that only computes, as fast as if it were serial. It is compiled thrice: where jobs
 * are small clones run that make none, in which a fork is a call. So what is forked may not wait for what its forker
 * does after the fork; and with NDEBUG only, because clones cannot check how they are joined. */
#define SKUA_COMPUTE(...)              \
    SKUA_COMPUTE_DECLARE(__VA_ARGS__); \
    SKUA_COMPUTE_DEFINE(__VA_ARGS__)
#define SKUA_COMPUTE_VOID(...)              \
    SKUA_COMPUTE_VOID_DECLARE(__VA_ARGS__); \
    SKUA_COMPUTE_VOID_DEFINE(__VA_ARGS__)
/* In two parts, for functions that call each other: a declaration, and with the same words the definition. */
#define SKUA_PARALLEL_DECLARE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(__VA_ARGS__))(DECLARE, WAITS, VALUE, __VA_ARGS__)
#define SKUA_PARALLEL_DEFINE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(__VA_ARGS__))(DEFINE, WAITS, VALUE, __VA_ARGS__)
#define SKUA_PARALLEL_VOID_DECLARE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(void, __VA_ARGS__))(DECLARE, WAITS, VOID, void, __VA_ARGS__)
#define SKUA_PARALLEL_VOID_DEFINE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(void, __VA_ARGS__))(DEFINE, WAITS, VOID, void, __VA_ARGS__)
#define SKUA_COMPUTE_DECLARE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(__VA_ARGS__))(DECLARE, COMPUTES, VALUE, __VA_ARGS__)
#define SKUA_COMPUTE_DEFINE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(__VA_ARGS__))(DEFINE, COMPUTES, VALUE, __VA_ARGS__)
#define SKUA_COMPUTE_VOID_DECLARE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(void, __VA_ARGS__))(DECLARE, COMPUTES, VOID, void, __VA_ARGS__)
#define SKUA_COMPUTE_VOID_DEFINE(...) \
    SKUAI_JOB_CAT(SKUAI_JOB_, SKUAI_JOB_COUNT(void, __VA_ARGS__))(DEFINE, COMPUTES, VOID, void, __VA_ARGS__)

/* In the body of a parallel function: calls one. */
#define SKUA_CALL(...) SKUAI_JOB_CAT(SKUAI_CALL_, SKUAI_JOB_IS_ONE(__VA_ARGS__))(__VA_ARGS__)
/* In the body of a parallel function: forks one, and declares the handle to join it by; or sets one. */
#define SKUA_FORK(handle, ...)                          \
    SKUA_FORKED(SKUAI_JOB_FIRST(__VA_ARGS__, )) handle; \
    SKUAI_JOB_CAT(SKUAI_FORK_, SKUAI_JOB_IS_ONE(__VA_ARGS__))(true, &(handle), __VA_ARGS__)
#define SKUA_FORK_INTO(handle, ...) \
    SKUAI_JOB_CAT(SKUAI_FORK_, SKUAI_JOB_IS_ONE(__VA_ARGS__))(false, &(handle), __VA_ARGS__)
/* In the body of a parallel function: the result of what was forked last and has not been joined. To name the function
 * keeps the call direct. */
#define SKUA_JOIN(name, handle) name##_skuai_join(skuai_strand, &skuai_top, &skuai_how, &(handle))

/* The type of a forked job's handle. One that is set and joined in branches is like any variable that is: compilers may
 * ask for an initialiser, which is { 0 }. */
#define SKUA_FORKED(name) SKUAI_JOB_CAT(struct SKUAI_JOB_EMPTY() name, _skuai_forked)

/* Runs a parallel function with all that it forks, and returns its result. In a fiber, or in whatever a job calls. */
#define SKUA_RUN(...) SKUAI_JOB_CAT(SKUAI_RUN_, SKUAI_JOB_IS_ONE(__VA_ARGS__))(__VA_ARGS__)

/* As SKUA_RUN, from any thread, on `runtime`, which the calling thread waits for; NULL: the calling task's. The result
 * goes to *result, unless it is NULL, as it is for a function without one. Returns 0, or as skua_block_on(), and then
 * it may have run in part: -ENOMEM, -ESHUTDOWN, -ECANCELED if it was cancelled before it began. */
#define SKUA_RUN_ON(runtime, result, ...) \
    SKUAI_JOB_CAT(SKUAI_RUN_ON_, SKUAI_JOB_IS_ONE(__VA_ARGS__))(runtime, result, __VA_ARGS__)

/* For SKUA_AWAIT: a future that runs a parallel function in a fiber of its own. It lies in the awaiting one, as a
 * member of type SKUA_RUNNING(name). SKUA_RESULT(&self->run) is then 0, -ENOMEM, or -ECANCELED if it was cancelled
 * before it began; if the awaiting task is cancelled the function is, and is waited for. SKUA_RUN_VALUE(&self->run) is
 * what the function returned. */
#define SKUA_RUNNING(name) SKUAI_JOB_CAT(struct SKUAI_JOB_EMPTY() name, _skuai_running)
#define SKUA_RUN_FUTURE(where, ...) SKUAI_JOB_CAT(SKUAI_RUN_FUTURE_, SKUAI_JOB_IS_ONE(__VA_ARGS__))(where, __VA_ARGS__)
#define SKUA_RUN_VALUE(running) ((running)->at.out)

#define SKUAI_CALL_1(name) name##_skuai_call(skuai_strand, skuai_top, skuai_how)
#define SKUAI_CALL_0(name, ...) name##_skuai_call(skuai_strand, skuai_top, skuai_how, __VA_ARGS__)
#define SKUAI_FORK_1(may_pass, handle, name) \
    name##_skuai_fork(skuai_strand, &skuai_top, &skuai_how, (may_pass), handle, (struct name##_skuai_in){ 0 })
#define SKUAI_FORK_0(may_pass, handle, name, ...) \
    name##_skuai_fork(skuai_strand, &skuai_top, &skuai_how, (may_pass), handle, \
                      (struct name##_skuai_in){ __VA_ARGS__ })
#define SKUAI_RUN_1(name) name##_skuai_enter((struct name##_skuai_in){ 0 })
#define SKUAI_RUN_0(name, ...) name##_skuai_enter((struct name##_skuai_in){ __VA_ARGS__ })

#define SKUAI_RUN_ON_1(runtime, result, name) \
    name##_skuai_enter_on((runtime), (result), (struct name##_skuai_in){ 0 })
#define SKUAI_RUN_ON_0(runtime, result, name, ...) \
    name##_skuai_enter_on((runtime), (result), (struct name##_skuai_in){ __VA_ARGS__ })
#define SKUAI_RUN_FUTURE_1(where, name) name##_skuai_future((where), (struct name##_skuai_in){ 0 })
#define SKUAI_RUN_FUTURE_0(where, name, ...) name##_skuai_future((where), (struct name##_skuai_in){ __VA_ARGS__ })

#define SKUAI_JOB_EMPTY()
#define SKUAI_JOB_CAT(a, b) SKUAI_JOB_CAT_(a, b)
#define SKUAI_JOB_CAT_(a, b) a##b
#define SKUAI_JOB_FIRST(first, ...) first
#define SKUAI_JOB_COUNT(...) \
    SKUAI_JOB_COUNT_(__VA_ARGS__, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define SKUAI_JOB_COUNT_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, count, ...) count
#define SKUAI_JOB_IS_ONE(...) SKUAI_JOB_COUNT_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0)
#define SKUAI_JOB_UNPACK(...) __VA_ARGS__

#define SKUAI_JOB_HELPER static inline __attribute__((always_inline, unused))
#define SKUAI_JOB_CLONE __attribute__((unused)) static inline

#define SKUAI_JOB_2(what, mode, kind, R, name) SKUAI_JOB_##what(mode, kind, R, name, (), (char none;), (), ())
#define SKUAI_JOB_4(what, mode, kind, R, name, T1, a1) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1), \
                     (T1 a1;), \
                     (, in.a1), \
                     (, a1))
#define SKUAI_JOB_6(what, mode, kind, R, name, T1, a1, T2, a2) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2), \
                     (T1 a1; T2 a2;), \
                     (, in.a1, in.a2), \
                     (, a1, a2))
#define SKUAI_JOB_8(what, mode, kind, R, name, T1, a1, T2, a2, T3, a3) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2, T3 a3), \
                     (T1 a1; T2 a2; T3 a3;), \
                     (, in.a1, in.a2, in.a3), \
                     (, a1, a2, a3))
#define SKUAI_JOB_10(what, mode, kind, R, name, T1, a1, T2, a2, T3, a3, T4, a4) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2, T3 a3, T4 a4), \
                     (T1 a1; T2 a2; T3 a3; T4 a4;), \
                     (, in.a1, in.a2, in.a3, in.a4), \
                     (, a1, a2, a3, a4))
#define SKUAI_JOB_12(what, mode, kind, R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5), \
                     (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5;), \
                     (, in.a1, in.a2, in.a3, in.a4, in.a5), \
                     (, a1, a2, a3, a4, a5))
#define SKUAI_JOB_14(what, mode, kind, R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6), \
                     (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5; T6 a6;), \
                     (, in.a1, in.a2, in.a3, in.a4, in.a5, in.a6), \
                     (, a1, a2, a3, a4, a5, a6))
#define SKUAI_JOB_16(what, mode, kind, R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6, T7, a7) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7), \
                     (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5; T6 a6; T7 a7;), \
                     (, in.a1, in.a2, in.a3, in.a4, in.a5, in.a6, in.a7), \
                     (, a1, a2, a3, a4, a5, a6, a7))
#define SKUAI_JOB_18(what, mode, kind, R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6, T7, a7, T8, a8) \
    SKUAI_JOB_##what(mode, kind, R, name, (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6, T7 a7, T8 a8), \
                     (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5; T6 a6; T7 a7; T8 a8;), \
                     (, in.a1, in.a2, in.a3, in.a4, in.a5, in.a6, in.a7, in.a8), \
                     (, a1, a2, a3, a4, a5, a6, a7, a8))

#define SKUAI_JOB_OUT_VALUE(R) R out;
#define SKUAI_JOB_OUT_VOID(R)
#define SKUAI_JOB_KEEP_VALUE(at, call) (at)->out = call
#define SKUAI_JOB_KEEP_VOID(at, call) call
#define SKUAI_JOB_GIVE_VALUE(call) return call
#define SKUAI_JOB_GIVE_VOID(call) \
    do {                          \
        call;                     \
        return;                   \
    } while (0)
#define SKUAI_JOB_GIVEN_VALUE(forked) return (forked)->out
#define SKUAI_JOB_GIVEN_VOID(forked) return
#define SKUAI_JOB_TAKE_VALUE(R, room)              \
    R out;                                         \
    __builtin_memcpy(&out, (room), sizeof out);    \
    return out
#define SKUAI_JOB_TAKE_VOID(R, room) (void)(room)
#define SKUAI_JOB_PUT_VALUE(to, at) \
    if ((to) != NULL)               \
    *(to) = (at).out
#define SKUAI_JOB_PUT_VOID(to, at) (void)(to)

#ifdef NDEBUG
#define SKUAI_JOB_IS_SMALL(strand, top) ((top) >= (strand)->small)
#else
#define SKUAI_JOB_IS_SMALL(strand, top) ((void)(strand), (void)(top), false)
#endif

/* What differs between functions that have clones and those that have none. */
#define SKUAI_JOB_SAVED_WAITS(kind, R)
#define SKUAI_JOB_SAVED_COMPUTES(kind, R) SKUAI_JOB_OUT_##kind(R) /* in the clone */
#define SKUAI_JOB_DECLARED_WAITS(kind, R, name, parameters, plain)
#define SKUAI_JOB_DECLARED_COMPUTES(kind, R, name, parameters, plain)                                               \
    SKUAI_JOB_CLONE R name##_skuai_looking(skua_strand *skuai_strand SKUAI_JOB_UNPACK parameters);                  \
    SKUAI_JOB_CLONE R name##_skuai_passing(skua_strand *skuai_strand SKUAI_JOB_UNPACK parameters);                  \
    static __attribute__((unused, cold, noinline)) R name##_skuai_wanted(skua_strand *skuai_strand                  \
                                                                             SKUAI_JOB_UNPACK parameters)           \
    {                                                                                                               \
        SKUAI_JOB_GIVE_##kind(                                                                                      \
            name##_skuai_body(skuai_strand, skuai_strand->top.raw SKUAI_JOB_UNPACK plain));                         \
    }                                                                                                               \
    SKUAI_JOB_HELPER R name##_skuai_best(skua_strand *skuai_strand,                                                 \
                                         skua_job *skuai_top SKUAI_JOB_UNPACK parameters)                           \
    {                                                                                                               \
        if (SKUAI_JOB_IS_SMALL(skuai_strand, skuai_top)) {                                                          \
            SKUAI_JOB_GIVE_##kind(name##_skuai_looking(skuai_strand SKUAI_JOB_UNPACK plain));                       \
        }                                                                                                           \
        SKUAI_JOB_GIVE_##kind(name##_skuai_body(skuai_strand, skuai_top SKUAI_JOB_UNPACK plain));                   \
    }
#define SKUAI_JOB_BEST_WAITS(name) name##_skuai_body
#define SKUAI_JOB_BEST_COMPUTES(name) name##_skuai_best
#define SKUAI_JOB_FORK_WAITS(kind, name, how, may_pass, strand, forked, pass) (void)(how), (void)(may_pass)
#define SKUAI_JOB_FORK_COMPUTES(kind, name, how, may_pass, strand, forked, pass)                                    \
    do {                                                                                                            \
        if (*(how) == SKUAI_FORKS)                                                                                  \
            break;                                                                                                  \
        if ((!(may_pass) || *(how) != SKUAI_PASSES) && __builtin_expect(skuai_job_is_wanted(strand), 0))            \
            SKUAI_JOB_KEEP_##kind(forked, name##_skuai_wanted((strand)SKUAI_JOB_UNPACK pass));                      \
        else if ((may_pass) && *(how) == SKUAI_LOOKS)                                                               \
            SKUAI_JOB_KEEP_##kind(forked, name##_skuai_passing((strand)SKUAI_JOB_UNPACK pass));                     \
        else                                                                                                        \
            SKUAI_JOB_KEEP_##kind(forked, name##_skuai_looking((strand)SKUAI_JOB_UNPACK pass));                     \
        if (*(how) == SKUAI_PASSES)                                                                                 \
            *(how) = SKUAI_PASSED;                                                                                  \
        return;                                                                                                     \
    } while (0)
#define SKUAI_JOB_CALL_WAITS(kind, name, how, plain) (void)(how)
#define SKUAI_JOB_CALL_COMPUTES(kind, name, how, plain)                                                             \
    if ((how) != SKUAI_FORKS) {                                                                                     \
        SKUAI_JOB_GIVE_##kind(name##_skuai_looking(skuai_strand SKUAI_JOB_UNPACK plain));                           \
    }
#define SKUAI_JOB_JOIN_WAITS(kind, how, forked) (void)(how)
#define SKUAI_JOB_JOIN_COMPUTES(kind, how, forked)                                                                  \
    if (*(how) != SKUAI_FORKS) {                                                                                    \
        SKUAI_JOB_GIVEN_##kind(forked);                                                                             \
    }
#define SKUAI_JOB_CLONES_WAITS(kind, R, name, parameters, plain)
#define SKUAI_JOB_CLONES_COMPUTES(kind, R, name, parameters, plain)                                                 \
    SKUAI_JOB_CLONE R name##_skuai_looking(skua_strand *skuai_strand SKUAI_JOB_UNPACK parameters)                   \
    {                                                                                                               \
        SKUAI_JOB_GIVE_##kind(                                                                                      \
            name##_skuai_impl(skuai_strand, skuai_strand->top.raw, SKUAI_LOOKS SKUAI_JOB_UNPACK plain));            \
    }                                                                                                               \
    SKUAI_JOB_CLONE R name##_skuai_passing(skua_strand *skuai_strand SKUAI_JOB_UNPACK parameters)                   \
    {                                                                                                               \
        SKUAI_JOB_GIVE_##kind(                                                                                      \
            name##_skuai_impl(skuai_strand, skuai_strand->top.raw, SKUAI_PASSES SKUAI_JOB_UNPACK plain));           \
    }

#define SKUAI_JOB_DECLARE(mode, kind, R, name, parameters, fields, pass, plain)                                     \
    struct name##_skuai_in {                                                                                        \
        SKUAI_JOB_UNPACK fields                                                                                     \
    };                                                                                                              \
    union name##_skuai_room {                                                                                       \
        struct name##_skuai_in in;                                                                                  \
        SKUAI_JOB_OUT_##kind(R)                                                                                     \
    };                                                                                                              \
    enum { name##_skuai_is_large = sizeof(union name##_skuai_room) > SKUAI_JOB_ROOM_BYTES };                        \
    struct name##_skuai_running {                                                                                   \
        union {                                                                                                     \
            skua_frame frame;                                                                                       \
            char skuai_awaitable;                                                                                   \
            struct skua_run_future future;                                                                          \
        };                                                                                                          \
        union name##_skuai_room *room, at;                                                                          \
    };                                                                                                              \
    struct name##_skuai_forked {                                                                                    \
        SKUAI_JOB_SAVED_##mode(kind, R)                                                                             \
        skua_job *job;                                                                                              \
        _Alignas(name##_skuai_is_large ? _Alignof(union name##_skuai_room) : 1) /* for what a job has no room for */ \
            char room[name##_skuai_is_large ? sizeof(union name##_skuai_room) : 1];                                 \
    };                                                                                                              \
    static R name##_skuai_body(skua_strand *skuai_strand, skua_job *skuai_top SKUAI_JOB_UNPACK parameters);         \
    SKUAI_JOB_DECLARED_##mode(kind, R, name, parameters, plain)                                                     \
    SKUAI_JOB_HELPER R name##_skuai_call(skua_strand *skuai_strand, skua_job *skuai_top,                            \
                                         enum skuai_how skuai_how SKUAI_JOB_UNPACK parameters)                      \
    {                                                                                                               \
        SKUAI_JOB_CALL_##mode(kind, name, skuai_how, plain);                                                        \
        SKUAI_JOB_GIVE_##kind(SKUAI_JOB_BEST_##mode(name)(skuai_strand, skuai_top SKUAI_JOB_UNPACK plain));         \
    }                                                                                                               \
    __attribute__((unused)) static void name##_skuai_run(skua_strand *strand, void *room)                           \
    {                                                                                                               \
        union name##_skuai_room *at = name##_skuai_is_large ? *(union name##_skuai_room **)room                     \
                                                            : (union name##_skuai_room *)room;                      \
        struct name##_skuai_in in = at->in;                                                                         \
        (void)in;                                                                                                   \
        SKUAI_JOB_KEEP_##kind(at, SKUAI_JOB_BEST_##mode(name)(strand, strand->top.raw SKUAI_JOB_UNPACK pass));      \
    }                                                                                                               \
    SKUAI_JOB_HELPER void name##_skuai_fork(skua_strand *strand, skua_job **top, enum skuai_how *how,               \
                                            const bool may_pass, struct name##_skuai_forked *forked,                \
                                            struct name##_skuai_in in)                                              \
    {                                                                                                               \
        SKUAI_JOB_FORK_##mode(kind, name, how, may_pass, strand, forked, pass);                                     \
        SKUAI_JOB_CHECK(strand->top.raw == *top, #name, "comes after a call that has left a job unjoined");         \
        skua_job *job = *top;                                                                                       \
        void *room = name##_skuai_is_large ? forked->room : job->room;                                              \
        __builtin_memcpy(room, &in, sizeof in);                                                                     \
        if (name##_skuai_is_large)                                                                                  \
            __builtin_memcpy(job->room, &room, sizeof room);                                                        \
        job->run = name##_skuai_run;                                                                                \
        forked->job = job;                                                                                          \
        *top = job + 1;                                                                                             \
        skuai_word_put_ptr(&strand->top, job + 1);                                                                  \
        if (skuai_job_is_below_limit(strand, job))                                                                  \
            skuai_parallel_forked(strand);                                                                          \
    }                                                                                                               \
    SKUAI_JOB_HELPER R name##_skuai_join(skua_strand *strand, skua_job **top, enum skuai_how *how,                  \
                                         struct name##_skuai_forked *forked)                                        \
    {                                                                                                               \
        SKUAI_JOB_JOIN_##mode(kind, how, forked);                                                                   \
        skua_job *job = *top - 1;                                                                                   \
        SKUAI_JOB_CHECK(strand->top.raw == *top, #name, "comes after a call that has left a job unjoined");         \
        SKUAI_JOB_CHECK(forked->job == job, #name, "is joined out of order, or twice");                             \
        void *room = name##_skuai_is_large ? forked->room : job->room;                                              \
        *top = job;                                                                                                 \
        skuai_word_put_ptr(&strand->top, job);                                                                      \
        if (!skuai_job_is_below_limit(strand, job) || skuai_parallel_join(strand, job)) {                           \
            struct name##_skuai_in in;                                                                              \
            __builtin_memcpy(&in, room, sizeof in);                                                                 \
            (void)in;                                                                                               \
            SKUAI_JOB_GIVE_##kind(SKUAI_JOB_BEST_##mode(name)(strand, job SKUAI_JOB_UNPACK pass));                  \
        }                                                                                                           \
        SKUAI_JOB_TAKE_##kind(R, room);                                                                             \
    }                                                                                                               \
    SKUAI_JOB_HELPER R name##_skuai_enter(struct name##_skuai_in in)                                                \
    {                                                                                                               \
        union name##_skuai_room at, *room = &at;                                                                    \
        at.in = in;                                                                                                 \
        skuai_parallel_run(name##_skuai_run, name##_skuai_is_large ? (void *)&room : (void *)room);                 \
        SKUAI_JOB_TAKE_##kind(R, room);                                                                             \
    }                                                                                                               \
    SKUAI_JOB_HELPER int name##_skuai_enter_on(skua_runtime *runtime, R *result, struct name##_skuai_in in)         \
    {                                                                                                               \
        union name##_skuai_room at, *room = &at;                                                                    \
        at.in = in;                                                                                                 \
        int rc = skuai_parallel_run_on(runtime, name##_skuai_run,                                                   \
                                       name##_skuai_is_large ? (void *)&room : (void *)room);                       \
        if (rc == 0) {                                                                                              \
            SKUAI_JOB_PUT_##kind(result, at);                                                                       \
        }                                                                                                           \
        return rc;                                                                                                  \
    }                                                                                                               \
    SKUAI_JOB_HELPER struct name##_skuai_running *name##_skuai_future(struct name##_skuai_running *running,         \
                                                                      struct name##_skuai_in in)                    \
    {                                                                                                               \
        running->room = &running->at;                                                                               \
        running->at.in = in;                                                                                        \
        running->future.in.run = name##_skuai_run;                                                                  \
        running->future.in.room = name##_skuai_is_large ? (void *)&running->room : (void *)running->room;           \
        (void)skua_frame_init(&running->frame, skua_run_future_poll);                                               \
        return running;                                                                                             \
    }                                                                                                               \
    struct name##_skuai_forked

#define SKUAI_JOB_DEFINE(mode, kind, R, name, parameters, fields, pass, plain)                                      \
    SKUAI_JOB_HELPER R name##_skuai_impl(skua_strand *skuai_strand, skua_job *skuai_top,                            \
                                         enum skuai_how skuai_how SKUAI_JOB_UNPACK parameters);                     \
    __attribute__((unused)) static R name##_skuai_body(skua_strand *skuai_strand,                                   \
                                                       skua_job *skuai_top SKUAI_JOB_UNPACK parameters)             \
    {                                                                                                               \
        SKUAI_JOB_GIVE_##kind(name##_skuai_impl(skuai_strand, skuai_top, SKUAI_FORKS SKUAI_JOB_UNPACK plain));      \
    }                                                                                                               \
    SKUAI_JOB_CLONES_##mode(kind, R, name, parameters, plain)                                                       \
    SKUAI_JOB_HELPER R name##_skuai_impl(__attribute__((unused)) skua_strand *skuai_strand,                         \
                                         __attribute__((unused)) skua_job *skuai_top,                               \
                                         __attribute__((unused)) enum skuai_how skuai_how                           \
                                             SKUAI_JOB_UNPACK parameters)

#endif

#endif
