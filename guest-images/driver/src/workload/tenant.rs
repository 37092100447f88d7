//! Who uses the devices: two drivers and three processes, with addresses and pages of their own.
//!
//! Invariant: what a machine does not offer is not used: no process where devices name none, no device TLB where there is
//! none. A page that was given back belongs to somebody else until all others were, and nobody maps it meanwhile.

use crate::driver::Driver;
use crate::entry::{DeviceTlb, Levels};
use crate::id::{Domain, Iova, Pasid};
use crate::memory::{Frame, LARGE_BYTES};
use crate::space::{Kind, Space};

/// Tenants at most.
pub(super) const MOST: usize = 5;
const FRAMES: usize = 4;
/// Where their pages are, as the devices name them: apart, with tables of leaves of their own.
const FIRST: u64 = 0x1_0000_0000;
const STRIDE: u64 = 0x4000_0000;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenant {
    /// Its tables.
    pub(super) space: Space,
    /// Where its page is.
    pub(super) at: Iova,
    frames: [Frame; FRAMES],
    own: usize,
    /// Where its large page is.
    pub(super) large_at: Iova,
    /// Its first frame.
    pub(super) large: Frame,
}

/// Who is there: on the first engine without device TLB, on the second with it. Two processes share a domain.
pub(super) fn tenants(driver: &mut Driver) -> [Option<Tenant>; MOST] {
    let (second, first) = (Kind::Second(Levels::Four), Kind::First(Levels::Four));
    let device_tlb = if driver.has_device_tlbs() { DeviceTlb::On } else { DeviceTlb::Off };
    let all = [
        (0, second, Domain(0x10), None, DeviceTlb::Off),
        (1, second, Domain(0x20), None, device_tlb),
        (1, first, Domain(0x30), Some(Pasid(1)), device_tlb),
        (1, first, Domain(0x30), Some(Pasid(2)), device_tlb),
        (0, first, Domain(0x40), Some(Pasid(3)), DeviceTlb::Off),
    ];
    // At once, because each begins at a multiple of its length.
    let mut large = [(); MOST].map(|()| driver.memory.large_page()).into_iter();
    let mut at = FIRST;
    all.map(|(engine, kind, domain, pasid, device_tlb)| {
        if pasid.is_some() && !driver.has_pasids() {
            return None;
        }
        let source = driver.source(engine);
        let space = Space::new(&mut driver.memory, kind, source, domain, pasid).with(device_tlb);
        driver.attach(&space);
        at += STRIDE;
        let frames = core::array::from_fn(|_| driver.memory.frame());
        let large_at = Iova(at + LARGE_BYTES);
        Some(Tenant { space, at: Iova(at), frames, own: 0, large_at, large: large.next()? })
    })
}

impl Tenant {
    /// The page that it has.
    pub(super) const fn own(&self) -> Frame {
        self.frames[self.own]
    }

    /// A domain that it has in turn with its own, and nobody else.
    pub(super) const fn other_domain(&self) -> Domain {
        Domain(self.space.domain.0 ^ 0x100)
    }

    /// Gives its page to somebody else, and takes another.
    pub(super) const fn give_back(&mut self) -> Frame {
        self.own = (self.own + 1) % FRAMES;
        self.own()
    }
}
