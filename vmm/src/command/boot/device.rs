//! Devices on the command line: a kind, and `name=value` after commas.
//!
//! Invariant: what is not understood is an error that says what is accepted.

use devices::edu::EduOptions;
use devices::pci_engine::{Offer, PciEngineOptions};

use crate::machine::options::DeviceKind;

/// What can be given.
pub(super) const ACCEPTED: &str =
    "edu[,dma-mask=MASK], iommu-testdev, dma-engine[,ats=off][,pri=off][,pasid=off]";

/// The device that `text` describes.
pub(super) fn parse(text: &str) -> Result<DeviceKind, String> {
    let mut words = text.split(',');
    let kind = words.next().unwrap_or_default();
    let mut device = match kind {
        "edu" => DeviceKind::Edu(EduOptions::default()),
        "iommu-testdev" => DeviceKind::IommuTestdev,
        "dma-engine" => DeviceKind::DmaEngine(PciEngineOptions::default()),
        other => return Err(format!("no device `{other}`; there is {ACCEPTED}")),
    };
    for word in words {
        set(&mut device, word)
            .ok_or_else(|| format!("`{word}` is no option of {kind}; there is {ACCEPTED}"))?;
    }
    Ok(device)
}

/// Sets the option that `word` describes; none if there is no such option or value.
fn set(device: &mut DeviceKind, word: &str) -> Option<()> {
    let (name, value) = word.split_once('=')?;
    match (device, name) {
        (DeviceKind::Edu(options), "dma-mask" | "dma_mask") => options.dma_mask = number(value)?,
        (DeviceKind::DmaEngine(options), "ats") => options.ats = offer(value)?,
        (DeviceKind::DmaEngine(options), "pri") => options.pri = offer(value)?,
        (DeviceKind::DmaEngine(options), "pasid") => options.pasid = offer(value)?,
        _ => return None,
    }
    Some(())
}

fn offer(text: &str) -> Option<Offer> {
    match text {
        "on" => Some(Offer::Present),
        "off" => Some(Offer::Absent),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use devices::edu::EduOptions;
    use devices::pci_engine::{Offer, PciEngineOptions};

    use super::parse;
    use crate::machine::options::DeviceKind;

    #[test]
    fn every_device_and_option_is_understood() {
        let edu = DeviceKind::Edu(EduOptions { dma_mask: 0xffff_ffff });
        assert_eq!(parse("edu,dma-mask=0xffffffff"), Ok(edu));
        assert_eq!(parse("edu,dma_mask=4294967295"), Ok(edu));
        assert_eq!(parse("iommu-testdev"), Ok(DeviceKind::IommuTestdev));
        let options = PciEngineOptions { ats: Offer::Absent, pri: Offer::Present, pasid: Offer::Absent };
        assert_eq!(parse("dma-engine,ats=off,pri=on,pasid=off"), Ok(DeviceKind::DmaEngine(options)));
    }

    #[test]
    fn every_option_of_an_engine_is_its_own() {
        let all = PciEngineOptions { ats: Offer::Present, pri: Offer::Present, pasid: Offer::Present };
        for (text, expected) in [
            ("dma-engine,ats=off", PciEngineOptions { ats: Offer::Absent, ..all }),
            ("dma-engine,pri=off", PciEngineOptions { pri: Offer::Absent, ..all }),
            ("dma-engine,pasid=off", PciEngineOptions { pasid: Offer::Absent, ..all }),
            ("dma-engine,ats=off,pri=off,pasid=off,ats=on,pri=on,pasid=on", all),
        ] {
            assert_eq!(parse(text), Ok(DeviceKind::DmaEngine(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_says_what_is() {
        for text in [
            "",
            "floppy",
            "edu,",
            "edu,ats=off",
            "edu,dma-mask=x",
            "dma-engine,ats=maybe",
            "iommu-testdev,x=1",
        ] {
            assert!(parse(text).unwrap_err().contains("there is edu[,dma-mask=MASK]"), "{text}");
        }
    }
}
