//! mremap: an entry is moved from A to B, while somebody else zaps what he finds at B. The rows and the users are those of
//! the catalogue's `zap/mremap.scn`, with the range around them, the secondaries and their users.
//!
//! Invariant: an entry is written under its lock. Whoever frees the frame at B tells everybody about B, and nobody about A.
//! Source: mm/mremap.c `move_ptes`; CVE-2018-18281, commit eb66ae030829.

use super::types::{Operation, Party, Piece, Place, User};

pub(super) static MREMAP: Operation = Operation {
    name: "mremap",
    about: "an entry is moved from A to B: nobody uses the frame at A after it was freed at B",
    source: "mm/mremap.c move_ptes; CVE-2018-18281; commit eb66ae030829",
    world: "page    A, B\nframe   f = 5\nmap     A -> f rw\nrefs    f = 1\n",
    program: "  notify_start A\n  lock ptl(A)\n  lock ptl(B)\n  pte_clear A\n  set_pte B -> f rw\n  flush_tlb A\n  notify A\n  \
              unlock ptl(B)\n  unlock ptl(A)\n  notify_end A\n",
    pieces: &[
        Piece::Step { name: "start", row: "notify_start A", optional: true },
        Piece::Frame(Place::Before(&["clear"]), 2),
        Piece::Step { name: "clear", row: "pte_clear A", optional: false },
        Piece::Step { name: "set", row: "set_pte B -> f rw", optional: false },
        Piece::Step { name: "flush", row: "flush_tlb A", optional: true },
        Piece::Step { name: "notify", row: "notify A", optional: true },
        Piece::Step { name: "unlock-new", row: "unlock ptl(B)", optional: false },
        Piece::Step { name: "unlock-old", row: "unlock ptl(A)", optional: false },
        Piece::Step { name: "end", row: "notify_end A", optional: true },
    ],
    before: &[("start", "end"), ("clear", "set"), ("set", "unlock-new"), ("clear", "unlock-old")],
    needs: &[("end", "start")],
    others: "agent zap\n  lock ptl(B)\n  if pte(B) == none: goto out\n  pte_clear B\n  flush_tlb B\n  notify B\n  put f\nout:\n  \
             unlock ptl(B)\n",
    never: &["never use of a freed frame"],
    parties: &[
        Party {
            user: User::Cpu,
            declares: "cpu     T2",
            program: "agent T2 spontaneous\n  store A = 1\n",
            never: &[],
            reaches: "never T2 writes A",
        },
        Party {
            user: User::Vcpu,
            declares: "vcpu    V0",
            program: "agent V0 spontaneous\n  store A = 1\n",
            never: &[],
            reaches: "never V0 writes A",
        },
        Party {
            user: User::Device,
            declares: "device  DEV",
            program: "agent DEV\n  dma_write A = 1\n",
            never: &[],
            reaches: "never DEV writes A",
        },
        Party {
            user: User::Ats,
            declares: "device  ATS ats",
            program: "agent ATS\n  dma_write A = 1\n",
            never: &[],
            reaches: "never ATS writes A",
        },
    ],
};
