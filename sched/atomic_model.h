/* sched/atomic.h as steps of the model checker, for -DSKUAI_MODEL. Included by it only.
 *
 * The names are those of sched/atomic_native.h. They are macros here, so that a failure's step log can say in which
 * line an access stands. The functions behind them are the checker's: tests/model/mc_memory.c, which also says what
 * memory model they follow.
 */
#ifndef SKUAI_ATOMIC_MODEL_H
#define SKUAI_ATOMIC_MODEL_H

enum skuai_model_op { SKUAI_MODEL_EXCHANGE, SKUAI_MODEL_ADD, SKUAI_MODEL_SUB, SKUAI_MODEL_OR, SKUAI_MODEL_AND };

/* `size` is 4 or 8; values are widened to 64 bits. `where` is a "file:line" that outlives the program's run. */
uint64_t skuai_model_load(const void *address, unsigned size, enum skuai_order order, const char *where);
void skuai_model_store(void *address, unsigned size, uint64_t value, enum skuai_order order, const char *where);
uint64_t skuai_model_rmw(void *address, unsigned size, enum skuai_model_op op, uint64_t operand,
                         enum skuai_order order, const char *where);
bool skuai_model_cas(void *address, unsigned size, uint64_t *expected, uint64_t value, enum skuai_order order,
                     enum skuai_order fail_order, const char *where);
void skuai_model_fence(enum skuai_order order, const char *where);
void skuai_model_pause(const char *where);

/* Plain data: checks for a race and returns the address. */
void *skuai_model_read(const void *address, unsigned size, const char *where);
void *skuai_model_write(const void *address, unsigned size, const char *where);

#define SKUAI_MODEL_TEXT_(x) #x
#define SKUAI_MODEL_TEXT(x) SKUAI_MODEL_TEXT_(x)
#define SKUAI_MODEL_HERE __FILE__ ":" SKUAI_MODEL_TEXT(__LINE__)

/* The word types and the values' types are checked by these, as they are in a normal build. */
#define SKUAI_DEFINE_ACCESS(W, T)                                                                                  \
    SKUAI_INLINE T skuai_model_load_##W(const skua_word##W *a, enum skuai_order order, const char *where)          \
    {                                                                                                              \
        return (T)skuai_model_load(&a->raw, sizeof a->raw, order, where);                                          \
    }                                                                                                              \
    SKUAI_INLINE void skuai_model_store_##W(skua_word##W *a, T v, enum skuai_order order, const char *where)       \
    {                                                                                                              \
        skuai_model_store(&a->raw, sizeof a->raw, (uint64_t)v, order, where);                                      \
    }                                                                                                              \
    SKUAI_INLINE T skuai_model_exchange_##W(skua_word##W *a, T v, enum skuai_order order, const char *where)       \
    {                                                                                                              \
        return (T)skuai_model_rmw(&a->raw, sizeof a->raw, SKUAI_MODEL_EXCHANGE, (uint64_t)v, order, where);        \
    }                                                                                                              \
    SKUAI_INLINE bool skuai_model_cas_##W(skua_word##W *a, T *expected, T v, enum skuai_order order,               \
                                          const char *where)                                                      \
    {                                                                                                              \
        uint64_t seen = (uint64_t)*expected;                                                                       \
        bool done =                                                                                                \
            skuai_model_cas(&a->raw, sizeof a->raw, &seen, (uint64_t)v, order, SKUAI_FAIL_ORDER(order), where);    \
        if (!done)                                                                                                 \
            *expected = (T)seen;                                                                                   \
        return done;                                                                                               \
    }

#define SKUAI_DEFINE_RMW(W, T, name, op)                                                                           \
    SKUAI_INLINE T skuai_model_##name##_##W(skua_word##W *a, T v, enum skuai_order order, const char *where)       \
    {                                                                                                              \
        return (T)skuai_model_rmw(&a->raw, sizeof a->raw, op, v, order, where);                                    \
    }
#define SKUAI_DEFINE_ARITHMETIC(W, T)                                                                              \
    SKUAI_DEFINE_RMW(W, T, add, SKUAI_MODEL_ADD)                                                                   \
    SKUAI_DEFINE_RMW(W, T, sub, SKUAI_MODEL_SUB)                                                                   \
    SKUAI_DEFINE_RMW(W, T, or, SKUAI_MODEL_OR)                                                                     \
    SKUAI_DEFINE_RMW(W, T, and, SKUAI_MODEL_AND)

SKUAI_DEFINE_ACCESS(32, uint32_t)
SKUAI_DEFINE_ACCESS(64, uint64_t)
SKUAI_DEFINE_ARITHMETIC(32, uint32_t)
SKUAI_DEFINE_ARITHMETIC(64, uint64_t)

/* Pointers travel as integers; (void *)(uint64_t) is exact where pointers have 64 bits, and the checker's x86-64 and
 * aarch64 have. */
_Static_assert(sizeof(void *) == sizeof(uint64_t), "the model checker wants 64-bit pointers");
SKUAI_DEFINE_ACCESS(ptr, void *)

#undef SKUAI_DEFINE_ACCESS
#undef SKUAI_DEFINE_RMW
#undef SKUAI_DEFINE_ARITHMETIC

#define skuai_load_32(a, order) skuai_model_load_32(a, order, SKUAI_MODEL_HERE)
#define skuai_load_64(a, order) skuai_model_load_64(a, order, SKUAI_MODEL_HERE)
#define skuai_load_ptr(a, order) skuai_model_load_ptr(a, order, SKUAI_MODEL_HERE)
#define skuai_store_32(a, v, order) skuai_model_store_32(a, v, order, SKUAI_MODEL_HERE)
#define skuai_store_64(a, v, order) skuai_model_store_64(a, v, order, SKUAI_MODEL_HERE)
#define skuai_store_ptr(a, v, order) skuai_model_store_ptr(a, v, order, SKUAI_MODEL_HERE)
#define skuai_exchange_32(a, v, order) skuai_model_exchange_32(a, v, order, SKUAI_MODEL_HERE)
#define skuai_exchange_64(a, v, order) skuai_model_exchange_64(a, v, order, SKUAI_MODEL_HERE)
#define skuai_exchange_ptr(a, v, order) skuai_model_exchange_ptr(a, v, order, SKUAI_MODEL_HERE)
#define skuai_cas_32(a, expected, v, order) skuai_model_cas_32(a, expected, v, order, SKUAI_MODEL_HERE)
#define skuai_cas_64(a, expected, v, order) skuai_model_cas_64(a, expected, v, order, SKUAI_MODEL_HERE)
#define skuai_cas_ptr(a, expected, v, order) skuai_model_cas_ptr(a, expected, v, order, SKUAI_MODEL_HERE)
#define skuai_add_32(a, v, order) skuai_model_add_32(a, v, order, SKUAI_MODEL_HERE)
#define skuai_add_64(a, v, order) skuai_model_add_64(a, v, order, SKUAI_MODEL_HERE)
#define skuai_sub_32(a, v, order) skuai_model_sub_32(a, v, order, SKUAI_MODEL_HERE)
#define skuai_sub_64(a, v, order) skuai_model_sub_64(a, v, order, SKUAI_MODEL_HERE)
#define skuai_or_32(a, v, order) skuai_model_or_32(a, v, order, SKUAI_MODEL_HERE)
#define skuai_or_64(a, v, order) skuai_model_or_64(a, v, order, SKUAI_MODEL_HERE)
#define skuai_and_32(a, v, order) skuai_model_and_32(a, v, order, SKUAI_MODEL_HERE)
#define skuai_and_64(a, v, order) skuai_model_and_64(a, v, order, SKUAI_MODEL_HERE)
#define skuai_fence(order) skuai_model_fence(order, SKUAI_MODEL_HERE)
#define skuai_pause() skuai_model_pause(SKUAI_MODEL_HERE)

/* For model tests (model-defines: SKUAI_MODEL_FRESH=1) whose structures lie on stacks, where others have lain. */
#if defined(SKUAI_MODEL_FRESH)
void mc_alloc_at(const void *address, size_t size, const char *where);
#define SKUAI_FRESH(lvalue) mc_alloc_at(&(lvalue), sizeof(lvalue), SKUAI_MODEL_HERE)
#else
#define SKUAI_FRESH(lvalue) ((void)0)
#endif

#define SKUAI_READ(lvalue) (*(__typeof__(&(lvalue)))skuai_model_read(&(lvalue), sizeof(lvalue), SKUAI_MODEL_HERE))
#define SKUAI_WRITE(lvalue, value) \
    ((void)(*(__typeof__(&(lvalue)))skuai_model_write(&(lvalue), sizeof(lvalue), SKUAI_MODEL_HERE) = (value)))

#endif
