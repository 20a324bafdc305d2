/* Where new flows start on x86-64; the switch itself is in context_x86_64.h. */
#if defined(__APPLE__)
#define SYMBOL(name) _##name
#define FUNCTION(name) .globl SYMBOL(name) ; .private_extern SYMBOL(name) ; .p2align 4 ; SYMBOL(name):
#define END(name)
#else
#define SYMBOL(name) name
#define FUNCTION(name) \
    .globl name ; .hidden name ; .type name, @function ; .p2align 4 ; name:
#define END(name) .size name, . - name
#endif

#define MXCSR_INITIAL 0x1f80   /* round to nearest, all exceptions masked */
#define X87_INITIAL 0x037f     /* the same, 64-bit significand */

    .text

/* entry is in rbx, arg on the stack. Nobody called it, so a backtrace ends here: the return address is undefined, and
 * for those who follow frame pointers rbp and what it would lead to are zero. */
    .p2align 4
start:
    .cfi_startproc
    .cfi_undefined %rip
    endbr64
    movq %rbx, %rdi
    movq (%rsp), %rsi
    call SYMBOL(skuai_context_begin)
    ud2
    .cfi_endproc

/* void skuai_context_prepare(struct skuai_registers *to, void *top, skuai_context_entry *entry, void *arg): those of a
 * flow that starts with entry(arg) on the stack below `top`. */
FUNCTION(skuai_context_prepare)
    .cfi_startproc
    endbr64
    andq $-16, %rsi
    movq %rcx, -32(%rsi)
    movq $0, -24(%rsi)
    movq $0, -16(%rsi)         /* above the first frame */
    movq $0, -8(%rsi)
    leaq -32(%rsi), %rax
    movq %rax, (%rdi)
    leaq start(%rip), %rax
    movq %rax, 8(%rdi)
    movq $0, 16(%rdi)
    movq %rdx, 24(%rdi)
    movl $MXCSR_INITIAL, 32(%rdi)
    movw $X87_INITIAL, 36(%rdi)
    ret
    .cfi_endproc
END(skuai_context_prepare)

/* void skuai_registers_call_under(const struct skuai_registers *registers, void (*fn)(void *arg), void *arg). While fn
 * runs rbx points to the registers, and the call frame information says that the caller's are found there: that the
 * canonical frame address, which is the caller's stack pointer, is in the first of them, and at which offsets rip (16),
 * rbp (6) and rbx (3) lie. In DWARF's numbers: 0x0f DW_CFA_def_cfa_expression, 0x10 DW_CFA_expression, 0x73
 * DW_OP_breg3, which is rbx plus a number, 0x06 DW_OP_deref. */
FUNCTION(skuai_registers_call_under)
    .cfi_startproc
    endbr64
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    movq %rdi, %rbx
    movq %rdx, %rdi
    .cfi_remember_state
    .cfi_escape 0x0f, 3, 0x73, 0, 0x06
    .cfi_escape 0x10, 16, 2, 0x73, 8
    .cfi_escape 0x10, 6, 2, 0x73, 16
    .cfi_escape 0x10, 3, 2, 0x73, 24
    call *%rsi
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
END(skuai_registers_call_under)

#if !defined(__APPLE__)
    .section .note.GNU-stack, "", @progbits

    .section .note.gnu.property, "a"   /* branch tracking (1) but no shadow stack (2) */
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0
#endif
