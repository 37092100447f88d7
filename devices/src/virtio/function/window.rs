//! The window to a BAR in configuration space, for firmware that cannot map the BAR (VIRTIO_PCI_CAP_PCI_CFG).
//!
//! Invariant: it leads to what the other vendor capabilities name, by aligned accesses of 1, 2 or 4 bytes, and to nothing else of
//! a BAR. One that leads nowhere reads as all ones and takes nothing. Source: VIRTIO 1.2, 4.1.4.9.

use super::{Part, VENDOR_CAPABILITY};
use crate::bus::Width;
use crate::pci::ConfigSpace;
use crate::pci::capability::Capability;

const LEN_BYTES: u8 = 20;
/// Offsets in a vendor capability: its length and type, its BAR, where in that and how long, and the window's data.
const LENGTH_AND_TYPE: u16 = 2;
const BAR: u16 = 4;
const OFFSET: u16 = 8;
const LENGTH: u16 = 12;
const DATA: u16 = 16;
const DATA_BYTES: u16 = 4;

/// Where an access of the window's data leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    /// Where the data stands in configuration space.
    pub(super) data: u16,
    /// Which BAR's bytes it stands for, if it does.
    pub(super) target: Option<Target>,
}

/// Bytes of a BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) bar: u8,
    pub(super) offset: u32,
    pub(super) width: Width,
}

/// The window, which leads nowhere yet.
pub(super) fn capability() -> Capability {
    Capability::new(VENDOR_CAPABILITY, LEN_BYTES.into())
        .constant(LENGTH_AND_TYPE, [LEN_BYTES, Part::Window as u8])
        .writable_at(BAR, [0xff])
        .writable_at(OFFSET, [0xff; 12])
}

impl View {
    /// That of an access of configuration space; none if it is not the window's data that is accessed.
    pub(super) fn of(config: &ConfigSpace, offset: u16, width: Width) -> Option<Self> {
        let window = config.all(VENDOR_CAPABILITY).find(|at| kind(config, *at) == Part::Window as u8)?;
        let data = window + DATA;
        let touches = offset < data + DATA_BYTES && data < offset.saturating_add(width.bytes().into());
        touches.then(|| Self { data, target: Target::of(config, window) })
    }
}

impl Target {
    fn of(config: &ConfigSpace, window: u16) -> Option<Self> {
        let [bar, _] = config.get16(window + BAR).to_le_bytes();
        let (offset, len_bytes) = (config.get32(window + OFFSET), config.get32(window + LENGTH));
        let width = Width::of(usize::try_from(len_bytes).ok()?).filter(|width| *width != Width::Qword)?;
        let end = offset.checked_add(len_bytes)?;
        let is_named = config.all(VENDOR_CAPABILITY).filter(|at| *at != window).any(|at| {
            let [named, _] = config.get16(at + BAR).to_le_bytes();
            let (start, len_bytes) = (config.get32(at + OFFSET), config.get32(at + LENGTH));
            bar == named && offset >= start && end - start <= len_bytes
        });
        (is_named && offset.is_multiple_of(len_bytes)).then_some(Self { bar, offset, width })
    }
}

fn kind(config: &ConfigSpace, at: u16) -> u8 {
    let [_, kind] = config.get16(at + LENGTH_AND_TYPE).to_le_bytes();
    kind
}
