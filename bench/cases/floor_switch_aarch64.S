/* See floor_switch.h. A suspended flow has x19 to x30 and d8 to d15 on its stack. */
    .text

    .globl bench_floor_swap
    .type bench_floor_swap, %function
    .p2align 4
bench_floor_swap:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size bench_floor_swap, . - bench_floor_swap

    .globl bench_floor_prepare
    .type bench_floor_prepare, %function
    .p2align 4
bench_floor_prepare:
    and x0, x0, #-16
    sub x0, x0, #160
    stp xzr, x1, [x0, #80]     /* x29, and what swap returns to */
    ret
    .size bench_floor_prepare, . - bench_floor_prepare

    .globl bench_floor_swap_modes
    .type bench_floor_swap_modes, %function
    .p2align 4
bench_floor_swap_modes:
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x10, fpcr
    str x10, [sp, #160]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldr x11, [sp, #160]
    cmp x10, x11
    b.eq 1f                    /* writing it serialises */
    msr fpcr, x11
1:
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    ret
    .size bench_floor_swap_modes, . - bench_floor_swap_modes

    .globl bench_floor_prepare_modes
    .type bench_floor_prepare_modes, %function
    .p2align 4
bench_floor_prepare_modes:
    and x0, x0, #-16
    sub x0, x0, #176
    stp xzr, x1, [x0, #80]
    mrs x9, fpcr
    str x9, [x0, #160]
    ret
    .size bench_floor_prepare_modes, . - bench_floor_prepare_modes

    .section .note.GNU-stack, "", %progbits
