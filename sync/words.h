/* Bytes that one writer puts and many read without a lock, to find afterwards whether they read all of one value.
 *
 * The writer says first that it begins, then puts the words, then says that it is done. The reader looks whether one is
 * done, gets the words, and then looks whether another has begun. As each word is stored with release and loaded with
 * acquire, who has got a word of the later value sees that it has begun; who sees nothing of that has all of the
 * earlier one. (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012. He needs a fence;
 * orders on the words cost nothing on x86, and ThreadSanitizer understands them.)
 */
#ifndef SKUAI_WORDS_H
#define SKUAI_WORDS_H

#include <string.h>

#include "sched/atomic.h"

SKUAI_INLINE size_t skuai_words_for(size_t size)
{
    return size / sizeof(skua_word64) + (size % sizeof(skua_word64) != 0);
}

SKUAI_INLINE void skuai_words_put(skua_word64 *words, const void *from, size_t size)
{
    const char *at = from;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        skuai_store_64(words++, word, SKUAI_RELEASE); /* what has begun: pairs with get's acquire */
    }
    if (size != 0) {
        uint64_t word = 0;
        memcpy(&word, at, size);
        skuai_store_64(words, word, SKUAI_RELEASE); /* likewise */
    }
}

SKUAI_INLINE void skuai_words_get(void *to, const skua_word64 *words, size_t size)
{
    char *at = to;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
        uint64_t word = skuai_load_64(words++, SKUAI_ACQUIRE); /* pairs with put's release */
        memcpy(at, &word, sizeof word);
    }
    if (size != 0) {
        uint64_t word = skuai_load_64(words, SKUAI_ACQUIRE); /* likewise */
        memcpy(at, &word, size);
    }
}

#endif
