/* sched/algorithm_*.c where they meet the rest: in one another and in jobs, with functions that wait, cancelled, under
 * a seed, without memory, misused. */
#include "support/with_runtime.h"

#include <errno.h>
#include <string.h>

#include "support/algorithm_data.h"

static const skua_reduce matrix_product = { sizeof(struct matrix), matrix_init, matrix_body, matrix_combine };
static const skua_scan matrix_scan = { sizeof(struct matrix), matrix_init, matrix_sum_in, matrix_combine,
                                       matrix_apply, NULL };

static void add_one(void *arg) { __atomic_add_fetch((int64_t *)arg, 1, __ATOMIC_RELAXED); }

/* ---- in one another, and in jobs ---- */

static void inner(void *context, size_t begin, size_t end)
{
    __atomic_add_fetch((int64_t *)context, (int64_t)(end - begin), __ATOMIC_RELAXED);
}
static void outer(void *context, size_t begin, size_t end)
{
    for (; begin < end; begin++) {
        struct matrix product;
        CHECK_EQ(skua_parallel_for(0, begin, inner, context), 0);
        CHECK_EQ(skua_parallel_reduce(0, begin, &matrix_product, NULL, &product), 0);
    }
}
SKUA_PARALLEL_VOID(nested, int64_t *, count, int, depth)
{
    if (depth == 0) {
        CHECK_EQ(skua_parallel_for(0, 30, outer, count), 0);
        return;
    }
    SKUA_FORK(other, nested, count, depth - 1);
    SKUA_CALL(nested, count, depth - 1);
    SKUA_JOIN(nested, other);
}
static int run_nested(void *arg)
{
    int64_t count = 0;
    (void)arg;
    SKUA_RUN(nested, &count, 4);
    CHECK_EQ(count, 16 * 29 * 30 / 2);
    return 0;
}
TEST(nested) { run_everywhere(run_nested, NULL); }

/* ---- functions that wait ---- */

static void nap(void *context, size_t begin, size_t end)
{
    CHECK_OK(skua_sleep(SKUA_US));
    if (begin % 3 == 0)
        CHECK_OK(skua_yield());
    inner(context, begin, end);
}
static void nap_body(void *context, void *acc, size_t begin, size_t end)
{
    CHECK_OK(skua_sleep(SKUA_US));
    matrix_body(context, acc, begin, end);
}
static void nap_sum(void *context, void *acc, size_t begin, size_t end)
{
    CHECK_OK(skua_yield());
    matrix_sum_in(context, acc, begin, end);
}
static void nap_apply(void *context, const void *prefix, size_t begin, size_t end)
{
    CHECK_OK(skua_sleep(SKUA_US));
    matrix_apply(context, prefix, begin, end);
}
static int run_naps(void *arg)
{
    static const skua_reduce reduce = { sizeof(struct matrix), matrix_init, nap_body, matrix_combine };
    static const skua_scan scan = { sizeof(struct matrix), matrix_init, nap_sum, matrix_combine, nap_apply, NULL };
    struct matrix expected, result, x[300];
    int64_t count = 0;
    (void)arg;
    CHECK_EQ(skua_parallel_for(0, 300, nap, &count), 0);
    CHECK_EQ(count, 300);
    for (size_t i = 0; i < 300; i++)
        x[i] = matrix_at(i);
    matrix_init(NULL, &expected);
    matrix_body(NULL, &expected, 0, 300);
    CHECK_EQ(skua_parallel_reduce(0, 300, &reduce, NULL, &result), 0);
    CHECK(memcmp(&expected, &result, sizeof result) == 0);
    CHECK_EQ(skua_parallel_scan(0, 300, &scan, x, &result), 0);
    CHECK(memcmp(&expected, &result, sizeof result) == 0 && memcmp(&x[299], &result, sizeof result) == 0);
    return 0;
}
TEST(functions_that_wait) { run_everywhere(run_naps, NULL); }

/* ---- others do take part ---- */

struct shares {
    skua_task *caller;
    int64_t elsewhere; /* __atomic */
};
static void note(struct shares *shares)
{
    if (skua_self() != shares->caller)
        __atomic_add_fetch(&shares->elsewhere, 1, __ATOMIC_RELAXED);
}
static void note_chunk(void *context, size_t begin, size_t end)
{
    CHECK(begin < end);
    note(context);
}
static void note_body(void *context, void *acc, size_t begin, size_t end)
{
    *(double *)acc += (double)(end - begin);
    note(context);
}
static void note_apply(void *context, const void *prefix, size_t begin, size_t end)
{
    CHECK(*(const double *)prefix == (double)begin && begin < end);
    note(context);
}
static int run_shares(void *arg)
{
    static const skua_reduce reduce = { sizeof(double), sum_init, note_body, sum_combine };
    static const skua_scan scan = { sizeof(double), sum_init, note_body, sum_combine, note_apply, NULL };
    int64_t *elsewhere = arg;
    double total;
    for (int which = 0; which < 5; which++) {
        struct shares shares = { skua_self(), 0 };
        const skua_parallel_attr attr = { .deterministic = which > 2 };
        if (which == 0)
            CHECK_EQ(skua_parallel_for(0, 1000, note_chunk, &shares), 0);
        else if (which % 2 == 1)
            CHECK_EQ(skua_parallel_reduce_with(&attr, 0, 1000, &reduce, &shares, &total), 0);
        else
            CHECK_EQ(skua_parallel_scan_with(&attr, 0, 1000, &scan, &shares, &total), 0);
        CHECK(which == 0 || total == 1000);
        elsewhere[which] += shares.elsewhere;
    }
    return 0;
}
TEST(others_take_part)
{
    int64_t elsewhere[5] = { 0 };
    for (uint64_t seed = 1; seed <= 20; seed++)
        CHECK_EQ(run_seeded(seed, 4, run_shares, elsewhere), 0);
    for (int which = 0; which < 5; which++)
        CHECK(elsewhere[which] > 0);
}

/* ---- cancellation ---- */

struct cancelled {
    skua_waker caller;
    int64_t at, done; /* done: __atomic */
};
static void cancel_midway(struct cancelled *run, size_t begin, size_t end)
{
    if ((int64_t)begin <= run->at && run->at < (int64_t)end)
        skua_waker_cancel(run->caller);
    __atomic_add_fetch(&run->done, (int64_t)(end - begin), __ATOMIC_RELAXED);
}
static void cancelled_for(void *context, size_t begin, size_t end) { cancel_midway(context, begin, end); }
static void cancelled_body(void *context, void *acc, size_t begin, size_t end)
{
    cancel_midway(context, begin, end);
    text_body(context, acc, begin, end);
}
static void cancelled_sum(void *context, void *acc, size_t begin, size_t end)
{
    *(double *)acc += (double)(end - begin);
    (void)context;
}
static void cancelled_apply(void *context, const void *prefix, size_t begin, size_t end)
{
    CHECK_EQ(*(const double *)prefix, begin);
    cancel_midway(context, begin, end);
}
static void cancelled_call(void *arg) { cancelled_for(arg, 0, 1); }

static int cancelled_one(void *arg)
{
    static const skua_reduce reduce = { sizeof(struct text), text_init, cancelled_body, text_combine };
    static const skua_scan scan = { sizeof(double), sum_init, cancelled_sum, sum_combine, cancelled_apply, NULL };
    enum { COUNT = 10000 };
    const int which = *(int *)arg;
    struct cancelled run = { skua_waker_self(), which == 0 ? 0 : COUNT / 3, 0 };
    const skua_parallel_attr attr = { .deterministic = which == 2 || which == 4 };
    skua_invoke calls[50];
    struct text text;
    double total;
    int rc;
    switch (which) {
    case 0:
        rc = skua_parallel_for(0, COUNT, cancelled_for, &run);
        break;
    case 1:
    case 2:
        rc = skua_parallel_reduce_with(&attr, 0, COUNT, &reduce, &run, &text);
        CHECK_EQ(text.length, run.done);
        free(text.bytes);
        break;
    case 3:
    case 4:
        rc = skua_parallel_scan_with(&attr, 0, COUNT, &scan, &run, &total);
        break;
    default:
        for (int i = 0; i < 50; i++)
            calls[i] = (skua_invoke){ cancelled_call, &run };
        run.at = 0;
        rc = skua_parallel_invoke(calls, 50);
    }
    int64_t all = which == 5 ? 50 : COUNT;
    CHECK(skua_interrupted() == -ECANCELED);
    CHECK_EQ(rc, run.done == all ? 0 : -ECANCELED);
    {
        SKUA_SHIELD();
        run.done = 0;
        CHECK_EQ(skua_parallel_for(0, COUNT, cancelled_for, &run), 0);
        CHECK_EQ(run.done, COUNT);
    }
    run.done = 0;
    CHECK_EQ(skua_parallel_for(0, COUNT, cancelled_for, &run), -ECANCELED);
    CHECK_EQ(skua_parallel_reduce(0, 0, &reduce, &run, &text), 0);
    free(text.bytes);
    CHECK_EQ(run.done, 0);
    return rc;
}
static int run_cancelled(void *arg)
{
    skua_stats stats;
    (void)arg;
    skua_runtime_stats(skua_runtime_self(), &stats);
    for (int which = 0; which < 6; which++) {
        skua_task *task;
        int64_t result;
        CHECK_OK(skua_spawn(&task, cancelled_one, &which));
        CHECK_OK(skua_join(task, &result));
        CHECK(result == 0 || result == -ECANCELED);
        if (which == 0 && stats.workers == 1) /* index 0 is the first chunk */
            CHECK_EQ(result, -ECANCELED);
    }
    return 0;
}
TEST(cancellation) { run_everywhere(run_cancelled, NULL); }

/* ---- the same seed, the same run ---- */

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct trace {
    uint64_t hash, bytes;
};
static void keep_trace(void *context, const char *line, size_t length)
{
    struct trace *trace = context;
    trace->bytes += length;
    for (size_t i = 0; i < length; i++)
        trace->hash = (trace->hash ^ (unsigned char)line[i]) * UINT64_C(1099511628211);
}
static int run_traced(void *arg)
{
    uint64_t random = 1, *keys = malloc(10000 * sizeof *keys);
    CHECK(keys != NULL);
    for (int stable = 0; stable < 2; stable++) {
        for (size_t i = 0; i < 10000; i++)
            keys[i] = test_rand(&random);
        int rc = (stable ? skua_parallel_sort_stable : skua_parallel_sort)(keys, 10000, sizeof *keys, compare_words);
        CHECK_EQ(rc, 0);
    }
    free(keys);
    return run_naps(arg) + run_nested(arg);
}
TEST(same_seed_same_trace)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct trace traces[2] = { { 0, 0 }, { 0, 0 } };
        for (int i = 0; i < 2; i++)
            CHECK_EQ(run_in((skua_config){ .workers = 4, .ignore_environment = true, .simulate = true, .sim_seed = seed,
                                           .sim_trace = keep_trace, .sim_trace_context = &traces[i] },
                            run_traced, NULL), 0);
        CHECK(traces[0].bytes > 10000);
        CHECK_EQ(traces[0].bytes, traces[1].bytes);
        CHECK_EQ(traces[0].hash, traces[1].hash);
    }
}

/* ---- errors ---- */

static int run_errors(void *arg)
{
    struct matrix result;
    skua_reduce reduce = matrix_product;
    skua_scan scan = matrix_scan;
    (void)arg;
    CHECK_EQ(skua_parallel_for(1, 0, inner, NULL), -EINVAL);
    CHECK_EQ(skua_parallel_for(0, 1, NULL, NULL), -EINVAL);
    CHECK_EQ(skua_parallel_reduce(1, 0, &reduce, NULL, &result), -EINVAL);
    CHECK_EQ(skua_parallel_reduce(0, 1, &reduce, NULL, NULL), -EINVAL);
    CHECK_EQ(skua_parallel_reduce(0, 1, NULL, NULL, &result), -EINVAL);
    CHECK_EQ(skua_parallel_scan(1, 0, &scan, NULL, &result), -EINVAL);
    CHECK_EQ(skua_parallel_scan(0, 1, NULL, NULL, &result), -EINVAL);
    reduce.size = scan.size = 0;
    CHECK_EQ(skua_parallel_reduce(0, 1, &reduce, NULL, &result), -EINVAL);
    CHECK_EQ(skua_parallel_scan(0, 1, &scan, NULL, &result), -EINVAL);
    CHECK_EQ(skua_parallel_invoke(NULL, 1), -EINVAL);
    CHECK_EQ(skua_parallel_invoke(&(skua_invoke){ NULL, NULL }, 1), -EINVAL);
    return 0;
}
TEST(errors) { CHECK_EQ(run_on(1, run_errors, NULL), 0); }

static void in_no_runtime(void *arg)
{
    (void)arg;
    CHECK_OK(skua_parallel_for(0, 1, inner, NULL));
}
TEST(outside_of_a_runtime) { test_expect_abort(in_no_runtime, NULL, "skua_parallel_for"); }

struct wrong {
    SKUA_FRAME;
    SKUA_NO_ARGS;
};
SKUA_ASYNC(wrong)
{
    struct matrix result;
    uint64_t key = 0;
    SKUA_BEGIN(self);
    CHECK_EQ(skua_parallel_for(0, 1, inner, NULL), -EPERM);
    CHECK_EQ(skua_parallel_reduce(0, 1, &matrix_product, NULL, &result), -EPERM);
    CHECK_EQ(skua_parallel_scan(0, 1, &matrix_scan, NULL, &result), -EPERM);
    CHECK_EQ(skua_parallel_invoke(&(skua_invoke){ add_one, NULL }, 1), -EPERM);
    CHECK_EQ(skua_parallel_sort(&key, 1, sizeof key, compare_words), -EPERM);
    SKUA_END(0);
}
static int run_wrong(void *arg)
{
    skua_task *task;
    int64_t result;
    (void)arg;
    CHECK_OK(SKUA_SPAWN(&task, wrong));
    CHECK_OK(skua_join(task, &result));
    return 0;
}
static void note_misuse(void *context, const char *text)
{
    CHECK(strstr(text, "parallel") != NULL);
    ++*(int *)context;
}
TEST(in_a_future)
{
    int misuses = 0;
    skua_config config = { .workers = 1, .on_misuse = note_misuse, .misuse_context = &misuses };
    CHECK_EQ(run_in(config, run_wrong, NULL), 0);
    CHECK_EQ(misuses, 5);
}

/* No memory for accumulators: who has forked does what the thief could not. */
struct wide {
    struct matrix matrix;
    char rest[54321];
};
static int32_t refuse_sums; /* __atomic */
static void *alloc_no_wide(void *context, size_t size)
{
    (void)context;
    if (size >= 1000 * sizeof(struct matrix) && __atomic_load_n(&refuse_sums, __ATOMIC_RELAXED))
        return NULL;
    return size >= sizeof(struct wide) && size < 4 * sizeof(struct wide) ? NULL : malloc(size);
}
static void free_any(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}
static int run_no_memory(void *arg)
{
    static const skua_reduce reduce = { sizeof(struct wide), matrix_init, nap_body, matrix_combine };
    static const skua_scan scan = { sizeof(struct wide), matrix_init, matrix_sum_in, matrix_combine, matrix_apply,
                                    NULL };
    struct matrix expected;
    struct wide *wide = malloc(sizeof *wide);
    (void)arg;
    CHECK(wide != NULL);
    matrix_init(NULL, &expected);
    matrix_body(NULL, &expected, 0, 200);
    CHECK_EQ(skua_parallel_reduce(0, 200, &reduce, NULL, wide), 0);
    CHECK(memcmp(&expected, wide, sizeof expected) == 0);
    CHECK_EQ(skua_parallel_reduce_with(&(skua_parallel_attr){ .deterministic = true }, 0, 200, &reduce, NULL, wide),
             -ENOMEM);
    CHECK_EQ(skua_parallel_scan(0, 1, &scan, NULL, NULL), -ENOMEM);
    free(wide);
    struct matrix *x = malloc(3000 * sizeof *x), total;
    CHECK(x != NULL);
    for (size_t i = 0; i < 3000; i++)
        x[i] = matrix_at(i);
    matrix_init(NULL, &expected);
    matrix_body(NULL, &expected, 0, 3000);
    __atomic_store_n(&refuse_sums, 1, __ATOMIC_RELAXED);
    CHECK_EQ(skua_parallel_scan(0, 3000, &matrix_scan, x, &total), 0); /* the caller does it all */
    __atomic_store_n(&refuse_sums, 0, __ATOMIC_RELAXED);
    CHECK(memcmp(&expected, &total, sizeof total) == 0 && memcmp(&expected, &x[2999], sizeof total) == 0);
    free(x);
    return 0;
}
TEST(no_memory)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2)
        for (uint64_t seed = 0; seed < 10; seed++) {
            skua_runtime *rt;
            skua_config config = { .workers = workers, .ignore_environment = true, .alloc = alloc_no_wide,
                                   .free = free_any, .simulate = seed != 0, .sim_seed = seed };
            CHECK_OK(skua_runtime_create(&rt, &config));
            CHECK_EQ(skua_block_on(rt, run_no_memory, NULL), 0);
            CHECK_OK(skua_runtime_destroy(rt));
        }
}
