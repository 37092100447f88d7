//! Sizes on the command line: a number with K, M or G behind it, or none.

/// The bytes that `text` means.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let accepted = || "give a size such as 512M or 2G".to_owned();
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| accepted())?;
    number.checked_mul(factor).ok_or_else(accepted)
}
