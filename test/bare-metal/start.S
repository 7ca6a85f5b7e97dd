/*
 * PVH entry, the way into long mode, descriptor tables, trap stubs and the calls that catch traps.
 * Selectors follow Linux: SYSRET and SYSEXIT prescribe most of their order.
 */
.intel_syntax noprefix

.section .note.pvh, "a", @note
.align 4
.long 4, 4, 18              /* name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
.asciz "Xen"
.long pvh_entry

.section .text
.code32
.globl pvh_entry
pvh_entry:
  cld
  mov [start_info], ebx
  lea esp, [boot_stack_top]
  /* PML4[0] -> PDPT; PDPT[0] -> 1 GiB of 2 MiB pages; PDPT[3] -> the local APIC's page */
  lea eax, [boot_pdpt + 0x7]
  mov [boot_pml4], eax
  lea eax, [boot_pd + 0x3]
  mov [boot_pdpt], eax
  lea eax, [apic_pd + 0x3]
  mov [boot_pdpt + 3*8], eax
  mov dword ptr [apic_pd + 0x1f7*8], 0xfee00000 + 0x9b
  xor ecx, ecx
  mov eax, 0x83
1:mov [boot_pd + ecx*8], eax
  add eax, 0x200000
  inc ecx
  cmp ecx, 512
  jb 1b
  lea eax, [boot_pml4]
  mov cr3, eax
  mov eax, cr4
  or eax, 0x620             /* PAE, OSFXSR, OSXMMEXCPT */
  mov cr4, eax
  mov ecx, 0xc0000080
  rdmsr
  or eax, 0x901             /* NXE, LME, SCE */
  wrmsr
  mov eax, cr0
  and eax, ~0xe             /* TS, EM, MP */
  or eax, 0x80010022        /* PG, WP, NE, MP */
  mov cr0, eax
  lgdt [gdt_pointer]
  ljmp 0x10, offset long_mode

.code64
long_mode:
  mov eax, 0x18
  mov ds, eax
  mov es, eax
  mov ss, eax
  xor eax, eax
  mov fs, eax
  mov gs, eax
  lea rsp, [boot_stack_top]
  fninit
  call main
1:hlt
  jmp 1b

/* int try_call(void (*fn)(void *), void *arg): 0 when fn returned, 1 when it trapped (see `last`) */
.globl try_call
try_call:
  push rbx; push rbp; push r12; push r13; push r14; push r15
  mov [try_rsp], rsp
  mov rax, rdi
  mov rdi, rsi
  call rax
  xor eax, eax
  jmp try_out
.globl try_fail
try_fail:
  mov rsp, [try_rsp]
  mov eax, 0x18
  mov ds, eax
  mov es, eax
  mov ss, eax
  push 2
  popfq
  cld
  mov eax, 1
try_out:
  mov qword ptr [try_rsp], 0
  pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
  ret

/* int enter(const struct frame *f): loads every register from f with IRETQ; returns 1 after the trap */
.globl enter
enter:
  push rbx; push rbp; push r12; push r13; push r14; push r15
  mov [try_rsp], rsp
  mov rsp, rdi
  pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
  pop rdi; pop rsi; pop rbp; pop rbx; pop rdx; pop rcx; pop rax
  add rsp, 16
.globl enter_iret
enter_iret:
  iretq

.macro save_all
  push rax; push rcx; push rdx; push rbx; push rbp; push rsi; push rdi
  push r8; push r9; push r10; push r11; push r12; push r13; push r14; push r15
.endm

trap_common:
  save_all
  cld
  mov rdi, rsp
  mov rbx, rsp
  and rsp, -16
  call on_trap
  mov rsp, rbx
  pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
  pop rdi; pop rsi; pop rbp; pop rbx; pop rdx; pop rcx; pop rax
  add rsp, 16
  iretq

/* SYSCALL and SYSENTER arrive here; the frame gets the marker as its vector */
.globl syscall_entry, sysenter_entry, gate_entry, compat_entry
syscall_entry:
  mov [scratch_rsp], rsp
  lea rsp, [trap_stack_top]
  push 0x2b
  push [scratch_rsp]
  pushfq
  mov [scratch_rsp], rax
  mov eax, cs
  push rax
  mov rax, [scratch_rsp]
  push rcx
  push 0
  push 0x100
  jmp trap_common
sysenter_entry:
  mov [scratch_rsp], rsp
  lea rsp, [trap_stack_top]
  push 0
  push [scratch_rsp]
  pushfq
  mov [scratch_rsp], rax
  mov eax, cs
  push rax
  mov rax, [scratch_rsp]
  push 0
  push 0
  push 0x101
  jmp trap_common
compat_entry:
  mov [scratch_rsp], rsp
  lea rsp, [trap_stack_top]
  push 0
  push [scratch_rsp]
  pushfq
  push 0
  push 0
  push 0
  push 0x102
  jmp trap_common
/* target of call gates: [rsp] RIP, CS, RSP, SS as pushed; goes back with RETFQ, counting calls */
gate_entry:
  push rax
  mov rax, [rsp + 8]
  mov [gate_frame], rax
  mov rax, [rsp + 16]
  mov [gate_frame + 8], rax
  mov rax, [rsp + 24]
  mov [gate_frame + 16], rax
  mov rax, [rsp + 32]
  mov [gate_frame + 24], rax
  mov eax, cs
  mov [gate_frame + 32], rax
  lea rax, [rsp + 8]
  mov [gate_frame + 40], rax
  pop rax
  .byte 0x48, 0xcb

.align 16
.globl trap_stubs
trap_stubs:
.set vector, 0
.rept 256
  .align 16
  .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
  .else
  push 0
  .endif
  push vector
  jmp trap_common
  .set vector, vector + 1
.endr

.data
.align 16
.globl gdt, gdt_pointer
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff  /* 08 kernel code 32 */
  .quad 0x00af9b000000ffff  /* 10 kernel code 64 */
  .quad 0x00cf93000000ffff  /* 18 kernel data */
  .quad 0x00cffb000000ffff  /* 20 user code 32 */
  .quad 0x00cff3000000ffff  /* 28 user data */
  .quad 0x00affb000000ffff  /* 30 user code 64 */
  .quad 0, 0                /* 38 TSS */
  .fill 16, 8, 0            /* 48.. for tests */
gdt_end:
.align 4
  .word 0
gdt_pointer:
  .word gdt_end - gdt - 1
  .quad gdt

.bss
.align 4096
.globl boot_pml4, boot_pdpt, boot_pd, apic_pd, test_pd, test_pt
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4096
apic_pd: .skip 4096
test_pd: .skip 4096
test_pt: .skip 4096
.globl boot_stack_top, trap_stack_top, ist_stack_top, ist2_stack_top
.skip 65536
boot_stack_top:
.skip 16384
trap_stack_top:
.skip 16384
ist_stack_top:
.skip 16384
ist2_stack_top:
.globl start_info, try_rsp, scratch_rsp, gate_frame
start_info: .quad 0
try_rsp: .quad 0
scratch_rsp: .quad 0
gate_frame: .skip 64
