/* What an object is that a call has made, so that the call that ends it can tell if it is given something else. In the
 * object, where its users do not write; 0 is what it was.
 */
#ifndef SKUAI_KIND_H
#define SKUAI_KIND_H

#include <stdbool.h>
#include <stdint.h>

/* Numbers that are found nowhere else. */
enum skuai_kind {
    SKUAI_KIND_GONE = 0,
    SKUAI_KIND_CHANNEL = 0x4b1dc4a1,
    SKUAI_KIND_BROADCAST = 0x4b1db0ad,
    SKUAI_KIND_WATCH = 0x4b1d3a7c,
    SKUAI_KIND_PROCESS = 0x4b1d9c0e
};

int skuai_misuse(const char *call, const char *what, const char *instead);

/* False: it is none of them, which has been reported. Where it is freed already this reads what is no more the
 * object's: likely a 0, or whatever the next owner has put there. */
static inline bool skuai_kind_check(const uint32_t *kind, enum skuai_kind expected, const char *call)
{
    if (__builtin_expect(*(const volatile uint32_t *)kind == (uint32_t)expected, 1))
        return true;
    (void)skuai_misuse(call, "was given what is no such object, or what is gone already",
                       "end once what its create or spawn call gave");
    return false;
}

/* Right before it is freed. Volatile, or the compiler would spare the store. */
static inline void skuai_kind_end(uint32_t *kind) { *(volatile uint32_t *)kind = SKUAI_KIND_GONE; }

#endif
