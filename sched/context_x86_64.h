/* The context switch for x86-64, System V ABI, for gcc and clang: part of context.h.
 *
 * It is inlined into whoever switches, and to its compiler it is one instruction that changes every register but three.
 * So a flow saves only what is live in it, by its own function's prologue; no return is mispredicted for it, as it has
 * no call and no return; and the jump to where the other flow left goes to the same place as the last one from here,
 * or to what the processor's history of jumps says. Nothing is pushed, so every instruction has the call frame
 * information of the function around it: a debugger shows a suspended flow's call stack with rsp, rip, rbp and rbx set
 * from its registers here.
 *
 * Measured (AMD EPYC, 2 virtual CPUs), one way between two functions, the plainest switch out of line, which keeps no
 * floating-point modes, being 1: this one 0.53; without the modes 0.09; comparing the modes and loading only what
 * differs 0.69; out of line with the modes 1.4 to 1.7, as its `ret` goes where the processor does not expect it. (`pop;
 * jmp` in its place unbalances the processor's return stack: 3.8 times slower where calls are nested below the switch.)
 */
#ifndef SKUAI_CONTEXT_X86_64_H
#define SKUAI_CONTEXT_X86_64_H

#include <stdint.h>

/* Offsets are known to the assembly here and in context_x86_64.S. */
struct skuai_registers {
    void *sp, *pc, *bp, *bx;
    uint32_t mxcsr; /* its control bits are the flow's; the exception flags come along */
    uint16_t x87_control;
};

#if defined(__AVX512F__)
#define SKUAI_X86_MORE_CLOBBERS                                                                             \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
        "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define SKUAI_X86_MORE_CLOBBERS
#endif

/* rbx and rbp are saved by hand: compilers keep frames by them and refuse to give them up. */
SKUAI_INLINE void skuai_registers_swap(struct skuai_registers *save, const struct skuai_registers *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "stmxcsr 32(%%rdi)\n\t"
                     "fnstcw 36(%%rdi)\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rax, 8(%%rdi)\n\t"
                     "movq %%rbp, 16(%%rdi)\n\t"
                     "movq %%rbx, 24(%%rdi)\n\t"
                     "movq (%%rsi), %%rsp\n\t"
                     "movq 16(%%rsi), %%rbp\n\t"
                     "movq 24(%%rsi), %%rbx\n\t"
                     "ldmxcsr 32(%%rsi)\n\t"
                     "fldcw 36(%%rsi)\n\t"
                     "jmpq *8(%%rsi)\n"
                     "1:\n\t"
                     "endbr64" /* what branch tracking wants where an indirect jump arrives */
                     : "+D"(save), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory",
                       "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "mm0", "mm1", "mm2", "mm3",
                       "mm4", "mm5", "mm6", "mm7", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15" SKUAI_X86_MORE_CLOBBERS);
}

#endif
