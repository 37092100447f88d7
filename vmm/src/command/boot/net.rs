//! Network interfaces on the command line, and where their cables lead.
//!
//! Invariant: what a cable leads to is open before the fence closes; two interfaces have two addresses, and two cables. What
//! cannot be is an error of one line that says what to do.

mod tap;

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, RawFd};

use devices::user_network::address::Reach;
use devices::virtio::net::address::MacAddress;

use crate::machine::options::{Cable, VirtioKind};
use tap::Source;

const ACCEPTED: &str = "user[,reach=none|host|any][,mac=M], tap=NAME[,mac=M] or tap=fd:N[,mac=M]";

/// What is said of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Words {
    end: End,
    address: Option<MacAddress>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    Tap(Source),
    User(Reach),
}

/// The interface that `text` describes.
pub(super) fn parse(text: &str) -> Result<Words, String> {
    let mut words = text.split(',');
    let end = match words.next().map(|word| (word, word.strip_prefix("tap="))) {
        Some((_, Some(source))) => End::Tap(Source::parse(source)?),
        Some(("user", None)) => End::User(Reach::default()),
        Some((other, None)) => return Err(format!("no network `{other}`; give {ACCEPTED}")),
        None => return Err(format!("give {ACCEPTED}")),
    };
    let mut found = Words { end, address: None };
    words.try_for_each(|word| found.set(word))?;
    Ok(found)
}

impl Words {
    fn set(&mut self, word: &str) -> Result<(), String> {
        match (word.split_once('='), &mut self.end) {
            (Some(("mac", text)), _) => {
                let address = text.parse().map_err(|error| format!("mac={text} {error}"))?;
                self.address = Some(address);
            }
            (Some(("reach", text)), End::User(reach)) => {
                *reach = match text {
                    "none" => Reach::None,
                    "host" => Reach::Host,
                    "any" => Reach::Any,
                    other => return Err(format!("`{other}` is no reach; give none, host or any")),
                };
            }
            _ => return Err(format!("`{word}` is no option of it; give {ACCEPTED}")),
        }
        Ok(())
    }

    fn cable(&self) -> Result<Cable, String> {
        Ok(match &self.end {
            End::Tap(source) => source.open()?,
            End::User(reach) => Cable::User(*reach),
        })
    }
}

/// Opens them.
pub(super) fn open(all: &[Words]) -> Result<Vec<VirtioKind>, String> {
    let mut used = BTreeSet::new();
    let mut cables = BTreeSet::new();
    let mut found = Vec::new();
    for (number, words) in (0..=u8::MAX).zip(all) {
        let address = words.address.unwrap_or_else(|| MacAddress::local(number));
        if !used.insert(address.bytes()) {
            return Err(format!("two interfaces have the address {address}; give each its own by mac="));
        }
        let cable = words.cable()?;
        if let Cable::Tap { name, .. } = &cable
            && !cables.insert(name.clone())
        {
            return Err(format!("two interfaces have the cable {name}; give each its own"));
        }
        found.push(VirtioKind::Net(address, cable));
    }
    Ok(found)
}

/// What is to stay open for it.
pub(super) fn descriptor(kind: &VirtioKind) -> Option<RawFd> {
    match kind {
        VirtioKind::Net(_, Cable::Tap { descriptor, .. }) => Some(descriptor.as_raw_fd()),
        VirtioKind::Net(_, Cable::User(_))
        | VirtioKind::Disk(_)
        | VirtioKind::Rng
        | VirtioKind::Console(_)
        | VirtioKind::Vsock { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_no_interface_says_what_is() {
        for good in [
            "user",
            "user,reach=none",
            "user,reach=any,mac=52:54:00:00:00:01",
            "tap=tap0",
            "tap=tap0,mac=02:00:00:00:00:01",
            "tap=fd:7",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (wrong, part) in [
            ("", "no network ``; give user["),
            ("usr", "no network `usr`; give user["),
            ("user,reach=everything", "give none, host or any"),
            ("tap=tap0,reach=any", "`reach=any` is no option of it"),
            ("user,mac=ff:ff:ff:ff:ff:ff", "mac=ff:ff:ff:ff:ff:ff is the address of a group"),
            ("user,mac=00:00:00:00:00:00", "is the address of nobody"),
            ("user,mac=1", "is no hardware address"),
            ("tap=", "give tap=NAME"),
            ("tap=fd:x", "give tap=NAME"),
            ("tap=fd:2", "standard"),
            ("tap=tap%d", "is no name of an interface"),
            ("tap=a-name-of-sixteen", "is no name of an interface"),
        ] {
            let told = parse(wrong).expect_err(wrong);
            assert!(told.contains(part) && !told.contains('\n'), "{wrong}: {told}");
        }
    }
}
