/* What AddressSanitizer, ThreadSanitizer and Valgrind must be told about flows of control and their stacks. Empty
 * inline functions where none of them watches; used by context.h and stack.c only.
 *
 *   make ... fini       a flow with a stack of its own exists; it will not run again
 *   leave, arrive       around every switch: leave() before it on the old stack, arrive() after it on the new one
 *   stack_taken/_free   nobody may touch a free stack; what its last user left marked is forgotten
 *
 * Between leave() and the switch itself nothing instrumented may run: ThreadSanitizer keeps a shadow call stack per
 * flow, and a function entered on one and left on the other unbalances both.
 */
#ifndef SKUAI_SANITIZE_H
#define SKUAI_SANITIZE_H

#include <stddef.h>

#include "sched/atomic.h"

#if defined(__has_feature)
#define SKUAI_HAS_FEATURE(name) __has_feature(name)
#else
#define SKUAI_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SKUAI_HAS_FEATURE(address_sanitizer)
#define SKUAI_ASAN 1
#else
#define SKUAI_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || SKUAI_HAS_FEATURE(thread_sanitizer)
#define SKUAI_TSAN 1
#else
#define SKUAI_TSAN 0
#endif

/* Valgrind's requests are a few instructions that do nothing outside it, and none is made on a switch: so they are in
 * every build whose system has the headers. The sanitizers' own builds cannot run under Valgrind. */
#if !defined(NVALGRIND) && !SKUAI_ASAN && !SKUAI_TSAN && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define SKUAI_VALGRIND 1
#endif
#endif
#if !defined(SKUAI_VALGRIND)
#define SKUAI_VALGRIND 0
#endif

/* ---- AddressSanitizer ------------------------------------------------------------------------------------------ */

#if SKUAI_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

struct skuai_flow_asan {
    void *stack_low;   /* usable stack; NULL and 0 if it is this OS thread's and not known */
    size_t stack_size;
    void *fake_stack;  /* of a suspended flow; where its locals are if use after return is looked for */
};

/* context.c. The calling OS thread's. */
void skuai_asan_init_thread(struct skuai_flow_asan *self);

SKUAI_INLINE void skuai_asan_make(struct skuai_flow_asan *self, void *low, size_t size)
{
    self->stack_low = low;
    self->stack_size = size;
}

/* `from` is NULL on the last switch away, which frees the fake stack. */
SKUAI_INLINE void skuai_asan_leave(struct skuai_flow_asan *from, const struct skuai_flow_asan *to)
{
    __sanitizer_start_switch_fiber(from != NULL ? &from->fake_stack : NULL, to->stack_low, to->stack_size);
}

/* NULL: a flow that starts. */
SKUAI_INLINE void skuai_asan_arrive(struct skuai_flow_asan *self)
{
    __sanitizer_finish_switch_fiber(self != NULL ? self->fake_stack : NULL, NULL, NULL);
}

SKUAI_INLINE void skuai_asan_taken(void *low, size_t size) { __asan_unpoison_memory_region(low, size); }
SKUAI_INLINE void skuai_asan_free(void *low, size_t size) { __asan_poison_memory_region(low, size); }
#else
struct skuai_flow_asan {
    char nothing[0];
};
SKUAI_INLINE void skuai_asan_init_thread(struct skuai_flow_asan *self) { (void)self; }
SKUAI_INLINE void skuai_asan_make(struct skuai_flow_asan *self, void *low, size_t size)
{
    (void)self, (void)low, (void)size;
}
SKUAI_INLINE void skuai_asan_leave(struct skuai_flow_asan *from, const struct skuai_flow_asan *to)
{
    (void)from, (void)to;
}
SKUAI_INLINE void skuai_asan_arrive(struct skuai_flow_asan *self) { (void)self; }
SKUAI_INLINE void skuai_asan_taken(void *low, size_t size) { (void)low, (void)size; }
SKUAI_INLINE void skuai_asan_free(void *low, size_t size) { (void)low, (void)size; }
#endif

/* ---- ThreadSanitizer ------------------------------------------------------------------------------------------- */

#if SKUAI_TSAN
#include <sanitizer/tsan_interface.h>

struct skuai_flow_tsan {
    void *fiber;
    bool made; /* by us: an OS thread's belongs to the thread */
};

SKUAI_INLINE void skuai_tsan_init_thread(struct skuai_flow_tsan *self)
{
    self->fiber = __tsan_get_current_fiber();
    self->made = false;
}

SKUAI_INLINE void skuai_tsan_make(struct skuai_flow_tsan *self)
{
    self->fiber = __tsan_create_fiber(0);
    self->made = true;
}

/* Flag 0: what the old flow did happened before what the new one does next, as it is one thread that does both. */
SKUAI_INLINE void skuai_tsan_leave(const struct skuai_flow_tsan *to) { __tsan_switch_to_fiber(to->fiber, 0); }

SKUAI_INLINE void skuai_tsan_fini(struct skuai_flow_tsan *self)
{
    if (self->made)
        __tsan_destroy_fiber(self->fiber);
    self->made = false;
    self->fiber = NULL;
}
#else
struct skuai_flow_tsan {
    char nothing[0];
};
SKUAI_INLINE void skuai_tsan_init_thread(struct skuai_flow_tsan *self) { (void)self; }
SKUAI_INLINE void skuai_tsan_make(struct skuai_flow_tsan *self) { (void)self; }
SKUAI_INLINE void skuai_tsan_leave(const struct skuai_flow_tsan *to) { (void)to; }
SKUAI_INLINE void skuai_tsan_fini(struct skuai_flow_tsan *self) { (void)self; }
#endif

/* ---- Valgrind -------------------------------------------------------------------------------------------------- */

#if SKUAI_VALGRIND
#include <valgrind/memcheck.h>

struct skuai_flow_valgrind {
    unsigned long stack_id;
    bool made;
};

SKUAI_INLINE void skuai_valgrind_init_thread(struct skuai_flow_valgrind *self) { self->made = false; }

SKUAI_INLINE void skuai_valgrind_make(struct skuai_flow_valgrind *self, void *low, size_t size)
{
    self->stack_id = VALGRIND_STACK_REGISTER(low, (char *)low + size);
    self->made = true;
}

SKUAI_INLINE void skuai_valgrind_fini(struct skuai_flow_valgrind *self)
{
    if (self->made)
        VALGRIND_STACK_DEREGISTER(self->stack_id);
    self->made = false;
}

SKUAI_INLINE void skuai_valgrind_taken(void *low, size_t size) { (void)VALGRIND_MAKE_MEM_UNDEFINED(low, size); }
SKUAI_INLINE void skuai_valgrind_free(void *low, size_t size) { (void)VALGRIND_MAKE_MEM_NOACCESS(low, size); }
#else
struct skuai_flow_valgrind {
    char nothing[0];
};
SKUAI_INLINE void skuai_valgrind_init_thread(struct skuai_flow_valgrind *self) { (void)self; }
SKUAI_INLINE void skuai_valgrind_make(struct skuai_flow_valgrind *self, void *low, size_t size)
{
    (void)self, (void)low, (void)size;
}
SKUAI_INLINE void skuai_valgrind_fini(struct skuai_flow_valgrind *self) { (void)self; }
SKUAI_INLINE void skuai_valgrind_taken(void *low, size_t size) { (void)low, (void)size; }
SKUAI_INLINE void skuai_valgrind_free(void *low, size_t size) { (void)low, (void)size; }
#endif

/* ---- all three ------------------------------------------------------------------------------------------------- */

struct skuai_flow_tools {
    struct skuai_flow_asan asan;
    struct skuai_flow_tsan tsan;
    struct skuai_flow_valgrind valgrind;
};

SKUAI_INLINE void skuai_tools_init_thread(struct skuai_flow_tools *self)
{
    skuai_asan_init_thread(&self->asan);
    skuai_tsan_init_thread(&self->tsan);
    skuai_valgrind_init_thread(&self->valgrind);
}

SKUAI_INLINE void skuai_tools_make(struct skuai_flow_tools *self, void *low, size_t size)
{
    skuai_asan_make(&self->asan, low, size);
    skuai_tsan_make(&self->tsan);
    skuai_valgrind_make(&self->valgrind, low, size);
}

SKUAI_INLINE void skuai_tools_fini(struct skuai_flow_tools *self)
{
    skuai_tsan_fini(&self->tsan);
    skuai_valgrind_fini(&self->valgrind);
}

SKUAI_INLINE void skuai_tools_stack_taken(void *low, size_t size)
{
    skuai_asan_taken(low, size);
    skuai_valgrind_taken(low, size);
}

SKUAI_INLINE void skuai_tools_stack_free(void *low, size_t size)
{
    skuai_asan_free(low, size);
    skuai_valgrind_free(low, size);
}

#endif
