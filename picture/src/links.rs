//! Where a scenario is from: commits, files of the kernel, advisories and mails, each with its address.
//!
//! Invariant: an address is made of letters, digits and a few signs that were looked at one by one, and leads to one of
//! the hosts that stand here. What is not known for sure is text: a mail's address is a search for its author and day.

/// The kernel's tree.
const TREE: &str = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/";
/// A commit of it, by the first digits of its name or all.
const COMMIT: &str = "https://git.kernel.org/linus/";
const CVE: &str = "https://www.cve.org/CVERecord?id=";
const XSA: &str = "https://xenbits.xen.org/xsa/advisory-";
const MAILS: &str = "https://lore.kernel.org/all/?q=";

/// Folders of the kernel in which a scenario's code stands.
const FOLDERS: [&str; 8] = ["arch", "drivers", "Documentation", "fs", "include", "kernel", "mm", "virt"];

/// A piece of a source, as it is written, with its address if it has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// As it is written.
    pub text: String,
    /// Where it leads.
    pub address: Option<String>,
}

/// The pieces of what a scenario says of its source; one after the other they are that text.
#[must_use]
pub fn pieces(source: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = source;
    let mut before = "";
    while !rest.is_empty() {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
        let gap = rest.find(is_word).unwrap_or(rest.len());
        let (between, behind) = rest.split_at(gap);
        let end = behind.find(|letter| !is_word(letter)).unwrap_or(behind.len());
        let word = behind[..end].trim_end_matches(['.', '-', '/']);
        let (word, next) = behind.split_at(word.len().max(usize::from(end > 0)));
        plain(&mut pieces, between);
        match address(word, before) {
            Some(address) => pieces.push(Piece { text: word.to_owned(), address: Some(address) }),
            None => plain(&mut pieces, word),
        }
        before = if is_name(word) { word } else { before };
        rest = next;
    }
    pieces
}

fn plain(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut().filter(|last| last.address.is_none()) {
        Some(last) => last.text.push_str(text),
        None if text.is_empty() => {}
        None => pieces.push(Piece { text: text.to_owned(), address: None }),
    }
}

/// A word that may be somebody's name.
fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_uppercase())
        && word.chars().all(|letter| letter.is_ascii_alphabetic())
}

/// The address of a word; `name` is the last name before it.
fn address(word: &str, name: &str) -> Option<String> {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
    if let Some((year, number)) = word.strip_prefix("CVE-").and_then(|rest| rest.split_once('-')) {
        return (digits(year) && digits(number)).then(|| format!("{CVE}{word}"));
    }
    if let Some(number) = word.strip_prefix("XSA-") {
        return digits(number).then(|| format!("{XSA}{number}.html"));
    }
    let is_hex = |letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter);
    if (12..=40).contains(&word.len()) && word.chars().all(is_hex) {
        return Some(format!("{COMMIT}{word}"));
    }
    let is_file = [".c", ".h", ".rst", ".S"].iter().any(|end| word.ends_with(end)) && !word.contains("..");
    let in_tree = word.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder));
    if is_file && in_tree {
        return Some(format!("{TREE}{word}"));
    }
    mail(word, name)
}

/// The mails of somebody on a day.
fn mail(day: &str, name: &str) -> Option<String> {
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let number = |text: &str, letters| (text.len() == letters).then(|| text.parse::<u32>().ok())?;
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    if name.is_empty() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // To the next day; behind the end of a month the next one begins, at the latest.
    let (to_year, to_month, to_day) = match (day < 28, month < 12) {
        (true, _) => (year, month, day + 1),
        (false, true) => (year, month + 1, 1),
        (false, false) => (year + 1, 1, 1),
    };
    Some(format!("{MAILS}f%3A{name}+d%3A{year}{month:02}{day:02}..{to_year}{to_month:02}{to_day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(source: &str) -> Vec<String> {
        let pieces = pieces(source);
        let whole: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(whole, source, "nothing is lost");
        pieces.into_iter().filter_map(|piece| piece.address).collect()
    }

    #[test]
    fn commits_files_advisories_and_mails_have_addresses() {
        assert_eq!(
            addresses("commits 6bdb913f0a70, f3b65bbaed7c"),
            ["https://git.kernel.org/linus/6bdb913f0a70", "https://git.kernel.org/linus/f3b65bbaed7c"]
        );
        assert_eq!(
            addresses("CVE-2022-48991; mm/rmap.c try_to_unmap_one."),
            ["https://www.cve.org/CVERecord?id=CVE-2022-48991", &format!("{TREE}mm/rmap.c")]
        );
        assert_eq!(addresses("XSA-408, CVE-2022-33745").len(), 2);
        assert_eq!(
            addresses("Jerome Glisse, 2017-08-30, Re: [PATCH 02/13] mm/rmap: update"),
            ["https://lore.kernel.org/all/?q=f%3AGlisse+d%3A20170830..20170901"]
        );
    }

    #[test]
    fn what_only_looks_like_one_has_none() {
        for source in [
            "FreeBSD rS360280",
            "javascript:alert(1)",
            "../../etc/passwd.c mm/../x.c",
            "2017-08-30",
            "CVE-\"onload=x",
            "deadbeef",
            "https://evil.example/mm/rmap.c",
        ] {
            assert_eq!(addresses(source), Vec::<String>::new(), "{source}");
        }
    }
}
