/* sched/atomic.h on the compiler's builtins. Included by it only. */
#ifndef SKUAI_ATOMIC_NATIVE_H
#define SKUAI_ATOMIC_NATIVE_H

#define SKUAI_DEFINE_ACCESS(W, T)                                                                                 \
    SKUAI_INLINE T skuai_load_##W(const skua_word##W *a, enum skuai_order order)                                  \
    {                                                                                                             \
        return __atomic_load_n(&a->raw, (int)order);                                                              \
    }                                                                                                             \
    SKUAI_INLINE void skuai_store_##W(skua_word##W *a, T v, enum skuai_order order)                               \
    {                                                                                                             \
        __atomic_store_n(&a->raw, v, (int)order);                                                                 \
    }                                                                                                             \
    SKUAI_INLINE T skuai_exchange_##W(skua_word##W *a, T v, enum skuai_order order)                               \
    {                                                                                                             \
        return __atomic_exchange_n(&a->raw, v, (int)order);                                                       \
    }                                                                                                             \
    SKUAI_INLINE bool skuai_cas_##W(skua_word##W *a, T *expected, T v, enum skuai_order order)                    \
    {                                                                                                             \
        return __atomic_compare_exchange_n(&a->raw, expected, v, false, (int)order, (int)SKUAI_FAIL_ORDER(order)); \
    }

#define SKUAI_DEFINE_ARITHMETIC(W, T)                                                   \
    SKUAI_INLINE T skuai_add_##W(skua_word##W *a, T v, enum skuai_order order)          \
    {                                                                                   \
        return __atomic_fetch_add(&a->raw, v, (int)order);                              \
    }                                                                                   \
    SKUAI_INLINE T skuai_sub_##W(skua_word##W *a, T v, enum skuai_order order)          \
    {                                                                                   \
        return __atomic_fetch_sub(&a->raw, v, (int)order);                              \
    }                                                                                   \
    SKUAI_INLINE T skuai_or_##W(skua_word##W *a, T v, enum skuai_order order)           \
    {                                                                                   \
        return __atomic_fetch_or(&a->raw, v, (int)order);                               \
    }                                                                                   \
    SKUAI_INLINE T skuai_and_##W(skua_word##W *a, T v, enum skuai_order order)          \
    {                                                                                   \
        return __atomic_fetch_and(&a->raw, v, (int)order);                              \
    }

SKUAI_DEFINE_ACCESS(32, uint32_t)
SKUAI_DEFINE_ACCESS(64, uint64_t)
SKUAI_DEFINE_ACCESS(ptr, void *)
SKUAI_DEFINE_ARITHMETIC(32, uint32_t)
SKUAI_DEFINE_ARITHMETIC(64, uint64_t)

#undef SKUAI_DEFINE_ACCESS
#undef SKUAI_DEFINE_ARITHMETIC

/* Only ever adds store-load order to accesses that carry their own happens-before edges. */
SKUAI_INLINE void skuai_fence(enum skuai_order order) { __atomic_thread_fence((int)order); }

SKUAI_INLINE void skuai_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    /* `yield` is a no-op on most cores; `isb` waits about as long as x86's pause */
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#define SKUAI_FRESH(lvalue) ((void)0)
#define SKUAI_READ(lvalue) (lvalue)
#define SKUAI_WRITE(lvalue, value) ((void)((lvalue) = (value)))

#endif
