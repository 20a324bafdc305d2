/* Guards under stacks: which kinds this system has, and putting them in place. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/stack.h"

enum {
    MAPPING_LIMIT_DEFAULT = 65530, /* Linux's vm.max_map_count; others have none that is as low */
    MAPPINGS_PER_GUARD = 2         /* the guard itself, and what it cuts in two */
};

#if defined(__linux__)
#if !defined(MADV_GUARD_INSTALL)
#define MADV_GUARD_INSTALL 102
#endif

/* Emulators and sandboxes accept advice that they do not know. So the kernel is asked to write there; uname, because
 * all have it, it needs nothing, and Valgrind leaves it to the kernel. */
static bool is_writable(void *page) { return syscall(SYS_uname, page) == 0; }

static bool install_page(void *guard, size_t size) { return madvise(guard, size, MADV_GUARD_INSTALL) == 0; }
#else
static bool is_writable(void *page) { (void)page; return true; }
static bool install_page(void *guard, size_t size) { (void)guard, (void)size; return false; }
#endif

enum skuai_guard skuai_guard_probe(size_t page_size)
{
    enum skuai_guard best = SKUAI_GUARD_MPROTECT;
    void *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return best;
    if (install_page(page, page_size) && !is_writable(page))
        best = SKUAI_GUARD_PAGE;
    munmap(page, page_size);
    return best;
}

uint64_t skuai_guard_mapping_limit(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return MAPPING_LIMIT_DEFAULT;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    unsigned long long limit = length > 0 ? strtoull(text, NULL, 10) : 0;
    return limit > 0 ? limit : MAPPING_LIMIT_DEFAULT;
}

static bool within_budget(struct skuai_stack_pool *pool)
{
    uint64_t taken = skuai_add_64(&pool->guard_mappings, MAPPINGS_PER_GUARD, SKUAI_RELAXED); /* a count */
    if (taken + MAPPINGS_PER_GUARD <= pool->guard_budget)
        return true;
    skuai_sub_64(&pool->guard_mappings, MAPPINGS_PER_GUARD, SKUAI_RELAXED);
    return false;
}

static bool install_mprotect(struct skuai_stack_pool *pool, void *guard)
{
    if (!within_budget(pool))
        return false;
    if (mprotect(guard, pool->guard_size, PROT_NONE) == 0)
        return true;
    skuai_sub_64(&pool->guard_mappings, MAPPINGS_PER_GUARD, SKUAI_RELAXED);
    return false;
}

/* Relaxed: said once is all that matters. */
static void say_canary(struct skuai_stack_pool *pool)
{
    char text[192];
    if (skuai_exchange_32(&pool->said_canary, 1, SKUAI_RELAXED) != 0)
        return;
    snprintf(text, sizeof text,
             "no more guard pages for fiber stacks (%llu mappings used of %llu; see vm.max_map_count): further stacks "
             "are only checked when a fiber waits or ends",
             (unsigned long long)skuai_load_64(&pool->guard_mappings, SKUAI_RELAXED),
             (unsigned long long)pool->guard_budget);
    if (pool->log != NULL)
        pool->log(pool->log_context, text);
    else
        fprintf(stderr, "skua: %s\n", text);
}

enum skuai_guard skuai_guard_install(struct skuai_stack_pool *pool, char *guard)
{
    enum skuai_guard kind = SKUAI_GUARD_CANARY;
    if (pool->best_guard == SKUAI_GUARD_PAGE && install_page(guard, pool->guard_size))
        kind = SKUAI_GUARD_PAGE; /* locked memory (mlockall) takes no such advice */
    else if (pool->best_guard >= SKUAI_GUARD_MPROTECT && install_mprotect(pool, guard))
        kind = SKUAI_GUARD_MPROTECT;
    else
        say_canary(pool);
    skuai_add_64(&pool->guards[kind], 1, SKUAI_RELAXED); /* a count */
    return kind;
}
