/* The part of topology.h that asks the kernel itself (Linux): affinity masks, and a table that knows no more than
 * which CPUs there are. */
#define _GNU_SOURCE
#include "sched/topology.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_MASK_BITS 1024u       /* what a cpu_set_t has; enough for most kernels */
#define LAST_MASK_BITS (1u << 20)   /* Linux is built for 8,192 at most */

/* The kernel answers EINVAL while the mask is smaller than its own. Returns 0 and the mask, to be freed by CPU_FREE. */
static int read_mask(cpu_set_t **mask, size_t *mask_size)
{
    for (unsigned bits = FIRST_MASK_BITS; bits <= LAST_MASK_BITS; bits *= 2) {
        *mask_size = CPU_ALLOC_SIZE(bits);
        *mask = CPU_ALLOC(bits);
        if (!*mask)
            return -ENOMEM;
        CPU_ZERO_S(*mask_size, *mask); /* the kernel may write fewer bytes than there are */
        if (sched_getaffinity(0, *mask_size, *mask) == 0)
            return 0;
        int error = errno;
        CPU_FREE(*mask);
        if (error != EINVAL)
            return -error;
    }
    return -EINVAL;
}

int skuai_affinity_read(uint32_t **os_indices)
{
    cpu_set_t *mask;
    size_t mask_size;
    int status = read_mask(&mask, &mask_size);
    if (status < 0)
        return status;
    int count = CPU_COUNT_S(mask_size, mask);
    *os_indices = count > 0 ? malloc((size_t)count * sizeof **os_indices) : NULL;
    if (count == 0) {
        status = -ENODATA;
    } else if (!*os_indices) {
        status = -ENOMEM;
    } else {
        uint32_t cpu = 0;
        for (int found = 0; found < count; cpu++) {
            if (CPU_ISSET_S(cpu, mask_size, mask))
                (*os_indices)[found++] = cpu;
        }
        status = count;
    }
    CPU_FREE(mask);
    return status;
}

int skuai_affinity_bind_self(const struct skuai_cpu *cpus, uint32_t count, uint32_t last)
{
    size_t size = CPU_ALLOC_SIZE(last + 1u);
    cpu_set_t *mask = CPU_ALLOC(last + 1u);
    if (!mask)
        return -ENOMEM;
    CPU_ZERO_S(size, mask);
    for (uint32_t i = 0; i < count; i++)
        CPU_SET_S(cpus[i].os_index, size, mask);
    int status = pthread_setaffinity_np(pthread_self(), size, mask);
    CPU_FREE(mask);
    return -status;
}

int skuai_topology_flat(struct skuai_topology *t)
{
    uint32_t *os_indices = NULL;
    int known = skuai_affinity_read(&os_indices);
    if (known == -ENOMEM)
        return -ENOMEM;
    long count = known > 0 ? known : sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        count = 1;
    t->cpus = calloc((size_t)count, sizeof *t->cpus); /* zero: all share one L3, one NUMA node, one package */
    if (!t->cpus) {
        free(os_indices);
        return -ENOMEM;
    }
    t->ncpus = (uint32_t)count;
    for (uint32_t i = 0; i < t->ncpus; i++) {
        t->cpus[i].os_index = known > 0 ? os_indices[i] : i;
        t->cpus[i].core = i;
        t->cpus[i].l2 = i;
    }
    free(os_indices);
    t->is_this_machine = true;
    return 0;
}
