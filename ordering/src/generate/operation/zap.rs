//! MADV_DONTNEED: the entry is cleared and the frame freed. The rows and users are those of the catalogue's
//! `zap/madv-dontneed.scn`, with the range around them and a vCPU.
//!
//! Invariant: the page table's lock is held while the entry is cleared, and no user takes it.
//! Source: mm/memory.c `zap_page_range_single`; Andrea Arcangeli, 2017-08-30, the fifth of five cases.

use super::types::{Operation, Party, Piece, Place, User};

const FREED: &[&str] = &["never use of a freed frame"];

pub(super) static ZAP: Operation = Operation {
    name: "zap",
    about: "the entry is cleared and the frame freed: nobody uses the frame after that",
    source: "mm/memory.c zap_page_range_single; Andrea Arcangeli, 2017-08-30, the fifth of five cases",
    world: "page    A\nframe   old = 5\nmap     A -> old rw\n",
    program: "  notify_start A\n  lock ptl(A)\n  pte_clear A\n  unlock ptl(A)\n  flush_tlb A\n  notify A\n  notify_end A\n  put old\n",
    pieces: &[
        Piece::Step { name: "start", row: "notify_start A", optional: true },
        Piece::Frame(Place::Before(&["clear"]), 1),
        Piece::Step { name: "clear", row: "pte_clear A", optional: false },
        Piece::Frame(Place::Behind(&["clear"]), 1),
        Piece::Step { name: "flush", row: "flush_tlb A", optional: true },
        Piece::Step { name: "notify", row: "notify A", optional: true },
        Piece::Step { name: "end", row: "notify_end A", optional: true },
        Piece::Step { name: "put", row: "put old", optional: false },
    ],
    before: &[("start", "end")],
    needs: &[("end", "start")],
    others: "",
    never: FREED,
    parties: &[
        Party {
            user: User::Cpu,
            declares: "cpu     T1",
            program: "agent T1 spontaneous\n  repeat 0..2: load A | store A = 6\n",
            never: &[],
            reaches: "never T1 writes A",
        },
        Party {
            user: User::Vcpu,
            declares: "vcpu    V0",
            program: "agent V0 spontaneous\n  repeat 0..2: load A | store A = 6\n",
            never: &[],
            reaches: "never V0 writes A",
        },
        Party {
            user: User::Device,
            declares: "device  DEV",
            program: "agent DEV\n  repeat 0..2: dma_read A | dma_write A = 7\n",
            never: &[],
            reaches: "never DEV writes A",
        },
        Party {
            user: User::Ats,
            declares: "device  ATS ats",
            program: "agent ATS\n  repeat 0..2: dma_read A | dma_write A = 7\n",
            never: &[],
            reaches: "never ATS writes A",
        },
    ],
};
