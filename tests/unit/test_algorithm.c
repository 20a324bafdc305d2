/* sched/algorithm_*.c: parallel loops, reductions, scans and calls do what serial ones do, whoever does the parts. */
#include "support/with_runtime.h"

#include <errno.h>
#include <string.h>

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

/* Products of matrices: associative, not commutative. */
struct matrix {
    uint64_t a, b, c, d;
};
static struct matrix times(struct matrix x, struct matrix y)
{
    return (struct matrix){ x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d,
                            x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d };
}
static struct matrix matrix_at(size_t i) { return (struct matrix){ i + 1, 2 * i + 1, 3, i ^ 5 }; }
static void matrix_init(void *context, void *acc)
{
    (void)context;
    *(struct matrix *)acc = (struct matrix){ 1, 0, 0, 1 };
}
static void matrix_body(void *context, void *acc, size_t begin, size_t end)
{
    struct matrix *product = acc;
    (void)context;
    for (; begin < end; begin++)
        *product = times(*product, matrix_at(begin));
}
static void matrix_combine(void *context, void *acc, const void *right)
{
    (void)context;
    *(struct matrix *)acc = times(*(struct matrix *)acc, *(const struct matrix *)right);
}
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

/* An accumulator that owns what it refers to: a text that grows. */
struct text {
    char *bytes;
    size_t length;
    char large[100]; /* larger than any room on the stack */
};
static void text_init(void *context, void *acc)
{
    (void)context;
    *(struct text *)acc = (struct text){ .bytes = malloc(1) };
}
static void text_add(struct text *text, const char *bytes, size_t length)
{
    text->bytes = realloc(text->bytes, text->length + length + 1);
    CHECK(text->bytes != NULL);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}
static void text_body(void *context, void *acc, size_t begin, size_t end)
{
    (void)context;
    for (; begin < end; begin++)
        text_add(acc, &(char){ (char)('a' + begin % 26) }, 1);
}
static void text_combine(void *context, void *acc, const void *right)
{
    (void)context;
    text_add(acc, ((const struct text *)right)->bytes, ((const struct text *)right)->length);
    free(((const struct text *)right)->bytes);
}
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

static double term(size_t i) { return 1.0 / (double)(3 * i + 1) * (i % 2 == 0 ? 1 : -1e-3); }
static void sum_init(void *context, void *acc)
{
    (void)context;
    *(double *)acc = 0;
}
static void sum_body(void *context, void *acc, size_t begin, size_t end)
{
    (void)context;
    for (; begin < end; begin++)
        *(double *)acc += term(begin);
}
static void sum_combine(void *context, void *acc, const void *right)
{
    (void)context;
    *(double *)acc += *(const double *)right;
}
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

static void matrix_sum_in(void *context, void *acc, size_t begin, size_t end)
{
    const struct matrix *x = context;
    for (; begin < end; begin++)
        *(struct matrix *)acc = times(*(struct matrix *)acc, x[begin]);
}
static void matrix_apply(void *context, const void *prefix, size_t begin, size_t end)
{
    struct matrix *x = context, total = *(const struct matrix *)prefix;
    for (; begin < end; begin++)
        x[begin] = total = times(total, x[begin]);
}
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

static int compare_nothing(const void *a, const void *b)
{
    (void)a;
    (void)b;
    return 0;
}
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
    CHECK_EQ(skua_parallel_sort(&key, 1, sizeof key, compare_nothing), -EPERM);
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
