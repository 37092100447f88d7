//! Merging with KSM: the program is `ksm_merge` as the live machine runs it, the users are those of the catalogue's
//! `ksm/orders-of-merge.scn`, and a vCPU.
//!
//! Invariant: the compare has a way out that undoes nothing, so it stands between the two ranges. Each lock is held from the
//! first write of the entry to the last of its half.
//! Source: mm/ksm.c `write_protect_page`, `pages_identical`, `replace_page`.

use super::types::{Operation, Party, Piece, Place, User};

pub(super) static KSM: Operation = Operation {
    name: "ksm",
    about: "a page is write-protected, compared and replaced by one of the same bytes: nothing that was stored is lost",
    source: "mm/ksm.c write_protect_page, replace_page",
    world: "page    A\nframe   anon = 7, ksm = 7\nmap     A -> anon rw\n",
    program: "  ksm_merge A anon -> ksm\n",
    pieces: &[
        Piece::Frame(Place::Front, 2),
        Piece::Step { name: "start", row: "notify_start A", optional: true },
        Piece::Frame(Place::Before(&["clear", "protect"]), 2),
        Piece::Step { name: "clear", row: "pte_clear A", optional: true },
        Piece::Step { name: "flush", row: "flush_tlb A", optional: true },
        Piece::Step { name: "notify", row: "notify A", optional: true },
        Piece::Frame(Place::Before(&["protect"]), 1),
        Piece::Step { name: "protect", row: "set_pte A -> anon ro", optional: false },
        Piece::Frame(Place::Behind(&["protect"]), 1),
        Piece::Step { name: "end", row: "notify_end A", optional: true },
        Piece::Step { name: "compare", row: "check content(anon) == content(ksm) else out", optional: false },
        Piece::Step { name: "start2", row: "notify_start A", optional: true },
        Piece::Frame(Place::Before(&["clear2", "set2"]), 2),
        Piece::Step { name: "clear2", row: "pte_clear A", optional: true },
        Piece::Step { name: "flush2", row: "flush_tlb A", optional: true },
        Piece::Step { name: "notify2", row: "notify A", optional: true },
        Piece::Frame(Place::Before(&["set2"]), 1),
        Piece::Step { name: "set2", row: "set_pte A -> ksm ro", optional: false },
        Piece::Frame(Place::Behind(&["set2"]), 3),
        Piece::Step { name: "end2", row: "notify_end A", optional: true },
        Piece::Frame(Place::Behind(&["set2", "end2"]), 2),
        Piece::Step { name: "put", row: "put anon", optional: false },
        Piece::Frame(Place::Back, 2),
    ],
    before: &[
        ("start", "end"),
        ("clear", "protect"),
        ("end", "compare"),
        ("protect", "compare"),
        ("compare", "start2"),
        ("compare", "clear2"),
        ("compare", "set2"),
        ("start2", "end2"),
        ("clear2", "set2"),
    ],
    needs: &[("end", "start"), ("end2", "start2")],
    others: "",
    never: &["never use of a freed frame", "always content(ksm) == 7"],
    parties: &[
        Party {
            user: User::Cpu,
            declares: "cpu     T0",
            program: "agent T0 spontaneous\n  repeat 0..2: store A = 8 | load A\n",
            never: &["never reads A == 7 after T0 writes A"],
            reaches: "never T0 reads A after mm set_pte A -> ksm",
        },
        Party {
            user: User::Vcpu,
            declares: "vcpu    V0",
            program: "agent V0 spontaneous\n  repeat 0..2: store A = 8 | load A\n",
            never: &["never reads A == 7 after V0 writes A"],
            reaches: "never V0 reads A after mm set_pte A -> ksm",
        },
        Party {
            user: User::Device,
            declares: "device  DEV",
            program: "agent DEV\n  repeat 0..2: dma_write A = 9 | dma_read A\n",
            never: &["never reads A == 7 after DEV writes A"],
            reaches: "never DEV reads A after mm set_pte A -> ksm",
        },
        Party {
            user: User::Ats,
            declares: "device  ATS ats",
            program: "agent ATS\n  repeat 0..2: dma_write A = 9 | dma_read A\n",
            never: &["never reads A == 7 after ATS writes A"],
            reaches: "never ATS reads A after mm set_pte A -> ksm",
        },
    ],
};
