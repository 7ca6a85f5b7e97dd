/**
 * The architectural state of one vCPU in linear memory. Offsets are in bytes from the start of the vCPU's
 * area (`VCPU_BASE + index * VCPU_STRIDE`); everything an instruction record names fits in 16 bits.
 *
 *   0x0000     mailbox (machine/mailbox.ts)
 *   0x1000     registers, segments, control registers, run control, XMM, x87   (the names below)
 *   0x2000     local APIC page
 *   0x4000     instruction TLB: 1024 × {i64 page address, u32 host page, u32 key}
 *   0x8000     which pages instructions came from, by hashes, at CPL 3 and below it: 2 × 16384 bits
 *   0x30000    by region slot: u32, how often it was entered
 *   0x40000    by handler: u32, how often a region left such an instruction to the interpreter
 *   0x50000    by site of a computed call or jump (hashed): i64, where it went last
 *   0xa0000    TLB journal: entries filled since the last flush
 *   0x100000   TLBs: user, kernel, kernel with AC, never filled: each 4096 × 32 B
 *   0x180000   jump cache: 16384 × {i64 RIP, u32 record, u32 key}; instead of a record, slot << 3 | 1 of a region
 *   0x200000   block table: 262144 × u32, the first of a list of blocks (their headers; BLOCK.NEXT), 0 = none
 *   0x400000   region slots: 16384 × 128 B {u32 pages, u32 heat for the next try, 15 × {i32 page delta, u32 host page}}
 *   0x600000   decoded records up to the end of the area; a block's header stands before its first (BLOCK)
 */
export const GPR: number = 0x1000;
/** Always zero: the "no register" of an effective address. */
export const ZERO: number = 0x1080;
/** Scratch effective address, set by the EA micro-operation of a record before its instruction. */
export const EA_SCRATCH: number = 0x1088;
/** RIP of the first instruction of the block that runs now. RIP of a record = BLOCK_RIP + its offset. */
export const BLOCK_RIP: number = 0x1090;
/** RIP at block boundaries and whenever TypeScript runs outside `system()` calls. */
export const RIP: number = 0x1098;
/** Lazy flags (x86/flags.ts): result sign-extended to 64 bits, and carries. */
export const FLAG_RESULT: number = 0x10a0;
export const FLAG_CARRIES: number = 0x10a8;
/** RFLAGS without CF PF AF ZF SF OF and without the always-one bit 1 (those come from the lazy flags). i64 */
export const RFLAGS_SYSTEM: number = 0x10b0;
/** Current privilege level, i32. */
export const CPL: number = 0x10b8;
/** Code mode: 0 = 16-bit, 1 = 32-bit, 2 = 64-bit; i32. */
export const CODE_MODE: number = 0x10bc;

/** Segment registers: 8 × 32 B {i64 base, u32 limit, u32 attributes, u32 selector}; order as in ModR/M, then LDTR, TR. */
export const SEGMENTS: number = 0x1100;
export const SEGMENT_STRIDE: number = 32;
export const SEG = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;
export const SEG_BASE: number = 0;
export const SEG_LIMIT: number = 8;
/** As bits 8–23 of a descriptor's high dword: type 0–3, S 4, DPL 5–6, P 7, AVL 12, L 13, D/B 14, G 15. */
export const SEG_ATTRIBUTES: number = 12;
export const SEG_SELECTOR: number = 16;
export const GDTR: number = 0x1200; // {i64 base, u32 limit}
export const IDTR: number = 0x1210;

/** Control and debug registers, i64 each. CR8 lives in the local APIC's TPR. */
export const CR0: number = 0x1220;
export const CR2: number = 0x1228;
export const CR3: number = 0x1230;
export const CR4: number = 0x1238;
export const EFER: number = 0x1240;
export const XCR0: number = 0x1248;
export const DR: number = 0x1250; // 8 × i64

/** MSRs the fast paths need, i64 each. */
export const MSR_STAR: number = 0x1290;
export const MSR_LSTAR: number = 0x1298;
export const MSR_CSTAR: number = 0x12a0;
export const MSR_SFMASK: number = 0x12a8;
export const MSR_KERNEL_GS_BASE: number = 0x12b0;
export const MSR_SYSENTER_CS: number = 0x12b8;
export const MSR_SYSENTER_ESP: number = 0x12c0;
export const MSR_SYSENTER_EIP: number = 0x12c8;
export const MSR_TSC_AUX: number = 0x12d0;
/** Added to the TSC that the clock port gives, i64. */
export const TSC_OFFSET: number = 0x12d8;
/** Clock time (ns) at which the TSC without TSC_OFFSET was 0, and its ticks per nanosecond; f64 each (engine/system/tsc.ts). */
export const TSC_START: number = 0x12e0;
export const TSC_SCALE: number = 0x12e8;

/** Run control, i32 each. */
export const BUDGET: number = 0x1400; // instructions until the run loop must leave
/** Taken off a positive BUDGET to leave at the next block boundary: what was left can still be told. */
export const BUDGET_LEAVE: number = 0x4000_0000;
export const TLB_TABLE: number = 0x1404; // host address of the TLB of the current access mode
export const RECORD: number = 0x1408; // record at which the run loop left, or 0 at a block boundary
export const EXIT_REASON: number = 0x140c; // x86/exit.ts
/** 1 = leave at the next block boundary once interrupts are enabled. */
export const INTERRUPT_WINDOW: number = 0x1410;
/** 1 = interrupts (2 = also debug exceptions) are held off for the next instruction: STI, MOV SS. */
export const INTERRUPT_SHADOW: number = 0x1414;
/** A guest fault found by the instruction at RECORD: vector, HAS_ERROR_CODE, RAISED (ops.ts); 0 = none. */
export const FAULT: number = 0x1418;
export const FAULT_CODE: number = 0x141c;
export const FAULT_ADDRESS: number = 0x1420; // i64, CR2 of a page fault
/** Key of jump-cache and instruction-TLB entries: generation << 9 | user << 8 | BLOCK_MODE, i32. The generation is that of the privilege level (KEY_KERNEL). */
export const JUMP_KEY: number = 0x1428;
/** The decode mode of blocks, i32: code mode | BLOCK_MODE_BIT. */
export const BLOCK_MODE: number = 0x1430;
/** Non-zero while an MMIO or watchpoint access needs the slow path (data breakpoints armed). */
export const DATA_BREAKPOINTS: number = 0x1434;
/** Debug conditions met by the instruction in progress (DR6 bits), delivered after it. */
export const DEBUG_PENDING: number = 0x1438;
export const JOURNAL_COUNT: number = 0x143c;
export const RAM_LOW_SIZE: number = 0x1440; // i64
export const RAM_HIGH_SIZE: number = 0x1448; // i64
export const RAM_OFFSET: number = 0x1450; // i32: host address of guest-physical 0
export const PAGE_FLAGS: number = 0x1454; // i32: host address of the page flags
export const PHYSICAL_MASK: number = 0x1458; // i64: reserved physical address bits are outside
/** Result of the page walk: guest-physical address, i64. */
export const WALK_GPA: number = 0x1460;
/** Permissions the page walk found (engine/mmu/walk.ts), i32. */
export const WALK_FLAGS: number = 0x1468;
/** 1 = the #GP in FAULT comes from a non-canonical address, i32. */
export const FAULT_NON_CANONICAL: number = 0x146c;
/** 1 = CR0.AM, RFLAGS.AC and CPL 3: every access takes the slow path and is checked, i32. */
export const ALIGNMENT_CHECK: number = 0x1470;
/** Host address of the code byte at RIP, left by the block lookup for the decoder, i32. */
export const FETCH_HOST: number = 0x1474;
/** 1 = the block at RIP was decoded for another second page: decode it again, i32. */
export const RECODE: number = 0x1478;
/** Where page-crossing and device accesses put their bytes: 64 B, 16-byte aligned. */
export const SCRATCH: number = 0x1480;
/** What an instruction's semantics hand to its cold operation (x86/sem/system.ts): operand values, i64. */
export const ARG0: number = 0x14c0;
export const ARG1: number = 0x14c8;
/** i32: operand size in bytes | 0x100 when the operand is in memory | number of a segment register << 16. */
export const ARG_FORM: number = 0x14d0;
/** RIP of the instruction that INTERRUPT_SHADOW protects, i64: elsewhere the shadow is over. */
export const SHADOW_RIP: number = 0x14d8;
/** 1 = between the delivery of an NMI and the next IRET, i32. */
export const NMI_BLOCKED: number = 0x14e0;
/** Entries in JOURNAL_GLOBAL, i32. */
export const JOURNAL_GLOBAL_COUNT: number = 0x14e4;
/** The generation in JUMP_KEY, in its place, below CPL 3 and at CPL 3; i32 each. */
export const KEY_KERNEL: number = 0x14e8;
export const KEY_USER: number = 0x14ec;
/** 1 = code below CPL 3 was fetched from a page that a change of CR3 may move: not global, or low. i32 */
export const KERNEL_CODE_MOVES: number = 0x14f0;
/** BUDGET when generated code last delivered an exception, i32. */
export const FAULT_BUDGET: number = 0x14f8;

/** 1 = translated regions may be entered, i32. */
export const REGIONS_ON: number = 0x14f4;
/** Counters of the run loop, i64 each: instructions that regions executed, how often one left with INTERPRET. */
export const REGION_INSTRUCTIONS: number = 0x1c28;
export const REGION_INTERPRETS: number = 0x1c30;
/** Regions not entered because one of their pages was mapped elsewhere, i64. */
export const REGION_MISMATCHES: number = 0x1c38;
/** How many results the compile thread has sent, i32; only it writes. */
export const COMPILED: number = 0x1c40;
/** Executions after which a block is translated that is decoded now: where its heat begins, i32. */
export const HEAT_BEGIN: number = 0x1c48;

export const XMM: number = 0x1500; // 16 × v128
/**
 * x87 by physical register R0–R7: 16 B each {i64 significand, u16 sign and exponent}. MMX registers are the
 * significands (MM0 = R0 …).
 */
export const X87: number = 0x1600;
export const FCW: number = 0x1680; // i32
/** Status word with TOP in bits 11–13, i32. */
export const FSW: number = 0x1684;
/** Abridged tag byte: bit n = Rn is not empty, i32. */
export const FTW: number = 0x1688;
export const FOP: number = 0x168c; // i32
export const FIP: number = 0x1690; // i64
export const FDP: number = 0x1698; // i64
export const MXCSR: number = 0x16a0; // i32
export const FCS: number = 0x16a4; // i32: selectors of FIP and FDP
export const FDS: number = 0x16a8;

/**
 * Scratch of the 80-bit arithmetic (x86/sem/ext80.ts). A function that gives an 80-bit value returns the
 * significand and leaves sign and exponent in X87_SE; X87_LOW is the low half of 128-bit results.
 */
export const X87_SE: number = 0x1700; // i32
/** Exceptions and condition codes of the instruction in progress, at their places in FSW, i32. */
export const X87_EXCEPTIONS: number = 0x1708;
/** DE when the memory operand of the instruction in progress was denormal, i32; cleared with the former. */
export const X87_DENORMAL: number = 0x170c;
export const X87_LOW: number = 0x1710; // i64
/** Exponent and sign of a wide number (ext80-wide.ts), quotient bits; i32 each. */
export const X87_EXPONENT: number = 0x1718;
export const X87_SIGN: number = 0x171c;
export const X87_QUOTIENT: number = 0x1720;
/** Exception flags (MXCSR bits 0–5) that the SSE instruction in progress has met, i32. */
export const SIMD_FLAGS: number = 0x17c0;
/** Vector that an unmasked SIMD exception raises: 19, 6 without CR4.OSXMMEXCPT, or 0; i32. */
export const SIMD_TRAP: number = 0x17c4;

/** 4096 bits: 2 MiB regions (address bits 21–32) of which the TLBs may hold pieces of large pages. */
export const LARGE_PAGES: number = 0x1a00;
/** Outside 64-bit mode: mask of the stack pointer (SS.B), of linear addresses, base and limit of CS; i64 each. */
export const STACK_MASK: number = 0x1c00;
export const LINEAR_MASK: number = 0x1c08;
export const CODE_BASE: number = 0x1c10;
export const CODE_LIMIT: number = 0x1c18;
/** 1 = BUDGET counts exactly: each iteration of a repeated string instruction is one (engine/deterministic.ts). i32 */
export const EXACT_COUNT: number = 0x1cf8;
/** 1 = an instruction leaves with FAULT_DEVICE before it touches device memory, i32. */
export const DEVICE_LEAVES: number = 0x1cfc;
/** In FAULT: no exception; the instruction at RIP wants to be executed alone. */
export const FAULT_DEVICE: number = 0x8000;
export const REGISTERS_END: number = 0x1d00;
export const APIC_PAGE: number = 0x2000;
export const ITLB: number = 0x4000;
export const ITLB_ENTRIES: number = 1024;
/**
 * Bits of the pages whose instructions the caches of the current generation may know: user, then below CPL 3. Number
 * of a page's bit: its page number; of a large page's: its address >> 30, plus half the bits.
 */
export const CODE_PAGES: number = 0x8000;
export const CODE_PAGES_BYTES: number = 0x800;
export const JUMP_CACHE: number = 0x180000;
export const JUMP_CACHE_ENTRIES: number = 16384;
export const BLOCK_TABLE: number = 0x200000;
export const BLOCK_TABLE_ENTRIES: number = 262144;
/** Entry of a block: (host address × BLOCK_HASH mod 2^32) >> BLOCK_HASH_SHIFT. */
export const BLOCK_HASH: number = 0x9e3779b1 | 0;
export const BLOCK_HASH_SHIFT: number = 14;
export const JOURNAL: number = 0xa0000;
export const JOURNAL_ENTRIES: number = 8192;
/** The same for global pages, which stay when CR3 changes. */
export const JOURNAL_GLOBAL: number = JOURNAL + 4 * JOURNAL_ENTRIES;
export const TLB: number = 0x100000;
export const TLB_ENTRIES: number = 4096;
export const TLB_ENTRY: number = 32;
export const TLB_BYTES: number = TLB_ENTRIES * TLB_ENTRY;
export const REGION_COUNTS: number = 0x30000;
/** Entries after which a region is made again, larger. */
export const REGION_HOT: number = 1000;
export const HANDLER_COUNTS: number = 0x40000;
/** By reason (engine/translate/region.ts, EXIT_REASONS): u32, how often regions were left, if that is counted. */
/** Slot of a site: (host address × BLOCK_HASH mod 2^32) >> CALL_TARGET_SHIFT. */
export const CALL_TARGETS: number = 0x50000;
export const CALL_TARGET_SHIFT: number = 20;
export const EXIT_COUNTS: number = 0x48000;
/** More than there are. */
export const HANDLERS: number = 8192;
export const REGION_SLOTS: number = 16384;
export const REGION_TABLE: number = 0x400000;
/** Of one slot: count of pages that must be mapped as they were, heat, pages. */
export const REGION_SLOT_SHIFT: number = 7;
export const REGION_PAGES: number = 8;
export const REGION_MAX_PAGES: number = 15;
export const RECORDS: number = 0x600000;

/** A block's header, 40 B right before its first record (engine/block-index.ts): places the interpreter uses. */
export const BLOCK = {
  /** Host address of its first byte, decode mode, next in the list of its entry in BLOCK_TABLE (0 = last); i32 each. */
  HOST: 0,
  MODE: 4,
  NEXT: 8,
  /** Executions left until the run loop leaves to have the block translated, i32. */
  HEAT: 24,
  /** Region slot, 0 = none. */
  SLOT: 28,
  /** 1 = a region has it inside, 0 = none: it was hot. Its heat counts anew, for one that begins here. */
  MEMBER: 32,
  SIZE: 40,
} as const;
/** Heat of a block that nobody wants translated. */
export const HEAT_NEVER: number = 0x7fffffff;
/** Heat of a block whose region could not be entered: then it is looked at again, each time after twice as long. */
export const HEAT_RETRY: number = 64;
export const HEAT_RETRY_MOST: number = 1 << 20;

/** Bits of RFLAGS. */
export const FLAG = {
  CF: 1,
  PF: 4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  VIF: 0x80000,
  VIP: 0x100000,
  ID: 0x200000,
} as const;
export const ARITHMETIC_FLAGS: number = 0x8d5;

/**
 * One decoded instruction, 40 B:
 *   u16 handler · u8 length · u8 scale shift · u16 offset from the block's start · u16 instructions before it
 *   u16 × 4: state offsets of the operand in ModR/M.reg, in ModR/M.rm, of EA base, of EA index
 *   u8 segment · u8 flags (RECORD_FLAG) · u16 row size index · u32 row number · i64 displacement · i64 immediate
 */
export const REC = {
  HANDLER: 0,
  LENGTH: 2,
  SHIFT: 3,
  OFFSET: 4,
  COUNT: 6,
  REG: 8,
  RM: 10,
  BASE: 12,
  INDEX: 14,
  SEGMENT: 16,
  FLAGS: 17,
  EXTRA: 18,
  FORM: 20,
  DISP: 24,
  IMM: 32,
  SIZE: 40,
} as const;

/**
 * Of a direct branch or RET, in fields of its record that it has no use for: where it led (i64), that block's first record
 * (i32), and JUMP_KEY at that time (i32, 0 = not yet). A second one, where there is one (LINKS in interp/handlers.ts), stands
 * at the same places of a record's room behind it. It says what the jump cache said, but for blocks that have a region.
 */
export const LINK: { readonly RIP: number; readonly RECORD: number; readonly KEY: number } = {
  RIP: REC.REG,
  RECORD: REC.DISP,
  KEY: REC.DISP + 4,
};

export const BLOCK_MODE_BIT = {
  /** One instruction per block. */
  STEP: 4,
  /** Some segment is not flat: memory operands outside 64-bit mode are checked. */
  SEGMENTED: 8,
  /** CR0.TS, CR0.EM, CR4.OSFXSR clear: x87, MMX and SSE instructions raise #NM or #UD. */
  TASK_SWITCHED: 16,
  EMULATION: 32,
  NO_FXSR: 64,
} as const;

export const RECORD_FLAG = {
  /** The memory operand's segment is SS: a non-canonical address is #SS, not #GP. */
  STACK_SEGMENT: 1,
  LOCK: 2,
  REP: 4,
  REPNE: 8,
  /** The block ends after this record because of an interrupt shadow that could not be decoded along. */
  LAST: 16,
  ADDRESS_32: 32,
  ADDRESS_16: 64,
} as const;
