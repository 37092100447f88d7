//! Frames that no stack sends, and who is asked and who answers.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use crate::link::{FRAME_BYTES, Link, Received, Sent};
use crate::user_network::UserNetwork;
use crate::user_network::address::{GATEWAY, GATEWAY_HARDWARE, GUEST, Reach};

const HARDWARE: EthernetAddress = EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 99);

fn framed(kind: EthernetProtocol, payload_len: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let about =
        EthernetRepr { src_addr: HARDWARE, dst_addr: EthernetAddress(GATEWAY_HARDWARE), ethertype: kind };
    let mut bytes = vec![0; about.buffer_len() + payload_len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    about.emit(&mut frame);
    write(frame.payload_mut());
    bytes
}

fn question(source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let asked = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: HARDWARE,
        source_protocol_addr: source,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    framed(EthernetProtocol::Arp, asked.buffer_len(), |room| {
        asked.emit(&mut ArpPacket::new_unchecked(room));
    })
}

fn packet(source: Ipv4Addr, target: Ipv4Addr, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let about = Ipv4Repr {
        src_addr: source,
        dst_addr: target,
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    framed(EthernetProtocol::Ipv4, about.buffer_len() + payload.len(), |room| {
        let mut packet = Ipv4Packet::new_unchecked(room);
        about.emit(&mut packet, &ChecksumCapabilities::default());
        packet.payload_mut().copy_from_slice(payload);
    })
}

fn echo(source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let asked = Icmpv4Repr::EchoRequest { ident: 7, seq_no: 1, data: b"are you there" };
    let mut payload = vec![0; asked.buffer_len()];
    asked.emit(&mut Icmpv4Packet::new_unchecked(&mut payload[..]), &ChecksumCapabilities::default());
    packet(source, target, IpProtocol::Icmp, &payload)
}

fn segment(source: Ipv4Addr, target: Ipv4Addr, control: TcpControl, port: u16) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: port,
        dst_port: 9,
        control,
        seq_number: TcpSeqNumber(1),
        ack_number: None,
        window_len: 100,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let mut payload = vec![0; repr.buffer_len()];
    let mut written = TcpPacket::new_unchecked(&mut payload[..]);
    repr.emit(&mut written, &source.into(), &target.into(), &ChecksumCapabilities::default());
    packet(source, target, IpProtocol::Tcp, &payload)
}

/// A network whose guest is known.
fn network(reach: Reach) -> UserNetwork {
    let mut network = UserNetwork::new(reach);
    assert_eq!((network.send(&question(GUEST, GATEWAY)), answers(&mut network).len()), (Sent::Taken, 1));
    network
}

fn answers(network: &mut UserNetwork) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut room = [0; FRAME_BYTES];
    while let Received::Frame(len) = network.receive(&mut room) {
        found.push(room[..len].to_vec());
    }
    found
}

#[test]
fn the_gateway_answers_for_itself_and_for_nobody_else() {
    let mut network = network(Reach::Any);
    for (asked, count) in [
        (question(GUEST, GATEWAY), 1),
        (echo(GUEST, GATEWAY), 1),
        // Whoever asks whether somebody has the guest's address hears nothing.
        (question(Ipv4Addr::UNSPECIFIED, GUEST), 0),
        (question(GUEST, GUEST), 0),
        (question(GUEST, OTHER), 0),
        (echo(GUEST, OTHER), 0),
        (echo(GUEST, Ipv4Addr::new(192, 0, 2, 7)), 0),
    ] {
        network.send(&asked);
        assert_eq!(answers(&mut network).len(), count, "{asked:02x?}");
    }
}

#[test]
fn whoever_is_not_the_guest_is_not_heard() {
    let mut network = network(Reach::Host);
    for source in [OTHER, GATEWAY, Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST] {
        assert_eq!(network.send(&echo(source, GATEWAY)), Sent::Lost, "{source}");
        assert_eq!(network.send(&segment(source, GATEWAY, TcpControl::Syn, 5)), Sent::Lost, "{source}");
    }
    assert_eq!((answers(&mut network).len(), network.connections()), (0, 0));
}

#[test]
fn questions_whose_answers_nobody_takes_are_lost_and_nothing_grows() {
    let mut network = network(Reach::Host);
    let lost = (0..10_000).filter(|_| network.send(&echo(GUEST, GATEWAY)) == Sent::Lost).count();
    assert_eq!(network.lose(), 0);
    assert_eq!((answers(&mut network).len(), lost), (64, 10_000 - 64));
    assert_eq!((network.send(&echo(GUEST, GATEWAY)), answers(&mut network).len()), (Sent::Taken, 1));
}

#[test]
fn a_flood_of_connections_that_are_never_finished_is_bounded() {
    let mut network = network(Reach::Host);
    for port in 1..5000 {
        network.send(&segment(GUEST, GATEWAY, TcpControl::Syn, port));
        network.lose();
        assert!(network.connections() <= super::MOST_FLOWS);
    }
}

#[test]
fn no_frame_makes_it_panic() {
    let mut network = network(Reach::None);
    let seeds = [
        question(GUEST, GATEWAY),
        echo(GUEST, GATEWAY),
        segment(GUEST, GATEWAY, TcpControl::Syn, 5),
        segment(GUEST, GATEWAY, TcpControl::Fin, 5),
        packet(GUEST, GATEWAY, IpProtocol::Udp, &[0, 68, 0, 67, 0, 8, 0, 0]),
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits")
    };
    for _ in 0..200_000 {
        let mut frame = seeds[random() % seeds.len()].clone();
        for _ in 0..random() % 4 {
            let at = random() % frame.len();
            frame[at] = random().to_le_bytes()[0];
        }
        frame.truncate(if random() % 4 == 0 { random() % frame.len() } else { frame.len() });
        network.send(&frame);
        answers(&mut network);
    }
    network.send(&echo(GUEST, GATEWAY));
    assert_eq!(answers(&mut network).len(), 1, "it goes on");
}
