/* Memory that is neither task memory nor stacks: from the application's allocator if it gave one, else malloc. */
#include "sched/scheduler.h"

#include <stdlib.h>
#include <string.h>

static void *get(const struct skuai_memory *memory, size_t size)
{
    return memory->alloc != NULL ? memory->alloc(memory->context, size) : malloc(size);
}

static void put(const struct skuai_memory *memory, void *block, size_t size)
{
    if (memory->free != NULL)
        memory->free(memory->context, block, size);
    else
        free(block);
}

void *skuai_memory_get(struct skuai_scheduler *sched, size_t size) { return get(&sched->memory, size); }
void skuai_memory_put(struct skuai_scheduler *sched, void *block, size_t size) { put(&sched->memory, block, size); }

/* The application's allocator knows no alignment: one line more, and the distance to the block's start kept before. */
static size_t padded(size_t size) { return size + SKUAI_CACHE_LINE + sizeof(void *); }

void *skuai_memory_get_lines(const struct skuai_memory *memory, size_t size)
{
    char *block = get(memory, padded(size));
    if (block == NULL)
        return NULL;
    uintptr_t after = (uintptr_t)block + sizeof(void *);
    char *lines = block + sizeof(void *) + (SKUAI_CACHE_LINE - after % SKUAI_CACHE_LINE) % SKUAI_CACHE_LINE;
    memcpy(lines - sizeof(void *), &block, sizeof block);
    return memset(lines, 0, size);
}

void skuai_memory_put_lines(const struct skuai_memory *memory, void *lines, size_t size)
{
    char *block;
    if (lines == NULL)
        return;
    memcpy(&block, (char *)lines - sizeof(void *), sizeof block);
    put(memory, block, padded(size));
}
