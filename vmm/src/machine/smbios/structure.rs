//! One SMBIOS structure: fields, one behind the other, and the strings that some of them name by number.
//!
//! Invariant: strings are numbered from 1 on in their order; 0 names none. Source: SMBIOS 3.0, 6.1.2 and 6.1.3.

/// A structure that is being filled.
pub(super) struct Structure {
    kind: u8,
    handle: u16,
    fields: Vec<u8>,
    strings: Vec<&'static str>,
}

/// Type, length and handle.
const HEADER_BYTES: usize = 4;

impl Structure {
    /// One without fields.
    pub(super) const fn new(kind: u8, handle: u16) -> Self {
        Self { kind, handle, fields: Vec::new(), strings: Vec::new() }
    }

    /// A field that names a string.
    pub(super) fn text(&mut self, text: &'static str) -> &mut Self {
        let known = self.strings.iter().position(|string| *string == text);
        let index = known.unwrap_or_else(|| {
            self.strings.push(text);
            self.strings.len() - 1
        });
        self.byte(u8::try_from(index + 1).unwrap_or_else(|_| unreachable!("a handful of strings")))
    }

    /// A field that names no string.
    pub(super) fn none(&mut self) -> &mut Self {
        self.byte(0)
    }

    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub(super) fn word(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn dword(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn qword(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.fields.extend(bytes);
        self
    }

    /// Header, fields, and each string ended by 0; two of them end it all.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let len = u8::try_from(HEADER_BYTES + self.fields.len());
        let mut bytes = vec![self.kind, len.unwrap_or_else(|_| unreachable!("no structure is so long"))];
        bytes.extend(self.handle.to_le_bytes());
        bytes.extend(&self.fields);
        for string in &self.strings {
            bytes.extend(string.bytes().chain([0]));
        }
        bytes.extend(if self.strings.is_empty() { &[0, 0][..] } else { &[0] });
        bytes
    }
}
