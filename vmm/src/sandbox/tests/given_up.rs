//! Descriptors, capabilities and paths, before and after.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
};

use super::raw::call;
use super::{Status, alone, assert_survived, say};
use crate::boot::{File as Image, Payload};
use crate::kvm::CpuFlags;
use crate::machine::options::{Debugger, IommuKind, MachineOptions, Placement};
use crate::machine::{Machine, MachineError};
use crate::sandbox::{Mode, Role, Sandbox, descriptors, privileges};

/// A descriptor that nobody owns.
pub(super) fn foreign() -> RawFd {
    File::open("/dev/null").expect("it is everywhere").into_raw_fd()
}

pub(super) fn is_open(fd: RawFd) -> bool {
    fs::read_link(format!("/proc/self/fd/{fd}")).is_ok()
}

#[test]
fn foreign_descriptors_are_closed_and_standard_streams_are_not() {
    let test = "given_up::foreign_descriptors_are_closed_and_standard_streams_are_not";
    let ways: [(&str, fn(), bool); 4] = [
        ("on", || drop(Sandbox::begin(Mode::On, None)), false),
        ("log", || drop(Sandbox::begin(Mode::Log, None)), false),
        ("listed", || descriptors::close_listed(None).expect("/proc is there"), false),
        ("off", || drop(Sandbox::begin(Mode::Off, None)), true),
    ];
    for (case, close, stays) in ways {
        let act = || {
            let foreign = [foreign(), foreign(), foreign()];
            close();
            assert_eq!(foreign.map(is_open), [stays; 3]);
            assert_eq!([0, 1, 2].map(is_open), [true; 3]);
        };
        let Some(output) = alone(test, case, act) else { continue };
        assert_survived(&output, case);
    }
}

#[test]
fn the_descriptor_that_is_named_is_kept() {
    let test = "given_up::the_descriptor_that_is_named_is_kept";
    type Close = fn(RawFd);
    let ways: [(&str, Close); 3] = [
        ("range", |fd| drop(Sandbox::begin(Mode::On, Some(fd)))),
        ("ranges", |fd| drop(Sandbox::begin(Mode::On, [2, fd, fd + 100]))),
        ("listed", |fd| descriptors::close_listed(Some(fd)).expect("/proc is there")),
    ];
    for (case, close) in ways {
        let act = || {
            for kept in 0..3 {
                let foreign = [foreign(), foreign(), foreign()];
                close(foreign[kept]);
                assert_eq!(foreign.map(is_open), [0, 1, 2].map(|it| it == kept));
            }
        };
        let Some(output) = alone(test, case, act) else { continue };
        assert_survived(&output, case);
    }
}

/// Capabilities in every set that the thread may put them into.
fn raise_all() {
    let held = capabilities(None).expect("a thread may look at itself");
    let everywhere = CapabilitySets { inheritable: held.permitted, ..held };
    set_capabilities(None, everywhere).expect("what is permitted may be inherited");
    for one in held.permitted.iter() {
        configure_capability_in_ambient_set(one, true).expect("it is permitted and inheritable");
    }
}

#[test]
fn no_capability_stays_in_any_set() {
    const SETS: [&str; 4] = ["CapInh", "CapPrm", "CapEff", "CapAmb"];
    let test = "given_up::no_capability_stays_in_any_set";
    for case in ["dropped", "confined", "entered", "off"] {
        let act = || {
            raise_all();
            let held = capabilities(None).expect("a thread may look at itself").permitted;
            let (before, status, bounding) =
                (Status::of_thread().values(SETS), Status::of_thread(), Status::of_thread());
            match case {
                "dropped" => privileges::drop_all().expect("a thread may give up"),
                "confined" => Sandbox { mode: Mode::On }.confine().expect("a thread may give up"),
                "entered" => Sandbox { mode: Mode::Log }.enter(Role::Engine),
                _ => Sandbox::OFF.enter(Role::Engine),
            }
            if case == "off" {
                return assert_eq!(status.values(SETS), before);
            }
            assert_eq!(status.values(SETS), SETS.map(|_| "0".repeat(16)));
            let [privileges, bounding] = bounding.values(["NoNewPrivs", "CapBnd"]);
            assert_eq!(privileges, "1");
            // Who may not change the set keeps it.
            assert!(bounding == "0".repeat(16) || !held.contains(CapabilitySet::SETPCAP), "{bounding}");
        };
        let Some(output) = alone(test, case, act) else { continue };
        assert_survived(&output, case);
    }
}

fn has_landlock() -> bool {
    // Its version.
    let has = call(libc::SYS_landlock_create_ruleset, [0, 0, 1, 0, 0, 0]) > 0;
    if !has {
        say("skipped: this kernel has no Landlock");
    }
    has
}

fn is_denied<T>(tried: std::io::Result<T>) -> bool {
    tried.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn no_path_can_be_opened_and_what_is_open_can_be_read() {
    let test = "given_up::no_path_can_be_opened_and_what_is_open_can_be_read";
    if !has_landlock() {
        return;
    }
    let act = || {
        let (status, null) = (Status::of_thread(), File::open("/dev/null").expect("it is everywhere"));
        Sandbox { mode: Mode::On }.confine().expect("a thread may give up");
        for path in ["/dev/null", "/dev/kvm", "/proc/self/status", "/", "."] {
            assert!(is_denied(File::open(path)), "{path}");
        }
        assert!(is_denied(fs::write(std::env::temp_dir().join("afterimage-escaped"), "")));
        // As another thread would, whatever its role.
        assert!(std::thread::spawn(|| is_denied(File::open("/dev/null"))).join().expect("it says"));
        assert_eq!(status.values(["NoNewPrivs"]), ["1"]);
        assert!(null.as_raw_fd() > 2 && null.metadata().is_ok());
    };
    let Some(output) = alone(test, "confined", act) else { return };
    assert_survived(&output, "confined");
}

#[test]
fn no_port_is_reached_but_by_the_role_that_makes_connections() {
    let test = "given_up::no_port_is_reached_but_by_the_role_that_makes_connections";
    if !has_landlock() {
        return;
    }
    for role in Role::ALL {
        let act = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback is there");
            let address = listener.local_addr().expect("it is bound");
            // A filter that only logs lets it try.
            Sandbox { mode: Mode::Log }.enter(role);
            let connected = TcpStream::connect(address);
            let is_as_it_should_be =
                if role == Role::Sockets { connected.is_ok() } else { is_denied(connected) };
            assert!(is_as_it_should_be);
            assert!(is_denied(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))));
        };
        let Some(output) = alone(test, &format!("{role:?}"), act) else { continue };
        assert_survived(&output, &format!("{role:?}"));
    }
}

#[test]
fn an_image_is_looked_at_by_a_thread_that_has_given_up() {
    let test = "given_up::an_image_is_looked_at_by_a_thread_that_has_given_up";
    let act = || {
        let sandbox = Sandbox::begin(Mode::On, None).expect("this kernel has filters");
        let status = Status::of_thread();
        let options = MachineOptions {
            memory_bytes: 4 << 20,
            processors: 1,
            masked_cpu_flags: CpuFlags::default(),
            iommu: IommuKind::default(),
            devices: Vec::new(),
            virtio: Vec::new(),
            functions: Vec::new(),
            placement: Placement::default(),
            debugger: Debugger::None,
            sandbox,
            tracer: None,
        };
        let kernel = Image { name: "spoilt".to_owned(), bytes: vec![0; 64] };
        let payload = Payload {
            kernel,
            initrd: None,
            modules: Vec::new(),
            command_line: String::new(),
            if_linux: Vec::new(),
        };
        match Machine::new(&options, &payload, Box::new(std::io::sink())).map(|_| ()) {
            Err(MachineError::Boot(_)) => assert_eq!(status.values(["NoNewPrivs"]), ["1"]),
            Err(MachineError::System(error)) => say(&format!("skipped: {error}")),
            other => panic!("a spoilt image: {other:?}"),
        }
    };
    let Some(output) = alone(test, "spoilt", act) else { return };
    assert_survived(&output, "spoilt");
    if super::text(&output.stdout).contains("skipped:") {
        say("skipped: there is no KVM");
    }
}
