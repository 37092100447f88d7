//! The words of PCI Express between a device and whatever translates for it.
//!
//! Invariant: nothing here is a remapping unit's: no format of a table or a queue, no reason for a fault. Words only, no
//! behaviour. Source: PCI Express 4.0, 2.2 (requests), 6.20 (PASID), 10 (ATS and page requests); PCI 3.0, 6.8 (MSI).

mod id;
mod msi;
mod page_request;
mod pasid;
mod request;

pub use self::id::SourceId;
pub use self::msi::{Msi, MsiSink};
pub use self::page_request::{PageGroupResponse, PageRequest, RequestOutcome, ResponseCode, Wants};
pub use self::pasid::{BadPasid, PASID_COUNT, Pasid};
pub use self::request::{Ats, Request, Requester};
