//! Every step: how it is written, who may take it, what it reads and writes, and the kernel function it stands for.
//!
//! Invariant: this table is the only list of steps. The parser, the suggestions, the lowering and `docs/language.md`
//! read it. A step of [`mmu::step::Step`] has here the name it is printed with.

use std::fmt::Write as _;

/// What a step does; one variant for each row of [`STEPS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
    /// Write a PASID entry.
    SetPasid,
    /// Invalidate the devices' PASID caches.
    PasidInv,
    /// Invalidate the IOTLB entries of a PASID.
    IotlbInvPasid,
    /// Invalidate the device TLB entries of a PASID.
    DevtlbInvPasid,
    /// Wait for what was posted.
    InvWait,
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
pub struct Entry {
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

const fn step(
    verb: Verb,
    form: &'static str,
    actor: Actor,
    [reads, writes]: [&'static str; 2],
    kernel: &'static str,
) -> Entry {
    Entry { verb, form, actor, reads, writes, kernel }
}

/// All steps, in the order of the reference page.
pub const STEPS: &[Entry] = &[
    step(
        Verb::Lock,
        "lock LOCK [shared]",
        Actor::Kernel,
        ["lock", "lock"],
        "pte_offset_map_lock, folio_lock, mmap_read_lock",
    ),
    step(
        Verb::Trylock,
        "trylock LOCK [shared] else LABEL",
        Actor::Kernel,
        ["lock", "lock"],
        "folio_trylock, mmap_read_trylock",
    ),
    step(Verb::Unlock, "unlock LOCK", Actor::Kernel, ["lock", "lock"], "pte_unmap_unlock, folio_unlock"),
    step(Verb::Fence, "fence", Actor::Kernel, ["own store buffer", ""], "smp_mb"),
    step(Verb::IrqOff, "irq_off", Actor::Kernel, ["", "own interrupts"], "local_irq_save"),
    step(Verb::IrqOn, "irq_on", Actor::Kernel, ["", "own interrupts"], "local_irq_restore"),
    step(Verb::IpiSync, "ipi_sync", Actor::Kernel, ["all interrupts", ""], "tlb_remove_table_sync_one"),
    step(Verb::RcuReadLock, "rcu_read_lock", Actor::Kernel, ["", "own read side"], "rcu_read_lock"),
    step(Verb::RcuReadUnlock, "rcu_read_unlock", Actor::Kernel, ["", "own read side"], "rcu_read_unlock"),
    step(
        Verb::SynchronizeRcu,
        "synchronize_rcu",
        Actor::Kernel,
        ["all read sides, all interrupts", ""],
        "synchronize_rcu, call_rcu of what follows",
    ),
    step(Verb::PteRead, "pte_read PAGE", Actor::Kernel, ["pte", "orig"], "ptep_get"),
    step(Verb::PteClear, "pte_clear PAGE", Actor::Kernel, ["pte", "pte, orig"], "ptep_get_and_clear"),
    step(Verb::SetPte, "set_pte PAGE -> ENTRY", Actor::Kernel, ["orig, handle", "pte, orig"], "set_pte_at"),
    step(
        Verb::PteModify,
        "pte_modify PAGE BITS",
        Actor::Kernel,
        ["pte", "pte, orig"],
        "ptep_modify_prot_start, ptep_modify_prot_commit",
    ),
    step(Verb::FlushTlb, "flush_tlb PAGE [post]", Actor::Kernel, ["", "tlb of every CPU"], "flush_tlb_page"),
    step(
        Verb::Notify,
        "notify PAGE [post]",
        Actor::Kernel,
        ["", "iotlb, devtlb of every device"],
        "mmu_notifier_arch_invalidate_secondary_tlbs",
    ),
    step(
        Verb::IotlbInv,
        "iotlb_inv PAGE [post]",
        Actor::Kernel,
        ["", "iotlb of every device"],
        "qi_desc_piotlb, arm_smmu_cmdq_issue_cmd of a TLBI",
    ),
    step(
        Verb::DevtlbInv,
        "devtlb_inv PAGE [post]",
        Actor::Kernel,
        ["", "devtlb of every device"],
        "qi_desc_dev_iotlb, arm_smmu_atc_inv_master",
    ),
    step(Verb::FlushTlbMm, "flush_tlb_mm MM [post]", Actor::Kernel, ["", "tlb of every CPU"], "flush_tlb_mm"),
    step(
        Verb::NotifyMm,
        "notify_mm MM [post]",
        Actor::Kernel,
        ["", "iotlb, devtlb of every device"],
        "mmu_notifier_arch_invalidate_secondary_tlbs of everything",
    ),
    step(
        Verb::SetPasid,
        "set_pasid PASID -> MM",
        Actor::Kernel,
        ["", "pasid"],
        "intel_pasid_setup_first_level, intel_pasid_tear_down_entry",
    ),
    step(
        Verb::PasidInv,
        "pasid_inv PASID [post]",
        Actor::Kernel,
        ["", "pasidc of its devices"],
        "pasid_cache_invalidation_with_pasid",
    ),
    step(
        Verb::IotlbInvPasid,
        "iotlb_inv_pasid PASID [post]",
        Actor::Kernel,
        ["", "iotlb of its devices"],
        "qi_flush_piotlb",
    ),
    step(
        Verb::DevtlbInvPasid,
        "devtlb_inv_pasid PASID [post]",
        Actor::Kernel,
        ["", "devtlb of its devices"],
        "qi_flush_dev_iotlb_pasid",
    ),
    step(Verb::InvWait, "inv_wait", Actor::Kernel, ["queue", ""], "qi_submit_sync, CMD_SYNC, dsb(ish)"),
    step(
        Verb::PageRequest,
        "page_request PAGE",
        Actor::Device,
        ["requested, pasid", "requested"],
        "a page request of a device",
    ),
    step(
        Verb::PageResponse,
        "page_response PAGE",
        Actor::Kernel,
        ["requested", "requested"],
        "iopf_group_response, intel_iommu_page_response",
    ),
    step(
        Verb::DrainRequests,
        "drain_requests",
        Actor::Kernel,
        ["requested", ""],
        "intel_iommu_drain_pasid_prq, iopf_queue_flush_dev",
    ),
    step(
        Verb::NotifyStart,
        "notify_start PAGE",
        Actor::Kernel,
        ["", "spte, in_progress"],
        "mmu_notifier_invalidate_range_start",
    ),
    step(
        Verb::NotifyEnd,
        "notify_end PAGE",
        Actor::Kernel,
        ["in_progress", "in_progress"],
        "mmu_notifier_invalidate_range_end",
    ),
    step(
        Verb::ChangePte,
        "change_pte PAGE",
        Actor::Kernel,
        ["spte, orig", "spte"],
        "mmu_notifier_change_pte (until 6.9)",
    ),
    step(
        Verb::ZapSpte,
        "zap_spte PAGE",
        Actor::Kernel,
        ["", "spte"],
        "kvm_unmap_gfn_range, without its flush",
    ),
    step(
        Verb::SetSpte,
        "set_spte PAGE -> ENTRY",
        Actor::Kernel,
        ["orig, handle", "spte"],
        "mmu_set_spte, kvm_tdp_mmu_map",
    ),
    step(
        Verb::FlushVcpus,
        "flush_vcpus PAGE [post]",
        Actor::Kernel,
        ["", "vtlb of every vCPU"],
        "kvm_flush_remote_tlbs",
    ),
    step(
        Verb::Walk,
        "walk PAGE",
        Actor::Translating,
        ["pte, own TLB, in_progress", "own TLB"],
        "page walk of the hardware, kvm_tdp_page_fault",
    ),
    step(Verb::Load, "load PAGE", Actor::Cpu, ["own TLB, pte, content", "own TLB"], "an instruction"),
    step(
        Verb::Store,
        "store PAGE = VALUE",
        Actor::Cpu,
        ["own TLB, pte", "own TLB, content"],
        "an instruction",
    ),
    step(Verb::DmaRead, "dma_read PAGE", Actor::Device, ["iotlb, pte, content", "iotlb"], "DMA of a device"),
    step(
        Verb::DmaWrite,
        "dma_write PAGE = VALUE",
        Actor::Device,
        ["iotlb, pte", "iotlb, content"],
        "DMA of a device",
    ),
    step(
        Verb::GupFast,
        "gup_fast PAGE [write] [pin] => HANDLE",
        Actor::Kernel,
        ["pte, refs", "orig, refs, pins, handle"],
        "gup_fast_pte_range: read, try_grab_folio_fast, re-check",
    ),
    step(
        Verb::TryGet,
        "try_get PAGE [write] [pin] => HANDLE",
        Actor::Kernel,
        ["orig, refs", "refs, pins, handle"],
        "try_grab_folio_fast of what orig maps",
    ),
    step(Verb::Write, "write FRAME = VALUE", Actor::Kernel, ["", "content"], "kmap_local_folio, O_DIRECT"),
    step(Verb::Read, "read FRAME", Actor::Kernel, ["content", ""], "kmap_local_folio, O_DIRECT"),
    step(Verb::Copy, "copy FRAME -> FRAME", Actor::Kernel, ["content", "content"], "copy_user_highpage"),
    step(Verb::Alloc, "alloc FRAME", Actor::Kernel, ["refs", "refs"], "folio_alloc"),
    step(Verb::Get, "get FRAME", Actor::Kernel, ["refs", "refs"], "folio_get"),
    step(Verb::Put, "put FRAME", Actor::Kernel, ["refs", "refs"], "folio_put"),
    step(Verb::Pin, "pin FRAME", Actor::Kernel, ["refs, pins", "refs, pins"], "try_grab_folio with FOLL_PIN"),
    step(Verb::Unpin, "unpin FRAME", Actor::Kernel, ["refs, pins", "refs, pins"], "unpin_user_page"),
    step(
        Verb::Map,
        "map FRAME",
        Actor::Kernel,
        ["refs, mapcount", "refs, mapcount"],
        "folio_add_anon_rmap_pte",
    ),
    step(
        Verb::Unmap,
        "unmap FRAME",
        Actor::Kernel,
        ["refs, mapcount", "refs, mapcount"],
        "folio_remove_rmap_pte, folio_put",
    ),
    step(Verb::Free, "free FRAME", Actor::Kernel, ["refs", "refs"], "__free_pages, whoever holds it"),
    step(Verb::MarkStable, "mark_stable FRAME", Actor::Kernel, ["", "stable"], "folio_set_stable_node"),
];

/// Names that stand for several steps, with them.
pub const OPERATIONS: &[(&str, &str)] = &[
    ("ptep_clear_flush PAGE", "pte_clear, flush_tlb"),
    ("ptep_clear_flush_notify PAGE", "pte_clear, flush_tlb, notify"),
    ("wp_page_copy [ORDER] PAGE FRAME -> FRAME", "the program of mm/memory.c, in the named order"),
    ("ksm_merge [ORDER] PAGE FRAME -> FRAME", "the program of mm/ksm.c, in the named order"),
    ("ksm_stabilize PAGE FRAME", "the first half of ksm_merge"),
];

/// What a condition can look at, with what it finds.
pub const LOOKS: &[(&str, &str)] = &[
    ("pte(PAGE)", "the page-table entry"),
    ("spte(PAGE)", "the shadow entry"),
    ("tlb(CPU, PAGE)", "what a CPU's TLB holds"),
    ("iotlb(DEVICE, PAGE)", "what a device's IOTLB holds"),
    ("devtlb(DEVICE, PAGE)", "what a device's own TLB holds"),
    ("vtlb(VCPU, PAGE)", "what a vCPU's TLB holds"),
    ("requested(PAGE)", "whether a device waits for a response for the page"),
    ("pasid(PASID)", "the address space that a PASID's entry names"),
    ("pasidc(DEVICE)", "what a device has cached of its PASID's entry"),
    ("in_progress(PAGE)", "the ranges that are open over the page"),
    ("orig(PAGE)", "the entry that the agent last saw or wrote"),
    ("pte_same PAGE", "whether the entry is still that one"),
    ("content(FRAME)", "what a frame holds"),
    ("refs(FRAME)", "the references to a frame"),
    ("mapcount(FRAME)", "the entries counted as mapping it"),
    ("pins(FRAME)", "the references that pin it"),
    ("stable(FRAME)", "whether it is a KSM page"),
];

impl Entry {
    /// The word it begins with.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.form.split(' ').next().unwrap_or(self.form)
    }
}

impl Verb {
    /// Its row.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        // The first row stands in for one that is missing; a test counts them.
        STEPS.iter().find(|entry| entry.verb == self).unwrap_or(&STEPS[0])
    }

    /// The word it is written with.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name()
    }
}

/// The row of the step that begins with `word`.
#[must_use]
pub fn find(word: &str) -> Option<&'static Entry> {
    STEPS.iter().find(|entry| entry.name() == word)
}

/// The form of the operation that begins with `word`.
#[must_use]
pub fn find_operation(word: &str) -> Option<&'static str> {
    OPERATIONS.iter().map(|(form, _)| *form).find(|form| form.split(' ').next() == Some(word))
}

/// Every word that a statement may begin with.
#[must_use]
pub fn words() -> Vec<&'static str> {
    let operations = OPERATIONS.iter().filter_map(|(form, _)| form.split(' ').next());
    let control = ["repeat", "if", "when", "goto", "check", "atomic", "end"];
    STEPS.iter().map(Entry::name).chain(operations).chain(control).collect()
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
