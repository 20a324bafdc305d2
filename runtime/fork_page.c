/* Knowing that one is the child of a fork, without a system call: the kernel zeroes a page marked WIPEONFORK in the
 * child. Where there is no such mark (Linux before 4.14) the page is an ordinary one, and a child that uses its
 * parent's runtime is not caught.
 */
#define _GNU_SOURCE
#include "runtime/runtime.h"

#include <sys/mman.h>
#include <unistd.h>

skua_word32 *skuai_fork_page_create(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
#ifdef MADV_WIPEONFORK
    madvise(page, size, MADV_WIPEONFORK);
#endif
    skua_word32 *word = page;
    skuai_store_32(word, 1, SKUAI_RELAXED); /* before any other thread knows the runtime */
    return word;
}

void skuai_fork_page_destroy(skua_word32 *word) { munmap(word, (size_t)sysconf(_SC_PAGESIZE)); }
