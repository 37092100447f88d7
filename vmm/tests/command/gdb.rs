//! `--gdb`, from the side of a debugger: a small client of the remote protocol.
//!
//! Invariant: no time is asserted but that an answer comes; whoever would hang fails in the end. Source: the manual of gdb,
//! appendix E.

mod client;
mod harm;
mod paging;
mod parting;

use guest_images::bare::{BareImage, ElfWidth, LOAD_ADDRESS};

use crate::{afterimage, has_kvm, text};
use client::Running;

/// Numbers of registers in the description.
const RAX: usize = 0;
const RSI: usize = 4;
const RIP: usize = 16;

/// An image as a file of its own, and its code.
fn image(image: BareImage, name: &str) -> (String, Vec<u8>) {
    let path = format!("{}/gdb-{name}", env!("CARGO_TARGET_TMPDIR"));
    let file = image.elf(ElfWidth::Bits32);
    std::fs::write(&path, &file).expect("the target folder can be written");
    let code = file[file.len() - image.len_bytes()..].to_vec();
    (path, code)
}

/// The first address of `bytes` in `code`.
fn address(code: &[u8], bytes: &[u8]) -> u64 {
    let at = code.windows(bytes.len()).position(|window| window == bytes).expect("it is in the image");
    u64::from(LOAD_ADDRESS) + at as u64
}

/// Where [`BareImage::Hello`] puts a letter out: `outb`, and the jump behind it.
fn letter(code: &[u8]) -> u64 {
    address(code, &[0xee, 0xeb])
}

fn entry() -> u64 {
    u64::from(LOAD_ADDRESS) + 12
}

#[test]
fn a_debugger_stops_at_each_letter_and_changes_it() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "letters");
    for kind in ['0', '1'] {
        let running = Running::start("letters", &["--kernel", &path]);
        let mut debugger = running.debugger();
        assert_eq!(debugger.register(RIP), entry(), "it waits at its first instruction");
        let at = letter(&code);
        assert_eq!(debugger.ask(&format!("Z{kind},{at:x},1")), "OK");
        let why = if kind == '0' { "swbreak" } else { "hwbreak" };
        for expected in b"hello\n" {
            let stop = debugger.go("vCont;c");
            assert!(stop.starts_with("T05") && stop.contains(why) && stop.contains("thread:01"), "{stop}");
            assert_eq!(debugger.register(RIP), at);
            let rax = debugger.register(RAX);
            assert_eq!(rax & 0xff, u64::from(*expected), "{rax:x}");
            debugger.set_register(RAX, rax & !0xff | u64::from(expected.to_ascii_uppercase()));
            // As gdb does: over the breakpoint by a step without it.
            assert_eq!(debugger.ask(&format!("z{kind},{at:x},1")), "OK");
            assert!(debugger.go("vCont;s:1").starts_with("T05"));
            assert_eq!(debugger.register(RIP), at + 1, "a step over an access is one instruction");
            assert_eq!(debugger.ask(&format!("Z{kind},{at:x},1")), "OK");
        }
        assert_eq!(debugger.go("vCont;c"), "W00");
        assert!(debugger.is_left());
        let (status, said, told) = running.end();
        assert_eq!((status, said.as_str()), (Some(0), "HELLO\n"), "{told}");
        assert!(told.contains("waits for a debugger: gdb -ex 'target remote "), "{told}");
    }
}

#[test]
fn the_guests_own_failure_is_the_status_that_is_told() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "failure");
    let running = Running::start("failure", &["--kernel", &path]);
    let mut debugger = running.debugger();
    // mov $0xf4, %dx; out %eax, (%dx)
    let at = address(&code, &[0x66, 0xba, 0xf4, 0x00]);
    assert_eq!(debugger.ask(&format!("Z1,{at:x},1")), "OK");
    assert!(debugger.go("vCont;c").contains("hwbreak"));
    debugger.set_register(RAX, 5);
    assert_eq!(debugger.ask(&format!("z1,{at:x},1")), "OK");
    assert_eq!(debugger.go("vCont;c"), "W01");
    let (status, said, _) = running.end();
    assert_eq!((status, said.as_str()), (Some(1), "hello\n"));
}

#[test]
fn steps_go_through_the_guest_one_instruction_at_a_time() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "steps");
    let running = Running::start("steps", &["--kernel", &path]);
    let mut debugger = running.debugger();
    let (loads, out) = (address(&code, &[0x8a, 0x06]), letter(&code));
    // mov, mov; then for each letter: mov, inc, test, jz, out, jmp.
    let one = [loads, loads + 2, loads + 3, loads + 5, out, out + 1];
    let mut places = vec![entry(), entry() + 5];
    (0..3).for_each(|_| places.extend(one));
    for place in places {
        assert_eq!(debugger.register(RIP), place);
        assert!(debugger.go("vCont;s:1").starts_with("T05"));
    }
    assert_eq!(debugger.ask("D"), "OK");
    let (status, said, _) = running.end();
    assert_eq!((status, said.as_str()), (Some(0), "hello\n"));
}

#[test]
fn memory_is_read_and_written_and_devices_are_not_touched() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "memory");
    let running = Running::start("memory", &["--kernel", &path]);
    let mut debugger = running.debugger();
    let load = u64::from(LOAD_ADDRESS);
    assert_eq!(debugger.memory(load, code.len()), Some(code.clone()));
    let text = address(&code, b"hello");
    assert_eq!(debugger.ask(&format!("M{text:x},5:{}", client::hex(b"howdy"))), "OK");
    assert_eq!(debugger.memory(text, 6), Some(b"howdy\n".to_vec()));
    // Local APICs, I/O APIC, the place of BARs, the end of memory, the end of everything.
    for (at, len) in [
        (0xfee0_0000, 4),
        (0xfec0_0000, 4),
        (0xc000_0000, 4),
        (128 << 20, 1),
        (u64::MAX, 1),
        (u64::MAX - 3, 4),
    ] {
        assert_eq!(debugger.ask(&format!("m{at:x},{len:x}")), "E0e", "{at:x}");
        let bytes = "00".repeat(len);
        assert_eq!(debugger.ask(&format!("M{at:x},{len:x}:{bytes}")), "E0e", "{at:x}");
    }
    let last = (128 << 20) - 2;
    assert_eq!(debugger.memory(last, 4).map(|bytes| bytes.len()), Some(2), "as far as it goes");
    assert_eq!(debugger.ask(&format!("M{last:x},4:01020304")), "E0e");
    assert_eq!(debugger.memory(last, 2), Some(vec![0, 0]), "all or nothing");
    assert_eq!(debugger.ask("D"), "OK");
    let (status, said, _) = running.end();
    assert_eq!((status, said.as_str()), (Some(0), "howdy\n"));
}

#[test]
fn the_fifth_breakpoint_lies_in_memory_where_nobody_sees_it() {
    if !has_kvm() {
        return;
    }
    let (path, code) = image(BareImage::Hello, "fifth");
    let running = Running::start("fifth", &["--kernel", &path]);
    let mut debugger = running.debugger();
    // Four that are never reached.
    for unused in 0..4 {
        assert_eq!(debugger.ask(&format!("Z0,{unused:x},1")), "OK");
    }
    let at = letter(&code);
    assert!(debugger.ask(&format!("Z1,{at:x},1")).starts_with('E'), "no register is left");
    assert_eq!(debugger.ask(&format!("Z0,{at:x},1")), "OK");
    let load = u64::from(LOAD_ADDRESS);
    assert_eq!(debugger.memory(load, code.len()), Some(code));
    let stop = debugger.go("vCont;c");
    assert!(stop.contains("swbreak"), "{stop}");
    assert_eq!((debugger.register(RIP), debugger.register(RAX) & 0xff), (at, u64::from(b'h')));
    // It stays where it is until the debugger takes it out, which its end does.
    assert!(debugger.go("vCont;c").contains("swbreak"));
    assert_eq!(debugger.register(RIP), at);
    assert_eq!(debugger.ask("D"), "OK");
    let (status, said, _) = running.end();
    assert_eq!((status, said.as_str()), (Some(0), "hello\n"));
}

#[test]
fn each_processor_is_a_thread_and_moves_alone() {
    if !has_kvm() {
        return;
    }
    let (path, _) = image(BareImage::Hello, "threads");
    let running = Running::start("threads", &["--kernel", &path, "--cpus", "2"]);
    let mut debugger = running.debugger();
    assert_eq!(debugger.ask("qfThreadInfo"), "m01,02");
    assert_eq!(debugger.ask("qsThreadInfo"), "l");
    assert_eq!((debugger.ask("T1"), debugger.ask("T2")), ("OK".to_owned(), "OK".to_owned()));
    assert!(debugger.ask("T3").starts_with('E'));
    assert_eq!(client::unhex(&debugger.ask("qThreadExtraInfo,2")), b"vCPU 1");
    assert!(debugger.go("vCont;s:1").contains("thread:01"));
    assert_eq!(debugger.register(RIP), entry() + 5);
    assert_eq!(debugger.ask("Hg2"), "OK");
    assert_eq!(debugger.register(RIP), 0xfff0, "it waits for its start");
    debugger.set_register(RSI, 7);
    assert_eq!(debugger.register(RSI), 7);
    assert_eq!(debugger.ask("Hg1"), "OK");
    assert_ne!(debugger.register(RSI), 7);
    assert_eq!(debugger.go("vCont;c"), "W00");
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_path_where_nobody_can_listen_is_one_line_with_what_to_do() {
    let taken = std::env::temp_dir().join(format!("afterimage-gdb-{}-taken", std::process::id()));
    std::fs::write(&taken, "").expect("the folder can be written");
    let taken_text = taken.to_str().expect("a plain path");
    let long = std::env::temp_dir().join("x".repeat(120));
    let long = long.to_str().expect("a plain path");
    for (path, what) in [
        (taken_text, "is there and no socket; give another path"),
        (long, "give another path"),
        ("/no/such/folder/socket", "give another path"),
        ("/proc/socket", "give another path"),
    ] {
        let output = afterimage(&["boot", "--guest", "hello", "--gdb", path]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{path}: {told}");
        assert!(told.contains(what) && told.lines().count() == 1, "{path}: {told}");
    }
    std::fs::remove_file(&taken).expect("it is there");
    let output = afterimage(&["boot", "--guest", "hello", "--gdb", ",nowait"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("give PATH[,nowait]"));
}
