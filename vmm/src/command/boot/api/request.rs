//! A request: one object a line.
//!
//! Invariant: what is not understood is an error of one line that says what there is.

use pcie::{Pasid, SourceId};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Of requests and answers. It advances when an old client would misunderstand something.
pub(super) const VERSION: u32 = 1;

/// What may be asked.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Request {
    /// How the machine goes.
    State {},
    /// Holds it.
    Pause {},
    /// Lets it go on.
    Resume {},
    /// Presses the power button.
    PowerOff {},
    /// Ends it.
    Quit {},
    /// The stale uses so far.
    Stale {
        /// The number of the first report that is wanted.
        #[serde(default)]
        from: u64,
    },
    /// What is cached for a device, and what the tables say.
    Iommu {
        /// The device, as `00:01.0`.
        device: String,
        /// In whose name.
        #[serde(default)]
        pasid: Option<u32>,
        /// An address whose way through the tables is wanted, in hexadecimal.
        #[serde(default)]
        address: Option<String>,
    },
}

impl Request {
    /// The request of a line.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let mut object: Map<String, Value> = serde_json::from_slice(line)
            .map_err(|error| format!("a request is an object in JSON: {error}"))?;
        match object.remove("api") {
            None => {}
            Some(version) if version == VERSION => {}
            Some(other) => return Err(format!("this is version {VERSION} of the API, not {other}")),
        }
        serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
    }
}

/// The function that `text` names.
pub(super) fn device(text: &str) -> Result<SourceId, String> {
    let parse = || {
        let (bus, rest) = text.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        let number = |text| hexadecimal(text).and_then(|number| u8::try_from(number).ok());
        let (bus, device, function) = (number(bus)?, number(device)?, number(function)?);
        (device < 32 && function < 8).then(|| SourceId::new(bus, device, function))
    };
    parse().ok_or_else(|| format!("`{text}` is no device; give one as 00:01.0"))
}

/// The process of that number.
pub(super) fn pasid(number: u32) -> Result<Pasid, String> {
    Pasid::new(number).map_err(|error| error.to_string())
}

/// The address that `text` says.
pub(super) fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hexadecimal(digits).ok_or_else(|| format!("`{text}` is no address; give one as 0x1000"))
}

/// A number without a sign.
fn hexadecimal(digits: &str) -> Option<u64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use pcie::SourceId;

    use super::{Request, address, device};

    #[test]
    fn a_request_is_understood_or_told_what_there_is() {
        let parse = |text: &str| Request::parse(text.as_bytes());
        assert_eq!(parse(r#"{"command":"state"}"#), Ok(Request::State {}));
        assert_eq!(parse(r#" {"api":1,"command":"stale","from":3} "#), Ok(Request::Stale { from: 3 }));
        for (wrong, told) in [
            ("", "a request is an object in JSON"),
            ("[1]", "a request is an object in JSON"),
            ("\u{7f}\0", "a request is an object in JSON"),
            ("{}", "command"),
            (r#"{"command":"fly"}"#, "`power-off`, `quit`, `stale`, `iommu`"),
            (r#"{"command":"state","now":1}"#, "now"),
            (r#"{"command":"state","api":2}"#, "version 1 of the API, not 2"),
            (r#"{"command":"stale","from":-1}"#, "u64"),
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains(told) && !error.contains('\n'), "{wrong}: {error}");
        }
        let deep = "[".repeat(4000);
        assert!(parse(&format!("{{\"command\":{deep}")).is_err(), "and nothing overflows");
    }

    #[test]
    fn devices_and_addresses_are_as_reports_write_them() {
        assert_eq!(device("00:1f.7"), Ok(SourceId::new(0, 31, 7)));
        for wrong in ["", "00:01", "00:20.0", "00:01.8", "x:1.0", "100:1.0", "00:+1.0", "00:01.0:"] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
        assert_eq!((address("0x1f"), address("20")), (Ok(0x1f), Ok(0x20)));
        for wrong in ["", "0x", "-1", "+1", "0x+1", "1 ", "11111111111111111"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
