//! Who is where in the network, and how far a guest reaches.
//!
//! Invariant: where a connection of the guest's leads is decided here alone.

use std::net::{Ipv4Addr, SocketAddrV4};

/// The guest.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// The gateway, which stands for the host.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The network's mask, and the bits of it.
pub(super) const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);
pub(super) const PREFIX_BITS: u8 = 24;
/// The gateway's hardware address, which no vendor gave.
pub(super) const GATEWAY_HARDWARE: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];

/// What a guest's connections reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// Nothing: every connection is refused.
    None,
    /// The host's loopback, by the gateway's address.
    #[default]
    Host,
    /// That, and whatever the host reaches.
    Any,
}

impl Reach {
    /// Where a connection to `target` leads, if anywhere.
    pub(super) fn leads(self, target: SocketAddrV4) -> Option<SocketAddrV4> {
        let address = *target.ip();
        match self {
            Self::None => None,
            Self::Host | Self::Any if address == GATEWAY => {
                Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, target.port()))
            }
            Self::Host => None,
            Self::Any => (!is_special(address)).then_some(target),
        }
    }
}

/// Of this network, of whoever asks, of many or of nobody.
fn is_special(address: Ipv4Addr) -> bool {
    address.octets()[..3] == GATEWAY.octets()[..3]
        || address.is_loopback()
        || address.octets()[0] == 0
        || address.is_multicast()
        || address.is_broadcast()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::{GATEWAY, Reach};

    #[test]
    fn the_gateway_is_the_hosts_loopback_and_others_need_to_be_allowed() {
        let to = |address: Ipv4Addr| SocketAddrV4::new(address, 80);
        let far = Ipv4Addr::new(192, 0, 2, 7);
        let leads = |reach: Reach| [GATEWAY, far].map(|address| reach.leads(to(address)));
        let host = Some(to(Ipv4Addr::LOCALHOST));
        assert_eq!(leads(Reach::None), [None, None]);
        assert_eq!(leads(Reach::Host), [host, None]);
        assert_eq!(leads(Reach::Any), [host, Some(to(far))]);
        for special in [[127, 0, 0, 1], [10, 0, 2, 3], [10, 0, 2, 15], [0, 0, 0, 0], [224, 0, 0, 1], [255; 4]]
        {
            assert_eq!(Reach::Any.leads(to(special.into())), None, "{special:?}");
        }
    }
}
