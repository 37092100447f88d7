//! What a virtio device is, apart from what it does.
//!
//! Invariant: none of it changes but the bytes of its configuration, of which its driver is told. Source: VIRTIO 1.2,
//! section 5.

/// What a device is, for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// What it is called in messages.
    pub name: &'static str,
    /// Its number (VIRTIO 1.2, section 5).
    pub device: u16,
    /// PCI class code: base class, subclass, programming interface.
    pub class: [u8; 3],
    /// Its own features, besides those of every device here.
    pub features: u64,
    /// The most entries of each of its queues, powers of two.
    pub queues: Vec<u16>,
    /// Its configuration, as a driver reads it.
    pub config: Vec<u8>,
}
