/* See floor_switch.h. A suspended flow has r15 r14 r13 r12 rbx rbp and a return address on its stack. */
    .text

    .globl bench_floor_swap
    .type bench_floor_swap, @function
    .p2align 4
bench_floor_swap:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size bench_floor_swap, . - bench_floor_swap

    .globl bench_floor_prepare
    .type bench_floor_prepare, @function
    .p2align 4
bench_floor_prepare:
    andq $-16, %rdi
    leaq -64(%rdi), %rax
    movq $0, 40(%rax)          /* rbp */
    movq %rsi, 48(%rax)        /* what swap returns to */
    movq $0, 56(%rax)          /* what it would return to: at its start the stack is 8 off 16, as after a call */
    ret
    .size bench_floor_prepare, . - bench_floor_prepare

    .globl bench_floor_swap_modes
    .type bench_floor_swap_modes, @function
    .p2align 4
bench_floor_swap_modes:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size bench_floor_swap_modes, . - bench_floor_swap_modes

    .globl bench_floor_prepare_modes
    .type bench_floor_prepare_modes, @function
    .p2align 4
bench_floor_prepare_modes:
    call bench_floor_prepare
    subq $8, %rax
    stmxcsr (%rax)
    fnstcw 4(%rax)
    ret
    .size bench_floor_prepare_modes, . - bench_floor_prepare_modes

    .section .note.GNU-stack, "", @progbits
