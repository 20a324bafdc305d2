/* The context switch for aarch64, AAPCS64 (Linux, the BSDs, macOS).
 *
 * A suspended flow's stack pointer points to what skuai_registers_swap has saved there:
 *      0  x19, x20 ... x27, x28      80  x29, x30      96  d8 ... d15      160  FPCR      168  nothing
 * x18 is the platform's or a scratch register. FPCR is only written if it changes: a write serialises on some cores.
 * A debugger shows a suspended flow's call stack with sp = registers.sp and pc = skuai_context_resume: the call frame
 * information there says where the rest is.
 */
#if defined(__APPLE__)
#define SYMBOL(name) _##name
#define FUNCTION(name) .globl SYMBOL(name) %% .private_extern SYMBOL(name) %% .p2align 4 %% SYMBOL(name):
#define LABEL(name) .globl SYMBOL(name) %% .private_extern SYMBOL(name) %% SYMBOL(name):
#define END(name)

#else
#define SYMBOL(name) name
#define FUNCTION(name) \
    .globl name ; .hidden name ; .type name, %function ; .p2align 4 ; name:
#define LABEL(name) .globl name ; .hidden name ; .type name, %function ; name:
#define END(name) .size name, . - name

#endif
#define BTI_CALL hint #34 /* bti c: a no-op where there is no branch tracking */

#define FRAME_BYTES 176   /* as above */

    .text

/* void skuai_registers_swap(struct skuai_registers *save, const struct skuai_registers *to) */
FUNCTION(skuai_registers_swap)
    .cfi_startproc
    BTI_CALL
    sub sp, sp, #FRAME_BYTES
    .cfi_adjust_cfa_offset FRAME_BYTES
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    ldr x1, [x1]
    mov sp, x1                 /* from here on another flow, whose frame looks the same */
LABEL(skuai_context_resume)
    ldr x11, [sp, #160]
    cmp x9, x11
    b.eq 1f
    msr fpcr, x11
1:
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    add sp, sp, #FRAME_BYTES
    .cfi_adjust_cfa_offset -FRAME_BYTES
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
END(skuai_registers_swap)

/* Where a new flow starts: entry is in x19, arg in x20. Nobody called it, so a backtrace ends here: the return address
 * is undefined, and for those who follow frame pointers x29 is zero. */
    .p2align 4
start:
    .cfi_startproc
    .cfi_undefined x30
    BTI_CALL
    mov x0, x19
    mov x1, x20
    bl SYMBOL(skuai_context_begin)
    brk #1
    .cfi_endproc

/* void skuai_context_prepare(struct skuai_registers *to, void *top, skuai_context_entry *entry, void *arg): those of a
 * flow that starts with entry(arg) on the stack below `top`. FPCR 0: round to nearest, no traps. */
FUNCTION(skuai_context_prepare)
    .cfi_startproc
    BTI_CALL
    and x1, x1, #-16
    sub x1, x1, #FRAME_BYTES
    str x1, [x0]
    stp x2, x3, [x1, #0]
    stp xzr, xzr, [x1, #16]
    stp xzr, xzr, [x1, #32]
    stp xzr, xzr, [x1, #48]
    stp xzr, xzr, [x1, #64]
    adr x9, start
    stp xzr, x9, [x1, #80]
    stp xzr, xzr, [x1, #96]
    stp xzr, xzr, [x1, #112]
    stp xzr, xzr, [x1, #128]
    stp xzr, xzr, [x1, #144]
    stp xzr, xzr, [x1, #160]
    ret
    .cfi_endproc
END(skuai_context_prepare)

/* void skuai_registers_call_under(const struct skuai_registers *registers, void (*fn)(void *arg), void *arg). While fn
 * runs x19 is the flow's stack pointer, and the call frame information says that the caller's registers lie there as
 * skuai_registers_swap() has saved them, its return address (x30) being where that would have returned to. In DWARF's
 * numbers: 0x0f DW_CFA_def_cfa_expression, 0x10 DW_CFA_expression, 0x83 DW_OP_breg19, which is x19 plus a number, in
 * two bytes from 64 on. */
FUNCTION(skuai_registers_call_under)
    .cfi_startproc
    BTI_CALL
    stp x19, x30, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x30, 8
    ldr x19, [x0]
    mov x0, x2
    .cfi_remember_state
    .cfi_escape 0x0f, 3, 0x83, 0xb0, 0x01       /* 176 */
    .cfi_escape 0x10, 19, 2, 0x83, 0
    .cfi_escape 0x10, 20, 2, 0x83, 8
    .cfi_escape 0x10, 21, 2, 0x83, 16
    .cfi_escape 0x10, 22, 2, 0x83, 24
    .cfi_escape 0x10, 23, 2, 0x83, 32
    .cfi_escape 0x10, 24, 2, 0x83, 40
    .cfi_escape 0x10, 25, 2, 0x83, 48
    .cfi_escape 0x10, 26, 2, 0x83, 56
    .cfi_escape 0x10, 27, 3, 0x83, 0xc0, 0x00   /* 64 */
    .cfi_escape 0x10, 28, 3, 0x83, 0xc8, 0x00   /* 72 */
    .cfi_escape 0x10, 29, 3, 0x83, 0xd0, 0x00   /* 80 */
    .cfi_escape 0x10, 30, 3, 0x83, 0xd8, 0x00   /* 88 */
    blr x1
    .cfi_restore_state
    ldp x19, x30, [sp], #16
    .cfi_adjust_cfa_offset -16
    .cfi_restore x19
    .cfi_restore x30
    ret
    .cfi_endproc
END(skuai_registers_call_under)

#if !defined(__APPLE__)
    .section .note.GNU-stack, "", %progbits

    .section .note.gnu.property, "a"   /* BTI (1) but no guarded control stack (4) */
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000000, 4, 1, 0
#endif
