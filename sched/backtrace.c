/* Unwinding a suspended flow by the compiler's unwinder, as C++ exceptions do, so frame pointers are not needed: by
 * what each function's call frame information says, which the ABIs of x86-64 and aarch64 ask for. It ends early where
 * there is none (assembly; code that was generated at run time, or compiled without). The unwinder only walks up from
 * where it is called; so it is called "under" the flow (context.h). A stack that something has overwritten may mislead
 * it.
 *
 * libgcc from 12 on, with glibc from 2.35 on, finds a function's information without a lock. Older ones take the
 * loader's for it: then who looks at a task holds it as long as another thread is in dlopen() or dlclose().
 *
 * Names are those of the dynamic symbol table: of shared libraries what they export, of programs what was linked with
 * -rdynamic. Static functions are in none; the second part of the text names them, by addr2line.
 */
#define _GNU_SOURCE
#include "sched/backtrace.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>

struct walk {
    void **addresses;
    size_t count, max, skip;
};

static _Unwind_Reason_Code note(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    void *address = (void *)_Unwind_GetIP(context);
    if (walk->skip != 0) {
        walk->skip--;
        return _URC_NO_REASON;
    }
    if (address == NULL || walk->count == walk->max)
        return _URC_END_OF_STACK;
    walk->addresses[walk->count++] = address;
    return _URC_NO_REASON;
}

/* Its own frame and that which pretends to be called by the flow come first. */
static __attribute__((noinline)) void walk_up(void *arg)
{
    struct walk *walk = arg;
    walk->skip = 2;
    (void)_Unwind_Backtrace(note, walk);
    walk->skip = 0; /* so that the call is none at the function's end */
}

size_t skuai_backtrace(const struct skuai_context *ctx, void **addresses, size_t max)
{
    struct walk walk = { .addresses = addresses, .max = max };
    return skuai_context_call_under(ctx, walk_up, &walk) ? walk.count : 0;
}

/* Of programs that are not position-independent addr2line wants the address itself (the header's type is ET_EXEC). */
static uintptr_t base_for_addr2line(const void *base)
{
    const unsigned char *header = base;
    return memcmp(header, "\177ELF", 4) == 0 && header[16] == 2 ? 0 : (uintptr_t)base;
}

void skuai_symbol(char *text, size_t size, void *address, bool called)
{
    Dl_info info;
    uintptr_t at = (uintptr_t)address - called;
    if (dladdr((void *)at, &info) == 0 || info.dli_fname == NULL || info.dli_fbase == NULL) {
        snprintf(text, size, "%p", (void *)at);
        return;
    }
    uintptr_t offset = at - base_for_addr2line(info.dli_fbase);
    if (info.dli_sname != NULL)
        snprintf(text, size, "%s+0x%llx (%s+0x%llx)", info.dli_sname,
                 (unsigned long long)(at - (uintptr_t)info.dli_saddr), info.dli_fname, (unsigned long long)offset);
    else
        snprintf(text, size, "(%s+0x%llx)", info.dli_fname, (unsigned long long)offset);
}
