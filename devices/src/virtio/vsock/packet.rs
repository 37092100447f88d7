//! What stands before each packet: from whom, to whom, what it is, and what its sender has room for.
//!
//! Invariant: any 44 bytes are a header; an operation that nobody knows is a number. Why it is not the crate `virtio-vsock`: its
//! packet keeps slices of memory while it is used, which no view of a device gives ([`crate::virtio::view`]). Source: VIRTIO
//! 1.2, 5.10.6.

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 44;
/// VIRTIO_VSOCK_TYPE_STREAM, the one type here.
pub(super) const STREAM: u16 = 1;
/// The host, among those who have a CID.
pub(super) const HOST: u64 = 2;
/// VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE: its sender takes no more.
pub(super) const TAKES_NO_MORE: u32 = 1 << 0;
/// VIRTIO_VSOCK_SHUTDOWN_F_SEND: it sends no more.
pub(super) const SENDS_NO_MORE: u32 = 1 << 1;

/// What a packet is for (VIRTIO_VSOCK_OP_…).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Request,
    Response,
    Reset,
    Shutdown,
    Data,
    CreditUpdate,
    CreditRequest,
    Unknown(u16),
}

impl Operation {
    const fn of(number: u16) -> Self {
        match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            other => Self::Unknown(other),
        }
    }

    const fn number(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::Reset => 3,
            Self::Shutdown => 4,
            Self::Data => 5,
            Self::CreditUpdate => 6,
            Self::CreditRequest => 7,
            Self::Unknown(other) => other,
        }
    }
}

/// A header (struct virtio_vsock_hdr).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) from_cid: u64,
    pub(super) to_cid: u64,
    pub(super) from_port: u32,
    pub(super) to_port: u32,
    /// Bytes behind it.
    pub(super) len: u32,
    pub(super) kind: u16,
    pub(super) operation: Operation,
    pub(super) flags: u32,
    /// Bytes that its sender has room for in all, and those that have left that room since the connection began, modulo 2^32.
    pub(super) room: u32,
    pub(super) forwarded: u32,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut rest = &bytes[..];
        Self {
            from_cid: u64::from_le_bytes(next(&mut rest)),
            to_cid: u64::from_le_bytes(next(&mut rest)),
            from_port: u32::from_le_bytes(next(&mut rest)),
            to_port: u32::from_le_bytes(next(&mut rest)),
            len: u32::from_le_bytes(next(&mut rest)),
            kind: u16::from_le_bytes(next(&mut rest)),
            operation: Operation::of(u16::from_le_bytes(next(&mut rest))),
            flags: u32::from_le_bytes(next(&mut rest)),
            room: u32::from_le_bytes(next(&mut rest)),
            forwarded: u32::from_le_bytes(next(&mut rest)),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let ports = [self.from_port, self.to_port, self.len].map(u32::to_le_bytes);
        let kinds = [self.kind, self.operation.number()].map(u16::to_le_bytes);
        let credit = [self.flags, self.room, self.forwarded].map(u32::to_le_bytes);
        let cids = [self.from_cid, self.to_cid].map(u64::to_le_bytes);
        [cids.as_flattened(), ports.as_flattened(), kinds.as_flattened(), credit.as_flattened()].concat()
    }

    /// What is said to who sent this, if there is no such connection.
    pub(super) const fn refusal(&self) -> Self {
        Self {
            from_cid: self.to_cid,
            to_cid: self.from_cid,
            from_port: self.to_port,
            to_port: self.from_port,
            len: 0,
            kind: self.kind,
            operation: Operation::Reset,
            flags: 0,
            room: 0,
            forwarded: 0,
        }
    }
}

/// The next bytes. There are as many as the fields have, so none is missing.
fn next<const LEN: usize>(rest: &mut &[u8]) -> [u8; LEN] {
    let Some((bytes, behind)) = rest.split_first_chunk() else { return [0; LEN] };
    *rest = behind;
    *bytes
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Header, Operation};

    #[test]
    fn a_header_is_what_its_bytes_are_whatever_they_are() {
        for first in 0..=u8::MAX {
            let mut last = first;
            let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|_| {
                last = last.wrapping_mul(5).wrapping_add(7);
                last
            });
            assert_eq!(Header::parse(&bytes).bytes(), bytes);
        }
    }

    #[test]
    fn fields_stand_where_the_specification_has_them() {
        let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|at| if at == 30 { 5 } else { 0 });
        assert_eq!(Header::parse(&bytes).operation, Operation::Data);
        let bytes: [u8; HEADER_BYTES] = std::array::from_fn(|at| if at == 40 { 9 } else { 0 });
        assert_eq!(Header::parse(&bytes).forwarded, 9);
    }
}
