//! Errors about tags, and about pages at one address.

use crate::lowering::load;

/// What is said of the errors.
fn said(text: &str) -> String {
    let source = format!(
        "scenario s\nmm P, C\ntag X, Y\npage A in P, B in C\npage N\npage U in P under M\ntable T\npmd M -> T\n\
         frame f = 0\nmap A -> f rw, B -> f rw, N -> f rw, U -> f rw\ncpu K in P tag X, L\ndevice D\nvcpu V\nagent other\n  fence\n{text}\n"
    );
    let wrong = load(&source).expect_err("it is wrong");
    wrong.iter().map(|one| format!("{}; {}\n", one.message, one.help)).collect()
}

#[test]
fn what_has_no_tags_is_refused_where_they_are_needed() {
    for (text, words) in [
        (
            "agent L\n  switch P tag X",
            "`L` has no tags, and runs in no address space; declare the CPU with one: `cpu L in P tag X`",
        ),
        ("agent V\n  switch P tag X", "`V` has no tags"),
        ("agent a\n  switch P tag X", "runs on no CPU"),
        ("agent D\n  switch P tag X", "`switch` is no step of a device"),
        ("agent K\n  flush_tag X on L", "no CPU that it reaches has tags, so nothing is under `X`"),
        ("agent K\n  flush_tlb A tag X others", "no CPU that it reaches has tags"),
        ("agent K\n  if loaded_mm(L) == P: end", "`L` has no tags"),
        ("agent K\n  if tlb(L, A, X): end", "`L` never uses the tag `X`"),
        ("agent K\n  if tlb(K, A, Y): end", "`K` never uses the tag `Y`, and holds nothing under it"),
        ("agent K\n  if tlb(K, A): end", "`K` has"),
        ("agent K\n  load N", "`N` is in no address space, and the CPU has tags; declare `page N in P`"),
        ("agent K\n  load U", "`U` lies under an upper entry, and the CPU has tags"),
        ("agent K\n  switch P tag Z", "there is no tag `Z`"),
        ("agent K\n  switch none tag X", "there is no address space `none`"),
        ("agent K\n  switch P", "`tag`"),
        ("cpu M0 in P", "`tag`"),
        ("cpu M0 in Z tag X", "there is no address space `Z`"),
        (
            "page E in C at A\nmap E -> f rw\nagent L\n  load E",
            "`E` has the address of another page, and its user has no tags",
        ),
        ("page E in C at A\nmap E -> f rw\nagent D\n  dma_read E", "leave `at` out, or let a CPU go there"),
        ("page E in P at A", "`E` and `A` have one address, and lie in no two address spaces"),
        ("page E at A", "lie in no two address spaces"),
        ("page E in C at A, F in C at E", "`F` and `E` have one address, and lie in no two address spaces"),
        ("page E in C at F, F in P", "`F` is not declared before `E`"),
        ("page E in C at U", "one lies under an upper entry"),
    ] {
        let said = said(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}
