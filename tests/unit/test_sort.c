/* skua/sort.h and sched/algorithm_sort.c: sorted, nothing lost, equal elements in order where it is promised; for
 * inputs of many shapes, elements of many sizes and comparisons that lie. */
#include "support/with_runtime.h"

#include <errno.h>
#include <string.h>

/* ---- inputs ---- */

enum shape { RANDOM, SORTED, REVERSED, PIPE, EQUAL, FEW, SAW, NEARLY, SHAPES };

static uint32_t key_at(enum shape shape, size_t i, size_t count, uint64_t *random)
{
    switch (shape) {
    case SORTED:
        return (uint32_t)i;
    case REVERSED:
        return (uint32_t)(count - i);
    case PIPE:
        return (uint32_t)(i < count / 2 ? i : count - i);
    case EQUAL:
        return 7;
    case FEW:
        return (uint32_t)(test_rand(random) % 5);
    case SAW:
        return (uint32_t)(i % 97);
    case NEARLY:
        return (uint32_t)(test_rand(random) % 100 == 0 ? test_rand(random) % count : i);
    default:
        return (uint32_t)test_rand(random);
    }
}

static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 1000, 1023,
                                1025, 2047, 2049, 5000, 16385 };
enum { SIZES = sizeof sizes / sizeof sizes[0] };
/* The last ones are for who is fast. */
static size_t sizes_to_try(void) { return test_under_tsan() ? SIZES - 3 : SIZES; }

/* ---- elements whose type is known ---- */

struct record {
    uint32_t key, index;
    double rest[2];
};
struct wide {
    uint32_t key, index;
    char rest[92];
};
SKUA_SORT_DEFINE(sort_u64, uint64_t, a, b, *a < *b)
SKUA_SORT_DEFINE(sort_u32_down, uint32_t, x, y, *x > *y)
SKUA_SORT_DEFINE(sort_record, struct record, a, b, a->key < b->key)
SKUA_SORT_DEFINE(sort_wide, struct wide, a, b, a->key < b->key)

static void check_u64(size_t count, enum shape shape, bool stable)
{
    uint64_t random = count + shape + 1, sum = 0;
    uint64_t *keys = malloc((count + 1) * sizeof *keys);
    CHECK(keys != NULL);
    for (size_t i = 0; i < count; i++) {
        keys[i] = (uint64_t)key_at(shape, i, count, &random) << 20;
        sum += keys[i] * keys[i];
    }
    CHECK_EQ((stable ? sort_u64_stable : sort_u64)(keys, count), 0);
    for (size_t i = 0; i < count; i++) {
        sum -= keys[i] * keys[i];
        CHECK(i == 0 || keys[i - 1] <= keys[i]);
    }
    CHECK_EQ(sum, 0);
    free(keys);
}

#define CHECK_STRUCTS(type, count, shape, plain, stable, is_stable)                          \
    do {                                                                                     \
        uint64_t random_ = (count) + (shape), sum_ = 0;                                      \
        type *all_ = malloc(((count) + 1) * sizeof *all_);                                   \
        CHECK(all_ != NULL);                                                                 \
        for (size_t i_ = 0; i_ < (count); i_++) {                                            \
            all_[i_].key = key_at((shape), i_, (count), &random_);                           \
            all_[i_].index = (uint32_t)i_;                                                   \
            sum_ += ((uint64_t)all_[i_].key + 1) * (i_ + 1);                                 \
        }                                                                                    \
        CHECK_EQ(((is_stable) ? stable : plain)(all_, (count)), 0);                          \
        for (size_t i_ = 0; i_ < (count); i_++) {                                            \
            sum_ -= ((uint64_t)all_[i_].key + 1) * (all_[i_].index + (uint64_t)1);           \
            CHECK(i_ == 0 || all_[i_ - 1].key < all_[i_].key ||                              \
                  (all_[i_ - 1].key == all_[i_].key &&                                       \
                   (!(is_stable) || all_[i_ - 1].index < all_[i_].index)));                  \
        }                                                                                    \
        CHECK_EQ(sum_, 0);                                                                   \
        free(all_);                                                                          \
    } while (0)

static void check_typed(size_t count, enum shape shape)
{
    for (int stable = 0; stable < 2; stable++) {
        check_u64(count, shape, stable);
        CHECK_STRUCTS(struct record, count, shape, sort_record, sort_record_stable, stable);
        CHECK_STRUCTS(struct wide, count, shape, sort_wide, sort_wide_stable, stable);
    }
}
static int run_typed(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizes_to_try(); i++)
        for (enum shape shape = 0; shape < SHAPES; shape++)
            check_typed(sizes[i], shape);
    uint32_t down[] = { 3, 1, 2, 9 };
    CHECK_EQ(sort_u32_down(down, 4), 0);
    CHECK(down[0] == 9 && down[3] == 1);
    CHECK_EQ(sort_u32_down_stable(down, 4), 0);
    return 0;
}
TEST(typed) { CHECK_EQ(run_on(2, run_typed, NULL), 0); }

static int run_some_typed(void *arg)
{
    uint64_t *random = arg;
    for (int i = 0; i < 3; i++)
        check_typed(test_rand(random) % 12000, (enum shape)(test_rand(random) % SHAPES));
    return 0;
}
TEST(typed_everywhere) { run_everywhere(run_some_typed, &(uint64_t){ 1 }); }

static int run_large(void *arg)
{
    (void)arg;
    const size_t count = test_under_tsan() ? 30000 : 300000;
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        check_u64(count, shape, false);
        check_u64(count, shape, true);
        CHECK_STRUCTS(struct record, count, shape, sort_record, sort_record_stable, shape % 2 == 0);
    }
    return 0;
}
static int run_largest(void *arg)
{
    (void)arg;
    check_u64((size_t)5 << 18, RANDOM, false);
    check_u64((size_t)5 << 18, FEW, true);
    return 0;
}
TEST(large)
{
    if (!test_under_tsan())
        CHECK_EQ(run_on(2, run_largest, NULL), 0);
    for (uint32_t workers = 1; workers <= 8; workers *= 2)
        CHECK_EQ(run_on(workers, run_large, NULL), 0);
}

/* ---- elements whose size is known ---- */

/* In the first bytes, as many as there are: one of key, two of index, or four and four. */
struct bytes {
    uint32_t key, index;
};
static struct bytes bytes_get(const unsigned char *at, size_t size)
{
    struct bytes bytes = { at[0], 0 };
    if (size >= 8)
        memcpy(&bytes, at, sizeof bytes);
    else if (size >= 3)
        bytes.index = (uint32_t)(at[1] | at[2] << 8);
    return bytes;
}
static void bytes_put(unsigned char *at, size_t size, struct bytes bytes)
{
    memset(at, (int)bytes.key, size);
    if (size >= 8) {
        memcpy(at, &bytes, sizeof bytes);
    } else if (size >= 3) {
        at[1] = (unsigned char)bytes.index;
        at[2] = (unsigned char)(bytes.index >> 8);
    }
}
static int compare_long(const void *a, const void *b)
{
    uint32_t x = bytes_get(a, 8).key, y = bytes_get(b, 8).key;
    return (x > y) - (x < y);
}
static int compare_short(const void *a, const void *b)
{
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

typedef int sort_fn(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));

/* Also that not a byte beside the array is touched. */
static void check_bytes(size_t count, size_t size, enum shape shape, bool stable)
{
    uint64_t random = count + size, sum = 0;
    unsigned char *memory = malloc(count * size + 2), *base = memory + 1;
    CHECK(memory != NULL);
    memory[0] = memory[count * size + 1] = 123;
    for (size_t i = 0; i < count; i++) {
        struct bytes bytes = { key_at(shape, i, count, &random), (uint32_t)i };
        bytes_put(base + i * size, size, bytes);
        bytes = bytes_get(base + i * size, size);
        sum += ((uint64_t)bytes.key + 1) * (bytes.index + (uint64_t)1);
    }
    sort_fn *sort = stable ? skua_parallel_sort_stable : skua_parallel_sort;
    CHECK_EQ(sort(base, count, size, size >= 8 ? compare_long : compare_short), 0);
    for (size_t i = 0; i < count; i++) {
        struct bytes now = bytes_get(base + i * size, size);
        struct bytes before = bytes_get(base + (i > 0 ? i - 1 : 0) * size, size);
        sum -= ((uint64_t)now.key + 1) * (now.index + (uint64_t)1);
        CHECK(before.key <= now.key);
        if (stable && i > 0 && size >= 3 && size != 4 && before.key == now.key)
            CHECK(before.index < now.index);
        if (size > 8)
            CHECK_EQ(base[i * size + size - 1], (unsigned char)now.key);
    }
    CHECK_EQ(sum, 0);
    CHECK(memory[0] == 123 && memory[count * size + 1] == 123);
    free(memory);
}
static const size_t widths[] = { 1, 2, 3, 4, 8, 12, 16, 24, 63, 64, 65, 100 };
enum { WIDTHS = sizeof widths / sizeof widths[0] };
static int run_bytes(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizes_to_try(); i++)
        for (size_t j = 0; j < WIDTHS; j++)
            for (enum shape shape = 0; shape < SHAPES; shape++)
                check_bytes(sizes[i], widths[j], shape, (i + j + shape) % 2);
    return 0;
}
TEST(bytes) { CHECK_EQ(run_on(2, run_bytes, NULL), 0); }
static int run_some_bytes(void *arg)
{
    uint64_t *random = arg;
    for (int i = 0; i < 6; i++)
        check_bytes(test_rand(random) % 9000, widths[test_rand(random) % WIDTHS],
                    (enum shape)(test_rand(random) % SHAPES), i % 2);
    return 0;
}
TEST(bytes_everywhere) { run_everywhere(run_some_bytes, &(uint64_t){ 1 }); }

/* ---- comparisons that lie, or count ---- */

static uint64_t compared;  /* __atomic */
static int compare_at_random(const void *a, const void *b)
{
    uint64_t random = __atomic_add_fetch(&compared, 1, __ATOMIC_RELAXED);
    (void)a;
    (void)b;
    return (int)(test_rand(&random) % 3) - 1;
}
static int compare_always_less(const void *a, const void *b)
{
    (void)a;
    (void)b;
    return -1;
}
SKUA_SORT_DEFINE(sort_at_random, uint64_t, a, b, compare_at_random(a, b) < 0)

static int run_liars(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizes_to_try(); i++)
        for (size_t j = 0; j < 2 * WIDTHS; j++) {
            size_t count = sizes[i], size = widths[j / 2];
            sort_fn *sort = j % 2 == 0 ? skua_parallel_sort_stable : skua_parallel_sort;
            unsigned char *base = malloc(count * size + 1);
            uint64_t sum = 0;
            CHECK(base != NULL);
            for (size_t k = 0; k < count; k++)
                bytes_put(base + k * size, size, (struct bytes){ 1, (uint32_t)k });
            for (size_t k = 0; k < count * size; k++)
                sum += base[k];
            CHECK_EQ(sort(base, count, size, i % 3 == 0 ? compare_always_less : compare_at_random), 0);
            for (size_t k = 0; k < count * size; k++)
                sum -= base[k];
            CHECK_EQ(sum, 0);
            free(base);
        }
    uint64_t *keys = malloc(20000 * sizeof *keys), sum = 0;
    CHECK(keys != NULL);
    for (size_t round = 0; round < 10; round++) {
        for (size_t i = 0; i < 20000; i++)
            keys[i] = i * i;
        CHECK_EQ((round % 2 == 0 ? sort_at_random : sort_at_random_stable)(keys, 20000), 0);
        for (size_t i = 0; i < 20000; i++)
            sum += keys[i] - i * i;
        CHECK_EQ(sum, 0);
    }
    free(keys);
    return 0;
}
TEST(comparisons_that_lie) { CHECK_EQ(run_on(2, run_liars, NULL), 0); }

/* McIlroy, A killer adversary for quicksort, 1999: a comparison that decides what the elements are as it is asked, so
 * that pivots turn out to be small. One worker. */
static uint32_t *adversary_value;
static uint32_t adversary_solid, adversary_candidate;
enum { ADVERSARY_GAS = 1 << 30, ADVERSARY_COUNT = 50000 };
static int compare_adversary(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    compared++;
    if (adversary_value[x] == ADVERSARY_GAS && adversary_value[y] == ADVERSARY_GAS)
        adversary_value[x == adversary_candidate ? x : y] = adversary_solid++;
    if (adversary_value[x] == ADVERSARY_GAS)
        adversary_candidate = x;
    else if (adversary_value[y] == ADVERSARY_GAS)
        adversary_candidate = y;
    return adversary_value[x] < adversary_value[y] ? -1 : adversary_value[x] > adversary_value[y];
}
static int compare_counting(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    compared++;
    return (x > y) - (x < y);
}
static int run_adversary(void *arg)
{
    uint32_t *ids = malloc(ADVERSARY_COUNT * sizeof *ids);
    (void)arg;
    adversary_value = malloc(ADVERSARY_COUNT * sizeof *ids);
    CHECK(ids != NULL && adversary_value != NULL);
    for (int stable = 0; stable < 2; stable++) {
        adversary_solid = 0;
        for (uint32_t i = 0; i < ADVERSARY_COUNT; i++) {
            ids[i] = i;
            adversary_value[i] = ADVERSARY_GAS;
        }
        sort_fn *sort = stable ? skua_parallel_sort_stable : skua_parallel_sort;
        compared = 0;
        CHECK_EQ(sort(ids, ADVERSARY_COUNT, sizeof *ids, compare_adversary), 0);
        CHECK(compared < (uint64_t)ADVERSARY_COUNT * 16 * 4); /* log2 is 15.6 */
        compared = 0;
        CHECK_EQ(sort(adversary_value, ADVERSARY_COUNT, sizeof *ids, compare_counting), 0);
        CHECK(compared < (uint64_t)ADVERSARY_COUNT * 16 * 4);
    }
    free(ids);
    free(adversary_value);
    return 0;
}
TEST(adversary) { CHECK_EQ(run_on(1, run_adversary, NULL), 0); }

/* Partitions that go wrong need an input made for them; so do without patience from the start. */
static int run_impatient(void *arg)
{
    enum { COUNT = 5000 };
    uint64_t random = 1, *keys = malloc(COUNT * sizeof *keys), *other = malloc(COUNT * sizeof *keys);
    (void)arg;
    CHECK(keys != NULL && other != NULL);
    for (uint32_t patience = 0; patience < 3; patience++)
        for (int stable = 0; stable < 2; stable++)
            for (enum shape shape = 0; shape < SHAPES; shape++) {
                struct skuai_sort sort;
                struct skuai_sort_part part = { (char *)keys, COUNT, patience, true };
                uint64_t sum = 0;
                for (size_t i = 0; i < COUNT; i++)
                    sum += keys[i] = key_at(shape, i, COUNT, &random);
                CHECK_OK(skuai_sort_begin(&sort, keys, COUNT, sizeof *keys));
                if (stable)
                    SKUA_RUN(sort_u64_skuai_stable_quick, &sort, part, (char *)other);
                else
                    SKUA_RUN(sort_u64_skuai_quick, &sort, part);
                CHECK_OK(skuai_sort_end(&sort));
                for (size_t i = 0; i < COUNT; i++) {
                    sum -= keys[i];
                    CHECK(i == 0 || keys[i - 1] <= keys[i]);
                }
                CHECK_EQ(sum, 0);
            }
    free(keys);
    free(other);
    return 0;
}
TEST(without_patience) { CHECK_EQ(run_on(2, run_impatient, NULL), 0); }

/* ---- cancellation ---- */

struct cancelled {
    skua_waker caller;
    uint64_t after;
};
static struct cancelled cancelled; /* of a test on its own */
static int compare_cancelling(const void *a, const void *b)
{
    if (__atomic_add_fetch(&compared, 1, __ATOMIC_RELAXED) == cancelled.after)
        skua_waker_cancel(cancelled.caller);
    return compare_long(a, b);
}
static int run_to_cancel(void *arg)
{
    enum { COUNT = 20000 };
    size_t size = widths[*(size_t *)arg / 2];
    bool stable = *(size_t *)arg % 2;
    unsigned char *base = malloc(COUNT * size);
    uint64_t sum = 0, squares = 0;
    CHECK(base != NULL);
    for (size_t i = 0; i < COUNT; i++)
        bytes_put(base + i * size, size, (struct bytes){ (uint32_t)(i * 7919 % COUNT), (uint32_t)i });
    cancelled.caller = skua_waker_self();
    cancelled.after = 120000;
    __atomic_store_n(&compared, 0, __ATOMIC_RELAXED);
    int rc = (stable ? skua_parallel_sort_stable : skua_parallel_sort)(base, COUNT, size, compare_cancelling);
    CHECK(rc == 0 || rc == -ECANCELED);
    for (size_t i = 0; i < COUNT; i++) {
        struct bytes bytes = bytes_get(base + i * size, size);
        CHECK_EQ(bytes.key, (size_t)bytes.index * 7919 % COUNT);
        sum += bytes.index;
        squares += (uint64_t)bytes.index * bytes.index;
    }
    CHECK_EQ(sum, (uint64_t)COUNT * (COUNT - 1) / 2);
    CHECK_EQ(squares, (uint64_t)(COUNT - 1) * COUNT * (2 * COUNT - 1) / 6);
    CHECK_EQ((stable ? skua_parallel_sort_stable : skua_parallel_sort)(base, COUNT, size, compare_long),
             rc == 0 ? 0 : -ECANCELED);
    free(base);
    return rc;
}
static int run_cancelled(void *arg)
{
    (void)arg;
    for (size_t i = 2 * 4; i < 2 * WIDTHS; i++) {
        skua_task *task;
        int64_t result;
        CHECK_OK(skua_spawn(&task, run_to_cancel, &i));
        CHECK_OK(skua_join(task, &result));
        CHECK(result == 0 || result == -ECANCELED);
    }
    return 0;
}
TEST(cancellation)
{
    for (uint32_t workers = 1; workers <= 8; workers *= 2) {
        CHECK_EQ(run_on(workers, run_cancelled, NULL), 0);
        CHECK_EQ(run_seeded(workers, workers, run_cancelled, NULL), 0);
    }
}

/* ---- no memory, and errors ---- */

static void *alloc_little(void *context, size_t size)
{
    (void)context;
    return size >= 65535 && size <= 20000 * 100 ? NULL : malloc(size);
}
static void free_any(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}
static int run_no_memory(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 2 * WIDTHS; i++)
        for (enum shape shape = 0; shape < SHAPES; shape++)
            check_bytes(sizes[sizes_to_try() - 1] + 3, widths[i / 2], shape, i % 2);
    for (enum shape shape = 0; shape < SHAPES; shape++)
        check_u64(10000, shape, true);
    return 0;
}
TEST(no_memory)
{
    skua_runtime *rt;
    skua_config config = { .workers = 2, .ignore_environment = true, .alloc = alloc_little, .free = free_any };
    CHECK_OK(skua_runtime_create(&rt, &config));
    CHECK_EQ(skua_block_on(rt, run_no_memory, NULL), 0);
    CHECK_OK(skua_runtime_destroy(rt));
}

static int run_errors(void *arg)
{
    uint64_t key = 0;
    (void)arg;
    CHECK_EQ(skua_parallel_sort(NULL, 1, 8, compare_long), -EINVAL);
    CHECK_EQ(skua_parallel_sort(&key, 1, 0, compare_long), -EINVAL);
    CHECK_EQ(skua_parallel_sort(&key, 1, 8, NULL), -EINVAL);
    CHECK_EQ(skua_parallel_sort_stable(&key, SIZE_MAX / 4, 8, compare_long), -EINVAL);
    CHECK_EQ(sort_u64(NULL, 1), -EINVAL);
    CHECK_EQ(sort_u64(NULL, 0), 0);
    return 0;
}
TEST(errors) { CHECK_EQ(run_on(1, run_errors, NULL), 0); }
