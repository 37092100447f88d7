//! Breaking COW: the program is `wp_page_copy` as the live machine runs it, the users are those of the catalogue's
//! `cow/orders-of-wp-page-copy.scn`.
//!
//! Invariant: the lock is held from the first write of the entry to the last; no user takes it. The writer's TLB is empty
//! at the start, so it is never stale itself.
//! Source: mm/memory.c `wp_page_copy`; Documentation/mm/mmu_notifier.rst, case B.

use super::types::{Operation, Party, Piece, Place, User};

pub(super) static COW: Operation = Operation {
    name: "cow",
    about: "a store to a shared page gets a copy of its own: nobody reads the old page after somebody stored to the new one",
    source: "mm/memory.c wp_page_copy; Documentation/mm/mmu_notifier.rst, case B",
    world: "page    A\nframe   old = 0, new = 9 free\nmap     A -> old ro\nrefs    old = 2\ncpu     T0\n",
    program: "  wp_page_copy A old -> new\n",
    pieces: &[
        Piece::Frame(Place::Front, 3),
        Piece::Step { name: "start", row: "notify_start A", optional: true },
        Piece::Frame(Place::Before(&["clear", "set"]), 2),
        Piece::Step { name: "clear", row: "pte_clear A", optional: true },
        Piece::Step { name: "flush", row: "flush_tlb A", optional: true },
        Piece::Step { name: "notify", row: "notify A", optional: true },
        Piece::Frame(Place::Before(&["set"]), 1),
        Piece::Step { name: "set", row: "set_pte A -> new rw", optional: false },
        Piece::Frame(Place::Behind(&["set"]), 1),
        Piece::Frame(Place::Behind(&["clear", "set"]), 2),
        Piece::Step { name: "end", row: "notify_end A", optional: true },
        Piece::Frame(Place::Back, 3),
    ],
    before: &[("start", "end"), ("clear", "set")],
    needs: &[("end", "start")],
    others: "agent T0\n  store A = 1\n",
    never: &["never reads A == 9"],
    parties: &[
        Party {
            user: User::Cpu,
            declares: "cpu     T1",
            program: "agent T1\n  repeat 0..2: load A\n",
            never: &["never T1 reads A == 0 after T0 writes A"],
            reaches: "never T1 reads A == 1",
        },
        Party {
            user: User::Vcpu,
            declares: "vcpu    V0",
            program: "agent V0 spontaneous\n  repeat 0..2: load A\n",
            never: &["never V0 reads A == 0 after T0 writes A"],
            reaches: "never V0 reads A == 1",
        },
        Party {
            user: User::Device,
            declares: "device  DEV",
            program: "agent DEV\n  repeat 0..2: dma_read A\n",
            never: &["never DEV reads A == 0 after T0 writes A"],
            reaches: "never DEV reads A == 1",
        },
        Party {
            user: User::Ats,
            declares: "device  ATS ats",
            program: "agent ATS\n  repeat 0..2: dma_read A\n",
            never: &["never ATS reads A == 0 after T0 writes A"],
            reaches: "never ATS reads A == 1",
        },
    ],
};
