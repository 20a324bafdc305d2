/* The context switch for x86-64, System V ABI.
 *
 * A suspended flow's stack pointer points to what skuai_context_swap has saved there:
 *      0  MXCSR      4  x87 control word
 *      8  r15       16  r14       24  r13       32  r12       40  rbx       48  rbp       56  return address
 * A debugger shows a suspended flow's call stack with rsp = context.sp and rip = skuai_context_resume: the call frame
 * information there says where the rest is.
 *
 * Measured (AMD EPYC, 2 virtual CPUs, a call and return being 1): one way 5 between two flows that suspend in the same
 * function, 10 between different ones; swapcontext 160 to 190. The variants that it was measured against:
 *   - `pop; jmp` instead of `ret`: 3.8 times slower where calls are nested below the switch, because it leaves an entry
 *     too many on the processor's return stack and every return after it is mispredicted; where the flow that resumes
 *     returns from another place, up to 1.8 times faster. Fibers switch to fibers in one function, so `ret`.
 *   - comparing the floating-point modes and loading them only if they differ: 1.0 to 1.3 times slower.
 *   - moves instead of pushes and pops: the same.
 */
#if defined(__APPLE__)
#define SYMBOL(name) _##name
#define FUNCTION(name) .globl SYMBOL(name) ; .private_extern SYMBOL(name) ; .p2align 4 ; SYMBOL(name):
#define LABEL(name) .globl SYMBOL(name) ; .private_extern SYMBOL(name) ; SYMBOL(name):
#define END(name)
#else
#define SYMBOL(name) name
#define FUNCTION(name) \
    .globl name ; .hidden name ; .type name, @function ; .p2align 4 ; name:
#define LABEL(name) .globl name ; .hidden name ; .type name, @function ; name:
#define END(name) .size name, . - name
#endif

#define FRAME_BYTES 64         /* as above */
#define MXCSR_INITIAL 0x1f80   /* round to nearest, all exceptions masked */
#define X87_INITIAL 0x037f     /* the same, 64-bit significand */

    .text

/* void skuai_context_swap(void **save, void *sp) */
FUNCTION(skuai_context_swap)
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp            /* from here on another flow, whose frame looks the same */
LABEL(skuai_context_resume)
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret
    .cfi_endproc
END(skuai_context_swap)

/* Where a new flow starts: entry is in r12, arg in r13. Nobody called it, so a backtrace ends here: the return address
 * is undefined, and for those who follow frame pointers rbp and what it would lead to are zero. */
    .p2align 4
start:
    .cfi_startproc
    .cfi_undefined %rip
    endbr64
    movq %r12, %rdi
    movq %r13, %rsi
    call SYMBOL(skuai_context_begin)
    ud2
    .cfi_endproc

/* void *skuai_context_prepare(void *top, skuai_context_entry *entry, void *arg): the stack pointer of a flow that
 * starts with entry(arg) on the stack below `top`. */
FUNCTION(skuai_context_prepare)
    .cfi_startproc
    endbr64
    andq $-16, %rdi
    leaq -(FRAME_BYTES + 16)(%rdi), %rax
    movl $MXCSR_INITIAL, (%rax)
    movl $X87_INITIAL, 4(%rax)
    movq $0, 8(%rax)
    movq $0, 16(%rax)
    movq %rdx, 24(%rax)
    movq %rsi, 32(%rax)
    movq $0, 40(%rax)
    movq $0, 48(%rax)
    leaq start(%rip), %rcx
    movq %rcx, 56(%rax)
    movq $0, 64(%rax)          /* above the first frame */
    movq $0, 72(%rax)
    ret
    .cfi_endproc
END(skuai_context_prepare)

#if !defined(__APPLE__)
    .section .note.GNU-stack, "", @progbits

    .section .note.gnu.property, "a"   /* branch tracking (1) but no shadow stack (2) */
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0
#endif
