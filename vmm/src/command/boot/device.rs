//! Devices on the command line: a kind, and `name=value` after commas.
//!
//! Invariant: what is not understood is an error that says what is accepted.

use devices::edu::EduOptions;

use crate::machine::options::DeviceKind;

/// The device that `text` describes.
pub(super) fn parse(text: &str) -> Result<DeviceKind, String> {
    let mut words = text.split(',');
    match words.next().unwrap_or_default() {
        "edu" => edu(words),
        other => Err(format!("no device `{other}`; there is edu[,dma-mask=MASK]")),
    }
}

fn edu<'text>(words: impl Iterator<Item = &'text str>) -> Result<DeviceKind, String> {
    let mut options = EduOptions::default();
    for word in words {
        match word.split_once('=') {
            Some(("dma-mask" | "dma_mask", mask)) => options.dma_mask = number(mask)?,
            _ => return Err(format!("edu has no option `{word}`; it has dma-mask=MASK")),
        }
    }
    Ok(DeviceKind::Edu(options))
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("`{text}`: {error}; give a number such as 0xfffffff"))
}
