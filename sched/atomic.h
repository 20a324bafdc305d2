/* The one door to memory that threads share.
 *
 * Every lock-free file of Skua reaches shared memory through these functions and nothing else, so that one
 * source is three programs:
 *   - normally each is the compiler's __atomic builtin, inlined;
 *   - under the sanitizers the same builtins, which they understand (no inline assembly, and a fence never
 *     carries a happens-before edge by itself: ThreadSanitizer does not model fences);
 *   - with -DSKUAI_MODEL each is one step of the model checker in tests/model/, which explores the
 *     interleavings and the stale values that C11 allows.
 *
 * Shared data that is not atomic (handed over by an atomic next to it) is read and written through
 * SKUAI_READ and SKUAI_WRITE where a protocol's correctness depends on the hand-over: free in normal builds,
 * checked for races in model builds. SKUAI_FRESH says that a structure is set anew, so that nobody else can know it.
 *
 * The order is always spelled at the call. What an order pairs with is said there too.
 */
#ifndef SKUAI_ATOMIC_H
#define SKUAI_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "skua/word.h"

enum skuai_order {
    SKUAI_RELAXED = __ATOMIC_RELAXED,
    SKUAI_ACQUIRE = __ATOMIC_ACQUIRE,
    SKUAI_RELEASE = __ATOMIC_RELEASE,
    SKUAI_ACQ_REL = __ATOMIC_ACQ_REL,
    SKUAI_SEQ_CST = __ATOMIC_SEQ_CST
};

/* A compare-exchange that fails reads with this order: the success order without its release half. */
#define SKUAI_FAIL_ORDER(order) \
    ((order) == SKUAI_RELEASE ? SKUAI_RELAXED : (order) == SKUAI_ACQ_REL ? SKUAI_ACQUIRE : (order))

#define SKUAI_LIKELY(x) __builtin_expect(!!(x), 1)
#define SKUAI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SKUAI_INLINE static inline __attribute__((always_inline, unused))
/* Of a function that each wake, switch, poll or message comes through: they lie together in the library, so that few
 * pages and cache lines are needed between two system calls. */
#define SKUAI_HOT __attribute__((hot))
#define SKUAI_CACHE_LINE 64

#if defined(SKUAI_MODEL)
#include "atomic_model.h"
#else
#include "atomic_native.h"
#endif

/* The functions, for each W in 32 (uint32_t), 64 (uint64_t), ptr (void *):
 *   load_W(a, order)            store_W(a, v, order)          exchange_W(a, v, order) -> old
 *   cas_W(a, &expected, v, order) -> bool   strong; on failure `expected` is the value seen
 * for 32 and 64 also, each returning the old value:
 *   add_W, sub_W, or_W, and_W (a, v, order)
 * and
 *   fence(order), pause(), SKUAI_READ(lvalue), SKUAI_WRITE(lvalue, value)
 * all prefixed skuai_.
 */

#endif
