//! Where everything lies that the host and a guest program must agree on: virtual addresses, ports, selectors,
//! and the offsets inside the frames they share.
//!
//! Invariant: a number that an assembler text and the host both need stands here and nowhere else; the
//! assembler gets it as a `const` operand. Addresses and lengths are in bytes, offsets count from the start of
//! the frame that the module's name says.

/// The shadow window: 2 MiB whose 512 leaf entries only the stub writes. Every entry starts not present.
pub const AREA_VA: u64 = 0x4000_0000;
/// 4 KiB pages in the shadow window, one leaf table's worth.
pub const AREA_PAGES: u64 = 512;
/// The window of mappings that never change: control page, statistics, code, local APIC.
pub const FIXED_VA: u64 = 0x4020_0000;
/// The control page, user read and write.
pub const CONTROL_VA: u64 = FIXED_VA;
/// The program's code, user read and execute.
pub const CODE_VA: u64 = FIXED_VA + 0x10_0000;
/// The local APIC's registers, supervisor only. Below 2 GiB, so that the stub needs no register to name it.
pub const APIC_VA: u64 = FIXED_VA + 0x1f_f000;
/// The map of all physical memory, supervisor only, in pages of 2 MiB. The stub runs there.
pub const DIRECT_VA: u64 = 0xffff_8000_0000_0000;
/// Where the local APIC answers in physical addresses (its reset value).
pub const APIC_PHYSICAL: u64 = 0xfee0_0000;
/// The most vCPUs of one guest: their statistics pages fill the window up to the code and one word says who.
pub const MAX_VCPUS: usize = 64;
/// The longest image, in bytes: one frame.
pub const MAX_IMAGE_BYTES: usize = 4096;

/// The virtual address of the statistics page of vCPU number `vcpu`, user read and write.
#[must_use]
pub const fn stats_va(vcpu: u64) -> u64 {
    FIXED_VA + 0x1000 * (1 + vcpu)
}

/// I/O ports whose `out` hands the vCPU to the host. The byte written says nothing.
pub mod port {
    /// A page fault waits for an answer in the mailbox.
    pub const PAGE_FAULT: u8 = 0xe0;
    /// A hypercall's number and argument lie in the mailbox.
    pub const HYPERCALL: u8 = 0xe1;
    /// An exception that no handler expects; the guest cannot go on.
    pub const EXCEPTION: u8 = 0xe2;
}

/// Interrupt vectors.
pub mod vector {
    /// #UD, which at CPL3 is a hypercall.
    pub const INVALID_OPCODE: u8 = 6;
    /// #PF.
    pub const PAGE_FAULT: u8 = 14;
    /// Exceptions that the architecture defines or reserves, 0 up to here.
    pub const EXCEPTIONS: u8 = 32;
    /// The kick: zaps wait in the mailbox.
    pub const KICK: u8 = 0x40;
    /// The local APIC's spurious interrupt; ends like an unexpected exception if it ever comes.
    pub const SPURIOUS: u8 = 0xff;
}

/// Hypercalls: `ud2` at CPL3 with the number in RAX and the argument in R8. All registers come back as they were.
/// A software interrupt would be the usual gate, but a KVM that emulates CPL0 has no `int n`; #UD works everywhere.
/// The numbers are unlikely to stand in RAX when an invalid instruction is met by accident.
pub mod hypercall {
    /// Bytes of `ud2`, which the stub steps over.
    pub const INSTRUCTION_BYTES: u64 = 2;
    /// The program saw the stop word and is done. Argument: none.
    pub const STOPPED: u64 = 0x0af7_0001;
    /// Argument: the byte to put out.
    pub const OUTPUT: u64 = 0x0af7_0002;
    /// The first violation lies in the statistics. Argument: the page's number in the shadow window.
    pub const FIRST_VIOLATION: u64 = 0x0af7_0003;
    /// The program offers the CPU to others. Argument: none.
    pub const YIELD: u64 = 0x0af7_0004;
}

/// Segment selectors in every vCPU's GDT.
pub mod selector {
    /// CPL0 code, 64 bits.
    pub const KERNEL_CODE: u16 = 0x08;
    /// CPL0 data.
    pub const KERNEL_DATA: u16 = 0x10;
    /// CPL3 data, with RPL 3.
    pub const USER_DATA: u16 = 0x1b;
    /// CPL3 code, 64 bits, with RPL 3.
    pub const USER_CODE: u16 = 0x23;
    /// The task state segment (two slots).
    pub const TASK: u16 = 0x28;
}

/// The frame each vCPU has for itself: mailbox, steal time, TSS, GDT and, from the end down, the CPL0 stack.
/// RSP0 is the frame's end, so the stub finds the mailbox from its stack pointer alone.
pub mod frame {
    /// CR2 of the fault or exception.
    pub const CR2: u64 = 0x00;
    /// The unexpected exception's vector.
    pub const VECTOR: u64 = 0x08;
    /// Its error code, 0 where the exception has none.
    pub const ERROR_CODE: u64 = 0x10;
    /// Its RIP.
    pub const RIP: u64 = 0x18;
    /// The hypercall's number.
    pub const HYPERCALL_NUMBER: u64 = 0x20;
    /// The hypercall's argument.
    pub const HYPERCALL_ARGUMENT: u64 = 0x28;

    /// The host's answer: where the entry lies, as an address in the direct map; 0 for no entry,
    /// [`ANSWER_TAKEN`] while the stub writes it.
    pub const ANSWER_ENTRY: u64 = 0x40;
    /// Stands in [`ANSWER_ENTRY`] from when the stub takes the answer until it has written the entry.
    pub const ANSWER_TAKEN: u64 = 1;
    /// The entry to write there.
    pub const ANSWER_VALUE: u64 = 0x48;
    /// The address to invalidate after it.
    pub const ANSWER_ADDRESS: u64 = 0x50;
    /// The shadow window's leaf table, as an address in the direct map; set once.
    pub const LEAF_TABLE: u64 = 0x58;

    /// Zaps requested, a count that the host raises after it set the bits.
    pub const ZAP_REQUEST: u64 = 0x80;
    /// One bit for each word of the bitmap that may have bits set.
    pub const ZAP_SUMMARY: u64 = 0x88;
    /// The bitmap: one bit for each page of the shadow window.
    pub const ZAP_BITS: u64 = 0xc0;
    /// Words of the bitmap.
    pub const ZAP_WORDS: usize = 8;
    /// The last value of [`ZAP_REQUEST`] whose zaps the stub has applied.
    pub const ZAP_ACK: u64 = 0x100;

    /// KVM's steal-time record (`struct kvm_steal_time`), 64 bytes, aligned to 64.
    pub const STEAL_TIME: u64 = 0x140;
    /// The word of the record whose lowest byte says "preempted".
    pub const STEAL_TIME_PREEMPTED: u64 = STEAL_TIME + 16;

    /// The task state segment.
    pub const TASK_SEGMENT: u64 = 0x200;
    /// Its length in bytes.
    pub const TASK_SEGMENT_BYTES: u16 = 104;
    /// The GDT.
    pub const GDT: u64 = 0x280;
    /// Its length in bytes: null, two of CPL0, two of CPL3, one TSS of two slots.
    pub const GDT_BYTES: u16 = 7 * 8;

    /// The frame's end, where every trap from CPL3 starts its stack.
    pub const STACK_TOP: u64 = 0x1000;
    /// Where a trap from CPL3 with an error code leaves that code.
    pub const TRAP_ERROR_CODE: u64 = STACK_TOP - 48;
    /// Where a trap from CPL3 leaves RIP.
    pub const TRAP_RIP: u64 = STACK_TOP - 40;
}

/// The control page that the host and all vCPUs share.
pub mod control {
    /// The most pages a program works on.
    pub const MAX_PAGES: u64 = 32;
    /// Bytes from one page's slot to the next (a cache line each).
    pub const SLOT_BYTES: u64 = 64;
    /// In a slot: the newest value that every reader may rely on.
    pub const PUBLISHED: u64 = 0;
    /// In a slot: whose turn it is to write, 0 for nobody's.
    pub const TURN: u64 = 8;
    /// In a slot: iterations the writer waits before it writes.
    pub const DELAY: u64 = 16;
    /// Not 0: stop.
    pub const STOP: u64 = 0x800;
    /// Not 0: publish a value before it is written. Wrong on purpose: the positive control.
    pub const PUBLISH_EARLY: u64 = 0x808;
    /// Accesses between two yields, looked at once a round over the pages; 0 for never.
    pub const YIELD_EVERY: u64 = 0x810;
    /// Pages to work on, at most [`MAX_PAGES`].
    pub const PAGE_COUNT: u64 = 0x818;
}

/// The statistics page of a vCPU that runs the coherence program.
pub mod coherence_stats {
    /// Reads of pages of the shadow window.
    pub const ACCESSES: u64 = 0x00;
    /// Reads that returned less than what was published before the read began.
    pub const STALE: u64 = 0x08;
    /// Reads that returned the poison of a freed frame.
    pub const FREED_USES: u64 = 0x10;
    /// Values written.
    pub const WRITES: u64 = 0x18;
    /// The first violation's page number in the shadow window.
    pub const FIRST_PAGE: u64 = 0x20;
    /// The value it read.
    pub const FIRST_VALUE: u64 = 0x28;
    /// The value published before.
    pub const FIRST_PUBLISHED: u64 = 0x30;
    /// What it was: [`KIND_STALE`] or [`KIND_FREED`], 0 if there was none.
    pub const FIRST_KIND: u64 = 0x38;
    /// A value older than the published one.
    pub const KIND_STALE: u64 = 1;
    /// The poison of a freed frame.
    pub const KIND_FREED: u64 = 2;
    /// What a freed frame is filled with.
    pub const POISON: u64 = 0xaaaa_aaaa_aaaa_aaaa;
}

/// The statistics page of a vCPU that runs the probe.
pub mod probe_stats {
    /// Reads done; written after [`LAST_VALUE`].
    pub const READS: u64 = 0x00;
    /// The value of the last read.
    pub const LAST_VALUE: u64 = 0x08;
    /// Reads that returned something else than the read before.
    pub const CHANGES: u64 = 0x10;
}

/// The statistics page of a vCPU that runs the player: its mailbox. Who asks writes [`ASKED`](player::ASKED) last, and no
/// more before the answer is there.
pub mod player {
    /// How often it was asked.
    pub const ASKED: u64 = 0x00;
    /// What it is asked for: [`WAIT`], [`LOAD`] or [`STORE`].
    pub const DEED: u64 = 0x08;
    /// The address of the word.
    pub const ADDRESS: u64 = 0x10;
    /// What is to be stored; in the answer, what was loaded.
    pub const VALUE: u64 = 0x18;
    /// How often it has answered; written after everything else.
    pub const ANSWERED: u64 = 0x40;
    /// What came of it: [`DONE`] or [`REFUSED`].
    pub const OUTCOME: u64 = 0x48;
    /// Nothing but an answer.
    pub const WAIT: u64 = 0;
    /// A load.
    pub const LOAD: u64 = 1;
    /// A store.
    pub const STORE: u64 = 2;
    /// The access was executed.
    pub const DONE: u64 = 1;
    /// The access faulted, and the host sent the program on to [`REFUSED_AT`].
    pub const REFUSED: u64 = 2;
    /// Where in the image a program goes on whose access is refused.
    pub const REFUSED_AT: u64 = 16;
    /// Looks at [`ASKED`] without a change before it offers the CPU to others.
    pub const PATIENCE: u64 = 500;
}
