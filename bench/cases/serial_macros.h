/* The macros of skua/parallel.h without a runtime: a fork is a call, and a join gives its result. So the same source is
 * compiled serially, by the same compiler. For functions of 1 to 5 arguments.
 */
#ifndef SKUA_BENCH_SERIAL_MACROS_H
#define SKUA_BENCH_SERIAL_MACROS_H

#define SKUA_PARALLEL(R, name, ...)                                                                   \
    struct name##_forked {                                                                            \
        R result;                                                                                     \
    };                                                                                                \
    static R name##_body(SERIAL_DECLARE(__VA_ARGS__));                                                \
    SERIAL_HELPER void name##_fork(struct name##_forked *forked, SERIAL_DECLARE(__VA_ARGS__))         \
    {                                                                                                 \
        forked->result = name##_body(SERIAL_PASS(__VA_ARGS__));                                       \
    }                                                                                                 \
    SERIAL_HELPER R name##_join(const struct name##_forked *forked) { return forked->result; }        \
    static R name##_body(SERIAL_DECLARE(__VA_ARGS__))

#define SKUA_PARALLEL_VOID(name, ...)                                                                 \
    struct name##_forked {                                                                            \
        char none;                                                                                    \
    };                                                                                                \
    static void name##_body(SERIAL_DECLARE(__VA_ARGS__));                                             \
    SERIAL_HELPER void name##_fork(struct name##_forked *forked, SERIAL_DECLARE(__VA_ARGS__))         \
    {                                                                                                 \
        (void)forked;                                                                                 \
        name##_body(SERIAL_PASS(__VA_ARGS__));                                                        \
    }                                                                                                 \
    SERIAL_HELPER void name##_join(const struct name##_forked *forked) { (void)forked; }              \
    static void name##_body(SERIAL_DECLARE(__VA_ARGS__))

#define SKUA_COMPUTE SKUA_PARALLEL
#define SKUA_COMPUTE_VOID SKUA_PARALLEL_VOID

#define SKUA_FORKED(name) struct name##_forked
#define SKUA_FORK(handle, name, ...) \
    SKUA_FORKED(name) handle;        \
    SKUA_FORK_INTO(handle, name, __VA_ARGS__)
#define SKUA_FORK_INTO(handle, name, ...) name##_fork(&(handle), __VA_ARGS__)
#define SKUA_CALL(name, ...) name##_body(__VA_ARGS__)
#define SKUA_JOIN(name, handle) name##_join(&(handle))
#define SKUA_RUN(name, ...) name##_body(__VA_ARGS__)

#define SERIAL_HELPER static inline __attribute__((always_inline, unused))
#define SERIAL_DECLARE(...) SERIAL_CAT(SERIAL_DECLARE_, SERIAL_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define SERIAL_PASS(...) SERIAL_CAT(SERIAL_PASS_, SERIAL_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define SERIAL_CAT(a, b) SERIAL_CAT_(a, b)
#define SERIAL_CAT_(a, b) a##b
#define SERIAL_COUNT(...) SERIAL_COUNT_(__VA_ARGS__, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define SERIAL_COUNT_(a, b, c, d, e, f, g, h, i, j, count, ...) count

#define SERIAL_DECLARE_2(T1, a1) T1 a1
#define SERIAL_DECLARE_4(T1, a1, ...) T1 a1, SERIAL_DECLARE_2(__VA_ARGS__)
#define SERIAL_DECLARE_6(T1, a1, ...) T1 a1, SERIAL_DECLARE_4(__VA_ARGS__)
#define SERIAL_DECLARE_8(T1, a1, ...) T1 a1, SERIAL_DECLARE_6(__VA_ARGS__)
#define SERIAL_DECLARE_10(T1, a1, ...) T1 a1, SERIAL_DECLARE_8(__VA_ARGS__)
#define SERIAL_PASS_2(T1, a1) a1
#define SERIAL_PASS_4(T1, a1, ...) a1, SERIAL_PASS_2(__VA_ARGS__)
#define SERIAL_PASS_6(T1, a1, ...) a1, SERIAL_PASS_4(__VA_ARGS__)
#define SERIAL_PASS_8(T1, a1, ...) a1, SERIAL_PASS_6(__VA_ARGS__)
#define SERIAL_PASS_10(T1, a1, ...) a1, SERIAL_PASS_8(__VA_ARGS__)

#endif
