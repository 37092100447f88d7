//! A guest that is a second stack, and servers of this host's loopback.
//!
//! Invariant: no time is asserted; contents and counts are.

mod guest;
mod hostile;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;

use smoltcp::socket::tcp::State;

use super::address::{GATEWAY, Reach};
use super::flows::MOST_FLOWS;
use guest::Guest;

const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

/// A server of one connection.
fn serve<T: Send + 'static>(
    work: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (u16, thread::JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback is there");
    let port = listener.local_addr().expect("it is bound").port();
    let server = thread::spawn(move || work(listener.accept().expect("the guest comes").0));
    (port, server)
}

/// A port of the loopback where nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback is there");
    listener.local_addr().expect("it is bound").port()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251).to_le_bytes()[0]).collect()
}

#[test]
fn what_a_server_says_arrives_whole_and_then_its_end() {
    let said = pattern(3 << 20);
    let expected = said.clone();
    let (port, server) = serve(move |mut stream| {
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).expect("the guest asks");
        stream.write_all(&said).expect("the guest reads");
        asked
    });
    let mut guest = Guest::new(Reach::Host);
    let socket = guest.connect(SocketAddrV4::new(GATEWAY, port));
    guest.send(socket, b"GET!");
    let came = guest.read_to_end(socket);
    assert!(came == expected, "{} bytes of {}", came.len(), expected.len());
    assert_eq!(server.join().expect("it says"), *b"GET!");
    guest.close(socket);
    guest.until("the end of the connection", |guest| guest.network.connections() <= 1);
}

#[test]
fn what_the_guest_says_arrives_whole_and_then_its_end() {
    let said = pattern(2 << 20);
    let (port, server) = serve(|mut stream| {
        let mut came = Vec::new();
        stream.read_to_end(&mut came).expect("the guest ends");
        stream.write_all(b"thanks").expect("the guest still reads");
        came
    });
    let mut guest = Guest::new(Reach::Host);
    let socket = guest.connect(SocketAddrV4::new(GATEWAY, port));
    guest.send(socket, &said);
    guest.close(socket);
    assert_eq!(guest.read_to_end(socket), b"thanks");
    assert!(server.join().expect("it reads") == said);
}

#[test]
fn who_reads_slowly_is_waited_for_and_nothing_grows() {
    let (port, server) = serve(|mut stream| {
        stream.set_nonblocking(true).expect("it can be");
        // Until neither the guest, the network nor the host takes more.
        let mut said = 0;
        let mut idle = 0;
        while idle < 50 {
            match stream.write(&[3; 1 << 16]) {
                Ok(len) => (said, idle) = (said + len, 0),
                Err(_) => idle += 1,
            }
            thread::sleep(std::time::Duration::from_millis(2));
        }
        said
    });
    let mut guest = Guest::new(Reach::Host);
    let socket = guest.connect(SocketAddrV4::new(GATEWAY, port));
    guest.until("a server that has nothing to do", |_| server.is_finished());
    let said = server.join().expect("it says");
    assert_eq!(guest.read_to_end(socket).len(), said);
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let mut guest = Guest::new(Reach::Host);
    assert!(guest.is_refused(SocketAddrV4::new(GATEWAY, closed_port())));
    assert_eq!(guest.network.connections(), 0);
}

#[test]
fn what_the_guest_may_not_reach_is_refused_and_nobody_is_asked() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback is there");
    let port = listener.local_addr().expect("it is bound").port();
    listener.set_nonblocking(true).expect("it can be");
    for (reach, target) in [
        (Reach::None, GATEWAY),
        (Reach::Host, FAR),
        (Reach::Host, Ipv4Addr::LOCALHOST),
        (Reach::Any, Ipv4Addr::LOCALHOST),
    ] {
        let mut guest = Guest::new(reach);
        assert!(guest.is_refused(SocketAddrV4::new(target, port)), "{reach:?} {target}");
    }
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn with_any_reach_another_address_of_the_hosts_is_reached() {
    // One of the loopback's is refused, so this machine's own is taken, by a route that sends nothing.
    let probe = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("the host has sockets");
    let own = probe.connect((FAR, 9)).and_then(|()| probe.local_addr());
    let Ok(std::net::SocketAddr::V4(own)) = own else { return };
    if own.ip().is_loopback() {
        return;
    }
    let Ok(listener) = TcpListener::bind((*own.ip(), 0)) else { return };
    let port = listener.local_addr().expect("it is bound").port();
    let server = thread::spawn(move || listener.accept().expect("the guest comes").0.write_all(b"far"));
    let mut guest = Guest::new(Reach::Any);
    let socket = guest.connect(SocketAddrV4::new(*own.ip(), port));
    assert_eq!(guest.read_to_end(socket), b"far");
    server.join().expect("it says").expect("the guest reads");
}

#[test]
fn a_reset_of_either_side_is_one_of_the_other() {
    let (port, server) = serve(|mut stream| stream.read(&mut [0; 16]).map_or(0, |len| len));
    let mut guest = Guest::new(Reach::Host);
    let socket = guest.connect(SocketAddrV4::new(GATEWAY, port));
    guest.until("the connection", |guest| guest.state(socket) == State::Established);
    guest.abort(socket);
    guest.until("its end at the host", |guest| guest.network.connections() == 0);
    assert_eq!(server.join().expect("it ends"), 0);

    // Who leaves with something unread resets.
    let (port, server) = serve(|mut stream| stream.read_exact(&mut [0; 1]));
    let socket = guest.connect(SocketAddrV4::new(GATEWAY, port));
    guest.send(socket, &[1; 4000]);
    guest.until("a server that has left", |_| server.is_finished());
    server.join().expect("it ends").expect("a byte came");
    guest.until("the reset", |guest| guest.state(socket) == State::Closed);
    guest.until("its end", |guest| guest.network.connections() == 0);
}

#[test]
fn connections_are_bounded_and_one_more_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback is there");
    let target = SocketAddrV4::new(GATEWAY, listener.local_addr().expect("it is bound").port());
    let mut guest = Guest::new(Reach::Host);
    let sockets: Vec<_> = (0..MOST_FLOWS).map(|_| guest.connect(target)).collect();
    guest.until("all of them", |guest| {
        sockets.iter().all(|socket| guest.state(*socket) == State::Established)
    });
    assert!(guest.is_refused(target));
    assert_eq!(guest.network.connections(), MOST_FLOWS);
    guest.abort(sockets[0]);
    guest.until("room", |guest| guest.network.connections() < MOST_FLOWS);
    let again = guest.connect(target);
    guest.until("one more", |guest| guest.state(again) == State::Established);
}

#[test]
fn a_network_that_ends_leaves_no_socket() {
    let (port, server) = serve(|mut stream| stream.read(&mut [0; 16]));
    let mut guest = Guest::new(Reach::Host);
    let socket = guest.connect(SocketAddrV4::new(GATEWAY, port));
    guest.until("the connection", |guest| guest.state(socket) == State::Established);
    drop(guest);
    assert_eq!(server.join().expect("it ends").expect("an orderly end"), 0);
}
