//! Every step: how it is written, who may take it, what it reads and writes, and the kernel function it stands for.
//!
//! Invariant: a [`Step`](crate::Step) has one row here. Whoever reads text, suggests words or prints the reference page
//! reads the rows.

mod rows;

use std::fmt::Write as _;

pub use rows::STEPS;

/// What a step does; one variant for each row of [`STEPS`], in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verb {
    /// Take a lock.
    Lock,
    /// Take a lock, or go on elsewhere if somebody holds it.
    Trylock,
    /// Release a lock.
    Unlock,
    /// Let all stores reach memory.
    Fence,
    /// Switch interrupts off.
    IrqOff,
    /// Switch them on.
    IrqOn,
    /// Interrupt all others and wait until they have answered.
    IpiSync,
    /// Begin to read under RCU.
    RcuReadLock,
    /// End it.
    RcuReadUnlock,
    /// Wait for a grace period.
    SynchronizeRcu,
    /// Remember an entry.
    PteRead,
    /// Empty an entry.
    PteClear,
    /// Write an entry.
    SetPte,
    /// Change bits of an entry.
    PteModify,
    /// Remember an upper entry.
    PmdRead,
    /// Empty an upper entry.
    PmdClear,
    /// Write an upper entry.
    SetPmd,
    /// Change bits of an upper entry.
    PmdModify,
    /// Flush the CPUs' TLBs.
    FlushTlb,
    /// Invalidate the devices' TLBs.
    Notify,
    /// Invalidate the IOTLBs only.
    IotlbInv,
    /// Invalidate the devices' own TLBs only.
    DevtlbInv,
    /// Flush the CPUs' TLBs of a whole address space.
    FlushTlbMm,
    /// Invalidate the devices' TLBs of a whole address space.
    NotifyMm,
    /// Flush the CPUs' TLBs of everything under an upper entry.
    FlushPmd,
    /// Invalidate the devices' TLBs of everything under an upper entry.
    NotifyPmd,
    /// Go on in another address space.
    Switch,
    /// Flush what the CPUs' TLBs hold under a tag.
    FlushTag,
    /// Write a PASID entry.
    SetPasid,
    /// Write the word of a PASID entry with the present bit.
    SetPasidLow,
    /// Write the other words of a PASID entry.
    SetPasidHigh,
    /// Invalidate the devices' PASID caches.
    PasidInv,
    /// Write a context entry.
    SetContext,
    /// Write the word of a context entry with the present bit.
    SetContextLow,
    /// Write the other word of a context entry.
    SetContextHigh,
    /// Invalidate the devices' context caches.
    ContextInv,
    /// Invalidate the IOTLB entries of a PASID.
    IotlbInvPasid,
    /// Invalidate the device TLB entries of a PASID.
    DevtlbInvPasid,
    /// Wait for what was posted.
    InvWait,
    /// Take a device away.
    Unplug,
    /// Ask for a page, and wait for the response.
    PageRequest,
    /// Answer a request for a page.
    PageResponse,
    /// Wait until no request is open.
    DrainRequests,
    /// Open a range: zap the shadow entry and block its return.
    NotifyStart,
    /// Close the range.
    NotifyEnd,
    /// Offer the new entry to the shadow page table.
    ChangePte,
    /// Empty the shadow entry, and nothing else.
    ZapSpte,
    /// Write the shadow entry.
    SetSpte,
    /// Empty the shadow entry above others.
    ZapSpmd,
    /// Write it.
    SetSpmd,
    /// Flush the vCPUs' TLBs.
    FlushVcpus,
    /// Fill the agent's own TLB.
    Walk,
    /// A CPU or a vCPU reads.
    Load,
    /// A CPU or a vCPU writes.
    Store,
    /// A device reads.
    DmaRead,
    /// A device writes.
    DmaWrite,
    /// Take a reference without a lock.
    GupFast,
    /// The middle of it: take a reference to what the remembered entry maps.
    TryGet,
    /// Take the frame that an entry maps, and no reference to it.
    Peek,
    /// Empty a handle.
    Forget,
    /// Write to a frame, past every translation.
    Write,
    /// Read a frame, past every translation.
    Read,
    /// Copy a frame.
    Copy,
    /// Take a frame that nobody holds.
    Alloc,
    /// Take a reference.
    Get,
    /// Drop a reference.
    Put,
    /// Take a reference that also pins.
    Pin,
    /// Drop such a one.
    Unpin,
    /// Count an entry that maps a frame.
    Map,
    /// Uncount it.
    Unmap,
    /// Free a frame, whoever holds it.
    Free,
    /// Make it a KSM page.
    MarkStable,
}

/// Who may take a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Actor {
    /// Every agent.
    Anybody,
    /// Kernel code: an agent that is not a device.
    Kernel,
    /// An agent that runs on a CPU, or a vCPU.
    Cpu,
    /// A device.
    Device,
    /// Who has a TLB: a CPU, a vCPU or a device.
    Translating,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it does.
    pub verb: Verb,
    /// How it is written: its name, signs, and places in capitals; what stands in brackets may be left out.
    pub form: &'static str,
    /// Who may take it.
    pub actor: Actor,
    /// What it reads.
    pub reads: &'static str,
    /// What it writes.
    pub writes: &'static str,
    /// The kernel function, or the hardware, that does it.
    pub kernel: &'static str,
}

/// Names that stand for several steps; one variant for each row of [`OPERATIONS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OperationVerb {
    /// Empty an entry and flush the CPUs.
    PtepClearFlush,
    /// And tell the devices.
    PtepClearFlushNotify,
    /// Break the sharing of a page.
    WpPageCopy,
    /// Share a page with one of the same content.
    KsmMerge,
    /// Make a page one that can be shared.
    KsmStabilize,
}

/// An operation.
#[derive(Clone, Copy, Debug)]
pub struct OperationRow {
    /// Which.
    pub verb: OperationVerb,
    /// How it is written, as the form of a step.
    pub form: &'static str,
    /// What it stands for.
    pub steps: &'static str,
}

/// All operations, in the order of the reference page.
pub const OPERATIONS: &[OperationRow] = &[
    OperationRow {
        verb: OperationVerb::PtepClearFlush,
        form: "ptep_clear_flush PAGE",
        steps: "pte_clear, flush_tlb",
    },
    OperationRow {
        verb: OperationVerb::PtepClearFlushNotify,
        form: "ptep_clear_flush_notify PAGE",
        steps: "pte_clear, flush_tlb, notify",
    },
    OperationRow {
        verb: OperationVerb::WpPageCopy,
        form: "wp_page_copy [ORDER] PAGE FRAME -> FRAME",
        steps: "the program of mm/memory.c, in the named order",
    },
    OperationRow {
        verb: OperationVerb::KsmMerge,
        form: "ksm_merge [ORDER] PAGE FRAME -> FRAME",
        steps: "the program of mm/ksm.c, in the named order",
    },
    OperationRow {
        verb: OperationVerb::KsmStabilize,
        form: "ksm_stabilize PAGE FRAME",
        steps: "the first half of ksm_merge",
    },
];

/// What a condition can look at, with what it finds.
pub const LOOKS: &[(&str, &str)] = &[
    ("pte(PAGE)", "the page-table entry"),
    ("spte(PAGE)", "the shadow entry"),
    ("spmd(PMD)", "the shadow entry above those of the pages under an upper entry"),
    ("tlb(CPU, PAGE)", "what a CPU's TLB holds"),
    ("iotlb(DEVICE, PAGE)", "what a device's IOTLB holds"),
    ("devtlb(DEVICE, PAGE)", "what a device's own TLB holds"),
    ("tlb(CPU, PAGE, TAG)", "what it holds under that tag"),
    ("loaded_mm(CPU)", "the address space that a CPU with tags runs in"),
    ("vtlb(VCPU, PAGE)", "what a vCPU's TLB holds"),
    ("requested(PAGE)", "whether a device waits for a response for the page"),
    ("pasid(PASID)", "the address space that a PASID's entry names"),
    ("torn(DEVICE)", "whether a device has read a PASID entry of which only a half was written"),
    ("pasidc(DEVICE)", "what a device has cached of its PASID's entry"),
    ("context(CONTEXT)", "the address space that a context entry names"),
    ("contextc(DEVICE)", "what a device's unit has cached of its context entry"),
    ("gone(DEVICE)", "whether a device was unplugged"),
    ("in_progress(PAGE)", "the ranges that are open over the page"),
    ("orig(PAGE)", "the entry that the agent last saw or wrote"),
    ("pte_same PAGE", "whether the entry is still that one"),
    ("pmd(PMD)", "an upper entry"),
    ("pmd_same PMD", "whether it is still the one that the agent last saw or wrote"),
    ("pwc(CPU, PMD)", "what a CPU's or a device's paging-structure cache holds"),
    ("content(FRAME)", "what a frame holds"),
    ("refs(FRAME)", "the references to a frame"),
    ("mapcount(FRAME)", "the entries counted as mapping it"),
    ("pins(FRAME)", "the references that pin it"),
    ("stable(FRAME)", "whether it is a KSM page"),
];

/// Looks that compare with what the agent remembers, and need no parentheses.
pub const SAME: &[&str] = &["pte_same", "pmd_same"];

impl Row {
    /// The word it begins with.
    #[must_use]
    pub fn name(&self) -> &'static str {
        first_word(self.form)
    }
}

impl OperationRow {
    /// The word it begins with.
    #[must_use]
    pub fn name(&self) -> &'static str {
        first_word(self.form)
    }
}

fn first_word(form: &'static str) -> &'static str {
    form.split_once(' ').map_or(form, |(word, _)| word)
}

/// A verb is its row: they stand in one order, and none is left out.
const _: () = {
    assert!(STEPS.len() == Verb::MarkStable as usize + 1, "a verb has no row");
    let mut row = 0;
    while row < STEPS.len() {
        assert!(STEPS[row].verb as usize == row, "the rows stand in the order of the verbs");
        row += 1;
    }
};

impl Verb {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &STEPS[self as usize]
    }

    /// The word it is written with.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name()
    }
}

/// The row of the step that begins with `word`.
#[must_use]
pub fn find(word: &str) -> Option<&'static Row> {
    STEPS.iter().find(|entry| entry.name() == word)
}

/// The row of the operation that begins with `word`.
#[must_use]
pub fn find_operation(word: &str) -> Option<&'static OperationRow> {
    OPERATIONS.iter().find(|entry| entry.name() == word)
}

/// Every word that a statement may begin with.
#[must_use]
pub fn words() -> Vec<&'static str> {
    let operations = OPERATIONS.iter().map(OperationRow::name);
    let control = ["repeat", "if", "when", "goto", "check", "atomic", "end"];
    STEPS.iter().map(Row::name).chain(operations).chain(control).collect()
}

/// The steps as a table in Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| step | who | reads | writes | kernel |\n|---|---|---|---|---|\n");
    for entry in STEPS {
        let cell = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let (reads, writes) = (cell(entry.reads), cell(entry.writes));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {reads} | {writes} | {} |",
            entry.form,
            entry.actor.name(),
            entry.kernel
        );
    }
    text
}

impl Actor {
    /// As the reference page says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::Kernel => "kernel",
            Self::Cpu => "CPU, vCPU",
            Self::Device => "device",
            Self::Translating => "CPU, vCPU, device",
        }
    }
}
