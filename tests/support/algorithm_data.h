/* What the tests of parallel algorithms compute: where order matters, and memory, and the last bit. */
#ifndef TEST_ALGORITHM_DATA_H
#define TEST_ALGORITHM_DATA_H

#include <stdlib.h>
#include <string.h>

#include <skua.h>

#include "support/test.h"

/* Products of matrices: associative, not commutative. */
struct matrix {
    uint64_t a, b, c, d;
};
static inline struct matrix times(struct matrix x, struct matrix y)
{
    return (struct matrix){ x.a * y.a + x.b * y.c, x.a * y.b + x.b * y.d,
                            x.c * y.a + x.d * y.c, x.c * y.b + x.d * y.d };
}
static inline struct matrix matrix_at(size_t i) { return (struct matrix){ i + 1, 2 * i + 1, 3, i ^ 5 }; }
static inline void matrix_init(void *context, void *acc)
{
    (void)context;
    *(struct matrix *)acc = (struct matrix){ 1, 0, 0, 1 };
}
static inline void matrix_body(void *context, void *acc, size_t begin, size_t end)
{
    struct matrix *product = acc;
    (void)context;
    for (; begin < end; begin++)
        *product = times(*product, matrix_at(begin));
}
static inline void matrix_combine(void *context, void *acc, const void *right)
{
    (void)context;
    *(struct matrix *)acc = times(*(struct matrix *)acc, *(const struct matrix *)right);
}

static inline void matrix_sum_in(void *context, void *acc, size_t begin, size_t end)
{
    const struct matrix *x = context;
    for (; begin < end; begin++)
        *(struct matrix *)acc = times(*(struct matrix *)acc, x[begin]);
}
static inline void matrix_apply(void *context, const void *prefix, size_t begin, size_t end)
{
    struct matrix *x = context, total = *(const struct matrix *)prefix;
    for (; begin < end; begin++)
        x[begin] = total = times(total, x[begin]);
}

/* An accumulator that owns what it refers to: a text that grows. */
struct text {
    char *bytes;
    size_t length;
    char large[100]; /* larger than any room on the stack */
};
static inline void text_init(void *context, void *acc)
{
    (void)context;
    *(struct text *)acc = (struct text){ .bytes = malloc(1) };
}
static inline void text_add(struct text *text, const char *bytes, size_t length)
{
    text->bytes = realloc(text->bytes, text->length + length + 1);
    CHECK(text->bytes != NULL);
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
}
static inline void text_body(void *context, void *acc, size_t begin, size_t end)
{
    (void)context;
    for (; begin < end; begin++)
        text_add(acc, &(char){ (char)('a' + begin % 26) }, 1);
}
static inline void text_combine(void *context, void *acc, const void *right)
{
    (void)context;
    text_add(acc, ((const struct text *)right)->bytes, ((const struct text *)right)->length);
    free(((const struct text *)right)->bytes);
}

/* Sums whose last bits depend on what is added to what. */
static inline double term(size_t i) { return 1.0 / (double)(3 * i + 1) * (i % 2 == 0 ? 1 : -1e-3); }
static inline void sum_init(void *context, void *acc)
{
    (void)context;
    *(double *)acc = 0;
}
static inline void sum_body(void *context, void *acc, size_t begin, size_t end)
{
    (void)context;
    for (; begin < end; begin++)
        *(double *)acc += term(begin);
}
static inline void sum_combine(void *context, void *acc, const void *right)
{
    (void)context;
    *(double *)acc += *(const double *)right;
}

#endif
