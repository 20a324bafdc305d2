/* sched/algorithm_*.c: parallel loops, reductions, scans and calls do what serial ones do, whoever does the parts. */
#include "support/with_runtime.h"

#include <errno.h>
#include <string.h>

#include "support/algorithm_data.h"

static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 255, 257,
                                1000, 1023, 1025, 4095, 4097, 20000, 100003 };
enum { SIZES = sizeof sizes / sizeof sizes[0], LARGEST = 100003 };

/* ---- loops ---- */

struct marks {
    uint8_t mark[LARGEST + 100];
    size_t from;
    size_t shortest; /* __atomic; of all chunks */
    size_t count;
};
static void mark(void *context, size_t begin, size_t end)
{
    struct marks *marks = context;
    CHECK(begin < end);
    size_t shortest = __atomic_load_n(&marks->shortest, __ATOMIC_RELAXED);
    if (end - begin < shortest)
        __atomic_store_n(&marks->shortest, end - begin, __ATOMIC_RELAXED);
    for (size_t i = begin; i < end; i++)
        marks->mark[i - marks->from]++;
}
static struct marks *marks_new(size_t from, size_t count)
{
    struct marks *marks = calloc(1, sizeof *marks);
    CHECK(marks != NULL);
    marks->shortest = SIZE_MAX;
    marks->from = from;
    marks->count = count;
    return marks;
}
static void marks_check(struct marks *marks)
{
    for (size_t i = 0; i < marks->count; i++)
        CHECK_EQ(marks->mark[i], 1);
    CHECK_EQ(marks->mark[marks->count], 0);
    free(marks);
}
static int run_loops(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < SIZES; i++) {
        size_t from = i % 3 == 0 ? 0 : i % 3 == 1 ? 77 : SIZE_MAX - sizes[i];
        struct marks *marks = marks_new(from, sizes[i]);
        CHECK_EQ(skua_parallel_for(from, from + sizes[i], mark, marks), 0);
        marks_check(marks);
    }
    for (size_t min_chunk = 1; min_chunk < 10000; min_chunk = 3 * min_chunk + 1) {
        struct marks *marks = marks_new(5, 9999);
        skua_parallel_attr attr = { .min_chunk = min_chunk };
        CHECK_EQ(skua_parallel_for_with(&attr, 5, 10004, mark, marks), 0);
        CHECK(marks->shortest >= min_chunk);
        marks_check(marks);
    }
    return 0;
}
TEST(loops) { run_everywhere(run_loops, NULL); }

/* ---- reductions ---- */

static const skua_reduce matrix_product = { sizeof(struct matrix), matrix_init, matrix_body, matrix_combine };

static int run_reductions(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < SIZES; i++)
        for (int deterministic = 0; deterministic < 2; deterministic++) {
            struct matrix expected, result;
            skua_parallel_attr attr = { .min_chunk = i % 4, .deterministic = deterministic };
            matrix_init(NULL, &expected);
            matrix_body(NULL, &expected, 3, 3 + sizes[i]);
            CHECK_EQ(skua_parallel_reduce_with(&attr, 3, 3 + sizes[i], &matrix_product, NULL, &result), 0);
            CHECK(memcmp(&expected, &result, sizeof result) == 0);
        }
    return 0;
}
TEST(reductions) { run_everywhere(run_reductions, NULL); }

static const skua_reduce concatenation = { sizeof(struct text), text_init, text_body, text_combine };
static int run_text(void *arg)
{
    (void)arg;
    for (int deterministic = 0; deterministic < 2; deterministic++) {
        struct text text;
        skua_parallel_attr attr = { .deterministic = deterministic };
        CHECK_EQ(skua_parallel_reduce_with(&attr, 0, 5000, &concatenation, NULL, &text), 0);
        CHECK_EQ(text.length, 5000);
        for (size_t i = 0; i < 5000; i++)
            CHECK_EQ(text.bytes[i], 'a' + (int)(i % 26));
        free(text.bytes);
    }
    return 0;
}
TEST(accumulators_that_own_memory) { run_everywhere(run_text, NULL); }

/* ---- the same bits ---- */

static void sum_apply(void *context, const void *prefix, size_t begin, size_t end)
{
    double total = *(const double *)prefix, *to = context;
    for (; begin < end; begin++)
        to[begin] = total += term(begin);
}
struct bits {
    bool known;
    double reduced, scanned, last[30000];
};
static int run_bits(void *arg)
{
    static const skua_reduce reduce = { sizeof(double), sum_init, sum_body, sum_combine };
    static const skua_scan scan = { sizeof(double), sum_init, sum_body, sum_combine, sum_apply, NULL };
    struct bits *bits = arg, *now = calloc(1, sizeof *now);
    const skua_parallel_attr attr = { .deterministic = true };
    CHECK(now != NULL);
    CHECK_EQ(skua_parallel_reduce_with(&attr, 0, 30000, &reduce, NULL, &now->reduced), 0);
    CHECK_EQ(skua_parallel_scan_with(&attr, 0, 30000, &scan, now->last, &now->scanned), 0);
    now->known = true;
    if (!bits->known)
        memcpy(bits, now, sizeof *bits);
    CHECK(memcmp(&bits->reduced, &now->reduced, sizeof(double)) == 0);
    CHECK(memcmp(&bits->scanned, &now->scanned, sizeof(double)) == 0);
    CHECK(memcmp(bits->last, now->last, sizeof bits->last) == 0);
    free(now);
    return 0;
}
TEST(deterministic)
{
    static struct bits bits;
    for (uint64_t i = 0; i < test_scaled(10); i++)
        run_everywhere(run_bits, &bits);
}

/* ---- scans ---- */

static const skua_scan matrix_scan = { sizeof(struct matrix), matrix_init, matrix_sum_in, matrix_combine,
                                       matrix_apply, NULL };
static void matrix_advance(void *context, void *acc, size_t begin, size_t end)
{
    matrix_apply(context, acc, begin, end);
    if (begin < end)
        *(struct matrix *)acc = ((struct matrix *)context)[end - 1];
}
static const skua_scan matrix_scan_fast = { sizeof(struct matrix), matrix_init, matrix_sum_in, matrix_combine,
                                            matrix_apply, matrix_advance };

static int run_scans(void *arg)
{
    struct matrix *x = malloc(sizeof *x * (LARGEST + 1)), *expected = malloc(sizeof *x * (LARGEST + 1)), total;
    (void)arg;
    CHECK(x != NULL && expected != NULL);
    for (size_t i = 0; i < 2 * SIZES; i++) {
        size_t begin = i % 2, end = begin + sizes[i / 2];
        skua_parallel_attr attr = { .min_chunk = i % 5 * 100, .deterministic = i % 3 == 0 };
        for (size_t j = begin; j < end; j++)
            x[j] = expected[j] = matrix_at(j);
        matrix_init(NULL, &total);
        matrix_apply(expected, &total, begin, end);
        CHECK_EQ(skua_parallel_scan_with(&attr, begin, end, i % 7 < 4 ? &matrix_scan : &matrix_scan_fast, x,
                                         i % 4 < 2 ? &total : NULL), 0);
        CHECK(memcmp(x + begin, expected + begin, sizeof *x * (end - begin)) == 0);
        if (i % 4 < 2 && begin < end)
            CHECK(memcmp(&total, &expected[end - 1], sizeof total) == 0);
    }
    free(x);
    free(expected);
    return 0;
}
TEST(scans) { run_everywhere(run_scans, NULL); }

/* ---- calls ---- */

static void add_one(void *arg) { __atomic_add_fetch((int64_t *)arg, 1, __ATOMIC_RELAXED); }
static int run_calls(void *arg)
{
    (void)arg;
    for (size_t count = 0; count < 40; count++) {
        skua_invoke calls[40];
        int64_t made[40] = { 0 };
        for (size_t i = 0; i < count; i++)
            calls[i] = (skua_invoke){ add_one, &made[i] };
        CHECK_EQ(skua_parallel_invoke(calls, count), 0);
        for (size_t i = 0; i < 40; i++)
            CHECK_EQ(made[i], i < count);
    }
    return 0;
}
TEST(calls) { run_everywhere(run_calls, NULL); }
